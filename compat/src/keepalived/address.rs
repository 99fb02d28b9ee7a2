//! `virtual_ipaddress` and its kin: an address as ip-address(8) takes it.

use std::net::IpAddr;

use super::block::Statement;
use super::builder::Builder;
use super::place::{At, Located, Setting};
use super::word::Word;
use crate::nearest;

/// One address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// The address.
    pub ip: Located<IpAddr>,
    /// The length of its network's prefix; without one 32 or 128.
    pub prefix: Setting<u8>,
    /// `peer`: the other end of a point-to-point link.
    pub peer: Option<Located<IpAddr>>,
    /// `brd`.
    pub broadcast: Option<Broadcast>,
    /// `dev`; without it the instance's interface.
    pub device: Option<Located<String>>,
    /// `scope`; without it `global`.
    pub scope: Option<Located<String>>,
    /// `label`.
    pub label: Option<Located<String>>,
    /// `preferred_lft`, seconds, of which the largest is for ever; none where it is not said.
    pub preferred: Option<Located<u32>>,
    /// `no_track`: its interface does not count.
    pub no_track: bool,
    /// Words without a value, such as `home`, `-nodad`, `noprefixroute`.
    pub flags: Vec<Located<String>>,
    /// The whole entry.
    pub at: At,
}

/// `brd`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Broadcast {
    /// `-`: the network's first.
    First,
    /// `+`: the network's last.
    Computed,
    /// An address.
    Address(IpAddr),
}

const VALUES: [&str; 8] = ["dev", "scope", "label", "brd", "broadcast", "peer", "preferred_lft", "track_group"];
const FLAGS: [&str; 7] = ["no_track", "home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "use_vmac"];
const SCOPES: [&str; 5] = ["global", "link", "host", "site", "nowhere"];

impl Builder {
    /// The addresses of a block.
    pub(super) fn addresses(&mut self, block: &Statement) -> Vec<Address> {
        block.children().iter().filter_map(|entry| self.address(entry)).collect()
    }

    fn address(&mut self, entry: &Statement) -> Option<Address> {
        let first = entry.words.first()?;
        let (text, mask) =
            first.text.split_once('/').map_or((first.text.as_str(), None), |(ip, mask)| (ip, Some(mask)));
        let Ok(ip) = text.parse::<IpAddr>() else {
            let message = format!("`{}` is no address", first.text);
            self.error("keepalived-address", first.at, message, "write ADDRESS/BITS, one on each line");
            return None;
        };
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let mut prefix = Setting::default_of(width);
        if let Some(mask) = mask {
            match mask.parse::<u8>() {
                Ok(bits) if bits <= width => prefix.set(Some(Located::new(bits, first.at))),
                _ => {
                    let message = format!("`/{mask}` is no length of a prefix: in force is /{width}");
                    self.warn("keepalived-address", first.at, message, format!("write /1 to /{width}"));
                }
            }
        }
        let mut address = Address {
            ip: Located::new(ip, first.at),
            prefix,
            peer: None,
            broadcast: None,
            device: None,
            scope: None,
            label: None,
            preferred: None,
            no_track: false,
            flags: Vec::new(),
            at: entry.at(),
        };
        self.options(&mut address, entry.arguments());
        Some(address)
    }

    fn options(&mut self, address: &mut Address, words: &[Word]) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word.text == "no_track" {
                address.no_track = true;
            } else if FLAGS.contains(&word.text.as_str()) {
                address.flags.push(word.located());
            } else if !VALUES.contains(&word.text.as_str()) {
                return self.unknown_option(word);
            } else if let Some(value) = words.next() {
                self.option(address, word, value);
            } else {
                let message = format!("`{}` says nothing: it is ignored", word.text);
                self.warn("keepalived-value", word.at, message, "write a value behind it");
            }
        }
    }

    fn option(&mut self, address: &mut Address, word: &Word, value: &Word) {
        match word.text.as_str() {
            "dev" => address.device = Some(value.located()),
            "label" => {
                // The kernel's limit for names of interfaces, which labels are.
                if value.text.len() > 15 {
                    let message = format!("the label `{}` is longer than 15 bytes: the kernel refuses it", value.text);
                    self.warn("keepalived-value", value.at, message, "write a shorter one");
                }
                address.label = Some(value.located());
            }
            "scope" => {
                if !SCOPES.contains(&value.text.as_str()) && value.text.parse::<u8>().is_err() {
                    let message = format!("`{}` is no scope: it is ignored", value.text);
                    self.warn("keepalived-value", value.at, message, "there are global, site, link, host and 0 to 255");
                } else {
                    address.scope = Some(value.located());
                }
            }
            "brd" | "broadcast" => match (value.text.as_str(), value.text.parse()) {
                ("-", _) => address.broadcast = Some(Broadcast::First),
                ("+", _) => address.broadcast = Some(Broadcast::Computed),
                (_, Ok(ip)) => address.broadcast = Some(Broadcast::Address(ip)),
                _ => self.warn("keepalived-address", value.at, "this is no broadcast address", "write one, + or -"),
            },
            "peer" => match value.text.split('/').next().unwrap_or("").parse() {
                Ok(ip) => address.peer = Some(Located::new(ip, value.at)),
                Err(_) => self.warn("keepalived-address", value.at, "this is no address", "write the other end's"),
            },
            "preferred_lft" => match value.text.parse() {
                Ok(seconds) => address.preferred = Some(Located::new(seconds, value.at)),
                Err(_) if value.text == "forever" => address.preferred = Some(Located::new(u32::MAX, value.at)),
                Err(_) => {
                    self.warn("keepalived-value", value.at, "this is no number of seconds", "write 0, or forever");
                }
            },
            _ => {}
        }
    }

    fn unknown_option(&mut self, word: &Word) {
        if word.text.split('/').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()) {
            let message = format!("`{}` is lost: a line holds one address", word.text);
            return self.warn("keepalived-several-statements", word.at, message, "write it on a line of its own");
        }
        let message = format!("`{}` says nothing of an address: it and what follows it are ignored", word.text);
        let known = VALUES.iter().chain(&FLAGS).copied();
        let help = nearest(&word.text, known).map_or("remove it".to_owned(), |near| format!("did you mean `{near}`?"));
        self.warn("keepalived-unknown-keyword", word.at, message, help);
    }
}
