//! Whether a program can be run, and whether others could put another one in its place.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a program is looked for that is named without a directory.
const SEARCHED: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Programs of which the first argument is the one that counts.
const INTERPRETERS: [&str; 9] = ["sh", "bash", "dash", "ash", "python", "python3", "perl", "ruby", "php"];

/// How many links may stand for each other.
const MOST_LINKS: usize = 40;

/// What was found out about a command's program; nothing speaks against one that is not looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Judgement {
    /// Why it cannot be run.
    pub(super) unusable: Option<String>,
    /// What others than root may write, and why.
    pub(super) insecure: Option<String>,
}

/// Looks at the program of `argv`, and at the script that an interpreter is to run.
pub(super) fn judge(argv: &[String]) -> Judgement {
    let Some(named) = argv.first() else { return Judgement::default() };
    let program = match named.contains('/') {
        true => Some(PathBuf::from(named)),
        false => SEARCHED.iter().map(|dir| Path::new(dir).join(named)).find(|path| path.is_file()),
    };
    let Some(program) = program else {
        let unusable = Some(format!("there is no program `{named}` in {}", SEARCHED.join(":")));
        return Judgement { unusable, insecure: None };
    };
    let unusable = unusable(&program, true);
    if unusable.is_some() {
        return Judgement { unusable, insecure: None };
    }
    let mut judgement = Judgement { unusable: None, insecure: insecure(&program) };
    if let Some(script) = interpreted(&program, argv) {
        judgement.unusable = self::unusable(script, false);
        if judgement.unusable.is_none() {
            judgement.insecure = judgement.insecure.or_else(|| insecure(script));
        }
    }
    judgement
}

/// The script of `interpreter SCRIPT …`.
fn interpreted<'a>(program: &Path, argv: &'a [String]) -> Option<&'a Path> {
    let name = program.file_name()?.to_str()?;
    let first = argv.get(1).filter(|first| first.starts_with('/'))?;
    INTERPRETERS.contains(&name).then_some(Path::new(first))
}

fn unusable(program: &Path, runs_itself: bool) -> Option<String> {
    let shown = program.display();
    match fs::metadata(program) {
        Err(cause) => Some(format!("`{shown}` cannot be run: {cause}")),
        Ok(meta) if !meta.is_file() => Some(format!("`{shown}` is no file")),
        Ok(meta) if runs_itself && meta.mode() & 0o111 == 0 => {
            Some(format!("`{shown}` is not executable (mode {:o})", meta.mode() & 0o777))
        }
        Ok(_) => None,
    }
}

/// What of the way to `path` others than root may write: each directory, each link, what they lead to, and the file.
fn insecure(path: &Path) -> Option<String> {
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    let mut links = 0;
    while let Some(path) = pending.pop() {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let meta = fs::symlink_metadata(part).ok()?;
            if let Some(why) = writable(&meta) {
                return Some(format!("`{}` {why}", part.display()));
            }
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Some(format!("`{}` leads through too many links", part.display()));
                }
                let target = fs::read_link(part).ok()?;
                // What stands behind the link stands behind its target.
                let rest = path.strip_prefix(part).ok()?;
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
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn script(dir: &Path, name: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, "#!/bin/sh\n").expect("file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        path
    }

    #[test]
    fn a_program_that_is_not_there_or_not_executable_cannot_be_run() {
        let dir = tempfile::tempdir().expect("directory");
        let plain = script(dir.path(), "plain", 0o644);
        let why = |words: &[&str]| judge(&argv(words)).unusable.unwrap_or_default();
        assert!(why(&[plain.to_str().expect("text")]).ends_with("is not executable (mode 644)"));
        assert!(why(&["/no/such/file"]).contains("No such file"));
        assert!(why(&[dir.path().to_str().expect("text")]).ends_with("is no file"));
        assert!(why(&["no-such-program-anywhere"]).starts_with("there is no program"));
        assert_eq!((why(&["sh", "-c", "true"]), why(&["/bin/sh", plain.to_str().expect("text")])), Default::default());
        assert!(why(&["/bin/sh", "/no/such/file"]).contains("/no/such/file"));
    }

    #[test]
    fn whatever_others_may_write_on_the_way_is_found() {
        assert_eq!(judge(&argv(&["/bin/sh"])).insecure, None);
        // What is made here lies below a directory that everybody may write.
        let dir = tempfile::tempdir().expect("directory");
        let own = script(dir.path(), "own", 0o755);
        assert!(judge(&argv(&[own.to_str().expect("text")])).insecure.is_some());
        let open = script(dir.path(), "open", 0o757);
        let said = judge(&argv(&["/bin/sh", open.to_str().expect("text")])).insecure.expect("insecure");
        assert!(said.contains(open.to_str().expect("text")) || said.contains("belongs to user"), "{said}");
        symlink("/bin/sh", dir.path().join("link")).expect("link");
        assert!(insecure(&dir.path().join("link")).is_some());
        symlink(dir.path().join("b"), dir.path().join("a")).expect("link");
        symlink(dir.path().join("a"), dir.path().join("b")).expect("link");
        assert!(unusable(&dir.path().join("a"), true).is_some());
    }
}
