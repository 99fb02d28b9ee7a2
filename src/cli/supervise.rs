//! Runs a node with VRRP: this process becomes the supervisor of the others.

use std::ffi::OsString;
use std::path::Path;

use super::pid_file::PidFile;
use super::start::{Ground, NodeArgs};
use super::{Fault, daemon, run, worker};
use crate::config::vrrp::{self, Host};
use crate::config::{Finding, Severity};
use crate::observe::Console;
use crate::store::instance::{Instance, Role};
use crate::supervisor::{self, Failure, Plan, Program, Taken};
use crate::vrrp::setup::Setup;

/// The program that runs, whatever its file is now.
const SELF: &str = "/proc/self/exe";

/// Runs the supervisor until it is told to end.
pub(super) fn start(args: &NodeArgs, role: Role, console: &Console) -> Result<(), Fault> {
    let config = args.vrrp.clone().unwrap_or_else(|| args.config.clone());
    let taken = Taken::find().map_err(|e| Fault::Local(format!("cannot go on where another syncd was: {e}")))?;
    let (setup, instance) = match &taken {
        Some(taken) => {
            (go_on(&config, taken), Instance::of_lock(&run::dir_of(args, role)?, taken.lock().map_err(Fault::local)?))
        }
        None => (first(&config)?, run::claim(args, role)?),
    };
    let log = (args.ground == Ground::Detached).then(|| daemon::log_of(instance.dir()));
    let dir = instance.dir().to_owned();
    let (ground, own) = (args.ground, console.clone());
    let mut kept = Vec::new();
    let ready = move |wanted: Option<&Path>| {
        // As long as the supervisor lives.
        kept.extend(wanted.map(PidFile::write).transpose().map_err(failure)?.flatten());
        run::ready_at_once(ground, &dir, &own).map_err(failure)
    };
    let file = config.clone();
    let plan = Plan {
        instance,
        config,
        setup,
        read: Box::new(move || again(&file)),
        vrrp: program("vrrp", [worker::VRRP.into()]),
        engine: (role != Role::Vrrp).then(engine),
        ready: Box::new(ready),
        console: console.clone(),
        log,
        taken,
    };
    supervisor::run(plan).map_err(fault)
}

/// The replication has the command line that the operator wrote.
fn engine() -> Program {
    program("engine", std::iter::once(worker::ENGINE.into()).chain(std::env::args_os()))
}

fn program(short: &'static str, words: impl IntoIterator<Item = OsString>) -> Program {
    let words = std::iter::once(worker::WORD.into()).chain(words).collect();
    Program { path: SELF.into(), short, words }
}

/// What is to be done from the start. What is wrong with one instance is said, and the others run.
fn first(file: &Path) -> Result<Setup, Fault> {
    let (setup, findings) = vrrp::load(file, &Host::this())?;
    findings.iter().for_each(tell);
    Ok(setup)
}

/// What is to be done where another program was: what that did, where the file is no longer right.
fn go_on(file: &Path, taken: &Taken) -> Setup {
    again(file).unwrap_or_else(|e| {
        tracing::error!("{e}; what was in force before goes on");
        taken.setup().clone()
    })
}

/// What is to be done from now on: one fault, and all stays as it is.
fn again(file: &Path) -> Result<Setup, String> {
    let (setup, findings) = vrrp::load(file, &Host::this()).map_err(|e| e.to_string())?;
    let (errors, rest): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.severity == Severity::Error);
    if errors.is_empty() {
        rest.into_iter().for_each(tell);
        return Ok(setup);
    }
    Err(errors.iter().map(|finding| finding.summary()).collect::<Vec<_>>().join("; "))
}

fn tell(finding: &Finding) {
    match finding.severity {
        Severity::Note => tracing::info!("{}", finding.summary()),
        Severity::Warning => tracing::warn!("{}", finding.summary()),
        Severity::Error => tracing::error!("{}; this does not run, the rest does", finding.summary()),
    }
}

fn failure(fault: Fault) -> Failure {
    Failure { code: fault.code(), message: fault.to_string() }
}

fn fault(failure: Failure) -> Fault {
    match failure.code {
        Failure::CONFIGURATION => Fault::Usage(failure.message),
        _ => Fault::Local(failure.message),
    }
}
