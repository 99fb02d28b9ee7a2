//! syncd: see the library's documentation for the map.

use std::process::ExitCode;

use syncd::cli::{self, Wiring, run};
use syncd::config::lint;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), &Wiring { start: run::start, check: lint::check, check_vrrp: lint::check_vrrp })
}
