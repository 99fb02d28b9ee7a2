//! What a file may refer to on this machine: its name, its users and groups, and who runs syncd.

use std::path::Path;

use super::Owner;

/// This machine, as far as a configuration depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// The host's name.
    pub(super) name: String,
    /// The effective user of the process.
    pub(super) euid: u32,
    /// The bits that files which the process makes do not get.
    pub(super) umask: u32,
    /// The directory that relative paths start from.
    pub(super) cwd: std::path::PathBuf,
    passwd: String,
    group: String,
    /// Whether users and groups that are not in the files are taken for being there.
    any: bool,
}

/// One user of passwd(5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct User {
    pub(super) owner: Owner,
    pub(super) primary_group: u32,
}

impl Machine {
    /// The machine that this runs on. What cannot be read is empty, so that only numbers resolve.
    pub(super) fn this() -> Self {
        let text = |path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let name = text("/proc/sys/kernel/hostname").trim().to_owned();
        Self {
            name: if name.is_empty() { "localhost".to_owned() } else { name },
            euid: rustix::process::geteuid().as_raw(),
            umask: umask(&text("/proc/self/status")).unwrap_or(0o022),
            cwd: std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()),
            passwd: text("/etc/passwd"),
            group: text("/etc/group"),
            any: false,
        }
    }

    /// A machine of which nothing is known but its name, as root sees it: every user and group may be there.
    pub(super) fn into_any(self) -> Self {
        Self { euid: 0, any: true, ..self }
    }

    /// A machine made up of the given files.
    #[cfg(any(test, fuzzing))]
    pub(super) fn made_of(euid: u32, passwd: &str, group: &str) -> Self {
        let (passwd, group) = (passwd.to_owned(), group.to_owned());
        Self { name: "host".to_owned(), euid, umask: 0o022, cwd: "/cwd".into(), passwd, group, any: false }
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

    /// The group called `name`, or with that number.
    pub(super) fn group(&self, name: &str) -> Option<Owner> {
        let number: Option<u32> = name.parse().ok();
        let mut groups = self.group.lines().filter_map(|line| group(line).map(|(group, _)| group));
        groups
            .find(|group| group.name == name || Some(group.id) == number)
            .or_else(|| number.or(self.any.then_some(u32::MAX)).map(|id| Owner { id, name: name.to_owned() }))
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
}
