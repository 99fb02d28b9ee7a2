//! What rsync is called with: a fixed list of words, in which no name of the set ever stands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::itemize;
use crate::config::{Compression, Family, Reach, SetOptions, SourceAuth, Target};
use crate::model::{Attrs, RelPath};
use crate::rewrite::Mapped;

/// How long a connection may take to come up, in seconds.
const CONNECT_SECONDS: u32 = 10;

/// How long the other side may say nothing, in seconds.
const SILENT_SECONDS: u32 = 60;

/// The same where both sides read all content first.
const READING_SECONDS: u32 = 1800;

/// A name that no set has: what asks for it asks for the root directory above it.
const NO_NAME: &[u8] = b"\x01syncd: no such name\x01";

/// What rsync is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Run {
    /// Nothing at all: whether the other side would take something shows in how it ends.
    Probe {
        /// Whether it would remove something, too.
        deletes: bool,
        /// Whether it would compare content.
        content: bool,
        /// Whether it would compress what travels.
        compresses: bool,
    },
    /// Say what differs in the whole tree, with what is only there where `deletes`.
    Compare {
        /// What is only there counts.
        deletes: bool,
        /// How files are compared.
        by: By,
    },
    /// Make the named ones there as they are here.
    Put {
        /// How to find out which files need not travel.
        by: By,
        /// A directory that has to give way does so with all that is in it.
        force: bool,
    },
    /// Remove the named ones there.
    Remove {
        /// A directory goes with all that is in it, else only when it is empty.
        recursive: bool,
    },
}

/// How rsync compares two things that have the same name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct By {
    /// By content, else by size and time.
    pub(super) content: bool,
    /// Times to the nanosecond, else in whole seconds, for an rsync there that is older than 3.1.3.
    pub(super) fine: bool,
}

impl By {
    pub(super) const TIME: Self = Self { content: false, fine: true };
    pub(super) const CONTENT: Self = Self { content: true, fine: true };
}

/// The arguments for `run` from `source`, an absolute path, to `target`; `dry` changes nothing.
pub(super) fn args(run: Run, dry: bool, options: &SetOptions, source: &Path, target: &Target) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["--no-motd", "-8", "--no-human-readable", "--stats"].map(Into::into).into();
    words.push(format!("--out-format={}", itemize::FORMAT).into());
    if dry || matches!(run, Run::Probe { .. }) {
        words.push("--dry-run".into());
    }
    let silent = if reads_content(run) { READING_SECONDS } else { SILENT_SECONDS };
    words.push(format!("--timeout={silent}").into());
    match run {
        Run::Probe { deletes, content, compresses } => {
            words.extend(["--dirs", "--from0", "--files-from=-"].map(Into::into));
            // Either may be refused without the other.
            words
                .extend(deletes.then_some(["--delete", "--delete-missing-args"].map(Into::into)).into_iter().flatten());
            words.extend(content.then(|| "--checksum".into()));
            words.extend(compresses.then(|| "--compress".into()));
        }
        Run::Compare { deletes, by } => {
            words.push("--recursive".into());
            words.extend(deletes.then(|| "--delete".into()));
            words.extend(kept(options).into_iter().chain(compared(by)).map(Into::into));
            words.extend(chosen(options).into_iter().map(Into::into));
        }
        Run::Put { by, force } => {
            words.extend(["--dirs", "--from0", "--files-from=-", "--ignore-missing-args"].map(Into::into));
            words.extend(force.then(|| "--force".into()));
            words.extend(kept(options).into_iter().chain(compared(by)).map(Into::into));
            words.extend(chosen(options).into_iter().map(Into::into));
            words.extend(options.bandwidth.map(|rate| format!("--bwlimit={}", (rate / 1024).max(1)).into()));
            words.extend((options.compression != Compression::Off).then(|| "--compress".into()));
            words.extend(options.whole_file.then(|| "--whole-file".into()));
        }
        Run::Remove { recursive } => {
            let list = ["--dirs", "--from0", "--files-from=-", "--no-implied-dirs", "--delete-missing-args"];
            words.extend(list.map(Into::into));
            words.extend(recursive.then(|| "--force".into()));
        }
    }
    words.extend(connection(target));
    // A slash at its end: what is in it, not the directory under its name.
    let mut from = source.as_os_str().to_owned();
    from.push("/");
    words.extend(["--".into(), from, destination(target)]);
    words
}

