//! keepalived.conf as a setup: any bytes are one or findings; it keeps its own bounds, and converted it is the same.
#![no_main]

use std::collections::BTreeSet;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncd::config::{Config, Vrrp, fuzzing};
use syncd::vrrp::packet::{Auth, Version};
use syncd::vrrp::setup::{Family, Instance, Setup};
use syncd_compat::{Findings, SourceText};

/// What nobody who uses a setup looks at again.
fn check(setup: &Setup) {
    let names: BTreeSet<&str> = setup.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names.len(), setup.instances.len(), "two instances of one name");
    let vrids: BTreeSet<_> =
        setup.instances.iter().map(|one| (&one.interface, one.vrid, one.family == Family::V6)).collect();
    assert_eq!(vrids.len(), setup.instances.len(), "two instances of one VRID");
    setup.instances.iter().for_each(instance);
    let mut grouped = BTreeSet::new();
    for group in &setup.groups {
        assert!(!group.members.is_empty(), "{group:?}");
        assert!(group.members.iter().all(|name| names.contains(name.as_str()) && grouped.insert(name)), "{group:?}");
    }
    let known = |list: Vec<&String>| list.into_iter().cloned().collect::<BTreeSet<String>>();
    let scripts = known(setup.scripts.iter().map(|one| &one.name).collect());
    let processes = known(setup.processes.iter().map(|one| &one.name).collect());
    let files = known(setup.files.iter().map(|one| &one.name).collect());
    for track in setup.instances.iter().map(|one| &one.track).chain(setup.groups.iter().map(|one| &one.track)) {
        assert!(track.scripts.iter().all(|one| scripts.contains(&one.name)));
        assert!(track.processes.iter().all(|one| processes.contains(&one.name)));
        assert!(track.files.iter().all(|one| files.contains(&one.name)));
    }
    assert!(setup.scripts.iter().all(|one| one.interval.as_millis() >= 10 && one.rise > 0 && one.fall > 0));
}

fn instance(one: &Instance) {
    assert!(one.vrid > 0 && one.priority > 0 && one.down_adverts > 0, "{one:?}");
    let step = if one.version == Version::V2 { 1000 } else { 10 };
    assert!(one.interval.as_millis() > 0 && one.interval.as_micros() % (step * 1000) == 0, "{one:?}");
    assert!(one.version == Version::V3 || one.family == Family::V4, "{one:?}");
    assert!(one.version == Version::V2 || one.auth == Auth::None, "{one:?}");
    assert!(one.addresses.len() <= 255 && one.addresses.iter().all(|ip| Family::of(ip.ip) == one.family), "{one:?}");
    let bits = |ip: &syncd::vrrp::setup::Address| ip.prefix <= if ip.ip.is_ipv4() { 32 } else { 128 };
    assert!(one.addresses.iter().chain(&one.excluded).all(bits), "{one:?}");
}

/// What is written of it as a `syncd.toml` is read back as the same, but for passwords.
fn check_written(mut setup: Setup) {
    setup.instances.iter_mut().for_each(|instance| instance.auth = Auth::None);
    let vrrp = Some(Vrrp { setup: setup.clone(), ..Vrrp::default() });
    let config = Config { vrrp, ..Config::of(Path::new("syncd.toml"), "host") };
    let Some(text) = fuzzing::written(&config) else { return };
    let source = SourceText::decode("written.toml", text.as_bytes());
    let read_back = fuzzing::virtual_addresses(&source).unwrap_or_else(|why| panic!("{why:#?}\n{text}"));
    assert_eq!(read_back.map(|vrrp| vrrp.setup), Some(setup), "{text}");
}

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("keepalived.conf", bytes);
    // What it includes is the part of the file behind the last NUL: so inclusion is tried as well.
    let mut loader = |_: &Path, pattern: &str| {
        let text = source.text().rsplit('\0').next().unwrap_or("");
        Ok(vec![SourceText::decode(pattern, text.as_bytes())])
    };
    let (setup, findings) = match fuzzing::keepalived(&source, &mut loader) {
        Ok((setup, findings)) => (Some(setup), findings),
        Err(findings) => (None, findings),
    };
    assert!(findings.len() <= Findings::MOST + 1, "{} findings", findings.len());
    assert!(findings.iter().all(|finding| !finding.summary().chars().any(char::is_control)));
    if let Some(setup) = setup {
        check(&setup);
        check_written(setup);
    }
});
