//! The bare timer that the daemons are measured beside: it does nothing but to send a datagram when it is time.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};

#[derive(clap::Args)]
pub(crate) struct TickArgs {
    /// Milliseconds between two datagrams
    #[arg(long)]
    interval: u32,
    /// Where they go to, a broadcast address for one
    #[arg(long)]
    to: SocketAddr,
    /// How many of them there are
    #[arg(long)]
    count: u32,
}

/// Sends them; real-time priority comes from whoever starts this.
pub(crate) fn run_tick(args: &TickArgs) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("no socket")?;
    socket.set_broadcast(true)?;
    // As the daemons have it where they run without real-time priority.
    let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
    let start = clock_gettime(ClockId::Monotonic);
    let interval = Duration::from_millis(args.interval.into());
    for n in 0..args.count {
        socket.send_to(b".", args.to).context("it cannot be sent")?;
        let due = start + Timespec::try_from(interval * (n + 1))?;
        while clock_nanosleep_absolute(ClockId::Monotonic, &due).is_err() {}
    }
    Ok(())
}
