//! The operator's programs and pipes are told what keepalived tells them, in the same words and order.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use syncd::vrrp::packet::{Advert, Auth, Path, Version};

use crate::bed::{FAST, STEADY, VIP, instance};
use crate::support::injector::{GROUP, Injector, Packet};
use crate::support::node::wait_until;
use crate::support::program::script;
use crate::support::vrrp::{Kind, Lab, PATIENCE, with_keepalived};

/// A lab with a program that writes down how it was called, and a pipe.
struct Told {
    lab: Lab,
    pipe: File,
    /// What came by the pipe.
    lines: String,
}

impl Told {
    fn new() -> Self {
        let lab = Lab::new(2);
        let dir = lab.routers[0].dir();
        let program = dir.join("note");
        // The first argument names the file: programs of one transition run at the same time with keepalived.
        // A line is written at once: who waits for it finds all of it.
        let lines = "file=$1; shift; line=$(printf '[%s]' \"$@\" \"\")";
        script(&program, &format!("{lines}; echo \"$line\" >> {}/$file", dir.display()));
        let path = dir.join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let pipe = File::options().read(true).write(true).custom_flags(nonblocking).open(path).expect("opened");
        Self { lab, pipe, lines: String::new() }
    }

    fn globals(&self) -> String {
        let dir = self.lab.routers[0].dir().display();
        format!(
            "global_defs {{\n script_user root\n vrrp_notify_fifo {dir}/pipe\n vrrp_notify_priority_changes on\n}}\n"
        )
    }

    /// The lines that tell of everything; `of` tells files apart.
    fn notify(&self, of: &str) -> String {
        let note = self.lab.routers[0].dir().join("note").display().to_string();
        let lines = ["master", "backup", "fault", "stop"]
            .map(|state| format!(" notify_{state} \"{note} {of}-each {state} 'two words'\"\n"));
        format!("{} notify \"{note} {of}-any\"\n", lines.concat())
    }

    /// Waits until the pipe told `times` times of `words`.
    fn wait(&mut self, words: &str, times: usize) {
        let told = wait_until(PATIENCE, || {
            let _ = self.pipe.read_to_string(&mut self.lines);
            self.lines.matches(words).count() >= times
        });
        assert!(told, "{words} was not told {times} times: {}\n{}", self.lines, self.lab.logs());
    }

    /// What the files say, the pipe last. Programs may still run when keepalived has ended.
    fn all(mut self, files: &[(&str, usize)]) -> Vec<String> {
        let dir = self.lab.routers[0].dir();
        let mut all = Vec::new();
        for (file, lines) in files {
            let mut said = String::new();
            let complete = wait_until(PATIENCE, || {
                said = fs::read_to_string(dir.join(file)).unwrap_or_default();
                said.lines().count() >= *lines
            });
            assert!(complete, "{file} has not {lines} lines:\n{said}\n{}", self.lab.logs());
            all.push(format!("{file}:\n{said}"));
        }
        let _ = self.pipe.read_to_string(&mut self.lines);
        all.push(self.lines);
        all
    }
}

/// The history of an instance that is told of.
fn one_instance(kind: Kind) -> Vec<String> {
    let mut told = Told::new();
    let dir = told.lab.routers[0].dir().display().to_string();
    let more = format!("{STEADY}\n{} notify_master_rx_lower_pri \"{dir}/note lower heard\"\n", told.notify("one"));
    let script = format!("vrrp_script check {{\n script \"/usr/bin/test ! -e {dir}/broken\"\n weight -10\n}}\n");
    let more = format!("{more} track_script {{\n check\n }}\n");
    let config = format!("{}{script}{}", told.globals(), instance("VI_1", "eth0", 51, 150, &more, VIP));
    told.lab.routers[0].start(kind, &config);
    told.wait("\"VI_1\" MASTER 150", 1);
    // Another thinks that it is master.
    let (from, own) = (Ipv4Addr::new(10, 97, 1, 99), [10, 97, 1, 100].into());
    let (addresses, auth) = (vec![VIP.parse().expect("an address")], Auth::None);
    let lesser = Advert { version: Version::V3, vrid: 51, priority: 7, centiseconds: 30, auth, addresses };
    Injector::new(&told.lab.client, own).send(&Packet::new(from, lesser.encode(Path::V4(from, GROUP))));
    told.wait("MASTER_RX_LOWER_PRI", 1);
    told.lab.routers[0].host.ip("link set eth0 down");
    told.wait("FAULT", 1);
    told.lab.routers[0].host.ip("link set eth0 up");
    told.wait("\"VI_1\" MASTER 150", 2);
    fs::write(format!("{dir}/broken"), "").expect("written");
    told.wait("MASTER_PRIORITY 140", 1);
    // A better one comes and goes.
    told.lab.routers[1].start(Kind::Syncd, &instance("VI_1", "eth0", 51, 200, STEADY, VIP));
    told.wait("\"VI_1\" BACKUP 140", 1);
    told.lab.routers[1].stop();
    told.wait("\"VI_1\" MASTER 140", 1);
    told.lab.routers[0].stop();
    told.wait("STOP", 1);
    told.all(&[("one-each", 8), ("one-any", 8), ("lower", 1)])
}

