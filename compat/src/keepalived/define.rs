//! `$NAME=value`, and `$NAME` or `${NAME}` in its place.

use std::collections::BTreeMap;

use super::line::Line;

/// What a name stands for: a line, or several.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    /// The lines, of which only one without a backslash is the last.
    pub(super) lines: Vec<Line>,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Definitions(BTreeMap<String, Definition>);

/// A line in which names were replaced.
#[derive(Debug, Default)]
pub(super) struct Substituted {
    pub(super) line: Line,
    /// What a definition of several lines puts behind it.
    pub(super) rest: Vec<Line>,
    /// Whether anything was replaced.
    pub(super) changed: bool,
    /// A random number that was asked for.
    pub(super) random: Option<(usize, usize)>,
}

/// `$NAME` in a line.
struct Reference<'a> {
    name: &'a str,
    /// What follows the name inside of braces.
    parameters: &'a str,
    end: usize,
}

impl Definitions {
    pub(super) fn set(&mut self, name: &str, lines: Vec<Line>) {
        self.0.insert(name.to_owned(), Definition { lines });
    }

    /// Adds a line to a definition that goes on.
    pub(super) fn extend(&mut self, name: &str, line: Line) {
        self.0.entry(name.to_owned()).or_default().lines.push(line);
    }

    /// `line` with each name that is known replaced once; a name that is not stays as it is.
    pub(super) fn substitute(&self, line: &Line) -> Substituted {
        let text = line.text();
        let mut done = Substituted::default();
        let (mut kept, mut from) = (0, 0);
        while let Some(at) = text.get(from..).and_then(|rest| rest.find('$')).map(|found| from + found) {
            from = at + 1;
            let Some(reference) = reference(text, at) else { continue };
            let value = match self.0.get(reference.name) {
                Some(definition) => {
                    done.rest.extend(definition.lines.iter().skip(1).cloned());
                    definition.lines.first().cloned().unwrap_or_default()
                }
                None if reference.name == "_RANDOM" => {
                    done.random = Some((at, reference.end));
                    let least = reference.parameters.split_whitespace().next().unwrap_or("0");
                    Line::instead(least, line.at(at, reference.end))
                }
                None => continue,
            };
            done.line.append(&line.slice(kept, at));
            done.line.append(&value);
            done.changed = true;
            (kept, from) = (reference.end, reference.end);
        }
        done.line.append(&line.slice(kept, text.len()));
        done.line.cut = line.cut;
        done
    }
}

/// The reference whose `$` stands at `at`.
fn reference(text: &str, at: usize) -> Option<Reference<'_>> {
    let rest = text.get(at + 1..)?;
    let (name_start, braced) = if rest.starts_with('{') { (at + 2, true) } else { (at + 1, false) };
    let name = name_of(text.get(name_start..)?)?;
    let behind = name_start + name.len();
    if !braced {
        return Some(Reference { name, parameters: "", end: behind });
    }
    let parameters = text.get(behind..)?;
    let close = parameters.find('}')?;
    Some(Reference { name, parameters: parameters.get(..close)?, end: behind + close + 1 })
}

/// The name that `text` begins with.
fn name_of(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

/// Name and value where `line` is a definition.
pub(super) fn definition(line: &Line) -> Option<(String, Line)> {
    let text = line.text();
    let name = name_of(text.strip_prefix('$')?)?;
    let value = text.get(1 + name.len()..)?.trim_start().strip_prefix('=')?;
    Some((name.to_owned(), line.slice(text.len() - value.len(), text.len()).trimmed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::verbatim(text, 0, 0)
    }

    #[test]
    fn names_are_replaced_and_unknown_ones_stay() {
        let mut names = Definitions::default();
        let (name, value) = definition(&line("$IF = eth0")).expect("a definition");
        names.set(&name, vec![value]);
        let done = names.substitute(&line("dev $IF ${IF}.1 $IFX ${nope} $ $1"));
        assert_eq!(done.line.text(), "dev eth0 eth0.1 $IFX ${nope} $ $1");
        assert!(definition(&line("$IF eth0")).is_none() && definition(&line("$1=x")).is_none());
    }

    #[test]
    fn several_lines_follow_the_first() {
        let mut names = Definitions::default();
        names.set("A", vec![line("one"), line("two")]);
        let done = names.substitute(&line("x $A y"));
        assert_eq!((done.line.text(), done.rest.len()), ("x one y", 1));
    }
}
