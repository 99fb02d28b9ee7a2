//! What survives a restart: one embedded store for each instance, behind a group-committing writer.
//!
//! | question | file |
//! |---|---|
//! | which directory does this configuration own, and who holds it? | [`instance`] |
//! | what is kept, in which tables, since which version? | `tables` |
//! | when is a damaged store given up, and what does that cost? | `database` |
//! | what of the hot path is durable, and when? | `writer`, `batch` |
//!
//! A primary's convergence never depends on the store: losing it costs a full compare, and a new
//! epoch is then taken above the newest that the peers have seen.

mod batch;
mod database;
mod epochs;
mod error;
mod generations;
mod halts;
mod incidents;
mod index;
pub mod instance;
mod pending;
mod pins;
mod tables;
mod writer;

pub use batch::Write;
pub use database::Store;
pub use error::StoreError;
pub use incidents::{Incident, IncidentKind};
pub use pending::Pending;
pub use pins::Pin;
pub use tables::SCHEMA;
pub use writer::Writer;
