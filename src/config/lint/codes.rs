//! Every code that a finding can have: what it says, and what to do.

/// One code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Code {
    /// The stable name.
    pub code: &'static str,
    /// How severe it can be.
    pub severity: &'static str,
    /// What is so.
    pub what: &'static str,
    /// What to do.
    pub fix: &'static str,
}

const fn code(code: &'static str, severity: &'static str, what: &'static str, fix: &'static str) -> Code {
    Code { code, severity, what, fix }
}

/// All of them, in the order of their names.
pub const CODES: &[Code] = &[
    code("config-encoding", "error", "the file is in an encoding that cannot be read", "save it as UTF-8"),
    code(
        "config-kind",
        "error",
        "the file is of a kind that cannot be used here, or of none",
        "name a file of the right kind",
    ),
    code(
        "config-role",
        "error",
        "no set of the file has the role that was asked for",
        "write `role`, or start the other side",
    ),
    code(
        "convert-text",
        "error",
        "a path or pattern is not UTF-8, which TOML cannot hold",
        "keep the legacy file, rename what the path names, or write `*` in a pattern",
    ),
    code(
        "delete-and-preempt",
        "warning",
        "a node that comes back takes the address over at once and deletes on the others what it missed",
        "`state BACKUP` and `nopreempt` on every node, or no deletions",
    ),
    code(
        "directory",
        "error, warning",
        "a directory that is watched or received is not there or cannot be read",
        "create it, or let syncd's user read it",
    ),
    code(
        "ends-address",
        "warning",
        "the source sends to another address than the replica listens on",
        "one address on both sides",
    ),
    code("ends-auth", "error, warning", "one side has a password and the other has none", "`auth` on both sides"),
    code(
        "ends-hosts-allow",
        "warning",
        "the replica lets none of this machine's addresses in",
        "add the source to `hosts allow`",
    ),
    code("ends-module", "error", "the replica has no module of that name", "one name on both sides"),
    code(
        "ends-password",
        "error",
        "the passwords of both sides differ",
        "the same on both: alone at the source, `user:password` at the replica",
    ),
    code(
        "ends-port",
        "error",
        "the source sends to another port than the replica listens on",
        "one number on both sides",
    ),
    code("ends-read-only", "error", "the module that is sent to is read only", "`read only = no`"),
    code(
        "ends-user",
        "error",
        "the user of the source is unknown to the replica, or may not write there",
        "one name in `users`, `auth users` (without `:ro` and `:deny`) and the secrets file",
    ),
    code("fail-log", "warning", "the failure log cannot be written where it is to be", "create its directory"),
    code("filter", "warning, error", "an expression or glob cannot be read", "correct it, or remove it"),
    code(
        "filter-excludes-parents",
        "warning",
        "an expression also excludes the directories above what it means to keep",
        "exclude by name what is to stay away, or use `--include` and `--exclude`",
    ),
    code(
        "keepalived-address",
        "error, warning",
        "what should be an address is none, or none for this purpose",
        "one address with its prefix on each line",
    ),
    code(
        "keepalived-advert-int",
        "warning",
        "the interval does not exist in this version of VRRP",
        "whole seconds, or version 3",
    ),
    code(
        "keepalived-auth",
        "warning",
        "a password without a type, or a type without a password",
        "`auth_type PASS` and `auth_pass`",
    ),
    code("keepalived-auth-v3", "warning", "version 3 has no authentication", "remove it"),
    code("keepalived-braces", "error", "a brace is missing or too many", "write or remove it"),
    code("keepalived-condition", "note", "a line is for another node (`@id`)", "nothing"),
    code("keepalived-continuation", "warning", "a line ends in a backslash and does not go on", "one line"),
    code("keepalived-default-vrid", "warning", "VRID 51 with password 1111, which every tutorial has", "another VRID"),
    code("keepalived-definition", "error", "names stand for each other without end", "let none stand for itself"),
    code("keepalived-duplicate-vip", "error, warning", "one address stands twice", "let one instance move it, once"),
    code("keepalived-duplicate-vrid", "error", "two instances of one interface have one VRID", "a VRID for each"),
    code("keepalived-extra-words", "warning", "what follows a value is ignored", "remove it"),
    code("keepalived-family", "warning", "IPv4 and IPv6 in one instance", "an instance for each"),
    code("keepalived-fifo", "warning", "a pipe or its script cannot be used as it is written", "correct it"),
    code(
        "keepalived-group",
        "error, warning",
        "a group has a member that does not run, or that is in another group",
        "correct the member",
    ),
    code(
        "keepalived-group-weight",
        "warning",
        "weights of a member of a group do not count",
        "`sync_group_tracking_weight`",
    ),
    code(
        "keepalived-include",
        "error, warning",
        "a file that is included is not there",
        "create it, or remove the line",
    ),
    code("keepalived-interface", "error, warning, note", "this machine has no such interface", "its right name"),
    code("keepalived-label", "warning", "an address cannot have that label", "remove it"),
    code("keepalived-many-addresses", "warning", "more addresses than a packet holds", "`virtual_ipaddress_excluded`"),
    code(
        "keepalived-master-priority",
        "warning",
        "`state MASTER` without a priority, or with a low one",
        "the highest priority for the node that is to be master",
    ),
    code(
        "keepalived-multicast-group",
        "warning",
        "a group is no multicast address",
        "remove it; nodes belong into `unicast_peer`",
    ),
    code("keepalived-name", "error", "a block has no name", "write one"),
    code("keepalived-no-address", "warning", "an instance has no address", "write `virtual_ipaddress`"),
    code("keepalived-no-interface", "error", "an instance has no interface", "write `interface`"),
    code("keepalived-no-vrid", "error", "an instance has no usable VRID", "write `virtual_router_id`"),
    code(
        "keepalived-nopreempt-master",
        "warning",
        "`nopreempt` has no effect with `state MASTER`",
        "`state BACKUP` on every node",
    ),
    code("keepalived-nothing-to-do", "error", "there is no instance", "write `vrrp_instance`"),
    code("keepalived-own-interface", "note", "the instance's own interface is tracked anyway", "nothing"),
    code(
        "keepalived-password-comment",
        "warning",
        "`#` or `!` within a password begins a comment",
        "write a backslash before it",
    ),
    code("keepalived-password-long", "warning", "only eight bytes of a password count", "eight bytes on every node"),
    code("keepalived-peer-self", "warning", "the node itself is among its peers", "name the others only"),
    code("keepalived-peer-vip", "error", "a peer is a virtual address", "the other node's own address"),
    code("keepalived-preempt-delay", "warning", "`preempt_delay` has no effect here", "remove one of the two"),
    code(
        "keepalived-quote",
        "error, warning",
        "nothing ends a quote; a command with one is not run",
        "write the second one",
    ),
    code("keepalived-repeated", "warning", "a word stands twice and one of them is ignored", "remove one"),
    code("keepalived-repeated-name", "error", "two instances have one name", "rename one"),
    code("keepalived-route", "error", "a route or a rule cannot be set as it is written", "correct it"),
    code("keepalived-script", "warning", "a program is not said, not there or not executable", "its right path"),
    code(
        "keepalived-script-security",
        "error, warning",
        "others than root can change a program that root runs",
        "give it to root",
    ),
    code("keepalived-script-user", "note", "whom scripts run as where nothing says it", "`script_user`"),
    code("keepalived-sequence", "error", "`~SEQ` or `~LST` cannot be read", "correct it"),
    code(
        "keepalived-several-statements",
        "warning",
        "a line holds more than one statement, of which the first counts",
        "a line for each",
    ),
    code("keepalived-small-group", "warning", "a group has fewer than two instances", "name two, or remove it"),
    code("keepalived-strict", "error, warning", "strict mode: no unicast, no authentication", "remove it"),
    code("keepalived-too-large", "error", "lines or repetitions are beyond any configuration", "repeat less"),
    code("keepalived-unicast", "error, warning", "unicast is meant, and there is no peer", "write `unicast_peer`"),
    code(
        "keepalived-unknown-block",
        "warning",
        "a block is unknown and skipped whole",
        "the nearest right word, or remove it",
    ),
    code(
        "keepalived-unknown-keyword",
        "warning",
        "a word is unknown and ignored",
        "the nearest right word, or remove it",
    ),
    code(
        "keepalived-unknown-name",
        "warning",
        "a name stands for nothing",
        "the nearest right name, or write what it stands for",
    ),
    code("keepalived-unused", "warning", "something is checked and nobody asks", "name it in `track_*`, or remove it"),
    code("keepalived-user", "error, warning, note", "there is no such user or group on this machine", "create it"),
    code(
        "keepalived-value",
        "error, warning",
        "a value is of the wrong type or out of range",
        "a value within the range",
    ),
    code("keepalived-vip-static", "error", "an address moves and also stays", "remove one of the two"),
    code("keepalived-vmac", "error, warning", "what is said of a VMAC cannot be used", "correct or remove it"),
    code(
        "keepalived-weight-nopreempt",
        "warning",
        "a weight moves nothing with `nopreempt`",
        "weight 0, or no `nopreempt`",
    ),
    code(
        "keepalived-weight-useless",
        "warning",
        "a weight never changes the priority",
        "a priority farther from 1 and 254",
    ),
    code("more-findings", "note", "more is wrong than is shown", "correct what is shown, and check again"),
    code(
        "nginx-nonlocal-bind",
        "warning",
        "nginx listens on an address that this node may not hold",
        "`net.ipv4.ip_nonlocal_bind = 1`",
    ),
    code("no-remotes", "error", "a set goes nowhere", "name a remote"),
    code("pair-addresses", "error", "two nodes have not the same addresses", "the same in both files"),
    code("pair-advert-int", "error, warning", "two nodes have not the same interval", "the same in both files"),
    code("pair-alone", "warning", "the other node has no such instance", "write one with the same VRID"),
    code("pair-auth", "error", "two nodes have not the same authentication", "the same in both files"),
    code("pair-both-master", "warning", "both nodes say `state MASTER`", "`state BACKUP` in one, or in both"),
    code("pair-group", "error", "two nodes use two multicast groups", "one group"),
    code("pair-priority-tie", "warning", "both nodes have the same priority", "a higher one for one of them"),
    code("pair-unicast", "error", "two nodes do not send to each other", "name each other's address in `unicast_peer`"),
    code("pair-version", "error", "two nodes speak two versions", "one version"),
    code("pair-vrid", "error", "two nodes have two VRIDs for one address", "the same VRID"),
    code(
        "pair-weight",
        "warning",
        "a weight is too small to let the other node win",
        "more than the difference of the priorities",
    ),
    code("password-readable", "warning", "others can read a password", "`chmod 600`, or 640"),
    code(
        "plugin-command",
        "error",
        "the command of a plugin is meant for a shell, and none runs",
        "name a program with its arguments",
    ),
    code("plugin-missing", "error", "a plugin lacks what it cannot do without", "write it, or switch the plugin off"),
    code(
        "plugin-password",
        "note",
        "the password of a CDN stands in the file in clear text",
        "let only root read the file",
    ),
    code(
        "plugin-unknown",
        "error",
        "there is no plugin of that name",
        "name command, socket or refreshCDN, and write its block",
    ),
    code("plugin-value", "error", "a value of a plugin cannot be used", "correct it"),
    code(
        "port",
        "error",
        "`<userDefinedPort>` names what is no port",
        "write the port of `syncd peer`, from 1 to 65535, on UDP",
    ),
    code(
        "program-missing",
        "error, warning",
        "the program that is to carry changes is not installed here",
        "install what the message says",
    ),
    code("push-ring", "warning", "two nodes push one tree into each other", "one primary"),
    code(
        "remote-directory",
        "warning",
        "a directory within a module, which only rsyncd serves",
        "a module of its own for it",
    ),
    code("remote-is-this-node", "warning, note", "a remote is the machine itself", "name the other node"),
    code("remote-is-virtual", "error", "a remote is an address that moves", "the other node's own address"),
    code(
        "remote-shared",
        "error, warning",
        "two directories, or two files, go to one set of one peer, where each would remove the files of the other",
        "give each a set of its own there",
    ),
    code(
        "rsync-argument",
        "error, warning",
        "an option's argument is missing or of the wrong type",
        "write it as rsync wants it",
    ),
    code("rsync-braces", "warning", "a list in braces, which bash alone expands", "the option once for each"),
    code(
        "rsync-filter",
        "error, warning",
        "a filter rule cannot be read or has no meaning here",
        "write what the message says",
    ),
    code("rsync-shell", "error", "a word was meant for a shell", "write it without"),
    code("rsync-unknown-option", "warning", "rsync has no such option", "the nearest right one, or remove it"),
    code("rsyncd-boolean", "error, warning", "a value is neither yes nor no", "yes or no"),
    code("rsyncd-gid", "warning", "a group goes by another name here", "write that name"),
    code(
        "rsyncd-global-in-module",
        "warning",
        "a parameter of the whole file stands in a module",
        "put it above the first module",
    ),
    code("rsyncd-include", "error", "what is included would be missed", "put the lines here"),
    code("rsyncd-left-out", "error", "a module is not served, while others are", "correct what is wrong with it"),
    code("rsyncd-module-name", "error", "a module has no usable name", "write one without slashes"),
    code("rsyncd-no-equals", "warning", "a line has no `=`", "write `name = value`"),
    code(
        "rsyncd-no-password",
        "warning",
        "a module has no password: nobody may write it, unless the first key is trusted",
        "`auth users` and `secrets file`, or `--trust-first-use`",
    ),
    code("rsyncd-nothing-to-do", "error", "there is no module", "write `[NAME]` with `path`"),
    code("rsyncd-read-only", "warning", "a module can receive nothing", "`read only = no`"),
    code("rsyncd-repeated", "warning", "a module stands twice", "write it as one"),
    code("rsyncd-switched-off", "note, warning", "a module is switched off", "nothing, or remove it"),
    code("rsyncd-syntax", "error", "a line cannot be read", "write `[module]`"),
    code(
        "rsyncd-too-large",
        "error",
        "modules and what they inherit come to too much",
        "write fewer modules, or less above them",
    ),
    code("rsyncd-uid", "warning, error", "a user or group cannot be taken", "start syncd as root, or as that user"),
    code(
        "rsyncd-unknown-parameter",
        "warning",
        "a parameter is unknown and ignored",
        "the nearest right one, or remove it",
    ),
    code("rsyncd-value", "error, warning", "a value cannot be used", "write what the message says"),
    code(
        "secret",
        "error, warning",
        "a file of passwords is not there, empty, or open to others",
        "create it, `chmod 600`",
    ),
    code("set-name", "error", "two sets have one name", "rename one"),
    code("setting-differs", "note, warning", "a setting's result is another on purpose", "nothing"),
    code("setting-not-honoured", "warning", "a setting is understood and not honoured", "what the message says"),
    code("setting-refused", "error", "a setting cannot be ignored without harm", "remove it"),
    code("toml-auth", "error", "`auth` is not complete", "write what is missing"),
    code("toml-missing-key", "error", "a key is missing", "write it"),
    code("toml-nothing-to-do", "error", "there is no set", "write `[[set]]`"),
    code("toml-peer", "error", "a set has no peer, or one that is not there", "write `[[peer]]`"),
    code(
        "toml-plugin",
        "error",
        "a `[[plugin]]` lacks a key, or names no set of the file",
        "write what the message names",
    ),
    code("toml-program", "warning", "a program cannot be run, or others could change it", "give it to root"),
    code("toml-role", "error", "a role is unknown, or a key is for the other role", "`primary` or `replica`"),
    code("toml-syntax", "error", "this is no TOML", "correct it"),
    code("toml-uid", "warning", "a user or group cannot be taken", "start syncd as root, or as that user"),
    code("toml-unknown-key", "error", "a key is unknown", "the nearest right one"),
    code("toml-value", "error, warning", "a value cannot be used", "write what the message says"),
    code("toml-vrrp", "error", "tables about virtual addresses do not fit each other", "what the message says"),
    code(
        "transport-unencrypted",
        "note",
        "rsync carries changes to a remote without encryption",
        "run `syncd peer` there",
    ),
    code("unreadable", "error", "a file cannot be read", "name a readable one"),
    code(
        "xfer-exec",
        "warning",
        "the program of `pre-xfer exec` or `post-xfer exec` is not there or cannot be run",
        "install it, or make it executable",
    ),
    code("xml-ampersand", "warning", "a `&` begins no entity", "write `&amp;`"),
    code("xml-auth", "warning", "`<auth>` is on and not complete", "`users` and `passwordfile`"),
    code("xml-no-head", "error", "there is no `<head>`", "write it around everything"),
    code("xml-nothing-to-do", "error", "there is nothing to mirror", "write `<sersync>` with `<localpath>`"),
    code("xml-number", "warning", "a number is none", "write one"),
    code("xml-remote", "error", "a remote has no host or module", "`ip` and `name`"),
    code("xml-repeated", "warning", "an element stands twice and the first counts", "remove one"),
    code("xml-stray-word", "warning", "a word in a tag is no attribute", "write `name=\"value\"`"),
    code("xml-switch", "warning", "a switch is neither true nor false", "`true` or `false`"),
    code("xml-syntax", "error", "this is no XML, even for sersync2", "correct it"),
    code("xml-transport", "error", "a transport is unknown or cannot be had", "write what the message says"),
    code(
        "xml-unknown-attribute",
        "warning",
        "an attribute is unknown and ignored",
        "the nearest right one, or remove it",
    ),
    code("xml-unknown-element", "warning", "an element is unknown and ignored", "the nearest right one, or remove it"),
    code("xml-watch", "error", "a `<localpath>` names no directory", "write `watch`"),
];

