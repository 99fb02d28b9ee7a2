//! rsync's filter rules: one text each, as `--filter`, `--exclude` and their files hold them.

/// What one rule says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Directive {
    /// Includes or excludes what matches.
    Rule(Pattern),
    /// Drops all rules before it.
    Clear,
    /// The rules that rsync's `-C` means stand here.
    Cvs,
    /// The rules of this file stand here.
    Merge {
        /// As written.
        file: String,
        /// Its lines are bare patterns of this kind (true includes) instead of rules.
        plain: Option<bool>,
        /// Its rules are apart by blanks instead of lines.
        words: bool,
    },
}

/// A pattern, and what it does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    /// Includes, else excludes.
    pub include: bool,
    /// It is about what does not match.
    pub negate: bool,
    /// It is about the sending side only: rsync would remove on the other side what it hides.
    pub hides: bool,
    /// The pattern as written.
    pub text: String,
}

/// What cannot be made of a rule; each completes "`RULE`: …".
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// It is none of rsync's.
    Unknown(&'static str),
    /// rsync knows it, and it cannot be honoured.
    NotSupported(&'static str),
}

impl Refused {
    /// Why.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self {
            Self::Unknown(why) | Self::NotSupported(why) => why,
        }
    }
}

/// The names that patterns of `-C` exclude without a file, from rsync(1).
pub const CVS_EXCLUDES: &str = "RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// Why rules of the receiving side alone are refused.
const RECEIVER: &str = "rules of the receiving side alone are not supported; put them into rsyncd.conf there, or use `- PATTERN`, which leaves a path alone on both sides";

/// The rules of a text with one on each line; blank lines and those that begin with `#` or `;` are
/// none. Each with its place in the text.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    let placed = text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\n', '\r']))
    });
    placed.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// The first rule of `text` and how much of it that takes; without `words` it takes all.
///
/// # Errors
/// [`Refused`], with how much of the text is refused.
pub fn rule(text: &str, words: bool) -> Result<(Directive, usize), (Refused, usize)> {
    let (name, modifiers, pattern, taken) = take(text, words);
    directive(name, modifiers, pattern).map(|directive| (directive, taken)).map_err(|why| (why, taken))
}

/// The first pattern of `text`, which includes or excludes unless a `+ ` or `- ` before it says
/// otherwise, and how much of the text it takes; without `words` it takes all. `!` clears.
#[must_use]
pub fn pattern(text: &str, include: bool, words: bool) -> (Directive, usize) {
    let blanks = if words { text.len() - text.trim_start().len() } else { 0 };
    let body = text.get(blanks..).unwrap_or("");
    let (include, prefix) = match body.get(..2) {
        Some("+ ") => (true, 2),
        Some("- ") => (false, 2),
        _ => (include, 0),
    };
    let body = body.get(prefix..).unwrap_or("");
    let length = if words { body.find(char::is_whitespace).unwrap_or(body.len()) } else { body.len() };
    let text = body.get(..length).unwrap_or("");
    let directive = match text {
        "!" if prefix == 0 => Directive::Clear,
        _ => Directive::Rule(Pattern { include, negate: false, hides: false, text: text.to_owned() }),
    };
    (directive, blanks + prefix + length)
}

/// The first pattern of `text`, which includes or excludes whatever it begins with, and how much of
/// the text it takes; without `words` it takes all.
#[must_use]
pub fn bare(text: &str, include: bool, words: bool) -> (Directive, usize) {
    let blanks = if words { text.len() - text.trim_start().len() } else { 0 };
    let body = text.get(blanks..).unwrap_or("");
    let length = if words { body.find(char::is_whitespace).unwrap_or(body.len()) } else { body.len() };
    let text = body.get(..length).unwrap_or("").to_owned();
    (Directive::Rule(Pattern { include, negate: false, hides: false, text }), blanks + length)
}

/// The name, modifiers and pattern of the rule at the start of `text`, and where it ends.
fn take(text: &str, words: bool) -> (&str, &str, &str, usize) {
    let blanks = if words { text.len() - text.trim_start().len() } else { 0 };
    let body = text.get(blanks..).unwrap_or("");
    let ends = |c: char| c == '_' || c.is_whitespace();
    let head = body.find(ends).unwrap_or(body.len());
    let (head, rest) = body.split_at(head);
    let first = head.chars().next().map_or(0, char::len_utf8);
    let short = !head.starts_with(|c: char| c.is_ascii_lowercase());
    let (name, modifiers) = match head.split_once(',') {
        Some(parts) => parts,
        None if short => head.split_at(first),
        None => (head, ""),
    };
    let clears = matches!(name, "!" | "clear");
    // One blank is between: more belong to the pattern.
    let gap = if clears { 0 } else { rest.chars().next().map_or(0, char::len_utf8) };
    let rest = rest.get(gap..).unwrap_or("");
    let length = if words { rest.find(char::is_whitespace).unwrap_or(rest.len()) } else { rest.len() };
    let length = if clears && words { 0 } else { length };
    (name, modifiers, rest.get(..length).unwrap_or(""), blanks + head.len() + gap + length)
}

