//! What the command line refuses, and what it tells.

use std::cell::RefCell;

use super::*;

thread_local! {
    static STARTED: RefCell<Option<Start>> = const { RefCell::new(None) };
}

const WIRING: Wiring = Wiring {
    start: |start, _| {
        STARTED.set(Some(start));
        Ok(())
    },
    check: |_| Report::default(),
    check_vrrp: |file| Report { files: vec![file.to_owned()], ..Report::default() },
};

fn args(words: &str) -> Vec<OsString> {
    words.split_whitespace().map(OsString::from).collect()
}

/// What a command line starts, or how it fails.
fn started(words: &str) -> Result<Start, Fault> {
    let argv = args(words);
    let parsed = parse(&argv).map_err(|e| Fault::Usage(e.to_string()))?;
    dispatch(parsed, &argv, &WIRING, &Console::stderr(), &mut Vec::new())?;
    STARTED.take().ok_or(Fault::Unread)
}

fn node(config: &str) -> NodeArgs {
    NodeArgs { config: config.into(), ..Default::default() }
}

#[test]
fn sersync2_is_replaced_by_name() {
    assert_eq!(started("/usr/local/bin/sersync2 -r"), Ok(Start::Source(node("confxml.xml"))));
    let threads = NodeArgs { threads: Some(4), ..node("/etc/confxml.xml") };
    assert_eq!(started("syncd -r -n 4 -o /etc/confxml.xml"), Ok(Start::Source(threads)));
    assert_eq!(started("sersync2 start -rn many now"), Ok(Start::Source(node("confxml.xml"))));
    assert!(matches!(started("syncd -r"), Err(Fault::Usage(m)) if m.contains("--config")));
}

#[test]
fn both_sides_take_what_a_legacy_file_cannot_say() {
    let options = "--state-dir /s --trust-first-use --set listen=[::]:8873 --set nginx.delete=never";
    let settings = ["listen=[::]:8873", "nginx.delete=never"].map(str::to_owned).to_vec();
    let expected = NodeArgs { state_dir: Some("/s".into()), trust_first_use: true, settings, ..node("f") };
    assert_eq!(started(&format!("syncd --config f {options}")), Ok(Start::Source(expected.clone())));
    assert_eq!(started(&format!("syncd peer --config f {options}")), Ok(Start::Peer(expected.clone())));
    assert_eq!(
        started("syncd --state-dir /s peer --config f"),
        Ok(Start::Peer(NodeArgs { state_dir: Some("/s".into()), ..node("f") }))
    );
    assert_eq!(started("syncd demo"), Ok(Start::Demo));
    let with_vrrp = NodeArgs { vrrp: Some("k".into()), ..node("f") };
    assert_eq!(started("syncd --config f --vrrp k"), Ok(Start::Source(with_vrrp.clone())));
    assert_eq!(started("syncd peer --config f --vrrp k"), Ok(Start::Peer(with_vrrp)));
    assert_eq!(started("syncd vrrp --config f"), Ok(Start::Vrrp(node("f"))));
}

#[test]
fn what_is_wrong_or_not_there_yet_is_exit_2_and_starts_nothing() {
    for line in [
        "syncd",
        "syncd --set x --config f",
        "syncd --set =x --config f",
        "syncd --config f status",
        "syncd --config f --vrrp keepalived.conf --follow VI_1",
        "syncd peer --follow",
        "syncd vrrp",
        "syncd failover",
        "syncd hold nginx",
        "syncd convert a.xml -o syncd.toml",
        "syncd check",
        "syncd certs",
        "syncd resume",
        "syncd nonsense",
    ] {
        let fault = started(line).expect_err(line);
        assert_eq!(fault.code(), 2, "{line}: {fault:?}");
    }
}

#[test]
fn nobody_running_is_exit_3_and_names_the_way_out() {
    let dir = tempfile::tempdir().expect("tempdir");
    let commands = [
        "status",
        "status --json",
        "verify",
        "replay",
        "replay --list",
        "reload",
        "resume a",
        "approve a",
        "certs list",
    ];
    for command in commands {
        let fault = started(&format!("syncd {command} --state-dir {}", dir.path().display())).expect_err(command);
        assert!(matches!(&fault, Fault::Local(m) if m.contains("--state-dir")), "{command}: {fault:?}");
    }
}

#[test]
fn the_grammar_is_sound_and_its_help_as_agreed() {
    let mut command = Args::command().term_width(100);
    command.clone().debug_assert();
    command.build();
    let mut help = vec![command.render_long_help().to_string()];
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        help.push(sub.render_long_help().to_string());
        for below in sub.get_subcommands_mut().filter(|below| below.get_name() != "help") {
            help.push(below.render_long_help().to_string());
        }
    }
    insta::assert_snapshot!(help.join("\n\n------\n\n"));
}
