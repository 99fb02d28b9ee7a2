//! Messages on one stream of a link.

use std::time::Duration;

use bytes::Bytes;
use quinn::{ClosedStream, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{Link, LinkError};
use crate::wire::{Decoder, FrameError, Message, encode_uncopied};

/// Reads messages, of a stranger no more than [`Link::renew_budget`] says.
#[derive(Debug)]
pub struct FrameReader {
    stream: RecvStream,
    decoder: Decoder,
    /// How long nothing at all may come.
    patience: Option<Duration>,
    link: Link,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream, patience: Option<Duration>, link: Link) -> Self {
        Self { stream, decoder: Decoder::new(), patience, link }
    }

    /// The next message, none at the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// [`LinkError::Stalled`] when not one byte comes for [`Link::patience`], but on the control
    /// stream, which may be silent for as long as it likes. [`LinkError`]; after a frame that breaks the rules, or too much of it from a stranger, the
    /// whole link is closed.
    pub async fn read(&mut self) -> Result<Option<Message>, LinkError> {
        loop {
            if let Some(message) = self.decoder.poll().map_err(|e| self.broken(e))? {
                // Nothing has to be held for a sign of life.
                self.link.spend(usize::from(message != Message::Working), 0)?;
                return Ok(Some(message));
            }
            let read = self.stream.read_buf(self.decoder.room());
            let read = match self.patience {
                None => read.await,
                Some(after) => match timeout(after, read).await {
                    Ok(read) => read,
                    Err(_) => return Err(LinkError::Stalled { peer: self.link.remote_address(), after }),
                },
            };
            match read.map_err(|e| self.lost(e))? {
                0 => return self.decoder.finish().map(|()| None).map_err(|e| self.broken(e)),
                read => self.link.spend(0, read)?,
            }
        }
    }

    /// The same, but no longer than `limit`.
    ///
    /// # Errors
    /// As [`FrameReader::read`]; [`LinkError::ReadTimeout`], after which reading can go on.
    pub async fn read_timeout(&mut self, limit: Duration) -> Result<Option<Message>, LinkError> {
        match timeout(limit, self.read()).await {
            Ok(read) => read,
            Err(_) => Err(LinkError::ReadTimeout { peer: self.link.remote_address(), after: limit }),
        }
    }

    /// Tells the peer to stop sending on this stream; it sees [`LinkError::StreamReset`].
    pub fn stop(&mut self, code: u32) {
        // Fails only where the stream is at its end already.
        let _ = self.stream.stop(VarInt::from_u32(code));
    }

    fn broken(&self, source: FrameError) -> LinkError {
        self.link.close(&format!("protocol error: {source}"));
        LinkError::Frame { peer: self.link.remote_address(), source }
    }

    fn lost(&self, error: std::io::Error) -> LinkError {
        let peer = self.link.remote_address();
        match error.downcast::<ReadError>() {
            Ok(ReadError::ConnectionLost(e)) => LinkError::connection(peer, &e),
            Ok(ReadError::Reset(code)) => LinkError::StreamReset { peer, code: code.into_inner() },
            Ok(e) => LinkError::Transport { peer, cause: e.to_string() },
            Err(e) => LinkError::Transport { peer, cause: e.to_string() },
        }
    }
}

/// Writes messages. It waits for nothing but flow control.
///
/// Dropping it ends the stream as [`FrameWriter::finish`] does.
#[derive(Debug)]
pub struct FrameWriter {
    stream: SendStream,
    link: Link,
}

impl FrameWriter {
    pub(super) fn new(stream: SendStream, link: Link) -> Self {
        Self { stream, link }
    }

    /// Sends `message`; the content of data and signatures is not copied.
    ///
    /// Not cancel safe: a frame may have been sent in part, and the stream is of no more use then.
    ///
    /// # Errors
    /// [`LinkError`]: the connection is gone, the peer stopped the stream, or the message is too
    /// large.
    pub async fn write(&mut self, message: &Message) -> Result<(), LinkError> {
        let peer = self.link.remote_address();
        let [head, content] = encode_uncopied(message).map_err(|source| LinkError::Encode { peer, source })?;
        let sent = if content.is_empty() {
            self.stream.write_chunk(head).await
        } else {
            self.stream.write_all_chunks(&mut [head, content]).await
        };
        sent.map_err(|e| self.failed(e))
    }

    /// Sends whole frames that are encoded already, without a copy.
    ///
    /// # Errors
    /// As [`FrameWriter::write`].
    pub async fn write_raw(&mut self, frames: Bytes) -> Result<(), LinkError> {
        self.stream.write_chunk(frames).await.map_err(|e| self.failed(e))
    }

    /// Ends the stream: everything that was written will arrive, as long as the connection lives.
    ///
    /// # Errors
    /// [`LinkError`] when the stream was ended before.
    pub fn finish(&mut self) -> Result<(), LinkError> {
        self.stream.finish().map_err(|e: ClosedStream| self.failed(e.into()))
    }

    /// Waits until the peer has received everything of a finished stream.
    ///
    /// # Errors
    /// [`LinkError`]: the connection is gone, or the peer stopped the stream.
    pub async fn received(&mut self) -> Result<(), LinkError> {
        let peer = self.link.remote_address();
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(LinkError::StreamReset { peer, code: code.into_inner() }),
            Err(e) => Err(self.failed(e.into())),
        }
    }

    /// Gives the stream up: what has not arrived never will. The peer sees
    /// [`LinkError::StreamReset`].
    pub fn reset(&mut self, code: u32) {
        // Fails only where the stream is closed already.
        let _ = self.stream.reset(VarInt::from_u32(code));
    }

    fn failed(&self, error: WriteError) -> LinkError {
        let peer = self.link.remote_address();
        match error {
            WriteError::ConnectionLost(e) => LinkError::connection(peer, &e),
            WriteError::Stopped(code) => LinkError::StreamReset { peer, code: code.into_inner() },
            e @ (WriteError::ClosedStream | WriteError::ZeroRttRejected) => {
                LinkError::Transport { peer, cause: e.to_string() }
            }
        }
    }
}
