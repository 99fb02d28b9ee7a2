//! Reads what the rules want to know of this machine, and only of what the files are about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use syncd_certs::secrets::{lookup_secret, read_password_file};
use syncd_compat::SourceText;

use super::facts::{Facts, Hidden, folded};
use super::given::Given;
use super::router::Proof;
use crate::config::{ReplicaAuth, SourceAuth};

/// How many files are read for one question.
const MOST_FILES: usize = 2_000;

/// How large one of them may be.
const LARGEST: u64 = 256 << 10;

/// How much text is kept for one question.
const MOST_TEXT: usize = 16 << 20;

/// Where distributions keep the addresses of interfaces.
const NETWORK: [&str; 6] = [
    "/etc/network",
    "/etc/netplan",
    "/etc/systemd/network",
    "/etc/sysconfig/network-scripts",
    "/etc/NetworkManager/system-connections",
    "/etc/conf.d/net",
];

const NGINX: &str = "/etc/nginx";

/// The facts of this machine that `given` makes worth knowing.
pub(super) fn facts(given: &Given) -> Facts {
    let mut facts = Facts { addresses: addresses(), interfaces: interfaces(), ..Facts::default() };
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    facts.names = names(&text("/proc/sys/kernel/hostname"), &text("/etc/hosts"), &facts.addresses);
    facts.directories = given.sending.iter().map(|set| set.path.clone()).filter(|path| path.is_dir()).collect();
    facts.nonlocal_bind = ["ipv4", "ipv6"].map(|family| {
        let text = fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind")).ok()?;
        Some(text.trim() != "0")
    });
    if !given.nodes.is_empty() {
        facts.network = NETWORK.iter().flat_map(|dir| texts(Path::new(dir), |_| true)).collect();
        facts.nginx = nginx(given);
    }
    let sources = given.nodes.iter().flat_map(|node| &node.sources);
    let secrets = given.receiving.iter().filter_map(|set| match &set.auth {
        ReplicaAuth::Password { file, .. } => Some(file.as_path()),
        ReplicaAuth::Key => None,
    });
    let files: BTreeSet<&Path> = sources.map(SourceText::file).chain(secrets).collect();
    facts.modes =
        files.into_iter().filter_map(|file| Some((file.to_owned(), fs::metadata(file).ok()?.mode()))).collect();
    passwords(given, &mut facts);
    facts
}

/// The passwords of both ends, where both ends are given, and of virtual routers.
fn passwords(given: &Given, facts: &mut Facts) {
    let mut users = BTreeSet::new();
    for router in given.nodes.iter().flat_map(|node| &node.routers) {
        if let Proof::File(file) = &router.proof
            && let Ok(password) = read_password_file(file)
        {
            facts.passwords.insert(file.clone(), Hidden(password.to_vec()));
        }
    }
    for target in given.sending.iter().flat_map(|set| &set.targets) {
        let SourceAuth::Password { user, file } = &target.auth else { continue };
        users.insert(user.as_str());
        if let Ok(password) = read_password_file(file) {
            facts.passwords.insert(file.clone(), Hidden(password.to_vec()));
        }
    }
    for set in &given.receiving {
        let ReplicaAuth::Password { file, .. } = &set.auth else { continue };
        for user in &users {
            if let Ok(secret) = lookup_secret(file, user, false) {
                let secret = secret.map(|secret| Hidden(secret.to_vec()));
                facts.secrets.insert((file.clone(), (*user).to_owned()), secret);
            }
        }
    }
}

/// What the host calls itself, and what its hosts(5) calls one of its own addresses.
fn names(hostname: &str, hosts: &str, own: &BTreeSet<IpAddr>) -> BTreeSet<String> {
    let mut names = BTreeSet::from([folded(hostname.trim())]);
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(ip) = words.next().and_then(|ip| ip.parse::<IpAddr>().ok()) else { continue };
        if ip.is_loopback() || own.contains(&ip) {
            names.extend(words.map(folded));
        }
    }
    names.remove("");
    names
}

