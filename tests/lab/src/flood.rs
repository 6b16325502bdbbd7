//! What an attacker puts on the wire: datagrams of every size, random or with the beginning of real ones, and real
//! ones recorded earlier.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Context;
use crate::{LabError, Result};

/// The longest datagram sent: what fits an Ethernet frame.
const LONGEST: usize = 1472;

/// Sends `count` datagrams to each of `targets` (broadcast addresses too), as fast as they go. Every third begins as
/// a packet of the protocol does (see docs/protocol.md) and goes on at random. The same each time.
///
/// # Errors
/// No socket, or none of it could be sent.
pub fn flood(targets: &[SocketAddr], count: u32) -> Result<u32> {
    let socket = sender()?;
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

/// How a flood went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Offered {
    /// Datagrams sent.
    pub sent: u64,
    /// In this time.
    pub took_ms: u64,
}

impl Offered {
    /// Datagrams in a second.
    pub fn rate(self) -> u64 {
        self.sent * 1000 / self.took_ms.max(1)
    }
}

/// Sends forged packets of `cluster`, each as expensive for a receiver as can be (its header is right, so the tag must be
/// computed), in turn to each of `targets`, `rate` a second in all, for `time`.
///
/// # Errors
/// No socket.
pub fn forged(cluster: &str, targets: &[SocketAddr], rate: u32, time: Duration) -> Result<Offered> {
    /// Between two looks at the clock.
    const BURST: u64 = 64;
    let socket = sender()?;
    let mut bytes = [beginning(cluster).as_slice(), &[0xa5; 87]].concat();
    let begin = Instant::now();
    let mut offered = Offered { sent: 0, took_ms: 0 };
    let mut number = 0_u64;
    while begin.elapsed() < time {
        let due = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX) / 1000 * u64::from(rate)
            / 1_000_000;
        if number >= due {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        for target in targets
            .iter()
            .cycle()
            .skip(number as usize % targets.len())
            .take(BURST.min(due - number) as usize)
        {
            bytes[13..21].copy_from_slice(&number.to_be_bytes());
            number += 1;
            // A full queue loses some, as a network does.
            offered.sent += u64::from(socket.send_to(&bytes, target).is_ok());
        }
    }
    offered.took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(offered)
}

fn sender() -> Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0").context(|| "cannot make a socket".to_owned())?;
    socket.set_broadcast(true).context(|| "cannot send broadcasts".to_owned())?;
    Ok(socket)
}

/// Writes the next `count` datagrams that come to `port` from `source` into `file`, each with its length before it.
///
/// # Errors
/// The port is taken, nothing comes for ten seconds, or the file cannot be written.
pub fn record(port: u16, source: std::net::IpAddr, count: u32, file: &Path) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port)).context(|| format!("cannot listen on port {port}"))?;
    let limit = Some(Duration::from_secs(10));
    socket.set_read_timeout(limit).context(|| "cannot set a timeout".to_owned())?;
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    let mut kept = 0;
    while kept < count {
        let (length, from) = socket.recv_from(&mut buffer).context(|| "nothing to record came".to_owned())?;
        if from.ip() == source {
            all.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
            all.extend_from_slice(&buffer[..length]);
            kept += 1;
        }
    }
    fs::write(file, all).context(|| format!("cannot write {}", file.display()))
}

/// Sends what was recorded to each of `targets`, `rounds` times over; gives the number of datagrams sent.
///
/// # Errors
/// The file cannot be read or is no record, or nothing can be sent.
pub fn replay(file: &Path, targets: &[SocketAddr], rounds: u32) -> Result<u32> {
    let all = fs::read(file).context(|| format!("cannot read {}", file.display()))?;
    let datagrams = packets(&all)?;
    let socket = sender()?;
    let mut sent = 0;
    for _ in 0..rounds {
        for datagram in &datagrams {
            for target in targets {
                sent += u32::from(socket.send_to(datagram, target).is_ok());
            }
        }
    }
    Ok(sent)
}

/// The datagrams of a record.
///
/// # Errors
/// It is none.
pub fn packets(record: &[u8]) -> Result<Vec<&[u8]>> {
    let mut all = Vec::new();
    let mut rest = record;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        let (datagram, more) =
            tail.split_at_checked(length).ok_or_else(|| LabError::new("this is no record"))?;
        all.push(datagram);
        rest = more;
    }
    Ok(all)
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

    #[test]
    fn a_flood_of_forgeries_keeps_to_its_rate_and_shares_it() {
        let here: Vec<UdpSocket> =
            (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
        let targets: Vec<SocketAddr> = here.iter().map(|s| s.local_addr().expect("its address")).collect();
        let offered = forged("lab", &targets, 1000, Duration::from_millis(100)).expect("sent");
        assert!(offered.sent <= 101 && offered.sent > 0, "{offered:?}");
        for socket in &here {
            socket.set_nonblocking(true).expect("non-blocking");
            let mut got = 0_u64;
            let mut buffer = [0; 200];
            while let Ok(length) = socket.recv(&mut buffer) {
                assert_eq!((length, &buffer[..2]), (100, &b"hb"[..]));
                got += 1;
            }
            assert!(got.abs_diff(offered.sent / 2) <= 1, "{got} of {offered:?}");
        }
    }

    #[test]
    fn what_was_recorded_is_replayed() {
        let file = std::env::temp_dir().join(format!("hb-lab-record-{}", std::process::id()));
        fs::write(&file, b"\0\0\0\x02hb\0\0\0\0\0\0\0\x01x").expect("written");
        let here = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let target = here.local_addr().expect("its address");
        assert_eq!(replay(&file, &[target], 2).expect("sent"), 6);
        let mut buffer = [0; 10];
        let lengths: Vec<usize> = (0..6).map(|_| here.recv(&mut buffer).expect("received")).collect();
        assert_eq!(lengths, [2, 0, 1, 2, 0, 1]);
        fs::write(&file, b"\0\0\0\x09hb").expect("written");
        assert!(replay(&file, &[target], 1).is_err());
        fs::remove_file(&file).expect("removed");
    }
}
