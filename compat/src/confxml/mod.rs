//! `confxml.xml` of sersync2 as a typed tree.
//!
//! What sersync2 crashed on when it was absent is optional here and takes the value of the stock
//! file; only a fail log is not written where none is named. Unlike sersync2, which uses the first
//! `<sersync>` and the first `<localpath>`, the tree holds all of them.

mod plugin;
mod present;
mod schema;
mod table;
mod words;

pub use plugin::{NAMES as PLUGINS, Plugin as LegacyPlugin, PluginPath};
pub use present::{Present, present};
pub use table::{SETTINGS, Setting};

use crate::diag::{Finding, Severity};
use crate::findings::Findings;
use crate::rsync::{self, RsyncOption};
use crate::span::{Span, Spanned};
use crate::text::SourceText;
use crate::xml::{self, Element};

/// A `start="…"` or `xfs="…"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Switch {
    /// Whether it is on.
    pub on: bool,
    /// Where it says so; none where the stock value is taken.
    pub span: Option<Span>,
}

/// `<head>`: the whole file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfXml {
    /// `<debug>`.
    pub debug: Switch,
    /// `<fileSystem xfs>`.
    pub xfs: Switch,
    /// `<filter>`.
    pub filter: Filter,
    /// `<inotify>`.
    pub inotify: Inotify,
    /// Every `<sersync>`.
    pub sersync: Vec<Sersync>,
    /// Every top-level `<plugin>`, whether it is switched on or not.
    pub plugins: Vec<LegacyPlugin>,
}

/// `<filter>` or `<crontabfilter>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// Whether it is in force.
    pub start: Switch,
    /// Its expressions, also when it is off.
    pub exclude: Vec<Spanned<String>>,
}

/// `<inotify>`: which events sersync2 asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inotify {
    /// `IN_DELETE`; also decides whether sersync2 gives `--delete` to rsync.
    pub delete: Switch,
    /// `IN_CREATE` of directories.
    pub create_folder: Switch,
    /// `IN_CREATE` of files.
    pub create_file: Switch,
    /// `IN_CLOSE_WRITE`.
    pub close_write: Switch,
    /// `IN_MOVED_FROM`.
    pub move_from: Switch,
    /// `IN_MOVED_TO`.
    pub move_to: Switch,
    /// `IN_ATTRIB`.
    pub attrib: Switch,
    /// `IN_MODIFY`.
    pub modify: Switch,
}

/// One `<sersync>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sersync {
    /// Its start tag.
    pub span: Span,
    /// Every `<localpath>`.
    pub localpath: Vec<LocalPath>,
    /// `<rsync>`.
    pub rsync: Rsync,
    /// `<failLog>`, where it is there and names a file.
    pub fail_log: Option<FailLog>,
    /// `<crontab>`.
    pub crontab: Crontab,
    /// `<plugin start="true">`: the name of the one that is switched on, empty where it says none.
    pub plugin: Option<Spanned<String>>,
}

/// One `<localpath>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalPath {
    /// `watch`; its span is that of the tag where the attribute is missing.
    pub watch: Spanned<String>,
    /// Every `<remote>`.
    pub remote: Vec<Remote>,
}

/// One `<remote>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Host name or address.
    pub ip: Spanned<String>,
    /// rsyncd's module, or with `<ssh>` a directory.
    pub name: Spanned<String>,
    /// syncd's own attribute, which sersync2 passes over: `quic`, `rsync` or `auto`.
    pub transport: Option<Spanned<String>>,
}

/// `<rsync>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rsync {
    /// `params` of `<commonParams>`, where it is written.
    pub params: Option<Span>,
    /// The options in `commonParams`.
    pub options: Vec<RsyncOption>,
    /// `<auth>`, where it is on.
    pub auth: Option<Auth>,
    /// `<userDefinedPort>`, where it is on.
    pub port: Option<Spanned<String>>,
    /// `<timeout>`, where it is on: seconds.
    pub timeout: Option<Spanned<String>>,
    /// `<ssh>`.
    pub ssh: Switch,
}

/// `<auth>`; an empty value is an absent one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// Its tag.
    pub span: Span,
    /// `users`: one user, in spite of its name.
    pub users: Option<Spanned<String>>,
    /// `passwordfile`.
    pub password_file: Option<Spanned<String>>,
}

/// `<failLog>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailLog {
    /// `path`.
    pub path: Spanned<String>,
    /// `timeToExecute` in minutes.
    pub time_to_execute: Option<Spanned<String>>,
}

/// `<crontab>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Crontab {
    /// Whether it is in force.
    pub start: Switch,
    /// `schedule` in minutes.
    pub schedule: Option<Spanned<String>>,
    /// `<crontabfilter>`: globs, not regular expressions.
    pub filter: Filter,
}

