//! `syncd convert`: legacy files as one native file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Fault, render};
use crate::config;
use crate::store::Store;
use crate::store::instance::{self, Role};

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
    writeln!(out, "{} is written: {left}. Next: syncd check {}", output.display(), output.display())?;
    // Without a home there is no state of earlier runs either.
    let state = instance::state_dir().ok();
    for (file, dir) in state.iter().flat_map(|state| ran_before(state, files)) {
        writeln!(out, "{}", goes_on(file, output, &dir))?;
    }
    Ok(())
}

/// Those of `files` by which a primary ran before, with the directories of what it knows.
fn ran_before<'a>(state: &Path, files: &'a [PathBuf]) -> Vec<(&'a Path, PathBuf)> {
    let instances = files.iter().map(|file| (file.as_path(), instance::dir_of(state, Role::Source, file)));
    instances.filter(|(_, dir)| Store::exists(dir)).collect()
}

/// How `output` is run as what `file` has been.
fn goes_on(file: &Path, output: &Path, dir: &Path) -> String {
    format!(
        "A file of another name is another node to the replicas, which refuse it. To go on as the one that ran by {}, \
         end that and start: syncd --config {} --state-dir {}. Or run on each replica: syncd certs forget MODULE USER",
        file.display(),
        output.display(),
        dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_to_go_on_is_said_of_files_that_a_primary_ran_by() {
        let state = tempfile::tempdir().expect("tempdir");
        let files = [PathBuf::from("/etc/sersync/confxml.xml"), PathBuf::from("/etc/rsyncd.conf")];
        assert_eq!(ran_before(state.path(), &files), []);
        let dir = instance::dir_of(state.path(), Role::Source, &files[0]);
        std::fs::create_dir(&dir).expect("mkdir");
        drop(Store::open(&dir).expect("store"));
        assert_eq!(ran_before(state.path(), &files), [(files[0].as_path(), dir)]);
        let said = goes_on(&files[0], Path::new("/etc/syncd.toml"), Path::new("/var/lib/syncd/source-x"));
        assert!(said.contains("start: syncd --config /etc/syncd.toml --state-dir /var/lib/syncd/source-x."), "{said}");
    }
}
