//! What must not be answered or said: rules for nftables, made once and not touched when a master changes.
//!
//! An address is only heard where it is on an interface: a rule about one that another host holds does nothing.
//! Rules that a crash left behind do no harm either, and the next [`install`](Rules::install) replaces them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};

use super::NetError;
use crate::vrrp::setup::{Family, Instance};

/// The table, ours alone.
const TABLE: &str = "syncd_vrrp";

/// A router of this priority owns its addresses, and answers on them.
const OWNER: u8 = 255;

/// What the packet filter has to keep in.
///
/// * `no_accept`: whoever does not own an address does not answer on it, except who has it (RFC 5798 §6.4.3).
/// * `use_vmac`: membership reports of a VMAC would teach switches that a backup is the master. Somebody else
///   has to report the group: [`join_on`](super::advert::AdvertSocket::join_on).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    closed: BTreeSet<IpAddr>,
    vmacs: BTreeSet<(Family, String)>,
}

impl Rules {
    /// Those that `instances` need.
    #[must_use]
    pub fn of(instances: &[Instance]) -> Self {
        let mut rules = Self::default();
        for instance in instances {
            if !instance.accept && instance.priority != OWNER {
                instance.addresses.iter().chain(&instance.excluded).for_each(|address| rules.close(address.ip));
            }
            instance.vmac.iter().for_each(|vmac| rules.mute(instance.family, &vmac.name));
        }
        rules
    }

    /// Nobody gets an answer on `ip` but this host itself.
    pub fn close(&mut self, ip: IpAddr) {
        self.closed.insert(ip);
    }

    /// The interface `name` reports no groups of that family.
    pub fn mute(&mut self, family: Family, name: &str) {
        self.vmacs.insert((family, name.to_owned()));
    }

    /// Whether there is nothing to keep in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.vmacs.is_empty()
    }

    /// As nft(8) reads them.
    fn text(&self) -> String {
        let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
        if self.is_empty() {
            return text;
        }
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = self.closed.iter().partition(|ip| ip.is_ipv4());
        let vmacs = |family| self.vmacs.iter().filter(move |of| of.0 == family).map(|(_, name)| format!("\"{name}\""));
        let mut input = String::new();
        line(&mut input, "ip daddr", &v4, "counter drop");
        line(&mut input, "ip6 daddr", &v6, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept");
        line(&mut input, "ip6 daddr", &v6, "counter drop");
        let mut output = String::new();
        line(&mut output, "oifname", vmacs(Family::V4), "ip protocol igmp counter drop");
        // 143 is the report of version 2, which not every nft(8) knows by name.
        line(&mut output, "oifname", vmacs(Family::V6), "icmpv6 type { mld-listener-report, 143 } counter drop");
        let _ = writeln!(text, "table inet {TABLE} {{");
        chain(&mut text, "input", "    iifname \"lo\" accept\n", &input);
        chain(&mut text, "output", "", &output);
        text.push_str("}\n");
        text
    }

    /// Brings them into force in place of earlier ones. It runs nft(8) and waits for it.
    ///
    /// # Errors
    /// There is no nft(8), or it refuses.
    pub fn install(&self) -> Result<(), NetError> {
        run(&self.text()).map_err(|cause| NetError::new("rules of the packet filter cannot be set by nft(8)", cause))
    }
}

fn chain(text: &mut String, hook: &str, first: &str, rules: &str) {
    if !rules.is_empty() {
        let _ = writeln!(text, "  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;");
        let _ = writeln!(text, "{first}{rules}  }}");
    }
}

fn line<T: ToString>(text: &mut String, what: &str, of: impl IntoIterator<Item = T>, then: &str) {
    let of: Vec<_> = of.into_iter().map(|one| one.to_string()).collect();
    if !of.is_empty() {
        let _ = writeln!(text, "    {what} {{ {} }} {then}", of.join(", "));
    }
}

fn run(text: &str) -> io::Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = nft.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.lines().next().unwrap_or("it does not say why").to_owned()))
}

#[cfg(test)]
mod tests {

    use super::*;

    use crate::vrrp::setup::{Address, Vmac};

    #[test]
    fn nothing_is_asked_of_the_packet_filter_where_nothing_is_closed() {
        let mut owner = instance(&["10.0.0.1"]);
        owner.accept = false;
        owner.priority = OWNER;
        let rules = Rules::of(&[instance(&["10.0.0.2"]), owner]);
        assert!(rules.is_empty());
        assert_eq!(rules.text(), "add table inet syncd_vrrp\ndelete table inet syncd_vrrp\n");
    }

    #[test]
    fn what_is_closed_and_what_a_vmac_may_not_say_is_one_table() {
        let mut four = instance(&["10.0.0.1", "10.0.0.2"]);
        four.accept = false;
        four.vmac = Some(Vmac { name: "vrrp.51".into(), mac: [0; 6], transmit_base: false });
        let mut six = instance(&["fd00::1"]);
        six.accept = false;
        insta::assert_snapshot!(Rules::of(&[four, six]).text(), @r#"
        add table inet syncd_vrrp
        delete table inet syncd_vrrp
        table inet syncd_vrrp {
          chain input {
            type filter hook input priority 0; policy accept;
            iifname "lo" accept
            ip daddr { 10.0.0.1, 10.0.0.2 } counter drop
            ip6 daddr { fd00::1 } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
            ip6 daddr { fd00::1 } counter drop
          }
          chain output {
            type filter hook output priority 0; policy accept;
            oifname { "vrrp.51" } ip protocol igmp counter drop
          }
        }
        "#);
    }

    fn instance(addresses: &[&str]) -> Instance {
        let addresses = addresses.iter().map(|a| Address::new(a.parse().expect("an address"), 24)).collect();
        Instance::new("VI_1", "eth0", 51, addresses)
    }
}
