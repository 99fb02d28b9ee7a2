//! The main job on real directories with the real binary: every kind of change arrives, exactly.

mod support;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use support::pair::{EQUAL_WITHIN, TestPair};
use support::tree::Compare;

/// Writes a tree of a few of everything below `root`.
fn a_few_of_everything(root: &Path) {
    fs::create_dir_all(root.join("conf.d/deep/er")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for n in 0..20 {
        fs::write(root.join(format!("conf.d/{n}.conf")), format!("server {n};\n")).unwrap();
    }
    fs::write(root.join("conf.d/deep/er/leaf"), "leaf").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("large"), vec![7; 3 << 20]).unwrap();
    symlink("conf.d/1.conf", root.join("link")).unwrap();
    symlink("/does/not/exist", root.join("dangling")).unwrap();
    fs::set_permissions(root.join("conf.d/3.conf"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(root.join("empty"), Permissions::from_mode(0o750)).unwrap();
    set_mtime(&root.join("conf.d/4.conf"), 1_234_567_890, 123_456_789);
    set_mtime(&root.join("conf.d/deep"), 1_000_000_000, 1);
}

fn set_mtime(path: &Path, secs: u64, nanos: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(secs, nanos);
    File::open(path).unwrap().set_times(fs::FileTimes::new().set_modified(time)).unwrap();
}

fn sh(dir: &Path, script: &str) {
    let status = Command::new("sh").arg("-c").arg(script).current_dir(dir).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn a_first_mirror_is_exact() {
    let mut pair = TestPair::builder().build();
    a_few_of_everything(pair.src());
    fs::write(pair.dst().join("old"), "what the source does not have goes").unwrap();
    fs::create_dir(pair.dst().join("nothing")).unwrap();
    fs::write(pair.dst().join("nothing/of another type"), "").unwrap();
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn every_kind_of_change_arrives() {
    let mut pair = TestPair::builder().build();
    a_few_of_everything(pair.src());
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    let steps: [(&str, &str); 24] = [
        ("create", "echo new > created"),
        ("write in place", "echo more >> conf.d/1.conf"),
        ("overwrite", "echo other > conf.d/2.conf"),
        ("rename over", "echo fresh > .tmp && mv .tmp conf.d/3.conf"),
        ("truncate", "truncate -s 0 conf.d/4.conf"),
        ("delete", "rm conf.d/5.conf"),
        ("mkdir", "mkdir -p a/b/c && echo x > a/b/c/f"),
        ("rmdir", "rmdir empty"),
        ("rename a file", "mv conf.d/6.conf conf.d/six.conf"),
        ("rename into another directory", "mv conf.d/7.conf a/b/"),
        ("rename a directory", "mv conf.d sites.d"),
        ("swap two names", "mv sites.d/8.conf t && mv sites.d/9.conf sites.d/8.conf && mv t sites.d/9.conf"),
        ("chmod a file", "chmod 640 sites.d/10.conf"),
        ("chmod a directory", "chmod 700 a/b"),
        ("touch", "touch -d '2001-02-03 04:05:06.789012345' sites.d/11.conf"),
        ("touch a directory", "touch -d '2002-02-03 04:05:06.5' a"),
        ("symlink", "ln -s sites.d/11.conf s"),
        ("switch a symlink", "ln -sfn sites.d/12.conf s"),
        ("file becomes directory", "rm sites.d/13.conf && mkdir sites.d/13.conf && echo in > sites.d/13.conf/in"),
        ("directory becomes symlink", "rm -r a && ln -s sites.d a"),
        ("symlink becomes file", "rm s && echo file > s"),
        ("an empty file", ": > void"),
        ("sed -i", "sed -i s/server/SERVER/ sites.d/14.conf"),
        ("a large file changes", "printf changed | dd of=large bs=1 seek=1500000 conv=notrunc 2>/dev/null"),
    ];
    for (name, script) in steps {
        sh(pair.src(), script);
        println!("{name}");
        pair.wait_equal(EQUAL_WITHIN);
    }
}

#[test]
fn owner_and_group_travel() {
    if !support::skip::am_root("owner_and_group_travel") {
        return;
    }
    let pair = TestPair::start();
    fs::write(pair.src().join("mine"), "x").unwrap();
    std::os::unix::fs::chown(pair.src().join("mine"), Some(12345), Some(54321)).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(fs::metadata(pair.dst().join("mine")).unwrap().uid(), 12345);
    std::os::unix::fs::chown(pair.src().join("mine"), Some(1), Some(2)).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn hard_links_stay_links_where_asked() {
    let mut pair =
        TestPair::builder().params("-aH").compare(Compare { hard_links: true, ..Compare::archive() }).build();
    fs::write(pair.src().join("one"), "shared").unwrap();
    fs::hard_link(pair.src().join("one"), pair.src().join("two")).unwrap();
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    sh(pair.src(), "mkdir d && ln one d/three && echo more >> two");
    pair.wait_equal(EQUAL_WITHIN);
    sh(pair.src(), "rm one && echo alone > one");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn extended_attributes_travel_where_asked() {
    let pair = TestPair::builder().params("-aX").compare(Compare { xattrs: true, ..Compare::archive() }).start();
    let file = pair.src().join("attributed");
    fs::write(&file, "x").unwrap();
    rustix::fs::setxattr(&file, "user.colour", b"green", rustix::fs::XattrFlags::empty()).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    rustix::fs::setxattr(&file, "user.colour", b"blue", rustix::fs::XattrFlags::empty()).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn any_name_travels() {
    let pair = TestPair::start();
    let names: [&[u8]; 8] = [
        b"new\nline",
        b"escape\x1b[31m",
        b"not\xffutf8\xc3",
        b"-rf",
        b"$(touch PWNED)",
        b"quote\"back`tick'",
        b"*?[x]",
        &[b'n'; 255],
    ];
    for name in names {
        let path = pair.src().join(OsStr::from_bytes(name));
        fs::write(&path, "content").unwrap();
        fs::create_dir(pair.src().join(OsStr::from_bytes(&[b"d", &name[..name.len().min(254)]].concat()))).unwrap();
    }
    pair.wait_equal(EQUAL_WITHIN);
    assert!(!pair.source.log().contains('\x1b'), "a name reached the log unescaped");
    for name in names {
        fs::remove_file(pair.src().join(OsStr::from_bytes(name))).unwrap();
    }
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn directories_made_and_filled_at_once_lose_nothing() {
    let pair = TestPair::start();
    sh(pair.src(), "for i in $(seq 300); do mkdir -p $i/a/b/c && echo x > $i/a/b/c/f; done");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_file_that_is_held_open_arrives_and_goes_on() {
    let pair = TestPair::start();
    let mut log = File::create(pair.src().join("app.log")).unwrap();
    for n in 0..30 {
        writeln!(log, "line {n}").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    pair.wait_equal(EQUAL_WITHIN);
    writeln!(log, "later").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_directory_moved_in_arrives_and_one_moved_out_goes() {
    let pair = TestPair::start();
    let outside = pair.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    a_few_of_everything(&outside);
    // So many stay that what goes is no case for the delete guard.
    for n in 0..40 {
        fs::write(pair.src().join(format!("stays-{n}")), "x").unwrap();
    }
    fs::rename(&outside, pair.src().join("inside")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    sh(pair.src(), "echo late > inside/conf.d/late");
    pair.wait_equal(EQUAL_WITHIN);
    fs::rename(pair.src().join("inside/conf.d"), pair.dir.path().join("gone")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    fs::write(pair.dir.path().join("gone/unseen"), "x").unwrap();
    fs::write(pair.src().join("seen"), "x").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_first_compare_tells_what_it_removes() {
    let mut pair = TestPair::builder().build();
    fs::write(pair.src().join("here"), "x").unwrap();
    fs::create_dir(pair.dst().join("only")).unwrap();
    for name in ["only/a", "only/b", "only-c"] {
        fs::write(pair.dst().join(name), "goes").unwrap();
    }
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    let log = pair.source.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("names that are only there are removed")).collect();
    assert!(matches!(told.as_slice(), [one] if one.contains("removed=4") && one.contains("only/a")), "{log}");
    // What a compare does not remove is not told of.
    pair.source.restart();
    fs::write(pair.src().join("here"), "y").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(pair.source.log().matches("names that are only there").count(), 1);
}

#[test]
fn nothing_is_removed_where_delete_is_off() {
    let mut pair = TestPair::builder().delete(false).build();
    fs::write(pair.src().join("a"), "a").unwrap();
    fs::write(pair.src().join("b"), "b").unwrap();
    fs::write(pair.dst().join("extra"), "stays").unwrap();
    pair.start_all();
    assert!(support::node::wait_until(EQUAL_WITHIN, || pair.dst().join("b").exists()));
    fs::remove_file(pair.src().join("a")).unwrap();
    fs::rename(pair.src().join("b"), pair.src().join("c")).unwrap();
    assert!(support::node::wait_until(EQUAL_WITHIN, || pair.dst().join("c").exists()));
    for kept in ["a", "b", "extra"] {
        assert!(pair.dst().join(kept).exists(), "{kept} was removed");
    }
    // What is never to be removed waits for nobody.
    pair.source.wait_status(EQUAL_WITHIN, "idle", |status| {
        let target = &status["sets"][0]["targets"][0];
        target["state"] == "idle" && target["pending"] == 0 && target["deletions_held"] == 0
    });
}

#[test]
fn one_source_serves_several_peers_and_sets() {
    let mut pair = TestPair::builder().peers(3).sets(&["one", "two"]).build();
    a_few_of_everything(&pair.sources[0].clone());
    a_few_of_everything(&pair.sources[1].clone());
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    for root in pair.sources.clone() {
        sh(&root, "mv conf.d sites.d && rm -r sites.d/deep && echo x > new");
    }
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn temporary_names_that_live_shortly_never_travel() {
    // So long that no name outlives it on a busy machine.
    let pair = TestPair::builder().source_set("coalesce.settle=5s").start();
    fs::write(pair.src().join("f.conf"), "one").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    // A name that travelled once leaves its mark in the replica's directory: watch it.
    let mut seen = inotify::Inotify::init().unwrap();
    seen.watches().add(pair.dst(), inotify::WatchMask::CREATE | inotify::WatchMask::MOVED_TO).unwrap();
    for n in 0..50 {
        sh(pair.src(), &format!(": > 4913; rm 4913; echo {n} > .f.swp; mv .f.swp f.conf; : > probe~; rm probe~"));
    }
    pair.wait_equal(EQUAL_WITHIN);
    let mut buffer = [0; 65536];
    while let Ok(events) = seen.read_events(&mut buffer) {
        for event in events {
            let name = event.name.unwrap_or_default();
            assert!(name == "f.conf", "{name:?} travelled");
        }
    }
}
