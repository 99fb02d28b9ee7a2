//! sersync2's `<inotify>` switches and `<crontab>`: what travels at once, and what with a compare.

mod support;

use std::fs;
use std::path::Path;

use support::node::wait_until;
use support::pair::{Builder, EQUAL_WITHIN, TestPair};

fn content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn wait_content(path: &Path, expected: &str) {
    let there = wait_until(EQUAL_WITHIN, || content(path).as_deref() == Some(expected));
    assert!(there, "{}: {:?} instead of {expected:?}", path.display(), content(path));
}

/// A pair whose `confxml.xml` has these elements of `<inotify>` switched off.
fn without(off: &'static [&'static str]) -> Builder {
    TestPair::builder().edit_xml(move |mut xml| {
        for name in off {
            let on = format!("<{name} start=\"true\"/>");
            assert!(xml.contains(&on), "{name}");
            xml = xml.replace(&on, &format!("<{name} start=\"false\"/>"));
        }
        xml
    })
}

/// Started, and compared for the first time: what is made from now on is told by events alone.
fn compared(builder: Builder) -> TestPair {
    let pair = builder.start();
    pair.source.wait_log(0, "compared", EQUAL_WITHIN);
    pair
}

/// Waits until something that travels at once has: whatever was told before has been looked at.
fn wait_sentinel(pair: &TestPair, make: impl FnOnce(&Path)) {
    make(&pair.src().join("sentinel"));
    let there = wait_until(EQUAL_WITHIN, || fs::symlink_metadata(pair.dst().join("sentinel")).is_ok());
    assert!(there, "{}", pair.source.log());
}

fn link(path: &Path) {
    std::os::unix::fs::symlink("nowhere", path).expect("symlink");
}

fn replay(pair: &TestPair) {
    let output = pair.source.ask(&["replay"]);
    assert!(output.status.success(), "{output:?}");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn without_close_write_a_new_file_travels_and_a_rewrite_waits_for_a_compare() {
    let pair = compared(without(&["closeWrite", "modify"]));
    fs::write(pair.src().join("f"), "first").expect("write");
    wait_content(&pair.dst().join("f"), "first");
    fs::write(pair.src().join("f"), "second").expect("write");
    wait_sentinel(&pair, link);
    assert_eq!(content(&pair.dst().join("f")).as_deref(), Some("first"));
    replay(&pair);
}

#[test]
fn with_modify_alone_content_travels_once_it_is_left_alone() {
    let pair = compared(without(&["closeWrite", "createFile"]));
    fs::write(pair.src().join("empty"), "").expect("write");
    let open = fs::File::create(pair.src().join("open")).expect("create");
    std::io::Write::write_all(&mut &open, b"text").expect("write");
    wait_content(&pair.dst().join("open"), "text");
    assert_eq!(content(&pair.dst().join("empty")), None);
    drop(open);
    replay(&pair);
}

#[test]
fn without_events_of_content_only_links_modes_and_removals_travel_at_once() {
    let mut builder = without(&["closeWrite", "createFile", "modify"]);
    builder = builder.params("-aH");
    let pair = builder.build();
    fs::write(pair.src().join("known"), "old").expect("write");
    fs::write(pair.src().join("gone"), "x").expect("write");
    let mut pair = pair;
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_log(0, "compared", EQUAL_WITHIN);
    fs::write(pair.src().join("known"), "new").expect("write");
    fs::write(pair.src().join("fresh"), "x").expect("write");
    fs::remove_file(pair.src().join("gone")).expect("remove");
    wait_sentinel(&pair, link);
    let gone = wait_until(EQUAL_WITHIN, || !pair.dst().join("gone").exists());
    assert!(gone && content(&pair.dst().join("known")).as_deref() == Some("old"));
    assert_eq!(content(&pair.dst().join("fresh")), None);
    replay(&pair);
}

#[test]
fn without_create_folder_a_new_directory_and_what_is_in_it_wait_for_a_compare() {
    let pair = compared(without(&["createFolder"]));
    fs::create_dir(pair.src().join("d")).expect("mkdir");
    fs::write(pair.src().join("d/f"), "x").expect("write");
    wait_sentinel(&pair, |path| fs::write(path, "x").expect("write"));
    assert!(!pair.dst().join("d").exists());
    replay(&pair);
    fs::write(pair.src().join("d/f"), "known by now").expect("write");
    wait_content(&pair.dst().join("d/f"), "known by now");
}

#[test]
fn without_move_from_the_old_name_stays_until_a_compare() {
    let pair = compared(without(&["moveFrom"]));
    fs::write(pair.src().join("a"), "x").expect("write");
    wait_content(&pair.dst().join("a"), "x");
    fs::rename(pair.src().join("a"), pair.src().join("b")).expect("rename");
    wait_content(&pair.dst().join("b"), "x");
    assert_eq!(content(&pair.dst().join("a")).as_deref(), Some("x"));
    replay(&pair);
}

#[test]
fn without_move_to_what_is_moved_in_waits_for_a_compare() {
    let pair = compared(without(&["moveTo"]));
    let outside = pair.dir.path().join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("f"), "x").expect("write");
    fs::rename(&outside, pair.src().join("d")).expect("rename");
    wait_sentinel(&pair, |path| fs::write(path, "x").expect("write"));
    assert!(!pair.dst().join("d").exists());
    replay(&pair);
}

