//! Exactly what sersync2 sent or ran for one change, but for what a name could break out of.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::pattern::Pattern;
use crate::model::RelPath;

/// The path of a change as plugins are told it.
pub(super) fn absolute(root: &Path, path: &RelPath) -> Vec<u8> {
    let root = root.as_os_str().as_bytes();
    [root.strip_suffix(b"/").unwrap_or(root), b"/", path.as_bytes()].concat()
}

/// The words of a command: the path is one of them, whatever its bytes are.
pub(super) fn words(before: &[String], absolute: &[u8], after: &[String]) -> Vec<OsString> {
    let path = OsString::from_vec(absolute.to_vec());
    before.iter().map(OsString::from).chain([path]).chain(after.iter().map(OsString::from)).collect()
}

/// What a cache is asked to look at again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh<'a> {
    pub(super) host: &'a str,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) base: &'a str,
    /// Makes the end of the address from the absolute path; else it is the path below the root.
    pub(super) rewrite: Option<&'a Pattern>,
}

/// The request; none where the expression does not match.
pub(super) fn refresh(of: Refresh<'_>, absolute: &[u8], path: &RelPath, is_dir: bool) -> Option<Vec<u8>> {
    let end = match of.rewrite {
        Some(pattern) => pattern.rewrite(absolute)?,
        None => [b"/", path.as_bytes()].concat(),
    };
    let (kind, slash): (&[u8], &[u8]) = if is_dir { (b"dirs", b"/") } else { (b"urls", b"") };
    let (user, password, host) = (of.user.as_bytes(), of.password.as_bytes(), of.host.as_bytes());
    Some(
        [
            &b"HEAD /index.jsp?user="[..],
            user,
            b"&pswd=",
            password,
            b"&ok=ok&",
            kind,
            b"=",
            of.base.as_bytes(),
            &escaped(&end),
            slash,
            b" HTTP/1.0\r\nHost: ",
            host,
            b"\r\n\r\n",
        ]
        .concat(),
    )
}

/// sersync2 escaped nothing. What would end the request line or begin another parameter is escaped;
/// all else stays as it was.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        if byte.is_ascii_control() || b" &#".contains(byte) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).expect("valid")
    }

    fn asked(name: &str, is_dir: bool, rewrite: Option<&Pattern>) -> Option<String> {
        let of = Refresh { host: "cdn.example", user: "u", password: "p", base: "http://pic.example/cms", rewrite };
        let absolute = absolute(Path::new("/data/site/"), &path(name));
        refresh(of, &absolute, &path(name), is_dir).map(|bytes| String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn a_refresh_is_the_request_of_sersync2() {
        let line = |rest: &str| {
            Some(format!("HEAD /index.jsp?user=u&pswd=p&ok=ok&{rest} HTTP/1.0\r\nHost: cdn.example\r\n\r\n"))
        };
        assert_eq!(asked("a/日志+%.jpg", false, None), line("urls=http://pic.example/cms/a/日志+%.jpg"));
        assert_eq!(asked("a/b", true, None), line("dirs=http://pic.example/cms/a/b/"));
        let rewrite = Pattern::anywhere("site(/[a-z]*)/images").expect("valid");
        assert_eq!(asked("x/images/1.png", false, Some(&rewrite)), line("urls=http://pic.example/cms/x/1.png"));
        assert_eq!(asked("elsewhere", false, Some(&rewrite)), None);
    }

    #[test]
    fn a_name_can_neither_end_the_request_nor_add_to_it() {
        let hostile = asked("a b&dirs=/\r\nX: y#", false, None).expect("asked");
        assert!(hostile.contains("/a%20b%26dirs=/%0D%0AX:%20y%23 HTTP/1.0\r\nHost"), "{hostile}");
    }

    #[test]
    fn a_path_is_one_word() {
        let absolute = absolute(Path::new("/srv"), &path("a b`id`$(x)\"';\n"));
        let words = words(&["/bin/sh".into(), "-x".into()], &absolute, &["end".into()]);
        assert_eq!(words, ["/bin/sh", "-x", "/srv/a b`id`$(x)\"';\n", "end"].map(OsString::from));
    }
}
