//! Those that are measured, all driven in the same way.

mod floor;
mod lsyncd;
mod rsync;
mod stunnel;
mod syncd;

pub(super) use syncd::confxml;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::lab::Lab;
use crate::tools;

/// A column of the report.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The release build of this workspace: durable, encrypted, hashed
    Syncd,
    /// The minimal mirror, without fsync
    Floor,
    /// The minimal mirror, fsync of each file
    FloorFsync,
    /// rsync to a daemon, run for each change
    Rsync,
    /// lsyncd with delay 0, to an rsync daemon
    Lsyncd,
    /// rsync to a daemon through TLS
    Stunnel,
}

impl Kind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Syncd => "syncd",
            Self::Floor => "floor",
            Self::FloorFsync => "floor + fsync",
            Self::Rsync => "rsync daemon",
            Self::Lsyncd => "lsyncd",
            Self::Stunnel => "rsync over stunnel",
        }
    }

    /// Why it cannot run here, if so.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let needs: &[&str] = match self {
            Self::Syncd | Self::Floor | Self::FloorFsync => &[],
            Self::Rsync => &["rsync"],
            Self::Lsyncd => &["rsync", "lsyncd"],
            Self::Stunnel => &["rsync", "stunnel", "openssl"],
        };
        needs.iter().copied().find(|program| !tools::have(program))
    }

    pub(crate) fn make(self) -> Box<dyn Subject> {
        match self {
            Self::Syncd => Box::<syncd::Syncd>::default(),
            Self::Floor => Box::new(floor::Floor::new(false)),
            Self::FloorFsync => Box::new(floor::Floor::new(true)),
            Self::Rsync => Box::<rsync::Rsync>::default(),
            Self::Lsyncd => Box::<lsyncd::Lsyncd>::default(),
            Self::Stunnel => Box::<stunnel::Stunnel>::default(),
        }
    }
}

/// A mirror at work in a lab. Everything that it started ends when it is dropped.
pub(crate) trait Subject {
    /// Starts the replicas' sides.
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()>;

    /// Starts the source's side, which compares in full and then goes on with changes. Does not wait for anything:
    /// what it takes from here to equality is what a first mirror or a restart takes.
    fn begin(&mut self, lab: &Lab<'_>) -> Result<()>;

    /// Tells it that something changed; those that watch need not be told. Does not wait either.
    fn changed(&mut self, _lab: &Lab<'_>) -> Result<()> {
        Ok(())
    }

    /// Waits for what it runs only for a while.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the source's side.
    fn end_source(&mut self);

    /// How many times its traffic passes the loopback device, since a tunnel's ends are on this machine too.
    fn hops(&self) -> u64 {
        1
    }

    /// The standing process of the source, where there is one.
    fn source_pid(&self) -> Option<u32> {
        None
    }

    /// The standing process of the first replica, where there is one.
    fn replica_pid(&self) -> Option<u32> {
        None
    }
}

/// A TCP port of loopback that is free at this moment.
fn free_tcp_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A UDP port that is free at this moment on so many loopback addresses from 127.0.0.1 on.
fn free_udp_port(addresses: usize) -> Result<u16> {
    for _ in 0..100 {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if (0..addresses).all(|index| loopback(index).is_ok_and(|addr| UdpSocket::bind((addr, port)).is_ok())) {
            return Ok(port);
        }
    }
    bail!("no UDP port is free on {addresses} loopback addresses")
}

fn loopback(index: usize) -> Result<Ipv4Addr> {
    let last = u8::try_from(index + 1).context("fewer than 255 peers")?;
    Ok(Ipv4Addr::new(127, 0, 0, last))
}
