//! keepalived.conf: any bytes are a tree and findings, the same every time, with places that are in the text.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncd_compat::keepalived::{self, KeepalivedConf};
use syncd_compat::{Findings, SourceText};
use syncd_fuzz::{check_finding, check_span};

fn read(source: &SourceText) -> (KeepalivedConf, Findings) {
    let mut findings = Findings::default();
    // What it includes is the part of the file behind the last NUL: so inclusion is tried as well.
    let mut loader = |_: &Path, pattern: &str| {
        let text = source.text().rsplit('\0').next().unwrap_or("");
        Ok(vec![SourceText::decode(pattern, text.as_bytes())])
    };
    let here = keepalived::Here { id: "web1", directory: std::path::Path::new("/") };
    let conf = keepalived::read(source, here, &mut loader, &mut findings);
    (conf, findings)
}

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("keepalived.conf", bytes);
    let (conf, findings) = read(&source);
    let (again, same) = read(&source);
    assert_eq!(findings, same, "the same file must be said the same of");
    assert_eq!(format!("{:?}", conf.instances), format!("{:?}", again.instances));
    assert!(findings.len() <= Findings::MOST, "{} findings", findings.len());
    for finding in findings.iter() {
        let of = conf.sources.iter().find(|one| one.file() == finding.file).expect("a finding is about a file");
        match finding.file == source.file() {
            true => check_finding(of, finding),
            false => assert!(!finding.summary().chars().any(char::is_control)),
        }
    }
    for instance in &conf.instances {
        let written = [Some(instance.name.at), instance.priority.at, instance.vrid.as_ref().map(|vrid| vrid.at)];
        for at in written.into_iter().flatten() {
            check_span(conf.sources.get(at.file).expect("a file that was read"), at.span);
        }
        assert!(instance.vrid.as_ref().is_none_or(|vrid| vrid.value > 0));
        assert!(instance.priority.value > 0 && matches!(instance.version.value, 2 | 3));
        for address in instance.addresses.iter().chain(&instance.excluded) {
            assert!(address.prefix.value <= if address.ip.value.is_ipv4() { 32 } else { 128 });
        }
    }
});
