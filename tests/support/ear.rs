//! An ear at a port of a switch, and what the frames say that it hears.

use std::io::{IoSliceMut, Read as _};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::background::{Background, readable};
use super::namespace::Lan;
use super::vrrp::Lab;

/// How much may wait for whoever hears it, in bytes as the kernel counts: a flood of two seconds.
const WAITING: usize = 16 << 20;

/// A frame at the switch.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it was heard of.
    pub at: Instant,
    /// When it came, as the kernel says: also where whoever hears it was late.
    pub came: SystemTime,
    /// All of it, from the destination's hardware address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The VRRP bytes of an IPv4 packet behind a header without options, and its source.
    pub fn vrrp(&self) -> Option<(Ipv4Addr, &[u8])> {
        let ip = self.bytes.get(14..)?;
        let is_vrrp = self.bytes.get(12..14)? == [8, 0] && ip.get(9) == Some(&112);
        let from = <[u8; 4]>::try_from(ip.get(12..16)?).ok()?;
        let length = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
        is_vrrp.then_some((from.into(), ip.get(20..length)?))
    }

    /// The address that a gratuitous ARP announces.
    pub fn gratuitous_arp(&self) -> Option<Ipv4Addr> {
        let arp = self.bytes.get(14..42)?;
        let is_arp = self.bytes.get(12..14)? == [8, 6] && arp.get(14..18) == arp.get(24..28);
        let ip = <[u8; 4]>::try_from(arp.get(14..18)?).ok()?;
        is_arp.then_some(ip.into())
    }
}

/// Hears what comes into the switch from a router.
pub struct Ear {
    frames: Arc<Mutex<Vec<Frame>>>,
    _hearing: Background,
}

impl Ear {
    /// Hears what passes the port of router `n` from now on.
    pub fn new(lab: &Lab, n: usize) -> Self {
        Self::at(&lab.lan, &lab.routers[n].port)
    }

    /// Hears what passes this port of `lan`, in or out.
    pub fn at(lan: &Lan, port: &str) -> Self {
        let socket = lan.switch().run(|| listen(port));
        let frames = Arc::new(Mutex::new(Vec::new()));
        let heard = frames.clone();
        let mut buffer = [0; 2048];
        let hearing = Background::new(move || {
            if let Some(frame) = readable(&socket).then(|| receive(&socket, &mut buffer)).flatten() {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
            }
        });
        Self { frames, _hearing: hearing }
    }

    /// All that was heard so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first frame that is what is looked for.
    pub fn find(&self, is: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().find(|frame| is(frame)).cloned()
    }

    /// How many advertisements of `from` came at `since` or later, as the kernel says.
    pub fn adverts_since(&self, from: Ipv4Addr, since: SystemTime) -> usize {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let later = frames.iter().filter(|frame| frame.came >= since);
        later.filter(|frame| frame.vrrp().is_some_and(|(source, _)| source == from)).count()
    }

    /// The VRRP bytes that came from `from`.
    pub fn adverts(&self, from: Ipv4Addr) -> Vec<(Instant, Vec<u8>)> {
        // What is heard besides, as of a flood, is not copied.
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |frame: &Frame| {
            let (source, bytes) = frame.vrrp()?;
            (source == from).then(|| (frame.at, bytes.to_vec()))
        };
        frames.iter().filter_map(of).collect()
    }
}

/// A socket that hears what passes the interface `name`.
fn listen(name: &str) -> Socket {
    let every = Protocol::from(i32::from(0x0003_u16.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(every)).expect("a packet socket");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("the kernel says when it came");
    setsockopt(&socket, sockopt::RcvBufForce, &WAITING).expect("root may have a long queue");
    let interface = nix::net::if_::if_nametoindex(name).expect("an interface");
    socket.attach_filter(&passes(interface)).expect("a filter");
    // What came before there was a filter.
    socket.set_nonblocking(true).expect("a socket");
    while (&socket).read(&mut [0; 16]).is_ok() {}
    socket.set_nonblocking(false).expect("a socket");
    socket
}

/// A program of the kernel's that lets through what passes an interface, in or out, but no datagrams from one host to another
/// (UDP): those of a probe and of a load are too many. A packet socket cannot be tied to a device by its name.
fn passes(interface: u32) -> [SockFilter; 12] {
    let line = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    let load = |size: u32, at| line(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, at);
    let test = |how: u32, k, jt, jf| line(libc::BPF_JMP | how | libc::BPF_K, jt, jf, k);
    let end = |length| line(libc::BPF_RET | libc::BPF_K, 0, 0, length);
    [
        load(libc::BPF_W, (libc::SKF_AD_OFF + libc::SKF_AD_IFINDEX).cast_unsigned()),
        test(libc::BPF_JEQ, interface, 0, 9),
        // To all, or to a group.
        load(libc::BPF_B, 0),
        test(libc::BPF_JSET, 1, 6, 0),
        load(libc::BPF_H, 12),
        test(libc::BPF_JEQ, 0x0800, 2, 0),
        // The protocol of IPv6, and that of IPv4.
        load(libc::BPF_B, 20),
        test(libc::BPF_JEQ, 17, 3, 2),
        load(libc::BPF_B, 23),
        test(libc::BPF_JEQ, 17, 1, 0),
        end(u32::MAX),
        end(0),
    ]
}

/// The frame that `socket` has; none where it has none.
fn receive(socket: &Socket, buffer: &mut [u8]) -> Option<Frame> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).ok()?;
    let came = got.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(came) => Some(SystemTime::UNIX_EPOCH + Duration::from(came)),
        _ => None,
    })?;
    let length = got.bytes;
    Some(Frame { at: Instant::now(), came, bytes: buffer.get(..length)?.to_vec() })
}
