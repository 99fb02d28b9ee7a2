//! Virtual addresses as `[[vrrp]]` and its kin.

use std::path::PathBuf;
use std::time::Duration;

use super::{NotText, Writer, duration, text, utf8};
use crate::config::Vrrp;
use crate::config::native::vrrp::words;
use crate::config::vrrp::LEASE;
use crate::vrrp::packet::{Auth, Version};
use crate::vrrp::setup::{
    Address, Command, Family, Fifo, Garp, Instance, Notify, ParameterMatch, Peer, Process, Route, Rule, Scheduling,
    Script, Setup, SyncGroup, Track, TrackFile, Tracking, Transport, Vmac,
};

/// Where the password of an instance is to stand, which a legacy file has in its text.
pub(in crate::config) fn password_file(instance: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = instance.chars().map(plain).collect();
    PathBuf::from(format!("/etc/syncd/vrrp-{name}.password"))
}

impl Writer<'_> {
    pub(super) fn vrrp(&mut self, vrrp: &Vrrp, node: &str) -> Result<(), NotText> {
        let Vrrp { setup, passwords } = vrrp;
        // Each field by name: one that is new has to be written too.
        let Setup {
            router_id,
            instances,
            groups,
            scripts,
            processes,
            files,
            fifos,
            fifo_states_on_reload,
            // Always so of a native file.
            script_security: _,
            garp_interval,
            gna_interval,
            startup_delay,
            dynamic_interfaces,
            lease,
            scheduling: Scheduling { realtime, realtime_limit, nice, no_swap },
        } = setup;
        let mut part = self.part_of();
        part.unless("router-id", router_id, &node.to_owned(), |id| text(id));
        part.unless("lease", lease, &Some(LEASE), |lease| text(&lease.map_or("off".to_owned(), duration)));
        part.time("startup-delay", *startup_delay, Duration::ZERO);
        part.time("garp-interval", *garp_interval, Duration::ZERO);
        part.time("gna-interval", *gna_interval, Duration::ZERO);
        part.flag("dynamic-interfaces", *dynamic_interfaces);
        part.flag("fifo-states-on-reload", *fifo_states_on_reload);
        if let Some(priority) = realtime {
            part.key("realtime", priority);
        }
        if let Some(limit) = realtime_limit {
            part.key("realtime-limit", text(&duration(Duration::from_micros(*limit))));
        }
        part.unless("nice", nice, &0, i8::to_string);
        part.flag("no-swap", *no_swap);
        let keys = part.text;
        self.part("[vrrp-global]", &keys);
        scripts.iter().for_each(|script| self.script(script));
        processes.iter().for_each(|process| self.process(process));
        for file in files {
            self.track_file(file)?;
        }
        for instance in instances {
            self.instance(instance, passwords.get(&instance.name))?;
        }
        groups.iter().for_each(|group| self.group(group));
        for fifo in fifos {
            let Fifo { path, owner, script } = fifo;
            self.table("[[vrrp-fifo]]");
            self.path("path", path)?;
            if let Some(owner) = owner {
                self.key("owner", text(&words::of_user(*owner)));
            }
            if let Some(script) = script {
                self.command("script", script);
            }
        }
        Ok(())
    }

    fn part_of(&self) -> Self {
        Self { text: String::new(), said: self.said }
    }

    fn time(&mut self, key: &str, time: Duration, default: Duration) {
        self.unless(key, &time, &default, |time| text(&duration(*time)));
    }

    fn flag(&mut self, key: &str, on: bool) {
        self.unless(key, &on, &false, bool::to_string);
    }

    fn command(&mut self, key: &str, command: &Command) {
        let Command { argv, user } = command;
        self.list(key, argv.iter().cloned());
        if let Some(user) = user {
            self.key("user", text(&words::of_user(*user)));
        }
    }

    fn instance(&mut self, instance: &Instance, password: Option<&PathBuf>) -> Result<(), NotText> {
        let Instance {
            name,
            interface,
            vrid,
            version,
            family,
            priority,
            interval,
            preempt,
            preempt_delay,
            auth,
            addresses,
            excluded,
            routes,
            rules,
            transport,
            source,
            track_source,
            down_adverts,
            lower_priority_no_advert,
            checksum_without_pseudo_header,
            garp,
            vmac,
            accept,
            track,
            ignore_interface,
            notify,
            notify_priority,
        } = instance;
        self.table("[[vrrp]]");
        self.key("name", text(name));
        self.key("interface", text(interface));
        self.key("vrid", vrid);
        self.unless("version", version, &Version::V3, |_| "2".to_owned());
        if addresses.is_empty() {
            self.unless("family", family, &Family::V4, |_| text("ipv6"));
        }
        self.key("priority", priority);
        self.key("interval", text(&duration(*interval)));
        self.unless("preempt", preempt, &true, |_| text("never"));
        self.time("preempt-delay", *preempt_delay, Duration::ZERO);
        if let Some(file) = password {
            self.path("password-file", file)?;
        } else if matches!(auth, Auth::Pass(_)) {
            let file = password_file(name);
            self.text.push_str("# Not carried over: the password itself. Write it into this file, mode 0600.\n");
            self.key("password-file", text(utf8(&file)?));
        }
        self.unless_empty("addresses", &addresses.iter().map(words::of_address).collect::<Vec<String>>());
        self.unless_empty("excluded", &excluded.iter().map(|a: &Address| words::of_address(a)).collect::<Vec<_>>());
        self.unless_empty("routes", &routes.iter().map(|r: &Route| words::of_route(r)).collect::<Vec<_>>());
        self.unless_empty("rules", &rules.iter().map(|r: &Rule| words::of_rule(r)).collect::<Vec<_>>());
        self.transport(transport, *family);
        if let Some(source) = source {
            self.key("source", text(&source.to_string()));
        }
        self.flag("track-source", *track_source);
        self.unless("down-adverts", down_adverts, &3, u32::to_string);
        self.flag("lower-priority-no-advert", *lower_priority_no_advert);
        self.flag("checksum-without-pseudo-header", *checksum_without_pseudo_header);
        self.unless("accept", accept, &true, bool::to_string);
        self.flag("ignore-interface", *ignore_interface);
        self.flag("notify-priority", *notify_priority);
        self.garp(garp);
        if let Some(Vmac { name, mac, transmit_base }) = vmac {
            self.table("[vrrp.vmac]");
            self.key("name", text(name));
            self.key("mac", text(&words::of_mac(mac)));
            self.flag("transmit-base", *transmit_base);
        }
        self.tracking("[[vrrp.track]]", track);
        self.notify("[[vrrp.notify]]", notify);
        Ok(())
    }

    fn transport(&mut self, transport: &Transport, family: Family) {
        match transport {
            Transport::Multicast { group } => {
                let usual = if family == Family::V4 { "224.0.0.18" } else { "ff02::12" };
                self.unless("group", &group.to_string(), &usual.to_owned(), |group| text(group));
            }
            Transport::Unicast { peers, ttl, check_source } => {
                self.list("peers", peers.iter().map(|peer: &Peer| words::of_peer(peer)));
                let usual = (family == Family::V4).then_some(u8::MAX);
                if let Some(ttl) = ttl.filter(|ttl| Some(*ttl) != usual) {
                    self.key("ttl", ttl);
                }
                self.flag("check-source", *check_source);
            }
        }
    }

    fn garp(&mut self, garp: &Garp) {
        let Garp { delay, repeat, refresh, refresh_repeat, lower_delay, lower_repeat } = garp;
        let usual = Garp::default();
        let mut part = self.part_of();
        part.time("delay", *delay, usual.delay);
        part.unless("repeat", repeat, &usual.repeat, u32::to_string);
        part.time("refresh", *refresh, usual.refresh);
        part.unless("refresh-repeat", refresh_repeat, &usual.refresh_repeat, u32::to_string);
        part.time("lower-delay", *lower_delay, usual.lower_delay);
        part.unless("lower-repeat", lower_repeat, &usual.lower_repeat, u32::to_string);
        let keys = part.text;
        self.part("[vrrp.garp]", &keys);
    }

    fn tracking(&mut self, table: &str, tracking: &Tracking) {
        let Tracking { interfaces, scripts, processes, files } = tracking;
        let lists = [("interface", interfaces), ("script", scripts), ("process", processes), ("file", files)];
        for (key, track) in lists.into_iter().flat_map(|(key, list)| list.iter().map(move |track| (key, track))) {
            let Track { name, weight, reverse } = track;
            self.table(table);
            self.key(key, text(name));
            self.unless("weight", weight, &0, i32::to_string);
            self.flag("reverse", *reverse);
        }
    }

    fn notify(&mut self, table: &str, notify: &Notify) {
        let Notify { master, backup, fault, stop, deleted, any, lower_priority } = notify;
        let all = [
            ("master", master),
            ("backup", backup),
            ("fault", fault),
            ("stop", stop),
            ("deleted", deleted),
            ("any", any),
            ("lower-priority", lower_priority),
        ];
        for (on, command) in all {
            if let Some(command) = command {
                self.table(table);
                self.key("on", text(on));
                self.command("command", command);
            }
        }
    }

    fn group(&mut self, group: &SyncGroup) {
        let SyncGroup { name, members, track, notify, member_weights } = group;
        self.table("[[vrrp-group]]");
        self.key("name", text(name));
        self.list("members", members.iter().cloned());
        self.flag("member-weights", *member_weights);
        self.tracking("[[vrrp-group.track]]", track);
        self.notify("[[vrrp-group.notify]]", notify);
    }

    fn script(&mut self, script: &Script) {
        let Script { name, command, interval, timeout, rise, fall, init_fail } = script;
        self.table("[[vrrp-script]]");
        self.key("name", text(name));
        self.command("command", command);
        self.key("interval", text(&duration(*interval)));
        self.time("timeout", *timeout, *interval);
        self.unless("rise", rise, &1, u32::to_string);
        self.unless("fall", fall, &1, u32::to_string);
        self.flag("init-fail", *init_fail);
    }

    fn process(&mut self, process: &Process) {
        let Process { name, program, parameters, full_command, least, most, up_delay, down_delay } = process;
        self.table("[[vrrp-process]]");
        self.key("name", text(name));
        self.key("program", text(program));
        if let Some((how, parameters)) = parameters {
            self.list("parameters", parameters.iter().cloned());
            let how = match how {
                ParameterMatch::Exact => "exact",
                ParameterMatch::Partial => "partial",
                ParameterMatch::Initial => "initial",
            };
            self.key("match", text(how));
        }
        self.flag("full-command", *full_command);
        self.unless("least", least, &1, u32::to_string);
        if let Some(most) = most {
            self.key("most", most);
        }
        self.time("up-delay", *up_delay, Duration::ZERO);
        self.time("down-delay", *down_delay, Duration::ZERO);
    }

    fn track_file(&mut self, file: &TrackFile) -> Result<(), NotText> {
        let TrackFile { name, file, init } = file;
        self.table("[[vrrp-file]]");
        self.key("name", text(name));
        self.path("file", file)?;
        if let Some((value, overwrite)) = init {
            self.key("init", value);
            self.flag("init-overwrite", *overwrite);
        }
        Ok(())
    }
}
