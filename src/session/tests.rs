//! What a channel does with each thing that can happen to it.

use std::time::{Duration, Instant};

use super::{Action, Channel, Fault, Options, Phase, Sending};
use crate::model::{Base, Entry, Epoch, Generation, Meta, Node, NodeKey, RelPath};
use crate::plan::{Plan, Step};
use crate::wire::{Ack, Failed, Nack, NackCode, Refusal};

const EPOCH: Epoch = Epoch { counter: 3, node: NodeKey([1; 32]) };
const NEWER: Epoch = Epoch { counter: 4, node: NodeKey([2; 32]) };
const HOUR: Duration = Duration::from_secs(3600);

fn path(s: &str) -> RelPath {
    RelPath::parse(s.as_bytes()).expect("valid")
}

fn entry(target: &str) -> Option<Entry> {
    let node = Node::Symlink { target: target.as_bytes().into() };
    Some(Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None })
}

fn known(target: &str) -> Base {
    Base::Known(entry(target))
}

/// A channel with its clock.
struct Rig {
    channel: Channel,
    now: Instant,
    /// Of what was sent last.
    number: u64,
}

impl Rig {
    fn new(full_compare: bool) -> Self {
        let options = Options {
            full_compare,
            retry_ceiling: Duration::from_secs(10),
            epoch: EPOCH,
            acked: Generation::NONE,
            seed: 1,
        };
        let mut rig = Self { channel: Channel::new(options), now: Instant::now(), number: 0 };
        rig.channel.handle_generation(1);
        rig
    }

    /// One that is open and has nothing to compare.
    fn live() -> Self {
        let mut rig = Self::new(false);
        rig.open(EPOCH);
        rig
    }

    fn open(&mut self, newest: Epoch) {
        self.channel.handle_link_up();
        assert_eq!(self.poll(), Some(Action::Open));
        let live = self.channel.acked();
        self.channel.handle_opened(newest, live);
    }

    fn poll(&mut self) -> Option<Action> {
        let action = self.channel.poll_action(self.now);
        if let Some(Action::Send(sending)) = &action {
            self.number = sending.number;
        }
        action
    }

    fn dirty(&mut self, at: &str, base: Base) {
        self.channel.handle_dirty(self.now, path(at), base);
    }

    fn sending(&mut self) -> Sending {
        match self.poll() {
            Some(Action::Send(sending)) => sending,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until there is something to do.
    fn later(&mut self) -> Sending {
        assert_eq!(self.poll(), None);
        self.now = self.channel.poll_timeout().expect("something waits").max(self.now);
        self.sending()
    }

    /// Sends what is ready: names and bases.
    fn sent(&mut self) -> Vec<(String, Base)> {
        self.sending().names.into_iter().map(|(path, base)| (path.to_string(), base)).collect()
    }

    fn report(&mut self, at: &str, entry: Option<Entry>) {
        self.channel.handle_sent(&path(at), entry);
    }

    fn ack(&mut self) {
        self.ack_with(&[], 0, None);
    }

    fn ack_with(&mut self, failed: &[&str], deletions_held: u64, root_matches: Option<bool>) {
        let failed = failed.iter().map(|p| Failed { path: path(p), cause: "EACCES".into(), left_out: false }).collect();
        let generation = Generation { epoch: EPOCH, number: self.number, root: None };
        self.channel.handle_ack(self.now, &Ack { generation, failed, deletions_held, root_matches });
    }

    fn nack(&mut self, code: NackCode, newest: Epoch, paths: &[&str]) {
        let paths = paths.iter().map(|p| path(p)).collect();
        self.channel.handle_nack(self.now, &Nack { code, newest, paths, cause: "because".into() });
    }
}

fn one(at: &str, base: Base) -> Vec<(String, Base)> {
    vec![(at.to_owned(), base)]
}

#[test]
fn the_first_base_since_the_acknowledgement_counts() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.dirty("a", known("2"));
    assert_eq!(rig.sent(), one("a", known("1")));
    rig.report("a", entry("3"));
    assert_eq!((rig.channel.pending(), rig.channel.in_flight()), (1, Some(1)));
    rig.ack();
    assert!(rig.channel.is_settled());
    rig.dirty("a", known("3"));
    assert_eq!(rig.sent(), one("a", known("3")));
}

#[test]
fn a_name_touched_under_way_follows_with_what_was_acknowledged() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    rig.report("a", entry("2"));
    rig.dirty("a", known("stale"));
    assert_eq!((rig.poll(), rig.channel.pending()), (None, 1));
    rig.ack();
    assert_eq!(rig.sent(), one("a", known("2")));
}

