//! The works that are measured, one for each line of the table of goals.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::lab::{self, Lab, Mark};
use super::measure::{self, Measure, Unit};
use super::peers::{Kind, Subject};
use super::{stats, tree};
use crate::stop;

/// Saves of one measurement of latency.
const SAVES: u64 = 200;
const IDLE: Duration = Duration::from_secs(20);

/// A line of the table.
pub(crate) struct Work {
    /// For the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) kinds: &'static [Kind],
    pub(crate) replicas: usize,
    /// A few large files rather than many small ones.
    pub(crate) large: bool,
    pub(crate) run: fn(&mut Bench<'_>) -> Result<Vec<Measure>>,
}

use Kind::{Floor, FloorFsync, Lsyncd, Rsync, Stunnel, Syncd};

const WATCHERS: &[Kind] = &[Syncd, Floor, FloorFsync, Rsync, Lsyncd];
const BULK: &[Kind] = &[Syncd, Floor, Rsync, Lsyncd, Stunnel];
const DELTA: &[Kind] = &[Syncd, Floor, Rsync, Stunnel];

/// All of them, in the order of the table.
pub(crate) const WORKS: &[Work] = &[
    Work {
        name: "save",
        title: "save of a 4 KiB file to visible on the replica, p50 / p99",
        goal: "≤ 2 × floor with fsync: about 4 / 20 ms on a disk",
        kinds: WATCHERS,
        replicas: 1,
        large: false,
        run: |bench| bench.saves(10, 100),
    },
    Work {
        name: "save-50k",
        title: "the same inside a tree of 50,000 files",
        goal: "no slower",
        kinds: WATCHERS,
        replicas: 1,
        large: false,
        run: |bench| bench.saves(500, 50_000),
    },
    Work {
        name: "rewrite-1k",
        title: "1,000 small files rewritten at once, equal",
        goal: "≤ 0.25 s",
        kinds: WATCHERS,
        replicas: 1,
        large: false,
        run: |bench| bench.rewrites(1000),
    },
    Work {
        name: "rewrite-10k",
        title: "10,000 rewritten at once",
        goal: "≤ 0.9 s",
        kinds: WATCHERS,
        replicas: 1,
        large: false,
        run: |bench| bench.rewrites(10_000),
    },
    Work {
        name: "mirror",
        title: "first mirror of 50,000 files of 1–8 KiB in 500 directories",
        goal: "≤ 1.6 s, then towards 1.2",
        kinds: &[Syncd, Floor, FloorFsync, Rsync, Lsyncd, Stunnel],
        replicas: 1,
        large: false,
        run: |bench| bench.first_mirror(),
    },
    Work {
        name: "copy-1g",
        title: "first copy of a 1 GiB file",
        goal: "≤ 1.8 s, then towards 1.2",
        kinds: BULK,
        replicas: 1,
        large: true,
        run: |bench| bench.first_copy(),
    },
    Work {
        name: "edits",
        title: "512 MiB file, 1 % scattered 4 KiB edits, sender's hashes warm",
        goal: "≤ 0.9 s, ≤ 7 MB",
        kinds: DELTA,
        replicas: 1,
        large: true,
        run: |bench| bench.large_change(false, |path| tree::scattered_edits(path, 5)),
    },
    Work {
        name: "edits-cold",
        title: "the same, cold",
        goal: "≤ 1.6 s, ≤ 14 MB",
        kinds: DELTA,
        replicas: 1,
        large: true,
        run: |bench| bench.large_change(true, |path| tree::scattered_edits(path, 6)),
    },
    Work {
        name: "append",
        title: "1 MiB appended to the 512 MiB file",
        goal: "≤ 0.8 s, ≤ 1.3 MB",
        kinds: DELTA,
        replicas: 1,
        large: true,
        run: |bench| bench.large_change(false, |path| tree::append(path, 7)),
    },
    Work {
        name: "rename",
        title: "rename of a directory with 5,000 files",
        goal: "≤ 0.05 s, < 10 KB",
        kinds: &[Syncd, Floor, Rsync, Lsyncd],
        replicas: 1,
        large: false,
        run: |bench| bench.rename(),
    },
    Work {
        name: "delete",
        title: "delete of 5,000 files of 15,000",
        goal: "≤ 0.25 s",
        kinds: &[Syncd, Floor, Rsync, Lsyncd],
        replicas: 1,
        large: false,
        run: |bench| bench.delete(),
    },
    Work {
        name: "four-peers",
        title: "one source to four peers, 1,000 rewritten",
        goal: "≤ 0.5 s",
        kinds: &[Syncd, Floor, FloorFsync, Rsync, Lsyncd],
        replicas: 4,
        large: false,
        run: |bench| bench.rewrites(1000),
    },
    Work {
        name: "compare",
        title: "nothing changed, compare of 50,000 files (the source restarts; one file marks the end)",
        goal: "≤ 0.4 s",
        kinds: &[Syncd, Floor, Rsync],
        replicas: 1,
        large: false,
        run: |bench| bench.compare(),
    },
    Work {
        name: "idle",
        title: "idle with 50,000 files: processor and memory of source, then of replica",
        goal: "< 0.01 CPU-s/min, < 30 MiB",
        kinds: &[Syncd, Lsyncd],
        replicas: 1,
        large: false,
        run: |bench| bench.idle(),
    },
];

/// One measurement of one subject in a fresh lab.
pub(crate) struct Bench<'a> {
    pub(crate) lab: &'a Lab<'a>,
    pub(crate) subject: &'a mut dyn Subject,
}

