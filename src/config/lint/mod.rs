//! `syncd check`: what is wrong with configuration files, alone, with each other, and on this machine.
//!
//! | question | file |
//! |---|---|
//! | which files are there, and what do they say? | `given.rs`, `view.rs` |
//! | and of virtual routers? | `router.rs` |
//! | what of the machine counts? | `facts.rs`, gathered by `gather.rs` |
//! | does a remote make sense? | `remote.rs` |
//! | do source and replica fit each other? | `ends.rs` |
//! | do two nodes of VRRP fit each other? | `pair.rs` |
//! | do virtual routers fit the machine? | `host.rs`, `nginx.rs` |
//! | may a first compare, or a node that comes back, delete? | `delete.rs` |
//! | what does each code mean? | [`codes`] |
//! | what is in force? | `explain.rs` |
//!
//! The rules are pure: `given` and `facts` in, findings out. Only `gather.rs` and the functions
//! here read anything.

pub mod codes;
mod delete;
mod ends;
mod explain;
mod facts;
mod gather;
mod given;
mod host;
mod nginx;
mod pair;
mod remote;
mod router;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syncd_compat::diag::Place;
use syncd_compat::{Finding, Findings, MORE, Severity};

pub use explain::InForce;

use super::machine::Machine;
use super::{ConfigError, check as faults, load, vrrp};
use facts::Facts;
use given::Given;

/// What was found in files, in their order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files that were asked about.
    pub files: Vec<PathBuf>,
    /// Everything that is worth saying, the worst of each file first.
    pub findings: Vec<Finding>,
    /// Every value that is in force.
    pub in_force: Vec<InForce>,
}

impl Report {
    /// How many findings are that severe.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// 0 when all is well but for notes, 1 with warnings, 2 with errors.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.count(Severity::Error), self.count(Severity::Warning)) {
            (0, 0) => 0,
            (0, _) => 1,
            _ => 2,
        }
    }
}

/// Reads `files` and says what is wrong with each and with all of them as a set; starts nothing.
#[must_use]
pub fn check(files: &[PathBuf]) -> Report {
    // Interfaces are a rule's to speak of.
    let machine = Machine::this().without_interfaces().or_elsewhere();
    let mut findings = Vec::new();
    let mut given = Given::default();
    for file in files {
        match load::read(file) {
            Ok(bytes) => given.add(file, &bytes, &machine, &mut super::glob::load, &mut findings),
            Err(cause) => findings.push(unreadable(file, &cause)),
        }
    }
    findings.extend(local(&given));
    findings.extend(virtual_addresses(&given));
    let facts = gather::facts(&given);
    findings.extend(rules(&given, &facts));
    Report { files: files.to_vec(), findings: sorted(files, findings), in_force: explain::all(&given) }
}

/// What `syncd vrrp` would say of `file` on this machine, and whether it would run.
#[must_use]
pub fn check_vrrp(file: &Path) -> Report {
    let findings = match vrrp::load(file, &vrrp::Host::this()) {
        Ok((_, findings)) => findings,
        Err(ConfigError::Unreadable { cause, .. }) => vec![unreadable(file, &cause)],
        Err(error) => error.findings().to_vec(),
    };
    let files = vec![file.to_owned()];
    Report { findings: sorted(&files, findings), files, ..Report::default() }
}

fn unreadable(file: &Path, cause: &std::io::Error) -> Finding {
    Finding::of_file(file, "unreadable", format!("cannot be read: {cause}")).help("name a readable file")
}

/// What is to be said of each `keepalived.conf` once it is translated.
fn virtual_addresses(given: &Given) -> Vec<Finding> {
    // Of several files, one at most is this machine's.
    let alone = given.nodes.len() == 1;
    let host = vrrp::Host::this().elsewhere(alone);
    let said = given.vrrp.iter().flat_map(|one| vrrp::translate(&one.conf, &host).1);
    let severity = if alone { Severity::Warning } else { Severity::Note };
    said.map(|finding| match finding.code {
        "keepalived-user" => Finding { severity, ..finding },
        _ => finding,
    })
    .collect()
}

/// The same of one file on a machine of which nothing else is known.
#[cfg(test)]
pub(super) fn check_alone(file: &Path, bytes: &[u8], machine: &Machine) -> Vec<Finding> {
    let (mut findings, mut given) = (Vec::new(), Given::default());
    given.add(file, bytes, machine, &mut super::glob::load, &mut findings);
    let host = vrrp::Host::of(machine.clone());
    findings.extend(given.vrrp.iter().flat_map(|one| vrrp::translate(&one.conf, &host).1));
    findings.extend(rules(&given, &Facts::default()));
    sorted(&[file.to_owned()], findings)
}

/// What the files name and this machine has not. It may be another machine's file: what is missing here may be
/// there, and is an error only of whoever starts with it. Of two ends one is surely another's.
fn local(given: &Given) -> Vec<Finding> {
    let both = !given.sending.is_empty() && !given.receiving.is_empty();
    let mut findings = Vec::new();
    for loaded in &given.loaded {
        if let Some(mut setup) = loaded.config.vrrp.as_ref().map(|vrrp| vrrp.setup.clone()) {
            findings.extend(vrrp::local::withhold(&mut setup, &loaded.config.file));
        }
        for (path, finding) in faults::faults(&loaded.config) {
            let absent = both || !path.try_exists().unwrap_or(true);
            let severity = match finding.code {
                "directory" | "secret" if absent => Severity::Warning,
                "program-missing" => Severity::Warning,
                _ => finding.severity,
            };
            findings.push(loaded.places.locate(&path, Finding { severity, ..finding }));
        }
    }
    findings
}

/// Everything that follows from the files together and from `facts`.
fn rules(given: &Given, facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    remote::check(given, facts, &mut findings);
    ends::check(given, facts, &mut findings);
    delete::check(given, &mut findings);
    pair::check(given, facts, &mut findings);
    host::check(given, facts, &mut findings);
    nginx::check(given, facts, &mut findings);
    // All files together have one number.
    findings.into_vec(given.loaded.first().map_or(Path::new(""), |loaded| &loaded.config.file))
}

/// A finding of a rule, at a place that may not be known.
fn finding(
    severity: Severity,
    code: &'static str,
    (file, place): (&Path, Option<&Place>),
    message: String,
    help: &str,
) -> Finding {
    let place = place.cloned().map(Box::new);
    Finding { severity, place, ..Finding::of_file(file, code, message) }.help(help)
}

/// Each once, file by file, errors first, then in the order of the file.
fn sorted(files: &[PathBuf], mut findings: Vec<Finding>) -> Vec<Finding> {
    let order: BTreeMap<&Path, usize> = files.iter().enumerate().rev().map(|(at, f)| (f.as_path(), at)).collect();
    let key = |finding: &Finding| {
        let file = order.get(finding.file.as_path()).copied().unwrap_or(usize::MAX);
        let place = finding.place.as_ref().map_or((0, 0), |place| (place.line, place.column));
        // Behind all others: how many more there are.
        let more = finding.code == MORE;
        (file, finding.file.clone(), std::cmp::Reverse(finding.severity), more, place)
    };
    findings.sort_by_cached_key(key);
    findings.dedup();
    findings
}
