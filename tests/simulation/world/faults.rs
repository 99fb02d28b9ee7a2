//! What goes wrong.

use syncd::model::Generation;
use syncd::session::{Receiver, SessionId};

use super::{Answer, Event, MS, SECOND, World};
use crate::tree::{any_path, edit};

impl World {
    pub(super) fn fault(&mut self) {
        let until = self.now + self.rng.below(2 * SECOND);
        let s = self.rng.below(self.sources.len() as u64) as usize;
        match self.rng.below(12) {
            0..=2 => self.cut(s),
            3 => {
                self.unreachable = until;
                (0..self.sources.len()).for_each(|s| self.cut(s));
            }
            4 | 5 if self.sources[s].running => self.kill_source(s),
            6 => self.kill_replica(),
            7 => self.refusing = until,
            8 => self.full = until,
            9 => self.replica.broken = (0..self.rng.below(3)).map(|_| any_path(&mut self.rng)).collect(),
            10 if self.full_compare => {
                edit(&mut self.replica.tree, &mut self.rng);
                self.replica.drifts += 1;
                let open: Vec<_> = self.conns.iter().filter(|(_, c)| c.receiver_open).map(|(id, _)| *id).collect();
                open.into_iter().for_each(|id| self.reply(id, Answer::Drifted));
            }
            _ => {
                self.sources[s].peer.replay_now();
                self.sources[s].channel.replay_now();
            }
        }
    }

    /// Cuts the connection of a source: what is on its way may still arrive, and the two ends
    /// notice at different times.
    pub(super) fn cut(&mut self, s: usize) {
        if let Some(id) = self.sources[s].conn {
            let dead_at = self.now + self.rng.below(100 * MS);
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.dead_at = dead_at;
            }
            self.soon(500, Event::SourceSeesClosed(id));
            self.soon(3000, Event::ReceiverSeesClosed(id));
        }
    }

    pub(super) fn kill_source(&mut self, s: usize) {
        self.hang_up(s);
        let (lost, seed) = (self.full_compare && self.rng.percent(30), self.rng.next());
        let now = self.instant();
        self.sources[s].restart(now, lost, seed);
    }

    pub(super) fn kill_replica(&mut self) {
        let open: Vec<_> = self.conns.iter().filter(|(_, c)| c.receiver_open).map(|(id, _)| *id).collect();
        // A commit under way ends in the old generation or in the new one.
        let staged: Vec<_> = self.replica.stages.keys().copied().collect();
        for id in staged {
            if self.rng.percent(50) && self.replica.machine.commit(SessionId(id)).is_ok() {
                self.committed(id);
            }
        }
        for id in open {
            if let Some(conn) = self.conns.get_mut(&id) {
                (conn.receiver_open, conn.dead_at) = (false, self.now);
            }
            self.soon(300, Event::SourceSeesClosed(id));
        }
        self.replica.stages.clear();
        // Only who ends in order says where that was.
        let rests_at = self.replica.machine.rests_at().filter(|_| self.rng.percent(30));
        self.replica.machine = Receiver::new(self.replica.durable, rests_at.unwrap_or(Generation::NONE));
    }
}
