//! Tells the neighbours where an address lives now.
//!
//! Switches learn the port from any frame, neighbours replace their ARP or neighbour entry. Both may miss the first
//! announcement (and Linux ignores a second ARP update within a second, `locktime`), so the caller repeats it later.

mod frame;

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};

pub use frame::{arp_frame, arp_probe_frame, arp_reply_frame, dad_frame, na_frame};

/// How long one call may wait for room in the interface's queue, in all.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long between two tries at a full queue.
const PAUSE: Duration = Duration::from_millis(1);

/// Sends announcements on one interface, through a packet socket (packet(7)) that never receives.
///
/// It works before the address is there, and with no address on the interface at all.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    mac: [u8; 6],
}

impl Announcer {
    /// Opens the socket for the interface `ifindex`, whose hardware address is `mac`. Both are fixed: open
    /// another one when
    /// the interface was recreated or its hardware address changed.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or if there is no such interface.
    pub fn open(ifindex: u32, mac: [u8; 6]) -> io::Result<Announcer> {
        // Protocol 0, here and in the address: the socket is never given a frame.
        let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec().nonblocking(), None)
            .map_err(|error| told(&error, format!("open a packet socket (needs CAP_NET_RAW): {error}")))?;
        socket
            .bind(&link_layer_address(ifindex, 0)?)
            .map_err(|error| told(&error, format!("announce on interface {ifindex}: {error}")))?;
        // Ahead of bulk traffic, like the heartbeats; a queue without priorities ignores it.
        let _ = socket.set_priority(6);
        Ok(Announcer { socket, mac })
    }

    /// Announces the addresses: for each IPv4 one a gratuitous ARP request and reply (some listeners heed only one of
    /// them), for each IPv6 one an unsolicited neighbour advertisement.
    ///
    /// Returns how many frames went out; [`frames_for`] is how many there were. A full queue (ENOBUFS) is waited
    /// for, 250 ms in all; what then still does not fit is left out, and missing in the count.
    ///
    /// # Errors
    /// When the interface is down (ENETDOWN) or gone (ENXIO, ENODEV): nothing more would have gone out.
    pub fn announce(&self, addresses: &[IpAddr]) -> io::Result<usize> {
        let end = Instant::now() + PATIENCE;
        let mut sent = 0;
        for address in addresses {
            match address {
                IpAddr::V4(ip) => {
                    sent += self.send(&arp_frame(self.mac, *ip), end)?;
                    sent += self.send(&arp_reply_frame(self.mac, *ip), end)?;
                }
                IpAddr::V6(ip) => sent += self.send(&na_frame(self.mac, *ip), end)?,
            }
        }
        Ok(sent)
    }

    /// Asks for each address whether somebody has it, as one does who wants to take it: an ARP probe (RFC 5227 section 2.1.1), a
    /// neighbour solicitation from nobody (RFC 4862 section 5.4.2). Whoever has it answers, and nobody's entries change.
    /// [`crate::claims`] hears the answers.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn probe(&self, addresses: &[IpAddr]) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        for address in addresses {
            match address {
                IpAddr::V4(ip) => self.send(&arp_probe_frame(self.mac, *ip), end)?,
                IpAddr::V6(ip) => self.send(&dad_frame(self.mac, *ip), end)?,
            };
        }
        Ok(())
    }

    /// 1 if the frame went out, 0 if the queue stayed full.
    fn send(&self, frame: &[u8], end: Instant) -> io::Result<usize> {
        loop {
            let Err(error) = self.socket.send(frame) else {
                return Ok(1);
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ENOBUFS | libc::EAGAIN) if Instant::now() >= end => return Ok(0),
                Some(libc::ENOBUFS) => std::thread::sleep(PAUSE), // the device's queue: nothing can be polled
                Some(libc::EAGAIN) => self.wait(end),
                _ => return Err(told(&error, format!("announce addresses: {error}"))),
            }
        }
    }

    fn wait(&self, end: Instant) {
        let left = end.saturating_duration_since(Instant::now()).saturating_add(PAUSE);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        // Whatever poll says, the next send tells how things are.
        let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)], timeout);
    }
}

/// How many frames [`Announcer::announce`] sends for these addresses when all goes well.
pub fn frames_for(addresses: &[IpAddr]) -> usize {
    addresses.iter().map(|address| if address.is_ipv4() { 2 } else { 1 }).sum()
}

/// `struct sockaddr_ll` with a protocol (0: none) on an interface.
pub(crate) fn link_layer_address(ifindex: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = libc::c_int::try_from(ifindex)
        .ok()
        .filter(|index| *index > 0) // 0 would be every interface
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, format!("there is no interface {ifindex}")))?;
    // SAFETY: the storage socket2 hands out is zeroed, aligned for every socket address and larger than a
    // sockaddr_ll, for which all zeroes is a valid value; the length given is that of what was written.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as libc::c_ushort;
            (*address).sll_protocol = protocol.to_be();
            (*address).sll_ifindex = index;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }?;
    Ok(address)
}

/// The same kind of error with a better text.
fn told(error: &io::Error, text: String) -> io::Error {
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_interfaces_that_cannot_be() {
        assert_eq!(link_layer_address(0, 0).expect_err("0").kind(), ErrorKind::InvalidInput);
        assert_eq!(link_layer_address(u32::MAX, 0).expect_err("-1").kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn counts_the_frames() {
        let addresses = ["10.0.0.1".parse().expect("v4"), "fd00::1".parse().expect("v6")];
        assert_eq!(frames_for(&addresses), 3);
        assert_eq!(frames_for(&[]), 0);
    }
}
