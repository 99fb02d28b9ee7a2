//! sersync2's forgiving XML as a tree of elements with spans.
//!
//! Forgiven, because the parser inside sersync2 forgives it and files in use rely on it: names in
//! any case, text anywhere but before the declaration, words without a value inside a tag, attributes without quotes or
//! without blanks between them, `--` in comments, anything after the root. Repaired with a warning: bare `&`.
//! Not forgiven: what makes the structure doubtful, that is `<` in text or in a value and tags that do not match.

mod tag;

use tag::entity;
pub(crate) use tag::resolved;

use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::Event;

use crate::diag::Finding;
use crate::findings::Findings;
use crate::nearest;
use crate::span::{Span, Spanned};
use crate::text::SourceText;

/// Elements nest no deeper; a `confxml.xml` needs six levels.
const MAX_DEPTH: usize = 64;

/// The code of every finding about the structure.
const CODE: &str = "xml-syntax";

/// One element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// Its name as written.
    pub name: Spanned<String>,
    /// Its attributes in order, also repeated ones.
    pub attributes: Vec<Attribute>,
    /// Words in the tag that are no attributes and do not look like a comment.
    pub stray: Vec<Spanned<String>>,
    /// The elements in it.
    pub children: Vec<Self>,
    /// The whole start tag.
    pub span: Span,
}

/// One attribute; entities in the value are resolved, and its span is inside the quotes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attribute {
    /// Its name as written.
    pub name: Spanned<String>,
    /// Its value.
    pub value: Spanned<String>,
}

impl Element {
    /// Whether this element is called `name`, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.value.eq_ignore_ascii_case(name)
    }

    /// The first child called `name`: sersync2 sees no other.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(name))
    }

    /// All children called `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The value of the first attribute called `name`: sersync2 sees no other.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Spanned<String>> {
        self.attributes.iter().find(|a| a.name.value.eq_ignore_ascii_case(name)).map(|a| &a.value)
    }
}

/// The top-level elements of the text. What was repaired goes to `findings`.
///
/// # Errors
/// The first place at which the structure is broken.
pub fn read(source: &SourceText, findings: &mut Findings) -> Result<Vec<Element>, Finding> {
    let text = source.text();
    // A second mark, which the reader would pass over without counting it.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let offset = |position: u64| mark + offset(position);
    let mut reader = Reader::from_str(text.get(mark..).unwrap_or(""));
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    let mut tree = Tree { source, top: Vec::new(), open: Vec::new(), bare: Vec::new() };
    loop {
        let start = offset(reader.buffer_position());
        let event = reader.read_event();
        let span = Span::new(start, offset(reader.buffer_position()));
        match event {
            Ok(Event::Start(_)) => tree.open(span)?,
            Ok(Event::Empty(_)) => tree.empty(span)?,
            Ok(Event::End(_)) => tree.close(span)?,
            Ok(Event::Decl(_)) => tree.declared(span)?,
            Ok(Event::Text(_) | Event::GeneralRef(_)) => tree.ampersands(span),
            Ok(Event::Eof) => {
                findings.extend(repaired(source, &tree.bare));
                return tree.finish();
            }
            Ok(_) => {}
            Err(error) => return Err(syntax_error(source, offset(reader.error_position()), &error)),
        }
    }
}

/// The elements read so far, and those that are still open, outermost first.
struct Tree<'a> {
    source: &'a SourceText,
    top: Vec<Element>,
    open: Vec<Element>,
    /// Each `&` that begins no entity.
    bare: Vec<usize>,
}

