//! What priorities depend on, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;

use super::super::file::File;
use super::file::{NotifyTable, Run, TrackTable};
use super::{Context, count, fault, interface, path, time, unknown, value};
use crate::vrrp::setup::{self, Command, Notify, ParameterMatch, Process, Script, TrackFile, Tracking};

/// A program is not started more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// The largest weight of what is no file.
const WEIGHT: u32 = 253;

/// What can be tracked by name.
pub(super) struct Track {
    pub(super) scripts: Vec<Script>,
    pub(super) processes: Vec<Process>,
    pub(super) files: Vec<TrackFile>,
    dynamic: bool,
    names: BTreeSet<String>,
}

impl Track {
    pub(super) fn new(cx: &mut Context<'_>, file: &File) -> Self {
        let dynamic = file.vrrp_global.dynamic_interfaces;
        let (scripts, names) = (Vec::new(), BTreeSet::new());
        let mut track = Self { scripts, processes: Vec::new(), files: Vec::new(), dynamic, names };
        for table in &file.vrrp_script {
            if track.is_new(cx, "vrrp-script", &table.name)
                && let Some(script) = script(cx, table.name.get_ref().clone(), &table.command, table.run())
            {
                track.scripts.push(script);
            }
        }
        for table in &file.vrrp_process {
            if track.is_new(cx, "vrrp-process", &table.name) {
                let process = process(cx, table);
                track.processes.push(process);
            }
        }
        for table in &file.vrrp_file {
            if track.is_new(cx, "vrrp-file", &table.name) {
                let init = table.init.or(table.init_overwrite.then_some(0)).map(|init| (init, table.init_overwrite));
                if !table.file.get_ref().starts_with('/') {
                    let message = format!("`{}` is no absolute path", table.file.get_ref());
                    fault(cx, table.file.span(), "toml-value", message, "write it from `/` on");
                }
                let file = path(cx, &table.file);
                track.files.push(TrackFile { name: table.name.get_ref().clone(), file, init });
            }
        }
        track
    }

    fn is_new(&mut self, cx: &mut Context<'_>, what: &str, name: &Spanned<String>) -> bool {
        let new = self.names.insert(format!("{what} {}", name.get_ref()));
        if !new {
            let message = format!("there is another `[[{what}]]` called `{}`", name.get_ref());
            fault(cx, name.span(), "toml-vrrp", message, "rename one of them");
        }
        new
    }

    /// What the instance or group `owner` tracks.
    pub(super) fn tracking(&mut self, cx: &mut Context<'_>, owner: &str, tables: &[TrackTable]) -> Tracking {
        let mut tracking = Tracking::default();
        let mut seen = BTreeMap::new();
        for (at, table) in tables.iter().enumerate() {
            self.one(cx, &format!("{owner}-{}", at + 1), table, &mut tracking, &mut seen);
        }
        tracking
    }

    fn one(
        &mut self,
        cx: &mut Context<'_>,
        own_name: &str,
        table: &TrackTable,
        tracking: &mut Tracking,
        seen: &mut BTreeMap<(u8, String), ()>,
    ) {
        let TrackTable { command, script: by_name, interface: link, process, file, .. } = table;
        let (span, list, name) = match (command, by_name, link, process, file) {
            (Some(command), None, None, None, None) => {
                if !self.names.insert(format!("vrrp-script {own_name}")) {
                    let message = format!("the program would be called `{own_name}`, as another is");
                    return fault(cx, command.span(), "toml-vrrp", message, "rename the other `[[vrrp-script]]`");
                }
                if let Some(script) = script(cx, own_name.to_owned(), command, table.run()) {
                    self.scripts.push(script);
                }
                (command.span(), &mut tracking.scripts, own_name.to_owned())
            }
            (None, Some(name), None, None, None) => {
                let known: Vec<&str> = self.scripts.iter().map(|one| one.name.as_str()).collect();
                known_or_said(cx, "[[vrrp-script]]", name, &known);
                (name.span(), &mut tracking.scripts, name.get_ref().clone())
            }
            (None, None, Some(name), None, None) => {
                interface(cx, name.get_ref(), name.span(), self.dynamic);
                (name.span(), &mut tracking.interfaces, name.get_ref().clone())
            }
            (None, None, None, Some(name), None) => {
                let known: Vec<&str> = self.processes.iter().map(|one| one.name.as_str()).collect();
                known_or_said(cx, "[[vrrp-process]]", name, &known);
                (name.span(), &mut tracking.processes, name.get_ref().clone())
            }
            (None, None, None, None, Some(name)) => {
                let known: Vec<&str> = self.files.iter().map(|one| one.name.as_str()).collect();
                known_or_said(cx, "[[vrrp-file]]", name, &known);
                (name.span(), &mut tracking.files, name.get_ref().clone())
            }
            _ => {
                let named = [by_name, link, process, file].into_iter().flatten().next().map(Spanned::span);
                let span = named.or_else(|| command.as_ref().map(Spanned::span)).unwrap_or(0..0);
                let message = "what is tracked is one of command, script, interface, process and file".to_owned();
                return fault(cx, span, "toml-vrrp", message, "write one of them, and another table for another");
            }
        };
        if command.is_none() && runs(table.run()) {
            let message = "how a program is run is said where its command is".to_owned();
            fault(cx, span.clone(), "toml-vrrp", message, "write it in the `[[vrrp-script]]`");
        }
        let weight = table.weight.as_ref().map_or(0, |weight| *weight.get_ref());
        if file.is_none() && weight.unsigned_abs() > WEIGHT {
            let message = format!("{weight} is no weight: there are -{WEIGHT} to {WEIGHT}");
            fault(cx, span.clone(), "toml-value", message, "write a smaller one");
        }
        let kind = [link, process, file].iter().position(|named| named.is_some()).map_or(0, |at| at as u8 + 1);
        if seen.insert((kind, name.clone()), ()).is_some() {
            fault(cx, span, "toml-vrrp", format!("`{name}` is tracked twice"), "remove one of them");
        }
        list.push(setup::Track { name, weight, reverse: table.reverse });
    }
}

