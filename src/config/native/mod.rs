//! `syncd.toml` as the configuration.

mod error;
mod file;
mod mend;
mod plugin;
mod vrrp;
pub(super) mod write;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use syncd_compat::{Finding, Severity, Span};
use toml::Spanned;

use file::{Auth, CompareTable, EventTable, File, Options, Peer, Set, Times, TuningTable};

use super::hosts;
use super::load::Context;
use super::overrides::{MAX_RETRY_CEILING, Side, positive, within};
use super::owners::{self, Whose};
use super::places::{Located, TargetPlaces};
use super::rules::{Gathering, RULE};
use super::sizes::size;
use super::value::{compression, delete_policy, duration, family, host_port, listen, transport};
use super::{
    Coalesce, Compare, Config, DEFAULT_PORT, Events, FailLog, HostPattern, NodeConfig, Owner, Reach, ReplicaAuth,
    ReplicaSet, SetOptions, SourceAuth, SourceSet, Target, Transport, Tuning, XferExec,
};
use crate::filter::{Filter, Rule};
use crate::model::Attrs;
use crate::rewrite::{Chmod, Mapped, Rewrite};

/// Reads the file for one side of its sets; what is wrong with it goes to the findings. None where no
/// error is left to be found.
pub(super) fn read(cx: &mut Context<'_>, side: Side) -> Option<Config> {
    mended(cx, |cx, file| translate(cx, file, side))
}

/// The same of its virtual addresses, without its sets, which are others' to say something of.
pub(super) fn read_vrrp(cx: &mut Context<'_>) -> Option<Config> {
    mended(cx, |cx, file| {
        let vrrp = vrrp::read(cx, file);
        Config { vrrp, ..Config::of(cx.source.file(), file.node.name.as_ref().unwrap_or(&cx.machine.name)) }
    })
}

fn mended(cx: &mut Context<'_>, translate: impl FnOnce(&mut Context<'_>, &File) -> Config) -> Option<Config> {
    let mend::Mended { file, stand_ins } = mend::read(cx.source, &mut cx.findings)?;
    let said = cx.findings.len();
    let config = translate(cx, &file);
    // What is wrong with a text that is not the file's follows from what was said.
    let invented = |finding: &Finding| {
        let span = finding.place.as_ref().map(|place| place.span.start..place.span.end);
        finding.severity == Severity::Error && span.is_some_and(|span| stand_ins.contains(&span))
    };
    cx.findings.retain_from(said, |finding| !invented(finding));
    Some(config)
}

fn translate(cx: &mut Context<'_>, file: &File, side: Side) -> Config {
    let name = file.node.name.clone().unwrap_or_else(|| cx.machine.name.clone());
    let mut sources = Vec::new();
    let mut replicas = Vec::new();
    for set in &file.set {
        check_names(cx, set);
        match set.role.get_ref().as_str() {
            "primary" => sources.extend(source(cx, file, set, &name)),
            "replica" => replicas.extend(replica(cx, file, set)),
            role => {
                unknown_role(cx, &set.role, role);
                check_values(cx, file, set);
            }
        }
    }
    if side == Side::Source {
        plugin::attach(cx, &file.plugin, &mut sources);
        replicas.clear();
    } else {
        sources.clear();
    }
    refuse_shared(cx, file, &sources);
    let has_primary = file.set.iter().any(|set| set.role.get_ref() == "primary");
    let vrrp = vrrp::read(cx, file).filter(|_| runs_vrrp(side, has_primary, cx.plugin_alone.is_some()));
    if sources.is_empty() && replicas.is_empty() {
        nothing_to_do(cx, file, side);
    }
    Config {
        file: cx.source.file().to_owned(),
        node: NodeConfig {
            name,
            listen: (side == Side::Peer).then(|| listen_address(cx, file)),
            pid_file: pid_file(file, side).map(|said| path(cx, said)),
            debug: file.node.debug,
        },
        sources,
        replicas,
        trust_first_use: file.node.trust_first_use,
        fail_log: file.node.fail_log.as_ref().map(|said| FailLog { path: path(cx, said) }),
        tuning: tuning(cx, &file.tuning),
        vrrp,
    }
}

