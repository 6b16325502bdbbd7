//! `[[virtual]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::config::file;
use base::config::problem::Report;
use base::config::suggest::nearest;
use base::config::table::{At, Table, shown};

use super::director::Usual;
use super::model::Virtual;
use super::real::{self, Scope};
use super::{address, checks, names};
use crate::load;
use crate::table::{Family, Forward, Key, Protocol, Service, family_of};

/// All virtual services.
pub(super) fn read<'a>(root: &Table<'a>, usual: &Usual, report: &'a Report<'a>) -> Vec<Virtual> {
    let mut virtuals: Vec<Virtual> = Vec::new();
    let mut keys: BTreeMap<Key, String> = BTreeMap::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for table in root.tables("virtual", "[[virtual]]") {
        let Some((at, read)) = read_one(&table, usual, report) else { continue };
        if !names.insert(read.name.clone()) {
            let message = format!("two virtual services are called '{}'", read.name);
            report.error(&at.span, message, "give each its own name");
        }
        if let Some(other) = keys.insert(read.key, read.name.clone()) {
            let span = table.string("address").map_or(at.span, |at| at.span);
            report.error(
                &span,
                format!("{} is the virtual service '{other}' already", read.key),
                "put all real servers of an address into one [[virtual]]",
            );
        }
        virtuals.push(read);
    }
    virtuals
}

fn read_one<'a>(table: &Table<'a>, usual: &Usual, report: &'a Report<'a>) -> Option<(At<String>, Virtual)> {
    let name = table.required_string("name", "give it a name: name = \"www\"");
    let name = name.filter(|at| check_name(at, report));
    let table = match &name {
        Some(at) => table.renamed(format!("the virtual service '{}'", at.value)),
        None => table.renamed("[[virtual]]".to_owned()),
    };
    let protocol = protocol(&table, report);
    let key = key(&table, protocol, report);
    let scheduler = names::scheduler(&table, report);
    let flags = names::flags(&table, &scheduler, protocol == Protocol::Udp, report);
    let (persistent, netmask) = persistence(&table, key, report);
    check_port(&table, key, persistent, report);
    let behind = behind(&table, key, report);
    let engine = engine(&table, protocol, persistent, report);
    let timing = usual.timing.read(&table);
    let checks = checks::read(&table, timing, report);
    let forward = names::forward(&table, Forward::Gate, report).value;
    let fallback = fallback(&table, key, forward, report);
    let never_below = percent(&table, "never_below", report);
    let day = Duration::from_secs(24 * 3600);
    let slow_start = table.duration("slow_start", Duration::ZERO, day).map_or(Duration::ZERO, |at| at.value);
    let quiescent = table.boolean("quiescent").map_or(usual.quiescent, |at| at.value);
    let quorum = table.integer("quorum", 1, 1_000_000);
    let hysteresis = table.integer("hysteresis", 0, 1_000_000);
    let load = load(&table, &scheduler, report).map(Arc::new);
    let (quorum_up, quorum_down) = (hook(&table, "quorum_up", report), hook(&table, "quorum_down", report));
    let scope = Scope {
        key,
        protocol,
        timing,
        checks: checks.as_deref(),
        forward,
        load: load.as_ref(),
        sync: usual.sync,
    };
    let reals = real::read(&table, &scope, report);
    table.finish();
    check_reals(&table, &reals, fallback.is_some(), report);
    let (quorum, hysteresis) = check_quorum(quorum.as_ref(), hysteresis.as_ref(), reals.len(), report);
    let (name, key) = (name?, key?);
    let at = At { value: name.value.to_owned(), span: name.span };
    let name = at.value.clone();
    let read = Virtual {
        name,
        key,
        behind,
        scheduler,
        flags,
        persistent,
        netmask,
        engine,
        fallback,
        quorum,
        hysteresis,
        quorum_up,
        quorum_down,
        never_below,
        slow_start,
        quiescent,
        reals,
    };
    Some((at, read))
}

/// A name that can stand in a command and in a line of text.
pub(super) fn check_name(at: &At<&str>, report: &Report<'_>) -> bool {
    let name = at.value;
    let ok = !name.is_empty()
        && name.len() <= 63
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
    if !ok {
        let help = "1 to 63 characters without spaces and slashes: name = \"www\"";
        report.error(&at.span, format!("'{}' is no name", shown(name)), help);
    }
    ok
}

fn protocol(table: &Table<'_>, report: &Report<'_>) -> Protocol {
    let Some(at) = table.string("protocol") else { return Protocol::Tcp };
    match at.value {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            let help = match nearest(other, ["tcp", "udp", "sctp"]) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"tcp\", \"udp\" or \"sctp\"".to_owned(),
            };
            report.error(&at.span, format!("'{}' is no protocol IPVS balances", shown(other)), help);
            Protocol::Tcp
        }
    }
}

