//! From the text of a `syncd.toml` to its grammar, past what is wrong, so that one fault hides no other.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use syncd_compat::{Finding, Findings, MORE, Severity, SourceText};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::error;
use super::file::File;

/// How often a file is read again past a fault, at most.
const MOST_ROUNDS: usize = 1_000;

/// How much text is read again, all together.
const MOST_TEXT: usize = 8 << 20;

/// A file that could be read, as far as it makes sense.
pub(super) struct Mended {
    pub(super) file: File,
    /// The places of values that are not the file's: what is wrong there has been said.
    pub(super) stand_ins: Vec<Range<usize>>,
}

/// Reads the file; what is wrong with its keys and the types of its values goes to `findings`. None
/// where no more can be said of it.
pub(super) fn read(source: &SourceText, findings: &mut Findings) -> Option<Mended> {
    let text = source.text();
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        findings.extend(errors.iter().take(MOST_ROUNDS).map(|error| error::syntax(source, error)));
        return None;
    }
    let mut mending = Mending { source, root, stand_ins: Vec::new(), removed: Vec::new(), tried: None, findings };
    for _ in 0..(MOST_TEXT / text.len().max(1)).clamp(1, MOST_ROUNDS) {
        match File::deserialize(toml::Deserializer::from(mending.root.clone())) {
            Ok(file) => return Some(Mended { file, stand_ins: mending.stand_ins }),
            Err(error) => mending.past(&error)?,
        }
    }
    let more = Finding::of_file(source.file(), MORE, "what else is wrong is not shown");
    findings.push(Finding { severity: Severity::Note, ..more }.help("correct what is shown, and check again"));
    None
}

/// A file on its way.
struct Mending<'a, 'i> {
    source: &'a SourceText,
    root: Spanned<DeTable<'i>>,
    stand_ins: Vec<Range<usize>>,
    /// The values that were taken away: the place of their table, their key, and where they stood.
    removed: Vec<(Range<usize>, String, Range<usize>)>,
    /// The stand-in for what is missing that was put in last.
    tried: Option<Tried>,
    findings: &'a mut Findings,
}

/// A stand-in for what is missing, whose type only the reader knows.
struct Tried {
    /// The place of the table that it is in, and its key there.
    table: Range<usize>,
    key: String,
    /// The place that it is said to have.
    span: Range<usize>,
    /// How many types it has had before.
    before: usize,
}

impl Mending<'_, '_> {
    /// Says what `error` is and takes it out; none where that cannot be done.
    fn past(&mut self, error: &toml::de::Error) -> Option<()> {
        let message = error.message().trim();
        let span = error.span().unwrap_or_default();
        if message.starts_with("unknown field ")
            && let Some((path, key)) = path_to(self.root.get_ref(), &span)
            && let Some(known) = message.strip_prefix(&format!("unknown field `{key}`"))
        {
            self.unknown(&path, &known.split('`').skip(1).step_by(2).collect::<Vec<_>>());
            return Some(());
        }
        if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            let taken = self.removed.iter().find(|(table, of, _)| *table == span && of == key);
            let at = taken.map(|(_, _, value)| value.clone());
            if at.is_none() {
                self.findings.push(error::finding(self.source, error));
            }
            let at = at.unwrap_or_else(|| span.clone());
            self.stand_ins.push(at.clone());
            return self.try_next(Tried { table: span, key: key.to_owned(), span: at, before: 0 });
        }
        // What was tried last is of another type.
        if let Some(tried) = self.tried.take_if(|tried| tried.span == span) {
            return self.try_next(Tried { before: tried.before + 1, ..tried });
        }
        self.findings.push(error::finding(self.source, error));
        let text = message.ends_with("expected a string");
        if text {
            self.stand_ins.push(span.clone());
        } else if let Some((table, key)) = owner(self.root.get_ref(), &self.root.span(), &span) {
            self.removed.push((table, key, span.clone()));
        }
        replace(self.root.get_mut(), &span, text).then_some(())
    }

    /// Puts the next stand-in into the table that misses one; none where all were tried.
    fn try_next(&mut self, tried: Tried) -> Option<()> {
        let value = kinds().into_iter().nth(tried.before)?;
        let table = table_at(self.root.get_mut(), &tried.table)?;
        let key = Spanned::new(tried.span.clone(), Cow::Owned(tried.key.clone()));
        table.insert(key, Spanned::new(tried.span.clone(), value));
        self.tried = Some(tried);
        Some(())
    }

    /// Takes every key that is not `known` out of all tables that `path` leads to.
    fn unknown(&mut self, path: &[String], known: &[&str]) {
        let (source, findings) = (self.source, &mut *self.findings);
        each(self.root.get_mut(), path, &mut |table| {
            let wrong = |key: &&Spanned<Cow<'_, str>>| !known.contains(&key.get_ref().as_ref());
            let wrong: Vec<_> = table.keys().filter(wrong).cloned().collect();
            for key in wrong {
                findings.push(error::unknown_key(source, key.span().into(), key.get_ref(), known));
                table.remove(key.get_ref().as_ref());
            }
        });
    }
}