impl Tree<'_> {
    fn open(&mut self, span: Span) -> Result<(), Finding> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.source.error(CODE, span, format!("elements are nested more than {MAX_DEPTH} deep")));
        }
        let element = self.element(span)?;
        self.open.push(element);
        Ok(())
    }

    fn element(&mut self, tag: Span) -> Result<Element, Finding> {
        let element = tag::read(self.source, tag)?;
        element.attributes.iter().for_each(|attribute| self.ampersands(attribute.value.span));
        Ok(element)
    }

    /// Notes each `&` within `span` that sersync2 takes for an entity without end.
    fn ampersands(&mut self, span: Span) {
        let text = self.source.text().get(span.start..span.end).unwrap_or("");
        let bare = text.match_indices('&').filter(|(at, _)| entity(text.get(*at..).unwrap_or("")).is_none());
        self.bare.extend(bare.map(|(at, _)| span.start + at));
    }

    /// The declaration stands first or not at all: sersync2 found no element behind anything else.
    fn declared(&self, span: Span) -> Result<(), Finding> {
        let before = self.source.text().get(..span.start).unwrap_or("");
        let Some(at) = before.find(|c: char| !c.is_whitespace()) else { return Ok(()) };
        let what = Span::new(at, before.trim_end().len());
        let finding = self.source.error(CODE, what, "something stands before `<?xml …?>`");
        Err(finding.help("the declaration has to be the first in the file: move what is before it behind it"))
    }

    fn empty(&mut self, span: Span) -> Result<(), Finding> {
        let element = self.element(span)?;
        self.add(element);
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Finding> {
        let text = self.source.text().get(span.start..span.end).unwrap_or("");
        let name = text.trim_start_matches("</").trim_end_matches('>').trim();
        let Some(element) = self.open.pop() else {
            return Err(self.source.error(CODE, span, format!("`</{name}>` closes nothing")).help("remove it"));
        };
        if !element.is(name) {
            return Err(self.mismatch(span, name, &element));
        }
        self.add(element);
        Ok(())
    }

    fn mismatch(&self, span: Span, name: &str, open: &Element) -> Finding {
        let (line, _) = self.source.position(open.span.start);
        let open = &open.name.value;
        let message = format!("`</{name}>` stands where `</{open}>` is due: line {line} opened `<{open}>`");
        let help = match nearest(name, [open.as_str()]) {
            Some(_) => format!("write `</{open}>`"),
            None => format!("close `<{open}>` first, or end its tag with `/>`"),
        };
        self.source.error(CODE, span, message).help(help)
    }

    fn add(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.top.push(element),
        }
    }

    fn finish(mut self) -> Result<Vec<Element>, Finding> {
        match self.open.pop() {
            None => Ok(self.top),
            Some(left) => {
                let name = &left.name.value;
                let message = format!("`<{name}>` is never closed");
                let help = format!("write `</{name}>` where it ends, or end its tag with `/>`");
                Err(self.source.error(CODE, left.span, message).help(help))
            }
        }
    }
}

/// What is said of every `&` that stands alone, at the first one.
fn repaired(source: &SourceText, bare: &[usize]) -> Option<Finding> {
    let first = *bare.first()?;
    let what = match bare.len() {
        1 => "this `&` begins no entity: taken as it stands".to_owned(),
        number => format!("this `&` and {} more begin no entity: taken as they stand", number - 1),
    };
    let message = format!("{what}, where sersync2 ends with an error");
    Some(source.warning("xml-ampersand", Span::new(first, first + 1), message).help("write `&amp;`"))
}

