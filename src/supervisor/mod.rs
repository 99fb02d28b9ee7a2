//! Starts the processes of a node that runs VRRP, watches them, and does for them what needs rights, files or time.
//!
//! | question | file |
//! |---|---|
//! | what happens, in which order? | `desk`, with `event`s |
//! | how is a process started, spoken to, started again? | `worker`, `process`, `crashes` |
//! | what is the VRRP process told, and what becomes of what it says? | `vrrp`, `lives`, `reports` |
//! | what do supervisor and engine tell each other? | [`engine`] |
//! | what is looked at for it? | `scripts`, `files`, `processes` with `enough` |
//! | who is told of transitions, and in which words? | `notify`, `told`, `fifo` |
//! | what does the packet filter keep in? | `filter` |
//! | what is answered on the control socket? | `answers` |
//! | how is the program replaced while it runs? | `upgrade`, `takeover` |

mod answers;
mod crashes;
mod descriptor;
mod desk;
pub mod engine;
mod enough;
mod event;
mod fifo;
mod files;
mod filter;
mod lives;
mod notify;
mod process;
mod processes;
mod reports;
mod scripts;
mod signals;
mod takeover;
#[cfg(test)]
mod tests;
mod told;
mod upgrade;
mod vrrp;
mod worker;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use takeover::Taken;
pub use worker::Program;

use crate::observe::Console;
use crate::process::signals as waiting;
use crate::store::instance::Instance;
use crate::vrrp::setup::Setup;

/// What a supervisor is to do.
pub struct Plan {
    /// The directory, locked.
    pub instance: Instance,
    /// Where the VRRP configuration stands, for people.
    pub config: PathBuf,
    /// What the VRRP process is to do.
    pub setup: Setup,
    /// Reads that again, and logs what is to be said of it. The error is for people.
    pub read: Box<dyn Fn() -> Result<Setup, String>>,
    /// The VRRP process.
    pub vrrp: Program,
    /// The replication engine, where there is one.
    pub engine: Option<Program>,
    /// Called once when all of them are ready, with the file that wants the number of this process.
    pub ready: Ready,
    /// What this process logs to.
    pub console: Console,
    /// That is a file, of a daemon.
    pub log: Option<PathBuf>,
    /// What the program that this one replaces left.
    pub taken: Option<Taken>,
}

/// Called once when everything is ready.
pub type Ready = Box<dyn FnMut(Option<&Path>) -> Result<(), Failure>>;

/// Why a supervisor ended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// Cause and what to do; may be empty where it was said already.
    pub message: String,
}

impl Failure {
    /// The exit code of a wrong configuration.
    pub const CONFIGURATION: u8 = 2;
    /// The exit code where it cannot be run here.
    pub const HOST: u8 = 3;

    /// It cannot be run here, because of `cause`.
    #[must_use]
    pub fn host(cause: impl fmt::Display) -> Self {
        Self { code: Self::HOST, message: cause.to_string() }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("config", &self.config).field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Runs until it is told to end.
///
/// # Errors
/// [`Failure`]: it could not be started, and nothing is left behind.
pub fn run(plan: Plan) -> Result<(), Failure> {
    // From here on signals come to this thread alone. The program before this one may have had them wait already.
    waiting::hold();
    plan.console.never_wait().map_err(Failure::host)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(waiting::hold)
        .build()
        .map_err(Failure::host)?;
    let ended = runtime.block_on(async {
        let signals = signals::listen().map_err(Failure::host)?;
        waiting::release();
        desk::run(plan, signals).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}
