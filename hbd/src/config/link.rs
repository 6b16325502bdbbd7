//! `[[link]]`: the media that heartbeats travel on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::cluster::known_node;
use super::model::{Link, LinkKind};
use super::net::{check_interface, own_address};
use super::problem::{Report, Span};
use super::suggest::{listed, nearest};
use super::table::{At, Table, shown, text, wrong_type};

/// One bit a link travels in each heartbeat.
const MAX_LINKS: usize = 64;
/// The port Heartbeat has at IANA.
const PORT: u16 = 694;
/// Rates every serial driver knows and that are fast enough to be of use.
pub(super) const BAUDS: [i64; 5] = [9600, 19200, 38400, 57600, 115_200];

/// What reading a link needs to know of the rest of the file.
pub(super) struct Scope<'s> {
    pub(super) nodes: &'s [String],
    /// This node, if it is among them.
    pub(super) me: Option<&'s str>,
    pub(super) report: &'s Report<'s>,
}

/// A link as read, with what tells it from the others of the file.
struct Draft {
    kind: LinkKind,
    /// Its name if no other link has it.
    name: String,
    /// Its name if another has.
    long_name: String,
    /// Equal for links that are the same twice.
    identity: String,
    span: Span,
    /// Where the speed of a serial line is given, if it is.
    baud: Option<Span>,
}

/// The speed of a serial link, and where it stands in the file.
pub(super) struct Line {
    pub(super) baud: u32,
    pub(super) span: Span,
}

/// Reads all `[[link]]` of the file.
pub(super) fn read(root: &Table<'_>, scope: &Scope<'_>) -> (Vec<Link>, Vec<Line>) {
    let tables = root.tables("link", "[[link]]");
    if tables.is_empty() && root.value("link").is_none() {
        let help = "write at least one: [[link]] type = \"bcast\" interface = \"eth1\"; two over separate cables are far better";
        scope.report.missing(&(0..0), "there is no link: the nodes cannot hear each other", help);
    }
    if let Some(extra) = tables.get(MAX_LINKS) {
        scope.report.error(
            &extra.span,
            format!("{} links are too many", tables.len()),
            format!("there can be {MAX_LINKS}"),
        );
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for table in tables {
        let Some(draft) = read_one(&table, scope) else {
            continue;
        };
        if drafts.iter().any(|other| other.identity == draft.identity) {
            let message = format!("this link is there already: {}", draft.name);
            scope.report.error(
                &draft.span,
                message,
                "a link twice is no safer: take another interface, port or address, or remove it",
            );
        } else {
            drafts.push(draft);
        }
    }
    let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
    let unique = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let mut lines = Vec::new();
    let links = drafts
        .into_iter()
        .map(|draft| {
            if let LinkKind::Serial { baud, .. } = draft.kind {
                lines.push(Line { baud, span: draft.baud.unwrap_or(draft.span) });
            }
            Link { name: if unique(&draft.name) { draft.name } else { draft.long_name }, kind: draft.kind }
        })
        .collect();
    (links, lines)
}

/// Reads one `[[link]]`.
fn read_one(table: &Table<'_>, scope: &Scope<'_>) -> Option<Draft> {
    const TYPES: [&str; 4] = ["bcast", "mcast", "ucast", "serial"];
    let kind = table.required_string("type", "write type = \"bcast\", \"mcast\", \"ucast\" or \"serial\"")?;
    let at = kind.span.clone();
    let table = table.renamed(format!("[[link]] of type {}", shown(kind.value)));
    let draft = match kind.value {
        "bcast" => bcast(&table, scope, at),
        "mcast" => mcast(&table, scope, at),
        "ucast" => ucast(&table, scope, at),
        "serial" => serial(&table, scope, at),
        other => {
            let meant = TYPES
                .into_iter()
                .zip(["broadcast", "multicast", "unicast", "tty"])
                .find(|(_, long)| *long == other);
            let help = match meant.map(|(short, _)| short).or_else(|| nearest(other, TYPES)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("a link is one of {}", listed(&TYPES)),
            };
            scope.report.error(&at, format!("there is no link type '{}'", shown(other)), help);
            return None;
        }
    };
    table.finish();
    draft
}

fn bcast(table: &Table<'_>, scope: &Scope<'_>, span: Span) -> Option<Draft> {
    let interface = required_interface(table, scope);
    let port = port(table);
    let (interface, all) = interface?;
    Some(Draft {
        name: format!("bcast:{interface}"),
        long_name: format!("bcast:{interface}:{port}"),
        identity: format!("bcast {all} {port}"),
        kind: LinkKind::Bcast { interface, port },
        span,
        baud: None,
    })
}

fn mcast(table: &Table<'_>, scope: &Scope<'_>, span: Span) -> Option<Draft> {
    const HELP: &str = "write group = \"239.255.42.1\", or any free one of 239.0.0.0/8 (IPv6: \"ff15::694\")";
    let interface = required_interface(table, scope);
    let group = table.required_string("group", HELP).and_then(|at| {
        let group = at.value.parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
        if group.is_none() {
            scope.report.error(&at.span, format!("\"{}\" is no multicast group", shown(at.value)), HELP);
        }
        group
    });
    let port = port(table);
    let ttl = table.integer("ttl", 1, 255).map_or(1, |at| u8::try_from(at.value).unwrap_or(1));
    let ((interface, all), group) = (interface?, group?);
    Some(Draft {
        name: format!("mcast:{interface}"),
        long_name: format!("mcast:{interface}:{group}:{port}"),
        identity: format!("mcast {all} {group} {port}"),
        kind: LinkKind::Mcast { interface, group, port, ttl },
        span,
        baud: None,
    })
}

fn ucast(table: &Table<'_>, scope: &Scope<'_>, span: Span) -> Option<Draft> {
    let addresses = ucast_addresses(table, scope);
    let interface = interface(table, scope);
    let port = port(table);
    let addresses = addresses?;
    let link_local = addresses.values().find(|ip| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()));
    if let (Some(ip), None) = (link_local, &interface) {
        let help = "write interface = \"eth1\" as well: such an address is another one on each interface";
        scope.report.error(&span, format!("the link-local address {ip} needs an interface"), help);
        return None;
    }
    let mut identity = format!("ucast {port}");
    for (node, ip) in &addresses {
        let _ = write!(identity, " {node}={ip}");
    }
    let (mut local, mut peers) = (None, BTreeMap::new());
    for (node, ip) in addresses {
        if Some(node.as_str()) == scope.me {
            local = Some(ip);
        } else {
            peers.insert(node, ip);
        }
    }
    let shown: Vec<String> = peers.values().map(ToString::to_string).collect();
    let name = format!("ucast:{}", shown.join(","));
    // Without this node among the nodes nothing is usable; that is reported elsewhere.
    let local = local?;
    let kind = LinkKind::Ucast { local, peers, interface: interface.map(|(name, _)| name), port };
    Some(Draft { long_name: format!("{name}:{port}"), name, identity, kind, span, baud: None })
}

