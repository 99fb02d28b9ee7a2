//! sersync2's `confxml.xml` as the configuration of a primary.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncd_compat::confxml::{Auth, ConfXml, Crontab, Inotify, LocalPath, Remote, Rsync, Sersync, Switch};
use syncd_compat::{Finding, Spanned};

use super::credentials::{self, Credentials};
use super::load::Context;
use super::overrides::MAX_RETRY_CEILING;
use super::places::{Located, TargetPlaces};
use super::plugin::{self, Used};
use super::rsync::{self, Meaning};
use super::rules::Gathering;
use super::value::{self, host};
use super::{
    Coalesce, Compare, Config, DeletePolicy, Events, FailLog, NodeConfig, Reach, SourceAuth, SourceSet, Target,
    Transport, Tuning,
};
use crate::filter::{Filter, Rule, excludes_parents, expression_of};

/// Minutes between full compares where `<crontab>` says nothing that can be read.
const STOCK_SCHEDULE: u64 = 600;

/// The most minutes that a syncd.toml can say as well.
const MOST_MINUTES: u64 = u64::MAX / 60_000_000;

/// What `conf` means; what is wrong with it goes to the findings.
pub(super) fn translate(cx: &mut Context<'_>, conf: &ConfXml) -> Config {
    say_switches(cx, conf);
    plugin::say_repeated(cx, conf);
    let exclude_regex = expressions(cx, conf);
    let mut config = Config {
        file: cx.source.file().to_owned(),
        node: NodeConfig { name: cx.machine.name.clone(), listen: None, pid_file: None, debug: conf.debug.on },
        sources: Vec::new(),
        replicas: Vec::new(),
        trust_first_use: false,
        fail_log: None,
        vrrp: None,
        tuning: Tuning::default(),
    };
    if conf.sersync.is_empty() {
        let start = cx.source.text().find('<').unwrap_or(0);
        let message = "there is no `<sersync>` block, thus nothing to mirror";
        let help =
            "write `<sersync><localpath watch=\"/DIR\"><remote ip=\"HOST\" name=\"MODULE\"/></localpath></sersync>`";
        cx.findings.push(cx.source.error("xml-nothing-to-do", (start..start + 1).into(), message).help(help));
    }
    let mut taken = Vec::new();
    let delete = if conf.inotify.delete.on { DeletePolicy::Guarded } else { DeletePolicy::Never };
    for (at, block) in conf.sersync.iter().enumerate() {
        say_without_meaning(cx, block);
        let meaning = rsync::translate(cx, &block.rsync, delete);
        let compare = crontab(cx, &block.crontab, !exclude_regex.is_empty());
        let common = Common { meaning, exclude_regex: &exclude_regex, events: events(&conf.inotify), compare };
        let mut sets = sets(cx, block, &common, &mut taken);
        if at > 0 && !sets.is_empty() {
            say_served(cx, block.span, "<sersync>");
        }
        let name = block.plugin.as_ref().filter(|_| cx.plugin_alone.is_none());
        if let Some(used) = name.and_then(|name| plugin::find(cx, conf, &name.value, Some(name.span))) {
            attach(cx, used, &mut sets);
        }
        config.sources.extend(sets);
        fail_log(cx, block, &mut config);
    }
    if let Some(name) = cx.plugin_alone.clone() {
        config.sources.iter_mut().for_each(|set| set.targets.clear());
        if let Some(used) = plugin::find(cx, conf, &name, None) {
            attach(cx, used, &mut config.sources);
        }
        config.sources.retain(|set| !set.plugins.is_empty());
    }
    make_unique(&mut config.sources);
    config
}

