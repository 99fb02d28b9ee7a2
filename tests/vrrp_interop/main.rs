//! syncd beside the real keepalived: each way to speak, in both roles and either place.

mod bed;
mod bytes;
mod faults_of_keepalived;
mod groups;
mod held;
mod notices;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod trackers;
mod transports;
