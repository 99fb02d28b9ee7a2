//! Every keyword of the VRRP half of keepalived 2.2, its default, and what becomes of it.

mod blocks;
mod global;
mod instance;

use crate::standing::Standing;

/// Where a keyword may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block {
    /// Outside of all blocks.
    Top,
    /// `global_defs`.
    Globals,
    /// `vrrp_instance NAME`.
    Instance,
    /// `authentication` of an instance.
    Authentication,
    /// `vrrp_script NAME`.
    Script,
    /// `vrrp_sync_group NAME`.
    Group,
    /// `vrrp_track_process NAME`.
    Process,
    /// `vrrp_track_file NAME`, also written `track_file NAME`.
    File,
}

impl Block {
    /// The word that it begins with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Top => "keepalived.conf",
            Self::Globals => "global_defs",
            Self::Instance => "vrrp_instance",
            Self::Authentication => "authentication",
            Self::Script => "vrrp_script",
            Self::Group => "vrrp_sync_group",
            Self::Process => "vrrp_track_process",
            Self::File => "vrrp_track_file",
        }
    }
}

/// What follows a keyword.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Nothing, which means yes, or a boolean.
    Flag,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// Seconds within these bounds, with a fraction.
    Seconds(f64, f64),
    /// An address.
    Address,
    /// One word.
    Word,
    /// One word or more.
    Words,
    /// A program with its arguments in one word, and behind it so many words about whom it runs as.
    Command(usize),
    /// Any number of words.
    Any,
    /// A block with keywords of its own.
    Block(Block),
    /// A block with one entry on each line.
    List,
    /// A block whose content is not looked at.
    Skipped,
}

/// One keyword.
#[derive(Debug, PartialEq)]
pub struct Keyword {
    /// Where it may stand.
    pub block: Block,
    /// How it is spelt.
    pub name: &'static str,
    /// What follows it.
    pub shape: Shape,
    /// What is in force without it, for people; empty where there is nothing.
    pub default: &'static str,
    /// What becomes of it.
    pub standing: Standing,
}

const fn word(block: Block, name: &'static str, shape: Shape, default: &'static str, standing: Standing) -> Keyword {
    Keyword { block, name, shape, default, standing }
}

/// All of them, block by block.
pub fn keywords() -> impl Iterator<Item = &'static Keyword> {
    blocks::TOP.iter().chain(global::GLOBALS).chain(instance::INSTANCE).chain(blocks::INNER)
}

/// The keyword `name` of `block`.
pub(super) fn find(block: Block, name: &str) -> Option<&'static Keyword> {
    keywords().find(|keyword| keyword.block == block && keyword.name == name)
}

/// The blocks that know a keyword `name`.
pub(super) fn homes(name: &str) -> impl Iterator<Item = Block> {
    keywords().filter(move |keyword| keyword.name == name).map(|keyword| keyword.block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyword_stands_twice_in_a_block() {
        let mut seen = Vec::new();
        for keyword in keywords() {
            assert!(!seen.contains(&(keyword.block.word(), keyword.name)), "{}", keyword.name);
            seen.push((keyword.block.word(), keyword.name));
        }
        assert!(seen.len() > 180, "{}", seen.len());
    }
}
