//! What is in force of the sets and of the node, each field by name: one that is new has to be shown too.

use super::{InForce, Values};
use crate::config::native::write::{address, carrier, host};
use crate::config::{
    Coalesce, Compare, Compression, Config, DeletePolicy, Events, NodeConfig, Reach, ReplicaAuth, ReplicaSet,
    SetOptions, SourceAuth, SourceSet, Target, Tuning, XferExec,
};
use crate::filter::Rule;
use crate::model::Attrs;
use crate::rewrite::{Chmod, Mapped, Rewrite};

pub(super) fn config(config: &Config, all: &mut Vec<InForce>) {
    let Config { file, node, sources, replicas, trust_first_use, fail_log, vrrp: _, tuning } = config;
    for set in sources {
        source(set, &mut Values { file, of: &set.name, all });
    }
    for set in replicas {
        replica(set, &mut Values { file, of: &set.name, all });
    }
    let mut values = Values { file, of: "", all };
    let NodeConfig { name, listen, pid_file, debug } = node;
    values.maybe("name", Some(name));
    values.maybe("listen", *listen);
    values.plain("trust-first-use", trust_first_use, &false);
    values.plain("debug", debug, &false);
    values.maybe("pid-file", pid_file.as_ref().map(|file| file.display()));
    values.maybe("fail-log", fail_log.as_ref().map(|log| log.path.display()));
    let (Tuning { retry_ceiling, idle_timeout, record_after, threads }, stock) = (tuning, Tuning::default());
    values.plain("tuning.retry-ceiling", retry_ceiling, &stock.retry_ceiling);
    values.plain("tuning.idle-timeout", idle_timeout, &stock.idle_timeout);
    values.plain("tuning.record-after", record_after, &stock.record_after);
    values.plain("tuning.threads", threads, &stock.threads);
}

fn source(set: &SourceSet, values: &mut Values<'_>) {
    let SourceSet { name: _, path, options, coalesce, events, compare, exclude_regex, filter, targets, plugins } = set;
    values.maybe("path", Some(path.display()));
    values.list("peers", &targets.iter().map(target).collect::<Vec<_>>());
    let mut auth: Vec<String> = targets.iter().map(|target| proof(&target.auth)).collect();
    auth.dedup();
    let auth = auth.join(", ");
    values.add("auth", &auth, &proof(&SourceAuth::Key), String::clone);
    self::options(options, values);
    rules("filter", filter, values);
    values.list("exclude-regex", exclude_regex);
    times(coalesce, values);
    let (Events { create_file, create_folder, close_write, modify, move_from, move_to }, stock) =
        (events, Events::default());
    values.plain("events.create-file", create_file, &stock.create_file);
    values.plain("events.create-folder", create_folder, &stock.create_folder);
    values.plain("events.close-write", close_write, &stock.close_write);
    values.plain("events.modify", modify, &stock.modify);
    values.plain("events.move-from", move_from, &stock.move_from);
    values.plain("events.move-to", move_to, &stock.move_to);
    let Compare { every, exclude } = compare;
    values.maybe("compare.every", every.map(|every| format!("{every:?}")));
    let globs: Vec<_> = exclude.iter().map(|rule| String::from_utf8_lossy(&rule.pattern).into_owned()).collect();
    values.list("compare.exclude", &globs);
    values.list("plugins", &plugins.iter().map(|plugin| plugin.name.clone()).collect::<Vec<_>>());
}

