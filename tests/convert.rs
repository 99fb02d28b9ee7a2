//! A pair that runs by the native files that its legacy files were converted to does the same.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::node::Node;
use support::pair::{EQUAL_WITHIN, TestPair};

/// Converts a legacy file of the pair by the command.
fn convert(dir: &Path, legacy: &str) -> PathBuf {
    let native = dir.join(format!("{legacy}.toml"));
    let output = Command::new(env!("CARGO_BIN_EXE_syncd"))
        .args(["convert".as_ref(), dir.join(legacy).as_os_str(), "-o".as_ref(), native.as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(&native).unwrap();
    assert!(!text.contains("correct horse"), "a password was copied:\n{text}");
    native
}

fn check(file: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_syncd")).arg("check").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_converted_pair_mirrors_as_the_legacy_one_did() {
    let mut pair = TestPair::builder()
        .edit_xml(|xml| {
            xml.replace(
                "<filter start=\"false\"></filter>",
                "<filter start=\"true\"><exclude expression=\"(.*)\\.bak\"/></filter>",
            )
            .replace("params=\"-a\"", "params=\"-a --exclude=*.log\"")
        })
        .build();
    let before = |name: &str| fs::write(pair.src().join(name), name).unwrap();
    for name in ["a.conf", "b.bak", "c.log", "dir"] {
        before(name);
    }
    let dir = pair.dir.path().to_owned();
    pair.start_all();
    let arrived = |root: &Path| {
        let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".syncd").collect();
        names.sort();
        names
    };
    let dst = pair.dst().to_owned();
    assert!(support::node::wait_until(EQUAL_WITHIN, || arrived(&dst) == ["a.conf", "dir"]), "{:?}", arrived(&dst));
    pair.source.stop();
    pair.peer().stop();

    // From nothing, by the native files alone.
    fs::remove_file(dst.join("a.conf")).unwrap();
    let (primary, replica) = (convert(&dir, "confxml.xml"), convert(&dir, "peer0.rsyncd.conf"));
    check(&primary);
    check(&replica);
    let mut peer = Node::new("native-peer", &dir, ["peer".into(), "--config".into(), replica.into_os_string()]);
    let mut source = Node::new("native-source", &dir, ["--config".into(), primary.into_os_string()]);
    peer.start();
    source.start();
    assert!(support::node::wait_until(EQUAL_WITHIN, || arrived(&dst) == ["a.conf", "dir"]), "{:?}", arrived(&dst));
    fs::rename(pair.src().join("a.conf"), pair.src().join("new.conf")).unwrap();
    fs::write(pair.src().join("new.bak"), "x").unwrap();
    assert!(support::node::wait_until(EQUAL_WITHIN, || arrived(&dst) == ["dir", "new.conf"]), "{:?}", arrived(&dst));
    let status = source.status();
    assert!(status["sets"][0]["targets"][0]["proof"].as_str().unwrap().contains("password of backuser"), "{status:#}");
}

#[test]
fn nothing_that_is_there_is_replaced() {
    let pair = TestPair::builder().build();
    let there = pair.dir.path().join("syncd.toml");
    fs::write(&there, "mine").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_syncd"))
        .args(["convert".as_ref(), pair.dir.path().join("confxml.xml").as_os_str(), "-o".as_ref(), there.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is there already"), "{output:?}");
    assert_eq!(fs::read_to_string(there).unwrap(), "mine");
}
