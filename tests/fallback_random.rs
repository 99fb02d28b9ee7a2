//! Random work at a source that rsync serves, with kills and outages in between: at the end both trees are equal.
//!
//! `SYNCD_RANDOM_SEED` does a printed run again, as far as the timing of real processes allows;
//! `SYNCD_RANDOM_ROUNDS` is how often something goes wrong (8 by default).

mod support;

use std::time::Duration;

use support::ops::{Allow, Ops};
use support::pair::{Builder, TestPair};
use support::rsyncd::Rsyncd;
use support::seed::Seed;
use support::skip;
use support::tree::Compare;

/// How much is done between two troubles at most.
const MOST_STEPS: usize = 60;

/// A backoff of a second, and a busy machine.
const EQUAL_WITHIN: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, Debug)]
enum Trouble {
    KillSource,
    RestartSource,
    Outage,
    OutageWithKill,
    /// Nothing for once: wait until both are equal, and go on.
    Checkpoint,
}

use Trouble::{Checkpoint, KillSource, Outage, OutageWithKill, RestartSource};

fn named(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

fn run(test: &str, builder: Builder, allow: Allow) {
    if !skip::have(test, "rsync") {
        return;
    }
    let (number, mut seed) = named("SYNCD_RANDOM_SEED").map_or_else(|| Seed::from_env(test), |n| (n, Seed::new(n)));
    eprintln!("{test}: SYNCD_RANDOM_SEED={number}");
    let builder = builder.source_set("transport=rsync").source_set("delete=always").source_set("retry-ceiling=1s");
    let root = rustix::process::geteuid().is_root();
    let chroot = |builder: Builder| builder.module_line("use chroot = no").module_line("munge symlinks = no");
    let mut pair = if root { builder } else { chroot(builder) }.build();
    let mut daemon = Rsyncd::start(&pair.dir.path().join("peer0.rsyncd.conf"), pair.peers[0].addr);
    pair.source.start();
    let mut ops = Ops::new(pair.src(), seed.next(), allow);
    for _ in 0..named("SYNCD_RANDOM_ROUNDS").unwrap_or(8) {
        let mut work = |seed: &mut Seed| {
            let pace = *seed.pick(&[0, 1, 5, 30]).expect("a pace");
            for _ in 0..seed.below(MOST_STEPS) {
                eprintln!("{}", ops.step());
                // Not to wait for anything: so that the steps meet the node in all its states.
                std::thread::sleep(Duration::from_millis(seed.below(pace + 1) as u64));
            }
        };
        work(&mut seed);
        let trouble = *seed.pick(&[KillSource, RestartSource, Outage, OutageWithKill, Checkpoint]).expect("some");
        eprintln!("{trouble:?}");
        match trouble {
            KillSource => {
                pair.source.kill9();
                work(&mut seed);
                pair.source.start();
            }
            RestartSource => pair.source.restart(),
            Outage | OutageWithKill => {
                daemon.stop();
                work(&mut seed);
                if matches!(trouble, OutageWithKill) {
                    pair.source.kill9();
                    work(&mut seed);
                    pair.source.start();
                }
                daemon.start_again();
            }
            Checkpoint => pair.wait_equal(EQUAL_WITHIN),
        }
    }
    pair.wait_equal(EQUAL_WITHIN);
    assert!(!pair.source.log().contains("panicked"), "{}", pair.source.log());
}

#[test]
fn the_retry_log_loses_nothing() {
    let builder = TestPair::builder().source_set("full-compare=off");
    run("the_retry_log_loses_nothing", builder, Allow::default());
}

/// Without hard links: rsync does not part names that are one file there and no longer one here.
#[test]
fn attributes_arrive_and_compares_hide_nothing() {
    let builder = TestPair::builder().params("-aX").compare(Compare { hard_links: false, ..Compare::everything() });
    let allow = Allow { xattrs: true, ..Allow::default() };
    run("attributes_arrive_and_compares_hide_nothing", builder, allow);
}
