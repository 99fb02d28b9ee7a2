//! Runs what decides whether this host is well (`vrrp_script`): by its interval, one run at a time, each within
//! its bounds. Every result is told; what to make of them is the VRRP process's business.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::event::Event;
use super::notify::program;
use crate::process;
use crate::vrrp::message::Observed;
use crate::vrrp::setup::Script;

/// How long a script may take to end once its time is over.
const GRACE: Duration = Duration::from_secs(2);

/// The scripts that are run.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    running: HashMap<Script, Running>,
    /// What root runs is looked at before each run.
    guarded: bool,
}

/// Dropped, the script is run no more; one that runs is killed.
#[derive(Debug)]
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Scripts {
    /// Runs those of `wanted`, and no others. One that stays as it was goes on in its rhythm.
    pub(super) fn configure(&mut self, wanted: &[Script], events: &mpsc::Sender<Event>) {
        self.running.retain(|script, _| wanted.contains(script));
        for script in wanted {
            let begin = || Running(tokio::spawn(run(script.clone(), self.guarded, events.clone())));
            self.running.entry(script.clone()).or_insert_with(begin);
        }
    }

    /// Whether what root runs is looked at before each run.
    pub(super) fn guard(&mut self, guarded: bool) {
        if self.guarded != guarded {
            self.guarded = guarded;
            self.stop();
        }
    }

    /// Runs none any more.
    pub(super) fn stop(&mut self) {
        self.running.clear();
    }
}

async fn run(script: Script, guarded: bool, events: mpsc::Sender<Event>) {
    let program = program(script.command, guarded, script.timeout, GRACE);
    let mut due = Instant::now();
    let mut was_well = None;
    loop {
        sleep_until(due).await;
        let result = process::run(&program).await;
        let success = result.is_ok();
        // What follows from it, the VRRP process reports; only here it is known why.
        if was_well.replace(success) != Some(success)
            && let Err(e) = &result
        {
            tracing::warn!("vrrp_script {}: {e}", script.name);
        }
        let observed = Observed::Script { name: script.name.clone(), success };
        if events.send(Event::Observed(observed)).await.is_err() {
            return;
        }
        due = next(due, Instant::now(), script.interval);
    }
}

/// When the next run begins: the first multiple of the interval that is not over yet. A script that ran for too long
/// makes up for nothing.
fn next(due: Instant, now: Instant, interval: Duration) -> Instant {
    let interval = interval.max(Duration::from_millis(10));
    let over = now.saturating_duration_since(due).as_nanos() / interval.as_nanos();
    due + interval.saturating_mul(u32::try_from(over).unwrap_or(u32::MAX).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::setup::Command;

    fn script(name: &str, body: &str, interval: u64, timeout: u64) -> Script {
        Script {
            name: name.to_owned(),
            command: Command { argv: ["/bin/sh", "-c", body].map(str::to_owned).to_vec(), user: None },
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            rise: 1,
            fall: 1,
            init_fail: false,
        }
    }

    #[test]
    fn runs_keep_their_rhythm_and_none_is_made_up_for() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!(next(start, at(0.2), second), at(1.0));
        assert_eq!(next(start, at(1.0), second), at(2.0));
        assert_eq!(next(start, at(3.5), second), at(4.0));
        assert_eq!(next(start, at(0.0), second), at(1.0));
    }

    #[tokio::test]
    async fn each_result_is_told_and_who_takes_too_long_has_failed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let flag = dir.path().join("flag");
        let (events, mut told) = mpsc::channel(8);
        let mut scripts = Scripts::default();
        let wanted = [
            script("flag", &format!("test -e {}", flag.display()), 10, 20_000),
            script("slow", "trap '' TERM; sleep 1000", 10, 50),
        ];
        scripts.configure(&wanted, &events);
        let mut next = async || match told.recv().await {
            Some(Event::Observed(Observed::Script { name, success })) => (name, success),
            other => panic!("{other:?}"),
        };
        // The other one may have been killed before.
        let of_flag = loop {
            match next().await {
                (name, success) if name == "flag" => break success,
                (_, success) => assert!(!success, "it hangs"),
            }
        };
        assert!(!of_flag);
        std::fs::write(&flag, "").expect("write");
        let mut seen = (false, false);
        while seen != (true, true) {
            match next().await {
                (name, true) => seen.0 |= name == "flag",
                (name, false) => seen.1 |= name == "slow",
            }
        }
        scripts.configure(&wanted[..1], &events);
        assert_eq!(scripts.running.len(), 1);
    }

    #[tokio::test]
    async fn two_runs_of_one_script_never_overlap() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (events, mut told) = mpsc::channel(8);
        let mut scripts = Scripts::default();
        let body = format!("mkdir {0}/one && sleep 0.05 && rmdir {0}/one", dir.path().display());
        scripts.configure(&[script("overlap", &body, 10, 20_000)], &events);
        for _ in 0..5 {
            let Some(Event::Observed(Observed::Script { success, .. })) = told.recv().await else { panic!("ended") };
            assert!(success, "two ran at once");
        }
    }
}
