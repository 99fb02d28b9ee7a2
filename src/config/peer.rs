//! `rsyncd.conf` as the configuration of a receiver.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use syncd_compat::rsyncd::{Module, RsyncdConf, Section};
use syncd_compat::{Finding, Severity, Span, Spanned};

use super::check::program_of;
use super::load::Context;
use super::machine::{NOBODY_GROUPS, User};
use super::rules::{Form, Gathering, Kind};
use super::value::port;
use super::{
    Config, DEFAULT_PORT, DeletePolicy, HostPattern, NodeConfig, Owner, ReplicaAuth, ReplicaSet, Tuning, XferExec,
    hosts,
};
use crate::filter::Rule;
use crate::rewrite::Chmod;

/// The code of a module that has no password.
pub const NO_PASSWORD: &str = "rsyncd-no-password";

/// The user that rsyncd takes when root starts it and a module names none.
const NOBODY: &str = "nobody";

/// What `conf` means; what is wrong with it goes to the findings.
pub(super) fn translate(cx: &mut Context<'_>, conf: &RsyncdConf) -> Config {
    if conf.modules.is_empty() {
        let message = "there is no `[module]`, thus nothing to receive";
        let help = "write `[NAME]` and below it `path = /DIR` and `read only = no`";
        cx.findings.push(cx.source.error("rsyncd-nothing-to-do", Span::default(), message).help(help));
    }
    Config {
        file: cx.source.file().to_owned(),
        node: NodeConfig {
            name: cx.machine.name.clone(),
            listen: Some(listen(cx, &conf.global)),
            debug: false,
            pid_file: conf.global.get("pid file").map(|value| named_path(cx, value)),
        },
        sources: Vec::new(),
        replicas: served(cx, conf),
        trust_first_use: false,
        fail_log: None,
        vrrp: None,
        tuning: Tuning::default(),
    }
}

fn listen(cx: &mut Context<'_>, global: &Section) -> SocketAddr {
    let mut address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);
    if let Some(value) = global.get("port") {
        match port(&value.value) {
            Ok(port) => address.set_port(port),
            Err(why) => fault(cx, value.span, why, "write `port = 873`"),
        }
    }
    if let Some(value) = global.get("address") {
        match value.value.parse() {
            Ok(ip) => address.set_ip(ip),
            Err(_) if value.value.eq_ignore_ascii_case("localhost") => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            Err(_) => fault(cx, value.span, format!("`{}` is no address", value.value), "write a numeric address"),
        }
    }
    address
}

/// The code of a module that is left out while the others are served.
const LEFT_OUT: &str = "rsyncd-left-out";

/// What is said where the module `name` is left out.
fn left_out(name: &str) -> String {
    format!("the module `{name}` is left out: nobody can write it, the others are served")
}

/// The sets of all modules that can be served. rsyncd refuses a faulty module alone; only where no other is left do its
/// faults stop the start.
fn served(cx: &mut Context<'_>, conf: &RsyncdConf) -> Vec<ReplicaSet> {
    let stopped = cx.findings.errors() > 0;
    let (mut sets, mut faulty, mut faults) = (Vec::new(), Vec::new(), 0);
    for module in &conf.modules {
        let before = cx.findings.errors();
        let set = replica(cx, module);
        let of_it = cx.findings.errors().saturating_sub(before);
        if of_it > 0 {
            faults += of_it;
            faulty.push(&module.name);
        } else {
            sets.extend(set);
        }
    }
    if !sets.is_empty() && !stopped {
        for name in &faulty {
            cx.findings.push(
                cx.source.error(LEFT_OUT, name.span, left_out(&name.value)).help("correct what is wrong with it"),
            );
        }
        cx.tolerated += faults + faulty.len();
    }
    sets
}

/// That the module `name` is left out since something that it names is not there.
pub(super) fn say_left_out(file: &Path, name: &str) -> Finding {
    Finding::of_file(file, LEFT_OUT, left_out(name)).help("make what it names, and reload")
}

