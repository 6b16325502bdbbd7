//! What has been done to the pair so far: the faults that are in force.
//!
//! It knows nothing of what the pair made of them, so that a plan depends on its seed alone.

use std::collections::BTreeSet;

use super::act::{Act, Mood, NODES};
use super::ground::{Ground, MEMBERS, POINTS};
use super::outside::Members;
use crate::net::{Cut, Lan};
use crate::power;

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
    /// How the power switch answers for it.
    pub switch: power::Mood,
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
    /// Plugs that are out.
    unplugged: BTreeSet<(usize, usize)>,
    /// Nodes and the machines outside that they are cut from.
    outside: BTreeSet<(usize, &'static str)>,
    /// Members of the etcd that do not run.
    dead: BTreeSet<&'static str>,
    /// Members of the etcd that are stopped.
    stopped: BTreeSet<&'static str>,
    /// The power switch cannot be reached, as its monitor sees it.
    switch_broken: bool,
    /// A stranger has the address too.
    pub twin: bool,
    /// Packets lost between the nodes, percent.
    pub loss: u8,
    /// Since the pair was last well, one node saw more ping points than the other: what comes of it comes a deadtime later.
    pub uneven: bool,
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
            switch: power::Mood::Works,
        };
        Model {
            nodes: [node.clone(), node],
            cut: BTreeSet::new(),
            cables: BTreeSet::new(),
            unplugged: BTreeSet::new(),
            outside: BTreeSet::new(),
            dead: BTreeSet::new(),
            stopped: BTreeSet::new(),
            switch_broken: false,
            twin: false,
            uneven: false,
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
        !self.cut.contains(&(from, lan)) && (0..2).all(|n| self.connected(n, lan))
    }

    /// The node's own cable to a LAN is whole and plugged in.
    fn connected(&self, n: usize, lan: usize) -> bool {
        !self.cables.contains(&(n, lan)) && !self.unplugged.contains(&(n, lan))
    }

    /// The node sees no carrier where the addresses are.
    pub fn carrierless(&self, n: usize) -> bool {
        self.unplugged.contains(&(n, 0))
    }

    fn reaches(&self, n: usize, machine: &'static str) -> bool {
        self.connected(n, 0) && !self.outside.contains(&(n, machine))
    }

    /// How many ping points the node sees.
    pub fn points(&self, n: usize) -> usize {
        POINTS.into_iter().filter(|point| self.reaches(n, point)).count()
    }

    /// What makes a member of the etcd run again.
    pub fn mends(&self, member: &str) -> Members {
        if self.dead.contains(member) { Members::Started } else { Members::Thawed }
    }

    /// Both nodes reach a majority of the etcd, which runs.
    pub fn witness_good(&self) -> bool {
        let good = |n: usize, m: &&&'static str| {
            !self.dead.contains(**m) && !self.stopped.contains(**m) && self.reaches(n, m)
        };
        (0..2).all(|n| MEMBERS.iter().filter(|m| good(n, m)).count() > MEMBERS.len() / 2)
    }

    /// Both are live and hear each other.
    pub fn talk(&self) -> bool {
        self.live(0) && self.live(1) && self.heard(0) && self.heard(1)
    }

    /// The client reaches both nodes, and they reach each other where it is.
    pub fn service_lan_whole(&self) -> bool {
        (0..2).all(|n| self.carries(n, 0)) && self.loss == 0
    }

    /// No fault is in force that could move anything but, at most, one medium cut and disks full.
    pub fn nearly_well(&self, ground: Ground) -> bool {
        self.talk()
            && self.loss == 0
            && self.cables.is_empty()
            && !(0..2).any(|n| self.carrierless(n))
            && (!ground.points() || !self.uneven)
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
            Act::Unplug(n, lan) => {
                node(n).powered && self.unplugged.is_empty() && self.connected(*n, index(*lan))
            }
            Act::Plug(n, lan) => self.unplugged.contains(&(*n, index(*lan))),
            Act::CutOutside(n, machines) => machines.iter().any(|m| !self.outside.contains(&(*n, *m))),
            Act::CutMachine(machine) => (0..2).any(|n| !self.outside.contains(&(n, *machine))),
            Act::Heal => {
                !self.cut.is_empty() || !self.cables.is_empty() || !self.outside.is_empty() || self.loss > 0
            }
            Act::FillDisk(n) => !node(n).disk_full,
            Act::FreeDisk(n) => node(n).disk_full,
            Act::Tear(n, _) => node(n).powered && !node(n).daemon,
            Act::Mood(n, ..) => node(n).powered && node(n).moods.len() < 2,
            Act::AlertsHang(n) => node(n).powered && !node(n).alerts_hang,
            Act::Behave(n) => node(n).powered && node(n).misbehaves(),
            Act::Clock(n, _) => node(n).powered,
            // Where nobody answers ARP, nothing is sent.
            Act::Flood(n) => node(n).powered && self.connected(*n, 0),
            Act::SetAddress(n) => self.live(*n),
            Act::Twin => !self.twin,
            Act::NoTwin => self.twin,
            Act::Switch(n, mood) => node(n).switch != *mood,
            Act::SwitchBroken(broken) => self.switch_broken != *broken,
            Act::KillMembers(members) => members.iter().any(|m| !self.dead.contains(m)),
            Act::StopMembers(members) => {
                members.iter().any(|m| !self.dead.contains(m) && !self.stopped.contains(m))
            }
            Act::MendMembers(members) => {
                members.iter().any(|m| self.dead.contains(m) || self.stopped.contains(m))
            }
            Act::Order(n, words, _) if words[0] == "fence-ack" => self.live(*n) && !self.nodes[1 - n].powered,
            Act::Order(n, ..) => self.live(*n),
            Act::Die(_) | Act::TakeAddress | Act::ChangeAddress | Act::Mend(_) | Act::Wait(_) => true,
        }
    }

    /// It is done.
    pub fn apply(&mut self, act: &Act) {
        self.change(act);
        // What a node that was away says it sees is old for a while.
        let away = !act.moves_nothing() && act.node().is_some() && !matches!(act, Act::Order(..));
        let old = away && (0..2).any(|n| self.points(n) < POINTS.len());
        self.uneven |= old || self.points(0) != self.points(1);
    }

    /// All is well again.
    pub fn settle(&mut self) {
        self.agents_misbehaved = false;
        self.uneven = false;
    }

    fn change(&mut self, act: &Act) {
        match act {
            Act::Kill(n) | Act::Leave(n) => {
                self.nodes[*n].daemon = false;
                self.nodes[*n].frozen = false;
            }
            Act::Start(n) => self.nodes[*n].daemon = true,
            Act::PowerOff(n) => {
                self.nodes[*n].powered = false;
                self.nodes[*n].frozen = false;
                // A machine that boots has new cables, plugged in.
                self.unplugged.retain(|(node, _)| node != n);
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
            Act::Unplug(n, lan) => drop(self.unplugged.insert((*n, index(*lan)))),
            Act::Plug(n, lan) => drop(self.unplugged.remove(&(*n, index(*lan)))),
            Act::CutOutside(n, machines) => self.outside.extend(machines.iter().map(|m| (*n, *m))),
            Act::CutMachine(machine) => self.outside.extend([(0, *machine), (1, *machine)]),
            Act::Twin => self.twin = true,
            Act::NoTwin => self.twin = false,
            Act::Switch(n, mood) => self.nodes[*n].switch = *mood,
            Act::SwitchBroken(broken) => self.switch_broken = *broken,
            Act::Mend(n) => {
                let node = &mut self.nodes[*n];
                (node.powered, node.daemon, node.frozen) = (true, true, false);
            }
            Act::KillMembers(members) => {
                self.stopped.retain(|m| !members.contains(m));
                self.dead.extend(*members);
            }
            Act::StopMembers(members) => {
                self.stopped.extend(members.iter().filter(|m| !self.dead.contains(*m)));
            }
            Act::MendMembers(members) => {
                self.dead.retain(|m| !members.contains(m));
                self.stopped.retain(|m| !members.contains(m));
            }
            Act::Heal => {
                self.cut.clear();
                self.outside.clear();
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
        cuts.extend(self.outside.iter().map(|(n, machine)| Cut::between(NODES[*n], machine, Lan::Service)));
        if self.loss > 0 {
            for lan in LANS {
                cuts.extend([0, 1].map(|n: usize| Cut::loss(NODES[n], NODES[1 - n], lan, self.loss)));
            }
        }
        cuts
    }

    /// Everything that must be done for all to be well again.
    pub fn repairs(&self) -> Vec<Act> {
        let works = power::Mood::Works;
        let mut all = vec![Act::Heal, Act::MendMembers(&MEMBERS), Act::NoTwin, Act::SwitchBroken(false)];
        for n in 0..2 {
            all.extend(LANS.map(|lan| Act::Plug(n, lan)));
            all.push(Act::Switch(n, works));
        }
        let mut acts: Vec<Act> = all.into_iter().filter(|act| self.allows(act)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_saw_less_may_have_to_give_way_until_all_is_well() {
        let mut model = Model::default();
        for act in [Act::CutMachine("w"), Act::Heal] {
            model.apply(&act);
            assert!(model.nearly_well(Ground::Points), "{act}");
        }
        for act in [Act::CutOutside(0, &["w"]), Act::CutOutside(1, &["w"])] {
            model.apply(&act);
            assert!(!model.nearly_well(Ground::Points) && model.nearly_well(Ground::Fence), "{act}");
        }
        assert_eq!((model.points(0), model.points(1)), (1, 1));
        model.settle();
        assert!(model.nearly_well(Ground::Points));
        model.apply(&Act::Pause(0, 6000));
        assert!(!model.nearly_well(Ground::Points), "what it says it sees is old");
    }

    #[test]
    fn a_witness_is_good_while_both_reach_a_majority() {
        let mut model = Model::default();
        let after = |model: &mut Model, act: Act| {
            model.apply(&act);
            model.witness_good()
        };
        assert!(after(&mut model, Act::KillMembers(&["w"])));
        assert!(!after(&mut model, Act::CutOutside(1, &["x"])));
        assert!(after(&mut model, Act::MendMembers(&["w"])));
        assert!(!after(&mut model, Act::StopMembers(&["y"])));
        assert!(after(&mut model, Act::Heal));
    }

    #[test]
    fn everything_is_repaired() {
        let mut model = Model::default();
        for act in [
            Act::Unplug(0, Lan::Service),
            Act::CutOutside(1, &MEMBERS),
            Act::Twin,
            Act::Switch(0, power::Mood::Lies),
            Act::SwitchBroken(true),
            Act::KillMembers(&["w"]),
            Act::StopMembers(&["x"]),
            Act::PowerOff(1),
            Act::Freeze(0),
        ] {
            assert!(model.allows(&act), "{act}");
            model.apply(&act);
        }
        let repairs = model.repairs();
        repairs.iter().for_each(|act| model.apply(act));
        model.settle();
        assert_eq!(model, Model::default());
    }
}