/// Has the plugin follow the sets, or else the directory that it has for itself.
fn attach(cx: &mut Context<'_>, used: Used, sets: &mut Vec<SourceSet>) {
    let Used { plugin, path: own } = used;
    let Some((written, own)) = own.map(|written| (written.clone(), path(cx, &written))) else {
        sets.iter_mut().for_each(|set| set.plugins.push(plugin.clone()));
        return;
    };
    if let Some(same) = sets.iter_mut().find(|set| set.path == own) {
        same.plugins.push(plugin);
        return;
    }
    let Some(like) = sets.first() else { return };
    if cx.plugin_alone.is_none() {
        let message = format!(
            "the plugin is told of changes in `{}`, while `{}` is mirrored; sersync2 mirrored the plugin's directory \
             instead",
            own.display(),
            like.path.display()
        );
        cx.findings.push(cx.source.note("setting-differs", written.span, message));
    }
    sets.push(SourceSet {
        name: format!("plugin-{}", plugin.name),
        path: own,
        targets: Vec::new(),
        plugins: vec![plugin],
        compare: Compare::default(),
        filter: Vec::new(),
        ..like.clone()
    });
}

/// What all sets of one `<sersync>` share.
struct Common<'a> {
    meaning: Meaning,
    exclude_regex: &'a [String],
    events: Events,
    compare: Compare,
}

/// The sets of one `<sersync>`: one for each `<localpath>`.
fn sets(cx: &mut Context<'_>, block: &Sersync, common: &Common<'_>, taken: &mut Vec<Target>) -> Vec<SourceSet> {
    let meaning = &common.meaning;
    if block.localpath.is_empty() {
        let message = "this `<sersync>` has no `<localpath>`, thus nothing to mirror";
        let help = "write `<localpath watch=\"/DIR\"><remote ip=\"HOST\" name=\"MODULE\"/></localpath>` in it";
        cx.findings.push(cx.source.error("xml-nothing-to-do", block.span, message).help(help));
    }
    let port = block.rsync.port.as_ref().and_then(|port| rsync::user_port(cx, port));
    let port = port.or(meaning.port).unwrap_or(cx.default_port);
    // Over ssh it names a user alone.
    let proves = |auth: &&Auth| !block.rsync.ssh.on || auth.password_file.is_some();
    let auth = block.rsync.auth.as_ref().filter(proves);
    let credentials = Credentials::of(auth, |file| path(cx, file));
    let mut sets = Vec::new();
    for (at, local) in block.localpath.iter().enumerate() {
        let Some(path) = watch(cx, local) else { continue };
        let all = targets(cx, (local, &path), port, (auth, &credentials), &block.rsync);
        let Some(mut targets) = free(cx, local, all, taken) else { continue };
        if at > 0 {
            say_served(cx, local.watch.span, "<localpath>");
        }
        targets.iter_mut().for_each(|target| target.family = meaning.family);
        let filter = rules(cx, block, &path);
        sets.push(SourceSet {
            name: name(&targets, &path),
            path,
            options: meaning.options.clone(),
            coalesce: Coalesce::default(),
            events: common.events,
            compare: common.compare.clone(),
            exclude_regex: common.exclude_regex.to_vec(),
            filter,
            targets,
            plugins: Vec::new(),
        });
    }
    sets
}

/// The targets to which no other directory goes: two would remove each other's files there, where
/// sersync2 mirrored the first alone. None where nothing is left.
fn free(cx: &mut Context<'_>, local: &LocalPath, targets: Vec<Target>, taken: &mut Vec<Target>) -> Option<Vec<Target>> {
    let (shared, free): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|target| taken.iter().any(|other| other.is_at(target)));
    for Target { host, set, .. } in &shared {
        let message = format!(
            "`{host}::{set}` receives another directory already: this one is not mirrored there, since each would \
             remove the other's files; sersync2 served only the first"
        );
        let finding = cx.source.warning("remote-shared", local.watch.span, message);
        cx.findings.push(finding.help("give each directory a module of its own, or remove this `<localpath>`"));
    }
    taken.extend(free.iter().cloned());
    (shared.is_empty() || !free.is_empty()).then_some(free)
}

fn watch(cx: &mut Context<'_>, local: &LocalPath) -> Option<PathBuf> {
    if local.watch.value.is_empty() {
        let message = "`<localpath>` names no directory";
        cx.findings.push(cx.source.error("xml-watch", local.watch.span, message).help("write watch=\"/DIR\""));
        return None;
    }
    Some(path(cx, &local.watch))
}

