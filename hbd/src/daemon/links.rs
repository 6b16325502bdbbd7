//! The links: sockets for heartbeats, opened from the configuration, repaired when they break.
//!
//! A link that fails keeps its socket and goes on trying with each message (a cable that is back is
//! used at once); beside that, a fresh socket is tried every second, for an interface that was
//! taken away and made again. It is reported once when it breaks, and once when a message went out again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::task::Poll;
use std::time::Duration;

use cluster::{Input, Time};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, sendto};
use tokio::io::Interest;
use tokio::net::UdpSocket;

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
    udp: UdpSocket,
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
                    && socket.udp.poll_recv_ready(context).is_ready()
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
                match socket.udp.try_io(Interest::READABLE, || take(&socket.udp, &mut self.buffer)) {
                    Ok(length) => into.push_back(Input::Datagram { link, bytes: self.buffer[..length].to_vec() }),
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
                match take(&socket.udp, &mut self.buffer) {
                    Ok(length) => into.push_back(Input::Datagram { link, bytes: self.buffer[..length].to_vec() }),
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
            match sendto(socket.udp.as_raw_fd(), bytes, target, MsgFlags::MSG_DONTWAIT) {
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
    matches!(error, Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR | Errno::ECONNREFUSED | Errno::EPERM)
}

fn take(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)
}

fn open(kind: &LinkKind, me: &str) -> Result<Socket, String> {
    let (socket, targets) = open_std(kind, me)?;
    let udp = UdpSocket::from_std(socket).map_err(|error| format!("cannot wait for its datagrams: {error}"))?;
    Ok(Socket { udp, targets: targets.into_iter().map(SockaddrStorage::from).collect() })
}
