//! Whole files through the whole translation.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use syncd_compat::SourceText;

use super::load::{Loaded, translate};
use super::machine::Machine;
use super::overrides::{Overrides, Side};
use super::*;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn machine(euid: u32) -> Machine {
    Machine::made_of(
        euid,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        "root:x:0:\nnogroup:x:65534:\n",
    )
}

fn load_bytes(name: &str, bytes: &[u8], side: Side, euid: u32) -> Result<Loaded, ConfigError> {
    let overrides = Overrides::parse(&[], side).expect("none");
    translate(&SourceText::decode(name, bytes), &machine(euid), &overrides, side, None)
}

fn load_fixture(path: &str, side: Side) -> Result<Loaded, ConfigError> {
    let bytes = std::fs::read(project(path)).expect("fixture");
    load_bytes(path, &bytes, side, 0)
}

/// What is said and what comes of it, for a snapshot.
fn shown(result: Result<Loaded, ConfigError>) -> String {
    let lines = |findings: &[Finding]| findings.iter().map(|f| format!("{f}\n")).collect::<String>();
    match result {
        Ok(loaded) => format!("{}\n{:#?}", lines(&loaded.findings), loaded.config),
        Err(error) => lines(error.findings()),
    }
}

/// The same without the name of the file.
fn meaning(path: &str) -> String {
    let loaded = load_fixture(path, Side::Source).expect("usable");
    let rest = (loaded.config.sources, loaded.config.fail_log, loaded.config.tuning);
    let findings: Vec<_> =
        loaded.findings.into_iter().map(|f| (f.message, f.place.map(|p| (p.line, p.column)))).collect();
    format!("{rest:#?} {findings:#?}")
}

#[test]
fn every_legacy_fixture_means_what_its_snapshot_says() {
    let sources = [
        "tutorial",
        "gbk-watch",
        "lenient",
        "minimal",
        "ssh",
        "placeholders",
        "selection",
        "selection-refused",
        "broken-tag",
        "broken-comment",
    ];
    for name in sources {
        insta::assert_snapshot!(name, shown(load_fixture(&format!("tests/fixtures/legacy/{name}.xml"), Side::Source)));
    }
    for name in ["nginx", "global", "wrong", "selection", "selection-refused"] {
        let path = format!("tests/fixtures/legacy/{name}.rsyncd.conf");
        insta::assert_snapshot!(format!("rsyncd-{name}"), shown(load_fixture(&path, Side::Peer)));
    }
}

#[test]
fn who_is_not_root_writes_as_itself_whatever_the_native_file_says() {
    let text = "[[set]]\nname = \"m\"\npath = \"/m\"\nrole = \"replica\"\nuid = \"root\"\ngid = [\"root\"]\n";
    let identity = |euid| {
        let loaded = load_bytes("s.toml", text.as_bytes(), Side::Peer, euid).expect("usable");
        let said: Vec<_> = loaded.findings.iter().map(Finding::summary).collect();
        let set = loaded.config.replicas.into_iter().next().expect("a set");
        (set.uid.map(|uid| uid.id), set.gid.len(), said)
    };
    assert_eq!(identity(0), (Some(0), 1, Vec::new()));
    let said = "s.toml:5:7: warning: `uid = root` is ignored, since syncd does not run as root — start it as root, or as that user";
    assert_eq!(identity(65534), (None, 0, vec![said.to_owned()]));
}

#[test]
fn encoding_mark_and_line_ends_change_neither_meaning_nor_place() {
    let plain = meaning("tests/fixtures/legacy/tutorial.xml");
    assert_eq!(meaning("tests/fixtures/legacy/tutorial-bom.xml"), plain);
    assert_eq!(meaning("tests/fixtures/legacy/tutorial-gbk-crlf.xml"), plain);
}

#[test]
fn a_watch_path_keeps_its_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let loaded = load_fixture("tests/fixtures/legacy/gbk-watch.xml", Side::Source).expect("usable");
    assert_eq!(loaded.config.sources[0].path.as_os_str().as_bytes(), b"/srv/\xc5\xe4\xd6\xc3");
}

