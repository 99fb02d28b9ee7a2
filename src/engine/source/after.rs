//! Which changes plugins are told of, and when: once no target can be waited for any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::set::{SourceSet, Target};
use crate::config::DeletePolicy;
use crate::engine::lock;
use crate::model::{Entry, Node, RelPath};
use crate::plugin::{Changed, Outlet};

/// With more changes waiting for targets, plugins are told without waiting.
const MAX_WAITING: usize = 100_000;

/// The plugins of a set, and the changes that they have not been told of.
#[derive(Debug, Default)]
pub(crate) struct After {
    outlets: Vec<Arc<Outlet>>,
    /// Whether each is a directory.
    waiting: Mutex<BTreeMap<RelPath, bool>>,
}

impl After {
    pub(crate) fn new(outlets: Vec<Arc<Outlet>>) -> Self {
        Self { outlets, waiting: Mutex::default() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.outlets.is_empty()
    }

    fn tell(&self, path: RelPath, is_dir: bool) {
        for outlet in &self.outlets {
            outlet.push(Changed { path: path.clone(), is_dir });
        }
    }
}

impl SourceSet {
    /// Takes note of what changed: each path with what was there, and what is.
    pub(crate) fn follow<'a>(&self, changed: impl Iterator<Item = (&'a RelPath, Option<&'a Entry>, Option<Entry>)>) {
        let removes = self.config.options.delete != DeletePolicy::Never;
        let mut waiting = lock(&self.after.waiting);
        for (path, before, now) in changed.filter(|(path, ..)| !path.is_root()) {
            let gone = now.is_none();
            if is_news(before, now.as_ref()) && (removes || !gone) {
                let is_dir = now.as_ref().or(before).is_some_and(Entry::is_dir);
                waiting.insert(path.clone(), is_dir);
            }
        }
    }

    /// Tells the plugins what every target has acknowledged or failed to take.
    pub(crate) fn tell_plugins(&self) {
        if self.after.is_idle() {
            return;
        }
        let mut waiting = lock(&self.after.waiting);
        if waiting.is_empty() {
            return;
        }
        let channels: Vec<_> = self.targets.iter().map(|target: &Arc<Target>| target.channel()).collect();
        let overfull = waiting.len() > MAX_WAITING;
        waiting.retain(|path, is_dir| {
            let awaited = !overfull && channels.iter().any(|channel| channel.awaits(path));
            if !awaited {
                self.after.tell(path.clone(), *is_dir);
            }
            awaited
        });
    }
}

/// Whether sersync2 saw an event: something came, went, or was written. Changed attributes are none,
/// and a directory in which something came or went has not changed itself.
fn is_news(before: Option<&Entry>, now: Option<&Entry>) -> bool {
    match (before, now) {
        (None, None) => false,
        (Some(before), Some(now)) if before.kind() == now.kind() => match (&before.node, &now.node) {
            (Node::Dir, _) => false,
            (Node::File { size: old, .. }, Node::File { size, .. }) => {
                old != size || before.meta.mtime != now.meta.mtime
            }
            (old, new) => old != new,
        },
        _ => true,
    }
}
