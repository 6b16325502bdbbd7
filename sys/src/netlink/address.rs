//! Addresses (RTM_NEWADDR, RTM_DELADDR, rtnetlink(7), linux/if_addr.h).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::route::{address, family};
use super::wire::{Attributes, Writer, number32, text};

/// An address as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface it is on.
    pub ifindex: u32,
    /// The address itself (of a point-to-point link: the local end).
    pub ip: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// IPv4: its label, by default the interface's name. IPv6 has none.
    pub label: Option<String>,
    /// Who set it (IFA_PROTO): 0 unknown, 1 loopback, 2 router advertisement, 3 link-local, others as they please.
    /// Kernels before 5.18 always say 0.
    pub mark: u8,
    /// `IFA_F_*` bits.
    pub flags: u32,
    /// What is left of its valid lifetime, in whole seconds; `None` is for ever.
    pub valid: Option<Duration>,
}

impl Address {
    /// Duplicate address detection still runs: the address cannot be used yet (IPv6).
    pub fn tentative(&self) -> bool {
        // An optimistic address is tentative and usable.
        self.flags & libc::IFA_F_TENTATIVE != 0 && self.flags & libc::IFA_F_OPTIMISTIC == 0
    }

    /// Duplicate address detection found another owner: the address is not used (IPv6).
    pub fn dad_failed(&self) -> bool {
        self.flags & libc::IFA_F_DADFAILED != 0
    }

    /// Others are preferred to it: its preferred lifetime is over.
    pub fn deprecated(&self) -> bool {
        self.flags & libc::IFA_F_DEPRECATED != 0
    }

    /// The route to its network was not set with it.
    pub fn no_network_route(&self) -> bool {
        self.flags & libc::IFA_F_NOPREFIXROUTE != 0
    }

    /// Another address of the same network was on the interface before (IPv4).
    pub fn secondary(&self) -> bool {
        self.ip.is_ipv4() && self.flags & libc::IFA_F_SECONDARY != 0
    }

    /// The key under which it is removed.
    pub fn key(&self) -> AddressKey {
        AddressKey { ifindex: self.ifindex, ip: self.ip, prefix: self.prefix }
    }
}

/// An address to set, or to renew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// The interface.
    pub ifindex: u32,
    /// The address.
    pub ip: IpAddr,
    /// Its prefix length: 0..=32 or 0..=128.
    pub prefix: u8,
    /// IPv4: a label of 1 to 15 bytes (by custom `eth0:1`); `None` is the interface's name. Ignored for IPv6, and
    /// for an address that is there already.
    pub label: Option<String>,
    /// IPv4: the broadcast address to note with it. Ignored for IPv6, and for an address that is there already.
    pub broadcast: Option<Ipv4Addr>,
    /// How long the kernel keeps it; `None` is without end. The kernel counts in seconds: fractions are rounded up,
    /// and less than one second is one.
    pub lifetime: Option<Duration>,
    /// Who set it (IFA_PROTO), to be recognised later; 0 says nothing.
    pub mark: u8,
}

impl AddressSet {
    /// The key under which it is removed.
    pub fn key(&self) -> AddressKey {
        AddressKey { ifindex: self.ifindex, ip: self.ip, prefix: self.prefix }
    }
}

/// What identifies an address to the kernel: all three must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey {
    /// The interface.
    pub ifindex: u32,
    /// The address.
    pub ip: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
}

impl std::fmt::Display for AddressKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{} on interface {}", self.ip, self.prefix, self.ifindex)
    }
}

/// What removing an address came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was there, and is no longer.
    Gone,
    /// It was not there: nothing was done.
    WasNotThere,
}

/// Size of `struct ifaddrmsg`: family u8, prefix length u8, flags u8, scope u8, index u32.
pub(super) const HEADER: usize = 8;

/// Which program set the address (linux/if_addr.h, since Linux 5.18).
const IFA_PROTO: u16 = 11;
/// The kernel's "for ever" among seconds (INFINITY_LIFE_TIME).
const FOREVER: u32 = u32::MAX;
/// The longest label: IFNAMSIZ without its NUL.
pub(super) const LABEL_MAX: usize = 15;

