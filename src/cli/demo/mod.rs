//! `syncd demo`: two real nodes in a temporary directory, over real QUIC, without root.

mod relay;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay::Relay;

use super::fault::Fault;
use crate::config::{
    Coalesce, Compare, Config, DeletePolicy, Events, NodeConfig, ReplicaAuth, ReplicaSet, SetOptions, SourceAuth,
    SourceSet, Target, Tuning, XferExec,
};
use crate::engine::{self, Node};
use crate::rewrite::Chmod;

/// How long any one step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the demo and removes everything that it made.
///
/// # Errors
/// [`Fault`] when a node cannot start or the trees do not become equal.
pub(super) fn run() -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::local)?;
    let dir = tempfile::Builder::new().prefix("syncd-demo-").tempdir().map_err(Fault::local)?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = show(dir.path()) => result,
            _ = tokio::signal::ctrl_c() => Err(Fault::local("interrupted")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    dir.close().map_err(Fault::local)?;
    result
}

/// The stage of the demo: two trees, two nodes, and the network between them.
struct Stage {
    here: PathBuf,
    there: PathBuf,
    primary: Arc<Node>,
    replica: Arc<Node>,
    relay: Relay,
}

async fn show(dir: &Path) -> Result<(), Fault> {
    println!("Two nodes below {}: a primary and its replica, joined by QUIC.\n", dir.display());
    let stage = Stage::build(dir).await?;
    stage.play().await.map_err(Fault::local)?;
    stage.primary.stop().await;
    stage.replica.stop().await;
    println!("\nBoth trees are equal to the byte. The nodes have stopped; nothing is left behind.");
    Ok(())
}

impl Stage {
    async fn build(dir: &Path) -> Result<Self, Fault> {
        let (here, there) = (dir.join("primary"), dir.join("replica"));
        for d in [&here, &there, &dir.join("state-primary"), &dir.join("state-replica")] {
            fs::create_dir(d).map_err(Fault::local)?;
        }
        write_site(&here, 300).map_err(Fault::local)?;
        let state = dir.join("state-replica");
        let replica = engine::start(replica_config(&there), &state).await.map_err(Fault::local)?;
        let listening = replica.listening.ok_or_else(|| Fault::local("the replica does not listen"))?;
        let relay = Relay::start(listening).await.map_err(Fault::local)?;
        let state = dir.join("state-primary");
        let primary = engine::start(primary_config(&here, relay.address()), &state).await.map_err(Fault::local)?;
        Ok(Self { here, there, primary, replica, relay })
    }

