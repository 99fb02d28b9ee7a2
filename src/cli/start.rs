//! From the command line to a node that runs: the options of both sides, checked.

use std::path::{Path, PathBuf};

use super::Fault;
use super::args::{CommonArgs, PeerArgs, SourceArgs, VrrpArgs};

/// Where `syncd peer` looks when no file is named.
const PEER_FILES: [&str; 2] = ["/etc/syncd/syncd.toml", "/etc/rsyncd.conf"];

/// What is to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Start {
    /// The primary side.
    Source(NodeArgs),
    /// The receiving side.
    Peer(NodeArgs),
    /// VRRP alone.
    Vrrp(NodeArgs),
    /// Both, for show.
    Demo,
}

/// What a node is started with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeArgs {
    /// The configuration file.
    pub config: PathBuf,
    /// The instance's directory, where it was named (`--state-dir`).
    pub state_dir: Option<PathBuf>,
    /// `--trust-first-use`.
    pub trust_first_use: bool,
    /// `--set KEY=VALUE`, each as it was written, in order.
    pub settings: Vec<String>,
    /// `-n`; none or 0 takes one for each core.
    pub threads: Option<u16>,
    /// `-m`: the plugin that runs without the mirror.
    pub plugin: Option<String>,
    /// `--vrrp`: the file that says which virtual addresses move.
    pub vrrp: Option<PathBuf>,
    /// How it runs.
    pub ground: Ground,
}

/// Whether a node runs for whoever started it, or for itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ground {
    /// It stays in the foreground.
    #[default]
    Foreground,
    /// A daemon is to be started (`-d`).
    Daemon,
    /// It is that daemon.
    Detached,
}

impl NodeArgs {
    fn new(config: PathBuf, state_dir: Option<PathBuf>, common: CommonArgs) -> Self {
        let CommonArgs { trust_first_use, settings, ground, vrrp, .. } = common;
        let ground = ground.ground();
        Self { config, state_dir, trust_first_use, settings, vrrp, ground, ..Self::default() }
    }
}

impl Start {
    /// How it is to run.
    #[must_use]
    pub fn ground(&self) -> Ground {
        match self {
            Self::Source(args) | Self::Peer(args) | Self::Vrrp(args) => args.ground,
            Self::Demo => Ground::Foreground,
        }
    }
}

/// The primary side. sersync2 reads `confxml.xml` where it stands, unless told otherwise.
pub(super) fn source(args: SourceArgs, state_dir: Option<PathBuf>, sersync: bool) -> Result<Start, Fault> {
    args.common.check()?;
    let default = sersync.then(|| PathBuf::from("confxml.xml"));
    let config = args.config.or(default).ok_or_else(|| {
        Fault::Usage("no configuration was named: `syncd --config confxml.xml`, or `syncd --help`".to_owned())
    })?;
    let threads = args.threads.as_deref().and_then(threads);
    let plugin = args.plugin;
    Ok(Start::Source(NodeArgs { threads, plugin, ..NodeArgs::new(config, state_dir, args.common) }))
}

/// The receiving side.
pub(super) fn peer(args: PeerArgs, state_dir: Option<&Path>) -> Result<Start, Fault> {
    args.common.check()?;
    let standing = || PEER_FILES.iter().map(PathBuf::from).find(|file| file.exists());
    let config = args.config.or_else(standing).ok_or_else(|| {
        let [native, legacy] = PEER_FILES;
        Fault::Usage(format!("there is neither {native} nor {legacy}: name one by `syncd peer --config FILE`"))
    })?;
    Ok(Start::Peer(NodeArgs::new(config, state_dir.map(Path::to_owned), args.common)))
}

/// VRRP alone.
pub(super) fn vrrp(args: VrrpArgs, state_dir: Option<&Path>) -> Start {
    let (state_dir, ground) = (state_dir.map(Path::to_owned), args.ground.ground());
    Start::Vrrp(NodeArgs { config: args.config, state_dir, ground, ..NodeArgs::default() })
}

/// Options of the primary side before a command that has nothing to do with it.
pub(super) fn refuse_before_command(args: &SourceArgs) -> Result<(), Fault> {
    if *args == SourceArgs::default() {
        return Ok(());
    }
    let hint = "--state-dir alone may stand before a command; write the command's options behind it";
    Err(Fault::Usage(format!("options of the primary side stand before a command: {hint}")))
}

/// `-n`; as with sersync2 the default holds where it is no number.
fn threads(text: &str) -> Option<u16> {
    let number = text.trim().parse::<u64>().ok().map(|number| u16::try_from(number).unwrap_or(u16::MAX));
    if number.is_none() {
        tracing::warn!("-n {text}: this is no number: the default holds");
    }
    number
}
