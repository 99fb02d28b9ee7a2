//! `vrrp_instance`.

use std::net::IpAddr;

use super::block::Statement;
use super::builder::Builder;
use super::place::{Located, Setting};
use super::table::{Block, Keyword};
use super::tree::{Auth, AuthKind, Common, Garp, Globals, Instance, Peer, Secret, State, Vmac};
use super::word::Word;

/// The priority where none is written.
const PRIORITY: u8 = 100;

/// How many bytes of a password are sent.
pub(super) const PASSWORD: usize = 8;

impl Builder {
    /// One instance, with what it inherits from `globals`.
    pub(super) fn instance(&mut self, name: Located<String>, block: &Statement, globals: &Globals) -> Instance {
        let mut instance = Instance::named(name);
        let before = self.findings.errors();
        for statement in block.children() {
            if let Some(keyword) = self.keyword(Block::Instance, statement) {
                self.instance_word(&mut instance, keyword, statement);
            }
        }
        self.settle(&mut instance, globals);
        instance.refused = self.findings.errors() > before;
        instance
    }

    fn instance_word(&mut self, instance: &mut Instance, keyword: &'static Keyword, statement: &Statement) {
        match keyword.name {
            "state" => self.state(instance, statement),
            "interface" => instance.interface = Self::word(statement),
            "virtual_router_id" => instance.vrid = self.number(keyword, statement).or(instance.vrid.take()),
            // What is no priority is the default, and no owner's, whatever the state.
            "priority" => {
                let written = self.number(keyword, statement);
                instance.priority.set(written.or_else(|| Some(Located::new(PRIORITY, statement.at()))));
            }
            "advert_int" => instance.advert_int.set(self.seconds(keyword, statement)),
            "version" => instance.version.set(self.number(keyword, statement)),
            "authentication" => instance.auth = self.auth(statement),
            "virtual_ipaddress" => instance.addresses.extend(self.addresses(statement)),
            "virtual_ipaddress_excluded" => instance.excluded.extend(self.addresses(statement)),
            "virtual_routes" => instance.routes.extend(entries(statement)),
            "virtual_rules" => instance.rules.extend(entries(statement)),
            "no_virtual_ipaddress" => instance.no_addresses.set(self.flag(statement)),
            "preempt" => instance.preempt.set(self.flag(statement)),
            "nopreempt" => {
                instance.preempt.set(self.flag(statement).map(|no| Located::new(!no.value, statement.name_at())));
            }
            "preempt_delay" => instance.preempt_delay.set(self.seconds(keyword, statement)),
            "unicast_src_ip" => instance.unicast.source = self.ip(keyword, statement),
            "unicast_peer" => instance.unicast.peers.extend(self.peers(statement)),
            "unicast_ttl" => instance.unicast.ttl = self.number(keyword, statement),
            "unicast_fault_no_peer" => instance.unicast.fault_no_peer = self.flag(statement),
            "mcast_src_ip" => instance.mcast_src = self.ip(keyword, statement),
            "mcast_dst_ip" => instance.mcast_dst = self.destination(keyword, statement),
            "track_src_ip" => instance.track_src_ip.set(self.flag(statement)),
            "dont_track_primary" => instance.dont_track_primary.set(self.flag(statement)),
            "accept" => instance.accept.set(self.flag(statement)),
            "no_accept" => instance.accept.set(self.flag(statement).map(|no| Located::new(!no.value, no.at))),
            "use_vmac" => instance.vmac = Some(self.vmac(instance.vmac.take(), statement)),
            "use_vmac_addr" | "vmac_xmit_base" => self.vmac_switch(instance, keyword, statement),
            "promote_secondaries" => instance.promote_secondaries.set(self.flag(statement)),
            "timer_expired_backup" => instance.timer_expired_backup.set(self.flag(statement)),
            "v3_checksum_as_v2" => instance.v3_checksum_as_v2.set(self.flag(statement)),
            name if name.starts_with("track_") => self.track(&mut instance.track, statement),
            name if name.starts_with("notify") => {
                self.notify(&mut instance.notify, statement);
                self.common(&mut instance.common, name, keyword, statement);
            }
            name => {
                self.garp(&mut instance.garp, name, keyword, statement);
                self.common(&mut instance.common, name, keyword, statement);
            }
        }
    }

