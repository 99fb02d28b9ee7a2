//! The files that a pattern with wildcards names, as `include` of a keepalived.conf has it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use syncd_compat::SourceText;

use super::load;

/// How many files one pattern may name.
const MOST_FILES: usize = 256;

/// The files that `pattern` names, from the directory of the file `from` on, in the order of their names.
///
/// # Errors
/// A file that is there cannot be read, or the pattern is none.
pub(super) fn load(from: &Path, pattern: &str) -> Result<Vec<SourceText>, String> {
    let directory = from.parent().unwrap_or(Path::new(""));
    let mut found = vec![PathBuf::new()];
    for component in directory.join(pattern).components() {
        let Component::Normal(name) = component else {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let name = name.to_string_lossy();
        found = if name.contains(['*', '?', '[', '{']) {
            expand(&found, &name)?
        } else {
            found.into_iter().map(|path| path.join(&*name)).filter(|path| fs::metadata(path).is_ok()).collect()
        };
    }
    found.retain(|path| path.is_file());
    found.truncate(MOST_FILES);
    let read = |path: PathBuf| match load::read(&path) {
        Ok(bytes) => Ok(SourceText::decode(path, &bytes)),
        Err(cause) => Err(format!("{}: {cause}", path.display())),
    };
    found.into_iter().map(read).collect()
}

/// What matches `name` in each of `directories`; a leading dot has to be written.
fn expand(directories: &[PathBuf], name: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = Regex::new(&expression(name)).map_err(|_| format!("`{name}` is no pattern"))?;
    let mut found = Vec::new();
    for directory in directories {
        let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let entries = fs::read_dir(listed).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let shown = |entry: &std::ffi::OsString| name.starts_with('.') || !entry.to_string_lossy().starts_with('.');
        let mut names: Vec<_> =
            entries.filter(|entry| shown(entry) && pattern.is_match(&entry.to_string_lossy())).collect();
        names.sort();
        found.extend(names.into_iter().map(|entry| directory.join(entry)).take(MOST_FILES));
    }
    Ok(found)
}

/// The pattern of one name as a regular expression: `*`, `?`, `[…]` and `{a,b}`.
fn expression(name: &str) -> String {
    let mut expression = String::from("^(?s:");
    let (mut class, mut braces) = (false, 0);
    for c in name.chars() {
        match c {
            ']' if class => (class, _) = (false, expression.push(']')),
            '!' if class && expression.ends_with('[') => expression.push('^'),
            '-' | '^' if class => expression.push(c),
            '[' if !class => (class, _) = (true, expression.push('[')),
            '*' if !class => expression.push_str(".*"),
            '?' if !class => expression.push('.'),
            '{' if !class => (braces, _) = (braces + 1, expression.push_str("(?:")),
            '}' if !class && braces > 0 => (braces, _) = (braces - 1, expression.push(')')),
            ',' if !class && braces > 0 => expression.push('|'),
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(")$");
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_files_beside_the_one_that_says_it_in_order() {
        let dir = tempfile::tempdir().expect("directory");
        fs::create_dir(dir.path().join("conf.d")).expect("directory");
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            fs::write(dir.path().join("conf.d").join(name), name).expect("file");
        }
        let names = |pattern: &str| {
            let files = load(&dir.path().join("k.conf"), pattern).expect("readable");
            files.iter().map(|file| file.text().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("conf.d/*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("conf.d/{b,a}.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("con?.d/[!a-c].txt"), ["d.txt"]);
        assert_eq!(names("conf.d/*.txt+"), Vec::<String>::new());
        assert!(load(&dir.path().join("k.conf"), "conf.d/{a").is_err());
        assert_eq!(names("none/*.conf"), Vec::<String>::new());
    }
}
