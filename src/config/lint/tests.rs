//! Sets of files through all rules, on machines that are made up.

use std::collections::BTreeSet;
use std::path::Path;

use super::facts::Hidden;
use super::*;
use syncd_compat::SourceText;

fn machine() -> Machine {
    Machine::made_of(
        0,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        "root:x:0:\nnogroup:x:65534:\n",
    )
}

fn given(files: &[(&str, &str)]) -> (Given, Vec<Finding>) {
    let (mut given, mut findings) = (Given::default(), Vec::new());
    for (name, text) in files {
        let mut none = |_: &Path, _: &str| Ok(Vec::new());
        given.add(Path::new(name), text.as_bytes(), &machine(), &mut none, &mut findings);
    }
    (given, findings)
}

/// What the rules find, as `file:line:column severity code`.
fn found(files: &[(&str, &str)], facts: &Facts) -> Vec<String> {
    let (given, _) = given(files);
    let names: Vec<PathBuf> = files.iter().map(|(name, _)| name.into()).collect();
    sorted(&names, rules(&given, facts))
        .into_iter()
        .map(|finding| {
            assert!(codes::find(finding.code).is_some(), "{}", finding.code);
            let place = finding.place.map_or(String::new(), |place| format!(":{}:{}", place.line, place.column));
            format!("{}{place} {} {}", finding.file.display(), finding.severity, finding.code)
        })
        .collect()
}

const A: &str = "vrrp_script nginx {\n script \"/x\"\n weight -20\n}\nvrrp_instance VI {\n state BACKUP\n interface eth0\n \
    virtual_router_id 7\n priority 150\n advert_int 1\n authentication {\n  auth_type PASS\n  auth_pass secret\n }\n \
    track_script {\n  nginx\n }\n virtual_ipaddress {\n  10.0.0.9/24\n }\n}\n";

fn b() -> String {
    A.replace("priority 150", "priority 140")
}

#[test]
fn a_pair_that_fits_has_no_finding() {
    assert_eq!(found(&[("a.conf", A), ("b.conf", &b())], &Facts::default()), Vec::<String>::new());
}

#[test]
fn what_two_nodes_must_agree_in_is_named_where_it_differs() {
    let cases: [(&str, &str, &[&str]); 10] = [
        ("virtual_router_id 7", "virtual_router_id 8", &["b.conf:8:20 error pair-vrid"]),
        ("auth_pass secret", "auth_pass Secret", &["b.conf:12:13 error pair-auth"]),
        ("advert_int 1", "advert_int 2", &["b.conf:10:13 error pair-advert-int"]),
        ("10.0.0.9/24", "10.0.0.9\n  10.0.0.8", &["b.conf:19:3 error pair-addresses"]),
        ("priority 140", "priority 150", &["b.conf:9:11 warning pair-priority-tie"]),
        (
            "state BACKUP",
            "version 3\n state BACKUP",
            &["b.conf:6:10 error pair-version", "b.conf:13:13 error pair-auth"],
        ),
        ("interface eth0", "interface eth0\n mcast_dst_ip 224.0.0.99", &["b.conf:8:15 error pair-group"]),
        ("interface eth0", "interface eth0\n unicast_peer {\n 10.0.0.1\n }", &["b.conf:9:2 error pair-unicast"]),
        ("priority 140", "priority 125", &["a.conf:3:9 warning pair-weight"]),
        (
            "vrrp_instance VI {",
            "vrrp_instance XX {\n interface eth1\n virtual_router_id 9\n virtual_ipaddress { 10.0.0.1 }\n}\nvrrp_instance VI {",
            &["b.conf:5:15 warning pair-alone"],
        ),
    ];
    for (old, new, expected) in cases {
        let second = b().replace(old, new);
        let weightless = expected.first().is_none_or(|line| !line.contains("tie"));
        let all = found(&[("a.conf", A), ("b.conf", &second)], &Facts::default());
        assert_eq!(all, expected, "{old} -> {new} {weightless}");
    }
}

#[test]
fn unicast_peers_name_each_other_and_two_masters_are_one_too_many() {
    let unicast = |text: &str, own: &str, peer: &str| {
        text.replace(
            "interface eth0",
            &format!("interface eth0\n unicast_src_ip {own}\n unicast_peer {{\n {peer}\n }}"),
        )
    };
    let first = unicast(A, "10.0.0.1", "10.0.0.2");
    assert_eq!(
        found(&[("a", &first), ("b", &unicast(&b(), "10.0.0.2", "10.0.0.1"))], &Facts::default()),
        Vec::<String>::new()
    );
    let wrong = unicast(&b(), "10.0.0.2", "10.0.0.3");
    assert_eq!(found(&[("a", &first), ("b", &wrong)], &Facts::default()), ["b:10:2 error pair-unicast"]);
    let (one, two) = (A.replace("BACKUP", "MASTER"), b().replace("BACKUP", "MASTER"));
    assert_eq!(found(&[("a", &one), ("b", &two)], &Facts::default()), ["b:6:8 warning pair-both-master"]);
}

