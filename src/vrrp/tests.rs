//! What a router does with each thing that can happen to it, with keepalived's own figures where it has them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet::Version;
use super::router::{Action, Cause, Occasion, Router, Settings, State};

const MS: Duration = Duration::from_millis(1);

fn settings(version: Version, interval: Duration, priority: u8) -> Settings {
    Settings {
        version,
        interval,
        priority,
        preempt: true,
        preempt_delay: Duration::ZERO,
        down_adverts: 3,
        answers_lower: true,
        grouped: false,
        source: address(10),
    }
}

fn v2(priority: u8) -> Settings {
    settings(Version::V2, Duration::from_secs(1), priority)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

const TAKEOVER: Action = Action::Announce(Occasion::Takeover);

const RIVAL: [Action; 2] = [Action::Announce(Occasion::Rival), Action::HeardLower];

fn enter(from: State, to: State, cause: Cause) -> Action {
    Action::Enter { from, to, cause }
}

/// A router with its clock.
struct Rig {
    router: Router,
    begun: Instant,
    now: Instant,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self { router: Router::new(settings), begun: now, now }
    }

    fn started(settings: Settings) -> Self {
        let mut rig = Self::new(settings);
        rig.router.handle_start(rig.now);
        rig.actions();
        rig
    }

    fn master(settings: Settings) -> Self {
        let mut rig = Self::started(settings);
        rig.next();
        assert_eq!(rig.router.state(), State::Master);
        rig
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.router.poll_action()).collect()
    }

    /// Waits for the next timeout; returns what is done then.
    fn next(&mut self) -> Vec<Action> {
        self.now = self.router.poll_timeout().expect("a timer");
        self.router.handle_timeout(self.now);
        self.actions()
    }

    /// Does what is due by now.
    fn late(&mut self) -> Vec<Action> {
        self.router.handle_timeout(self.now);
        self.actions()
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn hears(&mut self, from: u8, priority: u8) -> Vec<Action> {
        self.router.handle_advert(self.now, address(from), priority, Duration::from_secs(1));
        self.actions()
    }

    /// Microseconds since it began until the next timeout.
    fn due(&self) -> u128 {
        (self.router.poll_timeout().expect("a timer") - self.begun).as_micros()
    }
}

#[test]
fn a_silent_master_is_replaced_after_three_intervals_and_the_skew() {
    let fast = |ms: u64| settings(Version::V3, Duration::from_millis(ms), 100);
    let cases = [(v2(100), 3_609_375), (v2(150), 3_414_062), (fast(100), 360_937), (fast(10), 36_093)];
    for (settings, micros) in cases {
        assert_eq!(Rig::started(settings).due(), micros);
    }
}

#[test]
fn a_takeover_advertises_holds_announces_and_tells_in_this_order() {
    let mut rig = Rig::started(v2(100));
    let done = rig.next();
    let entered = enter(State::Backup, State::Master, Cause::MasterSilent { master: None });
    assert_eq!(done, [Action::Send(100), Action::Hold, TAKEOVER, entered]);
    assert_eq!(rig.next(), [Action::Send(100)]);
}

#[test]
fn a_master_that_leaves_is_replaced_after_the_skew() {
    let mut rig = Rig::started(v2(100));
    rig.hears(1, 150);
    rig.hears(1, 0);
    assert_eq!(rig.due(), 609_375);
    rig.next();
    let left = Cause::MasterLeft { master: Some(address(1)) };
    assert_eq!((rig.router.state(), rig.router.cause()), (State::Master, left));
}

#[test]
fn a_backup_of_higher_priority_lets_its_timer_run_and_one_that_may_not_preempt_waits() {
    let mut rig = Rig::started(v2(150));
    rig.after(1000 * MS).hears(1, 100);
    assert_eq!(rig.due(), 3_414_062);
    rig.next();
    assert_eq!(rig.router.cause(), Cause::Preempted { master: Some(address(1)), priority: 100 });
    let mut rig = Rig::started(Settings { preempt: false, ..v2(150) });
    rig.after(1000 * MS).hears(1, 100);
    assert_eq!(rig.due(), 4_414_062);
    // Equal priority never preempts.
    let mut rig = Rig::started(v2(150));
    rig.after(1000 * MS).hears(200, 150);
    assert_eq!(rig.due(), 4_414_062);
}

