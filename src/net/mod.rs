//! What the VRRP process does to the network and learns from it: raw sockets, netlink, ARP and neighbour discovery.
//!
//! | question | file |
//! |---|---|
//! | how do advertisements leave and come? | [`advert`] |
//! | how do neighbours learn whose an address is now? | [`announce`], [`frame`] |
//! | how is the kernel asked for something? | [`netlink`] |
//! | which interfaces are there, and how are they? | [`link`] |
//! | how is an address put on an interface, kept and taken off? | [`address`] |
//! | how do routes and rules come and go? | [`route`] |
//! | how is an interface made that has a virtual router's hardware address? | [`vmac`] |
//! | what changed that nobody here asked for? | [`monitor`] |
//! | what must not be answered? | [`firewall`] |
//! | may this process do all that, and nothing else? | [`rights`] |
//! | how is it never late? | [`realtime`] |
//!
//! Nothing here waits: a socket that has nothing to give says so, and can be polled. Requests to the kernel
//! are answered before the call that makes them returns.

pub mod address;
pub mod advert;
pub mod announce;
mod error;
pub mod firewall;
pub mod frame;
mod ip_header;
pub mod link;
mod message;
pub mod monitor;
pub mod netlink;
mod packet_address;
pub mod realtime;
pub mod rights;
pub mod route;
pub mod vmac;

pub use error::NetError;
