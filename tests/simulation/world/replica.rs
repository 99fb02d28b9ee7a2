//! The replica: the shipped receiver around a tree.

use syncd::model::{Epoch, Generation, Op, RelPath};
use syncd::session::{Opening, SessionId, Verdict};
use syncd::wire::{Ack, Nack, NackCode, Refusal};

use super::{Answer, Event, MS, Request, Stage, World};
use crate::tree::apply;

impl World {
    pub(super) fn reply(&mut self, id: u64, answer: Answer) {
        let delay = self.rng.below(20 * MS);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.arrives.1 = conn.arrives.1.max(self.now + delay);
            let time = conn.arrives.1;
            self.at(time, Event::ToSource(id, answer));
        }
    }

    pub(super) fn request(&mut self, id: u64, request: Request) {
        let key = self.sources[self.conns[&id].source].key;
        match request {
            Request::Hello => self.reply(id, Answer::Hello),
            Request::Open if self.now < self.refusing => self.reply(id, Answer::Refused(Refusal::WrongPassword)),
            Request::Open => match self.replica.machine.handle_open(SessionId(id), key) {
                Opening::Wait => self.at(self.now + MS, Event::ToReceiver(id, Request::Open)),
                Opening::Opened { newest, live, .. } => self.reply(id, Answer::Opened { newest, live }),
            },
            Request::Compare(epoch) => match self.replica.machine.handle_compare(SessionId(id), epoch) {
                Verdict::Accept { persist } => {
                    if !self.admit(epoch, persist) {
                        let nack = self.nack(NackCode::Local, Vec::new());
                        return self.reply(id, Answer::Nack(nack));
                    }
                    let answer = Answer::Tree(self.replica.tree.clone(), self.replica.drifts);
                    self.reply(id, answer);
                }
                Verdict::Wait => self.at(self.now + MS, Event::ToReceiver(id, Request::Compare(epoch))),
                Verdict::Refuse(nack) => self.reply(id, Answer::Nack(nack)),
            },
            Request::ChangeSet { epoch, number, ops, approved } => {
                match self.replica.machine.handle_change_set(SessionId(id), epoch) {
                    Verdict::Accept { persist } => {
                        if !self.admit(epoch, persist) {
                            let nack = self.nack(NackCode::Local, Vec::new());
                            return self.drop_stage(id, nack);
                        }
                        let generation = Generation { epoch, number, root: None };
                        self.replica.stages.insert(id, Stage { generation, ops, approved });
                        // What is large takes long: meanwhile its source may be back on another connection.
                        let ms = if self.rng.percent(10) { 1500 } else { 60 };
                        self.soon(ms, Event::Staged(id));
                    }
                    Verdict::Wait => {
                        let again = Request::ChangeSet { epoch, number, ops, approved };
                        self.at(self.now + MS, Event::ToReceiver(id, again));
                    }
                    Verdict::Refuse(nack) => self.reply(id, Answer::Nack(nack)),
                }
            }
        }
    }

    /// False where the store has no room for the epoch: nothing of it is accepted.
    pub(super) fn admit(&mut self, epoch: Epoch, persist: Option<Epoch>) -> bool {
        assert!(epoch >= self.admitted, "{epoch} was admitted after {}", self.admitted);
        if let Some(epoch) = persist {
            if self.now < self.full || self.rng.percent(20) {
                return false;
            }
            self.replica.durable = epoch;
            self.replica.machine.handle_persisted(epoch);
        }
        assert!(epoch <= self.replica.durable, "{epoch} was admitted and is not durable");
        self.admitted = epoch;
        true
    }

    pub(super) fn staged(&mut self, id: u64) {
        if !self.replica.stages.contains_key(&id) {
            return;
        }
        let room = self.now >= self.full;
        let nack = match self.replica.machine.commit(SessionId(id)) {
            Ok(()) if room => return self.soon(10, Event::Committed(id)),
            Ok(()) => self.nack(NackCode::Local, Vec::new()),
            Err(nack) => nack,
        };
        self.drop_stage(id, nack);
    }

    pub(super) fn nack(&self, code: NackCode, paths: Vec<RelPath>) -> Nack {
        Nack { code, newest: self.replica.machine.newest(), paths, cause: "simulated".to_owned() }
    }

    pub(super) fn drop_stage(&mut self, id: u64, nack: Nack) {
        self.replica.stages.remove(&id);
        self.replica.machine.handle_dropped(SessionId(id));
        self.reply(id, Answer::Nack(nack));
    }

    pub(super) fn committed(&mut self, id: u64) {
        let Some(stage) = self.replica.stages.get(&id) else { return };
        let removes = stage.ops.iter().filter(|op| matches!(op, Op::Remove { .. })).count();
        let hold = self.hold_deletions && removes > 1 && !stage.approved;
        match apply(&self.replica.tree, &stage.ops, &self.replica.broken, hold) {
            Ok(applied) => {
                let generation = stage.generation;
                assert!(generation.epoch >= self.admitted, "{generation} went live after {}", self.admitted);
                self.replica.stages.remove(&id);
                self.replica.tree = applied.tree;
                self.replica.machine.handle_live(SessionId(id), generation);
                let ack = Ack { generation, failed: applied.failed, deletions_held: applied.held, root_matches: None };
                self.reply(id, Answer::Ack(ack));
            }
            Err(paths) => {
                let nack = self.nack(NackCode::ContentNeeded, paths);
                self.drop_stage(id, nack);
            }
        }
    }

    pub(super) fn receiver_sees_closed(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.receiver_open = false;
        }
        self.replica.machine.handle_closed(SessionId(id));
        // A commit that has begun is completed.
    }
}
