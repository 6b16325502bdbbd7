//! The world: true time, what really runs where, and everything that may go wrong.
//!
//! The nodes in it are the production core and protocol, driven as the daemon drives them. The world knows the truth,
//! whatever the nodes believe; the checkers ([`crate::check`]) look at the truth and at what the nodes do and
//! say, never at the core's inside.

pub mod agents;
pub mod clock;
pub mod drive;
pub mod fence;
pub mod ground;
pub mod life;
pub mod look;
pub mod machine;
pub mod store;
pub mod trace;
pub mod wire;
pub mod witness;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use cluster::{ResourceKey, Settings};

use crate::check::{Notes, Sight};
use crate::dice::Dice;
use crate::fault::{self, Step};
use crate::plan::Setup;
use clock::{Clock, MS, NEVER, S};
use fence::Device;
use machine::{Machine, Mood, Real};
use trace::Trace;
use wire::{Packet, Wire};
use witness::{Answer, Request, Witness};

/// How long the kernel keeps a leased address, on the machine's own clock: `floor(deadtime) + 1` seconds, for the
/// second that every world has as its deadtime.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(2);
/// More inputs than this at one instant are a busy loop.
const BUSY: u32 = 2000;

/// What happens at a point in time.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A datagram comes in.
    Arrives {
        /// Where.
        to: usize,
        /// On which link.
        link: usize,
        /// Which.
        packet: Rc<Packet>,
    },
    /// An operation comes to its end.
    Ends {
        /// On which machine.
        node: usize,
        /// Which.
        serial: u64,
    },
    /// A write comes to its end.
    Written {
        /// On which machine.
        node: usize,
        /// For which life of the daemon.
        life: u32,
    },
    /// A fence device has done its work.
    Fenced {
        /// Who asked for it.
        by: usize,
        /// In which life.
        life: u32,
        /// The core's number.
        id: cluster::FenceId,
        /// Whom.
        target: usize,
    },
    /// A request comes to the witness.
    Asked(Request),
    /// An answer of the witness comes in, or is waited for no longer.
    Answered(Answer),
    /// The daemon is started, if it has not been since.
    Boot {
        /// On which machine.
        node: usize,
        /// The life that had ended.
        life: u32,
    },
    /// The process goes on.
    Thaw {
        /// On which machine.
        node: usize,
        /// Which of its stops ends.
        freezes: u32,
    },
    /// An operator looks at the status, after the process went on.
    Look {
        /// On which machine.
        node: usize,
        /// After which stop.
        freezes: u32,
    },
    /// The daemon reads the configuration again.
    Reload {
        /// On which machine.
        node: usize,
    },
    /// A fault ends.
    Undo(Undo),
}

/// The end of a fault that lasted.
#[derive(Clone, Copy, Debug)]
pub enum Undo {
    /// A wire is mended.
    Cut(usize, usize, usize),
    /// The wires are good again.
    Noise,
    /// An agent is good again.
    Mood(usize, ResourceKey),
    /// A disk takes what it is given again, and at once.
    Disk(usize),
    /// Agents are quick again.
    Pace(usize),
    /// A fence device works, and fast.
    Device(usize),
    /// The witness runs again.
    WitnessDown,
    /// The witness goes on.
    WitnessPaused,
    /// The way to the witness is quick again.
    WitnessSlow,
    /// A node's way to the witness is mended.
    WitnessCut(usize),
    /// And that of its answers.
    WitnessMute(usize),
    /// An interface has a carrier again.
    Link(usize),
}

struct Due {
    at: u64,
    count: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.count) == (other.at, other.count)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.count).cmp(&(other.at, other.count))
    }
}

/// A resource that is or was in the configuration; its key is its place here.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// A built-in address.
    pub address: bool,
    /// Its group's place in the configuration.
    pub group: usize,
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the invariant.
    pub name: &'static str,
    /// What was seen.
    pub what: String,
    /// When.
    pub at: u64,
}

/// The world.
pub struct World {
    /// True time.
    pub now: u64,
    /// The machines.
    pub machines: Vec<Machine>,
    /// The wires.
    pub wire: Wire,
    /// The newest configuration.
    pub settings: Settings,
    /// Every resource there ever was, by key.
    pub catalog: Vec<Known>,
    /// How it was set up.
    pub setup: Setup,
    /// Faults are over.
    pub calm: bool,
    /// It has come to rest after them.
    pub settled: bool,
    /// The operator has nothing but good agents: none of them has ever failed.
    pub agents_good: bool,
    /// The witness.
    pub witness: Witness,
    /// Fence devices at work.
    pub fencing: usize,
    /// An operator has ordered a fence: no delay keeps it from its target.
    pub fences_ordered: bool,
    /// What went wrong first.
    pub violation: Option<Violation>,
    /// The record.
    pub trace: Trace,
    /// Starts and stops begun.
    pub moves: u64,
    /// Groups announced, by node.
    pub announced: Vec<(usize, proto::GroupId)>,
    /// Inputs handled so far, by all cores.
    pub events: u64,
    queue: BinaryHeap<Reverse<Due>>,
    count: u64,
    dice: Dice,
    /// Chance that belongs to the wires alone.
    wire_dice: Dice,
    notes: Option<Box<Notes>>,
    boots: u64,
    pub(crate) commands: u64,
    steps: Vec<Step>,
    next_step: usize,
}

