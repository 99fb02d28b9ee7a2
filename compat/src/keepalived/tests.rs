//! Whole files through the whole grammar.

use proptest::prelude::*;

use super::*;

fn conf(text: &str) -> (KeepalivedConf, Vec<String>) {
    conf_of(&SourceText::decode("k.conf", text.as_bytes()))
}

fn conf_of(source: &SourceText) -> (KeepalivedConf, Vec<String>) {
    let mut findings = Findings::default();
    let mut none = |_: &std::path::Path, _: &str| Ok(Vec::new());
    let here = Here { id: "web1", directory: std::path::Path::new("/d") };
    let conf = read(source, here, &mut none, &mut findings);
    (conf, findings.iter().map(crate::Finding::summary).collect())
}

const PAIR: &str = "vrrp_script nginx {\n script \"/etc/k/nginx.sh 'a b'\"\n interval 2\n weight -60\n}\n\
    vrrp_instance VI_1 {\n state BACKUP\n interface eth0\n virtual_router_id 77\n priority 150\n\
    virtual_ipaddress {\n 10.1.0.9/24 dev eth1 label eth1:1 brd + no_track\n }\n track_script { nginx }\n}\n";

#[test]
fn an_instance_is_read_with_what_it_inherits() {
    let (conf, findings) = conf(&format!("{PAIR}global_defs {{\n vrrp_version 3\n vrrp_garp_master_repeat 2\n}}\n"));
    assert_eq!(findings, Vec::<String>::new());
    let instance = &conf.instances[0];
    assert_eq!((instance.version.value, instance.garp.lower_prio_repeat.value), (3, 2));
    let address = &instance.addresses[0];
    assert_eq!(
        (address.prefix.value, address.no_track, address.broadcast),
        (24, true, Some(address::Broadcast::Computed))
    );
    assert_eq!(conf.scripts[0].command.as_ref().expect("command").argv, ["/etc/k/nginx.sh", "a b"]);
    assert_eq!(conf.scripts[0].timeout.value.as_secs(), 2);
}

#[test]
fn blocks_that_are_not_about_addresses_are_skipped_whole() {
    let (conf, findings) = conf(&format!(
        "virtual_server 10.0.0.1 80 {{\n real_server 10.0.0.2 80 {{\n weight 1\n }}\n}}\n{PAIR}real_servers {{\n a {{\n }}\n}}\n"
    ));
    assert_eq!(conf.instances.len(), 1);
    insta::assert_debug_snapshot!(findings, @r#"
    [
        "k.conf:1:1: warning: `virtual_server`: this block is skipped whole: syncd moves addresses and balances no load (LVS)",
        "k.conf:21:1: warning: the block `real_servers` is unknown: it is skipped whole — did you mean `virtual_server`?",
    ]
    "#);
}

#[test]
fn one_line_is_one_statement() {
    let (conf, findings) = conf("vrrp_instance V { state BACKUP interface eth0 }\n");
    assert!(conf.instances[0].interface.is_none());
    insta::assert_debug_snapshot!(findings, @r#"
    [
        "k.conf:1:32: warning: `interface` is lost: a line holds one statement, and this one is `state`, as keepalived reads it — write it on a line of its own",
        "k.conf:1:15: error: the instance `V` has no `interface`: it does not run — write `interface NAME` on a line of its own",
        "k.conf:1:15: error: the instance `V` has no `virtual_router_id`: it does not run — write `virtual_router_id N` with 1 to 255",
        "k.conf:1:15: warning: the instance `V` has no `virtual_ipaddress` — write one, or `no_virtual_ipaddress` where none is meant",
    ]
    "#);
}

#[test]
fn a_password_is_cut_where_a_comment_begins_and_never_shown() {
    let text = PAIR.replace(" state BACKUP\n", " authentication {\n auth_type PASS\n auth_pass s3#cr!et\n }\n");
    let source = SourceText::decode("k.conf", text.as_bytes());
    let (mut findings, mut none) = (Findings::default(), |_: &std::path::Path, _: &str| Ok(Vec::new()));
    let here = Here { id: "", directory: std::path::Path::new("/d") };
    let conf = read(&source, here, &mut none, &mut findings);
    let auth = conf.instances[0].auth.as_ref().expect("auth");
    assert_eq!(auth.password.as_ref().expect("password").value.wire(), *b"s3\0\0\0\0\0\0");
    assert!(!format!("{conf:?}").contains("s3\""));
    insta::assert_snapshot!(findings[0], @r"
    k.conf:9:14: warning: a comment begins within the password: of it only the 2 bytes before count — write `\#` or `\!` for the character, or a blank before the comment
     9 |  auth_pass ********
       |              ^
    ");
}

#[test]
fn a_missing_brace_is_found_where_the_next_block_begins() {
    let (conf, findings) =
        conf(&PAIR.replace(" track_script { nginx }\n}\n", " track_script { nginx }\nvrrp_instance B {\n}\n"));
    assert_eq!(conf.instances.len(), 2);
    assert!(
        findings[0].starts_with("k.conf:15:1: error: `vrrp_instance` stands inside of another block"),
        "{findings:?}"
    );
}

#[test]
fn nesting_and_repetition_without_end_are_bounded() {
    for text in ["a {\n".repeat(100_000), "{".repeat(300_000), "a {".repeat(100_000), "}".repeat(60_000)] {
        let (_, findings) = conf(&text);
        assert!(!findings.is_empty() && findings.len() <= 400);
    }
    let (conf, _) = conf(&"vrrp_instance V {\n}\n".repeat(20_000));
    assert_eq!(conf.instances.len(), 20_000);
}

/// Pieces of files, so that random ones go deep.
const WORDS: [&str; 34] = [
    "vrrp_instance V",
    "vrrp_script S",
    "global_defs",
    "vrrp_sync_group G",
    "track_file F",
    "static_ipaddress",
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    "interface eth0",
    "virtual_router_id 51",
    "priority 300",
    "state MASTER",
    "virtual_ipaddress",
    "10.0.0.1/24 dev",
    "fe80::1",
    "authentication",
    "auth_pass a#b",
    "$A=$B",
    "$B=x \\",
    "$A ${A}",
    "~SEQ(i,1,3) ",
    "@web1 ",
    "@^web2 ",
    "include x",
    "\"",
    "track_script",
    "S weight -20",
    "unicast_peer",
    "use_vmac a",
    "virtual_server",
    "# é\u{ff1b}",
];

proptest! {
    #[test]
    fn no_arrangement_of_known_words_panics(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
        let text = words.join(" ").replace(" \n ", "\n");
        let source = SourceText::decode("f", text.as_bytes());
        let first = conf_of(&source);
        prop_assert_eq!(first.1, conf_of(&source).1);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = conf_of(&SourceText::decode("f", &bytes));
    }

    #[test]
    fn a_priority_is_found_again_whatever_stands_around_it(
        priority in 1u8..=254, blanks in "[ \t]{1,3}", comment in "( [#!].{0,8})?", crlf in any::<bool>()
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let comment = comment.replace(['\n', '\r'], "");
        let text = format!("vrrp_instance V {{{end}{blanks}priority{blanks}{priority}{comment}{end}}}{end}");
        let (conf, _) = conf(&text);
        prop_assert_eq!(conf.instances[0].priority.value, priority);
    }
}