/// The set of one module; none when it is switched off or faulty.
fn replica(cx: &mut Context<'_>, module: &Module) -> Option<ReplicaSet> {
    let section = &module.section;
    let path = path(cx, module)?;
    let max_connections = max_connections(cx, module)?;
    let said = cx.findings.len();
    let read_only = boolean(cx, section, "read only", true);
    let chroot = boolean(cx, section, "use chroot", true);
    let (auth, read_only) = auth(cx, module, read_only);
    let faulty = cx.findings.iter().skip(said).any(|finding| finding.severity == Severity::Error);
    let (uid, gid) = identity(cx, module, &path);
    match (read_only, &auth) {
        _ if faulty => {}
        (true, _) => say_read_only(cx, module),
        (false, ReplicaAuth::Key) => say_no_password(cx, module),
        (false, ReplicaAuth::Password { .. }) => {}
    }
    Some(ReplicaSet {
        name: module.name.value.clone(),
        read_only,
        auth,
        hosts_allow: host_list(cx, section, "hosts allow"),
        hosts_deny: host_list(cx, section, "hosts deny"),
        uid,
        gid,
        max_connections,
        numeric_ids: boolean(cx, section, "numeric ids", chroot),
        privileged: false,
        delete: delete_policy(cx, section),
        xfer_exec: XferExec {
            before: command(cx, section, "pre-xfer exec"),
            after: command(cx, section, "post-xfer exec"),
        },
        filter: rules(cx, section),
        incoming_chmod: incoming_chmod(cx, section),
        path,
    })
}

/// A line for a shell, whose program is known by its place.
fn command(cx: &mut Context<'_>, section: &Section, name: &str) -> Option<String> {
    let said = section.get(name)?;
    if let Some(program) = program_of(&said.value) {
        // Of a line that goes on behind a backslash the place of the first part does.
        let end = said.span.end.min(said.span.start + program.len());
        cx.places.add(Path::new(program), cx.source, Span::new(said.span.start, end));
    }
    Some(said.value.clone())
}

fn path(cx: &mut Context<'_>, module: &Module) -> Option<PathBuf> {
    let Some(value) = module.section.get("path") else {
        let message = format!("the module `{}` has no path", module.name.value);
        fault(cx, module.name.span, message, "write `path = /DIR` below it");
        return None;
    };
    if value.value.contains('%') || !value.value.starts_with('/') {
        let what = if value.value.starts_with('/') {
            "names a variable, which is not supported"
        } else {
            "is no absolute path"
        };
        fault(cx, value.span, format!("`{}` {what}", value.value), "write it out, from `/` on and without variables");
        return None;
    }
    cx.places.add_replica(&module.name.value, cx.source, (module.name.span, value.span));
    Some(named_path(cx, value))
}

/// The path that the file's bytes name, known by its place.
fn named_path(cx: &mut Context<'_>, value: &Spanned<String>) -> PathBuf {
    let path = cx.machine.cwd.join(OsString::from_vec(cx.source.original_bytes(value)));
    let path: PathBuf = path.components().collect();
    cx.places.add(&path, cx.source, value.span);
    cx.places.settle_path(cx.source, value.span, &value.value, &path);
    path
}

