//! A node in a control group, as in a container: its memory does not suffice, or it is removed with all that is in it.

use std::fs;

use serde_json::Value;

use crate::support::cgroup::Cgroup;
use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::skip;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE};

const VIP: &str = "10.97.1.50";
const MIB: u64 = 1 << 20;

/// How many files are too many for [`MEMORY`], and for what a node needs without them.
const FILES: usize = 20_000;
const MEMORY: u64 = 16 * MIB;

/// A `syncd.toml` of one instance.
fn vrrp(priority: u8) -> String {
    format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval = \"300ms\"\n\
         addresses = [\"{VIP}/24\"]\n"
    )
}

/// Two routers; the first one is in `group`, watches a tree besides, and is master.
fn pair(group: &Cgroup) -> Lab {
    let mut lab = Lab::new(2);
    let tree = lab.routers[0].dir().join("tree");
    fs::create_dir(&tree).expect("a tree");
    let set = format!(
        "[[peer]]\nname = \"other\"\naddress = \"127.0.0.1:9\"\n[[set]]\nname = \"web\"\npath = \"{}\"\nrole = \
         \"primary\"\n",
        tree.display()
    );
    lab.routers[0].write(&(set + &vrrp(150)));
    let mut node = lab.routers[0].node_of(&[]);
    group.hold(&mut node);
    lab.routers[0].start_node(node);
    lab.wait_holder(VIP, 0);
    lab.routers[1].start(Kind::Syncd, &vrrp(100));
    let whole = || group.pids().len() == 3;
    assert!(wait_until(PATIENCE, whole), "no supervisor, VRRP process and engine: {:?}\n{}", group.pids(), lab.logs());
    lab
}

/// The engine as status shows it.
fn engine(status: &Value) -> &Value {
    let processes = status["processes"].as_array().expect("processes");
    processes.iter().find(|process| process["name"] == "engine").expect("an engine")
}

#[test]
fn an_engine_whose_memory_does_not_suffice_moves_nothing_and_serves_again_when_it_does() {
    let test = "an_engine_whose_memory_does_not_suffice_moves_nothing_and_serves_again_when_it_does";
    if !allowed(test) {
        return;
    }
    let Some(group) = Cgroup::limited("little", MEMORY) else {
        return skip::skipped(test, "a memory cgroup that it may make");
    };
    let mut lab = pair(&group);
    let before = lab.routers[0].syncd().status_of_vrrp();
    for n in 0..FILES {
        let dir = lab.routers[0].dir().join(format!("tree/{}", n % 20));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join(n.to_string()), "").expect("a file");
    }
    lab.routers[0].syncd().wait_status(PATIENCE, "started again, twice", |status| {
        let how = engine(status)["last_end"].as_str().unwrap_or_default();
        engine(status)["restarts"].as_u64() >= Some(2) && how.contains("out of memory")
    });
    assert!(group.oom_kills() >= 2, "it was not the kernel's doing\n{}", lab.logs());
    let ear = Ear::new(&lab, 0);
    let master = lab.routers[0].address;
    assert!(wait_until(PATIENCE, || ear.adverts(master).len() >= 5), "{}", lab.logs());
    let after = lab.routers[0].syncd().status_of_vrrp();
    assert_eq!(after["vrrp"][0]["transitions"], before["vrrp"][0]["transitions"], "{}", lab.logs());
    assert_eq!(after["pid"], before["pid"]);
    assert_eq!(lab.holders(VIP), [0]);
    assert!(!lab.routers[1].log().contains("BACKUP -> MASTER"), "{}", lab.logs());
    assert!(group.set_limit(256 * MIB));
    let whole = |status: &Value| status["sets"][0]["entries"].as_u64() >= Some(FILES as u64);
    lab.routers[0].syncd().wait_status(PATIENCE, "watching all files", whole);
    assert_eq!(lab.routers[0].syncd().status_of_vrrp()["vrrp"][0]["transitions"], before["vrrp"][0]["transitions"]);
}

#[test]
fn when_a_container_is_removed_the_address_goes_by_itself() {
    let test = "when_a_container_is_removed_the_address_goes_by_itself";
    if !allowed(test) {
        return;
    }
    let Some(group) = Cgroup::killable("removed") else {
        return skip::skipped(test, "a cgroup of version 2 that it may make and kill");
    };
    let mut lab = pair(&group);
    let ear = Ear::new(&lab, 0);
    group.kill();
    lab.wait_holder(VIP, 1);
    assert!(wait_until(PATIENCE, || group.pids().is_empty()), "{:?}", group.pids());
    assert!(!lab.routers[0].runs());
    // Nobody was there any more to say so.
    let left = ear.adverts(lab.routers[0].address).iter().any(|(_, bytes)| bytes[2] == 0);
    assert!(!left, "it left politely\n{}", lab.logs());
}