#[test]
fn the_examples_are_usable_and_say_the_same_in_both_languages() {
    let legacy = load_fixture("examples/nginx-pair/confxml.xml", Side::Source).expect("usable");
    let native = load_fixture("examples/native/primary.toml", Side::Source).expect("usable");
    assert!(legacy.findings.is_empty() && native.findings.is_empty(), "{:?} {:?}", legacy.findings, native.findings);
    assert_eq!(legacy.config.sources[0].targets, native.config.sources[0].targets);
    assert_eq!(legacy.config.sources[0].path, native.config.sources[0].path);
    let legacy = load_fixture("examples/nginx-pair/rsyncd.conf", Side::Peer).expect("usable");
    let native = load_fixture("examples/native/replica.toml", Side::Peer).expect("usable");
    assert!(legacy.findings.is_empty() && native.findings.is_empty(), "{:?} {:?}", legacy.findings, native.findings);
    let (one, other) = (&legacy.config.replicas[0], &native.config.replicas[0]);
    assert_eq!((&one.auth, &one.hosts_allow, &one.uid), (&other.auth, &other.hosts_allow, &other.uid));
    assert_eq!(legacy.config.node.listen, native.config.node.listen);
}

#[test]
fn a_file_of_the_wrong_kind_says_so() {
    let said = |name, text: &str, side| load_bytes(name, text.as_bytes(), side, 0).expect_err("wrong").to_string();
    let all = [
        said("rsyncd.conf", "[nginx]\npath = /x", Side::Source),
        said("confxml.xml", "<head/>", Side::Peer),
        said("keepalived.conf", "vrrp_instance VI_1 {\n}", Side::Peer),
        said("empty", "\n# nothing\n", Side::Source),
        said("x.xml", "<html></html>", Side::Source),
    ];
    insta::assert_debug_snapshot!(all);
}

