//! What keeps two machines from doing the same: `[[fence]]`, `[watchdog]`, and the points that tell "my cable" from "my
//! peer", `[[ping]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::settings::Requires;
use toml::de::DeValue;

use super::cluster::{Timing, check_name, known_node};
use super::duration::show;
use super::environment::{Environment, Program};
use super::model::{Fence, Group, Ping, Watchdog};
use super::net::own_address;
use super::problem::Report;
use super::table::{At, Table, Value, shown, wrong_type};

const SECOND: Duration = Duration::from_secs(1);
/// Between two looks at an idle fence device.
const MONITOR: Duration = Duration::from_secs(60);
/// A number of points that fits the byte it travels in, with room.
const MAX_PINGS: usize = 64;
/// Where the programs of `[[fence]]` are looked for.
pub const FENCE_FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Reads `[[ping]]`.
pub(super) fn pings(root: &Table<'_>, report: &Report<'_>) -> Vec<Ping> {
    let tables = root.tables("ping", "[[ping]]");
    if let Some(extra) = tables.get(MAX_PINGS) {
        report.error(
            &extra.span,
            format!("{} ping points are too many", tables.len()),
            format!("there can be {MAX_PINGS}"),
        );
    }
    let mut pings: Vec<Ping> = Vec::new();
    for table in tables {
        let name = table.required_string("name", "write name = \"gateway\"");
        let list = table.required_strings("addresses", "write addresses = [\"192.168.45.1\"]");
        table.finish();
        if let Some(at) = &list
            && at.value.is_empty()
        {
            report.error(
                &at.span,
                "a ping point needs an address",
                "write addresses = [\"192.168.45.1\"], a machine that is always there",
            );
        }
        let addresses: Vec<IpAddr> =
            list.iter().flat_map(|at| &at.value).filter_map(|at| own_address(report, at)).collect();
        let Some(name) = name else { continue };
        if pings.iter().any(|ping| ping.name == name.value) {
            let message = format!("the ping point '{}' is there already", shown(name.value));
            report.error(
                &name.span,
                message,
                "give each its own name, or put its addresses into the first one's list",
            );
        } else if check_name(report, "a ping point's name", &name) {
            pings.push(Ping { name: name.value.to_owned(), addresses });
        }
    }
    pings
}

/// Reads `[[fence]]`.
pub(super) fn fences(
    root: &Table<'_>,
    nodes: &[String],
    me: Option<&str>,
    env: &dyn Environment,
    report: &Report<'_>,
) -> Vec<Fence> {
    let mut fences = Vec::new();
    for table in root.tables("fence", "[[fence]]") {
        let node = table.required_string("node", "write node = \"…\": the node this device switches off");
        let agent = table.required_string(
            "agent",
            "write agent = \"fence_ipmilan\", or the path of a command of that kind",
        );
        let options = options(&table, report);
        let timeout = table.duration("timeout", SECOND, SECOND * 3600).map_or(SECOND * 60, |at| at.value);
        let delay =
            table.duration("delay", Duration::ZERO, SECOND * 600).map_or(Duration::ZERO, |at| at.value);
        let retries = table.integer("retries", 0, 10).map_or(1, |at| at.value);
        let monitor = table.duration("monitor", Duration::ZERO, SECOND * 24 * 3600);
        let monitor = monitor.map_or(MONITOR, |at| at.value);
        table.finish();
        let known = node.as_ref().is_some_and(|at| known_node(report, nodes, at.value, &at.span));
        // Nobody fences itself: this node's own fence agent is needed on the other node only.
        let runs_here = known && node.as_ref().is_some_and(|at| Some(at.value) != me);
        if let Some(agent) = &agent {
            check_fence_agent(agent, runs_here, env, report);
        }
        if let (Some(node), Some(agent), true) = (node, agent, known) {
            fences.push(Fence {
                node: node.value.to_owned(),
                agent: agent.value.to_owned(),
                options,
                timeout,
                delay,
                retries: u32::try_from(retries).unwrap_or_default(),
                monitor: (!monitor.is_zero()).then_some(monitor),
            });
        }
    }
    fences
}

/// Two nodes that each want a group of the other's fence each other after a split; the one with the longer delay
/// should be down before its own shot. How long a fence takes is known only when it was tried, so what can be said
/// here is that no difference is too little.
pub(super) fn check_delays(root: &Table<'_>, fences: &[Fence], groups: &[Group], report: &Report<'_>) {
    let fenced = groups.iter().filter(|group| group.requires == Requires::Fencing).count();
    let mut first: Vec<&Fence> = Vec::new();
    for fence in fences {
        if !first.iter().any(|other| other.node == fence.node) {
            first.push(fence);
        }
    }
    let same = |fence: &&Fence| first.iter().any(|o| o.node != fence.node && o.delay == fence.delay);
    if let (true, Some(fence)) = (fenced > 1, first.iter().copied().find(same)) {
        let message = format!("{} and another node may fence each other at the same moment", fence.node);
        let help = "give the [[fence]] of the node that should survive a delay longer than fencing the other one takes: delay = \"15s\"";
        report.warning(&root.value("fence").map_or(0..0, toml::Spanned::span), message, help);
    }
}

