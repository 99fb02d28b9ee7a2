//! Tells the operator's programs of transitions: those of one instance one after the other, so that none
//! overtakes another, and those of different instances at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::fifo::{Fifos, Pipe};
use super::told;
use crate::process::{self, Program};
use crate::vrrp::message::{Notice, Subject};
use crate::vrrp::setup::{Command, Notify, Setup};

/// How long one program may run.
const LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to end once it is told to.
const GRACE: Duration = Duration::from_secs(2);

/// How long a program may run when there is no more time.
const LAST: Duration = Duration::from_secs(1);

/// How long all of them may take then.
const LAST_OF_ALL: Duration = Duration::from_secs(3);

/// How many programs of one instance wait.
const WAITING: usize = 256;

/// What one instance or group is still to be told.
#[derive(Debug)]
struct Queue {
    commands: mpsc::Sender<(Command, bool)>,
    /// Programs that wait or run.
    pending: Arc<AtomicUsize>,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.pending.load(Ordering::Relaxed) == 0
    }
}

/// What waits for each instance and group, and the pipes.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    queues: HashMap<Subject, Queue>,
    runners: JoinSet<()>,
    fifos: Fifos,
    /// What root runs is looked at before.
    guarded: bool,
    /// Whether there is no more time.
    hurry: watch::Sender<bool>,
}

impl Notifier {
    /// Opens the pipes of `setup`, and closes those that are no longer in it.
    pub(super) fn configure(&mut self, setup: &Setup) {
        self.guarded = setup.script_security;
        self.fifos.guard(self.guarded);
        self.fifos.configure(&setup.fifos);
        // Those whose instance is gone have ended.
        while self.runners.try_join_next().is_some() {}
        self.queues.retain(|subject, queue| !queue.is_idle() || of(setup, subject).is_some());
    }

    /// Tells of `notice`. Never waits.
    pub(super) fn tell(&mut self, notice: &Notice, notify: &Notify) {
        for command in told::programs(notice, notify) {
            let subject = &notice.of;
            let queue = self.queues.entry(subject.clone()).or_insert_with(|| {
                let (commands, waiting) = mpsc::channel(WAITING);
                let pending = Arc::default();
                let hurry = self.hurry.subscribe();
                self.runners.spawn(run(name_of(subject).to_owned(), waiting, Arc::clone(&pending), hurry));
                Queue { commands, pending }
            });
            queue.pending.fetch_add(1, Ordering::Relaxed);
            if let Err(e) = queue.commands.try_send((command, self.guarded)) {
                queue.pending.fetch_sub(1, Ordering::Relaxed);
                let argv = e.into_inner().0.argv.join(" ");
                tracing::error!("{}: {WAITING} notify programs wait already: {argv} is not run", name_of(subject));
            }
        }
        self.fifos.write(&told::line(notice, notify));
    }

    /// Whether all that was told has been heard.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.values().all(Queue::is_idle)
    }

    /// Waits until everybody was told, or until `deadline`: what runs then is killed, and what still waits has a
    /// second each, so that the end is told however long something else takes.
    pub(super) async fn finish(mut self, deadline: tokio::time::Instant) {
        self.end_programs(deadline).await;
        self.fifos.finish(deadline).await;
    }

    /// The same, for another notifier that goes on with the pipes.
    pub(super) async fn hand_over(mut self, deadline: tokio::time::Instant) -> Vec<Pipe> {
        self.end_programs(deadline).await;
        self.fifos.hand_over(deadline).await
    }

    /// Goes on with the pipes of another one.
    pub(super) fn take(&mut self, pipes: Vec<Pipe>) {
        self.fifos.take(pipes);
    }

    async fn end_programs(&mut self, deadline: tokio::time::Instant) {
        self.queues.clear();
        if timeout_at(deadline, all(&mut self.runners)).await.is_err() {
            let _ = self.hurry.send(true);
            if timeout(LAST_OF_ALL, all(&mut self.runners)).await.is_err() {
                tracing::warn!("notify programs took too long to end: some were not run");
            }
        }
    }
}

/// Waits for all of them.
async fn all(runners: &mut JoinSet<()>) {
    while runners.join_next().await.is_some() {}
}

fn name_of(subject: &Subject) -> &str {
    match subject {
        Subject::Instance(name) | Subject::Group(name) => name,
    }
}

/// Who is told of `subject`.
pub(super) fn of<'a>(setup: &'a Setup, subject: &Subject) -> Option<&'a Notify> {
    match subject {
        Subject::Instance(name) => setup.instances.iter().find(|i| i.name == *name).map(|i| &i.notify),
        Subject::Group(name) => setup.groups.iter().find(|g| g.name == *name).map(|g| &g.notify),
    }
}

