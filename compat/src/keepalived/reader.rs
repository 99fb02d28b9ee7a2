//! Files as the lines that keepalived sees: includes, conditions, definitions and repetitions resolved.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::define::{self, Definitions};
use super::line::Line;
use super::physical::{self, Physical};
use super::place::{At, Sources};
use super::repeat::{self, Repeat};
use crate::text::SourceText;

/// The longest line, as written or with its names replaced; keepalived's own limit is far below.
const LONGEST_LINE: usize = 64 << 10;

/// How much text all lines may come to once names are replaced and lines repeated, with what is known of its places.
const MOST_TEXT: usize = 8 << 20;

/// How many lines they may come to.
const MOST_LINES: usize = 100_000;

/// How often names within names are replaced.
const MOST_ROUNDS: usize = 32;

/// How deep files may include files.
const DEEPEST_INCLUDE: usize = 16;

/// How many files there may be in all.
const MOST_FILES: usize = 256;

/// The words that a line begins with which names further files.
pub const INCLUDES: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// Finds the files that an `include` names: given the file that says so and the pattern, gives them
/// in the order of their names. None found is an empty list.
pub type Loader<'a> = dyn FnMut(&Path, &str) -> Result<Vec<SourceText>, String> + 'a;

/// Where a configuration is read.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// The node's id, which lines for one node (`@id`) compare with; by default the host's short name.
    pub id: &'a str,
    /// What relative names of files start from, in full.
    pub directory: &'a Path,
}

/// A file that is being read.
struct Frame {
    file: usize,
    offset: usize,
}

/// What comes before the next line of the file.
enum Pending {
    Line(Line),
    Repeat(Repeat),
}

/// Reads lines; each is `{`, `}`, or words without a brace outside of quotes.
pub(super) struct Reader<'a, 'b> {
    pub(super) sources: Sources,
    pub(super) findings: Findings,
    loader: &'a mut Loader<'b>,
    here: Here<'a>,
    frames: Vec<Frame>,
    pending: VecDeque<Pending>,
    names: Definitions,
    text_left: usize,
    lines_left: usize,
    said_condition: bool,
    /// The file that `${_PWD}` is about.
    directory_of: Option<usize>,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(main: &SourceText, here: Here<'a>, loader: &'a mut Loader<'b>) -> Self {
        let mut names = Definitions::default();
        for (name, value) in [("_HASH", "#"), ("_BANG", "!"), ("_INSTANCE", "")] {
            names.set(name, vec![Line::instead(value, At::default())]);
        }
        let mut sources = Sources::default();
        let file = sources.add(main.clone());
        Self {
            sources,
            findings: Findings::default(),
            loader,
            here,
            frames: vec![Frame { file, offset: 0 }],
            pending: VecDeque::new(),
            names,
            text_left: MOST_TEXT,
            lines_left: MOST_LINES,
            said_condition: false,
            directory_of: None,
        }
    }

    /// `${_PWD}` is the directory of the file that is being read, in full.
    fn enter(&mut self, file: usize) {
        if self.directory_of.replace(file) == Some(file) {
            return;
        }
        let Some(source) = self.sources.get(file) else { return };
        let whole = self.here.directory.join(source.file());
        let directory = whole.parent().unwrap_or(&whole).components().collect::<PathBuf>();
        self.names.set("_PWD", vec![Line::instead(&directory.display().to_string(), At::default())]);
    }

