//! What the checkers did, from a `keepalived.conf`: virtual services of the director.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::doc::{Remark, add};
use super::keepalived::Node;
use super::keepalived_checks as checks;
use super::keepalived_keys as keys;
use super::ldirectord_checks::name_of;
use super::service_file::{Draft, Forward, Key, Real, Timing, Virtual};
use super::source::shown;
use super::spelling::with_port;
use super::value::{Value, table};

/// What is read of a `virtual_server`, or goes without saying.
const KNOWN: [&str; 30] = [
    "lvs_sched",
    "lb_algo",
    "lvs_method",
    "lb_kind",
    "persistence_timeout",
    "persistence_granularity",
    "persistence_engine",
    "protocol",
    "delay_loop",
    "connect_timeout",
    "retry",
    "nb_get_retry",
    "delay_before_retry",
    "alpha",
    "quorum",
    "hysteresis",
    "quorum_up",
    "quorum_down",
    "sorry_server",
    "inhibit_on_failure",
    "real_server",
    "virtualhost",
    "ip_family",
    "weight",
    "hashed",
    "ops",
    "fwmark",
    "notify_up",
    "notify_down",
    "smtp_alert",
];
/// What else is read of a `real_server`.
const OF_SERVER: [&str; 2] = ["uthreshold", "lthreshold"];
/// What has no counterpart, and why.
const NOTHING: [(&[&str], &str); 3] = [
    (
        &["omega", "ha_suspend", "warmup", "delay_before_retry"],
        "checks run on the standby too, spread by themselves, an interval apart",
    ),
    (
        &["sorry_server_inhibit", "sorry_server_lvs_method"],
        "the fallback is reached as the service forwards, and is there only while it is needed",
    ),
    (&["snmp_name", "log_all_failures", "nat_mask"], "not needed"),
];
/// Addresses of one range.
const LONGEST_RANGE: u32 = 256;

/// Adds the services among `nodes` to `draft`.
pub(super) fn read(nodes: &[Node], draft: &mut Draft) {
    for node in nodes.iter().filter(|node| node.name() == "virtual_server") {
        let known_by = known_by(node, nodes, draft);
        for (index, key) in known_by.iter().enumerate() {
            let one = service(node, key.clone(), index == 0);
            draft.virtuals.push(one);
        }
    }
    if draft.virtuals.is_empty() {
        return;
    }
    if nodes.iter().any(|node| node.name() == "virtual_server" && retries(node, 1) > 0) {
        let why = "the retries of a check come an interval apart, not delay_before_retry: lower interval, or fall, to notice sooner";
        draft.remark(Remark::todo(None, why));
    }
    let told = ["notify_up", "notify_down", "smtp_alert"];
    let services = nodes.iter().filter(|node| node.name() == "virtual_server");
    let mut servers = services.flat_map(|node| std::iter::once(node).chain(node.inner()));
    if let Some(told) = servers.find_map(|node| node.inner().iter().find(|said| told.contains(&said.name())))
    {
        let why = "notify_up, notify_down, smtp_alert: alerts = [{ exec = \"/path\" }] in [director] tells one program of all real servers";
        draft.remark(Remark::todo(Some(told.place.clone()), why));
    }
    if !nodes.iter().any(|node| node.name() == "vrrp_instance") {
        elsewhere(nodes, draft);
    }
    for global in nodes.iter().filter(|node| node.name() == "global_defs") {
        if let Some(sync) = global.said("lvs_sync_daemon") {
            draft.director.extend(sync_daemon(sync));
        }
    }
}

/// What is neither a service nor for one. With instances of VRRP it is said in their file.
fn elsewhere(nodes: &[Node], draft: &mut Draft) {
    let read = ["virtual_server", "virtual_server_group", "global_defs"];
    for node in nodes.iter().filter(|node| !read.contains(&node.name())) {
        draft.remark(Remark::lost(
            node.place.clone(),
            &shown(node.name()),
            "the director has nothing like it",
        ));
    }
}

/// `lvs_sync_daemon INTERFACE [INSTANCE] [id N] …`.
fn sync_daemon(said: &Node) -> Option<(&'static str, Value)> {
    let interface = said.word(1)?;
    let number = said.words.iter().position(|word| word == "id").and_then(|at| said.word(at + 1));
    let id = number.and_then(|id| id.parse::<u32>().ok()).filter(|id| (1..=255).contains(id));
    let id = id.map(|id| ("id", Value::from(id)));
    Some(("sync", table([("interface", interface.into())].into_iter().chain(id))))
}

