//! Tests that did not run: read from the tests' own record, counted, named, and judged.

use std::path::Path;

use anyhow::{Context, Result};

use crate::tools;

/// A test that did not run, and what it missed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Skip {
    pub test: String,
    pub need: String,
}

impl Skip {
    /// Whether the machine has what the test says it misses, so that skipping it is a mistake.
    pub(crate) fn is_unjustified(&self) -> bool {
        match self.need.split_once(' ') {
            // What was to be installed and is not there could not be had.
            Some(("program", name)) => {
                tools::have(name) || (tools::may_install() && !tools::FOR_TESTS.iter().any(|tool| tool.program == name))
            }
            Some(("user", "root")) => rustix::process::geteuid().is_root(),
            _ => false,
        }
    }
}

/// Reads the record that tests write (`tests/support/skip.rs`): `test TAB need` lines. No file is no skip.
pub(crate) fn read(log: &Path) -> Result<Vec<Skip>> {
    match std::fs::read_to_string(log) {
        Ok(text) => Ok(parse(&text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e).with_context(|| format!("read {}", log.display())),
    }
}

fn parse(text: &str) -> Vec<Skip> {
    let split = |line: &str| {
        let (test, need) = line.split_once('\t').unwrap_or((line, "an unnamed thing"));
        Skip { test: test.into(), need: need.into() }
    };
    text.lines().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_for_what_is_here_is_unjustified() {
        let found = parse("one\tprogram sh\ntwo\ta Cray-1\n");
        assert_eq!(found[0], Skip { test: "one".into(), need: "program sh".into() });
        assert!(found[0].is_unjustified());
        assert!(!found[1].is_unjustified());
    }
}
