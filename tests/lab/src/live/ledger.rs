//! Judges the calls of agents, in the order and at the times they really happened: S1, S3, S7, S8.
//!
//! It reads the lines of [`super::service`] and the lab's own marks (`UPTIME = WORD [NODE]`):
//! `off`, `down`, `up` (power, hbd's process), `talk yes|no` (the nodes hear each other), `ack` (the operator's word
//! that a node is down), `standby`, `online`, `frozen`, `unfrozen` (maintenance), `forget` (a node's disk was lost).

use std::collections::{BTreeMap, BTreeSet};

use super::act::NODES;

/// The service that must never run twice, whatever happens (its group requires fencing).
const NEVER_TWICE: &str = "data";
/// The stop_timeout of all services, and what may pass until hbd has ended a stop that hangs.
const STOP_BOUND: f64 = 4.0;
/// Until a node is sure to have told the other one that a stop failed, if the two hear each other.
const TOLD: f64 = 2.0;

/// One service on one node, as its calls tell.
#[derive(Debug, Clone, Default)]
struct Service {
    /// It may run: a start began, and no stop has succeeded since.
    may_run: bool,
    /// A start or a look succeeded, and no stop began since.
    started: bool,
    /// A stop began at this time and has not ended.
    stopping: Option<f64>,
    /// A stop failed at this time, and nothing has mended it.
    stuck: Option<f64>,
    /// Its agent said that it runs, or was started, and that need not be so.
    lied: bool,
}

/// What is known so far, and what was wrong.
#[derive(Debug, Clone)]
pub struct Ledger {
    services: BTreeMap<(String, String), Service>,
    standby: BTreeSet<String>,
    frozen: bool,
    /// Since when both nodes have been well and have heard each other; `None`: they do not.
    talk: Option<f64>,
    down: BTreeSet<String>,
    /// What must not be, in sentences.
    pub violations: Vec<String>,
    /// Calls read.
    pub calls: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            services: BTreeMap::new(),
            standby: BTreeSet::new(),
            frozen: false,
            talk: Some(0.0),
            down: BTreeSet::new(),
            violations: Vec::new(),
            calls: 0,
        }
    }
}

/// What a service needs to run before it.
fn needed(service: &str) -> Option<&'static str> {
    (service == "db").then_some("web")
}

/// Who needs a service.
fn needing(service: &str) -> Option<&'static str> {
    (service == "web").then_some("db")
}

fn other(node: &str) -> &'static str {
    if node == NODES[0] { NODES[1] } else { NODES[0] }
}

