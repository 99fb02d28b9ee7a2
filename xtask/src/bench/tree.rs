//! The trees that are mirrored: made from a seed, changed in place, compared byte by byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The stage of a syncd replica: not part of the tree.
const STAGE: &str = ".syncd";
const CHUNK: usize = 1 << 20;
/// Scattered edits are aligned writes of one page.
const EDIT: u64 = 4096;

/// SplitMix64, so that trees are the same in every run and cannot be compressed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(self.next().to_le_bytes().get(..chunk.len()).unwrap_or_default());
        }
    }
}

/// Makes `files` files of 1 to 8 KiB, evenly in `dirs` directories; returns their paths below `root`, in order.
pub(crate) fn small_files(root: &Path, dirs: usize, files: usize) -> Result<Vec<PathBuf>> {
    let mut made = Vec::with_capacity(files);
    for dir in 0..dirs {
        let name = PathBuf::from(format!("d{dir:04}"));
        fs::create_dir_all(root.join(&name))?;
        for file in 0..files / dirs {
            made.push(name.join(format!("f{file:05}.conf")));
        }
    }
    rewrite(root, &made, 1)?;
    Ok(made)
}

/// Gives each file new content of 1 to 8 KiB, as a plain write in place.
pub(crate) fn rewrite(root: &Path, files: &[PathBuf], seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let mut content = [0; 8 << 10];
    for file in files {
        let len = 1024 + usize::try_from(random.below(7 << 10))?;
        let content = content.get_mut(..len).context("at most 8 KiB")?;
        random.fill(content);
        fs::write(root.join(file), content)?;
    }
    Ok(())
}

/// Makes one file of `len` bytes, a multiple of 1 MiB.
pub(crate) fn large_file(path: &Path, len: u64) -> Result<()> {
    let mut random = Random::new(len);
    let mut chunk = vec![0; CHUNK];
    let mut file = File::create(path)?;
    for _ in 0..len / CHUNK as u64 {
        random.fill(&mut chunk);
        file.write_all(&chunk)?;
    }
    Ok(())
}

/// Overwrites one page in a hundred, aligned, in an order and at places that the seed gives.
pub(crate) fn scattered_edits(path: &Path, seed: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let pages = file.metadata()?.len() / EDIT;
    let mut random = Random::new(seed);
    let mut page = [0; EDIT as usize];
    for _ in 0..pages / 100 {
        random.fill(&mut page);
        file.write_all_at(&page, random.below(pages) * EDIT)?;
    }
    Ok(())
}

/// Appends 1 MiB.
pub(crate) fn append(path: &Path, seed: u64) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    Random::new(seed).fill(&mut chunk);
    OpenOptions::new().append(true).open(path)?.write_all(&chunk)?;
    Ok(())
}

/// What differs between two trees in names, types, content, and the mode and mtime of files; at most ten, as text.
pub(crate) fn differences(left: &Path, right: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    compare_dir(left, right, Path::new(""), &mut found)?;
    Ok(found)
}

fn compare_dir(left: &Path, right: &Path, dir: &Path, found: &mut Vec<String>) -> Result<()> {
    let (ours, theirs) = (names(&left.join(dir))?, names(&right.join(dir))?);
    for name in ours.iter().filter(|name| theirs.binary_search(name).is_err()) {
        found.push(format!("{} is missing", dir.join(name).display()));
    }
    for name in theirs.iter().filter(|name| ours.binary_search(name).is_err()) {
        found.push(format!("{} is too many", dir.join(name).display()));
    }
    for name in ours.iter().filter(|name| theirs.binary_search(name).is_ok()) {
        if found.len() >= 10 {
            return Ok(());
        }
        let path = dir.join(name);
        let (a, b) = (left.join(&path), right.join(&path));
        let (meta_a, meta_b) = (a.symlink_metadata()?, b.symlink_metadata()?);
        if meta_a.file_type() != meta_b.file_type() {
            found.push(format!("{} is of another type", path.display()));
        } else if meta_a.is_dir() {
            compare_dir(left, right, &path, found)?;
        } else if meta_a.is_file() {
            let key = |meta: &fs::Metadata| (meta.len(), meta.mode(), meta.mtime(), meta.mtime_nsec());
            if key(&meta_a) != key(&meta_b) || !same_content(&a, &b)? {
                found.push(format!("{} differs", path.display()));
            }
        }
    }
    Ok(())
}

fn names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name != STAGE);
    names.sort();
    Ok(names)
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (BufReader::with_capacity(CHUNK, File::open(a)?), File::open(b)?);
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let len = a.read(&mut left)?;
        if len == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        match right.get_mut(..len) {
            Some(right) => b.read_exact(right)?,
            None => return Ok(false),
        }
        if left.get(..len) != right.get(..len) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_found() {
        let dir = std::env::temp_dir().join(format!("syncd-xtask-tree-{}", std::process::id()));
        let (left, right) = (dir.join("left"), dir.join("right"));
        let files = small_files(&left, 2, 6).expect("make");
        small_files(&right, 2, 6).expect("make");
        for file in &files {
            let mtime = fs::metadata(left.join(file)).and_then(|meta| meta.modified()).expect("mtime");
            File::options().write(true).open(right.join(file)).and_then(|f| f.set_modified(mtime)).expect("mtime");
        }
        fs::create_dir(right.join(STAGE)).expect("mkdir");
        assert_eq!(differences(&left, &right).expect("compare"), Vec::<String>::new());
        fs::remove_file(right.join(&files[0])).expect("remove");
        fs::write(right.join("stray"), "").expect("write");
        let turned = File::options().read(true).write(true).open(right.join(&files[4])).expect("open");
        let mtime = turned.metadata().and_then(|meta| meta.modified()).expect("mtime");
        turned.write_all_at(b"\0\0\0\0", 100).and_then(|()| turned.set_modified(mtime)).expect("write");
        let found = differences(&left, &right).expect("compare");
        assert_eq!(found.len(), 3, "{found:?}");
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
