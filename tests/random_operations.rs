//! Random work at the source over a bad network, with kills in between: at the end both trees are equal, always.
//!
//! `SYNCD_RANDOM_SEED` does a printed run again, as far as the timing of real processes allows;
//! `SYNCD_RANDOM_SECONDS` is how long each test works (20 by default), and `SYNCD_RANDOM_PATIENCE` how many seconds
//! equality may take (90 by default: the ceiling of the backoff, a dead connection, and a busy machine).

mod support;

use std::time::{Duration, Instant};

use support::node::Node;
use support::ops::{Allow, Ops};
use support::pair::{Builder, TestPair};
use support::seed::Seed;
use support::tree::Compare;

/// How much is done between two troubles at most.
const MOST_STEPS: usize = 60;

/// What happens besides the work.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Loss, delay, reordered and doubled datagrams, until the next one.
    Weather,
    /// Nothing gets through for a while.
    Blackhole,
    /// Another port at the NAT.
    Rebind,
    KillSource,
    KillPeer,
    RestartSource,
    PauseSource,
    PausePeer,
    /// Nothing for once: wait until both are equal, and go on.
    Checkpoint,
}

use Trouble::{Blackhole, Checkpoint, KillPeer, KillSource, PausePeer, PauseSource, Rebind, RestartSource, Weather};

/// A pair at work. Its history is told when the test fails.
struct Run {
    pair: TestPair,
    ops: Ops,
    seed: Seed,
    deadline: Instant,
    /// What happened since both were equal last.
    history: Vec<String>,
    /// How often each side was killed, restarted or paused, and how often both were found equal.
    troubles: usize,
}

impl Run {
    fn start(test: &str, builder: Builder, allow: Allow) -> Self {
        let (number_of_seed, mut seed) = match number("SYNCD_RANDOM_SEED") {
            Some(named) => (named, Seed::new(named)),
            None => Seed::from_env(test),
        };
        eprintln!("{test}: SYNCD_RANDOM_SEED={number_of_seed}");
        // The driver thins the tree out and removes whole directories: no case for the delete guard. A short idle
        // timeout, so that a run has time for more than one cut.
        let builder = builder.proxy(seed.next()).source_set("delete=always").peer_set("delete=always");
        let pair = builder.source_set("idle-timeout=3s").source_set("retry-ceiling=1s").start();
        let ops = Ops::new(pair.src(), seed.next(), allow);
        let deadline = Instant::now() + seconds("SYNCD_RANDOM_SECONDS", 20);
        Self { pair, ops, seed, deadline, history: Vec::new(), troubles: 0 }
    }

    /// Works until the time is over, then heals everything and compares.
    fn until_equal(mut self, troubles: &[Trouble]) {
        while Instant::now() < self.deadline {
            self.work();
            let trouble = *self.seed.pick(troubles).expect("some trouble");
            self.note(format!("{trouble:?}"));
            self.troubles += 1;
            self.meet(trouble);
        }
        self.check();
        for log in [self.pair.source.log(), self.pair.peers[0].node.log()] {
            assert!(!log.contains("panicked"), "a node panicked:\n{log}");
        }
        eprintln!("{} steps, {} troubles", self.ops.log().lines().count(), self.troubles);
    }

    /// Some steps: as a burst, or as people do them.
    fn work(&mut self) {
        let pace = *self.seed.pick(&[0, 1, 5, 30]).expect("a pace");
        for _ in 0..self.seed.below(MOST_STEPS) {
            let line = self.ops.step().to_owned();
            self.note(line);
            // Not to wait for anything: so that the steps meet the node in all its states.
            std::thread::sleep(Duration::from_millis(self.seed.below(pace + 1) as u64));
        }
    }

    fn note(&mut self, line: String) {
        self.history.push(line);
    }

