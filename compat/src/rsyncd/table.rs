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

/// All of them, in the order of the man page.
pub const PARAMETERS: &[Known] = &[
    row(Global, "motd file", Harmless("a receiver of syncd has no message of the day")),
    row(Global, "pid file", Honoured("holds the number of the process while it runs")),
    row(Global, "port", Honoured("the port to listen on, on UDP")),
    row(Global, "address", Honoured("the address to listen on")),
    row(Global, "socket options", Harmless("buffers are tuned for the link")),
    row(Global, "listen backlog", Harmless("UDP has none")),
    row(Global, "daemon chroot", NotHonoured("syncd works beneath each root by directory descriptor")),
    row(Global, "daemon uid", NotHonoured("start syncd as the user that it is to be")),
    row(Global, "daemon gid", NotHonoured("start syncd with the group that it is to have")),
    row(Global, "proxy protocol", Refused("`hosts allow` would see the proxy instead of the peer; remove it")),
    row(Module, "comment", Harmless("nobody lists modules")),
    row(Module, "path", Honoured("the root of the set")),
    row(
        Module,
        "use chroot",
        Honoured(
            "syncd works beneath the root by directory descriptors, with and without it; it decides what `numeric ids` is by default",
        ),
    ),
    row(Module, "proxy protocol hosts", NotHonoured("syncd reads no proxy header")),
    row(Module, "name converter", NotHonoured("names are looked up in /etc/passwd and /etc/group")),
    row(Module, "numeric ids", Honoured("owners are numbers, no name is looked up")),
    row(
        Module,
        "munge symlinks",
        NotHonoured("symlinks stay as they are written, usable for other programs; syncd itself follows none"),
    ),
    row(Module, "charset", NotHonoured("names are bytes and stay as they are")),
    row(Module, "max connections", Honoured("how many primaries at once")),
    row(Module, "log file", LOGS),
    row(Module, "syslog facility", LOGS),
    row(Module, "syslog tag", LOGS),
    row(Module, "max verbosity", Harmless("syncd logs by SYNCD_LOG")),
    row(Module, "lock file", Differs("not written: `max connections` is counted in the process")),
    row(Module, "read only", Honoured("every change is refused")),
    row(Module, "write only", Harmless("nothing is ever read from a module")),
    row(Module, "open noatime", Harmless("nothing is ever read from a module")),
    row(Module, "list", Harmless("nobody lists modules")),
    row(Module, "uid", Honoured("the user that files are written as")),
    row(Module, "gid", Honoured("the groups that files are written with")),
    row(
        Module,
        "fake super",
        NotHonoured("owners are set where syncd runs as root, and not kept in extended attributes where it does not"),
    ),
    row(
        Module,
        "filter",
        Honoured("what its rules exclude no primary sees, writes or removes; it is reported there path by path"),
    ),
    row(
        Module,
        "exclude",
        Honoured("what it names no primary sees, writes or removes; it is reported there path by path"),
    ),
    row(Module, "include", Honoured("what it names is no longer excluded by `exclude from` and `exclude`")),
    row(Module, "exclude from", Honoured("patterns as in `exclude`, one on a line, read at the start and at a reload")),
    row(Module, "include from", Honoured("patterns as in `include`, one on a line, read at the start and at a reload")),
    row(
        Module,
        "incoming chmod",
        Honoured("modes that come become so before they are set (`D755`, `F644`, `u=rwX,go-w`)"),
    ),
    row(Module, "outgoing chmod", Harmless("nothing is ever read from a module")),
    row(Module, "auth users", Honoured("who may write, proven by a password that never travels")),
    row(Module, "secrets file", Honoured("lines of `user:password`")),
    row(Module, "strict modes", Honoured("a secrets file that others can read is refused")),
    row(Module, "hosts allow", Honoured("only these addresses and networks")),
    row(Module, "hosts deny", Honoured("never these, unless also allowed")),
    row(Module, "reverse lookup", Harmless("hosts are known by address")),
    row(Module, "forward lookup", Harmless("hosts are known by address")),
    row(Module, "ignore errors", Harmless("nothing is ever read from a module")),
    row(Module, "ignore nonreadable", Harmless("nothing is ever read from a module")),
    row(Module, "transfer logging", LOGS),
    row(Module, "log format", LOGS),
    row(Module, "timeout", Differs("a silent peer is noticed in seconds, whatever it says")),
    row(
        Module,
        "refuse options",
        Honoured("`delete` keeps a primary from removing anything; of the others there is nothing to refuse"),
    ),
    row(Module, "dont compress", Harmless("the primary decides, and what does not shrink travels as it is")),
    row(
        Module,
        "temp dir",
        Differs("files are staged in `.syncd` inside the module's path, so that they go live by one rename"),
    ),
    row(
        Module,
        "early exec",
        NotHonoured("a connection has no transfer to begin; `pre-xfer exec` runs before each change set"),
    ),
    row(
        Module,
        "pre-xfer exec",
        Honoured("a change set goes live only if it ends with status 0; runs as root, by /bin/sh"),
    ),
    row(Module, "post-xfer exec", Honoured("runs when a change set is live, one at a time; as root, by /bin/sh")),
];

/// The parameter called `name`, whatever its case and blanks.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    let folded = fold(name);
    PARAMETERS.iter().find(|known| fold(known.name) == folded)
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}