fn reads_content(run: Run) -> bool {
    matches!(run, Run::Compare { by, .. } | Run::Put { by, .. } if by.content)
}

/// Types and attributes.
fn kept(options: &SetOptions) -> Vec<&'static str> {
    let attrs = options.attrs;
    let switches = [
        (options.symlinks, "--links"),
        (options.devices, "--devices"),
        (options.specials, "--specials"),
        (attrs.has(Attrs::MODE), "--perms"),
        (attrs.has(Attrs::OWNER), "--owner"),
        (attrs.has(Attrs::GROUP), "--group"),
        (attrs.has(Attrs::MTIME), "--times"),
        (attrs.has(Attrs::XATTRS), "--xattrs"),
        (attrs.has(Attrs::XATTRS), "--acls"),
        (attrs.has(Attrs::HARD_LINKS), "--hard-links"),
        (options.numeric_ids, "--numeric-ids"),
        (attrs.has(Attrs::OMIT_DIR_TIMES), "--omit-dir-times"),
        (attrs.has(Attrs::OMIT_LINK_TIMES), "--omit-link-times"),
        (attrs.has(Attrs::EXISTING_ONLY), "--existing"),
        (attrs.has(Attrs::NEW_ONLY), "--ignore-existing"),
        (options.one_file_system, "--one-file-system"),
    ];
    switches.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect()
}

/// Sizes that count, and what is said of entries instead of what stat(2) says.
fn chosen(options: &SetOptions) -> Vec<String> {
    let rewrite = &options.rewrite;
    let mapped = |name: &str, maps: &[Mapped]| {
        let list: Vec<String> = maps.iter().map(Mapped::to_string).collect();
        (!list.is_empty()).then(|| format!("--{name}={}", list.join(",")))
    };
    let words = [
        options.max_size.map(|size| format!("--max-size={size}b")),
        options.min_size.map(|size| format!("--min-size={size}b")),
        (!rewrite.chmod.is_empty()).then(|| format!("--chmod={}", rewrite.chmod)),
        mapped("usermap", &rewrite.users),
        mapped("groupmap", &rewrite.groups),
    ];
    words.into_iter().flatten().collect()
}

fn compared(by: By) -> Vec<&'static str> {
    let switches = [(by.content, "--checksum"), (by.fine, "--modify-window=-1")];
    switches.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect()
}

/// How to get there. The password stays in its file: rsync reads that itself.
fn connection(target: &Target) -> Vec<OsString> {
    let family = target.family.map(|family| match family {
        Family::V4 => "--ipv4".into(),
        Family::V6 => "--ipv6".into(),
    });
    let mut words: Vec<OsString> = family.into_iter().collect();
    words.extend(carried(target));
    words
}

fn carried(target: &Target) -> Vec<OsString> {
    match target.reach {
        Reach::Ssh { .. } => {
            // The directory there is no word of a remote shell, and nobody sits at a terminal.
            let ssh = format!("--rsh=ssh -o BatchMode=yes -o ConnectTimeout={CONNECT_SECONDS}");
            vec!["--protect-args".into(), ssh.into()]
        }
        Reach::Daemon => {
            let mut words =
                vec![format!("--port={}", target.port).into(), format!("--contimeout={CONNECT_SECONDS}").into()];
            if let SourceAuth::Password { file, .. } = &target.auth {
                let mut word = OsString::from("--password-file=");
                word.push(file);
                words.push(word);
            }
            words
        }
    }
}

