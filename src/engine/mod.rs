//! What drives the pure cores with files and the network: one task for each set and each peer.
//!
//! | question | file |
//! |---|---|
//! | how does a node start and stop? | `node` |
//! | how does a change find its way out? | `source` |
//! | how does it come in? | `receiver` |
//! | which threads touch files, and as whom? | `pool` |
//! | how does the other side know that this one is at work? | `speak` |
//! | when does the store learn of changes, and memory go back? | `upkeep`, `memory` |
//! | how does the VRRP process work? | [`vrrp`] |

mod differences;
mod memory;
mod names;
mod node;
mod place;
mod pool;
mod receiver;
mod source;
mod speak;
mod upkeep;
pub mod vrrp;

use node::process_start;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use differences::Found;
pub use node::{Node, StartError, start};
pub use pool::{Panicked, Pool, PoolError};
pub(crate) use receiver::host_allowed;
pub use receiver::{Receiver, ReplicaSet, ServeError};
#[cfg(fuzzing)]
pub use source::fuzzing;
pub use source::{Difference, Index, Peer, Saved, Shared, SourceSet, Target, Watching, target_id};

/// Locks `mutex`; what it guards is consistent also when a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `stop` turns true.
async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // Nobody can turn it any more: that counts as well.
    drop(stop.wait_for(|stop| *stop).await);
}
