//! Routes and rules that move: what somebody removes is back, and nothing is left behind.

use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::vrrp::{Kind, Lab, PATIENCE};

const VIP: &str = "10.97.1.50";

/// A VMAC, a route by its address, and a rule.
fn config(vip: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 150\ninterval = \"100ms\"\n\
         addresses = [\"{vip}\"]\nroutes = [\"10.1.0.0/16 dev vrrp.51 src {VIP}\"]\n\
         rules = [\"from {VIP} lookup 100 priority 1000\"]\n[vrrp.vmac]\nname = \"vrrp.51\"\n"
    )
}

#[test]
fn routes_and_rules_are_back_whoever_took_them_away_and_however() {
    if !allowed("routes_and_rules_are_back_whoever_took_them_away_and_however") {
        return;
    }
    let mut lab = Lab::new(1);
    lab.routers[0].start(Kind::Syncd, &config(&format!("{VIP}/24")));
    let all = |lab: &Lab| {
        let host = &lab.routers[0].host;
        let (routes, rules) = (host.ip("route show 10.1.0.0/16"), host.ip("rule show"));
        routes.contains(VIP) && rules.contains("lookup 100")
    };
    let back = |lab: &Lab, after: &str| assert!(wait_until(PATIENCE, || all(lab)), "after {after}\n{}", lab.logs());
    back(&lab, "the start");
    for taken in
        ["route del 10.1.0.0/16", "rule del priority 1000", "addr del 10.97.1.50/24 dev vrrp.51", "link del vrrp.51"]
    {
        lab.routers[0].host.ip(taken);
        back(&lab, taken);
    }
    assert!(lab.routers[0].log().contains("it is put back"), "{}", lab.logs());
    lab.routers[0].write(&config(&format!("{VIP}/24 label vrrp.51:v")));
    lab.routers[0].reload();
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains("is in force")), "{}", lab.logs());
    back(&lab, "a reload");
    lab.routers[0].stop();
    assert!(!all(&lab) && !lab.routers[0].host.ip("rule show").contains("lookup 100"));
}
