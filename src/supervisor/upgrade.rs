//! Replaces the program while it runs: first everything that could refuse is asked, and the operator's programs end; then
//! the engine ends, then the other program goes on. The VRRP process runs all the while, and hands over only once its successor waits.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::pin;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::desk::Desk;
use super::engine::ToEngine;
use super::event::Event;
use super::signals::Told;
use super::takeover::{self, Running, State};
use super::worker::{Released, Said};
use crate::control::{Responder, Response};
use crate::process::signals as waiting;
use crate::vrrp::frames::encode;
use crate::vrrp::message::{FromVrrp, ToVrrp};

/// How long the other program may take to say which it is.
const HELLO: Duration = Duration::from_secs(10);

/// How long the engine and programs that are told of transitions may take to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long those who read pipes may take for the last lines: meanwhile nobody looks after the processes.
const LAST_LINES: Duration = Duration::from_secs(3);

/// How long a signal may be under way to whoever obeys it.
const HEARD: Duration = Duration::from_millis(1);

/// How often it is looked whether they have.
const AGAIN: Duration = Duration::from_millis(20);

/// How long whoever asked may take to read the answer.
const LAST_WORD: Duration = Duration::from_millis(100);

/// A replacement that is under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    program: PathBuf,
    reply: Option<Responder>,
    begun: Instant,
}

impl Desk {
    /// Asks the program on disk which it is; all else follows from its answer.
    pub(super) fn begin_upgrade(&mut self, reply: Responder) {
        if let Err(message) = self.may_upgrade() {
            return reply.finish(Response::Failed { message });
        }
        self.upgrade_fault = None;
        let events = self.events.clone();
        tokio::spawn(async move {
            match look_for_program().await {
                Ok(program) => {
                    let upgrade = Upgrade { program, reply: Some(reply), begun: Instant::now() };
                    let _ = events.send(Event::Upgrade(upgrade)).await;
                }
                Err(message) => reply.finish(Response::Failed { message }),
            }
        });
    }

    fn may_upgrade(&self) -> Result<(), String> {
        if !self.vrrp.is_at_rest() {
            return Err("the VRRP process is not ready, or a reload is under way: ask again".to_owned());
        }
        (self.plan.read)().map(drop).map_err(|e| format!("VRRP: {e}; the program is not replaced"))
    }

    /// One step further: everything has ended that is to, or it is looked again.
    pub(super) async fn go_on_upgrading(
        &mut self,
        mut upgrade: Upgrade,
        signals: &mpsc::Receiver<Told>,
        events: &mut mpsc::Receiver<Event>,
    ) {
        let engine_runs = self.engine.as_ref().is_some_and(|engine| engine.process.runs());
        if upgrade.begun.elapsed() > PATIENCE {
            let message = "programs that are told of transitions still run, or the VRRP process is not ready: the program \
                           is not replaced";
            return self.give_up_upgrade(upgrade, message.to_owned());
        }
        if !self.notifier.is_idle() || !self.vrrp.is_at_rest() {
            return self.later(Event::Upgrade(upgrade), AGAIN);
        }
        // Nothing else is waited for: it replicates as long as it can.
        if let Some(engine) = self.engine.as_mut().filter(|_| engine_runs) {
            engine.process.tell(ToEngine::Stop);
            engine.leaves = true;
            return self.later(Event::Upgrade(upgrade), AGAIN);
        }
        if let Some(reply) = upgrade.reply.take() {
            let message = format!("{} goes on", upgrade.program.display());
            reply.finish(Response::Done { message });
            sleep(LAST_WORD).await;
        }
        let _ = sd_notify::notify(&[NotifyState::Reloading]);
        let error = self.exec(&upgrade.program, signals, events).await;
        self.give_up_upgrade(upgrade, format!("{error}: the program is not replaced"));
    }

