//! The text against its format, for each sample of `hbctl status`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use super::*;

/// What a scraper understands of the text: each sample by its name and labels.
///
/// # Panics
/// If it is not as the format says.
fn scrape(text: &str) -> BTreeMap<String, f64> {
    let (mut seen, mut family, mut families) =
        (BTreeMap::new(), (String::new(), String::new()), BTreeSet::new());
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            assert!(!help.is_empty() && families.insert(name.to_owned()), "twice: {line}");
            family = (name.to_owned(), String::new());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert!(name == family.0 && ["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family.1 = kind.to_owned();
        } else {
            let (series, number) = line.rsplit_once(' ').expect(line);
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(name == family.0 && !family.1.is_empty(), "{line}");
            check_labels(labels.strip_suffix('}').expect(line));
            let number: f64 = number.parse().expect(line);
            assert!(number.is_finite() && seen.insert(series.to_owned(), number).is_none(), "twice: {line}");
        }
    }
    seen
}

/// `name="value",…` with `\\`, `\"` and `\n` as the only escapes.
fn check_labels(mut rest: &str) {
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect(rest);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        let mut escaped = false;
        let end = value.char_indices().find(|&(_, c)| {
            let ends = c == '"' && !escaped;
            assert!(!escaped || matches!(c, '\\' | '"' | 'n'), "{value}");
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &value[end.expect(value).0 + 1..];
        assert!(rest.is_empty() || rest.starts_with(','), "{rest}");
        rest = rest.trim_start_matches(',');
    }
}

#[test]
fn every_sample_is_as_the_format_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            let status = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let series = scrape(&render(&status));
            names.extend(series.into_keys().map(|name| name.split('{').next().unwrap().to_owned()));
        }
    }
    assert!(names.len() > 20, "{names:?}");
    assert!(scrape(&render(&Value::Null)).len() > 2);
}

#[test]
fn all_there_is_is_told() {
    let status = json!({"cluster": "l\"v\\s", "node": "a", "version": "1.2.3", "state": "up", "standby": false,
        "maintenance": true, "uptime_ms": 61_500, "degraded": ["one", "two"], "rejected": {"auth": 3},
        "nodes": [{"name": "b", "state": "dead", "last_heard_ms": 1234, "standby": true, "late": 7, "links": [
            {"name": "serial:ttyS0", "state": "up", "last_heard_ms": null, "heard_by_peer": true, "received": 9,
             "late": 1, "lost": 2, "duplicate": 3, "line": {"fill_percent": 25}}]}],
        "groups": [{"name": "vip", "state": "started", "owner": "b", "preferred": "a", "epoch": 5, "since_ms": 500,
            "resources": [{"name": "IPaddr::10.0.0.1", "state": "failed", "failures": 2}]}],
        "ping": [{"name": "gw", "up": false}],
        "fencing": [{"node": "b", "state": "failed", "failures": 4}],
        "fence_devices": [{"node": "b", "agent": "fence_x", "ok": true}],
        "witness": {"state": "failing", "good_for_ms": 2500}});
    let series = scrape(&render(&status));
    for (name, number) in [
        ("hbd_info{version=\"1.2.3\",cluster=\"l\\\"v\\\\s\",node=\"a\"}", 1.0),
        ("hbd_uptime_seconds", 61.5),
        ("hbd_state{state=\"up\"}", 1.0),
        ("hbd_state{state=\"leaving\"}", 0.0),
        ("hbd_standby", 0.0),
        ("hbd_maintenance", 1.0),
        ("hbd_degraded", 2.0),
        ("hbd_rejected_datagrams_total{reason=\"auth\"}", 3.0),
        ("hbd_node_state{node=\"b\",state=\"dead\"}", 1.0),
        ("hbd_node_state{node=\"b\",state=\"up\"}", 0.0),
        ("hbd_node_heard_age_seconds{node=\"b\"}", 1.234),
        ("hbd_node_standby{node=\"b\"}", 1.0),
        ("hbd_node_late_heartbeats_total{node=\"b\"}", 7.0),
        ("hbd_link_up{node=\"b\",link=\"serial:ttyS0\"}", 1.0),
        ("hbd_link_heard_by_peer{node=\"b\",link=\"serial:ttyS0\"}", 1.0),
        ("hbd_link_received_total{node=\"b\",link=\"serial:ttyS0\"}", 9.0),
        ("hbd_link_late_total{node=\"b\",link=\"serial:ttyS0\"}", 1.0),
        ("hbd_link_lost_total{node=\"b\",link=\"serial:ttyS0\"}", 2.0),
        ("hbd_link_duplicate_total{node=\"b\",link=\"serial:ttyS0\"}", 3.0),
        ("hbd_link_fill_ratio{node=\"b\",link=\"serial:ttyS0\"}", 0.25),
        ("hbd_group_state{group=\"vip\",state=\"started\"}", 1.0),
        ("hbd_group_state{group=\"vip\",state=\"blocked\"}", 0.0),
        ("hbd_group_owner{group=\"vip\",node=\"a\"}", 0.0),
        ("hbd_group_owner{group=\"vip\",node=\"b\"}", 1.0),
        ("hbd_group_preferred{group=\"vip\",node=\"a\"}", 1.0),
        ("hbd_group_epoch{group=\"vip\"}", 5.0),
        ("hbd_group_state_age_seconds{group=\"vip\"}", 0.5),
        ("hbd_resource_state{group=\"vip\",resource=\"IPaddr::10.0.0.1\",state=\"failed\"}", 1.0),
        ("hbd_resource_failures{group=\"vip\",resource=\"IPaddr::10.0.0.1\"}", 2.0),
        ("hbd_ping_up{ping=\"gw\"}", 0.0),
        ("hbd_fencing_state{node=\"b\",state=\"failed\"}", 1.0),
        ("hbd_fencing_failures{node=\"b\"}", 4.0),
        ("hbd_fence_device_ok{node=\"b\",agent=\"fence_x\"}", 1.0),
        ("hbd_witness_state{state=\"failing\"}", 1.0),
        ("hbd_witness_lease_seconds", 2.5),
    ] {
        assert_eq!(series.get(name), Some(&number), "{name}\n{series:#?}");
    }
    assert!(!series.keys().any(|name| name.starts_with("hbd_link_heard_age")), "never heard: no age");
    for family in FAMILIES.iter().filter(|family| family.name != "hbd_link_heard_age_seconds") {
        assert!(series.keys().any(|name| name.starts_with(family.name)), "{}", family.name);
    }
}

#[test]
fn every_family_is_in_the_document_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/console.md");
    let text = std::fs::read_to_string(path).unwrap();
    let told: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `hbd_"))
        .map(|line| line.split(['`', '{']).next().unwrap())
        .collect();
    let known: BTreeSet<&str> =
        FAMILIES.iter().map(|family| family.name.trim_start_matches("hbd_")).collect();
    assert_eq!(told, known, "left: docs/console.md, right: the table");
}
