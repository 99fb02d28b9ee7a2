//! Sets as the rules see them: what is sent and received, and where each file says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use syncd_compat::SourceText;
use syncd_compat::diag::Place;
use syncd_compat::rsyncd::{Module, RsyncdConf, Section};

use crate::config::load::Loaded;
use crate::config::places::Located;
use crate::config::{
    Config, DEFAULT_PORT, DeletePolicy, HostPattern, ReplicaAuth, ReplicaSet, SourceAuth, SourceSet, hosts,
};

/// A word of a file and where it stands, as far as that is known.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) file: PathBuf,
    pub(super) place: Option<Place>,
}

impl Said {
    /// What stands at a place, or somewhere in `file`.
    fn at_or_in(at: Option<&Located>, file: &Path) -> Self {
        match at {
            Some(at) => Self { file: at.file.clone(), place: Some(at.place.clone()) },
            None => Self { file: file.to_owned(), place: None },
        }
    }

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
    /// Whether sersync2 would never have compared it as a whole, not even with `-r`.
    pub(super) never_pushed: bool,
    pub(super) targets: Vec<SendTarget>,
}

/// Where a set goes.
#[derive(Clone, Debug)]
pub(super) struct SendTarget {
    pub(super) file: PathBuf,
    /// The watched directory.
    pub(super) path: PathBuf,
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
    /// Where what comes goes.
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) listen: Option<SocketAddr>,
    pub(super) read_only: bool,
    pub(super) auth: ReplicaAuth,
    pub(super) hosts_allow: Vec<HostPattern>,
    pub(super) hosts_deny: Vec<HostPattern>,
    pub(super) module_said: Said,
}

impl Sending {
    pub(super) fn of(loaded: &Loaded, set: &SourceSet) -> Self {
        let file = &loaded.config.file;
        let target = |target: &crate::config::Target| {
            let places = loaded.places.target(set, target);
            SendTarget {
                file: file.clone(),
                path: set.path.clone(),
                host: target.host.clone(),
                port: target.port,
                module: target.set.clone(),
                auth: target.auth.clone(),
                host_said: Said::at_or_in(places.map(|places| &places.host), file),
                module_said: Said::at_or_in(places.map(|places| &places.module), file),
                user_said: Said::at_or_in(places.and_then(|places| places.user.as_ref()), file),
            }
        };
        Self {
            file: file.clone(),
            path: set.path.clone(),
            deletes: set.options.delete != DeletePolicy::Never,
            never_pushed: false,
            targets: set.targets.iter().map(target).collect(),
        }
    }
}

impl Receiving {
    pub(super) fn of(loaded: &Loaded, set: &ReplicaSet) -> Self {
        let Config { file, node, .. } = &loaded.config;
        Self {
            file: file.clone(),
            path: set.path.clone(),
            name: set.name.clone(),
            listen: node.listen,
            read_only: set.read_only,
            auth: set.auth.clone(),
            hosts_allow: set.hosts_allow.clone(),
            hosts_deny: set.hosts_deny.clone(),
            module_said: Said::at_or_in(loaded.places.replica(&set.name), file),
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
        let users = Users::of(&of("auth users").unwrap_or_default(), on("read only", true));
        let (read_only, users) = (users.writers.is_empty(), users.meant());
        let auth = match of("secrets file") {
            Some(file) if !users.is_empty() => {
                ReplicaAuth::Password { users, file: file.into(), strict: on("strict modes", true) }
            }
            _ => ReplicaAuth::Key,
        };
        let read_only = if matches!(auth, ReplicaAuth::Key) { on("read only", true) } else { read_only };
        Self {
            file: source.file().to_owned(),
            path: of("path").unwrap_or_default().into(),
            name: module.name.value.clone(),
            listen: Some(listen),
            read_only,
            auth,
            hosts_allow: hosts("hosts allow"),
            hosts_deny: hosts("hosts deny"),
            module_said: Said::at_or_in(Some(&Located::of(source, module.name.span)), source.file()),
        }
    }
}

/// `auth users`, in their order.
#[derive(Debug, Default)]
struct Users {
    writers: Vec<String>,
    others: Vec<String>,
}

impl Users {
    /// Those of `listed` by what stands behind their colons, else by what holds for the whole module.
    fn of(listed: &str, read_only: bool) -> Self {
        let mut users = Self::default();
        for word in listed.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
            let (name, right) = word.split_once(':').unwrap_or((word, if read_only { "ro" } else { "rw" }));
            let list = if right == "rw" { &mut users.writers } else { &mut users.others };
            list.push(name.to_owned());
        }
        users
    }

    /// Those who write; where nobody does, that is said of the module, and they are who would.
    fn meant(self) -> Vec<String> {
        if self.writers.is_empty() { self.others } else { self.writers }
    }
}
