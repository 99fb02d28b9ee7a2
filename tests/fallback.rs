//! A host that still runs rsyncd, or that ssh reaches, is served by the installed rsync.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::node::{Node, wait_until};
use support::pair::{Builder, EQUAL_WITHIN, TestPair};
use support::program;
use support::rsyncd::Rsyncd;
use support::skip;
use support::tree::Compare;

/// A backoff of up to ten seconds comes on top.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// A pair of which the peer's rsyncd.conf is served by a real rsyncd, and the source by `transport`.
fn pair(transport: &str) -> Builder {
    let builder = TestPair::builder().source_set(&format!("transport={transport}"));
    // chroot(2) is root's.
    let root = rustix::process::geteuid().is_root();
    if root { builder } else { builder.module_line("use chroot = no").module_line("munge symlinks = no") }
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

#[test]
fn all_names_of_a_file_arrive_as_one() {
    if !skip::have("all_names_of_a_file_arrive_as_one", "rsync") {
        return;
    }
    let compare = Compare { hard_links: true, ..Compare::archive() };
    let mut pair = pair("rsync").params("-aH").compare(compare).build();
    let _daemon = rsyncd(&pair);
    let src = pair.src().to_owned();
    fill(&src);
    fs::hard_link(src.join("d1/f1"), src.join("d2/linked")).expect("link");
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    // A name that comes before all others of its file, and one of a file that had none.
    fs::hard_link(src.join("d1/f1"), src.join("a first name")).expect("link");
    fs::hard_link(src.join("d0/f3"), src.join("d2/new")).expect("link");
    pair.wait_equal(EQUAL_WITHIN);
    fs::write(src.join("d2/linked"), "written through one of them").expect("write");
    fs::remove_file(src.join("d1/f1")).expect("remove");
    pair.wait_equal(EQUAL_WITHIN);
}

/// Waits until the target is refused or out of reach for a reason that says `cause`.
fn wait_told(pair: &TestPair, state: &str, cause: &str) {
    let said = |status: &Value| target(status)["last_error"]["cause"].as_str().is_some_and(|said| said.contains(cause));
    let told = |status: &Value| target(status)["state"] == state && said(status);
    pair.source.wait_status(EQUAL_WITHIN, cause, told);
    let logged = fs::read_to_string(pair.dir.path().join("rsync_fail_log.sh")).unwrap_or_default();
    assert!(logged.lines().any(|line| line.contains(cause)), "{logged}");
}

#[test]
fn each_refusal_is_told_and_healed() {
    if !skip::have("each_refusal_is_told_and_healed", "rsync") {
        return;
    }
    let mut pair = pair("rsync").source_password("wrong").build();
    let right = fs::read_to_string(pair.dir.path().join("rsyncd.secrets")).expect("secrets");
    let right = right.split_once(':').expect("user:password").1.to_owned();
    let good = fs::read_to_string(config(&pair)).expect("config");
    fill(pair.src());
    pair.source.start();
    wait_told(&pair, "disconnected", "Connection refused");
    let _daemon = rsyncd(&pair);
    wait_told(&pair, "refused", "unknown user or wrong password");
    // rsyncd reads its file for every connection.
    support::pair::write_secret(&pair.dir.path().join("rsync.pass"), &right);
    fs::write(config(&pair), good.replace("[data]", "[other]")).expect("config");
    wait_told(&pair, "refused", "no such module");
    fs::write(config(&pair), good.replace("read only = no", "read only = yes")).expect("config");
    wait_told(&pair, "refused", "the module is read only");
    fs::write(config(&pair), format!("{good}hosts deny = *\n")).expect("config");
    wait_told(&pair, "refused", "this host is not allowed");
    fs::write(config(&pair), format!("{good}refuse options = perms\n")).expect("config");
    wait_told(&pair, "refused", "refuse --perms");
    assert!(!pair.dst().join("d0").exists(), "nothing may have come");
    fs::write(config(&pair), good).expect("config");
    pair.wait_equal(HEALED_WITHIN);
}

#[test]
fn what_an_rsyncd_refuses_is_left_off_where_the_work_can_be_done_without() {
    let test = "what_an_rsyncd_refuses_is_left_off_where_the_work_can_be_done_without";
    if skip::have(test, "rsync") {
        // The one of these refuses what the other does not.
        ["c delete compress", "checksum delete* compress"].into_iter().for_each(work_without);
    }
}

fn work_without(refused: &str) {
    let mut pair = pair("rsync").params("-artuz").module_line(&format!("refuse options = {refused}")).build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    write(&dst.join("theirs"), "stays");
    pair.source.start();
    let arrived = || dst.join("d0/f0").exists() && dst.join("d2/f29").exists();
    assert!(wait_until(HEALED_WITHIN, arrived), "{}", pair.source.log());
    wait_idle(&pair.source);
    fs::remove_file(src.join("d0/f0")).expect("remove");
    write(&src.join("d0/new"), "new");
    assert!(wait_until(EQUAL_WITHIN, || dst.join("d0/new").exists()), "{}", pair.source.log());
    wait_idle(&pair.source);
    assert!(dst.join("theirs").exists() && dst.join("d0/f0").exists(), "something was removed");
    pair.source.restart();
    wait_idle(&pair.source);
    let log = pair.source.log();
    for (option, times) in [("--checksum", 2), ("--compress", 2), ("--delete", 2)] {
        assert_eq!(log.matches(&format!("refuses {option} ")).count(), times, "once for each start: {log}");
    }
    let verified = pair.source.ask(&["verify"]);
    assert!(!verified.status.success(), "content was not compared: {verified:?}");
}

#[test]
fn what_an_rsyncd_excludes_is_named_and_holds_up_nothing() {
    if !skip::have("what_an_rsyncd_excludes_is_named_and_holds_up_nothing", "rsync") {
        return;
    }
    let mut pair = pair("rsync").module_line("exclude = *.bak").build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    write(&src.join("before.bak"), "x");
    write(&src.join("d.bak/in"), "x");
    write(&dst.join("theirs.bak"), "stays");
    pair.source.start();
    assert!(wait_until(HEALED_WITHIN, || dst.join("d2/f29").exists()), "{}", pair.source.log());
    let named = |name: &str| {
        let name = name.to_owned();
        move |status: &Value| {
            let problems = status["sets"][0]["problems"].as_array().cloned().unwrap_or_default();
            let about =
                |p: &Value| p["path"] == name.as_str() && p["cause"].to_string().contains("rules of its module");
            problems.iter().any(about)
        }
    };
    pair.source.wait_status(EQUAL_WITHIN, "found by the compare", named("before.bak"));
    pair.source.wait_status(EQUAL_WITHIN, "what is in a directory", named("d.bak/in"));
    write(&src.join("d0/\"quoted\".bak"), "x");
    write(&src.join("d0/new"), "x");
    pair.source.wait_status(EQUAL_WITHIN, "found by an event", named("d0/\"quoted\".bak"));
    assert!(wait_until(EQUAL_WITHIN, || dst.join("d0/new").exists()), "{}", pair.source.log());
    wait_idle(&pair.source);
    let verified = pair.source.ask(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    fs::remove_file(src.join("before.bak")).expect("remove");
    write(&src.join("mark"), "x");
    assert!(wait_until(EQUAL_WITHIN, || dst.join("mark").exists()), "{}", pair.source.log());
    wait_idle(&pair.source);
    assert!(dst.join("theirs.bak").exists() && !dst.join("before.bak").exists());
}

#[test]
fn a_place_that_is_not_free_yet_is_waited_for() {
    if !skip::have("a_place_that_is_not_free_yet_is_waited_for", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    let _daemon = rsyncd(&pair);
    // Every other run comes before the one before it has ended there.
    let turn = pair.dir.path().join("turn");
    let rsync = skip::find_program("rsync").expect("rsync");
    let lines = format!(
        "if mkdir {turn} 2>/dev/null; then\n  cat > /dev/null\n  echo '@ERROR: max connections (1) reached -- try again later' >&2\n  \
         exit 5\nfi\nrmdir {turn}\nexec {rsync} \"$@\"\n",
        turn = turn.display(),
        rsync = rsync.display()
    );
    let path = fake(&pair, "rsync", &lines);
    pair.source.env("PATH", path);
    fill(pair.src());
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    assert!(!pair.source.log().contains("too many connections"), "{}", pair.source.log());
}

#[test]
fn the_retry_log_alone_converges_over_rsync() {
    if !skip::have("the_retry_log_alone_converges_over_rsync", "rsync") {
        return;
    }
    let mut pair = pair("rsync").source_set("full-compare=off").build();
    let mut daemon = rsyncd(&pair);
    let src = pair.src().to_owned();
    fill(&src);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    // Nothing may be sent to it any more: before the first send the store forgets what was acknowledged.
    pair.source.stop();
    daemon.stop();
    pair.source.start();
    let compared = pair.source.log().matches("compared").count();
    write(&src.join("new/deep/leaf"), "leaf");
    fs::remove_file(src.join("d1/f1")).expect("remove");
    fs::rename(src.join("d2"), src.join("moved")).expect("rename");
    // The same size and time, and another content: neither shows it.
    let before = fs::metadata(src.join("d0/f0")).expect("stat").modified().expect("mtime");
    fs::write(src.join("d0/f0"), "X").expect("write");
    fs::File::options().write(true).open(src.join("d0/f0")).expect("open").set_modified(before).expect("utimes");
    let names = ["new/deep/leaf", "d1/f1", "d2/f2", "moved/f2", "d0/f0"];
    let recorded = || {
        let list = pair.source.recorded();
        names.iter().all(|name| list.lines().any(|line| line.contains(name)))
    };
    assert!(wait_until(HEALED_WITHIN, recorded), "{}", pair.source.recorded());
    pair.source.kill9();
    pair.source.start();
    daemon.start_again();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    assert_eq!(pair.source.log().matches("compared").count(), compared, "a compare hid what the log is worth");
}

#[test]
fn a_file_that_outgrows_its_limit_while_it_is_pending_stays_on_the_receiver() {
    if !skip::have("a_file_that_outgrows_its_limit_while_it_is_pending_stays_on_the_receiver", "rsync") {
        return;
    }
    let mut pair = pair("rsync").params("-a --max-size=1K").source_set("full-compare=off").build();
    let mut daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    daemon.stop();
    let pending = |name: &str| {
        let listed = || text(&pair.source.ask(&["replay", "--list"])).contains(name);
        assert!(wait_until(HEALED_WITHIN, listed), "{name}: {}", pair.source.log());
    };
    write(&src.join("d0/f0"), "changed");
    pending("d0/f0");
    write(&src.join("d0/f0"), &"y".repeat(5000));
    fs::remove_file(src.join("d1/f1")).expect("remove");
    pending("d1/f1");
    write(&src.join("mark"), "whatever was done before it has been looked at");
    pending("mark");
    daemon.start_again();
    assert!(wait_until(HEALED_WITHIN, || dst.join("mark").exists() && !dst.join("d1/f1").exists()));
    wait_idle(&pair.source);
    assert_eq!(fs::read_to_string(dst.join("d0/f0")).expect("it stays"), "0");
    write(&src.join("d0/f0"), "small again");
    pair.wait_equal(HEALED_WITHIN);
}

#[test]
fn what_the_filter_leaves_alone_stays_on_the_receiver() {
    if !skip::have("what_the_filter_leaves_alone_stays_on_the_receiver", "rsync") {
        return;
    }
    let expressions =
        "<filter start=\"true\"><exclude expression=\"(.*)\\.bak\"/><exclude expression=\"^cache/*\"/></filter>";
    let mut pair =
        pair("rsync").edit_xml(move |xml| xml.replace("<filter start=\"false\"></filter>", expressions)).build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    write(&src.join("gone/deeper/file"), "x");
    write(&src.join("here.bak"), "never sent");
    let protected = ["gone/deeper/own.bak", "own.bak", "cache/a/b", "foreign/own.bak"];
    protected.iter().for_each(|name| write(&dst.join(name), "theirs"));
    write(&dst.join("foreign/file"), "goes");
    pair.source.start();
    let arrived = || dst.join("gone/deeper/file").exists() && !dst.join("foreign/file").exists();
    assert!(wait_until(HEALED_WITHIN, arrived), "{}", pair.source.log());
    wait_idle(&pair.source);
    fs::remove_dir_all(src.join("gone")).expect("remove");
    fs::remove_dir_all(src.join("d1")).expect("remove");
    let removed = || !dst.join("gone/deeper/file").exists() && !dst.join("d1").exists();
    assert!(wait_until(EQUAL_WITHIN, removed), "{}", pair.source.log());
    wait_idle(&pair.source);
    for name in protected {
        assert_eq!(fs::read_to_string(dst.join(name)).expect(name), "theirs");
    }
    assert!(!dst.join("here.bak").exists());
    let verified = pair.source.ask(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn the_delete_guard_holds_over_rsync() {
    if !skip::have("the_delete_guard_holds_over_rsync", "rsync") {
        return;
    }
    // Both directories are gone before the removal of the first one travels, however long this test pauses.
    let mut pair = pair("rsync").source_set("coalesce.gone=5s").source_set("coalesce.bound=60s").build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    ["d0", "d1"].iter().for_each(|dir| fs::remove_dir_all(src.join(dir)).expect("remove"));
    pair.source.wait_status(EQUAL_WITHIN, "halted", |status| status["sets"][0]["halted"].is_string());
    write(&src.join("d2/other"), "goes on");
    assert!(wait_until(EQUAL_WITHIN, || dst.join("d2/other").exists()), "{}", pair.source.log());
    assert!(dst.join("d0/f0").exists() && dst.join("d1/f1").exists(), "{}", pair.source.log());
    assert!(pair.source.ask(&["approve", "data"]).status.success());
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn auto_takes_rsync_until_a_syncd_answers_and_again_when_it_is_gone() {
    if !skip::have("auto_takes_rsync_until_a_syncd_answers_and_again_when_it_is_gone", "rsync") {
        return;
    }
    let mut pair = pair("auto").build();
    // TCP, and UDP of the same number.
    let _daemon = rsyncd(&pair);
    let src = pair.src().to_owned();
    fill(&src);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    let by = |transport: &'static str, proof: &'static str| {
        move |status: &Value| {
            let proven = target(status)["proof"].as_str().is_some_and(|said| said.contains(proof));
            target(status)["transport"] == transport && proven && target(status)["state"] == "idle"
        }
    };
    pair.source.wait_status(EQUAL_WITHIN, "by rsync", by("rsync", "rsync, not encrypted"));
    assert!(text(&pair.source.ask(&["status"])).contains("rsync, not encrypted"));
    pair.source.wait_log(0, "until one does", EQUAL_WITHIN);

    pair.peer().start();
    pair.source.wait_status(HEALED_WITHIN, "by QUIC", by("quic", "password"));
    pair.source.wait_log(0, "served by QUIC, encrypted, from now on", EQUAL_WITHIN);
    write(&src.join("d0/f0"), "over QUIC");
    pair.wait_equal(EQUAL_WITHIN);

    pair.peer().stop();
    write(&src.join("d0/f0"), "over rsync again");
    pair.wait_equal(HEALED_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "by rsync again", by("rsync", "rsync, not encrypted"));
}

#[test]
fn a_syncd_that_refuses_is_not_circumvented() {
    if !skip::have("a_syncd_that_refuses_is_not_circumvented", "rsync") {
        return;
    }
    let mut pair = pair("auto").source_password("wrong").build();
    let _daemon = rsyncd(&pair);
    fill(pair.src());
    pair.peer().start();
    pair.source.start();
    let refused = |status: &Value| target(status)["state"] == "refused" && target(status)["transport"] == "quic";
    pair.source.wait_status(EQUAL_WITHIN, "refused", refused);
    assert!(!pair.source.log().contains("rsync, not encrypted"), "{}", pair.source.log());
}

/// A directory to be first in PATH, in which `name` is a script with these lines.
fn fake(pair: &TestPair, name: &str, lines: &str) -> String {
    let dir = pair.dir.path().join("bin");
    fs::create_dir_all(&dir).expect("directory");
    program::script(&dir.join(name), lines);
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn nothing_unencrypted_starts_by_itself() {
    if !skip::have("nothing_unencrypted_starts_by_itself", "rsync") {
        return;
    }
    let mut pair = pair("quic").build();
    let _daemon = rsyncd(&pair);
    let called = pair.dir.path().join("called");
    let path = fake(&pair, "rsync", &format!("touch {}", called.display()));
    pair.source.env("PATH", path);
    fill(pair.src());
    pair.source.start();
    let tried = |status: &Value| status["counters"]["connect_failures"].as_u64() >= Some(4);
    pair.source.wait_status(EQUAL_WITHIN, "tried several times", tried);
    assert!(!called.exists() && !pair.dst().join("d0").exists());
}

/// Runs what it is asked to here, whatever the host.
const SSH: &str = "echo \"$@\" >> \"$0.log\"
while [ $# -gt 0 ]; do
  case \"$1\" in
    -o|-l) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
shift
exec sh -c \"$*\"
";

#[test]
fn ssh_leads_to_a_directory() {
    if !skip::have("ssh_leads_to_a_directory", "rsync") {
        return;
    }
    let mut pair = TestPair::builder()
        .edit_xml(|xml| {
            xml.replace("<ssh start=\"false\"/>", "<ssh start=\"true\"/>").replace("name=\"data\"", "name=\"@THERE@\"")
        })
        .build();
    let xml = pair.dir.path().join("confxml.xml");
    let there = pair.dir.path().join("a place $(touch spoilt) there");
    fs::create_dir(&there).expect("mkdir");
    let text_of = fs::read_to_string(&xml).expect("xml");
    fs::write(&xml, text_of.replace("@THERE@", &there.display().to_string())).expect("xml");
    let path = fake(&pair, "ssh", SSH);
    pair.source.env("PATH", path);
    let src = pair.src().to_owned();
    fill(&src);
    pair.source.start();
    let equal = || support::tree::differences(&src, &there, Compare::archive()).is_empty();
    assert!(wait_until(HEALED_WITHIN, equal), "{}", pair.source.log());
    write(&src.join("d0/f0"), "changed");
    fs::rename(src.join("d1"), src.join("e1")).expect("rename");
    assert!(wait_until(EQUAL_WITHIN, equal), "{}", pair.source.log());
    wait_idle(&pair.source);
    let status = pair.source.status();
    assert_eq!((&target(&status)["proof"], &target(&status)["transport"]), (&"rsync over ssh".into(), &"ssh".into()));
    let asked = fs::read_to_string(pair.dir.path().join("bin/ssh.log")).expect("log");
    assert!(asked.lines().all(|line| line.contains("BatchMode=yes") && line.contains("-l backuser")), "{asked}");
}

#[test]
fn one_path_that_fails_there_holds_up_no_other() {
    let test = "one_path_that_fails_there_holds_up_no_other";
    if !skip::have(test, "rsync") || !skip::am_root(test) {
        return;
    }
    let mut pair = pair("rsync").compare(Compare::content()).module_line("uid = nobody").build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    let nobody = Some(65534);
    // rsyncd drops its rights: it has to get to the module, and may not write one directory.
    for dir in dst.ancestors().take_while(|dir| *dir != std::env::temp_dir()) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    chown(&dst, nobody, nobody).expect("chown");
    fs::create_dir(dst.join("d0")).expect("mkdir");
    pair.source.start();
    assert!(wait_until(HEALED_WITHIN, || dst.join("d1/f28").exists() && dst.join("d2/f29").exists()));
    let problem = |status: &Value| {
        let problems = status["sets"][0]["problems"].as_array().cloned().unwrap_or_default();
        problems
            .iter()
            .any(|p| p["path"] == "d0/f0" && p["cause"].as_str().is_some_and(|c| c.contains("Permission denied")))
    };
    pair.source.wait_status(EQUAL_WITHIN, "named", problem);
    assert!(target(&pair.source.status())["pending"].as_u64() >= Some(10), "what failed stays in the retry log");
    chown(dst.join("d0"), nobody, nobody).expect("chown");
    pair.wait_equal(HEALED_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "healed", |status| {
        status["sets"][0]["problems"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn verify_reads_content_and_a_replay_mends_what_a_compare_sees() {
    if !skip::have("verify_reads_content_and_a_replay_mends_what_a_compare_sees", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    let _daemon = rsyncd(&pair);
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fill(&src);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_idle(&pair.source);
    let times = fs::metadata(dst.join("d0/f0")).expect("stat").modified().expect("mtime");
    fs::write(dst.join("d0/f0"), "Y").expect("write");
    fs::File::options().write(true).open(dst.join("d0/f0")).expect("open").set_modified(times).expect("utimes");
    write(&dst.join("d1/foreign\nname"), "x");
    fs::remove_file(dst.join("d2/f2")).expect("remove");
    let verified = pair.source.ask(&["verify"]);
    let shown = text(&verified);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    for line in ["d0/f0: content", "d1/foreign\\x0aname: only there", "d2/f2: missing there"] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    assert!(!dst.join("d2/f2").exists(), "verify repairs nothing");
    assert!(pair.source.ask(&["replay"]).status.success());
    let mended = || dst.join("d2/f2").exists() && !dst.join("d1/foreign\nname").exists();
    assert!(wait_until(EQUAL_WITHIN, mended), "{}", pair.source.log());
}

/// Both trees with equal sizes and times, and another content in one file.
fn differ_in_content_alone(pair: &TestPair) {
    fill(pair.src());
    fill(pair.dst());
    let (here, there) = (pair.src().join("d0/f0"), pair.dst().join("d0/f0"));
    fs::write(&there, "Y").expect("write");
    let time = fs::metadata(here).expect("stat").modified().expect("mtime");
    fs::File::options().write(true).open(there).expect("open").set_modified(time).expect("utimes");
}

fn assert_mended(pair: &TestPair) {
    wait_idle(&pair.source);
    let content = fs::read_to_string(pair.dst().join("d0/f0")).expect("there");
    assert_eq!(content, "0", "{}", pair.source.log());
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn content_alone_is_compared_until_something_was_acknowledged_whatever_start_it_is() {
    if !skip::have("content_alone_is_compared_until_something_was_acknowledged_whatever_start_it_is", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    differ_in_content_alone(&pair);
    // Its index is saved as it ends, and the host was never reached.
    pair.source.start();
    pair.source.stop();
    let _daemon = rsyncd(&pair);
    pair.source.start();
    assert_mended(&pair);
}

#[test]
fn what_only_the_content_shows_is_owed_until_it_is_sent() {
    if !skip::have("what_only_the_content_shows_is_owed_until_it_is_sent", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    let _daemon = rsyncd(&pair);
    differ_in_content_alone(&pair);
    let (refused, lifted) = (pair.dir.path().join("refused"), pair.dir.path().join("lifted"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = std::env::split_paths(&path).map(|dir| dir.join("rsync")).find(|file| file.is_file()).expect("rsync");
    // Whatever changes something comes to nothing, until it may.
    let script = format!(
        "case \"$* \" in *--dry-run*|*--version*) ;; *) test -e {} || {{ echo >> {}; exit 10; }} ;; esac\nexec {} \"$@\"",
        lifted.display(),
        refused.display(),
        real.display()
    );
    let path = fake(&pair, "rsync", &script);
    pair.source.env("PATH", path);
    pair.source.start();
    assert!(wait_until(EQUAL_WITHIN, || refused.exists()), "{}", pair.source.log());
    fs::write(&lifted, "").expect("write");
    assert_mended(&pair);
}

#[test]
fn an_rsync_that_is_missing_is_named_with_its_package() {
    let mut pair = pair("rsync").build();
    let empty = pair.dir.path().join("empty");
    fs::create_dir(&empty).expect("mkdir");
    pair.source.env("PATH", empty.as_os_str());
    pair.source.spawn();
    let status = pair.source.wait_exit(EQUAL_WITHIN);
    assert_eq!(status.code(), Some(2));
    assert!(pair.source.log().contains("install the package `rsync`"), "{}", pair.source.log());
}

#[test]
fn no_rsync_outlives_the_syncd_that_started_it() {
    if !skip::have("no_rsync_outlives_the_syncd_that_started_it", "rsync") {
        return;
    }
    let mut pair = pair("rsync").build();
    let pids = pair.dir.path().join("pids");
    let path = fake(&pair, "rsync", &format!("echo $$ >> {}\nexec sleep 1000", pids.display()));
    pair.source.env("PATH", path);
    fill(pair.src());
    // A zombie has ended, whoever waits for it.
    let runs =
        |pid: &str| fs::read_to_string(Path::new("/proc").join(pid).join("stat")).is_ok_and(|s| !s.contains(") Z "));
    for kill in [true, false] {
        pair.source.start();
        assert!(wait_until(EQUAL_WITHIN, || fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n'))));
        let pid = fs::read_to_string(&pids).expect("pids").trim().to_owned();
        assert!(runs(&pid), "{pid}");
        if kill {
            pair.source.kill9();
        } else {
            pair.source.stop();
        }
        assert!(wait_until(EQUAL_WITHIN, || !runs(&pid)), "{pid} goes on");
        fs::remove_file(&pids).expect("remove");
    }
}