const XML: &str = "<head version=\"2.5\"><sersync>\n<localpath watch=\"/w\">\n<remote ip=\"10.0.0.2\" name=\"nginx\"/>\n</localpath>\n\
    <rsync><commonParams params=\"-artuz\"/>\n<auth start=\"true\" users=\"backup\" passwordfile=\"/p\"/></rsync>\n</sersync></head>";
const RSYNCD: &str = "uid = nosuch\n[nginx]\npath = /w\nread only = no\nauth users = backup\nsecrets file = /s\n";

fn with_passwords(ours: &str, theirs: Option<&str>) -> Facts {
    let mut facts = Facts::default();
    facts.passwords.insert("/p".into(), Hidden(ours.into()));
    facts.secrets.insert(("/s".into(), "backup".into()), theirs.map(|theirs| Hidden(theirs.into())));
    facts
}

#[test]
fn both_ends_agree_in_name_port_user_and_password() {
    let facts = with_passwords("x", Some("x"));
    let ends = |rsyncd: &str, facts: &Facts| found(&[("c.xml", XML), ("r.conf", rsyncd)], facts);
    assert_eq!(ends(RSYNCD, &facts), Vec::<String>::new());
    let cases = [
        ("[nginx]", "[nginxx]", "c.xml:3:29 error ends-module"),
        ("uid = nosuch", "port = 8730", "c.xml:3:13 error ends-port"),
        ("uid = nosuch", "address = 10.0.0.3", "c.xml:3:13 warning ends-address"),
        ("read only = no", "read only = yes", "r.conf:2:1 error ends-read-only"),
        ("auth users = backup", "auth users = other, third", "c.xml:6:27 error ends-user"),
        ("auth users = backup", "", "c.xml:6:27 warning ends-auth"),
    ];
    let users = |said: &str| ends(&RSYNCD.replace("auth users = backup", &format!("auth users = {said}")), &facts);
    assert_eq!(users("backup:ro, other"), ["c.xml:6:27 error ends-user"]);
    assert_eq!(users("other:rw backup:deny"), ["c.xml:6:27 error ends-user"]);
    assert_eq!(users("backup:ro"), ["r.conf:2:1 error ends-read-only"]);
    assert_eq!(users("backup:rw, other:ro\nread only = yes"), Vec::<String>::new());
    for (old, new, expected) in cases {
        assert_eq!(ends(&RSYNCD.replace(old, new), &facts), [expected], "{new}");
    }
    assert_eq!(ends(RSYNCD, &with_passwords("x", Some("y"))), ["c.xml:6:27 error ends-password"]);
    assert_eq!(ends(RSYNCD, &with_passwords("x", None)), ["c.xml:6:27 error ends-user"]);
    let (given, _) = given(&[("c.xml", XML), ("r.conf", RSYNCD)]);
    let told = rules(&given, &with_passwords("backup:hush", Some("hush")));
    assert!(told[0].help.as_ref().is_some_and(|help| help.contains("password alone")), "{told:?}");
    assert!(!format!("{told:?}").contains("hush"), "a password is shown");
}

#[test]
fn what_is_said_twice_is_named_where_it_counts() {
    let xml = XML
        .replace("<head", "<!--\n backup 10.0.0.2 nginx\n--><head")
        .replace("<remote ip=\"10.0.0.2\" name", "<remote\n ip=\"10.0.0.2\"\n name");
    let rsyncd = RSYNCD.replace("uid = nosuch", "port = 8730").replace("users = backup", "users = other");
    let facts = with_passwords("x", Some("x"));
    assert_eq!(
        found(&[("c.xml", &xml), ("r.conf", &rsyncd)], &facts),
        ["c.xml:6:6 error ends-port", "c.xml:10:27 error ends-user"]
    );
    let toml = "# 10.0.0.2 s backup\n[[peer]]\nname = \"s\"\naddress = \"10.0.0.2\"\n[[set]]\nname = \"s\"\npath = \"/w\"\n\
                role = \"primary\"\npeers = [\"s::nginxx\"]\nauth = { user = \"backup\", password-file = \"/backup\" }\n";
    assert_eq!(
        found(&[("s.toml", toml), ("r.conf", &rsyncd)], &facts),
        ["s.toml:4:11 error ends-port", "s.toml:9:10 error ends-module", "s.toml:10:17 error ends-user"]
    );
}

