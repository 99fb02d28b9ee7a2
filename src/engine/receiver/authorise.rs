//! Whether a source may write a set: hosts, then exactly one proof.

use std::net::IpAddr;
use std::time::Instant;

use syncd_certs::password::{Context, Verifier};
use syncd_certs::secrets;
use syncd_certs::throttle::network_of;

use super::Receiver;
use super::set::ReplicaSet;
use crate::config::{HostPattern, ReplicaAuth};
use crate::engine::lock;
use crate::engine::place::{overlap, places_of};
use crate::link::Link;
use crate::model::NodeKey;
use crate::wire::{Open, Proof, Refusal};

/// Why a set is refused: what the peer is told, and what the own log says.
#[derive(Debug)]
pub(crate) struct Denied {
    /// For the peer.
    pub code: Refusal,
    /// For the own log: cause and remedy.
    pub cause: String,
}

/// How far an authorisation has come.
pub(crate) enum Step {
    /// The key is enough.
    Granted(String),
    /// The peer has to confirm the password.
    Challenge {
        /// PAKE message for the peer.
        pake: Vec<u8>,
        /// Confirmation for the peer.
        confirm: Vec<u8>,
        /// Checks the peer's confirmation.
        verifier: Box<Verifier>,
    },
}

fn denied(code: Refusal, cause: impl Into<String>) -> Denied {
    Denied { code, cause: cause.into() }
}

/// First half: everything that can be said without the peer's confirmation.
///
/// # Errors
/// [`Denied`].
pub(crate) fn begin(node: &Receiver, set: &ReplicaSet, link: &Link, open: &Open, now: Instant) -> Result<Step, Denied> {
    let address = link.remote_address();
    if !host_allowed(address.ip(), &set.config.hosts_allow, &set.config.hosts_deny) {
        return Err(denied(Refusal::NotAllowed, "its address is not allowed by `hosts allow` / `hosts deny`"));
    }
    if let Some(why) = overlap(&places_of(&set.root()), &open.places) {
        return Err(denied(Refusal::Myself, why));
    }
    if set.config.read_only {
        return Err(denied(Refusal::ReadOnly, "the set is read only; `read only = no` lets it be written"));
    }
    let limit = set.config.max_connections as usize;
    // A source that comes back takes the place that it has already.
    let others = set.sources().iter().filter(|s| s.key != link.node_key()).count();
    if limit > 0 && others >= limit {
        return Err(denied(Refusal::Busy, format!("`max connections = {limit}` is reached")));
    }
    match (&set.config.auth, &open.proof) {
        (ReplicaAuth::Key, _) => by_key(node, set, link).map(Step::Granted),
        (ReplicaAuth::Password { users, file, strict }, Proof::Password { user, pake }) => {
            if lock(&node.throttle).attempt(now, (network_of(address.ip()), &set.config.name)).is_err() {
                return Err(denied(Refusal::Busy, "too many wrong passwords came from there; try again in a while"));
            }
            let context = context(node.key, set, link, user);
            let known = users.iter().any(|u| u == user);
            let password = if known { secrets::lookup_secret(file, user, *strict) } else { Ok(None) };
            let password = password.map_err(|e| denied(Refusal::NotServed, e.to_string()))?;
            let answer = match &password {
                Some(password) => Verifier::respond(password, &context, pake),
                None => Verifier::respond_decoy(&context, pake),
            };
            let (verifier, pake, confirm) =
                answer.map_err(|_| denied(Refusal::WrongPassword, format!("user {user:?}: no valid proof")))?;
            Ok(Step::Challenge { pake, confirm, verifier: Box::new(verifier) })
        }
        (ReplicaAuth::Password { .. }, Proof::Key) => Err(denied(
            Refusal::WrongPassword,
            "it sent no password, but the module has `auth users`; turn on <auth> at the source",
        )),
    }
}

/// Second half: the peer confirmed the password of `user`, now its key has to be the pinned one.
///
/// # Errors
/// [`Denied`].
pub(crate) fn confirm(
    node: &Receiver,
    set: &ReplicaSet,
    link: &Link,
    user: &str,
    verifier: Verifier,
    confirm: &[u8],
) -> Result<String, Denied> {
    verifier.check(confirm).map_err(|_| denied(Refusal::WrongPassword, format!("user {user:?}: wrong password")))?;
    lock(&node.throttle).succeeded((network_of(link.remote_address().ip()), &set.config.name));
    match pinned(node, set, user)? {
        None => {
            pin(node, set, user, link.node_key())?;
            tracing::info!(set = set.config.name, user, key = %link.node_key(), "pinned the key that proved the password first");
            Ok(format!("password of {user}, key {} pinned now", link.node_key()))
        }
        Some(key) if key == link.node_key() => Ok(format!("password of {user} and pinned key {key}")),
        Some(key) => Err(denied(
            Refusal::KeyChanged,
            format!(
                "user {user:?} proved the password with key {}, but {key} is pinned; if that node was reinstalled \
                 or runs another configuration file by now, run: syncd certs forget {} {user}",
                link.node_key(),
                set.config.name
            ),
        )),
    }
}

