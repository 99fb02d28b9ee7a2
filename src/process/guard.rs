//! What running a command comes to: which files, and whether others than root could put something else in their place.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a program is looked for that is named without a directory.
pub const SEARCHED: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Programs that run a script; a version may follow the name.
const INTERPRETERS: [(&str, Code); 10] = [
    ("sh", Code::Anywhere("c")),
    ("bash", Code::Anywhere("c")),
    ("dash", Code::Anywhere("c")),
    ("ash", Code::Anywhere("c")),
    ("ksh", Code::Anywhere("c")),
    ("python", Code::AtEnd("cm")),
    ("pypy", Code::AtEnd("cm")),
    ("perl", Code::AtEnd("eE")),
    ("ruby", Code::AtEnd("e")),
    ("php", Code::AtEnd("r")),
];

/// Programs that run another one, which follows their own options.
const WRAPPERS: [&str; 10] =
    ["env", "nice", "ionice", "timeout", "nohup", "setsid", "chrt", "stdbuf", "flock", "busybox"];

/// How many programs may stand before the one that counts.
const MOST_WRAPPERS: usize = 8;

/// How many links may stand for each other.
const MOST_LINKS: usize = 40;

/// Which letter of an option says that what follows is a program's text, and no file.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// Among others: `-ec`.
    Anywhere(&'static str),
    /// As the last one, since others take what follows them.
    AtEnd(&'static str),
}

/// A file that a command runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Involved {
    /// The file.
    pub path: PathBuf,
    /// Whether it is a program, and no script that a program reads.
    pub runs_itself: bool,
}

/// The files that `argv` runs: its program, what that is told to run, and the script of an interpreter. None where
/// there is no such program.
#[must_use]
pub fn involved(argv: &[String]) -> Option<Vec<Involved>> {
    let mut files = vec![Involved { path: locate(argv.first()?)?, runs_itself: true }];
    let mut words = argv;
    for _ in 0..MOST_WRAPPERS {
        let Some(name) = name_of(words) else { break };
        if let Some((_, code)) = INTERPRETERS.iter().find(|(known, _)| *known == name) {
            let path = words.get(1..).and_then(|words| script(words, *code));
            files.extend(path.map(|path| Involved { path, runs_itself: false }));
            break;
        }
        if !WRAPPERS.contains(&name) {
            break;
        }
        let own = own_words(name, words);
        let Some((at, path)) = words.iter().enumerate().skip(own).find_map(|(at, word)| Some((at, wrapped(word)?)))
        else {
            break;
        };
        files.push(Involved { path, runs_itself: true });
        words = words.get(at..).unwrap_or_default();
    }
    Some(files)
}

/// The name of the program, without directory and version: `python3.11` is `python`.
fn name_of(argv: &[String]) -> Option<&str> {
    let name = Path::new(argv.first()?).file_name()?.to_str()?;
    Some(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The program of this name.
#[must_use]
pub fn locate(named: &str) -> Option<PathBuf> {
    if named.contains('/') {
        return Some(from_root(named));
    }
    SEARCHED.iter().map(|dir| Path::new(dir).join(named)).find(|path| path.is_file())
}

/// Programs run in `/`.
fn from_root(named: &str) -> PathBuf {
    Path::new("/").join(named)
}

/// How many words at the beginning are the wrapper's own: its name, and a file or directory that it takes and does not
/// run.
fn own_words(name: &str, words: &[String]) -> usize {
    let is_value = |word: &String| word.starts_with('-') || word.parse::<f64>().is_ok();
    let file = match name {
        "flock" => words.iter().skip(1).position(|word| !is_value(word)).map(|at| at + 1),
        "env" => {
            let chdir = words.iter().position(|word| word == "-C" || word == "--chdir");
            let before = |at: &usize| words.iter().take(*at).skip(1).all(|word| wrapped(word).is_none());
            chdir.filter(before).map(|at| at + 1)
        }
        _ => None,
    };
    1 + file.unwrap_or(0)
}

/// The program that a word behind a wrapper is: no option, no value of one, no variable.
fn wrapped(word: &str) -> Option<PathBuf> {
    let variable = word.split('/').next().is_some_and(|first| first.contains('='));
    if variable || word.starts_with('-') { None } else { locate(word) }
}

/// The script among what follows an interpreter; none where that is text itself.
fn script(words: &[String], code: Code) -> Option<PathBuf> {
    for (n, word) in words.iter().enumerate() {
        if word == "--" {
            return words.get(n + 1).map(|word| from_root(word));
        }
        if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) {
            let text = match code {
                Code::Anywhere(any) => letters.contains(|c| any.contains(c)),
                Code::AtEnd(any) => letters.ends_with(|c| any.contains(c)) && !letters.starts_with(['M', 'I']),
            };
            if text {
                return None;
            }
        } else if word.starts_with('/') || from_root(word).is_file() {
            // Anything else is the value of an option: `-o pipefail`.
            return Some(from_root(word));
        }
    }
    None
}

/// What of the way to `path` others than root may write, or cannot be looked at: each directory, each link, what they
/// lead to, and the file.
#[must_use]
pub fn insecure(path: &Path) -> Option<String> {
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    let mut links = 0;
    while let Some(path) = pending.pop() {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let unknown = |e| format!("`{}` cannot be looked at: {e}", part.display());
            let meta = match fs::symlink_metadata(part) {
                Ok(meta) => meta,
                Err(e) => return Some(unknown(e)),
            };
            if let Some(why) = writable(&meta) {
                return Some(format!("`{}` {why}", part.display()));
            }
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Some(format!("`{}` leads through too many links", part.display()));
                }
                let target = match fs::read_link(part) {
                    Ok(target) => target,
                    Err(e) => return Some(unknown(e)),
                };
                // What stands behind the link stands behind its target.
                let rest = path.strip_prefix(part).unwrap_or(Path::new(""));
                let whole = part.parent().unwrap_or(Path::new("/")).join(target);
                pending.push(if rest.as_os_str().is_empty() { whole } else { whole.join(rest) });
            }
        }
    }
    None
}

