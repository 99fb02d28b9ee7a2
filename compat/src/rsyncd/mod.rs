//! `rsyncd.conf` as rsyncd.conf(5) describes it, as a tree of modules.

mod lines;
mod table;

use crate::diag::Finding;
use crate::nearest;
use crate::span::Spanned;
use crate::text::SourceText;

use lines::Line;
pub use table::{Known, PARAMETERS, Scope};

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
pub struct Section(Vec<Parameter>);

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

    /// The value of `name` as rsyncd reads a boolean: `yes`, `true`, `1`, `no`, `false`, `0` in any case.
    ///
    /// # Errors
    /// The value is none of these.
    pub fn boolean(&self, source: &SourceText, name: &str, default: bool) -> Result<bool, Finding> {
        let Some(value) = self.get(name) else { return Ok(default) };
        match value.value.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Ok(true),
            "no" | "false" | "0" => Ok(false),
            _ => {
                let message = format!("`{name}` is neither yes nor no: `{}`", value.value);
                let help = format!("write `{name} = yes` or `{name} = no`, and a comment on a line of its own");
                Err(source.error("rsyncd-boolean", value.span, message).help(help))
            }
        }
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }
}

/// Reads the file. All is said in `findings`, where an error means that the tree is not to be used.
pub fn read(source: &SourceText, findings: &mut Vec<Finding>) -> RsyncdConf {
    let mut reader = Reader { source, findings, conf: RsyncdConf::default(), current: None };
    for line in lines::read(source.text()) {
        reader.line(line);
    }
    reader.conf
}

/// The file up to a line, and the module that the line is in.
struct Reader<'a> {
    source: &'a SourceText,
    findings: &'a mut Vec<Finding>,
    conf: RsyncdConf,
    current: Option<usize>,
}

impl Reader<'_> {
    fn line(&mut self, line: Line) {
        match line {
            Line::Section(name) => self.section(name),
            Line::Parameter(name, value) => self.parameter(name, value),
            Line::Include(word) => {
                let message = format!("`{}` is not supported: what it names would be missed", word.value);
                let help = "put the included lines here";
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
        let known = self.conf.modules.iter().position(|module| module.name.value == name.value);
        if known.is_some() {
            let message = format!("`[{}]` stands here again: both parts are one module", name.value);
            let finding = self.source.warning("rsyncd-repeated", name.span, message);
            self.findings.push(finding.help("write them as one, or rename one"));
        }
        self.current = known.or_else(|| {
            self.conf.modules.push(Module { name, section: self.conf.global.clone() });
            self.conf.modules.len().checked_sub(1)
        });
    }

    fn parameter(&mut self, name: Spanned<String>, value: Spanned<String>) {
        let Some(known) = table::find(&name.value) else {
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
        let parameter = Parameter { known, name, value };
        match self.current.and_then(|at| self.conf.modules.get_mut(at)) {
            Some(module) => module.section.0.push(parameter),
            None => self.conf.global.0.push(parameter),
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
    use proptest::prelude::*;

    use super::*;

    fn conf(text: &str) -> (RsyncdConf, Vec<String>) {
        let mut findings = Vec::new();
        let conf = read(&SourceText::decode("r.conf", text.as_bytes()), &mut findings);
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
    fn nothing_is_passed_over_in_silence() {
        let (conf, findings) = conf(
            "port 8730\nread only no\nlog file = /l\nfilter = - x\n&include /etc/rsyncd.d\n[m]\npid file = /p\nhost allow = *\n[m\n",
        );
        assert_eq!(value(&conf.global, "port"), Some("8730"));
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "r.conf:1:1: warning: `port 8730` has no `=`: taken as `port = 8730` — write the `=`",
            "r.conf:2:1: warning: `read only no` has no `=`: ignored, as by rsyncd — write `name = value`, or `#` before a comment",
            "r.conf:3:1: note: `log file`: not honoured: syncd logs to standard error or the journal",
            "r.conf:4:1: warning: `filter`: not honoured yet: leave paths out on the primary",
            "r.conf:5:1: error: `&include /etc/rsyncd.d` is not supported: what it names would be missed — put the included lines here",
            "r.conf:7:1: warning: `pid file` inside a module is ignored, as by rsyncd — put it above the first `[module]`",
            "r.conf:8:1: warning: `host allow` is unknown and ignored — did you mean `hosts allow`?",
            "r.conf:9:1: error: `[m` has no closing `]` — write `[module]`",
        ]
        "#);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut findings = Vec::new();
            read(&SourceText::decode("f", &bytes), &mut findings);
        }

        #[test]
        fn every_assignment_is_found_again(value in "[a-z0-9./]{1,20}", blanks in "[ \t]{0,3}") {
            let (conf, _) = conf(&format!("[m]{blanks}\n{blanks}path{blanks}={blanks}{value}{blanks}\r\n"));
            prop_assert_eq!(conf.modules[0].section.get("path").map(|v| v.value.clone()), Some(value));
        }
    }
}
