//! The settings that a file holds, one by one.

use super::schema::RULES;
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
    /// The element, or one around it, is another one of a kind of which only the first counts.
    pub ignored: bool,
}

/// Every known setting of the file in its order. Unknown ones are findings of [`super::read`].
///
/// # Errors
/// As [`super::read`].
pub fn present(source: &SourceText) -> Result<Vec<Present>, Finding> {
    let top = xml::read(source, &mut Findings::default())?;
    let mut found = Vec::new();
    if let Some(head) = top.iter().find(|element| element.is("head")) {
        walk(head, "", State::default(), &mut found);
    }
    Ok(found)
}

/// Why what stands in an element is not in force.
#[derive(Clone, Copy, Default)]
struct State {
    off: bool,
    ignored: bool,
}

fn walk(element: &Element, path: &str, state: State, found: &mut Vec<Present>) {
    let off = state.off || element.attribute("start").is_some_and(|start| start.value != "true");
    for attribute in &element.attributes {
        let is = |setting: &&Setting| {
            setting.element.eq_ignore_ascii_case(path) && setting.attribute.eq_ignore_ascii_case(&attribute.name.value)
        };
        let setting = SETTINGS.iter().find(is);
        let value = attribute.value.clone();
        found.extend(setting.map(|setting| Present { setting, value, off, ignored: state.ignored }));
    }
    let here = format!("head/{path}");
    let rule = RULES.iter().find(|rule| rule.path.eq_ignore_ascii_case(here.trim_end_matches('/')));
    let mut seen = Vec::new();
    for child in &element.children {
        let name = &child.name.value;
        let mut ignored = state.ignored;
        if let Some(known) = rule.and_then(|rule| rule.once().find(|known| child.is(known))) {
            ignored |= seen.contains(&known);
            if !ignored {
                seen.push(known);
            }
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        walk(child, &path, State { off, ignored }, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_second_element_where_the_first_counts_is_ignored() {
        let text = "<head><debug start='true'/><Debug start='false'/><plugin name='a'><localpath watch='1'/>\
            <LocalPath watch='2'><deshost ip='3'/></LocalPath></plugin><plugin name='b'/><x/><x/></head>";
        let found = present(&SourceText::decode("c.xml", text.as_bytes())).expect("readable");
        let shown: Vec<_> = found.iter().map(|p| (p.value.value.as_str(), p.ignored)).collect();
        let expected =
            [("true", false), ("false", true), ("a", false), ("1", false), ("2", true), ("3", true), ("b", false)];
        assert_eq!(shown, expected);
    }

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
