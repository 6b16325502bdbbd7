//! `[[group]]` and its resources.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use cluster::settings::{OnFail, OnStopFailure, Requires};
use proto::GroupId;
use toml::de::DeValue;

use super::address;
use super::agent::{Call, Finder};
use super::cluster::{check_name, known_node};
use super::extra::word;
use super::model::{Agent, Duplicate, Fence, Group, Link, LinkKind, Ping, Resource};
use super::problem::{Report, Span};
use super::safety::scalar;
use super::suggest::{listed, nearest};
use super::table::{At, Table, Value, shown, wrong_type};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
/// `link_monitor`, unless given.
pub(super) const LINK_MONITOR: Duration = Duration::from_millis(200);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More than one datagram can tell of.
const MAX_GROUPS: usize = 1000;

/// What reading the groups needs to know of the rest of the file.
pub(super) struct Scope<'s> {
    pub(super) nodes: &'s [String],
    pub(super) me: Option<&'s str>,
    pub(super) links: &'s [Link],
    pub(super) pings: &'s [Ping],
    pub(super) fences: &'s [Fence],
    pub(super) witness: bool,
    pub(super) finder: Finder<'s>,
    pub(super) report: &'s Report<'s>,
}

/// Reads all `[[group]]` of the file.
pub(super) fn read(root: &Table<'_>, scope: &Scope<'_>) -> Vec<Group> {
    let report = scope.report;
    let tables = root.tables("group", "[[group]]");
    if tables.is_empty() && root.value("group").is_none() {
        report.warning(
            &(0..0),
            "there is no group: nothing would be taken over",
            "write a [[group]] with a name and its resources",
        );
    }
    if let Some(extra) = tables.get(MAX_GROUPS) {
        report.error(
            &extra.span,
            format!("{} groups are too many", tables.len()),
            format!("there can be {MAX_GROUPS}"),
        );
    }
    let mut groups = Vec::new();
    let mut names: HashMap<GroupId, &str> = HashMap::new();
    let mut owners: HashMap<IpAddr, String> = HashMap::new();
    let mut orders: Vec<Order> = Vec::new();
    for table in tables {
        let Some(name) =
            table.required_string("name", "write name = \"…\": what you will type in `hbctl move NAME`")
        else {
            // The rest of it is looked at all the same.
            read_one(&table, "", scope, &mut owners, &mut orders);
            continue;
        };
        let good = check_name(report, "a group's name", &name);
        match names.insert(GroupId::of(name.value), name.value) {
            Some(twin) if twin == name.value => {
                report.error(
                    &name.span,
                    format!("the group '{}' is there already", shown(twin)),
                    "give each group its own name",
                );
            }
            Some(twin) => {
                let message =
                    format!("the names '{twin}' and '{}' have the same number on the wire", name.value);
                report.error(&name.span, message, "change one of the two names by any letter");
            }
            None => {}
        }
        let place = if good { format!("the group '{}'", name.value) } else { "this group".to_owned() };
        groups.extend(read_one(&table.renamed(place), name.value, scope, &mut owners, &mut orders));
    }
    check_orders(&orders, scope.report);
    groups
}

/// What `after` says: the group, the groups it names, and where.
type Order = (String, Vec<(String, Span)>);

/// The groups that each one names in `after`.
type Afters<'a> = HashMap<&'a str, &'a [(String, Span)]>;

/// Every group named in an `after` is there, and none comes after itself, by whatever detour.
fn check_orders(orders: &[Order], report: &Report<'_>) {
    let of: Afters<'_> = orders.iter().map(|(name, after)| (name.as_str(), after.as_slice())).collect();
    for (name, after) in orders {
        for (other, span) in after {
            if !of.contains_key(other.as_str()) {
                let help = nearest(
                    other,
                    orders.iter().map(|(known, _)| known.as_str()).filter(|known| known != name),
                )
                .map_or_else(
                    || "name another [[group]] of this file".to_owned(),
                    |meant| format!("did you mean \"{meant}\"?"),
                );
                report.error(span, format!("there is no group '{}'", shown(other)), help);
            } else if comes_after(&of, other, name) {
                report.error(
                    span,
                    format!("'{}' would come after itself", shown(name)),
                    "remove one of the `after` that lead in a circle",
                );
            }
        }
    }
}

/// Whether group `first` comes after `goal`, or is it.
fn comes_after<'a>(of: &Afters<'a>, first: &'a str, goal: &str) -> bool {
    let (mut open, mut seen) = (vec![first], HashSet::new());
    while let Some(name) = open.pop() {
        if name == goal {
            return true;
        }
        if seen.insert(name) {
            let after = of.get(name).copied().unwrap_or_default();
            open.extend(after.iter().map(|(other, _)| other.as_str()));
        }
    }
    false
}

