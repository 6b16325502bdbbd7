//! What has been done to the pair so far: the faults that are in force.
//!
//! It knows nothing of what the pair made of them, so that a plan depends on its seed alone.

use std::collections::BTreeSet;

use super::act::{Act, Mood, NODES};
use crate::net::{Cut, Lan};

const LANS: [Lan; 2] = [Lan::Service, Lan::Heartbeat];

/// One node's faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The machine has power.
    pub powered: bool,
    /// hbd was started and neither killed nor told to leave.
    pub daemon: bool,
    /// hbd is stopped by SIGSTOP.
    pub frozen: bool,
    /// Its state cannot be written.
    pub disk_full: bool,
    /// Its services do not all behave.
    pub moods: Vec<(&'static str, &'static str, Mood)>,
    /// What is told of alerts never ends.
    pub alerts_hang: bool,
}

/// The faults in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// By number.
    pub nodes: [Node; 2],
    /// Directions that are cut: from this node to the other one on a LAN (0 service, 1 heartbeat).
    cut: BTreeSet<(usize, usize)>,
    /// Dead cables.
    cables: BTreeSet<(usize, usize)>,
    /// Packets lost between the nodes, percent.
    pub loss: u8,
    /// Since the pair was last well, an agent misbehaved or a service died.
    pub agents_misbehaved: bool,
}

fn index(lan: Lan) -> usize {
    usize::from(lan == Lan::Heartbeat)
}

impl Default for Model {
    /// Both run and all is well.
    fn default() -> Model {
        let node = Node {
            powered: true,
            daemon: true,
            frozen: false,
            disk_full: false,
            moods: Vec::new(),
            alerts_hang: false,
        };
        Model {
            nodes: [node.clone(), node],
            cut: BTreeSet::new(),
            cables: BTreeSet::new(),
            loss: 0,
            agents_misbehaved: false,
        }
    }
}

impl Node {
    /// Some program of it does not behave.
    fn misbehaves(&self) -> bool {
        !self.moods.is_empty() || self.alerts_hang
    }
}

impl Model {
    /// hbd runs and can act.
    pub fn live(&self, n: usize) -> bool {
        self.nodes[n].powered && self.nodes[n].daemon && !self.nodes[n].frozen
    }

    /// Some medium carries from this node to the other one.
    pub fn heard(&self, from: usize) -> bool {
        (0..2).any(|lan| self.carries(from, lan))
    }

    fn carries(&self, from: usize, lan: usize) -> bool {
        !self.cut.contains(&(from, lan)) && (0..2).all(|n| !self.cables.contains(&(n, lan)))
    }

    /// Both are live and hear each other.
    pub fn talk(&self) -> bool {
        self.live(0) && self.live(1) && self.heard(0) && self.heard(1)
    }

    /// The client reaches both nodes, and they reach each other where it is.
    pub fn service_lan_whole(&self) -> bool {
        (0..2).all(|n| self.carries(n, 0)) && self.loss == 0
    }

    /// No fault is in force but, at most, one medium cut and disks full.
    pub fn nearly_well(&self) -> bool {
        self.talk()
            && self.loss == 0
            && self.cables.is_empty()
            && self.nodes.iter().all(|n| n.moods.is_empty())
    }

