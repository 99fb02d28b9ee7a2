//! What keeps the processors busy while advertisements are to be on time.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::peers::confxml;
use crate::support::node::Node;
use crate::support::vrrp::{Kind, Lab};

/// Threads that end when this is dropped.
pub(super) struct Spinning {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinning {
    /// A busy loop on each core.
    pub(super) fn on_each_core() -> Result<Self> {
        let spin = |_| || (0..1000).for_each(|n| _ = std::hint::black_box(n));
        Ok(Self::of((0..std::thread::available_parallelism()?.get()).map(spin)))
    }

    /// Each of `turns` is taken again and again.
    fn of<F: FnMut() + Send + 'static>(turns: impl IntoIterator<Item = F>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let begin = |mut turn: F| {
            let over = over.clone();
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    turn();
                }
            })
        };
        let threads = turns.into_iter().map(begin).collect();
        Self { over, threads }
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Whatever it panicked with has been shown.
            let _ = thread.join();
        }
    }
}

/// How long all processors together have been idle since the system began.
pub(super) fn idle_share() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let first = text.lines().next().unwrap_or_default();
    // user, nice, system, idle, iowait: in hundredths of a second.
    let idle = first.split_whitespace().skip(4).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
    Ok(Duration::from_millis(idle * 10))
}

/// Files that are rewritten.
const FILES: u64 = 8;

/// How much each of them has.
const SIZE: usize = 16 << 20;

/// A tree at the first node that changes all the time, and syncd, which mirrors it to the second.
pub(super) struct Engine {
    _writer: Spinning,
    replica: PathBuf,
    source: Option<Node>,
    _peer: Node,
    _trees: tempfile::TempDir,
}

impl Engine {
    /// Starts it beside `vrrp` with this `keepalived.conf`: in one daemon where that is syncd's.
    pub(super) fn begin(lab: &mut Lab, vrrp: Kind, config: &str) -> Result<Self> {
        // In memory: a disk would have the processors wait.
        let trees = tempfile::tempdir_in("/dev/shm").context("no file system in memory")?;
        let [tree, replica] = ["tree", "replica"].map(|name| trees.path().join(name));
        fs::create_dir(&tree)?;
        fs::create_dir(&replica)?;
        let peer = peer(lab, &replica)?;
        let source = lab.routers[0].dir().join("confxml.xml");
        let remote = format!(r#"<remote ip="{}" name="load"/>"#, lab.routers[1].address);
        fs::write(&source, confxml(&tree, &remote, PORT, r#"<auth start="false"/>"#))?;
        let mut words = vec!["--config".into(), source.into_os_string(), "--trust-first-use".into()];
        let source = if vrrp == Kind::Syncd {
            lab.routers[0].write(config);
            words.extend(["--vrrp".into(), lab.routers[0].config().into_os_string()]);
            let node = lab.routers[0].node_with("syncd", words);
            lab.routers[0].start_node(node);
            None
        } else {
            let mut node = lab.routers[0].node_with("engine", words);
            node.start();
            lab.routers[0].start(vrrp, config);
            Some(node)
        };
        let writer = Spinning::of([rewriting(tree)]);
        Ok(Self { _writer: writer, replica, source, _peer: peer, _trees: trees })
    }

    /// Whether it really replicated.
    pub(super) fn check(&self) -> Result<()> {
        let there = fs::read_dir(&self.replica)?.filter_map(Result::ok).filter(|entry| entry.path().is_file()).count();
        let said = self.source.as_ref().map(Node::log).unwrap_or_default();
        ensure!(there as u64 == FILES, "the replica has {there} of {FILES} files {said}");
        Ok(())
    }
}

/// Where the second node takes changes.
const PORT: u16 = 8730;

fn peer(lab: &Lab, replica: &Path) -> Result<Node> {
    let router = &lab.routers[1];
    let config = router.dir().join("rsyncd.conf");
    let text = format!(
        "address = {}\nport = {PORT}\nuid = root\ngid = root\n[load]\npath = {}\nread only = no\n",
        router.address,
        replica.display()
    );
    fs::write(&config, text)?;
    let words = ["peer".into(), "--config".into(), config.into_os_string(), "--trust-first-use".into()];
    let mut node = router.node_with("peer", words);
    node.start();
    Ok(node)
}

/// Writes one of the files after the other, with content that was never there.
fn rewriting(tree: PathBuf) -> impl FnMut() + Send {
    let (mut turn, mut content) = (0_u64, vec![0; SIZE]);
    move || {
        // Numbers that no two blocks share, and that do not shrink.
        let mut number = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for word in content.chunks_exact_mut(8) {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            word.copy_from_slice(&number.to_le_bytes());
        }
        let name = tree.join(format!("file{}", turn % FILES));
        let file = fs::File::options().write(true).create(true).truncate(false).open(name);
        // A full file system in memory is a load as well.
        let _ = file.and_then(|file| file.write_all_at(&content, 0));
        turn += 1;
    }
}
