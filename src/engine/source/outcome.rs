//! What became of a compare or a change set that a peer was asked for.

use std::time::Instant;

use super::compare::CompareError;
use super::merge::Difference;
use super::peer::Task;
use super::send::{Outcome, SendError, Settled};
use super::set::{SourceSet, Target};
use crate::link::LinkError;
use crate::observe::Counter;

impl Task {
    /// A compare has ended.
    pub(super) fn compared(&mut self, now: Instant, number: usize, result: Result<Vec<Difference>, CompareError>) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        match result {
            Ok(differences) => {
                let entries = set.index.lock().manifest().len();
                let left = |(path, theirs): &Difference| set.compare_leaves(path, theirs.as_ref());
                let (left, mut differences): (Vec<_>, Vec<_>) = differences.into_iter().partition(left);
                // What an event told of travels all the same.
                let (owed, left): (Vec<_>, Vec<_>) = {
                    let channel = target.channel();
                    left.into_iter().partition(|(path, _)| channel.owes(path))
                };
                differences.extend(owed);
                let (differ, alone) = (differences.len(), left.len());
                tracing::info!(set = set.config.name, peer = %target, entries, differ, alone, "compared");
                set.guard_compare(&differences);
                tell_removals(set, target, &differences);
                let mut channel = target.channel();
                if self.fallback.serves() {
                    channel.handle_glanced(now, differences);
                } else {
                    channel.handle_compared(now, differences);
                }
                channel.leave_alone(left.into_iter().map(|(path, _)| path));
                target.note_failed(&channel, &[]).tell(&set.config.name, target);
                drop(channel);
                peer.shared.writer.send(target.acknowledged());
                set.tell_plugins();
            }
            Err(CompareError::Link(e)) => self.broken(now, set, &e),
            Err(CompareError::Rsync(failure)) => self.rsync_failed(now, number, &failure),
            Err(e) => {
                tracing::warn!(set = set.config.name, peer = %target, "{e}");
                target.channel().handle_compare_failed(now, &e.to_string());
            }
        }
    }

    /// The sending of a change set has ended.
    pub(super) fn sent(&mut self, now: Instant, number: usize, result: Result<(Outcome, Vec<Settled>), SendError>) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        let (outcome, settled) = match result {
            Ok(sent) => sent,
            Err(SendError::Link(e)) => return self.broken(now, set, &e),
            Err(SendError::Rsync(failure)) => return self.rsync_failed(now, number, &failure),
            Err(e) => return self.down(now, &e.to_string()),
        };
        let mut channel = target.channel();
        let names = settled.len() as u64;
        for name in settled {
            match name {
                Settled::Sent(path, entry) => {
                    tracing::debug!(set = set.config.name, peer = %target, %path, gone = entry.is_none(), "sent");
                    set.monitor.solved(&set.config.name, &path);
                    channel.handle_sent(&path, entry);
                }
                Settled::Unsendable(path, cause) => {
                    // A temporary file vanishes before it is read, and a log grows meanwhile: what
                    // fails once is looked at again, and only then worth a word.
                    if channel.failures(&path) > 0 {
                        set.monitor.problem(&set.config.name, &path, &format!("not sent: {cause}"));
                        peer.complain_of(target, Some(&path), &format!("not sent: {cause}"));
                    }
                    channel.handle_unsendable(now, &path, &cause);
                }
                Settled::Doubtful(path) => channel.handle_doubtful(&path),
                Settled::Kept(path) => {
                    set.monitor.solved(&set.config.name, &path);
                    channel.handle_kept(&path);
                }
            }
        }
        match outcome {
            Outcome::Acknowledged(mut ack) => {
                // Its own rules are settled: there is no use in sending it again.
                let (left_out, failed) = std::mem::take(&mut ack.failed).into_iter().partition(|f| f.left_out);
                ack.failed = failed;
                target.note_left_out(&set.config.name, left_out);
                set.monitor.count(Counter::ChangeSetsSent, 1);
                set.monitor.count(Counter::EntriesSent, names.saturating_sub(ack.failed.len() as u64));
                for failed in &ack.failed {
                    peer.complain_of(target, Some(&failed.path), &failed.cause);
                }
                if ack.deletions_held > 0 {
                    tracing::warn!(set = set.config.name, peer = %target, held = ack.deletions_held, "the peer's guard holds deletions back; to release them: syncd approve {}", set.config.name);
                }
                channel.handle_ack(now, &ack);
                target.note_failed(&channel, &ack.failed).tell(&set.config.name, target);
            }
            Outcome::Refused(nack) => {
                tracing::warn!(set = set.config.name, peer = %target, "the peer could not take a change set: {}", nack.cause);
                peer.complain(target, &nack.cause);
                channel.handle_nack(now, &nack);
            }
            Outcome::Empty => channel.handle_empty(now),
        }
        drop(channel);
        peer.shared.writer.send(target.acknowledged());
        // The generation follows with the index.
        set.index.lock().changed().notify_one();
        set.guard_settle();
        set.tell_plugins();
    }

    /// A stream is at its end before it should be, and the connection with it.
    fn broken(&mut self, now: Instant, set: &SourceSet, error: &LinkError) {
        set.monitor.count(Counter::Stalls, u64::from(matches!(error, LinkError::Stalled { .. })));
        self.down(now, &error.to_string());
    }
}

/// How many names a compare says at most of those that it removes.
const NAMED: usize = 3;

/// Tells of what is only there and goes, since a compare makes the tree there equal to the one here.
fn tell_removals(set: &SourceSet, target: &Target, differences: &[Difference]) {
    // What the guard holds back it tells of itself.
    if !set.deletes() || set.deletions_halted() {
        return;
    }
    let index = set.index.lock();
    let only_there = |(path, theirs): &&Difference| theirs.is_some() && index.manifest().get(path).is_none();
    let mut paths = differences.iter().filter(only_there).map(|(path, _)| path);
    let first: Vec<String> = paths.by_ref().take(NAMED).map(ToString::to_string).collect();
    let removed = first.len() + paths.count();
    drop(index);
    if removed > 0 {
        let (set, first) = (&set.config.name, first.join(", "));
        tracing::warn!(set, peer = %target, removed, first, "names that are only there are removed there: the compare makes both trees equal");
    }
}
