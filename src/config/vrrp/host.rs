//! What a `keepalived.conf` may refer to on this machine.

use super::program::{self, Judgement};
use crate::config::machine::{Machine, User};

/// This machine, as far as virtual addresses depend on it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub(super) machine: Machine,
    /// Whether programs are looked for.
    programs: bool,
}

impl Host {
    /// The machine that this runs on, as it is now.
    #[must_use]
    pub fn this() -> Self {
        Self { machine: Machine::this(), programs: true }
    }

    /// `machine`, of which every program is taken for being there.
    pub(in crate::config) fn of(machine: Machine) -> Self {
        Self { machine, programs: false }
    }

    /// This without knowing which interfaces there are, and perhaps with programs looked for.
    pub(in crate::config) fn elsewhere(self, programs: bool) -> Self {
        Self { machine: self.machine.without_interfaces(), programs }
    }

    pub(super) fn user(&self, name: &str) -> Option<User> {
        // A machine of which nothing is known has no number for it.
        self.machine.user(name).filter(|user| user.owner.id != u32::MAX)
    }

    pub(super) fn group(&self, name: &str) -> Option<u32> {
        self.machine.group(name).map(|group| group.id).filter(|id| *id != u32::MAX)
    }

    /// Whether the program that `argv` names can be run, and who could put another in its place.
    pub(super) fn judge(&self, argv: &[String]) -> Judgement {
        if self.programs { program::judge(argv) } else { Judgement::default() }
    }

    /// This with programs looked for.
    #[cfg(test)]
    pub(super) fn with_programs(self) -> Self {
        Self { programs: true, ..self }
    }
}
