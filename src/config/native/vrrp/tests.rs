//! What `[[vrrp]]` says, and what is refused of it, each with its place.

use syncd_compat::SourceText;

use crate::config::load;
use crate::config::machine::Machine;
use crate::vrrp::packet::Version;
use crate::vrrp::setup::{Setup, Transport, User};

fn of(text: &str) -> Result<Setup, Vec<String>> {
    let machine = Machine::made_of(0, "root:x:0:0::/:/\nwww:x:33:33::/:/\n", "root:x:0:\nwww:x:33:\n");
    let machine = machine.with_interfaces(&["lo", "eth0", "eth1"]);
    let source = SourceText::decode("syncd.toml", text.as_bytes());
    match load::virtual_addresses(&source, &machine) {
        Ok(loaded) => Ok(loaded.config.vrrp.expect("virtual addresses").setup),
        Err(error) => Err(error.findings().iter().map(syncd_compat::Finding::summary).collect()),
    }
}

/// An instance, with more keys and tables behind it.
fn instance(more: &str) -> String {
    format!("[[vrrp]]\nname = \"V\"\ninterface = \"eth0\"\nvrid = 7\naddresses = [\"10.0.0.1/24\"]\n{more}\n")
}

#[test]
fn the_outline_of_the_manual_is_an_instance() {
    let text = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 52\npriority = 150\ninterval = \"100ms\"\n\
        preempt = \"always\"\naddresses = [\"10.193.1.130/24\"]\n[[vrrp.track]]\n\
        command = [\"/etc/syncd/check-nginx\"]\ninterval = \"3s\"\nweight = -60\n\
        [[vrrp.notify]]\non = \"master\"\ncommand = [\"/etc/syncd/notify\", \"master\"]\nuser = \"www\"\n";
    let setup = of(text).expect("usable");
    let one = &setup.instances[0];
    assert_eq!((one.version, one.priority, one.interval.as_millis()), (Version::V3, 150, 100));
    assert_eq!((setup.scripts[0].name.as_str(), setup.scripts[0].timeout.as_secs()), ("VI_1-1", 3));
    assert_eq!((one.track.scripts[0].name.as_str(), one.track.scripts[0].weight), ("VI_1-1", -60));
    assert_eq!(one.notify.master.as_ref().and_then(|command| command.user).map(|user| user.uid), Some(33));
    assert_eq!(one.transport, Transport::Multicast { group: "224.0.0.18".parse().expect("ip") });
    assert_eq!(setup.lease, Some(std::time::Duration::from_secs(3)));
}

#[test]
fn a_pipe_has_an_owner_and_a_reader_with_a_user_of_its_own() {
    let fifo = |more: &str| {
        let text = instance(&format!("[[vrrp-fifo]]\npath = \"/run/p\"\n{more}"));
        of(&text).map(|setup| (setup.fifos[0].owner, setup.fifos[0].script.as_ref().and_then(|script| script.user)))
    };
    let (www, root) = (Some(User { uid: 33, gid: 33 }), Some(User { uid: 0, gid: 33 }));
    assert_eq!(fifo("owner = \"www\""), Ok((www, None)));
    assert_eq!(fifo("owner = \"root:www\"\nscript = [\"/bin/r\"]\nuser = \"www\""), Ok((root, www)));
    assert_eq!(fifo(""), Ok((None, None)));
    assert!(fifo("owner = \"none\"").expect_err("nobody")[0].starts_with("syncd.toml:8:9: error: "));
}

#[test]
fn the_lease_can_be_turned_off_and_is_at_least_a_second() {
    let lease =
        |text: &str| of(&format!("[vrrp-global]\nlease = \"{text}\"\n{}", instance(""))).map(|setup| setup.lease);
    assert_eq!(lease("off"), Ok(None));
    assert_eq!(lease("5s"), Ok(Some(std::time::Duration::from_secs(5))));
    assert_eq!(
        lease("500ms"),
        Err(vec!["syncd.toml:2:9: error: `500ms` is shorter than 1s: write at least 1s, or off".to_owned()])
    );
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let second = |more: &str| format!("{}[[vrrp]]\nname = \"W\"\n{more}\n", instance(""));
    let texts = [
        instance("preempt = \"when-synced\""),
        instance("interval = \"1500us\""),
        instance("version = 2\ninterval = \"1500ms\""),
        instance("password-file = \"/etc/x\""),
        instance("priority = 0"),
        instance("ttl = 3"),
        instance("peers = [\"fe80::1\"]"),
        instance("group = \"10.0.0.9\""),
        instance("excluded = [\"10.0.0.2/24 dve eth0\"]"),
        instance("routes = [\"10.1.0.0/16 nexthop\"]"),
        instance("preempt = \"never\"\npreempt-delay = \"1s\""),
        instance("[[vrrp.track]]\nscript = \"chk\""),
        instance("[[vrrp.track]]\ninterface = \"eth9\""),
        instance("[[vrrp.track]]\ninterface = \"eth1\"\nfile = \"f\""),
        instance("[[vrrp.notify]]\non = \"Master\"\ncommand = [\"/bin/x\"]"),
        second("interface = \"eth0\"\nvrid = 7"),
        second("interface = \"eth0\"\nvrid = 8\naddresses = [\"10.0.0.1/24\"]"),
        second("interface = \"eth1\"\nvrid = 7\naddresses = [\"10.0.0.1/24 dev eth0\"]"),
        second("interface = \"eth7\"\nvrid = 7"),
        instance("[[vrrp-group]]\nname = \"G\"\nmembers = [\"V\", \"X\"]"),
        instance("lese = 3"),
        "[vrrp-global]\nno-swap = true\n".to_owned(),
    ];
    let all: Vec<String> = texts.iter().map(|text| of(text).expect_err(text).join("\n")).collect();
    insta::assert_snapshot!("refusals", all.join("\n"));
}
