//! What a `keepalived.conf` may refer to on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::program::{self, Judgement};
use crate::config::machine::{Machine, User};

/// The length of packets on an interface of which nothing is known.
const USUAL_MTU: u32 = 1500;

/// Where names of routing tables stand.
const TABLES: [&str; 2] = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables"];

/// This machine, as far as virtual addresses depend on it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    machine: Machine,
    /// Its interfaces with their MTU; none where it is not known what there is.
    interfaces: Option<BTreeMap<String, u32>>,
    /// The routing tables that have a name.
    tables: BTreeMap<String, u32>,
    /// Whether programs are looked for.
    programs: bool,
}

impl Host {
    /// The machine that this runs on, as it is now.
    #[must_use]
    pub fn this() -> Self {
        let tables = TABLES.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Self {
            machine: Machine::this(),
            interfaces: interfaces(Path::new("/sys/class/net")),
            tables: names_of_tables(&tables),
            programs: true,
        }
    }

    /// `machine`, of which it is not known which interfaces and programs there are: so that no finding is about them.
    pub(in crate::config) fn unseen(machine: Machine) -> Self {
        Self { machine, ..Self::default() }
    }

    /// This with no more than these interfaces.
    #[cfg(test)]
    pub(in crate::config) fn with_interfaces(mut self, names: &[&str]) -> Self {
        self.interfaces = Some(names.iter().map(|name| ((*name).to_owned(), USUAL_MTU)).collect());
        self
    }

    /// This without knowing which interfaces there are.
    pub(in crate::config) fn without_interfaces(mut self) -> Self {
        self.interfaces = None;
        self
    }

    /// This with programs looked for, or taken for being there.
    pub(in crate::config) fn with_programs(mut self, looked_for: bool) -> Self {
        self.programs = looked_for;
        self
    }

    /// What lines for one node (`@id`) compare with.
    pub(in crate::config) fn config_id(&self) -> &str {
        self.name().split('.').next().unwrap_or("")
    }

    pub(super) fn name(&self) -> &str {
        &self.machine.name
    }

    /// Whether there is such an interface; what is not known is taken for being there.
    pub(super) fn has_interface(&self, name: &str) -> bool {
        self.interfaces.as_ref().is_none_or(|known| known.contains_key(name))
    }

    /// The names of all interfaces but the loopback.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let names = self.interfaces.iter().flat_map(BTreeMap::keys).map(String::as_str);
        names.filter(|name| *name != "lo")
    }

    pub(super) fn mtu(&self, interface: &str) -> u32 {
        self.interfaces.as_ref().and_then(|known| known.get(interface)).copied().unwrap_or(USUAL_MTU)
    }

    /// The number of a routing table.
    pub(super) fn table(&self, name: &str) -> Option<u32> {
        let known = [("default", 253), ("main", 254), ("local", 255)];
        name.parse()
            .ok()
            .or_else(|| known.iter().find(|(known, _)| *known == name).map(|(_, table)| *table))
            .or_else(|| self.tables.get(name).copied())
    }

    pub(super) fn user(&self, name: &str) -> Option<User> {
        self.machine.user(name)
    }

    /// Whether a user is there by that very name, and not only because nothing is known.
    pub(super) fn has_user(&self, name: &str) -> bool {
        self.machine.user(name).is_some_and(|user| user.owner.id != u32::MAX)
    }

    pub(super) fn group(&self, name: &str) -> Option<u32> {
        self.machine.group(name).map(|group| group.id)
    }

    /// Whether the program that `argv` names can be run, and who could put another in its place.
    pub(super) fn judge(&self, argv: &[String]) -> Judgement {
        if self.programs { program::judge(argv) } else { Judgement::default() }
    }
}

/// The interfaces that the kernel names below `dir`.
fn interfaces(dir: &Path) -> Option<BTreeMap<String, u32>> {
    let of = |entry: fs::DirEntry| {
        let mtu = fs::read_to_string(entry.path().join("mtu")).ok().and_then(|text| text.trim().parse().ok());
        (entry.file_name().to_string_lossy().into_owned(), mtu.unwrap_or(USUAL_MTU))
    };
    // Beside interfaces there are files, such as `bonding_masters`.
    let entries = fs::read_dir(dir).ok()?.flatten().filter(|entry| entry.path().is_dir());
    Some(entries.map(of).collect())
}

/// Lines of `NUMBER NAME`.
fn names_of_tables(text: &str) -> BTreeMap<String, u32> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let number = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), number))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_numbers_and_names() {
        let tables = names_of_tables("# reserved\n255\tlocal\n100 isp1 # first\nx y\n7\n");
        assert_eq!(tables, [("local".to_owned(), 255), ("isp1".to_owned(), 100)].into());
        let host = Host { tables, ..Host::default() };
        assert_eq!(["isp1", "main", "12", "isp2"].map(|name| host.table(name)), [Some(100), Some(254), Some(12), None]);
    }

    #[test]
    fn the_interfaces_of_this_machine_have_an_mtu() {
        let host = Host::this();
        assert!(host.has_interface("lo") && host.mtu("lo") >= 1280);
        assert!(!host.has_interface("no-such-interface"));
        assert!(host.interfaces().all(|name| name != "lo"));
    }
}
