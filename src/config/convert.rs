//! Legacy files as one `syncd.toml`: all that they say is in it, or listed at its end with the reason.

mod idle;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use syncd_compat::{Finding, Findings, Severity, SourceText, Span, confxml, keepalived, rsync, rsyncd};

use idle::Idle;

use super::kind::{self, Kind};
use super::load::{self, Loaded};
use super::machine::Machine;
use super::native::write::{self, NotText};
use super::overrides::{Overrides, Side};
use super::places::{Named, Settled};
use super::source::make_unique;
use super::{Config, ConfigError, Reach, ReplicaSet, SourceAuth, SourceSet, Target, Vrrp, vrrp};
use crate::vrrp::packet::Auth;

/// What the files come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Converted {
    /// The text of the native file.
    pub text: String,
    /// How many settings are listed as not carried over.
    pub left: usize,
}

/// One setting that is not in the native file as it was.
#[derive(Clone, Debug)]
struct Left {
    file: PathBuf,
    line: usize,
    column: usize,
    text: String,
}

/// Makes one native file of `files`: any number of `confxml.xml`, `rsyncd.conf` and `keepalived.conf`
/// of one node. Passwords are referred to by the files that hold them.
///
/// # Errors
/// A file that cannot be read or used, is native already, or names what TOML cannot hold.
pub fn convert(files: &[PathBuf]) -> Result<Converted, ConfigError> {
    let read = |file: &PathBuf| match load::read(file) {
        Ok(bytes) => Ok(SourceText::decode(file, &bytes)),
        Err(cause) => Err(ConfigError::Unreadable { file: file.clone(), cause }),
    };
    let sources = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    // Who converts need not be who runs it.
    of(&sources, &Machine::this().into_any())
}

pub(super) fn of(sources: &[SourceText], machine: &Machine) -> Result<Converted, ConfigError> {
    let mut whole = Whole::default();
    for source in sources {
        whole = whole.and(part(source, machine)?);
    }
    let files: Vec<PathBuf> = sources.iter().map(|source| source.file().to_owned()).collect();
    whole.written(&files)
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Whole {
    config: Option<Loaded>,
    left: Vec<Left>,
}

fn part(source: &SourceText, machine: &Machine) -> Result<Whole, ConfigError> {
    match kind::of(source) {
        Some(Kind::ConfXml) => {
            let mut listed = xml_settings(source)?;
            let loaded = translated(source, machine, Side::Source)?;
            listed.extend(said(&loaded.findings, &listed));
            listed.extend(settled(&loaded));
            Ok(Whole { config: Some(loaded), left: listed })
        }
        Some(Kind::Rsyncd) => {
            let mut listed = rsyncd_settings(source, machine);
            let loaded = translated(source, machine, Side::Peer)?;
            listed.extend(said(&loaded.findings, &listed));
            listed.extend(settled(&loaded));
            Ok(Whole { config: Some(loaded), left: listed })
        }
        Some(Kind::Keepalived) => virtual_addresses(source, machine),
        Some(Kind::Native) => Err(wrong(source, "this is a syncd.toml already", "name the legacy files alone")),
        None => Err(wrong(source, "nothing in it is a setting", "name a confxml.xml, rsyncd.conf or keepalived.conf")),
    }
}

fn wrong(source: &SourceText, what: &str, help: &str) -> ConfigError {
    Finding::of_file(source.file(), "config-kind", what).help(help).into()
}

fn translated(source: &SourceText, machine: &Machine, side: Side) -> Result<Loaded, ConfigError> {
    let loaded = load::translate(source, machine, &Overrides::parse(&[], side)?, side, None)?;
    // What would be left out of a start is not left out of a file that follows this one.
    if loaded.findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(ConfigError::Faulty(loaded.findings));
    }
    Ok(loaded)
}

/// What a finding says of a place that is not listed yet.
fn said(findings: &[Finding], listed: &[Left]) -> Vec<Left> {
    let of = |finding: &Finding| {
        let (line, column) = finding.place.as_ref().map_or((1, 1), |place| (place.line, place.column));
        Left { file: finding.file.clone(), line, column, text: finding.message.clone() }
    };
    let new = |left: &Left| !listed.iter().any(|l| (&l.file, l.line, l.column) == (&left.file, left.line, left.column));
    findings.iter().filter(|finding| finding.severity != Severity::Error).map(of).filter(new).collect()
}