/// The limit; none for a module that a negative number switches off.
fn max_connections(cx: &mut Context<'_>, module: &Module) -> Option<u32> {
    let Some(value) = module.section.get("max connections") else { return Some(0) };
    match value.value.parse::<i64>() {
        Ok(number) if number < 0 => {
            let message = format!("the module `{}` is switched off by a negative `max connections`", module.name.value);
            cx.findings.push(cx.source.warning("rsyncd-switched-off", value.span, message));
            None
        }
        Ok(number) => Some(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => {
            fault(cx, value.span, format!("`{}` is no number", value.value), "write `max connections = 4`");
            Some(0)
        }
    }
}

/// Who may write, and whether nobody may: `user:rw` may although the module is read only, `user:ro`
/// and `user:deny` may not although it is not.
fn auth(cx: &mut Context<'_>, module: &Module, read_only: bool) -> (ReplicaAuth, bool) {
    let section = &module.section;
    let strict = boolean(cx, section, "strict modes", true);
    let Some(listed) = section.get("auth users") else { return (ReplicaAuth::Key, read_only) };
    let words: Vec<_> = listed.value.split([',', ' ', '\t']).filter(|word| !word.is_empty()).collect();
    let users: Vec<String> = words.iter().filter_map(|word| writer(cx, listed.span, word, read_only)).collect();
    let Some(file) = section.get("secrets file") else {
        fault(cx, listed.span, "`auth users` needs a `secrets file`".to_owned(), "write `secrets file = /FILE`");
        return (ReplicaAuth::Key, true);
    };
    let read_only = users.is_empty();
    (ReplicaAuth::Password { users, file: named_path(cx, file), strict }, read_only)
}

/// The user that `word` names, if it may write.
fn writer(cx: &mut Context<'_>, span: Span, word: &str, read_only: bool) -> Option<String> {
    let (name, option) = word.split_once(':').unwrap_or((word, if read_only { "ro" } else { "rw" }));
    if name.starts_with('@') || name.contains(['*', '?', '[']) {
        let message = format!("`{name}` is a group or a pattern of users, which is not supported");
        fault(cx, span, message, "name each user");
        return None;
    }
    match option {
        "rw" => Some(name.to_owned()),
        "ro" | "deny" => {
            if word.contains(':') {
                let message = format!("`{word}` may not write here, and syncd has nothing to read");
                cx.findings.push(cx.source.note("setting-differs", span, message));
            }
            None
        }
        _ => {
            fault(cx, span, format!("`{option}` is no right of a user"), "there are rw, ro and deny");
            None
        }
    }
}

/// rsyncd lets anybody in there.
fn say_no_password(cx: &mut Context<'_>, module: &Module) {
    let message = format!("the module `{}` has no `auth users`: nobody may write it as it stands", module.name.value);
    let help = "write `auth users` and `secrets file`, or start with --trust-first-use, which pins the first key that \
                comes from `hosts allow`";
    cx.findings.push(cx.source.warning(NO_PASSWORD, module.name.span, message).help(help));
}

fn say_read_only(cx: &mut Context<'_>, module: &Module) {
    let name = &module.name.value;
    let span = module.section.get("read only").map_or(module.name.span, |value| value.span);
    let message =
        format!("the module `{name}` is read only, as rsyncd's modules are by default: every change is refused");
    cx.findings.push(cx.source.warning("rsyncd-read-only", span, message).help("write `read only = no`"));
}

fn host_list(cx: &mut Context<'_>, section: &Section, name: &str) -> Vec<HostPattern> {
    let Some(value) = section.get(name) else { return Vec::new() };
    hosts::parse(&value.value).unwrap_or_else(|why| {
        fault(cx, value.span, format!("`{name}`: {why}"), "write addresses, 192.168.1.0/24, or *");
        Vec::new()
    })
}

/// `refuse options` that hold `delete` keep a peer from removing anything.
fn delete_policy(cx: &mut Context<'_>, section: &Section) -> DeletePolicy {
    let Some(refused) = section.get("refuse options") else { return DeletePolicy::Guarded };
    let words = || refused.value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    let deletes = |word: &str| word == "*" || word.starts_with("delete");
    if words().any(|word| !deletes(word)) {
        let message = "of `refuse options` only `delete` is honoured: a syncd has no other options to refuse";
        cx.findings.push(cx.source.note("setting-differs", refused.span, message));
    }
    if words().any(deletes) { DeletePolicy::Never } else { DeletePolicy::Guarded }
}

/// The rules of the module, in the order in which rsyncd takes them.
fn rules(cx: &mut Context<'_>, section: &Section) -> Vec<Rule> {
    let (source, machine) = (cx.source, cx.machine);
    let mut gathering = Gathering::new(&machine.cwd);
    let words = |kind| Form { kind, words: true };
    let value = |name| section.get(name);
    if let Some(said) = value("filter") {
        gathering.value(source, &said.value, said.span, words(Kind::Rule));
    }
    for (from, name, include) in [("include from", "include", true), ("exclude from", "exclude", false)] {
        if let Some(said) = value(from) {
            let form = Form { kind: Kind::Pattern(include), words: false };
            gathering.named_file(source, &said.value, said.span, form);
        }
        if let Some(said) = value(name) {
            gathering.value(source, &said.value, said.span, words(Kind::Pattern(include)));
        }
    }
    cx.findings.extend(gathering.findings);
    cx.places.settle_rules(gathering.files);
    gathering.rules
}

fn incoming_chmod(cx: &mut Context<'_>, section: &Section) -> Chmod {
    let Some(said) = section.get("incoming chmod") else { return Chmod::default() };
    Chmod::parse(&said.value, cx.machine.umask).unwrap_or_else(|why| {
        fault(cx, said.span, why.to_string(), "write `incoming chmod = D755,F644`");
        Chmod::default()
    })
}

/// The user and groups that files are written as.
fn identity(cx: &mut Context<'_>, module: &Module, path: &Path) -> (Option<Owner>, Vec<Owner>) {
    let (uid, gid) = (module.section.get("uid"), module.section.get("gid"));
    if !cx.machine.is_root() {
        say_not_root(cx, uid, gid);
        return (None, Vec::new());
    }
    let Some(uid) = uid else { return default_identity(cx, module, gid, path) };
    let Some(user) = cx.machine.user(&uid.value) else {
        lack(cx, uid.span, format!("there is no user `{}` in /etc/passwd", uid.value));
        return (None, Vec::new());
    };
    let groups = groups(cx, gid, &user);
    (Some(user.owner), groups)
}

/// Without `uid` rsyncd writes as nobody, which is kept where nobody can write at all.
fn default_identity(
    cx: &mut Context<'_>,
    module: &Module,
    gid: Option<&Spanned<String>>,
    path: &Path,
) -> (Option<Owner>, Vec<Owner>) {
    if let Some(nobody) = cx.machine.user(NOBODY) {
        let groups = groups(cx, gid, &nobody);
        if may_write(path, nobody.owner.id, &groups) {
            return (Some(nobody.owner), groups);
        }
    }
    let message = format!(
        "the module `{}` has no `uid`, and `nobody`, whom rsyncd would take, cannot write {}: it is served as root",
        module.name.value,
        path.display()
    );
    let help = "write `uid = root` and `gid = root`, or the owner of the directory";
    cx.findings.push(cx.source.warning("rsyncd-uid", module.name.span, message).help(help));
    (None, Vec::new())
}

/// The groups that `gid` names; without it nobody's, as with rsyncd, but root's stay root's.
fn groups(cx: &mut Context<'_>, gid: Option<&Spanned<String>>, user: &User) -> Vec<Owner> {
    let Some(gid) = gid else {
        let nobody = NOBODY_GROUPS.iter().find_map(|name| cx.machine.group(name));
        return nobody.filter(|_| user.owner.id != 0).into_iter().collect();
    };
    let mut groups: Vec<Owner> = Vec::new();
    for word in gid.value.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        if word == "*" {
            groups.extend(cx.machine.groups_of(user));
            continue;
        }
        match cx.machine.group(word) {
            Some(group) => groups.push(group),
            // One purpose, two names: a file that came from another distribution keeps its meaning.
            None if NOBODY_GROUPS.contains(&word) => {
                let other = NOBODY_GROUPS.iter().find_map(|name| cx.machine.group(name));
                let named = other.as_ref().map_or("none", |group| group.name.as_str());
                let message = format!("there is no group `{word}` here: taken is `{named}`");
                cx.findings
                    .push(cx.source.warning("rsyncd-gid", gid.span, message).help(format!("write `gid = {named}`")));
                groups.extend(other);
            }
            None => {
                lack(cx, gid.span, format!("there is no group `{word}` in /etc/group"));
            }
        }
    }
    groups
}

