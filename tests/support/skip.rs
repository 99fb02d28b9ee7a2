//! Tests that cannot run here: counted and named, never silent.

use std::io::Write;
use std::path::PathBuf;

/// Where `program` is, in `PATH` or the places that are root's.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether `test` may run: false, and recorded as skipped, when `program` is not installed.
pub fn have(test: &str, program: &str) -> bool {
    if find_program(program).is_some() {
        return true;
    }
    skipped(test, &format!("program {program}"));
    false
}

/// Whether `test`, which needs root, may run.
pub fn am_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    skipped(test, "user root");
    false
}

/// Records that `test` does not run because the machine lacks `need` (`program NAME`, `user root` or free text).
/// `cargo xtask test` reads the record, counts and names it, and fails where the machine has what was missed.
pub fn skipped(test: &str, need: &str) {
    eprintln!("SKIPPED {test}: needs {need}");
    let Some(file) = std::env::var_os("SYNCD_SKIP_LOG") else { return };
    let line = format!("{test}\t{need}\n");
    let log = std::fs::OpenOptions::new().append(true).create(true).open(file);
    log.and_then(|mut log| log.write_all(line.as_bytes())).expect("SYNCD_SKIP_LOG is writable");
}