/// `address`, or `fwmark` with `family`.
fn key(table: &Table<'_>, protocol: Protocol, report: &Report<'_>) -> Option<Key> {
    let address = table.string("address");
    let mark = table.integer("fwmark", 1, i64::from(u32::MAX));
    let family = table.string("family");
    match (address, mark) {
        (Some(_), Some(mark)) => {
            let help = "write 'address' or 'fwmark'";
            report.error(&mark.span, "a virtual service has an address or a mark, not both", help);
            None
        }
        (Some(at), None) => {
            if let Some(family) = family {
                report.error(&family.span, "the address tells its family", "leave 'family' out");
            }
            Some(Key::Address(protocol, address::read(report, &at, "the virtual address")?))
        }
        (None, Some(mark)) => {
            let family = match family {
                None => Family::V4,
                Some(at) if at.value == "ipv4" => Family::V4,
                Some(at) if at.value == "ipv6" => Family::V6,
                Some(at) => {
                    let message = format!("'{}' is no family of addresses", shown(at.value));
                    report.error(&at.span, message, "write \"ipv4\" or \"ipv6\"");
                    Family::V4
                }
            };
            Some(Key::Mark(u32::try_from(mark.value).ok()?, family))
        }
        (None, None) if table.has("address") || table.has("fwmark") => None,
        (None, None) => table.lacks("address", "write address = \"192.168.1.30:80\", or fwmark = 1"),
    }
}

/// The virtual addresses whose packets get the mark: only who configures knows them.
fn behind(table: &Table<'_>, key: Option<Key>, report: &Report<'_>) -> Vec<IpAddr> {
    let Some(list) = table.strings("addresses") else { return Vec::new() };
    let Some(Key::Mark(_, family)) = key else {
        if key.is_some() {
            let help = "leave 'addresses' out: it is for a fwmark, which does not tell them";
            report.error(&list.span, "the virtual service has its address already", help);
        }
        return Vec::new();
    };
    let mut addresses = Vec::new();
    for at in &list.value {
        let Some(found) = address::read(report, at, "the virtual address") else { continue };
        if found.port() != 0 {
            let help = format!("write \"{}\": the mark alone tells which packets are meant", found.ip());
            report.error(&at.span, "the address has a port", help);
        } else if family_of(found.ip()) != family {
            let help = "write family = \"ipv6\" for IPv6; each family is a service of its own";
            report.error(&at.span, format!("{} is of another family than its service", found.ip()), help);
        } else {
            addresses.push(found.ip());
        }
    }
    addresses
}

/// Every port at once is for persistent services.
fn check_port(table: &Table<'_>, key: Option<Key>, persistent: Option<u32>, report: &Report<'_>) {
    let Some(Key::Address(_, address)) = key else { return };
    if address.port() == 0
        && persistent.is_none()
        && let Some(at) = table.string("address")
    {
        let message = "the address has no port";
        let help = format!(
            "write \"{}\"; only a persistent service can have all ports",
            SocketAddr::new(address.ip(), 80)
        );
        report.error(&at.span, message, help);
    }
}

/// `persistent` in seconds, and `netmask`.
fn persistence(table: &Table<'_>, key: Option<Key>, report: &Report<'_>) -> (Option<u32>, u32) {
    let family = key.map_or(Family::V4, |key| key.family());
    let whole = Service::whole_mask(family);
    let longest = Duration::from_secs(30 * 24 * 3600);
    let persistent = table.duration("persistent", Duration::from_secs(1), longest);
    if let Some(at) = persistent.as_ref().filter(|at| at.value.subsec_nanos() != 0) {
        report.error(&at.span, "'persistent' must be whole seconds", "write \"1s\", \"120s\", \"2m\"");
    }
    let persistent = persistent.and_then(|at| u32::try_from(at.value.as_secs()).ok());
    let Some(at) = table.string("netmask") else { return (persistent, whole) };
    if persistent.is_none() {
        let help = "write persistent = \"120s\" too, or leave it out";
        report.error(&at.span, "'netmask' is of no use in a service that is not persistent", help);
        return (None, whole);
    }
    let mask = match family {
        Family::V4 => at
            .value
            .parse::<Ipv4Addr>()
            .ok()
            .map(u32::from)
            .filter(|mask| *mask != 0 && mask.leading_ones() + mask.trailing_zeros() == 32),
        Family::V6 => {
            at.value.trim_start_matches('/').parse::<u32>().ok().filter(|length| (1..=128).contains(length))
        }
    };
    if mask.is_none() {
        let (what, help) = match family {
            Family::V4 => ("netmask", "write ones, then zeros: \"255.255.255.0\""),
            Family::V6 => ("length of an IPv6 prefix", "write a number from 1 to 128: \"64\""),
        };
        report.error(&at.span, format!("'{}' is no {what}", shown(at.value)), help);
    }
    (persistent, mask.unwrap_or(whole))
}

