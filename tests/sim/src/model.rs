//! A small world explored to the end: every order of events, every loss and every crash that its bounds allow.
//!
//! Two nodes, one group, two media. The same core as everywhere; only what happens next is not thrown by dice: all of it is tried.
//! A step is one of: a datagram in flight arrives, or is lost; an operation ends, well or badly; a write lands; a node dies,
//! at rest or between any two actions that its core has just returned, with its power or without; a dead node is started
//! again; time goes on to the next deadline of a core, once nothing is in flight. What may go wrong in one history is
//! bounded by a budget, and its length by a time. States that are the same (all but counters for people) are explored once.

mod bounds;
mod devices;

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use cluster::{
    Action, Command, CommandId, Core, Durable, Failback, GroupSettings, Input, OpKind, OpResult, Requires,
    Run, Settings, Time,
};

#[cfg(test)]
pub use bounds::small;
pub use bounds::{Bounds, Budget, all};
use devices::{Devices, Fate};

use crate::plan::{names, resource};
use crate::world::clock::MS;
use crate::world::wire::{CLUSTER, keyring};

/// What came of it.
#[derive(Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// The longest history, in steps.
    pub depth: usize,
    /// Histories that came to their end in time.
    pub ends: usize,
    /// Steps by which the group came to run on a node.
    pub starts: usize,
    /// All of it was explored.
    pub whole: bool,
    /// What did not hold, with the steps that lead there.
    pub violation: Option<Vec<String>>,
}

/// A node.
#[derive(Clone)]
struct Node {
    core: Option<Core>,
    lives: u8,
    disk: Durable,
    writes: Vec<(u64, Durable)>,
    ops: Vec<Run>,
    on: bool,
    off: bool,
    /// The highest epoch it has claimed.
    claimed: u64,
}

/// The world at one moment.
#[derive(Clone)]
struct State {
    now: u64,
    /// When the history begins.
    began: u64,
    nodes: [Node; 2],
    /// On their way to each node, in the order in which they were sent: the copies on both media come together.
    flying: [VecDeque<Rc<Vec<u8>>>; 2],
    budget: Budget,
    devices: Devices,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next message arrives at a node, on these media.
    Arrives(usize, [bool; 2]),
    Ends(usize, usize, bool),
    Lands(usize),
    Dies(usize, bool),
    Starts(usize),
    Ordered(usize, bool),
    /// What the witness was asked meets its fate.
    Asked(usize, Fate),
    /// A fence device does.
    Fenced(usize, Fate),
    Time,
}

/// A core's actions are cut off after so many, and its node dies; or none.
type Cut = Option<(usize, bool)>;

/// A state on the way, what has not been tried from there, and the step that led to it.
type Place = (Rc<State>, Vec<(Step, Cut)>, String);

struct Explorer {
    bounds: Bounds,
    seen: HashSet<u64>,
    found: Explored,
    text: String,
}

fn settings(n: usize, bounds: &Bounds) -> Settings {
    let (nodes, requires) = (names(2), bounds.requires);
    let mut settings = Settings {
        cluster: CLUSTER.to_owned(),
        me: nodes[n].clone(),
        nodes,
        keepalive: Duration::from_millis(500),
        warntime: Duration::from_millis(800),
        deadtime: Duration::from_secs(1),
        initdead: Duration::from_millis(1500),
        failback: Failback::Off,
        links: vec!["bcast:eth0".to_owned(), "bcast:eth1".to_owned()],
        config_digest: 7,
        config_parts: Vec::new(),
        lease_renew: Duration::from_millis(600),
        fences: Vec::new(),
        witness: None,
        groups: vec![GroupSettings {
            name: "g".to_owned(),
            resources: vec![resource(0, false)],
            preferred: None,
            requires,
            link_monitor: None,
            after: Vec::new(),
        }],
    };
    devices::add(&mut settings, bounds);
    settings
}

