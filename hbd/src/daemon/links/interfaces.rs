//! How the interface of a link is, as the kernel tells it.

use std::net::IpAddr;

use crate::config::LinkKind;

/// A network interface, as the net thread has it from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number of it; another one after it was made anew.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Switched on.
    pub up: bool,
    /// Switched on and with a carrier.
    pub running: bool,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Its addresses, without those the cluster moves.
    pub addresses: Vec<IpAddr>,
}

/// What a link has to do with an interface now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ground {
    /// The interface's number, if it is there.
    pub(super) index: Option<u32>,
    /// The most that goes over it in one piece, in bytes of a heartbeat.
    pub(super) room: Option<usize>,
    /// Why nothing can go over it.
    pub(super) wrong: Option<String>,
}

/// IP and UDP headers, in bytes.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// The ground on which a link of that kind stands.
pub(super) fn ground(kind: &LinkKind, all: &[Interface]) -> Ground {
    let named = |name: &str| all.iter().find(|one| one.name == name);
    let (found, headers, missing) = match kind {
        LinkKind::Serial { .. } => return Ground::default(),
        LinkKind::Bcast { interface, .. } => (named(interface), HEADERS_V4, no_interface(interface)),
        LinkKind::Mcast { interface, group, .. } => {
            let headers = if group.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
            (named(interface), headers, no_interface(interface))
        }
        LinkKind::Ucast { local, interface, .. } => {
            let headers = if local.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
            let holder = all.iter().find(|one| one.addresses.contains(local));
            match interface.as_deref() {
                // An address of the loopback's network need not be listed to be there.
                _ if local.is_loopback() => return Ground::default(),
                Some(name) if named(name).is_none() => (None, headers, no_interface(name)),
                // It may stand on another interface than the one it goes out by.
                Some(name) if holder.is_some() => (named(name), headers, String::new()),
                _ => (holder, headers, format!("the address {local} is on no interface of this machine")),
            }
        }
    };
    let Some(interface) = found else { return Ground { wrong: Some(missing), ..Ground::default() } };
    let wrong = match (interface.up, interface.running) {
        (false, _) => Some(format!("{} is switched off (ip link set {0} up)", interface.name)),
        (true, false) => Some(format!("{} has no carrier", interface.name)),
        (true, true) => None,
    };
    let room = usize::try_from(interface.mtu).ok().map(|mtu| mtu.saturating_sub(headers));
    Ground { index: Some(interface.index), room, wrong }
}

fn no_interface(name: &str) -> String {
    format!("there is no interface {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        Interface { index, name: name.into(), up: true, running: true, mtu: 1500, addresses }
    }

    fn bcast(interface: &str) -> LinkKind {
        LinkKind::Bcast { interface: interface.into(), port: 694 }
    }

    fn ucast(local: &str, interface: Option<&str>) -> LinkKind {
        LinkKind::Ucast {
            local: local.parse().unwrap(),
            peers: Default::default(),
            interface: interface.map(str::to_owned),
            port: 694,
        }
    }

    #[test]
    fn what_is_wrong_with_the_ground_of_a_link() {
        let mut all = vec![interface(2, "eth0", &["10.0.0.1", "fd00::1"]), interface(3, "eth1", &[])];
        assert_eq!(ground(&bcast("eth1"), &all), Ground { index: Some(3), room: Some(1472), wrong: None });
        assert_eq!(ground(&ucast("fd00::1", None), &all).room, Some(1452));
        assert_eq!(ground(&ucast("10.0.0.1", Some("eth1")), &all).index, Some(3));
        let wrong = |kind: &LinkKind, all: &[Interface]| ground(kind, all).wrong.unwrap_or_default();
        assert_eq!(wrong(&bcast("eth9"), &all), "there is no interface eth9");
        assert_eq!(wrong(&ucast("10.0.0.1", Some("eth9")), &all), "there is no interface eth9");
        assert_eq!(
            wrong(&ucast("10.0.0.9", None), &all),
            "the address 10.0.0.9 is on no interface of this machine"
        );
        assert_eq!(ground(&ucast("127.0.0.9", None), &all), Ground::default());
        all[1].running = false;
        assert_eq!(wrong(&bcast("eth1"), &all), "eth1 has no carrier");
        all[1].up = false;
        assert_eq!(wrong(&bcast("eth1"), &all), "eth1 is switched off (ip link set eth1 up)");
    }
}
