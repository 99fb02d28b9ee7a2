//! What the VRRP process waits for, and in which order it looks at what came.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};

use super::alarm::Alarm;
use super::channel::{Came, Channel};
use super::hands::Hands;
use super::heir;
use super::keeper::Keeper;
use super::surroundings;
use crate::net::NetError;
use crate::net::advert::LONGEST;
use crate::net::monitor::{Event, Monitor};
use crate::net::netlink::Netlink;
use crate::net::route::Gone;
use crate::net::{realtime, rights};
use crate::vrrp::clock::Clock;
use crate::vrrp::frames::FrameError;
use crate::vrrp::inbound::Packet;
use crate::vrrp::machine::{Before, Machine};
use crate::vrrp::message::{FromVrrp, Report, ToVrrp};
use crate::vrrp::setup::{Scheduling, Setup};

/// How many packets of one socket are looked at before anything else is: whoever floods it holds up nothing.
const AT_ONCE: usize = 64;

/// How many changes of interfaces are looked at before anything else is.
const EVENTS_AT_ONCE: usize = 256;

/// How long after a failure to read all interfaces they are read again.
const AGAIN: Duration = Duration::from_millis(100);

/// How often what could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// Why the process ended otherwise than it was told.
#[derive(Debug, thiserror::Error)]
pub enum VrrpProcessError {
    /// The supervisor cannot be understood.
    #[error("the supervisor cannot be understood: {0}")]
    Channel(#[from] FrameError),
    /// The kernel does not do what it has to.
    #[error("{0}")]
    Net(#[from] NetError),
    /// There is no second thread to be had.
    #[error("the thread that keeps leases cannot be started: {0}")]
    Keeper(io::Error),
    /// Nothing can be waited for.
    #[error("it cannot wait: {0}")]
    Wait(#[from] io::Error),
}

/// Runs VRRP until the supervisor at the other end of `channel` says that it is enough, or is gone.
///
/// # Errors
/// [`VrrpProcessError`]: it could not go on.
pub fn run(channel: OwnedFd) -> Result<(), VrrpProcessError> {
    let mut channel = Channel::new(channel)?;
    let Some((setup, before)) = heir::first(&mut channel)? else { return Ok(()) };
    let begun = begin(channel, setup, before)?;
    begun.map_or(Ok(()), |mut process| process.work())
}

/// Prepares everything; none where it was refused, which the supervisor has been told.
fn begin(mut channel: Channel, setup: Setup, before: Before) -> Result<Option<Process>, VrrpProcessError> {
    if let Err(e) = rights::check() {
        channel.say(&FromVrrp::Refused { instance: None, message: e.to_string(), configuration: false });
        channel.finish();
        return Ok(None);
    }
    // Without it, a timer may be late by 50 µs for the sake of others (prctl(2)).
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    for failed in realtime::apply(&setup.scheduling) {
        warn(&mut channel, failed.to_string());
    }
    let scheduling = setup.scheduling.clone();
    if let Err(e) = rights::drop_others(scheduling != Scheduling::default()) {
        warn(&mut channel, format!("other rights than those of VRRP cannot be given up: {e}"));
    }
    // First listened, then read: nothing falls in between.
    let monitor = Monitor::open()?;
    let mut netlink = Netlink::open()?;
    let interfaces = surroundings::read(&mut netlink)?;
    // One that goes missing later is a fault of its instances, and no reason for the others to end.
    let first = before.lives.is_empty() || before.earlier;
    if let Some((instance, message)) = missing(&setup, &interfaces).filter(|_| first) {
        channel.say(&FromVrrp::Refused { instance: Some(instance), message, configuration: true });
        channel.finish();
        return Ok(None);
    }
    let lease = setup.lease;
    // It has the rights of this thread, which are few by now.
    let keeper = Keeper::start(Netlink::open()?, setup.scheduling.clone()).map_err(VrrpProcessError::Keeper)?;
    let machine = Machine::new(clock(), setup, before, interfaces);
    let hands = Hands::new(netlink, keeper, channel, lease)?;
    Ok(Some(Process {
        ways: machine.has_ways().then(Monitor::open_ways).transpose()?,
        machine,
        hands,
        monitor,
        alarm: Alarm::new()?,
        buffer: vec![0; LONGEST],
        behind: false,
        again: None,
        reopen: None,
        scheduling,
    }))
}

fn warn(channel: &mut Channel, message: String) {
    channel.say(&FromVrrp::Report(Report::Warning { instance: String::new(), message }));
}

/// The first instance whose interface is missing, where that is a fault.
fn missing(setup: &Setup, interfaces: &crate::vrrp::interfaces::Interfaces) -> Option<(String, String)> {
    let missing = |name: &str| !name.is_empty() && interfaces.by_name(name).is_none();
    let instance = setup.instances.iter().filter(|_| !setup.dynamic_interfaces).find(|i| missing(&i.interface))?;
    let message = format!("there is no interface {} on this host", instance.interface);
    Some((instance.name.clone(), message))
}

/// Now, on all clocks.
fn clock() -> Clock {
    let at = Instant::now();
    let monotonic = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(monotonic.tv_sec).unwrap_or(0);
    let monotonic = seconds * 1_000_000_000 + u64::try_from(monotonic.tv_nsec).unwrap_or(0);
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Clock { at, monotonic, unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}

#[derive(Debug)]
struct Process {
    machine: Machine,
    hands: Hands,
    monitor: Monitor,
    /// Routes and rules; none where no instance has any.
    ways: Option<Monitor>,
    alarm: Alarm,
    buffer: Vec<u8>,
    /// More changes of interfaces are known than have been looked at.
    behind: bool,
    /// When interfaces are to be read anew.
    again: Option<Instant>,
    /// When what could not be opened is to be tried again.
    reopen: Option<Instant>,
    /// How it runs, which no reload changes.
    scheduling: Scheduling,
}

/// Why [`Process::work`] is over.
enum Over {
    /// It leaves.
    Leave,
    /// Another goes on.
    HandOver,
}

impl Process {
    fn work(&mut self) -> Result<(), VrrpProcessError> {
        self.hands.act(&mut self.machine);
        self.machine.handle_timeout(Instant::now());
        self.hands.act(&mut self.machine);
        self.hands.channel.say(&FromVrrp::Ready);
        // What came with the first message lies here already, and wakes nobody.
        if let Some(over) = self.listen()? {
            return self.end(&over);
        }
        loop {
            let ready = self.wait()?;
            // What came is looked at before the timers: who was stopped for a while learns first who is master now.
            for n in ready {
                self.receive(n);
            }
            self.look_around()?;
            self.look_at_ways()?;
            self.look_again(Instant::now());
            if let Some(over) = self.listen()? {
                return self.end(&over);
            }
            self.machine.handle_timeout(Instant::now());
            self.hands.act(&mut self.machine);
        }
    }

    /// Waits until something came or is due. Returns which of the sockets have something.
    fn wait(&mut self) -> Result<Vec<usize>, VrrpProcessError> {
        self.hands.channel.flush();
        let now = Instant::now();
        let soon = self.behind.then_some(now);
        let due = [self.machine.poll_timeout(), self.again, self.reopen, soon].into_iter().flatten().min();
        self.alarm.set(now, due)?;
        let mut fds = vec![
            PollFd::new(&self.hands.channel, self.hands.channel.interest()),
            PollFd::new(&self.monitor, PollFlags::IN),
            PollFd::new(&self.alarm, PollFlags::IN),
        ];
        fds.extend(self.hands.outlets.sockets().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let sockets = fds.len() - 3;
        fds.extend(self.ways.iter().map(|ways| PollFd::new(ways, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(io::Error::from(e).into()),
        }
        let ready = fds.iter().skip(3).take(sockets).enumerate().filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(n, _)| n).collect())
    }

    /// Takes what came by the `n`th socket.
    fn receive(&mut self, n: usize) {
        for _ in 0..AT_ONCE {
            let Some((socket, groups_only)) = self.hands.outlets.nth(n) else { return };
            match socket.receive(&mut self.buffer) {
                Ok(Some(came)) if groups_only && !came.to.is_multicast() => {}
                Ok(Some(came)) => {
                    let packet = Packet {
                        interface: came.interface,
                        from: came.from,
                        to: came.to,
                        ttl: came.ttl,
                        payload: came.payload,
                    };
                    self.machine.handle_packet(Instant::now(), &packet);
                    self.hands.act(&mut self.machine);
                }
                // An interface that went down is told by the monitor.
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Takes what changed on interfaces.
    fn look_around(&mut self) -> Result<(), VrrpProcessError> {
        self.behind = true;
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = self.monitor.receive()? else {
                self.behind = false;
                break;
            };
            let now = Instant::now();
            match event {
                Event::Link(link) => {
                    // One that is renamed is gone for those who named it.
                    if self.machine.interfaces().name(link.index).is_some_and(|name| name != link.name) {
                        self.link_gone(now, link.index);
                    }
                    self.machine.handle_link(now, surroundings::known(&link));
                    self.open_waiting();
                }
                Event::LinkGone { index, .. } => self.link_gone(now, index),
                Event::AddressCame(address) if address.tentative => {}
                Event::AddressCame(address) => {
                    self.machine.handle_address(now, address.interface, address.ip, address.prefix);
                }
                Event::AddressGone(address) => {
                    self.machine.handle_address_gone(now, address.interface, address.ip, address.prefix);
                }
                // They are told elsewhere.
                Event::WayGone(_) => {}
                Event::Lost => self.again = Some(now),
            }
            self.hands.act(&mut self.machine);
        }
        Ok(())
    }

    /// Takes what became of routes and rules.
    fn look_at_ways(&mut self) -> Result<(), VrrpProcessError> {
        let Some(ways) = &mut self.ways else { return Ok(()) };
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = ways.receive()? else { return Ok(()) };
            let now = Instant::now();
            match event {
                Event::WayGone(Gone::Route { family, prefix, table }) => {
                    self.machine.handle_route_gone(now, family, prefix, table);
                }
                Event::WayGone(Gone::Rule { family, table }) => self.machine.handle_rule_gone(now, family, table),
                Event::Lost => self.machine.handle_ways_lost(now),
                _ => {}
            }
            self.hands.act(&mut self.machine);
        }
        Ok(())
    }

    fn link_gone(&mut self, now: Instant, index: u32) {
        if let Some(name) = self.machine.interfaces().name(index).map(str::to_owned) {
            self.hands.take_by_number(&self.machine, index, &name);
        }
        self.machine.handle_link_gone(now, index);
        let machine = &self.machine;
        let setup = |id| machine.instances().find(|known| known.0 == id).map(|known| Box::new(known.1.clone()));
        self.hands.outlets.link_gone(index, setup);
        self.hands.act(&mut self.machine);
        // One of its own that somebody deleted is made anew.
        self.open_waiting();
    }

    /// Looks at everything again after some of what the kernel told was lost, and at what could not be opened.
    fn look_again(&mut self, now: Instant) {
        // Until its queue is empty the kernel drops what comes and does not say so again
        // (netlink(7), ENOBUFS): what is read before that may be old for good.
        if !self.behind && self.again.take_if(|at| *at <= now).is_some() {
            match surroundings::read(&mut self.hands.netlink) {
                Ok(interfaces) => {
                    // That may have been lost as well: sockets on what is gone would stay deaf.
                    for index in self.machine.interfaces().gone(&interfaces) {
                        self.link_gone(now, index);
                    }
                    self.machine.handle_interfaces(now, interfaces);
                    self.open_waiting();
                }
                // They change faster than they can be read: what is known is better than nothing.
                Err(_) => self.again = Some(now + AGAIN),
            }
            self.hands.act(&mut self.machine);
        }
        if self.reopen.take_if(|at| *at <= now).is_some() {
            self.open_waiting();
        }
        if self.hands.outlets.is_waiting() {
            self.reopen = self.reopen.or(Some(now + REOPEN));
        }
    }

    fn open_waiting(&mut self) {
        for (id, setup) in self.hands.outlets.take_waiting() {
            self.hands.open(&mut self.machine, id, setup);
        }
    }

    /// Takes what the supervisor said; some where it is over.
    fn listen(&mut self) -> Result<Option<Over>, VrrpProcessError> {
        let dropped = self.hands.channel.take_dropped();
        if dropped > 0 {
            let message = format!("{dropped} messages were dropped: the supervisor did not take them");
            warn(&mut self.hands.channel, message);
        }
        loop {
            let message = match self.hands.channel.receive()? {
                Came::Nothing => return Ok(None),
                Came::End => return Ok(Some(Over::Leave)),
                Came::Message(message) => *message,
            };
            let now = Instant::now();
            match message {
                ToVrrp::Stop => return Ok(Some(Over::Leave)),
                ToVrrp::HandOver => return Ok(Some(Over::HandOver)),
                ToVrrp::Status => {
                    let status = self.machine.status(now);
                    self.hands.channel.say(&FromVrrp::Status(status));
                }
                ToVrrp::Observed(observed) => self.machine.handle_observed(now, &observed),
                ToVrrp::Reload(setup) | ToVrrp::Start { setup, .. } => self.reload(now, setup),
                // It works already.
                ToVrrp::Wait { .. } => {}
            }
            self.hands.act(&mut self.machine);
        }
    }

    fn reload(&mut self, now: Instant, setup: Setup) {
        if let Some((instance, message)) = missing(&setup, self.machine.interfaces()) {
            let refused = FromVrrp::Refused { instance: Some(instance), message, configuration: true };
            return self.hands.channel.say(&refused);
        }
        if setup.scheduling != self.scheduling {
            let message =
                "vrrp_rt_priority, vrrp_rlimit_rttime, vrrp_priority and vrrp_no_swap hold from the next start on";
            warn(&mut self.hands.channel, message.to_owned());
        }
        self.hands.lease = setup.lease;
        self.machine.handle_reload(now, setup);
        if self.ways.is_some() != self.machine.has_ways() {
            self.listen_to_ways();
        }
        self.hands.act(&mut self.machine);
        self.hands.channel.say(&FromVrrp::Ready);
    }

    /// Begins or ends to listen to what becomes of routes and rules.
    fn listen_to_ways(&mut self) {
        match self.machine.has_ways().then(Monitor::open_ways).transpose() {
            Ok(ways) => self.ways = ways,
            Err(e) => warn(&mut self.hands.channel, format!("{e}: a route that somebody removes is not put back")),
        }
    }

    fn end(&mut self, over: &Over) -> Result<(), VrrpProcessError> {
        match over {
            Over::Leave => {
                self.machine.handle_stop(Instant::now());
                self.hands.act(&mut self.machine);
                let all: Vec<_> = self.machine.instances().map(|(id, setup)| (id, setup.clone())).collect();
                for (id, setup) in all {
                    self.hands.remove_vmac(&self.machine, id, &setup);
                }
            }
            Over::HandOver => {
                for life in self.machine.lives() {
                    self.hands.channel.say(&FromVrrp::Life(life));
                }
            }
        }
        self.hands.channel.finish();
        Ok(())
    }
}