impl Ledger {
    /// Reads one line.
    pub fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.first().and_then(|word| word.parse().ok()) else {
            return self.blame(line, "the ledger cannot be read");
        };
        match words[1..] {
            ["=", word, about] => self.mark(at, word, about),
            ["=", word] => self.mark(at, word, ""),
            [node, service, op, "begin"] => {
                self.calls += 1;
                self.begins(at, node, service, op, line);
            }
            [node, service, op, "end", code] => self.ends(at, node, service, op, code == "0", code == "3"),
            [node, service, _, "lied"] => self.of(node, service).lied = true,
            [_, service, _, "overlap"] => {
                self.blame(line, &format!("S7: two operations on {service} at once"));
            }
            _ => self.blame(line, "the ledger cannot be read"),
        }
    }

    /// The services of which a node's agents lied: hbd cannot know better.
    pub fn lied(&self) -> Vec<(String, String)> {
        self.services.iter().filter(|(_, service)| service.lied).map(|(key, _)| key.clone()).collect()
    }

    fn blame(&mut self, line: &str, what: &str) {
        if self.violations.len() < 20 {
            self.violations.push(format!("{what}: {line}"));
        }
    }

    fn mark(&mut self, at: f64, word: &str, about: &str) {
        match word {
            "off" => {
                self.services.retain(|key, _| key.0 != about);
                self.down.insert(about.to_owned());
            }
            "down" => drop(self.down.insert(about.to_owned())),
            "up" => {
                self.down.remove(about);
                // It looks at what is there, and may find that all is well.
                self.services.iter_mut().filter(|(k, _)| k.0 == about).for_each(|(_, s)| {
                    s.stuck = None;
                    s.stopping = None;
                });
            }
            "ack" => self.services.iter_mut().filter(|(k, _)| k.0 == about).for_each(|(_, s)| s.stuck = None),
            "talk" if about == "yes" => drop(self.talk.get_or_insert(at)),
            "talk" => {
                self.talk = None;
                // What happens from here on need not reach the other one.
                self.services.values_mut().for_each(|s| {
                    s.stuck = s.stuck.filter(|since| at - since > TOLD);
                    s.stopping = None;
                });
            }
            "standby" => drop(self.standby.insert(about.to_owned())),
            "online" => drop(self.standby.remove(about)),
            "frozen" => self.frozen = true,
            "unfrozen" => self.frozen = false,
            "forget" => {
                self.frozen = false;
                self.standby.remove(about);
                self.services.values_mut().for_each(|s| s.stuck = None);
            }
            _ => self.blame(word, "an unknown mark"),
        }
    }

    fn of(&mut self, node: &str, service: &str) -> &mut Service {
        self.services.entry((node.to_owned(), service.to_owned())).or_default()
    }

    fn begins(&mut self, at: f64, node: &str, service: &str, op: &str, line: &str) {
        match op {
            "start" => {
                self.may_start(at, node, service, line);
                let it = self.of(node, service);
                it.may_run = true;
                it.stopping = None;
                it.lied = false;
            }
            "stop" => {
                if self.frozen {
                    self.blame(line, "S8: a stop in maintenance");
                }
                if let Some(above) = needing(service).filter(|above| self.of(node, above).started) {
                    self.blame(line, &format!("S7: {above} still runs above it"));
                }
                let talk = self.talk.is_some();
                let it = self.of(node, service);
                it.started = false;
                it.stopping = talk.then_some(at);
            }
            _ => {}
        }
    }

    fn may_start(&mut self, at: f64, node: &str, service: &str, line: &str) {
        let peer = other(node);
        if service == NEVER_TWICE && self.of(peer, service).may_run {
            self.blame(line, &format!("S1: it may still run on {peer}"));
        }
        let there = self.of(peer, service).clone();
        let hung = there.stopping.map(|since| since + STOP_BOUND).filter(|end| at > *end);
        if let Some(since) = there.stuck.or(hung).filter(|since| at > since + TOLD)
            && self.talk.is_some_and(|talk| talk < since)
        {
            self.blame(line, &format!("S3: a stop failed on {peer} {:.1} s before", at - since));
        }
        if self.standby.contains(node) {
            self.blame(line, "S8: a start on standby");
        }
        if self.frozen {
            self.blame(line, "S8: a start in maintenance");
        }
        if let Some(below) = needed(service).filter(|below| !self.of(node, below).may_run) {
            self.blame(line, &format!("S7: {below} does not run below it"));
        }
    }

    fn ends(&mut self, at: f64, node: &str, service: &str, op: &str, good: bool, stopped: bool) {
        let talk = self.talk.is_some() && !self.down.contains(node);
        let it = self.of(node, service);
        match op {
            "start" => it.started = good,
            "stop" if good => *it = Service::default(),
            "stop" => {
                it.stopping = None;
                it.stuck = talk.then_some(at);
            }
            _ if good => {
                it.may_run = true;
            }
            _ if stopped => {
                it.may_run = false;
                it.started = false;
                it.stuck = None;
                it.lied = false;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[&str]) -> Vec<String> {
        let mut ledger = Ledger::default();
        lines.iter().for_each(|line| ledger.read(line));
        ledger.violations
    }

    fn caught(name: &str, lines: &[&str]) {
        let violations = judged(lines);
        assert!(violations.len() == 1 && violations[0].starts_with(name), "{name}: {violations:?}");
    }

    #[test]
    fn a_hand_over_in_order_is_well() {
        let well = judged(&[
            "1.0 a data start begin",
            "1.1 a data start end 0",
            "2.0 a data status begin",
            "2.1 a data status end 0",
            "3.0 a data stop begin",
            "3.1 a data stop end 0",
            "3.2 b data start begin",
            "3.3 b data start end 0",
        ]);
        assert!(well.is_empty(), "{well:?}");
    }

    #[test]
    fn s1_two_that_may_run() {
        caught("S1", &["1.0 a data start begin", "2.0 b data start begin"]);
        caught("S1", &["1.0 a data start begin", "2.0 = down a", "3.0 b data start begin"]);
        caught("S1", &["1.0 a data start begin", "2.0 a data stop begin", "3.0 b data start begin"]);
        assert!(judged(&["1.0 a data start begin", "2.0 = off a", "3.0 b data start begin"]).is_empty());
        assert!(judged(&["1.0 a web start begin", "2.0 b web start begin"]).is_empty(), "web may");
    }

    #[test]
    fn s3_a_failed_stop_and_a_start_elsewhere() {
        let failed = ["1.0 a web stop begin", "1.1 a web stop end 1"];
        caught("S3", &[failed[0], failed[1], "9.0 b web start begin"]);
        caught("S3", &[failed[0], "9.0 b web start begin"]);
        let excused = ["= talk no", "= ack a", "= up a", "= off a", "= forget b"];
        for mark in excused {
            let lines = [failed[0], failed[1], &format!("1.2 {mark}"), "9.0 b web start begin"];
            assert!(judged(&lines).is_empty(), "{mark}: {:?}", judged(&lines));
        }
        let mended =
            [failed[0], failed[1], "2.0 a web stop begin", "2.1 a web stop end 0", "9.0 b web start begin"];
        assert!(judged(&mended).is_empty());
    }

    #[test]
    fn a_lie_is_remembered_until_the_next_deed() {
        let lie = ["1.0 a db start begin", "1.0 a db start lied", "1.0 a db start end 0"];
        let lied = |more: &str| {
            let mut ledger = Ledger::default();
            lie.iter().chain([&more]).for_each(|line| ledger.read(line));
            ledger.lied().len()
        };
        assert_eq!(lied("2.0 a web status begin"), 1);
        for more in ["2.0 a db start begin", "2.0 a db stop end 0", "2.0 a db status end 3", "2.0 = off a"] {
            assert_eq!(lied(more), 0, "{more}");
        }
    }

    #[test]
    fn s7_order_and_one_at_a_time() {
        caught("S7", &["1.0 a db start begin"]);
        caught(
            "S7",
            &[
                "1.0 a web start begin",
                "1.1 a web start end 0",
                "1.2 a db start begin",
                "1.3 a db start end 0",
                "2.0 a web stop begin",
            ],
        );
        caught("S7", &["1.0 a web start overlap"]);
    }

    #[test]
    fn s8_standby_and_maintenance() {
        caught("S8", &["1.0 = standby a", "2.0 a web start begin"]);
        caught("S8", &["1.0 = frozen", "2.0 a web start begin"]);
        caught("S8", &["1.0 = frozen", "2.0 a web stop begin"]);
        let over =
            ["1.0 = standby a", "1.0 = frozen", "2.0 = online a", "2.0 = unfrozen", "3.0 a web start begin"];
        assert!(judged(&over).is_empty());
    }
}