fn targets(
    cx: &mut Context<'_>,
    (local, root): (&LocalPath, &Path),
    port: u16,
    (auth, credentials): (Option<&Auth>, &Credentials),
    rsync: &Rsync,
) -> Vec<Target> {
    if local.remote.is_empty() {
        let message = format!("there are no remote servers for `{}`", local.watch.value);
        let help = "write `<remote ip=\"HOST\" name=\"MODULE\"/>` in this `<localpath>`";
        cx.findings.push(cx.source.error("xml-remote", local.watch.span, message).help(help));
    }
    let target = |cx: &mut Context<'_>, remote: &Remote| {
        let host = remote_host(cx, remote, rsync)?;
        let (transport, reach) = transport(cx, remote, rsync);
        // ssh has keys of its own.
        let auth = if reach == Reach::Daemon { credentials.proof(cx, auth, remote) } else { SourceAuth::Key };
        let module = module(cx, remote, transport, &reach);
        let target = Target::new(host, port, module, auth);
        let at = |said: &Spanned<String>| Located::of(cx.source, said.span);
        let in_address = credentials::parts(&remote.ip.value).0.map(|_| &remote.ip);
        let user = rsync.auth.as_ref().and_then(|auth| auth.users.as_ref()).or(in_address).map(at);
        let places = TargetPlaces { root: at(&local.watch), host: at(&remote.ip), module: at(&remote.name), user };
        cx.places.add_target(root, &target, places);
        Some(Target { transport, reach, ..target })
    };
    let mut targets: Vec<Target> = Vec::new();
    for remote in &local.remote {
        match target(cx, remote) {
            Some(target) if targets.iter().any(|known| known.is_at(&target)) => {
                let message = format!("`{}` stands here twice", remote.ip.value);
                cx.findings.push(cx.source.warning("xml-repeated", remote.ip.span, message).help("remove one of them"));
            }
            target => targets.extend(target),
        }
    }
    targets
}

/// The module that `remote` names, over ssh the directory. What lies within a module only rsyncd serves.
fn module(cx: &mut Context<'_>, remote: &Remote, transport: Transport, reach: &Reach) -> String {
    let name = &remote.name.value;
    if *reach != Reach::Daemon {
        return name.clone();
    }
    let module = name.trim_end_matches('/');
    let within = module.split_once('/').filter(|(module, _)| !module.is_empty());
    let effect = match transport {
        Transport::Rsync => None,
        Transport::Quic => Some("nothing is mirrored there"),
        Transport::Auto => Some("nothing is mirrored there any more once a syncd answers"),
    };
    if let (Some((whole, directory)), Some(effect)) = (within, effect) {
        let message = format!(
            "`{name}` is the directory `{directory}` in the module `{whole}`, and a syncd serves whole modules: {effect}"
        );
        let help = format!(
            "give `{directory}` a module of its own in the rsyncd.conf there and name that; while rsyncd serves it, \
             transport=\"rsync\" works"
        );
        cx.findings.push(cx.source.warning("remote-directory", remote.name.span, message).help(help));
    }
    if module.is_empty() { name.clone() } else { module.to_owned() }
}

/// What carries changes to `remote`: `<ssh>` means rsync over ssh, unless the remote says `quic`.
fn transport(cx: &mut Context<'_>, remote: &Remote, rsync: &Rsync) -> (Transport, Reach) {
    let said = remote.transport.as_ref().and_then(|said| match value::transport(&said.value) {
        Ok(transport) => Some((transport, said.span)),
        Err(why) => {
            let help = "write transport=\"quic\", \"rsync\" or \"auto\"";
            cx.findings.push(cx.source.error("xml-transport", said.span, why).help(help));
            None
        }
    });
    let host = &remote.ip.value;
    if rsync.ssh.on {
        if let Some((Transport::Auto, span)) = said {
            let message = format!("with `<ssh>`, the name of `{host}` is a directory, where QUIC needs a module");
            let help = "write transport=\"rsync\", and \"quic\" with the module as name once syncd runs there";
            cx.findings.push(cx.source.error("xml-transport", span, message).help(help));
        }
        let quic = matches!(said, Some((Transport::Quic, _)));
        let user = Credentials::of(rsync.auth.as_ref(), |_| PathBuf::new()).user(remote);
        return if quic { Default::default() } else { (Transport::Rsync, Reach::Ssh { user }) };
    }
    let Some((transport, span)) = said else { return Default::default() };
    if transport != Transport::Quic {
        let when = if transport == Transport::Auto { ", as long as no syncd answers there" } else { "" };
        let message = format!("rsync carries changes to `{host}` without encryption{when}");
        cx.findings.push(cx.source.note("transport-unencrypted", span, message));
    }
    (transport, Reach::Daemon)
}