/// What syncd told, in its order; `history` with keepalived has told each the same, whose programs overtake each other.
fn the_same(history: fn(Kind) -> Vec<String>) -> String {
    let [ours, theirs] = std::thread::scope(|scope| {
        let told = [Kind::Syncd, Kind::Keepalived].map(|kind| scope.spawn(move || history(kind)));
        told.map(|told| told.join().expect("done"))
    });
    let sorted = |text: &String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(ours.iter().map(sorted).collect::<Vec<_>>(), theirs.iter().map(sorted).collect::<Vec<_>>());
    // The pipe has an order: that of each subject. Which member of a group is first is chance with keepalived.
    for subject in ["\"VI_1\"", "\"ONE\"", "\"TWO\"", "\"G\""] {
        let of = |all: &Vec<String>| {
            all.last()
                .map(|pipe| pipe.lines().filter(|line| line.contains(subject)).map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(of(&ours), of(&theirs));
    }
    ours.join("\n")
}

#[test]
fn an_instance_is_told_of_as_keepalived_tells_of_it() {
    if with_keepalived("an_instance_is_told_of_as_keepalived_tells_of_it") {
        insta::assert_snapshot!(the_same(one_instance), @r#"
        one-each:
        [backup][two words][]
        [master][two words][]
        [fault][two words][]
        [backup][two words][]
        [master][two words][]
        [backup][two words][]
        [master][two words][]
        [stop][two words][]

        one-any:
        [INSTANCE][VI_1][BACKUP][150][]
        [INSTANCE][VI_1][MASTER][150][]
        [INSTANCE][VI_1][FAULT][150][]
        [INSTANCE][VI_1][BACKUP][150][]
        [INSTANCE][VI_1][MASTER][150][]
        [INSTANCE][VI_1][BACKUP][140][]
        [INSTANCE][VI_1][MASTER][140][]
        [INSTANCE][VI_1][STOP][140][]

        lower:
        [heard][]

        INSTANCE "VI_1" BACKUP 150
        INSTANCE "VI_1" MASTER 150
        INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150
        INSTANCE "VI_1" FAULT 150
        INSTANCE "VI_1" BACKUP 150
        INSTANCE "VI_1" MASTER 150
        INSTANCE "VI_1" MASTER_PRIORITY 140
        INSTANCE "VI_1" BACKUP 140
        INSTANCE "VI_1" MASTER 140
        INSTANCE "VI_1" STOP 140
        "#);
    }
}

/// The history of a sync group that is told of.
fn group(kind: Kind) -> Vec<String> {
    let mut told = Told::new();
    let one = instance("ONE", "eth0", 51, 150, &format!("{FAST}\n{}", told.notify("one")), VIP);
    let two = instance("TWO", "eth0", 52, 150, FAST, "10.97.1.51");
    let group = format!("vrrp_sync_group G {{\n group {{\n ONE\n TWO\n }}\n{}}}\n", told.notify("group"));
    let config = format!("{}{group}{one}{two}", told.globals());
    told.lab.routers[0].start(kind, &config);
    told.wait("GROUP \"G\" MASTER", 1);
    told.lab.routers[0].host.ip("link set eth0 down");
    told.wait("GROUP \"G\" FAULT", 1);
    told.lab.routers[0].host.ip("link set eth0 up");
    told.wait("GROUP \"G\" MASTER", 2);
    told.lab.routers[0].stop();
    told.wait("GROUP \"G\" STOP", 1);
    told.all(&[("one-each", 6), ("one-any", 6), ("group-each", 6), ("group-any", 6)])
}

#[test]
fn a_sync_group_is_told_of_as_keepalived_tells_of_it() {
    if with_keepalived("a_sync_group_is_told_of_as_keepalived_tells_of_it") {
        insta::assert_snapshot!(the_same(group), @r#"
        one-each:
        [backup][two words][]
        [master][two words][]
        [fault][two words][]
        [backup][two words][]
        [master][two words][]
        [stop][two words][]

        one-any:
        [INSTANCE][ONE][BACKUP][150][]
        [INSTANCE][ONE][MASTER][150][]
        [INSTANCE][ONE][FAULT][150][]
        [INSTANCE][ONE][BACKUP][150][]
        [INSTANCE][ONE][MASTER][150][]
        [INSTANCE][ONE][STOP][150][]

        group-each:
        [backup][two words][]
        [master][two words][]
        [fault][two words][]
        [backup][two words][]
        [master][two words][]
        [stop][two words][]

        group-any:
        [GROUP][G][BACKUP][0][]
        [GROUP][G][MASTER][0][]
        [GROUP][G][FAULT][0][]
        [GROUP][G][BACKUP][0][]
        [GROUP][G][MASTER][0][]
        [GROUP][G][STOP][0][]

        INSTANCE "ONE" BACKUP 150
        INSTANCE "TWO" BACKUP 150
        GROUP "G" BACKUP 0
        INSTANCE "ONE" MASTER 150
        INSTANCE "TWO" MASTER 150
        GROUP "G" MASTER 0
        INSTANCE "ONE" FAULT 150
        INSTANCE "TWO" FAULT 150
        GROUP "G" FAULT 0
        INSTANCE "ONE" BACKUP 150
        INSTANCE "TWO" BACKUP 150
        GROUP "G" BACKUP 0
        INSTANCE "ONE" MASTER 150
        INSTANCE "TWO" MASTER 150
        GROUP "G" MASTER 0
        INSTANCE "ONE" STOP 150
        INSTANCE "TWO" STOP 150
        GROUP "G" STOP 0
        "#);
    }
}