#[test]
fn a_name_touched_under_way_keeps_its_base_when_nothing_went_live() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    rig.report("a", entry("2"));
    rig.dirty("a", known("stale"));
    rig.nack(NackCode::Local, EPOCH, &[]);
    assert_eq!(rig.later().names[&path("a")], known("1"));
}

#[test]
fn a_cut_makes_what_was_under_way_pending_and_doubtful() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.channel.handle_moved(path("x"), path("a"));
    let first = rig.sending();
    rig.report("a", entry("2"));
    rig.channel.handle_link_down(rig.now, "reset");
    assert_eq!((rig.channel.phase(), rig.channel.pending(), rig.poll()), (Phase::Closed, 1, None));
    rig.open(EPOCH);
    let again = rig.sending();
    assert_eq!((&again.names[&path("a")], again.moves), (&Base::Unknown, first.moves));
}

#[test]
fn missing_content_makes_only_its_paths_travel_whole() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.dirty("b", known("1"));
    rig.sending();
    rig.nack(NackCode::ContentNeeded, EPOCH, &["b", "never/heard/of"]);
    let again = rig.later().names;
    assert_eq!(again[&path("a")], known("1"));
    assert_eq!((&again[&path("b")], &again[&path("never/heard/of")]), (&Base::Unknown, &Base::Unknown));
}

#[test]
fn one_bad_file_is_tried_for_ever_and_holds_nobody_up() {
    let mut rig = Rig::live();
    let start = rig.now;
    rig.dirty("bad", known("1"));
    let mut tries = 0;
    while rig.now < start + HOUR {
        rig.dirty("good", known("1"));
        let names = rig.sending().names;
        for name in names.keys() {
            rig.channel.handle_sent(name, entry("2"));
        }
        tries += usize::from(names.contains_key(&path("bad")));
        rig.ack_with(if names.contains_key(&path("bad")) { &["bad"] } else { &[] }, 0, None);
        assert_eq!(rig.channel.pending(), 1);
        rig.now = rig.channel.poll_timeout().expect("the bad one waits").max(rig.now);
    }
    assert!((360..=730).contains(&tries), "{tries}");
    assert_eq!(rig.channel.unacknowledged().next().and_then(|name| name.fault).map(|f| &*f.cause), Some("EACCES"));
    // An operator, or an edit, need not wait.
    rig.channel.replay_now();
    assert_eq!(rig.sent(), one("bad", Base::Unknown));
}

#[test]
fn an_unreadable_file_stays_with_its_base_and_what_it_was_to_replace() {
    let mut rig = Rig::live();
    rig.dirty("d", known("1"));
    rig.dirty("d/below", known("1"));
    rig.sending();
    rig.channel.handle_unsendable(rig.now, &path("d"), "EIO");
    rig.report("d/below", None);
    rig.ack();
    assert_eq!(rig.channel.pending(), 2);
    let again = rig.later().names;
    assert_eq!((&again[&path("d")], again.len()), (&known("1"), 2));
}

#[test]
fn what_the_driver_does_not_report_is_sent_again() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    rig.ack();
    assert_eq!(rig.later().names.len(), 1);
}

#[test]
fn a_refusal_is_retried_for_ever_and_named() {
    let mut rig = Rig::new(false);
    rig.channel.handle_link_up();
    let (start, mut opens) = (rig.now, 0);
    while rig.now < start + HOUR {
        if rig.poll() == Some(Action::Open) {
            opens += 1;
            rig.channel.handle_refused(rig.now, Refusal::WrongPassword);
        }
        rig.now = rig.channel.poll_timeout().expect("it never gives up").max(rig.now);
    }
    assert!((360..=730).contains(&opens), "{opens}");
    assert!(rig.channel.fault().is_some_and(|f| f.cause.contains("wrong password")));
}

#[test]
fn an_open_that_is_not_answered_closes_the_connection_unless_the_peer_is_at_work() {
    let mut rig = Rig::new(false);
    rig.channel.handle_link_up();
    assert_eq!(rig.poll(), Some(Action::Open));
    let first = rig.channel.poll_timeout().expect("a limit");
    rig.now = first - Duration::from_millis(1);
    rig.channel.handle_working(rig.now);
    rig.now = first;
    assert_eq!(rig.poll(), None, "it is at work");
    rig.now = rig.channel.poll_timeout().expect("another limit");
    assert!(matches!(rig.poll(), Some(Action::CloseLink { .. })));
    rig.channel.handle_link_down(rig.now, "closed here");
    assert!(rig.channel.fault().is_some());
    rig.open(EPOCH);
    rig.channel.handle_working(rig.now);
    assert_eq!((rig.channel.phase(), rig.channel.poll_timeout()), (Phase::Live, None));
}