/// Reads the file; warnings and notes go to `findings`.
///
/// # Errors
/// The one fault because of which the file cannot be understood.
pub fn read(source: &SourceText, findings: &mut Findings) -> Result<ConfXml, Finding> {
    let top = xml::read(source, findings)?;
    let Some(head) = top.iter().find(|element| element.is("head")) else {
        let first = source.text().chars().next().map_or(0, char::len_utf8);
        let at = top.first().map_or(Span::new(0, first), |element| element.span);
        return Err(source
            .error("xml-no-head", at, "there is no `<head>` element in it")
            .help("a confxml.xml of sersync2 has `<head version=\"2.5\">` around everything"));
    };
    for other in top.iter().filter(|element| !std::ptr::eq(*element, head)) {
        let message = format!("`<{}>` outside `<head>` is ignored", other.name.value);
        findings.push(source.warning("xml-unknown-element", other.name.span, message).help("remove it"));
    }
    schema::check(source, head, findings);
    let mut reader = Reader { source, findings };
    Ok(reader.head(head))
}

/// Reads elements whose names the schema has checked.
struct Reader<'a> {
    source: &'a SourceText,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn head(&mut self, head: &Element) -> ConfXml {
        ConfXml {
            debug: self.switch(head.child("debug"), "start", false),
            xfs: self.switch(head.child("fileSystem"), "xfs", false),
            filter: self.filter(head.child("filter")),
            inotify: self.inotify(head.child("inotify")),
            sersync: head.all("sersync").map(|element| self.sersync(element)).collect(),
            plugins: head.all("plugin").map(LegacyPlugin::read).collect(),
        }
    }

    fn inotify(&mut self, inotify: Option<&Element>) -> Inotify {
        let mut switch = |name, stock| self.switch(inotify.and_then(|i| i.child(name)), "start", stock);
        Inotify {
            delete: switch("delete", true),
            create_folder: switch("createFolder", true),
            create_file: switch("createFile", false),
            close_write: switch("closeWrite", true),
            move_from: switch("moveFrom", true),
            move_to: switch("moveTo", true),
            attrib: switch("attrib", false),
            modify: switch("modify", false),
        }
    }

    fn sersync(&mut self, sersync: &Element) -> Sersync {
        let crontab = sersync.child("crontab");
        Sersync {
            span: sersync.span,
            localpath: sersync.all("localpath").map(local_path).collect(),
            rsync: self.rsync(sersync.child("rsync")),
            fail_log: sersync.child("failLog").and_then(|log| {
                let time_to_execute = filled(Some(log), "timeToExecute");
                Some(FailLog { path: filled(Some(log), "path")?, time_to_execute })
            }),
            crontab: Crontab {
                start: self.switch(crontab, "start", false),
                schedule: filled(crontab, "schedule"),
                filter: self.filter(crontab.and_then(|c| c.child("crontabfilter"))),
            },
            plugin: sersync
                .child("plugin")
                .filter(|plugin| self.switch(Some(plugin), "start", false).on)
                .map(|plugin| trimmed_or_empty(plugin, "name")),
        }
    }

    fn rsync(&mut self, rsync: Option<&Element>) -> Rsync {
        let child = |name| rsync.and_then(|r| r.child(name));
        let params = child("commonParams").and_then(|c| c.attribute("params"));
        let options = match params {
            Some(params) => rsync::parse(self.source, params, self.findings),
            // What the file does not say needs no remark about it.
            None => {
                rsync::parse(self.source, &Spanned::new("-artuz".to_owned(), Span::default()), &mut Findings::default())
            }
        };
        let auth = child("auth").filter(|_| self.switch(child("auth"), "start", false).on);
        let port = self.switch(child("userDefinedPort"), "start", false).on;
        let timeout = self.switch(child("timeout"), "start", false).on;
        Rsync {
            params: params.map(|params| params.span),
            options,
            auth: auth.map(|element| Auth {
                span: element.span,
                users: filled(auth, "users"),
                password_file: filled(auth, "passwordfile"),
            }),
            port: filled(child("userDefinedPort"), "port").filter(|_| port),
            timeout: filled(child("timeout"), "time").filter(|_| timeout),
            ssh: self.switch(child("ssh"), "start", false),
        }
    }

    fn filter(&mut self, filter: Option<&Element>) -> Filter {
        let start = self.switch(filter, "start", false);
        let expressions = filter.iter().flat_map(|f| f.all("exclude")).filter_map(|e| e.attribute("expression"));
        Filter { start, exclude: expressions.cloned().collect() }
    }

    /// sersync2 takes the four bytes `true` for on and all else for off, and says nothing.
    fn switch(&mut self, element: Option<&Element>, attribute: &str, stock: bool) -> Switch {
        let Some(value) = element.and_then(|e| e.attribute(attribute)) else {
            return Switch { on: stock, span: None };
        };
        if !matches!(value.value.as_str(), "true" | "false") {
            let message = format!("`{}` is neither `true` nor `false`: taken as `false`, as by sersync2", value.value);
            let finding = self.source.finding(Severity::Warning, "xml-switch", value.span, message);
            self.findings.push(finding.help(format!("write {attribute}=\"true\" or {attribute}=\"false\"")));
        }
        Switch { on: value.value == "true", span: Some(value.span) }
    }
}

