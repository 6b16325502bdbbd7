//! `hbctl status --json`: the core's picture and what the daemon itself has to add.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::status::Status;
use serde_json::{Value, json};

use super::links::LineStatus;
use super::outputs::Outputs;
use super::report::Trouble;
use crate::config::Fence;

/// The version shown.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that goes into one status, as values; rendered off the loop.
#[derive(Debug)]
pub struct Picture {
    /// The core's part.
    pub core: Status,
    /// What agents wrote when they last failed.
    pub outputs: Outputs,
    /// Since the start of the daemon.
    pub uptime: Duration,
    /// The daemon's own troubles, a sentence each.
    pub troubles: Vec<String>,
    /// The serial lines.
    pub lines: Vec<LineStatus>,
    /// The ping points, and whether they answer; those not known yet are left out.
    pub points: Vec<(String, bool)>,
    /// What the daemon itself knows of the witness, if there is one.
    pub witness: Option<Value>,
    /// The fence devices: whom, by which agent, whether it answered when it was last looked at.
    pub devices: Vec<(String, String, bool)>,
}

/// Of a serial line fuller than this there is little left for what happens besides heartbeats.
const FULL_PERCENT: u8 = 90;

impl Picture {
    /// The object of INTERFACE.md.
    pub fn render(self) -> Value {
        let mut core = self.core;
        core.degraded.extend(self.troubles);
        for line in self.lines.iter().filter(|line| line.fill_percent > FULL_PERCENT) {
            let LineStatus { name, baud, fill_percent, .. } = line;
            core.degraded
                .push(format!("link {name}: {baud} baud are {fill_percent} % full: news is late on it"));
        }
        let uptime = u64::try_from(self.uptime.as_millis()).unwrap_or(u64::MAX);
        let mut value = serde_json::to_value(core).unwrap_or_default();
        if let Value::Object(object) = &mut value {
            object.insert("version".into(), json!(VERSION));
            object.insert("uptime_ms".into(), json!(uptime));
            let device = |(node, agent, ok)| json!({"node": node, "agent": agent, "ok": ok});
            object.insert("fence_devices".into(), self.devices.into_iter().map(device).collect());
            let point = |(name, up)| json!({"name": name, "up": up});
            object.insert("ping".into(), self.points.into_iter().map(point).collect());
            if let (Some(Value::Object(witness)), Some(Value::Object(own))) =
                (object.get_mut("witness"), self.witness)
            {
                witness.extend(own);
            }
        }
        for line in &self.lines {
            add_line(&mut value, line);
        }
        self.outputs.add_to(&mut value);
        value
    }
}

/// Puts what is known of a serial line beside the rest of its link, for each node at its other end.
fn add_line(status: &mut Value, line: &LineStatus) {
    let nodes = status.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten();
    let links = nodes.filter_map(|node| node.get_mut("links")?.as_array_mut()).flatten();
    for link in links.filter(|link| link["name"] == line.name.as_str()) {
        link["line"] = json!({
            "device": line.device,
            "baud": line.baud,
            "open": line.open,
            "fill_percent": line.fill_percent,
            "skipped": line.skipped,
            "damaged": line.dropped.total(),
            "damaged_by": {
                "cut": line.dropped.cut,
                "short": line.dropped.short,
                "long": line.dropped.long,
                "crc": line.dropped.crc,
            },
        });
    }
}

/// What is out of order in the daemon, one sentence for each matter.
#[derive(Debug, Default)]
pub struct Troubles {
    said: BTreeMap<Trouble, String>,
    devices: BTreeMap<(String, String), bool>,
    lost_lines: u64,
    lost_events: u64,
}

impl Troubles {
    /// A matter got worse or well again. Whether that is news.
    pub fn set(&mut self, about: Trouble, sentence: Option<String>) -> bool {
        match sentence {
            Some(sentence) => self.said.insert(about, sentence.clone()).as_ref() != Some(&sentence),
            None => self.said.remove(&about).is_some(),
        }
    }

    /// Forgets the links that are not among `names`.
    pub fn keep_links(&mut self, names: &[String]) {
        self.said.retain(|about, _| !matches!(about, Trouble::Link(name) if !names.contains(name)));
    }

    /// An idle fence device was looked at.
    pub fn looked_at(&mut self, node: &str, agent: &str, ok: bool) {
        self.devices.insert((node.to_owned(), agent.to_owned()), ok);
    }

    /// The fence devices that were looked at, and whether they answered.
    pub fn devices(&self) -> Vec<(String, String, bool)> {
        self.devices.iter().map(|((node, agent), ok)| (node.clone(), agent.clone(), *ok)).collect()
    }

    /// Forgets the devices that are not among `fences`.
    pub fn forget_devices(&mut self, fences: &[Fence]) {
        let there = |node: &str, agent: &str| {
            fences.iter().any(|fence| fence.node == node && crate::fence::name(fence) == agent)
        };
        self.devices.retain(|(node, agent), _| there(node, agent));
        self.said.retain(|about, _| !matches!(about, Trouble::Device(node, agent) if !there(node, agent)));
    }

