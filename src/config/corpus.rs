//! Every file of the corpora is read, checked and converted: all of it in a snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use syncd_compat::{Severity, SourceText};

use super::machine::Machine;
use super::{convert, lint};

fn machine() -> Machine {
    Machine::made_of(
        0,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww:x:33:33::/:/bin/false\n",
        "root:x:0:\nnogroup:x:65534:\nwww:x:33:\n",
    )
}

/// The files of one format: those of the grammars, and those that only their meaning makes.
fn files(format: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = ["compat/tests/corpus", "tests/corpus"].map(|dir| root.join(dir).join(format));
    let entries = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort_by_key(|file| file.file_name().map(ToOwned::to_owned));
    files
}

/// What is said of a file, and what it is converted to.
fn shown(file: &Path) -> String {
    let name = file.file_name().expect("a file").to_string_lossy().into_owned();
    let bytes = fs::read(file).expect("readable");
    let findings = lint::check_alone(Path::new(&name), &bytes, &machine());
    let mut text: String = findings.iter().map(|finding| format!("[{}] {finding}\n", finding.code)).collect();
    let placeless = |code: &str| matches!(code, "config-kind" | "config-encoding");
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Error && !placeless(finding.code)) {
        assert!(finding.place.is_some(), "{finding}");
    }
    match convert::of(&[SourceText::decode(&name, &bytes)], &machine()) {
        Ok(converted) => text.push_str(&format!("-> syncd.toml\n{}", converted.text)),
        Err(why) => text.push_str(&format!("-> none: {why}\n")),
    }
    text
}

fn check(format: &str, at_least: usize) {
    let files = files(format);
    assert!(files.len() >= at_least, "only {} files of {format}", files.len());
    let snapshots = format!("../../tests/corpus/snapshots/{format}");
    insta::with_settings!({ snapshot_path => snapshots, prepend_module_to_snapshot => false }, {
        for file in files {
            let of_grammar = file.components().any(|part| part.as_os_str() == "compat");
            let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let name = if of_grammar { format!("compat-{stem}") } else { stem };
            insta::assert_snapshot!(name, shown(&file));
        }
    });
}

#[test]
fn every_confxml_is_said_of_and_converted_as_its_snapshot_has_it() {
    check("confxml", 60);
}

#[test]
fn every_rsyncd_conf_is_said_of_and_converted_as_its_snapshot_has_it() {
    check("rsyncd", 50);
}

#[test]
fn every_keepalived_conf_is_said_of_and_converted_as_its_snapshot_has_it() {
    check("keepalived", 20);
}
