//! The serving side: clients in, calls to the engine out. A slow client holds up only itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::protocol::{MAX_REQUEST, Request, Response};
use super::socket;

/// How many clients are served at once.
const CLIENTS: usize = 64;

/// How long a client may say nothing, or take nothing of what it asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many responses wait for a client before whoever makes them waits, too.
const BACKLOG: usize = 256;

/// A request that the engine is to answer.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Responder,
}

/// The client is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the client of the control socket is gone")]
pub struct Gone;

/// Where the answer to a [`Call`] goes. Dropped without a final response, it tells the client that
/// syncd is stopping.
#[derive(Debug)]
pub struct Responder(mpsc::Sender<Response>);

impl Responder {
    /// Sends a response that must arrive; waits while the client is slow, so do this in a task of
    /// its own where there are many.
    ///
    /// # Errors
    /// [`Gone`]: nobody wants the rest.
    pub async fn send(&self, response: Response) -> Result<(), Gone> {
        self.0.send(response).await.map_err(|_| Gone)
    }

    /// Sends progress, which may be lost where the client is slow. Never waits.
    pub fn progress(&self, doing: &str, done: u64, total: Option<u64>) {
        // The last place is kept for the final response.
        if self.0.capacity() > 1 {
            let _ = self.0.try_send(Response::Progress { doing: doing.to_owned(), done, total });
        }
    }

    /// Sends a call's only response but for progress. Never waits.
    pub fn finish(self, response: Response) {
        let _ = self.0.try_send(response);
    }
}

/// The control socket of a running instance. Dropped, it removes the socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    file: PathBuf,
}

impl Server {
    /// Opens the socket in `dir`, the directory of an instance whose lock the caller holds. Must be
    /// called in a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(dir: &Path) -> io::Result<Self> {
        Self::bind_as(dir, socket::NAME)
    }

    /// The same for an engine that a supervisor asks: beside the supervisor's own.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind_engine(dir: &Path) -> io::Result<Self> {
        Self::bind_as(dir, socket::ENGINE)
    }

    fn bind_as(dir: &Path, name: &str) -> io::Result<Self> {
        Ok(Self { listener: UnixListener::from_std(socket::bind_in(dir, name)?)?, file: dir.join(name) })
    }

    /// Serves clients until nobody takes calls any longer.
    pub async fn run(self, calls: mpsc::Sender<Call>) {
        let seats = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = calls.closed() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
                        warn!("more than {CLIENTS} clients of the control socket: one is turned away");
                        continue;
                    };
                    let calls = calls.clone();
                    tokio::spawn(async move {
                        if let Err(e) = serve(stream, calls).await {
                            debug!("a client of the control socket went: {e}");
                        }
                        drop(seat);
                    });
                }
                // No descriptors left, most likely: others may give some back.
                Err(e) => {
                    warn!("the control socket cannot take a client: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn serve(stream: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return put(&mut write, &failed("the control socket is for root and the user that runs syncd")).await;
    }
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_REQUEST as u64 + 1;
        let length = timeout(PATIENCE, (&mut read).take(limit).read_until(b'\n', &mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            return put(&mut write, &failed("the request is longer than 64 KiB or has no end of line")).await;
        }
        match serde_json::from_slice(&line) {
            Ok(request) => answer(request, &calls, &mut write).await?,
            Err(e) => put(&mut write, &failed(&format!("this syncd does not understand the request: {e}"))).await?,
        }
    }
}

/// Has the engine answer and passes on what it says.
async fn answer(
    request: Request,
    calls: &mpsc::Sender<Call>,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<()> {
    let (reply, mut responses) = mpsc::channel(BACKLOG);
    if calls.send(Call { request, reply: Responder(reply) }).await.is_ok() {
        while let Some(response) = responses.recv().await {
            put(write, &response).await?;
            if response.is_final() {
                return Ok(());
            }
        }
    }
    put(write, &failed("syncd is stopping: the request was not finished; ask again when it runs")).await
}

fn failed(message: &str) -> Response {
    Response::Failed { message: message.to_owned() }
}

async fn put(write: &mut (impl AsyncWriteExt + Unpin), response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    timeout(PATIENCE, write.write_all(&line)).await?
}

#[cfg(test)]
mod tests;
