//! What is in force, value by value, and which of it is a default.

mod sets;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncd_compat::keepalived::{Globals, Instance, Setting};

use super::given::Given;
use crate::config::vrrp::{LEASE, interval};
use crate::vrrp::packet::Version;
use crate::vrrp::setup::{Garp, Setup};

/// One value that is in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InForce {
    /// The file that it comes from.
    pub file: PathBuf,
    /// What it is of: a set, an instance, or empty for the whole file.
    pub of: String,
    /// Its name: a key of `--set` or `syncd.toml`, or a keyword of keepalived.
    pub name: &'static str,
    /// The value.
    pub value: String,
    /// Whether it is the default.
    pub default: bool,
}

/// All values of all files.
pub(super) fn all(given: &Given) -> Vec<InForce> {
    let mut all = Vec::new();
    for loaded in &given.loaded {
        sets::config(&loaded.config, &mut all);
        if let Some(vrrp) = &loaded.config.vrrp {
            virtual_addresses(&loaded.config.file, &vrrp.setup, &mut all);
        }
    }
    for vrrp in &given.vrrp {
        globals(&vrrp.file, &vrrp.conf.globals, &mut all);
        for one in &vrrp.conf.instances {
            instance(&vrrp.file, one, &mut all);
        }
    }
    all
}

/// Collects the values of one thing.
struct Values<'a> {
    file: &'a Path,
    of: &'a str,
    all: &'a mut Vec<InForce>,
}

impl Values<'_> {
    fn add<T: Debug + PartialEq>(&mut self, name: &'static str, value: &T, default: &T, shown: impl Fn(&T) -> String) {
        let (value, default) = (shown(value), value == default);
        self.all.push(InForce { file: self.file.to_owned(), of: self.of.to_owned(), name, value, default });
    }

    fn plain<T: Debug + PartialEq>(&mut self, name: &'static str, value: &T, default: &T) {
        self.add(name, value, default, |value| format!("{value:?}"));
    }

    /// A list in its order; by default there is nothing in it.
    fn list(&mut self, name: &'static str, items: &[String]) {
        let value = if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        let default = items.is_empty();
        self.all.push(InForce { file: self.file.to_owned(), of: self.of.to_owned(), name, value, default });
    }

    /// What may be absent, and is by default.
    fn maybe<T: ToString>(&mut self, name: &'static str, value: Option<T>) {
        self.list(name, &value.map(|value| value.to_string()).into_iter().collect::<Vec<_>>());
    }

    fn setting<T: Debug>(&mut self, name: &'static str, setting: &Setting<T>) {
        let (value, default) = (format!("{:?}", setting.value), !setting.is_written());
        self.all.push(InForce { file: self.file.to_owned(), of: self.of.to_owned(), name, value, default });
    }
}

/// `global_defs`, as far as instances do not show it themselves.
fn globals(file: &Path, globals: &Globals, all: &mut Vec<InForce>) {
    let mut values = Values { file, of: "global_defs", all };
    values.setting("enable_script_security", &globals.script_security);
    values.setting("vrrp_version", &globals.version);
    values.setting("vrrp_mcast_group4", &globals.group4);
    values.setting("vrrp_mcast_group6", &globals.group6);
    values.setting("vrrp_garp_interval", &globals.garp_interval);
    values.setting("vrrp_gna_interval", &globals.gna_interval);
    values.setting("vrrp_min_garp", &globals.min_garp);
    values.setting("vrrp_startup_delay", &globals.startup_delay);
    values.setting("dynamic_interfaces", &globals.dynamic_interfaces);
    values.setting("fifo_write_vrrp_states_on_reload", &globals.fifo_states_on_reload);
    values.setting("vrrp_priority", &globals.nice);
    values.setting("vrrp_no_swap", &globals.no_swap);
    let user = globals.script_user.as_ref().map(|user| user.name.value.as_str());
    values.add("script_user", &user, &None, |user| user.unwrap_or("keepalived_script, else whoever runs syncd").into());
    let realtime = globals.rt_priority.as_ref().map(|priority| priority.value);
    values.add("vrrp_rt_priority", &realtime, &None, |rt| rt.map_or("none".to_owned(), |rt| rt.to_string()));
}