    /// What follows from the rest of the block and from `globals`.
    fn settle(&mut self, instance: &mut Instance, globals: &Globals) {
        instance.garp.inherit(&globals.garp);
        instance.common.inherit(&globals.common);
        instance.version.or_general(&globals.version);
        if instance.is_v6() {
            instance.version.value = 3;
        }
        // An owner; `state MASTER` alone makes one, which the traps are told of.
        if !instance.priority.is_written() && instance.state.value == State::Master {
            instance.priority.value = 255;
        } else if !instance.state.is_written() && instance.priority.value == 255 {
            instance.state.value = State::Master;
        }
        if instance.common.strict.value && !instance.accept.is_written() {
            instance.accept.value = false;
        }
    }

    fn state(&mut self, instance: &mut Instance, statement: &Statement) {
        let Some(word) = statement.arguments().first() else { return };
        let state = match word.text.as_str() {
            "MASTER" => State::Master,
            "BACKUP" => State::Backup,
            other => {
                let message = format!("`{other}` is no state: in force is BACKUP");
                self.warn("keepalived-value", word.at, message, "write MASTER or BACKUP, in capitals");
                State::Backup
            }
        };
        if instance.state.is_written() && instance.state.value == State::Master && state == State::Backup {
            let message = "`state MASTER` stands above and cannot be taken back: it stays MASTER";
            return self.warn("keepalived-repeated", word.at, message, "remove one of them");
        }
        instance.state.set(Some(Located::new(state, word.at)));
    }

    fn auth(&mut self, block: &Statement) -> Option<Auth> {
        let mut auth: Option<Auth> = None;
        let mut password = None;
        for statement in block.children() {
            let Some(keyword) = self.keyword(Block::Authentication, statement) else { continue };
            let Some(word) = statement.arguments().first() else { continue };
            if keyword.name == "auth_pass" {
                password = Some(self.password(statement, word));
                continue;
            }
            let kind = match word.text.as_str() {
                "PASS" => AuthKind::Pass,
                "AH" => AuthKind::Ah,
                other => {
                    let message = format!("`{other}` is no type of authentication: there is none then");
                    self.warn("keepalived-value", word.at, message, "write PASS");
                    AuthKind::None
                }
            };
            auth = Some(Auth { kind: Located::new(kind, word.at), password: None });
        }
        if let (None, Some(password)) = (&auth, &password) {
            let message = "there is no `auth_type`: the password is not used";
            self.warn("keepalived-auth", password.at, message, "write `auth_type PASS` above it");
        }
        auth.map(|auth| Auth { password, ..auth })
    }

    fn password(&mut self, statement: &Statement, word: &Word) -> Located<Secret> {
        let bytes = match self.sources.get(word.at.file) {
            Some(source) => source.bytes_at(word.at.span.start, &word.text),
            None => word.text.clone().into_bytes(),
        };
        if let Some(cut) = statement.cut {
            let message =
                format!("a comment begins within the password: of it only the {} bytes before count", bytes.len());
            let finding = self.sources.warning("keepalived-password-comment", cut, message);
            self.findings.push(finding.help("write `\\#` or `\\!` for the character, or a blank before the comment"));
        }
        if bytes.len() > PASSWORD {
            let message = format!("the password has {} bytes, of which {PASSWORD} are sent and compared", bytes.len());
            self.warn("keepalived-password-long", word.at, message, "write eight, the same on every node");
        }
        Located::new(Secret(bytes), word.at)
    }

    fn peers(&mut self, block: &Statement) -> Vec<Peer> {
        let mut peers = Vec::new();
        for entry in block.children() {
            let Some(first) = entry.words.first() else { continue };
            let Ok(ip) = first.text.parse::<IpAddr>() else {
                let message = format!("`{}` is no address", first.text);
                self.error("keepalived-address", first.at, message, "write one address on each line");
                continue;
            };
            let mut peer = Peer { address: Located::new(ip, first.at), min_ttl: None, max_ttl: None };
            let mut rest = entry.arguments().iter();
            while let Some(word) = rest.next() {
                let ttl = matches!(word.text.as_str(), "min_ttl" | "max_ttl");
                match ttl.then(|| rest.next().and_then(|value| value.text.parse().ok())) {
                    Some(Some(value)) if word.text == "min_ttl" => peer.min_ttl = Some(value),
                    Some(Some(value)) => peer.max_ttl = Some(value),
                    Some(None) => {
                        self.warn("keepalived-value", word.at, "this is no TTL", format!("write `{} 255`", word.text));
                    }
                    None => {
                        let message = format!("`{}` is lost: a line holds one peer", word.text);
                        self.warn("keepalived-several-statements", word.at, message, "write it on a line of its own");
                        break;
                    }
                }
            }
            peers.push(peer);
        }
        peers
    }

