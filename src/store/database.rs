//! The database of an instance: opened, kept usable, and given up when it is damaged.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, fs, io, thread};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, StorageError, WriteTransaction,
};
use tracing::warn;

use super::error::{StoreError, Trouble};
use super::tables::{SCHEMA, check_schema};

/// The database file in an instance's directory.
const FILE: &str = "store.redb";

/// Its presence says that the store misses something which only a full compare brings back. A file
/// and no row, because it has to be made when the store cannot be written.
const MARKER: &str = "compare-needed";

/// How many damaged databases are kept to be looked at.
const DAMAGED_KEPT: u32 = 9;

/// How long whoever had the instance before may take to let go of its database: of a process that is
/// killed the kernel releases the instance's lock first.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether it has.
const RETRY: Duration = Duration::from_millis(10);

/// Pages that redb holds in memory: the index is read once, in order, at the start.
const CACHE: usize = 1 << 20;

type Medium = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// The store of one instance. Every call is synchronous and may wait for the disk.
///
/// After an IO error the database is opened anew at the next call, so that the store recovers by
/// itself when there is room again. A damaged one is moved to `store.redb.damaged-N` with a warning
/// and started anew at whichever call meets the damage; [`Store::compare_needed`] is true from then.
pub struct Store {
    dir: PathBuf,
    medium: Medium,
    database: Mutex<Option<Database>>,
}

impl Store {
    /// Opens the store in `dir`, the directory of an instance whose lock the caller holds. Waits some
    /// seconds for whoever held that before.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for one that a later version wrote; [`StoreError::Unusable`] when the
    /// file cannot be opened or made, or another process still has it open.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let end = Instant::now() + PATIENCE;
        loop {
            match Self::open_on(dir, Box::new(open_file)) {
                Err(e) if e.is_open_elsewhere() && Instant::now() < end => thread::sleep(RETRY),
                opened => return opened,
            }
        }
    }

    /// The same on another medium than a plain file.
    pub(super) fn open_on(dir: &Path, medium: Medium) -> Result<Self, StoreError> {
        let store = Self { dir: dir.to_owned(), medium, database: Mutex::new(None) };
        store.with(|_| Ok(()))?;
        Ok(store)
    }

    /// Whether there is a store in `dir` to be opened; [`Store::open`] makes one where there is none.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// Whether the store misses something that only a full compare brings back, of every set.
    #[must_use]
    pub fn compare_needed(&self) -> bool {
        self.dir.join(MARKER).exists()
    }

    /// Says so, durably where the disk has room for an empty file.
    pub fn need_compare(&self) {
        if let Err(e) = File::create(self.dir.join(MARKER)).and_then(|_| sync_dir(&self.dir)) {
            warn!("cannot note that a full compare is needed in {}: {e}", self.dir.display());
        }
    }

    /// Every set has been compared in full since.
    pub fn compared(&self) {
        match fs::remove_file(self.dir.join(MARKER)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                warn!("cannot remove {}: {e}; the next start compares in full again", self.dir.join(MARKER).display());
            }
            _ => {}
        }
    }

    /// Runs `job` on what is committed.
    pub(super) fn read<T>(&self, job: impl Fn(&ReadTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.with(|database| job(&database.begin_read()?))
    }

    /// Runs `job` in a transaction that is durable before this returns.
    pub(super) fn write<T>(&self, job: impl Fn(&WriteTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.write_as(Durability::Immediate, job)
    }

    /// Runs `job` in a transaction of this durability; nothing of it happens when it fails.
    pub(super) fn write_as<T>(
        &self,
        durability: Durability,
        job: impl Fn(&WriteTransaction) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.with(|database| {
            let mut txn = database.begin_write()?;
            txn.set_durability(durability)?;
            let done = job(&txn)?;
            txn.commit()?;
            Ok(done)
        })
    }

    /// Runs `job` on the open database; when that turns out to be damaged, once more on a new one.
    fn with<T>(&self, job: impl Fn(&Database) -> Result<T, Trouble>) -> Result<T, StoreError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        match self.attempt(&mut slot, &job) {
            Err(trouble) => match trouble.damage() {
                Some(cause) => {
                    self.set_aside(&cause)?;
                    self.attempt(&mut slot, &job).map_err(|t| self.error(t))
                }
                None => Err(self.error(trouble)),
            },
            Ok(done) => Ok(done),
        }
    }

    /// Opens the database where it is not, and closes it after any trouble: redb serves nothing
    /// more after an IO error until it is opened again.
    fn attempt<T>(
        &self,
        slot: &mut MutexGuard<'_, Option<Database>>,
        job: &impl Fn(&Database) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        // redb asserts what its checksums do not cover: a flipped bit must not end the program. The
        // database stands in its slot first, so that no panic unwinds through its drop.
        let done = caught(|| {
            let fresh = slot.is_none();
            if fresh {
                **slot = Some((self.medium)(&self.dir.join(FILE))?);
            }
            let database = slot.as_ref().ok_or(StorageError::DatabaseClosed)?;
            if fresh {
                let txn = database.begin_write()?;
                check_schema(&txn)?;
                txn.commit()?;
            }
            job(database)
        });
        if done.is_err() {
            close(slot);
        }
        done
    }

    /// Moves the damaged database out of the way, where somebody can look at it.
    fn set_aside(&self, cause: &str) -> Result<(), StoreError> {
        let path = self.dir.join(FILE);
        let aside = self.damaged_name();
        fs::rename(&path, &aside).and_then(|()| sync_dir(&self.dir)).map_err(|source| StoreError::Damaged {
            path: path.clone(),
            cause: cause.to_owned(),
            source,
        })?;
        warn!(
            "the store {} is damaged ({cause}): moved to {}, a new one is begun and every set is compared in full; \
             no file of any set is affected",
            path.display(),
            aside.display()
        );
        self.need_compare();
        Ok(())
    }

    /// The first free name; the last one is used over and over.
    fn damaged_name(&self) -> PathBuf {
        let name = |n: u32| self.dir.join(format!("{FILE}.damaged-{n}"));
        (1..DAMAGED_KEPT).map(name).find(|p| !p.exists()).unwrap_or_else(|| name(DAMAGED_KEPT))
    }

    fn error(&self, trouble: Trouble) -> StoreError {
        let path = self.dir.join(FILE);
        match trouble {
            Trouble::Newer(found) => StoreError::Newer { path, found, known: SCHEMA },
            Trouble::Redb(source) => StoreError::Unusable { path, source },
            Trouble::Damage(cause) => StoreError::Unusable { path, source: Box::new(redb::Error::Corrupted(cause)) },
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        close(self.database.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Closes a database, a damaged one as well.
fn close(slot: &mut Option<Database>) {
    let database = slot.take();
    // What is wrong with it was told before, or will be when it is opened again.
    let _ = caught(|| {
        drop(database);
        Ok(())
    });
}

fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    let fresh = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let database = Builder::new().set_cache_size(CACHE).create_file(file)?;
    if let (true, Some(dir)) = (fresh, path.parent()) {
        // Without this, a power loss takes a new file away together with its epochs.
        sync_dir(dir)?;
    }
    Ok(database)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Turns a panic of `job` into damage.
fn caught<T>(job: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Trouble::Damage(text.unwrap_or("an internal assertion failed").to_owned()))
    })
}

#[cfg(test)]
pub(super) mod tests;
