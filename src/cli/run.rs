//! Runs the replication of a node: configuration, instance, engine, signals. Where it runs VRRP too, a supervisor
//! runs this in a process of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;
use syncd_compat::{Finding, Severity};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::pid_file::PidFile;
use super::start::{Ground, NodeArgs, Start};
use super::{Fault, daemon, demo, supervise};
use crate::config::{self, ConfigError, Loaded};
use crate::control::{Responder, Response, Server, answers};
use crate::engine;
use crate::observe::{Console, log_in_detail};
use crate::process::signals;
use crate::store::instance::{self, Instance, PATIENCE, Role};
use crate::supervisor::Taken;
use crate::supervisor::engine::{EngineEnd, FromEngine};

/// How many calls of the control socket wait for their answer.
const CALLS: usize = 64;

/// How long tasks may take that nobody waits for any more.
pub(super) const LAST_TASKS: Duration = Duration::from_secs(1);

/// Runs what the command line asks for until it is told to end.
///
/// # Errors
/// [`Fault`]: the node's own fault; nothing on any tree has changed then.
pub fn start(start: Start, console: &Console) -> Result<(), Fault> {
    let (args, role) = match start {
        Start::Demo => return demo::run(),
        Start::Vrrp(args) => return supervise::start(&args, Role::Vrrp, console),
        Start::Source(args) => (args, Role::Source),
        Start::Peer(args) => (args, Role::Peer),
    };
    // Where another supervisor was, one goes on, whatever the file says by now.
    if args.vrrp.is_some() || Taken::is_there() {
        return supervise::start(&args, role, console);
    }
    let loaded = read(&args, role)?;
    if loaded.config.vrrp.is_some() {
        return supervise::start(&args, role, console);
    }
    let loaded = checked(loaded, &args)?;
    let instance = claim(&args, role)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let server = Server::bind(instance.dir()).map_err(|e| no_socket(instance.dir(), &e))?;
        let host = Host::Operator { signals: Signals::new()?, pid_file: None };
        run(Node { args: &args, role, dir: instance.dir(), console }, loaded, server, host).await
    });
    runtime.shutdown_timeout(LAST_TASKS);
    ended
}

/// The same as one process of several, for the supervisor that has the instance's lock and the signals.
pub(super) async fn supervised(start: Start, supervisor: &mut EngineEnd, console: &Console) -> Result<(), Fault> {
    let (args, role) = match start {
        Start::Source(args) => (args, Role::Source),
        Start::Peer(args) => (args, Role::Peer),
        Start::Demo | Start::Vrrp(_) => return Err(Fault::Usage("this is no replication".to_owned())),
    };
    let loaded = load(&args, role)?;
    if let (Some(file), true) = (&args.vrrp, loaded.config.vrrp.is_some()) {
        let (own, file) = (args.config.display(), file.display());
        tracing::warn!("the `[[vrrp]]` of {own} does nothing: --vrrp names {file}, which counts");
    }
    let dir = dir_of(&args, role)?;
    let server = Server::bind_engine(&dir).map_err(|e| no_socket(&dir, &e))?;
    run(Node { args: &args, role, dir: &dir, console }, loaded, server, Host::Supervisor(supervisor)).await
}

pub(super) fn runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::local)
}

fn no_socket(dir: &Path, cause: &std::io::Error) -> Fault {
    Fault::Local(format!("cannot make the control socket in {}: {cause}", dir.display()))
}

fn load(args: &NodeArgs, role: Role) -> Result<Loaded, Fault> {
    checked(read(args, role)?, args)
}

fn read(args: &NodeArgs, role: Role) -> Result<Loaded, Fault> {
    Ok(match role {
        Role::Peer => config::load_peer(&args.config, &args.settings)?,
        Role::Source | Role::Vrrp => match &args.plugin {
            Some(name) => config::load_plugin(&args.config, &args.settings, name)?,
            None => config::load_source(&args.config, &args.settings)?,
        },
    })
}

/// `loaded`, with everything said that is to be said of it, and what the command line adds.
fn checked(mut loaded: Loaded, args: &NodeArgs) -> Result<Loaded, Fault> {
    let trusting = args.trust_first_use || loaded.config.trust_first_use;
    // What is told of such a module is what was asked for.
    let news = |finding: &&Finding| !(trusting && finding.code == config::NO_PASSWORD);
    let local = loaded.settle();
    for finding in loaded.findings.iter().filter(news).chain(local.iter().flatten()) {
        match finding.severity {
            Severity::Note => tracing::info!("{}", finding.summary()),
            Severity::Error => tracing::error!("{}", finding.summary()),
            Severity::Warning => tracing::warn!("{}", finding.summary()),
        }
    }
    local?;
    log_in_detail(loaded.config.node.debug);
    loaded.config.trust_first_use |= args.trust_first_use;
    if let Some(threads) = args.threads.filter(|n| *n > 0) {
        loaded.config.tuning.threads = threads.into();
    }
    Ok(loaded)
}

/// The instance's directory, locked. It also keeps the node's key.
pub(super) fn claim(args: &NodeArgs, role: Role) -> Result<Instance, Fault> {
    Ok(Instance::claim(&dir_of(args, role)?, PATIENCE)?)
}

/// The instance's directory.
pub(super) fn dir_of(args: &NodeArgs, role: Role) -> Result<PathBuf, Fault> {
    Ok(match (&args.state_dir, &args.plugin) {
        (Some(dir), _) => dir.clone(),
        (None, None) => instance::dir_of(&instance::state_dir()?, role, &args.config),
        // A plugin alone runs beside the mirror of the same file.
        (None, Some(name)) => {
            let mut beside = instance::dir_of(&instance::state_dir()?, role, &args.config).into_os_string();
            beside.push(format!("-{}", name.replace('/', "-")));
            beside.into()
        }
    })
}

