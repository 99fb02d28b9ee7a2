//! What is found in one file: of very much so many that somebody can read them, and how many more.

use std::ops::Deref;
use std::path::Path;

use crate::diag::{Finding, Place, Severity};

/// The code of the number of findings that are left out.
pub const MORE: &str = "more-findings";

/// The first [`Findings::MOST`] findings; an error takes the place of a warning, and that the place of a note.
/// It bounds the memory that a file without a right line in it can ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    kept: Vec<Finding>,
    left_out: usize,
    /// How many notes, warnings and errors are kept.
    counts: [usize; 3],
    /// How many errors there ever were.
    errors: usize,
}

impl Findings {
    /// How many findings are kept.
    pub const MOST: usize = 1_000;

    /// Keeps one more.
    pub fn push(&mut self, finding: Finding) {
        let severity = finding.severity;
        if self.skips(severity) {
            return;
        }
        if self.kept.len() >= Self::MOST {
            let least = self.least();
            if let Some(at) = self.kept.iter().rposition(|kept| kept.severity == least) {
                self.kept.remove(at);
                self.recount(least, false);
                self.left_out += 1;
            }
        }
        self.errors += usize::from(severity == Severity::Error);
        self.kept.push(finding);
        self.recount(severity, true);
    }

    /// How many errors there were so far, kept or not.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether one more of that severity would not be kept. It is counted then, and need not be made.
    pub fn skips(&mut self, severity: Severity) -> bool {
        let skipped = self.kept.len() >= Self::MOST && self.least() >= severity;
        self.left_out += usize::from(skipped);
        self.errors += usize::from(skipped && severity == Severity::Error);
        skipped
    }

    /// The least severity of what is kept.
    fn least(&self) -> Severity {
        let all = [Severity::Note, Severity::Warning];
        all.into_iter().find(|severity| self.count(*severity) > 0).unwrap_or(Severity::Error)
    }

    /// Has `change` look at each place that was found.
    pub(crate) fn places_mut(&mut self, change: impl FnMut(&mut Place)) {
        self.kept.iter_mut().filter_map(|finding| finding.place.as_deref_mut()).for_each(change);
    }

    /// Keeps all of `other` too.
    pub fn absorb(&mut self, other: Self) {
        self.left_out += other.left_out;
        self.extend(other.kept);
    }

    /// Takes away what comes behind the first `from` findings and is not to be kept.
    pub fn retain_from(&mut self, from: usize, mut keep: impl FnMut(&Finding) -> bool) {
        let behind = self.kept.split_off(from.min(self.kept.len()));
        for finding in behind {
            self.recount(finding.severity, false);
            if keep(&finding) {
                self.recount(finding.severity, true);
                self.kept.push(finding);
            }
        }
    }

    /// What was kept, and where that is not all, how many more of `file` there are.
    #[must_use]
    pub fn into_vec(self, file: &Path) -> Vec<Finding> {
        let mut all = self.kept;
        if self.left_out > 0 {
            let more = Finding::of_file(file, MORE, format!("and {} more", self.left_out));
            let more = Finding { severity: Severity::Note, ..more };
            all.push(more.help("correct what is shown, and check again"));
        }
        all
    }

    fn count(&self, severity: Severity) -> usize {
        let [notes, warnings, errors] = self.counts;
        match severity {
            Severity::Note => notes,
            Severity::Warning => warnings,
            Severity::Error => errors,
        }
    }

    fn recount(&mut self, severity: Severity, more: bool) {
        let [notes, warnings, errors] = &mut self.counts;
        let count = match severity {
            Severity::Note => notes,
            Severity::Warning => warnings,
            Severity::Error => errors,
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }
}

impl Deref for Findings {
    type Target = [Finding];

    fn deref(&self) -> &Self::Target {
        &self.kept
    }
}

impl Extend<Finding> for Findings {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = Findings::MOST;

    fn finding(severity: Severity, number: usize) -> Finding {
        Finding { severity, ..Finding::of_file(Path::new("a"), "x", number.to_string()) }
    }

    #[test]
    fn of_many_findings_the_errors_and_the_first_are_kept_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        findings.extend((0..MOST).map(|number| finding(Severity::Warning, number)));
        assert_eq!(findings.clone().into_vec(Path::new("a")).len(), MOST);
        findings.extend((0..5).map(|number| finding(Severity::Note, number)));
        findings.extend((0..3).map(|number| finding(Severity::Error, number)));
        let mut other = Findings::default();
        other.extend((0..MOST + 2).map(|number| finding(Severity::Note, number)));
        findings.absorb(other);
        let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        assert_eq!([of(Severity::Error), of(Severity::Warning), of(Severity::Note)], [3, MOST - 3, 0]);
        assert_eq!(findings.first().map(|first| first.message.as_str()), Some("0"));
        let all = findings.into_vec(Path::new("a"));
        assert_eq!(
            all.last().map(Finding::summary).as_deref(),
            Some("a: note: and 1010 more — correct what is shown, and check again")
        );
    }

    #[test]
    fn what_is_taken_away_leaves_room() {
        let mut findings = Findings::default();
        findings.extend((0..MOST).map(|number| finding(Severity::Error, number)));
        findings.retain_from(10, |finding| finding.message.len() == 3);
        assert_eq!(findings.len(), 10 + 900);
        findings.push(finding(Severity::Note, 0));
        assert_eq!(findings.into_vec(Path::new("a")).len(), 10 + 901);
    }
}
