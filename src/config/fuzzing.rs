//! What the fuzz targets reach and nobody else: configurations from their text, on a machine that is made up.

use syncd_compat::keepalived::Loader;
use syncd_compat::{Finding, Findings, SourceText};

use super::load::Context;
use super::machine::Machine;
use super::native;
use super::overrides::Side;
use super::places::Places;
use super::{Config, DEFAULT_PORT};
use super::{Vrrp, load, vrrp};
use crate::vrrp::setup::Setup;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/false\n";
const GROUP: &str = "root:x:0:\nwww:x:33:\n";

/// The configuration that `source` means as a `syncd.toml`, of its primary sets or of its replicas,
/// and everything that is to be said about it.
///
/// # Errors
/// The findings because of which it is none at all.
pub fn native(source: &SourceText, primary: bool) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
    let machine = Machine::made_of(0, PASSWD, GROUP);
    let side = if primary { Side::Source } else { Side::Peer };
    let mut cx = Context {
        source,
        machine: &machine,
        default_port: DEFAULT_PORT,
        plugin_alone: None,
        findings: Findings::default(),
        tolerated: 0,
        places: Places::default(),
    };
    match native::read(&mut cx, side) {
        Some(config) => Ok((config, cx.findings.into_vec(source.file()))),
        None => Err(cx.findings.into_vec(source.file())),
    }
}

/// `config` as `syncd convert` would write it; none where a path in it is no text.
#[must_use]
pub fn written(config: &Config) -> Option<String> {
    native::write::write(config, &|_| Vec::new()).ok()
}

/// What a `keepalived.conf` comes to, with what `loader` finds where it includes something.
///
/// # Errors
/// The findings because of which nothing of it can run.
pub fn keepalived(source: &SourceText, loader: &mut Loader<'_>) -> Result<(Setup, Vec<Finding>), Vec<Finding>> {
    let host = vrrp::Host::of(Machine::made_of(0, PASSWD, GROUP));
    vrrp::read(source, &host, loader).map_err(|error| error.findings().to_vec())
}

/// The virtual addresses of a `syncd.toml`, without their passwords.
///
/// # Errors
/// The findings because of which there are none.
pub fn virtual_addresses(source: &SourceText) -> Result<Option<Vrrp>, Vec<Finding>> {
    let machine = Machine::made_of(0, PASSWD, GROUP);
    let loaded = load::virtual_addresses(source, &machine).map_err(|error| error.findings().to_vec())?;
    Ok(loaded.config.vrrp)
}
