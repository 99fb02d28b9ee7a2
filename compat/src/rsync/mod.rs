//! Options of rsync(1) as `commonParams` holds them.

mod braces;
pub mod rules;
mod table;

use crate::findings::Findings;
use crate::nearest;
use crate::span::{Span, Spanned};
use crate::text::SourceText;
use crate::xml;

pub use rules::{CVS_EXCLUDES, Directive, Pattern, Refused};
pub use table::{Argument, Effect, OPTIONS, Spec};

/// What only a shell gives a meaning; within quotes it is text like any other.
const SHELL: [char; 7] = [';', '&', '|', '`', '$', '>', '<'];

/// One option that rsync knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RsyncOption {
    /// Which it is.
    pub spec: &'static Spec,
    /// Whether it is switched on, which `--no-OPTION` does not.
    pub on: bool,
    /// Its argument.
    pub value: Option<String>,
    /// Where it stands: the word, or the letter's word.
    pub span: Span,
}

/// The options in `params`; what is not one, or is not honoured, goes to `findings`.
///
/// sersync2 hands `params` to a shell. No shell runs here: quotes, blanks and lists in braces are taken as
/// bash takes them, and its other characters are named and refused.
pub fn parse(source: &SourceText, params: &Spanned<String>, findings: &mut Findings) -> Vec<RsyncOption> {
    let mut parser = Parser { source, findings, options: Vec::new() };
    let mut words = parser.expanded(split(source, params)).into_iter();
    while let Some(word) = words.next() {
        parser.word(&word, &mut words);
    }
    parser.options
}

struct Parser<'a> {
    source: &'a SourceText,
    findings: &'a mut Findings,
    options: Vec<RsyncOption>,
}

impl Parser<'_> {
    /// The words with their lists in braces made words of their own.
    fn expanded(&mut self, split: Vec<Word>) -> Vec<Spanned<String>> {
        let mut words = Vec::new();
        for Word { text, span, marks } in split {
            match braces::expand(&text, &marks) {
                None => self.shell(&Spanned::new(text, span)),
                Some(expanded) => {
                    if expanded.len() > 1 {
                        let message = format!(
                            "`{text}` is taken for `{}`, as bash takes it; where another shell is /bin/sh, sersync2 passed \
                             it on as it stands",
                            expanded.join(" ")
                        );
                        let finding = self.source.warning("rsync-braces", span, message);
                        self.findings.push(finding.help("write the option once for each"));
                    }
                    words.extend(expanded.into_iter().map(|text| Spanned::new(text, span)));
                }
            }
        }
        words
    }

    fn word(&mut self, word: &Spanned<String>, words: &mut impl Iterator<Item = Spanned<String>>) {
        if let Some(long) = word.value.strip_prefix("--").filter(|long| !long.is_empty()) {
            self.long(long, word, words);
        } else if let Some(letters) = word.value.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            self.letters(letters, word, words);
        } else if word.value.contains(SHELL) {
            self.shell(word);
        } else {
            let message = format!("`{}` is no option of rsync and ignored", word.value);
            self.findings.push(self.source.warning("rsync-unknown-option", word.span, message).help("remove it"));
        }
    }

    fn shell(&mut self, word: &Spanned<String>) {
        let message = format!("`{}` is meant for a shell, and syncd runs none", word.value);
        let finding = self.source.error("rsync-shell", word.span, message);
        self.findings.push(finding.help("leave only options of rsync in commonParams"));
    }

    fn long(&mut self, long: &str, word: &Spanned<String>, words: &mut impl Iterator<Item = Spanned<String>>) {
        let (name, inline) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        // `--no-whole-file` is an off switch, `--no-motd` an option of that name.
        let (spec, on) = match (find_long(name), name.strip_prefix("no-").or(name.strip_prefix("no_"))) {
            (Some(spec), _) => (Some(spec), true),
            (None, Some(rest)) => (find_long(rest).or_else(|| only_letter(rest).and_then(find_letter)), false),
            (None, None) => (None, true),
        };
        let Some(spec) = spec else { return self.unknown(word, name) };
        let value = match inline {
            Some(value) => Some(value),
            None if spec.argument.is_some() && on => words.next().map(|word| word.value),
            None => None,
        };
        self.push(spec, on, value, word.span, &format!("--{name}"));
    }

    fn letters(&mut self, letters: &str, word: &Spanned<String>, words: &mut impl Iterator<Item = Spanned<String>>) {
        for (at, letter) in letters.char_indices() {
            let Some(spec) = find_letter(letter) else {
                if SHELL.contains(&letter) {
                    return self.shell(word);
                }
                self.unknown(word, &format!("-{letter}"));
                continue;
            };
            let name = format!("-{letter}");
            if spec.argument.is_none() {
                self.push(spec, true, None, word.span, &name);
                continue;
            }
            let rest = letters.get(at + letter.len_utf8()..).unwrap_or("");
            let value = if rest.is_empty() { words.next().map(|word| word.value) } else { Some(rest.to_owned()) };
            return self.push(spec, true, value, word.span, &name);
        }
    }

    fn push(&mut self, spec: &'static Spec, on: bool, value: Option<String>, span: Span, name: &str) {
        if spec.argument.is_some() && on && value.is_none() {
            let message = format!("`{name}` needs an argument");
            self.findings.push(self.source.error("rsync-argument", span, message).help(format!("write {name}=VALUE")));
            return;
        }
        // What is switched off asks for nothing.
        if on {
            self.findings.extend(spec.standing.finding(self.source, span, name));
        }
        self.options.push(RsyncOption { spec, on, value, span });
    }

    fn unknown(&mut self, word: &Spanned<String>, name: &str) {
        let message = format!("`{}` is no option of rsync and ignored", word.value);
        let finding = self.source.warning("rsync-unknown-option", word.span, message);
        let near = if name.starts_with('-') { None } else { nearest(name, OPTIONS.iter().map(|spec| spec.long)) };
        self.findings.push(match near {
            Some(near) => finding.help(format!("did you mean `--{near}`?")),
            None => finding.help("remove it"),
        });
    }
}

