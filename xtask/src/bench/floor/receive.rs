//! The receiving side: each message done as it comes.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::message::{Message, Stat};

/// Says `ready` and serves one connection after another, for ever.
pub(super) fn serve(root: &Path, listen: SocketAddr, fsync: bool) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listen at {listen}"))?;
    println!("ready");
    io::stdout().flush()?;
    for stream in listener.incoming() {
        if let Err(e) = receive(root, stream?, fsync) {
            eprintln!("{e:#}");
        }
    }
    Ok(())
}

fn receive(root: &Path, stream: TcpStream, fsync: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    list(root, &mut BufWriter::with_capacity(256 << 10, &stream))?;
    let mut from = BufReader::with_capacity(256 << 10, &stream);
    let mut content = vec![0; 256 << 10];
    loop {
        match Message::read(&mut from) {
            Ok(message) => apply(root, message, &mut from, &mut content, fsync)?,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Tells what is there, so that the sender can compare.
fn list(root: &Path, to: &mut impl Write) -> Result<()> {
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(root.join(&dir))? {
            let entry = entry?;
            let (path, meta) = (dir.join(entry.file_name()), entry.metadata()?);
            if meta.is_dir() {
                Message::Dir { path: path.clone() }.write(to)?;
                todo.push(path);
            } else {
                Message::File { path, stat: Stat::of(&meta) }.write(to)?;
            }
        }
    }
    Message::End.write(to)?;
    Ok(to.flush()?)
}

impl Stat {
    pub(super) fn of(meta: &fs::Metadata) -> Self {
        let nanos = u32::try_from(meta.mtime_nsec()).unwrap_or(0);
        Self { size: meta.len(), mode: meta.mode(), mtime: meta.mtime(), nanos }
    }

    fn modified(&self) -> SystemTime {
        let whole = Duration::from_secs(self.mtime.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let second = if self.mtime < 0 { epoch - whole } else { epoch + whole };
        second + Duration::from_nanos(self.nanos.into())
    }
}

fn apply(root: &Path, message: Message, from: &mut impl Read, content: &mut [u8], fsync: bool) -> Result<()> {
    match message {
        Message::Dir { path } => Ok(fs::create_dir_all(root.join(path))?),
        Message::File { path, stat } => put(&root.join(path), stat, from, content, fsync),
        Message::Symlink { path, target } => Ok(symlink(target, root.join(path))?),
        Message::Gone { path } => remove(&root.join(path)),
        Message::Moved { from, to } => Ok(fs::rename(root.join(from), root.join(to))?),
        Message::End => Ok(()),
    }
}

fn put(path: &Path, stat: Stat, from: &mut impl Read, content: &mut [u8], fsync: bool) -> Result<()> {
    let temp = path.with_extension("floor-tmp");
    let mut file = File::create(&temp)?;
    let mut left = stat.size;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(content.len());
        let part = content.get_mut(..len).context("within the buffer")?;
        from.read_exact(part)?;
        file.write_all(part)?;
        left -= len as u64;
    }
    file.set_permissions(Permissions::from_mode(stat.mode & 0o7777))?;
    file.set_times(FileTimes::new().set_modified(stat.modified()))?;
    if fsync {
        file.sync_all()?;
    }
    Ok(fs::rename(&temp, path)?)
}

fn remove(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => Ok(fs::remove_dir_all(path)?),
        Ok(_) => Ok(fs::remove_file(path)?),
        Err(_) => Ok(()),
    }
}
