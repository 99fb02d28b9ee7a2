//! Instances that are master together.

use std::cmp::Ordering;

use crate::bed::{FAST, VIP, in_both_places, instance};
use crate::support::namespace::Lan;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, with_keepalived};

/// The address on the second LAN.
const INNER: &str = "10.97.2.50";

/// Routers with `eth0` on one LAN and `eth1` on another.
struct Two {
    lab: Lab,
    inner: Lan,
    ports: Vec<String>,
}

impl Two {
    fn new() -> Self {
        let lab = Lab::new(2);
        let inner = Lan::new("inner");
        let attach = |(n, router): (usize, &crate::support::vrrp::Router)| {
            inner.attach(&router.host, "eth1", &[&format!("10.97.2.{}/24", 11 + n)])
        };
        let ports = lab.routers.iter().enumerate().map(attach).collect();
        Self { lab, inner, ports }
    }

    fn config(priority: u8) -> String {
        let outer = instance("OUT", "eth0", 51, priority, FAST, &format!("{VIP}/24"));
        let inner = instance("IN", "eth1", 52, priority, FAST, &format!("{INNER}/24"));
        format!("vrrp_sync_group G {{\n group {{\n OUT\n IN\n }}\n}}\n{outer}{inner}")
    }

    fn start(kinds: [Kind; 2]) -> Self {
        let mut two = Self::new();
        two.lab.routers[0].start(kinds[0], &Self::config(150));
        two.lab.routers[1].start(kinds[1], &Self::config(100));
        two.wait(0);
        two
    }

    /// Waits until router `n` alone has both addresses.
    fn wait(&self, n: usize) {
        self.lab.wait_holder(VIP, n);
        self.lab.wait_holder(INNER, n);
    }
}

#[test]
fn one_interface_that_goes_takes_the_whole_group_along() {
    if !with_keepalived("one_interface_that_goes_takes_the_whole_group_along") {
        return;
    }
    in_both_places(|kinds| {
        let mut two = Two::start(kinds);
        two.inner.set_port(&two.ports[0], false);
        two.wait(1);
        two.inner.set_port(&two.ports[0], true);
        two.wait(0);
        two.lab.lan.set_port(&two.lab.routers[0].port.clone(), false);
        two.wait(1);
        two.lab.lan.set_port(&two.lab.routers[0].port.clone(), true);
        two.wait(0);
        two.lab.routers[0].stop();
        two.wait(1);
    });
}

/// keepalived waits for the full timer of the LAN that is dead, 3.6 intervals. A third instance there, outside of the
/// group, is the clock: it takes over after 2.1 to 2.9 of them.
#[test]
fn the_healthy_lan_does_not_wait_for_the_timer_of_the_dead_one() {
    if !with_keepalived("the_healthy_lan_does_not_wait_for_the_timer_of_the_dead_one") {
        return;
    }
    let clock = "10.97.2.60";
    let config = |priority| {
        let slow = Two::config(priority).replace("advert_int 0.1", "advert_int 1");
        slow + &instance("CLOCK", "eth1", 53, priority, "version 3\n advert_int 0.8", &format!("{clock}/24"))
    };
    let order = |kinds: [Kind; 2]| {
        let mut two = Two::new();
        two.lab.routers[0].start(kinds[0], &config(150));
        two.wait(0);
        two.lab.routers[1].start(kinds[1], &config(100));
        let ear = Ear::at(&two.inner, &two.ports[0]);
        let adverts = || ear.adverts([10, 97, 2, 11].into()).iter().filter(|(_, bytes)| bytes[1] == 52).count();
        assert!(wait_until(PATIENCE, || adverts() >= 2), "{}", two.lab.logs());
        // Not its cable: of a carrier that is lost the kernel tells only once a second.
        two.lab.routers[0].host.ip("link set eth1 down");
        two.wait(1);
        two.lab.wait_holder(clock, 1);
        let at = |name: &str| {
            let words = [format!("{name}: BACKUP -> MASTER"), format!("({name}) Entering MASTER STATE")];
            let log = two.lab.routers[1].log();
            words.iter().find_map(|words| log.find(words))
        };
        // Its log is a little later than its addresses.
        let told = || at("OUT").is_some() && at("CLOCK").is_some();
        assert!(wait_until(PATIENCE, told), "{}", two.lab.logs());
        at("OUT").cmp(&at("CLOCK"))
    };
    std::thread::scope(|scope| {
        let sooner = [Kind::Syncd, Kind::Keepalived].map(|first| scope.spawn(move || order([first, Kind::Syncd])));
        let later = scope.spawn(move || order([Kind::Syncd, Kind::Keepalived]));
        for one in sooner {
            assert_eq!(one.join().expect("done"), Ordering::Less, "the healthy LAN waited");
        }
        assert_eq!(later.join().expect("done"), Ordering::Greater, "keepalived is better than it was");
    });
}