#[test]
fn native_faults_have_their_place_and_the_nearest_right_key() {
    let head = "[[peer]]\nname = \"b\"\naddress = \"10.0.0.2\"\n[[set]]\nname = \"s\"\npath = \"/s\"\n";
    let said = |rest: &str| {
        let text = format!("{head}{rest}");
        load_bytes("s.toml", text.as_bytes(), Side::Source, 0).expect_err("wrong").to_string()
    };
    let all = [
        said("role = \"primary\"\nexlude = []"),
        said("role = \"follow:VI_1\""),
        said("role = \"primry\""),
        said("role = \"primary\"\napply = \"swap\"\ndelete = \"gaurded\"\npeers = [\"bb\"]"),
        said("role = \"primary\"\ncoalesce = { quiet = \"5\", bound = \"2 fortnights\" }"),
        said("role = \"primary\"\nhosts-allow = [\"10.0.0.1\"]\nexclude = [\"a[\"]\nexclude-regex = [\"*.php\"]"),
        said("role = \"primary\"\nauth = { users = [\"x\"], secrets-file = \"/x\" }"),
        said("role = \"primary\"\n[tuning]\nretry-ceiling = \"60s\"\nidle-timeout = \"0\""),
        said("role = \"replica\""),
        said("role = \"primary\"\nprofile = \"nginx\""),
        said("role = primary"),
        said("options = { compression = \"gzip\" }\nrole = \"primary\""),
        said(""),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn a_misspelt_role_hides_no_other_fault_of_its_set() {
    let text = "[[peer]]\nname = \"b\"\naddress = \"10.0.0.2\"\n[[set]]\nname = \"s\"\npath = \"/s\"\nrole = \"primry\"\n\
        delete = \"gaurded\"\npeers = [\"bb\"]\noptions = { compression = \"gzip\", max-size = \"big\" }\nhosts-allow = [\"no host\"]\n\
        exclude-regex = [\"*.php\"]\nexclude = [\"a[\"]\ncompare = { every = \"5\" }\n";
    let error = load_bytes("s.toml", text.as_bytes(), Side::Source, 0).expect_err("wrong");
    let mut lines: Vec<_> = error.findings().iter().filter_map(|f| f.place.as_ref().map(|place| place.line)).collect();
    lines.sort_unstable();
    assert_eq!(lines, [7, 8, 9, 10, 10, 11, 12, 13, 14], "{error}");
}

/// What is said of a `confxml.xml` with these filters and this `commonParams`, by line and column.
fn said(filter: &str, params: &str) -> Vec<String> {
    let text = format!(
        "<head><filter start=\"true\">{filter}</filter><sersync><localpath watch='/nowhere'><remote ip='h' name='m'/></localpath>\n<rsync><commonParams params=\"{params}\"/></rsync></sersync></head>"
    );
    let summaries = |findings: &[Finding]| findings.iter().map(Finding::summary).collect();
    match load_bytes("c.xml", text.as_bytes(), Side::Source, 0) {
        Ok(loaded) => summaries(&loaded.findings),
        Err(error) => summaries(error.findings()),
    }
}

#[test]
fn what_a_filter_cannot_be_is_said_with_its_place() {
    let found = [
        said("<exclude expression='^(?!.*?uploads).*$'/>", "-a"),
        said("", "-a --exclude-from=list -f '. /nowhere/merged' --include-from=/"),
        said("", "-a -f ': .rsync-filter' -F -f 'P x' --filter='*.bak' -f '-/ /srv'"),
        said("", "-a --exclude='a[b' -f 'hide x' -C"),
    ];
    insta::assert_debug_snapshot!(found);
}

fn loaded_with(words: &[&str]) -> Result<Config, ConfigError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let overrides = Overrides::parse(&words, Side::Source)?;
    let text = "<head><sersync><localpath watch='/w'><remote ip='h' name='m'/></localpath></sersync></head>";
    let source = SourceText::decode("c.xml", text.as_bytes());
    translate(&source, &machine(0), &overrides, Side::Source, None).map(|loaded| loaded.config)
}

#[test]
fn set_changes_what_the_file_could_not_say() {
    let words =
        ["full-compare=off", "port=9000", "coalesce.open-quiet=1s", "exclude=*.a", "exclude=/b", "hard-links=on"];
    let config = loaded_with(&words).expect("usable");
    let set = &config.sources[0];
    assert!(!set.options.full_compare && set.options.attrs.has(crate::model::Attrs::HARD_LINKS));
    assert_eq!((set.targets[0].port, set.coalesce.open_quiet.as_secs()), (9000, 1));
    assert_eq!(set.filter, [crate::filter::Rule::exclude("/b"), crate::filter::Rule::exclude("*.a")]);
}

#[test]
fn a_wrong_set_names_the_right_key_or_the_right_values() {
    let said = |word: &str| loaded_with(&[word]).expect_err("wrong").to_string();
    let all = [
        said("ful-compare=on"),
        said("full-compare"),
        said("full-compare=maybe"),
        said("scan-interval=10"),
        said("retry-ceiling=1min"),
        said("listen=0.0.0.0:1"),
        said("exclude=a["),
    ];
    insta::assert_debug_snapshot!(all);
}

#[test]
fn without_root_the_user_is_the_process_itself() {
    let text = b"[m]\npath = /srv\nread only = no\nuid = nobody\n[n]\npath = /n\nread only = no\nuid = 65534\n";
    let foreign = load_bytes("r.conf", text, Side::Peer, 1000).expect("usable");
    assert_eq!(foreign.config.replicas[0].uid, None);
    let of_user = |loaded: &Loaded| loaded.findings.iter().filter(|finding| finding.code == "rsyncd-uid").count();
    assert_eq!(of_user(&foreign), 2);
    let own = load_bytes("r.conf", text, Side::Peer, 65534).expect("usable");
    assert_eq!(of_user(&own), 0, "{:?}", own.findings);
}

#[test]
fn a_module_that_anybody_may_write_at_rsyncd_is_named() {
    let text = b"[m]\npath = /srv\nread only = no\nuid = 0\ngid = 0\n[n]\npath = /n\nuid = 0\ngid = 0\n";
    let loaded = load_bytes("r.conf", text, Side::Peer, 0).expect("usable");
    let codes: Vec<_> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["rsyncd-no-password", "rsyncd-read-only"]);
}

#[test]
fn plugins_of_one_directory_share_its_watch_and_those_of_others_have_names_of_their_own() {
    let plugin = |name: &str, path: &str| {
        format!("[[plugin]]\nname = \"{name}\"\nkind = \"socket\"\npath = \"{path}\"\naddress = \"127.0.0.1:9\"\n")
    };
    let text = [plugin("so", "/own"), plugin("so", "/own"), plugin("so", "/other")].concat();
    let loaded = load_bytes("s.toml", text.as_bytes(), Side::Source, 0).expect("usable");
    let sets: Vec<_> = loaded.config.sources.iter().map(|set| (set.name.as_str(), set.plugins.len())).collect();
    assert_eq!(sets, [("plugin-so", 2), ("plugin-so-2", 1)]);
}

