//! `[[virtual.real]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base::config::problem::{Report, Span};
use base::config::table::{At, Table};

use super::address;
use super::checks::{self, Timing};
use super::model::{Check, Real};
use super::names;
use crate::load::{self, Policy};
use crate::table::{Forward, Key, MAX_WEIGHT, Protocol, Tunnel, family_of};

/// What the virtual service says for its real servers.
pub(super) struct Scope<'s> {
    /// What the kernel knows the service by.
    pub(super) key: Option<Key>,
    /// Its protocol.
    pub(super) protocol: Protocol,
    /// The checks' timing.
    pub(super) timing: Timing,
    /// The checks, if it says any.
    pub(super) checks: Option<&'s [Check]>,
    /// How packets get there.
    pub(super) forward: Forward,
    /// How weights follow the load.
    pub(super) load: Option<&'s Arc<Policy>>,
    /// Whether connections are synchronised.
    pub(super) sync: bool,
}

/// All real servers of one virtual service.
pub(super) fn read<'a>(table: &Table<'a>, scope: &Scope<'_>, report: &'a Report<'a>) -> Vec<Real> {
    let mut reals: Vec<Real> = Vec::new();
    let mut seen: BTreeMap<SocketAddr, Span> = BTreeMap::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for one in table.tables("real", "[[virtual.real]]") {
        let Some((at, mut real)) = read_one(&one, scope, report) else { continue };
        if seen.insert(at.value, at.span.clone()).is_some() {
            let message = format!("{} is there twice in this virtual service", at.value);
            report.error(
                &at.span,
                message,
                "a real server is in a service once; give it more weight instead",
            );
            continue;
        }
        if !names.insert(real.name.clone()) {
            let span = one.string("name").map_or(at.span, |at| at.span);
            let message = format!("two real servers of this service are called '{}'", real.name);
            report.error(&span, message, "give each its own name");
            continue;
        }
        // Most have the same: it is there once.
        if let Some(before) = reals.last().filter(|before| before.checks == real.checks) {
            real.checks = Arc::clone(&before.checks);
        }
        reals.push(real);
    }
    reals.shrink_to_fit();
    reals
}

fn read_one<'a>(
    table: &Table<'a>,
    scope: &Scope<'_>,
    report: &'a Report<'a>,
) -> Option<(At<SocketAddr>, Real)> {
    let said = table.required_string("address", "write where it is: address = \"10.0.0.1:80\"");
    let name = table.string("name").filter(|at| super::service::check_name(at, report));
    let timing = scope.timing.read(table);
    let forward = names::forward(table, scope.forward, report);
    let weight = table.integer("weight", 0, i64::from(MAX_WEIGHT));
    let (upper, lower) = thresholds(table, report);
    let own = checks::read(table, timing, report);
    let load = table
        .table("weights", "'weights'")
        .and_then(|weights| load::parse::read(&weights, report))
        .map(Arc::new);
    table.finish();
    let said = said?;
    let mut address = address::read(report, &said, "the real server")?;
    // Without a port it is the service's, as everywhere.
    if let (0, Some(Key::Address(_, virtual_address))) = (address.port(), scope.key) {
        address.set_port(virtual_address.port());
    }
    let at = At { value: address, span: said.span };
    check_place(&at, &forward, scope, report);
    let usual = || checks::usual(scope.protocol, timing, address.port());
    let checks =
        own.or_else(|| scope.checks.map(<[_]>::to_vec).map(|checks| retimed(checks, timing, scope.timing)));
    let checks = checks.unwrap_or_else(usual);
    check_ports(&at, &checks, report);
    let name = name.map_or_else(|| address.to_string(), |at| at.value.to_owned());
    let weight = weight.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(1);
    let load = load.or_else(|| scope.load.cloned());
    Some((
        at,
        Real { name, address, weight, forward: forward.value, upper, lower, checks: checks.into(), load },
    ))
}

/// The service's checks with what the real server says of their timing.
fn retimed(mut checks: Vec<Check>, own: Timing, above: Timing) -> Vec<Check> {
    for check in &mut checks {
        let pick = |own, above, has| if own == above { has } else { own };
        check.interval = pick(own.interval, above.interval, check.interval);
        check.timeout = pick(own.timeout, above.timeout, check.timeout);
        check.fall = if own.fall == above.fall { check.fall } else { own.fall };
        check.rise = if own.rise == above.rise { check.rise } else { own.rise };
    }
    checks
}

/// `upper` and `lower`; the kernel refuses the wrong ones with a bare ERANGE.
fn thresholds(table: &Table<'_>, report: &Report<'_>) -> (u32, u32) {
    let number = |at: &Option<At<i64>>| at.as_ref().and_then(|at| u32::try_from(at.value).ok()).unwrap_or(0);
    let (upper, lower) = (table.integer("upper", 0, 4_294_967_295), table.integer("lower", 0, 4_294_967_295));
    let (most, least) = (number(&upper), number(&lower));
    if let Some(at) = lower.filter(|_| least > most) {
        let (message, help) = match most {
            0 => {
                ("'lower' needs an 'upper'".to_owned(), format!("write upper = {} or more too", least.max(1)))
            }
            _ => (format!("'lower' is above 'upper': {least} > {most}"), "write a smaller one".to_owned()),
        };
        report.error(&at.span, message, help);
        return (most, 0);
    }
    (most, least)
}

/// Address, port and forwarding must go with the service.
fn check_place(at: &At<SocketAddr>, forward: &At<Forward>, scope: &Scope<'_>, report: &Report<'_>) {
    let Some(key) = scope.key else { return };
    let tunnel = matches!(forward.value, Forward::Tunnel(Tunnel::Ipip));
    if family_of(at.value.ip()) != key.family() {
        if !tunnel {
            let help =
                "an IPv6 service needs IPv6 real servers; only forward = \"ipip\" reaches the other family";
            report.error(&at.span, format!("{} is of another family than its service", at.value.ip()), help);
        } else if scope.sync {
            let help = "take out 'sync', or give the real server an address of the service's family";
            report.error(&at.span, "the kernel synchronises no connections across families", help);
        }
    }
    if let Key::Address(_, service) = key
        && forward.value != Forward::Masq
        && at.value.port() != service.port()
    {
        let message = format!(
            "the port is {}, and that of the service {}: only NAT changes ports",
            at.value.port(),
            service.port()
        );
        let help = format!("write port {}, or forward = \"masq\"", service.port());
        // A server on this machine is for trying things out, with a table in memory (dry-run): IPVS refuses it too.
        match at.value.ip().is_loopback() {
            true => report.warning(&at.span, message, help),
            false => report.error(&at.span, message, help),
        }
    }
    if let IpAddr::V6(ip) = at.value.ip()
        && ip.is_unicast_link_local()
    {
        let help = "write an address that is good on every link";
        report.error(&at.span, format!("{ip} is link-local: the kernel sends nothing there"), help);
    }
    if let Key::Address(_, service) = key
        && service.ip() == at.value.ip()
    {
        let help = "write the real server's own address";
        report.error(&at.span, "this is the address of the virtual service itself", help);
    }
}

/// Who asks needs a port to ask.
fn check_ports(at: &At<SocketAddr>, checks: &[Check], report: &Report<'_>) {
    use crate::check::Spec;
    let needs = |check: &&Check| !matches!(*check.spec, Spec::Ping | Spec::Off | Spec::Script(_));
    if at.value.port() == 0 && checks.iter().filter(needs).any(|check| check.port.is_none()) {
        let help = "name it in the check: check = { type = …, port = 80 }";
        report.error(&at.span, "the check has no port to ask", help);
    }
}
