//! Whether a program can be run, and whether others could put another one in its place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::process::guard;

/// What was found out about a command's program; nothing speaks against one that is not looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Judgement {
    /// Why it cannot be run.
    pub(super) unusable: Option<String>,
    /// What others than root may write, and why.
    pub(super) insecure: Option<String>,
}

/// Looks at the program of `argv`, and at what that is to run.
pub(super) fn judge(argv: &[String]) -> Judgement {
    let Some(named) = argv.first() else { return Judgement::default() };
    let Some(files) = guard::involved(argv) else {
        let unusable = Some(format!("there is no program `{named}` in {}", guard::SEARCHED.join(":")));
        return Judgement { unusable, insecure: None };
    };
    let unusable = files.iter().find_map(|file| unusable(&file.path, file.runs_itself));
    let insecure = match unusable {
        Some(_) => None,
        None => files.iter().find_map(|file| guard::insecure(&file.path)),
    };
    Judgement { unusable, insecure }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

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
        let behind = judge(&argv(&["env", "/bin/sh", "-e", open.to_str().expect("text")])).insecure;
        assert_eq!(behind, Some(said));
        symlink(dir.path().join("b"), dir.path().join("a")).expect("link");
        symlink(dir.path().join("a"), dir.path().join("b")).expect("link");
        assert!(unusable(&dir.path().join("a"), true).is_some());
    }
}
