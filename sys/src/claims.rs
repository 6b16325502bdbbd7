//! Hears who else says that it has an address: ARP packets whose sender has it (RFC 5227 section 2.4), and neighbour
//! advertisements of it (RFC 4861 section 7.2.5). Answers to [`crate::announce::Announcer::probe`] are among them.
//!
//! A socket per interface and family. The kernel passes on only what may be of interest ([`Listener::narrow`]): on a busy network
//! nothing wakes the process but claims of its own addresses, and of those between them.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::announce::link_layer_address;
use crate::option;

/// Somebody says that it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// Which.
    pub ip: IpAddr,
    /// Its hardware address.
    pub mac: [u8; 6],
}

/// Hears claims on one interface, of one family. Non-blocking.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    v6: bool,
}

/// ETH_P_ARP (linux/if_ether.h).
const ARP: u16 = 0x0806;
/// SO_BINDTOIFINDEX, which libc has not on every target.
const SO_BINDTOIFINDEX: libc::c_int = 62;
/// ICMP6_FILTER (linux/icmpv6.h): a set bit blocks that type.
const ICMP6_FILTER: libc::c_int = 1;
/// Neighbour advertisement.
const ADVERTISEMENT: usize = 136;
/// Enough for some hundred claims; whoever floods is not heard out.
const BUFFER: libc::c_int = 64 << 10;
/// The offset at which a socket filter finds the network header (SKF_NET_OFF, linux/filter.h).
const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();

