//! sersync2's plugins as those of the configuration.

use std::net::{IpAddr, SocketAddr};

use syncd_compat::confxml::{ConfXml, LegacyPlugin, PLUGINS, PluginPath};
use syncd_compat::{Finding, Span, Spanned, nearest};

use super::load::Context;
use super::value::{host, port};
use super::{CdnPassword, Plugin, PluginAction};
use crate::filter::expression_of;
use crate::plugin::Pattern;

/// The port of a cache that names none.
const HTTP: u16 = 80;

/// A plugin, and the directory that it has for itself.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) plugin: Plugin,
    /// Where it says one: not the mirror's.
    pub(super) path: Option<Spanned<String>>,
}

/// Names each block of which there is one of that name already.
pub(super) fn say_repeated(cx: &mut Context<'_>, conf: &ConfXml) {
    let mut seen = Vec::new();
    for plugin in &conf.plugins {
        let name = plugin.name.as_ref().map_or("", |name| name.value.as_str());
        if seen.contains(&name) {
            let message = format!("this `<plugin name=\"{name}\">` is ignored: the first one of that name counts");
            cx.findings.push(cx.source.warning("xml-repeated", plugin.span, message).help("remove one of them"));
        } else if PLUGINS.contains(&name) {
            seen.push(name);
        }
    }
}

/// The plugin called `name`, which is asked for at `at`, or else on the command line. What is wrong
/// with it goes to the findings.
pub(super) fn find(cx: &mut Context<'_>, conf: &ConfXml, name: &str, at: Option<Span>) -> Option<Used> {
    let found = conf.plugins.iter().find(|p| p.name.as_ref().is_some_and(|n| n.value == name));
    let (message, help) = match found {
        _ if name == "http" => (
            "the plugin `http` is not supported: sersync2 itself has not had it since 2.2".to_owned(),
            "let the plugin `command` run curl, or switch it off".to_owned(),
        ),
        _ if !PLUGINS.contains(&name) => {
            let help = match nearest(name, PLUGINS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", PLUGINS.join(", ")),
            };
            (format!("`{name}` is no plugin"), help)
        }
        Some(plugin) => return used(cx, plugin, name),
        None => (
            format!("the plugin `{name}` is asked for, and there is no `<plugin name=\"{name}\">`"),
            "write one below `</sersync>`, or switch it off".to_owned(),
        ),
    };
    let finding = match at {
        Some(span) => cx.source.error("plugin-unknown", span, message),
        None => Finding::of_file(cx.source.file(), "plugin-unknown", message),
    };
    cx.findings.push(finding.help(help));
    None
}

fn used(cx: &mut Context<'_>, plugin: &LegacyPlugin, name: &str) -> Option<Used> {
    if name == "command" {
        return command(cx, plugin).map(|action| Used { plugin: Plugin::new(name, action), path: None });
    }
    let Some(path) = &plugin.localpath else {
        missing(cx, plugin.span, "<localpath>");
        return None;
    };
    let action = if name == "socket" { socket(cx, path) } else { refresh_cdn(cx, path) }?;
    Some(Used { plugin: Plugin::new(name, action), path: path.watch.clone() })
}

fn command(cx: &mut Context<'_>, plugin: &LegacyPlugin) -> Option<PluginAction> {
    let mut usable = true;
    let mut include: Option<Vec<String>> = plugin.include.as_ref().map(|_| Vec::new());
    for expression in plugin.include.iter().flatten() {
        let text = expression_of(&cx.source.original_bytes(expression));
        usable &= checked(cx, expression, Pattern::whole(&text)).is_some();
        include.iter_mut().for_each(|list| list.push(text.clone()));
    }
    let words = plugin.command(cx.source).map_err(|finding| cx.findings.push(finding)).ok();
    let (mut before, after) = words.filter(|_| usable)?;
    if let Some(program) = before.first_mut().filter(|program| program.contains('/')) {
        // A relative one starts from the working directory, as with sersync2.
        let path = cx.machine.cwd.join(&*program);
        if let Some(said) = &plugin.prefix {
            cx.places.settle_path(cx.source, said.span, program, &path);
        }
        *program = path.to_string_lossy().into_owned();
    }
    Some(PluginAction::Command { before, after, include })
}

fn socket(cx: &mut Context<'_>, path: &PluginPath) -> Option<PluginAction> {
    let ip = needed(cx, path, &path.ip, "<deshost ip>");
    let number = needed(cx, path, &path.port, "<deshost port>");
    let ip = ip.and_then(|ip| {
        let parsed = ip.value.trim().parse::<IpAddr>();
        checked(cx, &ip, parsed.map_err(|_| format!("`{}` is no address", ip.value)))
    });
    let number = number.and_then(|number| checked(cx, &number, port(&number.value)));
    Some(PluginAction::Socket { address: SocketAddr::new(ip?, number?) })
}

fn refresh_cdn(cx: &mut Context<'_>, path: &PluginPath) -> Option<PluginAction> {
    let domain = needed(cx, path, &path.domain, "<cdninfo domainname>");
    let user = needed(cx, path, &path.user, "<cdninfo username>");
    let password = needed(cx, path, &path.password, "<cdninfo passwd>");
    let base = needed(cx, path, &path.base, "<sendurl base>");
    let pattern = if path.rewrite { Some(needed(cx, path, &path.pattern, "<regexurl match>")?) } else { None };
    let number = match &path.port {
        Some(said) => checked(cx, said, port(&said.value)),
        None => Some(HTTP),
    };
    let rewrite = match pattern {
        Some(pattern) => {
            let text = expression_of(&cx.source.original_bytes(&pattern));
            checked(cx, &pattern, Pattern::anywhere(&text))?;
            Some(text)
        }
        None => None,
    };
    let domain = domain.and_then(|domain| checked(cx, &domain, host(domain.value.trim())));
    let plain = |cx: &mut Context<'_>, said: Option<Spanned<String>>| {
        let said = said?;
        let breaks = said.value.contains(|c: char| c.is_control() || c == ' ');
        let why = "a blank or a control character would break the request".to_owned();
        checked(cx, &said, if breaks { Err(why) } else { Ok(said.value.clone()) })
    };
    let (user, password, base) = (plain(cx, user), plain(cx, password), plain(cx, base));
    if let Some(said) = &path.password {
        let message = "`passwd` stands here in clear text, and travels so; a syncd.toml names a file for it";
        cx.findings.push(cx.source.note("plugin-password", said.span, message));
    }
    let password = CdnPassword::Said(password?);
    Some(PluginAction::RefreshCdn { host: domain?, port: number?, user: user?, password, base: base?, rewrite })
}

/// What must be there; sersync2 crashed where it was not.
fn needed(
    cx: &mut Context<'_>,
    path: &PluginPath,
    said: &Option<Spanned<String>>,
    what: &str,
) -> Option<Spanned<String>> {
    if said.is_none() {
        missing(cx, path.span, what);
    }
    said.clone()
}

fn missing(cx: &mut Context<'_>, span: Span, what: &str) {
    let message = format!("the plugin has no `{what}`, or an empty one");
    cx.findings.push(cx.source.error("plugin-missing", span, message).help("write it, or switch the plugin off"));
}

fn checked<T>(cx: &mut Context<'_>, said: &Spanned<String>, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(|why| cx.findings.push(cx.source.error("plugin-value", said.span, why))).ok()
}
