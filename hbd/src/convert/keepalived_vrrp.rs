//! What VRRP did, from a `keepalived.conf`: the pair as far as one node's file tells of it, and what moves.

use std::net::IpAddr;
use std::time::Duration;

use super::Options;
use super::cluster_file::{Draft, Failback, Group, Node as Member, address_of, ucast};
use super::doc::{Place, Remark, Section, add};
use super::keepalived::Node;
use super::keepalived_resources as resources;
use super::source::shown;
use super::value::{Value, show};

/// The group that VRRP speaks to; of another protocol than ours, so there is one of our own for it.
const VRRP_GROUPS: [&str; 2] = ["224.0.0.18", "ff02::12"];
const OUR_GROUP: &str = "239.255.42.1";
/// What has no counterpart in `vrrp_instance`, and why.
const NOTHING: [(&[&str], &str); 6] = [
    (
        &[
            "virtual_router_id",
            "version",
            "mcast_src_ip",
            "native_ipv6",
            "unicast_ttl",
            "check_unicast_src",
            "down_timer_adverts",
            "skip_check_adv_addr",
            "strict_mode",
            "accept",
            "no_accept",
            "debug",
            "higher_prio_send_advert",
            "old_unicast_checksum",
            "linkbeat_use_polling",
            "linkbeat_interfaces",
            "start_delay",
            "notify_deleted",
            "kernel_rx_buf_size",
            "mcast_group4",
            "mcast_group6",
        ],
        "hbd does not speak VRRP",
    ),
    (
        &[
            "garp_master_delay",
            "garp_master_repeat",
            "garp_lower_prio_delay",
            "garp_lower_prio_repeat",
            "garp_master_refresh_repeat",
            "garp_interval",
            "gna_interval",
            "garp_extra_if",
            "vrrp_garp_master_delay",
        ],
        "addresses are announced at once, then after 1, 2, 4 and 8 s",
    ),
    (&["garp_master_refresh"], "[daemon] announce_refresh, 5 minutes unless said otherwise"),
    (
        &["use_vmac", "vmac_xmit_base", "use_ipvlan", "vmac_addr", "promote_secondaries"],
        "addresses keep the hardware address of their interface",
    ),
    (&["virtual_rules"], "the agent Rule is for it, a resource of the group"),
    (
        &[
            "track_bfd",
            "track_file",
            "track_process",
            "lvs_sync_daemon_interface",
            "nopreempt_delay",
            "dont_track_primary",
            "global_tracking",
        ],
        "hbd has nothing like it",
    ),
];
/// What is read.
const KNOWN: [&str; 18] = [
    "state",
    "interface",
    "priority",
    "advert_int",
    "nopreempt",
    "preempt",
    "preempt_delay",
    "unicast_src_ip",
    "unicast_peer",
    "authentication",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "virtual_routes",
    "track_script",
    "track_interface",
    "smtp_alert",
    "group",
    "virtual_rules",
];

/// What becomes of the instances among `nodes`; `services`: the virtual addresses of the director, if there is one.
pub(super) fn read(nodes: &[Node], services: Option<&[String]>, options: &Options) -> Option<Draft> {
    let instances: Vec<&Node> = nodes.iter().filter(|node| node.name() == "vrrp_instance").collect();
    let first = instances.first()?;
    let mut draft = Draft::default();
    let sync: Vec<&Node> = nodes.iter().filter(|node| node.name() == "vrrp_sync_group").collect();
    draft.cluster.name = sync.first().unwrap_or(first).word(1).unwrap_or("vrrp").to_owned();
    let why =
        "hbd signs its heartbeats: hbctl keygen --output /etc/hbd/authkeys, and copy it to the other node";
    add(&mut draft.cluster.remarks, Remark::todo(None, why));
    members(options, first, &mut draft);
    times(&instances, &mut draft);
    let names: Vec<String> = draft.nodes.iter().map(|node| node.name.clone()).collect();
    for instance in &instances {
        let link = link(instance, nodes, &names);
        // Many instances on one interface are one link.
        if !draft.links.iter().any(|other| other.entries == link.entries) {
            draft.links.push(link);
        }
        if let Some(auth) = instance.said("authentication") {
            let why = "auth_pass is not copied: hbd has keys of its own, over the whole packet";
            add(&mut draft.cluster.remarks, Remark::lost(auth.place.clone(), "authentication", why));
        }
    }
    draft.groups = groups(&instances, &sync, nodes, &names);
    if let Some(addresses) = services {
        add_director(addresses, &mut draft.groups);
    }
    resources::globals(nodes, services.is_some(), &mut draft);
    Some(draft)
}