fn remote_host(cx: &mut Context<'_>, remote: &Remote, rsync: &Rsync) -> Option<String> {
    let (ip, name) = (&remote.ip, &remote.name);
    if name.value.is_empty() {
        let message = "`<remote>` names no module";
        let help = "write name=\"MODULE\": the module of the other side's rsyncd.conf";
        cx.findings.push(cx.source.error("xml-remote", name.span, message).help(help));
        return None;
    }
    let (user, address) = credentials::parts(&ip.value);
    let other = rsync.auth.as_ref().and_then(|auth| auth.users.as_ref()).filter(|_| user.is_some());
    let problem = match host(address) {
        Ok(_) if user.is_some_and(|user| user.is_empty() || user.starts_with('-')) => {
            format!("`{}` names no user before its `@`", ip.value)
        }
        Ok(_) if let Some(other) = other => format!(
            "`{}` names a user, and so does `<auth>`: rsync would ask as `{}@{}`",
            ip.value,
            other.value,
            user.unwrap_or_default()
        ),
        Ok(host) => return Some(host),
        Err(_) if ip.value.is_empty() => "`<remote>` names no host".to_owned(),
        Err(why) => why,
    };
    cx.findings.push(cx.source.error("xml-remote", ip.span, problem).help("write ip=\"HOST\""));
    None
}

/// The expressions in force. One that sersync2 could not read is dropped as it was there.
fn expressions(cx: &mut Context<'_>, conf: &ConfXml) -> Vec<String> {
    let mut usable = Vec::new();
    for expression in conf.filter.exclude.iter().filter(|_| conf.filter.start.on) {
        // Names are bytes, and what matches them are those of the file.
        let text = expression_of(&cx.source.original_bytes(expression));
        match Filter::new(std::slice::from_ref(&text), &[]) {
            Ok(_) => {
                if excludes_parents(&text) {
                    let message = "this also excludes the directories above what it means to keep, and below an excluded directory nothing is mirrored";
                    let help =
                        "exclude by name what is to stay away, or use `--include` and `--exclude` in `commonParams`";
                    cx.findings.push(cx.source.warning("filter-excludes-parents", expression.span, message).help(help));
                }
                if expression.value.contains("{{") {
                    let message = "this looks like a placeholder that nothing filled in: it excludes what is called so";
                    cx.findings
                        .push(cx.source.warning("filter", expression.span, message).help("correct or remove it"));
                }
                usable.push(text);
            }
            Err(why) if why.void => {
                let message = format!("{why}: it excludes nothing, as sersync2 dropped it; what it names is mirrored");
                let finding = cx.source.warning("filter", expression.span, message);
                cx.findings.push(finding.help("correct or remove it"));
            }
            Err(why) => {
                let help = "write it in another way: sersync2 read it, and dropped, what it names would be mirrored";
                cx.findings.push(cx.source.error("filter", expression.span, why.to_string()).help(help));
            }
        }
    }
    usable
}

/// The filter rules of `commonParams`, for a tree below `root`, where rsync was started.
fn rules(cx: &mut Context<'_>, block: &Sersync, root: &Path) -> Vec<Rule> {
    let mut gathering = Gathering::new(root);
    gathering.options(cx.source, &block.rsync.options);
    // Several trees share one line.
    let known = |finding: &Finding| cx.findings.contains(finding);
    let new: Vec<Finding> = gathering.findings.into_iter().filter(|finding| !known(finding)).collect();
    cx.findings.extend(new);
    cx.places.settle_rules(gathering.files);
    gathering.rules
}

