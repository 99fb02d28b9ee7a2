//! Waits until the process that works hands over. Where the supervisor is gone before that is said, what that process
//! held is taken away: nobody else is left who could.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::channel::Channel;
use crate::vrrp::frames::FrameError;
use crate::vrrp::machine::Before;
use crate::vrrp::message::{FromVrrp, Life, ToVrrp};
use crate::vrrp::setup::Setup;

/// How long the other process may take to end once the supervisor is gone: it leaves politely then, or hands over.
const ENDING: Duration = Duration::from_secs(2);

/// What a process is to begin with; none where there is nothing to do.
pub(super) fn first(channel: &mut Channel) -> Result<Option<(Setup, Before)>, FrameError> {
    match channel.wait()? {
        Some(ToVrrp::Wait { setup, lives, pid }) => wait(channel, setup, lives, pid),
        first => Ok(first.and_then(begin)),
    }
}

fn begin(message: ToVrrp) -> Option<(Setup, Before)> {
    match message {
        ToVrrp::Start { setup, lives, give_up, earlier } => Some((setup, Before { lives, give_up, earlier })),
        _ => None,
    }
}

fn wait(
    channel: &mut Channel,
    setup: Setup,
    lives: Vec<Life>,
    pid: u32,
) -> Result<Option<(Setup, Before)>, FrameError> {
    // Opened before anybody asks it to end: it can be no other.
    let other = open(pid);
    channel.say(&FromVrrp::Waits);
    if let Some(message) = channel.wait()? {
        return Ok(begin(message));
    }
    if let Some(other) = other {
        // While it runs, it puts back what is taken away.
        let patience = Timespec::try_from(ENDING).ok();
        let _ = poll(&mut [PollFd::new(&other, PollFlags::IN)], patience.as_ref());
    }
    // The end of the conversation has it leave as soon as it has begun.
    Ok(Some((setup, Before { lives, give_up: true, earlier: false })))
}

/// None where it is gone.
fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
