//! The keys of a `virtual_server` that are there or are not.

use std::time::Duration;

use super::doc::{Remark, add};
use super::keepalived::Node;
use super::service_file::{Key, Real};
use super::spelling::{fallback, with_port};
use super::value::Value;

/// Flags of schedulers, by keepalived's names.
pub(super) const FLAGS: [(&str, &str); 9] = [
    ("ops", "one-packet"),
    ("sh-port", "sh-port"),
    ("sh-fallback", "sh-fallback"),
    ("mh-port", "mh-port"),
    ("mh-fallback", "mh-fallback"),
    ("flag-1", "flag-1"),
    ("flag-2", "flag-2"),
    ("flag-3", "flag-3"),
    ("flag-0", "flag-1"),
];
/// Those of `node`, and what has to be said of them.
pub(super) fn more(
    node: &Node,
    key: &Key,
    protocol: &str,
    reals: &[Real],
    nat: bool,
    remarks: &mut Vec<Remark>,
) -> Vec<(&'static str, Value)> {
    let mut more: Vec<(&'static str, Value)> = Vec::new();
    // With the scheduler or in lines of their own.
    let sched = node.said("lvs_sched").or(node.said("lb_algo"));
    let words = sched.into_iter().flat_map(|said| said.words.iter().skip(2).map(String::as_str));
    let lines = node.inner().iter().map(Node::name);
    let mut flags: Vec<Value> = Vec::new();
    for (_, flag) in words.chain(lines).filter_map(|word| FLAGS.iter().find(|(name, _)| *name == word)) {
        if (*flag != "one-packet" || protocol == "udp") && !flags.contains(&Value::from(*flag)) {
            flags.push((*flag).into());
        }
    }
    if !flags.is_empty() {
        more.push(("flags", Value::List(flags)));
    }
    let persistent = node
        .said("persistence_timeout")
        .map(|said| said.word(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(360));
    let persistent = persistent.filter(|seconds| (1..=30 * 24 * 3600).contains(seconds));
    if let Some(seconds) = persistent {
        more.push(("persistent", Duration::from_secs(seconds).into()));
    }
    if let Some(mask) =
        node.text("persistence_granularity").filter(|mask| persistent.is_some() && *mask != "255.255.255.255")
    {
        more.push(("netmask", mask.into()));
    }
    if node.text("persistence_engine") == Some("sip") && persistent.is_some() && protocol == "udp" {
        more.push(("engine", "sip".into()));
    }
    if let Some(sorry) = node.said("sorry_server") {
        let text = with_port(
            sorry.word(1).unwrap_or_default(),
            sorry.word(2).and_then(|port| port.parse().ok()).unwrap_or(0),
        );
        let (address, remark) = fallback(&text, key, nat, &sorry.place);
        more.push(("fallback", address.into()));
        remarks.extend(remark);
    }
    quorum(node, reals, &mut more, remarks);
    for name in ["quorum_up", "quorum_down"] {
        let Some(said) = node.said(name) else { continue };
        match said.rest() {
            path if path.starts_with('/') && !path.contains(char::is_whitespace) => {
                more.push((name, path.into()))
            }
            _ => add(
                remarks,
                Remark::todo(
                    Some(said.place.clone()),
                    format!("{name}: a program by its whole path, without arguments of its own"),
                ),
            ),
        }
    }
    more
}

/// Keepalived counted weight, the director counts real servers.
fn quorum(node: &Node, reals: &[Real], more: &mut Vec<(&'static str, Value)>, remarks: &mut Vec<Remark>) {
    let number = |name: &str| node.text(name).and_then(|text| text.parse::<u32>().ok());
    let Some(quorum) = number("quorum").filter(|quorum| *quorum > 1) else { return };
    let count = u32::try_from(reals.len()).unwrap_or(u32::MAX).max(1);
    let wanted = quorum.min(count);
    if reals.iter().any(|real| real.weight != 1) || wanted != quorum {
        let why =
            "it was counted in weight, and is counted in real servers here: look whether the number is right";
        add(remarks, Remark::changed(node.place.clone(), "quorum", why));
    }
    more.push(("quorum", wanted.into()));
    let hysteresis = number("hysteresis").unwrap_or(0).min(wanted - 1).min(count - wanted);
    if hysteresis > 0 {
        more.push(("hysteresis", hysteresis.into()));
    }
}