/// What is run.
struct Node<'a> {
    args: &'a NodeArgs,
    role: Role,
    dir: &'a Path,
    console: &'a Console,
}

async fn run(what: Node<'_>, loaded: Loaded, server: Server, mut host: Host<'_>) -> Result<(), Fault> {
    let Node { args, role, dir, console } = what;
    let mut in_force = loaded.config;
    let starting = engine::start(in_force.clone(), dir);
    let mut node = tokio::select! {
        node = starting => node?,
        () = host.end() => return Ok(()),
    };
    let _display = console.show(&node.monitor).map_err(Fault::local)?;
    let (calls_tx, calls) = mpsc::channel(CALLS);
    tokio::spawn(server.run(calls_tx));
    let (reload_tx, mut reloads) = mpsc::channel(1);
    let shared = Arc::new(std::sync::Mutex::new(node.clone()));
    let log = (args.ground == Ground::Detached).then(|| daemon::log_of(dir));
    tokio::spawn(answers::run(shared.clone(), calls, reload_tx, log));
    host.ready(&what, in_force.node.pid_file.as_deref()).await?;
    loop {
        let reply: Option<Responder> = tokio::select! {
            told = host.told() => match told {
                Told::End => break,
                Told::Reload => None,
            },
            Some(reply) = reloads.recv() => Some(reply),
        };
        let told = match load(args, role) {
            Ok(loaded) => {
                if loaded.config.vrrp.is_some() && matches!(host, Host::Operator { .. }) {
                    tracing::warn!("{}: `[[vrrp]]` takes effect when syncd is started again", args.config.display());
                }
                let _ = sd_notify::notify(&[NotifyState::Reloading]);
                let told = match node.restart(loaded.config.clone(), dir).await {
                    Ok(started) => {
                        (node, in_force) = (started, loaded.config);
                        Response::Done { message: format!("{} is in force", args.config.display()) }
                    }
                    // A port that another program has is no reason to serve nobody.
                    Err(e) => {
                        node = node.restart(in_force.clone(), dir).await?;
                        Response::Failed { message: format!("{e}; what was in force before goes on") }
                    }
                };
                answers::replace(&shared, node.clone());
                let _ = sd_notify::notify(&[NotifyState::Ready]);
                told
            }
            Err(fault) => Response::Failed { message: format!("{fault}; what was in force before goes on") },
        };
        log_reload(&told);
        if let Some(reply) = reply {
            reply.finish(told);
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    stop(&node, &mut host).await;
    Ok(())
}

/// Ends the node; a second signal ends the waiting.
async fn stop(node: &engine::Node, host: &mut Host<'_>) {
    tokio::select! {
        () = node.stop() => {}
        () = host.end_again() => tracing::warn!("told twice: ending at once; what is pending is compared at the next start"),
    }
}

fn log_reload(told: &Response) {
    match told {
        Response::Done { message } => tracing::info!("reload: {message}"),
        Response::Failed { message } => tracing::error!("reload: {message}"),
        _ => {}
    }
}

/// For whom a node runs: who is told that it is ready, and who tells it to end.
enum Host<'a> {
    /// Whoever started it.
    Operator { signals: Signals, pid_file: Option<PidFile> },
    /// A supervisor, which has all signals and asks by the control socket for all but the end.
    Supervisor(&'a mut EngineEnd),
}

impl Host<'_> {
    async fn ready(&mut self, what: &Node<'_>, wanted: Option<&Path>) -> Result<(), Fault> {
        match self {
            Self::Operator { pid_file, .. } => {
                *pid_file = wanted.map(PidFile::write).transpose()?.flatten();
                ready(what.args.ground, what.dir, what.console)
            }
            Self::Supervisor(supervisor) => {
                supervisor.say(&FromEngine::Ready { pid_file: wanted.map(Path::to_owned) }).await;
                Ok(())
            }
        }
    }

    async fn told(&mut self) -> Told {
        match self {
            Self::Operator { signals, .. } => signals.told().await,
            Self::Supervisor(supervisor) => {
                supervisor.end().await;
                Told::End
            }
        }
    }

    async fn end(&mut self) {
        while !matches!(self.told().await, Told::End) {}
    }

    /// To be told to end while it ends. A supervisor says so once, and then kills.
    async fn end_again(&mut self) {
        match self {
            Self::Operator { .. } => self.end().await,
            Self::Supervisor(_) => std::future::pending().await,
        }
    }
}

/// Tells whoever started it that it works.
pub(super) fn ready(ground: Ground, dir: &Path, console: &Console) -> Result<(), Fault> {
    if ground == Ground::Detached {
        daemon::let_go(console, dir)?;
    } else {
        say_ready()?;
    }
    // Not started by systemd: nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    Ok(())
}

/// The same where virtual addresses depend on whoever tells it: that waits for no reader, and goes on where there is none.
pub(super) fn ready_at_once(ground: Ground, dir: &Path, console: &Console) -> Result<(), Fault> {
    if ground == Ground::Detached {
        return ready(ground, dir, console);
    }
    let say = || {
        // They are taken by another thread.
        signals::hold();
        drop(say_ready());
    };
    thread::Builder::new().name("ready".to_owned()).spawn(say).map_err(Fault::local)?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    Ok(())
}

fn say_ready() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()
}

/// What a signal asks for.
enum Told {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
}

/// The signals that a node obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fault> {
        let listen = |kind| signal(kind).map_err(Fault::local);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }

    /// Any of them.
    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.reload.recv() => Told::Reload,
        }
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<engine::StartError> for Fault {
    fn from(error: engine::StartError) -> Self {
        Self::Local(error.to_string())
    }
}
