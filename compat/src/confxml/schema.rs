//! Which elements and attributes sersync2 knows, and a walk that names all others.

use crate::diag::{Finding, Severity};
use crate::findings::Findings;
use crate::nearest;
use crate::text::SourceText;
use crate::xml::Element;

/// What may stand in one element.
pub(super) struct Rule {
    /// Path from the root, in lower case.
    pub(super) path: &'static str,
    pub(super) attributes: &'static [&'static str],
    children: &'static [&'static str],
    /// Children that mean something each time they stand there; of all others the first counts.
    repeated: &'static [&'static str],
}

impl Rule {
    /// The children of which the first counts.
    pub(super) fn once(&self) -> impl Iterator<Item = &'static str> {
        self.children.iter().copied().filter(|child| !self.repeated.contains(child))
    }
}

const fn leaf(path: &'static str, attributes: &'static [&'static str]) -> Rule {
    Rule { path, attributes, children: &[], repeated: &[] }
}

/// sersync2's whole vocabulary, in the order of its stock file.
pub(super) const RULES: &[Rule] = &[
    Rule {
        path: "head",
        attributes: &["version"],
        children: &["host", "debug", "fileSystem", "filter", "inotify", "sersync", "plugin"],
        repeated: &["sersync", "plugin"],
    },
    leaf("head/host", &["hostip", "port"]),
    leaf("head/debug", &["start"]),
    leaf("head/filesystem", &["xfs"]),
    Rule { path: "head/filter", attributes: &["start"], children: &["exclude"], repeated: &["exclude"] },
    leaf("head/filter/exclude", &["expression"]),
    Rule {
        path: "head/inotify",
        attributes: &[],
        children: &["delete", "createFolder", "createFile", "closeWrite", "moveFrom", "moveTo", "attrib", "modify"],
        repeated: &[],
    },
    leaf("head/inotify/delete", &["start"]),
    leaf("head/inotify/createfolder", &["start"]),
    leaf("head/inotify/createfile", &["start"]),
    leaf("head/inotify/closewrite", &["start"]),
    leaf("head/inotify/movefrom", &["start"]),
    leaf("head/inotify/moveto", &["start"]),
    leaf("head/inotify/attrib", &["start"]),
    leaf("head/inotify/modify", &["start"]),
    Rule {
        path: "head/sersync",
        attributes: &[],
        children: &["localpath", "rsync", "failLog", "crontab", "plugin"],
        repeated: &["localpath"],
    },
    Rule { path: "head/sersync/localpath", attributes: &["watch"], children: &["remote"], repeated: &["remote"] },
    // The last one is syncd's own: sersync2 passes over what it does not know.
    leaf("head/sersync/localpath/remote", &["ip", "name", "transport"]),
    Rule {
        path: "head/sersync/rsync",
        attributes: &[],
        children: &["commonParams", "auth", "userDefinedPort", "timeout", "ssh"],
        repeated: &[],
    },
    leaf("head/sersync/rsync/commonparams", &["params"]),
    leaf("head/sersync/rsync/auth", &["start", "users", "passwordfile"]),
    leaf("head/sersync/rsync/userdefinedport", &["start", "port"]),
    leaf("head/sersync/rsync/timeout", &["start", "time"]),
    leaf("head/sersync/rsync/ssh", &["start"]),
    leaf("head/sersync/faillog", &["path", "timeToExecute"]),
    Rule {
        path: "head/sersync/crontab",
        attributes: &["start", "schedule"],
        children: &["crontabfilter"],
        repeated: &[],
    },
    Rule {
        path: "head/sersync/crontab/crontabfilter",
        attributes: &["start"],
        children: &["exclude"],
        repeated: &["exclude"],
    },
    leaf("head/sersync/crontab/crontabfilter/exclude", &["expression"]),
    leaf("head/sersync/plugin", &["start", "name"]),
    Rule { path: "head/plugin", attributes: &["name"], children: &["param", "filter", "localpath"], repeated: &[] },
    leaf("head/plugin/param", &["prefix", "suffix", "ignoreError"]),
    Rule { path: "head/plugin/filter", attributes: &["start"], children: &["include"], repeated: &["include"] },
    leaf("head/plugin/filter/include", &["expression"]),
    Rule {
        path: "head/plugin/localpath",
        attributes: &["watch"],
        children: &["deshost", "cdninfo", "sendurl", "regexurl"],
        repeated: &[],
    },
    leaf("head/plugin/localpath/deshost", &["ip", "port"]),
    leaf("head/plugin/localpath/cdninfo", &["domainname", "port", "username", "passwd"]),
    leaf("head/plugin/localpath/sendurl", &["base"]),
    leaf("head/plugin/localpath/regexurl", &["regex", "match"]),
];

/// Names everything below `root` that sersync2 would pass over in silence.
pub(super) fn check(source: &SourceText, root: &Element, findings: &mut Findings) {
    walk(source, root, "head", findings);
}

fn walk(source: &SourceText, element: &Element, path: &str, findings: &mut Findings) {
    let Some(rule) = RULES.iter().find(|rule| rule.path == path) else { return };
    check_attributes(source, element, rule, findings);
    let mut seen: Vec<String> = Vec::new();
    for child in &element.children {
        let name = child.name.value.to_lowercase();
        if !rule.children.iter().any(|known| child.is(known)) {
            if !findings.skips(Severity::Warning) {
                findings.push(unknown_element(source, child, element, rule));
            }
            continue;
        }
        if seen.contains(&name) && !rule.repeated.iter().any(|known| child.is(known)) {
            let message = format!("this `<{}>` is ignored: the first one counts", child.name.value);
            findings.push(source.warning("xml-repeated", child.name.span, message).help("remove one of them"));
            continue;
        }
        walk(source, child, &format!("{path}/{name}"), findings);
        seen.push(name);
    }
}

fn unknown_element(source: &SourceText, child: &Element, parent: &Element, rule: &Rule) -> Finding {
    let name = &child.name.value;
    let message = format!("`<{name}>` in `<{}>` is unknown and ignored", parent.name.value);
    let elsewhere = || RULES.iter().find(|rule| rule.path.ends_with(&format!("/{}", name.to_lowercase())));
    let finding = source.warning("xml-unknown-element", child.name.span, message);
    match (nearest(name, rule.children.iter().copied()), elsewhere()) {
        (_, Some(rule)) => finding.help(format!("its place is `{}`", rule.path)),
        (Some(near), None) => finding.help(format!("did you mean `<{near}>`?")),
        (None, None) => finding.help("remove it"),
    }
}

fn check_attributes(source: &SourceText, element: &Element, rule: &Rule, findings: &mut Findings) {
    let mut seen: Vec<String> = Vec::new();
    for attribute in &element.attributes {
        let name = &attribute.name.value;
        let at = attribute.name.span;
        if !rule.attributes.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            if findings.skips(Severity::Warning) {
                continue;
            }
            let message = format!("`{name}` of `<{}>` is unknown and ignored", element.name.value);
            let finding = source.warning("xml-unknown-attribute", at, message);
            findings.push(match nearest(name, rule.attributes.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("remove it"),
            });
        } else if seen.contains(&name.to_lowercase()) {
            let message = format!("this `{name}` is ignored: the first one counts");
            findings.push(source.warning("xml-repeated", at, message).help("remove one of them"));
        }
        seen.push(name.to_lowercase());
    }
    let secret = rule.attributes.contains(&"passwd");
    for word in &element.stray {
        // It may be the password.
        let shown = if secret { "this word" } else { &format!("`{}`", word.value) };
        let message = format!("{shown} is no attribute and ignored");
        let mut finding =
            source.warning("xml-stray-word", word.span, message).help("write name=\"value\", or remove it");
        if let Some(place) = finding.place.as_mut().filter(|_| secret) {
            place.hide_marked();
        }
        findings.push(finding);
    }
}
