//! Reads content together with the proof that it did not change meanwhile.
//!
//! A file is looked at before and after it is read; when device, inode, size, mtime and ctime
//! agree, what was read is a state that the file had. Never by memory map: a file that others cut
//! would end the process.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, SeekFrom, fstat, seek};
use rustix::io::{Errno, pread};

use super::look::record;
use super::{Root, is_absence};
use crate::model::{Digest, Node, Record, RelPath};

/// How often a file that changes while it is read is read again at once.
const TRIES: u32 = 3;

/// The most bytes that one read asks for, and that one [`Chunk::Data`] has.
const BLOCK: usize = crate::wire::MAX_DATA;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// What [`read_small`] found.
#[derive(Debug)]
pub enum Read {
    /// All of the content; the record has its hash.
    Whole(Record, Vec<u8>),
    /// It is longer than the limit; the record has no hash.
    TooLarge(Record),
    /// It changed each time while it was read.
    Unstable,
    /// It is not there.
    Gone,
    /// It is there, but is no regular file.
    NotFile,
}

/// What [`hash_file`] found.
#[derive(Debug)]
pub enum Hashed {
    /// The record with the content's hash.
    Whole(Record),
    /// It changed each time while it was read.
    Unstable,
    /// It is not there.
    Gone,
    /// It is there, but is no regular file.
    NotFile,
}

/// A piece of content, in order.
#[derive(Debug, Eq, PartialEq)]
pub enum Chunk<'a> {
    /// Bytes, at most [`crate::wire::MAX_DATA`].
    Data(&'a [u8]),
    /// This many zero bytes that have no room on disk.
    Hole(u64),
}

/// Reads the file at `path` whole if it has at most `limit` bytes.
///
/// # Errors
/// As openat2(2), fstat(2) and pread(2).
pub fn read_small(root: &Root, path: &RelPath, limit: u64) -> io::Result<Read> {
    for _ in 0..TRIES {
        let (fd, before) = match Opened::at(root, path)? {
            Opened::File(fd, record) => (fd, record),
            Opened::Gone => return Ok(Read::Gone),
            Opened::NotFile => return Ok(Read::NotFile),
        };
        let size = size(&before);
        if size > limit {
            return Ok(Read::TooLarge(before));
        }
        let content = read_exactly(&fd, usize::try_from(size).unwrap_or(usize::MAX))?;
        if let Some(content) = content
            && before.is_current(&record(&fstat(&fd)?, None))
        {
            return Ok(Read::Whole(with_hash(before, Digest::of(&content)), content));
        }
    }
    Ok(Read::Unstable)
}

/// The BLAKE3 of the file at `path`, in memory of one block whatever its size.
///
/// # Errors
/// As openat2(2), fstat(2), lseek(2) and pread(2).
pub fn hash_file(root: &Root, path: &RelPath) -> io::Result<Hashed> {
    for _ in 0..TRIES {
        let mut reader = match Reader::open(root, path)? {
            Opening::Open(reader) => reader,
            Opening::Gone => return Ok(Hashed::Gone),
            Opening::NotFile => return Ok(Hashed::NotFile),
        };
        while reader.next_chunk()?.is_some() {}
        let (record, stable) = reader.finish()?;
        if stable {
            return Ok(Hashed::Whole(record));
        }
    }
    Ok(Hashed::Unstable)
}

/// The record of the file at `path` with its hash; none when there is no steady file to read.
pub fn read_record(root: &Root, path: &RelPath) -> Option<Record> {
    match hash_file(root, path) {
        Ok(Hashed::Whole(record)) => Some(record),
        _ => None,
    }
}

/// What [`Reader::open`] found.
#[derive(Debug)]
pub enum Opening {
    /// A regular file.
    Open(Box<Reader>),
    /// It is not there.
    Gone,
    /// It is there, but is no regular file.
    NotFile,
}

/// Reads a file of any size, block by block, with a running hash.
#[derive(Debug)]
pub struct Reader {
    fd: OwnedFd,
    before: Record,
    size: u64,
    offset: u64,
    /// Up to where data is known to be without a hole.
    data_end: u64,
    hasher: blake3::Hasher,
    buf: Vec<u8>,
}

impl Reader {
    /// Opens the file at `path`; what is appended later is not read.
    ///
    /// # Errors
    /// As openat2(2) and fstat(2).
    pub fn open(root: &Root, path: &RelPath) -> io::Result<Opening> {
        let (fd, before) = match Opened::at(root, path)? {
            Opened::File(fd, record) => (fd, record),
            Opened::Gone => return Ok(Opening::Gone),
            Opened::NotFile => return Ok(Opening::NotFile),
        };
        let (size, sparse) = (size(&before), is_sparse(&fd)?);
        let data_end = if sparse { 0 } else { size };
        let hasher = blake3::Hasher::new();
        Ok(Opening::Open(Box::new(Self { fd, before, size, offset: 0, data_end, hasher, buf: Vec::new() })))
    }