#[test]
fn a_file_that_is_all_wrong_has_a_thousand_findings_and_a_number() {
    for (name, text) in [
        ("c.xml", XML.replace("<sersync>", &format!("{}<sersync>", "<unknown/>\n".repeat(5_000)))),
        ("r.conf", format!("{}{RSYNCD}", "unknown = 1\n".repeat(5_000))),
        ("k.conf", format!("{A}{}", "unknown 1\n".repeat(5_000))),
        ("s.toml", (0..5_000).map(|number| format!("unknown{number} = 1\n")).collect()),
    ] {
        let all = check_alone(Path::new(name), text.as_bytes(), &machine());
        // A thousand, how many more, and of a keepalived.conf that it is not run.
        assert!((1_001..=1_002).contains(&all.len()), "{name}: {}", all.len());
        let last = all.last().expect("one");
        assert!(last.code == "more-findings" && last.message.starts_with("and 4"), "{last}");
    }
}

#[test]
fn all_that_two_ends_differ_in_is_named_at_once() {
    let wrong = RSYNCD
        .replace("uid = nosuch", "port = 8730\naddress = 10.0.0.3")
        .replace("[nginx]", "[ngnix]")
        .replace("read only = no", "read only = yes")
        .replace("auth users = backup", "auth users = other");
    let all = [
        "c.xml:3:13 error ends-port",
        "c.xml:3:29 error ends-module",
        "c.xml:6:27 error ends-user",
        "c.xml:6:27 error ends-password",
        "c.xml:3:13 warning ends-address",
        "r.conf:3:1 error ends-read-only",
    ];
    let facts = with_passwords("x", Some("y"));
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &wrong)], &facts), all);
    // A module of another name altogether is meant where it is the only one.
    let other = wrong.replace("[ngnix]", "[static]");
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &other)], &facts), all);
    // Of several nobody knows which, but all are served at one address.
    let several = format!("{other}[third]\npath = /t\n");
    let place = ["c.xml:3:13 error ends-port", "c.xml:3:29 error ends-module", "c.xml:3:13 warning ends-address"];
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &several)], &facts), place);
    let neither = found(&[("c.xml", XML), ("r.conf", &wrong)], &with_passwords("x", None));
    assert_eq!(neither.iter().filter(|line| line.ends_with("ends-user")).count(), 2, "{neither:?}");
}

#[test]
fn all_files_of_a_pair_are_held_against_each_other_and_not_the_first_alone() {
    let facts = Facts::default();
    let back = XML.replace("10.0.0.2", "10.0.0.1").replace("watch=\"/w\"", "watch=\"/v\"");
    let pair =
        |other: &str| found(&[("1/c.xml", XML), ("1/r.conf", RSYNCD), ("2/c.xml", &back), ("2/r.conf", other)], &facts);
    assert_eq!(pair(RSYNCD), Vec::<String>::new());
    let cases: [(&str, &str, &[&str]); 4] = [
        ("auth users = backup", "auth users = other", &["1/c.xml:6:27 error ends-user"]),
        ("read only = no", "read only = yes", &["2/r.conf:2:1 error ends-read-only"]),
        ("[nginx]", "[nginxx]", &["1/c.xml:3:29 error ends-module"]),
        ("uid = nosuch", "port = 8730", &["1/c.xml:3:13 error ends-port"]),
    ];
    for (old, new, expected) in cases {
        assert_eq!(pair(&RSYNCD.replace(old, new)), expected, "{new}");
    }
    // A file of both roles sends to the other node, and not to itself.
    let node = |own: &str, other: &str| {
        format!(
            "[[peer]]\nname = 'o'\naddress = '{other}'\n[[set]]\nname = '{own}'\npath = '/{own}'\nrole = 'primary'\n\
             auth = {{ user = 'u', password-file = '/p' }}\n[[set]]\nname = '{}'\npath = '/r'\nrole = 'replica'\n\
             auth = {{ users = ['u'], secrets-file = '/s' }}\n",
            if own == "a" { "b" } else { "a" }
        )
    };
    let (one, two) = (node("a", "10.0.0.2"), node("b", "10.0.0.1"));
    assert_eq!(found(&[("a.toml", &one)], &facts), Vec::<String>::new());
    assert_eq!(found(&[("a.toml", &one), ("b.toml", &two)], &facts), Vec::<String>::new());
    let wrong = two.replace("['u']", "['v']");
    assert_eq!(found(&[("a.toml", &one), ("b.toml", &wrong)], &facts), ["a.toml:8:17 error ends-user"]);
}