fn known_or_said(cx: &mut Context<'_>, what: &str, name: &Spanned<String>, known: &[&str]) {
    if !known.contains(&name.get_ref().as_str()) {
        unknown(cx, name.span(), what, name.get_ref(), known);
    }
}

/// Whether anything is said of how a program is run.
fn runs(run: Run<'_>) -> bool {
    let Run { user, interval, timeout, rise, fall, init_fail } = run;
    init_fail || [user, interval, timeout].iter().any(Option::is_some) || rise.is_some() || fall.is_some()
}

fn script(cx: &mut Context<'_>, name: String, said: &Spanned<Vec<String>>, run: Run<'_>) -> Option<Script> {
    let interval = time(cx, run.interval, Duration::from_secs(1));
    let timeout = time(cx, run.timeout, interval);
    if interval < SHORTEST || timeout < SHORTEST {
        let message = "a program is not run more often than every 10 ms".to_owned();
        fault(cx, said.span(), "toml-value", message, "write interval = \"1s\"");
    }
    let (rise, fall) = (count(cx, run.rise, 1), count(cx, run.fall, 1));
    let command = command(cx, said, run.user)?;
    Some(Script { name, command, interval, timeout, rise, fall, init_fail: run.init_fail })
}

fn process(cx: &mut Context<'_>, table: &super::file::ProcessTable) -> Process {
    let how = table.how.as_ref().and_then(|said| {
        value(cx, said, |text| match text {
            "exact" => Ok(ParameterMatch::Exact),
            "partial" => Ok(ParameterMatch::Partial),
            "initial" => Ok(ParameterMatch::Initial),
            _ => Err(format!("`{text}` is no way to compare: there are exact, partial and initial")),
        })
    });
    let counts = table.parameters.is_some() || how.is_some();
    let parameters = table.parameters.clone().unwrap_or_default();
    Process {
        name: table.name.get_ref().clone(),
        program: table.program.get_ref().clone(),
        parameters: counts.then_some((how.unwrap_or(ParameterMatch::Exact), parameters)),
        full_command: table.full_command,
        least: table.least.unwrap_or(1),
        most: table.most,
        up_delay: time(cx, table.up_delay.as_ref(), Duration::ZERO),
        down_delay: time(cx, table.down_delay.as_ref(), Duration::ZERO),
    }
}

/// A program and whom it runs as.
pub(super) fn command(
    cx: &mut Context<'_>,
    said: &Spanned<Vec<String>>,
    user: Option<&Spanned<String>>,
) -> Option<Command> {
    if said.get_ref().first().is_none_or(String::is_empty) {
        fault(cx, said.span(), "toml-value", "a program is missing".to_owned(), "write [\"/PROGRAM\", \"ARGUMENT\"]");
        return None;
    }
    let user = match user {
        Some(user) => Some(super::user(cx, user)?),
        None => None,
    };
    Some(Command { argv: said.get_ref().clone(), user })
}

/// Who is told; one program for each.
pub(super) fn notify(cx: &mut Context<'_>, tables: &[NotifyTable]) -> Notify {
    let mut notify = Notify::default();
    for table in tables {
        let slot = match table.on.get_ref().as_str() {
            "master" => &mut notify.master,
            "backup" => &mut notify.backup,
            "fault" => &mut notify.fault,
            "stop" => &mut notify.stop,
            "deleted" => &mut notify.deleted,
            "any" => &mut notify.any,
            "lower-priority" => &mut notify.lower_priority,
            other => {
                let message = format!("`{other}` is nothing that is told");
                let help = "there are master, backup, fault, stop, deleted, lower-priority and any";
                fault(cx, table.on.span(), "toml-value", message, help);
                continue;
            }
        };
        if slot.is_some() {
            let message = format!("`{}` is told to another program already", table.on.get_ref());
            fault(cx, table.on.span(), "toml-vrrp", message, "remove one of them");
        }
        *slot = command(cx, &table.command, table.user.as_ref());
    }
    notify
}
