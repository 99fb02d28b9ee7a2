//! One set at its receiver: which epochs are over, and who may write.

use std::collections::BTreeMap;

use crate::model::{Epoch, Generation, NodeKey};
use crate::wire::{Nack, NackCode};

/// One opening of a set on one connection; the driver numbers them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

/// The answer to an open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Opening {
    /// The set is open.
    Opened {
        /// The newest epoch that was seen.
        newest: Epoch,
        /// The generation that is live.
        live: Generation,
        /// Earlier sessions of the same source: they are over, nothing of them will be committed.
        superseded: Vec<SessionId>,
    },
    /// A commit is under way: ask again when it is done, since its generation belongs in the answer.
    Wait,
}

/// The answer to a change set or a compare.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Stage it, or compare. `persist` is an epoch to be made durable before that is answered and
    /// before anything of it is live: [`Receiver::handle_persisted`] follows, or, where that fails,
    /// nothing is accepted and [`Receiver::handle_dropped`] gives up a change set.
    Accept {
        /// The epoch, as long as it is not durable.
        persist: Option<Epoch>,
    },
    /// A commit is under way: ask again when it is done.
    Wait,
    /// Nothing of it may go live.
    Refuse(Nack),
}

/// One set at its receiver.
///
/// It has one writer: the session whose change set was accepted last. A change set of an older
/// epoch, or of a session that its own source replaced by a new one, is refused when it begins and
/// again before it is committed, since either may have happened while it was staged.
#[derive(Clone, Debug)]
pub struct Receiver {
    newest: Epoch,
    /// The newest that the store has: what is newer is asked for again until it is there, since a
    /// crash would let the primary before it write once more.
    durable: Epoch,
    live: Generation,
    sessions: BTreeMap<SessionId, NodeKey>,
    writer: Option<Writer>,
}

#[derive(Clone, Copy, Debug)]
struct Writer {
    session: SessionId,
    epoch: Epoch,
    committing: bool,
}

impl Receiver {
    /// A set as the store has it: the newest epoch that was seen, and the generation that is live.
    #[must_use]
    pub fn new(newest: Epoch, live: Generation) -> Self {
        Self { newest: newest.max(live.epoch), durable: newest, live, sessions: BTreeMap::new(), writer: None }
    }

    /// The node `source` opens the set, authorised.
    pub fn handle_open(&mut self, session: SessionId, source: NodeKey) -> Opening {
        if self.is_committing() {
            return Opening::Wait;
        }
        let earlier = self.sessions.iter().filter(|(_, node)| **node == source).map(|(session, _)| *session);
        let superseded: Vec<_> = earlier.filter(|earlier| *earlier != session).collect();
        for earlier in &superseded {
            self.handle_closed(*earlier);
        }
        self.sessions.insert(session, source);
        Opening::Opened { newest: self.newest, live: self.live, superseded }
    }

    /// The session is over. A commit that is under way is completed all the same.
    pub fn handle_closed(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        if self.writer.is_some_and(|writer| writer.session == session && !writer.committing) {
            self.writer = None;
        }
    }

    /// A change set of `epoch` begins.
    pub fn handle_change_set(&mut self, session: SessionId, epoch: Epoch) -> Verdict {
        let persist = match self.admit(session, epoch) {
            Ok(persist) => persist,
            Err(nack) => return Verdict::Refuse(nack),
        };
        match self.writer {
            Some(writer) if writer.session == session => {
                return Verdict::Refuse(self.nack(NackCode::Protocol, "one change set is under way already"));
            }
            Some(writer) if writer.committing => return Verdict::Wait,
            _ => self.writer = Some(Writer { session, epoch, committing: false }),
        }
        self.newest = epoch;
        Verdict::Accept { persist }
    }

    /// A compare by a source of `epoch` begins. It waits for a commit as a change set does: it must
    /// not see half of one, and a newer epoch begins after all that is live of an older one.
    pub fn handle_compare(&mut self, session: SessionId, epoch: Epoch) -> Verdict {
        match self.admit(session, epoch) {
            Err(nack) => Verdict::Refuse(nack),
            Ok(_) if self.is_committing() => Verdict::Wait,
            Ok(persist) => {
                self.newest = self.newest.max(epoch);
                Verdict::Accept { persist }
            }
        }
    }

    /// The store has `epoch`, durably.
    pub fn handle_persisted(&mut self, epoch: Epoch) {
        self.durable = self.durable.max(epoch);
    }

    /// The change set of `session` is staged: may it be committed now? If so, [`Receiver::handle_live`]
    /// or [`Receiver::handle_dropped`] follows.
    ///
    /// # Errors
    /// The [`Nack`] to be sent: the session is over, or a newer epoch was seen meanwhile.
    pub fn commit(&mut self, session: SessionId) -> Result<(), Nack> {
        let newest = self.newest;
        match &mut self.writer {
            Some(writer) if writer.session == session && writer.epoch >= newest => {
                writer.committing = true;
                Ok(())
            }
            Some(writer) if writer.session == session => {
                self.writer = None;
                Err(self.older())
            }
            _ if self.sessions.contains_key(&session) => Err(self.older()),
            _ => Err(self.over()),
        }
    }

