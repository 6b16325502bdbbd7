//! What IPVS counts, per service and per destination.

use crate::netlink::wire::{Attributes, number32, number64};

/// Counters since the entry was made (or zeroed), and rates over the last seconds. The kernel brings them up to date
/// every two seconds or so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients, where they come back through here (masquerading).
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets from clients per second.
    pub in_packet_rate: u64,
    /// Packets to clients per second.
    pub out_packet_rate: u64,
    /// Bytes from clients per second.
    pub in_byte_rate: u64,
    /// Bytes to clients per second.
    pub out_byte_rate: u64,
}

impl Stats {
    /// Reads the attributes of a nest; numbers are 64 bits in the newer nest and mostly 32 in the older one.
    pub(super) fn parse(nest: &[u8]) -> Stats {
        let mut stats = Stats::default();
        for (kind, payload) in Attributes::after(nest, 0) {
            let Some(value) = number64(payload, 0).or_else(|| number32(payload, 0).map(u64::from)) else {
                continue;
            };
            let place = match kind {
                1 => &mut stats.connections,
                2 => &mut stats.in_packets,
                3 => &mut stats.out_packets,
                4 => &mut stats.in_bytes,
                5 => &mut stats.out_bytes,
                6 => &mut stats.connection_rate,
                7 => &mut stats.in_packet_rate,
                8 => &mut stats.out_packet_rate,
                9 => &mut stats.in_byte_rate,
                10 => &mut stats.out_byte_rate,
                _ => continue,
            };
            *place = value;
        }
        stats
    }
}