/// Reads one `[[group]]`.
fn read_one(
    table: &Table<'_>,
    name: &str,
    scope: &Scope<'_>,
    owners: &mut HashMap<IpAddr, String>,
    orders: &mut Vec<Order>,
) -> Option<Group> {
    table.value("name");
    let preferred =
        table.string("preferred").filter(|at| known_node(scope.report, scope.nodes, at.value, &at.span));
    let requires = requires(table, scope);
    let link_monitor = link_monitor(table, scope.report);
    let words = [("report", Duplicate::Report), ("refuse", Duplicate::Refuse)];
    let duplicate = table.string("duplicate").and_then(|at| word(&at, "duplicate", &words, scope.report));
    let named = table.strings("after").map(|at| at.value).unwrap_or_default();
    let after: Vec<String> = named.iter().map(|at| at.value.to_owned()).collect();
    orders.push((name.to_owned(), named.iter().map(|at| (at.value.to_owned(), at.span.clone())).collect()));
    let on_stop_failure = on_stop_failure(table, scope);
    let mut resources = resources(table, name, scope, owners);
    for resource in resources.iter_mut().flatten() {
        resource.on_stop_failure = resource.on_stop_failure.or(on_stop_failure);
    }
    table.finish();
    Some(Group {
        name: name.to_owned(),
        preferred: preferred.map(|at| at.value.to_owned()),
        requires,
        link_monitor,
        duplicate: duplicate.unwrap_or_default(),
        after,
        resources: resources?,
    })
}

/// `requires`: one of the three words, and what it needs is there.
fn requires(table: &Table<'_>, scope: &Scope<'_>) -> Requires {
    let Some(at) = table.string("requires") else {
        return Requires::Nothing;
    };
    let words =
        [("nothing", Requires::Nothing), ("fencing", Requires::Fencing), ("witness", Requires::Witness)];
    let requires = word(&at, "requires", &words, scope.report).unwrap_or(Requires::Nothing);
    match requires {
        Requires::Nothing => {}
        Requires::Fencing => check_fences("requires", &at, scope),
        Requires::Witness if scope.witness => {}
        Requires::Witness => scope.report.missing(
            &at.span,
            "requires = \"witness\", and there is no [witness]",
            "write a [witness] table with type, endpoints and ttl",
        ),
    }
    requires
}

/// `link_monitor = true | false | { after }`.
fn link_monitor(table: &Table<'_>, report: &Report<'_>) -> Option<Duration> {
    let default = Some(LINK_MONITOR);
    let Some(value) = table.value("link_monitor") else {
        return default;
    };
    match value.get_ref() {
        DeValue::Boolean(on) => default.filter(|_| *on),
        DeValue::Table(map) => {
            let policy = Table::new("link_monitor".to_owned(), value.span(), map, report);
            let after = policy.duration("after", Duration::ZERO, SECOND * 3600).map(|at| at.value);
            policy.finish();
            after.or(default)
        }
        _ => {
            let help = "write true, false or { after = \"1s\" }".to_owned();
            wrong_type(report, "'link_monitor'", "true, false or a table", value, help);
            default
        }
    }
}

/// Every node needs one that fences it; on this node those of the others do.
fn check_fences(key: &str, at: &At<&str>, scope: &Scope<'_>) {
    let bare: Vec<&String> =
        scope.nodes.iter().filter(|node| !scope.fences.iter().any(|fence| fence.node == **node)).collect();
    let others: Vec<&&String> = bare.iter().filter(|node| Some(node.as_str()) != scope.me).collect();
    if !others.is_empty() {
        let message = format!("{key} = \"{}\", and there is no [[fence]] for {}", at.value, listed(&bare));
        scope.report.missing(
            &at.span,
            message,
            "write a [[fence]] with node and agent for every node: the same file serves on all of them",
        );
    } else if !bare.is_empty() {
        let message = format!("{key} = \"{}\", and there is no [[fence]] for {}", at.value, listed(&bare));
        scope.report.warning(
            &at.span,
            message,
            "the other node will refuse this file: write a [[fence]] for this node too",
        );
    }
}

fn resources(
    table: &Table<'_>,
    group: &str,
    scope: &Scope<'_>,
    owners: &mut HashMap<IpAddr, String>,
) -> Option<Vec<Resource>> {
    const HELP: &str = "write resources = [\"IPaddr::192.168.45.26/24/eth0\"]";
    let Some(value) = table.value("resources") else {
        return table.lacks("resources", HELP);
    };
    let DeValue::Array(array) = value.get_ref() else {
        return table.wrong_type("'resources'", "a list", value, HELP.to_owned());
    };
    if array.is_empty() {
        scope.report.error(
            &value.span(),
            "the group has no resources: there would be nothing to take over",
            HELP,
        );
    }
    let mut resources: Vec<Resource> = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    for entry in array.iter() {
        let Some(resource) = resource(entry, scope) else {
            continue;
        };
        if !names.insert(resource.name.clone()) {
            let message = format!("the resource '{}' is there already", shown(&resource.name));
            scope.report.error(
                &entry.span(),
                message,
                "remove it, or give it another name: { name = \"…\", agent = … }",
            );
        } else if let Agent::Address(spec) = &resource.agent {
            check_address(spec.ip, group, &entry.span(), scope, owners);
        }
        resources.push(resource);
    }
    Some(resources)
}