    /// The change set of `session` is live and durable.
    pub fn handle_live(&mut self, session: SessionId, generation: Generation) {
        self.live = generation;
        self.handle_dropped(session);
    }

    /// Nobody knows any more what is live: what was agreed upon is not what is there.
    pub fn handle_lost(&mut self) {
        self.live = Generation::NONE;
    }

    /// The change set of `session` will not go live.
    pub fn handle_dropped(&mut self, session: SessionId) {
        if self.writer.is_some_and(|writer| writer.session == session) {
            self.writer = None;
        }
    }

    /// The newest epoch that was seen.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.newest
    }

    /// The generation that is live.
    #[must_use]
    pub fn live(&self) -> Generation {
        self.live
    }

    /// The generation that is live, when it is certain that nothing will go live any more: none while a
    /// commit is under way.
    #[must_use]
    pub fn rests_at(&self) -> Option<Generation> {
        (!self.is_committing()).then_some(self.live)
    }

    /// How many sessions have the set open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn is_committing(&self) -> bool {
        self.writer.is_some_and(|writer| writer.committing)
    }

    fn admit(&self, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>, Nack> {
        if !self.sessions.contains_key(&session) {
            return Err(self.over());
        }
        if epoch < self.newest {
            return Err(self.older());
        }
        Ok((epoch > self.durable).then_some(epoch))
    }

    fn older(&self) -> Nack {
        self.nack(NackCode::OlderEpoch, &format!("epoch {} was seen: another node is primary", self.newest))
    }

    fn over(&self) -> Nack {
        self.nack(NackCode::Protocol, "the source opened the set anew; this session is over")
    }

    fn nack(&self, code: NackCode, cause: &str) -> Nack {
        Nack { code, newest: self.newest, paths: Vec::new(), cause: cause.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeKey = NodeKey([1; 32]);
    const B: NodeKey = NodeKey([2; 32]);

    fn epoch(counter: u64, node: NodeKey) -> Epoch {
        Epoch { counter, node }
    }

    fn generation(epoch: Epoch, number: u64) -> Generation {
        Generation { epoch, number, root: None }
    }

    fn opened(receiver: &mut Receiver, session: u64, node: NodeKey) -> SessionId {
        assert!(matches!(receiver.handle_open(SessionId(session), node), Opening::Opened { .. }));
        SessionId(session)
    }

    fn code(result: Result<(), Nack>) -> Option<NackCode> {
        result.err().map(|nack| nack.code)
    }

    #[test]
    fn what_is_lost_is_not_live_whatever_epoch_it_had() {
        let mut receiver = Receiver::new(epoch(3, A), generation(epoch(3, A), 7));
        receiver.handle_lost();
        let opening = receiver.handle_open(SessionId(1), A);
        let live = Generation::NONE;
        assert_eq!(opening, Opening::Opened { newest: epoch(3, A), live, superseded: Vec::new() });
    }

    #[test]
    fn it_rests_nowhere_while_a_commit_is_under_way() {
        let mut receiver = Receiver::new(epoch(3, A), Generation::NONE);
        let a = SessionId(1);
        receiver.handle_open(a, A);
        assert_eq!(receiver.handle_change_set(a, epoch(3, A)), Verdict::Accept { persist: None });
        assert_eq!(receiver.rests_at(), Some(Generation::NONE), "only staged so far");
        receiver.commit(a).expect("may commit");
        assert_eq!(receiver.rests_at(), None);
        receiver.handle_live(a, generation(epoch(3, A), 1));
        assert_eq!(receiver.rests_at(), Some(generation(epoch(3, A), 1)));
    }

    #[test]
    fn an_epoch_is_persisted_when_it_is_new_and_refused_when_it_is_old() {
        let mut receiver = Receiver::new(epoch(3, A), Generation::NONE);
        let a = opened(&mut receiver, 1, A);
        assert_eq!(receiver.handle_change_set(a, epoch(4, A)), Verdict::Accept { persist: Some(epoch(4, A)) });
        receiver.handle_persisted(epoch(4, A));
        assert_eq!(code(receiver.commit(a)), None);
        receiver.handle_live(a, generation(epoch(4, A), 1));
        assert_eq!(receiver.handle_change_set(a, epoch(4, A)), Verdict::Accept { persist: None });
        receiver.handle_dropped(a);
        let Verdict::Refuse(nack) = receiver.handle_change_set(a, epoch(3, A)) else { panic!("accepted") };
        assert_eq!((nack.code, nack.newest), (NackCode::OlderEpoch, epoch(4, A)));
        let Verdict::Refuse(nack) = receiver.handle_compare(a, epoch(3, B)) else { panic!("accepted") };
        assert_eq!(nack.code, NackCode::OlderEpoch);
    }

    #[test]
    fn an_epoch_is_asked_for_until_it_is_durable() {
        let (mut receiver, new) = (Receiver::new(epoch(3, A), Generation::NONE), epoch(4, B));
        let (a, b) = (opened(&mut receiver, 1, A), opened(&mut receiver, 2, B));
        assert_eq!(receiver.handle_compare(b, new), Verdict::Accept { persist: Some(new) });
        assert_eq!(receiver.handle_change_set(b, new), Verdict::Accept { persist: Some(new) });
        // The store could not be written: nothing was accepted, and the next is not one too many.
        receiver.handle_dropped(b);
        assert_eq!(receiver.handle_change_set(b, new), Verdict::Accept { persist: Some(new) });
        receiver.handle_persisted(new);
        receiver.handle_dropped(b);
        assert_eq!(receiver.handle_change_set(b, new), Verdict::Accept { persist: None });
        assert_eq!(receiver.handle_compare(b, new), Verdict::Accept { persist: None });
        let Verdict::Refuse(nack) = receiver.handle_change_set(a, epoch(3, A)) else { panic!("accepted") };
        assert_eq!(nack.code, NackCode::OlderEpoch);
    }

    /// What is live was agreed upon by an epoch that the store has lost.
    #[test]
    fn an_epoch_that_only_the_live_generation_shows_is_made_durable() {
        let mut receiver = Receiver::new(Epoch::NONE, generation(epoch(2, A), 7));
        let a = opened(&mut receiver, 1, A);
        assert_eq!(receiver.handle_change_set(a, epoch(2, A)), Verdict::Accept { persist: Some(epoch(2, A)) });
    }

    #[test]
    fn a_newer_epoch_stops_what_is_staged() {
        let mut receiver = Receiver::new(Epoch::NONE, Generation::NONE);
        let (a, b) = (opened(&mut receiver, 1, A), opened(&mut receiver, 2, B));
        receiver.handle_change_set(a, epoch(1, A));
        assert_eq!(receiver.handle_compare(b, epoch(1, B)), Verdict::Accept { persist: Some(epoch(1, B)) });
        assert_eq!(code(receiver.commit(a)), Some(NackCode::OlderEpoch));
        receiver.handle_change_set(b, epoch(1, B));
        assert_eq!(code(receiver.commit(b)), None);
        assert_eq!(code(receiver.commit(a)), Some(NackCode::OlderEpoch));
    }

    #[test]
    fn a_commit_is_waited_for() {
        let mut receiver = Receiver::new(Epoch::NONE, Generation::NONE);
        let (a, b) = (opened(&mut receiver, 1, A), opened(&mut receiver, 2, B));
        receiver.handle_change_set(a, epoch(1, A));
        assert_eq!(code(receiver.commit(a)), None);
        receiver.handle_closed(a);
        assert_eq!(receiver.handle_open(SessionId(3), A), Opening::Wait);
        assert_eq!(receiver.handle_change_set(b, epoch(2, B)), Verdict::Wait);
        assert_eq!(receiver.handle_compare(b, epoch(2, B)), Verdict::Wait);
        receiver.handle_live(a, generation(epoch(1, A), 9));
        let Opening::Opened { live, .. } = receiver.handle_open(SessionId(3), A) else { panic!("waits") };
        assert_eq!(live.number, 9);
    }

    #[test]
    fn a_source_that_comes_back_replaces_its_old_session() {
        let mut receiver = Receiver::new(Epoch::NONE, Generation::NONE);
        let old = opened(&mut receiver, 1, A);
        receiver.handle_change_set(old, epoch(1, A));
        receiver.handle_persisted(epoch(1, A));
        let Opening::Opened { superseded, .. } = receiver.handle_open(SessionId(2), A) else { panic!("waits") };
        assert_eq!(superseded, [old]);
        assert_eq!(code(receiver.commit(old)), Some(NackCode::Protocol));
        let Verdict::Refuse(nack) = receiver.handle_change_set(old, epoch(1, A)) else { panic!("accepted") };
        assert_eq!(nack.code, NackCode::Protocol);
        assert_eq!(receiver.handle_change_set(SessionId(2), epoch(1, A)), Verdict::Accept { persist: None });
    }

    #[test]
    fn one_change_set_at_a_time() {
        let mut receiver = Receiver::new(Epoch::NONE, Generation::NONE);
        let a = opened(&mut receiver, 1, A);
        receiver.handle_change_set(a, epoch(1, A));
        let Verdict::Refuse(nack) = receiver.handle_change_set(a, epoch(1, A)) else { panic!("accepted") };
        assert_eq!(nack.code, NackCode::Protocol);
    }
}