fn writable(meta: &Metadata) -> Option<String> {
    if meta.uid() != 0 {
        return Some(format!("belongs to user {}", meta.uid()));
    }
    // The bits of a link say nothing.
    let mode = if meta.is_symlink() { 0 } else { meta.mode() };
    if mode & 0o002 != 0 {
        return Some(format!("can be written by everybody (mode {:o})", mode & 0o7777));
    }
    (mode & 0o020 != 0 && meta.gid() != 0).then(|| format!("can be written by group {}", meta.gid()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn last(line: &str) -> Option<String> {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let file = involved(&argv)?.pop()?;
        Some(format!("{}{}", if file.runs_itself { "" } else { "script " }, file.path.display()))
    }

    #[test]
    fn the_script_is_found_behind_options_and_programs_that_run_another() {
        for line in [
            "/bin/sh /s",
            "sh -e /s arg",
            "/bin/bash -eu -o pipefail /s",
            "/bin/sh -- /s",
            "env /bin/sh /s",
            "/usr/bin/env -i A=/b/c sh -x /s",
            "nice -n 5 timeout -k 3 10 sh /s /c",
            "/usr/bin/flock -n -w 5 /run/lock/check /bin/sh /s",
            "env -C /srv sh /s",
            "/opt/python3.11 -u -W error /s",
            "/usr/bin/perl -w -Mstrict /s",
        ] {
            assert_eq!(last(line).as_deref(), Some("script /s"), "{line}");
        }
        for line in ["sh -c true", "/bin/bash -ec /s", "/usr/bin/python3 -m m /s", "/usr/bin/perl -ne 1 /s"] {
            assert!(last(line).is_some_and(|path| !path.starts_with("script")), "{line}");
        }
        assert_eq!(last("env -u HOME /opt/check -x /etc/check.conf").as_deref(), Some("/opt/check"));
        assert_eq!(last("flock --nonblock /run/lock/check /opt/check").as_deref(), Some("/opt/check"));
        assert_eq!(last("env /opt/check -C /etc/check.conf").as_deref(), Some("/opt/check"));
        assert_eq!(last("/opt/check /etc/check.conf").as_deref(), Some("/opt/check"));
        assert_eq!(last("no-such-program-anywhere"), None);
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_secure() {
        assert_eq!(insecure(Path::new("/bin/sh")), None);
        let said = insecure(Path::new("/no/such/file")).expect("unknown");
        assert!(said.contains("cannot be looked at: No such file"), "{said}");
        let dir = tempfile::tempdir().expect("directory");
        symlink("/bin/sh", dir.path().join("link")).expect("link");
        assert!(insecure(&dir.path().join("link")).is_some());
    }
}
