//! Tells one change: runs the command, or speaks to the socket or the cache.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::process::Command;

/// How often a connection is tried, as by sersync2, and how long is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// As much of a cache's answer is read.
const MAX_ANSWER: u64 = 8 * 1024;

/// Runs `words`; whatever it started goes with it when it is not waited for to the end.
pub(super) async fn run(words: &[OsString]) -> Result<(), String> {
    let Some((program, rest)) = words.split_first() else { return Err("there is no command".to_owned()) };
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot run {}: {e}", program.to_string_lossy()))?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let status = child.wait().await.map_err(|e| e.to_string())?;
    group.ended();
    if status.success() { Ok(()) } else { Err(format!("the command ended with {status}")) }
}

/// The processes of a command, which end when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// The command ended by itself: what it left running is meant to run.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
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
