//! What in `ha.cf` is more than a word: media, fencing, the watchdog, processes.

use std::net::IpAddr;

use super::cluster_file::{Draft, ucast};
use super::doc::{Place, Remark, Section, add};
use super::ha::Directive;
use super::source::shown;
use super::value::Value;

/// Speeds that hbd knows.
const BAUDS: [u32; 5] = [9600, 19200, 38400, 57600, 115_200];
/// Links that hbd takes.
const MOST_MEDIA: usize = 64;
/// Heartbeat's port.
const PORT: u32 = 694;
/// Programs that talk to Heartbeat itself, and are of no use without it.
const HEARTBEATS_OWN: [(&str, &str); 8] = [
    ("ipfail", "what it did is built in: a node that sees fewer ping points than the other hands over"),
    ("pingd", "what it did is built in: [[ping]]"),
    ("dopd", "it talks to Heartbeat: let DRBD fence by itself, or use requires = \"fencing\""),
    ("ccm", "it is a part of Heartbeat"),
    ("cib", "it is a part of Heartbeat"),
    ("crmd", "it is a part of Heartbeat"),
    ("mgmtd", "it is a part of Heartbeat"),
    ("hbagent", "it talks to Heartbeat; hbctl --json status tells scripts"),
];
/// STONITH plugins and the fence agents for the same devices.
const FENCE_AGENTS: [(&str, &str); 12] = [
    ("ipmi", "fence_ipmilan"),
    ("ipmilan", "fence_ipmilan"),
    ("apcmaster", "fence_apc"),
    ("apcmastersnmp", "fence_apc_snmp"),
    ("rackpdu", "fence_apc_snmp"),
    ("riloe", "fence_ilo"),
    ("drac5", "fence_drac5"),
    ("ibmrsa", "fence_rsa"),
    ("libvirt", "fence_virsh"),
    ("xen0", "fence_xenapi"),
    ("vcenter", "fence_vmware_rest"),
    ("vmware", "fence_vmware_soap"),
];

/// The media, collected: port and speed hold for all of them, and of ucast two lines make a link.
#[derive(Debug, Default)]
pub(super) struct Media {
    links: Vec<(Section, Heard)>,
    unicast: Vec<(String, String, Place)>,
    port: Option<u32>,
    baud: Option<(u32, Place)>,
}

/// What a link lacks until all is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Port,
    Baud,
    Nothing,
}

impl Media {
    /// One line of them.
    pub(super) fn read(&mut self, directive: &Directive<'_>) {
        let Some(first) = directive.first() else { return };
        if self.links.len() + self.unicast.len() + directive.words.len() > MOST_MEDIA {
            return directive.wrong(first, format!("more than {MOST_MEDIA} media"), "hbd takes no more");
        }
        match directive.name {
            "bcast" | "udp" => {
                for interface in &directive.words {
                    let link = Section::new("[[link]]")
                        .with("type", "bcast")
                        .with("interface", interface_of(interface));
                    self.links.push((link, Heard::Port));
                }
            }
            "serial" => {
                for device in &directive.words {
                    if !device.starts_with('/') {
                        directive.wrong(
                            device,
                            format!("'{}' is no device", shown(device)),
                            "write its whole path: /dev/ttyS0",
                        );
                    }
                    self.links.push((
                        Section::new("[[link]]").with("type", "serial").with("device", *device),
                        Heard::Baud,
                    ));
                }
            }
            "udpport" => self.port = number(directive, first, 65_535),
            "baud" => self.baud = number(directive, first, u32::MAX).map(|baud| (baud, directive.place())),
            "mcast" | "mcast6" => self.mcast(directive),
            _ => match directive.words.get(1) {
                Some(peer) => {
                    let peer = peer.split('%').next().unwrap_or(peer);
                    self.unicast.push((interface_of(first).to_owned(), peer.to_owned(), directive.place()));
                }
                None => directive.wrong(
                    first,
                    "there is no address behind the interface",
                    "ucast INTERFACE ADDRESS",
                ),
            },
        }
    }

