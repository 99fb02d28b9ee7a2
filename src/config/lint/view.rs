//! Sets as the rules see them: what is sent and received, and where each file says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use syncd_compat::diag::Place;
use syncd_compat::rsyncd::{Module, RsyncdConf, Section};
use syncd_compat::{SourceText, Span};

use crate::config::{DEFAULT_PORT, DeletePolicy, HostPattern, ReplicaAuth, ReplicaSet, SourceAuth, SourceSet, hosts};

/// A word of a file and where it stands, as far as that is known.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) file: PathBuf,
    pub(super) place: Option<Place>,
}

impl Said {
    /// For a finding.
    pub(super) fn at(&self) -> (&Path, Option<&Place>) {
        (&self.file, self.place.as_ref())
    }
}

/// A set that is sent.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) file: PathBuf,
    /// The watched directory.
    pub(super) path: PathBuf,
    /// Whether what is gone here goes there too.
    pub(super) deletes: bool,
    pub(super) targets: Vec<SendTarget>,
}

/// Where a set goes.
#[derive(Clone, Debug)]
pub(super) struct SendTarget {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) module: String,
    pub(super) auth: SourceAuth,
    pub(super) host_said: Said,
    pub(super) module_said: Said,
    pub(super) user_said: Said,
}

/// A set that is received.
#[derive(Clone, Debug)]
pub(super) struct Receiving {
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) listen: Option<SocketAddr>,
    pub(super) read_only: bool,
    pub(super) auth: ReplicaAuth,
    pub(super) hosts_allow: Vec<HostPattern>,
    pub(super) hosts_deny: Vec<HostPattern>,
    pub(super) module_said: Said,
}

impl Sending {
    pub(super) fn of(source: &SourceText, set: &SourceSet) -> Self {
        let target = |target: &crate::config::Target| {
            let user = match &target.auth {
                SourceAuth::Password { user, .. } => user.as_str(),
                SourceAuth::Key => "",
            };
            let line = find(source, &[&target.host, &target.set])
                .or_else(|| find(source, &["address", &target.host]))
                .or_else(|| find(source, &[&target.host]));
            SendTarget {
                host: target.host.clone(),
                port: target.port,
                module: target.set.clone(),
                auth: target.auth.clone(),
                host_said: said(source, line.and_then(|line| within(source, line, &target.host))),
                module_said: said(
                    source,
                    line.and_then(|line| within(source, line, &target.set)).or_else(|| find_word(source, &target.set)),
                ),
                user_said: said(source, find_word(source, user)),
            }
        };
        Self {
            file: source.file().to_owned(),
            path: set.path.clone(),
            deletes: set.options.delete != DeletePolicy::Never,
            targets: set.targets.iter().map(target).collect(),
        }
    }
}

impl Receiving {
    pub(super) fn of(source: &SourceText, set: &ReplicaSet, listen: Option<SocketAddr>) -> Self {
        Self {
            file: source.file().to_owned(),
            name: set.name.clone(),
            listen,
            read_only: set.read_only,
            auth: set.auth.clone(),
            hosts_allow: set.hosts_allow.clone(),
            hosts_deny: set.hosts_deny.clone(),
            module_said: said(source, find_word(source, &set.name)),
        }
    }

    /// A module as it is written, also where this machine could not serve it: its users may be another's.
    pub(super) fn of_module(source: &SourceText, conf: &RsyncdConf, module: &Module) -> Self {
        let text = |section: &Section, name: &str| section.get(name).map(|value| value.value.clone());
        let of = |name: &str| text(&module.section, name);
        let on = |name: &str, default| module.section.boolean(source, name, default).unwrap_or(default);
        let hosts = |name: &str| of(name).and_then(|list| hosts::parse(&list).ok()).unwrap_or_default();
        let address = text(&conf.global, "address").and_then(|address| address.parse().ok());
        let port = text(&conf.global, "port").and_then(|port| port.parse().ok());
        let listen = SocketAddr::new(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port.unwrap_or(DEFAULT_PORT));
        // `user:rw` has its right behind the colon.
        let user = |word: &str| word.split(':').next().unwrap_or(word).to_owned();
        let listed = of("auth users").unwrap_or_default();
        let users = listed.split([',', ' ', '\t']).filter(|word| !word.is_empty()).map(user).collect::<Vec<_>>();
        let auth = match (users, of("secrets file")) {
            (users, Some(file)) if !users.is_empty() => {
                ReplicaAuth::Password { users, file: file.into(), strict: on("strict modes", true) }
            }
            _ => ReplicaAuth::Key,
        };
        Self {
            file: source.file().to_owned(),
            name: module.name.value.clone(),
            listen: Some(listen),
            read_only: on("read only", true),
            auth,
            hosts_allow: hosts("hosts allow"),
            hosts_deny: hosts("hosts deny"),
            module_said: said(source, Some(module.name.span)),
        }
    }
}

fn said(source: &SourceText, span: Option<Span>) -> Said {
    Said { file: source.file().to_owned(), place: span.map(|span| source.place(span)) }
}

/// The first line, no comment, on which all `words` stand as words.
fn find(source: &SourceText, words: &[&str]) -> Option<Span> {
    lines(source).find(|line| words.iter().all(|word| within(source, *line, word).is_some()))
}

fn find_word(source: &SourceText, word: &str) -> Option<Span> {
    lines(source).find_map(|line| within(source, line, word))
}

/// The lines that are no comments as a whole.
fn lines(source: &SourceText) -> impl Iterator<Item = Span> {
    let text = source.text();
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(move |line| {
        start += line.len();
        Span::new(start - line.len(), start)
    });
    lines.filter(move |span| {
        let line = text.get(span.start..span.end).unwrap_or("").trim_start();
        !line.starts_with(['#', ';', '!']) && !line.starts_with("<!--")
    })
}

/// Where `word` stands in a line, with nothing of a word on either side.
fn within(source: &SourceText, line: Span, word: &str) -> Option<Span> {
    let text = source.text().get(line.start..line.end).filter(|_| !word.is_empty())?;
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    text.match_indices(word).find_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + word.len()..)?);
        let whole = !before.ends_with(part) && !after.starts_with(part);
        whole.then(|| Span::new(line.start + at, line.start + at + word.len()))
    })
}