fn interfaces() -> Option<BTreeSet<String>> {
    let entries = fs::read_dir("/sys/class/net").ok()?;
    Some(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The kernel's own list, as text: neither a program nor a socket is needed for it.
fn addresses() -> BTreeSet<IpAddr> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let mut all: BTreeSet<IpAddr> = local_v4(&text("/proc/net/fib_trie"));
    all.extend(text("/proc/net/if_inet6").lines().filter_map(local_v6));
    all
}

/// `|-- ADDRESS`, and below it `/32 host LOCAL` for one of the machine's own.
fn local_v4(trie: &str) -> BTreeSet<IpAddr> {
    let mut last = None;
    let mut all = BTreeSet::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line == "/32 host LOCAL" {
            all.extend(last);
        }
    }
    all
}

fn local_v6(line: &str) -> Option<IpAddr> {
    let digits = line.split_whitespace().next()?;
    u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
}

/// nginx's files: those below a watched directory, where one holds any, else the machine's own.
fn nginx(given: &Given) -> Vec<SourceText> {
    let watched: BTreeSet<&PathBuf> = given.sending.iter().map(|set| &set.path).collect();
    let listens = |source: &SourceText| source.text().contains("listen");
    let below: Vec<SourceText> = watched.into_iter().flat_map(|dir| texts(dir, listens)).collect();
    if below.is_empty() { texts(Path::new(NGINX), listens) } else { below }
}

/// The small files at or below `root` that are worth keeping, in the order of their names; links to
/// directories are not followed.
fn texts(root: &Path, worth: impl Fn(&SourceText) -> bool) -> Vec<SourceText> {
    let mut found = BTreeMap::new();
    let mut kept = 0;
    let mut pending = vec![root.to_owned()];
    let mut looked_at = 0;
    while let Some(path) = pending.pop() {
        looked_at += 1;
        if looked_at > MOST_FILES || kept > MOST_TEXT {
            break;
        }
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()).take(MOST_FILES));
            continue;
        }
        let Ok(meta) = fs::metadata(&path) else { continue };
        if !meta.is_file() || meta.len() > LARGEST {
            continue;
        }
        let Ok(bytes) = fs::read(&path) else { continue };
        let source = SourceText::decode(&path, &bytes);
        if worth(&source) {
            kept += bytes.len();
            found.insert(path, source);
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_a_directory_are_kept_where_they_are_worth_it() {
        let dir = tempfile::tempdir().expect("directory");
        fs::create_dir_all(dir.path().join("a/b")).expect("directory");
        fs::write(dir.path().join("a/b/1.conf"), "listen 80;").expect("file");
        fs::write(dir.path().join("a/2.conf"), "nothing").expect("file");
        fs::write(dir.path().join("large"), vec![b'x'; 300 << 10]).expect("file");
        let names = |worth: fn(&SourceText) -> bool| texts(dir.path(), worth).len();
        assert_eq!((names(|_| true), names(|source| source.text().contains("listen"))), (2, 1));
    }

    #[test]
    fn a_machine_has_the_names_of_its_own_addresses() {
        let hosts = "127.0.1.1 Web1.example. web1 # web0\n10.0.0.7 me\n10.0.0.8 other\nbroken\n";
        let names = names("WEB1-new\n", hosts, &BTreeSet::from([IpAddr::from([10, 0, 0, 7])]));
        assert_eq!(names, ["me", "web1", "web1-new", "web1.example"].map(String::from).into());
    }

    #[test]
    fn the_kernels_lists_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), BTreeSet::from(["10.0.0.7".parse().expect("address")]));
        let line = "fe800000000000000000000000000001 02 40 20 80     eth0";
        assert_eq!(local_v6(line), Some("fe80::1".parse().expect("address")));
        assert!(addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
