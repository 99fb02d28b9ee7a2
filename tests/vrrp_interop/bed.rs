//! What these tests share: files for a pair, and its life.

use crate::support::node::wait_until;
pub(crate) use crate::support::vrrp::in_both_places;
use crate::support::vrrp::{Kind, Lab, PATIENCE, Router};

pub(crate) const VIP: &str = "10.97.1.50";

/// Version 3, ten times a second.
pub(crate) const FAST: &str = "version 3\n advert_int 0.1";

/// Slow enough that nobody takes over falsely on a busy machine, where that is looked for.
pub(crate) const STEADY: &str = "version 3\n advert_int 0.3";

/// The file of an instance `name` on `interface`, with `more` in it.
pub(crate) fn instance(name: &str, interface: &str, vrid: u8, priority: u8, more: &str, vips: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n \
         priority {priority}\n {more}\n virtual_ipaddress {{\n {vips}\n }}\n}}\n"
    )
}

/// The file of one instance on `eth0` with one address.
pub(crate) fn plain(priority: u8, more: &str) -> String {
    instance("VI_1", "eth0", 51, priority, more, &format!("{VIP}/24"))
}

/// Two routers of these kinds with the files that `config` makes of a place and a priority; the first is master.
pub(crate) fn pair(kinds: [Kind; 2], vip: &str, config: &dyn Fn(usize, u8) -> String) -> Lab {
    let mut lab = Lab::new(2);
    lab.routers[0].start(kinds[0], &config(0, 150));
    lab.routers[1].start(kinds[1], &config(1, 100));
    // Told to read its file again, one that still starts may end.
    lab.routers.iter().for_each(wait_backup);
    lab.wait_holder(vip, 0);
    lab
}

/// Waits until a router says that it hears others.
pub(crate) fn wait_backup(router: &Router) {
    let told = || ["INIT -> BACKUP", "Entering BACKUP STATE"].iter().any(|words| router.log().contains(words));
    assert!(wait_until(PATIENCE, told), "it does not begin\n{}", router.log());
}

/// The life of a pair, each way in which `vip` moves: a crash, a preemption, an end, a cable, a reload.
pub(crate) fn live(kinds: [Kind; 2], vip: &str, config: &dyn Fn(usize, u8) -> String) {
    let mut lab = pair(kinds, vip, config);
    lab.routers[0].kill_all();
    let taken = wait_until(PATIENCE, || lab.routers[1].has(vip));
    assert!(taken, "nobody took over after the crash of {:?}\n{}", kinds[0], lab.logs());
    lab.routers[0].start(kinds[0], &config(0, 150));
    lab.wait_holder(vip, 0);
    lab.routers[0].stop();
    lab.wait_holder(vip, 1);
    lab.routers[0].start(kinds[0], &config(0, 150));
    lab.wait_holder(vip, 0);
    let port = lab.routers[0].port.clone();
    lab.lan.set_port(&port, false);
    lab.wait_holder(vip, 1);
    lab.lan.set_port(&port, true);
    lab.wait_holder(vip, 0);
    lab.routers[0].write(&config(0, 50));
    lab.routers[0].reload();
    lab.wait_holder(vip, 1);
    lab.routers[0].write(&config(0, 150));
    lab.routers[0].reload();
    lab.wait_holder(vip, 0);
}
