//! Filters: any expressions and rules are usable or refused, and hold for every path in bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd::filter::{Filter, Rule};
use syncd::model::RelPath;

/// More of each only make one input slower.
const MOST: usize = 8;

/// Lines: `~EXPRESSION`, `=PATH`, and any other is a rule, `- PATTERN`, `+ PATTERN` or with `!` behind the sign.
#[derive(Default)]
struct Case {
    expressions: Vec<String>,
    rules: Vec<Rule>,
    paths: Vec<RelPath>,
}

fn case(bytes: &[u8]) -> Case {
    let mut case = Case::default();
    for line in bytes.split(|b| *b == b'\n') {
        match line {
            [b'~', text @ ..] => case.expressions.extend(std::str::from_utf8(text).map(str::to_owned)),
            [b'=', text @ ..] => case.paths.extend(RelPath::parse(text)),
            [sign @ (b'-' | b'+'), rest @ ..] => {
                let negate = rest.first() == Some(&b'!');
                let pattern = rest[usize::from(negate)..].strip_prefix(b" ").unwrap_or(rest).to_vec();
                case.rules.push(Rule { include: *sign == b'+', negate, pattern });
            }
            _ => {}
        }
    }
    case.expressions.truncate(MOST);
    case.rules.truncate(MOST);
    case.paths.truncate(MOST);
    case
}

fuzz_target!(|bytes: &[u8]| {
    let Case { expressions, rules, paths } = case(bytes);
    expressions.iter().for_each(|expression| _ = syncd::filter::excludes_parents(expression));
    let filter = match Filter::new(&expressions, &rules) {
        Ok(filter) => filter,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    assert!(!filter.excludes(&RelPath::root(), true));
    for path in &paths {
        for is_dir in [false, true] {
            let excluded = filter.excludes(path, is_dir);
            // What is taken along with a directory is what lies above it, and nothing else.
            let parent = path.parent().is_some_and(|parent| filter.excludes(&parent, true));
            assert_eq!(excluded, parent || filter.excludes_itself(path, is_dir), "{path} {is_dir}");
            assert!(filter.has_excludes() || !excluded || path.components().next() == Some(b".syncd"));
        }
    }
});
