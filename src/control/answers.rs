//! Answers what the control socket is asked, from the running node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::protocol::{
    Certificates, Difference, LastError, PendingName, PinnedKey, ProblemPath, Request, Response, SetRole, SetStatus,
    SourceStatus, Status, TargetState, TargetStatus, VerifyResult, WatchStatus,
};
use super::server::{Call, Responder};
use crate::config::Reach;
use crate::engine::{Found, Node, ReplicaSet, SourceSet, Target};
use crate::model::{Epoch, RelPath};
use crate::session::{Fault, PeerState, Phase};

/// The node that runs now: a reload puts another in its place.
pub type Current = Arc<Mutex<Arc<Node>>>;

/// Takes `node` for the one that runs now.
pub fn replace(current: &Current, node: Arc<Node>) {
    *current.lock().unwrap_or_else(PoisonError::into_inner) = node;
}

/// Answers calls until nobody can make one any more; reloads go to `reload`.
///
/// `log` is where the process logs, where that is a file of its own.
pub async fn run(
    current: Current,
    mut calls: mpsc::Receiver<Call>,
    reload: mpsc::Sender<Responder>,
    log: Option<PathBuf>,
) {
    let log = log.map(|log| log.display().to_string());
    while let Some(Call { request, reply }) = calls.recv().await {
        let node = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match request {
            Request::Status => {
                reply.finish(Response::Status(Box::new(Status { log: log.clone(), ..status(&node) })));
            }
            Request::Verify { set } => {
                tokio::spawn(async move { verify(&node, set.as_deref(), reply).await });
            }
            Request::Replay => {
                node.peers.iter().for_each(|peer| peer.replay_now());
                reply.finish(done("everything that is pending is tried now"));
            }
            Request::ReplayList => {
                tokio::spawn(async move { list_pending(&node, reply).await });
            }
            Request::Resume { set } => {
                tokio::spawn(async move { reply.finish(release(&node, &set, false).await) });
            }
            Request::Approve { set } => {
                tokio::spawn(async move { reply.finish(release(&node, &set, true).await) });
            }
            Request::Reload => {
                // Whoever runs the node answers: reading the configuration is its business.
                let _ = reload.send(reply).await;
            }
            Request::Upgrade => reply.finish(failed(
                "only a syncd that runs VRRP can go on in another program: restart this one; nothing is lost thereby",
            )),
            Request::CertsList => reply.finish(certificates(&node)),
            Request::CertsForget { set, user } => reply.finish(forget(&node, &set, &user)),
        }
    }
}

fn done(message: impl Into<String>) -> Response {
    Response::Done { message: message.into() }
}

fn failed(message: impl Into<String>) -> Response {
    Response::Failed { message: message.into() }
}

/// How `node` stands.
#[must_use]
pub fn status(node: &Node) -> Status {
    let sources = node.sources.iter().map(|set| source_status(node, set));
    let replicas = node.receiver.iter().flat_map(|r| &r.sets).map(|set| replica_status(set));
    Status {
        node: node.config.node.name.clone(),
        key: node.key.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        config: node.config.file.display().to_string(),
        listen: node.listening.map(|a| a.to_string()),
        uptime_seconds: node.started.elapsed().as_secs(),
        sets: sources.chain(replicas).collect(),
        counters: node.counters(),
        store_fault: node.store_fault(),
        ..Status::default()
    }
}

fn source_status(node: &Node, set: &SourceSet) -> SetStatus {
    let (number, entries, root) = {
        let mut index = set.index.lock();
        (index.number(), index.manifest().len() as u64, index.root(set.config.options.attrs))
    };
    let epoch = set.epoch();
    let watch = set.watch();
    SetStatus {
        name: set.config.name.clone(),
        path: set.config.path.display().to_string(),
        role: SetRole::Primary,
        epoch: epoch.to_string(),
        generation: Some(format!("{}.{number}", epoch.counter)),
        root: root.map(|r| r.to_string()),
        entries,
        fault: watch.root_gone.clone(),
        halted: set.halted().map(|h| h.to_string()),
        watch: Some(WatchStatus {
            watches: watch.watches,
            limited: watch.limited.clone(),
            overflows: watch.overflows,
            polled: watch.polled,
        }),
        targets: set.targets.iter().map(|t| target_status(node, t)).collect(),
        problems: problems(node, set),
        ..SetStatus::default()
    }
}

