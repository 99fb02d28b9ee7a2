//! Keeps leases, on a thread of its own: whoever has the kernel change an address waits for all others that change
//! interfaces just now, and that may be a tenth of a second. No advertisement is to be late by it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::net::address::Placed;
use crate::net::netlink::Netlink;
use crate::net::realtime;
use crate::vrrp::message::Held;
use crate::vrrp::setup::Scheduling;

/// It calls little; with `vrrp_no_swap` all of it stays in memory.
const STACK: usize = 256 << 10;

/// An address, and the number of the interface that it is on.
pub(super) type Kept = (u32, Held);

/// What [`Held::is_same`] compares.
type Key = (String, IpAddr, u8);

/// Refreshes addresses for one who does not want to wait for that.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    due: Mutex<Due>,
    ring: Condvar,
    /// Whoever has it asks the kernel.
    work: Mutex<()>,
}

/// What is to be refreshed next.
#[derive(Debug, Default)]
struct Due {
    /// Each once: there may be thousands.
    addresses: BTreeMap<Key, Kept>,
    lease: Option<Duration>,
    over: bool,
}

impl Keeper {
    /// Starts the thread, with the rights of the calling one and scheduled like that: it has to keep pace with it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(mut netlink: Netlink, scheduling: Scheduling) -> io::Result<Self> {
        let begin = move || {
            // What cannot be had was said for the whole process.
            drop(realtime::apply(&scheduling));
        };
        Self::with(begin, move |due, lease| {
            let placed: Vec<Placed<'_>> = due
                .iter()
                .map(|(interface, held)| Placed {
                    interface: *interface,
                    name: &held.interface,
                    address: &held.address,
                })
                .collect();
            // What cannot be refreshed goes in a moment, which the monitor tells.
            drop(netlink.refresh_addresses(&placed, lease));
        })
    }

    /// One whose thread begins with `begin` and then asks by `refresh`.
    fn with(
        begin: impl FnOnce() + Send + 'static,
        mut refresh: impl FnMut(&[Kept], Option<Duration>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        thread::Builder::new().name("syncd-leases".to_owned()).stack_size(STACK).spawn(move || {
            begin();
            while its.wait() {
                let _work = lock(&its.work);
                let (due, lease) = its.take();
                refresh(&due, lease);
            }
        })?;
        Ok(Self { shared })
    }

    /// Has the lease of these addresses begin anew, in a moment.
    pub(super) fn refresh(&self, addresses: Vec<Kept>, lease: Option<Duration>) {
        let mut due = lock(&self.shared.due);
        // Where the kernel has not answered since the last time, once is enough.
        due.addresses.extend(addresses.into_iter().map(|kept| (key(&kept.1), kept)));
        due.lease = lease;
        self.shared.ring.notify_one();
    }

    /// These addresses are about to be taken away, and are refreshed no more: that would put them there again.
    /// Nothing is refreshed as long as what this returns is kept.
    pub(super) fn forget(&self, addresses: &[Held]) -> MutexGuard<'_, ()> {
        let work = lock(&self.shared.work);
        let mut due = lock(&self.shared.due);
        addresses.iter().for_each(|gone| drop(due.addresses.remove(&key(gone))));
        drop(due);
        work
    }
}

impl Drop for Keeper {
    /// The thread may wait for the kernel: it ends when that has answered.
    fn drop(&mut self) {
        lock(&self.shared.due).over = true;
        self.shared.ring.notify_one();
    }
}

impl Shared {
    /// Waits until something is due; false where nothing ever will be.
    fn wait(&self) -> bool {
        let idle = |due: &mut Due| due.addresses.is_empty() && !due.over;
        let due = self.ring.wait_while(lock(&self.due), idle).unwrap_or_else(PoisonError::into_inner);
        !due.over
    }

    fn take(&self) -> (Vec<Kept>, Option<Duration>) {
        let mut due = lock(&self.due);
        (std::mem::take(&mut due.addresses).into_values().collect(), due.lease)
    }
}

fn key(held: &Held) -> Key {
    (held.interface.clone(), held.address.ip, held.address.prefix)
}

/// One that panicked had changed nothing by halves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::vrrp::setup::Address;

    fn kept(last: u8) -> Kept {
        (1, Held { interface: "eth0".to_owned(), address: Address::new(IpAddr::from([10, 0, 0, last]), 24) })
    }

    /// What happens, in order.
    #[derive(Debug, PartialEq)]
    enum Event {
        Asked(Vec<Kept>),
        Answered,
        Forgotten,
    }

    /// One with a kernel that tells what it is asked, and answers when it is told to.
    fn keeper() -> (Keeper, Sender<Event>, Receiver<Event>, Sender<()>) {
        let ((tell, hear), (answer, wait)) = (channel(), channel());
        let telling = tell.clone();
        let keeper = Keeper::with(
            || (),
            move |due, _| {
                // Where nobody hears it any more the test is over.
                let _ = telling.send(Event::Asked(due.to_vec()));
                let _ = wait.recv();
                let _ = telling.send(Event::Answered);
            },
        );
        (keeper.expect("a thread"), tell, hear, answer)
    }

    #[test]
    fn who_has_it_refreshed_does_not_wait_for_the_kernel() {
        let (keeper, _tell, events, answer) = keeper();
        keeper.refresh(vec![kept(1)], None);
        assert_eq!(events.recv(), Ok(Event::Asked(vec![kept(1)])));
        // Nothing was answered yet.
        for _ in 0..3 {
            keeper.refresh(vec![kept(1), kept(2)], None);
        }
        answer.send(()).expect("it waits");
        assert_eq!(events.recv(), Ok(Event::Answered));
        assert_eq!(events.recv(), Ok(Event::Asked(vec![kept(1), kept(2)])));
    }

    #[test]
    fn what_is_taken_away_is_not_put_there_again_by_a_refresh() {
        let (keeper, tell, events, answer) = keeper();
        keeper.refresh(vec![kept(1)], None);
        let mut asked = events.recv().expect("it is asked");
        keeper.refresh(vec![kept(1), kept(2)], None);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _work = keeper.forget(&[kept(1).1]);
                tell.send(Event::Forgotten).expect("the test hears it");
            });
            // Once for each time that it may be asked for what is to be forgotten.
            (0..2).for_each(|_| answer.send(()).expect("it waits"));
        });
        let mut forgotten = false;
        while asked != Event::Asked(vec![kept(2)]) {
            let next = events.recv().expect("it goes on");
            forgotten |= next == Event::Forgotten;
            assert!(!forgotten || !matches!(&next, Event::Asked(due) if due.contains(&kept(1))), "{next:?}");
            assert!(
                next != Event::Forgotten || asked == Event::Answered,
                "it was forgotten while the kernel was at it"
            );
            asked = next;
            if forgotten {
                keeper.refresh(vec![kept(2)], None);
            }
        }
    }
}
