//! Every option of rsync(1) 3.4, and what becomes of it.

use Effect::{
    Acls, Archive, BwLimit, Chmod, Chown, Compress, CompressLevel, CvsExclude, Delete, Devices, DevicesAndSpecials,
    Exclude, ExcludeFrom, Existing, Filter, Group, GroupMap, HardLinks, IgnoreExisting, Include, IncludeFrom, Ipv4,
    Ipv6, Links, MaxSize, MinSize, Nothing, NumericIds, OmitDirTimes, OmitLinkTimes, OneFileSystem, Owner, Perms, Port,
    Recursive, Specials, Times, UserMap, WholeFile, Xattrs,
};

use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured, Refused};

/// One option.
#[derive(Debug, Eq, PartialEq)]
pub struct Spec {
    /// The letter.
    pub letter: Option<char>,
    /// The name after `--`.
    pub long: &'static str,
    /// Another name for the same.
    pub alias: Option<&'static str>,
    /// What follows it; none where nothing does.
    pub argument: Option<Argument>,
    /// What a set is told by it.
    pub effect: Effect,
    /// What becomes of it, where it is switched on.
    pub standing: Standing,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Argument {
    /// A text, of which only who uses it knows more.
    Text,
    /// A whole number, which may be negative.
    Number,
    /// A number of bytes, as `10M`.
    Size,
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
    /// `-C`.
    CvsExclude,
    /// `--delete` in any of its forms.
    Delete,
    /// `--devices`.
    Devices,
    /// `-D`.
    DevicesAndSpecials,
    /// `--exclude`: see [`super::rules::pattern`].
    Exclude,
    /// `--exclude-from`.
    ExcludeFrom,
    /// `--filter`: see [`super::rules::rule`].
    Filter,
    /// `-g`.
    Group,
    /// `-H`.
    HardLinks,
    /// `--include`: see [`super::rules::pattern`].
    Include,
    /// `--include-from`.
    IncludeFrom,
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
    /// `--bwlimit`, in KiB a second.
    BwLimit,
    /// `--chmod`.
    Chmod,
    /// `--chown`.
    Chown,
    /// `--existing`.
    Existing,
    /// `--groupmap`.
    GroupMap,
    /// `--ignore-existing`.
    IgnoreExisting,
    /// `-4`.
    Ipv4,
    /// `-6`.
    Ipv6,
    /// `--max-size`.
    MaxSize,
    /// `--min-size`.
    MinSize,
    /// `-O`.
    OmitDirTimes,
    /// `-J`.
    OmitLinkTimes,
    /// `-x`.
    OneFileSystem,
    /// `--usermap`.
    UserMap,
    /// Nothing that a set could be told.
    Nothing,
}

const fn flag(letter: Option<char>, long: &'static str, effect: Effect, standing: Standing) -> Spec {
    Spec { letter, long, alias: None, argument: None, effect, standing }
}

const fn with(letter: Option<char>, long: &'static str, effect: Effect, standing: Standing) -> Spec {
    Spec { letter, long, alias: None, argument: Some(Argument::Text), effect, standing }
}

const fn number(spec: Spec) -> Spec {
    Spec { argument: Some(Argument::Number), ..spec }
}

const fn bytes(spec: Spec) -> Spec {
    Spec { argument: Some(Argument::Size), ..spec }
}

const fn also(mut spec: Spec, alias: &'static str) -> Spec {
    spec.alias = Some(alias);
    spec
}

const WINS: Standing = Differs("what the primary holds wins, also over a newer file on a replica");
const SSH: Standing =
    Refused("for rsync over ssh write `<ssh start=\"true\"/>`; to a `syncd peer` it is QUIC, encrypted");
const CONTENT: Standing = Differs("syncd looks at size, times in ns and inode, and compares content by hash");
const NO_RSYNC: Standing = Differs("no meaning: syncd itself chooses how an rsync is started");
const NEW_INODE: Standing = Differs("no meaning: syncd stages each file whole and renames it into place");
const SYMLINKS: Standing = NotHonoured("symlinks travel as they are, and none is followed or changed");
const BACKUPS: Standing = Refused(
    "a replica keeps no copy of what is replaced; remove it, and take snapshots or backups of the replica by other means",
);
const BASES: Standing = Refused("a replica holds the whole tree and compares with that only; remove it");
const NO_MIRROR: Standing = Refused("a mirror that runs for ever cannot be had with it; remove it");
const DELETE: Standing =
    Honoured("what is gone here goes on the replicas; `<inotify><delete>` decides, and all forms mean the same");
const COMPRESS: Standing = Honoured("what travels is compressed by zstd");

/// All of them, in the order of the man page.
pub const OPTIONS: &[Spec] = &[
    flag(Some('v'), "verbose", Nothing, Harmless("how much rsync prints; syncd logs by SYNCD_LOG")),
    with(None, "info", Nothing, Harmless("how much rsync prints; syncd logs by SYNCD_LOG")),
    with(None, "debug", Nothing, Harmless("how much rsync prints; syncd logs by SYNCD_LOG")),
    with(None, "stderr", Nothing, Harmless("where rsync prints; syncd logs to standard error")),
    flag(Some('q'), "quiet", Nothing, Harmless("how much rsync prints; syncd logs by SYNCD_LOG")),
    flag(None, "no-motd", Nothing, Harmless("a receiver of syncd has no message of the day")),
    flag(Some('c'), "checksum", Nothing, CONTENT),
    flag(
        Some('a'),
        "archive",
        Archive,
        Honoured("mode, owner, group and times are kept, symlinks, devices and special files travel (`-rlptgoD`)"),
    ),
    flag(Some('r'), "recursive", Recursive, Honoured("a tree is mirrored as a whole, with and without it")),
    flag(Some('R'), "relative", Nothing, Harmless("the names of a set always start from its root")),
    flag(None, "implied-dirs", Nothing, Harmless("the names of a set always start from its root")),
    flag(Some('b'), "backup", Nothing, BACKUPS),
    with(None, "backup-dir", Nothing, BACKUPS),
    with(None, "suffix", Nothing, Harmless("it has a meaning with --backup only")),
    flag(Some('u'), "update", Nothing, WINS),
    flag(None, "inplace", Nothing, NEW_INODE),
    flag(None, "append", Nothing, NEW_INODE),
    flag(None, "append-verify", Nothing, NEW_INODE),
    also(flag(Some('d'), "dirs", Nothing, Harmless("directories travel anyway")), "old-dirs"),
    flag(None, "mkpath", Nothing, Differs("no meaning: the root must be there")),
    flag(
        Some('l'),
        "links",
        Links,
        Honoured("symlinks travel as symlinks, none is followed; without it they stay away"),
    ),
    flag(Some('L'), "copy-links", Nothing, SYMLINKS),
    flag(None, "copy-unsafe-links", Nothing, SYMLINKS),
    flag(None, "safe-links", Nothing, SYMLINKS),
    flag(None, "munge-links", Nothing, SYMLINKS),
    flag(Some('k'), "copy-dirlinks", Nothing, SYMLINKS),
    flag(Some('K'), "keep-dirlinks", Nothing, SYMLINKS),
    flag(Some('H'), "hard-links", HardLinks, Honoured("names of one file are names of one file on the replica")),
    flag(
        Some('p'),
        "perms",
        Perms,
        Honoured("the twelve mode bits are kept; set-user-ID and set-group-ID only where the replica is privileged"),
    ),
    flag(Some('E'), "executability", Nothing, Differs("modes travel whole with `-p`, and not at all without it")),
    with(
        None,
        "chmod",
        Chmod,
        Honoured("modes become so before they travel (`D755`, `F644`, `u=rwX,go-w`); it takes `-p`"),
    ),
    flag(Some('A'), "acls", Acls, Honoured("ACLs are kept, with all extended attributes that the replica may set")),
    flag(Some('X'), "xattrs", Xattrs, Honoured("extended attributes are kept, ACLs among them")),
    flag(
        Some('o'),
        "owner",
        Owner,
        Honoured("owners are kept by name, by number where the replica has no such name, where it runs as root"),
    ),
    flag(
        Some('g'),
        "group",
        Group,
        Honoured("groups are kept by name, by number where the replica has no such name, where it may set them"),
    ),
    flag(None, "devices", Devices, Honoured("devices travel; a replica makes them only where it is privileged")),
    flag(None, "copy-devices", Nothing, NotHonoured("a device travels as a device")),
    flag(None, "write-devices", Nothing, Refused("syncd writes into no device")),
    flag(None, "specials", Specials, Honoured("named pipes and sockets travel")),
    flag(
        Some('D'),
        "devices-and-specials",
        DevicesAndSpecials,
        Honoured("devices, named pipes and sockets travel; a replica makes devices only where it is privileged"),
    ),
    flag(Some('t'), "times", Times, Honoured("modification times are kept in nanoseconds")),
    flag(Some('U'), "atimes", Nothing, NotHonoured("access times stay local")),
    flag(None, "open-noatime", Nothing, Harmless("access times stay local")),
    flag(Some('N'), "crtimes", Nothing, NotHonoured("Linux cannot set a time of creation")),
    flag(
        Some('O'),
        "omit-dir-times",
        OmitDirTimes,
        Honoured("directories keep the times that they have on the replica"),
    ),
    flag(
        Some('J'),
        "omit-link-times",
        OmitLinkTimes,
        Honoured("symlinks keep the times that they have on the replica"),
    ),
    flag(None, "super", Nothing, NotHonoured("the receiver decides what it may do")),
    flag(None, "fake-super", Nothing, NotHonoured("owners are not kept in extended attributes")),
    flag(Some('S'), "sparse", Nothing, Differs("holes are kept with and without it")),
    flag(None, "preallocate", Nothing, Differs("no meaning: files have the holes that they have on the primary")),
    flag(Some('n'), "dry-run", Nothing, NO_MIRROR),
    flag(
        Some('W'),
        "whole-file",
        WholeFile,
        Honoured("large files travel whole; without it as differences from what the replica holds"),
    ),
    also(with(None, "checksum-choice", Nothing, Harmless("all content is compared by BLAKE3")), "cc"),
    flag(
        Some('x'),
        "one-file-system",
        OneFileSystem,
        Honoured(
            "what is mounted below the root neither travels nor is removed on the replica; the directory itself travels",
        ),
    ),
    bytes(with(Some('B'), "block-size", Nothing, Harmless("the block size follows from the size of a file"))),
    with(Some('e'), "rsh", Nothing, SSH),
    with(None, "rsync-path", Nothing, NO_RSYNC),
    flag(
        None,
        "existing",
        Existing,
        Honoured("what the replica does not have is not made there; what is gone here goes"),
    ),
    flag(None, "ignore-non-existing", Existing, Honoured("`--existing` by another name")),
    flag(
        None,
        "ignore-existing",
        IgnoreExisting,
        Honoured("what the replica has stays as it is there, directories apart; what is gone here goes"),
    ),
    flag(None, "remove-source-files", Nothing, Refused("syncd never removes what it mirrors; remove it")),
    flag(None, "remove-sent-files", Nothing, Refused("syncd never removes what it mirrors; remove it")),
    also(flag(None, "delete", Delete, DELETE), "del"),
    flag(None, "delete-before", Delete, DELETE),
    also(flag(None, "delete-during", Delete, DELETE), "delete-delay"),
    flag(None, "delete-after", Delete, DELETE),
    flag(
        None,
        "delete-excluded",
        Nothing,
        NotHonoured("what is excluded is never removed; remove it on the replica by hand, once"),
    ),
    flag(None, "ignore-missing-args", Nothing, Harmless("no file is named on a command line")),
    flag(None, "delete-missing-args", Delete, DELETE),
    flag(None, "ignore-errors", Nothing, Differs("what cannot be read is never removed elsewhere, and all else is")),
    flag(None, "force", Nothing, Differs("a directory gives way to a file with and without it")),
    number(with(
        None,
        "max-delete",
        Nothing,
        NotHonoured(
            "the `delete` policy of the set guards deletions: more than half of the tree at once waits for `syncd approve`",
        ),
    )),
    bytes(with(None, "max-size", MaxSize, Honoured("a larger file neither travels nor is removed on the replica"))),
    bytes(with(None, "min-size", MinSize, Honoured("a smaller file neither travels nor is removed on the replica"))),
    bytes(with(None, "max-alloc", Nothing, Harmless("the memory of syncd has bounds of its own"))),
    flag(
        None,
        "partial",
        Nothing,
        Harmless("what a broken connection left half done is sent again, and no half file is ever visible"),
    ),
    with(None, "partial-dir", Nothing, Harmless("half a file lies in `.syncd` inside the root and is never visible")),
    flag(None, "delay-updates", Nothing, Differs("every change set becomes visible together anyway")),
    flag(
        Some('m'),
        "prune-empty-dirs",
        Nothing,
        NotHonoured("empty directories travel too; leave them out by --exclude"),
    ),
    flag(None, "numeric-ids", NumericIds, Honoured("owners and groups are numbers, no name is looked up")),
    with(
        None,
        "usermap",
        UserMap,
        Honoured(
            "owners become others before they travel, by name, number, range or `*`; names are those of the primary",
        ),
    ),
    with(
        None,
        "groupmap",
        GroupMap,
        Honoured(
            "groups become others before they travel, by name, number, range or `*`; names are those of the primary",
        ),
    ),
    with(None, "chown", Chown, Honoured("`--usermap=*:USER --groupmap=*:GROUP` in one")),
    number(with(
        None,
        "timeout",
        Nothing,
        Differs("no meaning: a silent peer is noticed in seconds and retried for ever"),
    )),
    number(with(
        None,
        "contimeout",
        Nothing,
        Differs("no meaning: a silent peer is noticed in seconds and retried for ever"),
    )),
    flag(Some('I'), "ignore-times", Nothing, CONTENT),
    flag(None, "size-only", Nothing, CONTENT),
    number(with(Some('@'), "modify-window", Nothing, CONTENT)),
    with(Some('T'), "temp-dir", Nothing, Differs("no meaning: files are staged in `.syncd` inside the root")),
    flag(Some('y'), "fuzzy", Nothing, Harmless("a renamed file travels as a rename anyway")),
    with(None, "compare-dest", Nothing, BASES),
    with(None, "copy-dest", Nothing, BASES),
    with(None, "link-dest", Nothing, BASES),
    flag(Some('z'), "compress", Compress, COMPRESS),
    flag(None, "new-compress", Compress, COMPRESS),
    flag(None, "old-compress", Compress, COMPRESS),
    also(with(None, "compress-choice", Compress, Honoured("`none` switches compression off, all else is zstd")), "zc"),
    also(
        number(with(
            None,
            "compress-level",
            CompressLevel,
            Honoured("0 switches compression off; the level counts with `--compress-choice=zstd`, else it is 3"),
        )),
        "zl",
    ),
    with(None, "skip-compress", Nothing, Harmless("what does not shrink travels as it is")),
    flag(
        Some('C'),
        "cvs-exclude",
        CvsExclude,
        Differs("rsync's own list of names is left out; no `.cvsignore` is read"),
    ),
    with(
        Some('f'),
        "filter",
        Filter,
        Honoured(
            "one rule of a list, of which the first that matches decides; `merge` is read at the start and at a reload",
        ),
    ),
    flag(
        Some('F'),
        "F",
        Nothing,
        Refused("filter files inside the tree are not supported; name their rules by --filter or --exclude"),
    ),
    with(
        None,
        "exclude",
        Exclude,
        Honoured("what matches neither travels nor is removed on the replica, nor what lies below it"),
    ),
    with(
        None,
        "exclude-from",
        ExcludeFrom,
        Honoured("patterns that exclude, one on a line, read at the start and at a reload"),
    ),
    with(None, "include", Include, Honoured("what matches travels although a later rule excludes it")),
    with(
        None,
        "include-from",
        IncludeFrom,
        Honoured("patterns that include, one on a line, read at the start and at a reload"),
    ),
    with(
        None,
        "files-from",
        Nothing,
        Refused("a list of names cannot follow a tree that changes; choose by --include and --exclude"),
    ),
    flag(Some('0'), "from0", Nothing, Harmless("lists of rules are read line by line")),
    flag(None, "old-args", Nothing, Harmless("no shell runs on the other side")),
    also(flag(Some('s'), "secluded-args", Nothing, Harmless("no shell runs on the other side")), "protect-args"),
    flag(None, "trust-sender", Nothing, Harmless("a receiver checks every path that it is told")),
    with(None, "copy-as", Nothing, NotHonoured("a receiver writes as the `uid` and `gid` of its module")),
    with(
        None,
        "address",
        Nothing,
        Refused(
            "the kernel chooses the source address; remove it, and set the source of the route (`ip route … src ADDRESS`)",
        ),
    ),
    with(None, "port", Port, Honoured("the UDP port of the receivers; `<userDefinedPort>` goes before it")),
    with(None, "sockopts", Nothing, Harmless("buffers are tuned for the link")),
    flag(None, "blocking-io", Nothing, Harmless("it is about ssh")),
    with(None, "outbuf", Nothing, Harmless("how rsync prints")),
    flag(None, "stats", Nothing, Harmless("`syncd status` has the figures")),
    flag(Some('8'), "8-bit-output", Nothing, Harmless("how rsync prints")),
    flag(Some('h'), "human-readable", Nothing, Harmless("how rsync prints")),
    flag(None, "progress", Nothing, Harmless("`syncd status` has the figures")),
    flag(Some('P'), "partial-progress", Nothing, Harmless("`--partial --progress`, which have no meaning here")),
    flag(Some('i'), "itemize-changes", Nothing, Harmless("how rsync prints")),
    with(Some('M'), "remote-option", Nothing, NO_RSYNC),
    with(None, "out-format", Nothing, Harmless("how rsync prints")),
    with(None, "log-file", Nothing, NotHonoured("syncd logs to standard error or the journal")),
    with(None, "log-file-format", Nothing, Harmless("how rsync prints")),
    with(None, "password-file", Nothing, NotHonoured("name it as `passwordfile` of `<auth start=\"true\">`")),
    with(None, "early-input", Nothing, NO_RSYNC),
    flag(None, "list-only", Nothing, NO_MIRROR),
    bytes(with(
        None,
        "bwlimit",
        BwLimit,
        Honoured("a bound in KiB a second to each peer, for all of its sets together"),
    )),
    with(None, "stop-after", Nothing, NO_MIRROR),
    with(None, "stop-at", Nothing, NO_MIRROR),
    flag(None, "fsync", Nothing, Differs("every change set is made durable anyway")),
    with(None, "write-batch", Nothing, NO_MIRROR),
    with(None, "only-write-batch", Nothing, NO_MIRROR),
    with(None, "read-batch", Nothing, NO_MIRROR),
    number(with(None, "protocol", Nothing, NO_RSYNC)),
    with(None, "iconv", Nothing, NotHonoured("names are bytes and stay as they are")),
    number(with(None, "checksum-seed", Nothing, Harmless("all content is compared by BLAKE3"))),
    flag(Some('4'), "ipv4", Ipv4, Honoured("a name of a remote is resolved to an IPv4 address")),
    flag(Some('6'), "ipv6", Ipv6, Honoured("a name of a remote is resolved to an IPv6 address")),
    flag(None, "daemon", Nothing, NO_MIRROR),
    flag(None, "server", Nothing, NO_MIRROR),
    flag(None, "sender", Nothing, NO_MIRROR),
    flag(Some('V'), "version", Nothing, NO_MIRROR),
    flag(None, "help", Nothing, NO_MIRROR),
];