fn local_path(element: &Element) -> LocalPath {
    LocalPath {
        watch: trimmed_or_empty(element, "watch"),
        remote: element
            .all("remote")
            .map(|remote| Remote {
                ip: trimmed_or_empty(remote, "ip"),
                name: trimmed_or_empty(remote, "name"),
                transport: filled(Some(remote), "transport"),
            })
            .collect(),
    }
}

/// Without the blanks around it, which the shell took away for sersync2.
fn trimmed_or_empty(element: &Element, attribute: &str) -> Spanned<String> {
    match element.attribute(attribute) {
        Some(value) => Spanned::new(value.value.trim().to_owned(), value.span),
        None => Spanned::new(String::new(), element.span),
    }
}

fn filled(element: Option<&Element>, attribute: &str) -> Option<Spanned<String>> {
    let value = element?.attribute(attribute)?;
    let trimmed = value.value.trim();
    (!trimmed.is_empty()).then(|| Spanned::new(trimmed.to_owned(), value.span))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conf(text: &str) -> (ConfXml, Vec<String>) {
        let mut findings = Findings::default();
        let conf = read(&SourceText::decode("c.xml", text.as_bytes()), &mut findings).expect("readable");
        (conf, findings.iter().map(Finding::summary).collect())
    }

    #[test]
    fn a_text_without_elements_is_marked_at_its_first_character() {
        let source = SourceText::decode("c.xml", "设置".as_bytes());
        let finding = read(&source, &mut Findings::default()).expect_err("no configuration");
        let span = finding.place.expect("a place").span;
        assert_eq!(source.text().get(span.start..span.end), Some("设"));
    }

    #[test]
    fn what_is_absent_has_the_stock_value() {
        let (conf, findings) = conf("<head><sersync><localpath watch='/w'/></sersync></head>");
        assert!(conf.inotify.delete.on && conf.inotify.close_write.on && !conf.inotify.attrib.on);
        assert!(!conf.filter.start.on && !conf.sersync[0].rsync.ssh.on);
        let names: Vec<_> = conf.sersync[0].rsync.options.iter().map(|o| o.spec.long).collect();
        assert_eq!(names, ["archive", "recursive", "times", "update", "compress"]);
        assert_eq!(conf.sersync[0].fail_log, None);
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn a_stray_word_that_may_be_a_password_is_not_repeated() {
        for tag in ["<cdninfo passwd=\"a\" \"geheim\"/>", "<cdninfo username=\"u\"\n passwd geheim\n/>"] {
            let text =
                format!("<head><sersync/><plugin name=\"refreshCDN\"><localpath>{tag}</localpath></plugin></head>");
            let mut findings = Findings::default();
            read(&SourceText::decode("c.xml", text.as_bytes()), &mut findings).expect("readable");
            let said: Vec<_> = findings.iter().map(Finding::to_string).collect();
            assert!(said.iter().any(|said| said.contains("is no attribute")), "{said:?}");
            assert!(said.iter().all(|said| !said.contains("geheim")), "{said:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts_and_the_other_is_named() {
        let (conf, findings) =
            conf("<head><debug start='false'/><debug start='true'/>\n<host nmae='x'/><dbug/></head>");
        assert!(!conf.debug.on);
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "c.xml:1:30: warning: this `<debug>` is ignored: the first one counts — remove one of them",
            "c.xml:2:7: warning: `nmae` of `<host>` is unknown and ignored — remove it",
            "c.xml:2:18: warning: `<dbug>` in `<head>` is unknown and ignored — did you mean `<debug>`?",
        ]
        "#);
    }

    #[test]
    fn only_true_is_true() {
        let (conf, findings) = conf("<head><inotify><delete start=\"“true”\"/></inotify></head>");
        assert!(!conf.inotify.delete.on);
        assert!(findings[0].contains("neither"));
    }

    proptest! {
        #[test]
        fn no_arrangement_of_known_words_panics(
            words in prop::collection::vec(prop::sample::select(vec![
                "<head>", "</head>", "<sersync>", "</sersync>", "<rsync>", "</rsync>", "<localpath watch='/a'>",
                "</localpath>", "<remote ip='h' name=m/>", "<commonParams params=\"-avz --x=\"/>", "<filter start=true>",
                "</filter>", "<exclude expression='(.*)'/>", "#text", "<!-- -- -->", "<auth start=\"true\"users=''/>",
            ]), 0..30)
        ) {
            let mut findings = Findings::default();
            let _ = read(&SourceText::decode("f", words.concat().as_bytes()), &mut findings);
        }
    }
}
