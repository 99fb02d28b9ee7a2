//! What a supervisor starts: this program again, as one of its processes.

use std::ffi::{CStr, OsString};
use std::process::ExitCode;

use super::{Command, Fault, Start, run, sersync, start};
use crate::engine;
use crate::observe::{Console, init_log};
use crate::process::signals;
use crate::supervisor::engine::{EngineEnd, FromEngine, pass_over_signals};

/// The word that such a command line begins with; nobody else writes it.
pub(super) const WORD: &str = "worker";

/// The words behind it.
pub(super) const VRRP: &str = "vrrp";
pub(super) const ENGINE: &str = "engine";

/// Whether `argv` is that of such a process.
pub(super) fn is_meant(argv: &[OsString]) -> bool {
    argv.get(1).is_some_and(|word| word == WORD)
}

/// Is the process that `argv` says, until the supervisor is gone or wants it no more.
pub(super) fn main(argv: &[OsString]) -> ExitCode {
    let ended = match argv.get(2) {
        Some(word) if word == VRRP => vrrp(),
        Some(word) if word == ENGINE => replication(argv.get(3..).unwrap_or_default()),
        _ => Err(by_hand()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.report(Console::stderr()),
    }
}

fn vrrp() -> Result<(), Fault> {
    name(c"syncd-vrrp");
    signals::hold_operators();
    let channel = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(|_| by_hand())?;
    rustix::net::getpeername(&channel).map_err(|_| by_hand())?;
    engine::vrrp::run(channel).map_err(|e| Fault::Local(format!("VRRP: {e}")))
}

/// The replication, as `argv` would have it without VRRP. Why it cannot be is the supervisor's to say.
fn replication(argv: &[OsString]) -> Result<(), Fault> {
    name(c"syncd-engine");
    let console = Console::stderr();
    init_log(&console);
    crate::process::be_first_to_go();
    let runtime = run::runtime()?;
    let ended = runtime.block_on(async {
        pass_over_signals().map_err(Fault::local)?;
        let mut supervisor = EngineEnd::of_stdin().map_err(|_| by_hand())?;
        let ended = match started_by(argv) {
            Ok(start) => run::supervised(start, &mut supervisor, &console).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = ended {
            supervisor.say(&FromEngine::Refused { code: fault.code(), message: fault.to_string() }).await;
            return Err(Fault::Ended(fault.code()));
        }
        Ok(())
    });
    runtime.shutdown_timeout(run::LAST_TASKS);
    ended
}

/// What the command line that the operator wrote starts.
fn started_by(argv: &[OsString]) -> Result<Start, Fault> {
    let args = super::parse(argv).map_err(|e| Fault::Usage(e.to_string()))?;
    match args.command {
        None => start::source(args.source, args.state_dir, sersync::called(argv)),
        Some(Command::Peer(peer)) => start::peer(peer, args.state_dir.as_deref()),
        Some(_) => Err(by_hand()),
    }
}

fn by_hand() -> Fault {
    Fault::Usage("`syncd worker` is what syncd starts by itself, and nothing to be called by hand".to_owned())
}

/// What ps(1) and pidof(8) know it by: `killall syncd` is meant for the supervisor, which ends all of them in order.
fn name(name: &CStr) {
    let _ = rustix::thread::set_name(name);
}
