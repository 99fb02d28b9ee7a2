//! `syncd convert`: legacy files as one native file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Fault, render};
use crate::config;

/// Writes what `files` come to, to `output` or to `out`. A file that is there is never replaced.
pub(super) fn run(files: &[PathBuf], output: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let converted = config::convert(files)?;
    let Some(output) = output else { return Ok(out.write_all(converted.text.as_bytes())?) };
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::Usage(format!("{} is there already: name another file, or move it away", output.display()))
        }
        _ => Fault::Local(format!("cannot write {}: {e}", output.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(output).map_err(failed)?;
    file.write_all(converted.text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let left = match converted.left {
        0 => "everything is carried over".to_owned(),
        n => format!(
            "{} not carried over as they stood; the end of it says why",
            render::counted(n as u64, "setting", "settings")
        ),
    };
    Ok(writeln!(out, "{} is written: {left}. Next: syncd check {}", output.display(), output.display())?)
}
