//! `syncd verify`: both sides compared by content and metadata.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::{Fault, find, render, simple};
use crate::control::{Client, Difference, Request, Response, VerifyResult};
use crate::observe::{Console, Monitor, Task, Unit};

/// `syncd verify [SET]`: of all that run, or of the one that has the set.
pub(super) fn run(
    dir: Option<&Path>,
    set: Option<String>,
    json: bool,
    console: &Console,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let clients = match &set {
        Some(set) => vec![simple::having(dir, set)?],
        None => find::all(dir)?.into_iter().map(|(client, _)| client).collect(),
    };
    let monitor = Monitor::new();
    let display = console.show(&monitor)?;
    let mut results = Vec::new();
    for mut client in clients {
        results.extend(verify(&mut client, set.clone(), json, &monitor, out)?);
    }
    drop(display);
    if !json {
        results.iter().try_for_each(|result| writeln!(out, "{}", line(result)))?;
    }
    judge(&results)
}

fn verify(
    client: &mut Client,
    set: Option<String>,
    json: bool,
    monitor: &Monitor,
    out: &mut impl Write,
) -> Result<Vec<VerifyResult>, Fault> {
    let mut written = Ok(());
    let mut bar = Bar::default();
    let answer = client.ask(&Request::Verify { set }, |response| match response {
        Response::Progress { doing, done, total } => bar.show(monitor, doing, done, total),
        Response::Difference(difference) if written.is_ok() => written = tell(&difference, json, out),
        _ => {}
    })?;
    written?;
    let Response::Verified(results) = answer else {
        return Err(find::unexpected(&answer).into());
    };
    if json {
        writeln!(out, "{}", serde_json::json!({ "verified": results }))?;
    }
    Ok(results)
}

fn tell(difference: &Difference, json: bool, out: &mut impl Write) -> Result<(), Fault> {
    if json {
        return Ok(writeln!(out, "{}", serde_json::json!({ "difference": difference }))?);
    }
    let Difference { set, peer, path, what } = difference;
    let [set, peer, path, what] = [set, peer, path, what].map(|text| render::plain(text));
    Ok(writeln!(out, "{set} at {peer}: {path}: {what}")?)
}

/// One comparison in words.
fn line(result: &VerifyResult) -> String {
    let at = format!("{} at {}", render::plain(&result.set), render::plain(&result.peer));
    match (&result.error, result.differences) {
        (Some(error), _) => format!("{at}: could not be compared: {}", render::plain(error)),
        (None, 0) => format!("{at}: {} equal", render::counted(result.entries, "entry is", "entries are")),
        (None, n) => format!("{at}: {} of {} differ", render::count(n), render::count(result.entries)),
    }
}

/// Equal everywhere, or not, or not known.
fn judge(results: &[VerifyResult]) -> Result<(), Fault> {
    if results.iter().any(|r| r.differences > 0) {
        return Err(Fault::False);
    }
    match results.iter().filter(|r| r.error.is_some()).count() {
        0 => Ok(()),
        n => Err(Fault::Local(format!(
            "{n} of {} comparisons were not made, the others found no difference; see `syncd status`",
            results.len()
        ))),
    }
}

/// Progress from afar as a task of the local display.
#[derive(Default)]
struct Bar {
    doing: String,
    task: Option<Arc<Task>>,
}

impl Bar {
    fn show(&mut self, monitor: &Monitor, doing: String, done: u64, total: Option<u64>) {
        if self.doing != doing {
            self.task = None;
            self.doing = doing;
        }
        let task = self.task.get_or_insert_with(|| monitor.task(render::plain(&self.doing), Unit::Entries));
        task.set_total(total.unwrap_or(0));
        task.advance(done.saturating_sub(task.progress().done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(differences: u64, error: Option<&str>) -> VerifyResult {
        let (set, peer) = ("nginx".to_owned(), "10.0.0.2:873".to_owned());
        VerifyResult { set, peer, entries: 1204, differences, error: error.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_known_is_not_called_equal() {
        let (equal, unlike, unknown) = (result(0, None), result(3, None), result(0, Some("not connected")));
        let code = |results: &[VerifyResult]| judge(results).map_or_else(|fault| fault.code(), |()| 0);
        assert_eq!(code(std::slice::from_ref(&equal)), 0);
        assert_eq!(code(&[equal.clone(), unknown.clone()]), 3);
        assert_eq!(code(&[unknown.clone(), unlike.clone()]), 1);
        let lines: Vec<_> = [equal, unlike, unknown].iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        nginx at 10.0.0.2:873: 1,204 entries are equal
        nginx at 10.0.0.2:873: 3 of 1,204 differ
        nginx at 10.0.0.2:873: could not be compared: not connected
        ");
    }

    #[test]
    fn progress_from_afar_is_shown_as_it_is() {
        let monitor = Monitor::new();
        let mut bar = Bar::default();
        bar.show(&monitor, "nginx: comparing".to_owned(), 5, None);
        bar.show(&monitor, "nginx: comparing".to_owned(), 7, Some(10));
        let tasks = monitor.tasks();
        assert_eq!((tasks.len(), tasks[0].done, tasks[0].total), (1, 7, Some(10)));
        bar.show(&monitor, "www: comparing".to_owned(), 1, None);
        assert_eq!((monitor.tasks().len(), monitor.tasks()[0].name.as_str()), (1, "www: comparing"));
    }
}
