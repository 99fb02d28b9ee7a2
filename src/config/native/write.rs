//! The configuration as `syncd.toml`: what [`super::read`] reads back as the same.

mod vrrp;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::places::Named;
use crate::config::{
    CdnPassword, Coalesce, Compare, Compression, Config, DEFAULT_PORT, DeletePolicy, Events, Family, HostPattern,
    NodeConfig, Owner, Plugin, PluginAction, Reach, ReplicaAuth, ReplicaSet, SetOptions, SourceAuth, SourceSet, Target,
    Transport, Tuning, XferExec,
};
use crate::filter::Rule;
use crate::model::Attrs;
use crate::rewrite::{Chmod, Mapped, Rewrite};

pub(in crate::config) use vrrp::password_file as vrrp_password_file;

/// Where the password of a CDN is to stand, which a legacy file has in its text.
pub(in crate::config) const CDN_PASSWORD_FILE: &str = "/etc/syncd/cdn.password";

/// Why a configuration cannot be written: TOML is text, and this is not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(in crate::config) enum NotText {
    /// A path of this machine.
    #[error("`{}` is not UTF-8, which TOML cannot hold", .0.display())]
    Path(PathBuf),
    /// A pattern of names, which may be those of files that nobody wants to rename.
    #[error("the pattern `{0}` is not UTF-8, which TOML cannot hold")]
    Pattern(String),
}

/// The file without a word about where each setting came from; `said` gives the comment lines of what
/// is named.
///
/// # Errors
/// [`NotText`]: a path or a pattern.
pub(in crate::config) fn write(config: &Config, said: &dyn Fn(Named<'_>) -> Vec<String>) -> Result<String, NotText> {
    // Each field by name: one that is new has to be written too.
    let Config { file: _, node, sources, replicas, trust_first_use, fail_log, tuning, vrrp } = config;
    let mut out = Writer { text: String::new(), said };
    out.node(node, *trust_first_use, fail_log.as_ref().map(|log| log.path.as_path()))?;
    for target in peers(sources) {
        out.table("[[peer]]");
        out.key("name", text(&peer_name(target)));
        out.key("address", text(&address(target)));
        if let Some(family) = target.family {
            out.key("family", text(kind(family)));
        }
        if let Some(carrier) = carrier(target) {
            out.key("transport", text(carrier));
        }
        if let Reach::Ssh { user: Some(user) } = &target.reach {
            out.key("user", text(user));
        }
    }
    for set in sources {
        out.source(set)?;
    }
    for set in replicas {
        out.replica(set)?;
    }
    for (set, plugin) in sources.iter().flat_map(|set| set.plugins.iter().map(move |plugin| (set, plugin))) {
        out.plugin(set, plugin)?;
    }
    out.tuning(tuning);
    if let Some(vrrp) = vrrp {
        out.vrrp(vrrp, &node.name)?;
    }
    Ok(out.text)
}

/// The peers that the sets go to, each by the first target that is there.
fn peers(sources: &[SourceSet]) -> Vec<&Target> {
    let mut peers: Vec<&Target> = Vec::new();
    for target in sources.iter().flat_map(|set| &set.targets) {
        if !peers.iter().any(|peer| peer_name(peer) == peer_name(target)) {
            peers.push(target);
        }
    }
    peers
}

/// The host, with all that two peers on one host may differ in.
fn peer_name(target: &Target) -> String {
    let place = if target.port == DEFAULT_PORT { target.host.clone() } else { address(target) };
    let place = match target.family {
        Some(family) => format!("{place} on {}", kind(family)),
        None => place,
    };
    match (carrier(target), &target.reach) {
        (None, _) => place,
        (Some(carrier), Reach::Ssh { user: Some(user) }) => format!("{user}@{place} by {carrier}"),
        (Some(carrier), _) => format!("{place} by {carrier}"),
    }
}

/// `HOST:PORT`.
pub(in crate::config) fn address(target: &Target) -> String {
    let Target { host, port, set: _, family: _, auth: _, transport: _, reach: _ } = target;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn kind(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// What carries changes to `target`, where that is not QUIC.
pub(in crate::config) fn carrier(target: &Target) -> Option<&'static str> {
    match (target.transport, &target.reach) {
        (_, Reach::Ssh { .. }) => Some("ssh"),
        (Transport::Quic, Reach::Daemon) => None,
        (Transport::Rsync, Reach::Daemon) => Some("rsync"),
        (Transport::Auto, Reach::Daemon) => Some("auto"),
    }
}

struct Writer<'a> {
    text: String,
    said: &'a dyn Fn(Named<'_>) -> Vec<String>,
}

