//! The network as the VRRP process sees and changes it, in network namespaces.

mod addresses;
mod bed;
mod packets;
mod rights;
mod routes;
#[path = "../support/mod.rs"]
mod support;
mod vmac;