/// Whether the mode bits of `path` let the user write; a path that is not there lets nobody.
fn may_write(path: &Path, uid: u32, groups: &[Owner]) -> bool {
    let Ok(meta) = std::fs::metadata(path) else { return false };
    // Writing into a directory takes its `w` and `x`; exactly one class of bits counts.
    let bits = |shift: u32| meta.mode() >> shift & 0o3 == 0o3;
    if meta.uid() == uid {
        bits(6)
    } else if groups.iter().any(|group| group.id == meta.gid()) {
        bits(3)
    } else {
        bits(0)
    }
}

fn say_not_root(cx: &mut Context<'_>, uid: Option<&Spanned<String>>, gid: Option<&Spanned<String>>) {
    let foreign = uid.filter(|uid| !cx.machine.is_own_user(&uid.value)).map(|uid| ("uid", uid));
    if let Some((name, value)) = foreign.or(gid.filter(|_| uid.is_none()).map(|gid| ("gid", gid))) {
        let message = format!("`{name} = {}` is ignored, since syncd does not run as root", value.value);
        let help = "start it as root, or as that user";
        cx.findings.push(cx.source.finding(Severity::Warning, "rsyncd-uid", value.span, message).help(help));
    }
}

fn boolean(cx: &mut Context<'_>, section: &Section, name: &str, default: bool) -> bool {
    section.boolean(cx.source, name, default).unwrap_or_else(|finding| {
        cx.findings.push(finding);
        default
    })
}

