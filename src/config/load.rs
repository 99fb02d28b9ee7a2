//! From a file and `--set` to the configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use syncd_compat::{Finding, Findings, Severity, SourceText, confxml, rsyncd};

use super::include;
use super::kind::{self, Kind};
use super::machine::Machine;
use super::overrides::{Overrides, Side};
use super::places::{Named, Places};
use super::{Config, ConfigError, DEFAULT_PORT, check, native, peer, source, vrrp};

/// A configuration file is smaller.
const MAX_FILE: u64 = 4 << 20;

/// A configuration with all that is to be said about its file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes for the operator; errors only of modules that are left out.
    pub findings: Vec<Finding>,
    /// Whether a set of which something is missing is left out alone, as with rsyncd.
    pub(super) one_by_one: bool,
    /// Where the file names what it names.
    pub(super) places: Places,
}

impl Loaded {
    /// A configuration of which nothing is to be said.
    pub(super) fn of(config: Config) -> Self {
        Self { config, findings: Vec::new(), one_by_one: false, places: Places::default() }
    }

    /// This and `other` as one, their configurations by `join`.
    pub(super) fn and(self, other: Self, join: impl FnOnce(Config, Config) -> Config) -> Self {
        let (mut findings, mut places) = (self.findings, self.places);
        findings.extend(other.findings);
        places.extend(other.places);
        let one_by_one = self.one_by_one || other.one_by_one;
        Self { config: join(self.config, other.config), findings, one_by_one, places }
    }

    /// Reads the passwords of virtual addresses, and takes out programs that cannot or must not be run.
    pub(super) fn complete(mut self) -> Result<Self, ConfigError> {
        let Some(mut vrrp) = self.config.vrrp.take() else { return Ok(self) };
        let located = |(path, finding): (PathBuf, Finding)| self.places.locate(&path, finding);
        let mut faults = Findings::default();
        faults.extend(vrrp::local::passwords(&mut vrrp, &self.config.file).into_iter().map(located));
        ConfigError::unless_usable(faults, &self.config.file)?;
        self.findings.extend(vrrp::local::withhold(&mut vrrp.setup, &self.config.file));
        self.config.vrrp = Some(vrrp);
        Ok(self)
    }

    /// `from FILE:LINE`: where it was named.
    pub(super) fn place_of(&self, named: Named<'_>) -> Option<String> {
        let at = self.places.of(named)?;
        Some(format!("from {}:{}", at.file.display(), at.place.line))
    }

    /// [`super::check_local`], whose findings here have the line and column that name the path.
    ///
    /// # Errors
    /// As [`super::check_local`].
    pub fn check_local(&self) -> Result<Vec<Finding>, ConfigError> {
        let located = |(path, finding): (PathBuf, Finding)| self.places.locate(&path, finding);
        let mut findings = Findings::default();
        findings.extend(check::faults(&self.config).into_iter().map(located));
        ConfigError::unless_usable(findings, &self.config.file)
    }

    /// [`Self::check_local`] before a start: a module of an rsyncd.conf of which something is missing on this machine is
    /// left out, and its errors are among what is returned, unless none is left then.
    ///
    /// # Errors
    /// As [`super::check_local`].
    pub fn settle(&mut self) -> Result<Vec<Finding>, ConfigError> {
        let faults = if self.one_by_one { check::faults(&self.config) } else { Vec::new() };
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let wrong = |path: &Path| faults.iter().any(|(of, finding)| of == path && is_error(finding));
        let (faulty, sound): (Vec<_>, Vec<_>) =
            self.config.replicas.iter().cloned().partition(|set| check::needed(set).any(&wrong));
        if faulty.is_empty() || sound.is_empty() {
            return self.check_local();
        }
        let theirs = |path: &Path| faulty.iter().any(|set| check::needed(set).any(|needed| needed == path));
        let tolerated = faults.iter().filter(|(path, finding)| is_error(finding) && theirs(path)).count();
        let said = faulty.iter().map(|set| (set.path.clone(), peer::say_left_out(&self.config.file, &set.name)));
        let mut findings = Findings::default();
        findings.extend(faults.iter().cloned().chain(said).map(|(path, finding)| self.places.locate(&path, finding)));
        let found = ConfigError::unless_more_than(tolerated + faulty.len(), findings, &self.config.file)?;
        self.config.replicas = sound;
        Ok(found)
    }
}

/// What a file is translated with.
pub(super) struct Context<'a> {
    pub(super) source: &'a SourceText,
    pub(super) machine: &'a Machine,
    /// The port of a peer for which the file names none.
    pub(super) default_port: u16,
    /// The plugin that runs without the mirror (`-m`).
    pub(super) plugin_alone: Option<String>,
    pub(super) findings: Findings,
    /// How many errors among them are about what is left out, and stop nothing.
    pub(super) tolerated: usize,
    pub(super) places: Places,
}

