//! Wakes whoever waits, on time: what poll(2) is told to wait it may exceed by a thousandth, and by five where the process
//! is nice, which are 18 ms of the time after which a master counts as dead.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer that can be waited for beside sockets (timerfd_create(2)).
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    /// When it rings, or has rung.
    at: Option<Instant>,
}

impl Alarm {
    /// One that does not ring.
    ///
    /// # Errors
    /// There is no timer to be had.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer, at: None })
    }

    /// Has it ring at this time, which has not come at `now`, or not at all. What it was set to before is over; set to the
    /// same again, one that has rung goes on ringing.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn set(&mut self, now: Instant, at: Option<Instant>) -> io::Result<()> {
        if self.at == at {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would stop it.
        let after = at.map(|at| at.saturating_duration_since(now).max(Duration::from_nanos(1)));
        let after = after.map_or(Ok(zero), Timespec::try_from).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: zero, it_value: after };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.at = at;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// Whether it rings, at once or after this time.
    fn rings(alarm: &Alarm, within: Duration) -> bool {
        let within = Timespec::try_from(within).expect("a time");
        poll(&mut [PollFd::new(alarm, PollFlags::IN)], Some(&within)).expect("it can be waited for") > 0
    }

    #[test]
    fn it_rings_when_its_time_has_come_and_not_before() {
        let mut alarm = Alarm::new().expect("a timer");
        assert!(!rings(&alarm, Duration::ZERO));
        for wait in [Duration::from_millis(30), Duration::from_nanos(1), Duration::ZERO] {
            let at = Instant::now() + wait;
            alarm.set(Instant::now(), Some(at)).expect("set");
            assert!(rings(&alarm, Duration::from_secs(30)));
            assert!(Instant::now() >= at);
        }
    }

    #[test]
    fn what_it_was_set_to_before_is_over() {
        let mut alarm = Alarm::new().expect("a timer");
        let now = Instant::now();
        alarm.set(now, Some(now)).expect("set");
        assert!(rings(&alarm, Duration::from_secs(30)));
        alarm.set(Instant::now(), Some(now + Duration::from_secs(3600))).expect("set");
        assert!(!rings(&alarm, Duration::ZERO));
        alarm.set(now, Some(now)).expect("set");
        assert!(rings(&alarm, Duration::from_secs(30)));
        alarm.set(now, None).expect("set");
        assert!(!rings(&alarm, Duration::ZERO));
    }
}
