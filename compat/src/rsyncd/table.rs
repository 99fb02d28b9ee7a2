//! Every parameter of rsyncd.conf(5) 3.4, and what becomes of it.

use Kind::{Boolean, Facility, MaybeBoolean, Number, Text};
use Scope::{Global, Module};

use crate::nearest;
use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured, Refused};

/// One parameter.
#[derive(Debug, Eq, PartialEq)]
pub struct Known {
    /// Its name as in the man page.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// What its value is.
    pub kind: Kind,
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

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A text, of which only who uses it knows more.
    Text,
    /// `yes`, `true`, `1`, `no`, `false` or `0` in any case.
    Boolean,
    /// The same, or `unset`, which is the same as nothing.
    MaybeBoolean,
    /// A whole number.
    Number,
    /// A word of syslog, or its number.
    Facility,
}

/// What syslog sorts by.
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "security", "syslog", "user", "uucp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

impl Kind {
    /// What is wrong with `value`, and what to write for `name`; none where nothing is.
    #[must_use]
    pub fn refuses(self, name: &str, value: &str) -> Option<(String, String)> {
        let number = || value.parse::<i32>().is_ok();
        match self {
            Self::Text => None,
            Self::Boolean | Self::MaybeBoolean if self.boolean(value).is_some() => None,
            Self::Boolean | Self::MaybeBoolean => {
                let message = format!("`{name}` is neither yes nor no: `{value}`");
                let help = format!("write `{name} = yes` or `{name} = no`, and a comment on a line of its own");
                Some((message, help))
            }
            Self::Number if number() => None,
            Self::Number => {
                let message = format!("`{name}` is no whole number: `{value}`");
                Some((message, "write digits alone, and a comment on a line of its own".to_owned()))
            }
            Self::Facility if number() || FACILITIES.iter().any(|word| word.eq_ignore_ascii_case(value)) => None,
            Self::Facility => {
                let message = format!("`{name}` is no facility of syslog: `{value}`");
                let help = match nearest(value, FACILITIES.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", FACILITIES.join(", ")),
                };
                Some((message, help))
            }
        }
    }

    /// `value` as rsyncd reads a boolean: none where it is none, and none within where it is `unset`.
    pub(super) fn boolean(self, value: &str) -> Option<Option<bool>> {
        match value.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Some(Some(true)),
            "no" | "false" | "0" => Some(Some(false)),
            "unset" | "-1" if self == Self::MaybeBoolean => Some(None),
            _ => None,
        }
    }
}

const fn row(scope: Scope, name: &'static str, standing: Standing) -> Known {
    Known { name, scope, kind: Text, standing }
}

const fn is(kind: Kind, known: Known) -> Known {
    Known { kind, ..known }
}

const LOGS: Standing = Differs("not honoured: syncd logs to standard error or the journal");