/// The file that is to hold the number of this side's process.
fn pid_file(file: &File, side: Side) -> Option<&Spanned<String>> {
    let own = file.node.peer_pid_file.as_ref().filter(|_| side == Side::Peer);
    own.or(file.node.pid_file.as_ref())
}

/// Whether the process of this side moves the file's addresses: of the two that one file may run, the primary's.
fn runs_vrrp(side: Side, has_primary: bool, plugin_alone: bool) -> bool {
    !plugin_alone && (side == Side::Source || !has_primary)
}

fn source(cx: &mut Context<'_>, file: &File, set: &Set, own_name: &str) -> Option<SourceSet> {
    refuse_keys(cx, set, "primary", &set.replica_keys());
    // One that is faulty was said to be, and hides nothing else.
    let auth = set.auth.as_ref().and_then(|auth| source_auth(cx, auth)).unwrap_or(SourceAuth::Key);
    let mut targets = Vec::new();
    let default_port = cx.default_port;
    let remote = set.remote.as_ref().unwrap_or(&set.name);
    let root = path(cx, &set.path);
    for (peer, module) in peers(cx, file, set, own_name) {
        if let Some((host, port)) = value(cx, &peer.address, |text| host_port(text, default_port)) {
            let (transport, reach) = carrier(cx, peer);
            let family = peer.family.as_ref().and_then(|said| value(cx, said, family));
            let module = module.as_ref().unwrap_or(remote);
            // ssh has keys of its own.
            let auth = if reach == Reach::Daemon { auth.clone() } else { SourceAuth::Key };
            let target = Target::new(host, port, module.get_ref().clone(), auth);
            let at = |said: &Spanned<String>| Located::of(cx.source, said.span().into());
            let user = set.auth.as_ref().and_then(|auth| auth.get_ref().user.as_ref()).map(at);
            let places = TargetPlaces { root: at(&set.path), host: at(&peer.address), module: at(module), user };
            cx.places.add_target(&root, &target, places);
            targets.push(Target { family, transport, reach, ..target });
        }
    }
    let mut options = options(cx, &set.options);
    if let Some(delete) = &set.delete {
        options.delete = value(cx, delete, delete_policy).unwrap_or(options.delete);
    }
    check_expressions(cx, set);
    Some(SourceSet {
        name: set.name.get_ref().clone(),
        path: root.clone(),
        options,
        coalesce: coalesce(cx, &set.coalesce),
        events: events(&set.events),
        compare: compare(cx, &set.compare),
        exclude_regex: set.exclude_regex.iter().map(|s| s.get_ref().clone()).collect(),
        filter: rules(cx, set, &root),
        targets,
        plugins: Vec::new(),
    })
}

fn replica(cx: &mut Context<'_>, file: &File, set: &Set) -> Option<ReplicaSet> {
    refuse_keys(cx, set, "replica", &set.primary_keys());
    let auth = set.auth.as_ref().and_then(|auth| replica_auth(cx, auth)).unwrap_or(ReplicaAuth::Key);
    let mut hosts_allow = host_list(cx, &set.hosts_allow);
    hosts_allow.extend(peer_hosts(cx, file, set));
    let (uid, gid) = identity(cx, set);
    let defaults = SetOptions::default();
    let (root, umask) = (path(cx, &set.path), cx.machine.umask);
    cx.places.add_replica(set.name.get_ref(), cx.source, (set.name.span().into(), set.path.span().into()));
    let chmod = |text: &str| Chmod::parse(text, umask).map_err(|e| e.to_string());
    Some(ReplicaSet {
        name: set.name.get_ref().clone(),
        read_only: set.read_only.unwrap_or(false),
        auth,
        hosts_allow,
        hosts_deny: host_list(cx, &set.hosts_deny),
        uid,
        gid,
        max_connections: set.max_connections.unwrap_or(0),
        numeric_ids: set.numeric_ids.unwrap_or(false),
        privileged: set.privileged.unwrap_or(false),
        delete: set.delete.as_ref().and_then(|delete| value(cx, delete, delete_policy)).unwrap_or(defaults.delete),
        xfer_exec: XferExec { before: command(cx, &set.pre_xfer_exec), after: command(cx, &set.post_xfer_exec) },
        filter: rules(cx, set, &root),
        incoming_chmod: set.incoming_chmod.as_ref().and_then(|said| value(cx, said, chmod)).unwrap_or_default(),
        path: root,
    })
}

