//! What this machine is set to, as far as it matters to a real server.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sys::netlink::Netlink;

use crate::table::Protocol;

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// `net.ipv4.conf.NAME.…`, of which the kernel takes the greater of it and `all`.
    pub settings: Settings,
}

/// The settings of an interface, or of `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// 0 answers ARP for every address of the machine.
    pub arp_ignore: u32,
    /// 0 asks by ARP with any address.
    pub arp_announce: u32,
    /// 1 drops what comes from where no answer would go.
    pub rp_filter: u32,
}

impl Settings {
    /// What counts on an interface with these settings, beside those of `all` (ip-sysctl).
    pub fn effective(self, all: Settings) -> Settings {
        Settings {
            arp_ignore: self.arp_ignore.max(all.arp_ignore),
            arp_announce: self.arp_announce.max(all.arp_announce),
            rp_filter: self.rp_filter.max(all.rp_filter),
        }
    }
}

/// What this machine is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// `net.ipv4.conf.all.…`.
    pub all: Settings,
    /// Who listens, on which protocol.
    pub listening: Vec<(Protocol, SocketAddr)>,
    /// Addresses that `real-server dr --redirect` redirects here.
    pub redirected: Vec<IpAddr>,
    /// The router that packets to a client would go through; `None` if there is no default route.
    pub routers: Vec<IpAddr>,
}

impl Facts {
    /// Of this machine, now.
    ///
    /// # Errors
    /// A sentence: the kernel does not tell.
    pub fn gather() -> Result<Facts, String> {
        let tell = |e| format!("the kernel does not tell its addresses: {e}");
        let mut netlink = Netlink::open().map_err(tell)?;
        let mut interfaces: BTreeMap<u32, Interface> = BTreeMap::new();
        for link in netlink.links().map_err(tell)? {
            let settings = settings(&link.name);
            let interface = Interface { settings, up: link.up, name: link.name, addresses: Vec::new() };
            interfaces.insert(link.index, interface);
        }
        for address in netlink.addresses().map_err(tell)? {
            if let Some(interface) = interfaces.get_mut(&address.ifindex) {
                interface.addresses.push(address.ip);
            }
        }
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut listening = Vec::new();
        for (protocol, path) in [
            (Protocol::Tcp, "/proc/thread-self/net/tcp"),
            (Protocol::Tcp, "/proc/thread-self/net/tcp6"),
            (Protocol::Udp, "/proc/thread-self/net/udp"),
            (Protocol::Udp, "/proc/thread-self/net/udp6"),
        ] {
            listening.extend(sockets(&text(path), protocol).into_iter().map(|address| (protocol, address)));
        }
        Ok(Facts {
            interfaces: interfaces.into_values().collect(),
            all: settings("all"),
            listening,
            redirected: redirected(),
            routers: routers(&text("/proc/thread-self/net/route")),
        })
    }

    /// The interface that has an address.
    pub fn holder(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.addresses.contains(&address))
    }
}

fn settings(interface: &str) -> Settings {
    let read = |key: &str| {
        let text =
            fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/{key}")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    Settings {
        arp_ignore: read("arp_ignore"),
        arp_announce: read("arp_announce"),
        rp_filter: read("rp_filter"),
    }
}

/// The local addresses of `/proc/net/tcp`, `tcp6`, `udp` or `udp6` (proc(5)) that wait for anybody: TCP in the state
/// LISTEN, UDP without a peer.
pub fn sockets(text: &str, protocol: Protocol) -> Vec<SocketAddr> {
    let waits = |state: &str| state == if protocol == Protocol::Tcp { "0A" } else { "07" };
    let local = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        waits(state).then(|| address(local)).flatten()
    };
    text.lines().skip(1).filter_map(local).collect()
}

/// `0100007F:0050`: words of four bytes as this machine has them in memory, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// The gateways of the default routes in `/proc/net/route`.
pub fn routers(text: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        let gateway = u32::from_str_radix(words.get(2)?, 16).ok()?;
        (default && gateway != 0).then(|| IpAddr::from(Ipv4Addr::from(gateway.to_ne_bytes())))
    };
    text.lines().skip(1).filter_map(gateway).collect()
}

/// What the script's nftables sets have in them. Without nft or the right to ask there is nothing to tell.
fn redirected() -> Vec<IpAddr> {
    let list = |set: &str| {
        let nft =
            std::process::Command::new("nft").args(["list", "set", "inet", "hb_real_server", set]).output();
        nft.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let words = |text: String| {
        text.split([' ', '\t', '\n', ',', '{', '}'])
            .filter_map(|word| word.parse().ok())
            .collect::<Vec<IpAddr>>()
    };
    ["vips", "vips6"].into_iter().flat_map(|set| words(list(set))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_of_proc() {
        let tcp = "  sl  local_address rem_address   st\n   0: 0100007F:0050 00000000:0000 0A 0\n   1: 0100007F:0051 0100007F:9999 01 0\n";
        assert_eq!(sockets(tcp, Protocol::Tcp), ["127.0.0.1:80".parse().unwrap()]);
        let udp6 = "h\n   0: 000080FE00000000000000000100000A:0035 0:0 07 0\n";
        assert_eq!(sockets(udp6, Protocol::Udp), ["[fe80::a00:1]:53".parse().unwrap()]);
        let route = "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 00000000 010000C0 3 0 0 0 00000000 0\neth0 0000000A 00000000 1 0 0 0 00FFFFFF 0\n";
        assert_eq!(routers(route), ["192.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn this_machine_tells() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let facts = Facts::gather().unwrap();
        assert!(facts.holder(Ipv4Addr::LOCALHOST.into()).is_some_and(|interface| interface.name == "lo"));
        assert!(facts.listening.contains(&(Protocol::Tcp, listener.local_addr().unwrap())));
    }

    proptest! {
        #[test]
        fn any_table_is_survived(text in "([0-9A-F:é ]{0,60}\n){0,4}") {
            sockets(&text, Protocol::Tcp);
            routers(&text);
        }
    }
}