/// What the VRRP module is told, from a `syncd.toml`.
fn virtual_addresses(file: &Path, setup: &Setup, all: &mut Vec<InForce>) {
    let mut values = Values { file, of: "vrrp-global", all };
    let shown = |lease: &Option<Duration>| lease.map_or("off".to_owned(), |lease| format!("{lease:?}"));
    values.add("lease", &setup.lease, &Some(LEASE), shown);
    values.plain("startup-delay", &setup.startup_delay, &Duration::ZERO);
    values.plain("dynamic-interfaces", &setup.dynamic_interfaces, &false);
    for one in &setup.instances {
        let mut values = Values { file, of: &one.name, all };
        values.plain("version", &one.version, &Version::V3);
        values.plain("priority", &one.priority, &100);
        values.plain("interval", &one.interval, &Duration::from_secs(1));
        values.plain("preempt", &one.preempt, &true);
        values.plain("preempt-delay", &one.preempt_delay, &Duration::ZERO);
        values.plain("accept", &one.accept, &true);
        values.plain("down-adverts", &one.down_adverts, &3);
        let stock = Garp::default();
        values.plain("garp.delay", &one.garp.delay, &stock.delay);
        values.plain("garp.repeat", &one.garp.repeat, &stock.repeat);
        values.plain("garp.refresh", &one.garp.refresh, &stock.refresh);
        values.plain("garp.lower-delay", &one.garp.lower_delay, &stock.lower_delay);
        values.plain("garp.lower-repeat", &one.garp.lower_repeat, &stock.lower_repeat);
    }
}

fn instance(file: &Path, instance: &Instance, all: &mut Vec<InForce>) {
    let mut values = Values { file, of: &instance.name.value, all };
    values.setting("state", &instance.state);
    values.setting("priority", &instance.priority);
    let version = if instance.version.value == 2 { Version::V2 } else { Version::V3 };
    let carried = Setting { value: interval(version, instance.advert_int.value), at: instance.advert_int.at };
    values.setting("advert_int", &carried);
    values.setting("version", &instance.version);
    values.setting("preempt", &instance.preempt);
    values.setting("preempt_delay", &instance.preempt_delay);
    values.setting("accept", &instance.accept);
    values.setting("garp_master_delay", &instance.garp.master_delay);
    values.setting("garp_master_repeat", &instance.garp.master_repeat);
    values.setting("garp_master_refresh", &instance.garp.master_refresh);
    values.setting("garp_master_refresh_repeat", &instance.garp.master_refresh_repeat);
    values.setting("garp_lower_prio_delay", &instance.garp.lower_prio_delay);
    values.setting("garp_lower_prio_repeat", &instance.garp.lower_prio_repeat);
    values.setting("skip_check_adv_addr", &instance.common.skip_check_adv_addr);
    values.setting("check_unicast_src", &instance.common.check_unicast_src);
    values.setting("strict_mode", &instance.common.strict);
    values.setting("lower_prio_no_advert", &instance.common.lower_prio_no_advert);
    values.setting("higher_prio_send_advert", &instance.common.higher_prio_send_advert);
    values.setting("down_timer_adverts", &instance.common.down_timer_adverts);
    let down = master_down(instance);
    values.add("a takeover after a crash waits", &down, &down, |down| format!("{down:?}"));
}

/// How long a backup hears nothing before it takes over: RFC 5798 §6.1, and version 2's skew in seconds.
fn master_down(instance: &Instance) -> Duration {
    let version = if instance.version.value == 2 { Version::V2 } else { Version::V3 };
    let interval = interval(version, instance.advert_int.value);
    let below = 256 - u32::from(instance.priority.value);
    let unit = if instance.version.value == 2 { Duration::from_secs(1) } else { interval };
    interval * u32::from(instance.common.down_timer_adverts.value) + unit * below / 256
}
