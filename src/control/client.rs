//! The asking side, for commands: blocking and plain.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::protocol::{Request, Response};
use super::socket;

/// The longest response in bytes: a status of thousands of targets fits.
pub(super) const MAX_RESPONSE: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no syncd is running for {dir}: start it, or name the directory of the one that runs with --state-dir",
        dir = dir.display()
    )]
    NotRunning {
        /// The instance's directory.
        dir: PathBuf,
    },
    /// The socket belongs to another user.
    #[error("the syncd of {dir} belongs to another user: ask as root or as that user", dir = dir.display())]
    Denied {
        /// The instance's directory.
        dir: PathBuf,
    },
    /// The conversation broke off.
    #[error("the syncd of {dir} broke off: {source}; see its log, then ask again", dir = dir.display())]
    Broken {
        /// The instance's directory.
        dir: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The running syncd says why not.
    #[error("{0}")]
    Failed(String),
}

/// A conversation with a running syncd.
#[derive(Debug)]
pub struct Client {
    dir: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the syncd that runs the instance in `dir`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], [`ClientError::Denied`].
    pub fn connect(dir: &Path) -> Result<Self, ClientError> {
        let stream = socket::connect_in(dir, socket::NAME).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                ClientError::NotRunning { dir: dir.to_owned() }
            }
            io::ErrorKind::PermissionDenied => ClientError::Denied { dir: dir.to_owned() },
            _ => ClientError::Broken { dir: dir.to_owned(), source: e },
        })?;
        Ok(Self { dir: dir.to_owned(), stream: BufReader::new(stream) })
    }

    /// The directory of the instance that is asked.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks, hands responses that are not final to `each` as they come, and returns the final one,
    /// for which it waits as long as the connection lives.
    ///
    /// # Errors
    /// [`ClientError::Failed`] for what syncd refuses, [`ClientError::Broken`].
    pub fn ask(&mut self, request: &Request, mut each: impl FnMut(Response)) -> Result<Response, ClientError> {
        let mut line = serde_json::to_vec(request).map_err(|e| self.broken(e.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|e| self.broken(e))?;
        loop {
            match self.read()? {
                Response::Failed { message } => return Err(ClientError::Failed(message)),
                response if response.is_final() => return Ok(response),
                response => each(response),
            }
        }
    }

    fn read(&mut self) -> Result<Response, ClientError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(MAX_RESPONSE).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => serde_json::from_slice(&line).map_err(|e| self.broken(e.into())),
            Err(e) => Err(self.broken(e)),
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { dir: self.dir.clone(), source }
    }
}
