//! What the command line of syncd will know and this version does not: refused by name, exit 2.

use std::ffi::OsString;

use clap::Subcommand;

use super::Fault;

/// Commands of later releases.
#[derive(Clone, Debug, Subcommand)]
pub enum UnsupportedCommand {
    /// Move the virtual addresses.
    #[command(hide = true)]
    Failover(Rest),
    /// Hold a set back.
    #[command(hide = true)]
    Hold(Rest),
    /// Let a held set go on.
    #[command(hide = true)]
    Release(Rest),
    /// Begin a pairing.
    #[command(hide = true)]
    Init(Rest),
    /// Join a pairing.
    #[command(hide = true)]
    Join(Rest),
    /// Generations.
    #[command(hide = true)]
    History(Rest),
    /// Between generations.
    #[command(hide = true)]
    Diff(Rest),
    /// To an older generation.
    #[command(hide = true)]
    Rollback(Rest),
    /// What was written on the losing side.
    #[command(hide = true)]
    Conflicts(Rest),
}

/// Whatever follows.
#[derive(clap::Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub struct Rest {
    /// Whatever follows.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

const FOLLOW: &str = "who is master of the virtual addresses does not yet decide who is primary; name a primary, and move \
                      the addresses by `--vrrp` or `syncd vrrp`";
const PAIRING: &str = "nodes are paired by the password files of the legacy configuration, or by --trust-first-use";
const GENERATIONS: &str = "older generations are not kept; a replica holds the newest one only";

/// The refusal of a command.
pub(super) fn command(command: &UnsupportedCommand) -> Fault {
    use UnsupportedCommand as U;
    let (name, reason) = match command {
        U::Failover(_) => ("failover", "stop the master, or lower its priority: the other takes over"),
        U::Hold(_) => ("hold", "stop the syncd of the set to hold it back; the retry log keeps what changes"),
        U::Release(_) => ("release", "there is no hold yet; `syncd resume SET` releases a set that was halted"),
        U::Init(_) => ("init", PAIRING),
        U::Join(_) => ("join", PAIRING),
        U::History(_) => ("history", GENERATIONS),
        U::Diff(_) => ("diff", GENERATIONS),
        U::Rollback(_) => ("rollback", GENERATIONS),
        U::Conflicts(_) => ("conflicts", "a set has one primary, so that there are none yet"),
    };
    refusal(&format!("syncd {name}"), reason)
}

/// The refusal of `--follow`.
pub(super) fn follow() -> Fault {
    refusal("--follow", FOLLOW)
}

/// The refusal of `what`; nothing was started.
fn refusal(what: &str, reason: &str) -> Fault {
    Fault::Usage(format!("{what} is not supported yet: {reason}. Nothing was started"))
}
