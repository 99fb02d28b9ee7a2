//! What is converted means the same as what it was made of, and nothing is lost in silence.

use super::*;
use crate::config::model::{CdnPassword, NodeConfig, PluginAction, ReplicaAuth};

fn machine() -> Machine {
    Machine::made_of(
        0,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww:x:33:33::/:/bin/false\n",
        "root:x:0:\nnogroup:x:65534:\nwww:x:33:\n",
    )
}

fn source(name: &str, text: impl AsRef<[u8]>) -> SourceText {
    SourceText::decode(name, text.as_ref())
}

/// What a configuration means, without the file that it came from and what is said of it.
fn meaning(source: &SourceText, side: Side) -> Option<String> {
    let Config { file: _, node, mut sources, mut replicas, trust_first_use, fail_log, tuning, vrrp } =
        translated(source, &machine(), side).ok()?.config;
    for plugin in sources.iter_mut().flat_map(|set| &mut set.plugins) {
        if let PluginAction::RefreshCdn { password, .. } = &mut plugin.action {
            *password = CdnPassword::File("/cdn.password".into());
        }
    }
    for set in &mut replicas {
        // Where nobody may write, it does not matter who.
        if matches!(&set.auth, ReplicaAuth::Password { users, .. } if users.is_empty()) {
            set.auth = ReplicaAuth::Key;
        }
    }
    let NodeConfig { name, listen, debug, pid_file } = node;
    Some(format!(
        "{name} {listen:?} {debug} {pid_file:?} {trust_first_use} {fail_log:#?} {tuning:#?} {sources:#?} {replicas:#?} {vrrp:#?}"
    ))
}

/// Converts and reads back; both have to mean the same.
fn round(legacy: &SourceText, side: Side) -> Option<String> {
    let before = meaning(legacy, side)?;
    let text = of(std::slice::from_ref(legacy), &machine()).expect("convertible").text;
    let native = source("syncd.toml", &text);
    let after = translated(&native, &machine(), side).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(after.findings.iter().map(Finding::summary).collect::<Vec<_>>(), Vec::<String>::new(), "{text}");
    assert_eq!(meaning(&native, side).expect("readable"), before, "{text}");
    Some(text)
}

fn legacy_files(below: &str) -> Vec<PathBuf> {
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(below)];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn every_legacy_file_that_can_be_used_means_the_same_once_it_is_converted() {
    let mut converted = 0;
    for file in legacy_files("tests/fixtures/legacy") {
        let source = SourceText::decode(&file, &std::fs::read(&file).expect("readable"));
        let side = match kind::of(&source) {
            Some(Kind::ConfXml) => Side::Source,
            Some(Kind::Rsyncd) => Side::Peer,
            _ => continue,
        };
        // One names a directory in GBK, which TOML cannot hold.
        let text_only = file.file_name().is_some_and(|name| name != "gbk-watch.xml");
        converted += usize::from(text_only && round(&source, side).is_some());
    }
    assert!(converted >= 5, "{converted}");
}

/// Converts and reads back; both have to mean the same, but for passwords, which are not copied.
fn round_of_addresses(legacy: &SourceText) -> bool {
    let host = vrrp::Host::of(machine().into_any());
    let Ok((mut setup, _)) = vrrp::read(legacy, &host, &mut |_, _| Ok(Vec::new())) else { return false };
    let text = of(std::slice::from_ref(legacy), &machine().into_any()).expect("convertible").text;
    let secrets = setup.instances.iter().filter(|instance| instance.auth != Auth::None).count();
    setup.instances.iter_mut().for_each(|instance| instance.auth = Auth::None);
    // Of a native file it is always in force, once it is looked at on the machine.
    setup.script_security = false;
    let native = source("syncd.toml", &text);
    let after = load::virtual_addresses(&native, &machine()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let Vrrp { setup: read_back, passwords } = after.config.vrrp.expect("virtual addresses");
    assert_eq!((read_back, passwords.len()), (setup, secrets), "{text}");
    true
}

#[test]
fn every_keepalived_conf_that_can_be_used_means_the_same_once_it_is_converted() {
    let mut converted = 0;
    for below in ["tests/fixtures/legacy", "compat/tests/corpus/keepalived"] {
        for file in legacy_files(below) {
            let source = SourceText::decode(&file, &std::fs::read(&file).expect("readable"));
            converted += usize::from(kind::of(&source) == Some(Kind::Keepalived) && round_of_addresses(&source));
        }
    }
    assert!(converted >= 15, "{converted}");
    let pipe = "global_defs {\nvrrp_notify_fifo /run/p root root\n}\nvrrp_instance V {\ninterface eth0\nvirtual_router_id 7\n\
        virtual_ipaddress {\n10.0.0.1\n}\n}\n";
    assert!(round_of_addresses(&source("k.conf", pipe)));
    let quoted = r#"vrrp_instance V {
interface eth0
virtual_router_id 7
virtual_ipaddress {
fe80::1/64
fe80::1/64
}
notify '/x/n "a b" \\'c \\" $d `e` \t \cA \\\\' nobody nogroup
notify_master /x/n.sh root
}
vrrp_instance W {
interface eth1
virtual_router_id 7
virtual_ipaddress {
fe80::1/64
}
}
vrrp_sync_group G {
group {
V
}
notify "/x/n \"a b\" ''"
}
"#;
    assert!(round_of_addresses(&source("k.conf", quoted)));
}

