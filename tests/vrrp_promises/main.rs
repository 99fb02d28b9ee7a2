//! What syncd promises of virtual addresses besides speaking VRRP: hostile packets move nothing, and no address is
//! left behind or taken from somebody else.

mod addresses;
mod cgroups;
mod faults;
mod hostile;
#[path = "../support/mod.rs"]
mod support;
mod ways;