#[test]
fn preempt_delay_lets_a_lower_master_be_for_its_time_only() {
    let mut rig = Rig::started(Settings { preempt_delay: Duration::from_secs(3), ..v2(150) });
    for second in 0..3 {
        rig.hears(1, 100);
        assert_eq!(rig.due(), 3_414_062 + second * 1_000_000);
        rig.after(1000 * MS);
    }
    rig.hears(1, 100);
    // Its time is over: from now on the timer runs.
    assert_eq!(rig.due(), 5_414_062);
    rig.after(1000 * MS).hears(1, 100);
    assert_eq!(rig.due(), 5_414_062);
}

#[test]
fn the_loser_of_two_masters_speaks_once_more_so_that_the_winner_announces() {
    let mut loser = Rig::master(v2(100));
    let done = loser.hears(1, 150);
    let outranked = Cause::Outranked { by: address(1), priority: 150 };
    assert_eq!(done, [Action::Send(100), Action::Release, enter(State::Master, State::Backup, outranked)]);
    let mut winner = Rig::master(v2(150));
    assert_eq!(winner.hears(1, 100), [&[Action::Send(150)], &RIVAL[..]].concat());
    // One that floods is answered ten times a second.
    assert_eq!((winner.after(99 * MS).hears(1, 100), winner.after(MS).hears(1, 100).len()), (vec![], 3));
    let mut quiet = Rig::master(Settings { answers_lower: false, ..v2(150) });
    assert_eq!(quiet.hears(1, 100), RIVAL);
    // Of equals the higher address stays.
    let mut low = Rig::master(v2(100));
    low.hears(11, 100);
    assert_eq!(low.router.state(), State::Backup);
    let mut high = Rig::master(v2(100));
    high.hears(9, 100);
    assert_eq!(high.router.state(), State::Master);
}

#[test]
fn whoever_says_again_and_again_that_he_leaves_is_answered_ten_times_a_second() {
    let mut rig = Rig::master(v2(150));
    assert_eq!(rig.hears(2, 0), [Action::Send(150)]);
    assert_eq!((rig.hears(2, 0), rig.hears(3, 0)), (vec![], vec![]));
    // Whoever heard the last one, and waits for its skew, learns who is master.
    let heard = rig.now;
    assert_eq!((rig.next(), rig.now - heard), (vec![Action::Send(150)], 100 * MS));
    let sent: usize = (0..20_000).map(|_| rig.after(MS / 10).hears(2, 0).len() + rig.late().len()).sum();
    assert!((19..=21).contains(&sent), "{sent} in two seconds");
    // A rival is another matter, and answered at once.
    assert_eq!(rig.hears(2, 100).first(), Some(&Action::Send(150)));
}

#[test]
fn a_failure_gives_up_at_once_and_a_recovery_begins_as_backup() {
    let mut rig = Rig::master(v2(150));
    rig.router.handle_failed(rig.now, true);
    let fault = enter(State::Master, State::Fault, Cause::Failed);
    let given_up = [Action::Send(0), Action::Send(0), Action::Release, fault];
    assert_eq!(rig.actions(), given_up);
    assert_eq!((rig.hears(1, 100), rig.router.poll_timeout()), (vec![], None));
    rig.router.handle_failed(rig.now, true);
    assert_eq!(rig.actions(), []);
    rig.router.handle_failed(rig.now, false);
    assert_eq!(rig.actions(), [enter(State::Fault, State::Backup, Cause::Recovered)]);
    assert_eq!((rig.router.poll_timeout().expect("a timer") - rig.now).as_micros(), 3_414_062);
}

#[test]
fn a_priority_that_changes_moves_a_running_timer_and_never_the_owner() {
    let mut rig = Rig::started(v2(100));
    rig.router.handle_priority(150);
    assert_eq!(rig.due(), 3_414_062);
    rig.router.handle_priority(40);
    assert_eq!(rig.due(), 3_843_750);
    let mut owner = Rig::new(v2(255));
    owner.router.handle_priority(10);
    owner.router.handle_start(owner.now);
    let entered = enter(State::Initialize, State::Master, Cause::Owner);
    assert_eq!(owner.actions(), [Action::Release, Action::Send(255), Action::Hold, TAKEOVER, entered]);
}

#[test]
fn an_end_is_polite_and_a_second_one_nothing() {
    let mut rig = Rig::master(v2(100));
    rig.router.handle_stop();
    let ended = enter(State::Master, State::Initialize, Cause::Stopped);
    assert_eq!(rig.actions(), [Action::Send(0), Action::Release, ended]);
    rig.router.handle_stop();
    assert_eq!((rig.actions(), rig.router.poll_timeout()), (vec![], None));
    assert_eq!(rig.hears(1, 50), []);
}

