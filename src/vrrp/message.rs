//! What the supervisor and the VRRP process tell each other over their socket pair.
//!
//! The VRRP process never waits for the supervisor: what does not fit is kept, up to a limit. It writes
//! no log of its own, since whoever reads that could hold it up: it reports [`Report`]s.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::router::{Cause, State};
use super::setup::{Address, Setup};

/// The longest message in bytes; a longer one ends the process that gets it.
pub const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// To the VRRP process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum ToVrrp {
    /// Begin, after one that was killed where it was, or that has handed over.
    Start {
        /// What is to be done.
        setup: Setup,
        /// Where the process before this one was; empty after none.
        lives: Vec<Life>,
        /// It crashed for the second time in a minute: give up what it held, politely.
        give_up: bool,
        /// The lives are those of an earlier supervisor, and nobody knows for how long nothing was sent.
        earlier: bool,
    },
    /// From now on this is to be done.
    Reload(Setup),
    /// Something that is tracked was looked at.
    Observed(Observed),
    /// Say how things stand: [`FromVrrp::Status`].
    Status,
    /// Leave politely and end; the last message is [`FromVrrp::Ended`].
    Stop,
    /// End and touch nothing: another process goes on. The last message is [`FromVrrp::Ended`].
    HandOver,
    /// Before the first message, where another process works still and is to hand over: wait, and say so
    /// ([`FromVrrp::Waits`]). Where the supervisor is gone before it says [`Self::Start`], nobody else is left who could
    /// take away what that one held.
    Wait {
        /// What is done now.
        setup: Setup,
        /// Where that process is.
        lives: Vec<Life>,
        /// That process.
        pid: u32,
    },
}

/// From the VRRP process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum FromVrrp {
    /// All that [`ToVrrp::Start`] or [`ToVrrp::Reload`] said is in force.
    Ready,
    /// It cannot be: nothing was begun, or what was in force before goes on.
    Refused {
        /// The instance, where it is about one.
        instance: Option<String>,
        /// Cause and what to do.
        message: String,
        /// It is a fault of the configuration, and not of this host.
        configuration: bool,
    },
    /// Where an instance is now, after each change of that.
    Life(Life),
    /// The operator's programs are to be told.
    Notice(Notice),
    /// Something for the log.
    Report(Report),
    /// The answer to [`ToVrrp::Status`].
    Status(Vec<InstanceStatus>),
    /// It has left, or handed over; nothing follows.
    Ended,
    /// It waits, as [`ToVrrp::Wait`] says.
    Waits,
}

/// What was seen of something that is tracked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Observed {
    /// A script ended.
    Script {
        /// Which.
        name: String,
        /// Whether with status 0, and in time.
        success: bool,
    },
    /// The number of processes was counted, delays included: whether it is as it has to be.
    Process {
        /// Which.
        name: String,
        /// Whether there are enough, and not too many.
        enough: bool,
    },
    /// A file has this number.
    File {
        /// Which.
        name: String,
        /// The number; 0 where the file is not there.
        value: i32,
    },
}

/// Where an instance is: enough for another process to go on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Life {
    /// Its name.
    pub instance: String,
    /// Its state.
    pub state: State,
    /// When it came into that state, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// When something is due next, in nanoseconds of `CLOCK_MONOTONIC`: an advertisement of a master, the end of a backup's patience.
    pub due: Option<u64>,
    /// What it put on interfaces itself: what had been there before is not among it.
    pub held: Vec<Held>,
    /// How often it has changed state.
    pub transitions: u64,
}

/// An address that an instance put on an interface.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Held {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: Address,
}

/// Something that the operator's programs are told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// Of an instance, or of a group.
    pub of: Subject,
    /// What happened.
    pub what: Happening,
    /// The priority in force; 0 of a group.
    pub priority: u8,
}

/// Whom a notice is about.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Subject {
    /// An instance.
    Instance(String),
    /// A sync group.
    Group(String),
}

/// What programs are told of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Happening {
    /// It is master.
    Master,
    /// It is backup.
    Backup,
    /// It cannot be master.
    Fault,
    /// It ends.
    Stop,
    /// A reload took it away.
    Deleted,
    /// A master heard one of lower priority.
    LowerPriority,
    /// Its priority changed (in this state).
    Priority(State),
    /// It is still so: for pipes, after a reload.
    Still(State),
}

/// Something for the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Report {
    /// It changed state.
    Transition {
        /// The instance.
        instance: String,
        /// From.
        from: State,
        /// To.
        to: State,
        /// Why.
        cause: Cause,
        /// Its priority.
        priority: u8,
        /// What keeps it from being master, in words.
        because: Option<String>,
    },
    /// Anything else that an operator has to know.
    Warning {
        /// The instance.
        instance: String,
        /// What, what is affected, what to do.
        message: String,
    },
    /// What an operator may want to know.
    Note {
        /// The instance, where it is about one.
        instance: Option<String>,
        /// What.
        message: String,
    },
}

/// How an instance stands. Names once published stay: it is part of `syncd status --json`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its virtual router identifier.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// `master`, `backup`, `fault` or `initialize`.
    pub state: String,
    /// Since when, in seconds.
    pub since_seconds: u64,
    /// Why, for people.
    pub cause: String,
    /// The priority in force.
    pub priority: u8,
    /// What makes it that, for people: `150, script check_nginx -60`.
    pub priority_why: String,
    /// What keeps it from being master, for people; each a line.
    pub faults: Vec<String>,
    /// The address of the master, where it is known.
    pub master: Option<IpAddr>,
    /// The master's priority.
    pub master_priority: Option<u8>,
    /// The virtual addresses, with `/prefix`.
    pub addresses: Vec<String>,
    /// Those of them that it holds.
    pub held: Vec<String>,
    /// How often it has changed state since the start.
    pub transitions: u64,
    /// Advertisements sent.
    pub adverts_sent: u64,
    /// Advertisements that counted.
    pub adverts_received: u64,
    /// What was rejected, by sender and reason.
    pub rejected: Vec<RejectedStatus>,
    /// Who else uses its identifier, and other things that somebody should look after.
    pub warnings: Vec<String>,
}

/// Packets of one sender that were rejected for one reason.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RejectedStatus {
    /// Who sent them; none for all senders beyond those that are remembered.
    pub from: Option<IpAddr>,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// How long ago the last one came, in seconds.
    pub last_seconds: u64,
}
