//! The VRRP process's end of the socket pair: it reads and writes what fits, and waits for nothing.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::vrrp::frames::{Decoder, FrameError, encode};
use crate::vrrp::message::{FromVrrp, ToVrrp};

/// From how many bytes that wait on, reports for the log are dropped: the supervisor does not read.
const REPORTS: usize = 1 << 20;

/// From how many bytes on everything is, but for what somebody waits for.
const EVERYTHING: usize = 16 << 20;

/// How long the last messages may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    /// A message.
    Message(Box<ToVrrp>),
    /// Nothing more for now.
    Nothing,
    /// The supervisor is gone.
    End,
}

/// The channel.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    decoder: Decoder,
    outgoing: VecDeque<u8>,
    dropped: u64,
    ended: bool,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)?;
        Ok(Self { socket, decoder: Decoder::default(), outgoing: VecDeque::new(), dropped: 0, ended: false })
    }

    /// What the socket is to be polled for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// The next message that has come.
    pub(super) fn receive(&mut self) -> Result<Came, FrameError> {
        loop {
            if let Some(message) = self.decoder.poll()? {
                return Ok(Came::Message(Box::new(message)));
            }
            if self.ended {
                return Ok(Came::End);
            }
            let mut buffer = [0; 16 << 10];
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((length @ 1.., _)) => self.decoder.push(buffer.get(..length).unwrap_or(&[])),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Came::Nothing),
                Ok((0, _)) | Err(_) => self.ended = true,
            }
        }
    }

    /// Waits for the next message; used before anything is at work.
    pub(super) fn wait(&mut self) -> Result<Option<ToVrrp>, FrameError> {
        loop {
            match self.receive()? {
                Came::Message(message) => return Ok(Some(*message)),
                Came::End => return Ok(None),
                Came::Nothing => {
                    let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], None);
                }
            }
        }
    }

    /// Says something, as soon as the supervisor takes it.
    pub(super) fn say(&mut self, message: &FromVrrp) {
        let limit = match message {
            FromVrrp::Report(_) => REPORTS,
            // Somebody waits for these; there are few of them.
            FromVrrp::Ready | FromVrrp::Refused { .. } | FromVrrp::Waits | FromVrrp::Ended => usize::MAX,
            _ => EVERYTHING,
        };
        match encode(message) {
            Ok(bytes) if self.outgoing.len() + bytes.len() <= limit => self.outgoing.extend(bytes),
            _ => self.dropped += 1,
        }
        self.flush();
    }

    /// How many messages the supervisor did not take since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        if self.outgoing.is_empty() { std::mem::take(&mut self.dropped) } else { 0 }
    }

    /// Writes what fits.
    pub(super) fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            match send(&self.socket, self.outgoing.as_slices().0, SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody is left to hear it; reading tells so.
                Err(_) => return self.outgoing.clear(),
            }
        }
    }

    /// Says the last that there is to say, and waits a moment for it to leave.
    pub(super) fn finish(&mut self) {
        self.say(&FromVrrp::Ended);
        let patience = Timespec::try_from(LAST_WORDS).ok();
        while !self.outgoing.is_empty() {
            match poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], patience.as_ref()) {
                Ok(1..) | Err(Errno::INTR) => self.flush(),
                _ => return,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
