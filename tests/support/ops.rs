//! Random work on a tree as people and programs do it: editors, deploys, links, type changes, hostile names.
//!
//! All of it follows from the seed and from the tree itself, which nobody else may change: the same seed on an empty
//! directory gives the same operations. Every step is described by a line.
//!
//! Whole trees go, so that a delete guard has every right to step in: a run that must converge by itself needs
//! `--set delete=always`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::seed::Seed;

/// A tree beyond this is thinned out, so that runs of any length stay quick.
const MOST_ENTRIES: usize = 600;
/// Below this many directories; deep enough to matter, shallow enough for `PATH_MAX` with 255-byte names.
const DEEPEST: usize = 8;

/// Which operations there are besides the plain ones.
#[derive(Clone, Copy, Debug)]
pub struct Allow {
    /// Names with newlines, invalid UTF-8, 255 bytes, `$(x)`, …
    pub hostile_names: bool,
    pub hard_links: bool,
    pub xattrs: bool,
    /// chown; needs root.
    pub owners: bool,
    /// Pipes.
    pub specials: bool,
    /// Writes that leave size and mtime as they were.
    pub stealth: bool,
    /// The largest file that is written, in bytes.
    pub largest: usize,
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            hostile_names: true,
            hard_links: false,
            xattrs: false,
            owners: rustix::process::geteuid().is_root(),
            specials: true,
            stealth: true,
            largest: 256 << 10,
        }
    }
}

type Step = fn(&mut Ops) -> io::Result<String>;

/// A worker on the tree at `root`.
pub struct Ops {
    root: PathBuf,
    seed: Seed,
    allow: Allow,
    steps: Vec<Step>,
    /// Writers that go on while other things happen.
    writers: VecDeque<(PathBuf, File)>,
    made: u64,
    lines: Vec<String>,
}

impl Ops {
    pub fn new(root: &Path, seed: u64, allow: Allow) -> Self {
        let mut steps: Vec<Step> = vec![
            Self::create,
            Self::create,
            Self::rewrite_in_place,
            Self::vim_save,
            Self::sed_in_place,
            Self::save_by_rename,
            Self::copy_over,
            Self::append,
            Self::append,
            Self::truncate,
            Self::scattered_edit,
            Self::short_lived,
            Self::unpack,
            Self::release,
            Self::checkout,
            Self::certbot,
            Self::make_dirs,
            Self::make_dirs,
            Self::rename_file,
            Self::rename_dir,
            Self::rename_dir,
            Self::swap_names,
            Self::remove_file,
            Self::remove_tree,
            Self::link_symbolically,
            Self::chmod,
            Self::touch,
            Self::change_type,
            Self::write_slowly,
            Self::write_slowly,
        ];
        let optional: [(bool, Step); 5] = [
            (allow.hard_links, Self::link_hard),
            (allow.xattrs, Self::set_xattr),
            (allow.owners, Self::chown),
            (allow.specials, Self::make_fifo),
            (allow.stealth, Self::write_by_stealth),
        ];
        steps.extend(optional.into_iter().filter_map(|(on, step)| on.then_some(step)));
        let (root, seed) = (root.to_owned(), Seed::new(seed));
        Self { root, seed, allow, steps, writers: VecDeque::new(), made: 0, lines: Vec::new() }
    }

    /// Does one thing and says what. A refusal by the file system is part of the line: it is the same in every run.
    pub fn step(&mut self) -> &str {
        let number = self.lines.len();
        let line = if number % 32 == 31 && self.everything().len() > MOST_ENTRIES {
            self.thin_out()
        } else {
            let step = self.steps[self.seed.below(self.steps.len())];
            step(self)
        };
        let line = match line {
            Ok(line) => format!("{number}: {line}"),
            Err(e) => format!("{number}: refused: {e}"),
        };
        self.lines.push(line);
        self.lines.last().map_or("", String::as_str)
    }

    pub fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    /// Closes the writers that are still open; to be called before trees are compared.
    pub fn finish(&mut self) {
        self.writers.clear();
    }

    /// All lines so far, for the message of a failure.
    pub fn log(&self) -> String {
        self.lines.join("\n")
    }

    // ---- what there is, in an order that does not depend on the file system ----

