//! Which paths of a set are left alone: neither sent, nor removed, nor touched by a peer.

mod boost;
mod legacy;
mod rule;
mod wild;

use crate::model::RelPath;

use legacy::Expressions;
use rule::Rules;

pub use rule::Rule;

/// The directory of the receiver's stage at the top of each root. It never travels.
pub const STAGE: &[u8] = b".syncd";

/// A pattern that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the {kind} `{pattern}` cannot be used: {cause}")]
pub struct FilterError {
    /// `expression` or `pattern`.
    pub kind: &'static str,
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub cause: String,
    /// The program whose dialect it is could not use it either: it excluded nothing there.
    pub void: bool,
}

/// The excludes of one set.
///
/// What is excluded takes all that lies below it along. The stage, `.syncd` at the top of the root,
/// is always excluded; nothing else is by itself, no dot-file and no editor's file either.
#[derive(Clone, Debug)]
pub struct Filter {
    expressions: Expressions,
    rules: Rules,
}

impl Filter {
    /// A filter of regular expressions in sersync2's dialect, each of which excludes, and of rsync's
    /// rules, of which the first that matches decides.
    ///
    /// An expression must match the whole of one of three strings, in Perl's syntax and on bytes:
    /// `name` for what stands at the top, `/sub/dir/name` for what stands deeper, and `sub/dir/` for
    /// every directory. One that takes too many steps back for a name counts as matching it.
    ///
    /// # Errors
    /// The first pattern that cannot be used.
    pub fn new(regex: &[String], rules: &[Rule]) -> Result<Self, FilterError> {
        Ok(Self { expressions: Expressions::new(regex)?, rules: Rules::new(rules)? })
    }

    /// Whether `path` or a directory above it is excluded. The root never is.
    #[must_use]
    pub fn excludes(&self, path: &RelPath, is_dir: bool) -> bool {
        if is_stage(path) {
            return true;
        }
        if path.is_root() || !self.has_excludes() {
            return false;
        }
        let bytes = path.as_bytes();
        let above = bytes.iter().enumerate().filter(|(_, b)| **b == b'/').filter_map(|(at, _)| bytes.get(..at));
        above.into_iter().any(|dir| self.names(dir, true)) || self.names(bytes, is_dir)
    }

    /// Whether anything but syncd's own directory can be excluded.
    #[must_use]
    pub fn has_excludes(&self) -> bool {
        !self.expressions.is_empty() || self.rules.exclude_some()
    }

    /// Whether `path` itself is excluded, for a caller who knows that nothing above it is.
    #[must_use]
    pub fn excludes_itself(&self, path: &RelPath, is_dir: bool) -> bool {
        is_stage(path) || (!path.is_root() && self.names(path.as_bytes(), is_dir))
    }

    fn names(&self, path: &[u8], is_dir: bool) -> bool {
        self.expressions.matches(path, is_dir) || self.rules.exclude(path, is_dir)
    }
}

/// Whether the expression says by a negative look-around what to keep, such as `^(?!.*uploads).*$`,
/// and thereby excludes the directories above it, below which nothing is ever reached.
#[must_use]
pub fn excludes_parents(expression: &str) -> bool {
    legacy::excludes_parents(expression)
}

/// The expression that the `bytes` of a file are, whatever encoding they are in: it matches the same bytes.
#[must_use]
pub fn expression_of(bytes: &[u8]) -> String {
    legacy::of_bytes(bytes)
}

