//! Routers on a switch: hosts of their own that run syncd or the real keepalived.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::background::Background;
pub use super::ear::{Ear, Frame};
use super::namespace::{Lan, Namespace};
use super::node::{Node, wait_until};
pub use super::probe::Probe;
use super::probe::echo;
use super::skip;

/// How long anything that has to happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The virtual address of [`config`].
pub const VIP: &str = "10.97.1.50";

/// What makes an instance of [`config`] one of version 2 with a password.
pub const V2: &str = "    advert_int 1\n    authentication {\n        auth_type PASS\n        auth_pass 1234\n    }";

/// What runs on a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `syncd vrrp`.
    Syncd,
    /// keepalived, from the distribution.
    Keepalived,
}

/// Both orders: syncd where the priority is high, and where it is low.
pub const PLACES: [[Kind; 2]; 2] = [[Kind::Syncd, Kind::Keepalived], [Kind::Keepalived, Kind::Syncd]];

/// A host with `eth0` on the switch, 10.97.1.11 for the first and so on, and fd97::11.
pub struct Router {
    /// The host.
    pub host: Namespace,
    /// The switch's end of its cable.
    pub port: String,
    /// Its address.
    pub address: Ipv4Addr,
    dir: PathBuf,
    name: String,
    running: Option<Running>,
    _echo: Background,
}

enum Running {
    Syncd(Box<Node>),
    Keepalived(Child),
}

/// Routers, a client and the switch between them.
pub struct Lab {
    /// The routers.
    pub routers: Vec<Router>,
    /// Somebody on the same network: 10.97.1.100.
    pub client: Namespace,
    /// The switch.
    pub lan: Lan,
    _dir: tempfile::TempDir,
}

/// A `keepalived.conf` of one instance with [`VIP`]; `more` is written into it.
pub fn config(priority: u8, globals: &str, more: &str) -> String {
    format!(
        "global_defs {{\n    router_id lab\n{globals}\n}}\n\
         vrrp_instance VI_1 {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n\
         {more}\n    virtual_ipaddress {{\n        {VIP}/24\n    }}\n}}\n"
    )
}

/// Whether `test` may make labs in which keepalived runs.
pub fn with_keepalived(test: &str) -> bool {
    super::namespace::allowed(test) && skip::have(test, "keepalived")
}