impl World {
    /// A world as the plan sets it up, with nothing running yet, and what is to go wrong in it.
    pub fn new(setup: &Setup, steps: &[Step], trace: Trace) -> Self {
        let settings = setup.settings.clone();
        let mut machines = Vec::new();
        for (n, name) in settings.nodes.iter().enumerate() {
            let clock = Clock::new(0, S + n as u64 * 77 * MS, setup.ppm[n]);
            let own = Settings { me: name.clone(), ..settings.clone() };
            machines.push(Machine::new(own, clock, setup.disk_time, setup.op_time));
            machines[n].fence_time = setup.fence_time;
        }
        let mut world = Self {
            now: S,
            machines,
            wire: Wire::new(settings.nodes.len(), settings.links.len(), setup.strong),
            catalog: Vec::new(),
            setup: setup.clone(),
            calm: false,
            settled: false,
            agents_good: true,
            witness: Witness::new(S, settings.nodes.len(), setup.witness_ppm, setup.witness_delay),
            fencing: 0,
            fences_ordered: false,
            violation: None,
            trace,
            moves: 0,
            announced: Vec::new(),
            events: 0,
            queue: BinaryHeap::new(),
            count: 0,
            dice: Dice::new(setup.seed, 2),
            wire_dice: Dice::new(setup.seed, 3),
            notes: Some(Box::new(Notes::new(settings.nodes.len(), settings.groups.len()))),
            boots: 0,
            commands: 0,
            steps: steps.to_vec(),
            next_step: 0,
            settings,
        };
        world.note_resources();
        for (n, after) in setup.first.iter().enumerate() {
            world.at(*after, Happening::Boot { node: n, life: 0 });
        }
        world
    }

    /// Takes new resources of the configuration into the catalog.
    pub(crate) fn note_resources(&mut self) {
        for (g, group) in self.settings.groups.iter().enumerate() {
            for resource in &group.resources {
                let key = resource.key.0 as usize;
                while self.catalog.len() <= key {
                    self.catalog.push(Known { name: String::new(), address: false, group: g });
                }
                self.catalog[key] =
                    Known { name: resource.name.clone(), address: resource.address, group: g };
            }
        }
        for machine in &mut self.machines {
            machine.real.resize_with(self.catalog.len(), Real::default);
        }
    }

    /// Lets something happen after some time.
    pub fn at(&mut self, after: u64, what: Happening) {
        self.count += 1;
        self.queue.push(Reverse(Due { at: self.now.saturating_add(after), count: self.count, what }));
    }

    /// Lets time pass; ends early if something is violated.
    pub fn run_for(&mut self, time: u64) {
        let end = self.now + time;
        while self.violation.is_none() && self.step(end) {}
        if self.violation.is_none() {
            self.now = end;
        }
    }

