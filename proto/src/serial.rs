//! Packets on a serial line: framing that finds its feet again whatever the line did to it.
//!
//! ```text
//!  ┌────┬──────────────────────────────────────────┬────┐
//!  │ 00 │ COBS( packet │ CRC-32, network order )   │ 00 │
//!  └────┴──────────────────────────────────────────┴────┘
//!        no byte in here is 00
//! ```
//!
//! Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7, 1999): a run of up to
//! 254 bytes that are not 00 is led by its length and one; a 00 is implied behind every run but the last and those of
//! 254. So 00 stands between frames and nowhere else: a reader that joins late, a sender that was reset, a lost byte or
//! a BREAK (which reads as 00) cost the frame they hit and none behind it. Each frame has a 00 at both ends, so that
//! noise between two frames, or one lost 00, costs neither.
//!
//! The CRC tells damage from forgery, before a key is taken into the hand; who made the packet is for
//! [`Keyring::open`](crate::Keyring::open) to say.

use crate::codec::MAX_PACKET;

/// Between frames.
const END: u8 = 0;
/// The longest run of bytes that are not 00.
const RUN: usize = 254;
/// The CRC-32 of IEEE 802.3 behind the packet.
const CRC: usize = 4;
/// No packet is shorter: its header.
const MIN_PACKET: usize = 13;

/// The most bytes a packet of `length` bytes takes on the line.
pub const fn longest_frame(length: usize) -> usize {
    let stuffed = length + CRC;
    stuffed + stuffed / RUN + 1 + 2
}

/// Appends `packet` as it goes over the line.
pub fn put_frame(out: &mut Vec<u8>, packet: &[u8]) {
    let crc = crc32fast::hash(packet).to_be_bytes();
    out.push(END);
    let mut code = out.len();
    out.push(1);
    let mut bytes = packet.iter().chain(&crc).peekable();
    while let Some(&byte) = bytes.next() {
        if byte != END {
            out.push(byte);
            out[code] += 1;
        }
        // A run of 254 implies no 00 behind it, and opens no other at the end.
        if byte == END || (out[code] == u8::MAX && bytes.peek().is_some()) {
            code = out.len();
            out.push(1);
        }
    }
    out.push(END);
}

/// What was wrong with the frames that were dropped, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Ended in the middle of a run: bytes were lost, or a BREAK came.
    pub cut: u64,
    /// Too short to hold a packet.
    pub short: u64,
    /// Longer than any packet.
    pub long: u64,
    /// Damaged.
    pub crc: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.cut + self.short + self.long + self.crc
    }
}

/// Finds the packets in what a line brings. Never holds more than one packet.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    /// A 00 was seen since the start or the last overlong frame.
    synced: bool,
    /// The frame so far, without its stuffing.
    frame: Vec<u8>,
    /// Bytes on the line since the last 00.
    raw: usize,
    /// Bytes of the run that are still to come.
    left: u8,
    /// The run, when it is over, implies a 00.
    owes: bool,
    /// The frame was handed out: begin anew.
    done: bool,
    dropped: Dropped,
}

impl Deframer {
    /// One that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one byte off the line; a packet if that ended a whole and undamaged frame.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if self.done {
            self.restart();
        }
        if byte == END {
            return self.end();
        }
        self.raw += 1;
        if !self.synced {
            return None;
        }
        if self.left == 0 {
            if self.owes {
                self.frame.push(0);
            }
            self.left = byte - 1;
            self.owes = usize::from(byte) <= RUN;
        } else {
            self.frame.push(byte);
            self.left -= 1;
        }
        if self.frame.len() > MAX_PACKET + CRC {
            self.dropped.long += 1;
            self.synced = false;
        }
        None
    }

    /// Bytes of a frame that has begun and not ended; 0 between frames.
    pub fn pending(&self) -> usize {
        if self.done || !self.synced { 0 } else { self.raw }
    }

    /// What was dropped since the start. What a reader that joins late sees of its first frame does not count.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The line is another one now: what came of a frame is forgotten, and the next 00 waited for.
    pub fn rejoin(&mut self) {
        self.synced = false;
        self.restart();
    }

    fn restart(&mut self) {
        self.frame.clear();
        (self.raw, self.left, self.owes, self.done) = (0, 0, false, false);
    }

    fn end(&mut self) -> Option<&[u8]> {
        self.done = true;
        let whole = std::mem::replace(&mut self.synced, true);
        if !whole || self.raw == 0 {
            return None;
        }
        if self.left > 0 {
            self.dropped.cut += 1;
            return None;
        }
        let Some((packet, crc)) = self.frame.split_last_chunk::<CRC>().filter(|(p, _)| p.len() >= MIN_PACKET)
        else {
            self.dropped.short += 1;
            return None;
        };
        if crc32fast::hash(packet).to_be_bytes() != *crc {
            self.dropped.crc += 1;
            return None;
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests;
