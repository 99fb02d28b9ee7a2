//! The one loop of the supervisor: everything that happens passes here, in the order in which it happens.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answers::{self, Asked};
use super::engine::{FromEngine, ToEngine};
use super::event::Event;
use super::files::Files;
use super::filter::Filter;
use super::lives::Lives;
use super::notify::Notifier;
use super::process::Process;
use super::processes::Processes;
use super::scripts::Scripts;
use super::signals::{self, Told};
use super::takeover::Taken;
use super::vrrp::{Next, Vrrp};
use super::worker::{Ear, Ending, Released, Said, Worker};
use super::{Failure, Plan};
use crate::control::{Call, Request, Responder, Response, Server, relay};
use crate::observe::Console;
use crate::vrrp::message::{FromVrrp, ToVrrp};

/// How many events wait until the loop has time.
const EVENTS: usize = 1024;

/// How many calls of the control socket wait for their answer.
const CALLS: usize = 64;

/// How long programs that are told of the end may take altogether.
const LAST_NOTICES: Duration = Duration::from_secs(5);

/// How long an earlier VRRP process may take to hand over.
const HANDING_OVER: Duration = Duration::from_secs(1);

/// How long the VRRP process may take to leave: milliseconds, unless it is stuck.
const LEAVING: Duration = Duration::from_secs(3);

/// How long all processes may take to end.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// The supervisor while it runs.
pub(super) struct Desk {
    pub(super) plan: Plan,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) vrrp: Vrrp,
    pub(super) engine: Option<Engine>,
    pub(super) scripts: Scripts,
    pub(super) files: Files,
    pub(super) processes: Processes,
    pub(super) notifier: Notifier,
    filter: Filter,
    pub(super) since: Instant,
    /// How often the program was replaced.
    pub(super) upgrades: u64,
    /// Why it was not when that was asked for last.
    pub(super) upgrade_fault: Option<String>,
    /// All were ready once.
    announced: bool,
    /// A signal asked for a reload that the VRRP process was not ready for.
    reload_due: bool,
    /// The VRRP process of the program before this one, while it hands over.
    earlier: Option<Worker<ToVrrp>>,
    /// What has it hand over, and where that is to be written, as long as nobody has.
    hand_over: Option<(UnixStream, Vec<u8>)>,
    taken: Option<Taken>,
    /// The VRRP process did not leave by itself.
    killed: bool,
}

/// The replication engine as the supervisor sees it.
pub(super) struct Engine {
    pub(super) process: Process<FromEngine, ToEngine>,
    /// It was told to end, and is not to be started again.
    pub(super) leaves: bool,
    ready: bool,
    /// Once it was ready, its end is no reason to end.
    was_ready: bool,
    pid_file: Option<PathBuf>,
    refused: Option<Failure>,
}

/// Runs `plan` until it is told to end.
pub(super) async fn run(plan: Plan, mut signals: mpsc::Receiver<Told>) -> Result<(), Failure> {
    let dir = plan.instance.dir().to_owned();
    let server = Server::bind(&dir)
        .map_err(|e| Failure::host(format!("cannot make the control socket in {}: {e}", dir.display())))?;
    let (calls_in, mut calls) = mpsc::channel(CALLS);
    tokio::spawn(server.run(calls_in));
    let (events_in, mut events) = mpsc::channel(EVENTS);
    let mut desk = Desk::new(plan, events_in);
    let ended = match desk.start() {
        Ok(()) => desk.serve(&mut signals, &mut events, &mut calls).await,
        Err(failure) => Err(failure),
    };
    calls.close();
    desk.leave(&mut signals, &mut events).await;
    ended
}

