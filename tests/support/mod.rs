//! What the end-to-end tests share: real nodes, a hostile network, random work on a tree, an exact comparer.
//!
//! Each `tests/*.rs` compiles this anew and uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code outside of #[test] functions")]

pub mod background;
pub mod cgroup;
pub mod client;
pub mod ear;
pub mod frames;
pub mod injector;
pub mod namespace;
pub mod node;
pub mod ops;
pub mod pair;
pub mod probe;
pub mod program;
pub mod proxy;
pub mod rsyncd;
pub mod seed;
pub mod skip;
pub mod tree;
pub mod vrrp;