/// What cannot be kept equal: paths that are the trouble here, and those that are it at one peer.
fn problems(node: &Node, set: &SourceSet) -> Vec<ProblemPath> {
    let (problems, _) = node.monitor.problems(&set.config.name);
    let here = problems.into_iter().map(|p| ProblemPath { path: p.path.to_string(), peer: None, cause: p.cause });
    let there = set.targets.iter().flat_map(|target| {
        let peer = target.to_string();
        let problem = move |(path, cause): (RelPath, String)| {
            let cause = format!("not applied there: {cause}");
            ProblemPath { path: path.to_string(), peer: Some(peer.clone()), cause }
        };
        target.failed().into_iter().map(problem)
    });
    here.chain(there).collect()
}

fn target_status(node: &Node, target: &Arc<Target>) -> TargetStatus {
    let peer = node.peer_of(target);
    let standing = peer.map(|p| p.standing());
    let channel = target.channel();
    let up = standing.as_ref().is_some_and(|s| s.state == PeerState::Up);
    let state = match channel.phase() {
        _ if !up => TargetState::Disconnected,
        Phase::Closed | Phase::Fenced { .. } => TargetState::Refused,
        Phase::Opening => TargetState::Opening,
        Phase::Comparing => TargetState::Comparing,
        Phase::Live if channel.pending() > 0 => TargetState::Sending,
        Phase::Live => TargetState::Idle,
    };
    let fault = channel.fault().or(standing.as_ref().and_then(|s| s.fault.as_ref()));
    let transport = match &target.config.reach {
        _ if !standing.as_ref().is_some_and(|s| s.rsync) => "quic",
        Reach::Daemon => "rsync",
        Reach::Ssh { .. } => "ssh",
    };
    TargetStatus {
        peer: target.config.host.clone(),
        address: Some(format!("{}:{}", target.config.host, target.config.port)),
        set: target.config.set.clone(),
        state,
        connected: matches!(state, TargetState::Comparing | TargetState::Sending | TargetState::Idle),
        proof: target.proof(),
        transport: transport.to_owned(),
        pending: channel.pending() as u64,
        oldest_seconds: channel.oldest().map(|since| since.elapsed().as_secs()),
        acknowledged: (channel.acked().epoch != Epoch::NONE).then(|| channel.acked().to_string()),
        deletions_held: channel.held() as u64,
        bytes_sent: standing.as_ref().map_or(0, |s| s.bytes_sent),
        last_error: fault.map(last_error),
    }
}

fn last_error(fault: &Fault) -> LastError {
    let ago = Instant::now().saturating_duration_since(fault.at);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
    LastError {
        cause: fault.cause.clone(),
        at_unix_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        ago_seconds: ago.as_secs(),
    }
}

fn replica_status(set: &ReplicaSet) -> SetStatus {
    let (epoch, live) = set.position();
    let generation = (live.number > 0).then(|| live.to_string());
    let counts = set.counts();
    SetStatus {
        name: set.config.name.clone(),
        path: set.config.path.display().to_string(),
        role: SetRole::Replica,
        epoch: epoch.to_string(),
        generation: generation.clone(),
        root: live.root.map(|r| r.to_string()),
        entries: set.manifest().len() as u64,
        fault: counts.error,
        halted: (counts.deletions_held > 0).then(|| {
            format!(
                "the guard holds {} deletions back; to release them: syncd approve {}",
                counts.deletions_held, set.config.name
            )
        }),
        sources: set
            .sources()
            .into_iter()
            .map(|s| SourceStatus {
                name: s.name,
                address: s.address.to_string(),
                key: s.key.to_string(),
                proof: s.proof,
                connected_seconds: s.since.elapsed().as_secs(),
                generation: generation.clone(),
                bytes_received: s.link.stats().received_bytes,
            })
            .collect(),
        drift: counts.drift,
        rejected: counts.rejected,
        ..SetStatus::default()
    }
}