impl Lab {
    /// `count` routers.
    pub fn new(count: u8) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let lan = Lan::new("lan");
        let routers = (0..count).map(|n| Router::new(&lan, 11 + n, dir.path().join(format!("n{}", n + 1)))).collect();
        let client = Namespace::new("client");
        lan.attach(&client, "eth0", &["10.97.1.100/24", "fd97::100/64"]);
        Self { routers, client, lan, _dir: dir }
    }

    /// The numbers of the routers that have `ip` on an interface.
    pub fn holders(&self, ip: &str) -> Vec<usize> {
        (0..self.routers.len()).filter(|n| self.routers[*n].has(ip)).collect()
    }

    /// Waits until exactly router `n` has `ip`; panics with all logs when that does not come about.
    pub fn wait_holder(&self, ip: &str, n: usize) {
        let held = wait_until(PATIENCE, || self.holders(ip) == [n]);
        assert!(held, "router {n} does not hold {ip} alone: {:?} do\n{}", self.holders(ip), self.logs());
    }

    /// What all of them logged.
    pub fn logs(&self) -> String {
        self.routers.iter().map(|router| format!("---- {} ----\n{}\n", router.name, router.log())).collect()
    }

    /// Cuts all VRRP between router `n` and the others, at the switch; anything else passes.
    pub fn partition(&self, n: usize) {
        let port = &self.routers[n].port;
        let rules = format!(
            "add table bridge lab; add chain bridge lab cut {{ type filter hook forward priority 0; }}; \
             add rule bridge lab cut iifname {port} ip protocol 112 drop; \
             add rule bridge lab cut oifname {port} ip protocol 112 drop; \
             add rule bridge lab cut iifname {port} ip6 nexthdr 112 drop; \
             add rule bridge lab cut oifname {port} ip6 nexthdr 112 drop"
        );
        self.nft(&rules);
    }

    /// Lets it through again.
    pub fn heal(&self) {
        self.nft("delete table bridge lab");
    }

    fn nft(&self, rules: &str) {
        let output = self.lan.switch().command("nft").arg(rules).output().expect("nft runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Router {
    fn new(lan: &Lan, last: u8, dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).expect("a directory");
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let host = Namespace::new(&name);
        let addresses = [format!("10.97.1.{last}/24"), format!("fd97::{last}/64")];
        let port = lan.attach(&host, "eth0", &addresses.each_ref().map(String::as_str));
        let echo = host.run(|| echo(last));
        Self { host, port, address: Ipv4Addr::new(10, 97, 1, last), dir, name, running: None, _echo: echo }
    }

    /// Gives `eth0` a hardware address, and all that follows from it: what it sends is the same in each run then.
    pub fn set_mac(&self, mac: &str) {
        self.host.ip("link set eth0 down");
        self.host.ip(&format!("link set eth0 address {mac}"));
        self.host.ip("link set eth0 up");
        let last = self.address.octets()[3];
        self.host.ip(&format!("addr replace fd97::{last}/64 dev eth0"));
        self.host.wait_ready("eth0");
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The hardware address of its interface.
    pub fn mac(&self) -> [u8; 6] {
        // Not from /sys, which shows the interfaces of the namespace that it was mounted in.
        let all = self.host.run(|| nix::ifaddrs::getifaddrs().expect("interfaces").collect::<Vec<_>>());
        let of = |interface: &nix::ifaddrs::InterfaceAddress| interface.address?.as_link_addr()?.addr();
        all.iter().filter(|one| one.interface_name == "eth0").find_map(of).expect("eth0")
    }

    /// Where its configuration is.
    pub fn config(&self) -> PathBuf {
        self.dir.join("keepalived.conf")
    }

    /// Writes its configuration.
    pub fn write(&self, config: &str) {
        std::fs::write(self.config(), config).expect("written");
    }

    /// Starts `kind` with `config`.
    pub fn start(&mut self, kind: Kind, config: &str) {
        self.write(config);
        self.stop_at_once();
        match kind {
            Kind::Syncd => self.start_node(self.node()),
            Kind::Keepalived => self.running = Some(Running::Keepalived(self.keepalived())),
        }
    }

    /// Starts a syncd in place of whatever runs.
    pub fn start_node(&mut self, mut node: Node) {
        self.stop_at_once();
        node.start();
        self.running = Some(Running::Syncd(Box::new(node)));
    }

    /// A syncd that has not been started, with the configuration that is there.
    pub fn node(&self) -> Node {
        self.node_of(&["vrrp"])
    }

    /// The same with other words before its configuration.
    pub fn node_of(&self, words: &[&str]) -> Node {
        let config = ["--config".into(), self.config().into_os_string()];
        self.node_with("syncd", words.iter().map(OsString::from).chain(config))
    }

    /// A syncd that has not been started, with these arguments.
    pub fn node_with(&self, name: &str, arguments: impl IntoIterator<Item = OsString>) -> Node {
        let mut node = Node::new(name, &self.dir, arguments);
        let ip = skip::find_program("ip").expect("ip(8) was looked for before").into_os_string();
        node.run_under([ip, "netns".into(), "exec".into(), self.host.name().into()]);
        node
    }

    fn keepalived(&self) -> Child {
        use std::os::unix::process::CommandExt as _;
        let log =
            std::fs::File::options().append(true).create(true).open(self.log_file(Kind::Keepalived)).expect("log");
        let mut command = self.host.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file"]).arg(self.config());
        // Of its own each time: one that finds the file of a killed one may think that it still runs.
        let pids = tempfile::tempdir_in(&self.dir).expect("a directory").keep();
        for option in ["--pid", "--vrrp_pid", "--checkers_pid"] {
            command.arg(option).arg(pids.join(option));
        }
        let errors = log.try_clone().expect("log");
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("keepalived starts")
    }

    /// The syncd that runs; panics where none does.
    pub fn syncd(&mut self) -> &mut Node {
        match &mut self.running {
            Some(Running::Syncd(node)) => node,
            _ => panic!("{} runs no syncd", self.name),
        }
    }

    /// Ends it by SIGTERM and waits until it is gone.
    pub fn stop(&mut self) {
        match &mut self.running {
            Some(Running::Syncd(node)) => drop(node.stop()),
            Some(Running::Keepalived(child)) => {
                signal(child.id(), Signal::TERM);
                child.wait().expect("a child can be waited for");
            }
            None => {}
        }
        self.running = None;
    }

    /// SIGHUP: reads its configuration again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends any signal to the process that was started.
    pub fn signal(&self, which: Signal) {
        match &self.running {
            Some(Running::Syncd(node)) => signal(node.pid(), which),
            Some(Running::Keepalived(child)) => signal(child.id(), which),
            None => panic!("{} runs nothing", self.name),
        }
    }

    /// Whether the process that was started lives.
    pub fn runs(&mut self) -> bool {
        match &mut self.running {
            Some(Running::Syncd(node)) => node.is_running(),
            Some(Running::Keepalived(child)) => matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// `kill -9` of all its processes at once.
    pub fn kill_all(&mut self) {
        let all = self.processes();
        // Stopped, the first neither starts the others again, nor do they notice its end before their own.
        if let Some(first) = all.first() {
            let _ = kill_process(*first, Signal::STOP);
        }
        for pid in all.iter().rev() {
            let _ = kill_process(*pid, Signal::KILL);
        }
        self.stop_at_once();
    }

    /// All processes of what runs there, the first of them the one that was started.
    pub fn processes(&self) -> Vec<Pid> {
        let first = match &self.running {
            Some(Running::Syncd(node)) => node.pid(),
            Some(Running::Keepalived(child)) => child.id(),
            None => return Vec::new(),
        };
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let all = std::iter::once(first).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok()));
        all.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
    }

    fn stop_at_once(&mut self) {
        match self.running.take() {
            Some(Running::Syncd(mut node)) => node.kill9(),
            Some(Running::Keepalived(mut child)) => {
                let leader = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
                // Whoever is gone need not be killed.
                let _ = kill_process_group(leader, Signal::KILL);
                child.wait().expect("a child can be waited for");
            }
            None => {}
        }
    }

    /// Whether it has `ip` on an interface.
    pub fn has(&self, ip: &str) -> bool {
        self.host.ip("-o addr").split_whitespace().any(|word| word.split('/').next() == Some(ip))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let read = |kind| std::fs::read(self.log_file(kind)).unwrap_or_default();
        [Kind::Syncd, Kind::Keepalived].map(|kind| String::from_utf8_lossy(&read(kind)).into_owned()).concat()
    }

    fn log_file(&self, kind: Kind) -> PathBuf {
        self.dir.join(if kind == Kind::Syncd { "syncd.log" } else { "keepalived.log" })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop_at_once();
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}", self.name, self.log());
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

/// Runs a command to its end in a lab and gives what it said.
pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Does `work` in both places at the same time: it mostly waits.
pub fn in_both_places(work: impl Fn([Kind; 2]) + Sync) {
    std::thread::scope(|scope| {
        let running = PLACES.map(|kinds| {
            let work = &work;
            scope.spawn(move || work(kinds))
        });
        running.into_iter().for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
}
