//! A sync group: instances that are master together, or none of them.

use super::machine::Id;
use super::message::Happening;
use super::router::State;
use super::setup::SyncGroup;

/// A group and its members.
#[derive(Clone, Debug)]
pub struct Group {
    /// What is configured.
    pub setup: SyncGroup,
    /// Those of its members that there are.
    pub members: Vec<Id>,
    /// What its programs were told last.
    told: Option<State>,
}

/// Where a member is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its state.
    pub state: State,
    /// It would be master by now.
    pub wants: bool,
    /// A reload brought it, and nobody else is known to be its master: it is to follow the others.
    pub joins: bool,
}

impl Group {
    /// One whose programs were told nothing yet.
    #[must_use]
    pub fn new(setup: SyncGroup, members: Vec<Id>) -> Self {
        Self { setup, members, told: None }
    }

    /// Whether all that want to be master may: no member is anything else.
    #[must_use]
    pub fn may_be_master(members: &[Member]) -> bool {
        members.iter().all(|member| member.wants || member.state == State::Master)
            && members.iter().any(|member| member.wants)
    }

    /// Whether those that are master have to stop being it, for another member is not.
    #[must_use]
    pub fn is_broken(members: &[Member]) -> bool {
        let masters = members.iter().filter(|member| member.state == State::Master).count();
        let joining = members.iter().filter(|member| member.joins).count();
        masters > 0 && masters + joining < members.len() && !Self::may_be_master(members)
    }

    /// What its programs are to be told, once for each state.
    pub fn news(&mut self, members: &[Member]) -> Option<Happening> {
        let all = |state| members.iter().all(|member| member.state == state);
        let (state, happening) = if members.iter().any(|member| member.state == State::Fault) {
            (State::Fault, Happening::Fault)
        } else if all(State::Master) {
            (State::Master, Happening::Master)
        } else if all(State::Backup) {
            (State::Backup, Happening::Backup)
        } else {
            return None;
        };
        (self.told.replace(state) != Some(state)).then_some(happening)
    }

    /// It takes over what `before` has told.
    pub fn follow(&mut self, before: &Self) {
        self.told = before.told;
    }
}
