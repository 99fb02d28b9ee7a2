//! The signals that a supervisor obeys, and those of keepalived that are no reason to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
}

/// How many signals wait.
const WAITING: usize = 16;

/// The signals that come from now on. Must be called in a tokio runtime.
pub(super) fn listen() -> io::Result<mpsc::Receiver<Told>> {
    let (told, signals) = mpsc::channel(WAITING);
    let kinds = [
        (SignalKind::terminate(), Told::End),
        (SignalKind::interrupt(), Told::End),
        (SignalKind::hangup(), Told::Reload),
    ];
    for (kind, name) in [(SignalKind::user_defined1(), "SIGUSR1"), (SignalKind::user_defined2(), "SIGUSR2")] {
        let mut signal = signal(kind)?;
        tokio::spawn(async move {
            // keepalived writes what it knows into a file; unheard, it would be the end.
            while signal.recv().await.is_some() {
                tracing::info!("{name} does nothing here: `syncd status --json` says what is known");
            }
        });
    }
    for (kind, what) in kinds {
        let (mut signal, told) = (signal(kind)?, told.clone());
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                // So many wait that one more says nothing new.
                let _ = told.try_send(what);
            }
        });
    }
    Ok(signals)
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn end(signals: &mut mpsc::Receiver<Told>) {
    loop {
        match signals.recv().await {
            Some(Told::End) => return,
            Some(Told::Reload) => {}
            None => return std::future::pending().await,
        }
    }
}
