//! The two files that rsync keeps passwords in: `--password-file` and `secrets file`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret_file::{Rule, SecretFileError, read};

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing, or others could read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file holds no password.
    #[error("{path}: holds no password; write it into the first line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The user stands there without a password.
    #[error("{path}: the password of user {user:?} is empty; write `{user}:password`")]
    NoPassword {
        /// The file.
        path: PathBuf,
        /// The user.
        user: String,
    },
}

/// The password in the file at `path`: its first line that is not empty, as rsync's
/// `--password-file` has it. Blanks belong to the password.
///
/// # Errors
/// [`SecretError`]: the file is missing, others can access it, it is not root's although root
/// reads it, or it holds nothing.
pub fn read_password_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let content = read(path, Rule::Rsync)?;
    match lines(&content).next() {
        Some(line) => Ok(Zeroizing::new(line.to_vec())),
        None => Err(SecretError::Empty { path: path.to_owned() }),
    }
}

/// The password of `user` in the `secrets file` at `path`, none when the user is not there.
///
/// Lines are `user:password`; the first one of a user counts. Lines that begin with `#` are
/// comments, with `@` they are for groups, and neither ever matches a user. With `strict`
/// (`strict modes`) the file is held to rsync's rules for its mode and owner.
///
/// # Errors
/// [`SecretError`]: the receiver's own fault, which belongs into its log; to the peer it should
/// look like a wrong password.
pub fn lookup_secret(path: &Path, user: &str, strict: bool) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
    let content = read(path, if strict { Rule::Rsync } else { Rule::Lax })?;
    match find(&content, user.as_bytes()) {
        Some(b"") => Err(SecretError::NoPassword { path: path.to_owned(), user: user.to_owned() }),
        password => Ok(password.map(|p| Zeroizing::new(p.to_vec()))),
    }
}

fn find<'a>(content: &'a [u8], user: &[u8]) -> Option<&'a [u8]> {
    if user.is_empty() || user.starts_with(b"#") || user.starts_with(b"@") || user.contains(&b':') {
        return None;
    }
    lines(content).find_map(|line| line.strip_prefix(user)?.strip_prefix(b":"))
}

/// Lines as rsync's `strtok(line, "\n\r")` cuts them, without empty ones.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|b| matches!(b, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SECRETS: &[u8] = b"# root:comment\r\n\n@admins:group\nrsync:first\nrsync:second\n\
        rsync2: with blanks \ncolon:a:b\nempty:\n#x:y\nlast:line";

    #[test]
    fn users_are_found_as_rsyncd_finds_them() {
        for (user, password) in [
            ("rsync", Some(&b"first"[..])),
            ("rsync2", Some(b" with blanks ")),
            ("colon", Some(b"a:b")),
            ("empty", Some(b"")),
            ("last", Some(b"line")),
            ("rsyn", None),
            ("root", None),
            ("# root", None),
            ("#x", None),
            ("@admins", None),
            ("admins", None),
            ("colon:a", None),
            ("", None),
        ] {
            assert_eq!(find(SECRETS, user.as_bytes()), password, "{user}");
        }
    }

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("secrets");
        std::fs::write(&path, content).expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
        (dir, path)
    }

    #[test]
    fn strict_modes_decide_whether_an_open_file_serves() {
        let (_dir, path) = file(SECRETS, 0o644);
        assert!(matches!(lookup_secret(&path, "rsync", true), Err(SecretError::File(_))));
        assert_eq!(**lookup_secret(&path, "rsync", false).expect("lax").expect("found"), *b"first");
        assert!(lookup_secret(&path, "nobody", false).expect("lax").is_none());
        assert!(matches!(lookup_secret(&path, "empty", false), Err(SecretError::NoPassword { .. })));
    }

    #[test]
    fn a_password_file_gives_its_first_line_only() {
        let (_dir, path) = file(b"\nse cret \r\nmore\n", 0o600);
        assert_eq!(**read_password_file(&path).expect("read"), *b"se cret ");
        let (_dir, path) = file(b"\n\r\n", 0o600);
        assert!(matches!(read_password_file(&path), Err(SecretError::Empty { .. })));
        let (_dir, path) = file(b"123\n", 0o604);
        assert!(matches!(read_password_file(&path), Err(SecretError::File(SecretFileError::Exposed { .. }))));
        let missing = read_password_file(Path::new("/nonexistent/rsync.pas")).expect_err("missing").to_string();
        assert!(missing.starts_with("/nonexistent/rsync.pas: cannot be read: No such file"), "{missing}");
    }
}
