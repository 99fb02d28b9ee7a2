//! Why something could not be done to the network, in one line.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// What was tried, and why the kernel did not do it.
#[derive(Debug)]
pub struct NetError {
    what: String,
    cause: io::Error,
}

impl NetError {
    pub(super) fn new(what: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Self { what: what.into(), cause: cause.into() }
    }

    /// Whether rights are missing.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        self.cause.kind() == io::ErrorKind::PermissionDenied
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause.raw_os_error() {
            Some(code) => write!(f, "{}: {}", self.what, Errno::from_raw(code).desc()),
            None => write!(f, "{}: {}", self.what, self.cause),
        }
    }
}

impl std::error::Error for NetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_and_why_it_failed() {
        let error = NetError::new("10.0.0.1/24 cannot be put on eth0", rustix::io::Errno::PERM);
        assert_eq!(error.to_string(), "10.0.0.1/24 cannot be put on eth0: Operation not permitted");
        assert!(error.is_not_permitted());
    }
}