#[test]
fn a_plugin_is_converted_with_the_directory_that_it_has_for_itself() {
    let xml = |plugin: &str, block: &str| {
        let text = format!(
            "<head><filter start=\"true\"><exclude expression=\"(.*)~\"/></filter><inotify><moveTo start=\"false\"/></inotify>\
             <sersync><localpath watch=\"/srv\"><remote ip=\"h\" name=\"m\"/></localpath>\
             <plugin start=\"true\" name=\"{plugin}\"/></sersync><plugin name=\"{plugin}\">{block}</plugin></head>"
        );
        source("conf.xml", text)
    };
    let socket = "<localpath watch=\"/own\"><deshost ip=\"127.0.0.1\" port=\"8009\"/></localpath>";
    let text = round(&xml("socket", socket), Side::Source).expect("usable");
    assert!(text.contains("peers = []") && text.contains("set = \"plugin-socket\""), "{text}");
    let command = "<param prefix=\"/bin/sh -c 'echo $0'\" suffix=\"end\"/>";
    round(&xml("command", command), Side::Source).expect("usable");

    let cdn = "<localpath><cdninfo domainname=\"cdn.example\" username=\"u\" passwd=\"geheim\"/>\
               <sendurl base=\"http://pic.example\"/><regexurl regex=\"true\" match=\"a(b)c\"/></localpath>";
    let Converted { text, left } = of(&[xml("refreshCDN", cdn)], &machine()).expect("convertible");
    assert!(!text.contains("geheim") && text.contains("password-file") && left > 0, "{text}");
    let native = meaning(&source("syncd.toml", &text), Side::Source).expect("readable");
    assert!(native.contains("RefreshCdn") && native.contains("a(b)c"), "{native}");
}

#[test]
fn one_file_is_made_of_both_sides_and_what_is_left_is_listed() {
    let xml = source(
        "conf.xml",
        "<head version=\"2.5\">\n<host hostip=\"localhost\" port=\"8008\"/>\n<inotify><delete start=\"false\"/></inotify>\n<sersync>\n\
         <localpath watch=\"/srv/www/\"><remote ip=\"10.0.0.2\" name=\"www\"/><remote ip=\"10.0.0.3\" name=\"web\"/></localpath>\n\
         <rsync><commonParams params=\"-artuz --exclude='*.log'\"/><auth start=\"true\" users=\"u\" passwordfile=\"/etc/rsync.pas\"/>\n\
         <userDefinedPort start=\"true\" port=\"874\"/></rsync>\n<failLog path=\"/tmp/fail.sh\" timeToExecute=\"60\"/>\n</sersync></head>\n",
    );
    let rsyncd = source(
        "rsyncd.conf",
        "uid = www\ngid = www\nmotd file = /etc/motd\nport = 874\n[back]\npath = /srv/back\nread only = no\nauth users = u\n\
         secrets file = /etc/rsyncd.secrets\nhosts allow = 10.0.0.0/8 192.168.1.1\nlock file = /run/rsync.lock\nfoo = bar\n",
    );
    let keepalived = source(
        "keepalived.conf",
        "! c\nglobal_defs {\n  enable_snmp_rfc\n}\nvrrp_instance VI_1 {\n  state BACKUP\n  interface eth0\n  virtual_router_id 7\n  authentication {\n    auth_type PASS\n    auth_pass geheim\n  }\n  virtual_ipaddress { 10.0.0.9/24 dev eth0 label eth0:1 }\n}\n",
    );
    let Converted { text, left } = of(&[xml, rsyncd, keepalived], &machine()).expect("convertible");
    assert!(!text.contains("geheim"), "a password was copied");
    assert_eq!(text.lines().skip_while(|line| !line.contains("not carried over")).count(), left + 1);
    insta::assert_snapshot!(text);
    let native = source("syncd.toml", &text);
    for side in [Side::Source, Side::Peer] {
        assert!(meaning(&native, side).is_some(), "{text}");
    }
}

