//! Garbage on the wire: datagrams of every size, random or with the beginning of real ones.

use std::net::{SocketAddr, UdpSocket};

use crate::Result;
use crate::error::Context;

/// The longest datagram sent: what fits an Ethernet frame.
const LONGEST: usize = 1472;

/// Sends `count` datagrams to each of `targets` (broadcast addresses too), as fast as they go. Every third begins as
/// a packet of the protocol does (see docs/protocol.md) and goes on at random. The same each time.
///
/// # Errors
/// No socket, or none of it could be sent.
pub fn flood(targets: &[SocketAddr], count: u32) -> Result<u32> {
    let socket = UdpSocket::bind("0.0.0.0:0").context(|| "cannot make a socket".to_owned())?;
    socket.set_broadcast(true).context(|| "cannot send broadcasts".to_owned())?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        // xorshift64: good enough for garbage, and repeatable.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut bytes = [0; LONGEST];
    let mut sent = 0;
    for number in 0..count {
        let length = (next() as usize) % (LONGEST + 1);
        for chunk in bytes[..length].chunks_mut(8) {
            let word = next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        if number % 3 == 0 {
            let start = beginning("lab");
            let n = start.len().min(length);
            bytes[..n].copy_from_slice(&start[..n]);
        }
        for target in targets {
            // A full queue loses some, as a network does.
            sent += u32::from(socket.send_to(&bytes[..length], target).is_ok());
        }
    }
    Ok(sent)
}

/// The plain beginning of a packet of a cluster, for sha256 and key 1: magic, version, method, key, cluster.
fn beginning(cluster: &str) -> Vec<u8> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let id = cluster.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    [b"hb\x10\x01\x01".as_slice(), &id.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_as_the_protocol_says() {
        assert_eq!(beginning("foobar")[..5], *b"hb\x10\x01\x01");
        assert_eq!(beginning("foobar")[5..], 0x8594_4171_f739_67e8_u64.to_be_bytes());
    }

    #[test]
    fn every_datagram_goes_out() {
        let here = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let target = here.local_addr().expect("its address");
        assert_eq!(flood(&[target], 50).expect("sent"), 50);
    }
}