/// Explores all there is within the bounds, from two machines that are switched on.
pub fn explore(bounds: &Bounds) -> Explored {
    let node = || Node {
        core: None,
        lives: 0,
        disk: Durable::default(),
        writes: Vec::new(),
        ops: Vec::new(),
        on: false,
        off: true,
        claimed: 0,
    };
    let start = State {
        now: 1000 * MS,
        began: 1000 * MS,
        nodes: [node(), node()],
        flying: Default::default(),
        budget: bounds.budget,
        devices: Devices::new(bounds),
    };
    let mut explorer = Explorer {
        bounds: bounds.clone(),
        seen: HashSet::new(),
        found: Explored::default(),
        text: String::new(),
    };
    explorer.found.whole = true;
    let start = if bounds.settled { explorer.settle(start) } else { start };
    explorer.walk(start);
    explorer.found.states = explorer.seen.len();
    explorer.found
}

impl Explorer {
    /// Depth first, with the way kept for the report.
    fn walk(&mut self, start: State) {
        let first = self.choices(&start);
        let mut way: Vec<Place> = vec![(Rc::new(start), first, String::new())];
        while let Some((state, choices, _)) = way.last_mut() {
            let Some((step, cut)) = choices.pop() else {
                way.pop();
                continue;
            };
            let (mut next, text) = ((**state).clone(), format!("{step:?} {cut:?}"));
            self.found.steps += 1;
            let before = [state.nodes[0].on, state.nodes[1].on];
            let wrong = next.take(step, cut, &self.bounds);
            if let Some(wrong) = wrong {
                let mut steps: Vec<String> = way.iter().map(|(_, _, text)| text.clone()).skip(1).collect();
                steps.extend([text, wrong]);
                self.found.violation = Some(steps);
                return;
            }
            if !self.seen.insert(next.hash(&mut self.text)) {
                continue;
            }
            if self.seen.len() >= self.bounds.most {
                self.found.whole = false;
                return;
            }
            self.found.starts += (0..2).filter(|&n| next.nodes[n].on && !before[n]).count();
            let choices = self.choices(&next);
            self.found.ends += usize::from(choices.is_empty());
            way.push((Rc::new(next), choices, text));
            self.found.depth = self.found.depth.max(way.len());
        }
    }

    /// One quiet history: until the group runs and nothing is under way.
    fn settle(&self, mut state: State) -> State {
        for _ in 0..200 {
            let mut choices = self.choices(&state);
            let quiet = |step: &Step| {
                matches!(
                    step,
                    Step::Starts(_)
                        | Step::Lands(_)
                        | Step::Ends(_, _, true)
                        | Step::Asked(_, Fate::Done)
                        | Step::Arrives(_, [true, true])
                )
            };
            let step = choices.iter().find(|(step, cut)| cut.is_none() && quiet(step)).map(|(step, _)| *step);
            choices.clear();
            match step {
                Some(step) => drop(state.take(step, None, &self.bounds)),
                None if state.nodes[0].on => break,
                None => state.time(),
            }
        }
        state.began = state.now;
        state
    }

