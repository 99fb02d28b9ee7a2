//! Every way to fail, and the exit code that is promised for it.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::control::ClientError;
use crate::observe::Console;
use crate::store::StoreError;
use crate::store::instance::InstanceError;

/// Why a command did not end well. A message says the cause, what is affected, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// What was asked about is false, as the output says: exit 1.
    False,
    /// The command line or a configuration is wrong: exit 2.
    Usage(String),
    /// It cannot be run here: exit 3.
    Local(String),
    /// The daemon ended with this code before it was ready, having said why.
    Ended(u8),
    /// Whoever read the output has gone: exit 0.
    Unread,
}

impl Fault {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Ended(code) => *code,
            Self::False => 1,
            Self::Usage(_) => 2,
            Self::Local(_) => 3,
        }
    }

    /// It cannot be run here, because of `cause`.
    pub(super) fn local(cause: impl std::fmt::Display) -> Self {
        Self::Local(cause.to_string())
    }

    /// Tells the operator, and gives the exit code.
    pub(super) fn report(&self, mut console: Console) -> ExitCode {
        if let Self::Usage(message) | Self::Local(message) = self {
            let _ = console.write_all(format!("syncd: {message}\n").as_bytes());
        }
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Local(message) => f.write_str(message),
            Self::False => f.write_str("it is not so"),
            Self::Ended(code) => write!(f, "the daemon ended with {code}"),
            Self::Unread => f.write_str("nobody reads the output"),
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Local(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Local(error.to_string())
    }
}

impl From<InstanceError> for Fault {
    fn from(error: InstanceError) -> Self {
        Self::Local(error.to_string())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Local(error.to_string())
    }
}
