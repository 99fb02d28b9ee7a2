//! The VRRP process as the supervisor sees it: what it is told, what becomes of what it says, and what the
//! next one has to know when it is gone.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::event::Event;
use super::lives::Lives;
use super::notify::{self, Notifier};
use super::process::Process;
use super::takeover::State;
use super::worker::{Ending, Program, Released};
use super::{Failure, reports};
use crate::control::ProcessStatus;
use crate::observe::Console;
use crate::vrrp::message::{FromVrrp, InstanceStatus, Observed, Report, ToVrrp};
use crate::vrrp::router::Cause;
use crate::vrrp::setup::Setup;

/// When a question is put once more that nobody answered: the answer may have been lost.
const ASKED_AGAIN: Duration = Duration::from_secs(30);

/// What it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Nothing of it was ready yet.
    First,
    /// It waits for the one before it to hand over, and has not begun.
    Waits,
    /// It was started again and is not ready.
    Again,
    /// It works.
    Works,
    /// It was told to leave.
    Leaves,
    /// It has left: no address is held.
    Left,
}

/// A new configuration that is not in force yet.
#[derive(Debug)]
struct Reload {
    setup: Setup,
    reply: oneshot::Sender<Result<(), String>>,
}

/// What the loop has to do about what was said.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// It is ready, or a new configuration is in force.
    InForce,
    /// It knows what the one before it holds: that one may hand over.
    HandOver,
    /// It cannot run here, and never did.
    Fail(Failure),
}

/// The VRRP process.
#[derive(Debug)]
pub(super) struct Vrrp {
    process: Process<FromVrrp, ToVrrp>,
    phase: Phase,
    /// What is in force, or is to be first.
    setup: Setup,
    reload: Option<Reload>,
    lives: Lives,
    /// What was seen last of each thing that is tracked: a process that is started again has to know.
    observed: HashMap<(u8, String), Observed>,
    asked: Vec<oneshot::Sender<Vec<InstanceStatus>>>,
    /// When it was asked for the answer that all of them wait for.
    asked_at: Option<Instant>,
    /// It crashed again within a minute: the next one gives up what it held.
    give_up: bool,
    /// What it said when it could not be started again.
    refused: Option<String>,
}

impl Vrrp {
    /// One that does not run yet.
    pub(super) fn new(program: Program, setup: Setup, lives: Lives) -> Self {
        Self {
            process: Process::new(program, "VRRP", Event::Vrrp),
            phase: Phase::First,
            setup,
            reload: None,
            lives,
            observed: HashMap::new(),
            asked: Vec::new(),
            asked_at: None,
            give_up: false,
            refused: None,
        }
    }

    /// One that goes on where the program before this one was.
    pub(super) fn taken(program: Program, setup: Setup, mut lives: Lives, taken: &State) -> Self {
        lives.replace(taken.lives.clone());
        let observed = taken.observed.iter().map(|observed| (key(observed), observed.clone())).collect();
        Self { phase: Phase::Again, observed, ..Self::new(program, setup, lives) }
    }

    /// Starts the next one while `other` still works; it begins once that has handed over. Where this program is
    /// killed in between, it takes away what that held.
    pub(super) fn start_waiting(
        &mut self,
        other: u32,
        events: &mpsc::Sender<Event>,
        log: Option<Console>,
    ) -> io::Result<()> {
        self.phase = Phase::Waits;
        self.process.start(events, log)?;
        self.process.tell(ToVrrp::Wait { setup: self.setup.clone(), lives: self.lives.all(), pid: other });
        Ok(())
    }

    /// Starts it, where the one before it was.
    pub(super) fn start(&mut self, events: &mpsc::Sender<Event>, log: Option<Console>) -> io::Result<()> {
        self.process.start(events, log)?;
        self.begin();
        Ok(())
    }

    /// Has a process that was started begin.
    pub(super) fn begin(&mut self) {
        if self.phase == Phase::Waits {
            self.phase = Phase::Again;
        }
        let (setup, lives, give_up) = (self.setup.clone(), self.lives.all(), self.give_up);
        self.process.tell(ToVrrp::Start { setup, lives, give_up, earlier: self.lives.are_earlier() });
        self.observed.values().for_each(|observed| self.process.tell(ToVrrp::Observed(observed.clone())));
    }

    /// What is in force.
    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Passes on what was seen.
    pub(super) fn observed(&mut self, observed: Observed) {
        // One that has not begun is told all of it when it does.
        if self.phase != Phase::Waits {
            self.process.tell(ToVrrp::Observed(observed.clone()));
        }
        // What a reload took away may still be heard of.
        if is_tracked(&self.setup, &observed) {
            self.observed.insert(key(&observed), observed);
        }
    }

