//! Expressions over the absolute path of what changed.

use fancy_regex::{BytesMode, Regex, RegexBuilder};

/// How many steps back an expression may take for one path, some milliseconds.
const STEPS: usize = 100_000;

/// A regular expression in Perl's syntax, on bytes.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// One that must match the whole path (`<include>`).
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn whole(text: &str) -> Result<Self, String> {
        // On its own first: `a)|(b` would otherwise break out of the group.
        Self::anywhere(text)?;
        Self::anywhere(&format!(r"\A(?:{text})\z"))
    }

    /// One that is searched for in the path (`<regexurl match>`).
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn anywhere(text: &str) -> Result<Self, String> {
        let build =
            |mode| RegexBuilder::new(text).bytes_mode(mode).dot_matches_new_line(true).backtrack_limit(STEPS).build();
        // A glob, which this engine alone takes literally.
        if text.starts_with(['*', '+', '?']) {
            return Err(format!("the expression `{text}` cannot be used: nothing stands before what repeats it"));
        }
        // In ASCII `.` is a byte, as for sersync2; a class such as `[日月]` needs more.
        build(BytesMode::Ascii).or_else(|_| build(BytesMode::UnicodeBytes)).map(Self).map_err(|error| {
            let said = error.to_string();
            format!("the expression `{text}` cannot be used: {}", said.lines().last().unwrap_or_default().trim())
        })
    }

    /// Whether it matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        // One that gives up has not matched.
        self.0.is_match(path).unwrap_or(false)
    }

    /// What its first group holds, and what follows the match; none where it does not match.
    #[must_use]
    pub fn rewrite(&self, path: &[u8]) -> Option<Vec<u8>> {
        let found = self.0.captures(path).ok()??;
        let rest = path.get(found.get(0)?.end()..).unwrap_or_default();
        let group = found.get(1).and_then(|group| path.get(group.start()..group.end())).unwrap_or_default();
        Some([group, rest].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_include_means_the_whole_path() {
        let php = Pattern::whole(r"(.*)\.php").expect("valid");
        assert!(php.matches(b"/srv/a\nb.php") && !php.matches(b"/srv/a.php.bak"));
        let looking = Pattern::whole(r"(?!.*/cache/)(.*)").expect("valid");
        assert!(looking.matches(b"/srv/a") && !looking.matches(b"/srv/cache/a"));
        let bytes = Pattern::whole("(.*)[日月]").expect("valid");
        assert!(bytes.matches("/srv/月".as_bytes()) && php.matches(b"/\xff.php"));
        assert!(Pattern::whole("a)|(b").is_err() && Pattern::whole("*.php").is_err());
    }

    #[test]
    fn a_url_is_made_of_the_group_and_what_follows() {
        let url = Pattern::anywhere("cms.xoyo.com/site([/a-zA-Z0-9]*).xoyo.com/images").expect("valid");
        let made = url.rewrite(b"/data0/htdocs/cms.xoyo.com/site/jx3.xoyo.com/images/a.jpg");
        assert_eq!(made.as_deref(), Some(&b"/jx3/a.jpg"[..]));
        assert_eq!(url.rewrite(b"/data0/elsewhere"), None);
    }
}
