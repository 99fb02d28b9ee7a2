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
//! | question | file |
//! |---|---|
//! | what is a path, an entry, a manifest, an epoch? | [`model`] |
//! | which bytes travel, and what are their limits? | [`wire`] |
//! | how does a node reach another, and who gets in? | [`link`] |
//!
//! Layers, each depending only on those above it: [`model`]; the pure cores (`coalesce`, `plan`,
//! `delta`, [`wire`], `session`); the IO around them (`fs`, `watch`, `store`, `link`); `engine`;
//! `config`, `control`, `cli`. `tests/layering.rs` holds this list to its word.

pub mod config;
pub mod fs;
pub mod link;
pub mod model;
pub mod wire;
