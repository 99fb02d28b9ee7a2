//! `rsyncd.conf` as rsyncd.conf(5) describes it, as a tree of modules.

mod include;
mod lines;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diag::{Finding, Severity};
use crate::findings::Findings;
use crate::nearest;
use crate::span::{Span, Spanned};
use crate::text::SourceText;

use include::Nested;
pub use include::{Directive, Expanded, Loader, expand};
use lines::Line;
pub use table::{Kind, Known, PARAMETERS, Scope};

/// How many parameters all modules may have, with those that they inherit.
const MOST_PARAMETERS: usize = 1 << 20;

/// The whole file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RsyncdConf {
    /// What stands outside modules.
    pub global: Section,
    /// The modules in order.
    pub modules: Vec<Module>,
}

/// One `[module]`, with what it inherits from the global part above it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Module {
    /// Its name.
    pub name: Spanned<String>,
    /// Its parameters.
    pub section: Section,
}

/// Parameters; of two with one name the later counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Section(Vec<Arc<Parameter>>);

/// One `name = value`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parameter {
    /// Which it is.
    pub known: &'static Known,
    /// Its name as written.
    pub name: Spanned<String>,
    /// Its value, without blanks around it.
    pub value: Spanned<String>,
}

impl Section {
    /// The value of `name`, as [`PARAMETERS`] spells it; none when it is not there or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Spanned<String>> {
        let found = self.0.iter().rev().find(|parameter| parameter.known.name == name)?;
        (!found.value.value.is_empty()).then_some(&found.value)
    }

    /// The value of `name` as rsyncd reads a boolean: see [`Kind`].
    ///
    /// # Errors
    /// The value is none of these.
    pub fn boolean(&self, source: &SourceText, name: &str, default: bool) -> Result<bool, Finding> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let kind = table::find(name).map_or(Kind::Boolean, |known| known.kind);
        match (kind.boolean(&value.value), kind.refuses(name, &value.value)) {
            (None, Some((message, help))) => Err(source.error("rsyncd-boolean", value.span, message).help(help)),
            (said, _) => Ok(said.flatten().unwrap_or(default)),
        }
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Reads the file. All is said in `findings`, where an error means that the tree is not to be used.
pub fn read(expanded: &Expanded, findings: &mut Findings) -> RsyncdConf {
    let source = &expanded.source;
    let mut reader = Reader {
        source,
        findings,
        conf: RsyncdConf::default(),
        current: None,
        inside: Vec::new(),
        names: BTreeMap::new(),
        left: MOST_PARAMETERS,
    };
    let mut nested = expanded.nested.iter().peekable();
    for line in lines::read(source.text()) {
        let at = line.start();
        reader.leave(at);
        while let Some(nested) = nested.next_if(|nested| nested.span.start <= at) {
            reader.enter(nested);
        }
        reader.leave(at);
        if !reader.afford(&line) {
            break;
        }
        reader.line(line);
    }
    reader.conf
}

/// The file up to a line, and the module that the line is in.
struct Reader<'a> {
    source: &'a SourceText,
    findings: &'a mut Findings,
    conf: RsyncdConf,
    current: Option<usize>,
    /// Where each included file that the line is in ends, and the defaults that count again there.
    inside: Vec<(usize, Section)>,
    /// Where each module is.
    names: BTreeMap<String, usize>,
    /// How many parameters there may still be.
    left: usize,
}