fn fail_log(cx: &mut Context<'_>, block: &Sersync, config: &mut Config) {
    let Some(log) = &block.fail_log else { return };
    let found = FailLog { path: path(cx, &log.path) };
    match &config.fail_log {
        Some(first) if *first != found => {
            let message = format!("one log serves all blocks: `{}`", first.path.display());
            cx.findings
                .push(cx.source.warning("setting-not-honoured", log.path.span, message).help("name it here too"));
        }
        _ => config.fail_log = Some(found),
    }
    let Some(minutes) = &log.time_to_execute else { return };
    match minutes.value.parse::<u64>() {
        Ok(minutes) => {
            let interval = Duration::from_secs(minutes.saturating_mul(60));
            let ceiling = interval.clamp(Duration::from_secs(1), MAX_RETRY_CEILING);
            config.tuning.retry_ceiling = config.tuning.retry_ceiling.min(ceiling);
        }
        Err(_) => {
            let message = format!("`{}` is no number of minutes: the retry interval stays 10 s", minutes.value);
            cx.findings.push(cx.source.warning("xml-number", minutes.span, message).help("write timeToExecute=\"60\""));
        }
    }
}

/// The path that the file's bytes name, without slashes at its end; a relative one starts from the
/// working directory, as with sersync2.
fn path(cx: &mut Context<'_>, written: &Spanned<String>) -> PathBuf {
    let bytes = cx.source.original_bytes(written);
    let path: PathBuf = cx.machine.cwd.join(OsString::from_vec(bytes)).components().collect();
    cx.places.add(&path, cx.source, written.span);
    cx.places.settle_path(cx.source, written.span, &written.value, &path);
    path
}

/// The module where all remotes agree on one, else the last component of the path.
fn name(targets: &[Target], path: &Path) -> String {
    let mut modules = targets.iter().map(|target| &target.set);
    match modules.next() {
        Some(first) if modules.all(|module| module == first) && !first.contains('/') => first.clone(),
        _ => path.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned()),
    }
}

/// Numbers the second and later sets of one name.
pub(super) fn make_unique(sets: &mut [SourceSet]) {
    let mut taken: Vec<String> = Vec::new();
    for set in sets {
        let numbered = (2u32..).map(|number| format!("{}-{number}", set.name));
        let free = std::iter::once(set.name.clone()).chain(numbered).find(|name| !taken.contains(name));
        set.name = free.unwrap_or_default();
        taken.push(set.name.clone());
    }
}

fn say_served(cx: &mut Context<'_>, span: syncd_compat::Span, element: &str) {
    let message = format!("this `{element}` is mirrored too; sersync2 served only the first and passed over it");
    cx.findings.push(cx.source.warning("setting-differs", span, message).help("remove it if it is not meant"));
}

/// Names what the block says in vain.
fn say_without_meaning(cx: &mut Context<'_>, block: &Sersync) {
    let source = cx.source;
    if block.rsync.ssh.on {
        say_ssh(cx, block);
    }
    if let Some(timeout) = &block.rsync.timeout {
        let message = "`<timeout>` has no meaning: a silent peer is noticed in seconds and retried for ever";
        cx.findings.push(source.note("setting-differs", timeout.span, message));
    }
}

/// Names what has no meaning where ssh leads to the remotes.
fn say_ssh(cx: &mut Context<'_>, block: &Sersync) {
    if let Some(port) = &block.rsync.port {
        let message = "`<userDefinedPort>` has no effect over ssh, here as with sersync2";
        let help = "write `Port` for the host into ~/.ssh/config";
        cx.findings.push(cx.source.note("setting-differs", port.span, message).help(help));
    }
    if let Some(auth) = &block.rsync.auth {
        let message = "over ssh `<auth>` names the user alone, whose key ssh uses: no password is read, with which sersync2 failed";
        cx.findings.push(cx.source.note("setting-differs", auth.span, message));
    }
}

