//! The control socket of an instance: how `syncd status` and its like ask the one that runs.
//!
//! A Unix socket `control.sock` in the instance's directory, for root and the instance's own user.
//! Each request and each response is one line of JSON; a request may be answered by several
//! responses, the last of which is final.

pub mod answers;
mod client;
mod protocol;
mod server;
mod socket;

pub use client::{Client, ClientError};
pub use protocol::{
    Certificates, Difference, LastError, PendingName, PinnedKey, ProblemPath, Request, Response, SetRole, SetStatus,
    SourceStatus, Status, TargetState, TargetStatus, VerifyResult, WatchStatus,
};
pub use server::{Call, Gone, Responder, Server};
