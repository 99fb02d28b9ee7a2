//! What the rsync options in `commonParams` mean for a set.

use syncd_compat::confxml::Rsync;
use syncd_compat::rsync::{Argument, Effect, RsyncOption};
use syncd_compat::{Severity, Span, Spanned};

use super::load::Context;
use super::machine::Machine;
use super::owners::{self, Whose};
use super::sizes::size;
use super::value::port;
use super::{Compression, DeletePolicy, Family, SetOptions};
use crate::model::Attrs;
use crate::rewrite::Chmod;

/// What `-z` means: a level of zstd that costs about as much as it saves on a fast link.
const DEFAULT_LEVEL: i32 = 3;

/// The meaning of all options of one `commonParams`.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) options: SetOptions,
    /// `--port`.
    pub(super) port: Option<u16>,
    /// `-4`, `-6`.
    pub(super) family: Option<Family>,
}

/// What `commonParams` means; `delete` is what `<inotify><delete>` says, which decides.
pub(super) fn translate(cx: &mut Context<'_>, rsync: &Rsync, delete: DeletePolicy) -> Meaning {
    let params = &rsync.options;
    let nothing = SetOptions {
        attrs: Attrs::NONE,
        symlinks: false,
        devices: false,
        specials: false,
        delete,
        ..SetOptions::default()
    };
    let mut meaning = Meaning { options: nothing, port: None, family: None };
    let mut recursive = false;
    for option in params {
        recursive |= option.on && matches!(option.spec.effect, Effect::Archive | Effect::Recursive);
        if let Err((span, why)) = apply(cx.machine, &mut meaning, option) {
            cx.findings.push(cx.source.error("rsync-argument", span, why));
        }
        say_type(cx, option);
        let deletes = option.on && option.spec.effect == Effect::Delete;
        if deletes && delete == DeletePolicy::Never {
            let message = format!("`--{}`: nothing is removed, since `<delete>` is off", option.spec.long);
            let help = "switch `<delete start=\"true\"/>` on, or remove the option";
            cx.findings.push(cx.source.warning("setting-not-honoured", option.span, message).help(help));
        }
    }
    meaning.options.compression = compression(params);
    if let Some(span) = params.first().map(|first| first.span).or(rsync.params).filter(|_| !recursive) {
        let message =
            "there is neither `-r` nor `-a`, without which sersync2 mirrored no directory: all of it is mirrored";
        let help = "write -a for a mirror that keeps modes, owners and times too";
        cx.findings.push(cx.source.warning("setting-differs", span, message).help(help));
    }
    meaning
}

/// Names an argument of the wrong type that nobody reads: rsync itself does not start with it.
fn say_type(cx: &mut Context<'_>, option: &RsyncOption) {
    let (Some(value), Some(kind)) = (option.value.as_deref().filter(|_| option.on), option.spec.argument) else {
        return;
    };
    let read = matches!(option.spec.effect, Effect::MaxSize | Effect::MinSize | Effect::BwLimit);
    let wrong = match kind {
        Argument::Number => value.parse::<i64>().err().map(|_| format!("`{value}` is no whole number")),
        Argument::Size if !read => size(value, 'B').err(),
        Argument::Size | Argument::Text => None,
    };
    let Some(why) = wrong else { return };
    let severity = if option.spec.standing.is_honoured() { Severity::Error } else { Severity::Warning };
    let message = format!("`--{}`: {why}; rsync does not start with it", option.spec.long);
    cx.findings.push(cx.source.finding(severity, "rsync-argument", option.span, message));
}