    fn everything(&self) -> Vec<(PathBuf, fs::FileType)> {
        let mut found = Vec::new();
        let mut todo = vec![self.root.clone()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    todo.push(entry.path());
                }
                found.push((entry.path(), kind));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn some(&mut self, wanted: impl Fn(&fs::FileType) -> bool) -> Option<PathBuf> {
        let all: Vec<_> =
            self.everything().into_iter().filter(|(_, kind)| wanted(kind)).map(|(path, _)| path).collect();
        self.seed.pick(&all).cloned()
    }

    /// A file; a new one where there is none.
    fn some_file(&mut self) -> io::Result<PathBuf> {
        match self.some(fs::FileType::is_file) {
            Some(file) => Ok(file),
            None => {
                let path = self.new_name();
                let content = self.content();
                fs::write(&path, content)?;
                Ok(path)
            }
        }
    }

    fn some_dir(&mut self) -> PathBuf {
        let root = self.root.clone();
        let shallow = move |path: &PathBuf| path.components().count() < root.components().count() + DEEPEST;
        match self.some(fs::FileType::is_dir).filter(shallow) {
            Some(dir) if self.seed.chance(0.8) => dir,
            _ => self.root.clone(),
        }
    }

    /// A name in `dir` that does not exist there.
    fn new_name_in(&mut self, dir: &Path) -> PathBuf {
        loop {
            let path = dir.join(self.name());
            if path.symlink_metadata().is_err() && path != self.root.join(".syncd") {
                return path;
            }
        }
    }

    fn new_name(&mut self) -> PathBuf {
        let dir = self.some_dir();
        self.new_name_in(&dir)
    }

    fn name(&mut self) -> OsString {
        self.made += 1;
        let number = self.made;
        if self.allow.hostile_names && self.seed.chance(0.12) {
            return hostile_name(&mut self.seed, number);
        }
        let stems = ["nginx", "vhost", "upstream", "site", "cert", "map", "geo", "README"];
        let ends = [".conf", ".pem", ".json", ".html", "", ".conf.bak", "~"];
        let stem = self.seed.pick(&stems).copied().unwrap_or("x");
        let end = self.seed.pick(&ends).copied().unwrap_or("");
        format!("{stem}{number}{end}").into()
    }

    /// Mostly small, sometimes empty, sometimes large, sometimes a run of zeroes.
    fn content(&mut self) -> Vec<u8> {
        let largest = self.allow.largest.max(2);
        let len = match self.seed.below(20) {
            0 => 0,
            1 => 1 + self.seed.below(largest),
            2..=4 => 1 + self.seed.below(largest.min(32 << 10)),
            _ => 1 + self.seed.below(largest.min(4 << 10)),
        };
        if self.seed.chance(0.05) { vec![0; len] } else { self.seed.bytes(len) }
    }

    fn show(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.as_os_str().as_bytes().escape_ascii().to_string()
    }

    // ---- files, as editors and programs write them ----

    fn create(&mut self) -> io::Result<String> {
        let path = self.new_name();
        let content = self.content();
        fs::write(&path, &content)?;
        Ok(format!("create {} ({} bytes)", self.show(&path), content.len()))
    }

    fn rewrite_in_place(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let content = self.content();
        fs::write(&path, &content)?;
        Ok(format!("write in place {} ({} bytes)", self.show(&path), content.len()))
    }

    /// vim with `backup`: probes with 4913, moves the file away, writes anew, removes the backup.
    fn vim_save(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let content = self.content();
        let probe = path.with_file_name("4913");
        File::create(&probe)?;
        fs::remove_file(&probe)?;
        let mut backup = path.clone().into_os_string();
        backup.push("~");
        fs::rename(&path, &backup)?;
        fs::write(&path, &content)?;
        fs::set_permissions(&path, fs::metadata(&backup)?.permissions())?;
        fs::remove_file(&backup)?;
        Ok(format!("vim saves {}", self.show(&path)))
    }

    fn sed_in_place(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let mut content = fs::read(&path)?;
        if let Some(byte) = content.first_mut() {
            *byte = byte.wrapping_add(1);
        }
        self.made += 1;
        self.replace(&path, &format!("sed{}", self.made), &content)?;
        Ok(format!("sed -i {}", self.show(&path)))
    }

    fn save_by_rename(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let content = self.content();
        self.made += 1;
        self.replace(&path, &format!(".tmp{}.swp", self.made), &content)?;
        Ok(format!("temp + rename over {}", self.show(&path)))
    }

    fn replace(&self, path: &Path, temp: &str, content: &[u8]) -> io::Result<()> {
        let temp = path.with_file_name(temp);
        let mut file = File::create(&temp)?;
        file.write_all(content)?;
        file.sync_all()?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        fs::rename(&temp, path)
    }

    fn copy_over(&mut self) -> io::Result<String> {
        let (from, to) = (self.some_file()?, self.some_file()?);
        if from != to {
            // Like cp(1): the target keeps its inode.
            let content = fs::read(&from)?;
            fs::write(&to, content)?;
        }
        Ok(format!("cp {} over {}", self.show(&from), self.show(&to)))
    }

    fn append(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let more = self.content();
        OpenOptions::new().append(true).open(&path)?.write_all(&more)?;
        Ok(format!("append {} bytes to {}", more.len(), self.show(&path)))
    }

    fn truncate(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let file = OpenOptions::new().write(true).open(&path)?;
        let len = self.seed.below(2 * usize::try_from(file.metadata()?.len()).unwrap_or(0) + 1);
        file.set_len(len.min(self.allow.largest) as u64)?;
        Ok(format!("truncate {} to {len}", self.show(&path)))
    }

    fn scattered_edit(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let mut file = OpenOptions::new().write(true).open(&path)?;
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        for _ in 0..3 {
            file.seek(SeekFrom::Start(self.seed.below(len) as u64))?;
            file.write_all(&self.seed.bytes(16))?;
        }
        Ok(format!("edit three places of {}", self.show(&path)))
    }

    /// What appears and vanishes before anybody can have a use for it.
    fn short_lived(&mut self) -> io::Result<String> {
        let path = self.new_name();
        fs::write(&path, b"lock")?;
        fs::remove_file(&path)?;
        Ok(format!("create and remove {}", self.show(&path)))
    }

    /// Opens a writer, lets one go on, or closes one.
    fn write_slowly(&mut self) -> io::Result<String> {
        match self.seed.below(3) {
            0 if self.writers.len() < 4 => {
                let path = if self.seed.chance(0.5) { self.some_file()? } else { self.new_name() };
                let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
                file.write_all(b"begun ")?;
                let line = format!("a writer opens {}", self.show(&path));
                self.writers.push_back((path, file));
                Ok(line)
            }
            1 => match self.writers.pop_front() {
                Some((path, mut file)) => {
                    file.write_all(b"done\n")?;
                    Ok(format!("the writer of {} ends", self.show(&path)))
                }
                None => Ok("no writer to end".into()),
            },
            _ => {
                let more = self.seed.bytes(200);
                for (_, file) in &mut self.writers {
                    file.write_all(&more)?;
                }
                Ok(format!("{} writers go on", self.writers.len()))
            }
        }
    }

    /// Same size, same mtime, other content: only ctime tells.
    fn write_by_stealth(&mut self) -> io::Result<String> {
        let path = self.some_file()?;
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mtime = file.metadata()?.modified()?;
        let mut first = [0];
        if file.read(&mut first)? == 0 {
            return Ok(format!("no stealth in the empty {}", self.show(&path)));
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[first[0].wrapping_add(1)])?;
        file.set_times(FileTimes::new().set_modified(mtime))?;
        Ok(format!("stealth write to {}", self.show(&path)))
    }

    // ---- deploys ----

    /// tar x: a burst of new files, each with mode and an old mtime, then the directory's own.
    fn unpack(&mut self) -> io::Result<String> {
        let dir = self.new_name();
        fs::create_dir(&dir)?;
        let count = 5 + self.seed.below(25);
        for _ in 0..count {
            let path = self.new_name_in(&dir);
            let content = self.content();
            let mut file = File::create(&path)?;
            file.write_all(&content)?;
            file.set_permissions(Permissions::from_mode(self.mode()))?;
            file.set_times(FileTimes::new().set_modified(self.time()))?;
        }
        File::open(&dir)?.set_times(FileTimes::new().set_modified(self.time()))?;
        Ok(format!("unpack {count} files into {}", self.show(&dir)))
    }

    /// A new release and `ln -sfn` onto it, which is a symlink and a rename.
    fn release(&mut self) -> io::Result<String> {
        let releases = self.root.join("releases");
        fs::create_dir_all(&releases)?;
        self.made += 1;
        let name = format!("r{}", self.made);
        fs::create_dir(releases.join(&name))?;
        for file in ["index.html", "app.js"] {
            let content = self.content();
            fs::write(releases.join(&name).join(file), content)?;
        }
        let (temp, current) = (self.root.join(format!("current.{}", self.made)), self.root.join("current"));
        symlink(Path::new("releases").join(&name), &temp)?;
        fs::rename(&temp, &current)?;
        Ok(format!("release {name}, current points at it"))
    }

    /// git checkout: each changed file is unlinked and created anew.
    fn checkout(&mut self) -> io::Result<String> {
        let count = 1 + self.seed.below(6);
        let mut shown = Vec::new();
        for _ in 0..count {
            let path = self.some_file()?;
            let content = self.content();
            fs::remove_file(&path)?;
            fs::write(&path, content)?;
            shown.push(self.show(&path));
        }
        Ok(format!("check out {}", shown.join(" ")))
    }

    /// certbot: a new file in archive/, and the symlink in live/ is removed and made again.
    fn certbot(&mut self) -> io::Result<String> {
        let (archive, live) = (self.root.join("archive"), self.root.join("live"));
        fs::create_dir_all(&archive)?;
        fs::create_dir_all(&live)?;
        self.made += 1;
        let name = format!("privkey{}.pem", self.made);
        let content = self.content();
        fs::write(archive.join(&name), content)?;
        fs::set_permissions(archive.join(&name), Permissions::from_mode(0o600))?;
        let link = live.join("privkey.pem");
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink(Path::new("../archive").join(&name), &link)?;
        Ok(format!("certbot renews {name}"))
    }

    // ---- names ----

    fn make_dirs(&mut self) -> io::Result<String> {
        let mut dir = self.some_dir();
        for _ in 0..=self.seed.below(3) {
            dir = self.new_name_in(&dir);
        }
        fs::create_dir_all(&dir)?;
        let file = self.new_name_in(&dir);
        let content = self.content();
        fs::write(&file, content)?;
        Ok(format!("mkdir -p and write {}", self.show(&file)))
    }

    fn rename_file(&mut self) -> io::Result<String> {
        let (from, to) = (self.some_file()?, self.new_name());
        fs::rename(&from, &to)?;
        Ok(format!("mv {} {}", self.show(&from), self.show(&to)))
    }

    fn rename_dir(&mut self) -> io::Result<String> {
        let (from, to) = (self.some_dir(), self.new_name());
        if from == self.root || to.starts_with(&from) {
            return Ok("no directory to move".into());
        }
        fs::rename(&from, &to)?;
        Ok(format!("mv {}/ {}/", self.show(&from), self.show(&to)))
    }

    /// a ↔ b by three renames.
    fn swap_names(&mut self) -> io::Result<String> {
        let (a, b, temp) = (self.some_file()?, self.some_file()?, self.new_name());
        if a != b {
            fs::rename(&a, &temp)?;
            fs::rename(&b, &a)?;
            fs::rename(&temp, &b)?;
        }
        Ok(format!("swap {} and {}", self.show(&a), self.show(&b)))
    }

    fn remove_file(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|kind| !kind.is_dir()) else { return Ok("nothing to remove".into()) };
        fs::remove_file(&path)?;
        Ok(format!("rm {}", self.show(&path)))
    }