fn find_long(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.long == name || spec.alias == Some(name))
}

fn find_letter(letter: char) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.letter == Some(letter))
}

fn only_letter(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Where each part of an attribute's value stands in the file, entities or not.
struct Placed {
    all: Span,
    /// Where each character of the value begins in it and in the file; empty where neither is known.
    characters: Vec<(usize, usize)>,
}

impl Placed {
    fn of(source: &SourceText, params: &Spanned<String>) -> Self {
        let all = params.span;
        let raw = source.text().get(all.start..all.end).unwrap_or("");
        let mut characters = Vec::new();
        let mut at = 0;
        for (there, c) in xml::resolved(raw) {
            characters.push((at, all.start + there));
            at += c.len_utf8();
        }
        characters.push((at, all.end));
        if !xml::resolved(raw).map(|(_, c)| c).eq(params.value.chars()) {
            characters.clear();
        }
        Self { all, characters }
    }

    /// Where `start..end` of the value stands; all of it where that is not known.
    fn span(&self, start: usize, end: usize) -> Span {
        let place = |offset| {
            let found = self.characters.binary_search_by_key(&offset, |(at, _)| *at).ok()?;
            self.characters.get(found).map(|(_, there)| *there)
        };
        place(start).zip(place(end)).map_or(self.all, |(start, end)| Span::new(start, end))
    }
}

/// A word of the line, where it stands in the file.
#[derive(Default)]
struct Word {
    text: String,
    span: Span,
    /// Where in the text a brace or a comma stands that is not quoted.
    marks: Vec<usize>,
}

/// The words as a shell splits them, each where it stands.
fn split(source: &SourceText, params: &Spanned<String>) -> Vec<Word> {
    let placed = Placed::of(source, params);
    let mut words = Vec::new();
    let mut word: Option<(Word, usize)> = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in params.value.char_indices().chain([(params.value.len(), ' ')]) {
        let end = at == params.value.len();
        let begun = |word: &mut Option<(Word, usize)>| {
            word.get_or_insert((Word::default(), at));
        };
        if escaped && !end {
            word.get_or_insert((Word::default(), at)).0.text.push(c);
            escaped = false;
        } else if c == '\\' && quote != Some('\'') {
            begun(&mut word);
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '"' | '\'') {
            begun(&mut word);
            quote = Some(c);
        } else if end || (c.is_whitespace() && quote.is_none()) {
            if let Some((text, start)) = word.take() {
                words.push(Word { span: placed.span(start, at), ..text });
            }
        } else {
            let (word, _) = word.get_or_insert((Word::default(), at));
            if quote.is_none() && matches!(c, '{' | ',' | '}') {
                word.marks.push(word.text.len());
            }
            word.text.push(c);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(params: &str) -> (Vec<String>, Vec<String>) {
        let source = SourceText::decode("c.xml", params.as_bytes());
        let mut findings = Findings::default();
        let options = parse(&source, &Spanned::new(params.to_owned(), Span::new(0, params.len())), &mut findings);
        let shown = |o: &RsyncOption| {
            let value = o.value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
            format!("{}{}{value}", if o.on { "" } else { "!" }, o.spec.long)
        };
        (options.iter().map(shown).collect(), findings.iter().map(crate::Finding::summary).collect())
    }

    #[test]
    fn behind_an_entity_a_word_is_where_it_stands() {
        let text = "p='&lt;设 -Z设 --exclud=&quot;a b&#x22; &x;'";
        let source = SourceText::decode("c.xml", text.as_bytes());
        let span = Span::new(3, text.len() - 1);
        let said = |value: &str| {
            let mut findings = Findings::default();
            parse(&source, &Spanned::new(value.to_owned(), span), &mut findings);
            let spans = findings.iter().filter_map(|finding| finding.place.as_ref()).map(|place| place.span);
            spans.map(|span| source.text().get(span.start..span.end).expect("a part of the text")).collect::<Vec<_>>()
        };
        assert_eq!(
            said("<设 -Z设 --exclud=\"a b\" &x;"),
            ["&lt;设", "-Z设", "-Z设", "--exclud=&quot;a b&#x22;", "&x;"]
        );
        // What the file does not say stands at the place of all.
        assert_eq!(said("-Z"), [text.get(3..text.len() - 1).expect("all")]);
    }

    #[test]
    fn letters_long_names_arguments_and_quotes() {
        let (options, findings) = options("-avzP --no-o --exclude='a b' --exclude *.log -e\"x\" --no-whole-file -T /t");
        assert_eq!(options[..6], ["archive", "verbose", "compress", "partial-progress", "!owner", "exclude=a b"]);
        assert_eq!(options[6..], ["exclude=*.log", "rsh=x", "!whole-file", "temp-dir=/t"]);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn a_list_in_braces_is_several_words_unless_it_is_quoted() {
        let (found, findings) = options("--exclude={a,b} --exclude='{c,d}' --exclude=\\{e,f} -{a,v}");
        assert_eq!(
            found,
            ["exclude=a", "exclude=b", "exclude={c,d}", "exclude={e,f}", "archive", "verbose"],
            "{findings:?}"
        );
        assert!(
            findings[0].starts_with("c.xml:1:1: warning: `--exclude={a,b}` is taken for `--exclude=a"),
            "{findings:?}"
        );
        let (_, findings) = options("--exclude={a,{b,c}}");
        assert!(matches!(&*findings, [one] if one.contains("meant for a shell")), "{findings:?}");
    }

    #[test]
    fn what_is_no_option_is_named() {
        let (_, findings) = options("-az --delte -Z x; --bwlimit");
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "c.xml:1:5: warning: `--delte` is no option of rsync and ignored — did you mean `--delete`?",
            "c.xml:1:13: warning: `-Z` is no option of rsync and ignored — remove it",
            "c.xml:1:16: error: `x;` is meant for a shell, and syncd runs none — leave only options of rsync in commonParams",
            "c.xml:1:19: error: `--bwlimit` needs an argument — write --bwlimit=VALUE",
        ]
        "#);
    }

    #[test]
    fn every_name_and_letter_is_there_once() {
        for (at, spec) in OPTIONS.iter().enumerate() {
            let mut others = OPTIONS[at + 1..].iter();
            assert!(
                !others.any(|o| o.long == spec.long || (o.letter.is_some() && o.letter == spec.letter)),
                "{spec:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_words_panic(params in "[-a-zA-Z='\" \\\\é;]{0,40}") {
            let (options, _) = options(&params);
            prop_assert!(options.len() <= params.len());
        }
    }
}
