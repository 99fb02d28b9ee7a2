//! What rsync complains of: one line for people, and the names that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::itemize::unescaped;
use crate::model::RelPath;

/// The longest cause in characters that the other side may put into our log.
const MAX_CAUSE: usize = 200;

/// Why a run came to nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct Failure {
    /// Whether the other side answered at all.
    pub(crate) reached: bool,
    /// Why, for people, in one line.
    pub(crate) cause: String,
}

impl Failure {
    /// Nothing was reached.
    pub(super) fn here(cause: impl Into<String>) -> Self {
        Self { reached: false, cause: cause.into() }
    }
}

/// What a complaint is recognised by, and what it means.
const KNOWN: [(&str, &str); 15] = [
    ("@ERROR: auth failed", "the rsyncd there refused: unknown user or wrong password"),
    ("@ERROR: Unknown module", "the rsyncd there has no such module"),
    ("@ERROR: access denied", "the rsyncd there refused: this host is not allowed (hosts allow, hosts deny)"),
    (FULL, "the rsyncd there refused: too many connections at once (max connections)"),
    ("module is read only", "the rsyncd there refused: the module is read only"),
    ("@ERROR: chdir failed", "the rsyncd there cannot enter the directory of the module: is it there?"),
    ("@ERROR: chroot failed", "the rsyncd there cannot enter the directory of the module: is it there?"),
    ("on remote machine: --delete-missing-args", OLD),
    ("-missing-args: unknown option", "the rsync on this host is older than 3.1: update it"),
    ("command not found", "the program `rsync` is missing there, or not in the PATH of its shell"),
    ("Host key verification failed", "ssh refused: the host key there is not known; add it to known_hosts"),
    ("Permission denied (", "ssh refused: no key of this user is accepted there"),
    ("did not see server greeting", "what answers there on TCP is no rsyncd"),
    ("password file must not be other-accessible", "the password file can be read by others: chmod 600 it"),
    ("password file must be owned by root", "the password file must belong to root"),
];

/// All places of a module are taken.
const FULL: &str = "@ERROR: max connections";

/// What stands before a name, in quotes, that the rules of a module exclude.
const EXCLUDED: &[u8] = b"ERROR: daemon refused to receive ";

const OLD: &str = "the rsync there is older than 3.1 and cannot remove by name: update it, or run `syncd peer` there";

/// Complaints after which nothing else need be asked: the other side did not answer.
const UNREACHED: [&str; 6] = [
    "failed to connect to",
    "getaddrinfo",
    "timeout waiting for daemon connection",
    "ssh: connect to host",
    "ssh: Could not resolve",
    "No route to host",
];

/// Whether all places of the module were taken, so that nothing was done.
pub(super) fn is_full(stderr: &[Vec<u8>]) -> bool {
    stderr.iter().any(|line| line.starts_with(FULL.as_bytes()))
}

/// What the rules of the module exclude, of all that a run was about; of a directory all that is in it, too.
pub(super) fn excluded(stderr: &[Vec<u8>]) -> BTreeSet<RelPath> {
    stderr.iter().filter_map(|line| excluded_by(line)).collect()
}

/// Whether the line names what the rules of the module exclude.
pub(super) fn is_about_excluded(line: &[u8]) -> bool {
    line.starts_with(EXCLUDED)
}

/// Whether a run that did a part of its work did all but what the rules of the module exclude.
pub(super) fn is_of_excluded_alone(stderr: &[Vec<u8>]) -> bool {
    let mut told = stderr.iter().filter(|line| tells(&plain(line)) && !line.starts_with(b"***")).peekable();
    told.peek().is_some() && told.all(|line| excluded_by(line).is_some())
}

fn excluded_by(line: &[u8]) -> Option<RelPath> {
    let line = unescaped(line.strip_prefix(EXCLUDED)?);
    let open = line.iter().position(|b| *b == b'"')?;
    RelPath::parse(line.get(open + 1..)?.strip_suffix(b"\"")?).ok()
}