    /// The next line that says something.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        loop {
            let line = match self.pending.pop_front() {
                Some(Pending::Line(line)) => line,
                Some(Pending::Repeat(mut repeat)) => {
                    let Some(value) = repeat.advance() else { continue };
                    let line = repeat.line.clone();
                    self.names.set(&repeat.name, vec![Line::instead(&value, line.at(0, line.text().len()))]);
                    self.pending.push_front(Pending::Repeat(repeat));
                    line
                }
                None => self.physical_line()?,
            };
            let at = line.at(0, line.text().len());
            if !self.afford(line.text().len(), at) {
                return None;
            }
            if let Some(line) = self.process(line) {
                return Some(line);
            }
        }
    }

    /// Counts a line; false when there were too many, which ends the reading.
    fn afford(&mut self, len: usize, at: At) -> bool {
        match (self.lines_left.checked_sub(1), self.text_left.checked_sub(len)) {
            (Some(lines), Some(text)) => {
                (self.lines_left, self.text_left) = (lines, text);
                true
            }
            _ => {
                let message =
                    "with all that is repeated and replaced this is no configuration any more: the rest is not read";
                self.findings.push(self.sources.error("keepalived-too-large", at, message).help("repeat less"));
                (self.lines_left, self.text_left) = (0, 0);
                self.frames.clear();
                self.pending.clear();
                false
            }
        }
    }

    /// The next line of the innermost file that has one.
    fn physical_line(&mut self) -> Option<Line> {
        while let Some(physical) = self.physical() {
            if physical.line.text().is_empty() {
                continue;
            }
            if let Some((name, value)) = define::definition(&physical.line).filter(|_| physical.continued) {
                self.names.set(&name, if value.text().is_empty() { Vec::new() } else { vec![value] });
                self.continue_definition(&name);
                continue;
            }
            if physical.continued {
                let at = physical.line.at(0, physical.line.text().len());
                let message = "a line does not go on behind `\\`: the next one is read for itself";
                let help = "only `$NAME=…` goes on; write one line, or remove the `\\`";
                self.findings.push(self.sources.warning("keepalived-continuation", at, message).help(help));
            }
            return Some(physical.line);
        }
        None
    }

    /// Takes the further lines of a definition that goes on.
    fn continue_definition(&mut self, name: &str) {
        while let Some(Physical { line, continued, .. }) = self.physical() {
            if !self.afford(line.text().len(), At::default()) {
                return;
            }
            if !line.text().is_empty() {
                self.names.extend(name, line);
            }
            if !continued {
                return;
            }
        }
    }

    fn physical(&mut self) -> Option<Physical> {
        loop {
            let frame = self.frames.last_mut()?;
            let file = frame.file;
            let offset = frame.offset;
            self.enter(file);
            let rest = self.sources.get(file).and_then(|source| source.text().get(offset..)).unwrap_or("");
            if rest.is_empty() {
                self.frames.pop();
                continue;
            }
            let frame = self.frames.last_mut()?;
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            frame.offset += rest.len() - after.len();
            let line = line.trim_end_matches('\r');
            if line.len() > LONGEST_LINE {
                let at = At::new(file, offset..offset + 1);
                let message = format!("a line of {} bytes is no setting: it is not read", line.len());
                let finding = Finding { place: None, ..self.sources.error("keepalived-too-large", at, message) };
                self.findings.push(finding.help("break it up"));
                continue;
            }
            let physical = physical::read(line, file, offset);
            if let Some(at) = physical.unclosed {
                let finding = self.sources.warning("keepalived-quote", at, "nothing ends this `\"`");
                self.findings.push(finding.help("write a second `\"` behind what it quotes"));
            }
            return Some(physical);
        }
    }

    /// The words of `line` up to a brace; none where it is no line of words.
    fn process(&mut self, line: Line) -> Option<Line> {
        let mut line = line.trimmed();
        let written = line.at(0, line.text().len());
        for _ in 0..MOST_ROUNDS {
            if line.text().starts_with('@') {
                line = self.condition(&line)?.trimmed();
            }
            if let Some((name, value)) = define::definition(&line) {
                self.names.set(&name, vec![value]);
                return None;
            }
            if line.text().starts_with('~') {
                self.repeat(&line);
                return None;
            }
            let done = self.names.substitute(&line);
            if let Some((start, end)) = done.random {
                let message = "a random number is not drawn: taken is the least one";
                let at = line.at(start, end);
                self.findings.push(self.sources.warning("setting-not-honoured", at, message).help("write a number"));
            }
            if !done.changed {
                return self.finish(line);
            }
            if done.line.text().len() > LONGEST_LINE || !self.afford(done.line.weight(), written) {
                return self.endless(written);
            }
            self.pending_front(done.rest.into_iter().map(Pending::Line).collect());
            line = done.line.trimmed();
        }
        self.endless(written)
    }

    fn pending_front(&mut self, lines: Vec<Pending>) {
        lines.into_iter().rev().for_each(|line| self.pending.push_front(line));
    }

    fn endless(&mut self, at: At) -> Option<Line> {
        let message = "the names in this line stand for each other without end: it is not read";
        let finding = self.sources.error("keepalived-definition", at, message);
        self.findings.push(finding.help("let no `$NAME` stand for itself"));
        None
    }

    /// What follows `@id` or `@^id` where it is for this node.
    fn condition(&mut self, line: &Line) -> Option<Line> {
        let text = line.text();
        let (start, negated) = if text.starts_with("@^") { (2, true) } else { (1, false) };
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        let id = text.get(start..end).unwrap_or("");
        if (id == self.here.id) != negated {
            return Some(line.slice(end, text.len()));
        }
        if !self.said_condition {
            self.said_condition = true;
            let message = format!("this line is left out here: the node's id is `{}`", self.here.id);
            self.findings.push(self.sources.note("keepalived-condition", line.at(0, end), message));
        }
        None
    }

    fn repeat(&mut self, line: &Line) {
        let text = line.text();
        let head_end = text.find(')').map_or(text.len(), |close| close + 1);
        let mut head = self.names.substitute(&line.slice(0, head_end)).line;
        let at = head.at(0, head.text().len());
        head.append(&line.slice(head_end, text.len()));
        match repeat::read(&head) {
            Ok(repeat) => self.pending.push_front(Pending::Repeat(repeat)),
            Err(why) => {
                let message = format!("`{}` repeats nothing: {why}", head.text());
                self.findings.push(self.sources.error("keepalived-sequence", at, message).help("correct it"));
            }
        }
    }

    /// Follows an include, or cuts the line at its first brace.
    fn finish(&mut self, line: Line) -> Option<Line> {
        let text = line.text();
        if text.is_empty() {
            return None;
        }
        let word = text.split_whitespace().next().unwrap_or("");
        if INCLUDES.contains(&word) {
            self.include(&line, word);
            return None;
        }
        let cut = brace(text);
        let end = match cut {
            Some(0) => 1,
            Some(at) => at,
            None => return Some(line),
        };
        let rest = line.slice(end, text.len()).trimmed();
        if !rest.text().is_empty() {
            self.pending.push_front(Pending::Line(rest));
        }
        Some(line.slice(0, end).trimmed())
    }

    fn include(&mut self, line: &Line, word: &str) {
        let at = line.at(0, line.text().len());
        let pattern = line.text().get(word.len()..).unwrap_or("").trim().trim_matches('"');
        let finding = if pattern.is_empty() {
            Some(self.sources.error("keepalived-include", at, "`include` names no file").help("name one, or a pattern"))
        } else if self.frames.len() > DEEPEST_INCLUDE || self.sources.iter().count() >= MOST_FILES {
            let message = "files include each other too deep: this one is not read";
            Some(self.sources.error("keepalived-include", at, message).help("let no file include itself"))
        } else {
            self.open(at, pattern, word != "include")
        };
        self.findings.extend(finding);
    }

    /// Puts the files that `pattern` names before the rest of this one.
    fn open(&mut self, at: At, pattern: &str, required: bool) -> Option<Finding> {
        let from = self.sources.get(at.file).map(|source| source.file().to_owned()).unwrap_or_default();
        let files = match (self.loader)(&from, pattern) {
            Ok(files) if !files.is_empty() => files,
            other => {
                let why = other.err().unwrap_or_else(|| "there is no such file".to_owned());
                let message = format!("`{pattern}` is not included: {why}");
                let finding = match required {
                    true => self.sources.error("keepalived-include", at, message),
                    false => self.sources.warning("keepalived-include", at, message),
                };
                return Some(finding.help("create it, or remove the line"));
            }
        };
        let room = MOST_FILES.saturating_sub(self.sources.iter().count());
        let added: Vec<usize> = files.into_iter().take(room).map(|source| self.sources.add(source)).collect();
        self.frames.extend(added.into_iter().rev().map(|file| Frame { file, offset: 0 }));
        None
    }
}