#[test]
fn each_replica_that_is_given_has_a_source_and_those_that_are_not_given_are_not_missed() {
    let facts = Facts::default();
    let two = XML.replace("</localpath>", "<remote ip=\"10.0.0.3\" name=\"other\"/>\n</localpath>");
    assert_eq!(found(&[("c.xml", &two), ("r.conf", RSYNCD)], &facts), Vec::<String>::new());
    let other = RSYNCD.replace("[nginx]", "[other]");
    assert_eq!(found(&[("c.xml", &two), ("r.conf", RSYNCD), ("s.conf", &other)], &facts), Vec::<String>::new());
    let wrong = other.replace("read only = no", "read only = yes");
    assert_eq!(
        found(&[("c.xml", &two), ("r.conf", RSYNCD), ("s.conf", &wrong)], &facts),
        ["s.conf:2:1 error ends-read-only"]
    );
}

#[test]
fn a_peer_that_is_not_named_back_is_so_also_where_the_other_node_has_no_peers() {
    let one = A.replace("interface eth0", "interface eth0\n unicast_src_ip 10.0.0.1");
    let two = b().replace("interface eth0", "interface eth0\n unicast_peer {\n 10.0.0.7\n }");
    assert_eq!(
        found(&[("a", &one), ("b", &two)], &Facts::default()),
        ["b:9:2 error pair-unicast", "b:9:2 error pair-unicast"]
    );
}

#[test]
fn a_source_that_the_replica_keeps_out_is_named() {
    let mut facts = with_passwords("x", Some("x"));
    facts.directories = BTreeSet::from(["/w".into()]);
    facts.addresses = BTreeSet::from(["127.0.0.1", "10.0.0.1"].map(|ip| ip.parse().expect("address")));
    let closed = RSYNCD.replace("read only", "hosts allow = 192.168.0.0/16\nread only");
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &closed)], &facts), ["r.conf:2:1 warning ends-hosts-allow"]);
    let open = RSYNCD.replace("read only", "hosts allow = 10.0.0.0/24\nread only");
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &open)], &facts), Vec::<String>::new());
    // This machine is the receiver: the source's addresses are not known.
    facts.addresses.insert("10.0.0.2".parse().expect("address"));
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &closed)], &facts), Vec::<String>::new());
    // This machine is neither: it has not what is watched.
    (facts.addresses, facts.directories) = (BTreeSet::from(["10.0.0.7".parse().expect("address")]), BTreeSet::new());
    assert_eq!(found(&[("c.xml", XML), ("r.conf", &closed)], &facts), Vec::<String>::new());
}

#[test]
fn a_remote_that_moves_or_is_the_node_itself_or_pushes_back_is_named() {
    let vip = A.replace("10.0.0.9/24", "10.0.0.2").replace("state BACKUP", "state BACKUP\n nopreempt");
    assert_eq!(found(&[("c.xml", XML), ("k.conf", &vip)], &Facts::default()), ["c.xml:3:13 error remote-is-virtual"]);
    for here in ["localhost", "LocalHost.localdomain.", "127.0.0.2", "10.0.0.2", "web1"] {
        let facts = Facts {
            addresses: BTreeSet::from(["10.0.0.2".parse().expect("address")]),
            names: BTreeSet::from(["web1".to_owned()]),
            ..Facts::default()
        };
        let local = XML.replace("10.0.0.2", here);
        let rsyncd = RSYNCD.replace("uid = nosuch", "");
        let said = ["c.xml:3:13 warning remote-is-this-node"];
        assert_eq!(found(&[("c.xml", &local)], &facts), said, "{here}");
        // Beside the replica's file this machine may be the replica, but for what is itself everywhere.
        let beside = if here.starts_with(['l', 'L']) || here.starts_with("127.") { &said[..] } else { &[] };
        assert_eq!(found(&[("c.xml", &local), ("r.conf", &rsyncd)], &facts), beside, "{here}");
    }
    let local = XML.replace("10.0.0.2", "localhost");
    let port = "<rsync><userDefinedPort start=\"true\" port=\"8730\"/>";
    let instance = local.replace("<rsync>", port);
    assert_eq!(found(&[("c.xml", &instance)], &Facts::default()), ["c.xml:3:13 note remote-is-this-node"]);
    let back = XML.replace("10.0.0.2", "10.0.0.1");
    assert_eq!(found(&[("c.xml", XML), ("d.xml", &back)], &Facts::default()), ["d.xml:3:13 warning push-ring"]);
    let elsewhere = back.replace("\"/w\"", "\"/v\"");
    assert_eq!(found(&[("c.xml", XML), ("d.xml", &elsewhere)], &Facts::default()), Vec::<String>::new());
}

