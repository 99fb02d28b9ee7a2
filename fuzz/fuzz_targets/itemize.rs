//! What rsync prints: any line is understood or none, a name that it writes comes back, and no cause drives a terminal.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncd::engine::fuzzing::{Told, complaints, told};
use syncd::model::RelPath;

/// Whether rsync would take this for a byte that it escaped itself.
fn looks_escaped(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'#', a, b, c, ..] if (b'0'..=b'3').contains(a) && [b, c].iter().all(|d| (b'0'..=b'7').contains(*d)))
}

/// A name as rsync prints it with `-8`.
fn printed(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, byte) in name.iter().enumerate() {
        if looks_escaped(&name[at..]) || *byte < b' ' || *byte == 0x7f {
            out.extend_from_slice(format!("\\#{byte:03o}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

fn check_name(name: &[u8]) {
    let Ok(path) = RelPath::parse(name) else { return };
    let file = told(&[b"#<f+++++++++#", &*printed(name)].concat());
    assert_eq!(file, Told::Item(path.clone(), false, "missing there".to_owned()));
    let gone = told(&[b"#*deleting  #", &*printed(name), b"/"].concat());
    assert_eq!(gone, Told::Item(path.clone(), true, "only there".to_owned()));
    let full = told(&[b"cannot delete non-empty directory: ", &*printed(name)].concat());
    assert_eq!(full, Told::NotEmpty(path));
}

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for line in &lines {
        check_name(line);
        for told in [told(line), told(&[b"#", &**line].concat())] {
            // A line that names the root, or something outside of it, must not be one of a file.
            if let Told::Item(path, is_dir, words) = told {
                assert!(!words.is_empty() && (is_dir || !path.is_root() || line.contains(&b'.')), "{words}");
            }
        }
    }
    let (names, causes) = complaints(&lines, Path::new("/srv/www"), |path| path.depth() < 3);
    assert!(names.len() <= lines.len() && names.iter().all(|path| path.depth() < 3));
    for cause in causes {
        assert!(!cause.chars().any(char::is_control) && cause.chars().count() <= 300, "{cause:?}");
    }
});