    /// All that may happen next.
    fn choices(&self, state: &State) -> Vec<(Step, Cut)> {
        let mut steps = Vec::new();
        let budget = state.budget;
        for (i, node) in state.nodes.iter().enumerate() {
            if node.core.is_none() {
                // A node that waits to be started may wait for long; the others go on meanwhile.
                if !self.bounds.slow || !state.busy() {
                    steps.push(Step::Starts(i));
                }
                continue;
            }
            if budget.deaths > 0 && node.lives > 0 {
                steps.extend([Step::Dies(i, true), Step::Dies(i, false)]);
            }
            if budget.orders > 0 {
                steps.extend([Step::Ordered(i, false), Step::Ordered(i, true)]);
            }
            for op in 0..node.ops.len() {
                steps.push(Step::Ends(i, op, true));
                if budget.failures > 0 && node.ops[op].op != OpKind::Status {
                    steps.push(Step::Ends(i, op, false));
                }
            }
            if !node.writes.is_empty() {
                steps.push(Step::Lands(i));
            }
        }
        for to in (0..2).filter(|&to| !state.flying[to].is_empty()) {
            steps.push(Step::Arrives(to, [true, true]));
            if budget.losses > 0 {
                let some = [[true, false], [false, true], [false, false]];
                steps.extend(some.map(|media| Step::Arrives(to, media)));
            }
        }
        let fates = |budget: u8| {
            let all = [Fate::Done, Fate::Mute, Fate::Lost];
            all.into_iter().filter(move |fate| budget > 0 || *fate == Fate::Done)
        };
        for at in 0..state.devices.asked.len() {
            steps.extend(fates(budget.silences).map(|fate| Step::Asked(at, fate)));
        }
        for at in 0..state.devices.fencing.len() {
            steps.extend(fates(budget.silences).map(|fate| Step::Fenced(at, fate)));
        }
        let busy = state.busy();
        let over = Duration::from_nanos(state.now - state.began) >= self.bounds.time;
        if !busy && !over {
            steps.push(Step::Time);
        }
        if over && !busy {
            return Vec::new();
        }
        let mut all = Vec::new();
        for step in steps {
            all.push((step, None));
            if budget.deaths > 0 {
                // How many actions there are is not known before; too many cuts nothing off and is the same state.
                let actions = state.actions_of(step);
                all.extend(
                    (0..actions)
                        .flat_map(|after| [(step, Some((after, true))), (step, Some((after, false)))]),
                );
            }
        }
        all
    }
}

impl State {
    /// Something is under way: time does not go on before it is through.
    fn busy(&self) -> bool {
        let flying = self.flying.iter().any(|queue| !queue.is_empty());
        let asking = !self.devices.asked.is_empty() || !self.devices.fencing.is_empty();
        flying || asking || self.nodes.iter().any(|n| !n.ops.is_empty() || !n.writes.is_empty())
    }

    /// The node that handles a step, and the input its core is given.
    fn input(&self, step: Step) -> Option<(usize, Input)> {
        Some(match step {
            Step::Ends(n, op, well) => {
                let run = &self.nodes[n].ops[op];
                let result = match (run.op, well) {
                    (OpKind::Status, _) if self.nodes[n].on => OpResult::Running,
                    (OpKind::Status, _) => OpResult::NotRunning,
                    (_, true) => OpResult::Ok,
                    (_, false) => OpResult::Failed("told to fail".to_owned()),
                };
                (n, Input::OpDone { id: run.id, results: vec![result] })
            }
            Step::Lands(n) => (n, Input::Persisted { serial: self.nodes[n].writes[0].0, error: None }),
            Step::Ordered(n, standby) => {
                let command = if standby {
                    Command::Standby { node: None, force: false }
                } else {
                    Command::Move { group: "g".to_owned(), to: None }
                };
                (n, Input::Command { id: CommandId(1), by: String::new(), command })
            }
            _ => return None,
        })
    }

    fn arrive(&mut self, to: usize, media: [bool; 2], cut: Cut) {
        let Some(bytes) = self.flying[to].pop_front() else { return };
        // The first copy is the one that matters; the other shows that its medium works.
        let mut cut = cut;
        for link in (0..2).filter(|&link| media[link]) {
            self.handle(to, Input::Datagram { link, bytes: bytes.to_vec() }, cut.take());
        }
    }

    /// How many actions the core returns in a step.
    fn actions_of(&self, step: Step) -> usize {
        let (n, input) = match (step, self.input(step)) {
            (_, Some(input)) => input,
            (Step::Arrives(to, media), _) if media.contains(&true) => {
                let Some(bytes) = self.flying[to].front() else { return 0 };
                (to, Input::Datagram { link: usize::from(!media[0]), bytes: bytes.to_vec() })
            }
            _ => return 0,
        };
        let Some(mut core) = self.nodes[n].core.clone() else { return 0 };
        core.handle(Time(self.now), input).iter().filter(|action| !matches!(action, Action::Event(_))).count()
    }

