//! The signatures of the versions that were sent last, so that the next delta needs no round trip.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Signature;
use crate::model::Digest;

/// How many bytes of signatures are kept unless configured otherwise: 1.6 GiB of files or more.
pub const DEFAULT_BUDGET: usize = 8 << 20;

/// Signatures by the digest of the content, the least recently used dropped beyond a budget.
#[derive(Debug)]
pub struct Cache {
    budget: usize,
    weight: usize,
    clock: u64,
    entries: HashMap<Digest, (Arc<Signature>, u64)>,
    by_use: BTreeMap<u64, Digest>,
}

impl Cache {
    /// An empty cache of at most `budget` bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self { budget, weight: 0, clock: 0, entries: HashMap::new(), by_use: BTreeMap::new() }
    }

    /// The signature of this content, which thereby becomes the most recently used.
    pub fn get(&mut self, content: &Digest) -> Option<Arc<Signature>> {
        let (signature, used) = self.entries.get_mut(content)?;
        self.by_use.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, *content);
        Some(Arc::clone(signature))
    }

    /// Keeps the signature of this content; one beyond the whole budget is not kept.
    pub fn put(&mut self, content: Digest, signature: Arc<Signature>) {
        self.remove(&content);
        if signature.weight() > self.budget {
            return;
        }
        self.clock += 1;
        self.weight += signature.weight();
        self.entries.insert(content, (signature, self.clock));
        self.by_use.insert(self.clock, content);
        while self.weight > self.budget {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    /// How many bytes the signatures take now.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    fn remove(&mut self, content: &Digest) {
        if let Some((signature, used)) = self.entries.remove(content) {
            self.weight -= signature.weight();
            self.by_use.remove(&used);
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::tests::{noise, signature};

    fn sized(blocks: usize) -> Arc<Signature> {
        Arc::new(signature(&noise(0, blocks * 1024), 1024))
    }

    fn name(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let one = sized(10);
        let mut cache = Cache::new(one.weight() * 2);
        cache.put(name(1), Arc::clone(&one));
        cache.put(name(2), Arc::clone(&one));
        assert!(cache.get(&name(1)).is_some());
        cache.put(name(3), Arc::clone(&one));
        assert!(cache.get(&name(2)).is_none());
        assert!(cache.get(&name(1)).is_some() && cache.get(&name(3)).is_some());
    }

    #[test]
    fn what_is_too_large_alone_evicts_nothing_else() {
        let mut cache = Cache::new(sized(10).weight());
        cache.put(name(1), sized(10));
        cache.put(name(2), sized(11));
        assert!(cache.get(&name(1)).is_some() && cache.get(&name(2)).is_none());
    }

    proptest! {
        #[test]
        fn the_budget_holds_and_the_books_are_right(puts in prop::collection::vec((0u8..8, 0usize..20, any::<bool>()), 0..60)) {
            let mut cache = Cache::new(sized(40).weight());
            for (n, blocks, put) in puts {
                if put { cache.put(name(n), sized(blocks)) } else { drop(cache.get(&name(n))) }
                let sum: usize = cache.entries.values().map(|(s, _)| s.weight()).sum();
                prop_assert_eq!(cache.weight(), sum);
                prop_assert!(sum <= cache.budget);
                prop_assert_eq!(cache.by_use.len(), cache.entries.len());
                prop_assert!(cache.by_use.iter().all(|(used, d)| cache.entries.get(d).is_some_and(|(_, u)| u == used)));
            }
        }
    }
}
