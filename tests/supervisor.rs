//! The processes of a node that runs VRRP: what becomes of the virtual address and of the operator's programs when
//! one of them is killed, told to end, told to read its files again, or replaced.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::namespace::{self, Namespace};
use support::node::{Node, binary, has_ended, wait_until};
use support::program::{self, script};
use support::skip;
use syncd::vrrp::frames::{Decoder, encode};
use syncd::vrrp::message::{FromVrrp, ToVrrp};
use syncd::vrrp::setup::{Address, Instance, Setup};

/// The virtual address.
const VIP: &str = "10.97.7.50/24";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host of its own with one interface, and a node on it.
struct Host {
    node: Node,
    host: Namespace,
    dir: tempfile::TempDir,
}

impl Host {
    /// A node with VRRP alone, or beside a receiving side. What `script` and `more` say goes into the
    /// keepalived.conf: before the instance, and into it.
    fn new(label: &str, engine: bool, before: &str, inside: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("syncd-sv").tempdir().expect("temporary directory");
        let host = Namespace::new(label);
        host.ip("link add eth0 type veth peer name other");
        host.ip("link set eth0 up");
        host.ip("link set other up");
        host.ip("addr add 10.97.7.11/24 dev eth0");
        let path = dir.path();
        fs::write(path.join("keepalived.conf"), config(150, before, inside)).expect("keepalived.conf");
        let vrrp = path.join("keepalived.conf").display().to_string();
        let args = if engine {
            fs::create_dir(path.join("m")).expect("mkdir");
            let module = format!(
                "pid file = {0}/syncd.pid\nport = 18730\nuid = root\ngid = root\n[m]\npath = {0}/m\nread only = no\n",
                path.display()
            );
            fs::write(path.join("rsyncd.conf"), module).expect("rsyncd.conf");
            let own = path.join("rsyncd.conf").display().to_string();
            vec!["peer".to_owned(), "--trust-first-use".into(), "--config".into(), own, "--vrrp".into(), vrrp]
        } else {
            vec!["vrrp".to_owned(), "--config".into(), vrrp]
        };
        let mut node = Node::new("node", path, args);
        node.run_under(["ip", "netns", "exec", host.name()]);
        Self { node, host, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rewrite(&self, config: &str) {
        fs::write(self.path("keepalived.conf"), config).expect("keepalived.conf");
    }

    /// Whether the interface has the virtual address.
    fn holds(&self) -> bool {
        self.host.ip("-4 -o addr show dev eth0").contains(VIP)
    }

    /// Starts it and waits until it is master.
    fn start_as_master(&mut self) {
        self.node.start();
        self.wait_master();
    }

    fn wait_master(&self) {
        self.node.wait_status(PATIENCE, "master", |status| status["vrrp"][0]["state"] == "master");
        assert!(self.holds(), "it is master without the address\n{}", self.node.log());
    }

    /// One of the processes: `vrrp` or `engine`.
    fn process(&self, name: &str) -> Value {
        process(&self.node.status(), name)
    }

    fn pid(&self, name: &str) -> Pid {
        pid(&self.process(name)["pid"])
    }

    /// Kills the process `name` and waits until another one runs.
    fn kill(&self, name: &str) {
        let before = self.process(name)["restarts"].as_u64().expect("a number");
        kill_process(self.pid(name), Signal::KILL).expect("it runs");
        self.node.wait_status(PATIENCE, "started again", |status| {
            let process = process(status, name);
            process["restarts"].as_u64() == Some(before + 1) && process["pid"].is_u64()
        });
    }

    /// Has the node run a program of its own, which may be replaced; where that is.
    fn use_own_program(&mut self) -> PathBuf {
        let own = self.path("syncd");
        program::copy(binary(), &own);
        let exec = format!("shift; exec {} \"$@\"", own.display());
        self.node.run_under(["ip", "netns", "exec", self.host.name(), "sh", "-c", &exec, "sh"]);
        own
    }

    /// The lines of a file that the operator's programs write.
    fn told(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn process(status: &Value, name: &str) -> Value {
    let processes = status["processes"].as_array().expect("processes");
    processes.iter().find(|process| process["name"] == name).unwrap_or_else(|| panic!("no {name}: {status:#}")).clone()
}

fn pid(value: &Value) -> Pid {
    value.as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).expect("it runs")
}

fn config(priority: u8, before: &str, inside: &str) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n script_user root\n}}\n{before}\nvrrp_instance VI_1 {{\n state BACKUP\n \
         interface eth0\n virtual_router_id 52\n priority {priority}\n advert_int 0.1\n virtual_ipaddress {{\n  \
         {VIP}\n }}\n{inside}\n}}\n"
    )
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_killed_vrrp_process_goes_on_and_a_second_crash_yields() {
    if !namespace::allowed("a_killed_vrrp_process_goes_on_and_a_second_crash_yields") {
        return;
    }
    let mut host = Host::new("crash", false, "", "");
    host.start_as_master();
    let before = host.node.status_of_vrrp();
    host.kill("vrrp");
    host.wait_master();
    let after = host.node.status_of_vrrp();
    assert_eq!(after["vrrp"][0]["transitions"], before["vrrp"][0]["transitions"], "{}", host.node.log());
    assert_eq!(after["pid"], before["pid"]);
    assert!(process(&after, "vrrp")["last_end"].as_str().is_some_and(|how| how.contains("signal 9")));
    let said = host.node.log().len();
    host.kill("vrrp");
    host.node.wait_log(said, "it crashed twice within a minute", PATIENCE);
    host.wait_master();
    assert!(host.node.stop().success());
    assert!(!host.holds());
}