    /// How many log lines were lost in all.
    pub fn set_lost_lines(&mut self, lost: u64) {
        self.lost_lines = lost;
    }

    /// One more event that could not be kept.
    pub fn lost_event(&mut self) {
        self.lost_events += 1;
    }

    /// The sentences.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<_> = self.said.values().cloned().collect();
        if self.lost_lines > 0 {
            sentences.push(format!(
                "{} log lines were lost since the start: stderr is not read fast enough",
                self.lost_lines
            ));
        }
        if self.lost_events > 0 {
            sentences.push(format!(
                "{} events were not kept since the start: the disk is too slow",
                self.lost_events
            ));
        }
        sentences
    }
}

/// One line for the service manager: who is up, what runs here.
pub fn summary(status: &Status) -> String {
    let here: Vec<&str> = status
        .groups
        .iter()
        .filter(|group| group.owner.as_ref() == Some(&status.node) && group.state == "started")
        .map(|group| group.name.as_str())
        .collect();
    let what = match here.len() {
        0 => "nothing runs here".to_owned(),
        1..=4 => format!("running {}", here.join(", ")),
        many => format!("running {many} of {} groups", status.groups.len()),
    };
    let peers: Vec<String> =
        status.nodes.iter().map(|node| format!("{} {}", node.name, node.state)).collect();
    let standby = if status.standby { ", standby" } else { "" };
    let frozen = if status.maintenance { ", maintenance" } else { "" };
    format!("{} {}{standby}{frozen}; {what}; {}", status.node, status.state, peers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::gaps::Gaps;
    use cluster::status::{LinkStatus, NodeStatus};
    use proto::serial::Dropped;

    fn core() -> Status {
        Status {
            cluster: "lvs".into(),
            node: "a".into(),
            standby: false,
            maintenance: false,
            state: "up".into(),
            nodes: vec![],
            groups: vec![],
            fencing: vec![],
            witness: None,
            degraded: vec!["from the core".into()],
            rejected: BTreeMap::new(),
        }
    }

    #[test]
    fn the_daemon_adds_its_part() {
        let troubles = vec!["from the daemon".to_owned()];
        let mut core = core();
        core.nodes.push(NodeStatus {
            name: "b".into(),
            state: "up".into(),
            last_heard_ms: Some(3),
            standby: false,
            late: 0,
            gaps: Gaps::default(),
            incarnation: 1,
            pings: (0, 0),
            links: ["bcast:eth1", "serial:ttyS0"]
                .map(|name| LinkStatus {
                    name: name.into(),
                    state: "up".into(),
                    last_heard_ms: Some(3),
                    heard_by_peer: true,
                    received: 7,
                    gaps: Gaps::default(),
                    late: 0,
                    lost: 0,
                    duplicate: 0,
                    rejected: BTreeMap::new(),
                })
                .into(),
        });
        let lines = vec![LineStatus {
            name: "serial:ttyS0".into(),
            device: "/dev/ttyS0".into(),
            baud: 9600,
            open: true,
            fill_percent: 91,
            skipped: 2,
            dropped: Dropped { cut: 1, crc: 2, ..Dropped::default() },
        }];
        let devices = vec![("b".into(), "fence_x".into(), true)];
        let points = vec![("gateway".into(), true)];
        let uptime = Duration::from_millis(1234);
        let witness = None;
        let outputs = Outputs::default();
        let value = Picture { core, outputs, uptime, troubles, lines, points, devices, witness }.render();
        assert_eq!(value["fence_devices"], json!([{"node": "b", "agent": "fence_x", "ok": true}]));
        assert_eq!(value["cluster"], "lvs");
        assert_eq!(value["version"], VERSION);
        assert_eq!(value["uptime_ms"], 1234);
        assert_eq!(value["ping"], json!([{"name": "gateway", "up": true}]));
        assert_eq!(value["witness"], Value::Null);
        assert!(value.as_object().unwrap().contains_key("witness"));
        let full = "link serial:ttyS0: 9600 baud are 91 % full: news is late on it";
        assert_eq!(value["degraded"], json!(["from the core", "from the daemon", full]));
        let links = &value["nodes"][0]["links"];
        assert_eq!(links[0].get("line"), None);
        let line = json!({
            "device": "/dev/ttyS0", "baud": 9600, "open": true, "fill_percent": 91, "skipped": 2, "damaged": 3,
            "damaged_by": {"cut": 1, "short": 0, "long": 0, "crc": 2}
        });
        assert_eq!(links[1]["line"], line);
    }

    #[test]
    fn a_matter_is_news_when_it_changes() {
        let mut troubles = Troubles::default();
        let link = || Trouble::Link("bcast:eth1".into());
        assert!(troubles.set(link(), Some("no eth1".into())));
        assert!(!troubles.set(link(), Some("no eth1".into())));
        assert!(troubles.set(link(), None));
        assert!(!troubles.set(link(), None));
        troubles.set(link(), Some("no eth1".into()));
        troubles.keep_links(&["bcast:eth2".into()]);
        assert!(troubles.sentences().is_empty());
        troubles.set_lost_lines(3);
        troubles.lost_event();
        assert_eq!(troubles.sentences().len(), 2);
    }
}
