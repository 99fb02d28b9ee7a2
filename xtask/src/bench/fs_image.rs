//! Where the trees lie. Small files: on two journaled ext4 images in memory when that is possible, since the allocator
//! of an ext4 without a journal makes them slow and erratic. Large files: on the disk of the temporary directory, since
//! an image in memory costs them processor time that no disk does.
//!
//! One image for each side, because on real hosts the replica's sync does not write out what the primary holds dirty.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools;

const MEMORY: &str = "/dev/shm";
/// Names of all that is made begin so and go on with the pid, so that leftovers of the dead can be told.
const PREFIX: &str = "syncd-bench-";
/// Holds the mount points.
const SMALL: &str = "small";
/// Sparse: only what is written takes memory.
const IMAGE_SIZE: u64 = 3 << 30;

/// Directories for both sides, and one for configurations and logs. Gone when dropped.
pub(crate) struct Disks {
    /// What was used, for the report.
    pub(crate) kind: String,
    pub(crate) small: Sides,
    pub(crate) large: Sides,
    pub(crate) scratch: PathBuf,
    images: Vec<PathBuf>,
    mounts: Vec<PathBuf>,
}

/// Where source and replicas have their trees and state.
pub(crate) struct Sides {
    pub(crate) source: PathBuf,
    pub(crate) replica: PathBuf,
}

impl Sides {
    fn make(dir: &Path) -> Result<Self> {
        let sides = Self { source: dir.join("source"), replica: dir.join("replica") };
        fs::create_dir_all(&sides.source)?;
        fs::create_dir_all(&sides.replica)?;
        Ok(sides)
    }

    /// Writes out everything on both sides, so that what one subject left behind does not burden the next.
    pub(crate) fn sync(&self) -> Result<()> {
        for side in [&self.source, &self.replica] {
            rustix::fs::syncfs(File::open(side)?)?;
        }
        Ok(())
    }
}

impl Disks {
    /// Makes them; clears away what a bench that was killed has left.
    pub(crate) fn prepare() -> Result<Self> {
        sweep();
        let scratch = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let (small, large) = (Sides::make(&scratch.join(SMALL))?, Sides::make(&scratch.join("large"))?);
        let mut disks = Self { kind: String::new(), small, large, scratch, images: Vec::new(), mounts: Vec::new() };
        let disk = disks.scratch.parent().unwrap_or(&disks.scratch).display().to_string();
        disks.kind = match disks.mount_images() {
            Ok(()) => {
                format!(
                    "small files on journaled ext4 images in memory (loop mounts, one a side), large ones on {disk}"
                )
            }
            Err(e) => {
                disks.release();
                format!("everything on the file system of {disk} (no image in memory: {e:#})")
            }
        };
        Ok(disks)
    }

    fn mount_images(&mut self) -> Result<()> {
        ensure!(rustix::process::geteuid().is_root(), "needs root");
        ensure!(tools::have("mkfs.ext4"), "needs mkfs.ext4 of e2fsprogs");
        for (side, mount) in [("source", self.small.source.clone()), ("replica", self.small.replica.clone())] {
            let image = Path::new(MEMORY).join(format!("{PREFIX}{}-{side}.img", std::process::id()));
            self.images.push(image.clone());
            File::create(&image)?.set_len(IMAGE_SIZE)?;
            // Laziness would go on in the background while it is measured.
            let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
            call("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-E".as_ref(), options.as_ref(), &image])?;
            call("mount", &["-o".as_ref(), "loop,noatime".as_ref(), &image, &mount])?;
            self.mounts.push(mount);
        }
        Ok(())
    }

    fn release(&mut self) {
        for mount in self.mounts.drain(..) {
            unmount(&mount);
        }
        for image in self.images.drain(..) {
            remove_image(&image);
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.release();
        if let Err(e) = fs::remove_dir_all(&self.scratch) {
            eprintln!("{} is left behind: {e}", self.scratch.display());
        }
    }
}

fn call(program: &str, args: &[&Path]) -> Result<()> {
    let file = tools::find(program).with_context(|| format!("{program} is not installed"))?;
    let output = Command::new(file).args(args).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}

/// A process that was just killed may hold it for a moment: then it goes when it is let go.
fn unmount(mount: &Path) {
    let done = call("umount", &[mount]).or_else(|_| call("umount", &["--lazy".as_ref(), mount]));
    if let Err(e) = done {
        eprintln!("{} is left mounted: {e:#}", mount.display());
    }
}

fn remove_image(image: &Path) {
    match fs::remove_file(image) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => eprintln!("{} is left behind: {e}", image.display()),
        _ => {}
    }
}

/// Removes what benches left that no longer run.
fn sweep() {
    for dir in [std::env::temp_dir(), PathBuf::from(MEMORY)] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(is_leftover) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                for side in ["source", "replica"] {
                    // Most often nothing is mounted there.
                    let _ = call("umount", &["--lazy".as_ref(), &path.join(SMALL).join(side)]);
                }
                let _ = fs::remove_dir_all(&path);
            } else {
                remove_image(&path);
            }
        }
    }
}

/// Whether the name is ours and its process is dead.
fn is_leftover(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).map(|rest| rest.split('-').next().unwrap_or(rest));
    pid.and_then(|pid| pid.parse::<u32>().ok()).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_swept() {
        let own = std::process::id();
        assert!(!is_leftover(&format!("{PREFIX}{own}-source.img")));
        assert!(!is_leftover("something-else-4294967295"));
        assert!(is_leftover(&format!("{PREFIX}4294967295-source.img")));
        assert!(is_leftover(&format!("{PREFIX}4294967295")));
    }
}