#[test]
fn a_killed_engine_moves_nothing_and_is_started_again() {
    if !namespace::allowed("a_killed_engine_moves_nothing_and_is_started_again") {
        return;
    }
    let mut host = Host::new("engine", true, "", "");
    host.start_as_master();
    let pid_file = fs::read_to_string(host.path("syncd.pid")).expect("pid file");
    assert_eq!(pid_file.trim(), host.node.pid().to_string(), "the one to be signalled");
    let (before, vrrp) = (host.node.status_of_vrrp(), host.pid("vrrp"));
    host.kill("engine");
    host.node.wait_status(PATIENCE, "served again", |status| status["sets"][0]["name"] == "m");
    let after = host.node.status_of_vrrp();
    assert_eq!(after["vrrp"][0]["transitions"], before["vrrp"][0]["transitions"]);
    assert_eq!(pid(&process(&after, "vrrp")["pid"]), vrrp);
    let shown = text(&host.node.ask(&["status"]));
    assert!(shown.contains("process engine: pid") && shown.contains("started again 1 time"), "{shown}");
    let listed = host.node.ask(&["replay", "--list"]);
    assert!(listed.status.success(), "{}", text(&listed));
    let engine = host.pid("engine");
    assert!(host.node.stop().success(), "{}", host.node.log());
    assert!(has_ended(engine) && has_ended(vrrp) && !host.holds() && !host.path("syncd.pid").exists());
}

#[test]
fn without_its_supervisor_the_vrrp_process_leaves_and_so_does_the_engine() {
    if !namespace::allowed("without_its_supervisor_the_vrrp_process_leaves_and_so_does_the_engine") {
        return;
    }
    let mut host = Host::new("orphan", true, "", "");
    host.start_as_master();
    let (vrrp, engine) = (host.pid("vrrp"), host.pid("engine"));
    host.node.kill9();
    assert!(wait_until(PATIENCE, || has_ended(vrrp) && has_ended(engine)), "{}", host.node.log());
    assert!(!host.holds());
    host.start_as_master();
}

#[test]
fn after_everything_was_killed_the_next_start_has_one_address_and_takes_it_away_at_its_end() {
    if !namespace::allowed("after_everything_was_killed_the_next_start_has_one_address_and_takes_it_away_at_its_end") {
        return;
    }
    let mut host = Host::new("all", false, "", "");
    host.start_as_master();
    let vrrp = host.pid("vrrp");
    // Stopped, it cannot leave politely when it loses its supervisor.
    kill_process(vrrp, Signal::STOP).expect("it runs");
    host.node.kill9();
    kill_process(vrrp, Signal::KILL).expect("it is there");
    assert!(wait_until(PATIENCE, || has_ended(vrrp)));
    host.start_as_master();
    assert_eq!(host.host.ip("-4 -o addr show dev eth0").matches(VIP).count(), 1);
    assert!(host.node.stop().success());
    assert!(!host.holds());
}

#[test]
fn a_vrrp_process_that_is_stuck_keeps_no_address_at_the_end() {
    if !namespace::allowed("a_vrrp_process_that_is_stuck_keeps_no_address_at_the_end") {
        return;
    }
    let mut host = Host::new("stuck", false, "", "");
    host.start_as_master();
    kill_process(host.pid("vrrp"), Signal::STOP).expect("it runs");
    let status = host.node.status();
    assert!(status["vrrp_fault"].as_str().is_some_and(|fault| fault.contains("does not say")), "{status:#}");
    assert!(host.node.stop().success(), "{}", host.node.log());
    assert!(!host.holds(), "{}", host.node.log());
    assert!(!host.node.log().contains("crashed twice"), "it was killed once: {}", host.node.log());
}

