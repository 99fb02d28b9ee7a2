//! How the VRRP process runs, so that it is never late: real-time priority, memory that stays.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

use super::NetError;
use crate::vrrp::setup::Scheduling;

/// Brings `scheduling` into force for the calling process, a single thread, and says what could not be. That takes
/// CAP_SYS_NICE and CAP_IPC_LOCK, the latter also for memory that is asked for later.
#[must_use]
pub fn apply(scheduling: &Scheduling) -> Vec<NetError> {
    let mut failed = Vec::new();
    let mut note = |what: String, done: io::Result<()>| failed.extend(done.err().map(|e| NetError::new(what, e)));
    if scheduling.nice != 0 {
        let nice = i32::from(scheduling.nice);
        note(format!("the priority cannot be set to {nice}"), setpriority_process(None, nice).map_err(Into::into));
    }
    if let Some(limit) = scheduling.realtime_limit {
        note(format!("the CPU time in one go cannot be limited to {limit} µs"), limit_realtime(limit));
    }
    if let Some(priority) = scheduling.realtime {
        note(format!("real-time priority {priority} cannot be had"), set_realtime(priority));
    }
    if scheduling.no_swap {
        note("memory cannot be kept from being swapped out".into(), lock_memory());
    }
    failed
}

/// The soft limit alone: the hard one could not be raised again by a reload.
fn limit_realtime(microseconds: u64) -> io::Result<()> {
    let maximum = getrlimit(Resource::Rttime).maximum;
    setrlimit(Resource::Rttime, Rlimit { current: Some(microseconds), maximum })?;
    Ok(())
}

/// SCHED_RR; what the process starts does not have it.
#[allow(unsafe_code, reason = "no crate here sets the scheduler")]
fn set_realtime(priority: u8) -> io::Result<()> {
    // SAFETY: integers alone; all zero is a value of it.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    // The system call itself: musl's function of that name refuses.
    // SAFETY: the parameters outlive the call, which only reads them; 0 is the calling thread.
    let done = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy(), &raw const parameters) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn policy() -> libc::c_int {
    libc::SCHED_RR | libc::SCHED_RESET_ON_FORK
}

/// All that there is and will be.
fn lock_memory() -> io::Result<()> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    Ok(())
}
