//! `[[plugin]]`: what is told of changes besides the peers.

use std::path::PathBuf;

use super::file::PluginTable;
use super::{Context, fault, path, value};
use crate::config::overrides::positive;
use crate::config::value::{duration, host_port};
use crate::config::{CdnPassword, Coalesce, Compare, Events, Plugin, PluginAction, SetOptions, SourceSet};
use crate::plugin::Pattern;

/// Has the plugins of the file follow its sets, or else directories of their own.
pub(super) fn attach(cx: &mut Context<'_>, tables: &[PluginTable], sets: &mut Vec<SourceSet>) {
    let alone = cx.plugin_alone.clone();
    if let Some(name) = &alone
        && !tables.iter().any(|table| table.name.get_ref() == name)
    {
        let message = format!("there is no `[[plugin]]` called `{name}`");
        fault(cx, 0..0, "plugin-unknown", message, "name one that there is");
    }
    if alone.is_some() {
        sets.iter_mut().for_each(|set| set.targets.clear());
    }
    for table in tables.iter().filter(|table| alone.as_ref().is_none_or(|name| name == table.name.get_ref())) {
        if let Some(plugin) = plugin(cx, table) {
            follow(cx, table, plugin, sets);
        }
    }
    if alone.is_some() {
        sets.retain(|set| !set.plugins.is_empty());
    }
}

fn follow(cx: &mut Context<'_>, table: &PluginTable, plugin: Plugin, sets: &mut Vec<SourceSet>) {
    match (&table.set, &table.path) {
        (Some(name), None) => match sets.iter_mut().find(|set| set.name == *name.get_ref()) {
            Some(set) => set.plugins.push(plugin),
            None => {
                let message = format!("there is no set `{}` with the role primary", name.get_ref());
                fault(cx, name.span(), "toml-plugin", message, "name one of this file, or write `path`");
            }
        },
        (None, Some(own)) if own.get_ref().starts_with('/') => {
            let own = path(cx, own);
            // What is watched already is watched once.
            match sets.iter_mut().find(|set| set.path == own) {
                Some(same) => same.plugins.push(plugin),
                None => sets.push(watched(own, plugin, sets)),
            }
        }
        _ => {
            let message = format!("the plugin `{}` needs either `set` or `path`", table.name.get_ref());
            fault(cx, table.name.span(), "toml-plugin", message, "write set = \"SET\", or path = \"/DIR\"");
        }
    }
}

/// A set of `path` that goes to no peer, under a name that none of `sets` has.
fn watched(path: PathBuf, plugin: Plugin, sets: &[SourceSet]) -> SourceSet {
    let name = format!("plugin-{}", plugin.name);
    let numbered = (2u32..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| sets.iter().all(|set| set.name != *name));
    SourceSet {
        name: free.unwrap_or(name),
        path,
        options: SetOptions::default(),
        coalesce: Coalesce::default(),
        events: Events::default(),
        compare: Compare::default(),
        exclude_regex: Vec::new(),
        filter: Vec::new(),
        targets: Vec::new(),
        plugins: vec![plugin],
    }
}

fn plugin(cx: &mut Context<'_>, table: &PluginTable) -> Option<Plugin> {
    let action = match table.kind.get_ref().as_str() {
        "command" => command(cx, table),
        "socket" => socket(cx, table),
        "refresh-cdn" => refresh_cdn(cx, table),
        kind => {
            let help = "there are command, socket and refresh-cdn";
            fault(cx, table.kind.span(), "toml-plugin", format!("`{kind}` is no kind of plugin"), help);
            None
        }
    }?;
    let mut plugin = Plugin::new(table.name.get_ref(), action);
    if let Some(said) = &table.timeout {
        plugin.timeout = value(cx, said, |text| positive(duration(text)?)).unwrap_or(plugin.timeout);
    }
    plugin.at_once = table.at_once.unwrap_or(plugin.at_once).clamp(1, 256);
    Some(plugin)
}

fn command(cx: &mut Context<'_>, table: &PluginTable) -> Option<PluginAction> {
    if table.command.is_empty() {
        needs(cx, table, "command = [\"/PROGRAM\"]");
        return None;
    }
    for expression in table.include.iter().flatten() {
        value(cx, expression, Pattern::whole)?;
    }
    let include = table.include.as_ref().map(|list| list.iter().map(|e| e.get_ref().clone()).collect());
    Some(PluginAction::Command { before: table.command.clone(), after: table.after.clone(), include })
}

fn socket(cx: &mut Context<'_>, table: &PluginTable) -> Option<PluginAction> {
    let Some(said) = &table.address else {
        needs(cx, table, "address = \"IP:PORT\"");
        return None;
    };
    let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is no IP:PORT"));
    value(cx, said, address).map(|address| PluginAction::Socket { address })
}

fn refresh_cdn(cx: &mut Context<'_>, table: &PluginTable) -> Option<PluginAction> {
    let (Some(address), Some(user), Some(file), Some(base)) =
        (&table.address, &table.user, &table.password_file, &table.base)
    else {
        needs(cx, table, "address, user, password-file and base");
        return None;
    };
    let (host, port) = value(cx, address, |text| host_port(text, 80))?;
    if let Some(pattern) = &table.rewrite {
        value(cx, pattern, Pattern::anywhere)?;
    }
    Some(PluginAction::RefreshCdn {
        host,
        port,
        user: user.clone(),
        password: CdnPassword::File(path(cx, file)),
        base: base.clone(),
        rewrite: table.rewrite.as_ref().map(|said| said.get_ref().clone()),
    })
}

fn needs(cx: &mut Context<'_>, table: &PluginTable, what: &str) {
    let message = format!("the plugin `{}` needs {what}", table.name.get_ref());
    fault(cx, table.name.span(), "toml-plugin", message, "write it");
}