    fn meet(&mut self, trouble: Trouble) {
        match trouble {
            Weather => {
                let mut rate = |most: f64| self.seed.below(1000) as f64 / 1000.0 * most;
                let (loss, duplicate, reorder) = (rate(0.15), rate(0.2), rate(0.3));
                let delay = Duration::from_millis(self.seed.below(15) as u64);
                self.pair.proxy().set(|network| {
                    (network.loss, network.duplicate, network.reorder) = (loss, duplicate, reorder);
                    network.delay = delay;
                });
            }
            Blackhole => {
                self.pair.proxy().set(|network| network.blackhole = true);
                for _ in 0..=self.seed.below(4) {
                    self.work();
                }
                self.pair.proxy().set(|network| network.blackhole = false);
            }
            Rebind => self.pair.proxy().rebind(),
            KillSource => self.while_down(|pair| &mut pair.source),
            KillPeer => self.while_down(TestPair::peer),
            RestartSource => self.pair.source.restart(),
            PauseSource => self.while_paused(|pair| &mut pair.source),
            PausePeer => self.while_paused(TestPair::peer),
            Checkpoint => self.check(),
        }
    }

    fn while_down(&mut self, node: impl Fn(&mut TestPair) -> &mut Node) {
        let killed = node(&mut self.pair);
        assert!(killed.is_running(), "it ended by itself:\n{}", killed.log());
        killed.kill9();
        if self.seed.chance(0.7) {
            self.work();
        }
        node(&mut self.pair).start();
    }

    fn while_paused(&mut self, node: impl Fn(&mut TestPair) -> &mut Node) {
        let paused = node(&mut self.pair);
        assert!(paused.is_running(), "it ended by itself:\n{}", paused.log());
        paused.pause();
        self.work();
        node(&mut self.pair).resume();
    }

    /// Heals the network, lets nothing happen any more, and waits until both trees are equal.
    fn check(&mut self) {
        self.pair.proxy().heal();
        self.ops.finish();
        self.pair.wait_equal(seconds("SYNCD_RANDOM_PATIENCE", 90));
        self.history.clear();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- since both were equal ----\n{}", self.history.join("\n"));
            for node in [&self.pair.source, &self.pair.peers[0].node] {
                for asked in [&["status", "--json"][..], &["verify"], &["replay", "--list"]] {
                    let answer = node.ask(asked);
                    eprintln!("---- {asked:?} ----\n{}", String::from_utf8_lossy(&answer.stdout));
                }
                let log = node.log();
                let lines: Vec<&str> = log.lines().collect();
                // Whoever asks for more wants to read all of it.
                let shown = if std::env::var_os("SYNCD_LOG").is_some() { lines.len() } else { 60 };
                eprintln!("---- its log ends ----\n{}", lines[lines.len().saturating_sub(shown)..].join("\n"));
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seconds(name: &str, default: u64) -> Duration {
    Duration::from_secs(number(name).unwrap_or(default))
}

fn links_and_xattrs() -> Allow {
    Allow { hard_links: true, xattrs: true, ..Allow::default() }
}

/// The connection never breaks, so nothing but events tells what changed: no compare makes good what they missed.
#[test]
fn events_alone_keep_it_equal() {
    let run = Run::start("events_alone_keep_it_equal", TestPair::builder(), Allow::default());
    run.until_equal(&[Weather, PauseSource, Checkpoint, Checkpoint, Checkpoint]);
}

#[test]
fn kills_and_cuts_lose_nothing() {
    let run = Run::start("kills_and_cuts_lose_nothing", TestPair::builder(), Allow::default());
    run.until_equal(&[
        Weather,
        Blackhole,
        Rebind,
        KillSource,
        KillPeer,
        RestartSource,
        PauseSource,
        PausePeer,
        Checkpoint,
    ]);
}

/// What is owed survives in the retry log, without a compare of the whole tree that would find it again.
#[test]
fn the_retry_log_alone_converges() {
    let builder = TestPair::builder().source_set("full-compare=off");
    let run = Run::start("the_retry_log_alone_converges", builder, Allow::default());
    run.until_equal(&[Weather, Blackhole, KillSource, KillPeer, KillPeer, PausePeer, Checkpoint, Checkpoint]);
}

#[test]
fn links_and_attributes_stay_what_they_are() {
    let builder = TestPair::builder().params("-aHX").compare(Compare::everything());
    let run = Run::start("links_and_attributes_stay_what_they_are", builder, links_and_xattrs());
    run.until_equal(&[Weather, Rebind, KillSource, KillPeer, PausePeer, Checkpoint, Checkpoint, Checkpoint]);
}