fn engine(
    table: &Table<'_>,
    protocol: Protocol,
    persistent: Option<u32>,
    report: &Report<'_>,
) -> Option<String> {
    let at = table.string("engine")?;
    if at.value != "sip" {
        let message = format!("there is no persistence engine '{}'", shown(at.value));
        report.error(&at.span, message, "Linux has one: engine = \"sip\"");
    } else if protocol != Protocol::Udp || persistent.is_none() {
        let help = "write protocol = \"udp\" and persistent = \"120s\" too";
        report.error(&at.span, "the engine is for persistent UDP services", help);
    }
    Some(at.value.to_owned())
}

/// `fallback`: on this machine, or as the service forwards.
fn fallback(
    table: &Table<'_>,
    key: Option<Key>,
    forward: Forward,
    report: &Report<'_>,
) -> Option<(SocketAddr, Forward)> {
    let at = table.string("fallback")?;
    let mut found = address::read(report, &at, "the fallback")?;
    let key = key?;
    if family_of(found.ip()) != key.family() {
        let help = "write an address of the service's family";
        report.error(&at.span, "the fallback is of another family than its service", help);
        return None;
    }
    if let Key::Address(_, service) = key {
        if found.port() == 0 {
            found.set_port(service.port());
        }
        if found.port() != service.port() {
            let (is, wanted) = (found.port(), service.port());
            let message = format!("the fallback's port is {is}, and that of the service {wanted}");
            if found.ip().is_loopback() {
                // Only odd: with a table in memory (dry-run) it does.
                let help = format!(
                    "write port {wanted}: packets for this machine stay as they are, and IPVS refuses it"
                );
                report.warning(&at.span, message, help);
            } else if forward != Forward::Masq {
                report.error(&at.span, message, format!("write port {wanted}: only NAT changes ports"));
            }
        }
    }
    let forward = if found.ip().is_loopback() { Forward::Gate } else { forward };
    Some((found, forward))
}

/// `"25%"`.
fn percent(table: &Table<'_>, key: &'static str, report: &Report<'_>) -> u32 {
    let Some(at) = table.string(key) else { return 0 };
    let number = at.value.strip_suffix('%').and_then(|number| number.trim().parse::<u32>().ok());
    match number {
        Some(number) if number <= 100 => number,
        _ => {
            let message = format!("'{}' is no share", shown(at.value));
            report.error(&at.span, message, "write a number from 0 to 100 with its sign: \"25%\"");
            0
        }
    }
}

fn load(table: &Table<'_>, scheduler: &str, report: &Report<'_>) -> Option<load::Policy> {
    let weights = table.table("weights", "'weights'")?;
    if matches!(scheduler, "mh" | "sh" | "dh") {
        let message = format!("the scheduler {scheduler} moves clients whenever a weight changes");
        report.warning(&weights.span, message, "weights that follow load go with wlc, wrr, sed, nq");
    } else if matches!(scheduler, "rr" | "lc") {
        let message = format!("the scheduler {scheduler} does not look at weights");
        report.warning(&weights.span, message, "write scheduler = \"wrr\" or \"wlc\"");
    }
    load::parse::read(&weights, report)
}

/// Both in numbers, that of real servers within which they make sense.
fn check_quorum(
    quorum: Option<&At<i64>>,
    hysteresis: Option<&At<i64>>,
    reals: usize,
    report: &Report<'_>,
) -> (u32, u32) {
    let (wanted, around) = (quorum.map_or(1, |at| at.value), hysteresis.map_or(0, |at| at.value));
    let reals = i64::try_from(reals).unwrap_or(i64::MAX);
    if let Some(at) = quorum.filter(|at| at.value > reals && reals > 0) {
        let message = format!("the quorum is {wanted}, and there are {reals} real servers");
        report.error(&at.span, message, "it could never be met");
    } else if let Some(at) = hysteresis.filter(|_| around >= wanted) {
        let message = format!("the hysteresis is {around}, and the quorum {wanted}");
        report.error(&at.span, message, "it must be smaller: the service would never go down");
    } else if let Some(at) = hysteresis.filter(|_| wanted + around > reals && reals > 0) {
        let message =
            format!("quorum and hysteresis are {}, and there are {reals} real servers", wanted + around);
        report.error(&at.span, message, "a service that is down could never come up again");
    }
    let number = |value| u32::try_from(value).unwrap_or_default();
    (number(wanted), number(around))
}

fn hook(table: &Table<'_>, key: &'static str, report: &Report<'_>) -> Option<PathBuf> {
    table.string(key).and_then(|at| file::program(report, &at, "director"))
}

fn check_reals(table: &Table<'_>, reals: &[super::model::Real], fallback: bool, report: &Report<'_>) {
    if table.has("real") {
        return;
    }
    let help = "write [[virtual.real]] with address = \"10.0.0.1:80\" below it";
    if fallback {
        report.warning(&table.span, format!("{} has no real servers, only its fallback", table.place), help);
    } else if reals.is_empty() {
        report.missing(&table.span, format!("{} has no real servers", table.place), help);
    }
}
