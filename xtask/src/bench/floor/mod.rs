//! The floor: the least that a mirror must do. inotify, read, one TCP connection, temp, (fsync,) rename.
//!
//! No encryption, no hash, no recovery, no retry: what a real mirror takes beyond this, it takes for those.

mod message;
mod receive;
mod send;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct FloorArgs {
    #[command(subcommand)]
    side: Side,
}

#[derive(clap::Subcommand)]
enum Side {
    /// Mirror what comes into a directory
    Receive {
        #[arg(long)]
        root: PathBuf,
        #[arg(long)]
        listen: SocketAddr,
        /// fsync each file before it takes its name
        #[arg(long)]
        fsync: bool,
    },
    /// Compare, then mirror changes to every address
    Send {
        #[arg(long)]
        root: PathBuf,
        #[arg(long, required = true)]
        to: Vec<SocketAddr>,
    },
}

pub(crate) fn run_floor(args: &FloorArgs) -> Result<()> {
    match &args.side {
        Side::Receive { root, listen, fsync } => receive::serve(root, *listen, *fsync),
        Side::Send { root, to } => send::mirror(root, to),
    }
}