/// The user and groups that files are written as, which only root can choose.
fn identity(cx: &mut Context<'_>, set: &Set) -> (Option<Owner>, Vec<Owner>) {
    if cx.machine.is_root() {
        let uid = set.uid.as_ref().and_then(|uid| user(cx, uid));
        return (uid, set.gid.iter().filter_map(|gid| group(cx, gid)).collect());
    }
    let foreign = set.uid.as_ref().filter(|uid| !cx.machine.is_own_user(uid.get_ref())).map(|uid| ("uid", uid));
    if let Some((key, said)) = foreign.or(set.gid.first().filter(|_| set.uid.is_none()).map(|gid| ("gid", gid))) {
        let message = format!("`{key} = {}` is ignored, since syncd does not run as root", said.get_ref());
        let finding = cx.source.warning("toml-uid", said.span().into(), message);
        cx.findings.push(finding.help("start it as root, or as that user"));
    }
    (None, Vec::new())
}

/// A line for a shell, whose program is known by its place.
fn command(cx: &mut Context<'_>, said: &Option<Spanned<String>>) -> Option<String> {
    let said = said.as_ref()?;
    if let Some(program) = super::check::program_of(said.get_ref()) {
        cx.places.add(Path::new(program), cx.source, said.span().into());
    }
    Some(said.get_ref().clone())
}

/// Patterns each of which excludes.
fn excluding(cx: &mut Context<'_>, patterns: &[Spanned<String>]) -> Vec<Rule> {
    let exclude = |pattern: &Spanned<String>| {
        value(cx, pattern, |text| {
            let rule = Rule::exclude(text);
            rule.check().map(|()| rule).map_err(|why| why.to_string())
        })
    };
    patterns.iter().filter_map(exclude).collect()
}

/// `exclude`, and behind it `filter`.
fn rules(cx: &mut Context<'_>, set: &Set, root: &Path) -> Vec<Rule> {
    let excluded = excluding(cx, &set.exclude);
    let mut gathering = Gathering::new(root);
    for rule in &set.filter {
        gathering.value(cx.source, rule.get_ref(), rule.span().into(), RULE);
    }
    cx.findings.extend(gathering.findings);
    excluded.into_iter().chain(gathering.rules).collect()
}

/// The peers that a primary set goes to, each with the name that the set has there where `PEER::NAME`
/// says so: those that it names, else all but the node itself.
fn peers<'a>(
    cx: &mut Context<'_>,
    file: &'a File,
    set: &Set,
    own_name: &str,
) -> Vec<(&'a Peer, Option<Spanned<String>>)> {
    let others = || file.peer.iter().filter(|peer| peer.name.get_ref() != own_name);
    let peers: Vec<(&Peer, Option<Spanned<String>>)> = match &set.peers {
        None => others().map(|peer| (peer, None)).collect(),
        Some(names) => names.iter().filter_map(|name| goes_to(cx, file, name)).collect(),
    };
    let is_followed = |by: &file::PluginTable| by.set.as_ref().is_some_and(|name| name.get_ref() == set.name.get_ref());
    if peers.is_empty() && !file.plugin.iter().any(is_followed) {
        let message = format!("the set `{}` has no peer to go to", set.name.get_ref());
        let help = "write `[[peer]]` with `name` and `address`";
        fault(cx, set.name.span(), "toml-peer", message, help);
    }
    peers
}