/// `addresses = { NODE = "IP", … }`: every node, each with an address of its own, one family.
fn ucast_addresses(table: &Table<'_>, scope: &Scope<'_>) -> Option<BTreeMap<String, IpAddr>> {
    let example = || {
        let nodes = scope.nodes.iter().enumerate();
        let each: Vec<String> = nodes.map(|(i, node)| format!("{node} = \"192.168.45.{}\"", i + 1)).collect();
        format!("write addresses = {{ {} }}, with the real ones", each.join(", "))
    };
    let Some(value) = table.value("addresses") else {
        return table.lacks("addresses", &example());
    };
    let DeValue::Table(_) = value.get_ref() else {
        return table.wrong_type("'addresses'", "a table of node names", value, example());
    };
    let inner = table.table("addresses", "addresses")?;
    let mut found: BTreeMap<String, IpAddr> = BTreeMap::new();
    let mut good = true;
    for (node, value) in inner.entries() {
        let known = known_node(scope.report, scope.nodes, node.value, &node.span);
        let address =
            text(scope.report, "a node's address", value).and_then(|at| own_address(scope.report, &at));
        let (true, Some(address)) = (known, address) else {
            good = false;
            continue;
        };
        if let Some((twin, _)) = found.iter().find(|(_, other)| **other == address) {
            let message = format!("'{twin}' and '{}' have the same address {address}", node.value);
            scope.report.error(
                &value.span(),
                message,
                "each node's own, fixed address on this network, not the shared one",
            );
            good = false;
        }
        if found.values().any(|other| other.is_ipv4() != address.is_ipv4()) {
            scope.report.error(
                &value.span(),
                "a link is IPv4 or IPv6, not both",
                "write one [[link]] for each family",
            );
            good = false;
        }
        found.insert(node.value.to_owned(), address);
    }
    let absent: Vec<&String> = scope.nodes.iter().filter(|node| !inner.has(node)).collect();
    if !absent.is_empty() && good {
        let message = format!("there is no address for {}", listed(&absent));
        scope.report.missing(&value.span(), message, "name every node: the same file serves on all of them");
        good = false;
    }
    good.then_some(found)
}