#[test]
fn programs_and_pipes_are_told_in_order_up_to_the_end() {
    if !namespace::allowed("programs_and_pipes_are_told_in_order_up_to_the_end") {
        return;
    }
    let mut host = Host::new("notify", false, "", "");
    let dir = host.dir.path().to_owned();
    script(&dir.join("slow"), &format!("sleep 0.3\necho \"$*\" >> {}/told", dir.display()));
    script(&dir.join("any"), &format!("echo \"$*\" >> {}/told", dir.display()));
    script(&dir.join("reader"), &format!("while read line; do echo \"$line\" >> {}/heard; done < $1", dir.display()));
    let before = format!(
        "global_defs {{\n notify_fifo {0}/fifo\n notify_fifo_script {0}/reader\n}}\nvrrp_sync_group G {{\n group {{\n  \
         VI_1\n  VI_2\n }}\n}}\n",
        dir.display()
    );
    let inside = format!(
        " notify_backup \"{0}/slow is backup\"\n notify_master \"{0}/slow is master\"\n notify_stop \"{0}/slow stops\"\n \
         notify \"{0}/any own\"\n",
        dir.display()
    );
    let second =
        "vrrp_instance VI_2 {\n interface eth0\n virtual_router_id 53\n virtual_ipaddress {\n  10.97.7.51/24\n }\n}\n";
    host.rewrite(&format!("{}{second}", config(150, &before, &inside)));
    host.start_as_master();
    assert!(host.node.stop().success(), "{}", host.node.log());
    let told = [
        "is backup",
        "own INSTANCE VI_1 BACKUP 150",
        "is master",
        "own INSTANCE VI_1 MASTER 150",
        "stops",
        "own INSTANCE VI_1 STOP 150",
    ];
    assert_eq!(host.told("told"), told, "{}", host.node.log());
    // It writes by itself what it has read.
    let read = || host.told("heard").iter().any(|line| line == "INSTANCE \"VI_1\" STOP 150");
    assert!(wait_until(PATIENCE, read), "{:?}\n{}", host.told("heard"), host.node.log());
    let heard = host.told("heard");
    let instance: Vec<_> = heard.iter().filter(|line| line.starts_with("INSTANCE \"VI_1\"")).collect();
    let lines = ["INSTANCE \"VI_1\" BACKUP 150", "INSTANCE \"VI_1\" MASTER 150", "INSTANCE \"VI_1\" STOP 150"];
    assert_eq!(instance, lines, "{heard:?}");
    assert!(heard.iter().any(|line| line == "GROUP \"G\" MASTER 0"), "{heard:?}");
}

#[test]
fn a_reload_changes_what_is_new_and_a_wrong_file_is_refused_with_its_place() {
    if !namespace::allowed("a_reload_changes_what_is_new_and_a_wrong_file_is_refused_with_its_place") {
        return;
    }
    let mut host = Host::new("reload", true, "", "");
    host.start_as_master();
    let transitions = host.node.status_of_vrrp()["vrrp"][0]["transitions"].clone();
    host.rewrite(&config(160, "", ""));
    let done = host.node.ask(&["reload"]);
    let said = text(&done);
    assert!(done.status.success() && said.contains("keepalived.conf is in force"), "{said}");
    assert!(said.contains("rsyncd.conf is in force"), "{said}");
    assert_eq!(host.node.status_of_vrrp()["vrrp"][0]["priority"], 160);
    host.rewrite(&config(170, "", "").replace("virtual_router_id 52", "virtual_router_id 520"));
    let refused = host.node.ask(&["reload"]);
    let said = text(&refused);
    assert!(!refused.status.success() && said.contains("keepalived.conf:9:20: error"), "{said}");
    assert!(said.contains("rsyncd.conf is in force"), "each part answers for itself: {said}");
    let status = host.node.status_of_vrrp();
    assert_eq!((&status["vrrp"][0]["priority"], &status["vrrp"][0]["vrid"]), (&160.into(), &52.into()));
    host.rewrite(&config(180, "", ""));
    host.node.signal(Signal::HUP);
    host.node.wait_status(PATIENCE, "priority 180", |status| status["vrrp"][0]["priority"] == 180);
    let status = host.node.status_of_vrrp();
    assert_eq!((&status["vrrp"][0]["state"], &status["vrrp"][0]["transitions"]), (&"master".into(), &transitions));
    assert_eq!(process(&status, "vrrp")["restarts"], 0);
}