/// Why a run that ended with `code` (none: by a signal) came to nothing.
pub(super) fn failure(code: Option<i32>, stderr: &[Vec<u8>]) -> Failure {
    let lines: Vec<String> = stderr.iter().map(|line| plain(line)).collect();
    let find = |mark: &str| lines.iter().find(|line| line.contains(mark));
    if let Some((_, meaning)) = KNOWN.iter().find(|(mark, _)| find(mark).is_some()) {
        return Failure { reached: true, cause: (*meaning).to_owned() };
    }
    if let Some(line) = UNREACHED.iter().find_map(|mark| find(mark)) {
        return Failure::here(format!("rsync: {}", shortened(line)));
    }
    let said = find("@ERROR: ").or_else(|| find("ERROR: ")).or_else(|| lines.iter().find(|line| tells(line)));
    let how = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with code {code}"));
    let cause = said.map_or_else(|| format!("rsync {how}"), |line| format!("{} (rsync {how})", shortened(line)));
    Failure { reached: !matches!(code, Some(10 | 30 | 35 | 255) | None), cause }
}

/// Whether a line says more than that there was an error.
fn tells(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with("rsync error: ") && !line.starts_with("rsync warning: ")
}

/// Without what is said of every line, and where it says too much.
fn shortened(line: &str) -> String {
    let text = line.strip_prefix("rsync: ").unwrap_or(line);
    let text = match text.split_once("] ") {
        Some((side, rest)) if side.starts_with('[') => rest,
        _ => text,
    };
    text.trim().chars().take(MAX_CAUSE).collect()
}

/// Escaped for people, as a path is.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What is said of single names.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Complaints {
    /// What could not be read here, each with its cause.
    pub(super) here: BTreeMap<RelPath, String>,
    /// What could not be made there.
    pub(super) there: BTreeMap<RelPath, String>,
    /// The first complaint that is about none of the names.
    pub(super) other: Option<String>,
}

/// Which of the names for which `known` is true `stderr` complains of; `source` is the root here.
pub(super) fn of_names(stderr: &[Vec<u8>], source: &Path, known: impl Fn(&RelPath) -> bool) -> Complaints {
    let mut complaints = Complaints::default();
    for line in stderr {
        let text = plain(line);
        let vanished = text.starts_with("file has vanished") || text.starts_with("WARNING: ");
        if !tells(&text) || vanished || text.starts_with("***") || excluded_by(line).is_some() {
            continue;
        }
        let cause = shortened(&text);
        match candidates(line, source).into_iter().find(&known) {
            Some(path) if text.contains("[sender]") => _ = complaints.here.entry(path).or_insert(cause),
            Some(path) => _ = complaints.there.entry(path).or_insert(cause),
            None => _ = complaints.other.get_or_insert(cause),
        }
    }
    complaints
}

/// What a line may speak of: what stands in quotes, in brackets, or after the last colon.
fn candidates(line: &[u8], source: &Path) -> Vec<RelPath> {
    use std::os::unix::ffi::OsStrExt;
    let line = unescaped(line);
    let root = source.as_os_str().as_bytes();
    let between = |open: u8, close: u8| {
        let start = line.iter().position(|b| *b == open)? + 1;
        let end = line.iter().rposition(|b| *b == close)?;
        line.get(start..end)
    };
    // `"a" (in module)` ends before the bracket, `symlink "a" -> "b"` at the second quote.
    let quoted: Vec<&[u8]> = line.split(|b| *b == b'"').skip(1).step_by(2).collect();
    let colon = line.windows(2).rposition(|pair| pair == b": ").and_then(|at| line.get(at + 2..));
    let found = between(b'"', b'"').into_iter().chain(quoted).chain(between(b'(', b')')).chain(colon);
    let mut paths = Vec::new();
    for text in found.chain(in_call(&line)) {
        let below = text.strip_prefix(root).unwrap_or(text);
        let below = below.strip_prefix(b"/").unwrap_or(below);
        let named = if below == b"." || below.is_empty() { Ok(RelPath::root()) } else { RelPath::parse(below) };
        let Ok(path) = named else { continue };
        paths.extend(temporary(&path));
        paths.push(path);
    }
    paths
}

/// The argument in `delete_file: unlink(a) failed`.
fn in_call(line: &[u8]) -> Option<&[u8]> {
    let end = line.windows(8).rposition(|part| part == b") failed")?;
    let start = line.get(..end)?.windows(2).position(|part| part == b": ")? + 2;
    let call = line.get(start..end)?;
    let open = call.iter().position(|b| *b == b'(')?;
    call.get(open + 1..)
}

