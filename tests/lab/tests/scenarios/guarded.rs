//! A random walk over everything that can happen to a pair with a power switch and ping points: the same seed gives the same
//! steps. `GUARDED_SEED` and `GUARDED_STEPS` make it another, and longer.
//!
//! ```text
//!  [switch] ─ power ─▶ a ──┬── b    heartbeats on both LANs
//!                     client w      ping points, on the service LAN
//! ```
//! Throughout nobody sees the service of the group that requires fencing run twice; nobody is fenced without a reason, by who
//! sees nothing outside, or more often than the core allows. After each few steps all faults end, and then each group has
//! one owner and all are well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lab::hbd::config::address;
use lab::live::dice::Dice;
use lab::net::{CLIENT, Cut, Lan};
use lab::pair::{GROUP, Pair, VIP, other};
use lab::power::{self, Mood, Switch, with_switch};
use lab::scenario::{check, scenario, until};
use lab::{Result, agent};
use nix::sys::signal::Signal;

const NODES: [&str; 2] = ["a", "b"];
/// The group that requires fencing, and its service.
const DB: &str = "db";
/// The machines that are ping points.
const POINTS: [&str; 2] = [CLIENT, "w"];
const STEPS: u64 = 12;
/// Steps between two calms, at most.
const TROUBLE: u64 = 5;
/// A step takes so long: at least, and at most.
const PAUSE_MS: (u64, u64) = (300, 3500);
/// A silence is so long at least: a deadtime, and most delays.
const SILENCE_MS: u64 = 1500;
/// A life of hbd fences the other node so often within an hour, and a walk is shorter.
const FENCES: usize = 3;
/// Who has seen nothing outside for so long knows it (a deadtime is a second), and what it had begun before is over.
const BLIND: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug)]
enum Act {
    PowerOff,
    Kill,
    Freeze,
    /// A node is booted, started or thawed, as it needs.
    Mend,
    Cut(Lan),
    CutAll,
    /// The node's cable to the service LAN is dead.
    Cable,
    Heal,
    /// The switch answers otherwise if the node is to be switched off; it does so with what silences a node, too.
    Switch,
    /// A ping point answers the node no more, or nobody.
    Point,
    /// No ping point answers the node.
    Blind,
    Standby,
    Online,
    Move(&'static str),
}

const MOODS: [Mood; 6] = [Mood::Works, Mood::Works, Mood::Works, Mood::Fails, Mood::Hangs, Mood::Denies];
const ACTS: [Act; 23] = [
    Act::PowerOff,
    Act::PowerOff,
    Act::Kill,
    Act::Kill,
    Act::Kill,
    Act::Freeze,
    Act::Freeze,
    Act::Mend,
    Act::Mend,
    Act::Cut(Lan::Service),
    Act::Cut(Lan::Heartbeat),
    Act::CutAll,
    Act::CutAll,
    Act::CutAll,
    Act::Cable,
    Act::Heal,
    Act::Switch,
    Act::Point,
    Act::Blind,
    Act::Standby,
    Act::Online,
    Act::Move(DB),
    Act::Move(GROUP),
];

struct Walk<'p> {
    pair: &'p Pair,
    switch: &'p Switch,
    dice: Dice,
    /// Nodes whose hbd was killed.
    dead: BTreeSet<&'static str>,
    /// Nodes whose hbd is stopped.
    frozen: BTreeSet<&'static str>,
    cuts: Vec<Cut>,
    /// Since when a node sees no ping point, and its hbd runs undisturbed.
    blind: BTreeMap<&'static str, Instant>,
    /// Since the last calm nothing was done that makes a node silent.
    quiet: bool,
    /// Uses of the switch that were looked at.
    judged: usize,
    /// Uses of the switch before the present life of a node's hbd.
    earlier: BTreeMap<&'static str, usize>,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<()> {
        // All dice are thrown first: what comes of this step changes none of the later ones.
        let (act, node, to) = (self.dice.of(&ACTS), self.dice.of(&NODES), self.dice.of(&NODES));
        let (point, both, mood) = (self.dice.of(&POINTS), self.dice.chance(50), self.dice.of(&MOODS));
        let silences = matches!(act, Act::PowerOff | Act::Kill | Act::Freeze | Act::CutAll);
        let pause = self.dice.between(if silences { SILENCE_MS } else { PAUSE_MS.0 }, PAUSE_MS.1);
        let pause = Duration::from_millis(pause);
        let said = format!("{act:?}: {node}, {to}, {point}, both: {both}, {mood:?}; {pause:?}");
        self.pair.world.timeline.note(said);
        if silences || matches!(act, Act::Switch) {
            self.switch.set_for(node, mood);
        }
        let done = match act {
            Act::Standby => self.order(node, &["--no-wait", "standby"]),
            Act::Online => self.order(node, &["--no-wait", "online"]),
            Act::Move(group) => self.order(node, &["--no-wait", "move", group, "--to", to]),
            Act::Switch => Ok(()),
            Act::Mend => self.mend(node),
            Act::PowerOff | Act::Kill | Act::Freeze => self.silence(act, node),
            Act::Point if both => self.cut(NODES.map(|node| Cut::between(node, point, Lan::Service))),
            Act::Point => self.cut([Cut::between(node, point, Lan::Service)]),
            Act::Blind => self.cut(POINTS.map(|point| Cut::between(node, point, Lan::Service))),
            Act::Heal => self.heal(),
            Act::Cut(_) | Act::CutAll | Act::Cable => {
                self.quiet = false;
                self.cut(match act {
                    Act::Cut(lan) => vec![Cut::between("a", "b", lan)],
                    Act::Cable => vec![Cut::cable(node, Lan::Service)],
                    _ => vec![Cut::between("a", "b", Lan::Service), Cut::between("a", "b", Lan::Heartbeat)],
                })
            }
        };
        self.unless_off(node, done)?;
        self.look_outside();
        std::thread::sleep(pause);
        self.judge()
    }

    /// The switch may take a node away at any moment; what then fails does not matter.
    fn unless_off(&self, node: &str, done: Result<()>) -> Result<()> {
        if self.pair.world.is_up(node) { done } else { Ok(()) }
    }

    /// It may be refused.
    fn order(&self, node: &str, words: &[&str]) -> Result<()> {
        let listens = !self.frozen.contains(node) && !self.dead.contains(node) && self.pair.world.is_up(node);
        if listens { self.pair.hbctl(node, words).map(drop) } else { Ok(()) }
    }

    fn silence(&mut self, act: Act, node: &'static str) -> Result<()> {
        self.quiet = false;
        if !self.pair.world.is_up(node) || self.dead.contains(node) && !matches!(act, Act::PowerOff) {
            return Ok(());
        }
        match act {
            Act::PowerOff => self.pair.power_off(node).map(drop),
            Act::Kill => {
                self.dead.insert(node);
                self.frozen.remove(node);
                self.pair.crash(node)
            }
            _ => {
                self.frozen.insert(node);
                self.pair.signal(node, Signal::SIGSTOP)
            }
        }
    }

    fn cut(&mut self, cuts: impl IntoIterator<Item = Cut>) -> Result<()> {
        self.cuts.extend(cuts);
        self.pair.world.recut(self.cuts.clone())
    }

    fn heal(&mut self) -> Result<()> {
        self.cuts.clear();
        self.pair.world.heal()
    }

    /// Whatever keeps hbd from running on this node ends.
    fn mend(&mut self, node: &'static str) -> Result<()> {
        let pair = self.pair;
        let (dead, frozen) = (self.dead.remove(node), self.frozen.remove(node));
        let off = !pair.world.is_up(node);
        if off || dead {
            self.earlier.insert(node, self.switch.uses().len());
        }
        if off || dead || frozen {
            // What it knows of the outside is nothing, or old.
            self.blind.remove(node);
        }
        let done = match (off, dead, frozen) {
            (true, ..) => pair.boot(node),
            (_, true, _) => pair.start_again(node),
            (.., true) => pair.signal(node, Signal::SIGCONT),
            _ => Ok(()),
        };
        self.unless_off(node, done)
    }

    /// Notes who is blind from now on, or no more.
    fn look_outside(&mut self) {
        for node in NODES {
            let all = POINTS.map(|point| Cut::between(node, point, Lan::Service));
            let cable = self.cuts.contains(&Cut::cable(node, Lan::Service));
            if cable || all.iter().all(|cut| self.cuts.contains(cut)) {
                self.blind.entry(node).or_insert_with(Instant::now);
            } else {
                self.blind.remove(node);
            }
        }
    }

    /// Was the switch used as the rules allow?
    fn judge(&mut self) -> Result<()> {
        let uses = self.switch.uses();
        for one in &uses[self.judged..] {
            check(!self.quiet, || format!("{one:?}, while nothing made a node silent"))?;
            let blind = self.blind.get(one.by.as_str()).is_some_and(|since| one.at > *since + BLIND);
            check(!blind, || format!("{one:?}, by who sees no ping point"))?;
        }
        self.judged = uses.len();
        for (by, earlier) in &self.earlier {
            let fences = uses[*earlier..].iter().filter(|one| one.by == *by);
            let fences = fences.filter(|one| one.cut && one.mood == Mood::Works).count();
            check(fences <= FENCES, || format!("one life of hbd on {by} has fenced {fences} times"))?;
        }
        Ok(())
    }

    /// All faults end: all become well, and each group has one owner.
    fn calm(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.switch.set(Mood::Works);
        self.heal()?;
        self.look_outside();
        until("all are well again, and agree", || {
            // A fence may have been under way.
            NODES.into_iter().try_for_each(|node| self.mend(node))?;
            self.is_well()
        })?;
        self.judge()?;
        self.quiet = true;
        self.pair.world.timeline.note(format!("all well after {:?}", begin.elapsed()));
        Ok(())
    }

    fn is_well(&self) -> Result<bool> {
        let world = &self.pair.world;
        let (Some(a), Some(b)) = (self.pair.status("a"), self.pair.status("b")) else { return Ok(false) };
        for status in [&a, &b].into_iter().filter(|status| status.standby) {
            self.order(&status.node, &["--no-wait", "online"])?;
        }
        for status in [&a, &b] {
            let well = status.sees(other(&status.node), "up") && status.degraded.is_empty();
            check(well && !status.standby, || format!("{} says: {status}", status.node))?;
        }
        let mut owners = Vec::new();
        for name in [DB, GROUP] {
            let seen = [&a, &b].map(|status| {
                let group = status.group(name).filter(|group| group.state == "started")?;
                Some((group.owner.clone()?, group.epoch))
            });
            check(seen[0].is_some() && seen[0] == seen[1], || format!("a says: {a}; b says: {b}"))?;
            owners.extend(seen[0].clone().map(|(owner, _)| owner));
        }
        let runners = agent::runners(world, DB)?;
        check(runners == owners[..1], || format!("{DB} of {} runs on {runners:?}", owners[0]))?;
        let served = world.exec(CLIENT, &["ping", "-c", "1", "-W", "1", VIP])?.ok();
        check(served, || "the client is not served".to_owned())?;
        self.pair.audit().expect_owner(&owners[1]).map(|_| true)
    }
}

