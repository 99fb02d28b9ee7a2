//! `<plugin>`: what sersync2 did after each change, besides to mirror it.

use super::words;
use crate::diag::Finding;
use crate::span::{Span, Spanned};
use crate::text::SourceText;
use crate::xml::Element;

/// The names that sersync2 knows. `http` it knew once.
pub const NAMES: [&str; 3] = ["command", "socket", "refreshCDN"];

/// One top-level `<plugin name=…>`. Empty values are absent ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plugin {
    /// Its start tag.
    pub span: Span,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `<param prefix>`.
    pub prefix: Option<Spanned<String>>,
    /// `<param suffix>`.
    pub suffix: Option<Spanned<String>>,
    /// `<filter>`, where it is on: the expressions of its `<include>`s.
    pub include: Option<Vec<Spanned<String>>>,
    /// The first `<localpath>`.
    pub localpath: Option<PluginPath>,
}

/// `<localpath>` of a `<plugin>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PluginPath {
    /// Its start tag.
    pub span: Span,
    /// `watch`.
    pub watch: Option<Spanned<String>>,
    /// `<deshost ip>`.
    pub ip: Option<Spanned<String>>,
    /// `<deshost port>` or `<cdninfo port>`.
    pub port: Option<Spanned<String>>,
    /// `<cdninfo domainname>`.
    pub domain: Option<Spanned<String>>,
    /// `<cdninfo username>`.
    pub user: Option<Spanned<String>>,
    /// `<cdninfo passwd>`.
    pub password: Option<Spanned<String>>,
    /// `<sendurl base>`.
    pub base: Option<Spanned<String>>,
    /// `<regexurl match>`.
    pub pattern: Option<Spanned<String>>,
    /// `<regexurl regex="true">`.
    pub rewrite: bool,
}

impl Plugin {
    /// Reads one; what is missing only matters once it is used.
    pub(super) fn read(element: &Element) -> Self {
        let filter = element.child("filter").filter(|f| value(Some(f), "start").is_some_and(|v| v.value == "true"));
        Self {
            span: element.span,
            name: value(Some(element), "name"),
            prefix: value(element.child("param"), "prefix"),
            suffix: value(element.child("param"), "suffix"),
            include: filter.map(|f| f.all("include").filter_map(|e| e.attribute("expression")).cloned().collect()),
            localpath: element.child("localpath").map(PluginPath::read),
        }
    }

    /// The words of `<param prefix>` and of `<param suffix>`, between which the path stands.
    ///
    /// # Errors
    /// There is no command, or it needs a shell.
    pub fn command(&self, source: &SourceText) -> Result<(Vec<String>, Vec<String>), Finding> {
        let words = |text: &Option<Spanned<String>>| match text {
            Some(text) => words::split(source, text).map_err(|(span, why)| {
                let help = "write what needs a shell into a script, and name that";
                source.error("plugin-command", span, why).help(help)
            }),
            None => Ok(Vec::new()),
        };
        let (before, after) = (words(&self.prefix)?, words(&self.suffix)?);
        if before.is_empty() {
            let help = "write <param prefix=\"/PROGRAM\"/>; without it sersync2 ran the file that changed";
            return Err(source.error("plugin-missing", self.span, "the plugin has no command").help(help));
        }
        Ok((before, after))
    }
}

impl PluginPath {
    fn read(element: &Element) -> Self {
        let (host, cdn, url) = (element.child("deshost"), element.child("cdninfo"), element.child("regexurl"));
        Self {
            span: element.span,
            watch: value(Some(element), "watch"),
            ip: value(host, "ip"),
            port: value(host, "port").or_else(|| value(cdn, "port")),
            domain: value(cdn, "domainname"),
            user: value(cdn, "username"),
            password: value(cdn, "passwd"),
            base: value(element.child("sendurl"), "base"),
            pattern: value(url, "match"),
            rewrite: value(url, "regex").is_some_and(|v| v.value == "true"),
        }
    }
}

fn value(element: Option<&Element>, attribute: &str) -> Option<Spanned<String>> {
    element?.attribute(attribute).filter(|value| !value.value.is_empty()).cloned()
}
