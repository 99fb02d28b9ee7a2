//! A `keepalived.conf` as the setup of the VRRP module.
//!
//! | question | file |
//! |---|---|
//! | what of the machine counts? | `host.rs` |
//! | what is one instance to do? | `instance.rs`, `timing.rs`, `transport.rs` |
//! | which addresses, routes and rules move? | `address.rs`, `route.rs` |
//! | what is tracked, and who is told? | `track.rs`, `notify.rs`, `group.rs` |
//! | whom does a program run as, and may it run? | `command.rs`, `program.rs` |
//! | and in `syncd.toml`, which `native/vrrp` reads? | `local.rs` |
//!
//! An error is about one instance, which then does not run, or about one script, which then is not
//! run; the others are as if it were not there. A warning changes nothing but what it says.

mod address;
mod command;
mod group;
mod host;
mod instance;
pub(super) mod local;
mod notify;
mod program;
pub(super) mod route;
#[cfg(test)]
mod tests;
mod timing;
mod track;
mod transport;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use syncd_compat::keepalived::{self, At, KeepalivedConf, Loader};
use syncd_compat::{Finding, Findings, Severity, SourceText};

pub(super) use address::scope_of;
pub use host::Host;
pub(super) use instance::{is_interface, preempts};
pub(super) use timing::interval;

use super::kind::{self, Kind};
use super::{ConfigError, load as files};
use crate::vrrp::setup::{Scheduling, Setup, Track, Tracking};
use command::Commands;

/// How long the kernel keeps an address that nobody refreshes, where nothing else is said.
pub const LEASE: Duration = Duration::from_secs(3);

/// The most findings of the translation; what is broken everywhere is said often enough by then.
const MOST_FINDINGS: usize = 300;

/// Reads a `keepalived.conf` with all that it includes, or the `[[vrrp]]` of a `syncd.toml`. Among the findings may be errors: what they
/// are about does not run. Whoever has a setup in force already refuses the file because of one.
///
/// # Errors
/// The file is unreadable or of another kind, a `syncd.toml` is faulty, or none of its instances can run.
pub fn load(file: &Path, host: &Host) -> Result<(Setup, Vec<Finding>), ConfigError> {
    let bytes = files::read(file).map_err(|cause| ConfigError::Unreadable { file: file.to_owned(), cause })?;
    let source = SourceText::decode(file, &bytes);
    match kind::of(&source) {
        Some(Kind::Native) => native(&source, host),
        _ => read(&source, host, &mut super::glob::load),
    }
}

/// The virtual addresses of a `syncd.toml`, with all that they need of this machine.
fn native(source: &SourceText, host: &Host) -> Result<(Setup, Vec<Finding>), ConfigError> {
    let loaded = files::virtual_addresses(source, &host.machine)?.complete()?;
    match loaded.config.vrrp {
        Some(vrrp) => Ok((vrrp.setup, loaded.findings)),
        None => {
            let finding = Finding::of_file(source.file(), "toml-nothing-to-do", "there is no `[[vrrp]]`");
            Err(finding.help("write one, or name a keepalived.conf").into())
        }
    }
}

/// The same of a text, and of what `loader` finds where it includes something.
pub(super) fn read(
    source: &SourceText,
    host: &Host,
    loader: &mut Loader<'_>,
) -> Result<(Setup, Vec<Finding>), ConfigError> {
    if kind::of(source) != Some(Kind::Keepalived) {
        let finding =
            Finding::of_file(source.file(), "config-kind", "this is neither a keepalived.conf nor a syncd.toml");
        return Err(finding.help("name one, with at least one `vrrp_instance NAME { … }`").into());
    }
    let mut findings = Findings::default();
    let conf = keepalived::read(source, host.machine.here(), loader, &mut findings);
    let (setup, said) = translate(&conf, host);
    findings.extend(said);
    let findings = in_order(source.file(), findings.into_vec(source.file()));
    if !setup.instances.is_empty() {
        return Ok((setup, findings));
    }
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(ConfigError::Faulty(findings));
    }
    let nothing = Finding::of_file(source.file(), "keepalived-nothing-to-do", "there is no `vrrp_instance`");
    Err(nothing.help("write `vrrp_instance NAME { … }`").into())
}