fn by_key(node: &Receiver, set: &ReplicaSet, link: &Link) -> Result<String, Denied> {
    let key = link.node_key();
    match pinned(node, set, "")? {
        Some(pinned) if pinned == key => Ok(format!("pinned key {key}")),
        Some(pinned) => Err(denied(
            Refusal::KeyChanged,
            format!(
                "it came with key {key}, but {pinned} is pinned; to trust the new one, run: syncd certs forget {}",
                set.config.name
            ),
        )),
        None if node.trust_first_use => {
            pin(node, set, "", key)?;
            tracing::warn!(set = set.config.name, %key, address = %link.remote_address(), "trusted on first use: this key is pinned, every other is refused");
            Ok(format!("key {key}, trusted on first use"))
        }
        None => Err(denied(
            Refusal::NoProofConfigured,
            "the module has no `auth users`: anybody could write it. Give it `auth users` and a `secrets file` \
             (and <auth> at the source), or start syncd peer with --trust-first-use to pin the first key that comes",
        )),
    }
}

fn pinned(node: &Receiver, set: &ReplicaSet, user: &str) -> Result<Option<NodeKey>, Denied> {
    node.store.pin(&set.config.name, user).map_err(|e| denied(Refusal::NotServed, e.to_string()))
}

fn pin(node: &Receiver, set: &ReplicaSet, user: &str, key: NodeKey) -> Result<(), Denied> {
    let pinned = node.store.set_pin(&set.config.name, user, key);
    pinned.map(drop).map_err(|e| denied(Refusal::NotServed, e.to_string()))
}

/// What the password proof is bound to, seen from the receiver.
fn context<'a>(own: NodeKey, set: &'a ReplicaSet, link: &Link, user: &'a str) -> Context<'a> {
    Context {
        exporter: link.exporter(),
        source_key: link.node_key().0,
        receiver_key: own.0,
        set: &set.config.name,
        user,
    }
}

/// rsyncd.conf(5): an allow match lets in; a deny match keeps out; without a match, a host is let
/// in unless there is an allow list and no deny list.
#[must_use]
pub(crate) fn host_allowed(ip: IpAddr, allow: &[HostPattern], deny: &[HostPattern]) -> bool {
    let ip = ip.to_canonical();
    let hit = |list: &[HostPattern]| list.iter().any(|pattern| matches(ip, pattern));
    hit(allow) || (!hit(deny) && (allow.is_empty() || !deny.is_empty()))
}

fn matches(ip: IpAddr, pattern: &HostPattern) -> bool {
    match (ip, pattern) {
        (_, HostPattern::Any) => true,
        (IpAddr::V4(ip), HostPattern::Net(IpAddr::V4(net), bits)) => {
            let shift = 32u32.saturating_sub(u32::from(*bits));
            u32::from(ip).checked_shr(shift) == u32::from(*net).checked_shr(shift)
        }
        (IpAddr::V6(ip), HostPattern::Net(IpAddr::V6(net), bits)) => {
            let shift = 128u32.saturating_sub(u32::from(*bits));
            u128::from(ip).checked_shr(shift) == u128::from(*net).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: &str, bits: u8) -> HostPattern {
        HostPattern::Net(address.parse().expect("address"), bits)
    }

    #[test]
    fn hosts_are_judged_as_rsyncd_does() {
        let inside: IpAddr = "192.168.1.7".parse().expect("address");
        let outside: IpAddr = "10.0.0.1".parse().expect("address");
        let lan = [net("192.168.1.0", 24)];
        assert!(host_allowed(inside, &[], &[]));
        assert!(host_allowed(inside, &lan, &[]) && !host_allowed(outside, &lan, &[]));
        assert!(!host_allowed(inside, &[], &lan) && host_allowed(outside, &[], &lan));
        assert!(host_allowed(inside, &lan, &[HostPattern::Any]) && !host_allowed(outside, &lan, &[HostPattern::Any]));
        assert!(host_allowed(outside, &[net("0.0.0.0", 0)], &[]));
        assert!(host_allowed("::ffff:192.168.1.9".parse().expect("address"), &lan, &[]));
        assert!(host_allowed("fd00::1".parse().expect("address"), &[net("fd00::", 8)], &[]));
    }
}
