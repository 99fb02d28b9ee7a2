//! sersync2's `confxml.xml` as the configuration of a primary.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncd_compat::Spanned;
use syncd_compat::confxml::{Auth, ConfXml, LocalPath, Remote, Rsync, Sersync, Switch};

use super::load::Context;
use super::overrides::MAX_RETRY_CEILING;
use super::rsync::{self, Meaning};
use super::value::{self, host};
use super::{
    Coalesce, Config, DeletePolicy, FailLog, NodeConfig, Reach, SourceAuth, SourceSet, Target, Transport, Tuning,
};
use crate::filter::Filter;

/// What `conf` means; what is wrong with it goes to the findings.
pub(super) fn translate(cx: &mut Context<'_>, conf: &ConfXml) -> Config {
    say_switches(cx, conf);
    let exclude_regex = expressions(cx, conf);
    let mut config = Config {
        file: cx.source.file().to_owned(),
        node: NodeConfig { name: cx.machine.name.clone(), listen: None },
        sources: Vec::new(),
        replicas: Vec::new(),
        trust_first_use: false,
        fail_log: None,
        tuning: Tuning::default(),
    };
    if conf.sersync.is_empty() {
        let start = cx.source.text().find('<').unwrap_or(0);
        let message = "there is no `<sersync>` block, thus nothing to mirror";
        let help =
            "write `<sersync><localpath watch=\"/DIR\"><remote ip=\"HOST\" name=\"MODULE\"/></localpath></sersync>`";
        cx.findings.push(cx.source.error("xml-nothing-to-do", (start..start + 1).into(), message).help(help));
    }
    let delete = if conf.inotify.delete.on { DeletePolicy::Guarded } else { DeletePolicy::Never };
    for (at, block) in conf.sersync.iter().enumerate() {
        if at > 0 {
            say_served(cx, block.span, "<sersync>");
        }
        say_unsupported(cx, block);
        let meaning = rsync::translate(cx, &block.rsync.options, delete);
        config.sources.extend(sets(cx, block, &meaning, &exclude_regex));
        fail_log(cx, block, &mut config);
    }
    make_unique(&mut config.sources);
    config
}

/// The sets of one `<sersync>`: one for each `<localpath>`.
fn sets(cx: &mut Context<'_>, block: &Sersync, meaning: &Meaning, exclude_regex: &[String]) -> Vec<SourceSet> {
    if block.localpath.is_empty() {
        let message = "this `<sersync>` has no `<localpath>`, thus nothing to mirror";
        let help = "write `<localpath watch=\"/DIR\"><remote ip=\"HOST\" name=\"MODULE\"/></localpath>` in it";
        cx.findings.push(cx.source.error("xml-nothing-to-do", block.span, message).help(help));
    }
    let port = block.rsync.port.as_ref().and_then(|port| rsync::user_port(cx, port));
    let port = port.or(meaning.port).unwrap_or(cx.default_port);
    // Over ssh it names a user alone.
    let proves = |auth: &&Auth| !block.rsync.ssh.on || auth.password_file.is_some();
    let auth = block.rsync.auth.as_ref().filter(proves).map_or(SourceAuth::Key, |auth| password(cx, auth));
    let mut sets = Vec::new();
    for (at, local) in block.localpath.iter().enumerate() {
        if at > 0 {
            say_served(cx, local.watch.span, "<localpath>");
        }
        let Some(path) = watch(cx, local) else { continue };
        let targets = targets(cx, local, port, &auth, &block.rsync);
        sets.push(SourceSet {
            name: name(&targets, &path),
            path,
            options: meaning.options.clone(),
            coalesce: Coalesce::default(),
            exclude_regex: exclude_regex.to_vec(),
            exclude_glob: meaning.exclude.clone(),
            targets,
        });
    }
    sets
}

fn watch(cx: &mut Context<'_>, local: &LocalPath) -> Option<PathBuf> {
    if local.watch.value.is_empty() {
        let message = "`<localpath>` names no directory";
        cx.findings.push(cx.source.error("xml-watch", local.watch.span, message).help("write watch=\"/DIR\""));
        return None;
    }
    Some(path(cx, &local.watch))
}

