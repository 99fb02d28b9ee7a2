//! Ctrl-C as a flag, so that whoever waits gives up and everything is cleaned up on the way out.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP only set the flag.
pub(crate) fn listen() -> Result<()> {
    let flag = Arc::clone(ASKED.get_or_init(Arc::default));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(())
}

/// An error when somebody asked to stop.
pub(crate) fn check() -> Result<()> {
    let asked = ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed));
    ensure!(!asked, "interrupted");
    Ok(())
}

/// Sleeps, unless somebody asks to stop.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let end = std::time::Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}
