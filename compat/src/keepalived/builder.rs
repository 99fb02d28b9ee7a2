//! What all blocks have in common: which words they know, and how values are written.

use std::net::IpAddr;
use std::time::Duration;

use super::block::Statement;
use super::place::{At, Located, Sources};
use super::table::{self, Block, Keyword, Shape};
use super::tree::{Command, User, Weight};
use super::word::{self, Unended, Word};
use crate::diag::Severity;
use crate::findings::Findings;
use crate::nearest;

/// Turns statements into values, and says what is wrong with them.
pub(super) struct Builder {
    pub(super) sources: Sources,
    pub(super) findings: Findings,
}

impl Builder {
    pub(super) fn warn(&mut self, code: &'static str, at: At, message: impl Into<String>, help: impl Into<String>) {
        let finding = self.sources.warning(code, at, message);
        self.findings.push(finding.help(help));
    }

    pub(super) fn error(&mut self, code: &'static str, at: At, message: impl Into<String>, help: impl Into<String>) {
        let finding = self.sources.error(code, at, message);
        self.findings.push(finding.help(help));
    }

    /// The keyword that `statement` begins with, where `block` knows it and it is to be honoured.
    pub(super) fn keyword(&mut self, block: Block, statement: &Statement) -> Option<&'static Keyword> {
        let name = statement.name();
        if name.is_empty() && statement.words.is_empty() {
            return None;
        }
        let Some(keyword) = table::find(block, name) else {
            self.unknown(block, statement);
            return None;
        };
        if let Some(source) = self.sources.get(statement.name_at().file)
            && !is_off(statement)
        {
            self.findings.extend(keyword.standing.finding(source, statement.name_at().span, name));
        }
        if keyword.shape == Shape::Skipped {
            return None;
        }
        self.shape(block, keyword, statement).then_some(keyword)
    }

    fn unknown(&mut self, block: Block, statement: &Statement) {
        // What was meant is not asked in vain for each of many lines.
        if self.findings.skips(Severity::Warning) {
            return;
        }
        let name = statement.name();
        let known = || table::keywords().filter(|k| k.block == block).map(|k| k.name);
        let is_block = statement.block.is_some();
        let (code, message) = match (is_block, block) {
            (true, _) => ("keepalived-unknown-block", format!("the block `{name}` is unknown: it is skipped whole")),
            (false, Block::Top) => ("keepalived-unknown-keyword", format!("`{name}` is unknown and ignored")),
            (false, _) => {
                ("keepalived-unknown-keyword", format!("`{name}` is unknown in `{}` and ignored", block.word()))
            }
        };
        let home = table::homes(name).map(Block::word).collect::<Vec<_>>();
        let help = match (home.is_empty(), nearest(name, known())) {
            (false, _) => format!("its place is `{}`", home.join("`, `")),
            (true, Some(near)) => format!("did you mean `{near}`?"),
            (true, None) => "remove it".to_owned(),
        };
        self.warn(code, statement.name_at(), message, help);
    }

    /// Whether what follows the keyword is of its shape, as far as it can be used.
    fn shape(&mut self, block: Block, keyword: &Keyword, statement: &Statement) -> bool {
        let arguments = statement.arguments();
        let (least, most) = match keyword.shape {
            Shape::Flag => (0, 1),
            Shape::Number(..) | Shape::Seconds(..) | Shape::Address | Shape::Word => (1, 1),
            Shape::Words | Shape::Command(_) => (1, usize::MAX),
            Shape::Any | Shape::Skipped => (0, usize::MAX),
            Shape::Block(_) if block == Block::Top && keyword.name != "global_defs" => (0, 1),
            Shape::Block(_) | Shape::List => (0, 0),
        };
        let name = keyword.name;
        let takes_block = matches!(keyword.shape, Shape::Block(_) | Shape::List);
        if takes_block && statement.block.is_none() {
            self.error(
                "keepalived-braces",
                statement.at(),
                format!("`{name}` has no block"),
                "write `{ … }` behind it",
            );
            return false;
        }
        if !takes_block && statement.block.is_some() && keyword.shape != Shape::Any {
            let message = format!("`{name}` has no block: what stands in the braces is ignored");
            self.warn("keepalived-unknown-block", statement.name_at(), message, "remove the braces");
        }
        if arguments.len() < least {
            let message = format!("`{name}` says nothing: it is ignored");
            self.warn("keepalived-value", statement.name_at(), message, format!("write a value behind `{name}`"));
            return false;
        }
        if let Shape::Command(behind) = keyword.shape {
            // Of one without its end more is said where it is read.
            let words = word::split_escaped(&statement.line).unwrap_or_default();
            if let Some(surplus) = words.get(2 + behind..).filter(|surplus| !surplus.is_empty()) {
                self.surplus(block, keyword, surplus);
            }
            return true;
        }
        // A value in quotes is complete.
        let complete = if arguments.first().is_some_and(|first| first.quoted) { 1 } else { most };
        let most = if keyword.shape == Shape::Words { complete } else { most };
        if let Some(surplus) = arguments.get(most..).filter(|surplus| !surplus.is_empty()) {
            self.surplus(block, keyword, surplus);
        }
        true
    }

    /// Words that nothing reads.
    fn surplus(&mut self, block: Block, keyword: &Keyword, surplus: &[Word]) {
        let at = surplus.first().zip(surplus.last()).map_or_else(At::default, |(first, last)| first.at.to(last.at));
        let statement = surplus.iter().find(|word| !word.quoted && table::find(block, &word.text).is_some());
        if let Some(word) = statement {
            let message = format!(
                "`{}` is lost: a line holds one statement, and this one is `{}`, as keepalived reads it",
                word.text, keyword.name
            );
            return self.warn(
                "keepalived-several-statements",
                word.at.to(at),
                message,
                "write it on a line of its own",
            );
        }
        if let Shape::Command(_) = keyword.shape {
            let message = format!(
                "what stands behind the command of `{}` is no argument of it, as with keepalived",
                keyword.name
            );
            self.warn("keepalived-extra-words", at, message, "put the whole command in quotes, or remove it");
        } else if keyword.shape != Shape::Words {
            let message = format!("what follows the value of `{}` is ignored", keyword.name);
            self.warn("keepalived-extra-words", at, message, "remove it, or write `#` before a comment");
        }
    }

    /// A boolean; a bare word means yes.
    pub(super) fn flag(&mut self, statement: &Statement) -> Option<Located<bool>> {
        let Some(word) = statement.arguments().first() else {
            return Some(Located::new(true, statement.name_at()));
        };
        match boolean(&word.text) {
            Some(value) => Some(Located::new(value, word.at)),
            None => {
                let message = format!("`{}` is neither yes nor no: `{}` is ignored", word.text, statement.name());
                self.warn("keepalived-value", word.at, message, "write on, true or yes, or off, false or no");
                None
            }
        }
    }

    /// The number behind a keyword, where it is within the keyword's bounds.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, keyword: &Keyword, statement: &Statement) -> Option<Located<T>> {
        let Shape::Number(least, most) = keyword.shape else { return None };
        self.number_within(keyword, statement, least, most)
    }

    fn number_within<T: TryFrom<i64>>(
        &mut self,
        keyword: &Keyword,
        statement: &Statement,
        least: i64,
        most: i64,
    ) -> Option<Located<T>> {
        let word = statement.arguments().first()?;
        let value = word.text.parse::<i64>().ok().filter(|value| (least..=most).contains(value));
        match value.and_then(|value| T::try_from(value).ok()) {
            Some(value) => Some(Located::new(value, word.at)),
            None => {
                self.bad_value(keyword, word, &format!("a whole number from {least} to {most}"));
                None
            }
        }
    }

    /// Says that a value cannot be used, and what is in force in its place.
    pub(super) fn bad_value(&mut self, keyword: &Keyword, word: &Word, wanted: &str) {
        let fatal = keyword.name == "virtual_router_id";
        let severity = if fatal { Severity::Error } else { Severity::Warning };
        let instead = match keyword.default {
            _ if fatal => "its instance does not run".to_owned(),
            "" => "it is ignored".to_owned(),
            default => format!("in force is the default, {}", default.split(';').next().unwrap_or(default)),
        };
        let message = format!("`{}` of `{}` is not {wanted}: {instead}", word.text, keyword.name);
        let finding = self.sources.finding(severity, "keepalived-value", word.at, message);
        self.findings.push(finding.help(format!("write {wanted}")));
    }

    /// Seconds with a fraction, where they are within the keyword's bounds.
    pub(super) fn seconds(&mut self, keyword: &Keyword, statement: &Statement) -> Option<Located<Duration>> {
        let (least, most) = match keyword.shape {
            Shape::Seconds(least, most) => (least, most),
            Shape::Number(..) => {
                let seconds = self.number::<u64>(keyword, statement)?;
                return Some(Located::new(Duration::from_secs(seconds.value), seconds.at));
            }
            _ => return None,
        };
        let word = statement.arguments().first()?;
        let plain = word.text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let value = word.text.parse::<f64>().ok().filter(|value| plain && (least..=most).contains(value));
        match value.and_then(|value| Duration::try_from_secs_f64(value).ok()) {
            // Whole microseconds, as keepalived counts.
            Some(value) => {
                let micros = (value + Duration::from_nanos(500)).as_micros();
                Some(Located::new(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)), word.at))
            }
            None => {
                self.bad_value(keyword, word, &format!("a number of seconds from {least} to {most}"));
                None
            }
        }
    }

    /// The address behind a keyword.
    pub(super) fn ip(&mut self, keyword: &Keyword, statement: &Statement) -> Option<Located<IpAddr>> {
        let word = statement.arguments().first()?;
        match word.text.parse() {
            Ok(ip) => Some(Located::new(ip, word.at)),
            Err(_) => {
                self.bad_value(keyword, word, "an address");
                None
            }
        }
    }

    /// The one word behind a keyword.
    pub(super) fn word(statement: &Statement) -> Option<Located<String>> {
        statement.arguments().first().map(Word::located)
    }

    /// The command behind a keyword, with whom it runs as.
    pub(super) fn command(&mut self, statement: &Statement) -> Option<Command> {
        let at = statement.at();
        let words = self.ended(word::split_escaped(&statement.line), at)?;
        let (command, behind) = words.get(1..)?.split_first()?;
        let argv = self.ended(word::arguments(&command.text), command.at)?;
        let user = user(behind);
        argv.first().is_some_and(|program| !program.is_empty()).then_some(Command { argv, user, at: command.at })
    }

    /// What a command was cut into, where it has an end.
    fn ended<T>(&mut self, cut: Result<T, Unended>, at: At) -> Option<T> {
        let what = match cut {
            Ok(cut) => return Some(cut),
            Err(Unended::Quote(quote)) => format!("nothing ends a `{quote}` of this command"),
            Err(Unended::Backslash) => "nothing follows the last `\\` of this command".to_owned(),
        };
        let help = r"write the end of what it quotes; a quote that is meant itself is `\\'` in quotes";
        self.error("keepalived-quote", at, format!("{what}: it is not run, as with keepalived"), help);
        None
    }

    /// `NUMBER`, `NUMBER reverse`, within `bound` on either side.
    pub(super) fn weight(&mut self, words: &[Word], bound: i32) -> Option<Weight> {
        let number = words.first()?;
        let value = number.text.parse::<i32>().ok().filter(|value| value.unsigned_abs() <= bound.unsigned_abs());
        let Some(value) = value else {
            let message = format!("`{}` is no weight: it is ignored", number.text);
            self.warn("keepalived-value", number.at, message, format!("write a whole number from -{bound} to {bound}"));
            return None;
        };
        let mut reverse = false;
        for word in words.get(1..).unwrap_or(&[]) {
            match word.text.as_str() {
                "reverse" => reverse = true,
                "noreverse" => reverse = false,
                other => {
                    let message = format!("`{other}` behind a weight is ignored");
                    self.warn("keepalived-extra-words", word.at, message, "remove it; there is `reverse`");
                }
            }
        }
        Some(Weight { value, reverse, at: Some(number.at) })
    }
}

/// `USER [GROUP]`.
pub(super) fn user(words: &[Word]) -> Option<User> {
    let name = words.first()?.located();
    Some(User { name, group: words.get(1).map(Word::located) })
}

/// `on`, `true`, `yes`, `off`, `false`, `no`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// What is switched off asks for nothing.
fn is_off(statement: &Statement) -> bool {
    statement.block.is_none() && statement.arguments().first().is_some_and(|word| boolean(&word.text) == Some(false))
}
