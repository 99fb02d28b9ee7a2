//! What of a machine counts for the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use syncd_compat::SourceText;

/// A machine, as far as rules ask; what is not known is empty or none.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The names of its interfaces; none where they cannot be listed.
    pub(super) interfaces: Option<BTreeSet<String>>,
    /// What it is called, in small letters.
    pub(super) names: BTreeSet<String>,
    /// The watched directories that are here.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The addresses that it has now, loopback too.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// `net.ipv4.ip_nonlocal_bind` and `net.ipv6.ip_nonlocal_bind`.
    pub(super) nonlocal_bind: [Option<bool>; 2],
    /// The files that give its interfaces their addresses.
    pub(super) network: Vec<SourceText>,
    /// nginx's configuration.
    pub(super) nginx: Vec<SourceText>,
    /// The permissions of files.
    pub(super) modes: BTreeMap<PathBuf, u32>,
    /// What each password file of a source or of a virtual router holds.
    pub(super) passwords: BTreeMap<PathBuf, Hidden>,
    /// What each secrets file of a replica holds for a user; none for a user that is not in it.
    pub(super) secrets: BTreeMap<(PathBuf, String), Option<Hidden>>,
}

/// A password that can be compared and does not show itself.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Hidden(pub(super) Vec<u8>);

impl Hidden {
    /// The eight bytes of it that VRRP sends.
    pub(super) fn wire(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(&self.0).for_each(|(to, from)| *to = *from);
        bytes
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl Facts {
    /// Whether `host`, an address or a name, is this machine.
    pub(super) fn is_here(&self, host: &str) -> bool {
        is_itself(host)
            || match host.parse::<IpAddr>() {
                Ok(ip) => self.addresses.contains(&ip),
                Err(_) => self.names.contains(&folded(host)),
            }
    }

    /// The addresses that others can see it come from.
    pub(super) fn outgoing(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied().filter(|ip| !ip.is_loopback())
    }
}

/// Whether `host` is the machine itself on every machine.
pub(super) fn is_itself(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => ["localhost", "localhost.localdomain"].contains(&folded(host).as_str()),
    }
}

/// A host's name as it is compared.
pub(super) fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
