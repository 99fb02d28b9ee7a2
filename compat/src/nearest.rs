//! The word that was probably meant.

/// The candidate that `word` is most like, if it is like one at all.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    let length = folded.chars().count();
    let alike = |distance: usize, candidate: &str| {
        distance <= candidate.len().max(word.len()) / 3 + 1 && distance < candidate.len()
    };
    candidates
        .into_iter()
        .map(|candidate| (candidate.to_lowercase(), candidate))
        // Their lengths differ by no more than they do: to compare costs the product of both.
        .filter(|(other, candidate)| alike(other.chars().count().abs_diff(length), candidate))
        .map(|(other, candidate)| (strsim::damerau_levenshtein(&folded, &other), candidate))
        .filter(|(distance, candidate)| alike(*distance, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["listen", "name", "port"];
        assert_eq!(nearest("lissten", words), Some("listen"));
        assert_eq!(nearest("PROT", words), Some("port"));
        assert_eq!(nearest("xylophone", words), None);
    }

    #[test]
    fn a_word_of_a_megabyte_is_compared_with_none() {
        assert_eq!(nearest(&"listen".repeat(200_000), ["listen"; 1000]), None);
    }
}
