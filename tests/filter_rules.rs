//! Rules of what is left out select what the real rsync selects.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use syncd::filter::Filter;
use syncd::model::RelPath;

use support::seed::Seed;
use support::skip;

/// How many random lists of rules are tried.
const LISTS: usize = 80;

/// A small tree with names that patterns like to meet.
fn tree(root: &Path) {
    for dir in ["a/b/c", "a/a", "b/a/b", "c", "ab/ba", "x.d/a", "core", ".git/x"] {
        fs::create_dir_all(root.join(dir)).expect("mkdir");
    }
    for file in [
        "a/x.c",
        "a/b/x.c",
        "a/b/c/y.c",
        "a/b/c/b",
        "a/a/a.x",
        "b/a/b/c",
        "b/x",
        "c/a",
        "c/[a]",
        "ab/a",
        "ab/ba/ab",
        "x.d/a/x.c",
        "x.d/y",
        "x.c",
        "y.c",
        "*",
        "a b",
        "x~",
        "core/o.o",
        ".git/x/y",
        r"b/\a",
        "日志",
    ] {
        fs::write(root.join(file), "").expect("write");
    }
}

/// What rsync sends of `root` with these options, the root itself apart.
fn of_rsync(root: &Path, options: &[String]) -> BTreeSet<String> {
    let nowhere = tempfile::tempdir().expect("tempdir");
    let mut rsync = Command::new("rsync");
    rsync.args(["-n", "-a", "-8", "--out-format=%n"]).args(options).arg("./").arg(nowhere.path());
    let output = rsync.current_dir(root).env_remove("CVSIGNORE").env("HOME", nowhere.path()).output().expect("rsync");
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names");
    names.lines().map(|name| name.trim_end_matches('/').to_owned()).filter(|name| name != ".").collect()
}

/// What a set of `root` with these options in `commonParams` holds.
fn of_syncd(root: &Path, config: &Path, options: &[String]) -> BTreeSet<String> {
    let quoted: Vec<String> = options.iter().map(|option| format!("'{option}'")).collect();
    let params = quoted.join(" ").replace('&', "&amp;").replace('<', "&lt;");
    let xml = format!(
        "<head><sersync><localpath watch=\"{}\"><remote ip=\"h\" name=\"m\"/></localpath>\
         <rsync><commonParams params=\"-a {params}\"/></rsync></sersync></head>",
        root.display()
    );
    fs::write(config, xml).expect("confxml.xml");
    let loaded = syncd::config::load_source(config, &[]).expect("usable");
    let set = &loaded.config.sources[0];
    let filter = Filter::new(&set.exclude_regex, &set.filter).expect("usable");
    let mut kept = BTreeSet::new();
    walk(root, &RelPath::root(), &filter, &mut kept);
    kept
}

fn walk(dir: &Path, at: &RelPath, filter: &Filter, kept: &mut BTreeSet<String>) {
    use std::os::unix::ffi::OsStrExt;
    for entry in fs::read_dir(dir).expect("read") {
        let entry = entry.expect("entry");
        let path = at.join(entry.file_name().as_bytes()).expect("valid");
        let is_dir = entry.file_type().expect("type").is_dir();
        if !filter.excludes(&path, is_dir) {
            kept.insert(String::from_utf8(path.as_bytes().to_vec()).expect("utf-8"));
            assert!(!filter.excludes_itself(&path, is_dir));
        }
        if is_dir {
            walk(&entry.path(), &path, filter, kept);
        }
    }
}

fn compare(options: &[&str]) {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path().join("root");
    fs::create_dir(&root).expect("mkdir");
    tree(&root);
    fs::write(dir.path().join("rules"), "# of both kinds\n+ x.c\n\n; and\n- *.c\n/c\n").expect("rules");
    fs::write(dir.path().join("merged"), "+ y.c\n- *.c\nexclude /b/\n").expect("merged");
    let options: Vec<String> = options.iter().map(|o| o.replace("DIR", &dir.path().display().to_string())).collect();
    let config = dir.path().join("confxml.xml");
    assert_eq!(of_syncd(&root, &config, &options), of_rsync(&root, &options), "{options:?}");
}

#[test]
fn options_and_their_files_select_what_they_select_with_rsync() {
    if !skip::have("options_and_their_files_select_what_they_select_with_rsync", "rsync") {
        return;
    }
    for options in [
        &["--include=*.c", "--exclude=*"][..],
        &["--include=*/", "--include=*.c", "--exclude=*"],
        &["--include=a/***", "--exclude=*"],
        &["--include=/a/", "--include=/a/b/***", "--exclude=*"],
        &["--filter=+ */", "--filter=+ **/a/**", "-f", "- *"],
        &["--exclude=a", "--include=a/x.c"],
        &["--exclude=a/", "--filter=!", "--exclude=x.c"],
        &["--exclude=!", "--exclude=+ a", "--exclude=a"],
        &["--include=- a", "--exclude=b"],
        &["-C"],
        &["-C", "--include=core"],
        &["--filter=-C", "--include=x~"],
        &["--exclude-from=DIR/rules"],
        &["--include-from=DIR/rules", "--exclude=a"],
        &["--exclude-from", "../rules"],
        &["--filter=. DIR/merged"],
        &["--filter=merge,- DIR/rules", "--exclude=x"],
        &["--filter=-! */"],
        &["--filter=-,! a*", "--include=b"],
        &["--filter=hide a", "--filter=show b", "--filter=-p c"],
        &["--exclude=[[:alpha:]].c"],
        &["--exclude=[a]", "--exclude=\\[a]"],
        &["--exclude=\\a", "--exclude=\\*"],
        &["--exclude=b/a/b", "--exclude=/x.d/*/x.c"],
        &["--exclude=a**b", "--exclude=/c/**"],
        &["--exclude=日*"],
        &["--exclude=a b"],
    ] {
        compare(options);
    }
}

#[test]
fn random_rules_select_what_they_select_with_rsync() {
    let test = "random_rules_select_what_they_select_with_rsync";
    if !skip::have(test, "rsync") {
        return;
    }
    let (_, mut seed) = Seed::from_env(test);
    let parts =
        ["a", "b", "c", "ab", "x.c", "*", "*", "**", "***", "?", "[ab]", "[!a]", "*.c", "x*", "/", "/", "/", ".git"];
    for _ in 0..LISTS {
        let mut options = Vec::new();
        for _ in 0..=seed.below(4) {
            let pattern: String = (0..=seed.below(5)).filter_map(|_| seed.pick(&parts).copied()).collect();
            // rsync counts slashes that stand together, which match no name, in a way of its own.
            let pattern = pattern.replace("//", "/").replace("//", "/");
            if pattern == "/" {
                continue;
            }
            let kinds = ["--exclude=", "--exclude=", "--include=", "--filter=- ", "--filter=+ ", "--filter=-! "];
            options.push(format!("{}{pattern}", seed.pick(&kinds).copied().unwrap_or_default()));
        }
        compare(&options.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