    fn destination(&mut self, keyword: &Keyword, statement: &Statement) -> Option<Located<IpAddr>> {
        let ip = self.ip(keyword, statement)?;
        if ip.value.is_multicast() {
            return Some(ip);
        }
        let message = format!("`{}` is no multicast address: it is ignored", ip.value);
        let help = "remove the line; an address of a node belongs into `unicast_peer`";
        self.warn("keepalived-multicast-group", ip.at, message, help);
        None
    }

    fn vmac(&mut self, known: Option<Vmac>, statement: &Statement) -> Vmac {
        let switch = Setting::default_of(false);
        let mut vmac = known.unwrap_or(Vmac {
            name: None,
            mac: None,
            transmit_base: switch.clone(),
            addresses: switch,
            at: statement.name_at(),
        });
        for word in statement.arguments() {
            match mac(&word.text) {
                Some(bytes) => vmac.mac = Some(Located::new(bytes, word.at)),
                None if word.text.len() > 15 => {
                    let message = format!("`{}` is longer than an interface's name may be", word.text);
                    self.warn("keepalived-value", word.at, message, "write at most 15 bytes");
                }
                None => vmac.name = Some(word.located()),
            }
        }
        vmac
    }

    fn vmac_switch(&mut self, instance: &mut Instance, keyword: &Keyword, statement: &Statement) {
        let flag = self.flag(statement);
        let Some(vmac) = instance.vmac.as_mut() else {
            let message = format!("`{}` without `use_vmac` above it does nothing", keyword.name);
            return self.warn(
                "keepalived-vmac",
                statement.name_at(),
                message,
                "write `use_vmac` above it, or remove it",
            );
        };
        let switch = if keyword.name == "vmac_xmit_base" { &mut vmac.transmit_base } else { &mut vmac.addresses };
        switch.set(flag);
    }

    /// `garp_*`, by its name in an instance.
    pub(super) fn garp(&mut self, garp: &mut Garp, name: &str, keyword: &Keyword, statement: &Statement) {
        match name {
            "garp_master_delay" => garp.master_delay.set(self.seconds(keyword, statement)),
            "garp_master_repeat" => garp.master_repeat.set(self.number(keyword, statement)),
            "garp_master_refresh" => garp.master_refresh.set(self.seconds(keyword, statement)),
            "garp_master_refresh_repeat" => garp.master_refresh_repeat.set(self.number(keyword, statement)),
            "garp_lower_prio_delay" => garp.lower_prio_delay.set(self.seconds(keyword, statement)),
            "garp_lower_prio_repeat" => garp.lower_prio_repeat.set(self.number(keyword, statement)),
            _ => {}
        }
    }

    /// What both instances and `global_defs` can say, by its name in an instance.
    pub(super) fn common(&mut self, common: &mut Common, name: &str, keyword: &Keyword, statement: &Statement) {
        let switch = match name {
            "skip_check_adv_addr" => &mut common.skip_check_adv_addr,
            "check_unicast_src" => &mut common.check_unicast_src,
            "strict" | "strict_mode" => &mut common.strict,
            "lower_prio_no_advert" => &mut common.lower_prio_no_advert,
            "higher_prio_send_advert" => &mut common.higher_prio_send_advert,
            "notify_priority_changes" => &mut common.notify_priority_changes,
            "down_timer_adverts" => return common.down_timer_adverts.set(self.number(keyword, statement)),
            _ => return,
        };
        switch.set(self.flag(statement));
    }
}

/// The entries of a block, word by word.
pub(super) fn entries(block: &Statement) -> Vec<Vec<Word>> {
    block.children().iter().map(|entry| entry.words.clone()).collect()
}

/// `00:00:5e:00:01:33`.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}
