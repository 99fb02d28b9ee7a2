//! A source and its peers on loopback, configured by the legacy files that operators have.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::node::Node;
use super::proxy::Proxy;
use super::tree::{Compare, differences};

/// What the secrets file holds.
const PASSWORD: &str = "correct horse battery staple";
/// How long equality may take by default, on a busy machine and after a fault.
pub const EQUAL_WITHIN: Duration = Duration::from_secs(120);

/// One source, one or more peers, one or more sets.
///
/// Fields drop in order: processes first, directories last.
pub struct TestPair {
    pub source: Node,
    pub peers: Vec<Peer>,
    /// The roots at the source, in the order of the sets.
    pub sources: Vec<PathBuf>,
    /// What [`TestPair::wait_equal`] compares.
    pub compare: Compare,
    pub dir: TempDir,
}

/// A receiver.
pub struct Peer {
    pub node: Node,
    /// Between the source and this peer, when asked for.
    pub proxy: Option<Proxy>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The roots, in the order of the sets.
    pub roots: Vec<PathBuf>,
}

/// What a pair is made of; see the methods of [`TestPair`].
pub struct Builder {
    params: String,
    delete: bool,
    user: Option<String>,
    source_password: String,
    sets: Vec<String>,
    peers: u8,
    proxy_seed: Option<u64>,
    source_args: Vec<String>,
    peer_args: Vec<String>,
    module_lines: String,
    compare: Compare,
    parent: Option<PathBuf>,
    edit_xml: Box<dyn Fn(String) -> String>,
}

impl TestPair {
    /// `-a`, deletions on, password proof, one set named `data`, one peer, no proxy.
    pub fn builder() -> Builder {
        Builder {
            params: "-a".into(),
            delete: true,
            user: Some("backuser".into()),
            source_password: PASSWORD.into(),
            sets: vec!["data".into()],
            peers: 1,
            proxy_seed: None,
            source_args: Vec::new(),
            peer_args: Vec::new(),
            module_lines: String::new(),
            compare: Compare::archive(),
            parent: None,
            edit_xml: Box::new(|xml| xml),
        }
    }

    /// The usual pair, both sides ready.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The first set's root at the source.
    pub fn src(&self) -> &Path {
        &self.sources[0]
    }

    /// The first set's root at the first peer.
    pub fn dst(&self) -> &Path {
        &self.peers[0].roots[0]
    }

    /// The first peer's node.
    pub fn peer(&mut self) -> &mut Node {
        &mut self.peers[0].node
    }

    /// The proxy before the first peer; panics when the pair was built without.
    pub fn proxy(&self) -> &Proxy {
        self.peers[0].proxy.as_ref().expect("built with a proxy")
    }

    /// Starts the peers, then the source, and waits until each is ready.
    pub fn start_all(&mut self) {
        for peer in &mut self.peers {
            peer.node.start();
        }
        self.source.start();
    }

