//! Where an address belongs: interface, prefix length, broadcast address.

use std::net::{IpAddr, Ipv4Addr};

use sys::netlink::{Address, AddressSet, Link, Netlink, Networks, broadcast_address};

use crate::config::AddressSpec;

/// hbd's own addresses carry this in `IFA_PROTO` (see docs/design.md).
pub const MARK: u8 = 0x68;

/// The interfaces and the networks on them, read once for an operation.
#[derive(Debug)]
pub struct Interfaces {
    links: Vec<Link>,
    networks: Networks,
}

impl Interfaces {
    /// As the kernel has them now; the networks only as far as these need them.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn read<'s>(
        netlink: &mut Netlink,
        specs: impl IntoIterator<Item = &'s AddressSpec>,
    ) -> Result<Interfaces, String> {
        let (mut v4, mut v6) = (false, false);
        for spec in specs.into_iter().filter(|spec| spec.interface.is_none() || spec.prefix.is_none()) {
            (v4, v6) = (v4 || spec.ip.is_ipv4(), v6 || spec.ip.is_ipv6());
        }
        let links = netlink.links().map_err(|error| error.to_string())?;
        let networks = netlink.networks(v4, v6).map_err(|error| error.to_string())?;
        Ok(Interfaces { links, networks })
    }

    /// All of them.
    pub fn all(&self) -> &[Link] {
        &self.links
    }

    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The interface of that number.
    pub fn numbered(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The interface that an address belongs to.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn home(&self, spec: &AddressSpec) -> Result<&Link, String> {
        let ip = spec.ip;
        if let Some(name) = &spec.interface {
            return self.named(name).ok_or_else(|| format!("there is no interface {name}"));
        }
        let network = self.networks.to(ip, None).ok_or_else(|| {
            format!(
                "no network on this machine contains {ip}: name its interface (IPaddr::{ip}/PREFIX/INTERFACE)"
            )
        })?;
        self.numbered(network.ifindex).ok_or_else(|| format!("the interface that leads to {ip} went away"))
    }
}

/// What is to be set for `spec`, without end.
///
/// Interface and prefix length not given are those of the network on this machine that contains the address.
///
/// # Errors
/// A sentence that says what is missing.
pub fn place(spec: &AddressSpec, interfaces: &Interfaces) -> Result<AddressSet, String> {
    let ip = spec.ip;
    let link = interfaces.home(spec)?;
    if !link.up {
        return Err(format!("interface {} is down", link.name));
    }
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let network = || interfaces.networks.to(ip, Some(link.index)).map(|network| network.prefix);
    let prefix = spec.prefix.or_else(network).unwrap_or(whole);
    Ok(AddressSet {
        ifindex: link.index,
        ip,
        prefix,
        label: spec.label.clone(),
        broadcast: broadcast(spec, prefix),
        lifetime: None,
        mark: MARK,
    })
}

/// The broadcast address of an address with this prefix length.
pub fn broadcast(spec: &AddressSpec, prefix: u8) -> Option<Ipv4Addr> {
    match spec.ip {
        IpAddr::V4(ip) => spec.broadcast.or_else(|| broadcast_address(ip, prefix)),
        IpAddr::V6(_) => None,
    }
}

/// Whether `address` is what `spec` means: the same address, where the specification says where.
pub fn is(address: &Address, spec: &AddressSpec, interfaces: &Interfaces) -> bool {
    address.ip == spec.ip
        && match &spec.interface {
            Some(name) => interfaces.named(name).is_some_and(|link| link.index == address.ifindex),
            // A real server of LVS has it on its loopback: that is another one.
            None => interfaces.numbered(address.ifindex).is_none_or(|link| !link.loopback),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_follows_from_the_prefix() {
        let of = |prefix| broadcast_address(Ipv4Addr::new(10, 77, 1, 1), prefix);
        assert_eq!(of(16), Some(Ipv4Addr::new(10, 77, 255, 255)));
        assert_eq!(of(24), Some(Ipv4Addr::new(10, 77, 1, 255)));
        assert_eq!(of(0), Some(Ipv4Addr::BROADCAST));
        assert_eq!(of(30), Some(Ipv4Addr::new(10, 77, 1, 3)));
        assert_eq!(of(31), None);
        assert_eq!(of(32), None);
    }
}