fn targets(cx: &mut Context<'_>, local: &LocalPath, port: u16, auth: &SourceAuth, rsync: &Rsync) -> Vec<Target> {
    if local.remote.is_empty() {
        let message = format!("there are no remote servers for `{}`", local.watch.value);
        let help = "write `<remote ip=\"HOST\" name=\"MODULE\"/>` in this `<localpath>`";
        cx.findings.push(cx.source.error("xml-remote", local.watch.span, message).help(help));
    }
    let target = |cx: &mut Context<'_>, remote: &Remote| {
        let host = remote_host(cx, remote)?;
        let (transport, reach) = transport(cx, remote, rsync);
        // ssh has keys of its own.
        let auth = if reach == Reach::Daemon { auth.clone() } else { SourceAuth::Key };
        let target = Target::new(host, port, remote.name.value.clone(), auth);
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
        let user = rsync.auth.as_ref().and_then(|auth| Some(auth.users.as_ref()?.value.clone()));
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

fn remote_host(cx: &mut Context<'_>, remote: &Remote) -> Option<String> {
    let (ip, name) = (&remote.ip, &remote.name);
    if name.value.is_empty() {
        let message = "`<remote>` names no module";
        let help = "write name=\"MODULE\": the module of the other side's rsyncd.conf";
        cx.findings.push(cx.source.error("xml-remote", name.span, message).help(help));
        return None;
    }
    let problem = match host(&ip.value) {
        Ok(host) => return Some(host),
        Err(_) if ip.value.is_empty() => "`<remote>` names no host".to_owned(),
        Err(why) => why,
    };
    cx.findings.push(cx.source.error("xml-remote", ip.span, problem).help("write ip=\"HOST\""));
    None
}

fn password(cx: &mut Context<'_>, auth: &Auth) -> SourceAuth {
    match (&auth.users, &auth.password_file) {
        (Some(user), Some(file)) => SourceAuth::Password { user: user.value.clone(), file: path(cx, file) },
        (user, _) => {
            let missing = if user.is_some() { "passwordfile" } else { "users" };
            let message = format!("`<auth>` is on and has no `{missing}`");
            let help = "write users=\"USER\" passwordfile=\"/FILE\", or switch it off";
            cx.findings.push(cx.source.error("xml-auth", auth.span, message).help(help));
            SourceAuth::Key
        }
    }
}

/// The expressions in force. sersync2 drops one that it cannot read, and so sends what it names.
fn expressions(cx: &mut Context<'_>, conf: &ConfXml) -> Vec<String> {
    let mut usable = Vec::new();
    for expression in conf.filter.exclude.iter().filter(|_| conf.filter.start.on) {
        match Filter::new(std::slice::from_ref(&expression.value), &[]) {
            Ok(_) => usable.push(expression.value.clone()),
            Err(why) => {
                let help = "correct or remove it: dropped, what it names would be mirrored";
                cx.findings.push(cx.source.error("filter", expression.span, why.to_string()).help(help));
            }
        }
    }
    usable
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
    let bytes = cx.source.original_bytes(&written.value);
    let path: PathBuf = cx.machine.cwd.join(OsString::from_vec(bytes)).components().collect();
    cx.places.add(&path, cx.source.place(written.span));
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
fn make_unique(sets: &mut [SourceSet]) {
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

fn say_unsupported(cx: &mut Context<'_>, block: &Sersync) {
    let source = cx.source;
    if block.rsync.ssh.on {
        say_ssh(cx, block);
    }
    if let Switch { on: true, span: Some(span) } = block.plugin {
        let message = "`<plugin>` is not supported yet: no plugin is run";
        cx.findings.push(source.warning("setting-not-honoured", span, message));
    }
    if let Switch { on: true, span: Some(span) } = block.crontab.start {
        let message = "`<crontab>` is not supported yet; the whole tree is compared at each connect, and scanned every 10 minutes";
        cx.findings.push(source.warning("setting-not-honoured", span, message));
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

/// Names what an event that is switched off would have kept from being mirrored.
fn say_switches(cx: &mut Context<'_>, conf: &ConfXml) {
    let inotify = &conf.inotify;
    let off = [
        (inotify.create_folder, "createFolder", "new directories are mirrored"),
        (inotify.close_write, "closeWrite", "written files are mirrored"),
        (inotify.move_from, "moveFrom", "what is moved away goes on the replicas too"),
        (inotify.move_to, "moveTo", "what is moved in is mirrored"),
    ];
    for (switch, name, effect) in off {
        if let Switch { on: false, span: Some(span) } = switch {
            let message = format!("`<{name} start=\"false\">` is not honoured yet: {effect}");
            cx.findings.push(cx.source.warning("setting-not-honoured", span, message));
        }
    }
    if let Switch { on: false, span: Some(span) } = inotify.attrib {
        let message = "`<attrib start=\"false\">`: changes of mode, owner and time are mirrored all the same";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
    if let Switch { on: true, span: Some(span) } = conf.debug {
        let message = "`<debug>` has no meaning: syncd says more with RUST_LOG=syncd=debug";
        cx.findings.push(cx.source.note("setting-differs", span, message));
    }
}
