//! Passwords in a line that is shown.

/// Words behind which a password stands, without the signs within them; `passwordfile` and its like name a file.
const WORDS: [&str; 6] = ["password", "passwd", "authpass", "authpassword", "authpasswd", "passphrase"];

/// Words that are such only with a `=` behind them: `auth_type PASS`.
const ASSIGNED: [&str; 2] = ["pass", "pwd"];

/// The element in which a word that belongs to nothing may be one.
const ELEMENT: &str = "<cdninfo";

/// `line` with each password in it replaced by as many stars.
pub(crate) fn hidden(line: &str) -> String {
    let mut secrets: Vec<(usize, usize)> = words(line).filter_map(|(start, end)| value(line, start, end)).collect();
    secrets.extend(strays(line));
    secrets.sort_unstable();
    let (mut shown, mut upto) = (String::new(), 0);
    for (start, end) in secrets {
        shown.push_str(line.get(upto..start).unwrap_or(""));
        let secret = line.get(start.max(upto)..end).unwrap_or("");
        shown.extend(secret.chars().map(|_| '*'));
        upto = upto.max(end);
    }
    shown.push_str(line.get(upto..).unwrap_or(""));
    shown
}

/// Where each word of the line begins and ends.
fn words(line: &str) -> impl Iterator<Item = (usize, usize)> {
    let between = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let mut at = 0;
    line.split_inclusive(between).filter_map(move |piece| {
        let start = at;
        at += piece.len();
        let word = piece.trim_end_matches(between);
        (!word.is_empty()).then_some((start, start + word.len()))
    })
}

/// What stands in [`ELEMENT`] and is no attribute.
fn strays(line: &str) -> Vec<(usize, usize)> {
    let folded = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, _) in folded.match_indices(ELEMENT) {
        let start = at + ELEMENT.len();
        let tag = line.get(start..).unwrap_or("").split('>').next().unwrap_or("");
        let (mut rest, mut assigned) = (tag, false);
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            let (word, behind) = rest.split_at_checked(token(rest)).unwrap_or((rest, ""));
            let assigns = behind.trim_start().starts_with('=') || word.ends_with('=');
            let quoted = word.starts_with(['"', '\'']);
            if !assigned && !assigns && (quoted || !word.contains('=')) {
                let from = start + (tag.len() - rest.len());
                found.push((from, from + word.len()));
            }
            (rest, assigned) = (behind, word.ends_with('='));
        }
    }
    found
}

/// How long the first of the words in a tag is; blanks between quotes are in it.
fn token(rest: &str) -> usize {
    let mut quote = None;
    let end = rest.find(|c: char| {
        let ends = quote.is_none() && c.is_whitespace();
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        ends
    });
    end.unwrap_or(rest.len())
}

/// Where the value of the word from `start` to `end` stands, if it is one behind which a password does.
fn value(line: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let word = line.get(start..end)?.replace(['_', '-'], "").to_ascii_lowercase();
    let behind = line.get(end..)?.trim_start();
    let assigned = behind.strip_prefix('=');
    let known = WORDS.contains(&word.as_str()) || (ASSIGNED.contains(&word.as_str()) && assigned.is_some());
    if !known {
        return None;
    }
    let behind = assigned.map_or(behind, str::trim_start);
    let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
    let text = quote.and_then(|quote| behind.strip_prefix(quote)).unwrap_or(behind);
    let end = match quote {
        Some(quote) => text.find(quote).unwrap_or(text.len()),
        None => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let start = line.len() - text.len();
    (end > 0).then_some((start, start + end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::hidden;

    #[test]
    fn a_password_is_stars_and_the_name_of_its_file_is_not() {
        let cases = [
            ("<cdninfo username=\"u\" passwd=\"s e\" port='1'/>", "<cdninfo username=\"u\" passwd=\"***\" port='1'/>"),
            ("  auth_pass = 1111 # c", "  auth_pass = **** # c"),
            ("auth_pass 1111", "auth_pass ****"),
            ("<auth PASSWORD='x' passwordfile=\"/etc/p\"/>", "<auth PASSWORD='*' passwordfile=\"/etc/p\"/>"),
            ("password-file = \"/p\"", "password-file = \"/p\""),
            ("passwd=密码 x passwd=y", "passwd=** x passwd=*"),
            ("passwd=", "passwd="),
            ("auth-pass = \"1111\"", "auth-pass = \"****\""),
            ("Auth-Password=1111", "Auth-Password=****"),
            ("pass = 'x y'", "pass = '***'"),
            ("auth_type PASS", "auth_type PASS"),
            ("auth_type PASS auth_pass 1111", "auth_type PASS auth_pass ****"),
            ("<CDNinfo username=\"u\" passwd=\"s\" \"top\"/> x", "<CDNinfo username=\"u\" passwd=\"*\" ******> x"),
            ("<cdninfo username=\"u v\" port = '8' top", "<cdninfo username=\"u v\" port = '8' ***"),
        ];
        for (line, shown) in cases {
            assert_eq!(hidden(line), shown);
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_or_changes_its_length(line in "(passwd|password|auth_pass|<cdninfo|[ =\"'x密>-])*") {
            prop_assert_eq!(hidden(&line).chars().count(), line.chars().count());
        }
    }
}