    /// What the file was when it was opened, without a hash.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.before
    }

    /// The next piece; none at the end, also where the file was cut meanwhile.
    ///
    /// # Errors
    /// As lseek(2) and pread(2).
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>> {
        if self.offset >= self.size {
            return Ok(None);
        }
        if self.offset >= self.data_end
            && let Some(len) = self.hole()?
        {
            self.offset += len;
            hash_zeros(&mut self.hasher, len);
            return Ok(Some(Chunk::Hole(len)));
        }
        let want = usize::try_from(self.data_end - self.offset).unwrap_or(BLOCK).min(BLOCK);
        self.buf.resize(want, 0);
        let got = retry(|| pread(&self.fd, &mut self.buf[..], self.offset))?;
        self.buf.truncate(got);
        if self.buf.is_empty() {
            return Ok(None);
        }
        self.offset += self.buf.len() as u64;
        self.hasher.update(&self.buf);
        Ok(Some(Chunk::Data(&self.buf)))
    }

    /// The record with the hash of what was read, and whether that is a state which the file had:
    /// all of it was read, and it did not change from [`Self::open`] to now.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn finish(self) -> io::Result<(Record, bool)> {
        let stable = self.offset == self.size && self.before.is_current(&record(&fstat(&self.fd)?, None));
        Ok((with_hash(self.before, self.hasher.finalize().into()), stable))
    }

    /// The length of the hole at the offset, if there is one; else finds where the data ends.
    fn hole(&mut self) -> io::Result<Option<u64>> {
        let start = match seek(&self.fd, SeekFrom::Data(self.offset)) {
            Ok(start) => start.min(self.size),
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => self.size,
            // A file system that does not tell (lseek(2)).
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.data_end = self.size;
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        if start > self.offset {
            self.data_end = start;
            return Ok(Some(start - self.offset));
        }
        self.data_end = match seek(&self.fd, SeekFrom::Hole(self.offset)) {
            Ok(end) => end.clamp(self.offset + 1, self.size),
            Err(Errno::NXIO) => self.size,
            Err(e) => return Err(e.into()),
        };
        Ok(None)
    }
}

enum Opened {
    File(OwnedFd, Record),
    Gone,
    NotFile,
}

impl Opened {
    fn at(root: &Root, path: &RelPath) -> io::Result<Self> {
        let fd = match root.file(path) {
            Ok(fd) => fd,
            Err(e) => return Self::not_opened(e),
        };
        let stat = fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Self::NotFile);
        }
        Ok(Self::File(fd, record(&stat, None)))
    }

    fn not_opened(e: io::Error) -> io::Result<Self> {
        match Errno::from_io_error(&e) {
            // open(2): a symlink; a socket, or a device without a driver.
            Some(Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(Self::NotFile),
            _ if is_absence(&e) => Ok(Self::Gone),
            _ => Err(e),
        }
    }
}

/// Exactly `size` bytes from the start; none when the file is shorter or longer by now.
fn read_exactly(fd: &OwnedFd, size: usize) -> io::Result<Option<Vec<u8>>> {
    // One byte more, so that one call shows the end as well.
    let mut content = vec![0; size.saturating_add(1)];
    let mut len = 0;
    while len <= size {
        match retry(|| pread(fd, &mut content[len..], len as u64))? {
            0 => break,
            got => len += got,
        }
        if len == size {
            break;
        }
    }
    content.truncate(len);
    Ok((len == size).then_some(content))
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(&mut call)
}

fn is_sparse(fd: &OwnedFd) -> io::Result<bool> {
    let stat = fstat(fd)?;
    // st_blocks counts units of 512 bytes whatever the file system's block is (stat(2)).
    Ok(stat.st_blocks.saturating_mul(512) < stat.st_size)
}

fn size(record: &Record) -> u64 {
    match record.entry.node {
        Node::File { size, .. } => size,
        _ => 0,
    }
}

