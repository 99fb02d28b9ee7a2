//! States and causes in words, the same in the log, in status and for scripts.

use std::fmt;

use super::router::{Cause, State};

/// In capitals, as keepalived tells its scripts.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        })
    }
}

/// What comes behind "because", without it.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("it starts"),
            Self::Adopted => f.write_str("it goes on where the process before it ended"),
            Self::Owner => f.write_str("it owns the addresses (priority 255)"),
            Self::MasterSilent { master: Some(master) } => write!(f, "the master {master} is silent"),
            Self::MasterSilent { master: None } => f.write_str("no master is heard"),
            Self::MasterLeft { master: Some(master) } => write!(f, "the master {master} left (priority 0)"),
            Self::MasterLeft { master: None } => f.write_str("the master left (priority 0)"),
            Self::Preempted { master: Some(master), priority } => {
                write!(f, "the master {master} has the lower priority {priority}")
            }
            Self::Preempted { master: None, priority } => write!(f, "the master has the lower priority {priority}"),
            Self::Outranked { by, priority } => write!(f, "{by} is master with priority {priority}"),
            Self::Group => f.write_str("another instance of its sync group is no longer master"),
            Self::Failed => f.write_str("it cannot be master"),
            Self::Recovered => f.write_str("what kept it from being master is gone"),
            Self::GaveUp => f.write_str("it crashed twice within a minute, and leaves the addresses to another"),
            Self::Stopped => f.write_str("it is told to end"),
        }
    }
}