fn syntax_error(source: &SourceText, at: usize, error: &Error) -> Finding {
    let rest = source.text().get(at..).unwrap_or("");
    let len = rest.char_indices().nth(4).map_or(rest.len(), |(len, _)| len);
    let span = Span::new(at, at + len);
    let Error::Syntax(what) = error else {
        return source.error(CODE, span, error.to_string());
    };
    let quoted = matches!(
        what,
        SyntaxError::UnclosedSingleQuotedAttributeValue | SyntaxError::UnclosedDoubleQuotedAttributeValue
    );
    // A value without its end quote runs on into the next tags, where reading it stops.
    if let Some(finding) = tag::read(source, Span::new(at, source.text().len())).err().filter(|_| quoted) {
        return finding;
    }
    let (message, help) = match what {
        SyntaxError::InvalidBangMarkup if rest.starts_with("<!—") || rest.starts_with("<!–") => {
            ("this begins no comment: after `<!` stands a dash of a word processor", "write two plain hyphens: `<!--`")
        }
        SyntaxError::InvalidBangMarkup => ("`<!` begins neither a comment nor a DOCTYPE", "a comment is `<!-- … -->`"),
        SyntaxError::UnclosedComment => ("this comment is never closed", "end it with `-->`"),
        SyntaxError::UnclosedSingleQuotedAttributeValue | SyntaxError::UnclosedDoubleQuotedAttributeValue => {
            ("a quote in this tag is never closed", "close the quote")
        }
        SyntaxError::UnclosedTag => ("this tag is never closed", "end it with `>`; a `<` in text is written `&lt;`"),
        _ => return source.error(CODE, span, what.to_string()),
    };
    source.error(CODE, span, message).help(help)
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(text: &str) -> Vec<Element> {
        read(&SourceText::decode("c.xml", text.as_bytes()), &mut Findings::default()).expect("well-formed")
    }

    fn fault(text: &str) -> String {
        read(&SourceText::decode("c.xml", text.as_bytes()), &mut Findings::default())
            .expect_err("malformed")
            .to_string()
    }

    #[test]
    fn behind_two_byte_order_marks_everything_stands_where_it_stands() {
        let source = SourceText::decode("c.xml", "\u{feff}\u{feff}<head a='设'/>".as_bytes());
        let element = read(&source, &mut Findings::default()).expect("readable").remove(0);
        assert_eq!(source.text().get(element.name.span.start..element.name.span.end), Some("head"));
        assert_eq!(element.attribute("a").map(|a| a.value.as_str()), Some("设"));
    }

    #[test]
    fn a_tag_of_two_brackets_has_its_parts_where_they_stand() {
        let source = SourceText::decode("c.xml", "<<a b='设'/>".as_bytes());
        let element = read(&source, &mut Findings::default()).expect("readable").remove(0);
        let value = element.attribute("b").expect("there");
        assert_eq!(source.text().get(element.name.span.start..element.name.span.end), Some("<a"));
        assert_eq!(source.text().get(value.span.start..value.span.end), Some("设"));
    }

    #[test]
    fn what_sersync2_forgives_is_forgiven() {
        let text = "\n# 说明 it's \"fine\" & so > on\n<HEAD version=2.5><!-- a -- b -->\n\
            <auth start = 'true'users=\"a&amp;b\" ##junk here passwordfile=/etc/p start=\"no\"/>##text\n</head> trailing <x/>";
        let top = tree(text);
        let head = &top[0];
        assert!(head.is("head") && top.len() == 2);
        let auth = head.child("AUTH").expect("there");
        let value = |name| auth.attribute(name).map(|v| v.value.as_str());
        assert_eq!(value("start"), Some("true"));
        assert_eq!(value("users"), Some("a&b"));
        assert_eq!(value("passwordfile"), Some("/etc/p"));
        assert_eq!(&text[auth.attribute("users").expect("there").span.start..][..7], "a&amp;b");
        assert!(text[auth.span.start..auth.span.end].starts_with("<auth") && auth.stray.is_empty());
    }

    #[test]
    fn broken_structure_is_one_finding_with_its_place() {
        insta::assert_snapshot!(fault("<head>\n <a>\n</head>"), @r"
        c.xml:3:1: error: `</head>` stands where `</a>` is due: line 2 opened `<a>` — close `<a>` first, or end its tag with `/>`
         3 | </head>
           | ^^^^^^^
        ");
        insta::assert_snapshot!(fault("<head>\n <a start=\"true/>\n <b x=\"1\"/></head>"), @r#"
        c.xml:2:12: error: `<` stands in the value of `start` — close the quote before it, or write `&lt;`
         2 |  <a start="true/>
           |            ^^^^^^
        "#);
        insta::assert_snapshot!(fault("<head><!—x--></head>"), @r"
        c.xml:1:7: error: this begins no comment: after `<!` stands a dash of a word processor — write two plain hyphens: `<!--`
         1 | <head><!—x--></head>
           |       ^^^^
        ");
        insta::assert_snapshot!(fault("<head># a < b\n</head>"), @r"
        c.xml:1:11: error: `<` stands in text — write `&lt;`
         1 | <head># a < b
           |           ^^^
        ");
        insta::assert_snapshot!(fault("<head><failLogpath=\"/x\"/></head>"), @r#"
        c.xml:1:8: error: a blank is missing in `failLogpath="/x"` — separate the element's name from the attribute
         1 | <head><failLogpath="/x"/></head>
           |        ^^^^^^^^^^^^^^^^
        "#);
    }

    #[test]
    fn an_ampersand_that_begins_no_entity_is_repaired_and_said() {
        let said = |text: &str| {
            let (source, mut findings) = (SourceText::decode("c.xml", text.as_bytes()), Findings::default());
            read(&source, &mut findings).expect("readable");
            findings.iter().map(Finding::summary).collect::<Vec<_>>()
        };
        insta::assert_debug_snapshot!(said("<head>\n 设 & b &amp; &nope; &#0x;\n<a b='x&y'/></head>"), @r#"
        [
            "c.xml:2:4: warning: this `&` and 3 more begin no entity: taken as they stand, where sersync2 ends with an error — write `&amp;`",
        ]
        "#);
        insta::assert_debug_snapshot!(said("<a b='&amp;x & y'>&#65;</a>"), @r#"
        [
            "c.xml:1:14: warning: this `&` begins no entity: taken as it stands, where sersync2 ends with an error — write `&amp;`",
        ]
        "#);
        for fine in ["<head>&lt;&#x41;<!-- & --><![CDATA[ & ]]></head>", "<head a='&quot;'/>"] {
            assert_eq!(said(fine), Vec::<String>::new(), "{fine}");
        }
        assert_eq!(said(&format!("<head>{}</head>", "&".repeat(100_000))).len(), 1);
    }

    #[test]
    fn depth_is_bounded() {
        assert!(fault(&"<a>".repeat(100_000)).contains("nested"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&SourceText::decode("f", &bytes), &mut Findings::default());
        }

        #[test]
        fn no_markup_panics(text in "([<>/!=\"' a&#-]|<a|</a>|<!--|-->|é){0,40}") {
            if let Err(finding) = read(&SourceText::decode("f", text.as_bytes()), &mut Findings::default()) {
                prop_assert!(finding.place.is_some());
            }
        }
    }
}