fn serial(table: &Table<'_>, scope: &Scope<'_>, span: Span) -> Option<Draft> {
    let device = per_node(table, scope, "device", check_device);
    if device.is_none() && table.value("device").is_none() {
        table.lacks::<()>(
            "device",
            "write device = \"/dev/ttyS0\", or { NODE = \"/dev/ttyS0\", … } if it differs",
        );
    }
    let baud = baud(table, scope);
    let (device, all) = device?;
    let name = device.strip_prefix("/dev/").unwrap_or(&device).to_owned();
    Some(Draft {
        name: format!("serial:{name}"),
        long_name: format!("serial:{device}"),
        identity: format!("serial {all}"),
        kind: LinkKind::Serial { device: PathBuf::from(device), baud },
        span,
        baud: table.value("baud").map(toml::Spanned::span),
    })
}

fn baud(table: &Table<'_>, scope: &Scope<'_>) -> u32 {
    const DEFAULT: u32 = 19200;
    let Some(at) = table.integer("baud", 1, i64::from(u32::MAX)) else {
        return DEFAULT;
    };
    if !BAUDS.contains(&at.value) {
        let rates: Vec<String> = BAUDS.iter().map(ToString::to_string).collect();
        scope.report.error(
            &at.span,
            format!("{} baud is no rate to use", at.value),
            format!("one of {}", rates.join(", ")),
        );
        return DEFAULT;
    }
    u32::try_from(at.value).unwrap_or(DEFAULT)
}

/// `port`, or the default.
fn port(table: &Table<'_>) -> u16 {
    table.integer("port", 1, 65535).map_or(PORT, |at| u16::try_from(at.value).unwrap_or(PORT))
}

fn required_interface(table: &Table<'_>, scope: &Scope<'_>) -> Option<(String, String)> {
    let found = interface(table, scope);
    if found.is_none() && table.value("interface").is_none() {
        return table.lacks("interface", "write interface = \"eth1\": a name that `ip link` shows");
    }
    found
}

/// `interface`: this node's, and the whole of what the file says.
fn interface(table: &Table<'_>, scope: &Scope<'_>) -> Option<(String, String)> {
    per_node(table, scope, "interface", |report, at| check_interface(report, at.value, &at.span))
}

/// A key that is a text, or a table of a text for each node; every text passes `check`. Gives this
/// node's, and a rendering of all for telling links apart.
fn per_node(
    table: &Table<'_>,
    scope: &Scope<'_>,
    key: &'static str,
    check: impl Fn(&Report<'_>, &At<&str>) -> bool,
) -> Option<(String, String)> {
    let value = table.value(key)?;
    match value.get_ref() {
        DeValue::String(_) => {
            let at = table.string(key)?;
            check(scope.report, &at).then(|| (at.value.to_owned(), at.value.to_owned()))
        }
        DeValue::Table(_) => {
            let inner = table.table(key, key)?;
            let mut texts = BTreeMap::new();
            let mut good = true;
            for (node, value) in inner.entries() {
                let known = known_node(scope.report, scope.nodes, node.value, &node.span);
                let at = text(scope.report, &format!("a node's {key}"), value);
                match at.filter(|at| check(scope.report, at) && known) {
                    Some(at) => drop(texts.insert(node.value, at.value)),
                    None => good = false,
                }
            }
            let absent: Vec<&String> = scope.nodes.iter().filter(|node| !inner.has(node)).collect();
            if !absent.is_empty() && good {
                scope.report.missing(
                    &value.span(),
                    format!("there is no {key} for {}", listed(&absent)),
                    "name every node: the same file serves on all of them",
                );
                return None;
            }
            let mine = texts.get(scope.me?)?;
            good.then(|| ((*mine).to_owned(), format!("{texts:?}")))
        }
        _ => {
            let help =
                format!("write {key} = \"…\", or {{ NODE = \"…\", … }} if it differs between the nodes");
            wrong_type(scope.report, &format!("'{key}'"), "a text or a table of node names", value, help);
            None
        }
    }
}

fn check_device(report: &Report<'_>, at: &At<&str>) -> bool {
    if Path::new(at.value).is_absolute() {
        return true;
    }
    let help = format!("write the whole path: \"/dev/{}\"", shown(at.value.trim_start_matches("./")));
    report.error(&at.span, format!("the device '{}' is no absolute path", shown(at.value)), help);
    false
}
