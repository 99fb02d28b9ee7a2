//! Every file of tests/corpus is read, said what is said of it, and converted: all of it in a snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use syncd_compat::SourceText;

use super::convert;
use super::load::translate;
use super::machine::Machine;
use super::overrides::{Overrides, Side};
use super::{ConfigError, Finding, Severity};

fn machine() -> Machine {
    Machine::made_of(
        0,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww:x:33:33::/:/bin/false\n",
        "root:x:0:\nnogroup:x:65534:\nwww:x:33:\n",
    )
}

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut files: Vec<_> =
        fs::read_dir(dir).expect("the corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// What is said of a file, and what it is converted to.
fn shown(file: &Path, side: Side) -> String {
    let name = file.file_name().expect("a file").to_string_lossy().into_owned();
    let source = SourceText::decode(&name, &fs::read(file).expect("readable"));
    let overrides = Overrides::parse(&[], side).expect("none");
    let said = |findings: &[Finding]| {
        findings.iter().map(|finding| format!("{} {finding}\n", finding.code)).collect::<String>()
    };
    match translate(&source, &machine(), &overrides, side, None) {
        Ok(loaded) => {
            let converted = convert::of(std::slice::from_ref(&source), &machine());
            let text = converted.map_or_else(|why| why.to_string(), |converted| converted.text);
            format!("{}-> syncd.toml\n{text}", said(&loaded.findings))
        }
        Err(error) => {
            let errors = error.findings().iter().filter(|finding| finding.severity == Severity::Error);
            for finding in errors {
                // An empty file has no place that could be meant.
                assert!(finding.place.is_some() || matches!(error, ConfigError::Faulty(_)), "{finding}");
            }
            said(error.findings())
        }
    }
}

fn check(kind: &str, side: Side) {
    let files = files(kind);
    assert!(files.len() >= 30, "{}", files.len());
    insta::with_settings!({ snapshot_path => format!("../../tests/corpus/snapshots/{kind}"), prepend_module_to_snapshot => false }, {
        for file in files {
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            insta::assert_snapshot!(name, shown(&file, side));
        }
    });
}

#[test]
fn every_confxml_of_the_corpus_means_what_its_snapshot_says() {
    check("confxml", Side::Source);
}

#[test]
fn every_rsyncd_conf_of_the_corpus_means_what_its_snapshot_says() {
    check("rsyncd", Side::Peer);
}
