//! Destinations: the real servers of a service.

use std::net::SocketAddr;

use super::numbers::{dest as attribute, top};
use super::service::{Family, address_bytes, port_number, read_address};
use super::stats::Stats;
use crate::netlink::wire::{Attributes, Writer, number16, number32};

/// How packets get to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// Masquerading (NAT): the destination is rewritten, answers come back through here.
    Masquerade,
    /// This machine itself, whatever the address says. Nobody asks for that: an address of this machine is found to be
    /// one when packets come.
    Local,
    /// In a tunnel.
    Tunnel(Tunnel),
    /// Direct routing: the packet unchanged, to the real server's link address.
    Direct,
    /// Past the cluster (a cache that is no use). The kernel's own.
    Bypass,
    /// A method of a newer kernel.
    Other(u32),
}

/// The packet around the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation to that port.
    Gue {
        /// Where the other end listens.
        port: u16,
        /// The outer packet's checksum.
        checksum: Checksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// The outer packet's checksum.
        checksum: Checksum,
    },
    /// A type of a newer kernel.
    Other(u8),
}

/// What protects the outer packet of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// Nothing.
    #[default]
    None,
    /// A checksum.
    Full,
    /// Remote checksum offload (GUE only).
    Remote,
}

impl Checksum {
    fn flags(self) -> u16 {
        match self {
            Checksum::None => 0,
            Checksum::Full => 1,
            Checksum::Remote => 2,
        }
    }

    fn from_flags(flags: u16) -> Checksum {
        match flags & 3 {
            0 => Checksum::None,
            1 => Checksum::Full,
            _ => Checksum::Remote,
        }
    }
}

impl Forward {
    fn number(self) -> u32 {
        match self {
            Forward::Masquerade => 0,
            Forward::Local => 1,
            Forward::Tunnel(_) => 2,
            Forward::Direct => 3,
            Forward::Bypass => 4,
            Forward::Other(number) => number,
        }
    }

    /// Type, port and flags of the tunnel; zeros where there is none.
    fn tunnel(self) -> (u8, u16, u16) {
        match self {
            Forward::Tunnel(Tunnel::Gue { port, checksum }) => (1, port, checksum.flags()),
            Forward::Tunnel(Tunnel::Gre { checksum }) => (2, 0, checksum.flags()),
            Forward::Tunnel(Tunnel::Other(kind)) => (kind, 0, 0),
            _ => (0, 0, 0),
        }
    }

    fn read(method: u32, (kind, port, flags): (u8, u16, u16)) -> Forward {
        match method {
            0 => Forward::Masquerade,
            1 => Forward::Local,
            2 => Forward::Tunnel(match kind {
                0 => Tunnel::Ipip,
                1 => Tunnel::Gue { port, checksum: Checksum::from_flags(flags) },
                2 => Tunnel::Gre { checksum: Checksum::from_flags(flags) },
                other => Tunnel::Other(other),
            }),
            3 => Forward::Direct,
            4 => Forward::Bypass,
            other => Forward::Other(other),
        }
    }
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its address and port; what identifies it within its service.
    pub address: SocketAddr,
    /// How packets get there.
    pub forward: Forward,
    /// Its share of new connections, up to [`super::WEIGHT_MAX`]; 0 is none.
    pub weight: u32,
    /// No new connections from so many on; 0 is no limit.
    pub upper_threshold: u32,
    /// After that, new ones again below so many; 0 leaves it to the kernel (three quarters of the upper one).
    pub lower_threshold: u32,
}

impl Destination {
    /// Only what identifies it, for removing it.
    pub fn bare(address: SocketAddr) -> Destination {
        let forward = Forward::Direct;
        Destination { address, forward, weight: 1, upper_threshold: 0, lower_threshold: 0 }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let family = Family::of(self.address.ip());
        let (tunnel, port, flags) = self.forward.tunnel();
        writer.nest(top::DEST, |writer| {
            writer.attribute(attribute::ADDR_FAMILY, &family.number().to_ne_bytes());
            writer.attribute(attribute::ADDR, &address_bytes(self.address.ip()));
            writer.attribute(attribute::PORT, &self.address.port().to_be_bytes());
            writer.attribute(attribute::FWD_METHOD, &self.forward.number().to_ne_bytes());
            writer.attribute(attribute::WEIGHT, &self.weight.to_ne_bytes());
            writer.attribute(attribute::TUN_TYPE, &[tunnel]);
            writer.attribute(attribute::TUN_PORT, &port.to_be_bytes());
            writer.attribute(attribute::TUN_FLAGS, &flags.to_ne_bytes());
            writer.attribute(attribute::U_THRESH, &self.upper_threshold.to_ne_bytes());
            writer.attribute(attribute::L_THRESH, &self.lower_threshold.to_ne_bytes());
        });
    }
}

/// A destination as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationState {
    /// The destination.
    pub destination: Destination,
    /// Connections in use.
    pub active: u32,
    /// Connections that are over, or (UDP, and TCP that is closing) may be.
    pub inactive: u32,
    /// Clients that will come back here.
    pub persistent: u32,
    /// What it counted.
    pub stats: Stats,
}

/// Reads one destination of a dump of a service of that family. `None` for what is none.
pub(super) fn parse(service: Family, nest: &[u8]) -> Option<DestinationState> {
    let (mut family, mut address, mut port, mut method, mut tunnel) = (service, None, 0, None, (0, 0, 0));
    let (mut weight, mut upper, mut lower) = (0, 0, 0);
    let (mut active, mut inactive, mut persistent) = (0, 0, 0);
    let (mut stats, mut stats64) = (None, None);
    for (kind, payload) in Attributes::after(nest, 0) {
        let number = number32(payload, 0).unwrap_or(0);
        match kind {
            attribute::ADDR_FAMILY => family = number16(payload, 0).and_then(Family::from_number)?,
            attribute::ADDR => address = Some(payload),
            attribute::PORT => port = port_number(payload)?,
            attribute::FWD_METHOD => method = Some(number),
            attribute::WEIGHT => weight = number,
            attribute::U_THRESH => upper = number,
            attribute::L_THRESH => lower = number,
            attribute::ACTIVE_CONNS => active = number,
            attribute::INACT_CONNS => inactive = number,
            attribute::PERSIST_CONNS => persistent = number,
            attribute::TUN_TYPE => tunnel.0 = payload.first().copied().unwrap_or(0),
            attribute::TUN_PORT => tunnel.1 = port_number(payload)?,
            attribute::TUN_FLAGS => tunnel.2 = number16(payload, 0)?,
            attribute::STATS => stats = Some(Stats::parse(payload)),
            attribute::STATS64 => stats64 = Some(Stats::parse(payload)),
            _ => {}
        }
    }
    Some(DestinationState {
        destination: Destination {
            address: SocketAddr::new(read_address(family, address?)?, port),
            forward: Forward::read(method?, tunnel),
            weight,
            upper_threshold: upper,
            lower_threshold: lower,
        },
        active,
        inactive,
        persistent,
        stats: stats64.or(stats).unwrap_or_default(),
    })
}
