//! What stands in a `confxml.xml` without being in force.

use std::collections::BTreeSet;

use syncd_compat::confxml::{ConfXml, Present};

const OFF: &str = "it is switched off";
const IGNORED: &str = "it is ignored: the first one counts";
const FOREIGN: &str = "the plugin of this name does not read it";

/// The plugins of a file, of which those count that somebody asks for.
#[derive(Debug)]
pub(super) struct Idle<'a>(Vec<Block<'a>>);

/// One top-level `<plugin>`.
#[derive(Debug)]
struct Block<'a> {
    start: usize,
    name: &'a str,
    /// Why nobody reads it.
    why: Option<&'static str>,
}

impl<'a> Idle<'a> {
    pub(super) fn of(conf: &'a ConfXml) -> Self {
        let asked = conf.sersync.iter().filter_map(|block| Some(block.plugin.as_ref()?.value.as_str()));
        let asked: BTreeSet<&str> = asked.collect();
        let mut seen = BTreeSet::new();
        let block = |plugin: &'a syncd_compat::confxml::LegacyPlugin| {
            let name = plugin.name.as_ref().map_or("", |name| name.value.as_str());
            let why = match (asked.contains(name), seen.insert(name)) {
                (false, _) => Some(OFF),
                (true, false) => Some(IGNORED),
                (true, true) => None,
            };
            Block { start: plugin.span.start, name, why }
        };
        Self(conf.plugins.iter().map(block).collect())
    }

    /// Why a setting that stands there is not in force, where it is not.
    pub(super) fn why(&self, Present { setting, value, off, ignored }: &Present) -> Option<&'static str> {
        let of_plugin = || {
            let part = setting.element.strip_prefix("plugin")?;
            let before = self.0.partition_point(|block| block.start <= value.span.start);
            let block = self.0.get(before.checked_sub(1)?)?;
            block.why.or_else(|| (!reads(block.name, part.trim_start_matches('/'))).then_some(FOREIGN))
        };
        let ignored = ignored.then_some(IGNORED);
        ignored.or_else(of_plugin).or_else(|| (*off && setting.attribute != "start").then_some(OFF))
    }
}

/// Whether the plugin `name` reads what stands in the element `part` of its block.
fn reads(name: &str, part: &str) -> bool {
    match name {
        "command" => !part.starts_with("localpath"),
        _ => part.is_empty() || part.starts_with("localpath"),
    }
}