/// What the service is known by; a group stands for several.
fn known_by(node: &Node, nodes: &[Node], draft: &mut Draft) -> Vec<Key> {
    let ipv6 = node.text("ip_family").is_some_and(|family| family.eq_ignore_ascii_case("inet6"));
    if node.word(1) != Some("group") {
        return key(&node.words[1..], ipv6, node, draft).into_iter().collect();
    }
    let name = node.word(2).unwrap_or_default();
    let group =
        nodes.iter().find(|other| other.name() == "virtual_server_group" && other.word(1) == Some(name));
    let Some(group) = group else {
        let why = format!("there is no virtual_server_group {}", shown(name));
        draft.remark(Remark::lost(node.place.clone(), "virtual_server group", why));
        return Vec::new();
    };
    let mut keys = Vec::new();
    for words in
        group.inner().iter().map(|line| ranged(line, draft)).collect::<Vec<_>>().into_iter().flatten()
    {
        keys.extend(key(&words, ipv6, node, draft));
    }
    keys
}

/// A line of a group, with `A.B.C.1-9` written out.
fn ranged(line: &Node, draft: &mut Draft) -> Vec<Vec<String>> {
    let Some((first, last)) = line.name().split_once('-') else { return vec![line.words.clone()] };
    let start = first.parse::<Ipv4Addr>().ok().map(u32::from);
    let last: Option<u32> = last.parse().ok().filter(|last| *last < 256);
    let Some((start, end)) = start.zip(last).map(|(start, last)| (start, (start & !255) | last)) else {
        let why = "write each address of the range as a [[virtual]]";
        draft.remark(Remark::todo(Some(line.place.clone()), why));
        return Vec::new();
    };
    (start..=end)
        .take(LONGEST_RANGE as usize)
        .map(|ip| {
            let mut words = line.words.clone();
            words[0] = Ipv4Addr::from(ip).to_string();
            words
        })
        .collect()
}

/// `ADDRESS [PORT]` or `fwmark N [inet6]`.
fn key(words: &[String], ipv6: bool, node: &Node, draft: &mut Draft) -> Option<Key> {
    let first = words.first().map_or("", String::as_str);
    let second = words.get(1).map(String::as_str);
    if first == "fwmark" {
        let ipv6 = ipv6 || words.get(2).is_some_and(|family| family == "inet6");
        return second?.parse().ok().filter(|mark| *mark > 0).map(|mark| Key::Mark(mark, ipv6));
    }
    let port = second.map_or(Some(0), |port| port.parse::<u32>().ok().filter(|port| *port <= 65_535));
    match (first.parse::<IpAddr>(), port) {
        (Ok(_), Some(port)) => Some(Key::Address(with_port(first, port))),
        _ => {
            let why = format!(
                "{} is no address and port in numbers: write it as a [[virtual]]",
                shown(&words.join(" "))
            );
            draft.remark(Remark::todo(Some(node.place.clone()), why));
            None
        }
    }
}

/// One service; what has to be said of it is said at the `first` of a group.
fn service(node: &Node, key: Key, first: bool) -> Virtual {
    let mut remarks = Vec::new();
    let protocol = match node.text("protocol").map(str::to_ascii_lowercase).as_deref() {
        Some("udp") => "udp",
        Some("sctp") => "sctp",
        _ => "tcp",
    };
    let port = match &key {
        Key::Address(address) => {
            super::spelling::split_port(address).1.and_then(|port| port.parse().ok()).unwrap_or(0)
        }
        Key::Mark(..) => 0,
    };
    let servers: Vec<&Node> = node.inner().iter().filter(|inner| inner.name() == "real_server").collect();
    let inhibited = servers.iter().filter(|server| server.flag("inhibit_on_failure")).count();
    let quiescent = node.flag("inhibit_on_failure") || (inhibited > 0 && inhibited == servers.len());
    if inhibited > 0 && !quiescent {
        let why = "it holds for a whole service here: quiescent = true";
        add(&mut remarks, Remark::lost(node.place.clone(), "inhibit_on_failure", why));
    }
    let timing = timing(node, None, quiescent);
    let forward = forward(node).unwrap_or(Forward::plain("masq"));
    let reals: Vec<Real> = servers
        .iter()
        .map(|server| real(server, node, port, protocol, &forward, timing, &mut remarks))
        .collect();
    let more = keys::more(node, &key, protocol, &reals, forward.way == "masq", &mut remarks);
    for said in node.inner() {
        let name = said.name();
        if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&name)) {
            add(&mut remarks, Remark::lost(said.place.clone(), name, *why));
        } else if !KNOWN.contains(&name) && !keys::FLAGS.iter().any(|(flag, _)| *flag == name) {
            add(&mut remarks, Remark::lost(said.place.clone(), &shown(name), "it is not known here"));
        }
    }
    let scheduler = node.text("lvs_sched").or(node.text("lb_algo")).unwrap_or("wlc").to_owned();
    let name = match (&key, node.word(1)) {
        (_, Some("group")) => node.word(2).unwrap_or_default().to_owned(),
        (Key::Mark(mark, _), _) => format!("mark-{mark}"),
        (Key::Address(_), _) => name_of(port).map_or_else(|| format!("port-{port}"), str::to_owned),
    };
    let remarks = if first { remarks } else { Vec::new() };
    Virtual { name, key, protocol, scheduler, more, timing, reals, remarks, fits: true }
}

