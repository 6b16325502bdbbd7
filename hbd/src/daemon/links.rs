//! The links: sockets for heartbeats, opened from the configuration, repaired when they break.
//!
//! A link that fails keeps its socket and goes on trying with each message (a cable that is back is
//! used at once); beside that, a fresh socket is tried every second, for an interface that was
//! taken away and made again. It is reported once when it breaks, and once when a message went out again.
//! Serial lines have a life of their own: see `links/serial.rs`.

mod interfaces;
mod outbox;
mod serial;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::task::Poll;
use std::time::Duration;

use cluster::{Input, Time};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, sendto};
use sys::watch::Watched;

use crate::config::{Link, LinkKind};
use interfaces::{Ground, ground};
use serial::{News, Serial};

pub use interfaces::Interface;
pub use serial::LineStatus;

/// Between two tries to open a broken link anew.
const RETRY: Duration = Duration::from_secs(1);
/// No UDP datagram is longer.
const LONGEST: usize = 65_536;

/// A link broke, or works again.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub name: String,
    /// What is wrong, or `None`.
    pub broken: Option<String>,
    /// It is broken already, and this is why: a better reason, no news.
    pub quiet: bool,
}

#[derive(Debug)]
struct Socket {
    udp: Watched<UdpSocket>,
    targets: Vec<SockaddrStorage>,
}

#[derive(Debug)]
struct Slot {
    link: Link,
    socket: Option<Socket>,
    /// Instead of a socket.
    serial: Option<Box<Serial>>,
    /// Broken: when to open it anew.
    retry: Option<Time>,
    /// What was last said to be wrong.
    said: Option<String>,
    /// The interface below it, once the kernel has told.
    ground: Ground,
    /// A heartbeat that did not fit into one packet: its length.
    too_long: Option<usize>,
    send_errors: u64,
}

/// All links, in configuration order.
#[derive(Debug)]
pub struct Links {
    me: String,
    slots: Vec<Slot>,
    /// The interfaces as they were last told.
    interfaces: Option<Vec<Interface>>,
    buffer: Vec<u8>,
}

impl Links {
    /// Opens what can be opened. Needs the runtime that will wait for them. A message is to be sent each `keepalive`.
    pub fn open(me: &str, links: &[Link], keepalive: Duration, now: Time) -> (Links, Vec<Change>) {
        let mut all =
            Links { me: me.to_owned(), slots: Vec::new(), interfaces: None, buffer: vec![0; LONGEST] };
        let changes = all.reload(links, keepalive, now);
        (all, changes)
    }

    /// Takes new links over: those that did not change keep their sockets.
    pub fn reload(&mut self, links: &[Link], keepalive: Duration, now: Time) -> Vec<Change> {
        let mut old = std::mem::take(&mut self.slots);
        let mut changes = Vec::new();
        for link in links {
            let kept = old.iter().position(|slot| slot.link == *link).map(|at| old.swap_remove(at));
            let mut slot = kept.unwrap_or_else(|| Slot::new(link.clone(), keepalive, now));
            match &mut slot.serial {
                Some(serial) => serial.set_keepalive(keepalive),
                None if slot.socket.is_none() => slot.reopen(&self.me, now, &mut changes),
                None => {}
            }
            if let Some(all) = &self.interfaces {
                slot.stand_on(ground(&slot.link.kind, all), &self.me, now, &mut changes);
            }
            self.slots.push(slot);
        }
        changes
    }

    /// The interfaces are otherwise than before: links whose interface is gone or cut say so at once, and those whose
    /// interface is there again, or is another one, are opened anew.
    pub fn interfaces(&mut self, all: Vec<Interface>, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for slot in &mut self.slots {
            slot.stand_on(ground(&slot.link.kind, &all), &self.me, now, &mut changes);
        }
        self.interfaces = Some(all);
        changes
    }

