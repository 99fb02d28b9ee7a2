//! rsync's globs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::FilterError;

/// Globs, apart by whether they mean directories only.
#[derive(Clone, Debug)]
pub(super) struct Globs {
    any: GlobSet,
    dirs: GlobSet,
}

impl Globs {
    pub(super) fn new(patterns: &[String]) -> Result<Self, FilterError> {
        let (mut any, mut dirs) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let refuse = |cause: String| FilterError { kind: "glob", pattern: pattern.clone(), cause };
            // `dir/***` is rsync's word for the directory and all below it, as `dir/` is here.
            let short = pattern.strip_suffix("***").filter(|rest| rest.ends_with('/')).unwrap_or(pattern);
            let name = short.strip_suffix('/').unwrap_or(short);
            if name.is_empty() {
                return Err(refuse("it names nothing below the root".to_owned()));
            }
            let glob = GlobBuilder::new(&anchored(name)).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|error| refuse(error.kind().to_string()))?;
            if name.len() < short.len() {
                dirs.add(glob)
            } else {
                any.add(glob)
            };
        }
        let build = |set: &GlobSetBuilder| {
            set.build().map_err(|error| FilterError {
                kind: "globs",
                pattern: patterns.join("` `"),
                cause: error.to_string(),
            })
        };
        Ok(Self { any: build(&any)?, dirs: build(&dirs)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.dirs.is_empty()
    }

    pub(super) fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        let path = OsStr::from_bytes(path);
        self.any.is_match(path) || (is_dir && self.dirs.is_match(path))
    }
}

/// The glob over the path from the root: what does not begin with `/` may begin at any depth.
fn anchored(glob: &str) -> String {
    match glob.strip_prefix('/') {
        Some(rooted) => rooted.to_owned(),
        None => format!("**/{glob}"),
    }
}