/// Their names are not in the file, and of the other node not even its address if it is spoken to by multicast.
fn members(options: &Options, first: &Node, draft: &mut Draft) {
    let [this, other] =
        options.nodes.clone().unwrap_or_else(|| ["this-node".to_owned(), "other-node".to_owned()]);
    for (name, whose) in [(this, "the node this file is from"), (other, "the other node")] {
        let mut member = Member { name, remarks: Vec::new() };
        if options.nodes.is_none() {
            let why = format!(
                "write what hostname prints on {whose}, here and below; or convert with --nodes THIS,OTHER"
            );
            member.remarks.push(Remark::todo(Some(first.place.clone()), why));
        }
        draft.nodes.push(member);
    }
}

/// One keepalive for all groups: the fastest.
fn times(instances: &[&Node], draft: &mut Draft) {
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|number| (0.01..=255.0).contains(number));
    let said = instances.iter().map(|instance| instance.text("advert_int").and_then(seconds).unwrap_or(1.0));
    let advert = said.reduce(f64::min).unwrap_or(1.0);
    let keepalive = Duration::from_millis((advert * 1000.0).round() as u64);
    draft.cluster.keepalive = Some(keepalive);
    // Three adverts were missed then. Below a second the lease of addresses cannot follow.
    draft.cluster.deadtime = Some((keepalive * 3).max(Duration::from_secs(1)));
    for slower in instances.iter().filter_map(|instance| instance.said("advert_int")) {
        if slower.word(1).and_then(seconds).is_some_and(|said| said > advert) {
            let why = format!("one keepalive for all groups, the shortest: {}", show(keepalive));
            add(&mut draft.cluster.remarks, Remark::changed(slower.place.clone(), "advert_int", why));
        }
    }
    failback(instances, draft);
}

/// One rule for all groups: they go back if one of them did.
fn failback(instances: &[&Node], draft: &mut Draft) {
    let preempting: Vec<&&Node> = instances.iter().filter(|instance| !instance.flag("nopreempt")).collect();
    if preempting.is_empty() {
        for stays in instances.iter().filter(|instance| is_master(instance)) {
            let why = "beside state MASTER keepalived passed over it, and took the address back: auto_failback = true is that";
            add(&mut draft.cluster.remarks, Remark::changed(place_of(stays, "nopreempt"), "nopreempt", why));
        }
        return;
    }
    let delay = preempting
        .iter()
        .filter_map(|instance| instance.text("preempt_delay").and_then(|text| text.parse::<f64>().ok()));
    let delay = delay.fold(0.0, f64::max).clamp(0.0, 1000.0);
    draft.cluster.failback =
        if delay > 0.0 { Failback::After(Duration::from_secs(delay as u64)) } else { Failback::On };
    if let Some(stays) = instances.iter().find(|instance| instance.flag("nopreempt")) {
        let why = "auto_failback holds for all groups, and others preempt";
        add(&mut draft.cluster.remarks, Remark::changed(place_of(stays, "nopreempt"), "nopreempt", why));
    }
}

/// How the instance speaks to its peers.
fn link(instance: &Node, nodes: &[Node], names: &[String]) -> Section {
    let peers = instance.said("unicast_peer").map(Node::inner).unwrap_or_default();
    let is_address = |text: &&str| text.parse::<IpAddr>().is_ok();
    if let Some(peer) = peers.first().map(Node::name).filter(is_address) {
        let own = instance.text("unicast_src_ip").filter(is_address);
        let addresses = [own.unwrap_or("FILL-IN").to_owned(), peer.to_owned()];
        let mut link = ucast(names, &addresses, None);
        // Such an address is another one on each interface.
        if peer.to_ascii_lowercase().starts_with("fe80:") {
            link.set("interface", instance.text("interface").unwrap_or("FILL-IN"));
        }
        if own.is_none() {
            link.remark(Remark::todo(
                Some(instance.place.clone()),
                "fill in this node's own address on this network",
            ));
        }
        if peers.len() > 1 {
            let why = "a pair has two nodes; more need a [witness]";
            link.remark(Remark::lost(peers[1].place.clone(), "unicast_peer", why));
        }
        return link;
    }
    let interface = instance.text("interface").unwrap_or("FILL-IN");
    let global = nodes.iter().rfind(|node| node.name() == "global_defs");
    let said =
        instance.text("mcast_group4").or_else(|| global.and_then(|global| global.text("vrrp_mcast_group4")));
    let group = said.filter(|group| {
        !VRRP_GROUPS.contains(group) && group.parse::<IpAddr>().is_ok_and(|ip| ip.is_multicast())
    });
    let mut link = Section::new("[[link]]").with("type", "mcast").with("interface", interface);
    link.set("group", group.unwrap_or(OUR_GROUP));
    if interface == "FILL-IN" {
        link.remark(Remark::todo(
            Some(instance.place.clone()),
            "fill in the interface that heartbeats go over",
        ));
    }
    link
}

