//! From a seed to a list of steps: the same seed gives the same list, whatever the pair makes of it.

use std::fmt;

use super::DEADTIME_MS;
use super::act::{Act, Mood, OCF, SERVICES};
use super::dice::Dice;
use super::ground::{Ground, MEMBERS, POINTS, TTL};
use super::model::Model;
use crate::net::Lan;
use crate::power;

/// Steps of trouble after which there is calm at the latest.
const TROUBLE_MAX: u64 = 7;

/// One step: what is done, one after the other, and how long it is then left alone before the audit begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// What is done.
    pub acts: Vec<Act>,
    /// Time before the audit, milliseconds.
    pub dwell_ms: u64,
    /// All faults end here, and the pair must become well.
    pub calm: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts: Vec<String> = self.acts.iter().map(Act::to_string).collect();
        let calm = if self.calm { "calm: " } else { "" };
        write!(f, "{:>3}. {calm}{}; then {} ms", self.number, acts.join(", "), self.dwell_ms)
    }
}

/// The steps of a seed, without end.
#[derive(Debug, Clone)]
pub struct Plan {
    dice: Dice,
    ground: Ground,
    model: Model,
    number: usize,
    since_calm: u64,
}

impl Plan {
    /// The plan of a seed on a ground; it begins with a pair that is well.
    pub fn new(seed: u64, ground: Ground) -> Plan {
        Plan { dice: Dice::new(seed), ground, model: Model::default(), number: 0, since_calm: 0 }
    }

    fn calm(&mut self) -> Step {
        let mut acts = self.model.repairs();
        acts.iter().for_each(|act| self.model.apply(act));
        if acts.is_empty() {
            acts.push(Act::Wait(0));
        }
        self.model.settle();
        self.since_calm = 0;
        Step { number: self.number, acts, dwell_ms: 0, calm: true }
    }