/// `PEER` or `PEER::NAME`, as rsync writes a module.
fn goes_to<'a>(
    cx: &mut Context<'_>,
    file: &'a File,
    said: &Spanned<String>,
) -> Option<(&'a Peer, Option<Spanned<String>>)> {
    let whole = |peer: &Peer| peer.name.get_ref() == said.get_ref();
    match said.get_ref().rsplit_once("::").filter(|_| !file.peer.iter().any(whole)) {
        None => Some((peer(cx, file, said)?, None)),
        Some((name, module)) => {
            let found = peer(cx, file, &Spanned::new(said.span(), name.to_owned()))?;
            Some((found, Some(Spanned::new(said.span(), module.to_owned()))))
        }
    }
}

fn peer<'a>(cx: &mut Context<'_>, file: &'a File, name: &Spanned<String>) -> Option<&'a Peer> {
    let found = file.peer.iter().find(|peer| peer.name.get_ref() == name.get_ref());
    if found.is_none() {
        let known = file.peer.iter().map(|peer| peer.name.get_ref().as_str());
        let help = match syncd_compat::nearest(name.get_ref(), known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a `[[peer]]` of that name".to_owned(),
        };
        fault(cx, name.span(), "toml-peer", format!("there is no peer `{}`", name.get_ref()), &help);
    }
    found
}

/// What carries changes to `peer`.
fn carrier(cx: &mut Context<'_>, peer: &Peer) -> (Transport, Reach) {
    let Some(said) = &peer.transport else { return (Transport::Quic, Reach::Daemon) };
    if said.get_ref() == "ssh" {
        return (Transport::Rsync, Reach::Ssh { user: peer.user.clone() });
    }
    let known = |text: &str| {
        transport(text).map_err(|_| format!("`{text}` is no transport: there are quic, rsync, auto and ssh"))
    };
    (value(cx, said, known).unwrap_or_default(), Reach::Daemon)
}

/// The addresses of the peers that a replica set names: only they may write it.
fn peer_hosts(cx: &mut Context<'_>, file: &File, set: &Set) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for name in set.peers.iter().flatten() {
        let Some(peer) = peer(cx, file, name) else { continue };
        let ip = host_port(peer.address.get_ref(), DEFAULT_PORT).ok().and_then(|(host, _)| host.parse::<IpAddr>().ok());
        match ip {
            Some(ip) => patterns.push(HostPattern::Net(ip, if ip.is_ipv4() { 32 } else { 128 })),
            None => {
                let message = format!("`{}` has no numeric address", name.get_ref());
                let help = "write its address in `[[peer]]`: who may write must not depend on a resolver";
                fault(cx, name.span(), "toml-peer", message, help);
            }
        }
    }
    patterns
}

fn source_auth(cx: &mut Context<'_>, auth: &Spanned<Auth>) -> Option<SourceAuth> {
    match auth.get_ref() {
        Auth { user: Some(user), password_file: Some(file), users: None, secrets_file: None, strict_modes: None } => {
            Some(SourceAuth::Password { user: user.get_ref().clone(), file: path(cx, file) })
        }
        _ => {
            let message = "the `auth` of a primary is a user and a password file".to_owned();
            let help = "write auth = { user = \"USER\", password-file = \"/FILE\" }";
            fault(cx, auth.span(), "toml-auth", message, help);
            None
        }
    }
}

fn replica_auth(cx: &mut Context<'_>, auth: &Spanned<Auth>) -> Option<ReplicaAuth> {
    match auth.get_ref() {
        Auth { user: None, password_file: None, users: Some(users), secrets_file: Some(file), strict_modes }
            if !users.is_empty() =>
        {
            let (users, file) = (users.clone(), path(cx, file));
            Some(ReplicaAuth::Password { users, file, strict: strict_modes.unwrap_or(true) })
        }
        _ => {
            let message = "the `auth` of a replica is a list of users and a secrets file".to_owned();
            let help = "write auth = { users = [\"USER\"], secrets-file = \"/FILE\" }";
            fault(cx, auth.span(), "toml-auth", message, help);
            None
        }
    }
}

