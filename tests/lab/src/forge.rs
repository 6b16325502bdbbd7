//! What a forger makes of a real packet, and which reason a node is to count it by. From docs/protocol.md alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::error::Context;
use crate::{LabError, Result};

/// Magic, version, method, key id, cluster id.
const HEADER: usize = 13;
/// No packet is longer.
const LONGEST: usize = 9216;
/// Of sha256 and md5.
const TAG: usize = 16;

/// Every forgery of one packet with the reason it is to be counted by: each bit flipped, cut at each length, longer than
/// it was, every other method and key, no tag, another major version.
pub fn forgeries(packet: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    for bit in 0..packet.len() * 8 {
        let mut bytes = packet.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let reason = match bit / 8 {
            0 | 1 => "magic",
            2 if bit % 8 >= 4 => "version",
            3 => "method",
            4 => "unknown_key",
            5..HEADER => "foreign_cluster",
            _ => "tag",
        };
        all.push((reason, bytes));
    }
    for length in 0..packet.len() {
        let reason = if length < HEADER + TAG { "too_short" } else { "tag" };
        all.push((reason, packet[..length].to_vec()));
    }
    all.push(("tag", [packet, &[0]].concat()));
    all.push(("too_long", [packet, &[0; LONGEST]].concat()));
    for (offset, reason) in [(3, "method"), (4, "unknown_key")] {
        for value in (0..=255).filter(|value| *value != packet[offset]) {
            let mut bytes = packet.to_vec();
            bytes[offset] = value;
            all.push((reason, bytes));
        }
    }
    let mut bytes = packet.to_vec();
    let tag = bytes.len() - TAG;
    bytes[tag..].fill(0);
    all.push(("tag", bytes));
    all
}

/// Sends the forgeries of every recorded packet (see [`crate::flood::record`]) to `target`; gives how many by reason.
/// Slow enough for nothing to be lost on the way.
///
/// # Errors
/// The record cannot be read, or a datagram not be sent.
pub fn forge(record: &Path, target: SocketAddr) -> Result<BTreeMap<&'static str, u64>> {
    let socket = UdpSocket::bind("0.0.0.0:0").context(|| "cannot make a socket".to_owned())?;
    let all = fs::read(record).context(|| format!("cannot read {}", record.display()))?;
    let mut counts = BTreeMap::new();
    for packet in crate::flood::packets(&all)? {
        if packet.len() < HEADER + TAG {
            return Err(LabError(format!("{} holds what is no packet", record.display())));
        }
        for (number, (reason, bytes)) in forgeries(packet).into_iter().enumerate() {
            socket.send_to(&bytes, target).context(|| format!("cannot send to {target}"))?;
            *counts.entry(reason).or_default() += 1;
            if number % 16 == 0 {
                sleep(Duration::from_millis(1));
            }
        }
    }
    Ok(counts)
}

/// What a packet says of itself in plain: who sent it, and the number it has; from docs/protocol.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The sender.
    pub name: String,
    /// Its key's number.
    pub key: u8,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its sequence.
    pub sequence: u64,
}

impl Beat {
    /// Reads the beginning of a packet; its tag is not looked at.
    pub fn read(packet: &[u8]) -> Option<Beat> {
        let key = *packet.get(4)?;
        let mut rest = packet.strip_prefix(b"hb")?.get(HEADER - 2..)?;
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let incarnation = varint(&mut rest)?;
        rest = rest.get(8..)?;
        Some(Beat {
            name: String::from_utf8(name.to_vec()).ok()?,
            key,
            incarnation,
            sequence: varint(&mut rest)?,
        })
    }
}

/// Prints a line `NAME KEY INCARNATION SEQUENCE` for each heartbeat that comes to `port`, for ever.
///
/// # Errors
/// The port is taken.
pub fn beats(port: u16) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port)).context(|| format!("cannot listen on port {port}"))?;
    let mut buffer = [0; 65536];
    loop {
        let length = socket.recv(&mut buffer).context(|| "cannot receive".to_owned())?;
        if let Some(Beat { name, key, incarnation, sequence }) = Beat::read(&buffer[..length]) {
            println!("{name} {key} {incarnation} {sequence}");
        }
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_the_documents_heartbeat() {
        let head = b"hb\x10\x01\x01\x12\xa5\x77\x19\x1d\xf7\x9a\xfc\x05midas\x07\x01\x23\x45\x67\x89\xab\xcd\xef\xe8\x07";
        let beat = Beat { name: "midas".to_owned(), key: 1, incarnation: 7, sequence: 1000 };
        assert_eq!(Beat::read(head), Some(beat));
        for length in 0..head.len() {
            assert_eq!(Beat::read(&head[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn no_forgery_is_the_packet_itself_and_all_are_different_from_it() {
        let packet: Vec<u8> = b"hb\x10\x01\x01".iter().copied().chain(0..80).collect();
        let all = forgeries(&packet);
        assert!(all.iter().all(|(_, bytes)| *bytes != packet));
        assert_eq!(all.len(), packet.len() * 8 + packet.len() + 2 + 255 * 2 + 1);
    }
}
