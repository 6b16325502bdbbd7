//! Which interface leads to an address (RTM_NEWROUTE, rtnetlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{Attributes, number32};

/// The on-link network an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface.
    pub ifindex: u32,
    /// The network's prefix length, the one a virtual address there should have.
    pub prefix: u8,
}

/// Size of `struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type (u8 each), flags u32.
pub(super) const HEADER: usize = 12;

const RTN_UNICAST: u8 = 1;
/// The next hop is dead or its carrier lost (RTNH_F_DEAD, linux/rtnetlink.h).
const DEAD: u32 = 1;
/// A cached copy, not a configured route (RTM_F_CLONED).
const CLONED: u32 = 0x200;

/// An on-link route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnLink {
    pub(super) network: IpAddr,
    pub(super) prefix: u8,
    pub(super) metric: u32,
    pub(super) ifindex: u32,
}

/// The body of a route message; `None` unless it is an on-link route of the main table with one interface.
///
/// Prefix length 0 is left out: "everything is on this wire" is no network a virtual address could belong to.
pub(super) fn parse(body: &[u8]) -> Option<OnLink> {
    let header = body.get(..HEADER)?;
    let (family, prefix, kind) = (i32::from(header[0]), header[1], header[7]);
    let flags = number32(header, 8)?;
    if kind != RTN_UNICAST || prefix == 0 || flags & (DEAD | CLONED) != 0 {
        return None;
    }
    let mut table = u32::from(header[4]);
    let mut metric = 0;
    let (mut network, mut ifindex) = (None, None);
    for (kind, payload) in Attributes::after(body, HEADER) {
        match kind {
            libc::RTA_DST => network = address(family, payload),
            libc::RTA_OIF => ifindex = number32(payload, 0),
            libc::RTA_PRIORITY => metric = number32(payload, 0)?,
            libc::RTA_TABLE => table = number32(payload, 0)?,
            libc::RTA_GATEWAY | libc::RTA_VIA | libc::RTA_MULTIPATH => return None,
            _ => {}
        }
    }
    (table == u32::from(libc::RT_TABLE_MAIN)).then_some(())?;
    Some(OnLink { network: network?, prefix, metric, ifindex: ifindex? })
}

/// A dump request for the main table of one family.
pub(super) fn dump_header(family: u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = family;
    header[4] = libc::RT_TABLE_MAIN;
    header
}

/// The networks on the wire, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct Networks(pub(super) Vec<OnLink>);

impl Networks {
    /// The interface and prefix length a virtual address gets when the configuration names neither: those of the longest network
    /// that contains it, the lowest metric deciding between equals (what Heartbeat's IPaddr did); with an interface, of
    /// those on it. `None` when there is no such network; a default route is none.
    pub fn to(&self, ip: IpAddr, on: Option<u32>) -> Option<Route> {
        best(self.0.iter().filter(|route| on.is_none_or(|index| route.ifindex == index)), ip)
    }
}

/// The route to use for `ip`: the longest network that contains it, then the lowest metric.
pub(super) fn best<'r>(routes: impl IntoIterator<Item = &'r OnLink>, ip: IpAddr) -> Option<Route> {
    let fits = routes.into_iter().filter(|route| same_network(route.network, ip, route.prefix));
    let best = fits.min_by_key(|route| (std::cmp::Reverse(route.prefix), route.metric))?;
    Some(Route { ifindex: best.ifindex, prefix: best.prefix })
}

/// AF_INET or AF_INET6, as the one byte the kernel's structures have for it.
pub(super) fn family(ip: IpAddr) -> u8 {
    let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or(0)
}

/// An address attribute of the given family; `None` when its length does not fit.
pub(super) fn address(family: i32, payload: &[u8]) -> Option<IpAddr> {
    match family {
        libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(payload).ok()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(payload).ok()?).into()),
        _ => None,
    }
}

/// Whether both addresses are of one family and agree in their first `prefix` bits.
pub(super) fn same_network(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let (one, other, width) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let ignored = width - u32::from(prefix).min(width);
    (one ^ other).checked_shr(ignored).unwrap_or(0) == 0
}
