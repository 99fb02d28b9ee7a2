//! What the VRRP process does to the network and learns from it: raw sockets, netlink, ARP and neighbour discovery.
//!
//! | question | file |
//! |---|---|
//! | how do advertisements leave and come? | [`advert`] |
//! | how do neighbours learn whose an address is now? | [`announce`], [`frame`] |
//! | how is the kernel asked for something? | [`netlink`] |
//! | which interfaces are there, and how are they? | [`link`] |
//! | how is an address put on an interface, kept and taken off? | [`address`] |
//! | what changed that nobody here asked for? | [`monitor`] |
//!
//! Nothing here waits: a socket that has nothing to give says so, and can be polled. Requests to the kernel
//! are answered before the call that makes them returns.

pub mod address;
pub mod advert;
pub mod announce;
mod error;
pub mod frame;
mod ip_header;
pub mod link;
mod message;
pub mod monitor;
pub mod netlink;
mod packet_address;

pub use error::NetError;
