//! How many strangers get in at once. Pure: addresses in, decisions out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use syncd_certs::throttle::network_of;

/// What strangers may take: whoever has not been authorised for a set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many at once.
    pub total: usize,
    /// How many at once from one address, or one /64 of IPv6.
    pub per_network: usize,
    /// Beyond how many an address must prove that it is real before it costs anything more.
    pub unproven: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long a connection may then stay without being authorised.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 64,
            per_network: 8,
            unproven: 16,
            handshake: super::HANDSHAKE_TIMEOUT,
            grace: Duration::from_secs(5),
        }
    }
}

/// What becomes of a stranger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// In, and counted until [`Gate::leave`].
    Enter,
    /// Prove the address first (QUIC's Retry), at no cost for us.
    Prove,
    /// No room.
    Refuse,
}

/// Counts the strangers that are in.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    total: usize,
    networks: HashMap<IpAddr, usize>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, total: 0, networks: HashMap::new() }
    }

    /// Decides about a stranger from `address`, which is `proven` to be real or not.
    ///
    /// A second one from the same network must prove its address even when there is room: else
    /// forged packets in the name of a genuine peer would keep it out.
    pub(super) fn knock(&mut self, address: IpAddr, proven: bool) -> Decision {
        let network = network_of(address);
        let here = self.networks.get(&network).copied().unwrap_or(0);
        if !proven && (here > 0 || self.total >= self.limits.unproven) {
            return Decision::Prove;
        }
        if self.total >= self.limits.total || here >= self.limits.per_network {
            return Decision::Refuse;
        }
        self.total += 1;
        self.networks.insert(network, here + 1);
        Decision::Enter
    }

    /// One that had entered from `address` is authorised or gone.
    pub(super) fn leave(&mut self, address: IpAddr) {
        let network = network_of(address);
        self.total = self.total.saturating_sub(1);
        match self.networks.get_mut(&network) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(self.networks.remove(&network)),
        }
    }

    /// How many are in.
    pub(super) fn strangers(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    #[test]
    fn forged_packets_do_not_keep_a_genuine_peer_out() {
        let mut gate = Gate::new(Limits::default());
        assert_eq!(gate.knock(address(1), false), Decision::Enter);
        for _ in 0..100 {
            assert_eq!(gate.knock(address(1), false), Decision::Prove);
        }
        assert_eq!(gate.knock(address(1), true), Decision::Enter);
        for host in 2..=255 {
            gate.knock(address(host), false);
        }
        assert_eq!(gate.strangers(), Limits::default().unproven);
        assert_eq!(gate.knock(address(9), true), Decision::Enter);
    }

    #[test]
    fn one_host_takes_its_share_and_no_more() {
        let mut gate = Gate::new(Limits::default());
        for _ in 0..8 {
            assert_eq!(gate.knock(address(1), true), Decision::Enter);
        }
        assert_eq!(gate.knock(address(1), true), Decision::Refuse);
        assert_eq!(gate.knock(address(2), true), Decision::Enter);
        gate.leave(address(1));
        assert_eq!(gate.knock(address(1), true), Decision::Enter);
    }

    proptest! {
        #[test]
        fn counts_agree_with_who_is_in(steps in prop::collection::vec((0u8..4, 1u8..20, any::<bool>()), 0..400)) {
            let limits = Limits { total: 20, per_network: 3, unproven: 6, ..Limits::default() };
            let mut gate = Gate::new(limits);
            let mut inside: Vec<u8> = Vec::new();
            for (what, host, proven) in steps {
                if what == 0 && !inside.is_empty() {
                    gate.leave(address(inside.swap_remove(usize::from(host) % inside.len())));
                } else if gate.knock(address(host), proven) == Decision::Enter {
                    inside.push(host);
                }
                prop_assert_eq!(gate.strangers(), inside.len());
                prop_assert!(inside.len() <= limits.total);
                prop_assert!(inside.iter().filter(|h| **h == host).count() <= limits.per_network);
            }
            for host in inside {
                gate.leave(address(host));
            }
            prop_assert!(gate.strangers() == 0 && gate.networks.is_empty());
        }
    }
}