fn check_names(cx: &mut Context<'_>, set: &Set) {
    if set.name.get_ref().is_empty() || set.name.get_ref().contains('/') {
        let message = format!("`{}` is no name of a set", set.name.get_ref());
        fault(cx, set.name.span(), "toml-value", message, "it has at least one character and no slash");
    }
    if !set.path.get_ref().starts_with('/') {
        let message = format!("`{}` is no absolute path", set.path.get_ref());
        fault(cx, set.path.span(), "toml-value", message, "write it from `/` on");
    }
    let Some(apply) = set.apply.as_ref().filter(|apply| apply.get_ref() != "in-place") else { return };
    let message = match apply.get_ref().as_str() {
        mode @ ("swap" | "manual") => format!("apply = \"{mode}\" is not supported yet"),
        mode => format!("`{mode}` is no way to apply"),
    };
    fault(cx, apply.span(), "toml-value", message, "write apply = \"in-place\"");
}

fn unknown_role(cx: &mut Context<'_>, at: &Spanned<String>, role: &str) {
    let (message, help) = if role.starts_with("follow:") {
        (
            format!("role = \"{role}\" is not supported yet: it needs the VRRP module"),
            "write \"primary\" or \"replica\"",
        )
    } else {
        (format!("`{role}` is no role"), "there are \"primary\" and \"replica\"")
    };
    fault(cx, at.span(), "toml-role", message, help);
}

/// Names what is wrong with the values of a set, whatever its role may be.
fn check_values(cx: &mut Context<'_>, file: &File, set: &Set) {
    let (root, umask) = (path(cx, &set.path), cx.machine.umask);
    if let Some(delete) = &set.delete {
        value(cx, delete, delete_policy);
    }
    if let Some(chmod) = &set.incoming_chmod {
        value(cx, chmod, |text| Chmod::parse(text, umask).map_err(|e| e.to_string()));
    }
    for name in set.peers.iter().flatten() {
        goes_to(cx, file, name);
    }
    check_expressions(cx, set);
    options(cx, &set.options);
    coalesce(cx, &set.coalesce);
    compare(cx, &set.compare);
    rules(cx, set, &root);
    host_list(cx, &set.hosts_allow);
    host_list(cx, &set.hosts_deny);
}

fn check_expressions(cx: &mut Context<'_>, set: &Set) {
    for pattern in &set.exclude_regex {
        value(cx, pattern, |regex| Filter::new(&[regex.to_owned()], &[]).map_err(|why| why.to_string()));
    }
}

/// Two directories that went to one set of one peer would remove each other's files there.
fn refuse_shared(cx: &mut Context<'_>, file: &File, sources: &[SourceSet]) {
    for (at, set) in sources.iter().enumerate() {
        let others = sources.iter().take(at).flat_map(|other| &other.targets);
        let shared = others.into_iter().find(|target| set.targets.iter().any(|own| own.is_at(target)));
        let said = file.set.iter().find(|said| *said.name.get_ref() == set.name);
        if let (Some(target), Some(said)) = (shared, said) {
            let message = format!("`{}::{}` receives another set already", target.host, target.set);
            fault(cx, said.name.span(), "remote-shared", message, "give each a set of its own there");
        }
    }
}

/// Names each key that only means something in the other role.
fn refuse_keys(cx: &mut Context<'_>, set: &Set, role: &str, present: &[(&str, bool)]) {
    for (key, _) in present.iter().filter(|(_, present)| *present) {
        let message = format!("`{key}` has no meaning for the set `{}`, a {role}", set.name.get_ref());
        fault(cx, set.name.span(), "toml-role", message, "remove it, or put it into the file of the other side");
    }
}

