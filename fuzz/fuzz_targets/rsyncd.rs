//! rsyncd.conf: any bytes are a tree and findings, and all of it says where in the file it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io;
use std::path::{Path, PathBuf};

use syncd_compat::rsyncd::{self, Directive, Expanded, Section};
use syncd_compat::{Findings, Severity, SourceText};
use syncd_fuzz::{check_finding, check_span};

fn check(source: &SourceText, section: &Section) {
    for parameter in section.iter() {
        check_span(source, parameter.name.span);
        check_span(source, parameter.value.span);
        assert_eq!(parameter.value.value.trim(), parameter.value.value, "blanks around a value are no part of it");
        // Of two with one name the later counts, and an empty value is none.
        if let Some(value) = section.get(parameter.known.name) {
            assert!(!value.value.is_empty());
            let _ = source.original_bytes(value);
        }
        for default in [false, true] {
            if let Err(finding) = section.boolean(source, parameter.known.name, default) {
                check_finding(source, &finding);
                assert_eq!(finding.severity, Severity::Error);
            }
        }
    }
}

/// The first part of `bytes` is the file; parts behind a NUL are the files that `&include N` names.
fn expand(bytes: &[u8], findings: &mut Findings) -> Expanded {
    let parts: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    let mut load = |path: &Path, _: Directive| {
        let number: usize = path.to_str().and_then(|name| name.parse().ok()).ok_or(io::ErrorKind::NotFound)?;
        let part = parts.get(number).ok_or(io::ErrorKind::NotFound)?;
        Ok(vec![(PathBuf::from(format!("part{number}")), part.to_vec())])
    };
    rsyncd::expand(SourceText::decode("rsyncd.conf", parts.first().unwrap_or(&bytes)), findings, &mut load)
}

fuzz_target!(|bytes: &[u8]| {
    let mut findings = Findings::default();
    let expanded = expand(bytes, &mut findings);
    let included = findings.len();
    let conf = rsyncd::read(&expanded, &mut findings);
    let mut again = Findings::default();
    assert_eq!(rsyncd::read(&expanded, &mut again), conf, "the same file must mean the same");
    let source = &expanded.source;
    // Of more than are kept, one takes the place of another.
    if findings.len() < Findings::MOST {
        assert_eq!(again[..], findings[included..]);
    }
    again.iter().for_each(|finding| check_finding(source, finding));
    check(source, &conf.global);
    for module in &conf.modules {
        check_span(source, module.name.span);
        check(source, &module.section);
    }
});
