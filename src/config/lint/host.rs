//! Virtual routers beside this machine's interfaces and files.

use std::net::IpAddr;

use syncd_compat::{Finding, Findings, Severity, SourceText, Span, nearest};

use super::facts::Facts;
use super::given::Given;
use super::router::{Node, Router};

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    // Of several files, one at most is this machine's.
    let severity = if given.nodes.len() > 1 { Severity::Note } else { Severity::Warning };
    for node in &given.nodes {
        for router in &node.routers {
            interfaces(node, router, facts, severity, findings);
            stays(node, router, facts, findings);
        }
        findings.extend(readable(node, facts));
    }
}

/// Interfaces that are not there: what names one does not run, and keepalived ends with all its instances.
fn interfaces(node: &Node, router: &Router, facts: &Facts, severity: Severity, findings: &mut Findings) {
    let Some(known) = facts.interfaces.as_ref().filter(|_| !node.dynamic_interfaces) else { return };
    for name in router.interfaces.iter().filter(|name| !known.contains(&name.value)) {
        let names: Vec<&str> = known.iter().map(String::as_str).filter(|name| *name != "lo").collect();
        let message = format!("there is no interface `{}` on this machine: the instance does not run", name.value);
        let help = match nearest(&name.value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? There are {}", names.join(", ")),
            None => format!("there are {}", names.join(", ")),
        };
        findings.push(node.finding(severity, "keepalived-interface", name.at, message).help(help));
    }
}

/// Addresses that the machine also gives itself at boot.
fn stays(node: &Node, router: &Router, facts: &Facts, findings: &mut Findings) {
    for address in router.moving() {
        let found = facts.network.iter().find_map(|file| Some((file, mention(file, address.value)?)));
        if let Some((file, span)) = found {
            let line = file.position(span.start).0;
            let message = format!(
                "`{}` moves, and {}:{line} gives it to this machine for good: two nodes have it after a boot",
                address.value,
                file.file().display()
            );
            let help = "remove it from the interface's configuration";
            findings.push(node.finding(Severity::Error, "keepalived-vip-static", address.at, message).help(help));
        }
    }
}

/// Where `ip` is said in a file of the interfaces, outside of comments.
fn mention(file: &SourceText, ip: IpAddr) -> Option<Span> {
    let wanted = ip.to_string();
    let mut start = 0;
    for line in file.text().split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or("");
        let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':';
        let found = code.match_indices(&wanted).find(|(at, _)| {
            let before = code.get(..*at).is_none_or(|before| !before.ends_with(part));
            before && code.get(at + wanted.len()..).is_none_or(|after| !after.starts_with(part))
        });
        // A gateway or a name server is somebody else's.
        let assigned = ["gateway", "dns", "nameserver", "via", "route"];
        let folded = code.to_ascii_lowercase();
        if let Some((at, _)) = found.filter(|_| !assigned.iter().any(|word| folded.contains(word))) {
            return Some(Span::new(start + at, start + at + wanted.len()));
        }
        start += line.len();
    }
    None
}

/// A password that everybody on the machine can read.
fn readable(node: &Node, facts: &Facts) -> Option<Finding> {
    let at = node.routers.iter().find(|router| router.password_here)?.proof_at?;
    let file = node.sources.get(at.file)?.file();
    let mode = facts.modes.get(file)?;
    (mode & 0o004 != 0).then(|| {
        let message = format!("others can read the password in this file (mode {:o})", mode & 0o777);
        let help = format!("run: chmod 640 {}", file.display());
        node.finding(Severity::Warning, "password-readable", at, message).help(help)
    })
}
