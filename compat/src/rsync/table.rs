//! Every option of rsync(1) 3.4, and what becomes of it.

use Effect::{
    Acls, Archive, Compress, CompressLevel, Delete, Devices, DevicesAndSpecials, Exclude, Group, HardLinks, Is, Links,
    NumericIds, Owner, Perms, Port, Recursive, Specials, Times, WholeFile, Xattrs,
};

use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, NotHonoured, Refused};

/// One option.
#[derive(Debug, Eq, PartialEq)]
pub struct Spec {
    /// The letter.
    pub letter: Option<char>,
    /// The name after `--`.
    pub long: &'static str,
    /// Another name for the same.
    pub alias: Option<&'static str>,
    /// Whether an argument follows.
    pub argument: bool,
    /// What it does.
    pub effect: Effect,
}

/// What an option does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// `-A`.
    Acls,
    /// `-a`, which is `-rlptgoD`.
    Archive,
    /// `-z`.
    Compress,
    /// `--compress-level`.
    CompressLevel,
    /// `--delete` in any of its forms.
    Delete,
    /// `--devices`.
    Devices,
    /// `-D`.
    DevicesAndSpecials,
    /// `--exclude`, a glob.
    Exclude,
    /// `-g`.
    Group,
    /// `-H`.
    HardLinks,
    /// `-l`.
    Links,
    /// `--numeric-ids`.
    NumericIds,
    /// `-o`.
    Owner,
    /// `-p`.
    Perms,
    /// `--port`.
    Port,
    /// `-r`.
    Recursive,
    /// `--specials`.
    Specials,
    /// `-t`.
    Times,
    /// `-W`.
    WholeFile,
    /// `-X`.
    Xattrs,
    /// Nothing that a set could be told.
    Is(Standing),
}

const fn flag(letter: Option<char>, long: &'static str, effect: Effect) -> Spec {
    Spec { letter, long, alias: None, argument: false, effect }
}

const fn with(letter: Option<char>, long: &'static str, effect: Effect) -> Spec {
    Spec { letter, long, alias: None, argument: true, effect }
}

const fn also(mut spec: Spec, alias: &'static str) -> Spec {
    spec.alias = Some(alias);
    spec
}

const WINS: Effect = Is(Differs("not honoured: what the primary holds wins, also over a newer file on a replica"));
const SSH: Effect = Is(Refused("syncd speaks to `syncd peer` over QUIC, encrypted, and starts no ssh"));
const CONTENT: Effect = Is(Differs("syncd looks at size, times in ns and inode, and compares content by hash"));
const NO_RSYNC: Effect = Is(Differs("no meaning: syncd starts no rsync"));
const NEW_INODE: Effect = Is(Differs("no meaning: syncd stages each file whole and renames it into place"));
const SYMLINKS: Effect = Is(NotHonoured("not honoured yet: symlinks travel as they are"));
const SUBSET: Effect = Is(NotHonoured("not honoured: the whole tree is mirrored"));
const OWNERS: Effect = Is(NotHonoured("not honoured yet: owner and mode travel as they are"));
const BACKUPS: Effect = Is(NotHonoured("not honoured: no copy is kept of what is replaced"));
const BASES: Effect = Is(NotHonoured("not honoured: a replica compares with its own tree only"));
const NO_MIRROR: Effect = Is(Refused("a mirror that runs for ever cannot be had with it; remove it"));
const LIMIT: Effect = Is(NotHonoured("not honoured: the `delete` policy of the set guards deletions"));
const QUIET: Effect = Is(Harmless);

