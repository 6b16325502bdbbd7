//! What pulse did, from an `lvs.cf`: the pair, and the addresses that move.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::Options;
use super::cluster_file::{Draft, Group, Node, ucast};
use super::doc::{Place, Remark, add};
use super::lvs::Block;
use super::source::{Setting, shown};
use super::value::Value;

/// What has no counterpart, and why.
const NOTHING: [(&[&str], &str); 5] = [
    (&["hard_shutdown"], "checks are part of the director: none of them dies by itself"),
    (
        &["rsh_command", "serial_no", "service", "debug_level", "ipvsadm", "comment", "probe_file"],
        "nothing needs it",
    ),
    (&["gratuitous_arps"], "addresses are announced at once, then after 1, 2, 4 and 8 s"),
    (
        &["reservation_conflict_action", "primary_shared", "backup_shared"],
        "shared disks: requires = \"fencing\" or \"witness\" is for data",
    ),
    (&["tcp_timeout", "tcpfin_timeout", "udp_timeout"], "ipvsadm --set TCP FIN UDP at the boot does it"),
];

/// What becomes of the global part and the addresses; `director`: there are services.
pub(super) fn read(name: &str, file: &Block, director: bool, options: &Options) -> Draft {
    let mut draft = Draft::default();
    let place = |line: usize| Place { file: name.to_owned(), line };
    let seconds =
        |name: &str, usual: u32| Duration::from_secs(u64::from(file.number(name).unwrap_or(usual).max(1)));
    draft.cluster.name = "lvs".to_owned();
    draft.cluster.keepalive = Some(seconds("keepalive", 2));
    draft.cluster.deadtime = Some(seconds("deadtime", 5));
    let why =
        "hbd signs its heartbeats: hbctl keygen --output /etc/hbd/authkeys, and copy it to the other node";
    add(&mut draft.cluster.remarks, Remark::todo(None, why));
    for setting in &file.settings {
        if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&setting.name.as_str())) {
            add(&mut draft.cluster.remarks, Remark::lost(place(setting.line), &setting.name, *why));
        }
    }
    if let Some(off) =
        file.said("heartbeat").or(file.said("backup_active")).filter(|setting| setting.value == "0")
    {
        let why = format!("{} is off here, so there was no pair: a cluster has two nodes", off.name);
        add(&mut draft.cluster.remarks, Remark::todo(Some(place(off.line)), why));
    }
    for sync in file.blocks.iter().filter(|block| block.kind == "sync") {
        let why = "files are not copied between the nodes; hbctl status says when hbd.toml differs";
        add(&mut draft.cluster.remarks, Remark::lost(place(sync.line), "sync", why));
    }
    nodes(file, &place, options, &mut draft);
    links(file, &place, &mut draft);
    let preferred = draft.nodes.first().map(|node| node.name.clone());
    draft.groups.push(services(file, &place, director, preferred.clone()));
    for block in file.blocks.iter().filter(|block| block.kind == "failover") {
        draft.groups.push(failover(block, &place, preferred.clone()));
    }
    draft.groups.retain(|group| !group.resources.is_empty() || !group.remarks.is_empty());
    draft
}

/// Their names are not in the file, which knows addresses only.
fn nodes(file: &Block, place: &dyn Fn(usize) -> Place, options: &Options, draft: &mut Draft) {
    let [primary, backup] =
        options.nodes.clone().unwrap_or_else(|| ["primary".to_owned(), "backup".to_owned()]);
    for (name, key) in [(primary, "primary"), (backup, "backup")] {
        let mut node = Node { name, remarks: Vec::new() };
        if options.nodes.is_none() {
            let said = file.said(key);
            let who = said.map_or_else(|| key.to_owned(), |setting| shown(&setting.value));
            let why = format!(
                "write what hostname prints on {who}, here and below; or convert with --nodes PRIMARY,BACKUP"
            );
            node.remarks.push(Remark::todo(said.map(|setting| place(setting.line)), why));
        }
        draft.nodes.push(node);
    }
}

/// The public and the private pair of addresses, each a link.
fn links(file: &Block, place: &dyn Fn(usize) -> Place, draft: &mut Draft) {
    let names: Vec<String> = draft.nodes.iter().map(|node| node.name.clone()).collect();
    for [primary, backup] in [["primary", "backup"], ["primary_private", "backup_private"]] {
        let (first, second) = (file.said(primary), file.said(backup));
        if first.is_none() && second.is_none() && (primary != "primary" || !draft.links.is_empty()) {
            continue;
        }
        let address = |setting: Option<&Setting>| {
            // Piranha writes 0.0.0.0 while there is no backup.
            let is_one = |text: &String| text.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
            setting.map(|setting| setting.value.clone()).filter(is_one)
        };
        let addresses = [address(first), address(second)];
        let whole = addresses.iter().all(Option::is_some);
        let addresses = addresses.map(|address| address.unwrap_or_else(|| "FILL-IN".to_owned()));
        // Piranha's port is not that of Heartbeat, and a firewall may know it.
        let port =
            Some(file.number("heartbeat_port").unwrap_or(539)).filter(|port| (1..=65_535).contains(port));
        let mut link = ucast(&names, &addresses, port);
        if !whole {
            let line = first.or(second).map(|setting| place(setting.line));
            link.remark(Remark::todo(line, "fill in each node's own address on this network, in numbers"));
            link.disabled = !draft.links.is_empty();
        }
        draft.links.push(link);
    }
}

