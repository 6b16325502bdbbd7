//! Services: what clients connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::numbers::{self, service as attribute, top};
use super::stats::Stats;
use crate::netlink::generic::terminated;
use crate::netlink::wire::{Attributes, Writer, number16, number32, text};

/// The protocol of a service with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn number(self) -> u16 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    fn from_number(number: u16) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(super) fn number(self) -> u16 {
        match self {
            Family::V4 => libc::AF_INET as u16,
            Family::V6 => libc::AF_INET6 as u16,
        }
    }

    pub(super) fn from_number(number: u16) -> Option<Family> {
        [Family::V4, Family::V6].into_iter().find(|family| family.number() == number)
    }

    /// The netmask of a service that asked for none: one client is one address.
    fn whole_mask(self) -> u32 {
        match self {
            Family::V4 => u32::MAX,
            Family::V6 => 128,
        }
    }
}

/// What identifies a service to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// Packets to that address and port. Port 0 is every port, for persistent services only.
    Address(Protocol, SocketAddr),
    /// Packets that netfilter put this mark on.
    Mark(Family, u32),
}

impl ServiceKey {
    /// The family of its clients.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address(_, address) => Family::of(address.ip()),
            ServiceKey::Mark(family, _) => *family,
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.attribute(attribute::AF, &self.family().number().to_ne_bytes());
        match self {
            ServiceKey::Address(protocol, address) => {
                writer.attribute(attribute::PROTOCOL, &protocol.number().to_ne_bytes());
                writer.attribute(attribute::ADDR, &address_bytes(address.ip()));
                writer.attribute(attribute::PORT, &address.port().to_be_bytes());
            }
            ServiceKey::Mark(_, mark) => writer.attribute(attribute::FWMARK, &mark.to_ne_bytes()),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address(protocol, address) => write!(out, "{address}/{protocol}"),
            ServiceKey::Mark(Family::V4, mark) => write!(out, "fwmark {mark}"),
            ServiceKey::Mark(Family::V6, mark) => write!(out, "fwmark {mark} (IPv6)"),
        }
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is known by.
    pub key: ServiceKey,
    /// The scheduler: `wlc`, `rr`, … at most 15 characters.
    pub scheduler: String,
    /// The scheduler's flags, three bits. Of `sh` and `mh`: 1 fallback, 2 port.
    pub scheduler_flags: u8,
    /// For how many seconds a client stays with its real server; `None` is not at all.
    pub persistent: Option<u32>,
    /// Which clients are one: for IPv4 the netmask as a number (255.255.255.0 is 0xffffff00), for IPv6 a prefix length.
    /// `None` is each by itself. Only of interest with `persistent`.
    pub netmask: Option<u32>,
    /// The persistence engine: `sip`.
    pub engine: Option<String>,
    /// Every packet is scheduled by itself (UDP).
    pub one_packet: bool,
}

impl Service {
    /// The attributes of the service in a command, after those of its key.
    pub(super) fn write(&self, writer: &mut Writer) {
        self.key.write(writer);
        writer.attribute(attribute::SCHED_NAME, &terminated(&self.scheduler));
        if let Some(engine) = &self.engine {
            writer.attribute(attribute::PE_NAME, &terminated(engine));
        }
        writer.attribute(attribute::FLAGS, &self.flags());
        writer.attribute(attribute::TIMEOUT, &self.persistent.unwrap_or(0).to_ne_bytes());
        writer.attribute(attribute::NETMASK, &self.mask());
    }

    /// `struct ip_vs_flags`: the flags, and which of them count.
    fn flags(&self) -> [u8; 8] {
        let mut flags = u32::from(self.scheduler_flags) << numbers::SCHEDULER_SHIFT;
        flags |= if self.persistent.is_some() { numbers::PERSISTENT } else { 0 };
        flags |= if self.one_packet { numbers::ONE_PACKET } else { 0 };
        let [a, b, c, d] = flags.to_ne_bytes();
        [a, b, c, d, 0xff, 0xff, 0xff, 0xff]
    }

    /// The netmask: of IPv4 in network order, of IPv6 a plain number.
    fn mask(&self) -> [u8; 4] {
        let family = self.key.family();
        let mask = self.netmask.unwrap_or(family.whole_mask());
        match family {
            Family::V4 => mask.to_be_bytes(),
            Family::V6 => mask.to_ne_bytes(),
        }
    }
}

/// A service as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The service.
    pub service: Service,
    /// What it counted.
    pub stats: Stats,
}

/// Writes a service that is only the place of a destination: as ipvsadm does, with everything else at rest.
pub(super) fn write_bare(writer: &mut Writer, key: &ServiceKey) {
    let bare = Service {
        key: *key,
        scheduler: String::new(),
        scheduler_flags: 0,
        persistent: None,
        netmask: None,
        engine: None,
        one_packet: false,
    };
    writer.nest(top::SERVICE, |writer| bare.write(writer));
}

/// Reads one service of a dump. `None` for what is no service, or one of a protocol that is not known here.
pub(super) fn parse(nest: &[u8]) -> Option<ServiceState> {
    let (mut family, mut protocol, mut address, mut port, mut mark) = (None, None, None, 0, None);
    let (mut scheduler, mut engine, mut flags, mut timeout, mut mask) = (String::new(), None, 0, 0, None);
    let (mut stats, mut stats64) = (None, None);
    for (kind, payload) in Attributes::after(nest, 0) {
        match kind {
            attribute::AF => family = number16(payload, 0).and_then(Family::from_number),
            attribute::PROTOCOL => protocol = number16(payload, 0).and_then(Protocol::from_number),
            attribute::ADDR => address = Some(payload),
            attribute::PORT => port = port_number(payload)?,
            attribute::FWMARK => mark = number32(payload, 0),
            attribute::SCHED_NAME => scheduler = text(payload),
            attribute::PE_NAME => engine = Some(text(payload)).filter(|name| !name.is_empty()),
            attribute::FLAGS => flags = number32(payload, 0)?,
            attribute::TIMEOUT => timeout = number32(payload, 0)?,
            attribute::NETMASK => mask = payload.get(..4).and_then(|bytes| bytes.try_into().ok()),
            attribute::STATS => stats = Some(Stats::parse(payload)),
            attribute::STATS64 => stats64 = Some(Stats::parse(payload)),
            _ => {}
        }
    }
    let family = family?;
    let key = match mark {
        Some(mark) if mark != 0 => ServiceKey::Mark(family, mark),
        _ => ServiceKey::Address(protocol?, SocketAddr::new(read_address(family, address?)?, port)),
    };
    let mask = mask.map(|bytes| match family {
        Family::V4 => u32::from_be_bytes(bytes),
        Family::V6 => u32::from_ne_bytes(bytes),
    });
    Some(ServiceState {
        service: Service {
            key,
            scheduler,
            scheduler_flags: (flags >> numbers::SCHEDULER_SHIFT & 7) as u8,
            persistent: (flags & numbers::PERSISTENT != 0).then_some(timeout),
            netmask: mask.filter(|mask| *mask != family.whole_mask()),
            engine,
            one_packet: flags & numbers::ONE_PACKET != 0,
        },
        stats: stats64.or(stats).unwrap_or_default(),
    })
}

/// An address as IPVS carries it: 16 bytes, of which IPv4 uses the first four.
pub(super) fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The address in those bytes.
pub(super) fn read_address(family: Family, bytes: &[u8]) -> Option<IpAddr> {
    Some(match family {
        Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?).into(),
        Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?).into(),
    })
}

/// A port, in network order.
pub(super) fn port_number(payload: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(payload.get(..2)?.try_into().ok()?))
}
