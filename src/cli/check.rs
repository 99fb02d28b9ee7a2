//! `syncd check`: configuration files read, and nothing started.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Fault;
use crate::config::lint::Report;
use crate::config::{Finding, Severity};

/// A finding on a line of its own.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    severity: String,
    code: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

/// The last line.
#[derive(Serialize)]
struct Summary {
    summary: bool,
    files: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    exit: u8,
}

/// How the result is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// For programs.
    pub(super) json: bool,
    /// With every value that is in force.
    pub(super) explain: bool,
}

/// A value that is in force, on a line of its own.
#[derive(Serialize)]
struct Value<'a> {
    file: String,
    of: &'a str,
    setting: &'a str,
    value: &'a str,
    default: bool,
}

/// Prints what `check` finds in `files`; the worst finding decides.
pub(super) fn run(
    files: &[PathBuf],
    Shape { json, explain }: Shape,
    check: impl Fn(&[PathBuf]) -> Report,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let mut report = check(files);
    if !explain {
        report.in_force.clear();
    }
    if json {
        lines(&report, out)?;
    } else {
        texts(&report, out)?;
    }
    match report.exit_code() {
        0 => Ok(()),
        1 => Err(Fault::False),
        _ => Err(Fault::Usage(told(&report))),
    }
}

fn told(report: &Report) -> String {
    let faulty = report.files.iter().filter(|file| worst(report, file) == Some(Severity::Error)).count();
    match faulty {
        0 => "what these files name cannot be used; see above".to_owned(),
        faulty => format!("{faulty} of {} files cannot be used; see above", report.files.len()),
    }
}

/// The severity of the worst finding about `file`.
fn worst(report: &Report, file: &Path) -> Option<Severity> {
    report.findings.iter().filter(|finding| finding.file == file).map(|finding| finding.severity).max()
}

/// For people: each with its line and caret, and a line for a file without fault.
fn texts(report: &Report, out: &mut impl Write) -> Result<(), Fault> {
    let (of_files, of_others): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(|finding| report.files.contains(&finding.file));
    for file in &report.files {
        for finding in of_files.iter().filter(|finding| finding.file == *file) {
            writeln!(out, "{}", with_code(finding))?;
        }
        match worst(report, file) {
            None => writeln!(out, "{}: every setting is understood and honoured", file.display())?,
            Some(Severity::Note) => writeln!(out, "{}: no error and no warning", file.display())?,
            Some(_) => {}
        }
    }
    for finding in of_others {
        writeln!(out, "{}", with_code(finding))?;
    }
    for value in &report.in_force {
        let of = if value.of.is_empty() { String::new() } else { format!(" [{}]", value.of) };
        let default = if value.default { " (default)" } else { "" };
        writeln!(out, "{}:{of} {} = {}{default}", value.file.display(), value.name, value.value)?;
    }
    Ok(())
}

/// The finding with its code behind the first line.
fn with_code(finding: &Finding) -> String {
    let shown = finding.to_string();
    match shown.split_once('\n') {
        Some((first, rest)) => format!("{first} [{}]\n{rest}", finding.code),
        None => format!("{shown} [{}]", finding.code),
    }
}

/// For programs.
fn lines(report: &Report, out: &mut impl Write) -> Result<(), Fault> {
    let mut print = |line: serde_json::Result<String>| -> Result<(), Fault> {
        writeln!(out, "{}", line.map_err(Fault::local)?)?;
        Ok(())
    };
    for finding in &report.findings {
        print(serde_json::to_string(&Line {
            file: finding.file.display().to_string(),
            line: finding.place.as_ref().map(|place| place.line),
            column: finding.place.as_ref().map(|place| place.column),
            severity: finding.severity.to_string(),
            code: finding.code,
            message: &finding.message,
            help: finding.help.as_deref(),
        }))?;
    }
    for value in &report.in_force {
        print(serde_json::to_string(&Value {
            file: value.file.display().to_string(),
            of: &value.of,
            setting: value.name,
            value: &value.value,
            default: value.default,
        }))?;
    }
    print(serde_json::to_string(&Summary {
        summary: true,
        files: report.files.len(),
        errors: report.count(Severity::Error),
        warnings: report.count(Severity::Warning),
        notes: report.count(Severity::Note),
        exit: report.exit_code(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[PathBuf]) -> Report {
        let finding = |file: &PathBuf| {
            let severity = match file.to_str()? {
                "wrong" => Severity::Error,
                "warned" => Severity::Warning,
                _ => Severity::Note,
            };
            Some(Finding { severity, ..Finding::of_file(file, "some-code", "so it is").help("do this") })
        };
        Report { files: files.to_vec(), findings: files.iter().filter_map(finding).collect(), ..Report::default() }
    }

    fn told(names: &[&str], json: bool) -> (u8, String) {
        let files: Vec<_> = names.iter().map(PathBuf::from).collect();
        let mut out = Vec::new();
        let code =
            run(&files, Shape { json, explain: false }, check, &mut out).map_or_else(|fault| fault.code(), |()| 0);
        (code, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_worst_file_decides() {
        let code = |names: &[&str]| told(names, false).0;
        assert_eq!((code(&["good"]), code(&["good", "warned"]), code(&["wrong", "warned"])), (0, 1, 2));
        let (_, text) = told(&["good", "warned"], false);
        assert_eq!(
            text,
            "good: note: so it is — do this [some-code]\ngood: no error and no warning\n\
             warned: warning: so it is — do this [some-code]\n"
        );
    }

    #[test]
    fn programs_get_a_line_for_each_finding_and_one_at_the_end() {
        let (code, text) = told(&["good", "wrong"], true);
        assert_eq!(code, 2);
        insta::assert_snapshot!(text, @r#"
        {"file":"good","line":null,"column":null,"severity":"note","code":"some-code","message":"so it is","help":"do this"}
        {"file":"wrong","line":null,"column":null,"severity":"error","code":"some-code","message":"so it is","help":"do this"}
        {"summary":true,"files":2,"errors":1,"warnings":0,"notes":1,"exit":2}
        "#);
    }
}