/// A group for each instance; those of a `vrrp_sync_group` are one.
fn groups(instances: &[&Node], sync: &[&Node], nodes: &[Node], names: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut placed: Vec<&str> = Vec::new();
    for together in sync {
        let members = together.said("group").map(Node::list).unwrap_or_default();
        let mut group = Group { name: together.word(1).unwrap_or("group").to_owned(), ..Group::default() };
        group.place = Some(together.place.clone());
        for instance in instances.iter().filter(|one| one.word(1).is_some_and(|name| members.contains(&name)))
        {
            placed.push(instance.word(1).unwrap_or_default());
            fill(&mut group, instance, nodes, names);
        }
        resources::scripts(together, nodes, &mut group);
        groups.push(group);
    }
    for instance in instances.iter().filter(|one| !placed.contains(&one.word(1).unwrap_or_default())) {
        let mut group = Group { name: instance.word(1).unwrap_or("group").to_owned(), ..Group::default() };
        group.place = Some(instance.place.clone());
        fill(&mut group, instance, nodes, names);
        groups.push(group);
    }
    groups
}

/// Puts what an instance has into its group.
fn fill(group: &mut Group, instance: &Node, nodes: &[Node], names: &[String]) {
    if group.preferred.is_none() {
        group.preferred = preferred(group, instance, names);
    }
    let interface = instance.text("interface");
    for kind in ["virtual_ipaddress", "virtual_ipaddress_excluded"] {
        for said in instance.inner().iter().filter(|node| node.name() == kind).flat_map(Node::inner) {
            resources::address(said, interface, group);
        }
    }
    for said in instance.inner().iter().filter(|node| node.name() == "virtual_routes").flat_map(Node::inner) {
        resources::route(said, group);
    }
    resources::scripts(instance, nodes, group);
    tracked(instance, group);
    for said in instance.inner() {
        let name = said.name();
        if KNOWN.contains(&name) && name != "virtual_rules" || name.starts_with("notify") {
            continue;
        }
        let why = NOTHING.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why);
        add(
            &mut group.remarks,
            Remark::lost(said.place.clone(), &shown(name), why.unwrap_or("it is not known here")),
        );
    }
}

/// Where the instance says `name`, or else where it begins.
fn place_of(instance: &Node, name: &str) -> Place {
    instance.said(name).unwrap_or(instance).place.clone()
}

fn is_master(instance: &Node) -> bool {
    instance.text("state").is_some_and(|state| state.eq_ignore_ascii_case("MASTER"))
}

/// Who shall have it. Only the other node's file tells the other priority.
fn preferred(group: &mut Group, instance: &Node, names: &[String]) -> Option<String> {
    let master = is_master(instance);
    let priority = instance.text("priority").and_then(|text| text.parse::<u32>().ok());
    if master {
        return names.first().cloned();
    }
    let preferred = if priority? > 100 { names.first() } else { names.get(1) };
    let why =
        "preferred is a guess, by the state and priority here: the higher priority of the two files has it";
    add(&mut group.remarks, Remark::todo(Some(instance.place.clone()), why));
    preferred.cloned()
}

/// Interfaces that are tracked are those of the addresses, or nothing tracks them.
fn tracked(instance: &Node, group: &mut Group) {
    let covered: Vec<String> = group
        .resources
        .iter()
        .filter_map(|resource| match resource {
            Value::Text(text) => {
                text.split('/').nth(2).map(|part| part.split(':').next().unwrap_or(part).to_owned())
            }
            _ => None,
        })
        .collect();
    for said in instance.said("track_interface").map(Node::inner).unwrap_or_default() {
        if !covered.iter().any(|interface| interface == said.name()) {
            let why = "the interfaces of the group's addresses are looked at, and no others";
            add(
                &mut group.remarks,
                Remark::lost(said.place.clone(), &format!("track_interface {}", shown(said.name())), why),
            );
        }
    }
}

/// The director goes where the addresses of its services are.
fn add_director(services: &[String], groups: &mut [Group]) {
    let has =
        |group: &Group| {
            group.resources.iter().filter_map(address_of).any(|ip| {
                services.iter().any(|service| super::spelling::split_port(service).0.parse() == Ok(ip))
            })
        };
    let index = groups.iter().position(has).unwrap_or(0);
    if let Some(group) = groups.get_mut(index) {
        let behind = group
            .resources
            .iter()
            .rposition(|resource| address_of(resource).is_some())
            .map_or(0, |last| last + 1);
        group.resources.insert(behind, "director".into());
    }
}