impl Bench<'_> {
    /// The subject mirrors `files` that are there already, and comes to rest.
    fn settle_on(&mut self, files: &[PathBuf]) -> Result<()> {
        self.lab.rest()?;
        self.subject.serve(self.lab)?;
        self.begin_and_wait(files)?;
        self.subject.settle()?;
        self.lab.require_equal().context("after the first mirror")?;
        self.lab.rest()
    }

    fn begin_and_wait(&mut self, files: &[PathBuf]) -> Result<Duration> {
        let marks = self.lab.marks(files)?;
        let start = Instant::now();
        self.subject.begin(self.lab)?;
        Ok(self.lab.wait(&marks)? - start)
    }

    /// From just before `change` until what it returns holds at every replica; with the bytes on the wire.
    fn timed(&mut self, change: impl FnOnce(&Lab<'_>) -> Result<Vec<Mark>>) -> Result<(Duration, u64)> {
        let before = measure::loopback_bytes()?;
        let start = Instant::now();
        let marks = change(self.lab)?;
        self.subject.changed(self.lab)?;
        let end = self.lab.wait(&marks)?;
        self.subject.settle()?;
        stop::sleep(Duration::from_millis(200))?;
        let wire = (measure::loopback_bytes()? - before) / self.subject.hops();
        self.lab.require_equal()?;
        Ok((end - start, wire))
    }

    fn saves(&mut self, dirs: usize, files: usize) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, dirs, files)?;
        self.settle_on(&made)?;
        let path = made.get(made.len() / 2).context("a file")?;
        let mut random = tree::Random::new(3);
        let mut times = Vec::new();
        for nonce in 1..=SAVES {
            // Irregular, so that no subject's own rhythm falls in with the bench's.
            stop::sleep(Duration::from_micros(5000 + random.below(15_000)))?;
            times.push(self.save(path, nonce, &mut random)?.as_secs_f64() * 1e3);
        }
        self.lab.require_equal()?;
        let at = |name, share| {
            let value = stats::percentile(&times, share).context("no saves")?;
            anyhow::Ok(Measure { name, unit: Unit::Milliseconds, value })
        };
        Ok(vec![at("p50", 0.5)?, at("p99", 0.99)?])
    }

    /// Writes 4 KiB that begin with the nonce, and waits until the replica shows it.
    fn save(&mut self, path: &Path, nonce: u64, random: &mut tree::Random) -> Result<Duration> {
        let mut content = [0; 4096];
        random.fill(&mut content);
        content[..8].copy_from_slice(&nonce.to_le_bytes());
        let replica = self.lab.replicas.first().context("a replica")?.join(path);
        let start = Instant::now();
        fs::write(self.lab.src.join(path), content)?;
        self.subject.changed(self.lab)?;
        lab::poll(lab::deadline(), || shows(&replica, nonce))?;
        let time = start.elapsed();
        self.subject.settle()?;
        Ok(time)
    }

    fn rewrites(&mut self, files: usize) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, files / 100, files)?;
        self.settle_on(&made)?;
        let (time, _) = self.timed(|lab| {
            tree::rewrite(&lab.src, &made, 2)?;
            lab.marks(&made)
        })?;
        Ok(vec![Measure::seconds(time)])
    }

    fn first_mirror(&mut self) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, 500, 50_000)?;
        self.first(&made)
    }

    fn first_copy(&mut self) -> Result<Vec<Measure>> {
        tree::large_file(&self.lab.src.join("large"), 1 << 30)?;
        self.first(&["large".into()])
    }

    fn first(&mut self, files: &[PathBuf]) -> Result<Vec<Measure>> {
        self.lab.rest()?;
        self.subject.serve(self.lab)?;
        let time = self.begin_and_wait(files)?;
        self.subject.settle()?;
        self.lab.require_equal()?;
        Ok(vec![Measure::seconds(time)])
    }

    fn large_change(&mut self, cold: bool, change: impl Fn(&Path) -> Result<()>) -> Result<Vec<Measure>> {
        let path = self.lab.src.join("large");
        tree::large_file(&path, 512 << 20)?;
        self.settle_on(&["large".into()])?;
        if cold {
            self.subject.end_source();
            self.restart_with_marker("marker")?;
            self.lab.rest()?;
        }
        let (time, wire) = self.timed(|lab| {
            change(&path)?;
            lab.marks(&["large".into()])
        })?;
        Ok(vec![Measure::seconds(time), Measure::wire(wire)])
    }

    /// Starts the source again beside a file that is new; how long until that file is there, and with it everything.
    fn restart_with_marker(&mut self, name: &str) -> Result<Duration> {
        fs::write(self.lab.src.join(name), name)?;
        let time = self.begin_and_wait(&[name.into()])?;
        self.subject.settle()?;
        Ok(time)
    }

    fn rename(&mut self) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src.join("old"), 50, 5000)?;
        let below = |dir: &str| made.iter().map(|path| Path::new(dir).join(path)).collect::<Vec<_>>();
        self.settle_on(&below("old"))?;
        let (time, wire) = self.timed(|lab| {
            fs::rename(lab.src.join("old"), lab.src.join("new"))?;
            let mut marks = lab.marks(&below("new"))?;
            marks.push(Mark::Absent { path: "old".into() });
            Ok(marks)
        })?;
        Ok(vec![Measure::seconds(time), Measure::wire(wire)])
    }

    fn delete(&mut self) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, 150, 15_000)?;
        self.settle_on(&made)?;
        let (time, _) = self.timed(|lab| {
            let doomed = made.iter().step_by(3);
            doomed
                .map(|path| {
                    fs::remove_file(lab.src.join(path))?;
                    Ok(Mark::Absent { path: path.clone() })
                })
                .collect()
        })?;
        Ok(vec![Measure::seconds(time)])
    }

    fn compare(&mut self) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, 500, 50_000)?;
        self.settle_on(&made)?;
        self.subject.end_source();
        self.lab.rest()?;
        let time = self.restart_with_marker("d0499/marker")?;
        self.lab.require_equal()?;
        Ok(vec![Measure::seconds(time)])
    }

    fn idle(&mut self) -> Result<Vec<Measure>> {
        let made = tree::small_files(&self.lab.src, 500, 50_000)?;
        self.settle_on(&made)?;
        stop::sleep(Duration::from_secs(3))?;
        let pids: Vec<_> = [self.subject.source_pid(), self.subject.replica_pid()].into_iter().flatten().collect();
        let spent = || pids.iter().map(|pid| measure::cpu_time(*pid)).collect::<Result<Vec<_>>>();
        let before = spent()?;
        stop::sleep(IDLE)?;
        let mut found = Vec::new();
        for ((pid, before), after) in pids.iter().zip(before).zip(spent()?) {
            let value = (after - before).as_secs_f64() * 60.0 / IDLE.as_secs_f64();
            found.push(Measure { name: "cpu", unit: Unit::CpuSecondsPerMinute, value });
            found.push(Measure { name: "memory", unit: Unit::Mebibytes, value: measure::resident(*pid)? });
        }
        Ok(found)
    }
}

fn shows(replica: &Path, nonce: u64) -> bool {
    let mut seen = [0; 8];
    let read = fs::File::open(replica).and_then(|file| file.read_exact_at(&mut seen, 0));
    read.is_ok() && seen == nonce.to_le_bytes()
}
