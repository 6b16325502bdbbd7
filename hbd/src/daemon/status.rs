//! `hbctl status --json`: the core's picture and what the daemon itself has to add.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::status::Status;
use serde_json::{Value, json};

use super::report::Trouble;
use crate::config::{Config, LinkKind};

/// The version shown.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that goes into one status, as values; rendered off the loop.
#[derive(Debug)]
pub struct Picture {
    /// The core's part.
    pub core: Status,
    /// Since the start of the daemon.
    pub uptime: Duration,
    /// The daemon's own troubles, a sentence each.
    pub troubles: Vec<String>,
}

impl Picture {
    /// The object of INTERFACE.md.
    pub fn render(self) -> Value {
        let mut core = self.core;
        core.degraded.extend(self.troubles);
        let uptime = u64::try_from(self.uptime.as_millis()).unwrap_or(u64::MAX);
        let mut value = serde_json::to_value(core).unwrap_or_default();
        if let Value::Object(object) = &mut value {
            object.insert("version".into(), json!(VERSION));
            object.insert("uptime_ms".into(), json!(uptime));
            object.insert("ping".into(), json!([]));
            object.insert("witness".into(), Value::Null);
        }
        value
    }
}

/// What is out of order in the daemon, one sentence for each matter.
#[derive(Debug, Default)]
pub struct Troubles {
    said: BTreeMap<Trouble, String>,
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

    /// Takes the matters that follow from the configuration anew.
    pub fn set_unsupported(&mut self, config: &Config) {
        self.said.retain(|about, _| !matches!(about, Trouble::Unsupported(_)));
        for (what, sentence) in unsupported(config) {
            self.said.insert(Trouble::Unsupported(what), sentence);
        }
    }

    /// Forgets the links that are not among `names`.
    pub fn keep_links(&mut self, names: &[String]) {
        self.said.retain(|about, _| !matches!(about, Trouble::Link(name) if !names.contains(name)));
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

/// What the configuration asks for and this version does not do: a short name and a sentence each.
pub fn unsupported(config: &Config) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for link in &config.links {
        if matches!(link.kind, LinkKind::Serial { .. }) {
            let sentence = format!("link {} is not used: serial links are not in this version", link.name);
            all.push((link.name.clone(), sentence));
        }
    }
    let mut part = |there: bool, what: &str, sentence: &str| {
        if there {
            all.push((what.to_owned(), sentence.to_owned()));
        }
    };
    part(!config.pings.is_empty(), "ping", "[[ping]] points are not looked at: not in this version");
    part(
        !config.fences.is_empty(),
        "fence",
        "[[fence]] devices are not driven by this version: a group that requires fencing waits for `hbctl fence-ack`",
    );
    part(config.witness.is_some(), "witness", "the [witness] is not asked: not in this version");
    part(config.watchdog.is_some(), "watchdog", "the [watchdog] is not used: not in this version");
    part(config.console.is_some(), "console", "the [console] is not opened: not in this version");
    let looked_at = config.groups.iter().flat_map(|group| &group.resources).any(|r| r.monitor.is_some());
    part(
        looked_at,
        "monitor",
        "monitor has no effect in this version: a resource that dies while its group runs is not noticed",
    );
    all
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::config;
    use super::*;
    use crate::config::{Link, Ping};

    fn core() -> Status {
        Status {
            cluster: "lvs".into(),
            node: "a".into(),
            standby: false,
            maintenance: false,
            state: "up".into(),
            nodes: vec![],
            groups: vec![],
            degraded: vec!["from the core".into()],
            rejected: BTreeMap::new(),
        }
    }

    #[test]
    fn the_daemon_adds_its_part() {
        let troubles = vec!["from the daemon".to_owned()];
        let value = Picture { core: core(), uptime: Duration::from_millis(1234), troubles }.render();
        assert_eq!(value["cluster"], "lvs");
        assert_eq!(value["version"], VERSION);
        assert_eq!(value["uptime_ms"], 1234);
        assert_eq!(value["ping"], json!([]));
        assert_eq!(value["witness"], Value::Null);
        assert!(value.as_object().unwrap().contains_key("witness"));
        assert_eq!(value["degraded"], json!(["from the core", "from the daemon"]));
    }

    #[test]
    fn what_is_configured_but_not_done_is_said() {
        let mut config = config(&[]);
        assert!(unsupported(&config).is_empty());
        config.links.push(Link {
            name: "serial:ttyS0".into(),
            kind: LinkKind::Serial { device: "/dev/ttyS0".into(), baud: 19200 },
        });
        config.pings.push(Ping { name: "gateway".into(), addresses: vec![] });
        let mut troubles = Troubles::default();
        troubles.set_unsupported(&config);
        assert_eq!(troubles.sentences().len(), 2);
        config.pings.clear();
        troubles.set_unsupported(&config);
        assert_eq!(
            troubles.sentences(),
            ["link serial:ttyS0 is not used: serial links are not in this version"]
        );
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
