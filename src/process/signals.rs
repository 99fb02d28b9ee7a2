//! Signals that wait until somebody can take them: blocked in a thread, and in all that it starts meanwhile.

use nix::sys::signal::{SigSet, Signal};

/// Those that end a process that has not said what it does about them, and are meant for the one that was started.
const OPERATORS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Has all that a supervisor obeys wait, SIGTERM among them, in this thread.
pub fn hold() {
    change(&with_end(), SigSet::thread_block);
}

/// Lets come what [`hold`] or [`hold_operators`] had wait.
pub fn release() {
    change(&with_end(), SigSet::thread_unblock);
}

/// Has those wait that an operator sends to the supervisor: whoever calls this is one of its processes.
pub fn hold_operators() {
    change(&OPERATORS.into_iter().collect(), SigSet::thread_block);
}

/// Does `work` while they wait: a process that it starts begins so, and has time to say what it does about them.
pub fn while_held<T>(work: impl FnOnce() -> T) -> T {
    let before = SigSet::thread_get_mask();
    hold_operators();
    let done = work();
    if let Ok(before) = before {
        change(&before, SigSet::thread_set_mask);
    }
    done
}

fn with_end() -> SigSet {
    OPERATORS.into_iter().chain([Signal::SIGTERM]).collect()
}

fn change(signals: &SigSet, how: impl FnOnce(&SigSet) -> nix::Result<()>) {
    // Only an unknown way of doing it is refused (pthread_sigmask(3)).
    let _ = how(signals);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Vec<Signal> {
        SigSet::thread_get_mask().expect("a mask").iter().collect()
    }

    #[test]
    fn what_is_held_is_let_come_again_and_a_thread_that_begins_meanwhile_holds_it() {
        assert_eq!(held(), []);
        let inside = while_held(|| std::thread::spawn(held).join().expect("no panic"));
        assert!(inside.contains(&Signal::SIGHUP) && !inside.contains(&Signal::SIGTERM), "{inside:?}");
        assert_eq!(held(), []);
        hold();
        while_held(|| ());
        assert!(held().contains(&Signal::SIGTERM), "what was held before stays so");
        release();
        assert_eq!(held(), []);
    }
}
