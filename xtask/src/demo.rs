//! `cargo xtask demo`: the release build, shown at work.

use anyhow::Result;

use crate::cargo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `syncd demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = cargo::command()?;
    command.args(["run", "--release", "--quiet", "--package", "syncd", "--bin", "syncd", "--", "demo"]);
    cargo::succeed(command.args(&args.args))
}