    /// Has `setup` put in force; the answer comes.
    pub(super) fn reload(&mut self, setup: Setup) -> oneshot::Receiver<Result<(), String>> {
        let (reply, answer) = oneshot::channel();
        let refusal = match self.phase {
            _ if self.reload.is_some() => "another reload is under way",
            Phase::Works => {
                self.process.tell(ToVrrp::Reload(setup.clone()));
                self.reload = Some(Reload { setup, reply });
                return answer;
            }
            _ => "the VRRP process is not ready: `syncd status` says how it is",
        };
        let _ = reply.send(Err(refusal.to_owned()));
        answer
    }

    /// Asks it how its instances stand; no answer comes where it is gone.
    pub(super) fn ask(&mut self) -> oneshot::Receiver<Vec<InstanceStatus>> {
        let (reply, answer) = oneshot::channel();
        if self.phase == Phase::Works {
            // Whoever is stuck is not asked again and again, and whoever has gone waits no longer.
            self.asked.retain(|asked| !asked.is_closed());
            if self.asked_at.is_none_or(|at| at.elapsed() >= ASKED_AGAIN) {
                self.asked_at = Some(Instant::now());
                self.process.tell(ToVrrp::Status);
            }
            self.asked.push(reply);
        }
        answer
    }

    /// How the process stands.
    pub(super) fn status(&self) -> ProcessStatus {
        self.process.status()
    }

    /// What it said when it could not be started again.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.clone()
    }

    /// Brings what is on disk up to date; `idle` where there is nothing more to hear.
    pub(super) fn settle(&mut self, idle: bool) {
        self.lives.settle(idle);
    }

    /// Whether `run` is its last start.
    pub(super) fn is_current(&self, run: u64) -> bool {
        self.process.is_current(run)
    }

    /// It says `message`.
    pub(super) fn said(&mut self, message: FromVrrp, notifier: &mut Notifier) -> Next {
        match message {
            FromVrrp::Ready => return self.ready(),
            FromVrrp::Waits => return Next::HandOver,
            FromVrrp::Refused { instance, message, configuration } => {
                let message = instance.map_or(message.clone(), |instance| format!("{instance}: {message}"));
                return self.refuse(message, configuration);
            }
            FromVrrp::Life(life) => self.lives.update(life),
            FromVrrp::Notice(notice) => {
                let new = self.reload.as_ref().map(|reload| &reload.setup);
                let setups = [Some(&self.setup), new].into_iter().flatten();
                let notify = setups.filter_map(|setup| notify::of(setup, &notice.of)).next().cloned();
                notifier.tell(&notice, &notify.unwrap_or_default());
            }
            // It was told to give up what it holds since it is to leave: nothing crashed.
            FromVrrp::Report(Report::Transition { cause: Cause::GaveUp, .. }) if self.phase == Phase::Leaves => {}
            FromVrrp::Report(report) => reports::log(&report),
            FromVrrp::Status(status) => {
                self.asked_at = None;
                self.asked.drain(..).for_each(|asked| drop(asked.send(status.clone())));
            }
            FromVrrp::Ended if self.phase == Phase::Leaves => self.phase = Phase::Left,
            FromVrrp::Ended => {}
        }
        Next::Nothing
    }

    fn ready(&mut self) -> Next {
        if let Some(reload) = self.reload.take() {
            self.setup = reload.setup;
            self.observed.retain(|_, observed| is_tracked(&self.setup, observed));
            self.lives.retain(|name| self.setup.instances.iter().any(|instance| instance.name == name));
            // Whoever asked may be gone.
            let _ = reload.reply.send(Ok(()));
            return Next::InForce;
        }
        if matches!(self.phase, Phase::First | Phase::Again) {
            self.phase = Phase::Works;
            self.give_up = false;
            self.refused = None;
            return Next::InForce;
        }
        Next::Nothing
    }

    fn refuse(&mut self, message: String, configuration: bool) -> Next {
        if let Some(reload) = self.reload.take() {
            let _ = reload.reply.send(Err(message));
            return Next::Nothing;
        }
        if self.phase == Phase::First {
            let code = if configuration { Failure::CONFIGURATION } else { Failure::HOST };
            return Next::Fail(Failure { code, message });
        }
        tracing::error!("VRRP cannot go on: {message}");
        self.refused = Some(message);
        Next::Nothing
    }

    /// It is gone. When it is to be started again; none where it left as it was told to.
    ///
    /// # Errors
    /// It never was ready and ended by itself: it said why, and would say so again.
    pub(super) fn gone(&mut self, ending: Ending) -> Result<Option<Duration>, Failure> {
        self.asked.clear();
        self.asked_at = None;
        if let Some(reload) = self.reload.take() {
            let _ =
                reload.reply.send(Err("the VRRP process ended over it; what was in force before goes on".to_owned()));
        }
        Ok(match self.phase {
            Phase::First if ending.code().is_some() => {
                self.process.left();
                return Err(Failure::host(format!("the VRRP process ended before it was ready ({ending})")));
            }
            Phase::Left => {
                self.process.left();
                self.lives.end();
                None
            }
            Phase::Leaves => {
                self.process.left();
                if self.lives.hold_anything() && !self.give_up {
                    tracing::error!(
                        "the VRRP process ended ({ending}) and left virtual addresses behind: another takes them away"
                    );
                } else {
                    // What is left now goes by its lease, or by the next start.
                    self.phase = Phase::Left;
                    if !self.lives.hold_anything() {
                        self.lives.end();
                    }
                }
                None
            }
            Phase::First | Phase::Waits | Phase::Again | Phase::Works => {
                let again = self.process.crashed(&ending.to_string());
                self.phase = if self.phase == Phase::First { Phase::First } else { Phase::Again };
                self.give_up = again.give_up;
                Some(again.after)
            }
        })
    }

    /// Has it leave politely. Where it does not run and has left an address behind, another one is started for that.
    pub(super) fn leave(&mut self, events: &mpsc::Sender<Event>, log: Option<Console>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Leaves;
        if !self.process.runs() {
            if !self.lives.hold_anything() {
                self.phase = Phase::Left;
                self.lives.end();
                return;
            }
            self.give_up = true;
            if let Err(e) = self.start(events, log) {
                tracing::error!("cannot start a process that takes the virtual addresses away: {e}");
                self.phase = Phase::Left;
                return;
            }
        }
        self.process.tell(ToVrrp::Stop);
    }

    /// Whether it works and nothing is asked of it.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Works && self.reload.is_none()
    }

    /// What another program has to know of it.
    pub(super) fn state(&self) -> State {
        State {
            setup: self.setup.clone(),
            lives: self.lives.all(),
            observed: self.observed.values().cloned().collect(),
            ..State::default()
        }
    }

    /// Stops listening to it and lets it run; its number, and nothing where it is just gone.
    pub(super) async fn release(&mut self) -> (Option<u32>, Option<Released>) {
        self.process.release().await
    }

    /// Listens to it again.
    pub(super) fn adopt(&mut self, pid: u32, released: Released, events: &mpsc::Sender<Event>) -> io::Result<()> {
        self.process.adopt(pid, released, events)
    }

    /// Whether it is ready.
    pub(super) fn works(&self) -> bool {
        self.phase == Phase::Works
    }

    /// Whether it has left and is gone.
    pub(super) fn has_left(&self) -> bool {
        self.phase == Phase::Left && !self.process.runs()
    }

    /// Ends it by force.
    pub(super) fn kill(&self) {
        self.process.kill();
    }
}

