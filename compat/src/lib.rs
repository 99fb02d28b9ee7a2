//! The legacy grammars as typed trees with spans and diagnostics.
//!
//! | question | file |
//! |---|---|
//! | which bytes are which characters, and on which line? | [`text`], [`span`] |
//! | what is wrong with a file, and how is it shown? | [`diag`] |
//! | how forgiving is sersync2's XML? | [`xml`] |
//! | what can a `confxml.xml` say? | [`confxml`] |
//! | what can `commonParams` say? | [`rsync`] |
//! | what can an `rsyncd.conf` say? | [`rsyncd`] |
//! | what can a `keepalived.conf` say? | [`keepalived`] |
//! | is a known setting honoured? | [`standing`] |
//!
//! This crate knows nothing of the engine, opens no file, and never fails on any bytes other than
//! by [`diag::Finding`]s.

// Nothing that input, disk or network can influence may end the program.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod confxml;
pub mod diag;
mod findings;
pub mod keepalived;
mod nearest;
pub mod rsync;
pub mod rsyncd;
mod secret;
pub mod span;
pub mod standing;
pub mod text;
pub mod xml;

pub use diag::{Finding, Severity};
pub use findings::{Findings, MORE};
pub use nearest::nearest;
pub use span::{Span, Spanned};
pub use standing::Standing;
pub use text::SourceText;
