//! Words as a shell splits them, without a shell.

use crate::span::{Span, Spanned};
use crate::text::SourceText;

/// Characters by which a shell does something else than to split.
const SPECIAL: &[char] = &['$', '`', ';', '&', '|', '<', '>', '(', ')', '*', '?', '[', '{', '!', '#', '~'];

/// What a shell would make of `text` when all that it did was to split and to unquote.
///
/// # Errors
/// The first place where a shell would do more, or a quote that is not closed, with the reason.
pub(super) fn split(source: &SourceText, text: &Spanned<String>) -> Result<Vec<String>, (Span, String)> {
    // Where entities were resolved, an offset in the value is none in the file.
    let raw = source.text().get(text.span.start..text.span.end) == Some(text.value.as_str());
    let place = |at: usize, len: usize| match raw {
        true => Span::new(text.span.start + at, text.span.start + at + len),
        false => text.span,
    };
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = text.value.char_indices();
    while let Some((at, c)) = chars.next() {
        let special = |c: char| Err((place(at, c.len_utf8()), format!("`{c}` needs a shell, and none is run")));
        match (quote, c) {
            (Some((open, _)), c) if c == open => quote = None,
            (Some(('"', _)), '$' | '`') => return special(c),
            (Some(('"', _)), '\\') => match chars.next() {
                Some((_, c @ ('"' | '\\' | '$' | '`'))) => word.get_or_insert_default().push(c),
                Some((_, c)) => word.get_or_insert_default().extend(['\\', c]),
                None => {}
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some((c, at));
                word.get_or_insert_default();
            }
            (None, '\\') => {
                let Some((_, c)) = chars.next() else {
                    return Err((place(at, 1), "a backslash at the end quotes nothing".to_owned()));
                };
                word.get_or_insert_default().push(c);
            }
            (None, '\n') if words.is_empty() && word.is_none() => {}
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, c) if SPECIAL.contains(&c) => return special(c),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some((_, at)) = quote {
        return Err((place(at, 1), "this quote is never closed".to_owned()));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Result<Vec<String>, (Span, String)> {
        let source = SourceText::decode("f", text.as_bytes());
        split(&source, &Spanned::new(text.to_owned(), Span::new(0, text.len())))
    }

    #[test]
    fn words_are_those_of_a_shell() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("  /bin/sh  -x ", &["/bin/sh", "-x"]),
            (r#"a "b c"'d e' f\ g"#, &["a", "b cd e", "f g"]),
            (r#"'' "" x"#, &["", "", "x"]),
            (r#""a\"b\n" '$x;'"#, &["a\"b\\n", "$x;"]),
            ("/opt/日志.sh", &["/opt/日志.sh"]),
        ];
        for (text, words) in cases {
            assert_eq!(of(text).expect(text), words, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused_where_it_stands() {
        for (text, at) in
            [("a; b", 1), ("x >/tmp/log", 2), ("a $b", 2), ("\"$b\"", 1), ("`id`", 0), ("a &", 2), ("'x", 0)]
        {
            assert_eq!(of(text).expect_err(text).0.start, at, "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[a-z $;'\"\\\\`\n]{0,8}", 0..5)) {
            let text: Vec<String> = words.iter().map(|w| format!("'{}'", w.replace('\'', r"'\''"))).collect();
            prop_assert_eq!(of(&text.join(" ")).expect("quoted"), words);
        }
    }
}