    fn mcast(&mut self, directive: &Directive<'_>) {
        let words = &directive.words;
        let (Some(interface), Some(group)) = (words.first(), words.get(1)) else {
            return directive.wrong(
                directive.rest(),
                "the line has too few words",
                "mcast INTERFACE GROUP PORT TTL LOOP",
            );
        };
        if !group.parse::<IpAddr>().is_ok_and(|ip| ip.is_multicast()) {
            let help = "one of 224.0.0.0/4, or for IPv6 of ff00::/8";
            return directive.wrong(group, format!("'{}' is no multicast group", shown(group)), help);
        }
        let mut link =
            Section::new("[[link]]").with("type", "mcast").with("interface", interface_of(interface));
        link.set("group", *group);
        let port = words.get(2).and_then(|word| number(directive, word, 65_535));
        link.set_some("port", port.filter(|port| *port != PORT));
        let ttl = words.get(3).filter(|word| **word != "0").and_then(|word| number(directive, word, 255));
        link.set_some("ttl", ttl.filter(|ttl| *ttl != 1));
        self.links.push((link, Heard::Nothing));
    }

    /// Puts the links into `draft`.
    pub(super) fn finish(self, nodes: &[String], draft: &mut Draft) {
        let port = self.port.filter(|port| *port != PORT);
        for (mut link, lacks) in self.links {
            match lacks {
                Heard::Port => link.set_some("port", port),
                Heard::Baud => baud(self.baud.as_ref(), &mut link),
                Heard::Nothing => {}
            }
            draft.links.push(link);
        }
        let mut interfaces: Vec<&str> =
            self.unicast.iter().map(|(interface, _, _)| interface.as_str()).collect();
        interfaces.dedup();
        for (index, interface) in interfaces.iter().enumerate() {
            if interfaces[..index].contains(interface) {
                continue;
            }
            let lines: Vec<_> = self.unicast.iter().filter(|(other, _, _)| other == interface).collect();
            let link = unicast(interface, &lines, nodes, port, draft.links.is_empty());
            draft.links.push(link);
        }
    }
}

