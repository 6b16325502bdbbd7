//! Interfaces (RTM_NEWLINK, rtnetlink(7)).

use super::wire::{Attributes, number16, number32, text};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it; a deleted and recreated interface gets another one.
    pub index: u32,
    /// Its name: `eth0`.
    pub name: String,
    /// Switched on by the administrator (IFF_UP).
    pub up: bool,
    /// Has a carrier and may carry traffic (IFF_RUNNING, which the kernel derives from the operational state).
    pub running: bool,
    /// The loopback device.
    pub loopback: bool,
    /// Its hardware address; none for tunnels, and for others whose address is not 6 bytes long.
    pub mac: Option<[u8; 6]>,
    /// The largest packet, in bytes.
    pub mtu: u32,
}

/// Size of `struct ifinfomsg`: family u8, pad, type u16, index i32, flags u32, change u32.
pub(super) const HEADER: usize = 16;

/// The body of a link message; `None` when it is too short, or about something else than the interface itself.
///
/// A bridge sends RTM_DELLINK with family AF_BRIDGE when a port leaves it: the port still exists.
pub(super) fn parse(body: &[u8]) -> Option<Link> {
    if i32::from(*body.first()?) != libc::AF_UNSPEC {
        return None;
    }
    number16(body, 2)?;
    let flags = number32(body, 8)?;
    number32(body, 12)?;
    let has = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let mut link = Link {
        index: number32(body, 4)?,
        name: String::new(),
        up: has(libc::IFF_UP),
        running: has(libc::IFF_RUNNING),
        loopback: has(libc::IFF_LOOPBACK),
        mac: None,
        mtu: 0,
    };
    for (kind, payload) in Attributes::after(body, HEADER) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(payload),
            libc::IFLA_ADDRESS => link.mac = payload.try_into().ok(),
            libc::IFLA_MTU => link.mtu = number32(payload, 0).unwrap_or(0),
            _ => {}
        }
    }
    Some(link)
}

/// A dump request for all links.
pub(super) fn dump_header() -> [u8; HEADER] {
    [0; HEADER]
}

/// IFLA_INET_CONF and the number of promote_secondaries within it (linux/if_link.h, linux/ip.h).
const IFLA_INET_CONF: u16 = 1;
const PROMOTE_SECONDARIES: u16 = 20;
/// Marks an attribute made of attributes (linux/netlink.h).
const NESTED: u16 = 0x8000;

/// The body and the one attribute of an RTM_SETLINK that turns on promote_secondaries for one interface.
pub(super) fn promote_secondaries(index: u32) -> ([u8; HEADER], u16, Vec<u8>) {
    let mut body = [0; HEADER];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut value = attribute(PROMOTE_SECONDARIES, &1u32.to_ne_bytes());
    value = attribute(IFLA_INET_CONF | NESTED, &value);
    value = attribute(u16::try_from(libc::AF_INET).unwrap_or(2) | NESTED, &value);
    (body, libc::IFLA_AF_SPEC | NESTED, value)
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat()
}
