//! ICMP and ICMPv6 echo (RFC 792, RFC 4443 section 4): is somebody there?

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;
/// Type, code, checksum, identifier, sequence.
const HEADER: usize = 8;
/// After the header: a number only this socket knows.
const NONCE: usize = 8;
/// Room for the largest IPv4 header (60 bytes), ours, and what somebody may add.
const BUFFER: usize = 512;

/// A socket that asks one address and hears only that one. Non-blocking.
#[derive(Debug)]
pub struct Echo {
    socket: Socket,
    v6: bool,
    nonce: u64,
}

impl Echo {
    /// For `address`, with a `nonce` by which its own answers are known. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability; an unreachable network; else the errno.
    pub fn new(address: IpAddr, nonce: u64) -> io::Result<Echo> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
        // A raw socket hears every answer that comes to this machine; a connected one only those of its address.
        socket.connect(&SockAddr::from(SocketAddr::new(address, 0)))?;
        Ok(Echo { socket, v6: address.is_ipv6(), nonce })
    }

    /// Asks.
    ///
    /// # Errors
    /// No route, an interface that is down, a full queue (`WouldBlock`): else the errno.
    pub fn ask(&self, sequence: u16) -> io::Result<()> {
        self.socket.send(&request(self.v6, self.nonce, sequence)).map(drop)
    }

    /// Takes in what has come; true if an answer to any of this socket's questions was among it. Bounded.
    ///
    /// # Errors
    /// What the socket reports (host unreachable, …): the answer is no, for now.
    pub fn answered(&self) -> io::Result<bool> {
        /// Datagrams taken at a time.
        const MOST: usize = 64;
        let mut buffer = [0; BUFFER];
        let mut answered = false;
        for _ in 0..MOST {
            let length = match (&self.socket).read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if answered => {
                    drop(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            answered |= is_reply(self.v6, self.nonce, &buffer[..length.min(BUFFER)]);
        }
        Ok(answered)
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn request(v6: bool, nonce: u64, sequence: u16) -> [u8; HEADER + NONCE] {
    let mut packet = [0; HEADER + NONCE];
    packet[0] = if v6 { REQUEST_V6 } else { REQUEST_V4 };
    packet[4..6].copy_from_slice(&identifier(nonce));
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[HEADER..].copy_from_slice(&nonce.to_be_bytes());
    if !v6 {
        // The kernel computes that of ICMPv6, which covers addresses too.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn identifier(nonce: u64) -> [u8; 2] {
    let bytes = nonce.to_be_bytes();
    [bytes[6], bytes[7]]
}

/// Whether a datagram as a raw socket gives it (IPv4: with the IP header) is an answer to a request with `nonce`.
fn is_reply(v6: bool, nonce: u64, bytes: &[u8]) -> bool {
    let header = if v6 { 0 } else { bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4) };
    let Some(icmp) = bytes.get(header..) else { return false };
    let kind = if v6 { REPLY_V6 } else { REPLY_V4 };
    icmp.len() >= HEADER + NONCE
        && icmp[0] == kind
        && icmp[1] == 0
        && icmp[4..6] == identifier(nonce)
        && icmp[HEADER..HEADER + NONCE] == nonce.to_be_bytes()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE_OF_TEST: u64 = 0x0102_0304_0506_0708;

    #[test]
    fn the_checksum_of_a_packet_with_its_checksum_is_zero() {
        let packet = request(false, NONCE_OF_TEST, 513);
        assert_eq!(checksum(&packet), 0);
        assert_eq!(&packet[..8], &[8, 0, packet[2], packet[3], 7, 8, 2, 1]);
        assert_eq!(checksum(&[1]), !0x0100);
    }

    #[test]
    fn only_an_answer_with_the_nonce_is_one() {
        let mut reply = vec![0x45; 20];
        reply.extend(request(false, NONCE_OF_TEST, 1));
        assert!(!is_reply(false, NONCE_OF_TEST, &reply), "a request");
        reply[20] = REPLY_V4;
        assert!(is_reply(false, NONCE_OF_TEST, &reply));
        assert!(!is_reply(false, NONCE_OF_TEST ^ 1 << 40, &reply), "somebody else's");
        for length in 0..reply.len() {
            assert!(!is_reply(false, NONCE_OF_TEST, &reply[..length]), "cut to {length}");
        }
        reply[0] = 0x4f;
        assert!(!is_reply(false, NONCE_OF_TEST, &reply), "a longer header");
        let mut reply = request(true, NONCE_OF_TEST, 1);
        reply[0] = REPLY_V6;
        assert!(is_reply(true, NONCE_OF_TEST, &reply));
        assert!(!is_reply(true, NONCE_OF_TEST, &[]));
    }
}