#[test]
fn the_schedule_compares_also_where_connections_do_not() {
    let pair = TestPair::builder().source_set("full-compare=off").source_set("compare.every=1s").start();
    fs::write(pair.src().join("f"), "ours").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    let from = pair.source.log().len();
    fs::write(pair.dst().join("stranger"), "x").expect("write");
    fs::write(pair.dst().join("f"), "theirs").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_log(from, "due by the schedule", EQUAL_WITHIN);
}

#[test]
fn what_crontabfilter_names_is_left_to_events() {
    let crontab = "<crontab start=\"true\" schedule=\"600\"><crontabfilter start=\"true\">\
        <exclude expression=\"cache/\"/><exclude expression=\"*.log\"/></crontabfilter></crontab>";
    let mut pair = TestPair::builder()
        .edit_xml(move |xml| xml.replace("<crontab start=\"false\" schedule=\"600\"></crontab>", crontab))
        .source_set("compare.every=1s")
        .build();
    let (src, dst) = (pair.src().to_owned(), pair.dst().to_owned());
    fs::create_dir_all(src.join("cache/deep")).expect("mkdir");
    fs::create_dir_all(dst.join("cache")).expect("mkdir");
    for (root, name) in [(&src, "cache/deep/a"), (&src, "cache/b"), (&src, "x.log"), (&src, "page"), (&dst, "cache/c")]
    {
        fs::write(root.join(name), "old").expect("write");
    }
    fs::write(dst.join("y.log"), "old").expect("write");
    pair.start_all();
    wait_content(&dst.join("page"), "old");
    let from = pair.source.log().len();
    pair.source.wait_log(from, "alone=", EQUAL_WITHIN);
    let left = |name: &str| content(&dst.join(name));
    assert_eq!([left("cache/deep/a"), left("cache/b"), left("x.log")], [None, None, None]);
    // An event makes it travel, with the directories that it needs.
    fs::write(src.join("cache/deep/a"), "new").expect("write");
    fs::write(src.join("x.log"), "new").expect("write");
    wait_content(&dst.join("cache/deep/a"), "new");
    wait_content(&dst.join("x.log"), "new");
    let from = pair.source.log().len();
    pair.source.wait_log(from, "alone=", EQUAL_WITHIN);
    assert_eq!(left("cache/b"), None);
    assert_eq!([left("cache/c"), left("y.log")].map(Option::unwrap_or_default), ["old", "old"]);
    fs::remove_file(src.join("x.log")).expect("remove");
    assert!(wait_until(EQUAL_WITHIN, || !dst.join("x.log").exists()), "{}", pair.source.log());
}

#[test]
fn debug_logs_each_event_and_what_is_done_about_it() {
    let debug = |xml: String| xml.replace("<debug start=\"false\"/>", "<debug start=\"true\"/>");
    let pair = compared(TestPair::builder().edit_xml(debug));
    // Empty: a file that has content when it is looked at, before its write was told, is `Found`.
    fs::write(pair.src().join("f"), "").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    for told in ["event set=\"data\" path=f what=Created", "sent set=\"data\" peer=127.0.0.1::data path=f gone=false"] {
        pair.source.wait_log(0, told, EQUAL_WITHIN);
    }
}