/// What the file leaves to the moment when it is read.
fn settled(loaded: &Loaded) -> impl Iterator<Item = Left> {
    loaded.places.settled().iter().map(|Settled { at, what }| Left {
        file: at.file.clone(),
        line: at.place.line,
        column: at.place.column,
        text: what.clone(),
    })
}

impl Left {
    fn at(source: &SourceText, span: Span, text: String) -> Self {
        let (line, column) = source.position(span.start);
        Self { file: source.file_at(span.start).to_owned(), line, column, text }
    }
}

/// The settings of a `confxml.xml` that do not come about as they stand there.
fn xml_settings(source: &SourceText) -> Result<Vec<Left>, ConfigError> {
    let mut left = Vec::new();
    let conf = confxml::read(source, &mut Findings::default())?;
    let idle = Idle::of(&conf);
    for present in confxml::present(source)? {
        let why = idle.why(&present);
        let confxml::Present { setting, value, .. } = present;
        let name = format!("{} {}", setting.element, setting.attribute);
        if let Some(why) = why {
            // What is not in force is nothing that could be carried over; nor is it lost in silence.
            let shown = if setting.attribute == "passwd" { "…" } else { &value.value };
            let text = format!("{}=\"{shown}\": {why}", name.trim());
            left.push(Left::at(source, value.span, text));
            continue;
        }
        if !setting.standing.is_honoured() {
            let text = format!("{}=\"{}\": {}", name.trim(), value.value, setting.standing.sentence());
            left.push(Left::at(source, value.span, text));
        }
        if setting.attribute == "passwd" && !value.value.is_empty() {
            let file = write::CDN_PASSWORD_FILE;
            let text = format!("{}: write it alone into {file}, mode 0600; passwords are not copied", name.trim());
            left.push(Left::at(source, value.span, text));
        }
        if setting.attribute == "params" {
            // What is wrong with an option, the translation says.
            for option in rsync::parse(source, &value, &mut Findings::default()) {
                if !option.spec.standing.is_honoured() {
                    let text = format!("--{}: {}", option.spec.long, option.spec.standing.sentence());
                    left.push(Left::at(source, option.span, text));
                }
            }
        }
    }
    Ok(left)
}

/// The same of an `rsyncd.conf`, with all that it includes.
fn rsyncd_settings(source: &SourceText, machine: &Machine) -> Vec<Left> {
    let expanded = load::expand(source, machine, &mut Findings::default());
    let conf = rsyncd::read(&expanded, &mut Findings::default());
    let sections = std::iter::once(&conf.global).chain(conf.modules.iter().map(|module| &module.section));
    let mut left: Vec<Left> = Vec::new();
    for parameter in sections.flat_map(rsyncd::Section::iter).filter(|p| !p.known.standing.is_honoured()) {
        let text =
            format!("{} = {}: {}", parameter.known.name, parameter.value.value, parameter.known.standing.sentence());
        let new = Left::at(&expanded.source, parameter.name.span, text);
        // A module has what stands above it, too.
        if !left.iter().any(|l| (&l.file, l.line) == (&new.file, new.line)) {
            left.push(new);
        }
    }
    left
}