/// A group that requires fencing on `a`, an address that requires nothing on `b`.
fn make() -> Result<Pair> {
    let pair = Pair::beside(&POINTS[1..], |settings| {
        let mut settings = settings.group(DB, Some("a"), &[&agent::service(DB, "")]);
        settings.groups[0].requires = Some("fencing".to_owned());
        let mut settings = settings.group(GROUP, Some("b"), &[&address(VIP, 16, "eth0")]);
        settings.more += &power::table("a", "timeout = \"1s\"\nretries = 0\ndelay = \"200ms\"");
        settings.more += &power::table("b", "timeout = \"1s\"\nretries = 0\ndelay = \"1s\"");
        for (point, number) in [(CLIENT, 100), ("w", 3)] {
            settings.more += &format!("\n[[ping]]\nname = \"{point}\"\naddresses = [\"10.77.0.{number}\"]\n");
        }
        settings
    })?;
    power::install(&pair.world)?;
    Ok(pair)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn walk(pair: &Pair, switch: &Switch, seed: u64, steps: u64) -> Result<()> {
    pair.start_both()?;
    let mut walk = Walk {
        pair,
        switch,
        dice: Dice::new(seed),
        dead: BTreeSet::new(),
        frozen: BTreeSet::new(),
        cuts: Vec::new(),
        blind: BTreeMap::new(),
        quiet: true,
        judged: 0,
        earlier: NODES.map(|node| (node, 0)).into(),
    };
    walk.calm()?;
    let mut since = 0;
    for step in 1..=steps {
        pair.world.timeline.note(format!("seed {seed}, step {step}"));
        walk.step()?;
        since += 1;
        if since == TROUBLE || step == steps || walk.dice.chance(20) {
            walk.calm()?;
            since = 0;
        }
    }
    if std::env::var_os("GUARDED_SEED").is_some() {
        println!("seed {seed}:\n{}", pair.world.timeline);
    }
    Ok(())
}

#[test]
fn a_random_walk_with_a_power_switch_and_ping_points() {
    let (seed, steps) = (number("GUARDED_SEED", 2), number("GUARDED_STEPS", STEPS));
    scenario(make, |pair| {
        agent::never_twice(&pair.world, DB, || with_switch(pair, |switch| walk(pair, switch, seed, steps)))
    });
}
