//! Asks the engine on behalf of a client of the supervisor's.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::protocol::{Request, Response};
use super::server::Responder;
use super::{client, socket};

/// A question to the engine whose socket is in an instance's directory.
struct Question(BufReader<UnixStream>);

impl Question {
    async fn ask(dir: &Path, request: &Request) -> io::Result<Self> {
        let stream = socket::connect_at_once(dir, socket::ENGINE)?;
        let mut stream = UnixStream::from_std(stream)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn answer(&mut self) -> io::Result<Response> {
        let mut line = Vec::new();
        match (&mut self.0).take(client::MAX_RESPONSE).read_until(b'\n', &mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_slice(&line)?),
        }
    }
}

/// Asks the engine of `dir` something that has one answer.
///
/// # Errors
/// It does not run, or it broke off.
pub async fn ask_engine(dir: &Path, request: &Request) -> io::Result<Response> {
    let mut question = Question::ask(dir, request).await?;
    loop {
        let response = question.answer().await?;
        if response.is_final() {
            return Ok(response);
        }
    }
}

/// Has the engine of `dir` answer `reply`, with each response as it comes.
pub async fn relay(dir: &Path, request: &Request, reply: Responder) {
    if let Err(e) = pass_on(dir, request, &reply).await {
        let message = format!("the replication engine does not answer ({e}): `syncd status` says how it is");
        reply.finish(Response::Failed { message });
    }
}

async fn pass_on(dir: &Path, request: &Request, reply: &Responder) -> io::Result<()> {
    let mut question = Question::ask(dir, request).await?;
    loop {
        let response = question.answer().await?;
        let last = response.is_final();
        // Nobody wants the rest: the engine notices by the connection.
        if reply.send(response).await.is_err() || last {
            return Ok(());
        }
    }
}
