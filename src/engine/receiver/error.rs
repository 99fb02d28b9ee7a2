//! What keeps a set from being served here.

use crate::apply::ApplyError;
use crate::engine::pool::PoolError;
use crate::store::StoreError;

/// What keeps a set from being served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The tree or its stage.
    #[error("set {set}: {cause}")]
    Apply {
        /// The set.
        set: String,
        /// Why.
        cause: ApplyError,
    },
    /// The filter that keeps the stage out.
    #[error("set {set}: {cause}")]
    Filter {
        /// The set.
        set: String,
        /// Why.
        cause: String,
    },
    /// The root directory.
    #[error("set {set}: cannot open {path}: {cause}")]
    Root {
        /// The set.
        set: String,
        /// The root directory.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Its user.
    #[error("set {set}: {cause}")]
    Pool {
        /// The set.
        set: String,
        /// Why.
        cause: PoolError,
    },
    /// The store.
    #[error("set {set}: {cause}")]
    Store {
        /// The set.
        set: String,
        /// Why.
        cause: StoreError,
    },
}