#[test]
fn two_files_that_send_to_one_module_are_named() {
    let other = XML.replace("\"/w\"", "\"/v\"");
    let (both, facts) = ([("c.xml", XML), ("d.xml", &*other)], Facts::default());
    assert_eq!(found(&both, &facts), ["d.xml:3:29 warning remote-shared"]);
    let keeps = |text: &str| text.replace("<sersync>", "<inotify><delete start=\"false\"/></inotify><sersync>");
    let said = |one: &str, two: &str| {
        let (given, _) = given(&[("c.xml", one), ("d.xml", two)]);
        rules(&given, &facts).into_iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    assert_eq!(
        said(&keeps(XML), &keeps(&other)),
        [
            "`10.0.0.2::nginx` is written by c.xml too: the replica refuses whichever comes second, since it pins one key for \
          each user"
        ]
    );
    let user = |text: &str| text.replace("users=\"backup\"", "users=\"v\"");
    assert_eq!(
        said(XML, &user(&other)),
        ["`10.0.0.2::nginx` is written by c.xml too: each compare removes what only the other has"]
    );
    assert_eq!(said(&keeps(XML), &user(&keeps(&other))), Vec::<String>::new());
}

#[test]
fn a_first_compare_that_sersync2_never_made_is_told_where_it_deletes() {
    let on = |text: &str| {
        let filter = "<filter start=\"true\"><exclude expression=\"x\"/></filter><sersync>";
        text.replace("<sersync>", filter)
    };
    assert_eq!(found(&[("c.xml", &on(XML))], &Facts::default()), ["c.xml:3:29 note setting-differs"]);
    let keeps = XML.replace("<sersync>", "<inotify><delete start=\"false\"/></inotify><sersync>");
    assert_eq!(found(&[("c.xml", &on(&keeps))], &Facts::default()), Vec::<String>::new());
}

#[test]
fn a_master_that_preempts_and_deletes_is_named() {
    let master = A.replace("state BACKUP", "state MASTER");
    assert_eq!(
        found(&[("c.xml", XML), ("k.conf", &master)], &Facts::default()),
        ["k.conf:6:8 warning delete-and-preempt"]
    );
    let keeps = XML.replace("<sersync>", "<inotify><delete start=\"false\"/></inotify><sersync>");
    assert_eq!(found(&[("c.xml", &keeps), ("k.conf", A)], &Facts::default()), Vec::<String>::new());
    assert_eq!(found(&[("c.xml", &keeps), ("k.conf", &master)], &Facts::default()), Vec::<String>::new());
}

#[test]
fn two_nodes_that_push_into_each_other_are_named_whatever_else_they_do() {
    let rings = |files: &[(&str, &str)]| {
        let all = found(files, &Facts::default());
        all.into_iter().filter(|line| line.ends_with("push-ring")).collect::<Vec<_>>()
    };
    let third = "<remote ip=\"10.0.0.3\" name=\"nginx\"/>\n</localpath>";
    let (one, two) = (XML.replace("</localpath>", third), XML.replace("10.0.0.2", "10.0.0.1"));
    let also = two.replace("</localpath>", third);
    assert_eq!(rings(&[("c.xml", &one), ("d.xml", &also)]), ["d.xml:3:13 warning push-ring"]);
    assert_eq!(rings(&[("c.xml", &one), ("d.xml", &two)]), ["d.xml:3:13 warning push-ring"]);
    // Two copies of one file.
    assert_eq!(rings(&[("c.xml", &one), ("d.xml", &one)]), Vec::<String>::new());
    // Of modules with two names it counts where they lead to, which only their files say.
    let named = two.replace("name=\"nginx\"", "name=\"back\"");
    let back = RSYNCD.replace("[nginx]", "[back]");
    let aside = RSYNCD.replace("path = /w", "path = /backup");
    assert_eq!(rings(&[("c.xml", XML), ("d.xml", &named)]), Vec::<String>::new());
    let all = [("c.xml", XML), ("c.conf", back.as_str()), ("d.xml", &named), ("d.conf", RSYNCD)];
    assert_eq!(rings(&all), ["d.xml:3:13 warning push-ring"]);
    let all = [("c.xml", XML), ("c.conf", back.as_str()), ("d.xml", &named), ("d.conf", aside.as_str())];
    assert_eq!(rings(&all), Vec::<String>::new());
    // And of two trees with two names.
    let (there, watched) = (RSYNCD.replace("path = /w", "path = /v/"), named.replace("watch=\"/w\"", "watch=\"/v\""));
    let all = [("c.xml", XML), ("c.conf", back.as_str()), ("d.xml", &watched), ("d.conf", there.as_str())];
    assert_eq!(rings(&all), ["d.xml:3:13 warning push-ring"]);
}

#[test]
fn a_backup_that_outranks_the_other_preempts_as_well() {
    let delete = |files: &[(&str, &str)]| {
        let all = found(&[&[("c.xml", XML)], files].concat(), &Facts::default());
        all.into_iter().filter(|line| line.ends_with("delete-and-preempt")).collect::<Vec<_>>()
    };
    let low = A.replace("priority 150", "priority 100");
    assert_eq!(delete(&[("a", A), ("b", &low)]), ["a:9:11 warning delete-and-preempt"]);
    assert_eq!(delete(&[("a", A)]), ["a:9:11 warning delete-and-preempt"]);
    // Alone it may well be the lower of the two, and of two equals neither takes over.
    assert_eq!(delete(&[("b", &low)]), Vec::<String>::new());
    assert_eq!(delete(&[("a", A), ("b", A)]), Vec::<String>::new());
    let patient = A.replace("state BACKUP", "state BACKUP\n nopreempt");
    assert_eq!(delete(&[("a", &patient), ("b", &low)]), Vec::<String>::new());
    // keepalived clears `nopreempt` of a MASTER.
    let master = patient.replace("BACKUP", "MASTER");
    assert_eq!(delete(&[("a", &master), ("b", &low)]), ["a:6:8 warning delete-and-preempt"]);
}

/// What [`A`] is in `syncd.toml`.
const N: &str = "[[vrrp]]\nname = 'VI'\ninterface = 'eth0'\nvrid = 7\npriority = 150\nversion = 2\n\
    password-file = '/k'\naddresses = ['10.0.0.9/24']\n[[vrrp.track]]\ncommand = ['/x']\nweight = -20\n";

#[test]
fn virtual_routers_of_every_grammar_are_held_against_each_other() {
    let other = N.replace("priority = 150", "priority = 140");
    let native =
        |old: &str, new: &str| found(&[("a.toml", N), ("b.toml", &other.replace(old, new))], &Facts::default());
    let cases: [(&str, &str, &[&str]); 9] = [
        ("", "", &[]),
        ("vrid = 7", "vrid = 8", &["b.toml:4:8 error pair-vrid"]),
        ("140", "150", &["b.toml:5:12 warning pair-priority-tie"]),
        ("140", "125", &["a.toml:11:10 warning pair-weight"]),
        ("password-file = '/k'", "", &["b.toml:2:8 error pair-auth"]),
        ("10.0.0.9/24", "10.0.0.8", &["b.toml:8:14 error pair-addresses"]),
        ("vrid = 7", "vrid = 7\ninterval = '2s'", &["b.toml:5:12 error pair-advert-int"]),
        ("vrid = 7", "vrid = 7\npeers = ['10.0.0.1']", &["b.toml:5:10 error pair-unicast"]),
        ("vrid = 7", "vrid = 7\ngroup = '224.0.0.99'", &["b.toml:5:9 error pair-group"]),
    ];
    for (old, new, expected) in cases {
        assert_eq!(native(old, new), expected, "{new}");
    }
    // One node has moved on, and the other has not.
    let mut facts = Facts::default();
    assert_eq!(found(&[("k.conf", A), ("b.toml", &other)], &facts), Vec::<String>::new());
    facts.passwords.insert("/k".into(), Hidden(b"secret".to_vec()));
    assert_eq!(found(&[("k.conf", A), ("b.toml", &other)], &facts), Vec::<String>::new());
    facts.passwords.insert("/k".into(), Hidden(b"Secret".to_vec()));
    assert_eq!(found(&[("k.conf", A), ("b.toml", &other)], &facts), ["b.toml:7:17 error pair-auth"]);
    // Two files of one name are on two nodes.
    assert_eq!(found(&[("a.toml", N), ("b.toml", &other)], &facts), Vec::<String>::new());
}

#[test]
fn the_dangers_of_virtual_routers_are_named_of_every_grammar() {
    let text = |name: &str, text: &str| SourceText::decode(name, text.as_bytes());
    let mut facts = Facts { interfaces: Some(["lo", "eth1"].map(String::from).into()), ..Facts::default() };
    facts.network = vec![text("/etc/network/interfaces", "  address 10.0.0.2/24\n")];
    facts.nginx = vec![text("/etc/nginx/a.conf", "listen 10.0.0.2:80;\n")];
    facts.nonlocal_bind = [Some(false), Some(false)];
    let moving = N.replace("10.0.0.9/24", "10.0.0.2");
    assert_eq!(
        found(&[("c.xml", XML), ("n.toml", &moving)], &facts),
        [
            "c.xml:3:13 error remote-is-virtual",
            "n.toml:8:14 error keepalived-vip-static",
            "n.toml:3:13 warning keepalived-interface",
            "n.toml:5:12 warning delete-and-preempt",
            "/etc/nginx/a.conf:1:8 warning nginx-nonlocal-bind",
        ]
    );
    let waits = N.replace("version = 2", "version = 2\npreempt = 'never'");
    assert_eq!(found(&[("c.xml", XML), ("n.toml", &waits)], &Facts::default()), Vec::<String>::new());
}

#[test]
fn a_file_is_held_against_the_machine() {
    let text = |name: &str, text: &str| SourceText::decode(name, text.as_bytes());
    let mut facts = Facts { interfaces: Some(["lo", "eth1"].map(String::from).into()), ..Facts::default() };
    facts.network = vec![text(
        "/etc/network/interfaces",
        "iface eth1 inet static\n  gateway 10.0.0.9\n  # 10.0.0.9\n  address 10.0.0.9/24\n",
    )];
    facts.nginx = vec![text("/etc/nginx/a.conf", "server {\n  listen 10.0.0.9:80;\n  listen 80;\n}\n")];
    facts.modes.insert("k.conf".into(), 0o100_644);
    facts.nonlocal_bind = [Some(false), Some(false)];
    let all = found(&[("k.conf", A)], &facts);
    assert_eq!(
        all,
        [
            "k.conf:19:3 error keepalived-vip-static",
            "k.conf:7:12 warning keepalived-interface",
            "k.conf:12:13 warning password-readable",
            "/etc/nginx/a.conf:2:10 warning nginx-nonlocal-bind",
        ]
    );
    facts.nonlocal_bind[0] = Some(true);
    facts.network.clear();
    facts.modes.clear();
    facts.interfaces = None;
    assert_eq!(found(&[("k.conf", A)], &facts), Vec::<String>::new());
}

#[test]
fn what_only_another_machine_can_know_is_no_error() {
    let dir = tempfile::tempdir().expect("directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("file");
        path
    };
    let rsyncd = "[m]\npath = /no/such/dir\nuid = no-such-user\ngid = no-such-group\nread only = no\n\
                  auth users = u\nsecrets file = /no/such/file\n";
    let toml = "[[vrrp]]\nname = 'V'\ninterface = 'no-such-if'\nvrid = 7\naddresses = ['10.254.254.9']\n\
                [[vrrp.notify]]\non = 'any'\ncommand = ['/bin/true']\nuser = 'no-such-user'\n\
                [[set]]\nname = 's'\npath = '/no/such/dir'\nrole = 'replica'\nuid = 'no-such-user'\n\
                gid = ['no-such-group']\n";
    let vrrp = "global_defs {\n script_user no-such-user\n}\nvrrp_instance V {\n interface no-such-if\n \
                virtual_router_id 7\n notify /no/such/program\n virtual_ipaddress {\n  10.254.254.9\n }\n}\n";
    for (name, text, said) in [
        ("r.conf", rsyncd, &["directory", "secret"][..]),
        ("s.toml", toml, &["toml-value", "directory", "keepalived-interface"]),
        ("k.conf", vrrp, &["keepalived-user", "keepalived-interface"]),
    ] {
        let report = check(&[file(name, text)]);
        assert_eq!(report.exit_code(), 1, "{name}: {:?}", report.findings);
        for code in said {
            assert!(report.findings.iter().any(|finding| finding.code == *code), "{code}: {:?}", report.findings);
        }
    }
    // What is here and cannot be used is this machine's.
    let wrong = file("w.conf", &rsyncd.replace("/no/such/dir", "/etc/passwd"));
    assert_eq!(check(&[wrong]).exit_code(), 2);
    // It is an error to whoever starts with it.
    let source = SourceText::decode("r.conf", rsyncd.as_bytes());
    let overrides = super::super::overrides::Overrides::parse(&[], super::super::overrides::Side::Peer).expect("none");
    let started = load::translate(&source, &machine(), &overrides, super::super::overrides::Side::Peer, None);
    assert_eq!(started.expect_err("nobody").findings().len(), 1);
}

#[test]
fn one_file_of_both_roles_is_read_for_both() {
    let toml = "[node]\nname = 'web1'\n[[peer]]\nname = 'web2'\naddress = '10.0.0.2'\n\
        [[set]]\nname = 'a'\npath = '/a'\nrole = 'primary'\n[[set]]\nname = 'b'\npath = '/b'\nrole = 'replica'\n";
    let (both, findings) = given(&[("s.toml", toml)]);
    assert_eq!((both.sending.len(), both.receiving.len(), findings.len()), (1, 1, 0), "{findings:?}");
    let replica = toml.replace("'primary'", "'replica'");
    let (one, findings) = given(&[("s.toml", &replica)]);
    assert_eq!((one.sending.len(), one.receiving.len()), (0, 2), "{findings:?}");
}

#[test]
fn a_keepalived_conf_alone_is_a_file_to_check() {
    let (given, findings) = given(&[("k.conf", "! nothing\nglobal_defs {\n}\n"), ("empty", "")]);
    assert_eq!(given.vrrp.len(), 1);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["keepalived-nothing-to-do", "config-kind"]);
}

