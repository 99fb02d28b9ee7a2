//! Moves as they were seen, one after the other, to one pair for each object: where the peer holds
//! it and where it is now.

use std::collections::BTreeMap;

use super::slots::{nearest, within};
use crate::model::RelPath;

/// Follows every object through `moves`: `d → e` and then `e/x → e/y` is `d → e` and `d/x → e/y`;
/// `a → b` and then `b → c` is `a → c`.
pub(super) fn compose(moves: &[(RelPath, RelPath)]) -> Vec<(RelPath, RelPath)> {
    // Where it is now, and where the peer holds it.
    let mut located: BTreeMap<RelPath, RelPath> = BTreeMap::new();
    for (from, to) in moves {
        if from.is_within(to) || to.is_within(from) {
            continue;
        }
        let held = match nearest(&located, from) {
            Some((now, held)) => from.moved(&now, held),
            None => from.clone(),
        };
        for path in within(&located, from) {
            if let Some(held) = located.remove(&path) {
                located.insert(path.moved(from, to), held);
            }
        }
        located.insert(to.clone(), held);
    }
    located.into_iter().map(|(now, held)| (held, now)).filter(|(held, now)| held != now).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(moves: &[(&str, &str)]) -> Vec<(String, String)> {
        let path = |s: &str| RelPath::parse(s.as_bytes()).expect("valid");
        let moves: Vec<_> = moves.iter().map(|(from, to)| (path(from), path(to))).collect();
        compose(&moves).into_iter().map(|(held, now)| (held.to_string(), now.to_string())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn an_object_is_followed_to_where_it_ends() {
        assert_eq!(composed(&[("a", "b"), ("b", "c")]), pairs(&[("a", "c")]));
        assert_eq!(composed(&[("d", "e"), ("e/x", "e/y")]), pairs(&[("d", "e"), ("d/x", "e/y")]));
        assert_eq!(composed(&[("d/x", "d/y"), ("d", "e")]), pairs(&[("d", "e"), ("d/x", "e/y")]));
        assert_eq!(composed(&[("a", "b"), ("b", "a")]), pairs(&[]));
        assert_eq!(composed(&[("d", "d/e")]), pairs(&[]));
    }

    #[test]
    fn every_name_below_a_moved_directory_may_be_hinted_as_well() {
        let moves = [("d", "e"), ("d/1", "e/1"), ("d/2", "e/2")];
        assert_eq!(composed(&moves), pairs(&moves));
    }
}
