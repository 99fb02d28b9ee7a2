//! Programs of the distribution that tests and the bench use: installed where that may be, named where not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, the Debian package that brings it, and what is skipped without it.
pub(crate) struct Tool {
    pub program: &'static str,
    pub package: &'static str,
    pub without: &'static str,
}

/// What the tests use.
pub(crate) const FOR_TESTS: &[Tool] = &[
    Tool { program: "rsync", package: "rsync", without: "comparisons with rsync" },
    Tool { program: "nginx", package: "nginx-light", without: "the test that serves a replica by a real nginx" },
    Tool { program: "strace", package: "strace", without: "crash tests at every system call, call counts" },
    Tool { program: "keepalived", package: "keepalived", without: "the tests beside the real keepalived" },
    Tool { program: "ip", package: "iproute2", without: "all that needs hosts of its own" },
    Tool { program: "nft", package: "nftables", without: "tests of foreign packets" },
    Tool { program: "c++", package: "g++", without: "fuzzing" },
    Tool { program: "setfattr", package: "attr", without: "nothing: tests set attributes themselves" },
];

/// What the bench uses.
pub(crate) const FOR_BENCH: &[Tool] = &[
    Tool { program: "rsync", package: "rsync", without: "the columns rsync, lsyncd and stunnel" },
    Tool { program: "lsyncd", package: "lsyncd", without: "the column lsyncd" },
    Tool { program: "stunnel", package: "stunnel4", without: "the column stunnel" },
    Tool { program: "openssl", package: "openssl", without: "the column stunnel (its certificate)" },
    Tool { program: "mkfs.ext4", package: "e2fsprogs", without: "the journaled image in memory" },
];

/// What the bench of virtual addresses uses.
pub(crate) const FOR_VRRP: &[Tool] = &[
    Tool { program: "keepalived", package: "keepalived", without: "the columns of keepalived" },
    Tool { program: "ip", package: "iproute2", without: "everything" },
    Tool { program: "nft", package: "nftables", without: "everything" },
    Tool { program: "chrt", package: "util-linux", without: "everything" },
];

/// Where `program` is, in `PATH` or the places that are root's.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether packages may be installed here: as root, with apt-get.
pub(crate) fn may_install() -> bool {
    rustix::process::geteuid().is_root() && find("apt-get").is_some()
}

/// Installs what is missing where that may be; returns what is still missing, and says so.
pub(crate) fn provide(tools: &'static [Tool]) -> Vec<&'static Tool> {
    let missing = || tools.iter().filter(|tool| find(tool.program).is_none()).collect::<Vec<_>>();
    let wanted = missing();
    if !wanted.is_empty() && may_install() {
        install(&wanted);
    }
    let left = missing();
    for tool in &left {
        println!("missing: {} (package {}); skipped without it: {}", tool.program, tool.package, tool.without);
    }
    left
}

fn install(tools: &[&Tool]) {
    let packages: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    println!("installing {}", packages.join(" "));
    // A daemon that a package brings must not start: policy-rc.d would do it, but is not ours to write.
    let quiet = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let with = |packages: &[&str]| quiet(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat());
    if with(&packages) || (quiet(&["update", "-qq"]) && with(&packages)) {
        return;
    }
    // One package that does not exist here must not keep the others away.
    for package in packages {
        if !with(&[package]) {
            eprintln!("apt-get could not install {package}");
        }
    }
}

/// Whether the file is there and can be run by its name alone.
pub(crate) fn have(program: &str) -> bool {
    find(program).as_deref().is_some_and(Path::is_file)
}
