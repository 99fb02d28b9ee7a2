//! sersync2's confxml.xml: any bytes are a tree or findings, and all of it says where in the file it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd_compat::{Findings, SourceText, confxml};
use syncd_fuzz::{check_finding, check_span};

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("confxml.xml", bytes);
    let mut findings = Findings::default();
    let read = confxml::read(&source, &mut findings);
    let mut again = Findings::default();
    assert_eq!(confxml::read(&source, &mut again), read, "the same file must mean the same");
    assert_eq!(again, findings);
    findings.iter().chain(read.as_ref().err()).for_each(|finding| check_finding(&source, finding));
    let Ok(conf) = read else { return };
    conf.filter.exclude.iter().for_each(|exclude| check_span(&source, exclude.span));
    for sersync in &conf.sersync {
        check_span(&source, sersync.span);
        for local in &sersync.localpath {
            check_span(&source, local.watch.span);
            // A root is what the file's bytes say: turning it back must not fail whatever the charset is.
            let _ = source.original_bytes(&local.watch);
            for remote in &local.remote {
                check_span(&source, remote.ip.span);
                check_span(&source, remote.name.span);
            }
        }
        sersync.rsync.auth.iter().for_each(|auth| check_span(&source, auth.span));
    }
});