#[test]
fn addresses_of_a_syncd_toml_are_moved_beside_its_sets() {
    if !namespace::allowed("addresses_of_a_syncd_toml_are_moved_beside_its_sets") {
        return;
    }
    let mut host = Host::new("toml", true, "", "");
    let toml = format!(
        "[node]\nlisten = \"0.0.0.0:18731\"\ntrust-first-use = true\n[[set]]\nname = \"m\"\nrole = \"replica\"\npath = \
         \"{}\"\nread-only = false\n[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 52\npriority = 150\ninterval = \
         \"100ms\"\naddresses = [\"{VIP}\"]\n",
        host.path("m").display()
    );
    fs::write(host.path("syncd.toml"), &toml).expect("syncd.toml");
    let args = ["peer".to_owned(), "--config".into(), host.path("syncd.toml").display().to_string()];
    host.node = Node::new("toml", host.dir.path(), args);
    host.node.run_under(["ip", "netns", "exec", host.host.name()]);
    host.start_as_master();
    host.node.wait_status(PATIENCE, "served", |status| status["sets"][0]["name"] == "m");
    fs::write(host.path("syncd.toml"), toml.replace("priority = 150", "priority = 160")).expect("syncd.toml");
    let done = host.node.ask(&["reload"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(host.node.status_of_vrrp()["vrrp"][0]["priority"], 160);
    assert!(host.node.stop().success());
    assert!(!host.holds());
}

#[test]
fn a_script_that_hangs_a_file_and_a_process_move_the_priority() {
    if !namespace::allowed("a_script_that_hangs_a_file_and_a_process_move_the_priority") {
        return;
    }
    let mut host = Host::new("track", false, "", "");
    let dir = host.dir.path().to_owned();
    let slow = dir.join("slow");
    script(&slow, &format!("echo >> {0}/ran; echo begun; [ ! -e {0}/hang ] || exec sleep 1000", dir.display()));
    let before = format!(
        "vrrp_script slow {{\n script \"{}\"\n interval 1\n timeout 3\n weight -20\n}}\nvrrp_track_file load {{\n file \
         {}/load\n weight 1\n}}\nvrrp_track_process none {{\n process syncd-test-never-runs\n weight -7\n}}\n",
        slow.display(),
        dir.display()
    );
    let inside = " track_script {\n  slow\n }\n track_file {\n  load\n }\n track_process {\n  none\n }\n";
    host.rewrite(&config(150, &before, inside));
    host.node.start();
    let priority = |wanted: u64| {
        host.node.wait_status(PATIENCE, "the priority", |status| status["vrrp"][0]["priority"] == wanted);
    };
    assert!(wait_until(PATIENCE, || !host.told("ran").is_empty()), "{}", host.node.log());
    priority(143);
    fs::write(host.path("hang"), "").expect("write");
    priority(123);
    host.node.wait_log(0, "ran for more than 3 s and was killed: begun", PATIENCE);
    fs::write(host.path("load"), "-13\n").expect("write");
    priority(110);
    fs::remove_file(host.path("hang")).expect("removed");
    priority(130);
}

#[test]
fn status_shows_each_instance_to_people_and_programs() {
    if !namespace::allowed("status_shows_each_instance_to_people_and_programs") {
        return;
    }
    let mut host = Host::new("status", false, "", "");
    host.start_as_master();
    let shown = host.node.ask(&["status"]);
    let said = text(&shown);
    for part in
        ["VI_1: MASTER for", "VRID 52 on eth0, VRRPv3", "priority 150", "holds 10.97.7.50/24", "process vrrp: pid"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(shown.status.success(), "{said}");
    host.host.ip("link set eth0 down");
    host.node.wait_status(PATIENCE, "at fault", |status| status["vrrp"][0]["state"] == "fault");
    let shown = host.node.ask(&["status"]);
    assert_eq!(shown.status.code(), Some(1), "{}", text(&shown));
    assert!(text(&shown).contains("FAULT: "), "{}", text(&shown));
    host.node.wait_log(0, "VI_1: MASTER -> FAULT", PATIENCE);
    let verified = host.node.ask(&["verify"]);
    assert!(!verified.status.success() && text(&verified).contains("VRRP alone"), "{}", text(&verified));
}

#[test]
fn the_program_is_replaced_and_address_state_and_process_number_stay() {
    if !namespace::allowed("the_program_is_replaced_and_address_state_and_process_number_stay") {
        return;
    }
    let mut host = Host::new("exec", true, "", "");
    let fifo = host.path("fifo");
    host.rewrite(&config(150, &format!("global_defs {{\n vrrp_notify_fifo {}\n}}\n", fifo.display()), ""));
    let own = host.use_own_program();
    host.start_as_master();
    let before = host.node.status_of_vrrp();
    let pipe = fs::metadata(&fifo).expect("the pipe").ino();
    let heard = fs::File::create(host.path("heard")).expect("file");
    let mut reader = Command::new("cat").arg(&fifo).stdout(heard).spawn().expect("cat");
    assert!(wait_until(PATIENCE, || !host.told("heard").is_empty()), "{}", host.node.log());
    // Another file takes its place, as a package does it.
    program::copy(binary(), &host.path("new"));
    fs::rename(host.path("new"), &own).expect("rename");
    for upgrades in 1..3 {
        let done = host.node.ask(&["reload", "--exec"]);
        assert!(done.status.success(), "{}\n{}", text(&done), host.node.log());
        assert!(host.holds());
        host.wait_master();
        host.node.wait_status(PATIENCE, "served again", |status| status["sets"][0]["name"] == "m");
        let after = host.node.status_of_vrrp();
        assert_eq!(after["upgrades"], upgrades);
        assert_eq!(after["pid"], before["pid"]);
        assert_eq!(after["vrrp"][0]["transitions"], before["vrrp"][0]["transitions"], "{}", host.node.log());
        for name in ["vrrp", "engine"] {
            assert_ne!(process(&after, name)["pid"], process(&before, name)["pid"]);
            assert_eq!(process(&after, name)["restarts"], 0, "{}", host.node.log());
        }
        let exe = fs::read_link(format!("/proc/{}/exe", host.node.pid())).expect("it runs");
        assert_eq!(exe, own);
    }
    script(&host.path("new"), "exit 1");
    fs::rename(host.path("new"), &own).expect("rename");
    let refused = host.node.ask(&["reload", "--exec"]);
    assert!(text(&refused).contains("it is no syncd that runs here"), "{}", text(&refused));
    assert_eq!(host.node.status()["upgrades"], 2);
    host.wait_master();
    assert_eq!(fs::metadata(&fifo).expect("the pipe").ino(), pipe);
    assert!(host.node.stop().success(), "{}", host.node.log());
    assert!(!host.holds() && !fifo.exists());
    assert!(reader.wait().expect("it ends with the pipe").success());
    assert_eq!(host.told("heard").last().map(String::as_str), Some("INSTANCE \"VI_1\" STOP 150"));
}

/// Starts it as master and has a program replace it that takes its time before it is syncd; meanwhile the process gets
/// these signals. It waits for what is in the pipe, as long as that is open.
#[must_use]
fn replace_slowly(host: &mut Host, signals: &[Signal]) -> fs::File {
    let own = host.use_own_program();
    host.start_as_master();
    let dir = host.dir.path().display().to_string();
    // It waits without a child: a shell that waits for one lets all signals come (dash).
    let lines = format!(
        "[ \"$1\" != --version ] || exec {0} --version\necho >> {dir}/began\nread line < {dir}/go\nexec {0} \"$@\"",
        binary().display()
    );
    let go = host.path("go");
    mknodat(CWD, &go, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let mut go = fs::File::options().read(true).write(true).open(go).expect("opened");
    script(&host.path("new"), &lines);
    fs::rename(host.path("new"), own).expect("rename");
    let mut asked = Command::new(binary());
    asked.args(["reload", "--exec", "--state-dir"]).arg(host.node.state_dir());
    let mut asked = asked.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let began = wait_until(PATIENCE, || !host.told("began").is_empty());
    // It waits for the answer of the other program, which may never come.
    drop(asked.kill());
    asked.wait().expect("a child");
    assert!(began, "{}", host.node.log());
    signals.iter().for_each(|signal| host.node.signal(*signal));
    go.write_all(b"\n").expect("write");
    go
}

#[test]
fn what_is_signalled_while_the_program_is_replaced_waits_for_the_other_one() {
    if !namespace::allowed("what_is_signalled_while_the_program_is_replaced_waits_for_the_other_one") {
        return;
    }
    let mut host = Host::new("between", false, "", "");
    let _go = replace_slowly(&mut host, &[Signal::USR1, Signal::USR2, Signal::HUP]);
    for said in ["SIGUSR1 does nothing here", "SIGUSR2 does nothing here", "reload: "] {
        host.node.wait_log(0, said, PATIENCE);
    }
    host.wait_master();
    assert_eq!(host.node.status()["upgrades"], 1, "{}", host.node.log());
}

#[test]
fn who_is_told_to_end_while_the_program_is_replaced_leaves_politely() {
    if !namespace::allowed("who_is_told_to_end_while_the_program_is_replaced_leaves_politely") {
        return;
    }
    let mut host = Host::new("end", false, "", "");
    let _go = replace_slowly(&mut host, &[Signal::TERM]);
    assert!(host.node.wait_exit(PATIENCE).success(), "{}", host.node.log());
    assert!(!host.holds(), "{}", host.node.log());
}

#[test]
fn what_is_signalled_to_all_of_syncd_is_the_supervisors() {
    if !namespace::allowed("what_is_signalled_to_all_of_syncd_is_the_supervisors") {
        return;
    }
    let mut host = Host::new("signals", true, "", "");
    host.start_as_master();
    let before = host.node.status_of_vrrp();
    for signal in [Signal::HUP, Signal::INT, Signal::USR1, Signal::USR2] {
        for name in ["vrrp", "engine"] {
            kill_process(host.pid(name), signal).expect("it runs");
        }
    }
    // Whoever was ended by one of them answers no more.
    let answered = |status: &Value| status["vrrp"][0]["state"] == "master" && status["sets"][0]["name"] == "m";
    host.node.wait_status(PATIENCE, "answers of both", answered);
    for name in ["vrrp", "engine"] {
        let after = host.process(name);
        assert_eq!((&after["pid"], &after["restarts"]), (&process(&before, name)["pid"], &0.into()), "{name}");
    }
    host.rewrite(&config(180, "", ""));
    for pid in [host.node.pid().to_string(), host.pid("vrrp").to_string(), host.pid("engine").to_string()] {
        kill_process(Pid::from_raw(pid.parse().expect("a pid")).expect("a pid"), Signal::HUP).expect("it runs");
    }
    host.node.wait_status(PATIENCE, "priority 180", |status| status["vrrp"][0]["priority"] == 180);
    assert!(host.node.stop().success(), "{}", host.node.log());
    assert!(!host.holds());
}

/// A VRRP process that the test itself is the supervisor of.
struct Worker {
    child: Child,
    stream: UnixStream,
    decoder: Decoder,
}

impl Worker {
    fn start(host: &Host) -> Self {
        let (stream, theirs) = UnixStream::pair().expect("a pair");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host.host.name()]).arg(binary()).args(["worker", "vrrp"]);
        let child = command.stdin(OwnedFd::from(theirs)).spawn().expect("it runs");
        Self { child, stream, decoder: Decoder::default() }
    }

    fn tell(&mut self, message: &ToVrrp) {
        self.stream.write_all(&encode(message).expect("short")).expect("it listens");
    }

    /// What it says next that `wanted` takes.
    fn hear<T>(&mut self, wanted: impl Fn(FromVrrp) -> Option<T>) -> T {
        let mut part = [0; 4096];
        loop {
            while let Some(message) = self.decoder.poll().expect("ours") {
                if let Some(found) = wanted(message) {
                    return found;
                }
            }
            let read = self.stream.read(&mut part).expect("it answers");
            assert!(read > 0, "it is gone");
            self.decoder.push(&part[..read]);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn what_was_handed_over_is_taken_away_where_the_supervisor_is_killed_meanwhile() {
    if !namespace::allowed("what_was_handed_over_is_taken_away_where_the_supervisor_is_killed_meanwhile") {
        return;
    }
    let host = Host::new("heir", false, "", "");
    let address = Address::new(std::net::Ipv4Addr::new(10, 97, 7, 50).into(), 24);
    let mut instance = Instance::new("VI_1", "eth0", 52, vec![address]);
    instance.interval = Duration::from_millis(100);
    // Without a lease nobody else takes it away.
    let setup = Setup { instances: vec![instance], lease: None, ..Setup::default() };
    let mut first = Worker::start(&host);
    first.tell(&ToVrrp::Start { setup: setup.clone(), lives: Vec::new(), give_up: false, earlier: false });
    let life = first.hear(|said| match said {
        FromVrrp::Life(life) if !life.held.is_empty() => Some(life),
        _ => None,
    });
    let mut heir = Worker::start(&host);
    heir.tell(&ToVrrp::Wait { setup, lives: vec![life], pid: first.child.id() });
    heir.hear(|said| (said == FromVrrp::Waits).then_some(()));
    first.tell(&ToVrrp::HandOver);
    assert!(first.child.wait().expect("a child").success());
    assert!(host.holds(), "it was handed over");
    heir.stream.shutdown(std::net::Shutdown::Both).expect("a stream");
    assert!(heir.child.wait().expect("a child").success());
    assert!(!host.holds());
}

#[test]
fn nobody_waits_for_who_does_not_read_that_it_is_ready() {
    if !namespace::allowed("nobody_waits_for_who_does_not_read_that_it_is_ready") {
        return;
    }
    let host = Host::new("unread", false, "", "");
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("set");
    while (&writer).write(b"what nobody reads").is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).expect("set");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.host.name()]).arg(binary()).args(["vrrp", "--config"]);
    command.arg(host.path("keepalived.conf")).arg("--state-dir").arg(host.node.state_dir());
    let mut child = command.stdin(Stdio::null()).stdout(writer).spawn().expect("it runs");
    let supervisor = Pid::from_child(&child);
    let guard = Daemon(supervisor);
    assert!(wait_until(PATIENCE, || host.holds()));
    kill_process(supervisor, Signal::TERM).expect("it runs");
    let mut ended = None;
    wait_until(PATIENCE, || {
        ended = child.try_wait().expect("a child");
        ended.is_some()
    });
    assert!(ended.is_some_and(|ended| ended.success()), "{ended:?}");
    // It is no longer there to be killed.
    std::mem::forget(guard);
    assert!(!host.holds());
}

#[test]
fn an_engine_that_hangs_is_a_fault_and_vrrp_goes_on() {
    if !namespace::allowed("an_engine_that_hangs_is_a_fault_and_vrrp_goes_on") {
        return;
    }
    let mut host = Host::new("hangs", true, "", "");
    host.start_as_master();
    let engine = host.pid("engine");
    kill_process(engine, Signal::STOP).expect("it runs");
    host.node.wait_status(PATIENCE, "a fault", |status| status["engine_fault"].is_string());
    let shown = host.node.ask(&["status"]);
    assert_eq!(shown.status.code(), Some(1), "{}", text(&shown));
    assert!(text(&shown).contains("REPLICATION: the replication process does not say"), "{}", text(&shown));
    kill_process(engine, Signal::CONT).expect("it is there");
    host.node.wait_status(PATIENCE, "no fault", |status| status["engine_fault"].is_null());
    host.wait_master();
    assert!(host.node.stop().success());
}

#[test]
fn an_upgrade_does_not_wait_for_who_reads_no_pipe_and_hears_that_it_is_to_end() {
    if !namespace::allowed("an_upgrade_does_not_wait_for_who_reads_no_pipe_and_hears_that_it_is_to_end") {
        return;
    }
    let mut host = Host::new("full", false, "", "");
    let fifo = host.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut pipe = fs::File::options().read(true).write(true).custom_flags(nonblocking).open(&fifo).expect("opened");
    while pipe.write(b"a line that nobody reads\n").is_ok() {}
    host.rewrite(&config(150, &format!("global_defs {{\n vrrp_notify_fifo {}\n}}\n", fifo.display()), ""));
    host.start_as_master();
    // keepalived would write a file.
    host.node.signal(Signal::USR1);
    host.node.wait_log(0, "SIGUSR1 does nothing here", PATIENCE);
    let done = host.node.ask(&["reload", "--exec"]);
    assert!(done.status.success(), "{}\n{}", text(&done), host.node.log());
    host.node.wait_status(PATIENCE, "replaced", |status| status["upgrades"] == 1);
    assert!(host.holds(), "{}", host.node.log());
    // Another line that waits for a reader.
    host.host.ip("link set eth0 down");
    host.node.wait_log(0, "VI_1: MASTER -> FAULT", PATIENCE);
    host.host.ip("link set eth0 up");
    host.wait_master();
    let so_far = host.node.log().len();
    let done = host.node.ask(&["reload", "--exec"]);
    host.node.wait_log(so_far, "goes on in this process", PATIENCE);
    assert!(host.node.stop().success(), "{}\n{}", text(&done), host.node.log());
    assert!(!host.holds(), "{}", host.node.log());
}

#[test]
fn what_cannot_be_started_is_one_line_with_its_exit_code() {
    if !namespace::allowed("what_cannot_be_started_is_one_line_with_its_exit_code") {
        return;
    }
    let host = Host::new("refused", true, "", "");
    let run = |prefix: &[&str], more: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host.host.name()]).args(prefix).arg(binary()).args(more);
        command.arg("--state-dir").arg(host.path("state")).output().expect("it runs")
    };
    let (vrrp, rsyncd) = (host.path("keepalived.conf"), host.path("rsyncd.conf"));
    let (vrrp, rsyncd) = (vrrp.to_str().expect("text"), rsyncd.to_str().expect("text"));
    if skip::have("what_cannot_be_started_is_one_line_with_its_exit_code", "setpriv") {
        let without = ["setpriv", "--bounding-set=-net_admin,-net_raw"];
        let output = run(&without, &["vrrp", "--config", vrrp]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        assert!(text(&output).contains("CAP_NET_"), "{}", text(&output));
    }
    host.rewrite(&config(150, "", "").replace("interface eth0", "interface nowhere"));
    let output = run(&[], &["vrrp", "--config", vrrp]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("nowhere"), "{}", text(&output));
    host.rewrite(&config(150, "", ""));
    fs::write(rsyncd, "[m\n").expect("write");
    let output = run(&[], &["peer", "--config", rsyncd, "--vrrp", vrrp]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("rsyncd.conf:1"), "{}", text(&output));
    assert!(!host.holds());
}

