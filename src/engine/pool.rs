//! The threads that do a set's file work, under the set's own user and group.

use rayon::ThreadPool;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tokio::sync::oneshot;

/// A pool of threads for the file work of one set.
///
/// Linux keeps credentials for each thread (credentials(7)): a pool made with
/// [`Pool::running_as`] touches files with the rights of a module's `uid` and `gid`, checked by
/// the kernel, while the rest of the process keeps its own.
#[derive(Debug)]
pub struct Pool {
    threads: ThreadPool,
}

/// Why a pool cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The threads cannot take on the identity.
    #[error("cannot become uid {uid:?}, gids {gids:?}: {cause}")]
    Identity {
        /// The user.
        uid: Option<u32>,
        /// The groups.
        gids: Vec<u32>,
        /// The kernel's answer.
        cause: std::io::Error,
    },
    /// The threads cannot be started.
    #[error("cannot start the threads for file work: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl Pool {
    /// A pool of `threads` threads (0: one for each core, at least two) named `name`.
    ///
    /// # Errors
    /// [`PoolError::Threads`].
    pub fn new(name: &str, threads: usize) -> Result<Self, PoolError> {
        Self::running_as(name, threads, None, &[])
    }

    /// The same, with the rights of `uid` and `gids` (the first is primary) where they are given.
    ///
    /// # Errors
    /// [`PoolError`]; the identity needs `CAP_SETUID` and `CAP_SETGID` unless it is the own one.
    pub fn running_as(name: &str, threads: usize, uid: Option<u32>, gids: &[u32]) -> Result<Self, PoolError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = if threads == 0 { cores.max(2) } else { threads.max(2) };
        let name = name.to_owned();
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(move |n| format!("{name}-{n}")).build()?;
        let results = threads.broadcast(|_| become_identity(uid, gids));
        for result in results {
            result.map_err(|cause| PoolError::Identity { uid, gids: gids.to_vec(), cause })?;
        }
        Ok(Self { threads })
    }

    /// Runs `work` on the pool; parallel iterators inside it use the same threads.
    ///
    /// # Errors
    /// [`Panicked`] when `work` panicked: a bug, which ends this piece of work and not the process.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        let (tx, rx) = oneshot::channel();
        self.threads.spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            if let Ok(value) = result {
                // The asker is gone: nobody needs the result.
                let _ = tx.send(value);
            }
        });
        rx.await.map_err(|_| Panicked)
    }

    /// Runs `work` on the pool and waits on the calling thread, which must not be the network's.
    pub fn run_blocking<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(work)
    }
}

/// A piece of file work panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("internal error: file work panicked; please report what the log says above")]
pub struct Panicked;

fn become_identity(uid: Option<u32>, gids: &[u32]) -> std::io::Result<()> {
    if let Some(primary) = gids.first() {
        let groups: Vec<Gid> = gids.iter().map(|g| Gid::from_raw(*g)).collect();
        set_thread_groups(&groups)?;
        let gid = Gid::from_raw(*primary);
        set_thread_res_gid(gid, gid, gid)?;
    }
    if let Some(uid) = uid {
        let uid = Uid::from_raw(uid);
        set_thread_res_uid(uid, uid, uid)?;
    }
    Ok(())
}
