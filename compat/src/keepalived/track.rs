//! What priorities depend on: scripts, processes, files, interfaces, groups; and who is told.

use super::block::Statement;
use super::builder::{Builder, user};
use super::place::Located;
use super::table::Block;
use super::tree::{Command, Group, Notify, Process, Script, Track, TrackFile, Tracking};

/// The largest weight of a script, an interface or a process.
const WEIGHT: i32 = 253;

/// The largest weight of a file, whose number it is multiplied with.
const FILE_WEIGHT: i32 = i32::MAX;

impl Builder {
    /// One `vrrp_script`.
    pub(super) fn script(&mut self, name: Located<String>, block: &Statement) -> Script {
        let mut script = Script::named(name);
        let mut as_user = None;
        for statement in block.children() {
            let Some(keyword) = self.keyword(Block::Script, statement) else { continue };
            match keyword.name {
                "script" => script.command = self.command(statement),
                "interval" => script.interval.set(self.seconds(keyword, statement)),
                "timeout" => script.timeout.set(self.seconds(keyword, statement)),
                "weight" => script.weight = self.weight(statement.arguments(), WEIGHT).unwrap_or(script.weight),
                "rise" => script.rise.set(self.number(keyword, statement)),
                "fall" => script.fall.set(self.number(keyword, statement)),
                "init_fail" => script.init_fail.set(self.flag(statement)),
                _ => as_user = user(statement.arguments()),
            }
        }
        script.timeout.or_general(&script.interval.clone());
        if let Some(command) = &mut script.command {
            // What stands behind the command is nobody here.
            command.user = as_user;
        } else {
            let message = format!("`vrrp_script {}` has no `script`: nothing is run", script.name.value);
            self.warn("keepalived-script", script.name.at, message, "write `script \"/PROGRAM ARGUMENTS\"` in it");
        }
        script
    }

    /// One `vrrp_track_process`.
    pub(super) fn process(&mut self, name: Located<String>, block: &Statement) -> Process {
        let mut process = Process::named(name);
        for statement in block.children() {
            let Some(keyword) = self.keyword(Block::Process, statement) else { continue };
            match keyword.name {
                "process" => process.command = Self::process_words(statement),
                "weight" => process.weight = self.weight(statement.arguments(), WEIGHT).unwrap_or(process.weight),
                "quorum" => process.quorum.set(self.number(keyword, statement)),
                "quorum_max" => process.quorum_max = self.number(keyword, statement),
                "fork_delay" => process.fork_delay.set(self.seconds(keyword, statement)),
                "terminate_delay" => process.terminate_delay.set(self.seconds(keyword, statement)),
                "delay" => {
                    let delay = self.seconds(keyword, statement);
                    process.fork_delay.set(delay.clone());
                    process.terminate_delay.set(delay);
                }
                "full_command" => process.full_command.set(self.flag(statement)),
                "param_match" => {
                    let exact = || Located::new(String::new(), statement.name_at());
                    process.param_match = Some(Self::word(statement).unwrap_or_else(exact));
                }
                _ => {}
            }
        }
        if process.command.is_none() {
            let message = format!("`vrrp_track_process {}` names no `process`", process.name.value);
            self.warn("keepalived-script", process.name.at, message, "write `process NAME` in it");
        }
        process
    }

    /// The program that is looked for and its parameters: words as they stand, since nothing is run.
    fn process_words(statement: &Statement) -> Option<Command> {
        let words = statement.arguments();
        let (first, last) = words.first().zip(words.last())?;
        let argv: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
        (!first.text.is_empty()).then(|| Command { argv, user: None, at: first.at.to(last.at) })
    }

    /// One `vrrp_track_file`.
    pub(super) fn track_file(&mut self, name: Located<String>, block: &Statement) -> TrackFile {
        let mut file = TrackFile::named(name);
        for statement in block.children() {
            let Some(keyword) = self.keyword(Block::File, statement) else { continue };
            match keyword.name {
                "file" => file.file = Self::word(statement),
                "weight" => file.weight = self.weight(statement.arguments(), FILE_WEIGHT).unwrap_or(file.weight),
                _ => file.init = Some(statement.arguments().to_vec()),
            }
        }
        if file.file.is_none() {
            let message = format!("`vrrp_track_file {}` names no `file`", file.name.value);
            self.warn("keepalived-script", file.name.at, message, "write `file \"/FILE\"` in it");
        }
        file
    }

    /// One `vrrp_sync_group`.
    pub(super) fn sync_group(&mut self, name: Located<String>, block: &Statement) -> Group {
        let mut group = Group::named(name);
        for statement in block.children() {
            let Some(keyword) = self.keyword(Block::Group, statement) else { continue };
            match keyword.name {
                "group" => {
                    let words = statement.children().iter().flat_map(|entry| &entry.words);
                    group.members.extend(words.map(super::word::Word::located));
                }
                "sync_group_tracking_weight" => group.tracking_weight.set(self.flag(statement)),
                "notify_priority_changes" => group.notify_priority_changes.set(self.flag(statement)),
                name if name.starts_with("track_") => self.track(&mut group.track, statement),
                name if name.starts_with("notify") => self.notify(&mut group.notify, statement),
                _ => {}
            }
        }
        group
    }

    /// `track_interface`, `track_script`, `track_process` or `track_file` of an instance or a group.
    pub(super) fn track(&mut self, tracking: &mut Tracking, block: &Statement) {
        let (list, bound) = match block.name() {
            "track_interface" => (&mut tracking.interfaces, WEIGHT),
            "track_script" => (&mut tracking.scripts, WEIGHT),
            "track_process" => (&mut tracking.processes, WEIGHT),
            "track_file" => (&mut tracking.files, FILE_WEIGHT),
            _ => return,
        };
        for entry in block.children() {
            let Some(name) = entry.words.first() else { continue };
            let mut track = Track { name: name.located(), weight: None };
            match entry.arguments().split_first() {
                Some((word, rest)) if word.text == "weight" => track.weight = self.weight(rest, bound),
                Some((word, _)) => {
                    let message = format!("`{}` is lost: a line holds one name, and behind it `weight N`", word.text);
                    self.warn("keepalived-several-statements", word.at, message, "write it on a line of its own");
                }
                None => {}
            }
            list.push(track);
        }
    }

    /// `notify` and its kin, of which the first counts.
    pub(super) fn notify(&mut self, notify: &mut Notify, statement: &Statement) {
        let slot = match statement.name() {
            "notify_master" => &mut notify.master,
            "notify_backup" => &mut notify.backup,
            "notify_fault" => &mut notify.fault,
            "notify_stop" => &mut notify.stop,
            "notify_deleted" => &mut notify.deleted,
            "notify" => &mut notify.any,
            "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
            _ => return,
        };
        if slot.is_some() {
            let message = format!("this `{}` is ignored: the first one counts", statement.name());
            return self.warn("keepalived-repeated", statement.at(), message, "remove one of them");
        }
        *slot = self.command(statement);
    }
}