#[test]
fn a_group_that_is_not_on_this_machine_is_not_written_for_the_one_that_is() {
    let writable = std::env::temp_dir();
    for owner in
        ["uid = nobody", "", "gid = nobody", "uid = nobody\ngid = nobody", "uid = 7\ngid = nogroup", "gid = 33 nobody"]
    {
        let module = format!("[m]\npath = {}\nread only = no\n{owner}\n", writable.display());
        let legacy = source("rsyncd.conf", module);
        let text = of(std::slice::from_ref(&legacy), &machine().into_any()).expect("convertible").text;
        let native = meaning(&source("syncd.toml", &text), Side::Peer);
        assert_eq!(native, meaning(&legacy, Side::Peer), "{owner}: {text}");
        assert!(native.is_some(), "{owner}: {text}");
    }
    // Another machine may have what this one has not.
    let legacy = source("rsyncd.conf", format!("[m]\npath = {}\nuid = app\ngid = app\n", writable.display()));
    let text = of(&[legacy], &machine().into_any()).expect("convertible").text;
    assert!(text.contains("gid = [\"app\"]"), "{text}");
}

/// A `confxml.xml` that mirrors `/srv` to `h::m`, with `more` in its `<sersync>`.
fn xml(more: &str) -> SourceText {
    let text = format!(
        "<head>\n<debug start=\"true\"/>\n<sersync>\n<localpath watch=\"/srv\"><remote ip=\"h\" name=\"m\"/></localpath>\n\
         {more}</sersync></head>"
    );
    source("conf.xml", text)
}

fn rsyncd(name: &str, more: &str, module: &str, path: &str) -> SourceText {
    source(name, format!("uid = www\ngid = www\n{more}[{module}]\npath = {path}\nread only = no\n"))
}

/// What `files` come to for one side, and the text that says so.
fn joined(files: &[SourceText], side: Side) -> (Config, String) {
    let text = of(files, &machine()).expect("convertible").text;
    let loaded = translated(&source("syncd.toml", &text), &machine(), side).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (loaded.config, text)
}

#[test]
fn a_password_is_kept_where_the_first_remote_is_reached_by_ssh() {
    let text = "<head><sersync><localpath watch=\"/srv\"><remote ip=\"a\" name=\"/srv\"/>\
        <remote ip=\"b\" name=\"m\" transport=\"quic\"/></localpath><rsync>\
        <auth start=\"true\" users=\"bk\" passwordfile=\"/p\"/><ssh start=\"true\"/></rsync></sersync></head>";
    let text = round(&source("conf.xml", text), Side::Source).expect("usable");
    assert!(text.contains("user = \"bk\""), "{text}");
}

#[test]
fn the_pid_file_of_an_rsyncd_is_not_the_primarys() {
    let files = [xml(""), rsyncd("r.conf", "pid file = /run/rsyncd.pid\n", "m", "/m")];
    let pid_file = |side| joined(&files, side).0.node.pid_file;
    assert_eq!((pid_file(Side::Source), pid_file(Side::Peer)), (None, Some("/run/rsyncd.pid".into())));
}

#[test]
fn debug_is_on_whichever_file_comes_first() {
    let (native, text) = joined(&[rsyncd("r.conf", "", "m", "/m"), xml("")], Side::Source);
    assert!(native.node.debug, "{text}");
}

#[test]
fn of_two_modules_of_one_name_the_first_counts_and_the_other_is_listed() {
    let files = [rsyncd("a.conf", "", "m", "/a"), rsyncd("b.conf", "", "m", "/b"), rsyncd("c.conf", "", "n", "/c")];
    let (native, text) = joined(&files, Side::Peer);
    let sets: Vec<_> = native.replicas.iter().map(|set| (set.name.as_str(), set.path.as_path())).collect();
    assert_eq!(sets, [("m", Path::new("/a")), ("n", Path::new("/c"))], "{text}");
    assert!(text.contains("# b.conf:3:1: the module `m`: a node has one of that name, that of a.conf"), "{text}");
}

