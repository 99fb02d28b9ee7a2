//! The program is replaced while it runs.

/// The variable that tells a program that it goes on where another one was, in the same process; its value is the
/// number of that process.
pub(super) const MARK: &str = "SYNCD_TAKEOVER";