/// All of them, in the order of the man page.
pub const OPTIONS: &[Spec] = &[
    flag(Some('v'), "verbose", QUIET),
    with(None, "info", QUIET),
    with(None, "debug", QUIET),
    flag(None, "stderr", QUIET),
    flag(Some('q'), "quiet", QUIET),
    flag(None, "no-motd", QUIET),
    flag(Some('c'), "checksum", CONTENT),
    flag(Some('a'), "archive", Archive),
    flag(Some('r'), "recursive", Recursive),
    flag(Some('R'), "relative", QUIET),
    flag(None, "implied-dirs", QUIET),
    flag(Some('b'), "backup", BACKUPS),
    with(None, "backup-dir", BACKUPS),
    with(None, "suffix", BACKUPS),
    flag(Some('u'), "update", WINS),
    flag(None, "inplace", NEW_INODE),
    flag(None, "append", NEW_INODE),
    flag(None, "append-verify", NEW_INODE),
    also(flag(Some('d'), "dirs", QUIET), "old-dirs"),
    flag(None, "mkpath", Is(Differs("no meaning: the root must be there"))),
    flag(Some('l'), "links", Links),
    flag(Some('L'), "copy-links", SYMLINKS),
    flag(None, "copy-unsafe-links", SYMLINKS),
    flag(None, "safe-links", SYMLINKS),
    flag(None, "munge-links", SYMLINKS),
    flag(Some('k'), "copy-dirlinks", SYMLINKS),
    flag(Some('K'), "keep-dirlinks", SYMLINKS),
    flag(Some('H'), "hard-links", HardLinks),
    flag(Some('p'), "perms", Perms),
    flag(Some('E'), "executability", OWNERS),
    with(None, "chmod", OWNERS),
    flag(Some('A'), "acls", Acls),
    flag(Some('X'), "xattrs", Xattrs),
    flag(Some('o'), "owner", Owner),
    flag(Some('g'), "group", Group),
    flag(None, "devices", Devices),
    flag(None, "copy-devices", Is(NotHonoured("not honoured: a device travels as a device"))),
    flag(None, "write-devices", Is(Refused("syncd writes into no device"))),
    flag(None, "specials", Specials),
    flag(Some('D'), "devices-and-specials", DevicesAndSpecials),
    flag(Some('t'), "times", Times),
    flag(Some('U'), "atimes", Is(NotHonoured("not honoured: access times stay local"))),
    flag(None, "open-noatime", QUIET),
    flag(Some('N'), "crtimes", Is(NotHonoured("not honoured: Linux cannot set a time of creation"))),
    flag(Some('O'), "omit-dir-times", Is(NotHonoured("not honoured yet: times of directories travel too"))),
    flag(Some('J'), "omit-link-times", Is(NotHonoured("not honoured yet: times of symlinks travel too"))),
    flag(None, "super", Is(NotHonoured("not honoured: the receiver decides what it may do"))),
    flag(None, "fake-super", Is(NotHonoured("not honoured: owners are not kept in extended attributes"))),
    flag(Some('S'), "sparse", Is(Differs("holes are kept with and without it"))),
    flag(None, "preallocate", Is(Differs("no meaning: files have the holes that they have on the primary"))),
    flag(Some('n'), "dry-run", NO_MIRROR),
    flag(Some('W'), "whole-file", WholeFile),
    also(with(None, "checksum-choice", QUIET), "cc"),
    flag(Some('x'), "one-file-system", Is(NotHonoured("not honoured yet: what is mounted below the root travels too"))),
    with(Some('B'), "block-size", QUIET),
    with(Some('e'), "rsh", SSH),
    with(None, "rsync-path", NO_RSYNC),
    flag(None, "existing", SUBSET),
    flag(None, "ignore-non-existing", SUBSET),
    flag(None, "ignore-existing", SUBSET),
    flag(None, "remove-source-files", Is(Refused("syncd never removes what it mirrors; remove it"))),
    flag(None, "remove-sent-files", Is(Refused("syncd never removes what it mirrors; remove it"))),
    also(flag(None, "delete", Delete), "del"),
    flag(None, "delete-before", Delete),
    also(flag(None, "delete-during", Delete), "delete-delay"),
    flag(None, "delete-after", Delete),
    flag(None, "delete-excluded", Is(NotHonoured("not honoured: what is excluded is never removed"))),
    flag(None, "ignore-missing-args", QUIET),
    flag(None, "delete-missing-args", Delete),
    flag(None, "ignore-errors", Is(NotHonoured("not honoured: what cannot be read is not removed elsewhere"))),
    flag(None, "force", Is(Differs("a directory gives way to a file with and without it"))),
    with(None, "max-delete", LIMIT),
    with(None, "max-size", SUBSET),
    with(None, "min-size", SUBSET),
    with(None, "max-alloc", QUIET),
    flag(None, "partial", QUIET),
    with(None, "partial-dir", QUIET),
    flag(None, "delay-updates", Is(Differs("every change set becomes visible together anyway"))),
    flag(Some('m'), "prune-empty-dirs", SUBSET),
    flag(None, "numeric-ids", NumericIds),
    with(None, "usermap", OWNERS),
    with(None, "groupmap", OWNERS),
    with(None, "chown", OWNERS),
    with(None, "timeout", Is(Differs("no meaning: a silent peer is noticed in seconds and retried for ever"))),
    with(None, "contimeout", Is(Differs("no meaning: a silent peer is noticed in seconds and retried for ever"))),
    flag(Some('I'), "ignore-times", CONTENT),
    flag(None, "size-only", CONTENT),
    with(Some('@'), "modify-window", CONTENT),
    with(Some('T'), "temp-dir", Is(Differs("no meaning: files are staged in `.syncd` inside the root"))),
    flag(Some('y'), "fuzzy", QUIET),
    with(None, "compare-dest", BASES),
    with(None, "copy-dest", BASES),
    with(None, "link-dest", BASES),
    flag(Some('z'), "compress", Compress),
    flag(None, "new-compress", Compress),
    flag(None, "old-compress", Compress),
    also(with(None, "compress-choice", Compress), "zc"),
    also(with(None, "compress-level", CompressLevel), "zl"),
    with(None, "skip-compress", QUIET),
    flag(Some('C'), "cvs-exclude", Is(NotHonoured("not honoured yet: name what is to be left out by --exclude"))),
    with(Some('f'), "filter", Is(NotHonoured("not honoured yet: name what is to be left out by --exclude"))),
    flag(Some('F'), "F", Is(NotHonoured("not honoured yet: name what is to be left out by --exclude"))),
    with(None, "exclude", Exclude),
    with(None, "exclude-from", Is(NotHonoured("not honoured yet: name what is to be left out by --exclude"))),
    with(None, "include", Is(NotHonoured("not honoured yet: what is excluded stays excluded"))),
    with(None, "include-from", Is(NotHonoured("not honoured yet: what is excluded stays excluded"))),
    with(None, "files-from", SUBSET),
    flag(Some('0'), "from0", QUIET),
    flag(None, "old-args", QUIET),
    also(flag(Some('s'), "secluded-args", QUIET), "protect-args"),
    flag(None, "trust-sender", QUIET),
    with(None, "copy-as", OWNERS),
    with(None, "address", Is(NotHonoured("not honoured yet: the kernel chooses the source address"))),
    with(None, "port", Port),
    with(None, "sockopts", QUIET),
    flag(None, "blocking-io", QUIET),
    with(None, "outbuf", QUIET),
    flag(None, "stats", QUIET),
    flag(Some('8'), "8-bit-output", QUIET),
    flag(Some('h'), "human-readable", QUIET),
    flag(None, "progress", QUIET),
    flag(Some('P'), "partial-progress", QUIET),
    flag(Some('i'), "itemize-changes", QUIET),
    with(Some('M'), "remote-option", NO_RSYNC),
    with(None, "out-format", QUIET),
    with(None, "log-file", Is(NotHonoured("not honoured: syncd logs to standard error or the journal"))),
    with(None, "log-file-format", QUIET),
    with(
        None,
        "password-file",
        Is(NotHonoured("not honoured here: name it as `passwordfile` of `<auth start=\"true\">`")),
    ),
    with(None, "early-input", NO_RSYNC),
    flag(None, "list-only", NO_MIRROR),
    with(None, "bwlimit", Is(NotHonoured("not honoured yet: the link is used in full"))),
    with(None, "stop-after", NO_MIRROR),
    with(None, "stop-at", NO_MIRROR),
    flag(None, "fsync", Is(Differs("every change set is made durable anyway"))),
    with(None, "write-batch", NO_MIRROR),
    with(None, "only-write-batch", NO_MIRROR),
    with(None, "read-batch", NO_MIRROR),
    with(None, "protocol", NO_RSYNC),
    with(None, "iconv", Is(NotHonoured("not honoured: names are bytes and stay as they are"))),
    with(None, "checksum-seed", QUIET),
    flag(Some('4'), "ipv4", Is(NotHonoured("not honoured yet: write an address in place of a name"))),
    flag(Some('6'), "ipv6", Is(NotHonoured("not honoured yet: write an address in place of a name"))),
    flag(None, "daemon", NO_MIRROR),
    flag(None, "server", NO_MIRROR),
    flag(None, "sender", NO_MIRROR),
    flag(Some('V'), "version", NO_MIRROR),
    flag(None, "help", NO_MIRROR),
];