#[test]
fn the_cause_of_a_waiting_name_is_how_its_link_stands_now() {
    let mut rig = Rig::new(true);
    rig.dirty("a", known("1"));
    let cause = |rig: &Rig| rig.channel.cause(&rig.channel.unacknowledged().next().expect("pending"));
    assert_eq!(cause(&rig), "not connected yet");
    rig.channel.handle_unreachable(rig.now, "nobody listens");
    assert_eq!(cause(&rig), "nobody listens");
    rig.channel.handle_link_up();
    assert_eq!(rig.poll(), Some(Action::Open));
    assert_eq!(cause(&rig), "connected; the set is being opened");
    rig.channel.handle_refused(rig.now, Refusal::WrongPassword);
    assert!(cause(&rig).contains("wrong password"));
    rig.now = rig.channel.poll_timeout().expect("another attempt");
    assert_eq!(rig.poll(), Some(Action::Open));
    let live = rig.channel.acked();
    rig.channel.handle_opened(EPOCH, live);
    assert_eq!(cause(&rig), "a compare is due");
    assert_eq!(rig.poll(), Some(Action::Compare));
    assert_eq!(cause(&rig), "both trees are being compared");
    rig.channel.handle_compared(rig.now, vec![(path("a"), None)]);
    assert_eq!(cause(&rig), "is sent next");
    rig.sending();
    assert_eq!(cause(&rig), "in flight");
    rig.nack(NackCode::Local, EPOCH, &[]);
    assert_eq!(cause(&rig), "the peer refused: because");
    rig.later();
    assert_eq!(cause(&rig), "the peer refused: because", "nothing has gone well since");
    rig.report("a", entry("1"));
    rig.ack_with(&["a"], 0, None);
    assert_eq!(cause(&rig), "EACCES", "its own fault comes first");
}

#[test]
fn a_compare_settles_what_is_equal_and_gives_bases_to_the_rest() {
    let mut rig = Rig::new(true);
    let fault = Fault { at: rig.now, cause: "unreachable".into() };
    let since = rig.now;
    rig.now += HOUR;
    for name in ["equal", "differs", "touched"] {
        rig.channel.restore(path(name), since, Some(fault.clone()));
    }
    assert_eq!((rig.channel.pending(), rig.channel.oldest()), (3, Some(since)));
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.dirty("touched", known("1"));
    rig.dirty("fresh", known("1"));
    assert_eq!(rig.poll(), None);
    rig.channel.handle_compared(rig.now, vec![(path("differs"), entry("2")), (path("unheard"), None)]);
    let names = rig.sending().names;
    assert_eq!(names.keys().map(ToString::to_string).collect::<Vec<_>>(), ["differs", "fresh", "touched", "unheard"]);
    assert_eq!((&names[&path("differs")], &names[&path("unheard")]), (&known("2"), &Base::Known(None)));
    assert_eq!((&names[&path("touched")], &names[&path("fresh")]), (&Base::Unknown, &Base::Unknown));
}

#[test]
fn a_compare_that_is_cut_is_made_again() {
    let mut rig = Rig::live();
    rig.channel.request_compare();
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_link_down(rig.now, "reset");
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_compare_failed(rig.now, "no memory");
    assert_eq!(rig.poll(), None);
    rig.now = rig.channel.poll_timeout().expect("a compare is due");
    assert_eq!(rig.poll(), Some(Action::Compare));
}

#[test]
fn a_peer_that_holds_another_generation_is_compared() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    rig.report("a", entry("2"));
    rig.ack();
    rig.channel.handle_link_down(rig.now, "reset");
    rig.channel.handle_link_up();
    assert_eq!(rig.poll(), Some(Action::Open));
    rig.channel.handle_opened(EPOCH, Generation { epoch: EPOCH, number: 9, root: None });
    assert_eq!(rig.poll(), Some(Action::Compare));
}

