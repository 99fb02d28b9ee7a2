//! The control socket of an instance: how `syncd status` and its like ask the one that runs.
//!
//! A Unix socket `control.sock` in the instance's directory, for root and the instance's own user.
//! Each request and each response is one line of JSON; a request may be answered by several
//! responses, the last of which is final. Where a supervisor serves it, the engine has a socket of its own beside it,
//! which the supervisor asks.

pub mod answers;
mod client;
mod protocol;
mod relay;
mod server;
mod socket;

pub use client::{Client, ClientError};
pub use protocol::{
    Certificates, Difference, LastError, PendingName, PinnedKey, ProblemPath, ProcessStatus, Request, Response,
    SetRole, SetStatus, SourceStatus, Status, TargetState, TargetStatus, VerifyResult, WatchStatus,
};
pub use relay::{ask_engine, relay};
pub use server::{Call, Gone, Responder, Server};