/// Each once, in the order of the files.
fn in_order(main: &Path, mut findings: Vec<Finding>) -> Vec<Finding> {
    let key = |finding: &Finding| {
        let place = finding.place.as_ref().map_or((0, 0), |place| (place.line, place.column));
        (finding.file != main, finding.file.clone(), place)
    };
    findings.sort_by_cached_key(key);
    findings.dedup();
    findings
}

/// What `conf` means on `host`, and what is to be said about that besides what its grammar says.
pub(super) fn translate(conf: &KeepalivedConf, host: &Host) -> (Setup, Vec<Finding>) {
    let mut cx = Context { conf, host, findings: Vec::new() };
    let mut commands = Commands::new(&mut cx);
    let scripts = track::scripts(&mut cx, &mut commands);
    let processes = track::processes(&mut cx);
    let files = track::files(&mut cx);
    let tracked = track::Tracked::new(conf, &scripts, &processes, &files);
    let mut instances = instance::all(&mut cx, &mut commands, &tracked);
    let groups = group::all(&mut cx, &mut commands, &tracked, &mut instances);
    let globals = &conf.globals;
    let mut setup = Setup {
        router_id: globals.router_id.as_ref().map_or_else(|| host.machine.name.clone(), |id| id.value.clone()),
        instances,
        groups,
        scripts,
        processes,
        files,
        fifos: notify::fifos(&mut cx, &mut commands),
        fifo_states_on_reload: globals.fifo_states_on_reload.value,
        script_security: globals.script_security.value,
        garp_interval: globals.garp_interval.value,
        gna_interval: globals.gna_interval.value,
        startup_delay: globals.startup_delay.value,
        dynamic_interfaces: globals.dynamic_interfaces.value,
        lease: Some(LEASE),
        scheduling: Scheduling {
            realtime: globals.rt_priority.as_ref().map(|priority| priority.value),
            realtime_limit: globals.rttime.is_written().then_some(globals.rttime.value),
            nice: globals.nice.value,
            no_swap: globals.no_swap.value,
        },
    };
    drop_untracked(&mut setup);
    (setup, cx.findings)
}

/// What nothing tracks is not looked at.
fn drop_untracked(setup: &mut Setup) {
    let names = |list: fn(&Tracking) -> &Vec<Track>| -> BTreeSet<String> {
        let all = setup.instances.iter().map(|one| &one.track).chain(setup.groups.iter().map(|one| &one.track));
        all.flat_map(list).map(|track| track.name.clone()).collect()
    };
    let (scripts, processes, files) = (names(|t| &t.scripts), names(|t| &t.processes), names(|t| &t.files));
    setup.scripts.retain(|script| scripts.contains(&script.name));
    setup.processes.retain(|process| processes.contains(&process.name));
    setup.files.retain(|file| files.contains(&file.name));
}

/// What a file is translated with.
struct Context<'a> {
    conf: &'a KeepalivedConf,
    host: &'a Host,
    findings: Vec<Finding>,
}

impl Context<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, at: At, message: String, help: &str) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(self.conf.sources.finding(severity, code, at, message).help(help));
        }
    }

    fn note(&mut self, code: &'static str, at: At, message: String, help: &str) {
        self.say(Severity::Note, code, at, message, help);
    }

    fn warn(&mut self, code: &'static str, at: At, message: String, help: &str) {
        self.say(Severity::Warning, code, at, message, help);
    }

    /// What it is about does not run, which is for the caller to see to.
    fn error(&mut self, code: &'static str, at: At, message: String, help: &str) {
        self.say(Severity::Error, code, at, message, help);
    }
}