/// A source that is killed before the compare told it anything starts with what was recorded.
#[test]
fn what_a_peer_holds_is_agreed_once_it_was_compared() {
    let mut rig = Rig::live();
    rig.channel.handle_link_down(rig.now, "reset");
    rig.channel.handle_link_up();
    assert_eq!(rig.poll(), Some(Action::Open));
    let theirs = Generation { epoch: EPOCH, number: 9, root: None };
    rig.channel.handle_opened(EPOCH, theirs);
    assert_ne!(rig.channel.agreed(), theirs, "a compare is due");
    assert_eq!(rig.poll(), Some(Action::Compare));
    assert_eq!(rig.channel.agreed(), theirs.doubted(), "it is under way");
    rig.channel.handle_link_down(rig.now, "reset");
    assert_eq!(rig.channel.agreed(), theirs.doubted(), "it was cut");
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_compared(rig.now, Vec::new());
    assert_eq!(rig.channel.agreed(), theirs);
}

#[test]
fn drift_and_a_wrong_root_are_compared_and_not_too_often() {
    let mut rig = Rig::live();
    let (start, mut compares) = (rig.now, 0);
    while rig.now < start + HOUR {
        match rig.poll() {
            Some(Action::Compare) => {
                compares += 1;
                rig.channel.handle_compared(rig.now, vec![(path("a"), None)]);
            }
            Some(Action::Send(_)) => {
                rig.report("a", entry("1"));
                rig.ack_with(&[], 0, Some(false));
            }
            _ if rig.channel.is_settled() => rig.channel.handle_drifted(rig.now),
            _ => rig.now = rig.channel.poll_timeout().expect("a compare is due").max(rig.now),
        }
    }
    assert!((360..=730).contains(&compares), "{compares}");
}

#[test]
fn a_fenced_source_takes_one_epoch_and_then_waits_for_an_operator() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    rig.nack(NackCode::OlderEpoch, NEWER, &[]);
    assert_eq!(rig.channel.phase(), Phase::Fenced { newest: NEWER });
    assert_eq!(rig.poll(), Some(Action::TakeEpoch { newest: NEWER }));
    let taken = NEWER.next(EPOCH.node);
    rig.channel.handle_epoch(taken);
    assert_eq!(rig.poll(), Some(Action::Compare), "another primary wrote there");
    let newest = taken.next(NEWER.node);
    rig.nack(NackCode::OlderEpoch, newest, &[]);
    assert_eq!((rig.poll(), rig.channel.phase()), (None, Phase::Fenced { newest }));
    rig.channel.handle_link_down(rig.now, "reset");
    rig.now += HOUR;
    rig.open(newest);
    assert_eq!((rig.poll(), rig.channel.pending()), (None, 1));
    rig.channel.resume();
    assert_eq!(rig.poll(), Some(Action::TakeEpoch { newest }));
}

#[test]
fn a_breach_of_the_protocol_closes_the_connection() {
    let mut rig = Rig::live();
    rig.dirty("a", known("1"));
    rig.sending();
    let generation = Generation { epoch: NEWER, number: 7, root: None };
    rig.channel.handle_ack(rig.now, &Ack { generation, failed: Vec::new(), deletions_held: 0, root_matches: None });
    assert!(matches!(rig.poll(), Some(Action::CloseLink { .. })));
    assert_eq!(rig.channel.pending(), 1);
}

/// The plan was made when the directory had moved on already, and removes it with what lies in it.
#[test]
fn a_name_touched_under_way_is_in_doubt_when_its_directory_goes_with_the_change_set() {
    let mut rig = Rig::live();
    rig.dirty("d", known("1"));
    rig.sending();
    rig.dirty("d/x", known("1"));
    rig.dirty("e/x", known("1"));
    rig.report("d", None);
    rig.ack();
    let names = rig.sending().names;
    assert_eq!((&names[&path("d/x")], &names[&path("e/x")]), (&Base::Unknown, &known("1")));
}

#[test]
fn what_only_a_compare_told_of_need_not_be_recorded_where_the_next_one_tells_it_again() {
    for full_compare in [true, false] {
        let mut rig = Rig::new(full_compare);
        rig.channel.request_compare();
        rig.open(EPOCH);
        assert!(matches!(rig.poll(), Some(Action::Compare)));
        rig.channel.handle_compared(rig.now, vec![(path("found"), None), (path("edited"), None)]);
        rig.dirty("edited", known("1"));
        let recorded = |rig: &Rig| {
            let names = rig.channel.unacknowledged().filter(|name| rig.channel.must_record(name));
            names.map(|name| name.path.to_string()).collect::<Vec<_>>()
        };
        let expected: &[&str] = if full_compare { &["edited"] } else { &["edited", "found"] };
        assert_eq!(recorded(&rig), expected);
        rig.sending();
        assert_eq!(recorded(&rig), expected, "also while it is under way");
    }
}