impl Desk {
    fn new(mut plan: Plan, events: mpsc::Sender<Event>) -> Self {
        let lives = Lives::load(plan.instance.dir());
        let (program, setup, taken) = (plan.vrrp.clone(), std::mem::take(&mut plan.setup), plan.taken.take());
        let vrrp = match &taken {
            Some(taken) => Vrrp::taken(program, setup, lives, &taken.state),
            None => Vrrp::new(program, setup, lives),
        };
        let engine = plan.engine.clone().map(|program| Engine {
            process: Process::new(program, "replication", Event::Engine),
            leaves: false,
            ready: false,
            // Virtual addresses that are held already do not depend on it.
            was_ready: taken.is_some(),
            pid_file: None,
            refused: None,
        });
        Self {
            plan,
            events,
            vrrp,
            engine,
            scripts: Scripts::default(),
            files: Files::default(),
            processes: Processes::default(),
            notifier: Notifier::default(),
            filter: Filter::default(),
            since: Instant::now(),
            upgrades: taken.as_ref().map_or(0, |taken| taken.state.upgrades),
            upgrade_fault: None,
            announced: false,
            earlier: None,
            hand_over: None,
            reload_due: false,
            taken,
            killed: false,
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        let failed = |e| Failure::host(format!("cannot start a process: {e}"));
        if let Some(taken) = &mut self.taken {
            self.notifier.take(std::mem::take(&mut taken.pipes));
        }
        self.notifier.configure(self.vrrp.setup());
        self.filter.configure(self.vrrp.setup());
        match self.taken.take() {
            Some(taken) => self.take_over(taken).map_err(failed)?,
            None => self.vrrp.start(&self.events, self.child_log()).map_err(failed)?,
        }
        self.look_at_what_is_tracked();
        let log = self.child_log();
        self.engine.as_mut().map_or(Ok(()), |engine| engine.process.start(&self.events, log)).map_err(failed)
    }

    /// Has the VRRP process that runs hand over to one that waits for it.
    fn take_over(&mut self, taken: Taken) -> io::Result<()> {
        for message in taken.state.unheard {
            self.vrrp.said(message, &mut self.notifier);
        }
        let log = self.child_log();
        let Some((running, stream)) = taken.state.vrrp.zip(taken.vrrp) else {
            return self.vrrp.start(&self.events, log);
        };
        self.vrrp.start_waiting(running.pid, &self.events, log)?;
        self.hand_over = Some((stream.try_clone()?, running.hand_over));
        let released = Released { stream, rest: running.rest };
        let ear = Ear { events: self.events.clone(), run: 0, as_event: |_, said| Event::Earlier(said) };
        self.earlier = Some(Worker::adopt(running.pid, released, ear)?);
        Ok(())
    }

    /// Has the VRRP process of the program before this one hand over, once its successor knows what it holds.
    fn hand_over(&mut self) {
        if let Some((mut stream, word)) = self.hand_over.take()
            && let Err(e) = stream.write_all(&word)
            && let Some(earlier) = &self.earlier
        {
            tracing::error!("the VRRP process does not hand over ({e}): it is killed");
            earlier.kill();
        }
    }

    /// What the VRRP process that hands over says; its successor begins when it is gone.
    fn earlier_said(&mut self, said: Said<FromVrrp>) {
        match said {
            // It was ready before, and what is asked now is not asked of it.
            Said::Message(
                FromVrrp::Ready | FromVrrp::Waits | FromVrrp::Refused { .. } | FromVrrp::Status(_) | FromVrrp::Ended,
            ) => {}
            Said::Message(message) => drop(self.vrrp.said(message, &mut self.notifier)),
            Said::Gone(_) => {
                (self.earlier, self.hand_over) = (None, None);
                self.vrrp.begin();
            }
        }
    }

    /// A daemon's processes log through it: the file is kept small by one process alone.
    fn child_log(&self) -> Option<Console> {
        self.plan.log.as_ref().map(|_| self.plan.console.clone())
    }

    pub(super) fn look_at_what_is_tracked(&mut self) {
        let setup = self.vrrp.setup();
        self.scripts.guard(setup.script_security);
        self.scripts.configure(&setup.scripts, &self.events);
        self.files.configure(&setup.files, &self.events);
        self.processes.configure(&setup.processes, &self.events);
    }

    async fn serve(
        &mut self,
        signals: &mut mpsc::Receiver<Told>,
        events: &mut mpsc::Receiver<Event>,
        calls: &mut mpsc::Receiver<Call>,
    ) -> Result<(), Failure> {
        loop {
            // Whoever asks is answered when there is nothing more to hear: what is on disk is no older than the answer.
            self.vrrp.settle(events.is_empty());
            if self.vrrp.is_at_rest() && std::mem::take(&mut self.reload_due) {
                let vrrp = self.reload_vrrp();
                self.answer_reload(Some(vrrp), None, None);
            }
            tokio::select! {
                // What a process says comes first: a transition is not held up by who asks for it.
                biased;
                Some(event) = events.recv() => match event {
                    Event::Upgrade(upgrade) => self.go_on_upgrading(upgrade, signals, events).await,
                    event => self.happened(event)?,
                },
                Some(told) = signals.recv() => match told {
                    Told::End => return Ok(()),
                    Told::Reload => self.reload(None),
                },
                Some(call) = calls.recv() => self.called(call),
            }
        }
    }

    fn happened(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Vrrp(run, said) if self.vrrp.is_current(run) => match said {
                Said::Message(message) => match self.vrrp.said(message, &mut self.notifier) {
                    Next::Nothing => {}
                    Next::InForce => self.vrrp_in_force()?,
                    Next::HandOver => self.hand_over(),
                    Next::Fail(failure) => return Err(failure),
                },
                Said::Gone(ending) => self.vrrp_gone(ending)?,
            },
            Event::Engine(run, said) if self.engine.as_ref().is_some_and(|e| e.process.is_current(run)) => match said {
                Said::Message(message) => self.engine_said(message)?,
                Said::Gone(ending) => self.engine_gone(ending)?,
            },
            Event::Earlier(said) => self.earlier_said(said),
            Event::Vrrp(..) | Event::Engine(..) | Event::Upgrade(_) => {}
            Event::Observed(observed) => self.vrrp.observed(observed),
            Event::StartVrrp => {
                let log = self.child_log();
                let started = match &self.earlier {
                    Some(earlier) => self.vrrp.start_waiting(earlier.pid, &self.events, log),
                    None => self.vrrp.start(&self.events, log),
                };
                if let Err(e) = started {
                    tracing::error!("cannot start the VRRP process again: {e}");
                    self.later(Event::StartVrrp, Duration::from_secs(1));
                }
            }
            Event::StartEngine => self.start_engine(),
        }
        Ok(())
    }