fn options(options: &SetOptions, values: &mut Values<'_>) {
    let SetOptions {
        attrs,
        symlinks,
        devices,
        specials,
        numeric_ids,
        compression,
        whole_file,
        delete,
        full_compare,
        scan_interval,
        max_size,
        min_size,
        one_file_system,
        rewrite: Rewrite { chmod, users, groups },
        bandwidth,
    } = options;
    let stock = SetOptions::default();
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
    for (name, which) in kept {
        values.plain(name, &attrs.has(which), &stock.attrs.has(which));
    }
    values.add("delete", delete, &stock.delete, policy);
    values.add("compression", compression, &stock.compression, self::compression);
    values.plain("symlinks", symlinks, &stock.symlinks);
    values.plain("devices", devices, &stock.devices);
    values.plain("specials", specials, &stock.specials);
    values.plain("numeric-ids", numeric_ids, &stock.numeric_ids);
    values.plain("whole-file", whole_file, &stock.whole_file);
    values.plain("full-compare", full_compare, &stock.full_compare);
    values.plain("scan-interval", scan_interval, &stock.scan_interval);
    values.plain("one-file-system", one_file_system, &stock.one_file_system);
    for (name, size) in [("max-size", max_size), ("min-size", min_size), ("bandwidth", bandwidth)] {
        values.maybe(name, size.map(|size| format!("{size}B")));
    }
    values.maybe("chmod", said(chmod));
    values.list("user-map", &users.iter().map(Mapped::to_string).collect::<Vec<_>>());
    values.list("group-map", &groups.iter().map(Mapped::to_string).collect::<Vec<_>>());
}

fn times(coalesce: &Coalesce, values: &mut Values<'_>) {
    let (Coalesce { quiet, settle, gone, open_quiet, linger, bound }, stock) = (coalesce, Coalesce::default());
    values.plain("coalesce.quiet", quiet, &stock.quiet);
    values.plain("coalesce.settle", settle, &stock.settle);
    values.plain("coalesce.gone", gone, &stock.gone);
    values.plain("coalesce.open-quiet", open_quiet, &stock.open_quiet);
    values.plain("coalesce.linger", linger, &stock.linger);
    values.plain("coalesce.bound", bound, &stock.bound);
}

fn replica(set: &ReplicaSet, values: &mut Values<'_>) {
    let ReplicaSet {
        name: _,
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
        delete,
        filter,
        incoming_chmod,
        xfer_exec: XferExec { before, after },
    } = set;
    values.maybe("path", Some(path.display()));
    values.add("auth", auth, &ReplicaAuth::Key, who);
    values.list("hosts-allow", &hosts_allow.iter().map(host).collect::<Vec<_>>());
    values.list("hosts-deny", &hosts_deny.iter().map(host).collect::<Vec<_>>());
    values.maybe("uid", uid.as_ref().map(|owner| &owner.name));
    values.list("gid", &gid.iter().map(|owner| owner.name.clone()).collect::<Vec<_>>());
    values.add("delete", delete, &DeletePolicy::Guarded, policy);
    values.plain("read-only", read_only, &false);
    values.plain("max-connections", max_connections, &0);
    values.plain("numeric-ids", numeric_ids, &false);
    values.plain("privileged", privileged, &false);
    rules("filter", filter, values);
    values.maybe("incoming-chmod", said(incoming_chmod));
    values.maybe("pre-xfer-exec", before.as_ref());
    values.maybe("post-xfer-exec", after.as_ref());
}

fn rules(name: &'static str, rules: &[Rule], values: &mut Values<'_>) {
    values.list(name, &rules.iter().map(Rule::to_string).collect::<Vec<_>>());
}

/// `HOST:PORT::MODULE`, and how it is reached where that is not QUIC.
fn target(target: &Target) -> String {
    let user = match &target.reach {
        Reach::Ssh { user: Some(user) } => format!("{user}@"),
        _ => String::new(),
    };
    let by = carrier(target).map_or_else(String::new, |carrier| format!(" by {carrier}"));
    format!("{user}{}::{}{by}", address(target), target.set)
}

fn proof(auth: &SourceAuth) -> String {
    match auth {
        SourceAuth::Key => "the node's key".to_owned(),
        SourceAuth::Password { user, file } => format!("{user}, by the password in {}", file.display()),
    }
}

fn who(auth: &ReplicaAuth) -> String {
    match auth {
        ReplicaAuth::Key => "a pinned key".to_owned(),
        ReplicaAuth::Password { users, file, strict } => {
            let lax = if *strict { "" } else { ", which others may read" };
            format!("{}, by the passwords in {}{lax}", users.join(" "), file.display())
        }
    }
}

fn said(chmod: &Chmod) -> Option<String> {
    (*chmod != Chmod::default()).then(|| chmod.to_string())
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
