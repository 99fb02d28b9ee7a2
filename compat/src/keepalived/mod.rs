//! The VRRP half of `keepalived.conf` as typed trees.
//!
//! | question | file |
//! |---|---|
//! | which lines does keepalived see? | `physical.rs`, `define.rs`, `repeat.rs`, `reader.rs` |
//! | which words and blocks are they? | `word.rs`, `block.rs` |
//! | which keywords are there, and what becomes of each? | [`keywords`] |
//! | what do they say? | `tree.rs`, `defaults.rs`, read by `global.rs`, `instance.rs`, `track.rs`, [`address`] |
//! | what is said that is not meant? | `traps.rs`, `weight.rs` |
//!
//! What is wrong with one block stops no other: blocks for LVS and unknown ones are skipped whole,
//! with one finding each. An instance that an error is about is [`Instance::refused`].

pub mod address;
mod block;
mod builder;
mod defaults;
mod define;
mod global;
mod instance;
mod line;
mod physical;
mod place;
mod reader;
mod repeat;
mod table;
mod track;
mod traps;
mod tree;
pub mod weight;
mod word;

pub use address::Address;
pub use place::{At, Located, Setting, Sources};
pub use reader::{Here, INCLUDES, Loader};
pub use table::{Block, Keyword, Shape, keywords};
pub use tree::{
    Auth, AuthKind, Command, Common, Fifo, Garp, Globals, Group, Instance, KeepalivedConf, Notify, Peer, Process,
    Script, Secret, State, Track, TrackFile, Tracking, Unicast, User, Vmac, Weight,
};
pub use word::Word;

use crate::diag::Place;
use crate::findings::Findings;
use crate::text::SourceText;
use block::Statement;
use builder::Builder;
use reader::Reader;

/// Reads the file and, by `loader`, what it includes, without the lines that are for other nodes than the one `here`. All
/// is said in `findings`.
pub fn read(source: &SourceText, here: Here<'_>, loader: &mut Loader<'_>, findings: &mut Findings) -> KeepalivedConf {
    let mut reader = Reader::new(source, here, loader);
    let statements = block::read(&mut reader);
    let mut builder = Builder { sources: reader.sources, findings: reader.findings };
    let mut conf = KeepalivedConf::default();
    // First, since instances inherit from it wherever it stands.
    for statement in statements.iter().filter(|statement| statement.name() == "global_defs") {
        if builder.keyword(Block::Top, statement).is_some() {
            builder.globals(&mut conf.globals, statement);
        }
    }
    conf.globals.garp.settle();
    for statement in statements.iter().filter(|statement| statement.name() != "global_defs") {
        top(&mut builder, &mut conf, statement);
    }
    conf.sources = std::mem::take(&mut builder.sources);
    let Builder { findings: mut found, .. } = builder;
    let (traps, refused) = traps::find(&conf);
    found.absorb(traps);
    for (at, instance) in conf.instances.iter_mut().enumerate() {
        instance.refused |= refused.contains(&at);
    }
    found.places_mut(hide_password);
    findings.absorb(found);
    conf
}

fn top(builder: &mut Builder, conf: &mut KeepalivedConf, statement: &Statement) {
    let Some(keyword) = builder.keyword(Block::Top, statement) else { return };
    match keyword.name {
        "static_ipaddress" => conf.static_addresses.extend(builder.addresses(statement)),
        "static_routes" => conf.static_routes.extend(instance::entries(statement)),
        "static_rules" => conf.static_rules.extend(instance::entries(statement)),
        name if matches!(keyword.shape, Shape::Block(_)) => {
            let Some(named) = Builder::word(statement) else {
                let message = format!("this `{name}` has no name: it is skipped whole");
                return builder.error(
                    "keepalived-name",
                    statement.name_at(),
                    message,
                    format!("write `{name} NAME {{`"),
                );
            };
            match name {
                "vrrp_instance" => conf.instances.push(builder.instance(named, statement, &conf.globals)),
                "vrrp_script" => conf.scripts.push(builder.script(named, statement)),
                "vrrp_sync_group" => conf.groups.push(builder.sync_group(named, statement)),
                "vrrp_track_process" => conf.processes.push(builder.process(named, statement)),
                _ => conf.files.push(builder.track_file(named, statement)),
            }
        }
        _ => {}
    }
}

/// Takes from the line that is shown what stands behind `auth_pass`, also where that is misspelt.
fn hide_password(place: &mut Place) {
    // What stands before it is not known.
    if place.skipped > 0 {
        place.excerpt.clear();
        return;
    }
    let folded = place.excerpt.to_ascii_lowercase();
    let Some(word) = folded.match_indices("auth").map(|(at, _)| at).find(|at| is_password_word(&folded, *at)) else {
        return;
    };
    let end = folded.get(word..).and_then(|rest| rest.find(char::is_whitespace)).map_or(folded.len(), |end| word + end);
    let (head, secret) = place.excerpt.split_at(end);
    let hidden: String = secret.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
    place.excerpt = format!("{head}{hidden}");
}

fn is_password_word(line: &str, at: usize) -> bool {
    let word = line.get(at..).unwrap_or("").split(|c: char| c.is_whitespace()).next().unwrap_or("");
    word.contains("pas")
}

#[cfg(test)]
mod tests;
