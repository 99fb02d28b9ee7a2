//! The settings that a file holds, one by one.

use super::table::{SETTINGS, Setting};
use crate::diag::Finding;
use crate::findings::Findings;
use crate::span::Spanned;
use crate::text::SourceText;
use crate::xml::{self, Element};

/// One setting of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Present {
    /// Which it is.
    pub setting: &'static Setting,
    /// Its value.
    pub value: Spanned<String>,
    /// The element, or one around it, is switched off by its own `start`.
    pub off: bool,
}

/// Every known setting of the file in its order. Unknown ones are findings of [`super::read`].
///
/// # Errors
/// As [`super::read`].
pub fn present(source: &SourceText) -> Result<Vec<Present>, Finding> {
    let top = xml::read(source, &mut Findings::default())?;
    let mut found = Vec::new();
    if let Some(head) = top.iter().find(|element| element.is("head")) {
        walk(head, "", false, &mut found);
    }
    Ok(found)
}

fn walk(element: &Element, path: &str, off: bool, found: &mut Vec<Present>) {
    let off = off || element.attribute("start").is_some_and(|start| start.value != "true");
    for attribute in &element.attributes {
        let is = |setting: &&Setting| {
            setting.element.eq_ignore_ascii_case(path) && setting.attribute.eq_ignore_ascii_case(&attribute.name.value)
        };
        found.extend(SETTINGS.iter().find(is).map(|setting| Present { setting, value: attribute.value.clone(), off }));
    }
    for child in &element.children {
        let name = &child.name.value;
        walk(child, &if path.is_empty() { name.clone() } else { format!("{path}/{name}") }, off, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_found_in_any_case_with_its_place() {
        let text = "<HEAD version='2.5'>\n<host hostip=localhost port='8008'/><sersync><RSYNC><Auth start=\"true\"users='u'/></RSYNC></sersync></HEAD>";
        let source = SourceText::decode("c.xml", text.as_bytes());
        let found = present(&source).expect("readable");
        let shown: Vec<_> = found
            .iter()
            .map(|p| {
                (p.setting.element, p.setting.attribute, p.value.value.as_str(), source.position(p.value.span.start).0)
            })
            .collect();
        let expected = [
            ("", "version", "2.5", 1),
            ("host", "hostip", "localhost", 2),
            ("host", "port", "8008", 2),
            ("sersync/rsync/auth", "start", "true", 2),
            ("sersync/rsync/auth", "users", "u", 2),
        ];
        assert_eq!(shown, expected);
    }
}
