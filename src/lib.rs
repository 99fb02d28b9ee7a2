//! syncd keeps the nodes of a high-availability pair interchangeable.
//!
//! The data path is a straight line, and so is the reading order:
//!
//! ```text
//!  primary                                                         replica
//!  watch → coalesce → plan → delta → send  ══ QUIC ══▷  receive → stage → commit → ack
//!             ▲                        │                                          │
//!             └───── retry log ◁───────┴───────────── acknowledgement ◁───────────┘
//! ```
//!
//! | question | module |
//! |---|---|
//! | what is a path, an entry, a manifest, an epoch? | [`model`] |
//! | when is a dirty name looked at? | [`coalesce`] |
//! | what never travels? | [`filter`] |
//! | what is said of an entry instead of what stat(2) says? | [`rewrite`] |
//! | what has to be done so that a peer holds what is on disk? | [`plan`] |
//! | which parts of a large file have to travel? | [`delta`] |
//! | which bytes travel, and what are their limits? | [`wire`] |
//! | who is connected, what is pending, what is sent next, who may write? | [`session`] |
//! | who is master of a virtual address? | [`vrrp`] |
//! | what is on disk? | [`fs`] |
//! | what happened on disk? | [`watch`] |
//! | how does a change set become live? | [`apply`] |
//! | what survives a restart? | [`store`] |
//! | how do two nodes talk? | [`link`] |
//! | how is a program of the operator's run? | [`process`] |
//! | how do advertisements travel, and how does an address get onto an interface? | [`net`] |
//! | who is told of a change besides the peers? | [`plugin`] |
//! | who drives all that? | [`engine`] |
//! | who starts and watches the processes where there are several? | [`supervisor`] |
//! | what does an operator write and see? | [`config`], [`control`], [`observe`], [`cli`] |
//!
//! Layers, each depending only on those above it: [`model`]; the pure cores ([`filter`], [`rewrite`], [`coalesce`],
//! [`plan`], [`delta`], [`wire`], [`session`], [`vrrp`]); the IO around them ([`fs`], [`apply`], [`watch`], [`store`],
//! [`link`], [`process`], [`observe`], [`plugin`], [`net`]); [`engine`]; [`config`], [`control`]; [`supervisor`]; [`cli`].
//! `tests/layering.rs` holds this list to its word.

// Nothing that input, disk or network can influence may end the program.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod apply;
pub mod cli;
pub mod coalesce;
pub mod config;
pub mod control;
pub mod delta;
pub mod engine;
pub mod filter;
pub mod fs;
pub mod link;
pub mod model;
pub mod net;
pub mod observe;
pub mod plan;
pub mod plugin;
pub mod process;
pub mod rewrite;
pub mod session;
pub mod store;
pub mod supervisor;
pub mod vrrp;
pub mod watch;
pub mod wire;

/// What this program calls itself to others.
pub const AGENT: &str = concat!("syncd ", env!("CARGO_PKG_VERSION"));