/// All of them, in the order of the man page.
pub const PARAMETERS: &[Known] = &[
    row(Global, "motd file", Harmless("a receiver of syncd has no message of the day")),
    row(Global, "pid file", Honoured("holds the number of the process while it runs")),
    is(Number, row(Global, "port", Honoured("the port to listen on, on UDP"))),
    row(Global, "address", Honoured("the address to listen on, as a number or `localhost`")),
    row(Global, "socket options", Harmless("buffers are tuned for the link")),
    is(Number, row(Global, "listen backlog", Harmless("UDP has none"))),
    row(Global, "daemon chroot", NotHonoured("syncd works beneath each root by directory descriptor")),
    row(Global, "daemon uid", NotHonoured("start syncd as the user that it is to be")),
    row(Global, "daemon gid", NotHonoured("start syncd with the group that it is to have")),
    is(
        Boolean,
        row(Global, "proxy protocol", Refused("`hosts allow` would see the proxy instead of the peer; remove it")),
    ),
    row(Module, "comment", Harmless("nobody lists modules")),
    row(
        Module,
        "path",
        Honoured("the root of the set; a module without one that is there, or with a variable (`%`), is left out"),
    ),
    is(
        MaybeBoolean,
        row(
            Module,
            "use chroot",
            Honoured(
                "syncd works beneath the root by directory descriptors, with and without it; it decides what `numeric ids` is by default",
            ),
        ),
    ),
    row(Module, "proxy protocol hosts", NotHonoured("syncd reads no proxy header")),
    row(Module, "name converter", NotHonoured("names are looked up in /etc/passwd and /etc/group")),
    is(MaybeBoolean, row(Module, "numeric ids", Honoured("owners are numbers, no name is looked up"))),
    is(
        MaybeBoolean,
        row(
            Module,
            "munge symlinks",
            NotHonoured("symlinks stay as they are written, usable for other programs; syncd itself follows none"),
        ),
    ),
    row(Module, "charset", NotHonoured("names are bytes and stay as they are")),
    is(Number, row(Module, "max connections", Honoured("how many primaries at once"))),
    row(Module, "log file", LOGS),
    is(Facility, row(Module, "syslog facility", LOGS)),
    row(Module, "syslog tag", LOGS),
    is(Number, row(Module, "max verbosity", Harmless("syncd logs by SYNCD_LOG"))),
    row(Module, "lock file", Differs("not written: `max connections` is counted in the process")),
    is(Boolean, row(Module, "read only", Honoured("every change is refused"))),
    is(Boolean, row(Module, "write only", Harmless("nothing is ever read from a module"))),
    is(Boolean, row(Module, "open noatime", Harmless("nothing is ever read from a module"))),
    is(Boolean, row(Module, "list", Harmless("nobody lists modules"))),
    row(Module, "uid", Honoured("the user that files are written as")),
    row(Module, "gid", Honoured("the groups that files are written with")),
    is(
        Boolean,
        row(
            Module,
            "fake super",
            NotHonoured(
                "owners are set where syncd runs as root, and not kept in extended attributes where it does not",
            ),
        ),
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
    row(
        Module,
        "auth users",
        Honoured(
            "who may write, proven by a password that never travels; a module with a group (`@`) or a pattern is left out",
        ),
    ),
    row(Module, "secrets file", Honoured("lines of `user:password`")),
    is(Boolean, row(Module, "strict modes", Honoured("a secrets file that others can read is refused"))),
    row(Module, "hosts allow", Honoured("only these addresses and networks; a module with a host name is left out")),
    row(Module, "hosts deny", Honoured("never these, unless also allowed; a module with a host name is left out")),
    is(Boolean, row(Module, "reverse lookup", Harmless("hosts are known by address"))),
    is(Boolean, row(Module, "forward lookup", Harmless("hosts are known by address"))),
    is(Boolean, row(Module, "ignore errors", Harmless("nothing is ever read from a module"))),
    is(Boolean, row(Module, "ignore nonreadable", Harmless("nothing is ever read from a module"))),
    is(Boolean, row(Module, "transfer logging", LOGS)),
    row(Module, "log format", LOGS),
    is(Number, row(Module, "timeout", Differs("a silent peer is noticed in seconds, whatever it says"))),
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
    PARAMETERS.iter().find(|known| folded(known.name).eq(folded(name)))
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_refused_and_one_of_its_own_is_not() {
        let cases = [
            ("list", "maybe", "Yes"),
            ("use chroot", "maybe", "unset"),
            ("timeout", "10m", "-1"),
            ("max verbosity", "99999999999", "2"),
            ("syslog facility", "locale7", "LOCAL7"),
        ];
        for (name, wrong, right) in cases {
            let kind = find(name).expect("known").kind;
            assert!(kind.refuses(name, wrong).is_some_and(|(message, _)| message.contains(wrong)), "{name} = {wrong}");
            assert_eq!(kind.refuses(name, right), None, "{name} = {right}");
        }
        assert!(find("list").expect("known").kind.refuses("list", "unset").is_some(), "not of two values");
        assert_eq!(find("comment").expect("known").kind.refuses("comment", "10m"), None);
    }
}
