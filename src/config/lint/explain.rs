//! What is in force, value by value, and which of it is a default.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncd_compat::keepalived::{Instance, Setting};

use super::given::Given;
use crate::config::{Coalesce, Compression, Config, DeletePolicy, SetOptions, Tuning};

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
        config(&loaded.config, &mut all);
    }
    for vrrp in &given.vrrp {
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

    fn setting<T: Debug>(&mut self, name: &'static str, setting: &Setting<T>) {
        let (value, default) = (format!("{:?}", setting.value), !setting.is_written());
        self.all.push(InForce { file: self.file.to_owned(), of: self.of.to_owned(), name, value, default });
    }
}

fn config(config: &Config, all: &mut Vec<InForce>) {
    for set in &config.sources {
        let mut values = Values { file: &config.file, of: &set.name, all };
        let (own, stock) = (&set.options, &SetOptions::default());
        values.add("delete", &own.delete, &stock.delete, policy);
        values.add("compression", &own.compression, &stock.compression, compression);
        values.plain("symlinks", &own.symlinks, &stock.symlinks);
        values.plain("devices", &own.devices, &stock.devices);
        values.plain("specials", &own.specials, &stock.specials);
        values.plain("numeric-ids", &own.numeric_ids, &stock.numeric_ids);
        values.plain("whole-file", &own.whole_file, &stock.whole_file);
        values.plain("full-compare", &own.full_compare, &stock.full_compare);
        values.plain("scan-interval", &own.scan_interval, &stock.scan_interval);
        let (own, stock) = (&set.coalesce, &Coalesce::default());
        values.plain("coalesce.quiet", &own.quiet, &stock.quiet);
        values.plain("coalesce.settle", &own.settle, &stock.settle);
        values.plain("coalesce.gone", &own.gone, &stock.gone);
        values.plain("coalesce.open-quiet", &own.open_quiet, &stock.open_quiet);
        values.plain("coalesce.linger", &own.linger, &stock.linger);
        values.plain("coalesce.bound", &own.bound, &stock.bound);
    }
    for set in &config.replicas {
        let mut values = Values { file: &config.file, of: &set.name, all };
        values.add("delete", &set.delete, &DeletePolicy::Guarded, policy);
        values.plain("read-only", &set.read_only, &false);
        values.plain("max-connections", &set.max_connections, &0);
        values.plain("numeric-ids", &set.numeric_ids, &false);
        values.plain("privileged", &set.privileged, &false);
    }
    let mut values = Values { file: &config.file, of: "", all };
    let (own, stock) = (&config.tuning, &Tuning::default());
    values.plain("tuning.retry-ceiling", &own.retry_ceiling, &stock.retry_ceiling);
    values.plain("tuning.idle-timeout", &own.idle_timeout, &stock.idle_timeout);
    values.plain("tuning.record-after", &own.record_after, &stock.record_after);
    values.plain("tuning.threads", &own.threads, &stock.threads);
}

fn instance(file: &Path, instance: &Instance, all: &mut Vec<InForce>) {
    let mut values = Values { file, of: &instance.name.value, all };
    values.setting("state", &instance.state);
    values.setting("priority", &instance.priority);
    values.setting("advert_int", &instance.advert_int);
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
    let interval = instance.advert_int.value;
    let below = 256 - u32::from(instance.priority.value);
    let unit = if instance.version.value == 2 { Duration::from_secs(1) } else { interval };
    interval * u32::from(instance.common.down_timer_adverts.value) + unit * below / 256
}

fn policy(policy: &DeletePolicy) -> String {
    let word = match policy {
        DeletePolicy::Always => "always",
        DeletePolicy::Guarded => "guarded",
        DeletePolicy::Never => "never",
    };
    word.to_owned()
}

fn compression(compression: &Compression) -> String {
    match compression {
        Compression::Off => "off".to_owned(),
        Compression::Zstd(level) => format!("zstd:{level}"),
    }
}
