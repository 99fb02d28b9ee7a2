//! One plugin of one set at work: its queue, and those that are told at once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::act;
use super::pattern::Pattern;
use super::queue::{Changed, MAX_WAITING, Queue};
use super::request::{self, Refresh};
use crate::config::{CdnPassword, Plugin, PluginAction};
use crate::model::RelPath;
use crate::observe::{Counter, Monitor};

/// A plugin and what it has still to be told.
#[derive(Debug)]
pub struct Outlet {
    plugin: Plugin,
    root: PathBuf,
    include: Option<Vec<Pattern>>,
    rewrite: Option<Pattern>,
    queue: Mutex<Queue>,
    wake: Notify,
    monitor: Monitor,
    /// The last failure, until something succeeds: told once.
    failing: Mutex<Option<String>>,
}

impl Outlet {
    /// `plugin` for the set whose root is `root`.
    ///
    /// # Errors
    /// An expression cannot be used: why.
    pub fn new(plugin: Plugin, root: PathBuf, monitor: Monitor) -> Result<Self, String> {
        let (mut include, mut rewrite) = (None, None);
        match &plugin.action {
            PluginAction::Command { include: Some(list), .. } => {
                include = Some(list.iter().map(|text| Pattern::whole(text)).collect::<Result<_, _>>()?);
            }
            PluginAction::RefreshCdn { rewrite: Some(text), .. } => rewrite = Some(Pattern::anywhere(text)?),
            _ => {}
        }
        let queue = Mutex::new(Queue::new(plugin.at_once));
        let (wake, failing) = (Notify::new(), Mutex::default());
        Ok(Self { plugin, root, include, rewrite, queue, wake, monitor, failing })
    }

    /// Tells `changed` as soon as there is room; waits for nothing.
    pub fn push(&self, changed: Changed) {
        if let Some(include) = &self.include {
            let absolute = request::absolute(&self.root, &changed.path);
            if !include.iter().any(|pattern| pattern.matches(&absolute)) {
                return;
            }
        }
        let mut queue = self.queue();
        if !queue.push(changed) {
            self.monitor.count(Counter::PluginFailures, 1);
            if queue.counts().1 == 1 {
                let name = &self.plugin.name;
                tracing::warn!("plugin {name}: {MAX_WAITING} changes wait: it is not told of further ones");
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Tells until `stop` turns true; what waits then is forgotten, and what is under way is ended.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut telling = JoinSet::new();
        loop {
            loop {
                let Some(changed) = self.queue().next() else { break };
                telling.spawn(self.clone().tell(changed));
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = telling.join_next() => {}
                () = self.wake.notified() => {}
            }
        }
        telling.shutdown().await;
        let (waiting, _) = self.queue().counts();
        if waiting > 0 {
            tracing::warn!("plugin {}: {waiting} changes were not told before the end", self.plugin.name);
        }
    }

    async fn tell(self: Arc<Self>, changed: Changed) {
        let absolute = request::absolute(&self.root, &changed.path);
        let acting = self.act(&absolute, &changed);
        let result = match &self.plugin.action {
            // It has the limit itself, and tells how far it came.
            PluginAction::Command { .. } => acting.await,
            _ => match tokio::time::timeout(self.plugin.timeout, acting).await {
                Ok(result) => result,
                Err(_) => Err(format!("given up after {} s", self.plugin.timeout.as_secs_f32())),
            },
        };
        self.note(&changed.path, result);
        self.queue().done(&changed.path);
        self.wake.notify_one();
    }

    async fn act(&self, absolute: &[u8], changed: &Changed) -> Result<(), String> {
        match &self.plugin.action {
            PluginAction::Command { before, after, .. } => {
                act::run(request::words(before, absolute, after), self.plugin.timeout).await
            }
            PluginAction::Socket { address } => act::send(*address, absolute).await,
            PluginAction::RefreshCdn { host, port, user, password, base, .. } => {
                let password = match password {
                    CdnPassword::Said(password) => password.clone(),
                    CdnPassword::File(file) => first_line(file).await?,
                };
                let rewrite = self.rewrite.as_ref();
                let of = Refresh { host, user, password: &password, base, rewrite };
                match request::refresh(of, absolute, &changed.path, changed.is_dir) {
                    Some(request) => act::ask((host.as_str(), *port), &request).await,
                    None => Ok(()),
                }
            }
        }
    }

    fn note(&self, path: &RelPath, result: Result<(), String>) {
        let name = &self.plugin.name;
        self.monitor.count(Counter::PluginRuns, 1);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                tracing::debug!("plugin {name}: told of {path}");
                if failing.take().is_some() {
                    tracing::info!("plugin {name}: works again");
                }
            }
            Err(why) => {
                self.monitor.count(Counter::PluginFailures, 1);
                if failing.as_ref() == Some(&why) {
                    tracing::debug!("plugin {name}: {path}: {why}");
                } else {
                    tracing::warn!("plugin {name}: {path}: {why}");
                    *failing = Some(why);
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn first_line(file: &Path) -> Result<String, String> {
    let text = tokio::task::spawn_blocking({
        let file = file.to_owned();
        move || std::fs::read_to_string(file)
    });
    let text = text.await.map_err(|e| e.to_string())?;
    let text = text.map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