#[test]
fn two_directories_never_go_to_one_set_of_one_peer() {
    let xml = "<head><sersync><localpath watch='/a'><remote ip='h' name='m'/></localpath>\
               <localpath watch='/b'><remote ip='h' name='m'/><remote ip='i' name='m'/></localpath></sersync>\
               <sersync><localpath watch='/c'><remote ip='h' name='m'/></localpath></sersync></head>";
    let loaded = load_bytes("c.xml", xml.as_bytes(), Side::Source, 0).expect("usable");
    let goes: Vec<_> = loaded
        .config
        .sources
        .iter()
        .map(|set| (set.path.display().to_string(), set.targets.iter().map(|t| t.host.as_str()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(goes, [("/a".to_owned(), vec!["h"]), ("/b".to_owned(), vec!["i"])]);
    assert_eq!(loaded.findings.iter().filter(|finding| finding.code == "remote-shared").count(), 2);
    let toml = "[[peer]]\nname = \"h\"\naddress = \"h\"\n[[set]]\nname = \"a\"\npath = \"/a\"\nrole = \"primary\"\nremote = \"m\"\n\
                [[set]]\nname = \"b\"\npath = \"/b\"\nrole = \"primary\"\nremote = \"m\"\n";
    let error = load_bytes("s.toml", toml.as_bytes(), Side::Source, 0).expect_err("refused").to_string();
    assert!(error.starts_with("s.toml:10:8: error: `h::m` receives another set already"), "{error}");
}

#[test]
fn root_writes_as_nobody_only_where_nobody_can() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let text = format!("[m]\npath = {}\nread only = no\n", dir.path().display());
    let owner = |mode| {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).expect("chmod");
        let loaded = load_bytes("r.conf", text.as_bytes(), Side::Peer, 0).expect("usable");
        let of_user = loaded.findings.iter().filter(|finding| finding.code == "rsyncd-uid").count();
        (loaded.config.replicas[0].uid.as_ref().map(|owner| owner.id), of_user)
    };
    assert_eq!(owner(0o755), (None, 1));
    assert_eq!(owner(0o777), (Some(65534), 0));
}

#[test]
fn what_is_not_there_is_found_where_the_file_names_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::create_dir(at("tree")).expect("mkdir");
    std::fs::write(at("open"), "secret\n").expect("write");
    std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let conf = |watch: &str, password: &str| {
        let text = format!(
            "<head><sersync>\n<localpath watch='{}'><remote ip='h' name='m'/></localpath>\n\
             <rsync><auth start='true' users='u' passwordfile='{}'/></rsync></sersync></head>",
            at(watch),
            at(password)
        );
        let file = dir.path().join("c.xml");
        std::fs::write(&file, text).expect("write");
        load_source(&file, &[]).expect("usable").check_local()
    };
    let said = |watch: &str, password: &str| match conf(watch, password) {
        Ok(found) => found.iter().map(Finding::summary).next().unwrap_or_else(|| "nothing".to_owned()),
        Err(error) => {
            let lines: Vec<_> = error.findings().iter().map(Finding::summary).collect();
            lines.join("\n").replace(&dir.path().display().to_string(), "DIR")
        }
    };
    insta::assert_snapshot!(
        "check",
        [said("no-dir", "no-file"), said("c.xml", "open"), said("tree", ".")].join("\n\n")
    );
    std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(said("tree", "open"), "nothing");
    std::fs::write(at("open"), "").expect("write");
    assert!(said("tree", "open").contains("is empty"));
}