fn nothing_to_do(cx: &mut Context<'_>, file: &File, side: Side) {
    let (role, help) = match side {
        Side::Source => ("primary", "write role = \"primary\" in a `[[set]]`; for its replicas run `syncd peer`"),
        Side::Peer => ("replica", "write role = \"replica\" in a `[[set]]`; for its primaries run `syncd`"),
    };
    let help = match file.vrrp.is_empty() {
        true => help.to_owned(),
        false => format!("{help}; for its virtual addresses alone run `syncd vrrp`"),
    };
    let finding = Finding::of_file(cx.source.file(), "toml-nothing-to-do", format!("no set has the role {role}"));
    // Where a set was refused, that says it all.
    if !cx.findings.iter().any(|finding| finding.severity == Severity::Error) {
        cx.findings.push(finding.help(help));
    }
}

fn options(cx: &mut Context<'_>, table: &Options) -> SetOptions {
    let mut options = SetOptions::default();
    let attrs = [
        (table.mode, Attrs::MODE),
        (table.owner, Attrs::OWNER),
        (table.group, Attrs::GROUP),
        (table.mtime, Attrs::MTIME),
        (table.xattrs, Attrs::XATTRS),
        (table.hard_links, Attrs::HARD_LINKS),
        (table.omit_dir_times, Attrs::OMIT_DIR_TIMES),
        (table.omit_link_times, Attrs::OMIT_LINK_TIMES),
        (table.existing_only, Attrs::EXISTING_ONLY),
        (table.new_only, Attrs::NEW_ONLY),
    ];
    for (on, which) in attrs {
        options.attrs = match on {
            Some(true) => options.attrs.with(which),
            Some(false) => options.attrs.without(which),
            None => options.attrs,
        };
    }
    let switches = [
        (table.symlinks, &mut options.symlinks),
        (table.devices, &mut options.devices),
        (table.specials, &mut options.specials),
        (table.numeric_ids, &mut options.numeric_ids),
        (table.whole_file, &mut options.whole_file),
        (table.full_compare, &mut options.full_compare),
        (table.one_file_system, &mut options.one_file_system),
    ];
    for (said, switch) in switches {
        *switch = said.unwrap_or(*switch);
    }
    let said = table.compression.as_ref().and_then(|said| value(cx, said, compression));
    options.compression = said.unwrap_or(options.compression);
    set_time(cx, &table.scan_interval, &mut options.scan_interval);
    let bytes = |cx: &mut Context<'_>, said: &Option<Spanned<String>>| {
        said.as_ref().and_then(|said| value(cx, said, |text| size(text, 'B')))
    };
    options.max_size = bytes(cx, &table.max_size);
    options.min_size = bytes(cx, &table.min_size);
    options.bandwidth = bytes(cx, &table.bandwidth).filter(|rate| *rate > 0);
    options.rewrite = rewrite(cx, table);
    options
}

fn rewrite(cx: &mut Context<'_>, table: &Options) -> Rewrite {
    let machine = cx.machine;
    let chmod = |text: &str| Chmod::parse(text, machine.umask).map_err(|e| e.to_string());
    let chmod = table.chmod.as_ref().and_then(|said| value(cx, said, chmod)).unwrap_or_default();
    let mut maps = |whose, said: &[Spanned<String>]| -> Vec<Mapped> {
        said.iter().filter_map(|said| value(cx, said, |text| owners::maps(machine, whose, text))).flatten().collect()
    };
    Rewrite { chmod, users: maps(Whose::Users, &table.user_map), groups: maps(Whose::Groups, &table.group_map) }
}

fn coalesce(cx: &mut Context<'_>, table: &Times) -> Coalesce {
    let mut coalesce = Coalesce::default();
    set_time(cx, &table.quiet, &mut coalesce.quiet);
    set_time(cx, &table.settle, &mut coalesce.settle);
    set_time(cx, &table.gone, &mut coalesce.gone);
    set_time(cx, &table.open_quiet, &mut coalesce.open_quiet);
    set_time(cx, &table.linger, &mut coalesce.linger);
    set_time(cx, &table.bound, &mut coalesce.bound);
    coalesce
}

