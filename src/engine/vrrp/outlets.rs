//! Which sockets are open, and which instance sends by which: one for each interface, family and kind, however
//! many instances share it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::net::NetError;
use crate::net::advert::AdvertSocket;
use crate::vrrp::interfaces::Interfaces;
use crate::vrrp::machine::Id;
use crate::vrrp::setup::{Family, Instance, Transport};

/// What tells sockets apart: the interface, none for all; the family; and whether for a group.
type Key = (Option<u32>, Family, bool);

/// An instance that has its sockets.
#[derive(Debug)]
struct Outlet {
    sends_by: Key,
    hears_by: Key,
}

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    sockets: BTreeMap<Key, AdvertSocket>,
    outlets: BTreeMap<Id, Outlet>,
    /// Instances whose interface is not there.
    waiting: BTreeMap<Id, Box<Instance>>,
}

impl Outlets {
    /// `instance` is to send and hear. Where its interface is missing it waits for that.
    ///
    /// # Errors
    /// There is no socket to be had; it waits.
    pub(super) fn open(&mut self, id: Id, setup: Box<Instance>, interfaces: &Interfaces) -> Result<(), NetError> {
        let group = match &setup.transport {
            Transport::Multicast { group } => Some(*group),
            Transport::Unicast { .. } => None,
        };
        // What comes with the hardware address of a VMAC is heard there alone.
        let vmac = setup.vmac.as_ref().filter(|_| group.is_some());
        let heard = vmac.map_or(&setup.interface, |vmac| &vmac.name);
        let above = vmac.filter(|vmac| !vmac.transmit_base);
        let sent = above.map_or(&setup.interface, |vmac| &vmac.name);
        let hears_by = self.socket(heard, setup.family, group, interfaces);
        let sends_by = self.socket(sent, setup.family, group, interfaces);
        let below = match (&hears_by, vmac, group) {
            (Ok(Some(key)), Some(_), Some(group)) => self.report_below(*key, group, &setup.interface, interfaces),
            _ => Ok(()),
        };
        let elsewhere = match (&sends_by, above) {
            (Ok(Some(key)), Some(_)) => self.sockets.get(key).map_or(Ok(()), AdvertSocket::send_from_elsewhere),
            _ => Ok(()),
        };
        let opened = below.and(elsewhere).and_then(|()| Ok((hears_by?, sends_by?)));
        if let Ok((Some(hears_by), Some(sends_by))) = opened {
            self.waiting.remove(&id);
            self.outlets.insert(id, Outlet { sends_by, hears_by });
            return Ok(());
        }
        self.waiting.insert(id, setup);
        opened.map(drop)
    }

    /// `id` waits, for that reason.
    pub(super) fn wait(&mut self, id: Id, setup: Box<Instance>, why: NetError) -> NetError {
        self.waiting.insert(id, setup);
        why
    }

    /// Whether `id` has its sockets.
    pub(super) fn has(&self, id: Id) -> bool {
        self.outlets.contains_key(&id)
    }

    /// Whether somebody waits for sockets.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Switches are to learn of the group from the interface below a VMAC, whose own reports are kept in.
    fn report_below(&mut self, key: Key, group: IpAddr, below: &str, interfaces: &Interfaces) -> Result<(), NetError> {
        match (self.sockets.get_mut(&key), interfaces.by_name(below)) {
            (Some(socket), Some(link)) => socket.join_on(group, link.index),
            _ => Ok(()),
        }
    }

    /// The socket on the interface of this name, opened where it is not; none where the interface is not there.
    fn socket(
        &mut self,
        name: &str,
        family: Family,
        group: Option<IpAddr>,
        interfaces: &Interfaces,
    ) -> Result<Option<Key>, NetError> {
        let index = match interfaces.by_name(name) {
            Some(link) => Some(link.index),
            None if name.is_empty() && group.is_none() => None,
            None => return Ok(None),
        };
        let key = (index, family, group.is_some());
        let socket = match self.sockets.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(match (group, index) {
                (Some(_), Some(index)) => AdvertSocket::multicast(index, name, family)?,
                (_, index) => AdvertSocket::unicast(index.map(|index| (index, name)), family)?,
            }),
        };
        if let Some(group) = group {
            socket.join(group)?;
        }
        Ok(Some(key))
    }

    /// `id` needs its sockets no longer.
    pub(super) fn close(&mut self, id: Id) {
        self.waiting.remove(&id);
        self.outlets.remove(&id);
        let used = |key: &Key| self.outlets.values().any(|outlet| outlet.sends_by == *key || outlet.hears_by == *key);
        self.sockets.retain(|key, _| used(key));
    }

    /// The interface of this number is gone, and its sockets with it: who used them waits for one of that name.
    pub(super) fn link_gone(&mut self, index: u32, setup: impl Fn(Id) -> Option<Box<Instance>>) {
        let on = |key: &Key| key.0 == Some(index);
        let gone: Vec<Id> =
            self.outlets.iter().filter(|(_, o)| on(&o.sends_by) || on(&o.hears_by)).map(|(id, _)| *id).collect();
        for id in gone {
            self.close(id);
            if let Some(setup) = setup(id) {
                self.waiting.insert(id, setup);
            }
        }
        self.sockets.retain(|key, _| !on(key));
    }

    /// Those that wait for an interface.
    pub(super) fn take_waiting(&mut self) -> BTreeMap<Id, Box<Instance>> {
        std::mem::take(&mut self.waiting)
    }

    /// Sends for `id`.
    ///
    /// # Errors
    /// As [`AdvertSocket::send`]; and where its interface is missing.
    pub(super) fn send(
        &mut self,
        id: Id,
        (from, to): (IpAddr, IpAddr),
        ttl: Option<u8>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let socket = self.outlets.get(&id).and_then(|outlet| self.sockets.get_mut(&outlet.sends_by));
        let socket = socket.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "its interface is not there"))?;
        socket.send(from, to, ttl, bytes)
    }

    /// The sockets, in an order that stays the same as long as none is opened or closed.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.values().map(AsFd::as_fd)
    }

    /// The `n`th of them; and whether it is to take only what was sent to a group, since another of them hears the rest.
    pub(super) fn nth(&mut self, n: usize) -> Option<(&mut AdvertSocket, bool)> {
        let unicast: Vec<Family> = self.sockets.keys().filter(|key| !key.2).map(|key| key.1).collect();
        let (key, socket) = self.sockets.iter_mut().nth(n)?;
        Some((socket, key.2 && unicast.contains(&key.1)))
    }
}