/// `options = { … }` as the fence-agents take them: texts, numbers and truths, all as text.
fn options(table: &Table<'_>, report: &Report<'_>) -> BTreeMap<String, String> {
    let Some(inner) = table.table("options", "options") else {
        return BTreeMap::new();
    };
    let mut options = BTreeMap::new();
    for (key, value) in inner.entries() {
        if key.value.is_empty()
            || key.value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=')
        {
            report.error(
                &key.span,
                format!("'{}' cannot be an option of a fence agent", shown(key.value)),
                "see `AGENT -o metadata` for its options",
            );
        } else if let Some(text) = scalar(report, "an option", value) {
            if key.value == "action" && !matches!(text.as_str(), "off" | "reboot") {
                let message = format!("a node cannot be fenced by the action '{}'", shown(&text));
                report.error(&value.span(), message, "\"reboot\" (the default) or \"off\"");
            }
            options.insert(key.value.to_owned(), text);
        }
    }
    options
}

/// A text, number or truth as one line of text: it goes into the agent's input line by line.
pub(super) fn scalar(report: &Report<'_>, what: &str, value: Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) if text.contains(|c: char| c.is_control() && c != '\t') => {
            report.error(
                &value.span(),
                format!("{what} must be one line of text"),
                "remove the line break or control character",
            );
            None
        }
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(number.to_string()),
            Err(_) => {
                report.error(
                    &value.span(),
                    format!("{what} cannot be this big a number"),
                    "put it in quotes",
                );
                None
            }
        },
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => {
            wrong_type(
                report,
                what,
                "a text, a number, true or false",
                value,
                "write it in quotes".to_owned(),
            );
            None
        }
    }
}

/// Whether the agent of a fence can be one, and is installed if it `runs_here`.
fn check_fence_agent(agent: &At<&str>, runs_here: bool, env: &dyn Environment, report: &Report<'_>) {
    let name = agent.value;
    let trouble = if name.is_empty() {
        let help = "write agent = \"fence_ipmilan\", or the path of a command of that kind";
        Some(("the fence agent is empty".to_owned(), help.to_owned()))
    } else if name.contains(char::is_control) {
        let message = "the fence agent's name has a control character".to_owned();
        Some((message, "write agent = \"fence_ipmilan\"".to_owned()))
    } else if name.contains('/') && !name.starts_with('/') {
        let help = "write the whole path, or the bare name of an installed agent";
        Some((format!("the fence agent '{}' is no absolute path", shown(name)), help.to_owned()))
    } else if runs_here {
        fence_not_installed(name, env)
    } else {
        None
    };
    if let Some((message, help)) = trouble {
        report.error(&agent.span, message, help);
    }
}

/// Why the fence agent `name` cannot be run on this machine, and what to do; nothing if it can.
fn fence_not_installed(name: &str, env: &dyn Environment) -> Option<(String, String)> {
    let candidates: Vec<PathBuf> = match name.starts_with('/') {
        true => vec![PathBuf::from(name)],
        false => FENCE_FOLDERS.iter().map(|folder| Path::new(folder).join(name)).collect(),
    };
    let is = |path: &&PathBuf, program| env.program(path) == program;
    if candidates.iter().any(|path| is(&path, Program::Executable)) {
        return None;
    }
    if let Some(path) = candidates.iter().find(|path| is(path, Program::NotExecutable)) {
        let path = path.display();
        return Some((format!("the fence agent {path} is not executable"), format!("chmod +x {path}")));
    }
    if name.starts_with('/') {
        return Some((
            format!("there is no fence agent {}", shown(name)),
            "install it, or correct the path".to_owned(),
        ));
    }
    let folders = FENCE_FOLDERS.join(", ");
    let help =
        format!("install it (Debian: apt install fence-agents), or write its path; searched: {folders}");
    Some((format!("the fence agent '{}' is not installed", shown(name)), help))
}

/// Reads `[watchdog]`.
pub(super) fn watchdog(root: &Table<'_>, timing: &Timing, report: &Report<'_>) -> Option<Watchdog> {
    let table = root.table("watchdog", "[watchdog]")?;
    let device = table.string("device");
    let timeout = table.duration("timeout", SECOND, SECOND * 3600);
    table.finish();
    if let Some(at) = &device
        && !Path::new(at.value).is_absolute()
    {
        report.error(
            &at.span,
            format!("the device '{}' is no absolute path", shown(at.value)),
            "write the whole path: \"/dev/watchdog\"",
        );
    }
    if let Some(at) = &timeout {
        whole_seconds(report, at, "timeout", "watchdogs count whole seconds");
    }
    let timeout_value = timeout.as_ref().map_or(SECOND * 4, |at| at.value);
    let deadtime = timing.deadtime.value;
    if timeout_value >= deadtime {
        let message = format!(
            "the watchdog's timeout {} is not shorter than deadtime {}",
            show(timeout_value),
            show(deadtime)
        );
        let help = "a frozen node is reset only after the other one took over: make the timeout shorter, or deadtime longer";
        report.warning(&timeout.map_or_else(|| table_span(root), |at| at.span), message, help);
    }
    let device = device.map_or_else(|| PathBuf::from("/dev/watchdog"), |at| PathBuf::from(at.value));
    Some(Watchdog { device, timeout: timeout_value })
}

/// Where `[watchdog]` stands.
fn table_span(root: &Table<'_>) -> super::problem::Span {
    root.value("watchdog").map_or(0..0, toml::Spanned::span)
}

/// Reports a duration that is not a number of whole seconds.
pub(super) fn whole_seconds(report: &Report<'_>, at: &At<Duration>, key: &str, why: &str) {
    if at.value.subsec_nanos() != 0 {
        let up = SECOND * u32::try_from(at.value.as_secs() + 1).unwrap_or(1);
        report.error(
            &at.span,
            format!("'{key}' must be whole seconds, and this is {}", show(at.value)),
            format!("{why}: \"{}\"", show(up)),
        );
    }
}
