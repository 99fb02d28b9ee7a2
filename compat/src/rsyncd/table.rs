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
const HOOKS: Standing = NotHonoured("not honoured: syncd runs no command of a legacy file");
const MODES: Standing = NotHonoured("not honoured yet: modes are those of the primary");

/// All of them, in the order of the man page.
pub const PARAMETERS: &[Known] = &[
    row(Global, "motd file", Harmless("a receiver of syncd has no message of the day")),
    row(Global, "pid file", Differs("not written: the service manager knows the process")),
    row(Global, "port", Honoured("the port to listen on, on UDP")),
    row(Global, "address", Honoured("the address to listen on")),
    row(Global, "socket options", Harmless("buffers are tuned for the link")),
    row(Global, "listen backlog", Harmless("UDP has none")),
    row(Global, "daemon chroot", NotHonoured("not honoured: syncd works beneath each root by directory descriptor")),
    row(Global, "daemon uid", NotHonoured("not honoured: start syncd as the user that it is to be")),
    row(Global, "daemon gid", NotHonoured("not honoured: start syncd with the group that it is to have")),
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
    row(Module, "proxy protocol hosts", NotHonoured("not honoured: syncd reads no proxy header")),
    row(Module, "name converter", NotHonoured("not honoured: names are looked up in /etc/passwd and /etc/group")),
    row(Module, "numeric ids", Honoured("owners are numbers, no name is looked up")),
    row(Module, "munge symlinks", NotHonoured("not honoured: symlinks stay as they are, and none is followed")),
    row(Module, "charset", NotHonoured("not honoured: names are bytes and stay as they are")),
    row(Module, "max connections", Honoured("how many primaries at once")),
    row(Module, "log file", LOGS),
    row(Module, "syslog facility", LOGS),
    row(Module, "syslog tag", LOGS),
    row(Module, "max verbosity", Harmless("syncd logs by RUST_LOG")),
    row(Module, "lock file", Differs("not written: `max connections` is counted in the process")),
    row(Module, "read only", Honoured("every change is refused")),
    row(Module, "write only", Harmless("nothing is ever read from a module")),
    row(Module, "open noatime", Harmless("nothing is ever read from a module")),
    row(Module, "list", Harmless("nobody lists modules")),
    row(Module, "uid", Honoured("the user that files are written as")),
    row(Module, "gid", Honoured("the groups that files are written with")),
    row(Module, "fake super", NotHonoured("not honoured: owners are not kept in extended attributes")),
    row(Module, "filter", PATTERNS),
    row(Module, "exclude", PATTERNS),
    row(Module, "include", PATTERNS),
    row(Module, "exclude from", PATTERNS),
    row(Module, "include from", PATTERNS),
    row(Module, "incoming chmod", MODES),
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
    row(Module, "timeout", Differs("no meaning: a silent peer is noticed in seconds")),
    row(
        Module,
        "refuse options",
        Honoured("`delete` keeps a primary from removing anything; of the others there is nothing to refuse"),
    ),
    row(Module, "dont compress", Harmless("the primary decides, and what does not shrink travels as it is")),
    row(Module, "temp dir", NotHonoured("not honoured: files are staged in `.syncd` inside the module's path")),
    row(Module, "early exec", HOOKS),
    row(Module, "pre-xfer exec", HOOKS),
    row(Module, "post-xfer exec", HOOKS),
];

/// The parameter called `name`, whatever its case and blanks.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    let folded = fold(name);
    PARAMETERS.iter().find(|known| fold(known.name) == folded)
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}