#[test]
fn a_killed_master_goes_on_where_it_was() {
    let mut rig = Rig::new(v2(100));
    rig.router.handle_adopt_master(rig.now, None);
    assert_eq!(rig.actions().first(), Some(&Action::Send(100)));
    assert_eq!((rig.router.state(), rig.router.cause()), (State::Master, Cause::Adopted));
    // Where it is known when the next advertisement is due, nothing is sent before, and nothing announced.
    let mut rig = Rig::new(v2(100));
    rig.router.handle_adopt_master(rig.now, Some(rig.now + 300 * MS));
    assert_eq!(rig.actions(), [Action::Hold, enter(State::Initialize, State::Master, Cause::Adopted)]);
    assert_eq!((rig.due(), rig.next()), (300_000, vec![Action::Send(100)]));
    let mut rig = Rig::new(v2(100));
    rig.router.handle_adopt_backup(rig.now, Some(rig.now + 300 * MS));
    assert_eq!((rig.due(), rig.router.state()), (300_000, State::Backup));
}

#[test]
fn who_crashes_again_and_again_leaves_the_addresses_to_another() {
    let mut rig = Rig::new(v2(100));
    rig.router.handle_give_up(rig.now);
    let entered = enter(State::Initialize, State::Backup, Cause::GaveUp);
    assert_eq!(rig.actions(), [Action::Send(0), Action::Release, entered]);
    assert_eq!(rig.due(), 3_609_375);
}

#[test]
fn a_member_of_a_group_waits_until_all_of_it_may_be_master() {
    let mut rig = Rig::started(Settings { grouped: true, ..v2(100) });
    assert_eq!(rig.next(), []);
    assert!(rig.router.wants_master());
    // Whoever speaks up meanwhile is master.
    rig.hears(1, 150);
    rig.router.handle_granted(rig.now);
    assert_eq!((rig.actions(), rig.router.state()), (vec![], State::Backup));
    rig.next();
    rig.router.handle_granted(rig.now);
    assert_eq!(rig.actions().first(), Some(&Action::Send(100)));
    rig.router.handle_group_lost(rig.now);
    let entered = enter(State::Master, State::Backup, Cause::Group);
    assert_eq!(rig.actions(), [Action::Send(0), Action::Release, entered]);
}

#[test]
fn what_is_silent_is_waited_for_no_longer_once_the_groups_master_left() {
    let mut rig = Rig::started(Settings { grouped: true, ..v2(100) });
    rig.hears(1, 150);
    let now = rig.after(400 * MS).now;
    rig.router.handle_group_leaving(now);
    // An interval after its last word, and the skew.
    assert_eq!(rig.due(), 1_609_375);
    // Whoever still speaks is waited for.
    rig.after(500 * MS).hears(1, 150);
    assert_eq!(rig.due(), 900_000 + 3_609_375);
}

#[test]
fn a_reload_changes_what_it_says_and_no_more() {
    let mut rig = Rig::master(settings(Version::V3, 1000 * MS, 100));
    rig.router.handle_settings(rig.now, settings(Version::V3, 100 * MS, 100));
    assert_eq!((rig.router.poll_timeout(), rig.actions()), (Some(rig.now + 100 * MS), vec![]));
    let mut rig = Rig::started(v2(100));
    let due = rig.due();
    rig.router.handle_settings(rig.now, Settings { preempt: false, ..v2(100) });
    assert_eq!((rig.due(), rig.actions()), (due, vec![]));
}

#[test]
fn a_version_3_backup_goes_by_the_interval_of_the_master() {
    let mut rig = Rig::started(settings(Version::V3, Duration::from_millis(100), 100));
    rig.router.handle_advert(rig.now, address(1), 150, Duration::from_secs(1));
    assert_eq!(rig.due(), 3_609_375);
    rig.next();
    assert_eq!(rig.due(), 3_609_375 + 100_000);
}

#[test]
fn a_late_advertisement_does_not_make_the_next_one_later() {
    let mut rig = Rig::master(v2(100));
    let due = rig.router.poll_timeout().expect("a timer");
    rig.router.handle_timeout(due + 300 * MS);
    assert_eq!(rig.router.poll_timeout(), Some(due + 1000 * MS));
    // But for one that is late by more than an interval, which begins anew.
    rig.router.handle_timeout(due + 5000 * MS);
    assert_eq!(rig.router.poll_timeout(), Some(due + 6000 * MS));
}