/// Whether `setup` tracks what was seen.
fn is_tracked(setup: &Setup, observed: &Observed) -> bool {
    match observed {
        Observed::Script { name, .. } => setup.scripts.iter().any(|script| script.name == *name),
        Observed::Process { name, .. } => setup.processes.iter().any(|process| process.name == *name),
        Observed::File { name, .. } => setup.files.iter().any(|file| file.name == *name),
    }
}

/// What it is that was seen.
fn key(observed: &Observed) -> (u8, String) {
    match observed {
        Observed::Script { name, .. } => (0, name.clone()),
        Observed::Process { name, .. } => (1, name.clone()),
        Observed::File { name, .. } => (2, name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::setup::TrackFile;

    fn file(name: &str) -> TrackFile {
        TrackFile { name: name.to_owned(), file: name.into(), init: None }
    }

    fn tracking(names: &[&str]) -> Setup {
        Setup { files: names.iter().copied().map(file).collect(), ..Setup::default() }
    }

    fn working(dir: &std::path::Path, setup: Setup) -> Vrrp {
        let program = Program { path: "/nonexistent".into(), short: "vrrp", words: Vec::new() };
        Vrrp { phase: Phase::Works, ..Vrrp::new(program, setup, Lives::load(dir)) }
    }

    #[tokio::test]
    async fn what_a_reload_tracks_no_longer_is_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut vrrp = working(dir.path(), tracking(&["a", "b"]));
        let seen = |name: &str| Observed::File { name: name.to_owned(), value: 1 };
        ["a", "b", "never"].iter().for_each(|name| vrrp.observed(seen(name)));
        assert_eq!(vrrp.observed.len(), 2);
        let mut answer = vrrp.reload(tracking(&["b"]));
        vrrp.said(FromVrrp::Ready, &mut Notifier::default());
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        vrrp.observed(seen("a"));
        assert_eq!(vrrp.observed.into_values().collect::<Vec<_>>(), [seen("b")]);
    }

    #[tokio::test]
    async fn who_no_longer_waits_for_an_answer_is_forgotten_and_who_waits_has_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut vrrp = working(dir.path(), Setup::default());
        for _ in 0..100 {
            drop(vrrp.ask());
        }
        let (mut one, mut two) = (vrrp.ask(), vrrp.ask());
        assert_eq!(vrrp.asked.len(), 2);
        vrrp.said(FromVrrp::Status(Vec::new()), &mut Notifier::default());
        assert_eq!((one.try_recv(), two.try_recv()), (Ok(Vec::new()), Ok(Vec::new())));
        assert!(vrrp.asked.is_empty() && vrrp.asked_at.is_none());
    }
}