/// The index counts anew after a restart, and a retry sends what was there before.
#[test]
fn no_two_change_sets_lead_to_the_same_generation() {
    let mut rig = Rig::live();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        rig.dirty("a", Base::Unknown);
        numbers.push(rig.sending().number);
        rig.report("a", entry("1"));
        rig.ack();
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn deletions_that_the_receiver_holds_wait_for_an_operator() {
    let mut rig = Rig::live();
    let removed = |at: &str| Plan { steps: vec![Step::Remove { path: path(at), kind: None }], withheld: Vec::new() };
    for name in ["d", "d/x", "kept"] {
        rig.dirty(name, known("1"));
    }
    rig.sending();
    rig.channel.handle_planned(&removed("d"));
    rig.report("d", None);
    rig.report("d/x", None);
    rig.report("kept", entry("2"));
    rig.ack_with(&[], 1, None);
    assert_eq!((rig.channel.held(), rig.channel.pending(), rig.poll()), (2, 2, None));
    rig.channel.approve();
    let again = rig.sending();
    assert!(again.deletions_approved && again.names.len() == 2);
    rig.channel.handle_planned(&removed("d"));
    rig.report("d", None);
    rig.report("d/x", None);
    rig.ack();
    assert!(rig.channel.is_settled());
    rig.dirty("d", known("1"));
    assert!(!rig.sending().deletions_approved, "one approval is for one change set");
}

#[test]
fn what_was_held_back_before_the_start_is_held_back_again_until_approved() {
    let mut rig = Rig::live();
    rig.channel.hold_again();
    rig.dirty("d", known("1"));
    assert!(rig.sending().withholds);
    // It never got there: the next one withholds as well.
    rig.channel.handle_link_down(rig.now, "cut");
    assert!(rig.channel.holds());
    rig.channel.approve();
    assert!(!rig.channel.holds());
    let mut rig = Rig::live();
    rig.channel.hold_again();
    rig.dirty("d", known("1"));
    rig.sending();
    rig.channel.handle_planned(&Plan { steps: Vec::new(), withheld: vec![path("d")] });
    rig.channel.handle_empty(rig.now);
    assert_eq!((rig.channel.held(), rig.poll()), (1, None));
    // What is new goes, as before the start.
    rig.dirty("e", known("1"));
    assert!(!rig.sending().withholds);
    rig.report("e", None);
    rig.ack();
    assert!(rig.channel.holds());
    rig.channel.approve();
    let sending = rig.sending();
    assert!(sending.deletions_approved && !sending.withholds && !rig.channel.holds());
}

/// Somebody took it away at the replica, or it came back.
#[test]
fn what_was_held_back_and_is_equal_now_holds_nothing_back() {
    let mut rig = Rig::new(true);
    rig.channel.hold_again();
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_compared(rig.now, Vec::new());
    assert!(!rig.channel.holds());
    rig.dirty("new", known("1"));
    assert!(!rig.sending().withholds);
}

/// A compare that failed is still due: what it finds may be what was held back.
#[test]
fn deletions_are_withheld_until_a_compare_that_is_due_has_found_them() {
    let mut rig = Rig::live();
    rig.channel.hold_again();
    rig.dirty("d", known("1"));
    rig.sending();
    rig.channel.request_compare();
    rig.report("d", entry("2"));
    rig.ack();
    assert!(rig.channel.holds());
}

#[test]
fn deletions_that_the_source_withholds_are_forgotten_when_it_resumes() {
    let mut rig = Rig::live();
    rig.dirty("d", known("1"));
    rig.sending();
    rig.channel.handle_planned(&Plan { steps: Vec::new(), withheld: vec![path("d")] });
    rig.channel.handle_empty(rig.now);
    assert_eq!((rig.channel.held(), rig.poll()), (1, None));
    assert!(rig.channel.unacknowledged().all(|name| name.held));
    rig.channel.resume();
    assert!(rig.channel.is_settled());
}

#[test]
fn what_is_in_doubt_once_it_is_live_is_sent_again_whole() {
    let mut rig = Rig::live();
    rig.dirty("link", known("old"));
    rig.dirty("other", known("old"));
    rig.sending();
    rig.channel.handle_doubtful(&path("link"));
    rig.report("other", entry("new"));
    // It changes meanwhile, by what the index showed to be its base.
    rig.dirty("link", known("new"));
    rig.ack();
    assert_eq!(rig.sent(), one("link", Base::Unknown));
}

/// It was pending when its size began to leave it out.
#[test]
fn what_a_peer_keeps_is_settled_with_what_it_was_known_to_hold() {
    for base in [known("1"), Base::Unknown] {
        let mut rig = Rig::live();
        rig.dirty("a", base.clone());
        rig.dirty("b", base.clone());
        rig.sending();
        rig.channel.handle_kept(&path("a"));
        rig.channel.handle_kept(&path("b"));
        rig.dirty("b", Base::Known(None));
        rig.channel.handle_empty(rig.now);
        assert_eq!(rig.sent(), one("b", base));
    }
}

#[test]
fn a_glance_settles_only_what_nothing_but_a_compare_told_of() {
    let mut rig = Rig::new(true);
    rig.channel.handle_link_up();
    assert_eq!(rig.poll(), Some(Action::Open));
    rig.channel.handle_opened(EPOCH, Generation::NONE);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_glanced(rig.now, vec![(path("found"), entry("x")), (path("equal"), None)]);
    rig.dirty("told", known("before"));
    assert_eq!(rig.channel.pending(), 3);
    rig.channel.handle_failed(rig.now, "cut");
    rig.now += HOUR;
    assert_eq!(rig.poll(), Some(Action::Open));
    rig.channel.handle_opened(EPOCH, Generation::NONE);
    assert_eq!(rig.poll(), Some(Action::Compare));
    // Sizes and times say that all but one are equal: of what an event told, they prove nothing.
    rig.channel.handle_glanced(rig.now, vec![(path("found"), entry("y"))]);
    assert_eq!(rig.sent(), [("found".to_owned(), known("y")), ("told".to_owned(), Base::Unknown)]);
}

/// Another carrier took over before it was sent, and looks at sizes and times alone.
#[test]
fn what_a_compare_of_content_found_is_not_settled_by_a_glance() {
    let mut rig = Rig::new(true);
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_compared(rig.now, vec![(path("a"), entry("theirs"))]);
    rig.channel.handle_link_down(rig.now, "no syncd answers");
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_glanced(rig.now, vec![(path("b"), None)]);
    assert_eq!(rig.sent(), [("a".to_owned(), Base::Unknown), ("b".to_owned(), Base::Known(None))]);
}

/// A compare by content, before others that look at sizes and times.
#[test]
fn what_a_compare_found_in_content_alone_outlives_a_cut_and_a_glance() {
    let mut rig = Rig::new(true);
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.dirty("a", Base::Unknown);
    rig.channel.handle_glanced(rig.now, vec![(path("a"), entry("presumed")), (path("b"), None)]);
    let recorded = rig.channel.unacknowledged().filter(|name| rig.channel.must_record(name)).count();
    assert_eq!(recorded, 1);
    assert_eq!(rig.sending().names[&path("a")], Base::Unknown);
    rig.channel.handle_failed(rig.now, "cut");
    rig.now = rig.channel.poll_timeout().expect("an attempt");
    assert_eq!(rig.poll(), Some(Action::Open));
    rig.channel.handle_opened(Epoch::NONE, Generation::NONE);
    assert_eq!(rig.poll(), Some(Action::Compare));
    rig.channel.handle_glanced(rig.now, Vec::new());
    assert_eq!(rig.sent(), one("a", Base::Unknown));
}

#[test]
fn a_failure_of_the_carrier_is_named_and_makes_all_pending_again() {
    let mut rig = Rig::live();
    rig.dirty("a", known("old"));
    rig.sending();
    rig.channel.handle_failed(rig.now, "no such module");
    assert_eq!((rig.channel.phase(), rig.poll()), (Phase::Closed, None));
    assert_eq!(rig.channel.fault().map(|fault| &*fault.cause), Some("no such module"));
    rig.now = rig.channel.poll_timeout().expect("an attempt");
    assert_eq!(rig.poll(), Some(Action::Open));
    let live = rig.channel.acked();
    rig.channel.handle_opened(Epoch::NONE, live);
    assert_eq!(rig.sent(), one("a", Base::Unknown));
}

#[test]
fn another_carrier_compares_first_and_is_to_blame_for_nothing() {
    let mut rig = Rig::live();
    rig.dirty("a", known("old"));
    rig.sending();
    rig.channel.handle_carrier(rig.now);
    assert_eq!((rig.channel.fault(), rig.channel.pending()), (None, 1));
    assert_eq!(rig.poll(), None, "there is no link");
    rig.open(EPOCH);
    assert_eq!(rig.poll(), Some(Action::Compare));
}