    fn remove_tree(&mut self) -> io::Result<String> {
        let dir = self.some_dir();
        if dir == self.root {
            return Ok("no directory to remove".into());
        }
        fs::remove_dir_all(&dir)?;
        Ok(format!("rm -r {}", self.show(&dir)))
    }

    /// Removes part by part until the tree is half of what it may be: no mass deletion at once, which a guard would
    /// be right to stop.
    fn thin_out(&mut self) -> io::Result<String> {
        let mut removed = 0;
        while self.everything().len() > MOST_ENTRIES * 3 / 4 {
            let Some(path) = self.some(|kind| !kind.is_dir()) else { break };
            fs::remove_file(path)?;
            removed += 1;
        }
        Ok(format!("thin out: {removed} removed"))
    }

    fn link_symbolically(&mut self) -> io::Result<String> {
        let path = self.new_name();
        let targets: [&OsStr; 5] =
            ["../x".as_ref(), "/etc/passwd".as_ref(), ".".as_ref(), "a b".as_ref(), { OsStr::from_bytes(b"\xff\n") }];
        let target = self.seed.pick(&targets).copied().unwrap_or_default().to_owned();
        symlink(&target, &path)?;
        Ok(format!("ln -s {} {}", target.as_bytes().escape_ascii(), self.show(&path)))
    }

