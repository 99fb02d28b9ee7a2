//! Tells one change: runs the command, or speaks to the socket or the cache.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::process::{self, Program};

/// How often a connection is tried, as by sersync2, and how long is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// As much of a cache's answer is read.
const MAX_ANSWER: u64 = 8 * 1024;

/// Runs `words`; whatever it started goes with it when it takes longer than `limit`.
pub(super) async fn run(words: Vec<OsString>, limit: Duration) -> Result<(), String> {
    process::run(&Program { argv: words, limit, ..Program::default() }).await.map_err(|e| e.to_string())
}

/// Sends `bytes` on a connection of their own, and nothing else.
pub(super) async fn send(to: impl ToSocketAddrs + Clone, bytes: &[u8]) -> Result<(), String> {
    let mut stream = connect(to).await.map_err(|e| format!("cannot connect: {e}"))?;
    let sent = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await
    };
    sent.await.map_err(|e| format!("cannot send: {e}"))
}

/// Sends an HTTP request and reads what is said to it.
pub(super) async fn ask(to: impl ToSocketAddrs + Clone, request: &[u8]) -> Result<(), String> {
    let mut stream = connect(to).await.map_err(|e| format!("cannot connect: {e}"))?;
    stream.write_all(request).await.map_err(|e| format!("cannot send: {e}"))?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    judge(&String::from_utf8_lossy(&answer)).map_err(|why| match read {
        Err(e) if answer.is_empty() => format!("no answer: {e}"),
        _ => why,
    })
}

/// Whether the answer says that it was done.
fn judge(answer: &str) -> Result<(), String> {
    let first = answer.lines().next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
    // ChinaCache's word for it.
    let more = answer.lines().find(|line| line.starts_with("whatsup")).unwrap_or(first).trim();
    match status {
        Some(200..=399) => {
            tracing::debug!("the cache says: {more}");
            Ok(())
        }
        Some(_) => Err(format!("the cache refuses: {more}")),
        None => Err("the answer is no HTTP".to_owned()),
    }
}

async fn connect(to: impl ToSocketAddrs + Clone) -> io::Result<TcpStream> {
    let mut tried = 1;
    loop {
        match TcpStream::connect(to.clone()).await {
            Err(_) if tried < TRIES => tried += 1,
            result => return result,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status() {
        assert_eq!(judge("HTTP/1.0 200 OK\r\nwhatsup: content=\"succeed\"\r\n\r\n"), Ok(()));
        assert!(
            judge("HTTP/1.1 403 Forbidden\r\nwhatsup: wrong user\r\n").is_err_and(|why| why.contains("wrong user"))
        );
        assert!(judge("").is_err() && judge("SSH-2.0-x\r\n").is_err());
    }
}