/// One that is no child of the test, and does not outlive it.
struct Daemon(Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        // The processes of a supervisor that is killed end by themselves. Whoever has ended need not be killed.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_daemon_logs_what_all_of_its_processes_say() {
    if !namespace::allowed("a_daemon_logs_what_all_of_its_processes_say") {
        return;
    }
    let host = Host::new("daemon", true, "", "");
    let (vrrp, rsyncd) = (host.path("keepalived.conf"), host.path("rsyncd.conf"));
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.host.name()]).arg(binary()).args(["peer", "-d", "--trust-first-use"]);
    command.arg("--config").arg(rsyncd).arg("--vrrp").arg(vrrp).arg("--state-dir").arg(host.node.state_dir());
    let started = command.output().expect("it runs");
    let said = text(&started);
    assert!(started.status.success() && said.contains("ready: pid"), "{said}");
    let _daemon = Daemon(pid(&host.node.status()["pid"]));
    host.wait_master();
    let upgraded = host.node.ask(&["reload", "--exec"]);
    assert!(upgraded.status.success(), "{}", text(&upgraded));
    host.wait_master();
    let status = host.node.status();
    let log = PathBuf::from(status["log"].as_str().expect("a log"));
    host.node.wait_status(PATIENCE, "served again", |status| status["sets"][0]["name"] == "m");
    let reloaded = host.node.ask(&["reload"]);
    assert!(reloaded.status.success(), "{}", text(&reloaded));
    let logged = || fs::read_to_string(&log).expect("log");
    for words in ["VI_1: BACKUP -> MASTER", "reload: ", "rsyncd.conf is in force"] {
        assert!(wait_until(PATIENCE, || logged().contains(words)), "{words}: {}", logged());
    }
    let supervisor = pid(&status["pid"]);
    kill_process(supervisor, Signal::TERM).expect("it runs");
    assert!(wait_until(PATIENCE, || has_ended(supervisor)), "{}", fs::read_to_string(&log).unwrap_or_default());
    assert!(!host.holds());
}