/// Compares by content with every target; a replica compares with what it acknowledged.
async fn verify(node: &Node, name: Option<&str>, reply: Responder) {
    let wanted = |n: &str| name.is_none_or(|name| name == n);
    let mut results = Vec::new();
    for set in node.sources.iter().filter(|s| wanted(&s.config.name)) {
        for target in &set.targets {
            reply.progress(&format!("comparing {} with {target}", set.config.name), results.len() as u64, None);
            let outcome = node.verify(target).await;
            let entries = set.index.lock().manifest().len();
            results.push(tell(&reply, &set.config.name, &target.to_string(), entries, outcome).await);
        }
    }
    for set in node.receiver.iter().flat_map(|r| &r.sets).filter(|s| wanted(&s.config.name)) {
        reply.progress(&format!("reading {}", set.config.name), results.len() as u64, None);
        let found = set.verify().await;
        let entries = set.manifest().len();
        results.push(tell(&reply, &set.config.name, "what was acknowledged", entries, found).await);
    }
    if results.is_empty() {
        return reply
            .finish(failed(format!("there is no set {:?} here; `syncd status` lists them", name.unwrap_or_default())));
    }
    // Not `finish`: a slow client has to get it, too.
    let _ = reply.send(Response::Verified(results)).await;
}

async fn tell(
    reply: &Responder,
    set: &str,
    peer: &str,
    entries: usize,
    found: Result<Vec<Found>, String>,
) -> VerifyResult {
    let (set, peer) = (set.to_owned(), peer.to_owned());
    let (differences, error) = match found {
        Ok(found) => {
            let count = found.len() as u64;
            for Found { path, what } in found {
                let difference = Difference { set: set.clone(), peer: peer.clone(), path: path.to_string(), what };
                if reply.send(Response::Difference(difference)).await.is_err() {
                    break;
                }
            }
            (count, None)
        }
        Err(cause) => (0, Some(cause)),
    };
    VerifyResult { set, peer, entries: entries as u64, differences, error }
}

async fn list_pending(node: &Node, reply: Responder) {
    let mut count = 0usize;
    for target in node.sources.iter().flat_map(|s| &s.targets) {
        let names: Vec<PendingName> = {
            let channel = target.channel();
            let name = |n: crate::session::Unacknowledged<'_>| PendingName {
                target: target.to_string(),
                path: n.path.to_string(),
                age_seconds: n.since.elapsed().as_secs(),
                cause: Some(channel.cause(&n)),
            };
            channel.unacknowledged().map(name).collect()
        };
        for name in names {
            count += 1;
            if reply.send(Response::Pending(name)).await.is_err() {
                return;
            }
        }
    }
    let _ = reply.send(done(format!("{count} names are pending"))).await;
}

async fn release(node: &Node, name: &str, with_deletions: bool) -> Response {
    if let Some(set) = node.source(name).cloned() {
        let what = if with_deletions { "go out" } else { "are forgotten" };
        // The store waits for a disk.
        let kept = tokio::task::spawn_blocking(move || set.release(with_deletions).map_err(|e| e.to_string())).await;
        return match kept.unwrap_or_else(|e| Err(e.to_string())) {
            Ok(()) => done(format!("{name}: released; the deletions that were held back {what}")),
            Err(cause) => failed(format!(
                "{name}: released, the deletions that were held back {what}; but a restart may halt it again: {cause}"
            )),
        };
    }
    match node.receiver.as_ref().and_then(|r| r.set(name)) {
        Some(set) if with_deletions => {
            let what = match set.approve() {
                0 => "no source is connected: the deletions of the next change set pass the guard",
                _ => "released; the source sends the deletions that were held back again, and they pass the guard",
            };
            done(format!("{name}: {what}"))
        }
        Some(_) => done(format!("{name}: nothing to resume at a replica; its primary decides")),
        None => failed(format!("there is no set {name:?} here; `syncd status` lists them")),
    }
}

fn certificates(node: &Node) -> Response {
    let pins = match node.store.pins() {
        Ok(pins) => pins,
        Err(e) => return failed(e.to_string()),
    };
    let pins = pins.into_iter().map(|p| PinnedKey { set: p.set, user: p.user, key: p.key.to_string() }).collect();
    Response::Certificates(Certificates { own: Some(node.key.to_string()), pins })
}

fn forget(node: &Node, set: &str, user: &str) -> Response {
    match node.store.forget_pin(set, user) {
        Ok(true) => done(format!("{set}: forgotten; the next key that proves its right is pinned")),
        Ok(false) => failed(format!("{set}: no key is pinned for user {user:?}; `syncd certs list` shows the pins")),
        Err(e) => failed(e.to_string()),
    }
}