/// The group of the virtual services: their addresses, the one of the NAT router, and the director.
fn services(
    file: &Block,
    place: &dyn Fn(usize) -> Place,
    director: bool,
    preferred: Option<String>,
) -> Group {
    let mut group = Group { name: "lvs".to_owned(), preferred, ..Group::default() };
    if let Some(router) = file.said("nat_router") {
        let mask = file.said("nat_nmask").or(file.said("nat_mask"));
        address(router, mask, place, &mut group);
        misspelt(file, "nat_mask", "nat_nmask", place, &mut group);
    }
    for service in file.blocks.iter().filter(|block| block.kind == "virtual" && block.active()) {
        if let Some(vip) = service.said("address") {
            address(vip, service.said("vip_nmask").or(service.said("vip_mask")), place, &mut group);
        }
        misspelt(service, "vip_mask", "vip_nmask", place, &mut group);
    }
    if director {
        group.resources.push("director".into());
    }
    for name in ["active_cmd", "inactive_cmd"] {
        if let Some(setting) = file.said(name).filter(|setting| !setting.value.is_empty()) {
            let why = "active_cmd, inactive_cmd: make them the start and stop of an agent in /etc/hbd/resource.d, a resource of this group";
            add(&mut group.remarks, Remark::todo(Some(place(setting.line)), why));
        }
    }
    group
}

fn misspelt(block: &Block, wrong: &str, right: &str, place: &dyn Fn(usize) -> Place, group: &mut Group) {
    if let Some(setting) = block.said(wrong) {
        let why = format!("taken for {right}, which is what Piranha reads");
        add(&mut group.remarks, Remark::changed(place(setting.line), wrong, why));
    }
}

/// `ADDRESS INTERFACE:ALIAS` with its mask, as a resource; several services may have the same.
fn address(said: &Setting, mask: Option<&Setting>, place: &dyn Fn(usize) -> Place, group: &mut Group) {
    let mut words = said.value.split_whitespace();
    let (ip, device) = (words.next().unwrap_or_default(), words.next());
    if ip.parse::<IpAddr>().is_err() {
        let why = format!("{} is no address in numbers: write it as ADDRESS/PREFIX/INTERFACE", shown(ip));
        return add(&mut group.remarks, Remark::todo(Some(place(said.line)), why));
    }
    let device = device.map(|device| device.split(':').next().unwrap_or(device));
    let length = mask.and_then(|mask| prefix_length(&mask.value));
    if let Some(mask) = mask.filter(|_| length.is_none()) {
        add(
            &mut group.remarks,
            Remark::lost(
                place(mask.line),
                &mask.name,
                "it is no netmask; the network of the address is looked up",
            ),
        );
    }
    let resource = match (length, device) {
        (Some(length), Some(device)) => format!("{ip}/{length}/{device}"),
        (Some(length), None) => format!("{ip}/{length}"),
        (None, _) => ip.to_owned(),
    };
    let there = group.resources.iter().any(|other| super::cluster_file::address_of(other) == ip.parse().ok());
    if !there {
        group.resources.push(Value::from(resource));
    }
}

/// The length of a prefix that a netmask stands for.
fn prefix_length(mask: &str) -> Option<u32> {
    let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (bits != 0 && bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones())
}

/// A service that moved between the nodes, without real servers.
fn failover(block: &Block, place: &dyn Fn(usize) -> Place, preferred: Option<String>) -> Group {
    let mut group = Group { name: block.name.clone(), preferred, ..Group::default() };
    if !block.active() {
        let why = "it is not active";
        add(&mut group.remarks, Remark::lost(place(block.line), &format!("failover {}", block.name), why));
        return group;
    }
    if let Some(vip) = block.said("address") {
        address(vip, block.said("vip_nmask").or(block.said("vip_mask")), place, &mut group);
    }
    let why = "start_cmd and stop_cmd become a resource behind the address: \"systemd:UNIT\", or an agent of yours; what send and expect \
               asked, its monitor asks";
    add(&mut group.remarks, Remark::todo(Some(place(block.line)), why));
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_lengths() {
        assert_eq!(prefix_length("255.255.255.0"), Some(24));
        assert_eq!(prefix_length("255.255.255.255"), Some(32));
        assert_eq!(prefix_length("255.0.255.0"), None);
        assert_eq!(prefix_length("0.0.0.0"), None);
        assert_eq!(prefix_length("24"), None);
    }
}