#[test]
fn told_to_end_twice_it_does_not_wait_for_programs_and_the_address_is_gone() {
    if !namespace::allowed("told_to_end_twice_it_does_not_wait_for_programs_and_the_address_is_gone") {
        return;
    }
    let mut host = Host::new("twice", false, "", "");
    let dir = host.dir.path().display().to_string();
    script(&host.path("stop"), &format!("echo $$ >> {dir}/begun; exec sleep 1000"));
    host.rewrite(&config(150, "", &format!(" notify_stop {dir}/stop\n")));
    host.start_as_master();
    host.node.signal(Signal::TERM);
    assert!(wait_until(PATIENCE, || !host.told("begun").is_empty()), "{}", host.node.log());
    host.node.signal(Signal::TERM);
    let ended = host.node.wait_exit(PATIENCE);
    assert!(ended.success() && host.node.log().contains("told twice: ending at once"), "{}", host.node.log());
    let program = host.told("begun")[0].parse().ok().and_then(Pid::from_raw).expect("its number");
    assert!(wait_until(PATIENCE, || has_ended(program)), "what is not waited for is killed");
    assert!(!host.holds());
}

#[test]
fn a_program_that_cannot_take_over_leaves_everything_as_it_was() {
    if !namespace::allowed("a_program_that_cannot_take_over_leaves_everything_as_it_was") {
        return;
    }
    let mut host = Host::new("execve", true, "", "");
    let own = host.use_own_program();
    host.start_as_master();
    let before = host.node.status_of_vrrp();
    let as_it_was = |host: &Host| {
        host.node.wait_status(PATIENCE, "served again", |status| status["sets"][0]["name"] == "m");
        let after = host.node.status_of_vrrp();
        for (what, before, after) in [
            ("program", &before["pid"], &after["pid"]),
            ("upgrades", &before["upgrades"], &after["upgrades"]),
            ("transitions", &before["vrrp"][0]["transitions"], &after["vrrp"][0]["transitions"]),
            ("VRRP process", &process(&before, "vrrp")["pid"], &process(&after, "vrrp")["pid"]),
            ("restarts", &process(&before, "vrrp")["restarts"], &process(&after, "vrrp")["restarts"]),
        ] {
            assert_eq!(before, after, "{what}\n{}", host.node.log());
        }
        host.wait_master();
    };
    fs::remove_file(&own).expect("remove");
    let said = text(&host.node.ask(&["reload", "--exec"]));
    assert!(said.contains("No such file") && said.contains("the program is not replaced"), "{said}");
    as_it_was(&host);
    program::copy(binary(), &host.path("new"));
    fs::set_permissions(host.path("new"), fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::rename(host.path("new"), &own).expect("rename");
    let said = text(&host.node.ask(&["reload", "--exec"]));
    assert!(said.contains("Permission denied") && said.contains("the program is not replaced"), "{said}");
    as_it_was(&host);
    // It says who it is, and can be run no more: only the execve(2) itself fails.
    script(&host.path("new"), "chmod a-x $0; echo syncd 99");
    fs::rename(host.path("new"), &own).expect("rename");
    let so_far = host.node.log().len();
    let failed = host.node.ask(&["reload", "--exec"]);
    let said = "Permission denied (os error 13): the program is not replaced";
    assert!(!failed.status.success() && text(&failed).contains(said), "{}", text(&failed));
    host.node.wait_log(so_far, said, PATIENCE);
    assert_eq!(host.node.status()["upgrade_fault"], said);
    as_it_was(&host);
    let reloaded = host.node.ask(&["reload"]);
    assert!(reloaded.status.success(), "it serves as before: {}", text(&reloaded));

    assert!(host.node.stop().success(), "{}", host.node.log());
    assert!(!host.holds());
}

#[test]
fn a_script_that_others_may_write_since_the_start_is_run_no_more_until_they_may_not() {
    if !namespace::allowed("a_script_that_others_may_write_since_the_start_is_run_no_more_until_they_may_not") {
        return;
    }
    // Everything on the way there is root's.
    let safe = tempfile::Builder::new().prefix("syncd-sv").tempdir_in("/run").expect("directory");
    let (check, ran) = (safe.path().join("check"), safe.path().join("ran"));
    script(&check, &format!("echo ran >> {}", ran.display()));
    let mut host = Host::new("guard", false, "", "");
    let before = format!(
        "global_defs {{\n enable_script_security\n}}\nvrrp_script check {{\n script \"/usr/bin/env sh -e {}\"\n interval 1\n \
         weight -20\n}}\n",
        check.display()
    );
    host.rewrite(&config(150, &before, " track_script {\n  check\n }\n"));
    host.start_as_master();
    let priority = |wanted: u64| {
        host.node.wait_status(PATIENCE, "the priority", |status| status["vrrp"][0]["priority"] == wanted);
    };
    priority(150);
    fs::set_permissions(&check, fs::Permissions::from_mode(0o757)).expect("chmod");
    priority(130);
    let runs = fs::read_to_string(&ran).expect("it ran").lines().count();
    let said = format!("`{}` can be written by everybody (mode 757), and root would run it", check.display());
    host.node.wait_log(0, &said, PATIENCE);
    fs::set_permissions(&check, fs::Permissions::from_mode(0o755)).expect("chmod");
    priority(150);
    assert!(fs::read_to_string(&ran).expect("it ran").lines().count() > runs);
    assert_eq!(host.node.log().matches(&said).count(), 1, "{}", host.node.log());
}