/// An address that moves is in one group, and no node's own.
fn check_address(
    ip: IpAddr,
    group: &str,
    span: &Span,
    scope: &Scope<'_>,
    owners: &mut HashMap<IpAddr, String>,
) {
    if let Some(other) = owners.insert(ip, group.to_owned()) {
        let place =
            if other == group { "this group".to_owned() } else { format!("the group '{}'", shown(&other)) };
        scope.report.error(
            span,
            format!("the address {ip} is in {place} already"),
            "one address, one group: remove one of the two",
        );
    }
    let fixed = scope.links.iter().find(|link| match &link.kind {
        LinkKind::Ucast { local, peers, .. } => *local == ip || peers.values().any(|peer| *peer == ip),
        _ => false,
    });
    if fixed.is_some() {
        let message = format!("the address {ip} is a node's own, by the [[link]] of type ucast");
        scope.report.error(span, message, "the address that moves must be another than those that stay");
    }
    if let Some(point) = scope.pings.iter().find(|point| point.addresses.contains(&ip)) {
        let message = format!(
            "the address {ip} moves, and the ping point '{}' is to answer at it: when its owner is dead nobody does, and \
             a node that sees none of its points takes nothing",
            shown(&point.name)
        );
        scope.report.warning(span, message, "name a router or a switch in the [[ping]] instead");
    }
}

/// One resource: a text in Heartbeat's spelling, or a table.
fn resource(entry: Value<'_>, scope: &Scope<'_>) -> Option<Resource> {
    match entry.get_ref() {
        DeValue::String(spelling) => from_spelling(spelling, entry.span(), scope),
        DeValue::Table(map) => {
            let table = Table::new("a resource".to_owned(), entry.span(), map, scope.report);
            let resource = from_table(&table, scope);
            table.finish();
            resource
        }
        _ => {
            let help =
                "write \"IPaddr::192.168.45.26/24/eth0\" or { agent = \"…\", args = [\"…\"] }".to_owned();
            wrong_type(scope.report, "a resource", "a text or a table", entry, help);
            None
        }
    }
}

/// `agent::arg::arg`, or a bare address.
fn from_spelling(spelling: &str, span: Span, scope: &Scope<'_>) -> Option<Resource> {
    let (agent, args): (&str, Vec<String>) = if address::looks_like(spelling) {
        ("IPaddr", vec![spelling.to_owned()])
    } else {
        match spelling.split_once("::") {
            None => (spelling, Vec::new()),
            // The address of IPv6addr has '::' of its own.
            Some((agent, rest)) if super::agent::ADDRESS_AGENTS.contains(&agent) => {
                (agent, vec![rest.to_owned()])
            }
            Some((agent, rest)) => (agent, rest.split("::").map(str::to_owned).collect()),
        }
    };
    if !check_args(&args, &span, scope) {
        return None;
    }
    let name = spelled(agent, &args);
    let agent = scope.finder.find(Call { agent, span: span.clone(), args, args_span: span, params: None })?;
    Some(Resource { name, agent, ..defaults() })
}

/// Whether every argument is one line of text that is not empty.
fn check_args(args: &[String], span: &Span, scope: &Scope<'_>) -> bool {
    // Of a sole argument that is empty, the agent has more to say.
    if args.len() > 1 && args.iter().any(String::is_empty) {
        scope.report.error(span, "an argument is empty", "remove the '::' too many, or write the argument");
        return false;
    }
    if args.iter().any(|arg| arg.contains(|c: char| c.is_control() && c != '\t')) {
        scope.report.error(span, "an argument has a control character", "arguments are one line of text");
        return false;
    }
    true
}

/// The Heartbeat spelling.
fn spelled(agent: &str, args: &[String]) -> String {
    std::iter::once(agent).chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join("::")
}

/// A resource with all its times as they are by default.
fn defaults() -> Resource {
    Resource {
        name: String::new(),
        agent: Agent::Systemd { unit: String::new() },
        monitor: None,
        monitor_timeout: SECOND * 20,
        start_timeout: SECOND * 60,
        stop_timeout: SECOND * 60,
        restarts: 1,
        failure_window: SECOND * 3600,
        on_fail: OnFail::Restart,
        on_stop_failure: None,
        parallel: false,
    }
}