/// Reads the configuration of the primary side: a `confxml.xml` or `syncd.toml`, of which the sets
/// with the role `primary` count. `overrides` are `KEY=VALUE` as in [`super::OVERRIDES`].
///
/// # Errors
/// The file is unreadable, of another kind, faulty, or without such a set; an override is wrong.
pub fn load_source(file: &Path, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load(file, overrides, Side::Source, None)
}

/// The same for the plugin `name` alone: its sets go nowhere.
///
/// # Errors
/// As [`load_source`]; there is no such plugin, or it cannot be used.
pub fn load_plugin(file: &Path, overrides: &[String], name: &str) -> Result<Loaded, ConfigError> {
    load(file, overrides, Side::Source, Some(name))
}

/// Reads the configuration of the receiving side: an `rsyncd.conf` or `syncd.toml`, of which the
/// sets with the role `replica` count. `overrides` are `KEY=VALUE` as in [`super::OVERRIDES`].
///
/// # Errors
/// The file is unreadable, of another kind, faulty, or without such a set; an override is wrong.
pub fn load_peer(file: &Path, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load(file, overrides, Side::Peer, None)
}

fn load(file: &Path, overrides: &[String], side: Side, plugin: Option<&str>) -> Result<Loaded, ConfigError> {
    let overrides = Overrides::parse(overrides, side)?;
    let bytes = read(file).map_err(|cause| ConfigError::Unreadable { file: file.to_owned(), cause })?;
    let source = SourceText::decode(file, &bytes);
    translate(&source, &Machine::this(), &overrides, side, plugin)?.complete()
}

/// The virtual addresses alone of a `syncd.toml`.
pub(super) fn virtual_addresses(source: &SourceText, machine: &Machine) -> Result<Loaded, ConfigError> {
    let mut cx = Context {
        source,
        machine,
        default_port: DEFAULT_PORT,
        plugin_alone: None,
        findings: Findings::default(),
        tolerated: 0,
        places: Places::default(),
    };
    let config = native::read_vrrp(&mut cx);
    let findings = ConfigError::unless_usable(cx.findings, source.file())?;
    // Without a configuration there is an error among the findings.
    let Some(config) = config else { return Err(ConfigError::Faulty(findings)) };
    Ok(Loaded { config, findings, one_by_one: false, places: cx.places })
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
    plugin: Option<&str>,
) -> Result<Loaded, ConfigError> {
    let mut findings = Findings::default();
    let kind = kind::of(source);
    let expanded = match (kind, side) {
        (Some(Kind::Rsyncd), Side::Peer) => Some(expand(source, machine, &mut findings)),
        _ => None,
    };
    let source = expanded.as_ref().map_or(source, |expanded| &expanded.source);
    let default_port = overrides.default_port().unwrap_or(DEFAULT_PORT);
    let (plugin_alone, places) = (plugin.map(str::to_owned), Places::default());
    let mut cx = Context { source, machine, default_port, plugin_alone, findings, tolerated: 0, places };
    let config = match (kind, side, &expanded) {
        _ if source.is_utf16() => Err(Some(utf16(source.file()))),
        (_, _, Some(expanded)) => {
            let conf = rsyncd::read(expanded, &mut cx.findings);
            Ok(peer::translate(&mut cx, &conf))
        }
        (Some(Kind::Native), ..) => native::read(&mut cx, side).ok_or(None),
        (Some(Kind::ConfXml), Side::Source, _) => {
            confxml::read(source, &mut cx.findings).map(|conf| source::translate(&mut cx, &conf)).map_err(Some)
        }
        (other, ..) => Err(Some(wrong_kind(source.file(), other, side))),
    };
    let config = config.map_err(|finding| cx.findings.extend(finding));
    let findings = ConfigError::unless_more_than(cx.tolerated, cx.findings, source.file())?;
    // Without a configuration there is an error among the findings.
    let Ok(mut config) = config else { return Err(ConfigError::Faulty(findings)) };
    overrides.apply(&mut config)?;
    Ok(Loaded { config, findings, one_by_one: expanded.is_some(), places: cx.places })
}

/// An `rsyncd.conf` with the files that it includes.
pub(super) fn expand(source: &SourceText, machine: &Machine, findings: &mut Findings) -> rsyncd::Expanded {
    let mut load = |path: &Path, directive| include::load(&machine.cwd.join(path), directive);
    rsyncd::expand(source.clone(), findings, &mut load)
}

fn utf16(file: &Path) -> Finding {
    let message = "the file is UTF-16 or no text at all, which neither sersync2 nor rsyncd reads";
    Finding::of_file(file, "config-encoding", message).help("save it as UTF-8")
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