    fn vrrp_in_force(&mut self) -> Result<(), Failure> {
        self.notifier.configure(self.vrrp.setup());
        self.filter.configure(self.vrrp.setup());
        self.look_at_what_is_tracked();
        self.announce()
    }

    fn vrrp_gone(&mut self, ending: Ending) -> Result<(), Failure> {
        if let Some(after) = self.vrrp.gone(ending)? {
            self.later(Event::StartVrrp, after);
        }
        Ok(())
    }

    /// Once everything is ready, whoever started this is told.
    fn announce(&mut self) -> Result<(), Failure> {
        let engine = self.engine.as_ref();
        if self.announced || !self.vrrp.works() || engine.is_some_and(|engine| !engine.ready) {
            return Ok(());
        }
        self.announced = true;
        let pid_file = engine.and_then(|engine| engine.pid_file.clone());
        (self.plan.ready)(pid_file.as_deref())
    }

    fn engine_said(&mut self, message: FromEngine) -> Result<(), Failure> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        match message {
            FromEngine::Ready { pid_file } => {
                (engine.ready, engine.was_ready, engine.pid_file) = (true, true, pid_file);
                self.announce()
            }
            FromEngine::Refused { code, message } => {
                engine.refused = Some(Failure { code, message });
                Ok(())
            }
        }
    }

    fn engine_gone(&mut self, ending: Ending) -> Result<(), Failure> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        engine.ready = false;
        let refused = engine.refused.take();
        if engine.leaves {
            engine.process.left();
            return Ok(());
        }
        if !engine.was_ready && ending.code().is_some() {
            let unsaid = Failure::host(format!("the replication process ended before it was ready ({ending})"));
            return Err(refused.unwrap_or(unsaid));
        }
        let how = refused.map_or_else(|| ending.to_string(), |refused| one_line(&refused.message));
        let again = engine.process.crashed(&how);
        self.later(Event::StartEngine, again.after);
        Ok(())
    }

    fn start_engine(&mut self) {
        let log = self.child_log();
        let Some(engine) = self.engine.as_mut().filter(|engine| !engine.leaves) else { return };
        if let Err(e) = engine.process.start(&self.events, log) {
            tracing::error!("cannot start the replication process again: {e}");
            self.later(Event::StartEngine, Duration::from_secs(1));
        }
    }

    pub(super) fn later(&self, event: Event, after: Duration) {
        let events = self.events.clone();
        tokio::spawn(async move {
            sleep(after).await;
            // The loop has ended: nothing is started any more.
            let _ = events.send(event).await;
        });
    }

    fn called(&mut self, Call { request, reply }: Call) {
        match request {
            Request::Status => answers::status(self, reply),
            Request::Reload => self.reload(Some(reply)),
            Request::Upgrade => self.begin_upgrade(reply),
            other if self.engine.is_some() => {
                let dir = self.plan.instance.dir().to_owned();
                tokio::spawn(async move { relay(&dir, &other, reply).await });
            }
            _ => reply.finish(Response::Failed { message: "this syncd runs VRRP alone: it has no sets".to_owned() }),
        }
    }

    /// Reads all configuration again; what each part says to that is one answer. Where the VRRP process is not ready for
    /// it, who asked is told so; a signal is not: what it meant is done as soon as it can be, since the file may have
    /// been read before it was written last.
    fn reload(&mut self, reply: Option<Responder>) {
        let later = reply.is_none() && !self.vrrp.is_at_rest();
        if later {
            tracing::info!("reload: VRRP follows as soon as its process is ready for it");
        }
        self.reload_due |= later;
        let vrrp = (!later).then(|| self.reload_vrrp());
        let engine = self.engine.as_ref().map(|_| self.plan.instance.dir().to_owned());
        self.answer_reload(vrrp, engine, reply);
    }

    fn reload_vrrp(&mut self) -> Asked {
        (self.plan.read)().map(|setup| self.vrrp.reload(setup))
    }

    fn answer_reload(&self, vrrp: Option<Asked>, engine: Option<PathBuf>, reply: Option<Responder>) {
        if vrrp.is_none() && engine.is_none() {
            return;
        }
        let _ = sd_notify::notify(&[NotifyState::Reloading]);
        let config = self.plan.config.display().to_string();
        tokio::spawn(async move {
            let told = answers::reload(config, vrrp, engine).await;
            match &told {
                Response::Failed { message } => tracing::error!("reload: {message}"),
                Response::Done { message } => tracing::info!("reload: {message}"),
                _ => {}
            }
            let _ = sd_notify::notify(&[NotifyState::Ready]);
            if let Some(reply) = reply {
                reply.finish(told);
            }
        });
    }

    /// Has everything end; a second signal ends the waiting.
    async fn leave(&mut self, signals: &mut mpsc::Receiver<Told>, events: &mut mpsc::Receiver<Event>) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        let begun = Instant::now();
        self.hand_over();
        while self.earlier.is_some() && begun.elapsed() < HANDING_OVER {
            // Whoever hands over leaves nothing behind that its successor does not know.
            if let Ok(Some(Event::Earlier(said))) = timeout(HANDING_OVER, events.recv()).await {
                self.earlier_said(said);
            }
        }
        let log = self.child_log();
        self.vrrp.leave(&self.events, log);
        if let Some(engine) = &self.engine {
            engine.process.tell(ToEngine::Stop);
        }
        self.scripts.stop();
        let left = async {
            self.wait_for_processes(events).await;
            self.filter.end().await;
            std::mem::take(&mut self.notifier).finish(begun + LAST_NOTICES).await;
        };
        let hurried = tokio::select! {
            () = left => None,
            () = signals::end(signals) => Some("told twice: ending at once; what is pending is compared at the next start"),
            () = sleep_until(begun + LAST_WORDS) => Some("it takes too long to end: what still runs is killed"),
        };
        if let Some(why) = hurried {
            tracing::warn!("{why}");
            self.vrrp.kill();
            if let Some(engine) = &self.engine {
                engine.process.kill();
            }
            let _ = timeout(Duration::from_secs(1), self.wait_for_processes(events)).await;
        }
    }

    async fn wait_for_processes(&mut self, events: &mut mpsc::Receiver<Event>) {
        let patience = Instant::now() + LEAVING;
        while !self.vrrp.has_left() || self.engine.as_ref().is_some_and(|engine| engine.process.runs()) {
            self.vrrp.settle(events.is_empty());
            let event = tokio::select! {
                Some(event) = events.recv() => event,
                () = sleep_until(patience), if !self.vrrp.has_left() && !self.killed => {
                    tracing::error!("the VRRP process does not leave: it is killed, and another one takes the addresses away");
                    self.killed = true;
                    self.vrrp.kill();
                    continue;
                }
            };
            match event {
                Event::Vrrp(run, said) if self.vrrp.is_current(run) => match said {
                    Said::Message(message) => drop(self.vrrp.said(message, &mut self.notifier)),
                    Said::Gone(ending) => {
                        // It leaves: nothing can be refused any more.
                        let _ = self.vrrp.gone(ending);
                        let log = self.child_log();
                        // It ended over it: another one takes away what it left behind.
                        self.vrrp.leave(&self.events, log);
                    }
                },
                Event::Engine(_, Said::Gone(_)) => {
                    if let Some(engine) = &mut self.engine {
                        engine.process.left();
                    }
                }
                _ => {}
            }
        }
    }
}

/// `text` for a place where a line break is none.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_said_last_is_one_line() {
        assert_eq!(one_line("/etc/c.xml:3:1: error: no\n\n   3 | <x>\n"), "/etc/c.xml:3:1: error: no; 3 | <x>");
    }
}