fn events(inotify: &Inotify) -> Events {
    Events {
        create_file: inotify.create_file.on,
        create_folder: inotify.create_folder.on,
        close_write: inotify.close_write.on,
        modify: inotify.modify.on,
        move_from: inotify.move_from.on,
        move_to: inotify.move_to.on,
    }
}

/// `<crontab>` with its filter, where it is on.
fn crontab(cx: &mut Context<'_>, crontab: &Crontab, filtered: bool) -> Compare {
    if !crontab.start.on {
        return Compare::default();
    }
    let filter = &crontab.filter;
    let mut exclude = Vec::new();
    for glob in filter.exclude.iter().filter(|_| filter.start.on) {
        let rule = Rule::exclude(cx.source.original_bytes(glob));
        match rule.check() {
            Ok(()) => {
                if glob.value.starts_with('^') || glob.value.contains("(.*)") {
                    let message = format!("`{}` looks like a regular expression, but is a glob of rsync", glob.value);
                    let help = "write `*.log` for `(.*)\\.log`, and `/dir/` for `^dir/`";
                    cx.findings.push(cx.source.warning("filter", glob.span, message).help(help));
                }
                exclude.push(rule);
            }
            Err(why) => {
                let help = "correct or remove it: dropped, compares would send and remove what it names";
                cx.findings.push(cx.source.error("filter", glob.span, why.to_string()).help(help));
            }
        }
    }
    if filtered
        && exclude.is_empty()
        && let Some(span) = crontab.start.span
    {
        let message = "`<crontab>` is on though `<crontabfilter>` excludes nothing: what `<filter>` excludes is left \
            alone by compares too; sersync2 switched it off";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
    Compare { every: Some(schedule(cx, crontab.schedule.as_ref())), exclude }
}

/// Minutes; what is none counts as 600, as with sersync2.
fn schedule(cx: &mut Context<'_>, schedule: Option<&Spanned<String>>) -> Duration {
    let minutes = match schedule.map(|said| (said, said.value.parse::<u64>())) {
        None => STOCK_SCHEDULE,
        Some((_, Ok(minutes @ 1..))) => minutes,
        Some((said, _)) => {
            let message =
                format!("`{}` is no number of minutes: taken as {STOCK_SCHEDULE}, as by sersync2", said.value);
            cx.findings.push(cx.source.warning("xml-number", said.span, message).help("write schedule=\"600\""));
            STOCK_SCHEDULE
        }
    };
    Duration::from_secs(minutes.min(MOST_MINUTES) * 60)
}

/// Says what the events that are switched off leave to compares.
fn say_switches(cx: &mut Context<'_>, conf: &ConfXml) {
    let inotify = &conf.inotify;
    let content = match (inotify.create_file.on, inotify.modify.on) {
        (_, true) => "a written file travels once it is left alone, closed or not",
        (true, false) => "a new file travels once it is closed; what is written into it later waits for a full compare",
        (false, false) => "what is written into files waits for a full compare",
    };
    let off = [
        (inotify.create_folder, "createFolder", "a new directory and what is in it wait for a full compare"),
        (inotify.close_write, "closeWrite", content),
        (inotify.move_from, "moveFrom", "what is moved away stays on the replicas until a full compare"),
        (inotify.move_to, "moveTo", "what is moved in waits for a full compare"),
    ];
    for (switch, name, effect) in off {
        if let Switch { on: false, span: Some(span) } = switch {
            let message = format!("`<{name} start=\"false\">`: {effect}, at the next connection or by `<crontab>`");
            cx.findings.push(cx.source.note("setting-differs", span, message));
        }
    }
    if let Switch { on: false, span: Some(span) } = inotify.attrib {
        let message = "`<attrib start=\"false\">`: changes of mode, owner and time are mirrored all the same";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
    if let Switch { on: true, span: Some(span) } = conf.debug {
        let message =
            "`<debug>` is on: each event and what is done about it is logged, unless SYNCD_LOG says otherwise";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
    if let Switch { on: true, span: Some(span) } = conf.xfs {
        let message = "`<fileSystem xfs=\"true\">` changes nothing: directories are told from files on every file \
            system, and symlinks are never followed";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
}
