//! Statements and the blocks that belong to them.

use super::line::Line;
use super::place::At;
use super::reader::Reader;
use super::word::{self, Word};

/// How deep blocks may stand in blocks; keepalived's own go three deep.
const DEEPEST: usize = 16;

/// Blocks that stand nowhere but outside of all others.
const TOP: [&str; 10] = [
    "global_defs",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_file",
    "vrrp_track_process",
    "static_ipaddress",
    "static_routes",
    "virtual_server",
    "virtual_server_group",
];

/// A line of words, with the block behind it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Statement {
    /// At least one.
    pub(super) words: Vec<Word>,
    /// What stands in braces behind it.
    pub(super) block: Option<Vec<Self>>,
    /// Where a comment begins right behind the last word.
    pub(super) cut: Option<At>,
    /// What the words were cut from: a command is cut in another way.
    pub(super) line: Line,
}

impl Statement {
    /// The first word.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// Where the first word is.
    pub(super) fn name_at(&self) -> At {
        self.words.first().map_or_else(At::default, |word| word.at)
    }

    /// The words behind the first.
    pub(super) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or(&[])
    }

    /// From the first word to the last.
    pub(super) fn at(&self) -> At {
        self.words.last().map_or_else(At::default, |last| self.name_at().to(last.at))
    }

    /// What stands in the block, if there is one.
    pub(super) fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or(&[])
    }
}

/// A block that is open, with the brace that opened it.
struct Open {
    statements: Vec<Statement>,
    brace: At,
}

/// The statements of all files.
pub(super) fn read(reader: &mut Reader<'_, '_>) -> Vec<Statement> {
    let mut top = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    // How many braces are open that are too deep to be kept.
    let mut too_deep = 0usize;
    while let Some(line) = reader.next_line() {
        let at = line.at(0, line.text().len());
        match line.text() {
            "{" if too_deep > 0 || open.len() >= DEEPEST => {
                if too_deep == 0 {
                    say(
                        reader,
                        at,
                        format!("more than {DEEPEST} blocks in each other: this one is not read"),
                        "close one",
                    );
                }
                too_deep += 1;
            }
            "}" if too_deep > 0 => too_deep -= 1,
            _ if too_deep > 0 => {}
            "{" => begin(reader, &mut open, &mut top, at),
            "}" => match open.pop() {
                Some(closed) => attach(&mut open, &mut top, closed.statements),
                None => say(reader, at, "this `}` closes nothing".to_owned(), "remove it, or write the `{`"),
            },
            _ => {
                let statement = statement(line);
                if TOP.contains(&statement.name()) && !open.is_empty() {
                    close_all(reader, &mut open, &mut top, &statement);
                }
                open.last_mut().map_or(&mut top, |open| &mut open.statements).push(statement);
            }
        }
    }
    if let Some(innermost) = open.last() {
        let brace = innermost.brace;
        say(reader, brace, "nothing closes this `{`".to_owned(), "write the `}`");
    }
    while let Some(closed) = open.pop() {
        attach(&mut open, &mut top, closed.statements);
    }
    top
}

fn statement(line: Line) -> Statement {
    Statement { words: word::split(&line), block: None, cut: line.cut, line }
}

fn begin(reader: &mut Reader<'_, '_>, open: &mut Vec<Open>, top: &mut Vec<Statement>, brace: At) {
    let statements = open.last_mut().map_or(top, |open| &mut open.statements);
    if statements.last().is_none_or(|statement| statement.block.is_some()) {
        say(reader, brace, "this `{` belongs to no word before it".to_owned(), "write the block's name, or remove it");
        // A nameless one, so that its end is its own.
        statements.push(Statement::default());
    }
    open.push(Open { statements: Vec::new(), brace });
}

/// Gives a block that has ended to the statement before it.
fn attach(open: &mut [Open], top: &mut [Statement], block: Vec<Statement>) {
    let statements = match open.last_mut() {
        Some(open) => open.statements.as_mut_slice(),
        None => top,
    };
    if let Some(owner) = statements.last_mut() {
        owner.block = Some(block);
    }
}

/// A block that can only stand outside begins: those around it have lost their end.
fn close_all(reader: &mut Reader<'_, '_>, open: &mut Vec<Open>, top: &mut [Statement], next: &Statement) {
    let place = open.last().map(|open| reader.sources.line_of(open.brace)).unwrap_or_default();
    let message = format!("`{}` stands inside of another block: the `{{` of {place} has no end", next.name());
    say(reader, next.name_at(), message, "write the missing `}` before this line");
    while let Some(closed) = open.pop() {
        attach(open, top, closed.statements);
    }
}

fn say(reader: &mut Reader<'_, '_>, at: At, message: String, help: &str) {
    let finding = reader.sources.error("keepalived-braces", at, message).help(help);
    reader.findings.push(finding);
}
