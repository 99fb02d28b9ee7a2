//! The files that are checked, each as what it is.

use std::path::{Path, PathBuf};

use syncd_compat::keepalived::{self, KeepalivedConf, Loader};
use syncd_compat::{Finding, Findings, SourceText, rsyncd};

use super::router::Node;
use super::view::{Receiving, Sending};
use crate::config::SourceSet;
use crate::config::include;
use crate::config::kind::{self, Kind};
use crate::config::load::{self, Loaded};
use crate::config::machine::Machine;
use crate::config::overrides::{Overrides, Side};

/// A `keepalived.conf` that was read.
#[derive(Debug)]
pub(super) struct Vrrp {
    /// The file that was named.
    pub(super) file: PathBuf,
    /// What it says.
    pub(super) conf: KeepalivedConf,
}

/// All files that could be read.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The sets that files of any kind send.
    pub(super) sending: Vec<Sending>,
    /// The sets that they receive.
    pub(super) receiving: Vec<Receiving>,
    /// The virtual routers of files of any kind.
    pub(super) nodes: Vec<Node>,
    /// Those of them that are a `keepalived.conf`.
    pub(super) vrrp: Vec<Vrrp>,
    /// What the node would run.
    pub(super) loaded: Vec<Loaded>,
}

impl Given {
    /// Reads one file; what is wrong with it alone goes to `findings`.
    pub(super) fn add(
        &mut self,
        file: &Path,
        bytes: &[u8],
        machine: &Machine,
        loader: &mut Loader<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let source = SourceText::decode(file, bytes);
        match kind::of(&source) {
            Some(Kind::Keepalived) => self.add_vrrp(&source, machine, loader, findings),
            Some(Kind::ConfXml) => self.add_side(&source, machine, Side::Source, findings),
            Some(Kind::Rsyncd) => self.add_rsyncd(&source, machine, findings),
            Some(Kind::Native) => self.add_native(&source, machine, findings),
            None => findings.push(
                Finding::of_file(file, "config-kind", "this is no configuration: nothing in it is a setting")
                    .help("name a confxml.xml, an rsyncd.conf, a keepalived.conf or a syncd.toml"),
            ),
        }
    }

    fn add_vrrp(
        &mut self,
        source: &SourceText,
        machine: &Machine,
        loader: &mut Loader<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let mut found = Findings::default();
        let conf = keepalived::read(source, machine.here(), loader, &mut found);
        findings.extend(found.into_vec(source.file()));
        if conf.instances.is_empty() {
            let finding = Finding::of_file(source.file(), "keepalived-nothing-to-do", "there is no `vrrp_instance`");
            findings.push(finding.help("write `vrrp_instance NAME { … }`"));
        }
        self.nodes.push(Node::of_keepalived(source.file(), &conf));
        self.vrrp.push(Vrrp { file: source.file().to_owned(), conf });
    }

    fn add_side(&mut self, source: &SourceText, machine: &Machine, side: Side, findings: &mut Vec<Finding>) {
        match translated(source, machine, side) {
            Ok(loaded) => {
                // With expressions in force sersync2 passes `-r` over; `<crontab>` is a push of its own.
                let never_pushed = |set: &SourceSet| !set.exclude_regex.is_empty() && set.compare.every.is_none();
                let never: Vec<bool> = loaded.config.sources.iter().map(never_pushed).collect();
                let before = self.sending.len();
                self.take(loaded, findings);
                let taken = self.sending.iter_mut().skip(before);
                taken.zip(never).for_each(|(set, never)| set.never_pushed = never);
            }
            Err(faults) => findings.extend(faults),
        }
    }

    fn add_rsyncd(&mut self, source: &SourceText, machine: &Machine, findings: &mut Vec<Finding>) {
        let before = self.receiving.len();
        self.add_side(source, machine, Side::Peer, findings);
        self.receiving.truncate(before);
        // What is wrong with it has been said.
        let mut load = |path: &Path, directive| include::load(&machine.cwd.join(path), directive);
        let expanded = rsyncd::expand(source.clone(), &mut Findings::default(), &mut load);
        let conf = rsyncd::read(&expanded, &mut Findings::default());
        let of = |module| Receiving::of_module(&expanded.source, &conf, module);
        self.receiving.extend(conf.modules.iter().map(of));
    }

    /// A file of one's own may have sets of both sides, or virtual addresses alone; that the others are absent is
    /// no fault.
    fn add_native(&mut self, source: &SourceText, machine: &Machine, findings: &mut Vec<Finding>) {
        let alone = load::virtual_addresses(source, machine).ok().filter(|loaded| loaded.config.vrrp.is_some());
        self.nodes.extend(alone.as_ref().and_then(|loaded| Node::of_native(source, loaded)));
        let absent =
            |faults: &[Finding]| faults.iter().any(|f| ["config-role", "toml-nothing-to-do"].contains(&f.code));
        match (translated(source, machine, Side::Source), translated(source, machine, Side::Peer)) {
            (Err(faults), Ok(loaded)) | (Ok(loaded), Err(faults)) if absent(&faults) => {
                self.take(loaded, findings);
            }
            (Err(faults), Err(others)) if absent(&faults) && absent(&others) => match alone {
                Some(loaded) => self.take(loaded, findings),
                None => findings.extend(faults.into_iter().chain(others)),
            },
            (sent, received) => {
                for side in [sent, received] {
                    match side {
                        Ok(loaded) => self.take(loaded, findings),
                        Err(faults) => findings.extend(faults),
                    }
                }
            }
        }
    }

    fn take(&mut self, loaded: Loaded, findings: &mut Vec<Finding>) {
        findings.extend(loaded.findings.iter().cloned());
        self.sending.extend(loaded.config.sources.iter().map(|set| Sending::of(&loaded, set)));
        self.receiving.extend(loaded.config.replicas.iter().map(|set| Receiving::of(&loaded, set)));
        self.loaded.push(loaded);
    }
}

/// What one side of the file means.
fn translated(source: &SourceText, machine: &Machine, side: Side) -> Result<Loaded, Vec<Finding>> {
    let overrides = Overrides::parse(&[], side).map_err(|error| error.findings().to_vec())?;
    load::translate(source, machine, &overrides, side, None).map_err(|error| error.findings().to_vec())
}
