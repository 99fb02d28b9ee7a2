//! What is in force where a file says nothing: keepalived 2.2's own values.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::place::{Located, Setting};
use super::tree::{
    Common, Fifo, Garp, Globals, Group, Instance, Notify, Process, Script, State, TrackFile, Tracking, Unicast, Weight,
};

const SECOND: Duration = Duration::from_secs(1);

const fn of<T>(value: T) -> Setting<T> {
    Setting::default_of(value)
}

const fn weight(value: i32) -> Weight {
    Weight { value, reverse: false, at: None }
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            script_user: None,
            script_security: of(false),
            version: of(2),
            group4: of(Ipv4Addr::new(224, 0, 0, 18)),
            group6: of(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
            garp: Garp::default(),
            garp_interval: of(Duration::ZERO),
            gna_interval: of(Duration::ZERO),
            min_garp: of(false),
            common: Common::default(),
            notify_fifo: Fifo::default(),
            vrrp_notify_fifo: Fifo::default(),
            fifo_states_on_reload: of(false),
            startup_delay: of(Duration::ZERO),
            dynamic_interfaces: of(false),
            default_interface: of("eth0".to_owned()),
            nice: of(0),
            rt_priority: None,
            no_swap: of(false),
            rttime: of(10_000),
        }
    }
}

impl Default for Common {
    fn default() -> Self {
        Self {
            skip_check_adv_addr: of(false),
            check_unicast_src: of(false),
            strict: of(false),
            lower_prio_no_advert: of(false),
            higher_prio_send_advert: of(false),
            notify_priority_changes: of(false),
            down_timer_adverts: of(3),
        }
    }
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            master_delay: of(Duration::from_secs(5)),
            master_repeat: of(5),
            master_refresh: of(Duration::ZERO),
            master_refresh_repeat: of(1),
            lower_prio_delay: of(Duration::from_secs(5)),
            lower_prio_repeat: of(5),
        }
    }
}

impl Common {
    /// Takes what is not said here from `general`.
    pub(super) fn inherit(&mut self, general: &Self) {
        self.skip_check_adv_addr.or_general(&general.skip_check_adv_addr);
        self.check_unicast_src.or_general(&general.check_unicast_src);
        self.strict.or_general(&general.strict);
        self.lower_prio_no_advert.or_general(&general.lower_prio_no_advert);
        self.higher_prio_send_advert.or_general(&general.higher_prio_send_advert);
        self.notify_priority_changes.or_general(&general.notify_priority_changes);
        self.down_timer_adverts.or_general(&general.down_timer_adverts);
    }
}

impl Garp {
    /// What `lower_prio_*` are where nothing says them: the values for a new master.
    pub(super) fn settle(&mut self) {
        self.lower_prio_delay.or_general(&self.master_delay.clone());
        self.lower_prio_repeat.or_general(&self.master_repeat.clone());
    }

    /// Takes what is not said here from `general`.
    pub(super) fn inherit(&mut self, general: &Self) {
        self.master_delay.or_general(&general.master_delay);
        self.master_repeat.or_general(&general.master_repeat);
        self.master_refresh.or_general(&general.master_refresh);
        self.master_refresh_repeat.or_general(&general.master_refresh_repeat);
        self.lower_prio_delay.or_general(&general.lower_prio_delay);
        self.lower_prio_repeat.or_general(&general.lower_prio_repeat);
    }
}

impl Instance {
    /// An instance of which nothing but the name is said.
    pub(super) fn named(name: Located<String>) -> Self {
        Self {
            name,
            state: of(State::Backup),
            interface: None,
            vrid: None,
            priority: of(100),
            advert_int: of(SECOND),
            version: of(2),
            auth: None,
            addresses: Vec::new(),
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            no_addresses: of(false),
            preempt: of(true),
            preempt_delay: of(Duration::ZERO),
            unicast: Unicast::default(),
            mcast_src: None,
            mcast_dst: None,
            track_src_ip: of(false),
            track: Tracking::default(),
            dont_track_primary: of(false),
            notify: Notify::default(),
            garp: Garp::default(),
            common: Common::default(),
            accept: of(true),
            vmac: None,
            promote_secondaries: of(false),
            timer_expired_backup: of(false),
            v3_checksum_as_v2: of(false),
            refused: false,
        }
    }
}

impl Group {
    pub(super) fn named(name: Located<String>) -> Self {
        Self {
            name,
            members: Vec::new(),
            track: Tracking::default(),
            notify: Notify::default(),
            tracking_weight: of(false),
            notify_priority_changes: of(false),
        }
    }
}

impl Script {
    pub(super) fn named(name: Located<String>) -> Self {
        Self {
            name,
            command: None,
            interval: of(SECOND),
            timeout: of(SECOND),
            weight: weight(0),
            rise: of(1),
            fall: of(1),
            init_fail: of(false),
        }
    }
}

impl Process {
    pub(super) fn named(name: Located<String>) -> Self {
        Self {
            name,
            command: None,
            weight: weight(0),
            quorum: of(1),
            quorum_max: None,
            fork_delay: of(Duration::ZERO),
            terminate_delay: of(Duration::ZERO),
            full_command: of(false),
            param_match: None,
        }
    }
}

impl TrackFile {
    pub(super) fn named(name: Located<String>) -> Self {
        Self { name, file: None, weight: weight(1), init: None }
    }
}
