//! From the gaps seen to the times to be configured.

use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::gaps::Gaps;

/// Fewer gaps than this on a link say nothing of it.
const ENOUGH: u64 = 100;

/// What `hbctl tune` shows; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tune {
    /// As configured.
    pub keepalive_ms: u64,
    /// As configured.
    pub warntime_ms: u64,
    /// As configured.
    pub deadtime_ms: u64,
    /// The other nodes.
    pub nodes: Vec<NodeTune>,
    /// What follows from it; `None` while too little was heard.
    pub advice: Option<Advice>,
    /// How to read it, a sentence each.
    pub notes: Vec<String>,
}

/// The gaps to one other node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTune {
    /// Its name.
    pub name: String,
    /// Between one heartbeat and the next, whichever link brought it.
    pub any: LinkTune,
    /// On each link.
    pub links: Vec<LinkTune>,
}

/// The gaps on one link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkTune {
    /// Its name; `any link` for all together.
    pub name: String,
    /// The figures.
    pub gaps: Gaps,
    /// Gaps longer than warntime.
    pub late: u64,
    /// Messages that did not come in there.
    pub lost: u64,
}

/// Times that would have done, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What is longer than this is out of the ordinary.
    pub warntime_ms: u64,
    /// No shorter than this.
    pub deadtime_ms: u64,
}

impl Core {
    /// The gaps seen since the start, and what they advise.
    pub fn tune(&self) -> Tune {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let nodes = self.peers.iter().map(|peer| {
            let link = |(name, link): (&String, &crate::peer::PeerLink)| LinkTune {
                name: name.clone(),
                gaps: link.gaps.summary(),
                late: link.late,
                lost: link.lost,
            };
            NodeTune {
                name: peer.name.clone(),
                any: LinkTune {
                    name: "any link".to_owned(),
                    gaps: peer.gaps.summary(),
                    late: peer.late,
                    lost: 0,
                },
                links: self.settings.links.iter().zip(&peer.links).map(link).collect(),
            }
        });
        let mut tune = Tune {
            keepalive_ms: millis(self.settings.keepalive),
            warntime_ms: millis(self.settings.warntime),
            deadtime_ms: millis(self.settings.deadtime),
            nodes: nodes.collect(),
            advice: None,
            notes: Vec::new(),
        };
        tune.advise();
        tune
    }
}

impl Tune {
    /// Advises from the gaps: each link is looked at as if it were the only one left, since one day it may be.
    fn advise(&mut self) {
        let links = self.nodes.iter().flat_map(|node| &node.links);
        let enough: Vec<&LinkTune> = links.filter(|link| link.gaps.count >= ENOUGH).collect();
        let Some(worst) = enough.iter().max_by_key(|link| link.gaps.max_ms) else {
            let note =
                format!("too little was heard yet: {ENOUGH} heartbeats on a link are the least to go by");
            self.notes.push(note);
            return;
        };
        let usual = enough.iter().map(|link| link.gaps.p999_ms).max().unwrap_or(0);
        let warntime = rounded((usual + usual / 4).max(self.keepalive_ms * 2));
        let deadtime = rounded((worst.gaps.max_ms * 2).max(warntime * 2));
        self.advice = Some(Advice { warntime_ms: warntime, deadtime_ms: deadtime });
        self.notes = vec![
            format!(
                "deadtime is twice the longest gap on any one link ({} ms on {}), and at least twice warntime",
                worst.gaps.max_ms, worst.name
            ),
            format!(
                "warntime is a quarter more than all but one in a thousand gaps took ({usual} ms), and at least two keepalives"
            ),
        ];
        let verdict = match deadtime {
            longer if longer > self.deadtime_ms => {
                format!(
                    "deadtime = {} ms is too short for what was seen: a healthy peer may be declared dead",
                    self.deadtime_ms
                )
            }
            much if much * 3 < self.deadtime_ms => {
                format!(
                    "deadtime = {} ms is far longer than what was seen asks for: a takeover waits for it",
                    self.deadtime_ms
                )
            }
            _ => format!("deadtime = {} ms fits what was seen", self.deadtime_ms),
        };
        self.notes.insert(0, verdict);
        let silent = self.nodes.iter().flat_map(|node| &node.links).filter(|link| link.gaps.count < ENOUGH);
        let silent: Vec<&str> = silent.map(|link| link.name.as_str()).collect();
        if !silent.is_empty() {
            self.notes.push(format!("too little was heard on {} to say anything of it", silent.join(", ")));
        }
        self.notes.push("ask the other node too, on a busy day, and take the longer of both".to_owned());
    }
}

/// To two digits, upwards: nobody configures 1437 ms.
fn rounded(ms: u64) -> u64 {
    let mut unit = 1;
    while ms / unit >= 100 {
        unit *= 10;
    }
    ms.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, count: u64, p999_ms: u64, max_ms: u64) -> LinkTune {
        let gaps = Gaps { count, p50_ms: 200, p99_ms: 200, p999_ms, max_ms };
        LinkTune { name: name.into(), gaps, late: 0, lost: 0 }
    }

    fn tune(deadtime_ms: u64, links: Vec<LinkTune>) -> Tune {
        let node = NodeTune { name: "b".into(), any: link("any link", 5000, 200, 210), links };
        let mut tune = Tune {
            keepalive_ms: 200,
            warntime_ms: 1000,
            deadtime_ms,
            nodes: vec![node],
            advice: None,
            notes: vec![],
        };
        tune.advise();
        tune
    }

    #[test]
    fn a_quiet_pair_is_told_how_short_deadtime_may_be() {
        let tune = tune(10_000, vec![link("bcast:eth1", 5000, 210, 230)]);
        assert_eq!(tune.advice, Some(Advice { warntime_ms: 400, deadtime_ms: 800 }));
        assert!(tune.notes[0].contains("far longer"), "{:?}", tune.notes);
    }

    #[test]
    fn the_worst_link_decides_since_it_may_be_the_last() {
        let links = vec![link("bcast:eth1", 5000, 210, 230), link("serial:ttyS0", 5000, 700, 1437)];
        let tune = tune(2000, links);
        assert_eq!(tune.advice, Some(Advice { warntime_ms: 880, deadtime_ms: 2900 }));
        assert!(tune.notes[0].contains("too short"), "{:?}", tune.notes);
        assert!(tune.notes[1].contains("1437 ms on serial:ttyS0"), "{:?}", tune.notes);
    }

    #[test]
    fn little_news_is_no_advice() {
        let nothing = tune(2000, vec![link("bcast:eth1", ENOUGH - 1, 200, 200)]);
        assert_eq!(nothing.advice, None);
        assert!(nothing.notes[0].contains("too little"), "{:?}", nothing.notes);
        let some = tune(900, vec![link("bcast:eth1", ENOUGH, 200, 200), link("ucast:10.0.0.1", 0, 0, 0)]);
        assert_eq!(some.advice.map(|advice| advice.deadtime_ms), Some(800));
        assert!(some.notes[0].contains("fits"), "{:?}", some.notes);
        assert!(some.notes.iter().any(|note| note.contains("on ucast:10.0.0.1")), "{:?}", some.notes);
    }

    #[test]
    fn times_are_round_and_never_shorter() {
        assert_eq!([0, 7, 99, 100, 101, 1437, 9999].map(rounded), [0, 7, 99, 100, 110, 1500, 10_000]);
    }
}