    fn link_hard(&mut self) -> io::Result<String> {
        let (from, to) = (self.some_file()?, self.new_name());
        fs::hard_link(&from, &to)?;
        Ok(format!("ln {} {}", self.show(&from), self.show(&to)))
    }

    fn make_fifo(&mut self) -> io::Result<String> {
        let path = self.new_name();
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)?;
        Ok(format!("mkfifo {}", self.show(&path)))
    }

    /// file → directory, directory → file, anything → symlink, under one name.
    fn change_type(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|_| true) else { return Ok("nothing to change".into()) };
        let was_dir = path.symlink_metadata()?.is_dir();
        if was_dir {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
        let now = match self.seed.below(3) {
            0 => {
                symlink("elsewhere", &path)?;
                "symlink"
            }
            _ if was_dir => {
                let content = self.content();
                fs::write(&path, content)?;
                "file"
            }
            _ => {
                fs::create_dir(&path)?;
                fs::write(path.join("inside"), b"x")?;
                "directory"
            }
        };
        Ok(format!("{} becomes a {now}", self.show(&path)))
    }

    // ---- metadata ----

    fn mode(&mut self) -> u32 {
        self.seed.pick(&[0o644, 0o600, 0o755, 0o640, 0o444, 0o664]).copied().unwrap_or(0o644)
    }

    /// Any time between 1970 and 2033, with all nine digits.
    fn time(&mut self) -> SystemTime {
        let nanos = u32::try_from(self.seed.below(1_000_000_000)).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::new(self.seed.below(2_000_000_000) as u64, nanos)
    }

    fn chmod(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|kind| kind.is_file() || kind.is_dir()) else { return Ok("nothing".into()) };
        // Directories stay usable for a test that is not root.
        let mode = if path.is_dir() { 0o700 | self.mode() } else { 0o400 | self.mode() };
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(format!("chmod {mode:o} {}", self.show(&path)))
    }

    fn chown(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|_| true) else { return Ok("nothing".into()) };
        let owner = self.seed.pick(&[0, 1, 33, 1000, 65_534]).copied().unwrap_or(0);
        lchown(&path, Some(owner), Some(owner))?;
        Ok(format!("chown {owner}:{owner} {}", self.show(&path)))
    }

    fn touch(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|kind| kind.is_file() || kind.is_dir()) else { return Ok("nothing".into()) };
        let time = self.time();
        File::open(&path)?.set_times(FileTimes::new().set_modified(time))?;
        Ok(format!("touch {}", self.show(&path)))
    }

    fn set_xattr(&mut self) -> io::Result<String> {
        let Some(path) = self.some(|kind| kind.is_file() || kind.is_dir()) else { return Ok("nothing".into()) };
        let value = self.seed.bytes(12);
        rustix::fs::setxattr(&path, "user.syncd-test", &value, rustix::fs::XattrFlags::empty())?;
        Ok(format!("setfattr {}", self.show(&path)))
    }
}

/// Unique by its number, and everything that breaks shells, terminals, parsers and careless code.
fn hostile_name(seed: &mut Seed, number: u64) -> OsString {
    let mut name = match seed.below(10) {
        0 => b"new\nline".to_vec(),
        1 => b"\xff\xfe not utf-8 \xc3".to_vec(),
        2 => b"-rf".to_vec(),
        3 => b"$(touch x)`id`".to_vec(),
        4 => b"\x1b[31mred\x07".to_vec(),
        5 => b" space ".to_vec(),
        6 => b"quote'\"\\".to_vec(),
        7 => "\u{202e}cba.配置".as_bytes().to_vec(),
        8 => b"...".to_vec(),
        _ => vec![b'n'; 240],
    };
    name.extend_from_slice(number.to_string().as_bytes());
    if name.len() > 240 {
        name.resize(255, b'_');
    }
    OsString::from_vec(name)
}