/// Runs what is told of one instance.
async fn run(
    name: String,
    mut waiting: mpsc::Receiver<(Command, bool)>,
    pending: Arc<AtomicUsize>,
    mut hurry: watch::Receiver<bool>,
) {
    while let Some((command, guarded)) = waiting.recv().await {
        let argv = command.argv.join(" ");
        let hurried = *hurry.borrow();
        let (limit, grace) = if hurried { (LAST, Duration::ZERO) } else { (LIMIT, GRACE) };
        let program = program(command, guarded, limit, grace);
        let failed = tokio::select! {
            ended = process::run(&program) => ended.err().map(|e| e.to_string()),
            Ok(_) = hurry.wait_for(|hurry| *hurry), if !hurried => Some("there is no more time: it was killed".to_owned()),
        };
        if let Some(why) = failed {
            tracing::warn!("{name}: notify program {argv}: {why}");
        }
        pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A command of the operator's, ready to be run.
pub(super) fn program(command: Command, guarded: bool, limit: Duration, grace: Duration) -> Program {
    // Whoever runs as that user already need not be allowed to become it.
    let own = rustix::process::geteuid().as_raw();
    let user = command.user.map(|user| (user.uid, user.gid)).filter(|(uid, _)| own == 0 || *uid != own);
    Program {
        argv: command.argv.into_iter().map(Into::into).collect(),
        limit,
        grace,
        user,
        guarded,
        ..Program::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::message::Happening;

    fn shell(script: &str) -> Option<Command> {
        Some(Command { argv: ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec(), user: None })
    }

    fn notice(instance: &str, what: Happening) -> Notice {
        Notice { of: Subject::Instance(instance.to_owned()), what, priority: 100 }
    }

    #[tokio::test]
    async fn one_instance_is_told_in_order_however_long_it_takes_and_another_does_not_wait() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (log, go) = (dir.path().join("log"), dir.path().join("go"));
        let (log, go) = (log.display(), go.display());
        let slow = Notify {
            master: shell(&format!("until [ -e {go} ]; do sleep 0.01; done; echo slow master >> {log}")),
            backup: shell(&format!("echo slow backup >> {log}")),
            any: shell(&format!("echo any $* >> {log}")),
            ..Notify::default()
        };
        let quick = Notify { master: shell(&format!("echo quick >> {log}; touch {go}")), ..Notify::default() };
        let mut notifier = Notifier::default();
        notifier.tell(&notice("slow", Happening::Master), &slow);
        notifier.tell(&notice("slow", Happening::Backup), &slow);
        assert!(!notifier.is_idle());
        notifier.tell(&notice("quick", Happening::Master), &quick);
        notifier.finish(tokio::time::Instant::now() + LIMIT).await;
        let told = std::fs::read_to_string(dir.path().join("log")).expect("log");
        insta::assert_snapshot!(told, @r"
        quick
        slow master
        any INSTANCE slow MASTER 100
        slow backup
        any INSTANCE slow BACKUP 100
        ");
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_does_not_hold_up_the_next() {
        let dir = tempfile::tempdir().expect("tempdir");
        let log = dir.path().join("log");
        let absent = Some(Command { argv: vec!["/nonexistent".to_owned()], user: None });
        let notify = Notify { stop: absent, any: shell(&format!("echo $* > {}", log.display())), ..Notify::default() };
        let mut notifier = Notifier::default();
        notifier.tell(&notice("VI_1", Happening::Stop), &notify);
        notifier.finish(tokio::time::Instant::now() + LIMIT).await;
        assert_eq!(std::fs::read_to_string(log).expect("log"), "INSTANCE VI_1 STOP 100\n");
    }

    #[tokio::test]
    async fn nothing_stays_of_instances_that_reloads_took_away() {
        let mut notifier = Notifier::default();
        let notify = Notify { any: shell("true"), ..Notify::default() };
        for n in 0..20 {
            notifier.tell(&notice(&format!("VI_{n}"), Happening::Deleted), &notify);
        }
        while !(notifier.queues.is_empty() && notifier.runners.is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            notifier.configure(&Setup::default());
        }
    }

    #[tokio::test]
    async fn who_is_not_done_at_the_end_is_killed_and_the_end_is_told_all_the_same() {
        let dir = tempfile::tempdir().expect("tempdir");
        let log = dir.path().join("log");
        let mut notifier = Notifier::default();
        let stop = shell(&format!("echo stop > {}", log.display()));
        let notify = Notify { master: shell("sleep 1000"), stop, ..Notify::default() };
        notifier.tell(&notice("VI_1", Happening::Master), &notify);
        notifier.tell(&notice("VI_1", Happening::Stop), &notify);
        notifier.finish(tokio::time::Instant::now()).await;
        assert_eq!(std::fs::read_to_string(log).expect("the end was told"), "stop\n");
    }
}