    async fn play(&self) -> io::Result<()> {
        self.step("first mirror of 300 files", || Ok(())).await?;
        self.step("save of one file", || fs::write(self.here.join("conf.d/site-007.conf"), "listen 8007;\n")).await?;
        self.step("save by temporary file and rename", || {
            fs::write(self.here.join("conf.d/.tmp"), "listen 8008;\n")?;
            fs::rename(self.here.join("conf.d/.tmp"), self.here.join("conf.d/site-008.conf"))
        })
        .await?;
        self.step("200 files at once", || {
            (0..200).try_for_each(|n| fs::write(self.here.join(format!("conf.d/site-{n:03}.conf")), format!("# {n}\n")))
        })
        .await?;
        self.step("rename of a directory with 300 files", || {
            fs::rename(self.here.join("conf.d"), self.here.join("sites.d"))
        })
        .await?;
        self.step("a symlink switched, a file removed", || {
            symlink("sites.d/site-001.conf", self.here.join("next"))?;
            fs::rename(self.here.join("next"), self.here.join("current"))?;
            fs::remove_file(self.here.join("sites.d/site-299.conf"))
        })
        .await?;
        println!("\n  the link breaks …");
        self.relay.cut();
        for n in 0..50 {
            fs::write(self.here.join(format!("sites.d/site-{n:03}.conf")), format!("# while the link was down {n}\n"))?;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        println!("  … meanwhile 50 files changed here; {} names wait in the retry log", self.pending());
        self.step("the link heals, everything arrives", || {
            self.relay.heal();
            Ok(())
        })
        .await
    }

    fn pending(&self) -> usize {
        self.primary.sources.iter().flat_map(|s| &s.targets).map(|t| t.channel().pending()).sum()
    }

    /// Does `what` on the primary and tells how long the replica took to hold the same.
    async fn step(&self, name: &str, what: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let (start, bytes) = (Instant::now(), self.relay.bytes());
        what()?;
        loop {
            if same(&self.here, &self.there)? {
                let took = start.elapsed().as_secs_f64() * 1e3;
                println!(
                    "  {name:<42} equal after {took:>7.1} ms, {:>7} bytes on the wire",
                    self.relay.bytes() - bytes
                );
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{name}: not equal after {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

fn write_site(root: &Path, files: usize) -> io::Result<()> {
    fs::create_dir(root.join("conf.d"))?;
    (0..files).try_for_each(|n| {
        fs::write(root.join(format!("conf.d/site-{n:03}.conf")), format!("server {{ listen {}; }}\n", 8000 + n))
    })
}

/// Every name below a root with its content, or link target.
type Listing = Vec<(PathBuf, Vec<u8>)>;

/// Whether both trees hold the same names, types, link targets and contents.
fn same(here: &Path, there: &Path) -> io::Result<bool> {
    let (here, there) = (listing(here)?, listing(there)?);
    Ok(here.is_some() && here == there)
}

/// Everything below `root`; none when it changed while it was listed.
fn listing(root: &Path) -> io::Result<Option<Listing>> {
    let mut list = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(root).map_err(io::Error::other)?.to_owned();
            let kind = entry.file_type()?;
            if name.as_os_str() == ".syncd" {
                continue;
            }
            let content = if kind.is_dir() {
                dirs.push(path);
                Ok(Vec::new())
            } else if kind.is_symlink() {
                fs::read_link(&path).map(|t| t.into_os_string().into_encoded_bytes())
            } else {
                fs::read(&path)
            };
            match content {
                Ok(content) => list.push((name, content)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
    list.sort();
    Ok(Some(list))
}

fn primary_config(root: &Path, peer: SocketAddr) -> Config {
    let target = Target::new(peer.ip().to_string(), peer.port(), "site".to_owned(), SourceAuth::Key);
    let set = SourceSet {
        name: "site".to_owned(),
        path: root.to_owned(),
        options: SetOptions::default(),
        coalesce: Coalesce::default(),
        events: Events::default(),
        compare: Compare::default(),
        exclude_regex: Vec::new(),
        filter: Vec::new(),
        targets: vec![target],
        plugins: Vec::new(),
    };
    Config { sources: vec![set], ..config("primary", None) }
}

fn replica_config(root: &Path) -> Config {
    let set = ReplicaSet {
        filter: Vec::new(),
        incoming_chmod: Chmod::default(),
        name: "site".to_owned(),
        path: root.to_owned(),
        read_only: false,
        auth: ReplicaAuth::Key,
        hosts_allow: Vec::new(),
        hosts_deny: Vec::new(),
        uid: None,
        gid: Vec::new(),
        max_connections: 0,
        numeric_ids: true,
        privileged: false,
        delete: DeletePolicy::Guarded,
        xfer_exec: XferExec::default(),
    };
    Config {
        replicas: vec![set],
        trust_first_use: true,
        ..config("replica", Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
    }
}

fn config(name: &str, listen: Option<SocketAddr>) -> Config {
    Config {
        file: PathBuf::from("demo"),
        node: NodeConfig { name: name.to_owned(), listen, pid_file: None, debug: false },
        sources: Vec::new(),
        replicas: Vec::new(),
        trust_first_use: false,
        fail_log: None,
        vrrp: None,
        // The demo has no patience: a dead link is noticed within a second.
        tuning: Tuning {
            idle_timeout: Duration::from_secs(1),
            retry_ceiling: Duration::from_millis(500),
            ..Tuning::default()
        },
    }
}
