//! `syncd status`: how the running ones stand, for people and for programs.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Fault, find, render};
use crate::control::{SetRole, SetStatus, SourceStatus, Status, TargetState, TargetStatus};

/// Clears the screen and goes to its first place (ECMA-48 ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// How many problems of a set are shown; all are in the JSON.
const PROBLEMS: usize = 10;

/// `syncd status [--json] [--watch]`.
pub(super) fn run(dir: Option<&Path>, json: bool, watch: bool, out: &mut impl Write) -> Result<(), Fault> {
    let mut clients = find::all(dir)?;
    let clear = watch && !json && std::io::stdout().is_terminal();
    loop {
        let statuses: Vec<&Status> = clients.iter().map(|(_, status)| status).collect();
        if clear {
            write!(out, "{CLEAR}")?;
        }
        print(&statuses, json, out)?;
        if !watch {
            return if statuses.iter().all(|s| s.is_healthy()) { Ok(()) } else { Err(Fault::False) };
        }
        thread::sleep(Duration::from_secs(1));
        for (client, status) in &mut clients {
            *status = find::status(client)?;
        }
    }
}

fn print(statuses: &[&Status], json: bool, out: &mut impl Write) -> Result<(), Fault> {
    for status in statuses {
        if json {
            let line = serde_json::to_string(status).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", text(status).map_err(std::io::Error::other)?)?;
        }
    }
    Ok(out.flush()?)
}

/// How one stands, for people.
fn text(status: &Status) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let listen = status.listen.as_ref().map_or(String::new(), |l| format!(", listens on UDP {l}"));
    let key = if status.key.is_empty() { String::new() } else { format!(" (key {})", status.key) };
    writeln!(
        text,
        "{}{key}: syncd {}, pid {}, up {}{listen}",
        render::plain(&status.node),
        status.version,
        status.pid,
        render::age(status.uptime_seconds)
    )?;
    writeln!(text, "configuration {}", render::plain(&status.config))?;
    if let Some(log) = &status.log {
        writeln!(text, "log {}", render::plain(log))?;
    }
    if let Some(fault) = &status.store_fault {
        writeln!(text, "STORE: {}; replication goes on, a restart compares in full", render::plain(fault))?;
    }
    processes::all(status, &mut text)?;
    vrrp::all(status, &mut text)?;
    status.sets.iter().try_for_each(|s| set(s, &mut text))?;
    Ok(text)
}

fn set(set: &SetStatus, text: &mut String) -> fmt::Result {
    let role = match set.role {
        SetRole::Primary => "primary",
        SetRole::Replica => "replica",
    };
    writeln!(
        text,
        "\n{}: {role} of {}, {}, generation {}",
        render::plain(&set.name),
        render::plain(&set.path),
        render::counted(set.entries, "entry", "entries"),
        set.generation.as_deref().unwrap_or("unknown")
    )?;
    if let Some(fault) = &set.fault {
        writeln!(text, "  NOT SERVED: {}", render::plain(fault))?;
    }
    if let Some(reason) = &set.halted {
        let name = render::plain(&set.name);
        writeln!(text, "  HALTED: {}", render::plain(reason))?;
        writeln!(text, "    nothing is deleted until `syncd approve {name}` (delete) or `syncd resume {name}` (keep)")?;
    }
    if let Some(limited) = set.watch.as_ref().and_then(|w| w.limited.as_ref()) {
        writeln!(text, "  WATCH LIMIT: {}", render::plain(limited))?;
    }
    set.targets.iter().try_for_each(|t| target(t, text))?;
    set.sources.iter().try_for_each(|s| source(s, text))?;
    counts(set, text)?;
    for problem in set.problems.iter().take(PROBLEMS) {
        let at = problem.peer.as_ref().map_or(String::new(), |peer| format!(" at {}", render::plain(peer)));
        writeln!(text, "  ! {}{at}: {}", render::plain(&problem.path), render::plain(&problem.cause))?;
    }
    if set.problems.len() > PROBLEMS {
        writeln!(text, "  ! and {} more paths, see --json", set.problems.len() - PROBLEMS)?;
    }
    Ok(())
}

/// What was counted, where it is not nothing.
fn counts(set: &SetStatus, text: &mut String) -> fmt::Result {
    let watch = set.watch.clone().unwrap_or_default();
    let counts = [
        (watch.overflows, "overflow of the event queue", "overflows of the event queue"),
        (watch.polled, "directory polled", "directories polled"),
        (set.drift, "path changed here by somebody else", "paths changed here by somebody else"),
        (set.rejected, "operation refused", "operations refused"),
    ];
    let told: Vec<_> = counts.iter().filter(|c| c.0 > 0).map(|(n, one, many)| render::counted(*n, one, many)).collect();
    if told.is_empty() { Ok(()) } else { writeln!(text, "  {}", told.join(", ")) }
}

fn target(target: &TargetStatus, text: &mut String) -> fmt::Result {
    let name = format!("{}/{}", target.peer, target.set);
    let mut line = format!("  → {:<28} {:<12}", render::plain(&name), state(target.state));
    write!(line, " {} pending", render::count(target.pending))?;
    if let Some(oldest) = target.oldest_seconds {
        write!(line, " for {}", render::age(oldest))?;
    }
    if let Some(generation) = &target.acknowledged {
        write!(line, ", acknowledged {generation}")?;
    }
    write!(line, ", {} sent", render::bytes(target.bytes_sent))?;
    if let Some(proof) = &target.proof {
        write!(line, ", by {}", render::plain(proof))?;
    }
    writeln!(text, "{line}")?;
    if target.deletions_held > 0 {
        let held = render::counted(target.deletions_held, "deletion", "deletions");
        writeln!(text, "      {held} held back: syncd approve releases them, syncd resume forgets them")?;
    }
    if let Some(error) = &target.last_error {
        writeln!(text, "      last error {} ago: {}", render::age(error.ago_seconds), render::plain(&error.cause))?;
    }
    Ok(())
}

fn source(source: &SourceStatus, text: &mut String) -> fmt::Result {
    let name = format!("{} ({})", source.name, source.address);
    writeln!(
        text,
        "  ← {:<28} connected for {}, generation {}, {} received, by {}, key {}",
        render::plain(&name),
        render::age(source.connected_seconds),
        source.generation.as_deref().unwrap_or("none"),
        render::bytes(source.bytes_received),
        render::plain(&source.proof),
        source.key
    )
}

fn state(state: TargetState) -> &'static str {
    match state {
        TargetState::Comparing => "comparing",
        TargetState::Disconnected => "disconnected",
        TargetState::Idle => "idle",
        TargetState::Opening => "opening",
        TargetState::Refused => "refused",
        TargetState::Sending => "sending",
    }
}

mod processes;
#[cfg(test)]
mod tests;
mod vrrp;
