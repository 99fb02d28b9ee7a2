//! sersync2's own dialect of XML: each line of what it accepts, and what it refuses.

use syncd_compat::confxml::{self, ConfXml};
use syncd_compat::{Finding, Findings, SourceText};

fn read(bytes: &[u8]) -> Result<(ConfXml, Vec<String>), Finding> {
    let mut findings = Findings::default();
    let conf = confxml::read(&SourceText::decode("c.xml", bytes), &mut findings)?;
    Ok((conf, findings.iter().map(|f| f.summary().trim_start_matches("c.xml:").to_owned()).collect()))
}

const BODY: &str = "<sersync><localpath watch=\"/w\"><remote ip=\"h\" name=\"m\"/></localpath></sersync>";

/// What it is read as: the watched path, the first remote, and what is said about the file.
fn meaning(text: &str) -> String {
    let (conf, findings) = read(text.as_bytes()).unwrap_or_else(|finding| panic!("{text}\n{finding}"));
    let local = &conf.sersync[0].localpath[0];
    let remote = &local.remote[0];
    format!("{} {}::{} {findings:?}", local.watch.value, remote.ip.value, remote.name.value)
}

#[test]
fn the_places_of_text_and_markup_are_free() {
    let remote = |tag: &str| BODY.replace("<remote ip=\"h\" name=\"m\"/>", tag);
    for text in [
        format!("<head>{BODY}</head>"),
        format!("\n\n  \t<head version=\"9\">{BODY}</head>"),
        format!("\u{feff}<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\r\n<head>\r\n{BODY}\r\n</head>\r\n"),
        format!("\n <?xml version='1.0'?><!DOCTYPE head [<!ENTITY x \"<y>\">]><head>{BODY}</head>"),
        format!("<?xml version=\"1.0\"?><!-- a -- b --- c --><head><!-- -- -->{BODY}<!----></head>"),
        format!("<head># it's \"so = > ' 设置 &amp; &#65;\n{BODY}## 后面\n</head> trailing ' \" > text"),
        format!("<head><![CDATA[ <a> & </head> ]]>{BODY}<?php echo ?></head>"),
        format!("<head>{BODY}<HOST HOSTIP='x'PORT=8008></Host></HEAD>"),
        format!("<head>{}</head>", remote("<remote ip='h'name=\"m\"/>")),
        format!("<head>{}</head>", remote("<REMOTE ip = h\n\tname = m/>")),
        format!("<head>{}</head >", remote("<remote ip=h name=m></ remote\n>")),
        format!("<head>{}</head>", remote("<remote ip=\"h\"name=m ##junk here ok/>")),
    ] {
        assert_eq!(meaning(&text), "/w h::m []", "{text}");
    }
}

#[test]
fn what_is_passed_over_is_named() {
    let cases = [
        format!("<head>{}</head>", BODY.replace("/>", " junk \"word\"/>")),
        format!("<a/>words<head>{BODY}</head><b>text</b> more"),
        format!("<head>{BODY}</head><head/>"),
        format!("<head>{}</head>", BODY.replace("name=\"m\"", "name=\"m\" NAME=\"other\"")),
        format!("<head>{BODY}<nonsense><sersync/></nonsense></head>"),
    ];
    let said: Vec<String> = cases.iter().map(|text| meaning(text)).collect();
    insta::assert_debug_snapshot!(said, @r#"
    [
        "/w h::m [\"1:62: warning: `junk` is no attribute and ignored — write name=\\\"value\\\", or remove it\", \"1:67: warning: `\\\"word\\\"` is no attribute and ignored — write name=\\\"value\\\", or remove it\"]",
        "/w h::m [\"1:2: warning: `<a>` outside `<head>` is ignored — remove it\", \"1:102: warning: `<b>` outside `<head>` is ignored — remove it\"]",
        "/w h::m [\"1:93: warning: `<head>` outside `<head>` is ignored — remove it\"]",
        "/w h::m [\"1:62: warning: this `NAME` is ignored: the first one counts — remove one of them\"]",
        "/w h::m [\"1:86: warning: `<nonsense>` in `<head>` is unknown and ignored — remove it\"]",
    ]
    "#);
}

#[test]
fn values_are_what_stands_between_the_quotes() {
    let text =
        format!("<head><filter start=\"true\"><exclude expression=\"a>b\n&lt;c&#x3e;'\"/></filter>{BODY}</head>");
    let (conf, findings) = read(text.as_bytes()).expect("readable");
    assert_eq!(conf.filter.exclude[0].value, "a>b\n<c>'");
    assert!(findings.is_empty());
    // Only the four bytes are on.
    for (value, said) in [("true", 0), ("false", 0), ("TRUE", 1), (" true", 1), ("yes", 1), ("1", 1), ("“true”", 1)]
    {
        let (conf, findings) = read(format!("<head><debug start=\"{value}\"/>{BODY}</head>").as_bytes()).expect(value);
        assert_eq!((conf.debug.on, findings.len()), (value == "true", said), "{value}");
    }
}

#[test]
fn what_sersync2_refuses_is_one_error_with_its_place() {
    let said = |text: &str| read(text.as_bytes()).expect_err(text).summary();
    let all = [
        said(&format!("# mine\n<?xml version=\"1.0\"?><head>{BODY}</head>")),
        said(&format!("<x/><?xml version=\"1.0\"?><head>{BODY}</head>")),
        said(&format!("<y><head>{BODY}</head></y>")),
        said(&format!("<head>{BODY}")),
        said(&format!("<head>{BODY}</head></head>")),
        said(&format!("<head>{BODY}<!-- </head>")),
        said(&format!("<head>{BODY} a < b</head>")),
        said(&format!("<head><debug start=\"true\" <!-- why -->/>{BODY}</head>")),
        said(""),
    ];
    insta::assert_debug_snapshot!(all, @r#"
    [
        "c.xml:1:1: error: something stands before `<?xml …?>` — the declaration has to be the first in the file: move what is before it behind it",
        "c.xml:1:1: error: something stands before `<?xml …?>` — the declaration has to be the first in the file: move what is before it behind it",
        "c.xml:1:1: error: there is no `<head>` element in it — a confxml.xml of sersync2 has `<head version=\"2.5\">` around everything",
        "c.xml:1:1: error: `<head>` is never closed — write `</head>` where it ends, or end its tag with `/>`",
        "c.xml:1:92: error: `</head>` closes nothing — remove it",
        "c.xml:1:85: error: this comment is never closed — end it with `-->`",
        "c.xml:1:88: error: `<` stands in text — write `&lt;`",
        "c.xml:1:27: error: a comment stands inside a tag — move it behind the tag",
        "c.xml:1:1: error: there is no `<head>` element in it — a confxml.xml of sersync2 has `<head version=\"2.5\">` around everything",
    ]
    "#);
}

#[test]
fn utf16_is_known_with_and_without_its_mark() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    assert!(SourceText::decode("c.xml", &wide("\u{feff}<head/>")).is_utf16());
    assert!(SourceText::decode("c.xml", &wide("<head/>")).is_utf16());
    for bytes in [&b"<head/>"[..], "\u{feff}<head># 设置</head>".as_bytes(), b"<head>\xc9\xe8\xd6\xc3</head>"] {
        assert!(!SourceText::decode("c.xml", bytes).is_utf16());
    }
}
