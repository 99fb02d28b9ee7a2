//! commonParams and rsync's filter rules: any text is options, rules or findings, with places that are in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd_compat::rsync::{self, Directive, Refused, rules};
use syncd_compat::{Findings, SourceText, Span, Spanned};
use syncd_fuzz::{check_finding, check_span};

/// The line as the words that a shell would make of it.
fn check_options(source: &SourceText) {
    let params = Spanned::new(source.text().to_owned(), Span::new(0, source.text().len()));
    let mut findings = Findings::default();
    let options = rsync::parse(source, &params, &mut findings);
    let mut again = Findings::default();
    assert_eq!(rsync::parse(source, &params, &mut again), options, "the same words must mean the same");
    assert_eq!(again, findings);
    findings.iter().for_each(|finding| check_finding(source, finding));
    assert!(options.len() <= source.text().len());
    for option in &options {
        check_span(source, option.span);
        assert!(!option.on || option.spec.argument.is_none() || option.value.is_some(), "{option:?}");
    }
}

/// What a rule says is a part of the text that it takes.
fn check_taken(text: &str, taken: usize, directive: &Directive) {
    let own = text.get(..taken).expect("what is taken ends between two characters");
    match directive {
        Directive::Rule(pattern) => assert!(own.ends_with(&pattern.text), "{pattern:?} of {own:?}"),
        Directive::Merge { file, .. } => assert!(!file.is_empty() && own.ends_with(file), "{file:?} of {own:?}"),
        Directive::Clear | Directive::Cvs => {}
    }
}

fn check_rules(text: &str, words: bool) {
    let mut rest = text;
    while !rest.trim().is_empty() {
        let taken = match rules::rule(rest, words) {
            Ok((directive, taken)) => {
                check_taken(rest, taken, &directive);
                taken
            }
            Err((Refused::Unknown(why) | Refused::NotSupported(why), taken)) => {
                assert!(!why.is_empty());
                taken
            }
        };
        assert!(taken > 0 && (words || taken == rest.len()), "{taken} of {rest:?}");
        rest = rest.get(taken..).expect("what is left begins between two characters");
    }
}

/// Patterns without a rule's name before them, of a kind that the file has.
fn check_patterns(text: &str, words: bool) {
    for read in [rules::pattern, rules::bare] {
        let mut rest = text;
        while !rest.trim().is_empty() {
            let (directive, taken) = read(rest, false, words);
            check_taken(rest, taken, &directive);
            assert!(taken > 0 && (words || taken == rest.len()), "{taken} of {rest:?}");
            rest = &rest[taken..];
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let source = SourceText::decode("confxml.xml", bytes);
    check_options(&source);
    check_rules(source.text(), true);
    check_patterns(source.text(), true);
    for (at, line) in rules::lines(source.text()) {
        assert_eq!(source.text().get(at..at + line.len()), Some(line));
        check_rules(line, false);
        check_patterns(line, false);
    }
});
