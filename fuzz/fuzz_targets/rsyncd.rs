//! rsyncd.conf: any bytes are a tree and findings, and all of it says where in the file it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd_compat::rsyncd::{self, Section};
use syncd_compat::{Severity, SourceText};
use syncd_fuzz::{check_finding, check_span};

fn check(source: &SourceText, section: &Section) {
    for parameter in section.iter() {
        check_span(source, parameter.name.span);
        check_span(source, parameter.value.span);
        assert_eq!(parameter.value.value.trim(), parameter.value.value, "blanks around a value are no part of it");
        // Of two with one name the later counts, and an empty value is none.
        if let Some(value) = section.get(parameter.known.name) {
            assert!(!value.value.is_empty());
            let _ = source.original_bytes(&value.value);
        }
        for default in [false, true] {
            if let Err(finding) = section.boolean(source, parameter.known.name, default) {
                check_finding(source, &finding);
                assert_eq!(finding.severity, Severity::Error);
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("rsyncd.conf", bytes);
    let mut findings = Vec::new();
    let conf = rsyncd::read(&source, &mut findings);
    let mut again = Vec::new();
    assert_eq!(rsyncd::read(&source, &mut again), conf, "the same file must mean the same");
    assert_eq!(again, findings);
    findings.iter().for_each(|finding| check_finding(&source, finding));
    check(&source, &conf.global);
    for module in &conf.modules {
        check_span(&source, module.name.span);
        check(&source, &module.section);
    }
});
