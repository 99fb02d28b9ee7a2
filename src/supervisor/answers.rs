//! What is answered on the control socket: the engine's words and those about VRRP put together.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::desk::Desk;
use crate::control::{Request, Responder, Response, Status, ask_engine};
use crate::vrrp::message::InstanceStatus;

/// How long the VRRP process may take to say how it stands.
const VRRP_PATIENCE: Duration = Duration::from_secs(1);

/// How long the engine may take.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// Answers how all of it stands.
pub(super) fn status(desk: &mut Desk, reply: Responder) {
    let vrrp = desk.vrrp.ask();
    let own = own_status(desk);
    let engine = desk.engine.as_ref().map(|_| desk.plan.instance.dir().to_owned());
    tokio::spawn(async move {
        let engine = async {
            match engine {
                Some(dir) => {
                    timeout(ENGINE_PATIENCE, ask_engine(&dir, &Request::Status)).await.ok().and_then(Result::ok)
                }
                None => None,
            }
        };
        let (engine, vrrp) = tokio::join!(engine, timeout(VRRP_PATIENCE, vrrp));
        let vrrp = vrrp.ok().and_then(Result::ok);
        reply.finish(Response::Status(Box::new(merged(own, engine, vrrp))));
    });
}

/// What the supervisor knows itself.
fn own_status(desk: &Desk) -> Status {
    let setup = desk.vrrp.setup();
    let engine = desk.engine.as_ref().map(|engine| engine.process.status());
    let node = if setup.router_id.is_empty() { hostname() } else { setup.router_id.clone() };
    Status {
        node,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        config: desk.plan.config.display().to_string(),
        uptime_seconds: desk.since.elapsed().as_secs(),
        log: desk.plan.log.as_ref().map(|log| log.display().to_string()),
        vrrp_fault: desk.vrrp.refused(),
        upgrades: desk.upgrades,
        upgrade_fault: desk.upgrade_fault.clone(),
        processes: std::iter::once(desk.vrrp.status()).chain(engine).collect(),
        ..Status::default()
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The engine's status where there is one, with what the supervisor and the VRRP process add.
fn merged(own: Status, engine: Option<Response>, vrrp: Option<Vec<InstanceStatus>>) -> Status {
    let silent = || "the VRRP process does not say how it stands".to_owned();
    let vrrp_fault = own.vrrp_fault.clone().or_else(|| vrrp.is_none().then(silent));
    let vrrp = vrrp.unwrap_or_default();
    match engine {
        Some(Response::Status(engine)) => Status {
            pid: own.pid,
            uptime_seconds: own.uptime_seconds,
            log: own.log,
            processes: own.processes,
            upgrades: own.upgrades,
            upgrade_fault: own.upgrade_fault,
            vrrp,
            vrrp_fault,
            ..*engine
        },
        _ => Status { vrrp, vrrp_fault, ..own },
    }
}

/// Answers a reload, of which each part answers for itself.
pub(super) async fn reload(
    config: String,
    vrrp: Result<oneshot::Receiver<Result<(), String>>, String>,
    engine: Option<PathBuf>,
) -> Response {
    let vrrp = async {
        match vrrp {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err("the VRRP process is gone".to_owned())),
            Err(message) => Err(message),
        }
    };
    let engine = async {
        match engine {
            Some(dir) => Some(ask_engine(&dir, &Request::Reload).await),
            None => None,
        }
    };
    let (vrrp, engine) = tokio::join!(vrrp, engine);
    let vrrp = match vrrp {
        Ok(()) => Ok(format!("{config} is in force")),
        Err(message) => Err(format!("VRRP: {message}; what was in force before goes on")),
    };
    together(vrrp, engine.map(engine_reloaded))
}

fn engine_reloaded(answer: io::Result<Response>) -> Result<String, String> {
    match answer {
        Ok(Response::Done { message }) => Ok(message),
        Ok(Response::Failed { message }) => Err(message),
        Ok(other) => Err(format!("the replication engine answers something else ({other:?})")),
        Err(e) => Err(format!("the replication engine does not answer ({e}): `syncd status` says how it is")),
    }
}

/// One answer of two: a failure where either failed, and then both are said.
fn together(vrrp: Result<String, String>, engine: Option<Result<String, String>>) -> Response {
    let failed = vrrp.is_err() || matches!(engine, Some(Err(_)));
    let said = |part: Result<String, String>| part.unwrap_or_else(|e| e);
    let mut message = said(vrrp);
    if let Some(engine) = engine {
        message = format!("{message}; {}", said(engine));
    }
    if failed { Response::Failed { message } } else { Response::Done { message } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_tells_of_both_and_is_a_failure_where_either_failed() {
        let fine = || Ok("k.conf is in force".to_owned());
        let done = |message: &str| Response::Done { message: message.to_owned() };
        let failed = |message: &str| Response::Failed { message: message.to_owned() };
        assert_eq!(together(fine(), None), done("k.conf is in force"));
        let both = together(fine(), Some(Err("c.xml:3:1: no such element".to_owned())));
        assert_eq!(both, failed("k.conf is in force; c.xml:3:1: no such element"));
        let other = together(Err("VRRP: k.conf:2:3: bad".to_owned()), Some(Ok("c.xml is in force".to_owned())));
        assert_eq!(other, failed("VRRP: k.conf:2:3: bad; c.xml is in force"));
    }

    #[test]
    fn an_engine_that_is_down_does_not_hide_vrrp() {
        let own = Status { node: "n1".to_owned(), pid: 7, ..Status::default() };
        let instance = InstanceStatus { name: "VI_1".to_owned(), ..InstanceStatus::default() };
        let down = merged(own.clone(), None, Some(vec![instance.clone()]));
        assert_eq!((down.node.as_str(), down.vrrp.len(), down.vrrp_fault.as_ref()), ("n1", 1, None));
        let engine = Status { node: "engine".to_owned(), pid: 8, ..Status::default() };
        let up = merged(own, Some(Response::Status(Box::new(engine))), None);
        assert_eq!((up.node.as_str(), up.pid), ("engine", 7));
        assert!(up.vrrp_fault.is_some() && !up.is_healthy());
    }
}
