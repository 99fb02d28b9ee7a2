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

/// What the engine is called in a status.
const ENGINE: &str = "engine";

/// How long the engine may take.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// How long either may take to put a new configuration in force, before whoever asked is told that nobody knows.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);

/// What the VRRP process was asked, or why it could not be.
pub(super) type Asked = Result<oneshot::Receiver<Result<(), String>>, String>;

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
    let engine_runs = own.processes.iter().any(|process| process.name == ENGINE && process.pid.is_some());
    let engine_silent = engine_runs && !matches!(engine, Some(Response::Status(_)));
    let engine_fault = engine_silent.then(|| "the replication process does not say how it stands".to_owned());
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
        _ => Status { vrrp, vrrp_fault, engine_fault, ..own },
    }
}

/// Answers a reload, of which each part that was asked answers for itself.
pub(super) async fn reload(config: String, vrrp: Option<Asked>, engine: Option<PathBuf>) -> Response {
    let vrrp = async {
        match vrrp {
            Some(asked) => Some(vrrp_reloaded(&config, asked).await),
            None => None,
        }
    };
    let engine = async {
        match engine {
            Some(dir) => {
                let answer = timeout(RELOAD_PATIENCE, ask_engine(&dir, &Request::Reload)).await;
                Some(answer.map_or_else(|_| Err(silent("the replication engine")), engine_reloaded))
            }
            None => None,
        }
    };
    let (vrrp, engine) = tokio::join!(vrrp, engine);
    together(vrrp, engine)
}

async fn vrrp_reloaded(config: &str, asked: Asked) -> Result<String, String> {
    let answered = match asked {
        Ok(answer) => match timeout(RELOAD_PATIENCE, answer).await {
            Ok(answered) => answered.unwrap_or_else(|_| Err("the VRRP process is gone".to_owned())),
            Err(_) => return Err(silent("the VRRP process")),
        },
        Err(message) => Err(message),
    };
    match answered {
        Ok(()) => Ok(format!("{config} is in force")),
        Err(message) => Err(format!("VRRP: {message}; what was in force before goes on")),
    }
}

fn silent(who: &str) -> String {
    let patience = RELOAD_PATIENCE.as_secs();
    format!("{who} has not answered for {patience} s, and may do so yet: `syncd status` says how it is")
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
fn together(vrrp: Option<Result<String, String>>, engine: Option<Result<String, String>>) -> Response {
    let parts = [vrrp, engine].into_iter().flatten();
    let failed = parts.clone().any(|part| part.is_err());
    let message = parts.map(|part| part.unwrap_or_else(|e| e)).collect::<Vec<_>>().join("; ");
    if failed { Response::Failed { message } } else { Response::Done { message } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{ProcessStatus, Server};

    #[test]
    fn one_answer_tells_of_both_and_is_a_failure_where_either_failed() {
        let fine = || Ok("k.conf is in force".to_owned());
        let done = |message: &str| Response::Done { message: message.to_owned() };
        let failed = |message: &str| Response::Failed { message: message.to_owned() };
        assert_eq!(together(Some(fine()), None), done("k.conf is in force"));
        let both = together(Some(fine()), Some(Err("c.xml:3:1: no such element".to_owned())));
        assert_eq!(both, failed("k.conf is in force; c.xml:3:1: no such element"));
        let other = together(Some(Err("VRRP: k.conf:2:3: bad".to_owned())), Some(Ok("c.xml is in force".to_owned())));
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

    #[test]
    fn an_engine_that_runs_and_says_nothing_is_a_fault() {
        let engine = |pid| ProcessStatus { name: ENGINE.to_owned(), pid, ..ProcessStatus::default() };
        let own = |pid| Status { processes: vec![engine(pid)], ..Status::default() };
        let silent = merged(own(Some(7)), None, Some(Vec::new()));
        assert!(silent.engine_fault.is_some() && !silent.is_healthy());
        let says = merged(own(Some(7)), Some(Response::Status(Box::default())), Some(Vec::new()));
        assert!(says.engine_fault.is_none() && says.is_healthy());
        let gone = merged(own(None), None, Some(Vec::new()));
        assert!(gone.engine_fault.is_none() && !gone.is_healthy(), "that it does not run is said already");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_is_answered_though_an_engine_accepts_and_says_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let _server = Server::bind_engine(dir.path()).expect("a socket that nobody looks at");
        let (put, vrrp) = oneshot::channel();
        put.send(Ok(())).expect("it waits");
        let told = reload("k.conf".to_owned(), Some(Ok(vrrp)), Some(dir.path().to_owned())).await;
        let Response::Failed { message } = told else { panic!("{told:?}") };
        assert!(message.starts_with("k.conf is in force; the replication engine has not answered"), "{message}");
        let (_never, vrrp) = oneshot::channel();
        let told = reload("k.conf".to_owned(), Some(Ok(vrrp)), None).await;
        assert!(matches!(told, Response::Failed { message } if message.starts_with("the VRRP process has not")));
    }
}