#[test]
fn what_is_wanted_later_and_is_not_there_is_a_warning_and_stops_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("program"), "#!/bin/sh\n").expect("write");
    let said = |file: &str, text: &str, side: Side| {
        let loaded = load_bytes(file, text.as_bytes(), side, 0).expect("usable");
        let lines: Vec<_> = loaded.check_local().expect("no error").iter().map(Finding::summary).collect();
        lines.join("\n").replace(&dir.path().display().to_string(), "DIR")
    };
    let log = |path: &str| {
        let root = at("");
        let text = format!(
            "<head><sersync><localpath watch='{root}'><remote ip='h' name='m'/></localpath>\n<failLog path='{path}'/></sersync></head>"
        );
        said("c.xml", &text, Side::Source)
    };
    let exec = |commands: &str| {
        said("r.conf", &format!("[m]\npath = {}\nread only = no\nuid = root\n{commands}", at("")), Side::Peer)
    };
    let native =
        format!("[[set]]\nname = \"s\"\npath = \"{}\"\nrole = \"replica\"\npre-xfer-exec = \"/no/such x\"\n", at(""));
    let all = [
        log(&at("no/such.log")),
        log(&at("")),
        exec(&format!("pre-xfer exec = {} -x\npost-xfer exec = {} && true\n", at("no"), at("program"))),
        exec("post-xfer exec = no-such-program-at-all\n"),
        said("s.toml", &native, Side::Peer),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @r"
    c.xml:2:16: warning: no failure can be written into the log: there is no directory `DIR/no` — create it: mkdir -p DIR/no

    c.xml:1:34: warning: no failure can be written into the log: `DIR` is a directory — name a file

    r.conf:5:17: warning: `DIR/no`, which `pre-xfer exec` runs, is not there: no change goes live — install it, or remove the line
    r.conf:6:18: warning: `DIR/program`, which `post-xfer exec` runs, is not executable: nothing follows a change — run: chmod +x DIR/program

    r.conf:5:18: warning: `no-such-program-at-all`, which `post-xfer exec` runs, is not installed here: nothing follows a change — install it, or write its whole path

    s.toml:5:17: warning: `/no/such`, which `pre-xfer exec` runs, is not there: no change goes live — install it, or remove the line
    ");
    std::fs::set_permissions(at("program"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let usable = format!("pre-xfer exec = {} -x\npost-xfer exec = if true; then /no/such; fi\n", at("program"));
    assert_eq!(log(&at("new.log")) + &exec(&usable) + &exec("post-xfer exec = $HOOK\n"), "");
}

#[test]
fn a_number_or_size_of_common_params_that_is_none_is_named() {
    let said = |params: &str| {
        let text = format!(
            "<head><sersync><localpath watch='/w'><remote ip='h' name='m'/></localpath>\n<rsync><commonParams params=\"{params}\"/></rsync></sersync></head>"
        );
        match load_bytes("c.xml", text.as_bytes(), Side::Source, 0) {
            Ok(loaded) => loaded.findings,
            Err(error) => error.findings().to_vec(),
        }
    };
    let wrong = |params: &str| said(params).iter().filter(|f| f.code == "rsync-argument").map(|f| f.severity).next();
    let warned = "--timeout=abc --contimeout=1s --max-delete=all -B1q --modify-window=x --max-alloc=q --protocol=v --checksum-seed=s";
    for option in warned.split(' ') {
        assert_eq!(wrong(&format!("-a {option}")), Some(syncd_compat::Severity::Warning), "{option}");
    }
    for option in ["-z --compress-level=abc", "--max-size=abc", "--min-size=1q", "--bwlimit=fast", "--port=abc"] {
        assert_eq!(wrong(&format!("-a {option}")), Some(syncd_compat::Severity::Error), "{option}");
    }
    for option in
        ["--timeout=60", "--max-delete=-1", "-B8K", "--compress-level=9", "--no-timeout", "-n --out-format=abc"]
    {
        assert_eq!(wrong(&format!("-a {option}")), None, "{option}");
    }
    let empty: Vec<_> = said("").iter().map(Finding::summary).collect();
    insta::assert_debug_snapshot!(empty, @r#"
    [
        "c.xml:2:30: warning: there is neither `-r` nor `-a`, without which sersync2 mirrored no directory: all of it is mirrored — write -a for a mirror that keeps modes, owners and times too",
    ]
    "#);
}

#[test]
fn a_fault_in_a_syncd_toml_hides_no_other() {
    let text = "[node]\nlisten = 'nowhere'\nlissten = 1\n[[peer]]\nname = 'b'\naddress = 'b:0'\n[[set]]\nname = 's'\n\
                path = 5\nrole = 'primary'\nauth = {}\ndelete = 'often'\n[[set]]\nname = 't'\npath = 't'\nrole = 'both'\n\
                [tuning]\nidle-timeout = '0'\n";
    let error = load_bytes("s.toml", text.as_bytes(), Side::Peer, 0).expect_err("faulty");
    let all: Vec<_> = error.findings().iter().map(Finding::summary).collect();
    insta::assert_debug_snapshot!(all, @r#"
    [
        "s.toml:2:10: error: `nowhere` is no address to listen on: write 0.0.0.0:873 or [::]:873",
        "s.toml:3:1: error: `lissten` is no key here — did you mean `listen`?",
        "s.toml:6:11: error: `0` is no port: there are 1 to 65535",
        "s.toml:9:8: error: invalid type: integer `5`, expected a string",
        "s.toml:11:8: error: the `auth` of a primary is a user and a password file — write auth = { user = \"USER\", password-file = \"/FILE\" }",
        "s.toml:12:10: error: `often` is no policy: there are guarded, always and never",
        "s.toml:15:8: error: `t` is no absolute path — write it from `/` on",
        "s.toml:16:8: error: `both` is no role — there are \"primary\" and \"replica\"",
        "s.toml:18:16: error: it must be more than 0",
    ]
    "#);
}

#[test]
fn sets_need_names_of_their_own() {
    let dir = tempfile::tempdir().expect("tempdir");
    let set = format!("[[set]]\nname = \"s\"\npath = \"{}\"\nrole = \"replica\"\n", dir.path().display());
    let loaded = load_bytes("s.toml", set.repeat(2).as_bytes(), Side::Peer, 0).expect("usable");
    let error = check_local(&loaded.config).expect_err("twice").to_string();
    assert!(error.contains("two sets called `s`"), "{error}");
}

#[test]
fn an_unreadable_file_is_one_line() {
    let dir = tempfile::tempdir().expect("tempdir");
    let missing = load_source(&dir.path().join("no.xml"), &[]).expect_err("missing").to_string();
    assert!(missing.contains("no.xml: No such file"), "{missing}");
    let is_dir = load_peer(dir.path(), &[]).expect_err("a directory").to_string();
    assert_eq!((missing.lines().count(), is_dir.lines().count()), (1, 1));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), name in "f(\\.toml)?") {
        for side in [Side::Source, Side::Peer] {
            if let Err(error) = load_bytes(&name, &bytes, side, 0) {
                prop_assert!(error.to_string().contains("error: "));
            }
        }
    }

    #[test]
    fn no_damage_to_a_real_file_panics(cut in 0usize..3000, with in prop::sample::select(vec!["", "<", ">", "\"", "\u{0}", "[", "\\\n"])) {
        for (path, side) in [("tests/fixtures/legacy/lenient.xml", Side::Source), ("tests/fixtures/legacy/global.rsyncd.conf", Side::Peer)] {
            let mut bytes = std::fs::read(project(path)).expect("fixture");
            let at = cut % bytes.len();
            bytes.splice(at..at + 1, with.bytes());
            let _ = load_bytes(path, &bytes, side, 0);
        }
    }
}

#[test]
fn an_rsyncd_conf_brings_in_the_files_that_it_includes() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    std::fs::create_dir(dir.path().join("d")).expect("made");
    write("d/b.conf", "[b]\npath = /b\nread only = no\n");
    write("d/a.conf", "[a]\npath = /a\nread only = no\nmax connections = many\n");
    write("d/.hidden.conf", "[hidden]\npath = /h\n");
    write("d/a.conf~", "[backup]\npath = /h\n");
    let main = dir.path().join("rsyncd.conf");
    let text = format!("uid = root\n&include {}\n[c]\npath = /c\nread only = no\n", dir.path().join("d").display());
    std::fs::write(&main, &text).expect("written");
    let name = main.to_str().expect("text");
    let without = load_bytes(name, text.as_bytes(), Side::Peer, 0).expect("the others are served");
    let error = format!("{}:4:19: error: `many` is no number", dir.path().join("d/a.conf").display());
    let said: Vec<_> = without.findings.iter().map(Finding::summary).collect();
    assert!(said.iter().any(|line| line.starts_with(&error)) && without.config.replicas.len() == 2, "{said:?}");
    write("d/a.conf", "[a]\npath = /a\nread only = no\n");
    let loaded = load_bytes(name, text.as_bytes(), Side::Peer, 0).expect("usable");
    let names: Vec<_> = loaded.config.replicas.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    // What such a file names and is not there is told with its own place.
    let local = loaded.check_local().expect_err("/a is not there").to_string();
    assert!(
        local.contains(&format!("{}:2:8: error: the received directory `/a`", dir.path().join("d/a.conf").display())),
        "{local}"
    );
}

fn carriers(config: &Config) -> Vec<String> {
    let targets = config.sources.iter().flat_map(|set| &set.targets);
    targets.map(|t| format!("{} {} {:?} {:?} {:?}", t.host, t.set, t.transport, t.reach, t.auth)).collect()
}

#[test]
fn what_carries_changes_is_said_for_each_remote_and_is_quic_where_it_is_not() {
    let conf = |rest: &str| {
        let text = format!(
            "<head><sersync><localpath watch='/w'><remote ip='a' name='m'/><remote ip='b' name='/d' transport='rsync'/>\
             <remote ip='c' name='m' transport='quic'/></localpath><rsync>{rest}</rsync></sersync></head>"
        );
        load_bytes("c.xml", text.as_bytes(), Side::Source, 0).expect("usable")
    };
    let auth = "<auth start='true' users='u' passwordfile='/p'/>";
    let native = "[[peer]]\nname = \"a\"\naddress = \"10.0.0.1\"\n\
         [[peer]]\nname = \"b\"\naddress = \"10.0.0.2\"\ntransport = \"ssh\"\nuser = \"u\"\n\
         [[peer]]\nname = \"c\"\naddress = \"10.0.0.3\"\ntransport = \"auto\"\n\
         [[set]]\nname = \"s\"\npath = \"/s\"\nrole = \"primary\"\nremote = \"/there\"\n";
    let native = load_bytes("s.toml", native.as_bytes(), Side::Source, 0).expect("usable");
    let plain = conf(auth);
    let ssh = conf(&format!("<ssh start='true'/><userDefinedPort start='true' port='22'/>{auth}"));
    let said = |findings: &[Finding]| findings.iter().map(Finding::summary).collect::<Vec<_>>();
    insta::assert_debug_snapshot!([
        carriers(&plain.config),
        said(&plain.findings),
        carriers(&ssh.config),
        said(&ssh.findings),
        carriers(&native.config),
    ]);
    let overridden = carriers(&loaded_with(&["transport=auto"]).expect("usable"));
    assert_eq!(overridden, ["h m Auto Daemon Key"]);
}

#[test]
fn a_transport_that_cannot_be_is_refused_with_its_place() {
    let conf = |ssh: bool, transport: &str| {
        let text = format!(
            "<head><sersync><localpath watch='/w'>\n<remote ip='a' name='m' transport='{transport}'/></localpath>\
             <rsync><ssh start='{ssh}'/></rsync></sersync></head>"
        );
        load_bytes("c.xml", text.as_bytes(), Side::Source, 0).expect_err("wrong").to_string()
    };
    let native = "[[peer]]\nname = \"a\"\naddress = \"10.0.0.1\"\ntransport = \"scp\"\n\
         [[set]]\nname = \"s\"\npath = \"/s\"\nrole = \"primary\"\n";
    let native = load_bytes("s.toml", native.as_bytes(), Side::Source, 0).expect_err("wrong").to_string();
    let set = loaded_with(&["transport=rsh"]).expect_err("wrong").to_string();
    insta::assert_snapshot!([conf(false, "rsnyc"), conf(true, "auto"), native, set].join("\n\n"));
}

#[test]
fn events_compares_and_plugins_are_written_in_a_native_file_too() {
    let head =
        "[[peer]]\nname = \"b\"\naddress = \"10.0.0.2\"\n[[set]]\nname = \"s\"\npath = \"/s\"\nrole = \"primary\"\n";
    let load = |rest: &str| load_bytes("s.toml", format!("{head}{rest}").as_bytes(), Side::Source, 0);
    let loaded = load(
        "[set.events]\nclose-write = false\n[set.compare]\nevery = \"600min\"\nexclude = [\"cache/\"]\n\
         [[plugin]]\nname = \"hook\"\nkind = \"command\"\nset = \"s\"\ncommand = [\"/x\", \"-v\"]\ntimeout = \"1s\"\n\
         [[plugin]]\nname = \"cdn\"\nkind = \"refresh-cdn\"\npath = \"/own\"\naddress = \"cdn.example\"\nuser = \"u\"\n\
         password-file = \"/p\"\nbase = \"http://x\"\n",
    )
    .expect("usable");
    let [set, own] = &loaded.config.sources[..] else { panic!("{:#?}", loaded.config.sources) };
    assert!(!set.events.close_write && set.events.leave_something_out());
    assert_eq!(set.compare.every.map(|every| every.as_secs()), Some(36_000));
    assert_eq!((set.plugins[0].timeout.as_secs(), set.plugins.len()), (1, 1));
    assert_eq!((own.path.to_str(), own.targets.len(), own.plugins[0].name.as_str()), (Some("/own"), 0, "cdn"));
    let said = |rest: &str| load(rest).expect_err("wrong").to_string();
    let wrong = [
        said("[[plugin]]\nname = \"x\"\nkind = \"http\"\nset = \"s\"\n"),
        said("[[plugin]]\nname = \"x\"\nkind = \"command\"\nset = \"nowhere\"\ncommand = [\"/x\"]\n"),
        said("[[plugin]]\nname = \"x\"\nkind = \"socket\"\nset = \"s\"\naddress = \"localhost:1\"\n"),
        said("[[plugin]]\nname = \"x\"\nkind = \"command\"\ncommand = [\"/x\"]\n"),
        said("[set.compare]\nevery = \"0\"\n"),
    ];
    for (text, why) in wrong.iter().zip(["no kind", "no set `nowhere`", "no IP:PORT", "either `set` or", "more than 0"])
    {
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn a_remote_has_the_user_of_auth_or_of_its_address_or_the_one_that_rsync_takes() {
    let read = |remote: &str, rsync: &str| {
        let text = format!(
            "<head><sersync><localpath watch='/w'><remote ip='{remote}' name='m'/></localpath><rsync>{rsync}</rsync></sersync></head>"
        );
        load_bytes("c.xml", text.as_bytes(), Side::Source, 0).map(|loaded| {
            let target = loaded.config.sources[0].targets[0].clone();
            (target.host, target.auth, target.reach, loaded.findings.iter().map(|f| f.code).collect::<Vec<_>>())
        })
    };
    let password = |user: &str| SourceAuth::Password { user: user.to_owned(), file: "/p".into() };
    let with = |user: &str, file: &str| format!("<auth start='true' users='{user}' passwordfile='{file}'/>");
    let ssh = |user: &str| Reach::Ssh { user: Some(user.to_owned()) };
    for (remote, rsync, auth, reach, codes) in [
        ("h", with("u", "/p"), password("u"), Reach::Daemon, vec![]),
        ("v@h", with("", "/p"), password("v"), Reach::Daemon, vec![]),
        ("h", with("", "/p"), password("root"), Reach::Daemon, vec!["xml-auth"]),
        ("h", with("u", ""), SourceAuth::Key, Reach::Daemon, vec!["xml-auth"]),
        ("h", with("", ""), SourceAuth::Key, Reach::Daemon, vec!["xml-auth"]),
        ("v@h", String::new(), SourceAuth::Key, Reach::Daemon, vec!["xml-auth"]),
        ("v@h", "<ssh start='true'/>".to_owned(), SourceAuth::Key, ssh("v"), vec![]),
    ] {
        let (host, found, reached, said) = read(remote, &rsync).expect("usable");
        assert_eq!((&*host, found, reached, said), ("h", auth, reach, codes), "{remote} {rsync}");
    }
    for (remote, rsync) in
        [("v@h", with("u", "/p")), ("@h", with("", "/p")), ("-v@h", "<ssh start='true'/>".to_owned())]
    {
        let said = read(remote, &rsync).expect_err("refused").findings()[0].clone();
        assert_eq!((said.code, said.severity), ("xml-remote", Severity::Error), "{said}");
    }
}
