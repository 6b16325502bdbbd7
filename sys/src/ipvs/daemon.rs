//! The synchronisation daemons: what tells the other director of the connections, and what listens.

use std::fmt;
use std::net::IpAddr;

use super::numbers::{daemon as attribute, top};
use super::service::{Family, read_address};
use crate::netlink::generic::terminated;
use crate::netlink::wire::{Attributes, Writer, number16, number32, text};

/// Which of the two daemons; a machine may run both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Tells of every change of a connection, by multicast.
    Master,
    /// Listens, and has the connections ready.
    Backup,
}

impl Role {
    fn number(self) -> u32 {
        match self {
            Role::Master => 1,
            Role::Backup => 2,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::Master => "master",
            Role::Backup => "backup",
        })
    }
}

/// A synchronisation daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Which.
    pub role: Role,
    /// The interface it sends to or listens on.
    pub interface: String,
    /// Tells several pairs on a network apart: 0 to 255.
    pub id: u32,
    /// The longest message, in bytes; `None`: what the interface carries.
    pub max_length: Option<u16>,
    /// The multicast group; `None`: 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; `None`: 8848.
    pub port: Option<u16>,
    /// How many routers a message may pass; `None`: 1, none.
    pub ttl: Option<u8>,
}

impl Daemon {
    /// A daemon with everything else as the kernel likes it.
    pub fn new(role: Role, interface: impl Into<String>, id: u32) -> Daemon {
        Daemon { role, interface: interface.into(), id, max_length: None, group: None, port: None, ttl: None }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.nest(top::DAEMON, |writer| {
            writer.attribute(attribute::STATE, &self.role.number().to_ne_bytes());
            writer.attribute(attribute::MCAST_IFN, &terminated(&self.interface));
            writer.attribute(attribute::SYNC_ID, &self.id.to_ne_bytes());
            if let Some(length) = self.max_length {
                writer.attribute(attribute::SYNC_MAXLEN, &length.to_ne_bytes());
            }
            if let Some(port) = self.port {
                writer.attribute(attribute::MCAST_PORT, &port.to_ne_bytes());
            }
            if let Some(ttl) = self.ttl {
                writer.attribute(attribute::MCAST_TTL, &[ttl]);
            }
            match self.group {
                Some(IpAddr::V4(group)) => writer.attribute(attribute::MCAST_GROUP, &group.octets()),
                Some(IpAddr::V6(group)) => writer.attribute(attribute::MCAST_GROUP6, &group.octets()),
                None => {}
            }
        });
    }

    /// Reads one daemon of a dump.
    pub(super) fn parse(nest: &[u8]) -> Option<Daemon> {
        let mut daemon = Daemon::new(Role::Master, "", 0);
        let mut role = None;
        for (kind, payload) in Attributes::after(nest, 0) {
            match kind {
                attribute::STATE => {
                    let number = number32(payload, 0)?;
                    role = [Role::Master, Role::Backup].into_iter().find(|role| role.number() == number);
                }
                attribute::MCAST_IFN => daemon.interface = text(payload),
                attribute::SYNC_ID => daemon.id = number32(payload, 0)?,
                attribute::SYNC_MAXLEN => daemon.max_length = number16(payload, 0),
                attribute::MCAST_GROUP => daemon.group = read_address(Family::V4, payload),
                attribute::MCAST_GROUP6 => daemon.group = read_address(Family::V6, payload),
                attribute::MCAST_PORT => daemon.port = number16(payload, 0),
                attribute::MCAST_TTL => daemon.ttl = payload.first().copied(),
                _ => {}
            }
        }
        role.map(|role| Daemon { role, ..daemon })
    }
}

/// Writes what ends a daemon: its role counts.
pub(super) fn write_stop(writer: &mut Writer, role: Role) {
    Daemon::new(role, "", 0).write(writer);
}
