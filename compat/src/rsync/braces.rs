//! Lists in braces, which bash makes several words of.

/// How many words one may become.
const MOST: usize = 64;

/// The words that `text` is, of which the braces and commas outside of quotes stand at `marks`, in order; one word where there
/// is no list in it. None where bash would make more of it than lists: one within another, or `{1..9}`.
pub(super) fn expand(text: &str, marks: &[usize]) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut from = 0;
    let mark = |at: usize| text.as_bytes().get(at).copied().filter(|_| marks.binary_search(&at).is_ok());
    let mut at = 0;
    while at < text.len() {
        if mark(at) != Some(b'{') {
            at += 1;
            continue;
        }
        let Some(end) = (at + 1..text.len()).find(|end| mark(*end) == Some(b'}')) else { break };
        if (at + 1..end).any(|within| mark(within) == Some(b'{')) {
            return None;
        }
        let inner = text.get(at + 1..end)?;
        let commas = (at + 1..end).filter(|within| mark(*within) == Some(b','));
        let bounds: Vec<usize> = std::iter::once(at).chain(commas).chain([end]).collect();
        if bounds.len() == 2 {
            if inner.contains("..") {
                return None;
            }
            at = end + 1;
            continue;
        }
        let before = text.get(from..at)?;
        let part = |(start, end): (&usize, &usize)| text.get(start + 1..*end);
        let parts = bounds.iter().zip(bounds.iter().skip(1)).map(part).collect::<Option<Vec<_>>>()?;
        if words.len() * parts.len() > MOST {
            return None;
        }
        words = words.iter().flat_map(|word| parts.iter().map(move |part| format!("{word}{before}{part}"))).collect();
        at = end + 1;
        from = at;
    }
    let rest = text.get(from..)?;
    words.iter_mut().for_each(|word| word.push_str(rest));
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unquoted(text: &str) -> Option<Vec<String>> {
        let marks: Vec<usize> = text.match_indices(['{', ',', '}']).map(|(at, _)| at).collect();
        expand(text, &marks)
    }

    #[test]
    fn lists_become_words_as_in_bash() {
        let words = |text: &str| unquoted(text).expect("lists").join(" ");
        for (text, expanded) in [
            ("--exclude={a,b}", "--exclude=a --exclude=b"),
            ("--exclude={*.log,,日}x", "--exclude=*.logx --exclude=x --exclude=日x"),
            ("{a,b}-{c,d}", "a-c a-d b-c b-d"),
            ("a{}b{c}d,e}{f", "a{}b{c}d,e}{f"),
            ("{x}{a,b}", "{x}a {x}b"),
        ] {
            assert_eq!(words(text), expanded);
        }
        assert_eq!(expand("--exclude={a,b}", &[]), Some(vec!["--exclude={a,b}".to_owned()]));
    }

    #[test]
    fn what_is_more_than_a_list_is_none() {
        for text in ["{a,{b,c}}", "a{1..9}", &"{a,b}".repeat(9)] {
            assert_eq!(unquoted(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn without_a_comma_between_braces_a_word_stays_as_it_is(text in "[a{}é]{0,8}") {
            if let Some(words) = unquoted(&text) {
                prop_assert_eq!(words, [text]);
            }
        }
    }
}
