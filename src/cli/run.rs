//! Runs a node in the foreground: configuration, instance, engine, signals.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use syncd_compat::{Finding, Severity};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::pid_file::PidFile;
use super::start::{Ground, NodeArgs, Start};
use super::{Fault, daemon, demo};
use crate::config::{self, ConfigError, Loaded};
use crate::control::{Responder, Response, Server, answers};
use crate::engine::{self, Node};
use crate::observe::{Console, log_in_detail};
use crate::store::instance::{self, Instance, PATIENCE, Role};

/// How many calls of the control socket wait for their answer.
const CALLS: usize = 64;

/// Runs what the command line asks for until it is told to end.
///
/// # Errors
/// [`Fault`]: the node's own fault; nothing on any tree has changed then.
pub fn start(start: Start, console: &Console) -> Result<(), Fault> {
    let (args, role) = match start {
        Start::Demo => return demo::run(),
        Start::Source(args) => (args, Role::Source),
        Start::Peer(args) => (args, Role::Peer),
    };
    let loaded = load(&args, role)?;
    let instance = claim(&args, role)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::local)?;
    let ended = runtime.block_on(run(&args, role, loaded, &instance, console));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn load(args: &NodeArgs, role: Role) -> Result<Loaded, Fault> {
    let mut loaded = match role {
        Role::Peer => config::load_peer(&args.config, &args.settings)?,
        Role::Source => match &args.plugin {
            Some(name) => config::load_plugin(&args.config, &args.settings, name)?,
            None => config::load_source(&args.config, &args.settings)?,
        },
    };
    let trusting = args.trust_first_use || loaded.config.trust_first_use;
    // What is told of such a module is what was asked for.
    let news = |finding: &&Finding| !(trusting && finding.code == config::NO_PASSWORD);
    let local = loaded.check_local();
    for finding in loaded.findings.iter().filter(news).chain(local.iter().flatten()) {
        match finding.severity {
            Severity::Note => tracing::info!("{}", finding.summary()),
            _ => tracing::warn!("{}", finding.summary()),
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
fn claim(args: &NodeArgs, role: Role) -> Result<Instance, Fault> {
    let dir = match (&args.state_dir, &args.plugin) {
        (Some(dir), _) => dir.clone(),
        (None, None) => instance::dir_of(&instance::state_dir()?, role, &args.config),
        // A plugin alone runs beside the mirror of the same file.
        (None, Some(name)) => {
            let mut beside = instance::dir_of(&instance::state_dir()?, role, &args.config).into_os_string();
            beside.push(format!("-{}", name.replace('/', "-")));
            beside.into()
        }
    };
    Ok(Instance::claim(&dir, PATIENCE)?)
}

async fn run(args: &NodeArgs, role: Role, loaded: Loaded, instance: &Instance, console: &Console) -> Result<(), Fault> {
    let mut signals = Signals::new()?;
    let server = Server::bind(instance.dir())
        .map_err(|e| Fault::Local(format!("cannot make the control socket in {}: {e}", instance.dir().display())))?;
    let mut in_force = loaded.config;
    let starting = engine::start(in_force.clone(), instance.dir());
    let mut node = tokio::select! {
        node = starting => node?,
        () = signals.end() => return Ok(()),
    };
    let _pid_file = in_force.node.pid_file.as_deref().map(PidFile::write).transpose()?;
    let _display = console.show(&node.monitor).map_err(Fault::local)?;
    let (calls_tx, calls) = mpsc::channel(CALLS);
    tokio::spawn(server.run(calls_tx));
    let (reload_tx, mut reloads) = mpsc::channel(1);
    let shared = Arc::new(std::sync::Mutex::new(node.clone()));
    let log = (args.ground == Ground::Detached).then(|| daemon::log_of(instance.dir()));
    tokio::spawn(answers::run(shared.clone(), calls, reload_tx, log));
    ready(args, instance, console)?;
    loop {
        let reply: Option<Responder> = tokio::select! {
            told = signals.told() => match told {
                Told::End => break,
                Told::Reload => None,
            },
            Some(reply) = reloads.recv() => Some(reply),
        };
        let told = match load(args, role) {
            Ok(loaded) => {
                let _ = sd_notify::notify(&[NotifyState::Reloading]);
                let told = match node.restart(loaded.config.clone(), instance.dir()).await {
                    Ok(started) => {
                        (node, in_force) = (started, loaded.config);
                        Response::Done { message: format!("{} is in force", args.config.display()) }
                    }
                    // A port that another program has is no reason to serve nobody.
                    Err(e) => {
                        node = node.restart(in_force.clone(), instance.dir()).await?;
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
    stop(&node, &mut signals).await;
    Ok(())
}

/// Ends the node; a second signal ends the waiting.
async fn stop(node: &Node, signals: &mut Signals) {
    tokio::select! {
        () = node.stop() => {}
        () = signals.end() => tracing::warn!("told twice: ending at once; what is pending is compared at the next start"),
    }
}

fn log_reload(told: &Response) {
    match told {
        Response::Done { message } => tracing::info!("reload: {message}"),
        Response::Failed { message } => tracing::error!("reload: {message}"),
        _ => {}
    }
}

/// Tells whoever started it that it watches or listens.
fn ready(args: &NodeArgs, instance: &Instance, console: &Console) -> Result<(), Fault> {
    if args.ground == Ground::Detached {
        daemon::let_go(console, instance.dir())?;
    } else {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready")?;
        out.flush()?;
    }
    // Not started by systemd: nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    Ok(())
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

    /// SIGTERM or SIGINT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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