/// The virtual addresses of a `keepalived.conf`; what is said of it is what is not carried over.
fn virtual_addresses(source: &SourceText, machine: &Machine) -> Result<Whole, ConfigError> {
    let host = vrrp::Host::of(machine.clone());
    let mut findings = Findings::default();
    let conf = keepalived::read(source, machine.here(), &mut super::glob::load, &mut findings);
    let (setup, said) = vrrp::translate(&conf, &host);
    findings.extend(said);
    if setup.instances.is_empty() {
        let nothing = "no `vrrp_instance` of it can run: there is nothing to convert";
        findings.push(Finding::of_file(source.file(), "keepalived-nothing-to-do", nothing).help("run `syncd check`"));
        return Err(ConfigError::Faulty(findings.into_vec(source.file())));
    }
    let of = |finding: &Finding| {
        let (line, column) = finding.place.as_ref().map_or((1, 1), |place| (place.line, place.column));
        Left { file: finding.file.clone(), line, column, text: finding.message.clone() }
    };
    let mut left: Vec<Left> = findings.into_vec(source.file()).iter().map(of).collect();
    let secret = |name: &str| setup.instances.iter().any(|one| one.name == name && one.auth != Auth::None);
    for instance in conf.instances.iter().filter(|instance| secret(&instance.name.value)) {
        let password = instance.auth.as_ref().and_then(|auth| auth.password.as_ref());
        if let Some((password, source)) = password.and_then(|word| Some((word, conf.sources.get(word.at.file)?))) {
            let file = write::vrrp_password_file(&instance.name.value);
            let text =
                format!("auth_pass: write it alone into {}, mode 0600; passwords are not copied", file.display());
            left.push(Left::at(source, password.at.span, text));
        }
    }
    let vrrp = Some(Vrrp { setup, ..Vrrp::default() });
    let config = Config { vrrp, ..Config::of(source.file(), &machine.name) };
    Ok(Whole { config: Some(Loaded::of(config)), left })
}

impl Whole {
    fn and(self, other: Self) -> Self {
        let mut left = self.left;
        left.extend(other.left);
        let config = match (self.config, other.config) {
            (Some(first), Some(second)) => {
                left.extend(overruled(&first.config, &second.config));
                left.extend(taken(&first, &second));
                Some(first.and(second, join))
            }
            (first, second) => first.or(second),
        };
        Self { config, left }
    }

    fn written(self, files: &[PathBuf]) -> Result<Converted, ConfigError> {
        let mut text = String::from("# Made by `syncd convert` from\n");
        for file in files {
            let _ = writeln!(text, "#   {}", comment(&file.display().to_string()));
        }
        text.push_str(
            "# Sets with the role \"primary\" run by `syncd --config FILE`, those with the role \"replica\" by\n\
             # `syncd peer --config FILE`. Passwords stay in the files that are named here.\n",
        );
        if self.config.as_ref().is_some_and(|loaded| loaded.config.vrrp.is_some()) {
            text.push_str(
                "# The virtual addresses run with the sets, where there are both roles by the first; alone by `syncd vrrp --config FILE`.\n",
            );
        }
        text.push('\n');
        let Some(loaded) = &self.config else {
            let file = files.first().map_or(Path::new("convert"), PathBuf::as_path);
            return Err(Finding::of_file(file, "config-kind", "there is nothing to convert").into());
        };
        let said = |named: Named<'_>| loaded.place_of(named).into_iter().collect();
        let config = Config { sources: one_proof_each(&loaded.config.sources), ..loaded.config.clone() };
        let native = write::write(&config, &said).map_err(|why| not_text(loaded, &why))?;
        text.push_str(&native);
        let mut left = self.left;
        left.sort_by(|a, b| {
            let order = |left: &Left| files.iter().position(|file| *file == left.file);
            (order(a), &a.file, a.line, a.column).cmp(&(order(b), &b.file, b.line, b.column))
        });
        if !left.is_empty() {
            text.push_str("\n# What is not carried over as it stood, and why:\n");
        }
        for Left { file, line, column, text: what } in &left {
            let _ = writeln!(text, "# {}", comment(&format!("{}:{line}:{column}: {what}", file.display())));
        }
        Ok(Converted { text, left: left.len() })
    }
}

/// Why `loaded` has no native file, and what to do about what TOML cannot hold.
fn not_text(loaded: &Loaded, why: &NotText) -> Finding {
    let finding = Finding::of_file(&loaded.config.file, "convert-text", why.to_string());
    match why {
        NotText::Path(path) => {
            let help = "keep the legacy file, or give it a name in UTF-8, on the disk and in the file";
            loaded.places.locate(path, finding.help(help))
        }
        NotText::Pattern(_) => {
            finding.help("keep the legacy file, or write `*` in the pattern in place of what is not ASCII")
        }
    }
}

