//! The command line: what is asked, who answers, and what the shell is told.
//!
//! `args` is the fixed grammar; each command has a file of its own; [`Fault`] is every way to fail.

mod args;
mod certs;
mod check;
mod convert;
mod daemon;
mod demo;
mod fault;
mod find;
mod pid_file;
mod render;
mod replay;
pub mod run;
mod sersync;
mod simple;
mod start;
mod status;
mod supervise;
mod unsupported;
mod upgrade;
mod verify;
mod worker;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

pub use args::{Args, CertsCommand, Command};
pub use fault::Fault;
pub use start::{Ground, NodeArgs, Start};

use crate::config::lint::Report;
use crate::observe::{Console, init_log};

/// What the commands need of the rest of the program.
#[derive(Clone, Copy, Debug)]
pub struct Wiring {
    /// Runs a node until it is told to end.
    pub start: fn(Start, &Console) -> Result<(), Fault>,
    /// Reads configuration files and starts nothing.
    pub check: fn(&[PathBuf]) -> Report,
    /// Reads a configuration of virtual addresses, as this machine would run it, and starts nothing.
    pub check_vrrp: fn(&Path) -> Report,
}

/// How long whoever reads standard error may take for what was said last.
const UNREAD: Duration = Duration::from_secs(1);

/// Does what the command line `argv` asks for, with `argv[0]`.
pub fn main(argv: impl IntoIterator<Item = OsString>, wiring: &Wiring) -> ExitCode {
    let argv: Vec<OsString> = argv.into_iter().collect();
    if worker::is_meant(&argv) {
        return worker::main(&argv);
    }
    let args = match parse(&argv) {
        Ok(args) => args,
        Err(e) => {
            // Nobody is left to hear of a failure to print.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let console = Console::stderr();
    // The demo tells its own story, unless somebody wants to see more.
    if !matches!(args.command, Some(Command::Demo)) || std::env::var_os("SYNCD_LOG").is_some() {
        init_log(&console);
    }
    let code = match dispatch(args, &argv, wiring, &console, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.report(console.clone()),
    };
    console.finish(UNREAD);
    code
}

/// Parses `argv`, `argv[0]` included.
///
/// # Errors
/// clap's, which also stands for `--help` and `--version`.
pub fn parse(argv: &[OsString]) -> Result<Args, clap::Error> {
    let mut command = Args::command();
    command.build();
    let mut matches = if sersync::called(argv) && !sersync::names_command(argv, &command) {
        let argv = sersync::without_words(argv, &command);
        command.try_get_matches_from(argv)?
    } else {
        command.try_get_matches_from(argv)?
    };
    Args::from_arg_matches_mut(&mut matches)
}

fn dispatch(
    args: Args,
    argv: &[OsString],
    wiring: &Wiring,
    console: &Console,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let begin = |start: Start, out: &mut dyn Write| match start.ground() {
        Ground::Daemon => daemon::start(argv, out),
        Ground::Foreground => (wiring.start)(start, console),
        Ground::Detached => {
            daemon::detach(argv);
            (wiring.start)(start, console)
        }
    };
    let dir: Option<PathBuf> = args.state_dir;
    let Some(command) = args.command else {
        return begin(start::source(args.source, dir, sersync::called(argv))?, out);
    };
    start::refuse_before_command(&args.source)?;
    let dir = dir.as_deref();
    match command {
        Command::Peer(peer) => begin(start::peer(peer, dir)?, out),
        Command::Demo => (wiring.start)(Start::Demo, console),
        Command::Approve { set } => simple::approve(dir, set, out),
        Command::Certs { command } => certs::run(dir, command, out),
        Command::Convert { files, output } => convert::run(&files, output.as_deref(), out),
        Command::Check { files, json, explain } => {
            check::run(&files, check::Shape { json, explain }, wiring.check, out)
        }
        Command::Reload { exec: false } => simple::reload(dir, out),
        Command::Reload { exec: true } => upgrade::run(dir, out),
        Command::Replay { list: true } => replay::list(dir, out),
        Command::Replay { list: false } => replay::now(dir, out),
        Command::Resume { set } => simple::resume(dir, set, out),
        Command::Status { json, watch } => status::run(dir, json, watch, out),
        Command::Verify { set, json } => verify::run(dir, set, json, console, out),
        Command::Vrrp(vrrp) if vrrp.check => {
            let check = |_: &[PathBuf]| (wiring.check_vrrp)(&vrrp.config);
            check::run(&[], check::Shape::default(), check, out)
        }
        Command::Vrrp(vrrp) => begin(start::vrrp(vrrp, dir), out),
        Command::Unsupported(command) => Err(unsupported::command(&command)),
    }
}

#[cfg(test)]
mod tests;
