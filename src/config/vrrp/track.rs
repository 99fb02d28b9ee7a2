//! What moves priorities: scripts, processes, files, interfaces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use syncd_compat::keepalived::weight::Kind;
use syncd_compat::keepalived::{self, KeepalivedConf, Weight};

use super::Context;
use super::command::{Commands, Use};
use crate::vrrp::setup::{ParameterMatch, Process, Script, Track, TrackFile, Tracking};

/// A program is not started more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// The programs that are run, each name once.
pub(super) fn scripts(cx: &mut Context<'_>, commands: &mut Commands) -> Vec<Script> {
    let conf = cx.conf;
    let mut seen = Names::default();
    let mut scripts = Vec::new();
    for said in conf.scripts.iter() {
        if !seen.is_new(cx, "vrrp_script", &said.name) {
            continue;
        }
        let Some(command) = said.command.as_ref().and_then(|command| commands.get(cx, command, Use::Track)) else {
            continue;
        };
        scripts.push(Script {
            name: said.name.value.clone(),
            command,
            interval: said.interval.value.max(SHORTEST),
            timeout: said.timeout.value.max(SHORTEST),
            rise: said.rise.value.max(1),
            fall: said.fall.value.max(1),
            init_fail: said.init_fail.value,
        });
    }
    scripts
}

/// The processes that are looked for.
pub(super) fn processes(cx: &mut Context<'_>) -> Vec<Process> {
    let conf = cx.conf;
    let mut seen = Names::default();
    let mut processes = Vec::new();
    for said in conf.processes.iter() {
        if !seen.is_new(cx, "vrrp_track_process", &said.name) {
            continue;
        }
        let Some((program, parameters)) = said.command.as_ref().and_then(|command| command.argv.split_first()) else {
            continue;
        };
        let compared = said.param_match.as_ref().map(|how| how.value.as_str());
        let how = match compared {
            Some("initial") => ParameterMatch::Initial,
            Some("partial") => ParameterMatch::Partial,
            _ => ParameterMatch::Exact,
        };
        let counts = compared.is_some() || !parameters.is_empty();
        processes.push(Process {
            name: said.name.value.clone(),
            program: program.clone(),
            parameters: counts.then(|| (how, parameters.to_vec())),
            full_command: said.full_command.value,
            least: said.quorum.value,
            most: said.quorum_max.as_ref().map(|most| most.value),
            up_delay: said.fork_delay.value,
            down_delay: said.terminate_delay.value,
        });
    }
    processes
}

/// The files that are read.
pub(super) fn files(cx: &mut Context<'_>) -> Vec<TrackFile> {
    let conf = cx.conf;
    let mut seen = Names::default();
    let mut files = Vec::new();
    for said in conf.files.iter() {
        if !seen.is_new(cx, "vrrp_track_file", &said.name) {
            continue;
        }
        let Some(file) = &said.file else { continue };
        if !file.value.starts_with('/') {
            let message = format!("`{}` is no absolute path: it is not read", file.value);
            cx.warn("keepalived-value", file.at, message, "write it from `/` on");
            continue;
        }
        let init = said.init.as_ref().map(|words| init(cx, words));
        files.push(TrackFile { name: said.name.value.clone(), file: PathBuf::from(&file.value), init });
    }
    files
}

/// `[VALUE] [overwrite]`, in any order.
fn init(cx: &mut Context<'_>, words: &[keepalived::Word]) -> (i32, bool) {
    let mut init = (0, false);
    for word in words {
        match word.text.parse() {
            Ok(value) => init.0 = value,
            Err(_) if word.text == "overwrite" => init.1 = true,
            Err(_) => {
                let message = format!("`{}` is neither a number nor `overwrite`: it is ignored", word.text);
                cx.warn("keepalived-value", word.at, message, "write `init_file 0`, or `init_file 0 overwrite`");
            }
        }
    }
    init
}