/// The link of all `ucast` lines of an interface. Which address is whose they do not say.
fn unicast(
    interface: &str,
    lines: &[&(String, String, Place)],
    nodes: &[String],
    port: Option<u32>,
    only: bool,
) -> Section {
    let mut addresses: Vec<String> = Vec::new();
    for (_, address, _) in lines {
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    let whole = addresses.len() == nodes.len();
    let place = lines.first().map(|(_, _, place)| place.clone());
    let why = if whole && addresses.iter().all(|address| address.parse::<IpAddr>().is_ok()) {
        "look whether each node has its own address: ucast does not say which is whose".to_owned()
    } else {
        "fill in each node's own address on this network, in numbers: ucast names the other node only"
            .to_owned()
    };
    addresses.resize(nodes.len(), "FILL-IN".to_owned());
    let mut link = ucast(nodes, &addresses, port);
    if addresses.iter().any(|address| address.parse::<IpAddr>().is_ok_and(|ip| is_link_local(&ip))) {
        link.entries.insert(1, ("interface".to_owned(), interface.into()));
    }
    link.disabled = !only && !addresses.iter().all(|address| address.parse::<IpAddr>().is_ok());
    link.remark(Remark::todo(place, why));
    link
}

fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn baud(said: Option<&(u32, Place)>, link: &mut Section) {
    let Some((baud, place)) = said else { return };
    if BAUDS.contains(baud) {
        link.set_some("baud", Some(*baud).filter(|baud| *baud != 19200));
        return;
    }
    let nearest = BAUDS.into_iter().rfind(|known| known < baud).unwrap_or(9600);
    link.set("baud", nearest);
    link.remark(Remark::changed(
        place.clone(),
        &format!("baud {baud}"),
        format!("{nearest} is the nearest that hbd has"),
    ));
}

/// The interface without the alias behind it.
fn interface_of(word: &str) -> &str {
    word.split(':').next().unwrap_or(word)
}

fn number(directive: &Directive<'_>, word: &str, most: u32) -> Option<u32> {
    let number = word.parse().ok().filter(|number| (1..=most).contains(number));
    if number.is_none() {
        let help = format!("a whole number from 1 to {most}");
        directive.wrong(word, format!("'{}' cannot be a number of {}", shown(word), directive.name), help);
    }
    number
}

/// A fence device: its parameters have passwords among them, and other names here; so it is begun, as a comment.
pub(super) fn stonith(directive: &Directive<'_>, draft: &mut Draft) {
    let kind = directive.words.get(usize::from(directive.name == "stonith_host")).copied();
    let Some(kind) = kind else {
        return directive.wrong(
            directive.rest(),
            "there is no type of device",
            "stonith_host NODE TYPE PARAMETER…",
        );
    };
    let plugin = kind.rsplit('/').next().unwrap_or(kind);
    if plugin == "meatware" {
        let why = "a person's word is always taken: hbctl fence-ack NODE; groups need requires = \"fencing\" for it, and that a device";
        return add(&mut draft.cluster.remarks, Remark::lost(directive.place(), "meatware", why));
    }
    let agent = FENCE_AGENTS.iter().find(|(name, _)| *name == plugin).map_or("FILL-IN", |(_, agent)| agent);
    let why = format!(
        "{} {}: write a [[fence]] for each node; the parameters have other names, see `{} -o metadata`. Then groups with data \
         can have requires = \"fencing\"",
        directive.name,
        shown(kind),
        if agent == "FILL-IN" { "fence_AGENT" } else { agent }
    );
    let begun =
        |section: &Section| section.heading == "[[fence]]" && section.entries[1].1 == Value::from(agent);
    if let Some(section) = draft.rest.iter_mut().find(|section| begun(section)) {
        return section.remark(Remark::todo(Some(directive.place()), why));
    }
    let mut section = Section::new("[[fence]]").with("node", "FILL-IN").with("agent", agent);
    let options = [("ip", "FILL-IN"), ("username", "FILL-IN"), ("password_file", "/etc/hbd/fence-password")];
    section.set("options", super::value::table(options.map(|(key, value)| (key, value.into()))));
    section.disabled = true;
    section.remark(Remark::todo(Some(directive.place()), why));
    draft.rest.push(section);
}

pub(super) fn watchdog(directive: &Directive<'_>, draft: &mut Draft) {
    let Some(device) = directive.first() else { return };
    draft.rest.retain(|section| section.heading != "[watchdog]");
    draft.rest.push(Section::new("[watchdog]").with("device", device));
}

/// Heartbeat's watchdog bit after a deadtime; the machine should be reset before the other one takes over.
pub(super) fn fit_watchdog(draft: &mut Draft) {
    let deadtime = draft.cluster.deadtime.map_or(0, |time| time.as_secs());
    if let Some(watchdog) = draft.rest.iter_mut().find(|section| section.heading == "[watchdog]")
        && deadtime <= 4
    {
        watchdog.set("timeout", format!("{}s", deadtime.saturating_sub(1).max(1)));
    }
}

pub(super) fn respawn(directive: &Directive<'_>, draft: &mut Draft) {
    let rest = directive.rest();
    let (user, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    if !command.starts_with('/') {
        let help = format!("{} USER /PATH/TO/PROGRAM ARGUMENT…", directive.name);
        return directive.wrong(rest, "there is no program with its whole path", help);
    }
    let program = command.split_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if let Some((_, why)) = HEARTBEATS_OWN.iter().find(|(own, _)| *own == name) {
        let what = format!("{} {name}", directive.name);
        return add(&mut draft.cluster.remarks, Remark::lost(directive.place(), &what, *why));
    }
    // Heartbeat had a shell read the line.
    let command: Value = if command.contains(|c: char| "\"'`$&|;<>()*?[]{}~\\!".contains(c)) {
        ["/bin/sh".to_owned(), "-c".to_owned(), format!("exec {command}")]
            .into_iter()
            .map(Value::from)
            .collect()
    } else {
        command.split_whitespace().map(Value::from).collect()
    };
    let mut section = Section::new("[[respawn]]").with("command", command);
    section.set_some("user", Some(user).filter(|user| *user != "root"));
    if directive.name == "failfast" {
        let why = "it is started again when it ends, and the machine is not rebooted";
        section.remark(Remark::changed(directive.place(), "failfast", why));
    }
    draft.rest.push(section);
}

pub(super) fn realtime(directive: &Directive<'_>, draft: &mut Draft) {
    let off = ["off", "no", "n", "false", "0"];
    // The last one counts, and a table is written once.
    draft.rest.retain(|section| section.heading != "[daemon]");
    if directive.first().is_some_and(|word| off.contains(&word.to_ascii_lowercase().as_str())) {
        draft.rest.push(Section::new("[daemon]").with("realtime", false));
    }
}
