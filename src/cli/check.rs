//! `syncd check`: configuration files read, and nothing started.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Fault;

/// What came of reading one file; each text is complete, with file, line, column and caret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checked {
    /// What is made of the file, where that may surprise; no reason to fail.
    pub notes: Vec<String>,
    /// Settings that are unknown, or understood and not honoured.
    pub warnings: Vec<String>,
    /// Why the file cannot be used.
    pub errors: Vec<String>,
}

/// Reads every file by `read` and prints what is found; the worst file decides.
pub(super) fn run(files: &[PathBuf], read: impl Fn(&Path) -> Checked, out: &mut impl Write) -> Result<(), Fault> {
    let (mut warned, mut wrong) = (0, 0);
    for file in files {
        let Checked { notes, warnings, errors } = read(file);
        for text in errors.iter().chain(&warnings).chain(&notes) {
            writeln!(out, "{}", text.trim_end())?;
        }
        if errors.is_empty() && warnings.is_empty() {
            writeln!(out, "{}: every setting is understood and honoured", file.display())?;
        }
        warned += usize::from(!warnings.is_empty());
        wrong += usize::from(!errors.is_empty());
    }
    match (wrong, warned) {
        (0, 0) => Ok(()),
        (0, _) => Err(Fault::False),
        _ => Err(Fault::Usage(format!("{wrong} of {} files cannot be used; see above", files.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_file_decides() {
        let read = |file: &Path| {
            let text = |s: &str| vec![format!("{}:1:1: {s}", file.display())];
            match file.to_str() {
                Some("warned") => Checked { warnings: text("unknown"), ..Default::default() },
                Some("wrong") => Checked { errors: text("malformed"), ..Default::default() },
                _ => Checked { notes: text("a note"), ..Default::default() },
            }
        };
        let code = |files: &[&str]| {
            let files: Vec<_> = files.iter().map(PathBuf::from).collect();
            run(&files, read, &mut Vec::new()).map_or_else(|fault| fault.code(), |()| 0)
        };
        assert_eq!((code(&["good"]), code(&["good", "warned"]), code(&["wrong", "warned"])), (0, 1, 2));
        let mut out = Vec::new();
        let files = ["good", "warned", "wrong"].map(PathBuf::from);
        run(&files, read, &mut out).expect_err("wrong");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text,
            "good:1:1: a note\ngood: every setting is understood and honoured\nwarned:1:1: unknown\nwrong:1:1: malformed\n"
        );
    }
}