impl Writer<'_> {
    fn table(&mut self, name: &str) {
        let blank = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{blank}{name}");
    }

    fn key(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name} = {value}");
    }

    /// The key where the value is not the default.
    fn unless<T: PartialEq>(&mut self, name: &str, value: &T, default: &T, shown: impl FnOnce(&T) -> String) {
        if value != default {
            self.key(name, shown(value));
        }
    }

    fn node(&mut self, node: &NodeConfig, trust_first_use: bool, fail_log: Option<&Path>) -> Result<(), NotText> {
        let NodeConfig { name, listen, debug, pid_file } = node;
        self.table("[node]");
        self.key("name", text(name));
        if let Some(listen) = listen {
            self.key("listen", text(&listen.to_string()));
        }
        self.unless("trust-first-use", &trust_first_use, &false, bool::to_string);
        self.unless("debug", debug, &false, bool::to_string);
        if let Some(file) = pid_file {
            // Who listens is the peer, and the file may serve a primary as well.
            self.path(if listen.is_some() { "peer-pid-file" } else { "pid-file" }, file)?;
        }
        if let Some(file) = fail_log {
            self.path("fail-log", file)?;
        }
        Ok(())
    }

    fn source(&mut self, set: &SourceSet) -> Result<(), NotText> {
        let SourceSet { name, path, options, coalesce, events, compare, exclude_regex, filter, targets, plugins: _ } =
            set;
        self.table("[[set]]");
        self.key("name", text(name));
        self.root(Named::Source(set), path)?;
        self.key("role", text("primary"));
        let goes_to = |target: &Target| match peer_name(target) {
            peer if target.set == *name => peer,
            peer => format!("{peer}::{}", target.set),
        };
        self.list("peers", targets.iter().map(goes_to));
        // Those that are reached by ssh have none.
        let password = targets.iter().map(|target| &target.auth).find(|auth| **auth != SourceAuth::Key);
        if let Some(SourceAuth::Password { user, file }) = password {
            self.key("auth", format!("{{ user = {}, password-file = {} }}", text(user), text(utf8(file)?)));
        }
        self.unless("delete", &options.delete, &DeletePolicy::Guarded, |policy| text(delete(*policy)));
        self.unless_empty("filter", &filter.iter().map(rule).collect::<Result<Vec<_>, _>>()?);
        self.unless_empty("exclude-regex", exclude_regex);
        self.options(options);
        self.coalesce(coalesce);
        self.events(events);
        self.compare(compare)
    }

    fn options(&mut self, options: &SetOptions) {
        let SetOptions {
            attrs,
            symlinks,
            devices,
            specials,
            numeric_ids,
            compression,
            whole_file,
            delete: _,
            full_compare,
            scan_interval,
            max_size,
            min_size,
            one_file_system,
            rewrite,
            bandwidth,
        } = options;
        let mut part = Self { text: String::new(), said: self.said };
        let default = SetOptions::default();
        let kept = [
            ("mode", Attrs::MODE),
            ("owner", Attrs::OWNER),
            ("group", Attrs::GROUP),
            ("mtime", Attrs::MTIME),
            ("xattrs", Attrs::XATTRS),
            ("hard-links", Attrs::HARD_LINKS),
            ("omit-dir-times", Attrs::OMIT_DIR_TIMES),
            ("omit-link-times", Attrs::OMIT_LINK_TIMES),
            ("existing-only", Attrs::EXISTING_ONLY),
            ("new-only", Attrs::NEW_ONLY),
        ];
        for (key, which) in kept {
            part.unless(key, &attrs.has(which), &default.attrs.has(which), bool::to_string);
        }
        part.unless("symlinks", symlinks, &default.symlinks, bool::to_string);
        part.unless("devices", devices, &default.devices, bool::to_string);
        part.unless("specials", specials, &default.specials, bool::to_string);
        part.unless("numeric-ids", numeric_ids, &default.numeric_ids, bool::to_string);
        part.unless("whole-file", whole_file, &default.whole_file, bool::to_string);
        part.unless("full-compare", full_compare, &default.full_compare, bool::to_string);
        part.unless("compression", compression, &default.compression, |c| text(&compressed(*c)));
        part.unless("one-file-system", one_file_system, &default.one_file_system, bool::to_string);
        for (key, size) in [("max-size", max_size), ("min-size", min_size), ("bandwidth", bandwidth)] {
            if let Some(size) = size {
                part.key(key, text(&format!("{size}B")));
            }
        }
        let Rewrite { chmod, users, groups } = rewrite;
        part.unless("chmod", chmod, &Chmod::default(), |chmod| text(&chmod.to_string()));
        for (key, maps) in [("user-map", users), ("group-map", groups)] {
            part.unless_empty(key, &maps.iter().map(Mapped::to_string).collect::<Vec<_>>());
        }
        part.unless("scan-interval", scan_interval, &default.scan_interval, |time| text(&duration(*time)));
        self.part("[set.options]", &part.text);
    }

    fn coalesce(&mut self, coalesce: &Coalesce) {
        let Coalesce { quiet, settle, gone, open_quiet, linger, bound } = coalesce;
        let default = Coalesce::default();
        let mut part = Self { text: String::new(), said: self.said };
        let times = [
            ("quiet", quiet, default.quiet),
            ("settle", settle, default.settle),
            ("gone", gone, default.gone),
            ("open-quiet", open_quiet, default.open_quiet),
            ("linger", linger, default.linger),
            ("bound", bound, default.bound),
        ];
        for (key, time, default) in times {
            part.unless(key, time, &default, |time| text(&duration(*time)));
        }
        self.part("[set.coalesce]", &part.text);
    }

    fn events(&mut self, events: &Events) {
        let Events { create_file, create_folder, close_write, modify, move_from, move_to } = events;
        let mut part = Self { text: String::new(), said: self.said };
        let switches = [
            ("create-file", create_file),
            ("create-folder", create_folder),
            ("close-write", close_write),
            ("modify", modify),
            ("move-from", move_from),
            ("move-to", move_to),
        ];
        for (key, on) in switches {
            part.unless(key, on, &true, bool::to_string);
        }
        self.part("[set.events]", &part.text);
    }

    fn compare(&mut self, compare: &Compare) -> Result<(), NotText> {
        let Compare { every, exclude } = compare;
        let mut part = Self { text: String::new(), said: self.said };
        if let Some(every) = every {
            part.key("every", text(&duration(*every)));
        }
        part.unless_empty("exclude", &exclude.iter().map(glob).collect::<Result<Vec<_>, _>>()?);
        self.part("[set.compare]", &part.text);
        Ok(())
    }

    fn replica(&mut self, set: &ReplicaSet) -> Result<(), NotText> {
        let ReplicaSet {
            name,
            path,
            read_only,
            auth,
            hosts_allow,
            hosts_deny,
            uid,
            gid,
            max_connections,
            numeric_ids,
            privileged,
            delete: policy,
            filter,
            incoming_chmod,
            xfer_exec: XferExec { before, after },
        } = set;
        self.table("[[set]]");
        self.key("name", text(name));
        self.root(Named::Replica(set), path)?;
        self.key("role", text("replica"));
        if let ReplicaAuth::Password { users, file, strict } = auth {
            let users: Vec<String> = users.iter().map(|user| text(user)).collect();
            let strict = if *strict { "" } else { ", strict-modes = false" };
            let file = text(utf8(file)?);
            self.key("auth", format!("{{ users = [{}], secrets-file = {file}{strict} }}", users.join(", ")));
        }
        self.unless("read-only", read_only, &false, bool::to_string);
        self.unless("delete", policy, &DeletePolicy::Guarded, |policy| text(delete(*policy)));
        self.unless_empty("hosts-allow", &hosts_allow.iter().map(host).collect::<Vec<_>>());
        self.unless_empty("hosts-deny", &hosts_deny.iter().map(host).collect::<Vec<_>>());
        if let Some(Owner { id: _, name }) = uid {
            self.key("uid", text(name));
        }
        self.unless_empty("gid", &gid.iter().map(|group| group.name.clone()).collect::<Vec<_>>());
        self.unless("max-connections", max_connections, &0, u32::to_string);
        self.unless("numeric-ids", numeric_ids, &false, bool::to_string);
        self.unless("privileged", privileged, &false, bool::to_string);
        self.unless_empty("filter", &filter.iter().map(rule).collect::<Result<Vec<_>, _>>()?);
        self.unless("incoming-chmod", incoming_chmod, &Chmod::default(), |chmod| text(&chmod.to_string()));
        for (key, command) in [("pre-xfer-exec", before), ("post-xfer-exec", after)] {
            if let Some(command) = command {
                self.key(key, text(command));
            }
        }
        Ok(())
    }

    fn plugin(&mut self, set: &SourceSet, plugin: &Plugin) -> Result<(), NotText> {
        let Plugin { name, action, timeout, at_once } = plugin;
        let default = Plugin::new(name, action.clone());
        self.table("[[plugin]]");
        self.key("name", text(name));
        self.key("set", text(&set.name));
        match action {
            PluginAction::Command { before, after, include } => {
                self.key("kind", text("command"));
                self.list("command", before.iter().cloned());
                self.unless_empty("after", after);
                if let Some(include) = include {
                    self.list("include", include.iter().cloned());
                }
            }
            PluginAction::Socket { address } => {
                self.key("kind", text("socket"));
                self.key("address", text(&address.to_string()));
            }
            PluginAction::RefreshCdn { host, port, user, password, base, rewrite } => {
                self.key("kind", text("refresh-cdn"));
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                self.key("address", text(&format!("{host}:{port}")));
                self.key("user", text(user));
                match password {
                    CdnPassword::File(file) => self.path("password-file", file)?,
                    CdnPassword::Said(_) => {
                        self.text
                            .push_str("# Not carried over: the password itself. Write it into this file, mode 0600.\n");
                        self.key("password-file", text(CDN_PASSWORD_FILE));
                    }
                }
                self.key("base", text(base));
                if let Some(rewrite) = rewrite {
                    self.key("rewrite", text(rewrite));
                }
            }
        }
        self.unless("timeout", timeout, &default.timeout, |time| text(&duration(*time)));
        self.unless("at-once", at_once, &default.at_once, usize::to_string);
        Ok(())
    }

    fn tuning(&mut self, tuning: &Tuning) {
        let Tuning { retry_ceiling, idle_timeout, record_after, threads } = tuning;
        let default = Tuning::default();
        let mut part = Self { text: String::new(), said: self.said };
        part.unless("retry-ceiling", retry_ceiling, &default.retry_ceiling, |time| text(&duration(*time)));
        part.unless("idle-timeout", idle_timeout, &default.idle_timeout, |time| text(&duration(*time)));
        part.unless("record-after", record_after, &default.record_after, |time| text(&duration(*time)));
        part.unless("threads", threads, &default.threads, usize::to_string);
        self.part("[tuning]", &part.text);
    }

    /// A table, unless there is nothing in it.
    fn part(&mut self, name: &str, keys: &str) {
        if !keys.is_empty() {
            self.table(name);
            self.text.push_str(keys);
        }
    }

    fn path(&mut self, key: &str, path: &Path) -> Result<(), NotText> {
        self.named(Named::Path(path), key, path)
    }

    fn root(&mut self, set: Named<'_>, path: &Path) -> Result<(), NotText> {
        self.named(set, "path", path)
    }

    fn named(&mut self, named: Named<'_>, key: &str, path: &Path) -> Result<(), NotText> {
        for line in (self.said)(named) {
            let _ = writeln!(self.text, "# {line}");
        }
        self.key(key, text(utf8(path)?));
        Ok(())
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.map(|item| text(&item)).collect();
        self.key(key, format!("[{}]", items.join(", ")));
    }

    fn unless_empty(&mut self, key: &str, items: &[String]) {
        if !items.is_empty() {
            self.list(key, items.iter().cloned());
        }
    }
}