    /// May this be done now?
    pub fn allows(&self, act: &Act) -> bool {
        let node = |n: &usize| &self.nodes[*n];
        match act {
            Act::Kill(n) => node(n).powered && node(n).daemon,
            Act::Leave(n) | Act::Freeze(n) | Act::Pause(n, _) | Act::Starve(n, _) => self.live(*n),
            Act::Start(n) => node(n).powered && !node(n).daemon,
            Act::PowerOff(n) | Act::Hog(n, _) => node(n).powered,
            Act::Boot(n) => !node(n).powered,
            Act::Thaw(n) => node(n).powered && node(n).frozen,
            Act::CutOneWay(n, lan) => !self.cut.contains(&(*n, index(*lan))),
            Act::Cut(lan) => (0..2).any(|n| !self.cut.contains(&(n, index(*lan)))),
            Act::CutAll => self.heard(0) || self.heard(1),
            Act::CutAllOneWay(n) => self.heard(*n),
            Act::Cable(n, lan) => self.cables.is_empty() && node(n).powered && self.carries(*n, index(*lan)),
            Act::Loss(_) => self.loss == 0,
            Act::Heal => !self.cut.is_empty() || !self.cables.is_empty() || self.loss > 0,
            Act::FillDisk(n) => !node(n).disk_full,
            Act::FreeDisk(n) => node(n).disk_full,
            Act::Tear(n, _) => node(n).powered && !node(n).daemon,
            Act::Mood(n, ..) => node(n).powered && node(n).moods.len() < 2,
            Act::AlertsHang(n) => node(n).powered && !node(n).alerts_hang,
            Act::Behave(n) => node(n).powered && node(n).misbehaves(),
            Act::Clock(n, _) => node(n).powered,
            // Where nobody answers ARP, nothing is sent.
            Act::Flood(n) => node(n).powered && !self.cables.contains(&(*n, 0)),
            Act::Order(n, words, _) if words[0] == "fence-ack" => self.live(*n) && !self.nodes[1 - n].powered,
            Act::Order(n, ..) => self.live(*n),
            Act::Die(_) | Act::TakeAddress | Act::ChangeAddress | Act::Wait(_) => true,
        }
    }

    /// It is done.
    pub fn apply(&mut self, act: &Act) {
        match act {
            Act::Kill(n) | Act::Leave(n) => {
                self.nodes[*n].daemon = false;
                self.nodes[*n].frozen = false;
            }
            Act::Start(n) => self.nodes[*n].daemon = true,
            Act::PowerOff(n) => {
                self.nodes[*n].powered = false;
                self.nodes[*n].frozen = false;
            }
            Act::Boot(n) => {
                self.nodes[*n].powered = true;
                self.nodes[*n].daemon = true;
            }
            Act::Freeze(n) => self.nodes[*n].frozen = true,
            Act::Thaw(n) => self.nodes[*n].frozen = false,
            Act::CutOneWay(n, lan) => drop(self.cut.insert((*n, index(*lan)))),
            Act::Cut(lan) => self.cut.extend([(0, index(*lan)), (1, index(*lan))]),
            Act::CutAll => self.cut.extend([(0, 0), (0, 1), (1, 0), (1, 1)]),
            Act::CutAllOneWay(n) => self.cut.extend([(*n, 0), (*n, 1)]),
            Act::Cable(n, lan) => drop(self.cables.insert((*n, index(*lan)))),
            Act::Loss(percent) => self.loss = *percent,
            Act::Heal => {
                self.cut.clear();
                self.cables.clear();
                self.loss = 0;
            }
            Act::FillDisk(n) => self.nodes[*n].disk_full = true,
            Act::FreeDisk(n) => self.nodes[*n].disk_full = false,
            Act::Mood(n, service, op, mood) => {
                self.nodes[*n].moods.retain(|(s, o, _)| (s, o) != (service, op));
                self.nodes[*n].moods.push((service, op, *mood));
                self.agents_misbehaved = true;
            }
            Act::Die(_) => self.agents_misbehaved = true,
            Act::AlertsHang(n) => self.nodes[*n].alerts_hang = true,
            Act::Behave(n) => {
                self.nodes[*n].moods.clear();
                self.nodes[*n].alerts_hang = false;
            }
            _ => {}
        }
    }

    /// The switch's part of the faults.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut cuts: Vec<Cut> =
            self.cut.iter().map(|(n, lan)| Cut::one_way(NODES[*n], NODES[1 - *n], LANS[*lan])).collect();
        cuts.extend(self.cables.iter().map(|(n, lan)| Cut::cable(NODES[*n], LANS[*lan])));
        if self.loss > 0 {
            for lan in LANS {
                cuts.extend([0, 1].map(|n: usize| Cut::loss(NODES[n], NODES[1 - n], lan, self.loss)));
            }
        }
        cuts
    }

    /// Everything that must be done for all to be well again.
    pub fn repairs(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = [Act::Heal].into_iter().filter(|act| self.allows(act)).collect();
        for n in 0..2 {
            let all = [Act::FreeDisk(n), Act::Behave(n), Act::Thaw(n), Act::Start(n)];
            acts.extend(all.into_iter().filter(|act| self.allows(act)));
            if !self.nodes[n].powered {
                acts.push(Act::Boot(n));
                acts.extend(self.nodes[n].misbehaves().then_some(Act::Behave(n)));
            }
        }
        acts
    }
}
