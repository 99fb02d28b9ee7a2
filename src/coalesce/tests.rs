//! Any order of events ends in the same set of names, within its bounds of time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn path(name: &str) -> RelPath {
    RelPath::parse(name.as_bytes()).expect("valid")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A coalescer with a clock, and an index that holds some names.
struct Desk {
    coalescer: Coalescer,
    start: Instant,
    known: BTreeSet<RelPath>,
}

impl Desk {
    fn new(known: &[&str]) -> Self {
        Self::with(Coalesce::default(), known)
    }

    fn with(rules: Coalesce, known: &[&str]) -> Self {
        let known = known.iter().map(|name| path(name)).collect();
        Self { coalescer: Coalescer::new(rules), start: Instant::now(), known }
    }

    fn at(&self, at: u64) -> Instant {
        self.start + ms(at)
    }

    fn event(&mut self, at: u64, name: &str, what: What) {
        self.full(at, name, what, false, 0);
    }

    fn dir(&mut self, at: u64, name: &str, what: What) {
        self.full(at, name, what, true, 0);
    }

    fn full(&mut self, at: u64, name: &str, what: What, is_dir: bool, cookie: u32) {
        let event = Dirty { path: path(name), what, is_dir, cookie };
        let known = self.known.contains(&event.path);
        self.coalescer.handle_event(self.at(at), &event, known);
    }

    /// All batches up to `end` in ms, each with its time; without the root, whose mtime moves with
    /// names that came and went.
    fn run(&mut self, end: u64) -> Vec<(u64, Vec<String>)> {
        let mut out = self.run_all(end);
        out.iter_mut().for_each(|(_, names)| names.retain(|name| name != "."));
        out.retain(|(_, names)| !names.is_empty());
        out
    }

