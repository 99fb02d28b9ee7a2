//! The inside of one start tag.

use super::{Attribute, CODE, Element};
use crate::diag::Finding;
use crate::span::{Span, Spanned};
use crate::text::SourceText;

/// The element whose start tag stands at `span`, from `<` to `>`.
pub(super) fn read(source: &SourceText, span: Span) -> Result<Element, Finding> {
    let text = source.text().get(span.start..span.end).unwrap_or("");
    let inner = text.strip_prefix('<').unwrap_or(text);
    let inner = inner.strip_suffix('>').unwrap_or(inner);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let mut lexer = Lexer { source, rest: inner, at: span.start + usize::from(text.starts_with('<')) };
    let name = lexer.name(span)?;
    let mut element = Element { name, attributes: Vec::new(), stray: Vec::new(), children: Vec::new(), span };
    lexer.attributes(&mut element)?;
    Ok(element)
}

/// What is left of the tag, and its offset in the text.
struct Lexer<'a> {
    source: &'a SourceText,
    rest: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn name(&mut self, tag: Span) -> Result<Spanned<String>, Finding> {
        let name = self.take_while(|c| !c.is_whitespace());
        if name.value.is_empty() {
            return Err(self.source.error(CODE, tag, "`<` stands in text").help("write `&lt;`"));
        }
        if name.value.contains('=') {
            let message = format!("a blank is missing in `{}`", name.value);
            let help = "separate the element's name from the attribute";
            return Err(self.source.error(CODE, name.span, message).help(help));
        }
        Ok(name)
    }

    fn attributes(&mut self, element: &mut Element) -> Result<(), Finding> {
        let mut comment = false;
        loop {
            self.skip_blanks();
            if self.rest.is_empty() {
                return Ok(());
            }
            let word = self.word();
            self.skip_blanks();
            if word.value.starts_with('<') {
                let comment = word.value.starts_with("<!--");
                let what = if comment { "a comment stands inside a tag" } else { "`<` stands inside a tag" };
                let help = if comment { "move it behind the tag" } else { "end the tag with `>` before it" };
                return Err(self.source.error(CODE, word.span, what).help(help));
            }
            if self.rest.starts_with('=') && !word.value.starts_with(['"', '\'']) {
                self.skip(1);
                self.skip_blanks();
                let value = self.value(&word)?;
                element.attributes.push(Attribute { name: word, value });
                continue;
            }
            // `<delete start="true" ## why it is on/>`: sersync2 takes the words for attributes.
            comment |= word.value.starts_with('#');
            if !comment {
                element.stray.push(word);
            }
        }
    }

    /// A name up to its `=`, or a quoted text that belongs to nothing.
    fn word(&mut self) -> Spanned<String> {
        let mut chars = self.rest.chars();
        match chars.next() {
            Some(quote @ ('"' | '\'')) => {
                let len = chars.as_str().find(quote).map_or(self.rest.len(), |at| at + 2);
                self.take(len)
            }
            Some('=') => self.take(1),
            _ => self.take_while(|c| !c.is_whitespace() && !matches!(c, '=' | '"' | '\'')),
        }
    }

    fn value(&mut self, name: &Spanned<String>) -> Result<Spanned<String>, Finding> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let raw = if let Some(quote) = quote {
            self.skip(1);
            let raw = self.take_while(|c| c != quote);
            self.skip(1);
            raw
        } else {
            self.take_while(|c| !c.is_whitespace())
        };
        if raw.value.contains('<') {
            let message = format!("`<` stands in the value of `{}`", name.value);
            let help = "close the quote before it, or write `&lt;`";
            return Err(self.source.error(CODE, raw.span, message).help(help));
        }
        Ok(Spanned::new(resolve(&raw.value), raw.span))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> Spanned<String> {
        self.take(self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len()))
    }

    fn take(&mut self, len: usize) -> Spanned<String> {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        let span = Span::new(self.at, self.at + taken.len());
        self.rest = rest;
        self.at = span.end;
        Spanned::new(taken.to_owned(), span)
    }

    fn skip(&mut self, len: usize) {
        self.take(len);
    }

    fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }
}

/// No entity is longer, zeros before its number included.
const LONGEST: usize = 32;

/// The value with its entities resolved; what is no entity stays as it is.
fn resolve(raw: &str) -> String {
    resolved(raw).map(|(_, c)| c).collect()
}

/// The characters that `raw` stands for, each with the place where it stands in `raw`.
pub(crate) fn resolved(raw: &str) -> impl Iterator<Item = (usize, char)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let rest = raw.get(next..)?;
        let first = rest.chars().next()?;
        let (c, len) = entity(rest).unwrap_or((first, first.len_utf8()));
        let at = next;
        next += len;
        Some((at, c))
    })
}

/// The character that the entity at the beginning of `text` stands for, and how long that is.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    let rest = text.strip_prefix('&')?;
    let end = rest.bytes().take(LONGEST).position(|byte| byte == b';')?;
    Some((character(rest.get(..end)?)?, end + 2))
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn entities_resolve_and_the_rest_stays() {
        assert_eq!(resolve("a&amp;b&lt;&#65;&#x42;& &nope; &#0x;&"), "a&b<AB& &nope; &#0x;&");
    }
}
