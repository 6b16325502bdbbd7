//! Cut cables: the switch drops what the cut says, silently (the carrier stays, as with a broken switch).
//!
//! The rules are nftables rules of the bridge family in the switch's namespace, replaced as one transaction.

use crate::Result;
use crate::command;
use crate::net::space::Space;

/// One of the two LANs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lan {
    /// eth0: nodes, client, gateway.
    Service,
    /// eth1: nodes only.
    Heartbeat,
}

impl Lan {
    /// The interface's name inside a machine.
    pub fn interface(self) -> &'static str {
        match self {
            Lan::Service => "eth0",
            Lan::Heartbeat => "eth1",
        }
    }

    /// The bridge's name in the switch.
    pub fn bridge(self) -> &'static str {
        match self {
            Lan::Service => "lan0",
            Lan::Heartbeat => "lan1",
        }
    }

    /// The prefix length of the LAN's IPv4 network.
    pub fn prefix(self) -> u8 {
        match self {
            Lan::Service => 16,
            Lan::Heartbeat => 24,
        }
    }

    /// The switch's port of a machine's cable.
    pub fn port(self, machine: &str) -> String {
        format!("{machine}.{}", self.interface())
    }
}

/// Something the switch does not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Nothing from this machine to that one; the other way goes on.
    OneWay(String, String, Lan),
    /// Nothing between the two.
    Between(String, String, Lan),
    /// Nothing from or to this machine, gateway included.
    Cable(String, Lan),
    /// This part (percent) of what goes from the first to the second is lost.
    Loss(String, String, Lan, u8),
    /// No UDP from this machine to that one, so no heartbeats, while all else passes.
    Udp(String, String, Lan, u16),
}

impl Cut {
    /// [`Cut::OneWay`] from borrowed names.
    pub fn one_way(from: &str, to: &str, lan: Lan) -> Cut {
        Cut::OneWay(from.to_owned(), to.to_owned(), lan)
    }

    /// [`Cut::Between`] from borrowed names.
    pub fn between(one: &str, other: &str, lan: Lan) -> Cut {
        Cut::Between(one.to_owned(), other.to_owned(), lan)
    }

    /// [`Cut::Cable`] from a borrowed name.
    pub fn cable(machine: &str, lan: Lan) -> Cut {
        Cut::Cable(machine.to_owned(), lan)
    }

    /// [`Cut::Loss`] from borrowed names.
    pub fn loss(from: &str, to: &str, lan: Lan, percent: u8) -> Cut {
        Cut::Loss(from.to_owned(), to.to_owned(), lan, percent)
    }

    /// [`Cut::Udp`] from borrowed names; `port` is the destination port.
    pub fn udp(from: &str, to: &str, lan: Lan, port: u16) -> Cut {
        Cut::Udp(from.to_owned(), to.to_owned(), lan, port)
    }

    /// Adds this cut's rules to the three chains.
    fn rules(&self, forward: &mut String, enter: &mut String, leave: &mut String) {
        let pair = |from: &str, to: &str, lan: Lan, more: &str| {
            format!("iifname \"{}\" oifname \"{}\" {more}drop\n", lan.port(from), lan.port(to))
        };
        match self {
            Cut::OneWay(from, to, lan) => *forward += &pair(from, to, *lan, ""),
            Cut::Between(one, other, lan) => {
                *forward += &pair(one, other, *lan, "");
                *forward += &pair(other, one, *lan, "");
            }
            Cut::Cable(machine, lan) => {
                *enter += &format!("iifname \"{}\" drop\n", lan.port(machine));
                *leave += &format!("oifname \"{}\" drop\n", lan.port(machine));
            }
            Cut::Loss(from, to, lan, percent) => {
                *forward += &pair(from, to, *lan, &format!("numgen random mod 100 < {} ", percent.min(&100)));
            }
            Cut::Udp(from, to, lan, port) => {
                *forward += &pair(from, to, *lan, &format!("meta l4proto udp udp dport {port} "));
            }
        }
    }
}

/// Makes the switch's rules those of `cuts`, in one step.
pub(super) fn apply(switch: &Space, cuts: &[Cut]) -> Result<()> {
    let (mut forward, mut enter, mut leave) = (String::new(), String::new(), String::new());
    for cut in cuts {
        cut.rules(&mut forward, &mut enter, &mut leave);
    }
    let script = format!(
        "table bridge lab {{}}\ndelete table bridge lab\ntable bridge lab {{\n\
         chain enter {{ type filter hook prerouting priority -300; policy accept;\n{enter}}}\n\
         chain pass {{ type filter hook forward priority 0; policy accept;\n{forward}}}\n\
         chain leave {{ type filter hook postrouting priority 0; policy accept;\n{leave}}}\n}}\n"
    );
    let mut nft = std::process::Command::new("nsenter");
    nft.args(["-t", &switch.pid().to_string(), "-n", "--", "nft", "-f", "-"]);
    command::run(nft, &script, command::BOUND)?.success()?;
    Ok(())
}