fn apply(machine: &Machine, meaning: &mut Meaning, option: &RsyncOption) -> Result<(), (Span, String)> {
    let options = &mut meaning.options;
    let on = option.on;
    let mut attrs = |which: Attrs| {
        options.attrs = if on { options.attrs.with(which) } else { options.attrs.without(which) };
    };
    match option.spec.effect {
        Effect::Perms => attrs(Attrs::MODE),
        Effect::Owner => attrs(Attrs::OWNER),
        Effect::Group => attrs(Attrs::GROUP),
        Effect::Times => attrs(Attrs::MTIME),
        Effect::Acls | Effect::Xattrs => attrs(Attrs::XATTRS),
        Effect::HardLinks => attrs(Attrs::HARD_LINKS),
        Effect::Links => options.symlinks = on,
        Effect::Devices => options.devices = on,
        Effect::Specials => options.specials = on,
        Effect::DevicesAndSpecials => (options.devices, options.specials) = (on, on),
        Effect::Archive => {
            attrs(Attrs::ARCHIVE);
            (options.symlinks, options.devices, options.specials) = (on, on, on);
        }
        Effect::NumericIds => options.numeric_ids = on,
        Effect::OmitDirTimes => attrs(Attrs::OMIT_DIR_TIMES),
        Effect::OmitLinkTimes => attrs(Attrs::OMIT_LINK_TIMES),
        Effect::Existing => attrs(Attrs::EXISTING_ONLY),
        Effect::IgnoreExisting => attrs(Attrs::NEW_ONLY),
        Effect::OneFileSystem => options.one_file_system = on,
        Effect::Ipv4 => meaning.family = Some(Family::V4).filter(|_| on),
        Effect::Ipv6 => meaning.family = Some(Family::V6).filter(|_| on),
        // `--no-OPTION` takes it back.
        Effect::MaxSize if !on => options.max_size = None,
        Effect::MinSize if !on => options.min_size = None,
        Effect::BwLimit if !on => options.bandwidth = None,
        Effect::Chmod if !on => options.rewrite.chmod = Chmod::default(),
        Effect::Chown | Effect::UserMap | Effect::GroupMap if !on => {}
        Effect::MaxSize => options.max_size = Some(said(option, |text| size(text, 'B'))?),
        Effect::MinSize => options.min_size = Some(said(option, |text| size(text, 'B'))?),
        Effect::BwLimit => options.bandwidth = Some(said(option, |text| size(text, 'K'))?).filter(|rate| *rate > 0),
        Effect::Chmod => {
            let chmod = said(option, |text| Chmod::parse(text, machine.umask).map_err(|e| e.to_string()))?;
            options.rewrite.chmod.extend(chmod);
        }
        Effect::Chown => {
            let (users, groups) = said(option, |text| owners::chown(machine, text))?;
            options.rewrite.users.extend(users);
            options.rewrite.groups.extend(groups);
        }
        Effect::UserMap => {
            let maps = said(option, |text| owners::maps(machine, Whose::Users, text))?;
            options.rewrite.users.extend(maps);
        }
        Effect::GroupMap => {
            let maps = said(option, |text| owners::maps(machine, Whose::Groups, text))?;
            options.rewrite.groups.extend(maps);
        }
        Effect::WholeFile => options.whole_file = on,
        Effect::Port => {
            let value = option.value.as_deref().unwrap_or("");
            meaning.port = Some(port(value).map_err(|why| (option.span, why))?);
        }
        // What they mean depends on their order, or on the tree: see `rules` and `compression`.
        Effect::Filter
        | Effect::Exclude
        | Effect::ExcludeFrom
        | Effect::Include
        | Effect::IncludeFrom
        | Effect::CvsExclude
        | Effect::Compress
        | Effect::CompressLevel => {}
        Effect::Recursive | Effect::Delete | Effect::Nothing => {}
    }
    Ok(())
}

/// What `parse` makes of the option's argument.
fn said<T>(option: &RsyncOption, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, (Span, String)> {
    parse(option.value.as_deref().unwrap_or("")).map_err(|why| (option.span, why))
}

/// `-z`, with the level where it is one of zstd: zlib's levels mean other speeds.
fn compression(params: &[RsyncOption]) -> Compression {
    let last = |effect| params.iter().rev().find(|option| option.spec.effect == effect);
    let on = last(Effect::Compress).is_some_and(|option| option.on);
    let choice =
        params.iter().rev().find(|option| option.spec.long == "compress-choice").and_then(|o| o.value.as_deref());
    let level = last(Effect::CompressLevel).and_then(|option| option.value.as_deref()?.parse::<i32>().ok());
    match (on, choice, level) {
        (false, ..) | (_, Some("none"), _) | (_, _, Some(0)) => Compression::Off,
        (true, Some("zstd"), Some(level)) => Compression::Zstd(level.clamp(1, 19)),
        (true, ..) => Compression::Zstd(DEFAULT_LEVEL),
    }
}

/// The port that `<userDefinedPort>` names.
pub(super) fn user_port(cx: &mut Context<'_>, value: &Spanned<String>) -> Option<u16> {
    match port(&value.value) {
        Ok(port) => Some(port),
        Err(why) => {
            cx.findings.push(cx.source.error("port", value.span, why).help("write the port of `syncd peer`, on UDP"));
            None
        }
    }
}
