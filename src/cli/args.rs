//! The grammar of the command line. It is fixed: scripts of other people call it.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use super::start::Ground;
use super::unsupported::{self, UnsupportedCommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked about is false: a difference, an unhealthy node, a warning
  2  the command line or a configuration is wrong
  3  it could not be run here: a directory, a port, no syncd running

The log goes to standard error; SYNCD_LOG chooses what (debug, syncd::watch=trace).";

/// Keeps directory trees of Linux hosts equal, in place of sersync2 and rsyncd.
///
/// Without a command it watches the trees that FILE names and mirrors them to its remotes.
#[derive(Debug, Parser)]
#[command(name = "syncd", version, after_help = EXIT_CODES, subcommand_value_name = "COMMAND")]
pub struct Args {
    /// What the primary side takes.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The directory of one instance: its lock, store and control socket
    /// [default: its own below /var/lib/syncd, or below the user's XDG state directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the primary side takes, sersync2's own flags among it.
#[derive(clap::Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct SourceArgs {
    /// The configuration: sersync's confxml.xml, or syncd.toml
    #[arg(long, short = 'o', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Compare in full first, as sersync2 does; syncd always does
    #[arg(short = 'r')]
    pub full_compare: bool,
    /// Threads for file work [default: one for each core]
    #[arg(short = 'n', value_name = "N")]
    pub threads: Option<String>,
    /// What both sides take.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Run this plugin alone, without a mirror: command, socket, refreshCDN
    #[arg(short = 'm', value_name = "PLUGIN")]
    pub plugin: Option<String>,
}

/// What `syncd peer` takes.
#[derive(clap::Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerArgs {
    /// The configuration: rsyncd.conf or syncd.toml
    /// [default: /etc/syncd/syncd.toml, else /etc/rsyncd.conf]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What both sides take.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What both sides take.
#[derive(clap::Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct CommonArgs {
    /// How it runs.
    #[command(flatten)]
    pub ground: GroundArgs,
    /// Pin the first key that comes for a set without a password, and refuse every other
    #[arg(long)]
    pub trust_first_use: bool,
    /// Say what a legacy file cannot, such as transport=auto; a wrong key is answered by all; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting, action = ArgAction::Append)]
    pub settings: Vec<String>,
    /// Move virtual addresses too, as this keepalived.conf says, in a process of its own
    #[arg(long, value_name = "KEEPALIVED_CONF")]
    pub vrrp: Option<PathBuf>,
    /// A VRRP instance whose MASTER is primary.
    #[arg(long, value_name = "INSTANCE", num_args = 0..=1, default_missing_value = "", hide = true)]
    pub follow: Option<String>,
}

/// Whether it stays in the foreground.
#[derive(clap::Args, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GroundArgs {
    /// Run as a daemon: return once it is ready, with its exit code when it is not
    #[arg(short = 'd')]
    pub daemon: bool,
    /// This is the daemon.
    #[arg(long, hide = true)]
    pub detached: bool,
}

impl GroundArgs {
    /// What they come to.
    pub(super) fn ground(self) -> Ground {
        match (self.detached, self.daemon) {
            (true, _) => Ground::Detached,
            (false, true) => Ground::Daemon,
            (false, false) => Ground::Foreground,
        }
    }
}

/// What `syncd vrrp` takes.
#[derive(clap::Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct VrrpArgs {
    /// The configuration: keepalived.conf, or syncd.toml with `[[vrrp]]`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Read it, say what is wrong with it on this machine, and start nothing;
    /// exit 1 on warnings, 2 on errors
    #[arg(long)]
    pub check: bool,
    /// How it runs.
    #[command(flatten)]
    pub ground: GroundArgs,
}

/// What to do instead of watching.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive: serve the modules of an rsyncd.conf
    Peer(PeerArgs),
    /// Send what is pending now instead of at the next attempt
    Replay {
        /// Show what is pending, for each peer with cause and age; works without a running syncd
        #[arg(long)]
        list: bool,
    },
    /// Show how the running ones stand; exit 1 when a target is out of reach or a set is halted
    Status {
        /// One JSON object on a line for each running syncd
        #[arg(long)]
        json: bool,
        /// Again every second
        #[arg(long)]
        watch: bool,
    },
    /// Compare both sides by content and metadata; exit 1 on a difference
    Verify {
        /// The set [default: all]
        set: Option<String>,
        /// One JSON object on a line for each difference, and one for the result
        #[arg(long)]
        json: bool,
    },
    /// Read configuration files and say what is wrong with each and with all of them together;
    /// exit 1 on warnings, 2 on errors
    Check {
        /// confxml.xml, rsyncd.conf, keepalived.conf or syncd.toml, of one node or of both
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON object on a line for each finding, and one for the result
        #[arg(long)]
        json: bool,
        /// Show every value that is in force too, and which are defaults
        #[arg(long)]
        explain: bool,
    },
    /// Move virtual addresses as a keepalived.conf says
    Vrrp(VrrpArgs),
    /// Make one syncd.toml of legacy files; what is not carried over is listed at its end, with the reason
    Convert {
        /// confxml.xml, rsyncd.conf, keepalived.conf of one node
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Where to write it; nothing that is there is replaced [default: standard output]
        #[arg(long, short = 'o', value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Have the running syncd read its configuration again
    Reload {
        /// Let the program that is on disk now go on in the running process, of one that runs VRRP: virtual addresses
        /// and timers stay as they are, the replication is started anew
        #[arg(long)]
        exec: bool,
    },
    /// Release a halted set without the deletions that it was halted for
    Resume {
        /// The set
        set: String,
    },
    /// Release a halted set with the deletions that it was halted for
    Approve {
        /// The set
        set: String,
    },
    /// Keys of this node and of those it trusts
    Certs {
        /// What to do with them
        #[command(subcommand)]
        command: CertsCommand,
    },
    /// Show a mirror at work on this machine: two nodes in a temporary directory, no root needed
    Demo,
    /// What later releases bring.
    #[command(flatten)]
    Unsupported(UnsupportedCommand),
}

/// `syncd certs`.
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Show the node's own key and the keys that are pinned
    List,
    /// Forget a pinned key, so that the next one that proves itself is pinned
    Forget {
        /// The set
        set: String,
        /// The user that proved it [default: none, for a key that was trusted on first use]
        #[arg(default_value = "", hide_default_value = true)]
        user: String,
    },
}

impl CommonArgs {
    /// Refuses what this version cannot do, rather than to do something else in silence.
    pub(super) fn check(&self) -> Result<(), super::Fault> {
        if self.follow.is_some() {
            return Err(unsupported::follow());
        }
        Ok(())
    }
}

/// The form alone; what the keys mean, the configuration knows.
fn setting(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("it has to be KEY=VALUE".to_owned()),
    }
}
