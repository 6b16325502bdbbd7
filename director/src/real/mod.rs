//! `director check --real`: what is wrong with this machine as a real server.
//!
//! | forwarding | must be so here |
//! |---|---|
//! | gate | VIP on `lo` or a dummy interface, or redirected; ARP silent about it (`arp_ignore`, `arp_announce`) |
//! | ipip | VIP on `tunl0`, which is up and does not drop clients' addresses (`rp_filter`); ARP silent |
//! | masq | VIP nowhere; the way back to clients through the director |
//! | all | somebody listens on the port, on an address that hears what arrives |

pub mod facts;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::table::Protocol;
use facts::{Facts, Interface};

/// How the director sends packets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Direct routing.
    Gate,
    /// NAT.
    Masq,
    /// Tunnelling.
    Tunnel,
}

/// A service this machine is to take part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The virtual service's address; port 0 is every port.
    pub vip: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// How packets come.
    pub forward: Forward,
    /// The real server's port, which may differ with NAT only.
    pub port: u16,
    /// This machine's address in the director's table, if it is known.
    pub own: Option<IpAddr>,
    /// The director's inner address, which the way back goes through with NAT, if it is known.
    pub director: Option<IpAddr>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It does not work so.
    Wrong,
    /// It may not work, or only by luck.
    Odd,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What is so.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Wrong => "wrong",
            Weight::Odd => "odd",
        };
        write!(f, "{weight}: {}\n  do: {}", self.what, self.help)
    }
}

