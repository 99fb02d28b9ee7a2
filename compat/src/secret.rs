//! Passwords in a line that is shown.

/// Words behind which a password stands; `passwordfile` and its like name a file.
const WORDS: [&str; 3] = ["password", "passwd", "auth_pass"];

/// `line` with each password in it replaced by as many stars.
pub(crate) fn hidden(line: &str) -> String {
    let folded = line.to_ascii_lowercase();
    let mut secrets: Vec<(usize, usize)> = WORDS
        .iter()
        .flat_map(|word| folded.match_indices(word).map(|(at, _)| (at, word.len())))
        .filter_map(|(at, len)| value(line, at, len))
        .collect();
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

/// Where the value of the word at `at` stands, if it is a word by itself.
fn value(line: &str, at: usize, len: usize) -> Option<(usize, usize)> {
    let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let before = line.get(..at)?.chars().next_back();
    let rest = line.get(at + len..)?;
    if before.is_some_and(part_of_word) || rest.starts_with(part_of_word) {
        return None;
    }
    let behind = rest.trim_start();
    let behind = behind.strip_prefix('=').map_or(behind, str::trim_start);
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
        ];
        for (line, shown) in cases {
            assert_eq!(hidden(line), shown);
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_or_changes_its_length(line in "(passwd|password|auth_pass|[ =\"'x密])*") {
            prop_assert_eq!(hidden(&line).chars().count(), line.chars().count());
        }
    }
}