fn is_stage(path: &RelPath) -> bool {
    path.components().next() == Some(STAGE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    fn new(regex: &[&str], rules: &[&str]) -> Result<Filter, FilterError> {
        let regex: Vec<String> = regex.iter().map(|s| (*s).to_owned()).collect();
        let rule = |text: &&str| match text.strip_prefix("+ ") {
            Some(pattern) => Rule::include(pattern),
            None => Rule::exclude(*text),
        };
        Filter::new(&regex, &rules.iter().map(rule).collect::<Vec<_>>())
    }

    fn filter(regex: &[&str], rules: &[&str]) -> Filter {
        new(regex, rules).expect("usable")
    }

    #[test]
    fn an_expression_matches_the_whole_of_one_of_three_strings() {
        let cases = [
            (r"(.*)\.bak", "a.bak", false, true),
            (r"(.*)\.bak", "d/a.bak", false, true),
            (r"\.bak", "a.bak", false, false),
            ("^info/*", "info", true, true),
            ("^info/*", "info/x", false, true),
            ("^info/*", "a/info", true, false),
            ("^/ca", "ca", false, false),
            ("^/etc/ca", "etc/ca", false, true),
            ("^test/test.txt", "test/test.txt", false, false),
            (r"(.*)\.svn", "a/.svn", true, true),
            ("sub/dir/", "sub/dir", true, true),
            ("sub/dir/", "sub/dir", false, false),
            (r"\d{4}", "4913", false, true),
            ("a|b", "ab", false, false),
            ("(.*)日志", "d/日志", false, true),
            ("[日月]", "月", false, true),
            ("^(?!.*?uploads).*$", "x", true, true),
            ("^(?!.*?uploads).*$", "uploads", true, false),
            ("^(?!.*?uploads).*$", "uploads/a", false, false),
            ("^(?!.*?uploads).*$", "x/uploads", true, true),
            (r"(.)\1", "aa", false, true),
            (r"(.)\1", "ab", false, false),
            ("(?=..)日(?!志).", "日", false, false),
            ("(?=..)日(?!志).", "日x", false, true),
            (r"(?!\d)\w+(?<!a)", "dab", false, true),
            ("a++b", "aab", false, true),
            (r"\Qa.b\E", "a.b", false, true),
            (r"\Qa.b\E", "axb", false, false),
            ("[a[b]c", "[c", false, true),
            ("[a&&b]", "&", false, true),
            (r"(.*)\_y", "a_y", false, true),
            ("a{x}", "a{x}", false, true),
        ];
        for (expression, name, is_dir, excluded) in cases {
            assert_eq!(filter(&[expression], &[]).excludes(&path(name), is_dir), excluded, "{expression} {name}");
        }
    }

    #[test]
    fn a_glob_is_anchored_as_in_rsync() {
        let cases = [
            ("*.bak", "a/b/c.bak", false, true),
            ("*.bak", "a.bak/x", false, true),
            ("/top", "top", false, true),
            ("/top", "a/top", false, false),
            ("b/c", "a/b/c", false, true),
            ("b/c", "a/bb/c", false, false),
            ("/a/*", "a/b", false, true),
            ("/a/*", "a", true, false),
            ("cache/", "x/cache", true, true),
            ("cache/", "x/cache", false, false),
            ("cache/", "cache/f", false, true),
            ("/a/**/z", "a/b/c/z", false, true),
            ("/log/***", "log/x/y", false, true),
            ("/log/***", "log", true, true),
            (".[!.]*", ".vim", false, true),
            ("a?c", "a/c", false, false),
        ];
        for (glob, name, is_dir, excluded) in cases {
            assert_eq!(filter(&[], &[glob]).excludes(&path(name), is_dir), excluded, "{glob} {name}");
        }
    }

    #[test]
    fn names_are_bytes() {
        let name = RelPath::parse(b"\xff\xfe.bak").expect("valid");
        assert!(filter(&[r"(.*)\.bak"], &[]).excludes(&name, false));
        assert!(filter(&[], &["*.bak"]).excludes(&name, false));
        assert!(filter(&["a(.*)b"], &[]).excludes(&path("a\nb"), false));
        assert!(filter(&[r"(?!x)..\.bak"], &[]).excludes(&name, false));
        assert!(!filter(&[r"(?!x).\.bak"], &[]).excludes(&name, false));
        assert!(!filter(&[r"(?!x)\w\w\.bak"], &[]).excludes(&name, false));
    }

    #[test]
    fn an_expression_in_another_encoding_matches_the_bytes_that_it_has() {
        let cases: [(&[u8], &[u8], bool); 14] = [
            (b"(.*)\xc8\xd5\xd6\xbe", b"a\xc8\xd5\xd6\xbe", true),
            (b"(.*)\xc8\xd5\xd6\xbe", "a\u{65e5}\u{5fd7}".as_bytes(), false),
            ("(.*)\u{65e5}\u{5fd7}".as_bytes(), "a\u{65e5}\u{5fd7}".as_bytes(), true),
            (b"(caf\xe9|bar)", b"bar", true),
            (b"(caf\xe9|bar)", b"caf\xe9", true),
            (b"(caf\xe9|bar)", "caf\u{e9}".as_bytes(), false),
            (b"[\xe0-\xe9]x", b"\xe5x", true),
            (br"\\\.", br"\.", true),
            (b"(.*)\\Q\xc8.\xd5\\E+", b"x\xc8.\xd5\xd5", true),
            (b"(.*)\\Q\xc8.\xd5\\E+", b"x\xc8-\xd5", false),
            (b"\\\xe9\\.b", b"\xe9.b", true),
            (b"(?!caf)(.*)\xe9", b"th\xe9", true),
            (b"(?!caf)(.*)\xe9", "th\u{e9}".as_bytes(), false),
            (b"(.)\\1\xe9", b"\xe8\xe8\xe9", true),
        ];
        for (expression, name, excluded) in cases {
            let text = expression_of(expression);
            let filter = filter(&[&text], &[]);
            assert_eq!(filter.excludes(&RelPath::parse(name).expect("valid"), false), excluded, "{text} {name:?}");
        }
    }

    #[test]
    fn the_stage_is_always_excluded_and_the_root_never() {
        let all = filter(&[".*"], &["*"]);
        let none = filter(&[], &[]);
        assert!(none.excludes(&path(".syncd"), true) && none.excludes(&path(".syncd/x"), false));
        assert!(!none.excludes(&path("a/.syncd"), true) && !none.excludes(&path(".syncdx"), false));
        assert!(!all.excludes(&RelPath::root(), true) && all.excludes(&path("x"), false));
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let some = filter(&[], &["+ *.conf", "+ /keep/***", "+ /a/", "*"]);
        let cases = [
            ("x.conf", false, false),
            ("x.bak", false, true),
            ("a/x.conf", false, false),
            ("a/x.bak", false, true),
            ("b/x.conf", false, true),
            ("keep", true, false),
            ("keep/b/c", false, false),
        ];
        for (name, is_dir, excluded) in cases {
            assert_eq!(some.excludes(&path(name), is_dir), excluded, "{name}");
        }
        assert!(!filter(&[], &["+ *"]).has_excludes());
    }

    #[test]
    fn an_expression_that_takes_too_long_for_a_name_leaves_it_alone() {
        let slow = filter(&[r"(?!x)(?:(a+)(a+)\1?)+b"], &[]);
        assert!(slow.excludes(&path(&"a".repeat(200)), false));
        assert!(!slow.excludes(&path("c"), false));
    }

    #[test]
    fn an_expression_that_also_excludes_what_lies_above_is_found() {
        for (expression, found) in [
            ("^(?!.*?uploads).*$", true),
            (r"^(?!.*\.conf$).*", true),
            (r"^(?!.*\.conf$).*\..*", false),
            (r"(.*)(?<!\.conf)", true),
            ("^(?!uploads/).*/$", false),
            ("(.*)", false),
        ] {
            assert_eq!(excludes_parents(expression), found, "{expression}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_named_with_its_cause() {
        let one = |regex: &[&str], rules: &[&str]| new(regex, rules).expect_err("unusable").to_string();
        let all = [
            one(&["*.php"], &[]),
            one(&["^(?!up.*$"], &[]),
            one(&["a)|(b"], &[]),
            one(&[], &["a[b"]),
            one(&[], &["/"]),
        ];
        insta::assert_debug_snapshot!(all, @r#"
        [
            "the expression `*.php` cannot be used: there is nothing that it could repeat (`*.x` is a glob; the expression for it is `(.*)\\.x`)",
            "the expression `^(?!up.*$` cannot be used: a `(` has no `)`",
            "the expression `a)|(b` cannot be used: a `)` has no `(`",
            "the pattern `a[b` cannot be used: unclosed character class; missing ']'",
            "the pattern `/` cannot be used: it names nothing below the root",
        ]
        "#);
    }

    #[test]
    fn what_sersync2_dropped_is_told_from_what_it_read_and_nobody_here_can() {
        let void = |expression: &str| new(&[expression], &[]).expect_err(expression).void;
        for dropped in ["*.php", "a)|(b", "^(?!up.*$", "[z-a]", r"(.)\2", "a\\"] {
            assert!(void(dropped), "{dropped}");
        }
        for read in ["(?|a|b)", "[[=a=]]"] {
            assert!(!void(read), "{read}");
        }
    }

    proptest! {
        #[test]
        fn what_lies_below_an_excluded_path_is_excluded(
            regex in "[a-c.*/|]{0,6}", rule in "[a-c*?/]{1,6}", name in "[a-c]{1,3}(/[a-c]{1,3}){0,3}", below in "[a-c]{1,3}"
        ) {
            let Ok(filter) = Filter::new(&[regex], &[Rule::exclude(rule)]) else { return Ok(()) };
            let dir = path(&name);
            let child = dir.join(below.as_bytes()).expect("valid");
            if filter.excludes(&dir, true) {
                prop_assert!(filter.excludes(&child, false) && filter.excludes(&child, true));
            } else {
                prop_assert_eq!(filter.excludes(&child, false), filter.excludes_itself(&child, false));
            }
        }
    }
}
