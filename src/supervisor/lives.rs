//! Where each VRRP instance is: kept for the process that comes after one that was killed, and on disk
//! for the supervisor that comes after one that was.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::vrrp::message::Life;

/// In the instance's directory.
const FILE: &str = "vrrp-lives.json";

/// Nobody else has to know which addresses are whose.
const MODE: u32 = 0o600;

/// How long the file may be behind while there is more to hear all the time.
const BEHIND: Duration = Duration::from_millis(50);

/// What names this boot: addresses do not outlive it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file. It is written by rename and not made durable: after a crash of the kernel it means nothing.
#[derive(Debug, Deserialize)]
struct Kept {
    boot: String,
    lives: Vec<Life>,
}

/// The same, on its way there.
#[derive(Debug, Serialize)]
struct Keeping<'a> {
    boot: &'a str,
    lives: Vec<&'a Life>,
}

/// The lives of all instances.
#[derive(Debug)]
pub(super) struct Lives {
    by_name: BTreeMap<String, Life>,
    boot: String,
    file: PathBuf,
    /// Since when the file says something else.
    behind: Option<Instant>,
    /// It could not be written, and that was said.
    told: bool,
    /// They are those of an earlier supervisor: nobody knows how long ago that was.
    earlier: bool,
}

impl Lives {
    /// Those that an earlier supervisor left in `dir`, in this boot.
    pub(super) fn load(dir: &Path) -> Self {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        let file = dir.join(FILE);
        let kept = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let lives = kept.filter(|kept| kept.boot == boot).map(|kept| kept.lives).unwrap_or_default();
        let by_name = lives.into_iter().map(|life| (life.instance.clone(), life)).collect();
        Self { by_name, boot, file, behind: None, told: false, earlier: true }
    }

    /// Takes those that the supervisor before this one handed over.
    pub(super) fn replace(&mut self, lives: Vec<Life>) {
        self.by_name = lives.into_iter().map(|life| (life.instance.clone(), life)).collect();
        self.earlier = false;
    }

    /// Whether they are those that were found on disk, and no process has told of any since.
    pub(super) fn are_earlier(&self) -> bool {
        self.earlier && !self.by_name.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Life> {
        self.by_name.values().cloned().collect()
    }

    /// Whether an address was put on an interface and not taken away.
    pub(super) fn hold_anything(&self) -> bool {
        self.by_name.values().any(|life| !life.held.is_empty())
    }

    /// An instance is there now. Where its state or its addresses changed, the file is to follow by [`Self::settle`].
    pub(super) fn update(&mut self, life: Life) {
        self.earlier = false;
        let before = self.by_name.get(&life.instance);
        if before.is_none_or(|before| (before.state, &before.held) != (life.state, &life.held)) {
            self.fall_behind();
        }
        self.by_name.insert(life.instance.clone(), life);
    }

    /// Forgets all that holds nothing and for which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let before = self.by_name.len();
        self.by_name.retain(|name, life| keep(name) || !life.held.is_empty());
        if self.by_name.len() != before {
            self.fall_behind();
        }
    }

    /// Brings the file up to date where there is nothing more to hear (`idle`) or it has been behind for long: a
    /// takeover of many addresses is many changes and one file.
    pub(super) fn settle(&mut self, idle: bool) {
        if self.behind.is_some_and(|since| idle || since.elapsed() >= BEHIND) {
            self.behind = None;
            self.save();
        }
    }

    fn fall_behind(&mut self) {
        self.behind.get_or_insert_with(Instant::now);
    }

    /// They have left: nothing is anywhere any more.
    pub(super) fn end(&mut self) {
        self.by_name.clear();
        self.behind = None;
        // Where it stays, it says what was so before: the next start removes what is there.
        let _ = fs::remove_file(&self.file);
    }

    fn save(&mut self) {
        match self.write() {
            Ok(()) => self.told = false,
            Err(_) if self.told => {}
            Err(e) => {
                self.told = true;
                let file = self.file.display();
                tracing::warn!(
                    "cannot write {file}: {e}; after a kill of all of syncd addresses end by their lease alone"
                );
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        let beside = self.file.with_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&beside)?;
        // One that was left there may have other bits.
        file.set_permissions(Permissions::from_mode(MODE))?;
        self.write_to(file)?;
        fs::rename(beside, &self.file)
    }

    fn write_to(&self, file: File) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, &Keeping { boot: &self.boot, lives: self.by_name.values().collect() })?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::message::Held;
    use crate::vrrp::router::State;
    use crate::vrrp::setup::Address;

    fn life(name: &str, state: State, held: bool) -> Life {
        let address = Address::new(std::net::Ipv4Addr::new(10, 0, 0, 50).into(), 24);
        let held = if held { vec![Held { interface: "eth0".to_owned(), address }] } else { Vec::new() };
        Life { instance: name.to_owned(), state, since_unix_ms: 7, due: Some(9), held, transitions: 1 }
    }

    #[test]
    fn the_next_supervisor_of_this_boot_finds_them_and_that_of_another_does_not() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut lives = Lives::load(dir.path());
        assert!(lives.all().is_empty());
        lives.update(life("VI_1", State::Master, true));
        lives.update(life("VI_2", State::Backup, false));
        lives.settle(true);
        let found = Lives::load(dir.path());
        assert_eq!(found.all(), lives.all());
        assert!(found.hold_anything());
        let text = fs::read_to_string(dir.path().join(FILE)).expect("there");
        fs::write(dir.path().join(FILE), text.replacen("\"boot\":\"", "\"boot\":\"x", 1)).expect("write");
        assert!(Lives::load(dir.path()).all().is_empty());
    }

    #[test]
    fn many_changes_are_one_file_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join(FILE);
        let mut lives = Lives::load(dir.path());
        fs::write(file.with_extension("new"), "left there").expect("write");
        for n in 0..100 {
            lives.update(life(&format!("VI_{n}"), State::Master, true));
        }
        assert!(!file.exists(), "there is more to hear");
        lives.settle(true);
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Lives::load(dir.path()).all(), lives.all());
    }

    #[test]
    fn the_file_follows_though_there_is_more_to_hear_all_the_time() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut lives = Lives::load(dir.path());
        lives.update(life("VI_1", State::Master, true));
        lives.behind = Instant::now().checked_sub(BEHIND);
        lives.update(life("VI_2", State::Master, true));
        lives.settle(false);
        assert_eq!(Lives::load(dir.path()).all().len(), 2);
    }

    #[test]
    fn what_only_moves_a_timer_is_not_written() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut lives = Lives::load(dir.path());
        lives.update(life("VI_1", State::Master, true));
        lives.settle(true);
        fs::remove_file(dir.path().join(FILE)).expect("written");
        lives.update(Life { due: Some(10), ..life("VI_1", State::Master, true) });
        lives.settle(true);
        assert!(!dir.path().join(FILE).exists());
        lives.update(life("VI_1", State::Backup, false));
        lives.settle(true);
        assert!(dir.path().join(FILE).exists());
        lives.end();
        assert!(!dir.path().join(FILE).exists() && lives.all().is_empty());
    }

    #[test]
    fn an_instance_that_is_no_longer_wanted_is_kept_as_long_as_it_holds_an_address() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut lives = Lives::load(dir.path());
        lives.update(life("VI_1", State::Master, true));
        lives.update(life("VI_2", State::Backup, false));
        lives.retain(|_| false);
        assert_eq!(lives.all(), [life("VI_1", State::Master, true)]);
    }
}
