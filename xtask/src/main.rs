//! The project's own commands: `cargo xtask demo`, `test`, `bench`, `docs`, `fuzz`, `planted`.

mod bench;
mod cargo;
mod demo;
mod docs;
mod fuzz;
mod planted;
mod skips;
mod stop;
#[path = "../../tests/support"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the tests use the rest of it")]
#[allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]
mod support {
    //! The labs of the tests, in which the bench measures.

    pub mod background;
    pub mod ear;
    pub mod namespace;
    pub mod node;
    pub mod probe;
    pub mod skip;
    pub mod vrrp;
}
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "What a developer of syncd runs", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the release and run `syncd demo`: two nodes over real QUIC, without root
    Demo(demo::Args),
    /// Run every test; installs or names what is missing
    Test(test::Args),
    /// Measure syncd beside others on this machine
    Bench(bench::Args),
    /// Write the tables of docs/ from those of the program
    Docs(docs::Args),
    /// Fuzz each target of fuzz/ for some seconds, as `test` does
    Fuzz(fuzz::Args),
    /// Plant each fault of tests/planted/ and require that its test fails
    Planted(planted::Args),
    /// The bench's own minimal mirror, which the others are measured against
    #[command(hide = true)]
    Floor(bench::FloorArgs),
    /// The bench's own timer, which the others are measured beside
    #[command(hide = true)]
    Tick(bench::TickArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Fuzz(args) => fuzz::command(&args),
        Task::Planted(args) => planted::run(&args),
        Task::Floor(args) => bench::run_floor(&args),
        Task::Tick(args) => bench::run_tick(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}