    /// Comes back only where the other program could not be started.
    async fn exec(
        &mut self,
        program: &Path,
        signals: &mpsc::Receiver<Told>,
        events: &mut mpsc::Receiver<Event>,
    ) -> io::Error {
        let hand_over = match encode(&ToVrrp::HandOver) {
            Ok(bytes) => bytes,
            Err(e) => return io::Error::other(e),
        };
        tracing::info!("{} goes on in this process", program.display());
        self.scripts.stop();
        let pipes = std::mem::take(&mut self.notifier).hand_over(Instant::now() + LAST_LINES).await;
        let (pid, released, meanwhile) = self.release(events).await;
        let mut state = self.vrrp.state();
        state.upgrades = self.upgrades + 1;
        state.vrrp =
            released.as_ref().zip(pid).map(|(released, pid)| Running { pid, rest: released.rest.clone(), hand_over });
        state.unheard = meanwhile.into_iter().filter_map(|event| self.unheard(event)).collect();
        self.vrrp.settle(true);
        // What is signalled from now on waits for the other program; what came before would be lost with this one.
        waiting::hold();
        sleep(HEARD).await;
        // So would be what was logged and is not written.
        self.plan.console.finish(LAST_WORD);
        let error = if signals.is_empty() {
            takeover::exec(program, &mut state, self.plan.instance.lock(), released.as_ref(), &pipes)
        } else {
            io::Error::other("a signal came meanwhile")
        };
        waiting::release();
        self.notifier.take(pipes);
        self.go_on_after_all(released.zip(pid), state);
        error
    }

    /// Lets go of the VRRP process; also what happened up to then, for whoever hears it may wait for that to be taken.
    async fn release(&mut self, events: &mut mpsc::Receiver<Event>) -> (Option<u32>, Option<Released>, Vec<Event>) {
        let mut meanwhile = Vec::new();
        let (pid, released) = {
            let released = self.vrrp.release();
            pin!(released);
            loop {
                tokio::select! {
                    released = &mut released => break released,
                    Some(event) = events.recv() => meanwhile.push(event),
                }
            }
        };
        while let Ok(event) = events.try_recv() {
            meanwhile.push(event);
        }
        (pid, released, meanwhile)
    }

    /// What the VRRP process said that nobody has looked at.
    fn unheard(&self, event: Event) -> Option<FromVrrp> {
        match event {
            Event::Vrrp(run, Said::Message(message)) if self.vrrp.is_current(run) => Some(message),
            _ => None,
        }
    }

    fn go_on_after_all(&mut self, vrrp: Option<(Released, u32)>, state: State) {
        match vrrp.map(|(released, pid)| self.vrrp.adopt(pid, released, &self.events)) {
            Some(Ok(())) => {}
            Some(Err(_)) | None => self.later(Event::StartVrrp, Duration::ZERO),
        }
        self.notifier.configure(self.vrrp.setup());
        for message in state.unheard {
            self.vrrp.said(message, &mut self.notifier);
        }
        self.look_at_what_is_tracked();
    }

    fn give_up_upgrade(&mut self, upgrade: Upgrade, message: String) {
        tracing::error!("{message}");
        self.upgrade_fault = Some(message.clone());
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        if let Some(engine) = &mut self.engine
            && std::mem::take(&mut engine.leaves)
            && !engine.process.runs()
        {
            self.later(Event::StartEngine, Duration::ZERO);
        }
        if let Some(reply) = upgrade.reply {
            reply.finish(Response::Failed { message });
        }
    }
}

/// The program on disk, once it has shown that it runs here.
async fn look_for_program() -> Result<PathBuf, String> {
    let program = takeover::program().map_err(|e| format!("nobody knows which file this program is: {e}"))?;
    let mut command = tokio::process::Command::new(&program);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true).env_remove(takeover::MARK);
    let unusable = |why: String| format!("{}: {why}: the program is not replaced", program.display());
    match timeout(HELLO, command.output()).await {
        Ok(Ok(output)) if output.status.success() && output.stdout.starts_with(b"syncd ") => Ok(program),
        Ok(Ok(output)) => Err(unusable(format!("it is no syncd that runs here ({})", output.status))),
        Ok(Err(e)) => Err(unusable(e.to_string())),
        Err(_) => Err(unusable("it does not say which version it is".to_owned())),
    }
}
