//! The source's half of an authorisation.

use std::sync::Arc;

use syncd_certs::password::{Context, Prover};
use syncd_certs::secrets;

use super::set::{SourceSet, Target};
use crate::config::SourceAuth;
use crate::engine::place::places_of;
use crate::link::Link;
use crate::model::{Attrs, NodeKey};
use crate::wire::{self, Hello, Open, Proof};

/// The first word to a peer.
pub(crate) fn hello(name: &str) -> Hello {
    Hello {
        version: wire::VERSION,
        features: vec!["zstd".to_owned(), wire::SELECTION.to_owned()],
        name: name.to_owned(),
        agent: crate::AGENT.to_owned(),
    }
}

/// Whether the peer that said `hello` understands all that the set is about.
pub(crate) fn is_understood(hello: Option<&Hello>, set: &SourceSet, target: &Target) -> bool {
    let known = hello.is_some_and(|hello| hello.features.iter().any(|feature| feature == wire::SELECTION));
    if known || !set.config.options.attrs.has_some(Attrs::SELECTION) {
        return true;
    }
    let set = &set.config.name;
    tracing::error!(set, peer = %target, "it is too old for -O, -J, --existing or --ignore-existing: upgrade it, or remove the option");
    false
}

/// That another key is pinned there, and what to do about it.
pub(crate) fn another_key(target: &Target) -> String {
    let set = &target.config.set;
    let (proven, user) = match &target.config.auth {
        SourceAuth::Key => ("", String::new()),
        SourceAuth::Password { user, .. } => ("the password is right, but ", format!(" {user}")),
    };
    format!(
        "the peer refused: {proven}another key is pinned for it. Each configuration file and each --state-dir has a key \
         of its own: if this one replaces another, run there: syncd certs forget {set}{user}; if both are to write, \
         give each a user of its own"
    )
}

/// What asks for the set behind `target`, and what answers the challenge where a password proves
/// the right to it.
///
/// # Errors
/// The node's own fault, as one line: a password file that cannot be used.
pub(crate) fn open(
    link: &Link,
    own: NodeKey,
    channel: usize,
    set: &Arc<SourceSet>,
    target: &Target,
) -> Result<(Open, Option<Prover>), String> {
    let (proof, prover) = match &target.config.auth {
        SourceAuth::Key => (Proof::Key, None),
        SourceAuth::Password { user, file } => {
            let password = secrets::read_password_file(file).map_err(|e| e.to_string())?;
            let context = Context {
                exporter: link.exporter(),
                source_key: own.0,
                receiver_key: link.node_key().0,
                set: &target.config.set,
                user,
            };
            let (prover, pake) = Prover::start(&password, &context);
            (Proof::Password { user: user.clone(), pake }, Some(prover))
        }
    };
    let open = Open {
        channel: u32::try_from(channel).map_err(|e| e.to_string())?,
        set: target.config.set.clone(),
        proof,
        attrs: set.config.options.attrs,
        numeric_ids: set.config.options.numeric_ids,
        places: places_of(&set.root()),
    };
    Ok((open, prover))
}