/// Names of which the first counts.
#[derive(Default)]
struct Names<'a>(BTreeMap<&'a str, keepalived::At>);

impl<'a> Names<'a> {
    fn is_new(&mut self, cx: &mut Context<'_>, what: &str, name: &'a keepalived::Located<String>) -> bool {
        let Some(earlier) = self.0.get(name.value.as_str()) else {
            self.0.insert(&name.value, name.at);
            return true;
        };
        let place = cx.conf.sources.line_of(*earlier);
        let message = format!("there is another `{what} {}` ({place}), which counts", name.value);
        cx.warn("keepalived-repeated", name.at, message, "rename or remove one of them");
        false
    }
}

/// What can be tracked, with the weight that each thing has of itself.
pub(super) struct Tracked<'a> {
    scripts: BTreeMap<&'a str, Weight>,
    processes: BTreeMap<&'a str, Weight>,
    files: BTreeMap<&'a str, Weight>,
}

impl<'a> Tracked<'a> {
    pub(super) fn new(
        conf: &'a KeepalivedConf,
        scripts: &[Script],
        processes: &[Process],
        files: &[TrackFile],
    ) -> Self {
        // Of two things with one name the first counts.
        let first = |all: Vec<(&'a str, Weight)>| all.into_iter().rev().collect::<BTreeMap<_, _>>();
        let mut all = Self {
            scripts: first(conf.scripts.iter().map(|one| (one.name.value.as_str(), one.weight)).collect()),
            processes: first(conf.processes.iter().map(|one| (one.name.value.as_str(), one.weight)).collect()),
            files: first(conf.files.iter().map(|one| (one.name.value.as_str(), one.weight)).collect()),
        };
        // What is not run or looked at is not tracked.
        let names = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let known = names(scripts.iter().map(|one| one.name.as_str()).collect());
        all.scripts.retain(|name, _| known.contains(*name));
        let known = names(processes.iter().map(|one| one.name.as_str()).collect());
        all.processes.retain(|name, _| known.contains(*name));
        let known = names(files.iter().map(|one| one.name.as_str()).collect());
        all.files.retain(|name, _| known.contains(*name));
        all
    }

    /// What an instance or a group tracks; what is not known is left out, which the grammar has said.
    pub(super) fn tracking(&self, said: &keepalived::Tracking) -> Tracking {
        let mut tracking = Tracking::default();
        for (kind, track) in said.iter() {
            let name = track.name.value.as_str();
            let (list, own) = match kind {
                Kind::Interface => (&mut tracking.interfaces, Some(Weight { value: 0, reverse: false, at: None })),
                Kind::Script => (&mut tracking.scripts, self.scripts.get(name).copied()),
                Kind::Process => (&mut tracking.processes, self.processes.get(name).copied()),
                Kind::File => (&mut tracking.files, self.files.get(name).copied()),
            };
            let Some(own) = own else { continue };
            let weight = track.weight.unwrap_or(own);
            // As keepalived: the first entry of a name counts.
            if list.iter().all(|track| track.name != name) {
                list.push(Track { name: name.to_owned(), weight: weight.value, reverse: weight.reverse });
            }
        }
        tracking
    }
}

/// Leaves of `tracking` only what is a fault: a file with the usual weight is one without it, and an
/// interface too where `interfaces` says so. Whether anything had a weight.
pub(super) fn retain_faults(tracking: &mut Tracking, interfaces_stay: bool) -> bool {
    let Tracking { interfaces, scripts, processes, files } = tracking;
    let weighted = |list: &Vec<Track>| list.iter().any(|track| track.weight != 0);
    let any = [&*interfaces, scripts, processes, files].into_iter().any(weighted);
    if interfaces_stay {
        interfaces.iter_mut().for_each(|track| track.weight = 0);
    }
    files.iter_mut().filter(|track| track.weight == 1).for_each(|track| track.weight = 0);
    for list in [interfaces, scripts, processes, files] {
        list.retain(|track| track.weight == 0);
    }
    any
}
