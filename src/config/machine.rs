//! What a file may refer to on this machine: its name, its users and groups, and who runs syncd.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syncd_compat::Severity;
use syncd_compat::keepalived::Here;

use super::Owner;

/// The length of packets on an interface of which nothing is known.
const USUAL_MTU: u32 = 1500;

/// Where names of routing tables stand.
const TABLES: [&str; 2] = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables"];

/// The groups that go with the user nobody, of which each system has one.
pub(super) const NOBODY_GROUPS: [&str; 2] = ["nobody", "nogroup"];

/// This machine, as far as a configuration depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// The host's name.
    pub(super) name: String,
    /// The effective user of the process.
    pub(super) euid: u32,
    /// The user that rsync(1) tells a daemon where none is named.
    pub(super) login: String,
    /// The bits that files which the process makes do not get.
    pub(super) umask: u32,
    /// The directory that relative paths start from.
    pub(super) cwd: std::path::PathBuf,
    passwd: String,
    group: String,
    /// Its interfaces with their MTU; none where it is not known what there is.
    interfaces: Option<BTreeMap<String, u32>>,
    /// The routing tables that have a name.
    tables: BTreeMap<String, u32>,
    /// Whether users and groups that are not in the files are taken for being there.
    any: bool,
    /// Whether files may be another machine's.
    elsewhere: bool,
}

/// One user of passwd(5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct User {
    pub(super) owner: Owner,
    pub(super) primary_group: u32,
}

impl Machine {
    /// Where a `keepalived.conf` is read.
    pub(super) fn here(&self) -> Here<'_> {
        Here { id: self.name.split('.').next().unwrap_or(""), directory: &self.cwd }
    }

    /// The machine that this runs on. What cannot be read is empty, so that only numbers resolve.
    pub(super) fn this() -> Self {
        let text = |path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let name = text("/proc/sys/kernel/hostname").trim().to_owned();
        Self {
            name: if name.is_empty() { "localhost".to_owned() } else { name },
            euid: rustix::process::geteuid().as_raw(),
            login: ["USER", "LOGNAME"]
                .iter()
                .find_map(|name| std::env::var(name).ok())
                .filter(|login| !login.is_empty())
                .unwrap_or_else(|| "nobody".to_owned()),
            umask: umask(&text("/proc/self/status")).unwrap_or(0o022),
            cwd: std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()),
            passwd: text("/etc/passwd"),
            group: text("/etc/group"),
            interfaces: interfaces(Path::new("/sys/class/net")),
            tables: TABLES
                .iter()
                .find_map(|file| fs::read_to_string(file).ok())
                .map_or_else(BTreeMap::new, |t| tables(&t)),
            any: false,
            elsewhere: false,
        }
    }

    /// A machine of which nothing is known but its name, as root sees it: every user and group may be there.
    pub(super) fn into_any(self) -> Self {
        Self { euid: 0, any: true, ..self }.without_interfaces()
    }

    /// The same machine, for files that may be another's.
    pub(super) fn or_elsewhere(self) -> Self {
        Self { elsewhere: true, ..self }
    }

    /// How severe it is that this machine lacks what a file names.
    pub(super) fn lack(&self) -> Severity {
        if self.elsewhere { Severity::Warning } else { Severity::Error }
    }

    /// The same machine, of which it is not known which interfaces there are.
    pub(super) fn without_interfaces(self) -> Self {
        Self { interfaces: None, ..self }
    }

    /// The same machine with these interfaces.
    #[cfg(test)]
    pub(super) fn with_interfaces(self, names: &[&str]) -> Self {
        let interfaces = names.iter().map(|name| ((*name).to_owned(), USUAL_MTU)).collect();
        Self { interfaces: Some(interfaces), ..self }
    }

    /// A machine made up of the given files.
    #[cfg(any(test, fuzzing))]
    pub(super) fn made_of(euid: u32, passwd: &str, group: &str) -> Self {
        let (passwd, group) = (passwd.to_owned(), group.to_owned());
        let name = "host".to_owned();
        let login = "root".to_owned();
        Self { name, euid, login, umask: 0o022, cwd: "/cwd".into(), passwd, group, ..Self::default() }
    }

    /// Whether the process is root's.
    pub(super) fn is_root(&self) -> bool {
        self.euid == 0
    }

    /// The user called `name`, or with that number.
    pub(super) fn user(&self, name: &str) -> Option<User> {
        let number = name.parse().ok();
        let found = self.passwd.lines().filter_map(user).find(|u| u.owner.name == name || Some(u.owner.id) == number);
        let unnamed = |id| User { owner: Owner { id, name: name.to_owned() }, primary_group: id };
        found.or_else(|| number.or(self.any.then_some(u32::MAX)).map(unnamed))
    }

    /// Whether `name` is that of the user that runs this, or its number.
    pub(super) fn is_own_user(&self, name: &str) -> bool {
        let own = self.user(&self.euid.to_string());
        own.is_some_and(|own| own.owner.name == name || own.owner.id.to_string() == name)
    }

    /// The group called `name`, or with that number.
    pub(super) fn group(&self, name: &str) -> Option<Owner> {
        let listed = |name: &str, number: Option<u32>| {
            let mut groups = self.group.lines().filter_map(|line| group(line).map(|(group, _)| group));
            groups.find(|group| group.name == name || Some(group.id) == number)
        };
        let number: Option<u32> = name.parse().ok();
        // Of nobody's groups no system has two: that there is one says that the other is nowhere.
        let nowhere = || NOBODY_GROUPS.contains(&name) && NOBODY_GROUPS.iter().any(|one| listed(one, None).is_some());
        let invented = || (self.any && !nowhere()).then_some(u32::MAX);
        listed(name, number).or_else(|| number.or_else(invented).map(|id| Owner { id, name: name.to_owned() }))
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

    /// The length of packets on an interface, in bytes.
    pub(super) fn mtu(&self, interface: &str) -> u32 {
        self.interfaces.as_ref().and_then(|known| known.get(interface)).copied().unwrap_or(USUAL_MTU)
    }

    /// The number of the routing table that `name` names, or is.
    pub(super) fn table(&self, name: &str) -> Option<u32> {
        let known = [("default", 253), ("main", 254), ("local", 255)];
        let by_name = || known.iter().find(|(known, _)| *known == name).map(|(_, table)| *table);
        name.parse().ok().or_else(by_name).or_else(|| self.tables.get(name).copied())
    }

    /// All groups of `user`, the primary one first.
    pub(super) fn groups_of(&self, user: &User) -> Vec<Owner> {
        let mut groups: Vec<Owner> = self.group(&user.primary_group.to_string()).into_iter().collect();
        let listed =
            self.group.lines().filter_map(group).filter(|(_, members)| members.contains(&user.owner.name.as_str()));
        for (group, _) in listed {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

/// What proc(5) says of the process: umask(2) tells it only to whom it sets it.
fn umask(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
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
fn tables(text: &str) -> BTreeMap<String, u32> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let number = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), number))
    };
    text.lines().filter_map(line).collect()
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let id = fields.nth(1)?.parse().ok()?;
    Some(User { owner: Owner { id, name }, primary_group: fields.next()?.parse().ok()? })
}