impl Reader<'_> {
    /// A file begins of which `&include` keeps the defaults apart.
    fn enter(&mut self, nested: &Nested) {
        if nested.directive == Directive::Include {
            self.inside.push((nested.span.end, self.conf.global.clone()));
            self.current = None;
        }
    }

    /// Ends the files that end before `at`.
    fn leave(&mut self, at: usize) {
        while let Some((_, defaults)) = self.inside.pop_if(|(end, _)| *end <= at) {
            self.conf.global = defaults;
            self.current = None;
        }
    }

    /// Counts a line with what it inherits; false when it was too much, which ends the reading.
    fn afford(&mut self, line: &Line) -> bool {
        let inherited = if matches!(line, Line::Section(_)) { self.conf.global.0.len() } else { 0 };
        match self.left.checked_sub(1 + inherited) {
            Some(left) => self.left = left,
            None => {
                let span = Span::new(line.start(), line.start());
                let message =
                    "with all that its modules inherit this is no configuration any more: the rest is not read";
                self.findings.push(self.source.error("rsyncd-too-large", span, message).help("write less above them"));
                return false;
            }
        }
        true
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Section(name) => self.section(name),
            Line::Parameter(name, value) => self.parameter(name, value),
            Line::Include(word, _) if include::parse(&word).is_some() => {}
            Line::Include(word, _) => {
                let message = format!("`{}` is no directive", word.value);
                let help = "there are `&include PATH` and `&merge PATH`";
                self.findings.push(self.source.error("rsyncd-include", word.span, message).help(help));
            }
            Line::Unclosed(word) => {
                let message = format!("`{}` has no closing `]`", word.value);
                self.findings.push(self.source.error("rsyncd-syntax", word.span, message).help("write `[module]`"));
            }
            Line::Bare(words) => self.bare(words),
        }
    }

    fn section(&mut self, name: Spanned<String>) {
        if name.value.eq_ignore_ascii_case("global") {
            self.current = None;
            return;
        }
        if name.value.is_empty() || name.value.contains('/') {
            let message = format!("`[{}]` is no name of a module", name.value);
            let finding = self.source.error("rsyncd-module-name", name.span, message);
            self.findings.push(finding.help("a name has at least one character and no slash"));
        }
        let known = self.names.get(&name.value).copied();
        if known.is_some() {
            let message = format!("`[{}]` stands here again: both parts are one module", name.value);
            let finding = self.source.warning("rsyncd-repeated", name.span, message);
            self.findings.push(finding.help("write them as one, or rename one"));
        }
        self.current = known.or_else(|| {
            let at = self.conf.modules.len();
            self.names.insert(name.value.clone(), at);
            self.conf.modules.push(Module { name, section: self.conf.global.clone() });
            Some(at)
        });
    }

    fn parameter(&mut self, name: Spanned<String>, value: Spanned<String>) {
        let Some(known) = table::find(&name.value) else {
            if self.findings.skips(Severity::Warning) {
                return;
            }
            let message = format!("`{}` is unknown and ignored", name.value);
            let finding = self.source.warning("rsyncd-unknown-parameter", name.span, message);
            self.findings.push(match nearest(&name.value, PARAMETERS.iter().map(|known| known.name)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("remove it"),
            });
            return;
        };
        if known.scope == Scope::Global && self.current.is_some() {
            let message = format!("`{}` inside a module is ignored, as by rsyncd", known.name);
            let finding = self.source.warning("rsyncd-global-in-module", name.span, message);
            self.findings.push(finding.help("put it above the first `[module]`"));
            return;
        }
        // What is switched off asks for nothing.
        if !matches!(value.value.to_ascii_lowercase().as_str(), "" | "no" | "false" | "0") {
            self.findings.extend(known.standing.finding(self.source, name.span, known.name));
        }
        self.wrong_type(known, &value);
        let parameter = Arc::new(Parameter { known, name, value });
        match self.current.and_then(|at| self.conf.modules.get_mut(at)) {
            Some(module) => module.section.0.push(parameter),
            None => self.conf.global.0.push(parameter),
        }
    }

    /// Names a value of the wrong type that nobody will read; who reads one says what it means.
    fn wrong_type(&mut self, known: &Known, value: &Spanned<String>) {
        if known.standing.is_honoured() || value.value.is_empty() {
            return;
        }
        if let Some((message, help)) = known.kind.refuses(known.name, &value.value) {
            let code = if matches!(known.kind, Kind::Boolean | Kind::MaybeBoolean) {
                "rsyncd-boolean"
            } else {
                "rsyncd-value"
            };
            self.findings.push(self.source.warning(code, value.span, message).help(help));
        }
    }

    /// A line without `=`. rsyncd passes over it, which for `port 873` means the same port.
    fn bare(&mut self, words: Spanned<String>) {
        let name = words.value.split_whitespace().next().unwrap_or("");
        let rest = words.value.get(name.len()..).unwrap_or("").trim();
        if name.eq_ignore_ascii_case("port") && !rest.is_empty() {
            let message = format!("`{}` has no `=`: taken as `port = {rest}`", words.value);
            self.findings.push(self.source.warning("rsyncd-no-equals", words.span, message).help("write the `=`"));
            let value = Spanned::new(rest.to_owned(), words.span);
            return self.parameter(Spanned::new("port".to_owned(), words.span), value);
        }
        let message = format!("`{}` has no `=`: ignored, as by rsyncd", words.value);
        let finding = self.source.warning("rsyncd-no-equals", words.span, message);
        self.findings.push(finding.help("write `name = value`, or `#` before a comment"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;

    /// A line that is long, of which a circle has many.
    const MAX_LINE: usize = 64 << 10;

    fn conf(text: &str) -> (RsyncdConf, Vec<String>) {
        let mut findings = Findings::default();
        let expanded = expand(SourceText::decode("r.conf", text.as_bytes()), &mut findings, &mut |_, _| Ok(Vec::new()));
        let conf = read(&expanded, &mut findings);
        (conf, findings.iter().map(Finding::summary).collect())
    }

    fn value<'a>(section: &'a Section, name: &str) -> Option<&'a str> {
        section.get(name).map(|v| v.value.as_str())
    }

    #[test]
    fn modules_inherit_what_stands_above_them() {
        let (conf, findings) =
            conf("uid=nobody\n[a]\npath = /a\nUID = root\n[global]\nu id = deploy\n[b]\npath=/b # x\n");
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(value(&conf.modules[0].section, "uid"), Some("root"));
        assert_eq!(value(&conf.modules[1].section, "uid"), Some("deploy"));
        assert_eq!(value(&conf.modules[1].section, "path"), Some("/b # x"));
    }

    #[test]
    fn names_are_blind_to_case_and_blanks_and_lines_go_on_behind_a_backslash() {
        let (conf, _) = conf("[m]\n; c\n Hosts   ALLOW = 10.0.0.1 \\\n   10.0.0.2\nReadOnly = no\n");
        assert_eq!(value(&conf.modules[0].section, "hosts allow").map(|v| v.split_whitespace().count()), Some(2));
        assert_eq!(value(&conf.modules[0].section, "read only"), Some("no"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_although_nobody_reads_it() {
        let (conf, findings) = conf("[m]\nlist = maybe\ntimeout = abc\nignore errors =\nuse chroot = unset\n");
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "r.conf:2:8: warning: `list` is neither yes nor no: `maybe` — write `list = yes` or `list = no`, and a comment on a line of its own",
            "r.conf:3:1: note: `timeout`: a silent peer is noticed in seconds, whatever it says",
            "r.conf:3:11: warning: `timeout` is no whole number: `abc` — write digits alone, and a comment on a line of its own",
        ]
        "#);
        let source = SourceText::decode("r.conf", b"");
        assert_eq!(conf.modules[0].section.boolean(&source, "use chroot", true), Ok(true));
    }

    #[test]
    fn nothing_is_passed_over_in_silence() {
        let (conf, findings) = conf(
            "port 8730\nread only no\nlog file = /l\nfilter = - x\n&included /etc/rsyncd.d\n[m]\npid file = /p\nhost allow = *\n[m\n",
        );
        assert_eq!(value(&conf.global, "port"), Some("8730"));
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "r.conf:1:1: warning: `port 8730` has no `=`: taken as `port = 8730` — write the `=`",
            "r.conf:2:1: warning: `read only no` has no `=`: ignored, as by rsyncd — write `name = value`, or `#` before a comment",
            "r.conf:3:1: note: `log file`: not honoured: syncd logs to standard error or the journal",
            "r.conf:5:1: error: `&included /etc/rsyncd.d` is no directive — there are `&include PATH` and `&merge PATH`",
            "r.conf:7:1: warning: `pid file` inside a module is ignored, as by rsyncd — put it above the first `[module]`",
            "r.conf:8:1: warning: `host allow` is unknown and ignored — did you mean `hosts allow`?",
            "r.conf:9:1: error: `[m` has no closing `]` — write `[module]`",
        ]
        "#);
    }

    fn with_files(text: &str, files: &[(&str, &str)]) -> (RsyncdConf, Vec<String>) {
        let mut findings = Findings::default();
        let mut load = |path: &Path, directive: Directive| {
            let name = path.to_string_lossy();
            let found = files.iter().filter(|(file, _)| {
                *file == name || (name.ends_with('/') && file.starts_with(&*name) && file.ends_with(directive.suffix()))
            });
            let found: Vec<_> = found.map(|(file, text)| (PathBuf::from(file), text.as_bytes().to_vec())).collect();
            if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
        };
        let expanded = expand(SourceText::decode("r.conf", text.as_bytes()), &mut findings, &mut load);
        let conf = read(&expanded, &mut findings);
        (conf, findings.iter().map(Finding::summary).collect())
    }

    #[test]
    fn an_included_file_begins_with_the_defaults_and_leaves_them_alone() {
        let (conf, findings) = with_files(
            "uid = a\n&include /d/\n gid = g\n[last]\npath = /last\n",
            &[("/d/1.conf", "uid = b\n[one]\npath = /one\n"), ("/d/2.conf", "[two]\npath = /two"), ("/d/x.inc", "[")],
        );
        assert_eq!(findings, Vec::<String>::new());
        let uids: Vec<_> = conf.modules.iter().map(|m| (m.name.value.as_str(), value(&m.section, "uid"))).collect();
        assert_eq!(uids, [("one", Some("b")), ("two", Some("a")), ("last", Some("a"))]);
        assert_eq!(value(&conf.modules[2].section, "gid"), Some("g"));
        assert_eq!(value(&conf.modules[1].section, "gid"), None);
    }

    #[test]
    fn a_merged_file_counts_as_if_it_stood_there() {
        let (conf, findings) = with_files(
            "[m]\npath = /m\n&merge more.inc\nlist = no\n",
            &[("more.inc", "read only = no\n&include deep\n[n]\npath = /n"), ("deep", "[deep]\npath = /deep\n")],
        );
        assert_eq!(findings, Vec::<String>::new());
        let names: Vec<_> = conf.modules.iter().map(|m| m.name.value.as_str()).collect();
        assert_eq!(names, ["m", "deep", "n"]);
        assert_eq!(value(&conf.modules[0].section, "read only"), Some("no"));
        assert_eq!(value(&conf.modules[2].section, "list"), Some("no"));
    }

    #[test]
    fn what_multiplies_is_cut() {
        let (conf, findings) = conf(&format!("{}{}", "uid = a\n".repeat(3000), "[a]\npath = /a\n[b]\n".repeat(3000)));
        assert_eq!(conf.modules.len(), 2);
        assert!(findings.last().is_some_and(|f| f.contains("the rest is not read")), "{:?}", findings.last());
        let once = "x".repeat(MAX_LINE);
        let texts: Vec<_> =
            (1..10).map(|n| (n.to_string(), format!("# {once}\n&merge {0}\n&merge {0}\n", n + 1))).collect();
        let files: Vec<_> =
            texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([("10", "")]).collect();
        let (_, findings) = with_files("&merge 1\n", &files);
        assert!(!findings.is_empty());
        assert!(findings.iter().all(|f| f.contains("there is too much")) && findings.len() < 600, "{}", findings.len());
    }

    #[test]
    fn what_is_wrong_in_an_included_file_is_said_of_that_file() {
        let (_, findings) =
            with_files("&include a\n&merge gone\n[m]\npaht = /m\n", &[("a", "\n&include a\n[x]\nhosts alow = *\n")]);
        assert!(
            findings.iter().any(|f| f.starts_with("r.conf:2:8: error: `gone` cannot be included")),
            "{findings:#?}"
        );
        assert!(findings.iter().any(|f| f.starts_with("a:4:1: warning: `hosts alow`")), "{findings:#?}");
        assert!(findings.iter().any(|f| f.starts_with("r.conf:4:1: warning: `paht`")), "{findings:#?}");
    }

    #[test]
    fn files_that_include_each_other_are_said_to_once_with_what_else_is_wrong_in_them() {
        let first = "# a\n&include b\n[x]\nhosts alow = *\n";
        let (conf, findings) = with_files(first, &[("a", first), ("b", "uid = b\n&merge a\nuser = b\n")]);
        assert_eq!(conf.modules.len(), 1);
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "b:2:8: error: `a` cannot be included: files would include each other in a circle — remove the line",
            "b:3:1: warning: `user` is unknown and ignored — remove it",
            "r.conf:4:1: warning: `hosts alow` is unknown and ignored — did you mean `hosts allow`?",
        ]
        "#);
        let (_, findings) =
            with_files("&include self\n[x]\npaht = /x\n", &[("self", "&include self\n[x]\npaht = /x\n")]);
        assert_eq!(findings.len(), 2, "{findings:#?}");
    }

    proptest! {
        #[test]
        fn no_arrangement_of_included_files_panics(
            lines in prop::collection::vec(prop::sample::select(vec![
                "&include a", "&merge b", "[m]", "path = /x \\", "uid = u", "&include", "", "port 1",
            ]), 0..8),
            a in prop::collection::vec(prop::sample::select(vec!["[a]", "&merge b", "gid = g", "\\"]), 0..4),
        ) {
            with_files(&lines.join("\n"), &[("a", &a.join("\n")), ("b", "[b]\nuid = x \\")]);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut findings = Findings::default();
            let expanded = expand(SourceText::decode("f", &bytes), &mut findings, &mut |_, _| Ok(Vec::new()));
            read(&expanded, &mut findings);
        }

        #[test]
        fn every_assignment_is_found_again(value in "[a-z0-9./]{1,20}", blanks in "[ \t]{0,3}") {
            let (conf, _) = conf(&format!("[m]{blanks}\n{blanks}path{blanks}={blanks}{value}{blanks}\r\n"));
            prop_assert_eq!(conf.modules[0].section.get("path").map(|v| v.value.clone()), Some(value));
        }
    }
}