/// The name that rsync writes under `.NAME.XXXXXX` first.
fn temporary(path: &RelPath) -> Option<RelPath> {
    let name = path.name().strip_prefix(b".")?;
    let end = name.len().checked_sub(7).filter(|end| name.get(*end) == Some(&b'.'))?;
    path.parent()?.join(name.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_the_module_excludes_is_told_from_what_failed() {
        let said = "ERROR: daemon refused to receive file \"d/q\".bak\"\n\
            ERROR: daemon refused to receive directory \"n\\#012l.bak\"\n\
            *** Skipping any contents from this failed directory ***\n\
            rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]";
        let names: Vec<String> = excluded(&lines(said)).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["d/q\".bak", "n\\x0al.bak"]);
        assert!(is_of_excluded_alone(&lines(said)));
        let failed = format!("rsync: [receiver] mkstemp \".a.92ikTZ\" (in m) failed: Permission denied (13)\n{said}");
        assert!(!is_of_excluded_alone(&lines(&failed)) && !is_of_excluded_alone(&[]));
        let complaints = of_names(&lines(said), Path::new("/s"), |_| true);
        assert!(complaints.there.is_empty() && complaints.other.is_none(), "{complaints:?}");
    }

    #[test]
    fn each_refusal_is_one_clear_line() {
        let cases = [
            (
                5,
                "Password: @ERROR: auth failed on module au\nrsync error: error starting client-server protocol (code 5) at main.c(1954) [sender=3.5.0]",
            ),
            (5, "@ERROR: Unknown module 'nix'"),
            (5, "@ERROR: access denied to m from localhost (127.0.0.1)"),
            (5, "@ERROR: max connections (1) reached -- try again later"),
            (5, "@ERROR: chdir failed\nrsync error: x"),
            (1, "ERROR: module is read only\nrsync: [sender] read error: Connection reset by peer (104)"),
            (1, "rsync: on remote machine: --delete-missing-args: unknown option"),
            (1, "ERROR: The server is configured to refuse --delete"),
            (
                10,
                "rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)\nrsync error: error in socket IO (code 10)",
            ),
            (255, "ssh: connect to host web2 port 22: Connection refused\nrsync: connection unexpectedly closed"),
            (127, "bash: rsync: command not found"),
            (12, ""),
        ];
        let told: Vec<_> = cases
            .iter()
            .map(|(code, text)| {
                let failure = failure(Some(*code), &lines(text));
                format!("{}: {}", if failure.reached { "refused" } else { "not reached" }, failure.cause)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_complaint_finds_its_name() {
        let names: Vec<RelPath> = [&b"a"[..], b"d/b\nc", b"gone/f", b"l", b"d", b"q\"(x)", b"conv"]
            .into_iter()
            .map(|name| RelPath::parse(name).expect("valid"))
            .chain([RelPath::root()])
            .collect();
        let text = r#"rsync: [sender] send_files failed to open "/src/a": Permission denied (13)
rsync: [receiver] mkstemp "d/.b\#012c.veZTRa" (in m) failed: Permission denied (13)
rsync: [generator] delete_file: unlink(gone/f) failed: Permission denied (13)
rsync: [generator] symlink "l" (in m) -> "a/x" failed: Permission denied (13)
rsync: [generator] recv_generator: mkdir "/d" (in m) failed: Permission denied (13)
*** Skipping any contents from this failed directory ***
rsync: [receiver] rename "/.q"(x).abcdef" (in m) -> "q"(x)": No space left on device (28)
rsync: [generator] failed to set times on "." (in m): Operation not permitted (1)
could not make way for new regular file: conv
file has vanished: "/src/a2"
rsync: [receiver] write failed on nowhere: No space left on device (28)
rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]"#;
        let found = of_names(&lines(text), Path::new("/src"), |path| names.contains(path));
        insta::assert_debug_snapshot!(found);
    }

    proptest::proptest! {
        #[test]
        fn no_complaint_panics(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = (of_names(std::slice::from_ref(&text), Path::new("/s"), |_| true), failure(None, &[text]));
        }
    }
}