/// Tries after the first one of a check.
fn retries(node: &Node, usual: u32) -> u32 {
    let said = node.text("retry").or(node.text("nb_get_retry"));
    said.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The timing of `node`, with what it has from `above`.
fn timing(node: &Node, above: Option<Timing>, quiescent: bool) -> Timing {
    let usual = above.unwrap_or(Timing {
        interval: checks::USUAL_LOOP,
        timeout: Duration::from_secs(5),
        fall: 2,
        rise: 1,
        quiescent,
    });
    Timing {
        interval: checks::seconds(node.text("delay_loop")).unwrap_or(usual.interval),
        timeout: checks::seconds(node.text("connect_timeout")).unwrap_or(usual.timeout),
        fall: retries(node, usual.fall.saturating_sub(1)).saturating_add(1).min(1000),
        ..usual
    }
}

fn forward(node: &Node) -> Option<Forward> {
    let said = node.said("lvs_method").or(node.said("lb_kind"))?;
    let words: Vec<&str> = said.words.iter().skip(1).map(String::as_str).collect();
    let after =
        |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
    let checksum = match () {
        () if words.contains(&"csum") => Some("full"),
        () if words.contains(&"remcsum") => Some("remote"),
        () => None,
    };
    Some(match words.first()?.to_ascii_uppercase().as_str() {
        "DR" => Forward::plain("gate"),
        "TUN" => match after("type") {
            Some("gue") => Forward {
                way: "gue",
                port: after("port").and_then(|port| port.parse().ok()).filter(|port| *port != 6080),
                checksum,
            },
            Some("gre") => {
                Forward { way: "gre", port: None, checksum: checksum.filter(|checksum| *checksum == "full") }
            }
            _ => Forward::plain("ipip"),
        },
        _ => Forward::plain("masq"),
    })
}

fn real(
    server: &Node,
    service: &Node,
    port: u32,
    protocol: &str,
    above: &Forward,
    timing_above: Timing,
    remarks: &mut Vec<Remark>,
) -> Real {
    let mut own = Vec::new();
    let host = server.word(1).unwrap_or("FILL-IN");
    let forward = forward(server).unwrap_or_else(|| above.clone());
    let said = server.word(2).map(|text| text.parse::<u32>().ok().filter(|port| *port <= 65_535));
    if host.parse::<IpAddr>().is_err() || said == Some(None) {
        let why = format!("{} is no address and port in numbers: write them", shown(&server.rest()));
        own.push(Remark::todo(Some(server.place.clone()), why));
    }
    let mut real_port = said.flatten().unwrap_or(port);
    if port != 0 && real_port != port && forward.way != "masq" {
        let why = format!("port {port} and not {real_port}: only NAT changes ports");
        own.push(Remark::changed(server.place.clone(), "real_server", why));
        real_port = port;
    }
    let number = |name: &str| server.text(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let (upper, lower) = (number("uthreshold"), number("lthreshold"));
    if lower > upper {
        let why = "the kernel refuses a lower bound above the upper one, or without one";
        own.push(Remark::lost(server.place.clone(), "lthreshold", why));
    }
    unknown(server, &mut own);
    let weight = server.text("weight").or(service.text("weight")).and_then(|text| text.parse().ok());
    let asked = checks::tables(server, service, &checks::Scope { port: real_port, protocol }, remarks);
    Real {
        name: None,
        address: with_port(host, real_port),
        weight: weight.unwrap_or(1),
        upper,
        lower: if lower > upper { 0 } else { lower },
        forward,
        checks: asked,
        timing: timing(server, Some(timing_above), timing_above.quiescent),
        weights: None,
        remarks: own,
    }
}

/// What of a real server could not be carried over.
fn unknown(server: &Node, remarks: &mut Vec<Remark>) {
    for said in server.inner() {
        let name = said.name();
        if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&name)) {
            add(remarks, Remark::lost(said.place.clone(), name, *why));
        } else if !KNOWN.contains(&name) && !OF_SERVER.contains(&name) && !checks::CHECKERS.contains(&name) {
            add(remarks, Remark::lost(said.place.clone(), &shown(name), "it is not known here"));
        }
    }
}