/// All that is not as it must be for these services, each thing once.
pub fn judge(facts: &Facts, wanted: &[Wanted]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for wanted in wanted {
        let mut judge = Judge { facts, wanted, findings: Vec::new() };
        match wanted.forward {
            Forward::Gate => judge.gate(),
            Forward::Tunnel => judge.tunnel(),
            Forward::Masq => judge.masq(),
        }
        judge.listening();
        for finding in judge.findings {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings.sort_by_key(|finding| finding.weight);
    findings
}

struct Judge<'a> {
    facts: &'a Facts,
    wanted: &'a Wanted,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn vip(&self) -> IpAddr {
        self.wanted.vip.ip()
    }

    fn wrong(&mut self, what: String, help: String) {
        self.findings.push(Finding { weight: Weight::Wrong, what, help });
    }

    fn odd(&mut self, what: String, help: String) {
        self.findings.push(Finding { weight: Weight::Odd, what, help });
    }

    fn gate(&mut self) {
        let vip = self.vip();
        let redirected = self.facts.redirected.contains(&vip);
        match self.facts.holder(vip).cloned() {
            Some(holder) if is_hidden(&holder) => self.silent(&holder.name),
            Some(holder) => self.announced(&holder),
            None if redirected => {}
            None => self.wrong(
                format!("{vip} is not on this machine, so packets for it are not taken"),
                format!("hb-real-server dr {vip}"),
            ),
        }
        if self.wanted.port != self.wanted.vip.port() {
            let (port, other) = (self.wanted.vip.port(), self.wanted.port);
            self.wrong(
                format!("with direct routing packets for {vip} arrive on port {port}, not on {other}"),
                format!("give the real server the port {port} in the director's configuration"),
            );
        }
    }

    fn tunnel(&mut self) {
        let vip = self.vip();
        let device = if vip.is_ipv4() { "tunl0" } else { "ip6tnl0" };
        let tunnel = self.facts.interfaces.iter().find(|interface| interface.name == device).cloned();
        let Some(tunnel) = tunnel.filter(|tunnel| tunnel.up) else {
            let what = format!("{device} is not up, so nothing is taken out of the director's tunnel");
            return self.wrong(what, format!("hb-real-server tun {vip}"));
        };
        let effective = tunnel.settings.effective(self.facts.all);
        if vip.is_ipv4() && effective.rp_filter == 1 {
            self.wrong(
                format!("rp_filter of {device} is 1, so packets of clients that come out of the tunnel are dropped"),
                format!("sysctl -w net.ipv4.conf.{device}.rp_filter=2 (hb-real-server tun {vip} does it)"),
            );
        }
        match self.facts.holder(vip).cloned() {
            Some(holder) if is_hidden(&holder) => self.silent(&holder.name),
            Some(holder) => self.announced(&holder),
            None => self.wrong(
                format!("{vip} is not on this machine, so packets for it are not taken"),
                format!("hb-real-server tun {vip}"),
            ),
        }
    }

    fn announced(&mut self, holder: &Interface) {
        let (vip, name) = (self.vip(), &holder.name);
        self.wrong(
            format!("{vip} is on {name}, where this machine answers for it by itself, past the director"),
            format!("ip addr del {vip} dev {name}; then hb-real-server dr {vip}"),
        );
    }

    /// ARP, through every interface by which the network can ask. Of IPv6 the kernel does so by itself: it answers
    /// for an address only on the interface that has it.
    fn silent(&mut self, holder: &str) {
        let vip = self.vip();
        if vip.is_ipv6() {
            return;
        }
        let all = self.facts.all;
        let asked: Vec<_> = self.facts.interfaces.iter().filter(|i| i.up && !is_hidden(i)).collect();
        let of = |loud: fn(facts::Settings) -> bool| -> Vec<&str> {
            asked.iter().filter(|i| loud(i.settings.effective(all))).map(|i| i.name.as_str()).collect()
        };
        let (answers, asks) = (of(|s| s.arp_ignore == 0), of(|s| s.arp_announce < 2));
        if !answers.is_empty() {
            self.wrong(
                format!(
                    "{vip} is on {holder}, and ARP answers for it on {} (arp_ignore is 0)",
                    answers.join(", ")
                ),
                format!("sysctl -w net.ipv4.conf.all.arp_ignore=1 (hb-real-server dr {vip} does it)"),
            );
        }
        if !asks.is_empty() {
            self.wrong(
                format!(
                    "ARP requests of this machine on {} may carry {vip}, which draws its traffic here (arp_announce is below 2)",
                    asks.join(", ")
                ),
                format!("sysctl -w net.ipv4.conf.all.arp_announce=2 (hb-real-server dr {vip} does it)"),
            );
        }
    }

    fn masq(&mut self) {
        let vip = self.vip();
        if let Some(holder) = self.facts.holder(vip) {
            let name = holder.name.clone();
            self.wrong(
                format!("{vip} is on {name}; with NAT no real server has it"),
                format!("ip addr del {vip} dev {name}"),
            );
        }
        let routers = &self.facts.routers;
        match self.wanted.director {
            _ if vip.is_ipv6() => {}
            Some(director) if !routers.contains(&director) => {
                let routers: Vec<String> = routers.iter().map(IpAddr::to_string).collect();
                let now = if routers.is_empty() { "nobody".to_owned() } else { routers.join(", ") };
                self.wrong(
                    format!("answers go to clients through {now}, not through the director {director}, which has to translate them back"),
                    format!("ip route replace default via {director}"),
                );
            }
            None if routers.is_empty() => self.wrong(
                "there is no default route, so answers do not find the way back through the director"
                    .to_owned(),
                "ip route add default via the director's inner address".to_owned(),
            ),
            None => {
                let routers: Vec<String> = routers.iter().map(IpAddr::to_string).collect();
                self.odd(
                    format!(
                        "answers go to clients through {}; with NAT that must be the director",
                        routers.join(", ")
                    ),
                    "name the director's inner address to have this checked: --director ADDRESS".to_owned(),
                );
            }
            Some(_) => {}
        }
    }

    fn listening(&mut self) {
        let (vip, protocol) = (self.vip(), self.wanted.protocol);
        // Only NAT changes the port.
        let port =
            if self.wanted.forward == Forward::Masq { self.wanted.port } else { self.wanted.vip.port() };
        if port == 0 || protocol == Protocol::Sctp {
            return;
        }
        let name = if protocol == Protocol::Tcp { "TCP" } else { "UDP" };
        let redirected = self.facts.redirected.contains(&vip);
        let by_nat = self.wanted.forward == Forward::Masq || (redirected && self.facts.holder(vip).is_none());
        let there: Vec<SocketAddr> = self
            .facts
            .listening
            .iter()
            .filter(|(p, a)| *p == protocol && a.port() == port)
            .map(|(_, a)| *a)
            .collect();
        let hears = |address: &SocketAddr| match by_nat {
            _ if address.ip().is_unspecified() => address.is_ipv6() || vip.is_ipv4(),
            true => self.wanted.own.is_none_or(|own| own == address.ip()) && !address.ip().is_loopback(),
            false => address.ip() == vip,
        };
        if there.iter().any(hears) {
            return;
        }
        let what = match there.is_empty() {
            true => format!("nobody listens on {name} port {port}"),
            false => {
                let there: Vec<String> = there.iter().map(SocketAddr::to_string).collect();
                let missing = if by_nat { "this machine's own address".to_owned() } else { vip.to_string() };
                format!("{name} port {port} is listened on at {} only, not at {missing}", there.join(", "))
            }
        };
        let at = if by_nat {
            self.wanted.own.map_or("its own address".to_owned(), |own| own.to_string())
        } else {
            vip.to_string()
        };
        self.wrong(what, format!("let the service listen on every address, or on {at}"));
    }
}

/// An interface the network does not ask through.
fn is_hidden(interface: &Interface) -> bool {
    let name = &interface.name;
    name == "lo" || ["dummy", "tunl", "ip6tnl"].iter().any(|kind| name.starts_with(kind))
}

#[cfg(test)]
mod tests;
