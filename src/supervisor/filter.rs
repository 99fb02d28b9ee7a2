//! The packet filter: what `no_accept` keeps from being answered, and what VMACs must not say.
//!
//! nft(8) takes a few milliseconds, which nothing here waits for: an address is held much later than that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::net::firewall::Rules;
use crate::vrrp::setup::Setup;

/// How long the end waits for nft(8).
const LAST: Duration = Duration::from_secs(1);

/// What is to be in force.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// None before the first configuration.
    wanted: Arc<Mutex<Option<Rules>>>,
    /// One installation at a time.
    turn: Arc<Mutex<()>>,
}

impl Filter {
    /// From now on the rules that `setup` needs are in force. Where it needs none, those of an earlier life go.
    pub(super) fn configure(&self, setup: &Setup) {
        let rules = Rules::of(&setup.instances);
        let mut wanted = lock(&self.wanted);
        if wanted.as_ref() != Some(&rules) {
            *wanted = Some(rules);
            drop(tokio::task::spawn_blocking(self.installation()));
        }
    }

    /// All addresses are gone, and the rules with them.
    pub(super) async fn end(&self) {
        if lock(&self.wanted).replace(Rules::default()).is_some_and(|rules| !rules.is_empty()) {
            let _ = timeout(LAST, tokio::task::spawn_blocking(self.installation())).await;
        }
    }

    /// Installs what is wanted when it runs: whichever of two runs last, the last configuration is in force.
    fn installation(&self) -> impl FnOnce() + Send + 'static {
        let (wanted, turn) = (Arc::clone(&self.wanted), Arc::clone(&self.turn));
        move || {
            let _turn = lock(&turn);
            let Some(rules) = lock(&wanted).clone() else { return };
            match rules.install() {
                Ok(()) => {}
                Err(e) if rules.is_empty() => tracing::debug!("{e}: there may have been none"),
                Err(e) => {
                    tracing::warn!("{e}: `no_accept` and the silence of VMACs are not in force; install nftables");
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
