//! The one configuration that everything else sees, and its translation from each kind of file.
//!
//! | question | file |
//! |---|---|
//! | what can a node be told? | `model.rs` |
//! | which kind of file is this, and what does it say? | `load.rs`, `kind.rs` |
//! | `syncd.toml` | `native.rs` |
//! | sersync2's `confxml.xml` | `source.rs`, `credentials.rs`, `rsync.rs`, `plugin.rs` |
//! | rules of what is left out, sizes and owners, in any of them | `rules.rs`, `sizes.rs`, `owners.rs` |
//! | `rsyncd.conf` | `peer.rs`, `include.rs`, `hosts.rs`, `machine.rs` |
//! | `--set KEY=VALUE` | `overrides.rs` |
//! | is all that it names there? | `check.rs` |
//! | legacy files as one native file | `convert.rs`, `native/write.rs` |
//! | what is wrong with files, alone and as a set? | [`lint`], `glob.rs` |

mod check;
mod convert;
#[cfg(test)]
mod corpus;
mod credentials;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod glob;
mod hosts;
mod include;
mod kind;
pub mod lint;
mod load;
mod machine;
mod model;
mod native;
mod overrides;
mod owners;
mod peer;
mod places;
mod plugin;
mod rsync;
mod rules;
mod sizes;
mod source;
#[cfg(test)]
mod tests;
mod value;
pub mod vrrp;

pub use check::check_local;
pub use convert::{Converted, convert};
pub use error::ConfigError;
pub use load::{Loaded, load_peer, load_plugin, load_source};
pub use model::{
    CdnPassword, Coalesce, Compare, Compression, Config, DeletePolicy, Events, FailLog, Family, HostPattern,
    NodeConfig, Owner, Plugin, PluginAction, Reach, ReplicaAuth, ReplicaSet, SetOptions, SourceAuth, SourceSet, Target,
    Transport, Tuning, Vrrp, XferExec,
};
pub use overrides::{OVERRIDES, Override};
pub use peer::NO_PASSWORD;

/// What is said about a configuration file; its [`std::fmt::Display`] shows the line with a caret.
pub use syncd_compat::{Finding, Severity};

/// The UDP port of a listener and of a peer that names none: rsync's number.
pub const DEFAULT_PORT: u16 = 873;
