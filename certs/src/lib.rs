//! Who a node is, and why another may believe it: node key, TLS, password proof, secrets, pins.
//!
//! | question | file |
//! |---|---|
//! | where does a node's key come from? | [`identity`] |
//! | what does TLS accept? | [`tls`] |
//! | how does a password prove a right without being sent? | [`password`] |
//! | which files may hold secrets? | [`secret_file`], [`secrets`] |
//! | how often may somebody guess? | [`throttle`] |
//! | when is a key another than before? | [`pins`] |
//!
//! TLS proves that each side holds the private key of the certificate that it shows, and nothing
//! else. Whether that key may do anything is decided afterwards, for each set: by a pin
//! ([`pins::decide`]) or by a password ([`password`]) that is bound to the very connection.

// Nothing that input, disk or network can influence may end the program.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod identity;
pub mod password;
pub mod pins;
pub mod secret_file;
pub mod secrets;
pub mod throttle;
pub mod tls;

pub use identity::{Identity, IdentityError};