    /// Takes a step; what does not hold after it.
    fn take(&mut self, step: Step, cut: Cut, bounds: &Bounds) -> Option<String> {
        if cut.is_some() {
            self.budget.deaths -= 1;
        }
        let input = self.input(step);
        match step {
            Step::Arrives(to, media) => {
                self.budget.losses -= u8::from(media != [true, true]);
                self.arrive(to, media, cut);
            }
            Step::Ends(n, op, well) => {
                let run = self.nodes[n].ops.remove(op);
                self.budget.failures -= u8::from(!well);
                match run.op {
                    OpKind::Start if well => self.nodes[n].on = true,
                    OpKind::Stop if well => self.nodes[n].on = false,
                    _ => {}
                }
            }
            Step::Lands(n) => self.nodes[n].disk = self.nodes[n].writes.remove(0).1,
            Step::Dies(n, power) => {
                self.budget.deaths -= 1;
                self.die(n, power);
            }
            Step::Starts(n) => self.start(n, bounds),
            Step::Ordered(..) => self.budget.orders -= 1,
            Step::Asked(at, fate) => {
                self.budget.silences -= u8::from(fate != Fate::Done);
                self.witness_answers(at, fate, cut);
            }
            Step::Fenced(at, fate) => {
                self.budget.silences -= u8::from(fate != Fate::Done);
                self.fence_answers(at, fate, cut);
            }
            Step::Time => self.time(),
        }
        if let Some((n, input)) = input {
            self.handle(n, input, cut);
        }
        self.check(bounds)
    }

    /// Its daemon dies: writes not landed are lost, operations done or never done (here: never), and what runs goes on
    /// unless the power is gone too.
    fn die(&mut self, n: usize, power: bool) {
        let node = &mut self.nodes[n];
        node.core = None;
        node.writes.clear();
        node.ops.clear();
        self.forget_requests(n, power);
        let node = &mut self.nodes[n];
        if power {
            (node.on, node.off) = (false, true);
        }
    }

    fn start(&mut self, n: usize, bounds: &Bounds) {
        let node = &mut self.nodes[n];
        node.lives += 1;
        node.off = false;
        let boot = 0x1000 * (n as u64 + 1) + u64::from(node.lives);
        let settings = settings(n, bounds);
        node.core = Some(Core::new(settings, keyring(false), node.disk.clone(), boot, Time(self.now)));
        self.handle(n, Input::Tick, None);
    }

    /// To the next deadline, and everybody whose it is hears of it.
    fn time(&mut self) {
        let due = |node: &Node| node.core.as_ref().and_then(Core::deadline).map(|at| at.0);
        let bites = self.devices.bites.iter().flatten().copied();
        let Some(at) = self.nodes.iter().filter_map(due).chain(bites).min() else {
            self.now += 500 * MS;
            return;
        };
        self.now = self.now.max(at);
        self.bite();
        for n in 0..2 {
            if due(&self.nodes[n]).is_some_and(|at| at <= self.now) {
                self.handle(n, Input::Tick, None);
            }
        }
    }