fn directive(name: &str, modifiers: &str, pattern: &str) -> Result<Directive, Refused> {
    let include = match name {
        "!" | "clear" if pattern.is_empty() && modifiers.is_empty() => return Ok(Directive::Clear),
        "!" | "clear" => return Err(Refused::Unknown("there is something behind `!`, which stands alone")),
        "." | "merge" => return merge(modifiers, pattern),
        ":" | "dir-merge" => {
            return Err(Refused::NotSupported(
                "filter files inside the tree are not supported; name their rules in the configuration",
            ));
        }
        "P" | "protect" | "R" | "risk" => return Err(Refused::NotSupported(RECEIVER)),
        "-" | "exclude" | "H" | "hide" => false,
        "+" | "include" | "S" | "show" => true,
        _ => return Err(Refused::Unknown("it begins with no rule of rsync; write `- PATTERN` or `+ PATTERN`")),
    };
    let mut found = Pattern { include, negate: false, hides: matches!(name, "H" | "hide"), text: pattern.to_owned() };
    for modifier in modifiers.chars() {
        match modifier {
            '!' => found.negate = true,
            's' => found.hides = !include,
            // It is about directories that go, which take along what is in them.
            'p' => {}
            'C' if !include && pattern.is_empty() => return Ok(Directive::Cvs),
            'r' => return Err(Refused::NotSupported(RECEIVER)),
            '/' => {
                return Err(Refused::NotSupported(
                    "absolute paths are not supported; begin the pattern with `/` for the root of the set",
                ));
            }
            'x' => return Err(Refused::NotSupported("rules for extended attributes are not supported")),
            _ => return Err(Refused::Unknown("it has a modifier that rsync does not know")),
        }
    }
    if pattern.is_empty() {
        return Err(Refused::Unknown("it has no pattern"));
    }
    Ok(Directive::Rule(found))
}

fn merge(modifiers: &str, file: &str) -> Result<Directive, Refused> {
    let (mut plain, mut words) = (None, false);
    for modifier in modifiers.chars() {
        match modifier {
            '-' => plain = Some(false),
            '+' => plain = Some(true),
            'w' => words = true,
            'C' => (plain, words) = (Some(false), true),
            'p' | 's' => {}
            'r' => return Err(Refused::NotSupported(RECEIVER)),
            _ => return Err(Refused::NotSupported("this modifier of a merged file is not supported")),
        }
    }
    if file.is_empty() {
        return Err(Refused::Unknown("it names no file"));
    }
    Ok(Directive::Merge { file: file.to_owned(), plain, words })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        match rule(text, false) {
            Ok((Directive::Rule(p), _)) => {
                let flags = [(p.negate, "!"), (p.hides, "s")].map(|(on, flag)| if on { flag } else { "" }).concat();
                format!("{}{flags} {}", if p.include { '+' } else { '-' }, p.text)
            }
            Ok((other, _)) => format!("{other:?}"),
            Err((why, _)) => why.why().to_owned(),
        }
    }

    #[test]
    fn long_and_short_names_with_modifiers() {
        for (text, expected) in [
            ("- *.bak", "- *.bak"),
            ("-_*.bak", "- *.bak"),
            ("-  x", "-  x"),
            ("exclude a b", "- a b"),
            ("+ *.conf", "+ *.conf"),
            ("include,! /x", "+! /x"),
            ("-! */", "-! */"),
            ("-,sp x", "-s x"),
            ("hide x", "-s x"),
            ("show x", "+ x"),
            ("!", "Clear"),
            ("clear", "Clear"),
            ("-C", "Cvs"),
            (". /f", r#"Merge { file: "/f", plain: None, words: false }"#),
            ("merge,-w /f", r#"Merge { file: "/f", plain: Some(false), words: true }"#),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_says_why() {
        for text in ["x", "*.bak", "-", "! x", ": .f", "dir-merge .f", "P x", "risk x", "-r x", "-/ x", "-x x", "."] {
            assert!(rule(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_apart_by_blanks() {
        let mut text = " - a  + b -! c ! exclude d";
        let mut found = Vec::new();
        while !text.trim().is_empty() {
            let (directive, taken) = rule(text, true).expect("rules");
            found.push(directive);
            text = &text[taken..];
        }
        assert_eq!(found.len(), 5);
        assert_eq!(found[3], Directive::Clear);
        let (first, taken) = pattern(" + a b", false, true);
        assert!(matches!(first, Directive::Rule(Pattern { include: true, .. })));
        assert_eq!(&" + a b"[taken..], " b");
    }

    #[test]
    fn lines_have_their_places_and_comments_are_none() {
        let found: Vec<_> = lines("# c\n- a\r\n\n; d\n b").collect();
        assert_eq!(found, [(4, "- a"), (14, " b")]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+!.:,_ a-zé/]{0,12}", words in any::<bool>()) {
            let taken = match rule(&text, words) { Ok((_, taken)) | Err((_, taken)) => taken };
            prop_assert!(text.get(taken..).is_some());
            prop_assert!(text.get(pattern(&text, false, words).1..).is_some());
        }
    }
}
