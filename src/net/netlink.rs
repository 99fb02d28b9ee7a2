//! Requests to the kernel by rtnetlink(7), each answered before the call returns.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, bind, recvfrom, sendto, socket_with,
};

use super::NetError;
use super::message::{Message, messages, u32_at};

/// How many requests travel in one datagram: the answers to all of them fit the receive buffer.
const BATCH: usize = 64;

/// What the kernel may keep for us, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The longest datagram of the kernel.
const DATAGRAM: usize = 64 << 10;

/// The kernel answers while it is asked; an answer that does not come was lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a list is asked for anew that changed while it was read.
const DUMPS: usize = 8;

/// A request and what is to be done where the thing is there, or not (`NLM_F_CREATE` and so on).
pub(super) type Request = (RouteNetlinkMessage, u16);

/// A connection to the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Netlink {
    /// A connection of its own.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, NetError> {
        let failed = |cause: Errno| NetError::new("a netlink socket cannot be made", cause);
        let socket = socket(0, SocketFlags::CLOEXEC).map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
        Ok(Self { socket, sequence: 0, outgoing: Vec::new(), incoming: vec![0; DATAGRAM] })
    }

    /// Makes all of `requests`; the answers are in their order.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub(super) fn ask(&mut self, requests: Vec<Request>) -> io::Result<Vec<Result<(), Errno>>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let first = self.sequence.wrapping_add(1);
            self.outgoing.clear();
            let mut count = 0;
            for (message, flags) in requests.by_ref().take(BATCH) {
                self.append(message, flags | NLM_F_REQUEST | NLM_F_ACK);
                count += 1;
            }
            self.send()?;
            self.collect(first, count, &mut answers)?;
        }
        Ok(answers)
    }

    /// The same where an answer that did not come is an error of each.
    pub(super) fn ask_all(&mut self, requests: Vec<Request>) -> Vec<Result<(), Errno>> {
        let count = requests.len();
        self.ask(requests).unwrap_or_else(|cause| {
            let cause = Errno::from_io_error(&cause).unwrap_or(Errno::IO);
            vec![Err(cause); count]
        })
    }

    /// Asks for a list and shows each message of it to `see`, which starts afresh when it is told `None`.
    pub(super) fn list(
        &mut self,
        message: &RouteNetlinkMessage,
        see: &mut dyn FnMut(Option<Message<'_>>),
    ) -> io::Result<()> {
        for _ in 0..DUMPS {
            see(None);
            self.outgoing.clear();
            self.append(message.clone(), NLM_F_REQUEST | NLM_F_DUMP);
            self.send()?;
            if self.read_list(see)? {
                return Ok(());
            }
        }
        Err(io::Error::other("it changed each time that it was read"))
    }

    /// Reads a list to its end; false when it changed meanwhile.
    fn read_list(&mut self, see: &mut dyn FnMut(Option<Message<'_>>)) -> io::Result<bool> {
        let mut whole = true;
        loop {
            let length = self.receive()?;
            for message in messages(&self.incoming[..length]).filter(|m| m.sequence == self.sequence) {
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(whole),
                    libc::NLMSG_ERROR => {
                        error_of(message.payload)?;
                        return Ok(whole);
                    }
                    _ => see(Some(message)),
                }
            }
        }
    }

    /// The answers to `count` requests from `first` on.
    fn collect(&mut self, first: u32, count: u32, answers: &mut Vec<Result<(), Errno>>) -> io::Result<()> {
        let mut open = count;
        let before = answers.len();
        answers.extend((0..count).map(|_| Err(Errno::NOBUFS)));
        while open > 0 {
            let length = self.receive()?;
            for message in messages(&self.incoming[..length]) {
                let at = message.sequence.wrapping_sub(first);
                if i32::from(message.kind) == libc::NLMSG_ERROR && at < count {
                    answers[before + at as usize] = error_of(message.payload);
                    open -= 1;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, message: RouteNetlinkMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let at = self.outgoing.len();
        self.outgoing.resize(at + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut self.outgoing[at..]);
    }

    fn send(&self) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::io::retry_on_intr(|| sendto(&self.socket, &self.outgoing, SendFlags::empty(), &kernel))?;
        Ok(())
    }

    /// The length of the next datagram of the kernel.
    fn receive(&mut self) -> io::Result<usize> {
        loop {
            let got =
                rustix::io::retry_on_intr(|| recvfrom(&self.socket, self.incoming.as_mut_slice(), RecvFlags::empty()))?;
            if is_kernel(got.2.as_ref()) {
                return Ok(got.0);
            }
        }
    }
}

/// A netlink socket that hears `groups`.
pub(super) fn socket(groups: u32, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    // Of the protocols of netlink, routing is number 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    // Without CAP_NET_ADMIN it stays as it is: no reason to do nothing.
    let _ = set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Whether it is the kernel that sent something, and no other process.
pub(super) fn is_kernel(sender: Option<&SocketAddrAny>) -> bool {
    sender.and_then(|sender| SocketAddrNetlink::try_from(sender.clone()).ok()).is_some_and(|sender| sender.pid() == 0)
}

/// What an answer says: its code, 0 where all is well.
fn error_of(payload: &[u8]) -> Result<(), Errno> {
    let code = u32_at(payload, 0).unwrap_or_default().cast_signed();
    if code == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(code.wrapping_neg())) }
}