fn destination(target: &Target) -> OsString {
    let (user, between) = match (&target.reach, &target.auth) {
        (Reach::Ssh { user }, _) => (user.as_ref(), ":"),
        (Reach::Daemon, SourceAuth::Password { user, .. }) => (Some(user), "::"),
        (Reach::Daemon, SourceAuth::Key) => (None, "::"),
    };
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    format!("{user}{host}{between}{}/", target.set).into()
}

/// `paths` as `--files-from` reads them; what stands at a path never looks like a comment or an option.
pub(super) fn list<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> Vec<u8> {
    let mut list = Vec::new();
    let (mut root, mut others) = (false, false);
    let mut add = |name: &[u8]| [b"./", name, b"\0"].into_iter().for_each(|part| list.extend_from_slice(part));
    for path in paths {
        if path.is_root() {
            root = true;
        } else {
            others = true;
            add(path.as_bytes());
        }
    }
    // The directory above the first `./` goes along with whatever is named.
    if root && !others {
        add(NO_NAME);
    }
    list
}

/// Words as they stand in a log.
pub(super) fn shown(words: &[OsString]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| String::from_utf8_lossy(&word.clone().into_vec()).into_owned()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;
    use crate::rewrite::{Chmod, Rewrite};

    fn target(reach: Reach) -> Target {
        Target {
            host: "fe80::1".to_owned(),
            port: 874,
            set: "web site".to_owned(),
            family: None,
            auth: SourceAuth::Password { user: "u".to_owned(), file: "/etc/rsync.pass".into() },
            transport: Transport::Rsync,
            reach,
        }
    }

    fn words(run: Run, dry: bool, reach: Reach) -> String {
        shown(&args(run, dry, &SetOptions::default(), Path::new("/s"), &target(reach)))
    }

    #[test]
    fn every_run_has_its_words() {
        let runs = [
            words(Run::Probe { deletes: true, content: true, compresses: true }, false, Reach::Daemon),
            words(Run::Compare { deletes: true, by: By::TIME }, true, Reach::Daemon),
            words(Run::Put { by: By::CONTENT, force: true }, false, Reach::Ssh { user: Some("deploy".to_owned()) }),
            words(Run::Remove { recursive: false }, false, Reach::Daemon),
        ];
        insta::assert_snapshot!(runs.join("\n"));
    }

    #[test]
    fn what_is_not_kept_is_not_asked_for() {
        let options = SetOptions {
            attrs: Attrs::HARD_LINKS,
            symlinks: false,
            specials: false,
            numeric_ids: true,
            ..SetOptions::default()
        };
        assert_eq!(kept(&options), ["--hard-links", "--numeric-ids"]);
    }

    #[test]
    fn what_is_chosen_is_asked_for() {
        let rewrite = Rewrite {
            chmod: Chmod::parse("D755,F644", 0).expect("usable"),
            users: vec![Mapped { first: 0, last: u32::MAX, to: 33, name: Some("www".to_owned()) }],
            groups: Vec::new(),
        };
        let options = SetOptions { max_size: Some(1000), rewrite, ..SetOptions::default() };
        assert_eq!(chosen(&options), ["--max-size=1000b", "--chmod=D755,F644", "--usermap=*:www"]);
        let options = SetOptions { attrs: Attrs::EXISTING_ONLY.with(Attrs::OMIT_DIR_TIMES), ..options };
        assert!(kept(&options).ends_with(&["--omit-dir-times", "--existing"]));
    }

    #[test]
    fn a_name_is_neither_a_comment_nor_an_option_nor_two() {
        let path = |name: &[u8]| RelPath::parse(name).expect("valid");
        let paths = [path(b"#a"), path(b"-b"), path(b"c\n;d"), RelPath::root()];
        assert_eq!(list(&paths), b"./#a\0./-b\0./c\n;d\0");
        assert_eq!(list(&[RelPath::root()]), [b"./", NO_NAME, b"\0"].concat());
        assert_eq!(list(&[]), b"");
    }
}
