//! `global_defs`.

use std::net::IpAddr;

use super::block::Statement;
use super::builder::{Builder, user};
use super::place::{Located, Setting};
use super::table::{Block, Keyword};
use super::tree::{Command, Fifo, Globals};

impl Builder {
    /// Adds what one block says.
    pub(super) fn globals(&mut self, globals: &mut Globals, block: &Statement) {
        for statement in block.children() {
            if let Some(keyword) = self.keyword(Block::Globals, statement) {
                self.global(globals, keyword, statement);
            }
        }
    }

    fn global(&mut self, globals: &mut Globals, keyword: &'static Keyword, statement: &Statement) {
        let name = keyword.name;
        match name {
            "router_id" => globals.router_id = Self::word(statement),
            "script_user" => globals.script_user = user(statement.arguments()),
            "enable_script_security" => globals.script_security.set(self.flag(statement)),
            "vrrp_version" => globals.version.set(self.number(keyword, statement)),
            "vrrp_mcast_group4" => {
                if let Some(Located { value: IpAddr::V4(ip), at }) = self.group(keyword, statement, true) {
                    globals.group4 = Setting { value: ip, at: Some(at) };
                }
            }
            "vrrp_mcast_group6" => {
                if let Some(Located { value: IpAddr::V6(ip), at }) = self.group(keyword, statement, false) {
                    globals.group6 = Setting { value: ip, at: Some(at) };
                }
            }
            "vrrp_garp_interval" => globals.garp_interval.set(self.seconds(keyword, statement)),
            "vrrp_gna_interval" => globals.gna_interval.set(self.seconds(keyword, statement)),
            "vrrp_min_garp" => globals.min_garp.set(self.flag(statement)),
            "notify_fifo" => fifo(&mut globals.notify_fifo, statement),
            "vrrp_notify_fifo" => fifo(&mut globals.vrrp_notify_fifo, statement),
            "notify_fifo_script" => fifo_script(&mut globals.notify_fifo, self.command(statement)),
            "vrrp_notify_fifo_script" => fifo_script(&mut globals.vrrp_notify_fifo, self.command(statement)),
            "fifo_write_vrrp_states_on_reload" => globals.fifo_states_on_reload.set(self.flag(statement)),
            "vrrp_startup_delay" | "vrrp_delay_after_boot" => {
                globals.startup_delay.set(self.seconds(keyword, statement));
            }
            "dynamic_interfaces" => {
                // Its argument is `allow_if_changes`, and no boolean.
                let off = statement.arguments().first().is_some_and(|word| matches!(word.text.as_str(), "no" | "off"));
                globals.dynamic_interfaces.set(Some(Located::new(!off, statement.name_at())));
            }
            "default_interface" => globals.default_interface.set(Self::word(statement)),
            "vrrp_priority" => globals.nice.set(self.number(keyword, statement)),
            "vrrp_rt_priority" => globals.rt_priority = self.number(keyword, statement),
            "vrrp_no_swap" => globals.no_swap.set(self.flag(statement)),
            "vrrp_rlimit_rttime" | "vrrp_rlimit_rtime" => globals.rttime.set(self.number(keyword, statement)),
            _ => {
                let own = name.strip_prefix("vrrp_").unwrap_or(name);
                self.garp(&mut globals.garp, own, keyword, statement);
                self.common(&mut globals.common, own, keyword, statement);
            }
        }
    }

    /// A group that adverts go to.
    fn group(&mut self, keyword: &Keyword, statement: &Statement, v4: bool) -> Option<Located<IpAddr>> {
        let ip = self.ip(keyword, statement)?;
        if ip.value.is_multicast() && ip.value.is_ipv4() == v4 {
            return Some(ip);
        }
        let message = format!("`{}` is no multicast address: in force is {}", ip.value, keyword.default);
        let help = "remove the line; an address of a node belongs into `unicast_peer`";
        self.warn("keepalived-multicast-group", ip.at, message, help);
        None
    }
}

fn fifo(fifo: &mut Fifo, statement: &Statement) {
    fifo.path = Builder::word(statement);
    fifo.user = user(statement.arguments().get(1..).unwrap_or_default());
}

fn fifo_script(fifo: &mut Fifo, script: Option<Command>) {
    fifo.script = script;
}