    fn handle(&mut self, n: usize, input: Input, cut: Cut) {
        let now = Time(self.now);
        let Some(core) = self.nodes[n].core.as_mut() else { return };
        let mut drains = false;
        let actions = core.handle(now, input);
        for (i, action) in
            actions.into_iter().filter(|action| !matches!(action, Action::Event(_))).enumerate()
        {
            if let Some((after, power)) = cut
                && i == after
            {
                return self.die(n, power);
            }
            match action {
                Action::Send(bytes) => {
                    self.flying[1 - n].push_back(Rc::new(bytes));
                }
                Action::Drain => drains = true,
                Action::Run(run) => self.nodes[n].ops.push(run),
                Action::Persist { serial, state } => {
                    // A newer one makes the older ones needless.
                    self.nodes[n].writes = vec![(serial, state)];
                }
                Action::Witness { id, ask } => self.devices.asked.push((n, id, ask)),
                Action::Fence { id, .. } => self.devices.fencing.push((n, id)),
                _ => {}
            }
        }
        self.pet(n);
        if drains {
            self.handle(n, Input::Drained, None);
        }
    }

    fn check(&mut self, bounds: &Bounds) -> Option<String> {
        if bounds.requires != Requires::Nothing && self.nodes[0].on && self.nodes[1].on {
            return Some("S1: the group runs on both nodes".to_owned());
        }
        for n in 0..2 {
            let node = &self.nodes[n];
            if let Some(run) = node.ops.iter().find(|run| run.op == OpKind::Start) {
                let status = node.core.as_ref()?.status(Time(self.now));
                let epoch = status.groups[0].epoch;
                if status.standby {
                    return Some(format!("S8: {run:?} on standby"));
                }
                // One that is given up may still be at its end while the status speaks of another owner.
                let own = status.groups[0].owner.as_deref() == Some(["a", "b"][n]);
                if own && epoch < node.claimed {
                    return Some(format!("S5: node {n} starts under epoch {epoch} after {}", node.claimed));
                }
                self.nodes[n].claimed = if own { epoch } else { node.claimed };
            }
            if self.nodes[n].ops.len() > 1 {
                return Some(format!("S7: two operations at once on node {n}"));
            }
        }
        None
    }

    /// The same number for the same state; counters for people do not count.
    fn hash(&self, text: &mut String) -> u64 {
        text.clear();
        let _ = write!(text, "{} {:?} ", self.now, self.budget);
        for node in &self.nodes {
            let _ = write!(
                text,
                "{} {:?} {:?} {:?} {} {} {} {:?};",
                node.lives, node.disk, node.writes, node.ops, node.on, node.off, node.claimed, node.core
            );
        }
        let devices = &self.devices;
        let _ = write!(
            text,
            "{:?} {:?} {:?} {:?} {:?}",
            devices.store, devices.asked, devices.leases, devices.bites, devices.fencing
        );
        let mut hash = without_figures(text);
        for queue in &self.flying {
            hash = queue.iter().fold(hash.rotate_left(17), |hash, bytes| proto::fnv64(hash, bytes));
        }
        hash
    }
}

/// Counters and other figures for people: their names as they stand in the text, and what ends them.
const FIGURES: [(&str, char); 8] = [
    (" received: ", ','),
    (" late: ", ','),
    (" lost: ", ','),
    (" duplicate: ", ','),
    (" hearing: ", ','),
    (" gaps: Gaps {", '}'),
    (" rejected: {", '}'),
    (" rejected_on: [", ']'),
];

/// A hash of a text without such figures.
fn without_figures(text: &str) -> u64 {
    let (mut hash, mut rest) = (proto::FNV64, text);
    while let Some(at) = rest.find(": ") {
        let start = rest[..at].rfind(' ').unwrap_or(0);
        let figure = FIGURES.iter().find(|(name, _)| rest[start..].starts_with(name));
        let keep = figure.map_or(at + 2, |(name, _)| start + name.len());
        hash = mix(hash, &rest[..keep]);
        rest = &rest[keep..];
        if let Some((_, end)) = figure {
            rest = &rest[rest.find(*end).unwrap_or(0)..];
        }
    }
    mix(hash, rest)
}

fn mix(hash: u64, text: &str) -> u64 {
    let mut chunks = text.as_bytes().chunks_exact(8);
    let mut hash = hash;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    proto::fnv64(hash, chunks.remainder())
}
