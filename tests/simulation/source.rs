//! A source: the shipped planner, peer and channel around a tree, an index and a store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use syncd::model::{Base, Change, Content, Entry, Epoch, Generation, Node, NodeKey, Op, Put, RelPath};
use syncd::plan::{Need, Settled, Step, plan};
use syncd::session::{Channel, Options, Peer, Sending};

use crate::tree::{ATTRS, Rng, Tree, edit, read};

/// What stat(2) would show to have changed: a count of edits for each path.
type Stamps = BTreeMap<RelPath, u64>;

/// What outlives a `kill -9`.
#[derive(Clone)]
struct Store {
    acked: Generation,
    index: Tree,
    seen: Stamps,
    number: u64,
    names: Vec<RelPath>,
}

pub(crate) struct Source {
    pub(crate) key: NodeKey,
    pub(crate) disk: Tree,
    pub(crate) index: Tree,
    pub(crate) peer: Peer,
    pub(crate) channel: Channel,
    pub(crate) epoch: Epoch,
    /// The connection that it uses or dials.
    pub(crate) conn: Option<u64>,
    /// Whether its process runs.
    pub(crate) running: bool,
    pub(crate) sent: u64,
    full_compare: bool,
    stamps: Stamps,
    seen: Stamps,
    edits: u64,
    number: u64,
    events: BTreeSet<RelPath>,
    moves: Vec<(RelPath, RelPath)>,
    store: Store,
    /// The index when the compare that is under way began.
    snapshot: Option<Tree>,
}

impl Store {
    const EMPTY: Self =
        Self { acked: Generation::NONE, index: Tree::new(), seen: Stamps::new(), number: 0, names: Vec::new() };
}

impl Source {
    pub(crate) fn new(key: NodeKey, epoch: Epoch, full_compare: bool) -> Self {
        Self {
            key,
            disk: Tree::new(),
            index: Tree::new(),
            peer: peer(key, 0),
            channel: channel(epoch, full_compare, Generation::NONE, 0),
            epoch,
            conn: None,
            running: true,
            sent: 0,
            full_compare,
            stamps: Stamps::new(),
            seen: Stamps::new(),
            edits: 0,
            number: 0,
            events: BTreeSet::new(),
            moves: Vec::new(),
            store: Store::EMPTY,
            snapshot: None,
        }
    }

    /// Somebody works on the tree.
    pub(crate) fn edit(&mut self, rng: &mut Rng) {
        let edit = edit(&mut self.disk, rng);
        for path in edit.touched {
            self.edits += 1;
            self.stamps.insert(path.clone(), self.edits);
            self.events.insert(path);
        }
        // Hints may be missing, or wrong.
        self.moves.extend(edit.moved.filter(|_| rng.percent(90)));
        if rng.percent(3) {
            self.moves.push((crate::tree::any_path(rng), crate::tree::any_path(rng)));
        }
    }