fn utf8(path: &Path) -> Result<&str, NotText> {
    path.to_str().ok_or_else(|| NotText::Path(path.to_owned()))
}

/// A string of TOML.
fn text(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn rule(rule: &Rule) -> Result<String, NotText> {
    glob(rule).map(|_| rule.to_string())
}

/// The pattern alone, of a rule that excludes.
fn glob(rule: &Rule) -> Result<String, NotText> {
    String::from_utf8(rule.pattern.clone()).map_err(|_| NotText::Pattern(rule.to_string()))
}

fn delete(policy: DeletePolicy) -> &'static str {
    match policy {
        DeletePolicy::Always => "always",
        DeletePolicy::Guarded => "guarded",
        DeletePolicy::Never => "never",
    }
}

fn compressed(compression: Compression) -> String {
    match compression {
        Compression::Off => "off".to_owned(),
        Compression::Zstd(level) => format!("zstd:{level}"),
    }
}

pub(in crate::config) fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Net(ip, bits) if *bits == if ip.is_ipv4() { 32 } else { 128 } => ip.to_string(),
        HostPattern::Net(ip, bits) => format!("{ip}/{bits}"),
    }
}

/// In the largest unit that leaves nothing over.
fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    let units = [("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    match units.iter().find(|(_, length)| micros.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", micros / length),
        None => format!("{micros}us"),
    }
}
