//! `[cluster]` and `[[node]]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::settings::Failback;
use proto::{MAX_NODE_NAME, NodeId};
use toml::de::DeValue;

use super::duration::show;
use super::model::Cluster;
use super::problem::{Report, Span};
use super::suggest::{listed, nearest};
use super::table::{At, Table, shown, wrong_type};

const HOUR: Duration = Duration::from_secs(3600);
/// Where the keys are unless told otherwise.
const AUTHKEYS: &str = "/etc/hbd/authkeys";

/// The timings with their places, so that others can point at them.
pub(super) struct Timing {
    pub(super) keepalive: At<Duration>,
    pub(super) deadtime: At<Duration>,
    /// Where `auto_failback` stands, if it does.
    pub(super) failback: Span,
}

/// What to go on with if there is no `[cluster]`, so that the rest can be looked at.
pub(super) fn absent(path: &Path) -> (Cluster, Timing) {
    let second = Duration::from_secs(1);
    let cluster = Cluster {
        name: String::new(),
        keepalive: second,
        warntime: second * 5,
        deadtime: second * 10,
        initdead: second * 20,
        failback: Failback::Off,
        failback_window: None,
        authkeys: beside(path, AUTHKEYS),
    };
    let at = |value| At { value, span: 0..0 };
    (cluster, Timing { keepalive: at(second), deadtime: at(second * 10), failback: 0..0 })
}

/// Reads `[cluster]`; what is missing or wrong is replaced by a default and reported.
pub(super) fn read(table: &Table<'_>, path: &Path, report: &Report<'_>) -> (Cluster, Timing) {
    let name = table.required_string(
        "name",
        "give the cluster a name of its own, the same on both nodes: name = \"lvs\"",
    );
    if let Some(name) = &name {
        check_name(report, "the cluster's name", name);
    }
    let or = |key: Option<At<Duration>>, default: Duration| {
        key.unwrap_or(At { value: default, span: table.span.clone() })
    };
    let keepalive = or(table.duration("keepalive", Duration::from_millis(10), HOUR), Duration::from_secs(1));
    let deadtime = or(table.duration("deadtime", Duration::from_millis(20), HOUR), Duration::from_secs(10));
    let warntime = or(table.duration("warntime", Duration::from_millis(10), HOUR), deadtime.value / 2);
    let initdead = or(
        table.duration("initdead", Duration::from_millis(20), HOUR),
        (deadtime.value * 2).max(Duration::from_secs(10)),
    );
    // With a time that could not be read, how they stand to each other says nothing.
    let wrong = [
        ("keepalive", &keepalive),
        ("deadtime", &deadtime),
        ("warntime", &warntime),
        ("initdead", &initdead),
    ]
    .iter()
    .any(|(key, at)| table.has(key) && at.span == table.span);
    if !wrong {
        check_timing(table, report, &keepalive, &warntime, &deadtime, &initdead);
    }
    let (failback, failback_window) = failback(table, report);
    let authkeys = table.string("authkeys").map_or(AUTHKEYS, |at| at.value);
    let cluster = Cluster {
        name: name.map_or_else(String::new, |at| at.value.to_owned()),
        keepalive: keepalive.value,
        warntime: warntime.value,
        deadtime: deadtime.value,
        initdead: initdead.value,
        failback,
        failback_window,
        authkeys: beside(path, authkeys),
    };
    let failback = table.value("auto_failback").map_or(0..0, toml::Spanned::span);
    (cluster, Timing { keepalive, deadtime, failback })
}

