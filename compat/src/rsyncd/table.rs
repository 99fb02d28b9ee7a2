//! Every parameter of rsyncd.conf(5) 3.4, and what becomes of it.

use Scope::{Global, Module};

use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured, Refused};

/// One parameter.
#[derive(Debug, Eq, PartialEq)]
pub struct Known {
    /// Its name as in the man page.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// What becomes of it.
    pub standing: Standing,
}

/// Where a parameter may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Outside modules only.
    Global,
    /// In a module, or outside as the default of the modules below.
    Module,
}

const fn row(scope: Scope, name: &'static str, standing: Standing) -> Known {
    Known { name, scope, standing }
}

const LOGS: Standing = Differs("not honoured: syncd logs to standard error or the journal");
const PATTERNS: Standing = NotHonoured("not honoured yet: leave paths out on the primary");
const MODES: Standing = NotHonoured("not honoured yet: modes are those of the primary");

/// All of them, in the order of the man page.
pub const PARAMETERS: &[Known] = &[
    row(Global, "motd file", Harmless),
    row(Global, "pid file", Honoured),
    row(Global, "port", Honoured),
    row(Global, "address", Honoured),
    row(Global, "socket options", Harmless),
    row(Global, "listen backlog", Harmless),
    row(Global, "daemon chroot", NotHonoured("not honoured: syncd works beneath each root by directory descriptor")),
    row(Global, "daemon uid", NotHonoured("not honoured: start syncd as the user that it is to be")),
    row(Global, "daemon gid", NotHonoured("not honoured: start syncd with the group that it is to have")),
    row(Global, "proxy protocol", Refused("`hosts allow` would see the proxy instead of the peer; remove it")),
    row(Module, "comment", Harmless),
    row(Module, "path", Honoured),
    row(Module, "use chroot", Honoured),
    row(Module, "proxy protocol hosts", NotHonoured("not honoured: syncd reads no proxy header")),
    row(Module, "name converter", NotHonoured("not honoured: names are looked up in /etc/passwd and /etc/group")),
    row(Module, "numeric ids", Honoured),
    row(Module, "munge symlinks", NotHonoured("not honoured: symlinks stay as they are, and none is followed")),
    row(Module, "charset", NotHonoured("not honoured: names are bytes and stay as they are")),
    row(Module, "max connections", Honoured),
    row(Module, "log file", LOGS),
    row(Module, "syslog facility", LOGS),
    row(Module, "syslog tag", LOGS),
    row(Module, "max verbosity", Harmless),
    row(Module, "lock file", Differs("not written: `max connections` is counted in the process")),
    row(Module, "read only", Honoured),
    row(Module, "write only", Harmless),
    row(Module, "open noatime", Harmless),
    row(Module, "list", Harmless),
    row(Module, "uid", Honoured),
    row(Module, "gid", Honoured),
    row(Module, "fake super", NotHonoured("not honoured: owners are not kept in extended attributes")),
    row(Module, "filter", PATTERNS),
    row(Module, "exclude", PATTERNS),
    row(Module, "include", PATTERNS),
    row(Module, "exclude from", PATTERNS),
    row(Module, "include from", PATTERNS),
    row(Module, "incoming chmod", MODES),
    row(Module, "outgoing chmod", Harmless),
    row(Module, "auth users", Honoured),
    row(Module, "secrets file", Honoured),
    row(Module, "strict modes", Honoured),
    row(Module, "hosts allow", Honoured),
    row(Module, "hosts deny", Honoured),
    row(Module, "reverse lookup", Harmless),
    row(Module, "forward lookup", Harmless),
    row(Module, "ignore errors", Harmless),
    row(Module, "ignore nonreadable", Harmless),
    row(Module, "transfer logging", LOGS),
    row(Module, "log format", LOGS),
    row(Module, "timeout", Differs("no meaning: a silent peer is noticed in seconds")),
    row(Module, "refuse options", Honoured),
    row(Module, "dont compress", Harmless),
    row(Module, "temp dir", NotHonoured("not honoured: files are staged in `.syncd` inside the module's path")),
    row(
        Module,
        "early exec",
        NotHonoured("not honoured: a connection has no transfer to begin; `pre-xfer exec` runs before each change set"),
    ),
    row(Module, "pre-xfer exec", Honoured),
    row(Module, "post-xfer exec", Honoured),
];

/// The parameter called `name`, whatever its case and blanks.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    let folded = fold(name);
    PARAMETERS.iter().find(|known| fold(known.name) == folded)
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}