    /// Lets time pass until something holds, looking each `pause`; false if it does not hold within `most`.
    pub fn run_until(&mut self, most: u64, pause: u64, mut holds: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + most;
        loop {
            if self.violation.is_some() {
                return false;
            }
            if holds(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            self.run_for(pause.min(end - self.now));
        }
    }

    fn step(&mut self, end: u64) -> bool {
        let step = self.steps.get(self.next_step).map_or(NEVER, |step| step.at);
        let queue = self.queue.peek().map_or(NEVER, |due| due.0.at);
        let (mut wake, mut waker, mut lease, mut leaser) = (NEVER, 0, NEVER, 0);
        let (mut bite, mut bitten) = (NEVER, 0);
        for (n, machine) in self.machines.iter().enumerate() {
            if machine.awake() && machine.wake < wake {
                (wake, waker) = (machine.wake, n);
            }
            if machine.next_lease < lease {
                (lease, leaser) = (machine.next_lease, n);
            }
            if machine.bites < bite {
                (bite, bitten) = (machine.bites, n);
            }
        }
        let next = step.min(queue).min(wake).min(lease).min(bite);
        if next > end || next == NEVER {
            return false;
        }
        self.now = self.now.max(next);
        if step == next {
            let Step { node, fault, .. } = self.steps[self.next_step].clone();
            self.next_step += 1;
            fault::apply(self, node, &fault);
        } else if queue == next {
            if let Some(Reverse(due)) = self.queue.pop() {
                self.happen(due.what);
            }
        } else if bite == next {
            self.watchdog_bites(bitten);
        } else if lease == next {
            self.end_leases(leaser);
        } else {
            self.tick(waker);
        }
        self.sight(&Sight::Moment);
        true
    }

    fn tick(&mut self, n: usize) {
        self.feed(n, machine::Item::Input(cluster::Input::Tick));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrives { to, link, packet } => {
                self.feed(to, machine::Item::Packet(link, packet, false))
            }
            Happening::Ends { node, serial } => self.op_ends(node, serial),
            Happening::Written { node, life } => self.written(node, life),
            Happening::Fenced { by, life, id, target } => self.fence_ends(by, life, id, target),
            Happening::Asked(request) => self.witness_hears(request),
            Happening::Answered(answer) => self.witness_answers(answer),
            Happening::Boot { node, life } => {
                if self.machines[node].life == life {
                    self.boot(node);
                }
            }
            Happening::Thaw { node, freezes } => {
                if self.machines[node].freezes == freezes {
                    self.thaw(node);
                }
            }
            Happening::Look { node, freezes } => {
                if self.machines[node].freezes == freezes {
                    self.look(node);
                }
            }
            Happening::Reload { node } => self.reload(node),
            // Calm has ended every fault already.
            Happening::Undo(_) if self.calm => {}
            Happening::Undo(undo) => self.undo(undo),
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Cut(from, to, link) => {
                self.wire.mend(from, to, link);
                self.say(to, || format!("hears {} again on link {link}", (b'a' + from as u8) as char));
            }
            Undo::Noise => {
                self.wire.noises = self.wire.noises.saturating_sub(1);
                if self.wire.noises == 0 {
                    self.wire.noise = wire::Noise::default();
                }
            }
            Undo::Mood(node, key) => self.set_mood(node, key, Mood::Good),
            Undo::Disk(node) => {
                let disk = &mut self.machines[node].disk;
                (disk.fails, disk.time) = (false, self.setup.disk_time);
                self.say(node, || "its disk is well".to_owned());
            }
            Undo::Device(node) => self.mend_device(node),
            Undo::WitnessDown => self.end_witness_fault(0),
            Undo::WitnessPaused => self.end_witness_fault(1),
            Undo::WitnessSlow => self.end_witness_fault(2),
            Undo::WitnessCut(node) => self.witness.cut[node] = false,
            Undo::WitnessMute(node) => self.witness.mute[node] = false,
            Undo::Link(node) => self.mend_link(node),
            Undo::Pace(node) => self.machines[node].op_time = self.setup.op_time,
        }
    }

    /// No fault any more: what is cut is mended, what fails is good, what is stopped goes on. Daemons that do not run are
    /// started; what an agent lied of is as it said.
    pub fn calm_down(&mut self) {
        self.calm = true;
        self.next_step = self.steps.len();
        self.wire.calm();
        self.say(0, || "==== all faults end ====".to_owned());
        self.calm_witness();
        for n in 0..self.machines.len() {
            let (disk_time, op_time) = (self.setup.disk_time, self.setup.op_time);
            let machine = &mut self.machines[n];
            machine.disk.fails = false;
            machine.disk.time = disk_time;
            machine.op_time = op_time;
            machine.crash = None;
            machine.cut_off = 0;
            machine.leaving = 0;
            (machine.device, machine.fence_time) = (Device::Works, self.setup.fence_time);
            for real in &mut machine.real {
                real.mood = Mood::Good;
                if real.lied && real.told != real.on {
                    real.on = !real.on;
                    // What comes into being by that may be there twice; its core must find out.
                    real.lied = real.on;
                    if !real.on {
                        real.lease = None;
                    }
                }
            }
            machine.note_leases();
            self.thaw(n);
            if self.machines[n].core.is_none() {
                self.boot(n);
            }
            self.reload(n);
            self.tell_ground(n);
            self.feed(n, machine::Item::Input(cluster::Input::Pings { seen: 2, total: 2 }));
        }
        self.sight(&Sight::Calm);
    }

    /// One fault of the witness ends; the last of its kind mends it.
    fn end_witness_fault(&mut self, kind: usize) {
        let faults = &mut self.witness.faults[kind];
        *faults = faults.saturating_sub(1);
        match (*faults, kind) {
            (0, 0) => self.witness_starts(),
            (0, 1) => self.witness_goes_on(),
            (0, _) => self.witness.delay = self.setup.witness_delay,
            _ => {}
        }
    }

    fn mend_device(&mut self, node: usize) {
        (self.machines[node].device, self.machines[node].fence_time) = (Device::Works, self.setup.fence_time);
    }

    /// Commands that have not come to their end.
    pub fn open_commands(&self) -> usize {
        self.notes.as_ref().map_or(0, |notes| notes.open_commands())
    }

    /// Shows the checkers something.
    pub fn sight(&mut self, sight: &Sight) {
        let Some(mut notes) = self.notes.take() else { return };
        if let Some((name, what)) = notes.look(self, sight) {
            self.blame(name, what);
        }
        self.notes = Some(notes);
    }

    /// Something does not hold.
    pub fn blame(&mut self, name: &'static str, what: String) {
        let at = self.now;
        if self.trace.on() {
            self.trace.line(at, "**", &format!("{name}: {what}"));
        }
        self.violation.get_or_insert(Violation { name, what, at });
    }
}