/// The row of `code`.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|row| row.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use regex::Regex;

    use super::*;

    fn sources(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).expect("sources").map(|entry| entry.expect("entry").path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The names in code that begin as codes do; options of rsync and keys of syncd.toml look alike.
    fn emitted() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let look = Regex::new(
            r#""((?:config|convert|delete|ends|fail|filter|keepalived|more|nginx|no|pair|password|plugin|program|push|remote|rsync|rsyncd|set|setting|toml|transport|xfer|xml)-[a-z0-9-]+|directory|filter|port|secret|unreadable)"\s*[,);]"#,
        )
        .expect("pattern");
        // What a finding is made with is a code, however it begins.
        let made = Regex::new(
            r#"(?:\b(?:error|warning|warn|note)\(|\bfinding\([A-Za-z:]+,|\bof_file\([^"]*?,)\s*"([a-z0-9-]+)"\s*,"#,
        )
        .expect("pattern");
        let files = sources(&root.join("compat/src")).into_iter().chain(sources(&root.join("src/config")));
        let other = ["codes.rs", "table.rs", "tests.rs", "overrides.rs", "write.rs", "write/vrrp.rs"];
        let mut all = BTreeSet::new();
        for file in files.filter(|file| !other.iter().any(|name| file.ends_with(name))) {
            let text = std::fs::read_to_string(&file).expect("source");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            all.extend(
                [&look, &made].iter().flat_map(|look| look.captures_iter(code)).map(|found| found[1].to_owned()),
            );
        }
        all
    }

    #[test]
    fn the_severities_that_the_code_names_are_those_of_the_rows() {
        let look = Regex::new(r#"\b(error|warning|warn|note)\(\s*"([a-z]+-[a-z0-9-]+)""#).expect("pattern");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut wrong = Vec::new();
        for file in sources(&root.join("compat/src")).into_iter().chain(sources(&root.join("src/config"))) {
            let text = std::fs::read_to_string(&file).expect("source");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for found in look.captures_iter(code) {
                let severity = if &found[1] == "warn" { "warning" } else { &found[1] };
                if let Some(row) = find(&found[2]).filter(|row| !row.severity.contains(severity)) {
                    wrong.push(format!("{}: {severity}, not {}", row.code, row.severity));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_code_that_is_emitted_has_its_row_and_no_row_is_left_over() {
        let known: BTreeSet<String> = CODES.iter().map(|row| row.code.to_owned()).collect();
        let emitted = emitted();
        let missing: Vec<_> = emitted.difference(&known).collect();
        let unused: Vec<_> = known.difference(&emitted).collect();
        assert!(emitted.len() > 100, "only {} were found", emitted.len());
        assert!(missing.is_empty() && unused.is_empty(), "missing: {missing:?}, unused: {unused:?}");
        assert!(CODES.is_sorted_by_key(|row| row.code));
    }
}
