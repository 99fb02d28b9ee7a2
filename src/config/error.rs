//! Why a configuration cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use syncd_compat::{Finding, Findings, MORE, Severity};

/// A fault of the node's own: with the file, or with what it names on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself cannot be read.
    #[error("{}: {cause} — name a readable file by --config", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What it says cannot be used. Shown are the errors, each as
    /// `file:line:column: error: what — what to do` with the line below.
    #[error("{}", Errors(.0))]
    Faulty(Vec<Finding>),
}

impl ConfigError {
    /// Everything that was found, the warnings too.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Faulty(findings) => findings,
        }
    }

    /// An error when one of `findings` is one; else they, each once and in the order of the file.
    pub(super) fn unless_usable(findings: Findings, file: &Path) -> Result<Vec<Finding>, Self> {
        Self::unless_more_than(0, findings, file)
    }

    /// The same, where so many errors are about what is left out.
    pub(super) fn unless_more_than(tolerated: usize, findings: Findings, file: &Path) -> Result<Vec<Finding>, Self> {
        let stops = findings.errors() > tolerated;
        let mut findings = findings.into_vec(file);
        // Behind all others: how many more there are.
        findings.sort_by_key(|finding| (finding.code == MORE, finding.place.as_ref().map(|place| place.span.start)));
        findings.dedup();
        if stops && findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Self::Faulty(findings));
        }
        Ok(findings)
    }
}

impl From<Finding> for ConfigError {
    fn from(finding: Finding) -> Self {
        Self::Faulty(vec![finding])
    }
}

struct Errors<'a>(&'a [Finding]);

impl fmt::Display for Errors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|finding| finding.severity == Severity::Error);
        for (at, finding) in errors.enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}