#[test]
fn a_path_is_said_to_come_from_where_its_own_set_names_it() {
    let two = source("r.conf", "[a]\npath = /srv\nuid = www\n[b]\nuid = www\npath = /srv\n");
    let (_, text) =
        joined(&[two, xml("<localpath watch=\"/srv\"><remote ip=\"h\" name=\"n\"/></localpath>")], Side::Peer);
    let said: Vec<_> = text.lines().filter(|line| line.starts_with("# from")).collect();
    assert_eq!(said, ["# from conf.xml:4", "# from conf.xml:5", "# from r.conf:2", "# from r.conf:6"], "{text}");
}

#[test]
fn a_schedule_that_is_longer_than_anybody_lives_is_one_that_can_be_read_back() {
    for minutes in ["99999999999999", "18446744073709551615", "307445734561825", "307445734561826"] {
        let crontab = format!("<crontab start=\"true\" schedule=\"{minutes}\"/>");
        round(&xml(&crontab), Side::Source).expect("usable");
    }
}

#[test]
fn a_file_of_rules_is_named_since_what_it_says_is_written_as_it_is_now() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rules, nested) = (dir.path().join("rules"), dir.path().join("nested"));
    std::fs::write(&rules, "*.log\n").expect("written");
    std::fs::write(&nested, format!("- *.tmp\n. {}\n", dir.path().join("deep").display())).expect("written");
    std::fs::write(dir.path().join("deep"), "- *.bak\n").expect("written");
    let params = format!("<rsync><commonParams params=\"-a --exclude-from={}\"/></rsync>\n", rules.display());
    let (rules, nested) = (rules.display(), nested.display());
    let module = format!("exclude from = {rules}\nfilter = merge {nested}\n");
    let text = of(&[xml(&params), rsyncd("r.conf", &module, "m", "/m")], &machine()).expect("convertible").text;
    let named = |place: &str, file: &str| {
        let line = format!("# {place}: the rules of {file} are written as they are now: it is not read any more\n");
        assert_eq!(text.matches(&line).count(), 1, "{line}{text}");
    };
    named("conf.xml:5:33", &rules.to_string());
    named("r.conf:3:16", &rules.to_string());
    named("r.conf:4:10", &nested.to_string());
    named(&format!("{nested}:2:1"), &dir.path().join("deep").display().to_string());
}

#[test]
fn a_relative_path_is_listed_with_what_it_is_written_as() {
    let text = "<head><sersync><localpath watch=\"data\"><remote ip=\"h\" name=\"m\"/></localpath>\n\
        <failLog path=\"log/fail.sh\"/>\n<plugin start=\"true\" name=\"command\"/></sersync>\n\
        <plugin name=\"command\"><param prefix=\"bin/run\"/></plugin></head>";
    let module = "secrets file = rsyncd.secrets\nauth users = u\n";
    let text = of(&[source("c.xml", text), rsyncd("r.conf", module, "m", "/m")], &machine()).expect("convertible").text;
    let listed = [
        "# c.xml:1:34: `data` is relative: written as /cwd/data, from the directory of this conversion\n",
        "# c.xml:2:16: `log/fail.sh` is relative: written as /cwd/log/fail.sh, from the directory of this conversion\n",
        "# c.xml:4:39: `bin/run` is relative: written as /cwd/bin/run, from the directory of this conversion\n",
        "# r.conf:3:16: `rsyncd.secrets` is relative: written as /cwd/rsyncd.secrets, from the directory of this conversion\n",
    ];
    for line in listed {
        assert_eq!(text.matches(line).count(), 1, "{line}{text}");
    }
    assert!(
        !of(&[xml(""), rsyncd("r.conf", "", "m", "/m")], &machine()).expect("convertible").text.contains("relative")
    );
}

