//! From a file and `--set` to the configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use syncd_compat::diag::Place;
use syncd_compat::{Finding, SourceText, confxml, rsyncd};

use super::kind::{self, Kind};
use super::machine::Machine;
use super::overrides::{Overrides, Side};
use super::{Config, ConfigError, DEFAULT_PORT, check, native, peer, source};

/// A configuration file is smaller.
const MAX_FILE: u64 = 4 << 20;

/// A configuration with all that is to be said about its file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes for the operator; no error is among them.
    pub findings: Vec<Finding>,
    /// Where the file names a path.
    places: Places,
}

impl Loaded {
    /// [`super::check_local`], whose errors here have the line and column that name the path.
    ///
    /// # Errors
    /// As [`super::check_local`].
    pub fn check_local(&self) -> Result<(), ConfigError> {
        let located = |(path, finding): (PathBuf, Finding)| finding.at(self.places.0.get(&path).cloned().map(Box::new));
        ConfigError::unless_usable(check::faults(&self.config).into_iter().map(located).collect()).map(|_| ())
    }
}

/// Where a file names each path that it names.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(BTreeMap<PathBuf, Place>);

impl Places {
    pub(super) fn add(&mut self, path: &Path, place: Place) {
        self.0.entry(path.to_owned()).or_insert(place);
    }
}

/// What a file is translated with.
pub(super) struct Context<'a> {
    pub(super) source: &'a SourceText,
    pub(super) machine: &'a Machine,
    /// The port of a peer for which the file names none.
    pub(super) default_port: u16,
    pub(super) findings: Vec<Finding>,
    pub(super) places: Places,
}

/// Reads the configuration of the primary side: a `confxml.xml` or `syncd.toml`, of which the sets
/// with the role `primary` count. `overrides` are `KEY=VALUE` as in [`super::OVERRIDES`].
///
/// # Errors
/// The file is unreadable, of another kind, faulty, or without such a set; an override is wrong.
pub fn load_source(file: &Path, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load(file, overrides, Side::Source)
}

/// Reads the configuration of the receiving side: an `rsyncd.conf` or `syncd.toml`, of which the
/// sets with the role `replica` count. `overrides` are `KEY=VALUE` as in [`super::OVERRIDES`].
///
/// # Errors
/// The file is unreadable, of another kind, faulty, or without such a set; an override is wrong.
pub fn load_peer(file: &Path, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load(file, overrides, Side::Peer)
}

fn load(file: &Path, overrides: &[String], side: Side) -> Result<Loaded, ConfigError> {
    let overrides = Overrides::parse(overrides, side)?;
    let bytes = read(file).map_err(|cause| ConfigError::Unreadable { file: file.to_owned(), cause })?;
    let source = SourceText::decode(file, &bytes);
    translate(&source, &Machine::this(), &overrides, side)
}

/// At most [`MAX_FILE`] bytes, so that a device or a log named by mistake is an error and no flood.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut opened = File::open(file)?;
    if opened.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    opened.by_ref().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("larger than {} MiB, so no configuration", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

/// The configuration that `source` means on `machine`.
pub(super) fn translate(
    source: &SourceText,
    machine: &Machine,
    overrides: &Overrides,
    side: Side,
) -> Result<Loaded, ConfigError> {
    let default_port = overrides.default_port().unwrap_or(DEFAULT_PORT);
    let mut cx = Context { source, machine, default_port, findings: Vec::new(), places: Places::default() };
    let config = match (kind::of(source), side) {
        (Some(Kind::Native), _) => native::read(&mut cx, side),
        (Some(Kind::ConfXml), Side::Source) => {
            confxml::read(source, &mut cx.findings).map(|conf| source::translate(&mut cx, &conf))
        }
        (Some(Kind::Rsyncd), Side::Peer) => {
            let conf = rsyncd::read(source, &mut cx.findings);
            Ok(peer::translate(&mut cx, &conf))
        }
        (other, _) => Err(wrong_kind(source.file(), other, side)),
    };
    let config = config.map_err(|finding| cx.findings.push(finding));
    let findings = ConfigError::unless_usable(cx.findings)?;
    // Without a configuration there is an error among the findings.
    let Ok(mut config) = config else { return Err(ConfigError::Faulty(findings)) };
    overrides.apply(&mut config)?;
    Ok(Loaded { config, findings, places: cx.places })
}

fn wrong_kind(file: &Path, kind: Option<Kind>, side: Side) -> Finding {
    let wanted = match side {
        Side::Source => "a confxml.xml or a syncd.toml",
        Side::Peer => "an rsyncd.conf or a syncd.toml",
    };
    let name = file.display();
    let (what, help) = match kind {
        Some(Kind::Rsyncd) => {
            ("an rsyncd.conf, which is for the receiving side", format!("run `syncd peer --config {name}`"))
        }
        Some(Kind::ConfXml) => ("a confxml.xml, which is for the primary side", format!("run `syncd --config {name}`")),
        Some(Kind::Keepalived) => ("a keepalived.conf", format!("name {wanted} by --config, and this by --vrrp")),
        Some(Kind::Native) | None => ("no configuration: nothing in it is a setting", format!("name {wanted}")),
    };
    Finding::of_file(file, "config-kind", format!("this is {what}")).help(help)
}