    /// What differs now, over all sets and peers.
    pub fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (index, peer) in self.peers.iter().enumerate() {
            for (source, root) in self.sources.iter().zip(&peer.roots) {
                let of_set = differences(source, root, self.compare);
                found.extend(of_set.into_iter().map(|text| format!("peer {index}: {text}")));
            }
        }
        found
    }

    /// Waits until every set is equal at every peer; panics with what differs when it does not become so.
    pub fn wait_equal(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut pause = Duration::from_millis(20);
        loop {
            let found = self.differences();
            if found.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{}", report(&found, timeout));
            std::thread::sleep(pause);
            // Reading big trees again and again takes the cores from those that are tested.
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}

fn report(found: &[String], timeout: Duration) -> String {
    let mut text = format!("{} differences after {timeout:?} (left: source, right: peer)", found.len());
    for line in found.iter().take(40) {
        let _ = write!(text, "\n  {line}");
    }
    text
}

impl Builder {
    /// `commonParams`, rsync's options.
    pub fn params(mut self, params: &str) -> Self {
        self.params = params.into();
        self
    }

    /// `<delete start>`.
    pub fn delete(mut self, on: bool) -> Self {
        self.delete = on;
        self
    }

    /// Neither `auth users` nor `passwordfile`: both sides need `--trust-first-use` to agree.
    pub fn without_password(mut self) -> Self {
        self.user = None;
        self
    }

    /// What the source believes the password to be.
    pub fn source_password(mut self, password: &str) -> Self {
        self.source_password = password.into();
        self
    }

    /// The names of the sets (modules).
    pub fn sets(mut self, names: &[&str]) -> Self {
        self.sets = names.iter().map(ToString::to_string).collect();
        self
    }

    /// How many peers, at 127.0.0.1, 127.0.0.2, …
    pub fn peers(mut self, count: u8) -> Self {
        self.peers = count;
        self
    }

    /// A proxy before each peer.
    pub fn proxy(mut self, seed: u64) -> Self {
        self.proxy_seed = Some(seed);
        self
    }

    /// An argument of the source.
    pub fn source_arg(mut self, arg: &str) -> Self {
        self.source_args.push(arg.into());
        self
    }

    /// An argument of every peer.
    pub fn peer_arg(mut self, arg: &str) -> Self {
        self.peer_args.push(arg.into());
        self
    }

    /// `--set KEY=VALUE` at the source.
    pub fn source_set(self, assignment: &str) -> Self {
        self.source_arg("--set").source_arg(assignment)
    }

    /// `--set KEY=VALUE` at every peer.
    pub fn peer_set(self, assignment: &str) -> Self {
        self.peer_arg("--set").peer_arg(assignment)
    }

    /// A line added to every module of rsyncd.conf.
    pub fn module_line(mut self, line: &str) -> Self {
        let _ = writeln!(self.module_lines, "{line}");
        self
    }

    /// What is compared; the `-a` rules by default.
    pub fn compare(mut self, compare: Compare) -> Self {
        self.compare = compare;
        self
    }

    /// Where the temporary directory is made, for tests on a file system of their own.
    pub fn inside(mut self, parent: &Path) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// A last edit of confxml.xml.
    pub fn edit_xml(mut self, edit: impl Fn(String) -> String + 'static) -> Self {
        self.edit_xml = Box::new(edit);
        self
    }

    /// Both sides running and ready.
    pub fn start(self) -> TestPair {
        let mut pair = self.build();
        pair.start_all();
        pair
    }

    /// Everything written, nothing started: the source's root may be filled first.
    pub fn build(self) -> TestPair {
        let mut temp = tempfile::Builder::new();
        temp.prefix("syncd-test-");
        let dir = match &self.parent {
            Some(parent) => temp.tempdir_in(parent),
            None => temp.tempdir(),
        }
        .expect("temporary directory");
        let port = free_port(self.peers);
        let peers: Vec<_> = (0..self.peers).map(|index| self.make_peer(dir.path(), index, port)).collect();
        let proxy_port = peers.first().and_then(|peer| peer.proxy.as_ref()).map(|proxy| proxy.addr().port());
        let sources: Vec<_> = self.sets.iter().map(|set| made_dir(dir.path().join("source").join(set))).collect();
        let source = self.make_source(dir.path(), &sources, proxy_port.unwrap_or(port));
        TestPair { source, peers, sources, compare: self.compare, dir }
    }

    fn make_source(&self, dir: &Path, roots: &[PathBuf], port: u16) -> Node {
        write_secret(&dir.join("rsync.pass"), &format!("{}\n", self.source_password));
        let config = dir.join("confxml.xml");
        std::fs::write(&config, (self.edit_xml)(self.confxml(dir, roots, port))).expect("confxml.xml");
        let mut node = Node::new("source", dir, ["--config".into(), config.into_os_string()]);
        for arg in &self.source_args {
            node.arg(arg);
        }
        node
    }

    fn make_peer(&self, dir: &Path, index: u8, port: u16) -> Peer {
        let name = format!("peer{index}");
        let addr = SocketAddr::new(loopback(index), port);
        let roots: Vec<_> = self.sets.iter().map(|set| made_dir(dir.join(&name).join(set))).collect();
        write_secret(
            &dir.join("rsyncd.secrets"),
            &format!("{}:{PASSWORD}\n", self.user.as_deref().unwrap_or("nobody")),
        );
        let config = dir.join(format!("{name}.rsyncd.conf"));
        std::fs::write(&config, self.rsyncd_conf(dir, &roots, addr)).expect("rsyncd.conf");
        let mut node = Node::new(&name, dir, ["peer".into(), "--config".into(), config.into_os_string()]);
        for arg in &self.peer_args {
            node.arg(arg);
        }
        // All proxies share a port too: confxml.xml has one for all remotes.
        let proxy = self.proxy_seed.map(|seed| {
            let listen = SocketAddr::new(addr.ip(), port + 1);
            Proxy::start(listen, addr, seed.wrapping_add(index.into())).expect("a free port for the proxy")
        });
        Peer { node, proxy, addr, roots }
    }

    fn confxml(&self, dir: &Path, roots: &[PathBuf], port: u16) -> String {
        let mut paths = String::new();
        for (root, set) in roots.iter().zip(&self.sets) {
            let _ = writeln!(paths, "    <localpath watch=\"{}\">", root.display());
            for index in 0..self.peers {
                let _ = writeln!(paths, "      <remote ip=\"{}\" name=\"{set}\"/>", loopback(index));
            }
            paths.push_str("    </localpath>\n");
        }
        let auth = match &self.user {
            Some(user) => {
                format!("start=\"true\" users=\"{user}\" passwordfile=\"{}\"", dir.join("rsync.pass").display())
            }
            None => "start=\"false\" users=\"\" passwordfile=\"\"".into(),
        };
        let fail_log = dir.join("rsync_fail_log.sh");
        format!(
            r#"<?xml version="1.0" encoding="ISO-8859-1"?>
<head version="2.5">
  # 设置本地IP和端口
  <host hostip="localhost" port="8008"></host>
  <debug start="false"/>
  <fileSystem xfs="false"/>
  <filter start="false"></filter>
  <inotify>
    <delete start="{delete}"/>##这个最好还是给改成false吧
    <createFolder start="true"/>
    <createFile start="true"/>
    <closeWrite start="true"/>
    <moveFrom start="true"/>
    <moveTo start="true"/>
    <attrib start="true"/>
    <modify start="true"/>
  </inotify>
  <sersync>
{paths}    <rsync>
      <commonParams params="{params}"/>
      <auth {auth}/>
      <userDefinedPort start="true" port="{port}"/>
      <timeout start="false" time="100"/>
      <ssh start="false"/>
    </rsync>
    <failLog path="{fail_log}" timeToExecute="60"/>
    <crontab start="false" schedule="600"></crontab>
    <plugin start="false" name="command"/>
  </sersync>
</head>
"#,
            delete = self.delete,
            params = self.params,
            fail_log = fail_log.display(),
        )
    }

    fn rsyncd_conf(&self, dir: &Path, roots: &[PathBuf], addr: SocketAddr) -> String {
        let mut text = format!("address = {}\nport = {}\n", addr.ip(), addr.port());
        if rustix::process::geteuid().is_root() {
            text.push_str("uid = root\ngid = root\n");
        }
        for (root, set) in roots.iter().zip(&self.sets) {
            let _ = writeln!(text, "[{set}]\npath = {}\nread only = no", root.display());
            if let Some(user) = &self.user {
                let secrets = dir.join("rsyncd.secrets");
                let _ = writeln!(text, "auth users = {user}\nsecrets file = {}", secrets.display());
            }
            text.push_str(&self.module_lines);
        }
        text
    }
}

fn loopback(index: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + index))
}

fn made_dir(path: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Replaces `path` by a file that only its owner can read.
pub fn write_secret(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("a secret");
    file.write_all(text.as_bytes()).expect("a secret");
}

/// A port that is free with the next one, for UDP and TCP, at the addresses of so many peers. Below the ephemeral ports,
/// so that no socket that is bound to port 0 takes it before the node does, and never given out twice by this process.
pub fn free_port(peers: u8) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 10_000;
    let free = |index: u8, port: u16| {
        let address = (loopback(index), port);
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    for _ in 0..10_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let slot = (start + u32::from(step)) % 10_000;
        let port = 10_000 + 2 * u16::try_from(slot).unwrap_or(0);
        if (0..peers).all(|index| free(index, port) && free(index, port + 1)) {
            return port;
        }
    }
    panic!("no free port between 10000 and 30000");
}
