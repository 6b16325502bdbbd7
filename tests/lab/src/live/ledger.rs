//! Judges the calls of agents, in the order and at the times they really happened: S1, S3, S7, S8.
//!
//! It reads the lines of [`super::service`] and the lab's own marks (`UPTIME = WORD [NODE]`):
//! `off`, `down`, `up` (power, hbd's process), `talk yes|no` (the nodes hear each other), `ack` (the operator's word
//! that a node is down), `standby`, `online`, `frozen`, `unfrozen` (maintenance), `forget` (a node's disk was lost),
//! `mute` (hbd was killed, or stopped for long), `blind`, `sees` (ping points), `ordered` (an operator's order), `liar` (a
//! fence device said what is not so), `well` (all is).

use std::collections::{BTreeMap, BTreeSet};

use super::act::{NODES, OCF};
use super::ground::Ground;
use super::service::not_running;

/// The service that must never run twice, whatever happens (its group requires fencing).
const NEVER_TWICE: &str = "data";
/// The stop_timeout of all services, and what may pass until hbd has ended a stop that hangs.
const STOP_BOUND: f64 = 4.0;
/// The time that is left for stops at the end of a lease of the witness: what takes longer may be overtaken.
const STOP_IN_TIME: f64 = 1.9;
/// Who has seen no ping point for so long, and has not heard the other one for so long, takes nothing.
const BLIND: f64 = 4.0;
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
    /// The last stop failed.
    unstoppable: bool,
    /// Its hbd was killed, or did not run for long, while it ran: without a watchdog a lease of the witness ends then while it
    /// goes on.
    mute: bool,
}

