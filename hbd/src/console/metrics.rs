//! `/metrics`: the status in Prometheus' text format, version 0.0.4. All of it comes from one table, [`FAMILIES`].
//!
//! Labels are what the configuration names, so there are no more series than it makes.

use std::fmt::Write;

use base::terminal::look::Look;
use serde_json::Value;

/// One kind of number.
pub(super) struct Family {
    /// Its name.
    pub name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: Of,
    number: Number,
}

/// What there is one of.
#[derive(Clone, Copy)]
enum Of {
    Daemon,
    Node,
    Link,
    Group,
    Resource,
    Ping,
    Fencing,
    Device,
    Witness,
}

/// Where the number is.
enum Number {
    /// Always 1: the labels tell.
    One,
    /// As it is there; nothing if it is not.
    Count(&'static str),
    /// There in milliseconds, shown in seconds.
    Seconds(&'static str),
    /// Whether it is true.
    Flag(&'static str),
    /// Whether the text at the key is this one.
    Is(&'static str, &'static str),
    /// One for each of these states, 1 for that in which it is.
    State(&'static [&'static str]),
    /// One for each reason.
    Reasons(&'static str),
    /// How many there are in the list.
    Length(&'static str),
    /// One for each node, 1 for the one named at the key.
    Nodes(&'static str),
    /// How full a serial line is.
    Fill,
}

use Number::{Count, Fill, Flag, Is, Length, Nodes, One, Reasons, Seconds, State};

macro_rules! families {
    ($($name:literal $kind:ident $of:ident $number:expr, $help:literal;)*) => {
        /// All that is told.
        pub(super) const FAMILIES: &[Family] =
            &[$(Family { name: $name, kind: stringify!($kind), help: $help, of: Of::$of, number: $number }),*];
    };
}

families! {
    "hbd_info" gauge Daemon One, "Which hbd this is.";
    "hbd_uptime_seconds" gauge Daemon Seconds("uptime_ms"), "Since the daemon was started.";
    "hbd_state" gauge Daemon State(&["joining", "up", "leaving"]), "Where this node stands in the cluster.";
    "hbd_standby" gauge Daemon Flag("standby"), "Whether this node is in standby: it takes no groups.";
    "hbd_maintenance" gauge Daemon Flag("maintenance"), "Whether the cluster is frozen.";
    "hbd_degraded" gauge Daemon Length("degraded"), "How many matters are not as they should be.";
    "hbd_rejected_datagrams_total" counter Daemon Reasons("rejected"), "Datagrams that were not believed.";
    "hbd_node_state" gauge Node State(&["init", "up", "dead", "left"]), "The state of another node.";
    "hbd_node_heard_age_seconds" gauge Node Seconds("last_heard_ms"), "Since another node was last heard.";
    "hbd_node_standby" gauge Node Flag("standby"), "Whether another node is in standby.";
    "hbd_node_late_heartbeats_total" counter Node Count("late"), "Heartbeats that came later than warntime.";
    "hbd_link_up" gauge Link Is("state", "up"), "Whether another node is heard on a link.";
    "hbd_link_heard_by_peer" gauge Link Flag("heard_by_peer"), "Whether the other node hears this one on the link.";
    "hbd_link_heard_age_seconds" gauge Link Seconds("last_heard_ms"), "Since the other node was last heard on the link.";
    "hbd_link_received_total" counter Link Count("received"), "Messages heard on a link.";
    "hbd_link_late_total" counter Link Count("late"), "Gaps on a link that were longer than warntime.";
    "hbd_link_lost_total" counter Link Count("lost"), "Messages that did not come in on a link, though newer ones did.";
    "hbd_link_duplicate_total" counter Link Count("duplicate"), "Messages that came in on a link more than once.";
    "hbd_link_fill_ratio" gauge Link Fill, "How much of a serial line's capacity is used.";
    "hbd_group_state" gauge Group State(&["started", "starting", "stopping", "stopped", "failed", "blocked"]), "The state of a group.";
    "hbd_group_owner" gauge Group Nodes("owner"), "Which node has a group.";
    "hbd_group_preferred" gauge Group Nodes("preferred"), "Which node should have a group.";
    "hbd_group_epoch" gauge Group Count("epoch"), "Of the ownership: it grows each time a group is taken.";
    "hbd_group_state_age_seconds" gauge Group Seconds("since_ms"), "Since a group is in its state.";
    "hbd_resource_state" gauge Resource State(&["started", "starting", "stopping", "stopped", "failed", "unknown"]), "The state of a resource.";
    "hbd_resource_failures" gauge Resource Count("failures"), "Failures of a resource that count on this node.";
    "hbd_ping_up" gauge Ping Flag("up"), "Whether a ping point answers.";
    "hbd_fencing_state" gauge Fencing State(&["idle", "waiting", "running", "failed"]), "Where the fencing of a node stands.";
    "hbd_fencing_failures" gauge Fencing Count("failures"), "Attempts in a row to fence a node that failed.";
    "hbd_fence_device_ok" gauge Device Flag("ok"), "Whether an idle fence device answered when it was last looked at.";
    "hbd_witness_state" gauge Witness State(&["good", "failing", "lost"]), "Where this node stands with the witness.";
    "hbd_witness_lease_seconds" gauge Witness Seconds("good_for_ms"), "For how long the lease of this node can be relied on.";
}

type Labels<'a> = [(&'static str, &'a str)];

/// The text.
pub(super) fn render(status: &Value) -> String {
    let status = Look(status);
    let mut out = String::new();
    for family in FAMILIES {
        let mut head = true;
        each(status, family.of, &mut |labels, one| {
            family.numbers(status, one, labels, &mut |labels, number| {
                if std::mem::take(&mut head) {
                    let Family { name, kind, help, .. } = family;
                    // Writing to a String cannot fail.
                    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
                }
                sample(&mut out, family.name, labels, number);
            });
        });
    }
    out
}

/// Each of what there is, with its labels.
fn each(status: Look, of: Of, take: &mut dyn FnMut(&Labels, Look)) {
    let mut all = |key, label| {
        status.list(key).for_each(|one| take(&[(label, one.text("name").as_str())], one));
    };
    match of {
        Of::Daemon => take(&[], status),
        Of::Node => all("nodes", "node"),
        Of::Group => all("groups", "group"),
        Of::Ping => all("ping", "ping"),
        Of::Link => inner(status, ("nodes", "node"), ("links", "link"), take),
        Of::Resource => inner(status, ("groups", "group"), ("resources", "resource"), take),
        Of::Fencing => {
            status.list("fencing").for_each(|one| take(&[("node", one.text("node").as_str())], one));
        }
        Of::Device => status.list("fence_devices").for_each(|one| {
            take(&[("node", one.text("node").as_str()), ("agent", one.text("agent").as_str())], one);
        }),
        Of::Witness => {
            let witness = status.0.get("witness").filter(|witness| witness.is_object());
            witness.into_iter().for_each(|witness| take(&[], Look(witness)));
        }
    }
}

fn inner(
    status: Look,
    (outer, outer_label): (&str, &'static str),
    (inner, inner_label): (&str, &'static str),
    take: &mut dyn FnMut(&Labels, Look),
) {
    for one in status.list(outer) {
        let name = one.text("name");
        for part in one.list(inner) {
            take(&[(outer_label, &name), (inner_label, &part.text("name"))], part);
        }
    }
}

impl Family {
    fn numbers(&self, status: Look, one: Look, labels: &Labels, put: &mut dyn FnMut(&Labels, f64)) {
        let mut with = |label, value: &str, number| put(&[labels, &[(label, value)]].concat(), number);
        match self.number {
            One => {
                let (version, cluster, node) = (one.text("version"), one.text("cluster"), one.text("node"));
                put(&[("version", &version), ("cluster", &cluster), ("node", &node)], 1.0);
            }
            Count(key) => one.number(key).into_iter().for_each(|number| put(labels, number as f64)),
            Seconds(key) => one.number(key).into_iter().for_each(|ms| put(labels, ms as f64 / 1000.0)),
            Flag(key) => put(labels, flag(one.flag(key))),
            Is(key, text) => put(labels, flag(one.text(key) == text)),
            State(states) => {
                let state = one.text("state");
                states.iter().for_each(|known| with("state", known, flag(state == *known)));
            }
            Reasons(key) => {
                let reasons = one.0.get(key).and_then(Value::as_object).into_iter().flatten();
                reasons.for_each(|(reason, number)| with("reason", reason, number.as_f64().unwrap_or(0.0)));
            }
            Length(key) => put(labels, one.list(key).count() as f64),
            Nodes(key) => {
                let named = one.maybe(key);
                let others = status.list("nodes").map(|node| node.text("name"));
                std::iter::once(status.text("node")).chain(others).for_each(|node| {
                    with("node", &node, flag(named.as_ref() == Some(&node)));
                });
            }
            Fill => {
                let percent = one.0.get("line").and_then(|line| Look(line).number("fill_percent"));
                percent.into_iter().for_each(|percent| put(labels, percent as f64 / 100.0));
            }
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn sample(out: &mut String, name: &str, labels: &Labels, number: f64) {
    out.push_str(name);
    for (at, (label, value)) in labels.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        let _ = write!(out, "{label}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {number}");
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