fn events(table: &EventTable) -> Events {
    let mut events = Events::default();
    let switches = [
        (table.create_file, &mut events.create_file),
        (table.create_folder, &mut events.create_folder),
        (table.close_write, &mut events.close_write),
        (table.modify, &mut events.modify),
        (table.move_from, &mut events.move_from),
        (table.move_to, &mut events.move_to),
    ];
    for (said, switch) in switches {
        *switch = said.unwrap_or(*switch);
    }
    events
}

fn compare(cx: &mut Context<'_>, table: &CompareTable) -> Compare {
    let every = table.every.as_ref().and_then(|said| value(cx, said, |text| positive(duration(text)?)));
    Compare { every, exclude: excluding(cx, &table.exclude) }
}

fn tuning(cx: &mut Context<'_>, table: &TuningTable) -> Tuning {
    let mut tuning = Tuning { threads: table.threads.unwrap_or(0), ..Tuning::default() };
    set_time(cx, &table.record_after, &mut tuning.record_after);
    if let Some(said) = &table.retry_ceiling {
        let ceiling = |text: &str| within(duration(text)?, MAX_RETRY_CEILING);
        tuning.retry_ceiling = value(cx, said, ceiling).unwrap_or(tuning.retry_ceiling);
    }
    if let Some(said) = &table.idle_timeout {
        tuning.idle_timeout = value(cx, said, |text| positive(duration(text)?)).unwrap_or(tuning.idle_timeout);
    }
    tuning
}

fn set_time(cx: &mut Context<'_>, said: &Option<Spanned<String>>, time: &mut std::time::Duration) {
    if let Some(said) = said {
        *time = value(cx, said, duration).unwrap_or(*time);
    }
}

fn listen_address(cx: &mut Context<'_>, file: &File) -> SocketAddr {
    let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);
    file.node.listen.as_ref().and_then(|said| value(cx, said, listen)).unwrap_or(everywhere)
}

fn host_list(cx: &mut Context<'_>, list: &[Spanned<String>]) -> Vec<HostPattern> {
    list.iter().filter_map(|said| value(cx, said, hosts::parse)).flatten().collect()
}

fn user(cx: &mut Context<'_>, said: &Spanned<String>) -> Option<Owner> {
    let user = cx.machine.user(said.get_ref()).map(|user| user.owner);
    if user.is_none() {
        lack(cx, said, format!("there is no user `{}` in /etc/passwd", said.get_ref()));
    }
    user
}

fn group(cx: &mut Context<'_>, said: &Spanned<String>) -> Option<Owner> {
    let group = cx.machine.group(said.get_ref());
    if group.is_none() {
        lack(cx, said, format!("there is no group `{}` in /etc/group", said.get_ref()));
    }
    group
}

/// The path without slashes at its end, known by its place.
fn path(cx: &mut Context<'_>, said: &Spanned<String>) -> PathBuf {
    let path: PathBuf = cx.machine.cwd.join(said.get_ref()).components().collect();
    cx.places.add(&path, cx.source, said.span().into());
    path
}

/// What `parse` makes of the text; what it refuses becomes a finding at the text's place.
fn value<T>(cx: &mut Context<'_>, said: &Spanned<String>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    match parse(said.get_ref()) {
        Ok(value) => Some(value),
        Err(why) => {
            cx.findings.push(cx.source.error("toml-value", said.span().into(), why));
            None
        }
    }
}

/// A user or a group that this machine has not.
fn lack(cx: &mut Context<'_>, said: &Spanned<String>, message: String) {
    cx.findings.push(cx.source.finding(cx.machine.lack(), "toml-value", said.span().into(), message));
}

fn fault(cx: &mut Context<'_>, span: std::ops::Range<usize>, code: &'static str, message: String, help: &str) {
    cx.findings.push(cx.source.error(code, Span::from(span), message).help(help));
}