/// `{ agent = "…", args = […], … }`.
fn from_table(table: &Table<'_>, scope: &Scope<'_>) -> Option<Resource> {
    let agent = table.required_string(
        "agent",
        "write agent = \"…\": a bare name, lsb:NAME, ocf:PROVIDER:NAME or systemd:UNIT",
    );
    let args = table.strings("args");
    let params = params(table, scope);
    let name = table.string("name");
    let default = defaults();
    let duration = |key, min, max, or: Duration| table.duration(key, min, max).map_or(or, |at| at.value);
    let resource = Resource {
        monitor: table.duration("monitor", TENTH, DAY).map(|at| at.value),
        monitor_timeout: duration("monitor_timeout", TENTH, DAY, default.monitor_timeout),
        start_timeout: duration("start_timeout", TENTH, DAY, default.start_timeout),
        stop_timeout: duration("stop_timeout", TENTH, DAY, default.stop_timeout),
        restarts: table
            .integer("restarts", 0, 1000)
            .map_or(default.restarts, |at| u32::try_from(at.value).unwrap_or(0)),
        failure_window: duration("failure_window", SECOND, DAY * 30, default.failure_window),
        parallel: table.boolean("parallel").map_or(default.parallel, |at| at.value),
        on_fail: table.string("on_fail").and_then(|at| on_fail(&at, scope)).unwrap_or(default.on_fail),
        on_stop_failure: on_stop_failure(table, scope),
        ..default
    };
    let given = name.filter(|at| check_resource_name(at, scope));
    let agent = agent?;
    if table.has("args") && args.is_none() {
        return None;
    }
    let args_span = args.as_ref().map_or_else(|| agent.span.clone(), |at| at.span.clone());
    let args: Vec<String> =
        args.map(|at| at.value.iter().map(|at| at.value.to_owned()).collect()).unwrap_or_default();
    if !check_args(&args, &args_span, scope) {
        return None;
    }
    if let Some((head, rest)) = agent.value.split_once("::") {
        let rest: Vec<String> = rest.split("::").map(|arg| format!("\"{}\"", shown(arg))).collect();
        let help = format!("write agent = \"{}\", args = [{}]", shown(head), rest.join(", "));
        scope.report.error(&agent.span, "in a table the arguments stand apart from the agent", help);
        return None;
    }
    let name = given.map_or_else(|| spelled(agent.value, &args), |at| at.value.to_owned());
    let agent = scope.finder.find(Call { agent: agent.value, span: agent.span, args, args_span, params })?;
    Some(Resource { name, agent, ..resource })
}

/// `on_fail`: one of its words.
fn on_fail(at: &At<&str>, scope: &Scope<'_>) -> Option<OnFail> {
    let words = [
        ("restart", OnFail::Restart),
        ("move", OnFail::Move),
        ("ignore", OnFail::Ignore),
        ("block", OnFail::Block),
        ("fence", OnFail::Fence),
    ];
    let meant = word(at, "on_fail", &words, scope.report);
    if meant == Some(OnFail::Fence) {
        check_fences("on_fail", at, scope);
    }
    meant
}

/// `on_stop_failure` of a group or a resource: one of its words.
fn on_stop_failure(table: &Table<'_>, scope: &Scope<'_>) -> Option<OnStopFailure> {
    let at = table.string("on_stop_failure")?;
    let words = [("block", OnStopFailure::Block), ("fence", OnStopFailure::Fence)];
    let meant = word(&at, "on_stop_failure", &words, scope.report);
    if meant == Some(OnStopFailure::Fence) {
        check_fences("on_stop_failure", &at, scope);
    }
    meant
}

/// `params = { … }` of an OCF agent.
fn params(table: &Table<'_>, scope: &Scope<'_>) -> Option<(BTreeMap<String, String>, Span)> {
    let inner = table.table("params", "params")?;
    let mut params = BTreeMap::new();
    for (key, value) in inner.entries() {
        // They become names of environment variables.
        if key.value.is_empty() || !key.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let message = format!("'{}' cannot be a parameter of an OCF agent", shown(key.value));
            scope.report.error(
                &key.span,
                message,
                "use letters, digits and '_'; `AGENT meta-data` lists them",
            );
        } else if let Some(text) = scalar(scope.report, "a parameter", value) {
            params.insert(key.value.to_owned(), text);
        }
    }
    Some((params, inner.span))
}

/// A name people type; unlike the spelling it replaces, it should be easy to.
fn check_resource_name(at: &At<&str>, scope: &Scope<'_>) -> bool {
    let good = !at.value.is_empty()
        && at.value.len() <= 255
        && !at.value.contains(|c: char| c.is_whitespace() || c.is_control());
    if !good {
        let help = "write a word without blanks, at most 255 bytes, or leave it out";
        scope.report.error(&at.span, format!("'{}' cannot be a resource's name", shown(at.value)), help);
    }
    good
}
