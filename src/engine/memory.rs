//! Memory that lives long, and memory that was freed and that the process still holds.

use std::thread;

use tokio::sync::oneshot;

/// Says how much free memory an arena may keep at its end. Called once, before there are threads.
///
/// malloc_trim(3) leaves the ends of arenas alone. Left to itself, glibc raises what may stay there
/// to twice the largest piece that was ever freed (mallopt(3)), and does not even look at it when
/// only small pieces are freed, which it sets aside unmerged: after a first mirror of 50,000 files
/// 20 MiB stayed for ever.
pub(crate) fn bound() {
    #[cfg(target_env = "gnu")]
    glibc::bound();
}

/// Runs `compact`, which moves what lives long into memory of its own, and gives back to the system
/// what is free then.
///
/// glibc keeps what a first mirror or a compare of a large tree has freed for the next one, which
/// may be weeks away; and it cannot give back a page on which something still lives. A thread of
/// its own has an arena of its own (mallopt(3), `M_ARENA_MAX`): what it allocates lies together,
/// and not between what came and went. An idle node takes a third that way. It takes milliseconds,
/// in which other threads may wait for memory.
pub(crate) async fn tidy(compact: impl FnOnce() + Send + 'static) {
    let (done, wait) = oneshot::channel();
    let work = move || {
        compact();
        give_back();
        // Whoever waits has ended.
        let _ = done.send(());
    };
    match thread::Builder::new().name("tidy".to_owned()).spawn(work) {
        // An error means that it panicked, which the log says.
        Ok(_) => drop(wait.await),
        Err(e) => tracing::debug!("memory is not tidied: no thread: {e}"),
    }
}

fn give_back() {
    #[cfg(target_env = "gnu")]
    glibc::trim();
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "malloc_trim(3) and mallopt(3) have no safe wrapper; both take numbers only")]
mod glibc {
    /// What the end of an arena may keep, in bytes.
    const KEPT: i32 = 1 << 20;

    /// Larger pieces come from the system and go back there at once, in bytes: none that is used often.
    const LARGE: i32 = 4 << 20;

    pub(super) fn bound() {
        // SAFETY: it sets three numbers of the allocator, under its lock.
        unsafe {
            libc::mallopt(libc::M_MXFAST, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        }
    }

    pub(super) fn trim() {
        // SAFETY: it works on the allocator's own lists, under its own locks.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
