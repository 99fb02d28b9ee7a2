//! Files as they are seen in the wild: what is made of each, held by a snapshot.
//!
//! A file below `corpus/FORMAT/` is read by that format's grammar. A comment `expect: CODE LINE:COLUMN`
//! in it must be met by a finding; a file whose name begins with `broken-` has at least one.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use syncd_compat::keepalived::{self, KeepalivedConf};
use syncd_compat::{Findings, SourceText, confxml, rsyncd};

fn files(format: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(format);
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("corpus").map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

/// What the file asks to be found.
fn expected(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.split_once("expect: "));
    lines
        .map(|(_, rest)| {
            let mut words = rest.split_whitespace();
            let mut next = || words.next().expect("expect: CODE LINE:COLUMN").to_owned();
            (next(), next())
        })
        .collect()
}

/// Which of its findings a snapshot holds in full: what other grammars say grows with what they honour.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shown {
    /// As an operator sees them.
    Texts,
    /// Code, line and column.
    Places,
}

/// Reads all files of a format; each gives its findings and, for the snapshot, what it means.
fn walk(format: &str, at_least: usize, show: Shown, read: impl Fn(&SourceText) -> (Findings, String)) {
    let files = files(format);
    assert!(files.len() >= at_least, "only {} files of {format}", files.len());
    let mut unmet = Vec::new();
    for file in files {
        let name = file.file_name().expect("name").to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).expect("file");
        let source = SourceText::decode(&name, &bytes);
        let (findings, meaning) = read(&source);
        let expected = expected(source.text());
        assert!(!name.starts_with("broken-") || !expected.is_empty(), "{name} expects nothing");
        for (code, place) in &expected {
            let met = findings.iter().any(|finding| {
                let at = finding.place.as_ref().map(|at| format!("{}:{}", at.line, at.column));
                finding.code == code && at.as_ref() == Some(place)
            });
            if !met {
                let all: Vec<_> = findings.iter().map(|f| format!("{} [{}]", f.summary(), f.code)).collect();
                unmet.push(format!("{name}: no {code} at {place} among {all:#?}"));
            }
        }
        let mut shown = String::new();
        for finding in findings.iter() {
            let place = finding.place.as_ref().map_or((0, 0), |place| (place.line, place.column));
            match show {
                Shown::Texts => writeln!(shown, "[{}] {finding}", finding.code),
                Shown::Places => writeln!(shown, "{}:{} {} {}", place.0, place.1, finding.severity, finding.code),
            }
            .expect("text");
        }
        insta::assert_snapshot!(format!("{format}-{name}"), format!("{shown}---\n{meaning}"));
    }
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

/// The instances with what is in force.
fn vrrp(conf: &KeepalivedConf) -> String {
    let mut text = String::new();
    for i in &conf.instances {
        let addresses: Vec<_> = i.addresses.iter().map(|a| format!("{}/{}", a.ip.value, a.prefix.value)).collect();
        let tracks: Vec<_> = i.track.iter().map(|(kind, track)| format!("{kind:?} {}", track.name.value)).collect();
        writeln!(
            text,
            "{}: {:?} v{} vrid {:?} on {:?} priority {} every {:?} preempt {} [{}] tracks [{}] peers {}",
            i.name.value,
            i.state.value,
            i.version.value,
            i.vrid.as_ref().map(|vrid| vrid.value),
            i.interface.as_ref().map_or("", |interface| &interface.value),
            i.priority.value,
            i.advert_int.value,
            i.preempt.value,
            addresses.join(", "),
            tracks.join(", "),
            i.unicast.peers.len(),
        )
        .expect("text");
    }
    for script in &conf.scripts {
        let argv = script.command.as_ref().map(|command| &command.argv);
        writeln!(text, "script {}: {argv:?} weight {}", script.name.value, script.weight.value).expect("text");
    }
    for group in &conf.groups {
        let members: Vec<_> = group.members.iter().map(|member| member.value.as_str()).collect();
        writeln!(text, "group {}: {members:?}", group.name.value).expect("text");
    }
    text
}

#[test]
fn every_keepalived_conf_means_what_its_snapshot_says() {
    walk("keepalived", 20, Shown::Texts, |source| {
        let (mut findings, mut none) = (Findings::default(), |_: &Path, _: &str| Ok(Vec::new()));
        let here = keepalived::Here { id: "web1", directory: Path::new("/") };
        let conf = keepalived::read(source, here, &mut none, &mut findings);
        (findings, vrrp(&conf))
    });
}

#[test]
fn every_rsyncd_conf_means_what_its_snapshot_says() {
    walk("rsyncd", 20, Shown::Places, |source| {
        let mut findings = Findings::default();
        let mut none = |_: &Path, _| Ok(Vec::new());
        let expanded = rsyncd::expand(source.clone(), &mut findings, &mut none);
        let conf = rsyncd::read(&expanded, &mut findings);
        let mut text = String::new();
        for module in &conf.modules {
            writeln!(text, "[{}]", module.name.value).expect("text");
            for parameter in module.section.iter() {
                writeln!(text, "  {} = {}", parameter.known.name, parameter.value.value).expect("text");
            }
            findings.extend(module.section.boolean(source, "read only", true).err());
        }
        (findings, text)
    });
}

#[test]
fn every_confxml_means_what_its_snapshot_says() {
    walk("confxml", 20, Shown::Places, |source| {
        let mut findings = Findings::default();
        let conf = match confxml::read(source, &mut findings) {
            Ok(conf) => conf,
            Err(finding) => {
                findings.push(finding);
                return (findings, "unusable\n".to_owned());
            }
        };
        let mut text = format!("delete {} filter {}\n", conf.inotify.delete.on, conf.filter.start.on);
        for block in &conf.sersync {
            for local in &block.localpath {
                writeln!(text, "watch {}", local.watch.value).expect("text");
                for remote in &local.remote {
                    writeln!(text, "  to {}::{}", remote.ip.value, remote.name.value).expect("text");
                }
            }
            let options: Vec<_> = block.rsync.options.iter().map(|option| option.spec.long).collect();
            writeln!(text, "options {}", options.join(" ")).expect("text");
            let user = block.rsync.auth.as_ref().and_then(|auth| auth.users.as_ref());
            writeln!(text, "user {:?} crontab {}", user.map(|user| &user.value), block.crontab.start.on).expect("text");
        }
        (findings, text)
    });
}