    fn trouble(&mut self) -> Step {
        self.since_calm += 1;
        // Right after calm often something that may move nothing: only then can that be judged.
        let quiet = self.since_calm == 1 && self.dice.chance(50);
        let mut acts = vec![if quiet { self.draw(Act::moves_nothing) } else { self.draw(|_| true) }];
        // One in three hits while another is at work.
        while !quiet && acts.len() < 5 && self.dice.chance(33) {
            acts.push(Act::Wait(self.dice.of(&[0, 20, 100, 300, 700])));
            acts.push(self.draw(|_| true));
        }
        let mut dwell_ms = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.below(DEADTIME_MS / 2),
            // Long enough for what silence brings.
            _ if !self.model.talk() => self.dice.between(DEADTIME_MS / 2, DEADTIME_MS * 5 / 2),
            _ => self.dice.below(DEADTIME_MS),
        };
        // Leases of the witness end later than anything else.
        if self.ground.lends() && self.dice.chance(25) {
            dwell_ms += self.dice.below(TTL * 2000);
        }
        Step { number: self.number, acts, dwell_ms, calm: false }
    }

    /// An act that can be done now and is as wanted.
    fn draw(&mut self, wanted: impl Fn(&Act) -> bool) -> Act {
        loop {
            let act = self.any();
            if wanted(&act) && self.model.allows(&act) {
                self.model.apply(&act);
                return act;
            }
        }
    }

    fn any(&mut self) -> Act {
        if self.ground != Ground::Plain && self.dice.chance(30) {
            return self.outside();
        }
        let n = self.dice.below(2) as usize;
        let lan = self.dice.of(&[Lan::Service, Lan::Heartbeat]);
        match self.dice.below(72) {
            0..=2 => Act::Kill(n),
            3..=6 => Act::Start(n),
            54..=56 => Act::Order(n, vec!["fence-ack", super::act::NODES[1 - n]], false),
            57 => Act::Leave(n),
            7 | 8 => Act::PowerOff(n),
            9..=11 => Act::Boot(n),
            12 => Act::Freeze(n),
            13 | 14 => Act::Thaw(n),
            15 => Act::Pause(n, self.dice.between(50, DEADTIME_MS / 3)),
            16 => Act::Pause(n, self.dice.between(DEADTIME_MS / 2, DEADTIME_MS * 3)),
            17 => Act::Starve(n, self.dice.between(500, 5000)),
            18 => Act::Hog(n, self.dice.between(500, 3000)),
            19 | 20 => Act::CutOneWay(n, lan),
            21 | 22 => Act::Cut(lan),
            23 => Act::CutAll,
            24 => Act::CutAllOneWay(n),
            25 => Act::Cable(n, lan),
            26 => Act::Loss(self.dice.of(&[10, 30, 60])),
            27 | 28 => Act::Heal,
            29 => Act::FillDisk(n),
            30 => Act::FreeDisk(n),
            31 => Act::Tear(n, self.dice.below(100)),
            32..=34 => self.mood(n),
            35 => Act::Die(self.dice.of(&SERVICES)),
            36 => Act::Behave(n),
            37 => Act::Clock(n, self.dice.of(&[-86_400, -5, 3, 3600, 315_360_000])),
            38 => Act::TakeAddress,
            39 => Act::Flood(n),
            60 | 61 => Act::AlertsHang(n),
            62 => Act::ChangeAddress,
            63 | 64 => Act::Unplug(n, lan),
            65 | 66 => Act::Plug(n, lan),
            67 | 68 => Act::SetAddress(n),
            69 => Act::Twin,
            70 | 71 => Act::NoTwin,
            58 => Act::Freeze(n),
            59 => Act::CutAll,
            _ => self.order(n),
        }
    }

    /// An act on what stands around the pair.
    fn outside(&mut self) -> Act {
        let n = self.dice.below(2) as usize;
        let fences = self.ground.fences() && (!self.ground.points() || self.dice.chance(60));
        if fences {
            return self.at_the_switch(n);
        }
        if !self.ground.lends() {
            let one = self.dice.of(&[&POINTS[..1], &POINTS[1..]]);
            return match self.dice.below(8) {
                0 | 1 => Act::CutOutside(n, one),
                2 | 3 => Act::CutOutside(n, &POINTS),
                4 | 5 => Act::CutMachine(self.dice.of(&POINTS)),
                _ => Act::Heal,
            };
        }
        let one = self.dice.of(&[&MEMBERS[..1], &MEMBERS[1..2], &MEMBERS[2..]]);
        let some = if self.dice.chance(40) { &MEMBERS[..] } else { one };
        match self.dice.below(11) {
            0..=2 => Act::KillMembers(some),
            3 | 4 => Act::StopMembers(some),
            5..=7 => Act::MendMembers(some),
            8 => Act::CutMachine(self.dice.of(&MEMBERS)),
            9 => Act::CutOutside(n, some),
            _ => Act::CutOutside(n, &MEMBERS),
        }
    }

    fn at_the_switch(&mut self, n: usize) -> Act {
        use power::Mood::{Denies, Fails, Hangs, Lies, Works};
        match self.dice.below(8) {
            0..=3 => Act::Switch(n, self.dice.of(&[Works, Fails, Fails, Hangs, Hangs, Denies, Lies])),
            4 => Act::SwitchBroken(true),
            5 => Act::SwitchBroken(false),
            _ => Act::Mend(n),
        }
    }

    /// A lying stop, or a status that calls what runs stopped, is not among them: nobody could survive that for a
    /// group that must never run twice. For `web`, which may, the latter is.
    fn mood(&mut self, n: usize) -> Act {
        if self.dice.chance(30) {
            return self.ocf_mood(n);
        }
        let service = self.dice.of(&SERVICES);
        let (op, mood) = self.dice.of(&[
            ("start", Mood::Fails),
            ("start", Mood::Hangs),
            ("start", Mood::Lies),
            ("start", Mood::Slow),
            ("start", Mood::Forks),
            ("start", Mood::Deaf),
            ("start", Mood::Floods),
            ("stop", Mood::Deaf),
            ("status", Mood::Deaf),
            ("status", Mood::Floods),
            ("stop", Mood::Fails),
            ("stop", Mood::Hangs),
            ("stop", Mood::Slow),
            ("status", Mood::Hangs),
            ("status", Mood::Lies),
            ("status", Mood::Fails),
        ]);
        match (service, op, mood) {
            ("web", _, _) => Act::Mood(n, service, op, mood),
            (_, "status", Mood::Fails) => Act::Mood(n, service, op, Mood::Slow),
            _ => Act::Mood(n, service, op, mood),
        }
    }

    /// An end that an OCF agent may have. Not among them are the lies: a stop's 7, and a look's 5 and 7.
    fn ocf_mood(&mut self, n: usize) -> Act {
        let op = self.dice.of(&["start", "stop", "status"]);
        let code = self.dice.of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 127, 190]);
        let mood = match (op, code) {
            ("stop", 7) | ("status", 5 | 7) => Mood::Dies,
            _ => Mood::Code(code),
        };
        Act::Mood(n, OCF, op, mood)
    }

    fn order(&mut self, n: usize) -> Act {
        let to = self.dice.of(&["a", "b"]);
        let group = self.dice.of(&["vip", "store"]);
        let words = match self.dice.below(16) {
            0 => vec!["standby"],
            1 => vec!["standby", to],
            2 => vec!["standby", "--force"],
            3 | 4 => vec!["online", to],
            5..=8 => vec!["move", group, "--to", to],
            9 => vec!["takeover"],
            10 => vec!["takeover", group],
            11 => vec!["failback"],
            12 => vec!["maintenance", self.dice.of(&["on", "off", "off"])],
            13 => vec!["cleanup"],
            14 => vec!["cleanup", group],
            _ => vec!["reload"],
        };
        let waits = self.dice.chance(40) || words[0] == "reload";
        Act::Order(n, words, waits)
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.number += 1;
        let enough = self.since_calm >= TROUBLE_MAX || (self.since_calm > 1 && self.dice.chance(22));
        Some(if enough { self.calm() } else { self.trouble() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_steps_and_another_others() {
        let steps = |seed| {
            Plan::new(seed, Ground::of(seed)).take(200).map(|step| step.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_kind_comes_up() {
        let mut kinds = BTreeSet::new();
        for seed in 0..50 {
            kinds.extend(
                Plan::new(seed, Ground::of(seed)).take(100).flat_map(|s| s.acts).map(|act| act.kind()),
            );
        }
        assert_eq!(kinds.len(), 68, "{kinds:?}");
    }

    #[test]
    fn after_a_calm_step_no_fault_is_in_force() {
        for seed in 0..20 {
            let mut plan = Plan::new(seed, Ground::of(seed));
            for _ in 0..100 {
                let step = plan.next().unwrap();
                if step.calm {
                    assert_eq!(plan.model, Model::default(), "seed {seed}, step {}", step.number);
                }
            }
        }
    }
}
