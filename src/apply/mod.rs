//! The receiver's apply: stage, journal, commit, recover.
//!
//! ```text
//!  stage_ops, open_file     what comes is made in .syncd/stage/<seq>, verified, with its metadata   stage, stream
//!  commit                   what stands in the way is looked at; the steps are put in order         plan, order, view, drift, guard
//!                           stage and journal become durable                                       journal
//!                           the steps are taken, or taken back                                     run
//!                           directories become durable; the manifest follows                       commit, ledger
//!  cleanup                  the old objects, which were exchanged into the stage, go
//!  recover                  after a crash: the same steps, from where they stopped                  recover
//! ```
//!
//! At any instant the tree is, or after [`Applier::recover`] becomes, the old or the new generation.

mod applier;
mod area;
mod commit;
mod drift;
mod error;
mod ground;
mod guard;
mod ids;
mod journal;
mod ledger;
mod order;
mod plan;
mod policy;
mod recover;
mod run;
mod stage;
mod step;
mod stream;
mod view;

pub use applier::Applier;
pub use area::{OWN_DIR, is_own};
pub use commit::Outcome;
pub use error::ApplyError;
pub use ids::Ids;
pub use policy::{Deletions, Policy};
pub use recover::Recovered;
pub use stage::Staging;
pub use stream::StagedFile;

#[cfg(test)]
mod tests;