    /// The events of the watcher reach the index and the channel.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if !self.running {
            return;
        }
        for (from, to) in std::mem::take(&mut self.moves) {
            self.channel.handle_moved(from, to);
        }
        for path in std::mem::take(&mut self.events) {
            let old = self.index.get(&path).cloned();
            if self.look(&path) {
                self.channel.handle_dirty(now, path, Base::Known(old));
            }
        }
        self.channel.handle_generation(self.number);
    }

    /// Whether the index, and therefore the channel, knows the tree as it is.
    pub(crate) fn is_current(&self) -> bool {
        self.events.is_empty() && self.disk == self.index
    }

    /// The retry log and the index are made durable, together.
    pub(crate) fn persist(&mut self) {
        if self.running {
            let names = self.channel.unacknowledged().map(|name| name.path.clone()).collect();
            let (acked, number) = (self.channel.agreed(), self.number);
            self.store = Store { acked, index: self.index.clone(), seen: self.seen.clone(), number, names };
        }
    }

    /// `kill -9` and a new start. A lost store is a new node with the old key.
    pub(crate) fn restart(&mut self, now: Instant, lost: bool, seed: u64) {
        if lost {
            (self.store, self.epoch) = (Store::EMPTY, Epoch::NONE.next(self.key));
        }
        let Store { acked, index, seen, number, names } = self.store.clone();
        (self.index, self.seen, self.number) = (index, seen, number);
        (self.events, self.moves) = (BTreeSet::new(), Vec::new());
        self.peer = peer(self.key, seed);
        self.channel = channel(self.epoch, self.full_compare, acked, seed);
        (self.conn, self.running) = (None, true);
        for path in names {
            self.channel.restore(path, now, None);
        }
        let all: BTreeSet<_> = self.disk.keys().chain(self.index.keys()).cloned().collect();
        for path in all {
            // By stamp, since a file may have changed and changed back while one state was sent.
            if self.seen.get(&path) != self.stamps.get(&path) {
                self.look(&path);
                self.channel.restore(path, now, None);
            }
        }
        self.channel.handle_generation(self.number);
    }

    /// Brings one path of the index up to date; whether it changed.
    fn look(&mut self, path: &RelPath) -> bool {
        self.seen.extend(self.stamps.get(path).map(|stamp| (path.clone(), *stamp)));
        let old = match self.disk.get(path) {
            Some(entry) => self.index.insert(path.clone(), entry.clone()),
            None => self.index.remove(path),
        };
        let changed = old.as_ref() != self.disk.get(path);
        self.number += u64::from(changed);
        changed
    }

    /// A compare begins; it may work on the index as it is now.
    pub(crate) fn begin_compare(&mut self, rng: &mut Rng) {
        self.snapshot = rng.percent(50).then(|| self.index.clone());
    }

    /// The peer showed its tree.
    pub(crate) fn end_compare(&mut self, now: Instant, theirs: &Tree) {
        let mine = self.snapshot.take().unwrap_or_else(|| self.index.clone());
        self.channel.handle_compared(now, differences(&mine, theirs));
    }

    /// Plans and reads a change set, and tells the channel what became of each name.
    pub(crate) fn change_set(&mut self, now: Instant, sending: &Sending, rng: &mut Rng) -> Vec<Op> {
        let changes = sending.names.iter().map(|(path, base)| {
            let mut now = self.index.get(path).cloned();
            if let Some(Node::File { hash, .. }) = now.as_mut().map(|entry| &mut entry.node)
                && rng.percent(30)
            {
                *hash = None;
            }
            (path.clone(), Change { base: base.clone(), now })
        });
        let plan = plan(&changes.collect(), &sending.moves, ATTRS, true);
        for path in sending.names.keys() {
            self.channel.handle_sent(path, self.index.get(path).cloned());
        }
        self.channel.handle_planned(&plan);
        plan.steps.into_iter().filter_map(|step| self.op(now, step, rng)).collect()
    }

    fn op(&mut self, now: Instant, step: Step, rng: &mut Rng) -> Option<Op> {
        let planned = match step {
            Step::Rename { from, to } => return Some(Op::Rename { from, to }),
            Step::Remove { path, kind } => return Some(Op::Remove { path, kind }),
            Step::Put(put) => put,
        };
        let base = planned.base_hash();
        if planned.need != Need::Read {
            return Some(Op::Put(Put { path: planned.path, entry: planned.entry, content: Content::Keep, base }));
        }
        let path = planned.path.clone();
        let Some(entry) = self.disk.get(&path).filter(|e| e.hash().is_some() && !rng.percent(3)).cloned() else {
            self.channel.handle_unsendable(now, &path, "could not be read");
            return None;
        };
        // What is sent is what the index holds, or a file that changes back would be forgotten.
        self.look(&path);
        self.channel.handle_sent(&path, Some(entry.clone()));
        let content = match planned.settle(&entry, ATTRS) {
            Settled::Nothing => return None,
            Settled::Keep => Content::Keep,
            Settled::Content => Content::Inline(read(&entry)),
        };
        Some(Op::Put(Put { path, entry, content, base }))
    }
}

/// What differs between two trees, with what the second one holds.
pub(crate) fn differences(mine: &Tree, theirs: &Tree) -> Vec<(RelPath, Option<Entry>)> {
    let all: BTreeSet<_> = mine.keys().chain(theirs.keys()).collect();
    let differs = all.into_iter().filter(|path| mine.get(*path) != theirs.get(*path));
    differs.map(|path| (path.clone(), theirs.get(path).cloned())).collect()
}

/// The ceilings are short, so that a run takes seconds.
fn peer(key: NodeKey, seed: u64) -> Peer {
    Peer::new(key, Duration::from_secs(2), seed)
}

fn channel(epoch: Epoch, full_compare: bool, acked: Generation, seed: u64) -> Channel {
    Channel::new(Options { full_compare, retry_ceiling: Duration::from_secs(2), epoch, acked, seed })
}
