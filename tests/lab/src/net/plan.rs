//! Who has which address and which cable.
//!
//! The addresses are the same in every world: worlds cannot see each other.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::net::{CLIENT, Lan};
use crate::{LabError, Result};

/// The switch: two plain bridges; the gateway's addresses on the service LAN are the switch's own.
pub(super) const SWITCH_BATCH: &str = "\
link add lan0 type bridge forward_delay 0 mcast_snooping 0
link add lan1 type bridge forward_delay 0 mcast_snooping 0
addr add 10.77.255.254/16 brd + dev lan0
addr add fd77::fffe/64 dev lan0 nodad
link set lan0 up
link set lan1 up
";

/// Where the module br_netfilter is loaded, the kernel leads every bridged packet through the IP firewall as well: no switch
/// does that, and in namespaces the sender pays for it.
pub(super) const ONLY_SWITCH: &[&str] = &[
    "sh",
    "-c",
    r#"for knob in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$knob" ] || echo 0 >"$knob"; done"#,
];

/// The address of the gateway (the switch itself), good as a ping point.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 254);

/// What is fixed about a machine: it keeps these through power failures.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name and host name.
    pub name: String,
    /// The last part of all its addresses.
    pub number: u8,
    /// Hardware address of eth0.
    pub mac0: String,
    /// Hardware address of eth1.
    pub mac1: String,
    has_lan1: bool,
}

impl Machine {
    /// A node: the first is number 1.
    pub(super) fn node(name: &str, index: usize) -> Result<Machine> {
        // A port is named `<node>.eth0` and the kernel allows 15 characters.
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if name.is_empty() || name.len() > 10 || !plain || name == CLIENT {
            return Err(LabError(format!(
                "`{name}` is no name for a node of the lab (1 to 10 letters or digits)"
            )));
        }
        let number = u8::try_from(index + 1).ok().filter(|n| *n < 100);
        let number = number.ok_or_else(|| LabError::new("a world has at most 99 nodes"))?;
        Ok(Machine::numbered(name, number, true))
    }

    /// The client has number 100 and no cable to the heartbeat LAN.
    pub(super) fn client() -> Machine {
        Machine::numbered(CLIENT, 100, false)
    }

    fn numbered(name: &str, number: u8, has_lan1: bool) -> Machine {
        Machine {
            name: name.to_owned(),
            number,
            mac0: format!("02:68:62:00:00:{number:02x}"),
            mac1: format!("02:68:62:00:01:{number:02x}"),
            has_lan1,
        }
    }

    /// Its own IPv4 address on a LAN.
    pub fn ipv4(&self, lan: Lan) -> Ipv4Addr {
        match lan {
            Lan::Service => Ipv4Addr::new(10, 77, 0, self.number),
            Lan::Heartbeat => Ipv4Addr::new(10, 78, 0, self.number),
        }
    }

    /// Its own IPv6 address on a LAN.
    pub fn ipv6(&self, lan: Lan) -> Ipv6Addr {
        let net = match lan {
            Lan::Service => 0xfd77,
            Lan::Heartbeat => 0xfd78,
        };
        Ipv6Addr::new(net, 0, 0, 0, 0, 0, 0, u16::from(self.number))
    }

    /// The LANs it has a cable to.
    pub fn lans(&self) -> impl Iterator<Item = Lan> {
        self.cables().map(|(lan, _)| lan)
    }

    fn cables(&self) -> impl Iterator<Item = (Lan, &str)> {
        let second = self.has_lan1.then_some((Lan::Heartbeat, self.mac1.as_str()));
        [(Lan::Service, self.mac0.as_str())].into_iter().chain(second)
    }

    /// The switch's part of booting: a cable per LAN into the namespaces of pid 1.
    pub(super) fn switch_batch(&self, pid: u32) -> String {
        let mut batch = String::new();
        for (lan, mac) in self.cables() {
            let port = lan.port(&self.name);
            let (interface, bridge) = (lan.interface(), lan.bridge());
            batch += &format!("link add {port} type veth peer name {interface} address {mac} netns {pid}\n");
            batch += &format!("link set {port} master {bridge} up\n");
        }
        batch
    }

    /// The machine's part of booting: its addresses.
    pub(super) fn node_batch(&self) -> String {
        let mut batch = String::new();
        for (lan, _) in self.cables() {
            let interface = lan.interface();
            let (v4, v6) = (self.ipv4(lan), self.ipv6(lan));
            let prefix = lan.prefix();
            batch += &format!("addr add {v4}/{prefix} brd + dev {interface}\n");
            batch += &format!("link set {interface} up\n");
            batch += &format!("addr add {v6}/64 dev {interface} nodad\n");
        }
        batch
    }

    /// Removes the machine's cables; a veth goes with its other end.
    pub(super) fn unplug_batch(&self) -> String {
        self.cables().map(|(lan, _)| format!("link del {}\n", lan.port(&self.name))).collect()
    }
}
