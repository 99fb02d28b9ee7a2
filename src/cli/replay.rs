//! `syncd replay`: the retry log, shown or tried now.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Fault, find, render, simple};
use crate::control::{PendingName, Request, Response, SetRole, Status};
use crate::store::Store;
use crate::store::instance::Instance;

/// `syncd replay`: every running source tries at once.
pub(super) fn now(dir: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let mut sources = find::all(dir)?;
    sources.retain(|(_, status)| is_source(status));
    if sources.is_empty() {
        return Err(Fault::Local("no running syncd is a source: only those have a retry log".to_owned()));
    }
    sources.into_iter().try_for_each(|(client, _)| simple::done(client, &Request::Replay, out))
}

/// `syncd replay --list`: of those that run, and from the store of those that do not.
pub(super) fn list(dir: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let mut names = Vec::new();
    let running = find::running(dir)?;
    if running.is_empty() {
        for dir in find::at_rest(dir)? {
            names.extend(stored(&dir, unix_ms())?);
        }
    }
    for (mut client, _) in running.into_iter().filter(|(_, status)| is_source(status)) {
        client.ask(&Request::ReplayList, |r| names.extend(pending(r)))?;
    }
    print(names, out)
}

fn is_source(status: &Status) -> bool {
    status.sets.iter().any(|set| set.role == SetRole::Primary)
}

fn pending(response: Response) -> Option<PendingName> {
    match response {
        Response::Pending(name) => Some(name),
        _ => None,
    }
}

/// What the store in `dir` holds, with ages as of `now`, in milliseconds since 1970.
fn stored(dir: &Path, now: u64) -> Result<Vec<PendingName>, Fault> {
    // Whoever starts just now waits for the lock; whoever runs is asked.
    let _instance = Instance::claim(dir, Duration::ZERO)?;
    let store = Store::open(dir)?;
    let mut names = Vec::new();
    for target in store.targets()? {
        names.extend(store.pending(&target)?.into_iter().map(|(path, pending)| PendingName {
            target: target.clone(),
            path: path.to_string(),
            age_seconds: now.saturating_sub(pending.since_unix_ms) / 1000,
            cause: Some(pending.cause).filter(|cause| !cause.is_empty()),
        }));
    }
    Ok(names)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The names by target, the oldest first.
fn print(mut names: Vec<PendingName>, out: &mut impl Write) -> Result<(), Fault> {
    if names.is_empty() {
        return Ok(writeln!(out, "Nothing is pending: every target has acknowledged everything.")?);
    }
    names.sort_by(|a, b| (&a.target, b.age_seconds, &a.path).cmp(&(&b.target, a.age_seconds, &b.path)));
    for group in names.chunk_by(|a, b| a.target == b.target) {
        let target = group.first().map_or("", |name| &name.target);
        writeln!(out, "{}: {}", render::plain(target), render::counted(group.len() as u64, "name", "names"))?;
        for name in group {
            let cause = name.cause.as_ref().map_or(String::new(), |c| format!("  ({})", render::plain(c)));
            writeln!(out, "  {:>10}  {}{cause}", render::age(name.age_seconds), render::plain(&name.path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RelPath;
    use crate::store::Pending;

    #[test]
    fn what_is_pending_is_listed_without_a_running_syncd() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let path = |s: &str| RelPath::parse(s.as_bytes()).expect("valid");
        let pending = |since, cause: &str| Pending { since_unix_ms: since, cause: cause.to_owned(), base: None };
        let names = [(path("conf.d/a"), pending(9_000, "")), (path("b\n"), pending(1_000, "no route to host"))];
        store.record_pending("10.0.0.2:873/nginx", &names).expect("record");
        store.record_pending("10.0.0.3:873/nginx", &[(path("a"), pending(0, "wrong password"))]).expect("record");
        drop(store);
        let mut out = Vec::new();
        print(stored(dir.path(), 10_000).expect("stored"), &mut out).expect("print");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r"
        10.0.0.2:873/nginx: 2 names
                 9 s  b\x0a  (no route to host)
                 1 s  conf.d/a
        10.0.0.3:873/nginx: 1 name
                10 s  a  (wrong password)
        ");
    }

    #[test]
    fn a_directory_without_a_store_is_not_made_one() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut out = Vec::new();
        let fault = list(Some(dir.path()), &mut out).expect_err("nothing there");
        assert!(matches!(fault, Fault::Local(m) if m.contains("no syncd is running for")));
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }
}