/// `file` as seen from the folder of the configuration at `path`.
pub(super) fn beside(path: &Path, file: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

/// How the times must stand to each other. A time not given has the span of the table, so the
/// mistake is shown at the one that is given.
fn check_timing(
    table: &Table<'_>,
    report: &Report<'_>,
    keepalive: &At<Duration>,
    warntime: &At<Duration>,
    deadtime: &At<Duration>,
    initdead: &At<Duration>,
) {
    let given = |at: &At<Duration>, or: &At<Duration>| {
        if at.span == table.span { or.span.clone() } else { at.span.clone() }
    };
    let (k, w, d, i) = (keepalive.value, warntime.value, deadtime.value, initdead.value);
    if d < k * 2 {
        let message = format!("deadtime {} is less than two keepalives of {}", show(d), show(k));
        let help = format!(
            "one lost heartbeat would be a death: set deadtime to at least {}, better {}",
            show(k * 2),
            show(k * 10)
        );
        report.error(&given(deadtime, keepalive), message, help);
    } else if w >= d {
        let message = format!("warntime {} is not shorter than deadtime {}", show(w), show(d));
        let help = format!(
            "no heartbeat could be called late: set warntime to about {} (half of deadtime)",
            show(d / 2)
        );
        report.error(&given(warntime, deadtime), message, help);
    } else if w <= k {
        let message = format!("warntime {} is not longer than keepalive {}", show(w), show(k));
        let help = format!(
            "nearly every heartbeat will be called late: set warntime to {} or more, and deadtime well above it",
            show(k * 2)
        );
        report.warning(&given(warntime, deadtime), message, help);
    }
    if i < d {
        let message = format!("initdead {} is shorter than deadtime {}", show(i), show(d));
        let help = format!(
            "at boot the network needs longer, not shorter: set initdead to {} or more",
            show((d * 2).max(Duration::from_secs(10)))
        );
        report.error(&given(initdead, deadtime), message, help);
    }
}

/// `auto_failback = true | false | { after, window }`.
fn failback(table: &Table<'_>, report: &Report<'_>) -> (Failback, Option<(u16, u16)>) {
    let off = (Failback::Off, None);
    let Some(value) = table.value("auto_failback") else {
        return off;
    };
    match value.get_ref() {
        DeValue::Boolean(false) => off,
        DeValue::Boolean(true) => (Failback::On { after: Duration::ZERO, window: false }, None),
        DeValue::Table(map) => {
            let policy = Table::new("auto_failback".to_owned(), value.span(), map, report);
            let after =
                policy.duration("after", Duration::ZERO, HOUR * 24 * 7).map_or(Duration::ZERO, |at| at.value);
            let window = policy.string("window").and_then(|at| {
                let window = parse_window(at.value);
                if let Err(message) = &window {
                    report.error(
                        &at.span,
                        message.as_str(),
                        "write a time of day from when to when: window = \"02:00-04:00\"",
                    );
                }
                window.ok()
            });
            policy.finish();
            (Failback::On { after, window: window.is_some() }, window)
        }
        _ => {
            let help = "write true, false or { after = \"10m\", window = \"02:00-04:00\" }".to_owned();
            wrong_type(report, "'auto_failback'", "true, false or a table", value, help);
            off
        }
    }
}

/// `HH:MM-HH:MM` as minutes after midnight; it may go over midnight.
fn parse_window(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("\"{}\" is no time window", shown(text));
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let minutes = |text: &str| -> Option<u16> {
        let (hours, minutes) = text.trim().split_once(':')?;
        let number = |text: &str, below: u16| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| digits && *number < below)
        };
        Some(number(hours, 24)? * 60 + number(minutes, 60)?)
    };
    let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
    if from == to {
        return Err(format!("the time window \"{}\" is empty", shown(text)));
    }
    Ok((from, to))
}

/// Reads `[[node]]`: each name once.
pub(super) fn nodes<'a>(root: &Table<'a>, witness: bool, report: &Report<'_>) -> Vec<At<&'a str>> {
    let mut nodes: Vec<At<&str>> = Vec::new();
    let tables = root.tables("node", "[[node]]");
    let written = tables.len();
    for table in tables {
        let name =
            table.required_string("name", "write name = \"…\": what `hostname` prints on that machine");
        table.finish();
        let Some(name) = name else {
            report.nodes_are_vague();
            continue;
        };
        if !check_name(report, "a node's name", &name) {
            report.nodes_are_vague();
        }
        if check_twin(report, &nodes, &name) {
            nodes.push(name);
        }
    }
    let help = "write one [[node]] with its name for each of the two machines";
    match written {
        0 if root.has("node") => report.nodes_are_vague(),
        0 => report.missing(&(0..0), "there are no nodes", help),
        1 => {
            let span = nodes.first().map_or(0..0, |at| at.span.clone());
            report.missing(&span, "there is only one node: nobody could take over", help);
        }
        2 => {}
        _ if !witness && nodes.len() > 2 => {
            let span = nodes.get(2).map_or(0..0, |at| at.span.clone());
            report.missing(
                &span,
                format!("{} nodes need a witness", nodes.len()),
                "write a [witness] table, or keep two nodes: without one a cluster has two",
            );
        }
        _ => {}
    }
    nodes
}

