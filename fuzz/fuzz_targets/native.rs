//! syncd.toml: any bytes are a configuration of both sides or findings, and what is written of one means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd::config::{Config, Severity, fuzzing};
use syncd_compat::SourceText;
use syncd_fuzz::check_finding;

/// What a configuration means, without the name of its file.
fn meaning(config: &Config) -> String {
    format!("{:#?}", Config { file: "syncd.toml".into(), ..config.clone() })
}

/// What is written of a configuration without a fault is read back as the same, without a word.
fn check_written(config: &Config, primary: bool) {
    let Some(text) = fuzzing::written(config) else { return };
    let source = SourceText::decode("written.toml", text.as_bytes());
    let (again, findings) = fuzzing::native(&source, primary).unwrap_or_else(|why| panic!("{why:?}\n{text}"));
    assert!(!findings.iter().any(|finding| finding.severity == Severity::Error), "{findings:?}\n{text}");
    assert_eq!(meaning(&again), meaning(config), "{text}");
}

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("syncd.toml", bytes);
    for primary in [true, false] {
        match fuzzing::native(&source, primary) {
            Err(findings) => findings.iter().for_each(|finding| check_finding(&source, finding)),
            Ok((config, findings)) => {
                findings.iter().for_each(|finding| check_finding(&source, finding));
                if !findings.iter().any(|finding| finding.severity == Severity::Error) {
                    check_written(&config, primary);
                }
            }
        }
    }
});