#[test]
fn virtual_addresses_alone_are_a_file_to_check() {
    let toml = "[[vrrp]]\nname = 'V'\ninterface = 'eth0'\nvrid = 7\naddresses = ['10.0.0.9/24']\n";
    let (both, findings) = given(&[("s.toml", toml)]);
    assert_eq!((both.loaded.len(), findings.len()), (1, 0), "{findings:?}");
    let (_, findings) = given(&[("s.toml", "[node]\nname = 'x'\n")]);
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding.code == "toml-nothing-to-do"),
        "{findings:?}"
    );
}

#[test]
fn every_file_of_the_corpus_is_checked_with_known_codes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/tests/corpus");
    let mut checked = 0;
    for kind in std::fs::read_dir(corpus).expect("corpus") {
        for file in std::fs::read_dir(kind.expect("entry").path()).expect("kind") {
            let path = file.expect("entry").path();
            let (mut given, mut findings) = (Given::default(), Vec::new());
            let bytes = std::fs::read(&path).expect("file");
            let mut none = |_: &Path, _: &str| Ok(Vec::new());
            given.add(&path, &bytes, &machine(), &mut none, &mut findings);
            findings.extend(rules(&given, &Facts::default()));
            for finding in findings {
                assert!(codes::find(finding.code).is_some(), "{}: {}", path.display(), finding.code);
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} files");
}

#[test]
fn what_is_in_force_says_which_of_it_is_a_default() {
    let (given, _) = given(&[("k.conf", A), ("c.xml", XML)]);
    let all = explain::all(&given);
    let of =
        |name: &str| all.iter().find(|value| value.name == name).map(|value| (value.value.as_str(), value.default));
    assert_eq!(of("priority"), Some(("150", false)));
    assert_eq!(of("garp_master_delay"), Some(("5s", true)));
    assert_eq!(of("delete"), Some(("guarded", true)));
    // Measured with keepalived 2.2.7.
    assert_eq!(of("a takeover after a crash waits"), Some(("3.4140625s", true)));
}

#[test]
fn every_option_of_a_set_is_in_force_or_not() {
    let shown = |params: &str, name: &str| {
        let (given, _) = given(&[("c.xml", &XML.replace("-artuz", params))]);
        let found = explain::all(&given).into_iter().find(|value| value.name == name);
        found.map(|value| (value.value, value.default))
    };
    for (params, name, value, default) in [
        ("-artuz", "mode", "true", true),
        ("-rlt", "mode", "false", false),
        ("-rlt", "mtime", "true", true),
        ("-a --exclude=*.log", "filter", "- *.log", false),
        ("-a", "peers", "10.0.0.2:873::nginx", false),
        ("-a", "auth", "backup, by the password in /p", false),
        ("-a", "compare.every", "none", true),
        ("-a", "events.modify", "false", false),
        ("-a --max-size=1k", "max-size", "1024B", false),
    ] {
        assert_eq!(shown(params, name), Some((value.to_owned(), default)), "{params} {name}");
    }
}