impl Listener {
    /// For `ifindex`, IPv4 (ARP) or IPv6. It hears nothing before it is told what of, [`Listener::narrow`].
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or if there is no such interface.
    pub fn open(ifindex: u32, v6: bool) -> io::Result<Listener> {
        let socket = if v6 { advertisements(ifindex)? } else { arp(ifindex)? };
        let _ = option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &BUFFER);
        Ok(Listener { socket, v6 })
    }

    /// From now on only claims of these are of interest, as near as a few instructions in the kernel can tell: what they all
    /// have in common in their first bits.
    ///
    /// # Errors
    /// A kernel without socket filters. Then all is heard.
    pub fn narrow(&self, ips: &[IpAddr]) -> io::Result<()> {
        if self.v6 {
            return self.socket.attach_filter(&only_advertisements());
        }
        let bits = ips.iter().filter_map(|ip| match ip {
            IpAddr::V4(ip) => Some(ip.to_bits()),
            IpAddr::V6(_) => None,
        });
        self.socket.attach_filter(&only_senders(bits))
    }

    /// The next claim, whoever's: also of this machine's other interfaces on the same network.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, `NetworkDown` while the interface is off; else the socket is of no more use.
    pub fn next(&self) -> io::Result<Claim> {
        /// Packets looked at in one call.
        const MOST: usize = 64;
        let mut buffer = [0; 256];
        for _ in 0..MOST {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => {
                    let bytes = &buffer[..length];
                    let claim = if self.v6 { advertisement_claim(bytes) } else { arp_claim(bytes) };
                    if let Some(claim) = claim {
                        return Ok(claim);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// ARP packets without their Ethernet header.
fn arp(ifindex: u32) -> io::Result<Socket> {
    // With protocol 0 it is given nothing before it is bound to the interface.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.cloexec().nonblocking(), None)?;
    socket.attach_filter(&only_senders(std::iter::empty()))?;
    socket.bind(&link_layer_address(ifindex, ARP)?)?;
    Ok(socket)
}

/// Neighbour advertisements as messages of ICMPv6.
fn advertisements(ifindex: u32) -> io::Result<Socket> {
    let kind = Type::RAW.cloexec().nonblocking();
    let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6))?;
    let mut blocked = [u32::MAX; 8];
    blocked[ADVERTISEMENT / 32] &= !(1 << (ADVERTISEMENT % 32));
    option::set(socket.as_fd(), libc::IPPROTO_ICMPV6, ICMP6_FILTER, &blocked)?;
    socket.attach_filter(&only_advertisements())?;
    option::set(socket.as_fd(), libc::SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex.cast_signed())?;
    Ok(socket)
}

/// The socket filter: of ARP packets keep those whose sender's address begins as all of `ips` do; none, if there are none.
fn only_senders(ips: impl Iterator<Item = u32>) -> [SockFilter; 5] {
    let (same, start) = common_start(ips);
    [
        SockFilter::new(0x20, 0, 0, 14), // BPF_LD | BPF_W | BPF_ABS: the sender's protocol address
        SockFilter::new(0x54, 0, 0, same), // BPF_ALU | BPF_AND | BPF_K
        SockFilter::new(0x15, 0, 1, start), // BPF_JMP | BPF_JEQ | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX), // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

/// The bits in which all agree, and what they are; of none the one address that nobody has.
fn common_start(mut ips: impl Iterator<Item = u32>) -> (u32, u32) {
    let Some(first) = ips.next() else { return (u32::MAX, u32::MAX) };
    let differ = ips.fold(0, |differ, ip| differ | (first ^ ip));
    let same = u32::MAX.checked_shl(32 - differ.leading_zeros()).unwrap_or(0);
    (same, first & same)
}

/// The socket filter: keep what no router has passed on, which a hop limit of 255 proves.
fn only_advertisements() -> [SockFilter; 4] {
    [
        SockFilter::new(0x30, 0, 0, NETWORK + 7), // BPF_LD | BPF_B | BPF_ABS: the hop limit
        SockFilter::new(0x15, 0, 1, 255),         // BPF_JMP | BPF_JEQ | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX),    // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

/// What an ARP packet claims: the sender's addresses. A probe (sender 0.0.0.0) claims nothing.
///
/// ```text
///  0  1 Ethernet, 0x0800 IPv4, 6, 4, operation    8  sender's mac   14  sender's ip   18  target's mac   24  target's ip
/// ```
fn arp_claim(bytes: &[u8]) -> Option<Claim> {
    if bytes.get(..6)? != [0, 1, 0x08, 0x00, 6, 4] || bytes.len() < 28 {
        return None;
    }
    let ip = Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(14..18)?).ok()?);
    let mac = bytes.get(8..14)?.try_into().ok()?;
    (!ip.is_unspecified()).then_some(Claim { ip: ip.into(), mac })
}

/// What a neighbour advertisement claims; nothing if it does not say the hardware address.
///
/// ```text
///  0  type 136, code 0, checksum   4  flags   8  target   24  options: type, length in 8 bytes, value
/// ```
fn advertisement_claim(bytes: &[u8]) -> Option<Claim> {
    /// Target link-layer address.
    const TARGET: u8 = 2;
    if bytes.get(..2)? != [136, 0] {
        return None;
    }
    let ip = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?);
    let mut options = bytes.get(24..)?;
    loop {
        let (kind, length) = (*options.first()?, usize::from(*options.get(1)?) * 8);
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if kind == TARGET {
            return Some(Claim { ip: ip.into(), mac: option.get(2..8)?.try_into().ok()? });
        }
        options = options.get(length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::{arp_frame, arp_probe_frame, arp_reply_frame, na_frame};

    const MAC: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 7];

    #[test]
    fn announcements_are_claims_and_probes_are_none() {
        let ip = Ipv4Addr::new(10, 77, 1, 1);
        let claim = Some(Claim { ip: ip.into(), mac: MAC });
        assert_eq!(arp_claim(&arp_frame(MAC, ip)[14..]), claim);
        assert_eq!(arp_claim(&arp_reply_frame(MAC, ip)[14..]), claim);
        assert_eq!(arp_claim(&arp_probe_frame(MAC, ip)[14..]), None);
        let ip: Ipv6Addr = "fd77::1:1".parse().expect("ip");
        let frame = na_frame(MAC, ip);
        assert_eq!(advertisement_claim(&frame[54..]), Some(Claim { ip: ip.into(), mac: MAC }));
        // Without the option, and with others before it.
        assert_eq!(advertisement_claim(&frame[54..78]), None);
        let more = [&frame[54..78], &[1, 1, 0, 0, 0, 0, 0, 0], &frame[78..]].concat();
        assert_eq!(advertisement_claim(&more), Some(Claim { ip: ip.into(), mac: MAC }));
    }

    #[test]
    fn hostile_bytes_claim_nothing_and_end() {
        let good = [
            arp_frame(MAC, Ipv4Addr::new(1, 2, 3, 4))[14..].to_vec(),
            na_frame(MAC, Ipv6Addr::LOCALHOST)[54..].to_vec(),
        ];
        for frame in &good {
            for length in 0..frame.len() {
                assert_eq!(
                    (arp_claim(&frame[..length]), advertisement_claim(&frame[..length])),
                    (None, None),
                    "{length}"
                );
            }
        }
        // An option of no length would be walked over for ever.
        let mut endless = good[1].clone();
        endless[24..26].copy_from_slice(&[1, 0]);
        assert_eq!(advertisement_claim(&endless), None);
    }

    #[test]
    fn the_filter_keeps_what_begins_as_all_of_them_do() {
        let start = |ips: &[[u8; 4]]| common_start(ips.iter().map(|ip| u32::from_be_bytes(*ip)));
        assert_eq!(start(&[[10, 77, 1, 1]]), (u32::MAX, 0x0a4d_0101));
        assert_eq!(start(&[[10, 77, 1, 1], [10, 77, 1, 2]]), (0xffff_fffc, 0x0a4d_0100));
        assert_eq!(start(&[[10, 77, 1, 1], [10, 77, 3, 2], [10, 77, 1, 9]]), (0xffff_fc00, 0x0a4d_0000));
        assert_eq!(start(&[[10, 0, 0, 1], [192, 0, 0, 1]]), (0, 0));
        // Nobody's: nothing but what cannot be.
        assert_eq!(start(&[]), (u32::MAX, u32::MAX));
    }
}
