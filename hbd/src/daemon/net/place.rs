//! Where an address belongs: interface, prefix length, broadcast address.

use std::net::IpAddr;

use sys::netlink::{Address, AddressSet, Link, Netlink, broadcast_address};

use crate::config::AddressSpec;

/// hbd's own addresses carry this in `IFA_PROTO` (see docs/design.md).
pub const MARK: u8 = 0x68;

/// The interfaces, read once for an operation.
#[derive(Debug)]
pub struct Interfaces(Vec<Link>);

impl Interfaces {
    /// As the kernel has them now.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn read(netlink: &mut Netlink) -> Result<Interfaces, String> {
        netlink.links().map(Interfaces).map_err(|error| error.to_string())
    }

    /// All of them.
    pub fn all(&self) -> &[Link] {
        &self.0
    }

    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.0.iter().find(|link| link.name == name)
    }

    /// The interface of that number.
    pub fn numbered(&self, index: u32) -> Option<&Link> {
        self.0.iter().find(|link| link.index == index)
    }
}

/// What is to be set for `spec`, without end.
///
/// Interface and prefix length not given are those of the network on this machine that contains the address.
///
/// # Errors
/// A sentence that says what is missing.
pub fn place(
    spec: &AddressSpec,
    interfaces: &Interfaces,
    netlink: &mut Netlink,
) -> Result<AddressSet, String> {
    let ip = spec.ip;
    let network = if spec.interface.is_none() || spec.prefix.is_none() {
        netlink.route_to(ip).map_err(|error| error.to_string())?
    } else {
        None
    };
    let link = match (&spec.interface, &network) {
        (Some(name), _) => interfaces.named(name).ok_or_else(|| format!("there is no interface {name}"))?,
        (None, Some(network)) => interfaces
            .numbered(network.ifindex)
            .ok_or_else(|| format!("the interface that leads to {ip} went away"))?,
        (None, None) => {
            return Err(format!(
                "no network on this machine contains {ip}: name its interface (IPaddr::{ip}/PREFIX/INTERFACE)"
            ));
        }
    };
    if !link.up {
        return Err(format!("interface {} is down", link.name));
    }
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let of_network = network.filter(|network| network.ifindex == link.index).map(|network| network.prefix);
    let prefix = spec.prefix.or(of_network).unwrap_or(whole);
    let broadcast = match ip {
        IpAddr::V4(ip) => spec.broadcast.or_else(|| broadcast_address(ip, prefix)),
        IpAddr::V6(_) => None,
    };
    Ok(AddressSet {
        ifindex: link.index,
        ip,
        prefix,
        label: spec.label.clone(),
        broadcast,
        lifetime: None,
        mark: MARK,
    })
}

/// Whether `address` is what `spec` means: the same address, where the specification says where.
pub fn is(address: &Address, spec: &AddressSpec, interfaces: &Interfaces) -> bool {
    address.ip == spec.ip
        && spec
            .interface
            .as_ref()
            .is_none_or(|name| interfaces.named(name).is_some_and(|link| link.index == address.ifindex))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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