/// The first brace outside of quotes that is not that of a `${NAME}` which nothing defines.
fn brace(text: &str) -> Option<usize> {
    let (mut quoted, mut name) = (false, false);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '{' if before == '$' && !quoted => name = true,
            '}' if name => name = false,
            '{' | '}' if !quoted => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

use crate::diag::Finding;
use crate::findings::Findings;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_with(text: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut loader = |_: &Path, pattern: &str| {
            let named = files.iter().filter(|(name, _)| *name == pattern);
            Ok(named.map(|(name, text)| SourceText::decode(*name, text.as_bytes())).collect())
        };
        let source = SourceText::decode("/etc/k/k.conf", text.as_bytes());
        let mut reader = Reader::new(&source, Here { id: "web1", directory: Path::new("/d") }, &mut loader);
        let lines = std::iter::from_fn(|| reader.next_line()).map(|line| line.text().to_owned()).collect();
        (lines, reader.findings.iter().map(crate::Finding::summary).collect())
    }

    fn lines(text: &str) -> Vec<String> {
        lines_with(text, &[]).0
    }

    #[test]
    fn braces_are_lines_of_their_own() {
        assert_eq!(lines("virtual_ipaddress { 10.0.0.1 }\r\n"), ["virtual_ipaddress", "{", "10.0.0.1", "}"]);
        assert_eq!(lines("a{\nb \"{\" } }"), ["a", "{", "b \"{\"", "}", "}"]);
    }

    #[test]
    fn definitions_are_replaced_when_they_are_used() {
        assert_eq!(lines("$A=$B\n$B=x\nuse ${A}"), ["use x"]);
        assert_eq!(lines("$V=one \\\n two \\\nthree\nb {\n$V\n}"), ["b", "{", "one", "two", "three", "}"]);
        assert_eq!(lines("$B=track { \\\neth0 }\n$B\nz"), ["track", "{", "eth0", "}", "z"]);
    }

    #[test]
    fn conditions_keep_lines_for_one_node() {
        assert_eq!(lines("@web1 priority 150\n@web2 priority 100\n@^web2 x\n@^web1 y"), ["priority 150", "x"]);
    }

    #[test]
    fn repetitions_nest() {
        assert_eq!(lines("~SEQ(i,1,2) ~LST(v,a,b) x $v$i"), ["x a1", "x b1", "x a2", "x b2"]);
    }

    #[test]
    fn includes_stand_where_they_are_named() {
        let files = [("b.conf", "b1\ninclude c.conf\nb2"), ("c.conf", "c")];
        let (lines, findings) = lines_with("a\ninclude b.conf\nd\ninclude none*.conf\nincluder no.conf", &files);
        assert_eq!(lines, ["a", "b1", "c", "b2", "d"]);
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "/etc/k/k.conf:4:1: warning: `none*.conf` is not included: there is no such file — create it, or remove the line",
            "/etc/k/k.conf:5:1: error: `no.conf` is not included: there is no such file — create it, or remove the line",
        ]
        "#);
    }

    #[test]
    fn the_directory_is_that_of_the_file_that_is_read() {
        let files = [("sub/b.conf", "$HERE=${_PWD}\nb ${_PWD}\n$B=${_PWD}")];
        let text = "a ${_PWD}/n.sh\ninclude sub/b.conf\nc ${_PWD} $HERE";
        assert_eq!(lines_with(text, &files).0, ["a /etc/k/n.sh", "b /d/sub", "c /etc/k /etc/k"]);
        let directory = |file: &str| {
            let (source, mut none) = (SourceText::decode(file, b"x ${_PWD}/n"), |_: &Path, _: &str| Ok(Vec::new()));
            let mut reader = Reader::new(&source, Here { id: "", directory: Path::new("/d/e") }, &mut none);
            reader.next_line().map(|line| line.text().to_owned()).unwrap_or_default()
        };
        assert_eq!(
            ["k.conf", "./k.conf", "s/k.conf", "../k.conf", "/k.conf"].map(directory),
            ["x /d/e/n", "x /d/e/n", "x /d/e/s/n", "x /d/e/../n", "x //n"]
        );
    }

    #[test]
    fn what_has_no_end_is_cut() {
        let (_, findings) = lines_with("include a", &[("a", "include a")]);
        assert!(findings.last().is_some_and(|f| f.contains("too deep")), "{findings:?}");
        let (_, findings) = lines_with("$A=$A $A\nx $A", &[]);
        assert!(findings.last().is_some_and(|f| f.contains("without end")), "{findings:?}");
        let (lines, findings) = lines_with("$A=$B$B\n$B=$A$A\n~SEQ(i,1,65536) $A\ny", &[]);
        assert!(lines.is_empty() && findings.len() < 100, "{} {}", lines.len(), findings.len());
        let (lines, findings) = lines_with("~SEQ(i,1,99999999999) x\ny", &[]);
        assert_eq!(lines, ["y"]);
        assert!(findings.last().is_some_and(|f| f.contains("not read")), "{findings:?}");
        let (lines, findings) = lines_with("~SEQ(i,1,65536) ~SEQ(j,1,65536) x\ny", &[]);
        assert!(lines.len() <= MOST_LINES && findings.last().is_some_and(|f| f.contains("not read")));
    }
}
