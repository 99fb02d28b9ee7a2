//! Hosts that are network namespaces, and links between them.
//!
//! Whatever is made here is gone with the value that stands for it, also when a test panics.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::node::wait_until;
use super::skip;

/// How long the kernel may take to notice that a cable is plugged in.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether `test` may make namespaces; false, and recorded as skipped, where it may not.
pub fn allowed(test: &str) -> bool {
    static MADE: OnceLock<bool> = OnceLock::new();
    if !skip::am_root(test) || !skip::have(test, "ip") {
        return false;
    }
    let made = *MADE.get_or_init(|| {
        let name = unique("probe");
        let made = quiet_ip(&["netns", "add", &name]);
        quiet_ip(&["netns", "del", &name]);
        made
    });
    if !made {
        skip::skipped(test, "network namespaces");
    }
    made
}

/// A host of its own: a network namespace, with loopback up and no search for duplicate addresses.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, with `label` in its name for people.
    pub fn new(label: &str) -> Self {
        let namespace = Self { name: unique(label) };
        ip(&["netns", "add", &namespace.name]);
        namespace.ip("link set lo up");
        for place in ["all", "default"] {
            namespace.set(&format!("net.ipv6.conf.{place}.accept_dad"), "0");
        }
        namespace
    }

    /// Its name, for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs ip(8) in it, with these arguments.
    pub fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        ip(&all)
    }

    /// Sets a value of sysctl(8) in it.
    pub fn set(&self, key: &str, value: &str) {
        let path = sysctl(key);
        self.run(|| std::fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}")));
    }

    /// A value of sysctl(8) in it.
    pub fn get(&self, key: &str) -> String {
        let path = sysctl(key);
        self.run(|| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).trim().to_owned()
    }

    /// Does `work` in it, on a thread of its own: what that opens stays in the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let inside = || {
                self.enter();
                work()
            };
            scope.spawn(inside).join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread into it, for good.
    pub fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("the namespace has a name");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter");
    }

    /// Waits until the interface `name`, whose other end is up, can send and has the use of its addresses: the kernel
    /// notices a while after ip(8) is done, and what is sent before is lost.
    pub fn wait_ready(&self, name: &str) {
        let link = || self.ip(&format!("link show dev {name}")).contains("state UP");
        let addresses = || !self.ip(&format!("addr show dev {name}")).contains("tentative");
        assert!(wait_until(PATIENCE, || link() && addresses()), "{}", self.ip(&format!("addr show dev {name}")));
    }

    /// A program that is to run in it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program_ip());
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        quiet_ip(&["netns", "del", &self.name]);
    }
}

/// A cable from interface `ours` of one host to `theirs` of another, both up and ready.
pub fn cable(one: &Namespace, ours: &str, other: &Namespace, theirs: &str) {
    one.ip(&format!("link add {ours} type veth peer name {theirs} netns {}", other.name));
    one.ip(&format!("link set {ours} up"));
    other.ip(&format!("link set {theirs} up"));
    one.wait_ready(ours);
    other.wait_ready(theirs);
}

/// A switch: a bridge in a namespace of its own.
pub struct Lan {
    switch: Namespace,
    ports: AtomicU32,
}

impl Lan {
    /// A new one without hosts.
    pub fn new(label: &str) -> Self {
        let switch = Namespace::new(label);
        switch.ip("link add br0 type bridge mcast_snooping 0 forward_delay 0 stp_state 0");
        switch.ip("link set br0 up");
        Self { switch, ports: AtomicU32::new(0) }
    }

    /// Connects `host` by its new interface `interface`, with these addresses (`10.0.0.1/24`). Gives the
    /// switch's end of the cable: `set_port` pulls and plugs it.
    pub fn attach(&self, host: &Namespace, interface: &str, addresses: &[&str]) -> String {
        let port = format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed));
        cable(host, interface, &self.switch, &port);
        self.switch.ip(&format!("link set {port} master br0"));
        for address in addresses {
            host.ip(&format!("addr add {address} dev {interface}"));
        }
        host.wait_ready(interface);
        port
    }

    /// Pulls the cable of `port`, or plugs it in.
    pub fn set_port(&self, port: &str, up: bool) {
        self.switch.ip(&format!("link set {port} {}", if up { "up" } else { "down" }));
    }

    /// The namespace of the switch, with the bridge `br0`.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }
}

/// A name that nobody has: of this run, by chance since process numbers come again, and the next number.
fn unique(label: &str) -> String {
    static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Short: programs are called so too, of whose names the kernel keeps fifteen bytes.
    format!("syncd-{:06x}-{}-{label}", *RUN & 0xff_ffff, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The file of a setting; a key with slashes may have dots in its parts, as with sysctl(8).
fn sysctl(key: &str) -> String {
    let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
    format!("/proc/sys/{path}")
}

fn program_ip() -> std::path::PathBuf {
    skip::find_program("ip").expect("ip(8) was looked for before")
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new(program_ip()).args(arguments).output().expect("ip runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn quiet_ip(arguments: &[&str]) -> bool {
    Command::new(program_ip()).args(arguments).output().is_ok_and(|output| output.status.success())
}
