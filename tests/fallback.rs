//! A host that still runs rsyncd, or that ssh reaches, is served by the installed rsync.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::node::{Node, wait_until};
use support::pair::{Builder, EQUAL_WITHIN, TestPair};
use support::rsyncd::Rsyncd;
use support::skip;
use support::tree::Compare;

/// A backoff of up to ten seconds comes on top.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// A pair of which the peer's rsyncd.conf is served by a real rsyncd, and the source by `transport`.
fn pair(transport: &str) -> Builder {
    let builder = TestPair::builder().source_set(&format!("transport={transport}"));
    // chroot(2) is root's.
    if rustix::process::geteuid().is_root() { builder } else { builder.module_line("use chroot = no") }
}

fn rsyncd(pair: &TestPair) -> Rsyncd {
    Rsyncd::start(&config(pair), pair.peers[0].addr)
}

fn config(pair: &TestPair) -> PathBuf {
    pair.dir.path().join("peer0.rsyncd.conf")
}

fn target(status: &Value) -> &Value {
    &status["sets"][0]["targets"][0]
}

fn wait_idle(node: &Node) {
    node.wait_status(HEALED_WITHIN, "idle", |status| {
        target(status)["state"] == "idle" && target(status)["pending"] == 0
    });
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(path, text).expect("write");
}

/// A tree of which much may go before a guard minds.
fn fill(root: &Path) {
    for n in 0..30 {
        write(&root.join(format!("d{}/f{n}", n % 3)), &format!("{n}"));
    }
}

/// Names that people, editors and attackers make.
const NAMES: [&[u8]; 15] = [
    b" lead",
    b"trail ",
    b"new\nline",
    b"tab\tand\rreturn",
    b"\xff\xfe no utf-8",
    b"-rf",
    b"--delete",
    b"*?[a]",
    b"#comment",
    b";comment",
    b"\\#012",
    b"host:file",
    b"rsync::module",
    b"'\"$(touch x)`touch y`",
    "日志".as_bytes(),
];

#[test]
fn a_tree_with_all_kinds_of_names_is_mirrored_and_kept_equal() {
    if !skip::have("a_tree_with_all_kinds_of_names_is_mirrored_and_kept_equal", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    let daemon = rsyncd(&pair);
    let src = pair.src().to_owned();
    fill(&src);
    for name in NAMES {
        write(&src.join(OsStr::from_bytes(name)), "at the top");
        write(&src.join("in").join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)), "deep");
    }
    symlink("nowhere", src.join("link")).expect("symlink");
    fs::set_permissions(src.join("d0/f0"), fs::Permissions::from_mode(0o4750)).expect("chmod");
    write(&pair.dst().join("foreign/file"), "goes");
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);

    // Live edits, removals, renames, another type, attributes alone.
    for name in NAMES {
        write(&src.join(OsStr::from_bytes(name)), "changed");
    }
    pair.wait_equal(EQUAL_WITHIN);
    for name in NAMES.iter().take(8) {
        fs::remove_file(src.join(OsStr::from_bytes(name))).expect("remove");
    }
    fs::rename(src.join("in"), src.join("moved")).expect("rename");
    fs::remove_dir_all(src.join("d1")).expect("remove");
    write(&src.join("d1"), "a file where a directory was");
    fs::remove_file(src.join("link")).expect("remove");
    write(&src.join("link/now"), "a directory where a link was");
    fs::set_permissions(src.join("d0/f3"), fs::Permissions::from_mode(0o600)).expect("chmod");
    pair.wait_equal(EQUAL_WITHIN);
    wait_idle(&pair.source);
    let verified = pair.source.ask(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}\n{}", daemon.log());
}
