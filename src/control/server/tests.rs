//! The control socket against clients that are right, wrong, slow and many.

use std::io::{BufRead, BufReader as StdBufReader, Write};
use std::os::unix::fs::PermissionsExt;

use super::super::{Client, ClientError, PendingName, Status};
use super::*;

/// Serves in `dir` with an engine that knows a few answers.
fn serve_in(dir: &Path) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let (calls, mut engine) = mpsc::channel::<Call>(4);
    let server = runtime.block_on(async { Server::bind(dir) }).expect("bind");
    runtime.spawn(server.run(calls));
    runtime.spawn(async move {
        while let Some(Call { request, reply }) = engine.recv().await {
            match request {
                Request::Status => {
                    let status = Status { node: "web1".to_owned(), ..Default::default() };
                    reply.finish(Response::Status(Box::new(status)));
                }
                Request::ReplayList => {
                    tokio::spawn(async move {
                        for n in 0..1000u64 {
                            let path = n.to_string();
                            let name = PendingName { target: "t".to_owned(), path, age_seconds: n, cause: None };
                            reply.progress("listing", n, None);
                            if reply.send(Response::Pending(name)).await.is_err() {
                                return;
                            }
                        }
                        let _ = reply.send(Response::Done { message: "1000 names".to_owned() }).await;
                    });
                }
                // Dropped without an answer, as by an engine that ends.
                _ => {}
            }
        }
    });
    runtime
}

#[test]
fn one_client_asks_many_times() {
    let dir = tempfile::tempdir().expect("tempdir");
    let _runtime = serve_in(dir.path());
    let mut client = Client::connect(dir.path()).expect("connect");
    for _ in 0..3 {
        let answer = client.ask(&Request::Status, |_| ()).expect("answer");
        assert!(matches!(answer, Response::Status(s) if s.node == "web1"));
        let mut names = 0;
        let answer = client.ask(&Request::ReplayList, |r| names += usize::from(matches!(r, Response::Pending(_))));
        assert_eq!(answer.expect("answer"), Response::Done { message: "1000 names".to_owned() });
        assert_eq!(names, 1000);
    }
}

#[test]
fn a_client_that_does_not_read_stops_no_other() {
    let dir = tempfile::tempdir().expect("tempdir");
    let _runtime = serve_in(dir.path());
    let mut lazy = socket::connect_in(dir.path(), socket::NAME).expect("connect");
    lazy.write_all(&b"\"replay_list\"\n".repeat(50)).expect("write");
    let mut client = Client::connect(dir.path()).expect("connect");
    assert!(client.ask(&Request::Status, |_| ()).is_ok());
}

#[test]
fn an_engine_that_drops_the_call_is_told_to_the_client() {
    let dir = tempfile::tempdir().expect("tempdir");
    let _runtime = serve_in(dir.path());
    let mut client = Client::connect(dir.path()).expect("connect");
    let error = client.ask(&Request::Reload, |_| ()).expect_err("no answer");
    assert!(matches!(&error, ClientError::Failed(m) if m.contains("stopping")), "{error}");
}

#[test]
fn a_request_that_is_too_long_or_no_request_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let _runtime = serve_in(dir.path());
    for (bytes, cause) in [(vec![b'x'; MAX_REQUEST + 10], "64 KiB"), (b"{\"erase\":1}\n".to_vec(), "understand")] {
        let mut stream = socket::connect_in(dir.path(), socket::NAME).expect("connect");
        stream.write_all(&bytes).expect("write");
        let mut line = String::new();
        StdBufReader::new(stream).read_line(&mut line).expect("read");
        assert!(line.contains(cause), "{line}");
    }
}

#[test]
fn the_socket_is_closed_to_others_however_deep_it_lies() {
    let base = tempfile::tempdir().expect("tempdir");
    let dir = base.path().join("d".repeat(120));
    std::fs::create_dir(&dir).expect("mkdir");
    // What a crash left there is replaced.
    std::fs::write(dir.join(socket::NAME), "").expect("write");
    let runtime = serve_in(&dir);
    let mode = std::fs::metadata(dir.join(socket::NAME)).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(Client::connect(&dir).expect("connect").ask(&Request::Status, |_| ()).is_ok());
    drop(runtime);
    assert!(!dir.join(socket::NAME).exists());
    assert!(matches!(Client::connect(&dir), Err(ClientError::NotRunning { .. })));
}