/// What is known so far, and what was wrong.
#[derive(Debug, Clone)]
pub struct Ledger {
    services: BTreeMap<(String, String), Service>,
    standby: BTreeSet<String>,
    frozen: bool,
    /// Since when both nodes have been well and have heard each other; `None`: they do not.
    talk: Option<f64>,
    /// Since when they need not have heard each other.
    silent: Option<f64>,
    down: BTreeSet<String>,
    ground: Ground,
    /// A fence device has lied, and what came of it is not over.
    liar: bool,
    /// Since when a node has seen no ping point, undisturbed by any order.
    blind: BTreeMap<String, f64>,
    /// Who started a service last.
    starters: BTreeMap<String, String>,
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
            silent: None,
            down: BTreeSet::new(),
            ground: Ground::Plain,
            liar: false,
            blind: BTreeMap::new(),
            starters: BTreeMap::new(),
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
    /// What holds on this ground.
    pub fn of_ground(ground: Ground) -> Ledger {
        Ledger { ground, ..Ledger::default() }
    }

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
            [node, service, op, "end", code] => {
                let good = code == "0" || (service == OCF && op == "status" && matches!(code, "8" | "190"));
                self.ends(at, node, service, op, good, code == not_running(service));
            }
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
                // What it sees it does not know yet.
                self.blind.entry(about.to_owned()).and_modify(|since| *since = at);
                // It looks at what is there, and may find that all is well.
                self.services.iter_mut().filter(|(k, _)| k.0 == about).for_each(|(_, s)| {
                    s.stuck = None;
                    s.stopping = None;
                });
            }
            "mute" => self
                .services
                .iter_mut()
                .filter(|(k, s)| k.0 == about && s.may_run)
                .for_each(|(_, s)| s.mute = true),
            "blind" => drop(self.blind.insert(about.to_owned(), at)),
            "sees" => drop(self.blind.remove(about)),
            "ordered" => self.blind.clear(),
            "liar" => self.liar = true,
            "well" => self.liar = false,
            "ack" => self.services.iter_mut().filter(|(k, _)| k.0 == about).for_each(|(_, s)| s.stuck = None),
            "talk" if about == "yes" => {
                self.silent = None;
                self.talk.get_or_insert(at);
            }
            "talk" => {
                self.silent.get_or_insert(at);
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
                self.starters.insert(service.to_owned(), node.to_owned());
                let it = self.of(node, service);
                *it = Service { may_run: true, started: it.started, stuck: it.stuck, ..Service::default() };
            }
            "stop" => {
                // What has lost both the witness and its peer is stopped all the same.
                let lent = self.ground.lends() && service == NEVER_TWICE && self.silent.is_some();
                if self.frozen && !lent {
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
        let there = self.of(peer, service).clone();
        if service == NEVER_TWICE && there.may_run && !self.overtaken(at, &there) {
            self.blame(line, &format!("S1: it may still run on {peer}"));
        }
        self.may_take_blind(at, node, service, line);
        let hung = there.stopping.map(|since| since + STOP_BOUND).filter(|end| at > *end);
        if let Some(since) = there.stuck.or(hung).filter(|since| at > since + TOLD)
            && self.talk.is_some_and(|talk| talk < since)
            && !self.liar
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

    /// What nobody survives on this ground: a device that lies; and, as there is no watchdog, a lease of the witness that ends
    /// while hbd is away or cannot stop what runs.
    fn overtaken(&self, at: f64, there: &Service) -> bool {
        let late = there.stopping.is_some_and(|since| at > since + STOP_IN_TIME);
        self.liar || (self.ground.lends() && (there.mute || there.unstoppable || late))
    }

    /// Who sees nothing outside and has not heard the other node for a while takes nothing from it.
    fn may_take_blind(&mut self, at: f64, node: &str, service: &str, line: &str) {
        let long = |since: f64| at > since + BLIND;
        let blind = self.blind.get(node).copied().is_some_and(long);
        let silent = self.silent.is_some_and(long);
        let takes = self.starters.get(service).is_some_and(|last| last != node);
        if blind && silent && takes {
            self.blame(line, "a takeover by who sees no ping point");
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
                it.unstoppable = true;
                it.stuck = talk.then_some(at);
            }
            _ if good => {
                it.may_run = true;
            }
            _ if stopped => {
                *it = Service::default();
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
        let excused = ["= talk no", "= liar", "= ack a", "= up a", "= off a", "= forget b"];
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
        for more in ["2.0 a db start begin", "2.0 a db stop end 0", "2.0 a db status end 7", "2.0 = off a"] {
            assert_eq!(lied(more), 0, "{more}");
        }
    }

    fn judged_on(ground: Ground, lines: &[&str]) -> Vec<String> {
        let mut ledger = Ledger::of_ground(ground);
        lines.iter().for_each(|line| ledger.read(line));
        ledger.violations
    }

    #[test]
    fn s1_on_a_lease_what_hbd_could_not_stop_in_time_may_be_overtaken_and_nothing_else() {
        let (start, taken) = ("1.0 a data start begin", "9.0 b data start begin");
        let on = |ground, between: &[&str]| {
            let lines: Vec<&str> = [start].iter().chain(between).chain([&taken]).copied().collect();
            judged_on(ground, &lines).iter().filter(|text| text.starts_with("S1")).count()
        };
        let excused: [&[&str]; 3] = [
            &["2.0 = mute a"],
            &["= talk no", "2.0 a data stop begin", "2.1 a data stop end 1"],
            &["= talk no", "6.0 a data stop begin"],
        ];
        for between in excused {
            assert_eq!(on(Ground::Witness, between), 0, "{between:?}");
            assert_eq!(on(Ground::Fence, between), 1, "{between:?}");
        }
        for between in [&["2.0 = down a"][..], &["8.0 a data stop begin"], &["2.0 = mute b"]] {
            assert_eq!(on(Ground::Witness, between), 1, "{between:?}");
        }
    }

    #[test]
    fn s8_in_maintenance_what_is_lent_may_be_stopped_where_the_peer_is_silent() {
        let on = |ground, lines: &[&str]| judged_on(ground, lines).len();
        let (frozen, stop) = ("1.0 = frozen", "2.0 a data stop begin");
        assert_eq!(on(Ground::Witness, &[frozen, "1.5 = talk no", stop]), 0);
        assert_eq!(on(Ground::Witness, &[frozen, stop]), 1);
        assert_eq!(on(Ground::Fence, &[frozen, "1.5 = talk no", stop]), 1);
    }

    #[test]
    fn s1_after_a_lie_of_the_device_until_all_is_well() {
        let lied = ["1.0 a data start begin", "2.0 = liar", "3.0 b data start begin"];
        assert!(judged(&lied).is_empty());
        caught("S1", &[lied[0], lied[1], "2.5 = well", lied[2]]);
    }

    #[test]
    fn who_sees_nothing_outside_takes_nothing() {
        let taken = ["1.0 a web start begin", "2.0 = blind b", "2.0 = talk no", "9.0 b web start begin"];
        caught("a takeover by who sees no", &taken);
        let excused = ["= sees b", "= talk yes", "= ordered a"];
        for mark in excused {
            let lines = [taken[0], taken[1], taken[2], &format!("3.0 {mark}"), taken[3]];
            assert!(judged(&lines).is_empty(), "{mark}: {:?}", judged(&lines));
        }
        let own = ["1.0 b web start begin", "1.5 b web status end 3", taken[1], taken[2], taken[3]];
        assert!(judged(&own).is_empty(), "its own service");
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
