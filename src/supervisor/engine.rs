//! What the supervisor and the replication engine tell each other over the engine's standard input. All
//! else goes over the engine's control socket.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::process::signals;
use crate::vrrp::frames::{Decoder, encode};

/// To the engine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ToEngine {
    /// End, as by SIGTERM. So does the end of the conversation.
    Stop,
}

/// From the engine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum FromEngine {
    /// It watches or listens, and answers on its control socket.
    Ready {
        /// The file that the configuration wants the number of the process in.
        pid_file: Option<PathBuf>,
    },
    /// It cannot start, and ends.
    Refused {
        /// The exit code that this has.
        code: u8,
        /// Why.
        message: String,
    },
}

/// Has this process pass over the signals that an operator sends to the supervisor and that reach all of syncd
/// (`pkill -HUP syncd`). Programs that it starts obey them: blocked or ignored, they would not. Must be called in a
/// tokio runtime.
///
/// # Errors
/// The kernel refuses.
pub fn pass_over_signals() -> io::Result<()> {
    for kind in
        [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::user_defined1(), SignalKind::user_defined2()]
    {
        // Once there, it stays there, whether anybody listens or not.
        drop(signal(kind)?);
    }
    signals::release();
    Ok(())
}

/// The engine's end of the conversation.
#[derive(Debug)]
pub struct EngineEnd {
    stream: UnixStream,
    decoder: Decoder,
}

impl EngineEnd {
    /// Takes standard input for it. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Standard input is no socket: somebody else than a supervisor started this process.
    pub fn of_stdin() -> io::Result<Self> {
        let stream = StdStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
        stream.peer_addr()?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, decoder: Decoder::default() })
    }

    /// Tells the supervisor something; lost where that is gone.
    pub async fn say(&mut self, message: &FromEngine) {
        if let Ok(bytes) = encode(message) {
            let _ = self.stream.write_all(&bytes).await;
        }
    }

    /// Waits until it is told to end, or the supervisor is gone.
    pub async fn end(&mut self) {
        let mut part = [0; 256];
        loop {
            if matches!(self.decoder.poll(), Ok(Some(ToEngine::Stop)) | Err(_)) || self.stream.readable().await.is_err()
            {
                return;
            }
            match self.stream.try_read(&mut part) {
                Ok(read @ 1..) => self.decoder.push(part.get(..read).unwrap_or(&[])),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}