/// Whether `name` can stand beside the nodes before it.
fn check_twin(report: &Report<'_>, nodes: &[At<&str>], name: &At<&str>) -> bool {
    if let Some(twin) = nodes.iter().find(|at| at.value.eq_ignore_ascii_case(name.value)) {
        let message = format!("the node '{}' is there already", twin.value);
        report.error(
            &name.span,
            message,
            "each node once, with the name of its machine; upper and lower case are the same here",
        );
        return false;
    }
    if let Some(twin) = nodes.iter().find(|at| NodeId::of(at.value) == NodeId::of(name.value)) {
        let message =
            format!("the names '{}' and '{}' have the same number on the wire", twin.value, name.value);
        report.error(&name.span, message, "change one of the two names by any letter");
        return false;
    }
    true
}

/// Whether `name` can be a name: it travels, and it is typed on command lines.
pub(super) fn check_name(report: &Report<'_>, what: &str, name: &At<&str>) -> bool {
    let text = name.value;
    if text.is_empty() {
        report.error(&name.span, format!("{what} is empty"), "use letters, digits, '-', '_' and '.'");
    } else if text.len() > MAX_NODE_NAME {
        let message = format!("{what} has {} bytes", text.len());
        report.error(&name.span, message, format!("at most {MAX_NODE_NAME} go into a heartbeat"));
    } else if let Some(wrong) = text.chars().find(|c| !(c.is_alphanumeric() || "-_.".contains(*c))) {
        let message = format!("{what} cannot have {} in it", show_char(wrong));
        report.error(&name.span, message, "use letters, digits, '-', '_' and '.'");
    } else {
        return true;
    }
    false
}

/// A character, for a message.
fn show_char(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        c if c.is_control() => "a control character".to_owned(),
        c => format!("'{c}'"),
    }
}

/// Which of `nodes` the machine called `name` is: spelled the same, then but for upper and lower
/// case, then by the part before the first dot.
pub(super) fn me(name: &str, nodes: &[At<&str>], report: &Report<'_>) -> Option<String> {
    let short = name.split('.').next().unwrap_or(name);
    let found = nodes
        .iter()
        .find(|at| at.value == name)
        .or_else(|| nodes.iter().find(|at| at.value.eq_ignore_ascii_case(name)))
        .or_else(|| nodes.iter().find(|at| at.value.eq_ignore_ascii_case(short)));
    if let Some(at) = found {
        return Some(at.value.to_owned());
    }
    if let Some(first) = nodes.first().filter(|_| !report.has_vague_nodes()) {
        let names: Vec<&str> = nodes.iter().map(|at| at.value).collect();
        let message =
            format!("this machine is '{}', and that is none of the nodes ({})", shown(name), listed(&names));
        report.missing(
            &first.span,
            message,
            "write the name that `hostname` prints here, or say which node this is with --node NAME",
        );
    }
    None
}

/// Whether there is a node called like `name` says, reported if not.
pub(super) fn known_node(report: &Report<'_>, nodes: &[String], name: &str, span: &Span) -> bool {
    if report.has_vague_nodes() || nodes.iter().any(|node| node == name) {
        return true;
    }
    let help = match nearest(name, nodes.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("the nodes are {}", listed(nodes)),
    };
    report.missing(span, format!("there is no node '{}'", shown(name)), help);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_times_of_day_and_may_go_over_midnight() {
        assert_eq!(parse_window("02:00-04:30"), Ok((120, 270)));
        assert_eq!(parse_window("23:00 - 01:00"), Ok((1380, 60)));
        for text in [
            "",
            "02:00",
            "2:00-4:00",
            "24:00-01:00",
            "02:60-03:00",
            "02:00-02:00",
            "+2:00-03:00",
            "aa:bb-cc:dd",
        ] {
            assert!(parse_window(text).is_err(), "{text}");
        }
    }
}