/// A value of each type that a key that must be there can have.
fn kinds<'i>() -> [DeValue<'i>; 4] {
    [
        DeValue::String(Cow::Borrowed("")),
        // The 0, which nothing that must be there is.
        DeValue::Integer(DeInteger::default()),
        DeValue::Array(DeArray::default()),
        DeValue::Boolean(false),
    ]
}

/// The place of the table that has a value at `span`, and the key of that; `at` is the place of `table`.
fn owner(table: &DeTable<'_>, at: &Range<usize>, span: &Range<usize>) -> Option<(Range<usize>, String)> {
    table.iter().find_map(|(key, value)| {
        if value.span() == *span {
            return Some((at.clone(), key.get_ref().to_string()));
        }
        owner_in(value, span)
    })
}

fn owner_in(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<(Range<usize>, String)> {
    match value.get_ref() {
        DeValue::Table(table) => owner(table, &value.span(), span),
        DeValue::Array(array) => array.iter().find_map(|value| owner_in(value, span)),
        _ => None,
    }
}

fn stand_in<'i>(span: &Range<usize>) -> Spanned<DeValue<'i>> {
    Spanned::new(span.clone(), DeValue::String(Cow::Borrowed("")))
}

/// The keys that lead to the table with a key at `span`, and that key.
fn path_to(table: &DeTable<'_>, span: &Range<usize>) -> Option<(Vec<String>, String)> {
    table.iter().find_map(|(key, value)| {
        if key.span() == *span {
            return Some((Vec::new(), key.get_ref().to_string()));
        }
        let (mut path, found) = within(value.get_ref(), span)?;
        path.insert(0, key.get_ref().to_string());
        Some((path, found))
    })
}

fn within(value: &DeValue<'_>, span: &Range<usize>) -> Option<(Vec<String>, String)> {
    match value {
        DeValue::Table(table) => path_to(table, span),
        DeValue::Array(array) => array.iter().find_map(|value| within(value.get_ref(), span)),
        _ => None,
    }
}

/// Has `act` change all tables that `path` leads to, through arrays too.
fn each<'i>(table: &mut DeTable<'i>, path: &[String], act: &mut dyn FnMut(&mut DeTable<'i>)) {
    let Some((first, rest)) = path.split_first() else { return act(table) };
    if let Some(value) = table.get_mut(first.as_str()) {
        each_in(value.get_mut(), rest, act);
    }
}

fn each_in<'i>(value: &mut DeValue<'i>, path: &[String], act: &mut dyn FnMut(&mut DeTable<'i>)) {
    match value {
        DeValue::Table(table) => each(table, path, act),
        DeValue::Array(array) => array.iter_mut().for_each(|value| each_in(value.get_mut(), path, act)),
        _ => {}
    }
}

/// The table at `span`.
fn table_at<'t, 'i>(table: &'t mut DeTable<'i>, span: &Range<usize>) -> Option<&'t mut DeTable<'i>> {
    table.iter_mut().find_map(|(_, value)| table_in(value, span))
}

fn table_in<'t, 'i>(value: &'t mut Spanned<DeValue<'i>>, span: &Range<usize>) -> Option<&'t mut DeTable<'i>> {
    let here = value.span() == *span;
    match value.get_mut() {
        DeValue::Table(table) => {
            if here {
                Some(table)
            } else {
                table_at(table, span)
            }
        }
        DeValue::Array(array) => array.iter_mut().find_map(|value| table_in(value, span)),
        _ => None,
    }
}

/// Puts a text in the place of the value at `span`, or takes it away; whether there was one.
fn replace<'i>(table: &mut DeTable<'i>, span: &Range<usize>, text: bool) -> bool {
    let found = table.iter().find(|(_, value)| value.span() == *span).map(|(key, _)| key.get_ref().to_string());
    match found {
        Some(key) if text => table.get_mut(key.as_str()).map(|value| *value = stand_in(span)).is_some(),
        Some(key) => table.remove(key.as_str()).is_some(),
        None => table.iter_mut().any(|(_, value)| replace_in(value.get_mut(), span, text)),
    }
}

