//! The files that a pattern with wildcards names, as `include` of a keepalived.conf has it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
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
    let glob = GlobBuilder::new(name).literal_separator(true).build().map_err(|error| error.to_string())?;
    let matcher = glob.compile_matcher();
    let mut found = Vec::new();
    for directory in directories {
        let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let entries = fs::read_dir(listed).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let shown = |entry: &std::ffi::OsString| name.starts_with('.') || !entry.to_string_lossy().starts_with('.');
        let mut names: Vec<_> = entries.filter(|entry| shown(entry) && matcher.is_match(entry)).collect();
        names.sort();
        found.extend(names.into_iter().map(|entry| directory.join(entry)).take(MOST_FILES));
    }
    Ok(found)
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
        assert_eq!(names("con?.d/d.txt"), ["d.txt"]);
        assert_eq!(names("none/*.conf"), Vec::<String>::new());
    }
}