/// A user or a group that this machine has not.
fn lack(cx: &mut Context<'_>, span: Span, message: String) {
    let finding = cx.source.finding(cx.machine.lack(), "rsyncd-value", span, message);
    cx.findings.push(finding.help("create it, or write a number"));
}

fn fault(cx: &mut Context<'_>, span: Span, message: String, help: &str) {
    cx.findings.push(cx.source.error("rsyncd-value", span, message).help(help));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use syncd_compat::{Severity, SourceText};

    use crate::config::load::{Loaded, translate};
    use crate::config::machine::Machine;
    use crate::config::overrides::{Overrides, Side};
    use crate::config::{ConfigError, Finding};

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let source = SourceText::decode("r.conf", text.as_bytes());
        let overrides = Overrides::parse(&[], Side::Peer).expect("none");
        translate(&source, &Machine::made_of(1000, "", ""), &overrides, Side::Peer, None)
    }

    fn names(loaded: &Loaded) -> Vec<&str> {
        loaded.config.replicas.iter().map(|set| set.name.as_str()).collect()
    }

    fn errors(findings: &[Finding]) -> Vec<String> {
        findings.iter().filter(|finding| finding.severity == Severity::Error).map(Finding::summary).collect()
    }

    #[test]
    fn a_faulty_module_is_left_out_and_the_others_are_served() {
        let text = "[a]\npath=/a\n[b]\npath=/b\nhosts allow=*.example.com\n[c]\n[d]\npath=/%u\nread only=maybe\n";
        let loaded = read(text).expect("one is left");
        assert_eq!(names(&loaded), ["a"]);
        insta::assert_debug_snapshot!(errors(&loaded.findings), @r#"
        [
            "r.conf:3:1: error: the module `b` is left out: nobody can write it, the others are served — correct what is wrong with it",
            "r.conf:5:13: error: `hosts allow`: `*.example.com` is no address: who may write must not depend on a resolver — write addresses, 192.168.1.0/24, or *",
            "r.conf:6:1: error: the module `c` has no path — write `path = /DIR` below it",
            "r.conf:6:1: error: the module `c` is left out: nobody can write it, the others are served — correct what is wrong with it",
            "r.conf:7:1: error: the module `d` is left out: nobody can write it, the others are served — correct what is wrong with it",
            "r.conf:8:6: error: `/%u` names a variable, which is not supported — write it out, from `/` on and without variables",
        ]
        "#);
    }

    #[test]
    fn where_no_module_is_left_or_the_fault_is_everybodys_there_is_no_start() {
        for text in ["[b]\npath=b\n[c]\n", "address=nowhere\n[a]\npath=/a\n", "port=x\n[a]\npath=/a\n[c]\n"] {
            let error = read(text).expect_err(text);
            assert!(errors(error.findings()).iter().all(|line| !line.contains("left out")), "{text}");
        }
    }

    #[test]
    fn a_module_of_which_something_is_missing_is_left_out_unless_none_is_left() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("a")).expect("made");
        let (a, gone, secrets) = (at("a").display().to_string(), at("gone"), at("secrets"));
        let (gone, secrets) = (gone.display(), secrets.display());
        let text = format!("[a]\npath={a}\n[b]\npath={gone}\n[c]\npath={a}\nauth users=u\nsecrets file={secrets}\n");
        let mut loaded = read(&text).expect("read");
        assert!(loaded.check_local().is_err(), "`check` names it as an error");
        let said = errors(&loaded.settle().expect("one is left"));
        assert_eq!(names(&loaded), ["a"]);
        assert_eq!(said.iter().filter(|line| line.contains("is left out")).count(), 2, "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("r.conf:4:6: error: the received directory")), "{said:?}");
        let mut alone = read(&format!("[b]\npath={gone}\n")).expect("read");
        assert!(alone.settle().is_err());
    }
}
