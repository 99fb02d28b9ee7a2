//! The one configuration that everything else sees, and its translation from each kind of file.

mod model;

pub use model::{
    Coalesce, Compression, Config, DeletePolicy, FailLog, HostPattern, NodeConfig, Owner, ReplicaAuth, ReplicaSet,
    SetOptions, SourceAuth, SourceSet, Target, Tuning,
};