    fn run_all(&mut self, end: u64) -> Vec<(u64, Vec<String>)> {
        let mut out = Vec::new();
        while let Some(at) = self.coalescer.poll_timeout().filter(|at| *at <= self.at(end)) {
            let batch = self.coalescer.poll_batch(at).expect("due");
            self.known.extend(batch.names.keys().cloned());
            let names = batch.names.keys().map(ToString::to_string).collect();
            out.push(((at.saturating_duration_since(self.start)).as_millis() as u64, names));
        }
        out
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_known_file_goes_at_once_when_it_is_closed_moved_over_or_chmodded() {
    for what in [What::Closed, What::MovedTo, What::Attrib] {
        let mut desk = Desk::new(&["f"]);
        desk.event(0, "f", what);
        assert_eq!(desk.run(0), [(0, names(&["f"]))], "{what:?}");
    }
}

#[test]
fn a_new_name_settles_and_a_short_lived_one_never_was() {
    let mut desk = Desk::new(&[]);
    desk.event(0, "4913", What::Created);
    desk.event(0, "f", What::Created);
    desk.event(1, "4913", What::Closed);
    desk.event(1, "f", What::Closed);
    desk.event(9, "4913", What::Removed);
    assert_eq!(desk.run(5000), [(10, names(&["f"]))]);
}

#[test]
fn a_name_that_came_and_went_leaves_the_mtime_of_its_directory() {
    let mut desk = Desk::new(&[]);
    desk.event(0, "d/4913", What::Created);
    desk.event(1, "d/4913", What::Removed);
    assert_eq!(desk.run_all(5000), [(51, names(&["d"]))]);
}

#[test]
fn a_save_that_removes_and_makes_anew_is_one_change() {
    let mut desk = Desk::new(&["f"]);
    desk.event(0, "f", What::Removed);
    desk.event(1, "f", What::Created);
    desk.event(2, "f", What::Modified);
    assert!(desk.run(49).is_empty());
    desk.event(60, "f", What::Closed);
    assert_eq!(desk.run(5000), [(60, names(&["f"]))]);
}

#[test]
fn a_removal_of_a_known_name_waits() {
    let mut desk = Desk::new(&["f"]);
    desk.event(0, "f", What::Removed);
    assert_eq!(desk.run(5000), [(50, names(&["f"]))]);
}

/// The backup neither goes before the new file is there, nor tears the file out meanwhile.
#[test]
fn vim_leaves_one_change() {
    for kept in [false, true] {
        let mut desk = Desk::new(if kept { &["f", "f~"] } else { &["f"] });
        desk.event(0, "4913", What::Created);
        desk.event(0, "4913", What::Closed);
        desk.event(0, "4913", What::Removed);
        desk.full(1, "f", What::MovedFrom, false, 7);
        desk.full(1, "f~", What::MovedTo, false, 7);
        desk.event(1, "f", What::Created);
        assert!(desk.run(19).is_empty());
        desk.event(20, "f", What::Modified);
        desk.event(25, "f", What::Closed);
        assert_eq!(desk.run(25), [(25, names(&["f"]))]);
        if kept {
            assert_eq!(desk.run(5000), [(55, names(&["f~"]))]);
        } else {
            desk.event(26, "f~", What::Removed);
            assert!(desk.run(5000).is_empty());
        }
    }
}

#[test]
fn temp_and_rename_is_one_change_at_once() {
    let mut desk = Desk::new(&["f"]);
    desk.event(0, "tmp", What::Created);
    desk.event(1, "tmp", What::Closed);
    desk.full(2, "tmp", What::MovedFrom, false, 1);
    desk.full(2, "f", What::MovedTo, false, 1);
    assert_eq!(desk.run(5000), [(2, names(&["f"]))]);
}

#[test]
fn both_halves_of_a_rename_are_one_batch() {
    let mut desk = Desk::new(&["a", "d"]);
    desk.full(0, "a", What::MovedFrom, false, 1);
    desk.full(0, "b", What::MovedTo, false, 1);
    desk.full(0, "d", What::MovedFrom, true, 2);
    desk.full(0, "e", What::MovedTo, true, 2);
    assert_eq!(desk.run(5000), [(10, names(&["d", "e"])), (50, names(&["a", "b"]))]);
}

#[test]
fn an_open_file_is_held_until_it_rests_or_the_bound() {
    let mut desk = Desk::new(&["once", "log"]);
    desk.event(0, "once", What::Modified);
    let mut batches = Vec::new();
    for at in (0..3000).step_by(200) {
        batches.extend(desk.run(at));
        desk.event(at, "log", What::Modified);
    }
    assert_eq!(batches[..2], [(500, names(&["once"])), (2000, names(&["log"]))]);
}

#[test]
fn a_link_needs_no_close() {
    let mut desk = Desk::new(&[]);
    desk.event(0, "l", What::Found);
    assert_eq!(desk.run(5000), [(20, names(&["l"]))]);
}

#[test]
fn what_is_found_and_then_written_is_held() {
    let mut desk = Desk::new(&[]);
    desk.event(0, "f", What::Found);
    desk.event(1, "f", What::Modified);
    assert!(desk.run(400).is_empty());
    desk.event(401, "f", What::Closed);
    assert_eq!(desk.run(5000), [(401, names(&["f"]))]);
}

#[test]
fn a_dead_name_is_not_raised_by_its_last_writer() {
    let mut desk = Desk::new(&["f"]);
    desk.event(0, "f", What::Removed);
    desk.event(1, "f", What::Modified);
    desk.event(2, "f", What::Closed);
    assert_eq!(desk.run(5000), [(50, names(&["f"]))]);
}

#[test]
fn a_removed_directory_swallows_what_is_below() {
    let mut desk = Desk::new(&["d", "d/a", "d-e"]);
    desk.event(0, "d/a", What::Removed);
    desk.event(0, "d/new", What::Modified);
    desk.event(0, "d-e", What::Closed);
    desk.dir(1, "d", What::Removed);
    assert_eq!(desk.run(5000), [(0, names(&["d-e"])), (51, names(&["d"]))]);
}

#[test]
fn a_directory_made_anew_is_scanned() {
    let mut desk = Desk::new(&["d"]);
    desk.dir(0, "d", What::Removed);
    desk.dir(1, "d", What::Created);
    let at = desk.coalescer.poll_timeout().expect("pending");
    let batch = desk.coalescer.poll_batch(at).expect("due");
    assert_eq!(batch.names, BTreeMap::from([(path("d"), Scope::Tree)]));
}

#[test]
fn a_batch_names_nothing_below_a_tree() {
    let mut desk = Desk::new(&[]);
    desk.dir(0, "d", What::Created);
    desk.dir(0, "d/e", What::Found);
    desk.event(0, "d-x", What::Closed);
    let batch = desk.coalescer.poll_batch(desk.at(10)).expect("due");
    assert_eq!(batch.names, BTreeMap::from([(path("d"), Scope::Tree), (path("d-x"), Scope::Name)]));
    assert!(batch.covers(&path("d/e/f")) && !batch.covers(&path("e")));
}

/// The index does not hold the name yet, but its look at the batch may have seen it.
#[test]
fn what_is_in_flight_counts_as_known() {
    let mut desk = Desk::new(&[]);
    desk.dir(0, "d", What::Created);
    desk.coalescer.poll_batch(desk.at(10)).expect("due");
    desk.full(11, "d/f", What::MovedTo, false, 3);
    desk.event(12, "d/f", What::Removed);
    assert!(desk.coalescer.holds(&path("d/f")));
}

#[test]
fn a_burst_becomes_few_batches() {
    let mut desk = Desk::new(&[]);
    let mut batches = Vec::new();
    for i in 0..200_u64 {
        let name = format!("f{i}");
        desk.known.insert(path(&name));
        desk.event(i, &name, What::Closed);
        batches.extend(desk.run(i));
    }
    batches.extend(desk.run(5000));
    assert_eq!(batches[0], (0, names(&["f0"])));
    assert!(batches.len() <= 7, "{}", batches.len());
    assert_eq!(batches.iter().map(|(_, names)| names.len()).sum::<usize>(), 200);
}

#[test]
fn a_quiet_window_gathers_what_belongs_together_within_the_bound() {
    let rules = Coalesce { quiet: ms(100), ..Coalesce::default() };
    let mut desk = Desk::with(rules, &["a", "b"]);
    desk.event(0, "a", What::Closed);
    desk.event(90, "b", What::Closed);
    assert_eq!(desk.run(5000), [(190, names(&["a", "b"]))]);
    for at in (6000..9000).step_by(50) {
        desk.event(at, "a", What::Closed);
        if at == 8000 {
            assert_eq!(desk.run(at), [(8000, names(&["a"]))]);
        }
    }
}

#[test]
fn too_many_names_become_one_scan() {
    let mut desk = Desk::new(&[]);
    for i in 0..=MAX_PENDING {
        desk.event(0, &format!("f{i}"), What::Modified);
    }
    assert_eq!(desk.coalescer.len(), 1);
    desk.event(1, "g", What::Closed);
    let batch = desk.coalescer.poll_batch(desk.at(501)).expect("due");
    assert_eq!(batch.names, BTreeMap::from([(RelPath::root(), Scope::Tree)]));
    assert!(desk.coalescer.is_empty());
}

#[derive(Clone, Debug)]
struct Step {
    after: u64,
    name: usize,
    what: What,
    is_dir: bool,
    cookie: u32,
}

const NAMES: [&str; 6] = ["a", "b", "d", "d/x", "d/e", "d/e/y"];

fn step() -> impl Strategy<Value = Step> {
    let what = prop::sample::select(vec![
        What::Created,
        What::Found,
        What::Linked,
        What::Modified,
        What::Closed,
        What::Attrib,
        What::MovedTo,
        What::Removed,
        What::MovedFrom,
    ]);
    let after = prop_oneof![4 => 0..4_u64, 2 => 0..60_u64, 1 => 0..3000_u64];
    (after, 0..NAMES.len(), what, any::<bool>(), 0..3_u32).prop_map(|(after, name, what, is_dir, cookie)| Step {
        after,
        name,
        what,
        is_dir: is_dir && matches!(NAMES[name], "d" | "d/e"),
        cookie: if matches!(what, What::MovedTo | What::MovedFrom) { cookie } else { 0 },
    })
}

fn rules() -> impl Strategy<Value = Coalesce> {
    prop::sample::select(vec![0_u64, 30]).prop_map(|quiet| Coalesce { quiet: ms(quiet), ..Coalesce::default() })
}

#[test]
fn removals_that_follow_each_other_are_one_batch() {
    let mut coalescer = Coalescer::new(Coalesce::default());
    let start = Instant::now();
    for n in 0..10 {
        let removed = Dirty { path: path(&format!("n{n}")), what: What::Removed, is_dir: false, cookie: 0 };
        coalescer.handle_event(start + ms(30 * n), &removed, true);
    }
    let due = coalescer.poll_timeout().expect("they wait");
    assert_eq!(due, start + ms(30 * 9) + Coalesce::default().gone);
    assert_eq!(coalescer.poll_batch(due).expect("due").names.len(), 10);
    assert!(coalescer.is_empty());
}

/// Names with an event that is in no batch yet, since when.
type Owed = BTreeMap<RelPath, Instant>;

fn settle_debts(owed: &mut Owed, batch: &Batch, now: Instant, bound: Duration) -> Result<(), TestCaseError> {
    for (path, since) in owed.iter().filter(|(path, _)| batch.covers(path)) {
        prop_assert!(now <= *since + bound, "{path} came {:?} late", now - (*since + bound));
    }
    owed.retain(|path, _| !batch.covers(path));
    Ok(())
}

proptest! {
    /// With every name known nothing cancels: each event is in a batch no later than the bound
    /// after it, timeouts are exact, and at the end nothing is owed.
    #[test]
    fn every_known_name_comes_within_the_bound(
        steps in prop::collection::vec(step(), 1..60),
        rules in rules(),
    ) {
        let mut coalescer = Coalescer::new(rules);
        let mut now = Instant::now();
        let mut owed = Owed::new();
        for step in steps {
            let until = now + ms(step.after);
            while let Some(at) = coalescer.poll_timeout().filter(|at| *at <= until) {
                if let Some(before) = at.checked_sub(Duration::from_nanos(1)).filter(|before| *before > now) {
                    prop_assert!(coalescer.poll_batch(before).is_none());
                }
                now = now.max(at);
                let batch = coalescer.poll_batch(now);
                prop_assert!(batch.as_ref().is_some_and(|b| !b.names.is_empty()));
                settle_debts(&mut owed, &batch.unwrap_or_default(), now, rules.bound)?;
            }
            now = until;
            let event = Dirty { path: path(NAMES[step.name]), what: step.what, is_dir: step.is_dir, cookie: step.cookie };
            coalescer.handle_event(now, &event, true);
            owed.entry(event.path).or_insert(now);
            prop_assert!(coalescer.poll_timeout().is_some());
        }
        while let Some(at) = coalescer.poll_timeout() {
            now = now.max(at);
            let batch = coalescer.poll_batch(now);
            prop_assert!(batch.is_some());
            settle_debts(&mut owed, &batch.unwrap_or_default(), now, rules.bound)?;
        }
        prop_assert!(owed.is_empty(), "{owed:?}");
        prop_assert!(coalescer.is_empty());
        prop_assert!(coalescer.by_due.is_empty() && coalescer.removals.is_empty() && coalescer.by_first.is_empty() && coalescer.moves.is_empty());
    }

    /// A name that nobody knows, made and removed within `settle`, never comes out, whatever else
    /// happens; a name that stays always does.
    #[test]
    fn temporary_names_never_come_out(
        others in prop::collection::vec((0..10_u64, step()), 0..20),
        lives in 0..10_u64,
        stays in any::<bool>(),
    ) {
        let mut coalescer = Coalescer::new(Coalesce::default());
        let start = Instant::now();
        let temp = |what| Dirty::new(path("tmp"), what, false);
        let mut events: Vec<(u64, Dirty, bool)> = others
            .into_iter()
            .map(|(at, s)| (at, Dirty { path: path(NAMES[s.name]), what: s.what, is_dir: s.is_dir, cookie: 0 }, true))
            .collect();
        events.push((0, temp(What::Created), false));
        events.push((lives / 2, temp(What::Closed), false));
        if !stays {
            events.push((lives, temp(What::Removed), false));
        }
        events.sort_by_key(|(at, ..)| *at);
        let mut out = BTreeSet::new();
        for (at, event, known) in events {
            while let Some(due) = coalescer.poll_timeout().filter(|due| *due < start + ms(at)) {
                out.extend(coalescer.poll_batch(due).unwrap_or_default().names.into_keys());
            }
            coalescer.handle_event(start + ms(at), &event, known);
        }
        while let Some(due) = coalescer.poll_timeout() {
            out.extend(coalescer.poll_batch(due).unwrap_or_default().names.into_keys());
        }
        prop_assert_eq!(out.contains(&path("tmp")), stays);
    }

    /// The last event of a name decides: unless that removed what nobody had seen, it comes out
    /// after it.
    #[test]
    fn the_last_event_of_every_name_is_covered(steps in prop::collection::vec((step(), any::<bool>()), 1..60)) {
        let mut coalescer = Coalescer::new(Coalesce::default());
        let mut now = Instant::now();
        let mut owed: BTreeMap<RelPath, bool> = BTreeMap::new();
        let mut index = BTreeSet::new();
        for (step, _) in steps {
            now += ms(step.after);
            while let Some(due) = coalescer.poll_timeout().filter(|due| *due <= now) {
                let batch = coalescer.poll_batch(due).unwrap_or_default();
                index.extend(owed.keys().filter(|path| batch.covers(path)).cloned());
                owed.retain(|path, _| !batch.covers(path));
            }
            let event = Dirty { path: path(NAMES[step.name]), what: step.what, is_dir: step.is_dir, cookie: step.cookie };
            coalescer.handle_event(now, &event, index.contains(&event.path));
            let must = index.contains(&event.path) || !step.what.is_removal();
            if step.is_dir && step.what.is_removal() {
                owed.retain(|path, _| !path.is_below(&event.path) || index.contains(path));
            }
            owed.insert(event.path, must);
        }
        while let Some(due) = coalescer.poll_timeout() {
            let batch = coalescer.poll_batch(due).unwrap_or_default();
            owed.retain(|path, _| !batch.covers(path));
        }
        owed.retain(|_, must| *must);
        prop_assert!(owed.is_empty(), "{owed:?}");
    }
}