fn group(line: &str) -> Option<(Owner, Vec<&str>)> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let id = fields.nth(1)?.parse().ok()?;
    Some((Owner { id, name }, fields.next().unwrap_or("").split(',').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_resolve_and_groups_come_primary_first() {
        let machine = Machine::made_of(
            0,
            "root:x:0:0:root:/root:/bin/sh\nbroken\ndeploy:x:1000:1001::/home:/bin/sh\n",
            "root:x:0:\nwww:x:33:deploy,x\ndeploy:x:1001:deploy\n",
        );
        let deploy = machine.user("deploy").expect("there");
        assert_eq!(machine.user("1000"), Some(deploy.clone()));
        assert_eq!(machine.user("7").map(|u| u.owner.id), Some(7));
        assert_eq!(machine.user("nobody"), None);
        let ids: Vec<_> = machine.groups_of(&deploy).iter().map(|g| g.id).collect();
        assert_eq!(ids, [1001, 33]);
        assert_eq!(machine.group("www").map(|g| g.id), Some(33));
    }

    #[test]
    fn routing_tables_have_numbers_and_names() {
        let tables = tables("# reserved\n255\tlocal\n100 isp1 # first\nx y\n7\n");
        assert_eq!(tables, [("local".to_owned(), 255), ("isp1".to_owned(), 100)].into());
        let machine = Machine { tables, ..Machine::default() };
        let numbers = ["isp1", "main", "12", "isp2"].map(|name| machine.table(name));
        assert_eq!(numbers, [Some(100), Some(254), Some(12), None]);
    }

    #[test]
    fn the_interfaces_of_this_machine_have_an_mtu() {
        let machine = Machine::this();
        assert!(machine.has_interface("lo") && machine.mtu("lo") >= 1280);
        assert!(!machine.has_interface("no-such-interface"));
        assert!(machine.interfaces().all(|name| name != "lo"));
    }
}
