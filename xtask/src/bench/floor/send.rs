//! The sending side: compare once, then send what inotify tells.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::message::{Message, Stat};
use super::watch::{Event, Watch};

/// Files up to this size go through the buffer; larger ones by sendfile(2).
const SMALL: u64 = 64 << 10;

pub(super) fn mirror(root: &Path, to: &[SocketAddr]) -> Result<()> {
    let mut source = Source { root: root.to_owned(), watch: Watch::new(root)?, peers: Vec::new() };
    let listings = to.iter().map(|addr| source.connect(*addr)).collect::<Result<Vec<_>>>()?;
    let ours = source.scan(Path::new(""))?;
    for (index, listing) in listings.into_iter().enumerate() {
        let theirs = listing.join().map_err(|_| anyhow::anyhow!("reading the list panicked"))??;
        source.send_what_differs(index, &ours, theirs)?;
    }
    println!("ready");
    io::stdout().flush()?;
    loop {
        for event in source.watch.wait()? {
            source.handle(event)?;
        }
        source.flush()?;
    }
}

/// What is at a path: a file's stat, or none for a directory or symlink.
type Tree = Vec<(PathBuf, Option<Stat>)>;
type Listing = std::thread::JoinHandle<Result<HashMap<PathBuf, Option<Stat>>>>;

struct Source {
    root: PathBuf,
    watch: Watch,
    peers: Vec<BufWriter<TcpStream>>,
}

impl Source {
    /// Connects; the receiver's list is read while the own tree is scanned.
    fn connect(&mut self, addr: SocketAddr) -> Result<Listing> {
        let stream = TcpStream::connect(addr).with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        let mut from = BufReader::with_capacity(256 << 10, stream.try_clone()?);
        self.peers.push(BufWriter::with_capacity(256 << 10, stream));
        Ok(std::thread::spawn(move || {
            let mut theirs = HashMap::new();
            loop {
                match Message::read(&mut from)? {
                    Message::Dir { path } => theirs.insert(path, None),
                    Message::File { path, stat } => theirs.insert(path, Some(stat)),
                    _ => return Ok(theirs),
                };
            }
        }))
    }

    /// Watches and lists a directory and all below; a directory comes before what is in it.
    fn scan(&mut self, dir: &Path) -> Result<Tree> {
        let mut found = Tree::new();
        let mut todo = vec![dir.to_owned()];
        while let Some(dir) = todo.pop() {
            self.watch.add(&dir)?;
            for entry in fs::read_dir(self.root.join(&dir))? {
                let entry = entry?;
                let (path, meta) = (dir.join(entry.file_name()), entry.metadata()?);
                if meta.is_dir() {
                    todo.push(path.clone());
                }
                found.push((path, meta.is_file().then(|| Stat::of(&meta))));
            }
        }
        Ok(found)
    }

    fn send_what_differs(
        &mut self,
        peer: usize,
        ours: &Tree,
        mut theirs: HashMap<PathBuf, Option<Stat>>,
    ) -> Result<()> {
        let Self { root, peers, .. } = self;
        let peer = peers.get_mut(peer).context("a peer")?;
        for (path, stat) in ours {
            if theirs.remove(path) != Some(*stat) {
                send(root, path, std::slice::from_mut(peer))?;
            }
        }
        for path in theirs.into_keys() {
            Message::Gone { path }.write(peer)?;
        }
        Ok(peer.flush()?)
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Gone(path) => self.tell(&Message::Gone { path }),
            Event::Moved { from, to } => {
                self.watch.moved(&from, &to);
                self.tell(&Message::Moved { from, to })
            }
            Event::Changed(path) => {
                send(&self.root, &path, &mut self.peers)?;
                if self.root.join(&path).symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                    for (path, _) in self.scan(&path)? {
                        send(&self.root, &path, &mut self.peers)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn tell(&mut self, message: &Message) -> Result<()> {
        self.peers.iter_mut().try_for_each(|peer| Ok(message.write(peer)?))
    }

    fn flush(&mut self) -> Result<()> {
        self.peers.iter_mut().try_for_each(|peer| Ok(peer.flush()?))
    }
}

/// Sends what is at the path now; what vanished meanwhile has an event of its own.
fn send(root: &Path, path: &Path, peers: &mut [BufWriter<TcpStream>]) -> Result<()> {
    let at = root.join(path);
    let Ok(meta) = at.symlink_metadata() else { return Ok(()) };
    let path = path.to_owned();
    if meta.is_dir() {
        return peers.iter_mut().try_for_each(|peer| Ok(Message::Dir { path: path.clone() }.write(peer)?));
    }
    if meta.is_symlink() {
        let message = Message::Symlink { path, target: fs::read_link(&at)? };
        return peers.iter_mut().try_for_each(|peer| Ok(message.write(peer)?));
    }
    let Ok(mut file) = File::open(&at) else { return Ok(()) };
    let stat = Stat::of(&file.metadata()?);
    let message = Message::File { path, stat };
    if stat.size <= SMALL {
        let mut content = vec![0; usize::try_from(stat.size)?];
        file.read_exact(&mut content)?;
        for peer in peers {
            message.write(peer)?;
            peer.write_all(&content)?;
        }
        return Ok(());
    }
    for peer in peers {
        message.write(peer)?;
        peer.flush()?;
        let sent = io::copy(&mut File::open(&at)?.take(stat.size), peer.get_mut())?;
        anyhow::ensure!(sent == stat.size, "{} shrank while it was read", at.display());
    }
    Ok(())
}
