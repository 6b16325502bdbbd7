//! The links: sockets for heartbeats, opened from the configuration, repaired when they break.
//!
//! A link that fails keeps its socket and goes on trying with each message (a cable that is back is
//! used at once); beside that, a fresh socket is tried every second, for an interface that was
//! taken away and made again. It is reported once when it breaks, and once when a message went out again.

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
    /// Broken: when to open it anew.
    retry: Option<Time>,
    /// What was last said to be wrong.
    said: Option<String>,
    send_errors: u64,
}

/// All links, in configuration order.
#[derive(Debug)]
pub struct Links {
    me: String,
    slots: Vec<Slot>,
    buffer: Vec<u8>,
}

impl Links {
    /// Opens what can be opened. Needs the runtime that will wait for them.
    pub fn open(me: &str, links: &[Link], now: Time) -> (Links, Vec<Change>) {
        let mut all = Links { me: me.to_owned(), slots: Vec::new(), buffer: vec![0; LONGEST] };
        let changes = all.reload(links, now);
        (all, changes)
    }

    /// Takes new links over: those that did not change keep their sockets.
    pub fn reload(&mut self, links: &[Link], now: Time) -> Vec<Change> {
        let mut old = std::mem::take(&mut self.slots);
        let mut changes = Vec::new();
        for link in links {
            let kept = old.iter().position(|slot| slot.link == *link).map(|at| old.swap_remove(at));
            let fresh = || Slot { link: link.clone(), socket: None, retry: None, said: None, send_errors: 0 };
            let mut slot = kept.unwrap_or_else(fresh);
            if slot.socket.is_none() && !matches!(slot.link.kind, LinkKind::Serial { .. }) {
                slot.reopen(&self.me, now, &mut changes);
            }
            self.slots.push(slot);
        }
        changes
    }

    /// Comes back when a datagram may be waiting; never, if no link is open.
    pub async fn readable(&self) {
        poll_fn(|context| {
            for slot in &self.slots {
                if let Some(socket) = &slot.socket
                    && socket.udp.poll_readable(context).is_ready()
                {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Takes what waits, at most `bound` datagrams a link, after [`Links::readable`].
    pub fn read(&mut self, bound: usize, into: &mut VecDeque<Input>) {
        for (link, slot) in self.slots.iter().enumerate() {
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
    }

    /// Takes everything the kernel has now, whatever tokio knows of it, at most `bound` datagrams a link.
    pub fn drain(&mut self, bound: usize, into: &mut VecDeque<Input>) {
        for (link, slot) in self.slots.iter().enumerate() {
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

    /// When [`Links::retry`] has something to do.
    pub fn next_retry(&self) -> Option<Time> {
        self.slots.iter().filter_map(|slot| slot.retry).min()
    }

    /// Opens broken links anew whose time has come.
    pub fn retry(&mut self, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for slot in &mut self.slots {
            if slot.retry.is_some_and(|at| at <= now) {
                slot.reopen(&self.me, now, &mut changes);
            }
        }
        changes
    }
}

impl Slot {
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
        let Some(socket) = &self.socket else { return };
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
        self.retry = None;
        if self.said.take().is_some() {
            changes.push(Change { name: self.link.name.clone(), broken: None });
        }
    }

    fn broken(&mut self, why: String, now: Time, changes: &mut Vec<Change>) {
        self.retry.get_or_insert(now + RETRY);
        // Said once, not again with each other error on the way.
        if self.said.is_none() {
            self.said = Some(why.clone());
            changes.push(Change { name: self.link.name.clone(), broken: Some(why) });
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
        LinkKind::Serial { .. } => return Err("serial links are not in this version".into()),
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
        let (mut a, changes) = Links::open("a", &[ucast("one", "127.7.0.1", "127.7.0.2", port)], t(0));
        assert!(changes.is_empty(), "{changes:?}");
        let (mut b, _) = Links::open("b", &[ucast("one", "127.7.0.2", "127.7.0.1", port)], t(0));
        assert!(a.send(b"hello", t(0)).is_empty());
        tokio::time::timeout(Duration::from_secs(10), b.readable()).await.unwrap();
        let mut inputs = VecDeque::new();
        b.read(8, &mut inputs);
        assert_eq!(inputs, [Input::Datagram { link: 0, bytes: b"hello".to_vec() }]);
    }

    #[tokio::test]
    async fn reading_and_draining_are_bounded_and_draining_needs_no_event() {
        let port = port();
        let (mut a, _) = Links::open("a", &[ucast("one", "127.7.0.1", "127.7.0.2", port)], t(0));
        let (mut b, _) = Links::open("b", &[ucast("one", "127.7.0.2", "127.7.0.1", port)], t(0));
        for _ in 0..10 {
            a.send(b"x", t(0));
        }
        let mut inputs = VecDeque::new();
        // On the loopback what was sent has arrived; tokio was not asked and knows nothing of it.
        b.drain(4, &mut inputs);
        assert_eq!(inputs.len(), 4);
        tokio::time::timeout(Duration::from_secs(10), b.readable()).await.unwrap();
        b.read(4, &mut inputs);
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
        let serial = Link {
            name: "serial:tty".into(),
            kind: LinkKind::Serial { device: "/dev/null".into(), baud: 19200 },
        };
        let port = port();
        let good = ucast("one", "127.7.0.1", "127.7.0.2", port);
        let (mut links, changes) = Links::open("a", &[missing, serial, good.clone()], t(0));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].name, "bcast:da-none");
        assert!(changes[0].broken.as_ref().unwrap().contains("da-none"), "{changes:?}");
        assert_eq!(links.next_retry(), Some(t(1000)));
        assert!(links.retry(t(999)).is_empty());
        assert!(links.retry(t(1000)).is_empty(), "not said again");
        assert_eq!(links.next_retry(), Some(t(2000)));
        assert!(links.send(b"x", t(1000)).is_empty());
        let before = links.slots[2].socket.as_ref().unwrap().udp.get().as_raw_fd();
        assert!(links.reload(&[good], t(1000)).is_empty());
        assert_eq!(
            links.slots[0].socket.as_ref().unwrap().udp.get().as_raw_fd(),
            before,
            "an unchanged link keeps its socket"
        );
        assert_eq!(links.next_retry(), None);
    }

    #[tokio::test]
    async fn a_link_that_cannot_send_is_said_once_and_again_when_it_works() {
        // The address is not on this machine: the socket opens (freebind) and every send fails.
        let (mut links, changes) =
            Links::open("a", &[ucast("one", "192.0.2.77", "192.0.2.78", port())], t(0));
        assert!(changes.is_empty(), "{changes:?}");
        let said = links.send(b"x", t(5));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].broken.as_ref().unwrap().starts_with("cannot send to 192.0.2.78"), "{said:?}");
        assert!(links.send(b"x", t(6)).is_empty());
        assert!(links.retry(t(1005)).is_empty(), "a fresh socket alone is no news");
        assert!(links.next_retry().is_some());
        let mut changes = Vec::new();
        links.slots[0].works(&mut changes);
        assert_eq!(changes, [Change { name: "one".into(), broken: None }]);
        assert_eq!(links.next_retry(), None);
    }

    #[test]
    fn errors_of_one_message_do_not_break_a_link() {
        assert!(transient(Errno::EAGAIN) && transient(Errno::ENOBUFS) && transient(Errno::EPERM));
        assert!(!transient(Errno::ENETUNREACH) && !transient(Errno::ENODEV) && !transient(Errno::ENETDOWN));
    }
}