#[test]
fn what_no_plugin_reads_is_listed() {
    let text = "<head><sersync><localpath watch=\"/srv\"><remote ip=\"h\" name=\"m\"/></localpath>\n\
        <plugin start=\"true\" name=\"socket\"/></sersync>\n\
        <plugin name=\"socket\"><localpath watch=\"/own\"><deshost ip=\"10.0.0.1\" port=\"1\"/></localpath>\n\
        <localpath watch=\"/more\"><deshost ip=\"10.0.0.2\" port=\"2\"/></localpath>\n\
        <filter start=\"true\"><include expression=\"x\"/></filter></plugin>\n\
        <plugin name=\"socket\"><localpath watch=\"/again\"/></plugin>\n\
        <plugin name=\"refreshCDN\"><localpath><cdninfo passwd=\"geheim\"/></localpath></plugin></head>";
    let Converted { text, .. } = of(&[source("c.xml", text)], &machine()).expect("convertible");
    let listed: Vec<_> = text.lines().filter(|line| line.starts_with("# c.xml:")).collect();
    insta::assert_debug_snapshot!(listed, @r##"
    [
        "# c.xml:3:41: the plugin is told of changes in `/own`, while `/srv` is mirrored; sersync2 mirrored the plugin's directory instead",
        "# c.xml:4:2: this `<localpath>` is ignored: the first one counts",
        "# c.xml:4:19: plugin/localpath watch=\"/more\": it is ignored: the first one counts",
        "# c.xml:4:39: plugin/localpath/deshost ip=\"10.0.0.2\": it is ignored: the first one counts",
        "# c.xml:4:55: plugin/localpath/deshost port=\"2\": it is ignored: the first one counts",
        "# c.xml:5:16: plugin/filter start=\"true\": the plugin of this name does not read it",
        "# c.xml:5:43: plugin/filter/include expression=\"x\": the plugin of this name does not read it",
        "# c.xml:6:1: this `<plugin name=\"socket\">` is ignored: the first one of that name counts",
        "# c.xml:6:15: plugin name=\"socket\": it is ignored: the first one counts",
        "# c.xml:6:41: plugin/localpath watch=\"/again\": it is ignored: the first one counts",
        "# c.xml:7:15: plugin name=\"refreshCDN\": it is switched off",
        "# c.xml:7:55: plugin/localpath/cdninfo passwd=\"…\": it is switched off",
    ]
    "##);
    assert!(!text.contains("geheim") && !text.contains("cdn.password"), "{text}");
}

#[test]
fn what_cannot_be_converted_is_refused_with_its_reason() {
    let refused = |source: SourceText| of(&[source], &machine()).expect_err("refused").to_string();
    assert!(refused(source("a.toml", "[node]\n")).contains("a syncd.toml already"));
    assert!(refused(source("a", "hello")).contains("nothing in it is a setting"));
    assert!(refused(source("a.xml", "<head><sersync>")).starts_with("a.xml:1:7: error: "));
    let gbk = b"<head><sersync><localpath watch=\"/srv/\xc5\xe4\xd6\xc3\"><remote ip=\"h\" name=\"m\"/></localpath></sersync></head>";
    let path = refused(source("a.xml", gbk));
    assert!(path.starts_with("a.xml:1:34: error: ") && path.contains("on the disk and in the file"), "{path}");
    let rsyncd = "[m]\npath = /m\nread only = no\nuid = root\nexclude = *.";
    let pattern = refused(source("r.conf", [rsyncd.as_bytes(), b"\xc5\xe4\xd6\xc3\n"].concat()));
    assert!(pattern.contains("the pattern") && pattern.contains("write `*`") && !pattern.contains("disk"), "{pattern}");
    let compared = b"<head><sersync><localpath watch=\"/srv\"><remote ip=\"h\" name=\"m\"/></localpath><crontab start=\"true\">\
        <crontabfilter start=\"true\"><exclude expression=\"*.\xc5\xe4\xd6\xc3\"/></crontabfilter></crontab></sersync></head>";
    let pattern = refused(source("a.xml", compared));
    assert!(pattern.contains("the pattern") && pattern.contains("write `*`"), "{pattern}");
}

#[test]
fn an_expression_in_another_encoding_is_converted_to_the_bytes_that_it_has() {
    for (bytes, written) in [
        (&b"(.*)\xc8\xd5\xd6\xbe"[..], r"(?-u)(.*)\xC8\xD5\xD6\xBE"),
        (b"(caf\xe9|bar)", r"(?-u)(caf\xE9|bar)"),
        ("(.*)日志".as_bytes(), "(.*)日志"),
    ] {
        let xml = [
            b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><head><filter start=\"true\"><exclude expression=\"",
            bytes,
            b"\"/></filter><sersync><localpath watch=\"/srv\"><remote ip=\"h\" name=\"m\"/></localpath></sersync></head>",
        ];
        let legacy = source("a.xml", xml.concat());
        let text = round(&legacy, Side::Source).expect("usable");
        let native = translated(&source("syncd.toml", &text), &machine(), Side::Source).expect("usable").config;
        assert_eq!(native.sources[0].exclude_regex, [written]);
    }
}