fn with_hash(mut record: Record, digest: Digest) -> Record {
    if let Node::File { hash, .. } = &mut record.entry.node {
        *hash = Some(digest);
    }
    record
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut len: u64) {
    while len > 0 {
        let part = usize::try_from(len).unwrap_or(BLOCK).min(BLOCK);
        hasher.update(&ZEROS[..part]);
        len -= part as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Seek, Write};
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Dir(tempfile::TempDir, Root);

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("tempdir");
            let root = Root::open(dir.path()).expect("open");
            Self(dir, root)
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn reader(&self, name: &str) -> Reader {
            match Reader::open(&self.1, &path(name)).expect("open") {
                Opening::Open(reader) => *reader,
                other => panic!("{other:?}"),
            }
        }
    }

    fn path(name: &str) -> RelPath {
        RelPath::parse(name.as_bytes()).expect("valid")
    }

    fn collect(reader: &mut Reader) -> (Vec<u8>, u64) {
        let (mut content, mut holes) = (Vec::new(), 0);
        while let Some(chunk) = reader.next_chunk().expect("read") {
            match chunk {
                Chunk::Data(data) => content.extend_from_slice(data),
                Chunk::Hole(len) => {
                    holes += len;
                    content.resize(content.len() + usize::try_from(len).expect("small"), 0);
                }
            }
        }
        (content, holes)
    }

    #[test]
    fn a_small_file_comes_whole_with_its_hash() {
        let dir = Dir::new();
        for content in [&b""[..], b"x", &[7; 5000]] {
            fs::write(dir.path().join("f"), content).expect("write");
            let Read::Whole(record, read) = read_small(&dir.1, &path("f"), 5000).expect("read") else {
                panic!("not whole")
            };
            assert_eq!(read, content);
            assert_eq!(record.entry.node, Node::File { size: content.len() as u64, hash: Some(Digest::of(content)) });
            assert!(record.stamp.is_some());
        }
        assert!(matches!(read_small(&dir.1, &path("f"), 4999).expect("read"), Read::TooLarge(_)));
    }

    #[test]
    fn what_is_no_file_or_not_there_is_told_apart() {
        let dir = Dir::new();
        fs::create_dir(dir.path().join("d")).expect("mkdir");
        symlink("f", dir.path().join("l")).expect("symlink");
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("p"), 0o600.into()).expect("mkfifo");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("bind");
        for name in ["d", "l", "p", "s"] {
            assert!(matches!(read_small(&dir.1, &path(name), 10).expect("read"), Read::NotFile), "{name}");
            assert!(matches!(hash_file(&dir.1, &path(name)).expect("read"), Hashed::NotFile), "{name}");
        }
        assert!(matches!(read_small(&dir.1, &path("gone"), 10).expect("read"), Read::Gone));
        assert!(matches!(hash_file(&dir.1, &path("gone/x")).expect("read"), Hashed::Gone));
    }

    #[test]
    fn large_files_come_in_blocks_and_hash_as_a_whole() {
        let dir = Dir::new();
        let content: Vec<u8> = (0..BLOCK * 2 + 77).map(|i| (i / 255) as u8).collect();
        fs::write(dir.path().join("f"), &content).expect("write");
        let mut reader = dir.reader("f");
        assert_eq!(collect(&mut reader), (content.clone(), 0));
        let (record, stable) = reader.finish().expect("finish");
        assert!(stable);
        assert_eq!(record.entry.hash(), Some(Digest::of(&content)));
        assert!(matches!(hash_file(&dir.1, &path("f")).expect("hash"), Hashed::Whole(again) if again == record));
    }

    #[test]
    fn holes_are_told_and_hash_as_zeros() {
        let dir = Dir::new();
        let mut file = File::create(dir.path().join("f")).expect("create");
        file.set_len(4 << 20).expect("grow");
        file.seek(io::SeekFrom::Start(1 << 20)).expect("seek");
        file.write_all(&[1; 100_000]).expect("write");
        let whole = fs::read(dir.path().join("f")).expect("read");
        let mut reader = dir.reader("f");
        let (content, holes) = collect(&mut reader);
        assert!(content == whole);
        assert!(holes > 3 << 20, "{holes}");
        let (record, stable) = reader.finish().expect("finish");
        assert!(stable);
        assert_eq!(record.entry.hash(), Some(Digest::of(&whole)));
    }

    #[test]
    fn a_file_that_is_cut_grows_or_is_written_meanwhile_is_not_stable() {
        let dir = Dir::new();
        let change: [fn(&File); 3] = [
            |f| f.set_len(10).expect("cut"),
            |mut f| f.write_all(&[2; BLOCK * 4]).expect("grow"),
            |mut f| f.write_all(b"x").expect("write"),
        ];
        for (i, change) in change.iter().enumerate() {
            fs::write(dir.path().join("f"), vec![1; BLOCK * 3]).expect("write");
            let mut reader = dir.reader("f");
            reader.next_chunk().expect("read").expect("a chunk");
            change(&File::options().write(true).open(dir.path().join("f")).expect("open"));
            while reader.next_chunk().expect("read").is_some() {}
            assert!(!reader.finish().expect("finish").1, "{i}");
        }
    }

    /// Each content is one byte, repeated, of a length of its own: a mixture shows.
    #[test]
    fn no_mixture_of_two_versions_is_ever_taken_for_whole() {
        let dir = Dir::new();
        let file = dir.path().join("f");
        fs::write(&file, [0; 3000]).expect("write");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in (1..=250_u8).cycle().take(3000) {
                    fs::write(&file, vec![i; 3000 + usize::from(i)]).expect("write");
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                if let Read::Whole(record, content) = read_small(&dir.1, &path("f"), 1 << 20).expect("read") {
                    let expected = content.first().map_or(0, |first| 3000 + usize::from(*first));
                    // Between truncation and write the file is empty, which is a state it had.
                    assert!(content.is_empty() || content.len() == expected, "{}", content.len());
                    assert!(content.windows(2).all(|w| w[0] == w[1]));
                    assert_eq!(record.entry.hash(), Some(Digest::of(&content)));
                }
            }
        });
    }
}