    /// What works, but not as well as it should: a sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.slots.iter().filter_map(Slot::note).collect()
    }

    /// Comes back when a datagram may be waiting; never, if no link is open.
    pub async fn readable(&mut self) {
        poll_fn(|context| {
            for slot in &mut self.slots {
                let ready = match (&slot.socket, &mut slot.serial) {
                    (Some(socket), _) => socket.udp.poll_readable(context),
                    (None, Some(serial)) => serial.poll_readable(context),
                    (None, None) => Poll::Pending,
                };
                if ready.is_ready() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Takes what waits, at most `bound` datagrams a link, after [`Links::readable`] or when it is due.
    pub fn read(&mut self, bound: usize, now: Time, into: &mut VecDeque<Input>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (link, slot) in self.slots.iter_mut().enumerate() {
            if let Some(serial) = &mut slot.serial {
                let each = |packet: &[u8]| into.push_back(Input::Datagram { link, bytes: packet.to_vec() });
                if let Err(news) = serial.read(now, &mut self.buffer, each) {
                    slot.heed(Some(news), now, &mut changes);
                }
                continue;
            }
            let Some(socket) = &slot.socket else { continue };
            for _ in 0..bound {
                // Through tokio, so that it learns when the socket is empty.
                match socket.udp.try_read(|udp| take(udp, &mut self.buffer)) {
                    Ok(length) => {
                        into.push_back(Input::Datagram { link, bytes: self.buffer[..length].to_vec() })
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error that came in for an earlier message (ICMP); the send side deals with it.
                    Err(_) => {}
                }
            }
        }
        changes
    }

    /// Takes everything the kernel has now, whatever tokio knows of it, at most `bound` datagrams a link.
    pub fn drain(&mut self, bound: usize, into: &mut VecDeque<Input>) {
        for (link, slot) in self.slots.iter_mut().enumerate() {
            if let Some(serial) = &mut slot.serial {
                let each = |packet: &[u8]| into.push_back(Input::Datagram { link, bytes: packet.to_vec() });
                serial.drain(&mut self.buffer, each);
                continue;
            }
            let Some(socket) = &slot.socket else { continue };
            for _ in 0..bound {
                match take(socket.udp.get(), &mut self.buffer) {
                    Ok(length) => {
                        into.push_back(Input::Datagram { link, bytes: self.buffer[..length].to_vec() })
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
    }

    /// Sends on every link, without ever waiting.
    pub fn send(&mut self, bytes: &[u8], now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for slot in &mut self.slots {
            slot.send(bytes, now, &mut changes);
        }
        changes
    }

    /// When [`Links::time`] or [`Links::read`] has something to do.
    pub fn due(&self) -> Option<Time> {
        self.slots
            .iter()
            .filter_map(|slot| slot.serial.as_ref().map_or(slot.retry, |serial| serial.due()))
            .min()
    }

    /// Opens broken links anew whose time has come, and lets lines have what they have room for.
    pub fn time(&mut self, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for slot in &mut self.slots {
            if let Some(serial) = &mut slot.serial {
                let news = serial.time(now);
                slot.heed(news, now, &mut changes);
            } else if slot.retry.is_some_and(|at| at <= now) {
                slot.reopen(&self.me, now, &mut changes);
            }
        }
        changes
    }

    /// How the serial lines are used.
    pub fn lines(&self, now: Time) -> Vec<LineStatus> {
        self.slots
            .iter()
            .filter_map(|slot| Some(slot.serial.as_ref()?.status(&slot.link.name, now)))
            .collect()
    }

    /// Throws away what has not left this machine yet.
    pub fn discard(&self) {
        self.slots.iter().flat_map(|slot| &slot.serial).for_each(|serial| serial.discard());
    }

    /// Whether all that was sent has left this machine, as far as can be told.
    pub fn is_idle(&self, now: Time) -> bool {
        self.slots.iter().flat_map(|slot| &slot.serial).all(|serial| serial.is_idle(now))
    }
}

impl Slot {
    fn new(link: Link, keepalive: Duration, now: Time) -> Slot {
        let serial = match &link.kind {
            LinkKind::Serial { device, baud } => {
                Some(Box::new(Serial::new(device.clone(), *baud, keepalive, now)))
            }
            _ => None,
        };
        let (ground, too_long) = (Ground::default(), None);
        Slot { link, socket: None, serial, retry: None, said: None, ground, too_long, send_errors: 0 }
    }

    fn stand_on(&mut self, new: Ground, me: &str, now: Time, changes: &mut Vec<Change>) {
        if self.serial.is_some() || new == self.ground {
            return;
        }
        let old = std::mem::replace(&mut self.ground, new);
        self.too_long = None;
        match self.ground.wrong.clone() {
            // Says more than the error of a send that came first.
            Some(wrong) if self.said.as_ref().is_some_and(|said| *said != wrong) => {
                self.said = Some(wrong.clone());
                changes.push(Change { name: self.link.name.clone(), broken: Some(wrong), quiet: true });
            }
            Some(wrong) => self.broken(wrong, now, changes),
            // A socket belongs to the interface of its day.
            None if old.wrong.is_some() || (old.index.is_some() && old.index != self.ground.index) => {
                self.reopen(me, now, changes);
            }
            None => {}
        }
    }

    fn note(&self) -> Option<String> {
        let (length, room) = (self.too_long?, self.ground.room?);
        let name = &self.link.name;
        Some(format!(
            "link {name}: a heartbeat of {length} bytes does not fit its interface, which has room for {room}: it goes \
             in fragments, and is lost with any of them"
        ))
    }

    /// Takes note of what became of a serial line.
    fn heed(&mut self, news: Option<News>, now: Time, changes: &mut Vec<Change>) {
        match news {
            None => {}
            Some(News::Works) => self.works(changes),
            Some(News::Broken(why)) => self.broken(why, now, changes),
        }
    }

    fn reopen(&mut self, me: &str, now: Time, changes: &mut Vec<Change>) {
        match open(&self.link.kind, me) {
            Ok(socket) => {
                self.socket = Some(socket);
                // Whether it works shows with the next message.
                self.retry = self.said.is_some().then(|| now + RETRY);
            }
            Err(why) => {
                self.broken(why, now, changes);
                self.retry = Some(now + RETRY);
            }
        }
    }

    fn send(&mut self, bytes: &[u8], now: Time, changes: &mut Vec<Change>) {
        if let Some(serial) = &mut self.serial {
            let news = serial.send(bytes, now);
            return self.heed(news, now, changes);
        }
        let Some(socket) = &self.socket else { return };
        if self.ground.room.is_some_and(|room| bytes.len() > room) && self.too_long.is_none() {
            self.too_long = Some(bytes.len());
            tracing::warn!("{}", self.note().unwrap_or_default());
        }
        let mut failed = None;
        let mut sent = false;
        for target in &socket.targets {
            match sendto(socket.udp.get().as_raw_fd(), bytes, target, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => sent = true,
                Err(error) => {
                    self.send_errors += 1;
                    failed = Some((error, *target));
                }
            }
        }
        match failed {
            None if sent => self.works(changes),
            // A full queue or one refused target says nothing of the link.
            Some((error, target)) if !transient(error) => {
                let why = format!("cannot send to {target}: {}", error.desc());
                self.broken(why, now, changes);
            }
            _ => {}
        }
    }

    fn works(&mut self, changes: &mut Vec<Change>) {
        // Without a carrier the kernel takes what it is given, and throws it away.
        if self.ground.wrong.is_some() {
            return;
        }
        self.retry = None;
        if self.said.take().is_some() {
            changes.push(Change { name: self.link.name.clone(), broken: None, quiet: false });
        }
    }

    fn broken(&mut self, why: String, now: Time, changes: &mut Vec<Change>) {
        self.retry.get_or_insert(now + RETRY);
        // Said once, not again with each other error on the way.
        if self.said.is_none() {
            self.said = Some(why.clone());
            changes.push(Change { name: self.link.name.clone(), broken: Some(why), quiet: false });
        }
    }
}

/// Errors that pass by themselves or concern one message only.
fn transient(error: Errno) -> bool {
    matches!(
        error,
        Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR | Errno::ECONNREFUSED | Errno::EPERM
    )
}

fn take(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)
}

fn open(kind: &LinkKind, me: &str) -> Result<Socket, String> {
    let (socket, targets) = open_std(kind, me)?;
    let udp = Watched::new(socket).map_err(|error| format!("cannot wait for its datagrams: {error}"))?;
    Ok(Socket { udp, targets: targets.into_iter().map(SockaddrStorage::from).collect() })
}

fn open_std(kind: &LinkKind, me: &str) -> Result<(std::net::UdpSocket, Vec<SocketAddr>), String> {
    let link = match kind {
        LinkKind::Bcast { interface, port } => sys::udp::bcast(interface, *port),
        LinkKind::Mcast { interface, group, port, ttl } => sys::udp::mcast(interface, *group, *port, *ttl),
        LinkKind::Ucast { local, peers, interface, port } => {
            let others: Vec<_> = peers.iter().filter(|(name, _)| *name != me).map(|(_, &ip)| ip).collect();
            sys::udp::ucast(*local, interface.as_deref(), &others, *port)
        }
        LinkKind::Serial { .. } => return Err("a serial line has no socket".into()),
    };
    link.map(|link| (link.socket, link.targets)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn ucast(name: &str, local: &str, peer: &str, port: u16) -> Link {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let peers = [("a".to_owned(), ip(local)), ("b".to_owned(), ip(peer))].into();
        Link { name: name.into(), kind: LinkKind::Ucast { local: ip(local), peers, interface: None, port } }
    }

    const KEEPALIVE: Duration = Duration::from_millis(200);

    fn t(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    /// A port nobody has on these loopback addresses.
    fn port() -> u16 {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn what_one_node_sends_the_other_reads_on_the_same_link() {
        let port = port();
        let (mut a, changes) =
            Links::open("a", &[ucast("one", "127.7.0.1", "127.7.0.2", port)], KEEPALIVE, t(0));
        assert!(changes.is_empty(), "{changes:?}");
        let (mut b, _) = Links::open("b", &[ucast("one", "127.7.0.2", "127.7.0.1", port)], KEEPALIVE, t(0));
        assert!(a.send(b"hello", t(0)).is_empty());
        tokio::time::timeout(Duration::from_secs(10), b.readable()).await.unwrap();
        let mut inputs = VecDeque::new();
        b.read(8, t(0), &mut inputs);
        assert_eq!(inputs, [Input::Datagram { link: 0, bytes: b"hello".to_vec() }]);
    }

    #[tokio::test]
    async fn reading_and_draining_are_bounded_and_draining_needs_no_event() {
        let port = port();
        let (mut a, _) = Links::open("a", &[ucast("one", "127.7.0.1", "127.7.0.2", port)], KEEPALIVE, t(0));
        let (mut b, _) = Links::open("b", &[ucast("one", "127.7.0.2", "127.7.0.1", port)], KEEPALIVE, t(0));
        for _ in 0..10 {
            a.send(b"x", t(0));
        }
        let mut inputs = VecDeque::new();
        // On the loopback what was sent has arrived; tokio was not asked and knows nothing of it.
        b.drain(4, &mut inputs);
        assert_eq!(inputs.len(), 4);
        tokio::time::timeout(Duration::from_secs(10), b.readable()).await.unwrap();
        b.read(4, t(0), &mut inputs);
        assert_eq!(inputs.len(), 8);
        b.drain(100, &mut inputs);
        assert_eq!(inputs.len(), 10);
    }

    #[tokio::test]
    async fn a_link_without_its_interface_is_said_once_and_the_others_work() {
        let missing = Link {
            name: "bcast:da-none".into(),
            kind: LinkKind::Bcast { interface: "da-none".into(), port: 694 },
        };
        let port = port();
        let good = ucast("one", "127.7.0.1", "127.7.0.2", port);
        let (mut links, changes) = Links::open("a", &[missing, good.clone()], KEEPALIVE, t(0));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].name, "bcast:da-none");
        assert!(changes[0].broken.as_ref().unwrap().contains("da-none"), "{changes:?}");
        assert_eq!(links.due(), Some(t(1000)));
        assert!(links.time(t(999)).is_empty());
        assert!(links.time(t(1000)).is_empty(), "not said again");
        assert_eq!(links.due(), Some(t(2000)));
        assert!(links.send(b"x", t(1000)).is_empty());
        let before = links.slots[1].socket.as_ref().unwrap().udp.get().as_raw_fd();
        assert!(links.reload(&[good], KEEPALIVE, t(1000)).is_empty());
        assert_eq!(
            links.slots[0].socket.as_ref().unwrap().udp.get().as_raw_fd(),
            before,
            "an unchanged link keeps its socket"
        );
        assert_eq!(links.due(), None);
    }

    #[tokio::test]
    async fn a_link_that_cannot_send_is_said_once_and_again_when_it_works() {
        // The address is not on this machine: the socket opens (freebind) and every send fails.
        let (mut links, changes) =
            Links::open("a", &[ucast("one", "192.0.2.77", "192.0.2.78", port())], KEEPALIVE, t(0));
        assert!(changes.is_empty(), "{changes:?}");
        let said = links.send(b"x", t(5));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].broken.as_ref().unwrap().starts_with("cannot send to 192.0.2.78"), "{said:?}");
        assert!(links.send(b"x", t(6)).is_empty());
        assert!(links.time(t(1005)).is_empty(), "a fresh socket alone is no news");
        assert!(links.due().is_some());
        let mut changes = Vec::new();
        links.slots[0].works(&mut changes);
        assert_eq!(changes, [Change { name: "one".into(), broken: None, quiet: false }]);
        assert_eq!(links.due(), None);
    }

    #[test]
    fn links_follow_their_interface_as_the_kernel_tells_of_it() {
        use crate::daemon::net::tests::{in_namespace, ip};
        in_namespace(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _inside = runtime.enter();
            let bcast =
                Link { name: "bcast:v0".into(), kind: LinkKind::Bcast { interface: "v0".into(), port: 694 } };
            let v0 = |index, running, mtu| Interface {
                index,
                name: "v0".into(),
                up: true,
                running,
                mtu,
                addresses: vec!["10.9.0.1".parse().unwrap()],
            };
            let said =
                |changes: Vec<Change>| changes.into_iter().map(|change| change.broken).collect::<Vec<_>>();
            let index = |name| nix::net::if_::if_nametoindex(name).unwrap();
            let (mut links, changes) = Links::open("a", std::slice::from_ref(&bcast), KEEPALIVE, t(0));
            assert_eq!(changes, []);
            let fd =
                |links: &Links| links.slots[0].socket.as_ref().map(|socket| socket.udp.get().as_raw_fd());
            assert!(said(links.interfaces(vec![v0(index("v0"), true, 1500)], t(0))).is_empty());
            assert!(links.send(b"x", t(0)).is_empty());
            // The carrier goes: what is sent goes nowhere, and the kernel takes it.
            let cut = links.interfaces(vec![v0(index("v0"), false, 1500)], t(1));
            assert_eq!(said(cut), [Some("v0 has no carrier".to_owned())]);
            assert!(links.send(b"x", t(2)).is_empty(), "not well again for that");
            assert!(links.interfaces(vec![v0(index("v0"), true, 1500)], t(3)).is_empty());
            assert_eq!(said(links.send(b"x", t(4))), [None], "a message went out again");
            // A send may find out first; why is known a little later, and is no second event.
            links.interfaces(vec![v0(index("v0"), false, 1500)], t(4));
            let off = Interface { up: false, ..v0(index("v0"), false, 1500) };
            let better = links.interfaces(vec![off], t(4));
            assert!(better.len() == 1 && better[0].quiet, "{better:?}");
            assert!(links.interfaces(vec![v0(index("v0"), true, 1500)], t(4)).is_empty());
            assert_eq!(said(links.send(b"x", t(4))), [None]);
            // It is taken away, and comes again as another one: the socket of the old one is of no use.
            ip("link del v0");
            assert_eq!(said(links.interfaces(vec![], t(5))), [Some("there is no interface v0".to_owned())]);
            for line in ["link add v0 type veth peer name v1", "link set v0 up", "link set v1 up"] {
                ip(line);
            }
            let before = fd(&links);
            assert!(links.interfaces(vec![v0(index("v0"), true, 1500)], t(6)).is_empty());
            assert!(fd(&links).is_some() && links.send(b"x", t(7)).len() == 1, "before: {before:?}");
            assert_eq!(links.due(), None);
            // Too long for one packet: said, and sent all the same.
            assert!(links.notes().is_empty());
            assert!(links.interfaces(vec![v0(index("v0"), true, 576)], t(8)).is_empty());
            assert!(links.send(&[7; 600], t(9)).is_empty());
            assert!(links.notes()[0].contains("600 bytes does not fit"), "{:?}", links.notes());
            // A link of a new configuration stands on what is known.
            let other =
                Link { name: "bcast:v9".into(), kind: LinkKind::Bcast { interface: "v9".into(), port: 694 } };
            let changes = links.reload(&[bcast, other], KEEPALIVE, t(10));
            assert_eq!(changes.iter().filter(|change| !change.quiet).count(), 1, "{changes:?}");
        });
    }

    #[test]
    fn errors_of_one_message_do_not_break_a_link() {
        assert!(transient(Errno::EAGAIN) && transient(Errno::ENOBUFS) && transient(Errno::EPERM));
        assert!(!transient(Errno::ENETUNREACH) && !transient(Errno::ENODEV) && !transient(Errno::ENETDOWN));
    }
}
