//! Routers on a switch: hosts of their own that run syncd or the real keepalived, somebody who asks the virtual
//! address all the time, and an ear at the switch.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::{Lan, Namespace};
use super::node::{Node, wait_until};
use super::skip;

/// How long anything that has to happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where routers answer whoever asks.
const ECHO: u16 = 7007;

/// How often the client asks.
const ASK: Duration = Duration::from_millis(1);

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
        let echo = host.run(echo);
        Self { host, port, address: Ipv4Addr::new(10, 97, 1, last), dir, name, running: None, _echo: echo }
    }

    /// Gives `eth0` a hardware address, and all that follows from it: what it sends is the same in each run then.
    pub fn set_mac(&self, mac: &str) {
        self.host.ip("link set eth0 down");
        self.host.ip(&format!("link set eth0 address {mac}"));
        self.host.ip("link set eth0 up");
        let last = self.address.octets()[3];
        self.host.ip(&format!("addr replace fd97::{last}/64 dev eth0"));
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
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
            Kind::Syncd => {
                let mut node = self.node();
                node.start();
                self.running = Some(Running::Syncd(Box::new(node)));
            }
            Kind::Keepalived => self.running = Some(Running::Keepalived(self.keepalived())),
        }
    }

    /// A syncd that has not been started, with the configuration that is there.
    pub fn node(&self) -> Node {
        self.node_of(&["vrrp"])
    }

    /// The same with other words before its configuration.
    pub fn node_of(&self, words: &[&str]) -> Node {
        let config = ["--config".into(), self.config().into_os_string()];
        let words = words.iter().map(std::ffi::OsString::from).chain(config);
        let mut node = Node::new("syncd", &self.dir, words.collect::<Vec<_>>());
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
        match &self.running {
            Some(Running::Syncd(node)) => signal(node.pid(), Signal::HUP),
            Some(Running::Keepalived(child)) => signal(child.id(), Signal::HUP),
            None => panic!("{} runs nothing", self.name),
        }
    }

    /// `kill -9` of all its processes at once.
    pub fn kill_all(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
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

/// A thread that runs until this is dropped.
struct Background {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// `turn` is called again and again; it must not take long.
    fn new(mut turn: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever it panicked with has been shown.
            let _ = thread.join();
        }
    }
}

/// Waits at most a tenth of a second for something to read.
fn readable(socket: impl AsFd) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// Answers whoever asks, whatever address was asked.
fn echo() -> Background {
    let socket = UdpSocket::bind(("::", ECHO)).expect("a port");
    Background::new(move || {
        let mut buffer = [0; 16];
        let asked = readable(&socket).then(|| socket.recv_from(&mut buffer));
        if let Some(Ok((length, from))) = asked {
            // A client that is gone is no fault.
            let _ = socket.send_to(&buffer[..length], from);
        }
    })
}

/// Asks the virtual address every millisecond.
pub struct Probe {
    answers: Arc<Mutex<Vec<Instant>>>,
    _asking: Background,
    _hearing: Background,
}

impl Probe {
    /// Begins to ask `ip`.
    pub fn new(lab: &Lab, ip: &str) -> Self {
        let target = SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), ECHO);
        let own = if target.is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = lab.client.run(|| UdpSocket::bind((own, 0)).expect("a port"));
        let hearing = socket.try_clone().expect("a socket");
        let answers = Arc::new(Mutex::new(Vec::new()));
        let heard = answers.clone();
        let mut next = Instant::now();
        let asking = Background::new(move || {
            match socket.send_to(b"?", target) {
                Err(e) if e.kind() == ErrorKind::InvalidInput => panic!("{e}"),
                _ => {}
            }
            next += ASK;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        });
        let hearing = Background::new(move || {
            if readable(&hearing) && hearing.recv_from(&mut [0; 16]).is_ok() {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            }
        });
        Self { answers, _asking: asking, _hearing: hearing }
    }

    /// How many answers came so far.
    pub fn count(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until `more` further answers came.
    pub fn wait(&self, more: usize) {
        let goal = self.count() + more;
        assert!(wait_until(PATIENCE, || self.count() >= goal), "nobody answers");
    }

    /// The longest time without an answer after `from`.
    pub fn outage(&self, from: Instant) -> Duration {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = answers.iter().copied().rfind(|at| *at <= from).unwrap_or(from);
        let mut longest = Duration::ZERO;
        for at in answers.iter().copied().filter(|at| *at > from) {
            longest = longest.max(at - last);
            last = at;
        }
        longest.max(Instant::now().saturating_duration_since(last))
    }
}

/// A frame at the switch.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it came.
    pub at: Instant,
    /// All of it, from the destination's hardware address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The VRRP bytes of an IPv4 packet behind a header without options, and its source.
    pub fn vrrp(&self) -> Option<(Ipv4Addr, &[u8])> {
        let ip = self.bytes.get(14..)?;
        let is_vrrp = self.bytes.get(12..14)? == [8, 0] && ip.get(9) == Some(&112);
        let from = <[u8; 4]>::try_from(ip.get(12..16)?).ok()?;
        let length = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
        is_vrrp.then_some((from.into(), ip.get(20..length)?))
    }

    /// The address that a gratuitous ARP announces.
    pub fn gratuitous_arp(&self) -> Option<Ipv4Addr> {
        let arp = self.bytes.get(14..42)?;
        let is_arp = self.bytes.get(12..14)? == [8, 6] && arp.get(14..18) == arp.get(24..28);
        let ip = <[u8; 4]>::try_from(arp.get(14..18)?).ok()?;
        is_arp.then_some(ip.into())
    }
}

/// Hears what comes into the switch from a router.
pub struct Ear {
    frames: Arc<Mutex<Vec<Frame>>>,
    _hearing: Background,
}

impl Ear {
    /// Hears what router `n` sends from now on.
    pub fn new(lab: &Lab, n: usize) -> Self {
        Self::at(&lab.lan, &lab.routers[n].port)
    }

    /// Hears what passes this port of `lan`.
    pub fn at(lan: &Lan, port: &str) -> Self {
        let socket = lan.switch().run(|| {
            let every = Protocol::from(i32::from(0x0003_u16.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(every)).expect("a packet socket");
            socket.bind_device(Some(port.as_bytes())).expect("a port of the switch");
            socket
        });
        let frames = Arc::new(Mutex::new(Vec::new()));
        let heard = frames.clone();
        let hearing = Background::new(move || {
            let mut buffer = [0; 2048];
            if let Some(Ok(length)) = readable(&socket).then(|| (&socket).read(&mut buffer)) {
                let frame = Frame { at: Instant::now(), bytes: buffer[..length].to_vec() };
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
            }
        });
        Self { frames, _hearing: hearing }
    }

    /// All that was heard so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The VRRP bytes that came from `from`.
    pub fn adverts(&self, from: Ipv4Addr) -> Vec<(Instant, Vec<u8>)> {
        let frames = self.frames();
        let of = |frame: &Frame| {
            let (source, bytes) = frame.vrrp()?;
            (source == from).then(|| (frame.at, bytes.to_vec()))
        };
        frames.iter().filter_map(of).collect()
    }
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