/// Seconds as the kernel wants them: rounded up, at least 1, never by accident "for ever".
fn seconds(lifetime: Option<Duration>) -> u32 {
    lifetime.map_or(FOREVER, |lifetime| {
        let whole = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
        u32::try_from(whole).unwrap_or(FOREVER).clamp(1, FOREVER - 1)
    })
}

fn header(key: &AddressKey, flags: u8, scope: u8) -> [u8; HEADER] {
    let index = key.ifindex.to_ne_bytes();
    [family(key.ip), key.prefix, flags, scope, index[0], index[1], index[2], index[3]]
}

fn octets(ip: &IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Writes the RTM_NEWADDR for one address. `shared` says that the network's route belongs to another address.
pub(super) fn write_set(writer: &mut Writer, sequence: u32, set: &AddressSet, shared: bool) {
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let scope = if set.ip.is_loopback() { libc::RT_SCOPE_HOST } else { libc::RT_SCOPE_UNIVERSE };
    writer.message(libc::RTM_NEWADDR, flags.cast_unsigned() as u16, sequence, &header(&set.key(), 0, scope));
    let ip = octets(&set.ip);
    writer.attribute(libc::IFA_LOCAL, &ip);
    writer.attribute(libc::IFA_ADDRESS, &ip);
    if set.ip.is_ipv4() {
        if let Some(broadcast) = set.broadcast {
            writer.attribute(libc::IFA_BROADCAST, &broadcast.octets());
        }
        if let Some(label) = set.label.as_ref().filter(|label| !label.is_empty()) {
            writer.attribute(libc::IFA_LABEL, &[label.as_bytes(), b"\0"].concat());
        }
    } else {
        // Without NODAD the address would be useless for two seconds, and the detection could find the dying peer.
        let route = if shared { libc::IFA_F_NOPREFIXROUTE } else { 0 };
        writer.attribute(libc::IFA_FLAGS, &(libc::IFA_F_NODAD | route).to_ne_bytes());
    }
    let life = seconds(set.lifetime).to_ne_bytes();
    // struct ifa_cacheinfo: preferred, valid, and two stamps that only the kernel writes. Preferred = valid, so
    // that it never becomes deprecated while it is ours.
    writer.attribute(libc::IFA_CACHEINFO, &[life, life, [0; 4], [0; 4]].concat());
    if set.mark != 0 {
        writer.attribute(IFA_PROTO, &[set.mark]);
    }
}

/// Writes the RTM_DELADDR for one address.
pub(super) fn write_remove(writer: &mut Writer, sequence: u32, key: &AddressKey) {
    let flags = libc::NLM_F_REQUEST.cast_unsigned() as u16;
    writer.message(libc::RTM_DELADDR, flags, sequence, &header(key, 0, 0));
    let ip = octets(&key.ip);
    writer.attribute(libc::IFA_LOCAL, &ip);
    writer.attribute(libc::IFA_ADDRESS, &ip);
}

/// A dump request for the addresses of one family, or of both with AF_UNSPEC.
pub(super) fn dump_header(family: u8) -> [u8; HEADER] {
    [family, 0, 0, 0, 0, 0, 0, 0]
}

/// The body of an address message; `None` when it is too short or has no address.
pub(super) fn parse(body: &[u8]) -> Option<Address> {
    let header = body.get(..HEADER)?;
    let kind = i32::from(header[0]);
    let (mut local, mut remote, mut cache, mut label) = (None, None, None, None);
    let (mut mark, mut flags) = (0, u32::from(header[2]));
    for (attribute, payload) in Attributes::after(body, HEADER) {
        match attribute {
            libc::IFA_LOCAL => local = address(kind, payload),
            libc::IFA_ADDRESS => remote = address(kind, payload),
            libc::IFA_LABEL => label = Some(text(payload)),
            libc::IFA_FLAGS => flags = number32(payload, 0).unwrap_or(flags),
            libc::IFA_CACHEINFO => cache = number32(payload, 4),
            IFA_PROTO => mark = payload.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    Some(Address {
        ifindex: number32(header, 4)?,
        ip: local.or(remote)?,
        prefix: header[1],
        label,
        mark,
        flags,
        valid: cache.filter(|left| *left != FOREVER).map(|left| Duration::from_secs(left.into())),
    })
}