fn replace_in<'i>(value: &mut DeValue<'i>, span: &Range<usize>, text: bool) -> bool {
    match value {
        DeValue::Table(table) => replace(table, span, text),
        DeValue::Array(array) => {
            if let Some(value) = array.iter_mut().find(|value| text && value.span() == *span) {
                *value = stand_in(span);
                return true;
            }
            if array.iter().any(|value| value.span() == *span) {
                *array = array.clone().into_iter().filter(|value| value.span() != *span).collect();
                return true;
            }
            array.iter_mut().any(|value| replace_in(value.get_mut(), span, text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let (source, mut findings) = (SourceText::decode("s.toml", text.as_bytes()), Findings::default());
        let _ = read(&source, &mut findings);
        let mut findings = findings.into_vec(source.file());
        findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
        findings.iter().map(Finding::summary).collect()
    }

    #[test]
    fn every_unknown_key_and_wrong_type_is_named_at_once() {
        let text = "[nod]\n[node]\nlissten = 1\nname = 5\ndebug = \"yes\"\n[[peer]]\nname = \"b\"\n\
                    [[set]]\nname = \"s\"\npath = 7\nrole = true\npeer = []\npeers = [\"b\", 3]\nauth = { usr = 1 }\n\
                    [[set]]\nnmae = \"t\"\npath = \"/t\"\nrole = \"primary\"\nexclude = \"x\"\n\
                    options = { mod = 1, mode = 1 }\nmax-connections = -1\n[tuning]\nthreads = \"4\"\n";
        insta::assert_debug_snapshot!(findings(text), @r#"
        [
            "s.toml:1:2: error: `nod` is no key here — did you mean `node`?",
            "s.toml:3:1: error: `lissten` is no key here — did you mean `listen`?",
            "s.toml:4:8: error: invalid type: integer `5`, expected a string",
            "s.toml:5:9: error: invalid type: string \"yes\", expected a boolean",
            "s.toml:6:1: error: `address` is missing in this table",
            "s.toml:10:8: error: invalid type: integer `7`, expected a string",
            "s.toml:11:8: error: invalid type: boolean `true`, expected a string",
            "s.toml:12:1: error: `peer` is no key here — did you mean `peers`?",
            "s.toml:13:15: error: invalid type: integer `3`, expected a string",
            "s.toml:14:10: error: `usr` is no key here — did you mean `user`?",
            "s.toml:15:1: error: `name` is missing in this table",
            "s.toml:16:1: error: `nmae` is no key here — did you mean `name`?",
            "s.toml:19:11: error: invalid type: string \"x\", expected a sequence",
            "s.toml:20:13: error: `mod` is no key here — did you mean `mode`?",
            "s.toml:20:29: error: invalid type: integer `1`, expected a boolean",
            "s.toml:21:19: error: invalid value: integer `-1`, expected u32",
            "s.toml:23:11: error: invalid type: string \"4\", expected usize",
        ]
        "#);
    }

    #[test]
    fn a_number_that_must_be_there_is_named_once() {
        let text = "[[vrrp]]\nname = \"a\"\ninterface = \"e\"\nvrid = 300\npriority = \"x\"\n\
                    [[vrrp]]\nname = \"b\"\nvrid = \"7\"\n[[vrrp]]\ninterface = \"e\"\n\
                    [[vrrp-script]]\nname = \"s\"\n[[vrrp-script]]\nname = \"t\"\ncommand = 5\n";
        insta::assert_debug_snapshot!(findings(text), @r#"
        [
            "s.toml:4:8: error: invalid value: integer `300`, expected u8",
            "s.toml:5:12: error: invalid type: string \"x\", expected u8",
            "s.toml:6:1: error: `interface` is missing in this table",
            "s.toml:8:8: error: invalid type: string \"7\", expected u8",
            "s.toml:9:1: error: `name` is missing in this table",
            "s.toml:9:1: error: `vrid` is missing in this table",
            "s.toml:11:1: error: `command` is missing in this table",
            "s.toml:15:11: error: invalid type: integer `5`, expected a sequence",
        ]
        "#);
        let source = SourceText::decode("s.toml", text.as_bytes());
        let mended = read(&source, &mut Findings::default()).expect("mended");
        assert_eq!((mended.file.vrrp.len(), mended.file.vrrp_script.len()), (3, 2));
    }

    #[test]
    fn every_fault_of_the_syntax_is_named_at_once() {
        insta::assert_debug_snapshot!(findings("[node]\nname = web\ndebug = true\ndebug = true\n[[set]\nname = \"\n"), @r#"
        [
            "s.toml:2:8: error: string values must be quoted, expected literal string",
            "s.toml:4:1: error: duplicate key",
            "s.toml:5:7: error: unclosed array table, expected `]`",
        ]
        "#);
    }

    #[test]
    fn a_backtick_in_a_key_makes_no_other_key_unknown() {
        let said = findings("[node]\n\"a`b\" = 1\nname = \"x\"\n");
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn a_flood_of_faults_ends() {
        let said =
            findings(&format!("{}[[set]]\npeers = [{}]\n", "[[set]]\nx = 1\n".repeat(2_000), "1, ".repeat(2_000)));
        assert!(said.len() < 1_100 && said.iter().any(|line| line.contains(" more — correct")), "{}", said.len());
    }

    proptest! {
        #[test]
        fn no_arrangement_of_keys_and_values_panics(
            lines in prop::collection::vec(prop::sample::select(vec![
                "[node]", "[[set]]", "[set]", "[[peer]]", "name = 1", "name = 'x'", "x.y = {}", "path = ['a', 1, {}]", "role = {}",
                "set = 5", "[set.options]", "mode = 1", "auth = {user = 1, x = [{}]}", "peers = 1e3", "'' = 1", "[tuning]",
            ]), 0..12)
        ) {
            findings(&lines.join("\n"));
        }
    }
}