/// What can be said once for a node, of two files: the first counts.
fn join(first: Config, second: Config) -> Config {
    let mut joined = first;
    joined.sources.extend(second.sources);
    let free: Vec<_> = second.replicas.into_iter().filter(|set| !has_replica(&joined, &set.name)).collect();
    joined.replicas.extend(free);
    make_unique(&mut joined.sources);
    joined.node.debug |= second.node.debug;
    joined.node.listen = joined.node.listen.or(second.node.listen);
    joined.node.pid_file = joined.node.pid_file.or(second.node.pid_file);
    joined.fail_log = joined.fail_log.or(second.fail_log);
    joined.vrrp = joined.vrrp.or(second.vrrp);
    joined.tuning.retry_ceiling = joined.tuning.retry_ceiling.min(second.tuning.retry_ceiling);
    joined
}

fn has_replica(config: &Config, name: &str) -> bool {
    config.replicas.iter().any(|set| set.name == name)
}

/// The modules of the second file whose names the first has: peers know a set by its name alone.
fn taken(first: &Loaded, second: &Loaded) -> Vec<Left> {
    let of = |set: &ReplicaSet| {
        let at = second.places.replica(&set.name);
        let (line, column) = at.map_or((1, 1), |at| (at.place.line, at.place.column));
        let file = at.map_or_else(|| second.config.file.clone(), |at| at.file.clone());
        let theirs = first.places.replica(&set.name).map_or(&first.config.file, |at| &at.file).display();
        let text = format!("the module `{}`: a node has one of that name, that of {theirs}", set.name);
        Left { file, line, column, text }
    };
    second.config.replicas.iter().filter(|set| has_replica(&first.config, &set.name)).map(of).collect()
}

/// The sets, of which a native one has a single `auth`: one whose remotes are written by several users is as many.
fn one_proof_each(sets: &[SourceSet]) -> Vec<SourceSet> {
    let mut single: Vec<SourceSet> = Vec::new();
    for set in sets {
        let proof = |target: &Target| (target.reach == Reach::Daemon).then(|| target.auth.clone());
        let proofs: Vec<_> = set.targets.iter().filter_map(proof).collect();
        let first = proofs.first().cloned();
        let mut others: Vec<SourceAuth> = Vec::new();
        for proof in proofs.into_iter().skip(1) {
            if Some(&proof) != first.as_ref() && !others.contains(&proof) {
                others.push(proof);
            }
        }
        let kept = |target: &&Target| proof(target).is_none_or(|proof| Some(proof) == first);
        single.push(SourceSet { targets: set.targets.iter().filter(kept).cloned().collect(), ..set.clone() });
        for other in &others {
            let of = |target: &&Target| proof(target).as_ref() == Some(other);
            let targets = set.targets.iter().filter(of).cloned().collect();
            single.push(SourceSet { targets, plugins: Vec::new(), ..set.clone() });
        }
    }
    make_unique(&mut single);
    single
}

/// What the second file says in vain.
fn overruled(first: &Config, second: &Config) -> Vec<Left> {
    let log = |config: &Config| config.fail_log.as_ref().map(|log| log.path.display().to_string());
    let pid = |config: &Config| config.node.pid_file.as_ref().map(|file| file.display().to_string());
    let listen = |config: &Config| config.node.listen.map(|listen| listen.to_string());
    let two = first.vrrp.is_some() && second.vrrp.is_some();
    let addresses = |config: &Config| two.then(|| format!("those of {}", config.file.display()));
    let said = [
        ("virtual addresses", addresses(first), addresses(second)),
        ("failLog", log(first), log(second)),
        ("pid file", pid(first), pid(second)),
        ("the address to listen on", listen(first), listen(second)),
    ];
    said.into_iter()
        .filter_map(|(what, first, second)| {
            let (first, second) = (first?, second?);
            let text = match what {
                "virtual addresses" => format!("{what}: a node has one set of them, {first}"),
                _ => format!("{what} is {second}: a node has one, {first} of the file before"),
            };
            (first != second).then_some(text)
        })
        .map(|text| Left { file: second.file.clone(), line: 1, column: 1, text })
        .collect()
}

/// Text of a foreign file that stays within its line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
