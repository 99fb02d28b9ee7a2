//! What changes on interfaces, as the kernel tells it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, recvfrom};

use super::NetError;
use super::address::Present;
use super::link::Link;
use super::message::{Message, messages};
use super::netlink::{is_kernel, socket};
use super::route::Gone;

/// The longest datagram of the kernel.
const DATAGRAM: usize = 64 << 10;

/// Interfaces, and addresses of both families (`RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Routes and rules of both families (`RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV4_RULE`, `RTMGRP_IPV6_ROUTE`,
/// `RTNLGRP_IPV6_RULE`).
const WAYS: u32 = 0x40 | 0x80 | 0x400 | 1 << 18;

/// Something changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// An interface came, or changed: this is how it is now.
    Link(Link),
    /// An interface is gone.
    LinkGone {
        /// The number that it had.
        index: u32,
        /// The name that it had.
        name: String,
    },
    /// An address came, or changed; a lease that begins anew is told as well.
    AddressCame(Present),
    /// An address is gone.
    AddressGone(Present),
    /// A route or a rule is gone.
    WayGone(Gone),
    /// Some of it got lost: what there is has to be read anew.
    Lost,
}

/// How many datagrams are read in a row: a whole routing table may come to be, while others wait.
const DATAGRAMS_AT_ONCE: usize = 256;

/// Hears what changes from when it is opened on.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
    events: VecDeque<Event>,
}

impl Monitor {
    /// Begins to listen. What there is is read after that, so that no change falls in between.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, NetError> {
        Self::of(GROUPS, "changes of interfaces cannot be listened to")
    }

    /// The same for routes and rules that go: apart, since a router may have a million of them that come and go at
    /// once, and what is told of interfaces must not get lost in that.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open_ways() -> Result<Self, NetError> {
        Self::of(WAYS, "changes of routes cannot be listened to")
    }

    fn of(groups: u32, or: &str) -> Result<Self, NetError> {
        let socket =
            socket(groups, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(|cause| NetError::new(or, cause))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM], events: VecDeque::new() })
    }

    /// What changed next; `None` where nothing more did so far, or where much came that is of no interest: whoever
    /// waits for the socket by poll(2) is woken again. It is to be called until it says so.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn receive(&mut self) -> io::Result<Option<Event>> {
        for _ in 0..DATAGRAMS_AT_ONCE {
            if !self.events.is_empty() {
                break;
            }
            let got = recvfrom(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty());
            let (length, sender) = match got {
                Ok((length, _, sender)) => (length, sender),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::NOBUFS) => return Ok(Some(Event::Lost)),
                Err(cause) => return Err(cause.into()),
            };
            if is_kernel(sender.as_ref()) {
                self.events.extend(messages(&self.buffer[..length]).filter_map(|message| event(&message)));
            }
        }
        Ok(self.events.pop_front())
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn event(message: &Message<'_>) -> Option<Event> {
    match message.kind {
        libc::RTM_NEWLINK => Link::parse(message.payload).map(Event::Link),
        libc::RTM_DELLINK => {
            Link::parse(message.payload).map(|link| Event::LinkGone { index: link.index, name: link.name })
        }
        libc::RTM_NEWADDR => Present::parse(message.payload).map(Event::AddressCame),
        libc::RTM_DELADDR => Present::parse(message.payload).map(Event::AddressGone),
        libc::RTM_DELROUTE | libc::RTM_DELRULE => Gone::parse(message).map(Event::WayGone),
        _ => None,
    }
}
