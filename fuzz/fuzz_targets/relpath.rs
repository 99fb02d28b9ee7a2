//! Paths: what parses stays below the root, survives being taken apart, and is safe to show.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd::model::RelPath;

/// The rules, written down a second time and more dully.
fn is_safe(bytes: &[u8]) -> bool {
    let name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && name.len() <= 255 && !name.contains(&0);
    bytes.len() <= 16 * 1024 && bytes.split(|b| *b == b'/').all(name)
}

fuzz_target!(|bytes: &[u8]| {
    let parsed = RelPath::parse(bytes);
    assert_eq!(parsed.is_ok(), is_safe(bytes), "{parsed:?}");
    let Ok(path) = parsed else { return };
    assert_eq!(path.as_bytes(), bytes);
    let parent = path.parent().expect("below the root");
    assert!(path.is_below(&parent) && path.is_within(&path) && !path.is_below(&path));
    assert_eq!(parent.join(path.name()).as_ref(), Ok(&path));
    assert_eq!(path.components().count(), path.depth());
    assert_eq!(path.components().fold(RelPath::root(), |at, name| at.join(name).expect("a name")), path);
    assert!(!path.to_string().chars().any(char::is_control));
});
