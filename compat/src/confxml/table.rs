//! Every setting of a `confxml.xml`, and what becomes of it.

use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured};

/// One attribute of one element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The element's path below `<head>`, as sersync2's own file writes it.
    pub element: &'static str,
    /// The attribute.
    pub attribute: &'static str,
    /// What becomes of it.
    pub standing: Standing,
}

const fn row(element: &'static str, attribute: &'static str, standing: Standing) -> Setting {
    Setting { element, attribute, standing }
}

const PRINTED: Standing = Harmless("sersync2 only prints it");
const LOSES_NOTHING: Standing =
    Differs("off by default in sersync2, which then loses such changes; they are mirrored with and without it");
const SWITCH: Standing = Honoured("off: such an event sends nothing by itself; the next full compare does");

/// All of them, in the order of sersync2's own file.
pub const SETTINGS: &[Setting] = &[
    row("", "version", Harmless("sersync2 does not read it")),
    row("host", "hostip", PRINTED),
    row("host", "port", PRINTED),
    row("debug", "start", Honoured("the log tells of every event and what became of it")),
    row("fileSystem", "xfs", Harmless("every name is looked at by stat(2), on every file system")),
    row("filter", "start", Honoured("on: the expressions below are in force, in compares too")),
    row(
        "filter/exclude",
        "expression",
        Honoured("what matches is neither sent nor removed, nor is what lies below it"),
    ),
    row("inotify/delete", "start", Honoured("off: nothing is ever removed; on: guarded against mass deletion")),
    row("inotify/createFolder", "start", SWITCH),
    row("inotify/createFile", "start", LOSES_NOTHING),
    row("inotify/closeWrite", "start", SWITCH),
    row("inotify/moveFrom", "start", SWITCH),
    row("inotify/moveTo", "start", SWITCH),
    row("inotify/attrib", "start", LOSES_NOTHING),
    row("inotify/modify", "start", Honoured("on: a file that stays open travels when it has been quiet for a moment")),
    row(
        "sersync/localpath",
        "watch",
        Honoured("the root of the set; every `<localpath>` of every `<sersync>` is served"),
    ),
    row("sersync/localpath/remote", "ip", Honoured("the host, a name or an address")),
    row("sersync/localpath/remote", "name", Honoured("the module there, or over ssh the directory")),
    row(
        "sersync/localpath/remote",
        "transport",
        Honoured(
            "syncd's own: `quic`, which it is by itself, `rsync`, or `auto`, which is rsync until a syncd answers",
        ),
    ),
    row("sersync/rsync/commonParams", "params", Honoured("option by option, as the table of rsync's options says")),
    row("sersync/rsync/auth", "start", Honoured("on: a password proves the right to write")),
    row("sersync/rsync/auth", "users", Honoured("the user")),
    row("sersync/rsync/auth", "passwordfile", Honoured("the file with the password, which never travels")),
    row("sersync/rsync/userDefinedPort", "start", Honoured("on: another port than 873")),
    row("sersync/rsync/userDefinedPort", "port", Honoured("the port of the peer, on UDP")),
    row("sersync/rsync/timeout", "start", Differs("a silent peer is noticed in seconds and retried for ever")),
    row("sersync/rsync/timeout", "time", Differs("a silent peer is noticed in seconds and retried for ever")),
    row("sersync/rsync/ssh", "start", Honoured("on: the remote is served by the installed rsync through ssh")),
    row("sersync/failLog", "path", Differs("a line for people for each failure; never a script, and never run")),
    row(
        "sersync/failLog",
        "timeToExecute",
        Differs("a peer that is out of reach is tried at least every 10 s, however many minutes it says"),
    ),
    row("sersync/crontab", "start", Honoured("on: full compares by the schedule")),
    row("sersync/crontab", "schedule", Honoured("minutes between full compares")),
    row("sersync/crontab/crontabfilter", "start", Honoured("on: the globs below are in force")),
    row("sersync/crontab/crontabfilter/exclude", "expression", Honoured("a glob of rsync's that compares leave alone")),
    row("sersync/plugin", "start", Honoured("on: the plugin runs after each change that was mirrored")),
    row("sersync/plugin", "name", Honoured("command, socket or refreshCDN; http was never part of sersync2's binary")),
    row("plugin", "name", Honoured("which plugin the block is about")),
    row("plugin/param", "prefix", Honoured("the command and its first arguments, without a shell")),
    row("plugin/param", "suffix", Honoured("its last arguments")),
    row("plugin/param", "ignoreError", Harmless("what the command prints is never mixed into the log")),
    row("plugin/filter", "start", Honoured("on: only what one of the expressions matches")),
    row("plugin/filter/include", "expression", Honoured("must match the whole absolute path")),
    row("plugin/localpath", "watch", Honoured("the directory that the plugin is told about")),
    row("plugin/localpath/deshost", "ip", Honoured("where the path is sent to")),
    row("plugin/localpath/deshost", "port", Honoured("the TCP port there")),
    row("plugin/localpath/cdninfo", "domainname", Honoured("the CDN's host")),
    row("plugin/localpath/cdninfo", "port", Honoured("the TCP port there")),
    row("plugin/localpath/cdninfo", "username", Honoured("part of the request")),
    row("plugin/localpath/cdninfo", "passwd", Honoured("part of the request, in clear text, as the CDN asks for it")),
    row("plugin/localpath/sendurl", "base", Honoured("what every URL begins with")),
    row("plugin/localpath/regexurl", "regex", Honoured("on: the URL is made from what `match` finds")),
    row("plugin/localpath/regexurl", "match", Honoured("searched in the absolute path")),
];

#[cfg(test)]
mod tests {
    use super::super::schema::RULES;
    use super::*;

    #[test]
    fn every_attribute_that_the_schema_knows_has_its_row_and_the_other_way_round() {
        let mut known: Vec<(String, String)> = Vec::new();
        for rule in RULES {
            let path = rule.path.strip_prefix("head").expect("all are below head").trim_start_matches('/');
            known.extend(rule.attributes.iter().map(|attribute| (path.to_owned(), attribute.to_lowercase())));
        }
        let mut listed: Vec<_> =
            SETTINGS.iter().map(|s| (s.element.to_lowercase(), s.attribute.to_lowercase())).collect();
        known.sort();
        listed.sort();
        assert_eq!(listed, known);
    }
}
