//! A machine: its power, its clock, its disk, its daemon, and what really runs on it.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use cluster::{Core, Durable, Input, Run, Settings, Time, WitnessId};

use super::clock::{Clock, NEVER};
use super::fence::Device;
use super::wire::Packet;

/// How an agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is asked and says so.
    Good,
    /// Starts fail.
    FailsStart,
    /// Stops fail.
    FailsStop,
    /// It hangs until it is killed at its timeout.
    Hangs,
    /// It says the contrary of what is true.
    Lies,
}

/// What really is of one resource on one machine.
#[derive(Clone, Debug)]
pub struct Real {
    /// It runs.
    pub on: bool,
    /// Of an address that is leased: when the kernel takes it away, by the machine's clock.
    pub lease: Option<Time>,
    /// An address that the present life of the daemon set or found, and renews.
    pub held: bool,
    /// How its agent behaves.
    pub mood: Mood,
    /// Its agent lied of it, so the core cannot know.
    pub lied: bool,
    /// What the core was last told of it.
    pub told: bool,
    /// It died by itself, and nobody has looked since.
    pub died: bool,
    /// An address that somebody has set by hand: since when, by true time.
    pub stray: Option<u64>,
}

impl Default for Real {
    fn default() -> Self {
        Self {
            on: false,
            lease: None,
            held: false,
            mood: Mood::Good,
            lied: false,
            told: false,
            died: false,
            stray: None,
        }
    }
}

/// An operation under way.
#[derive(Clone, Debug)]
pub struct Op {
    /// Unique in the world.
    pub serial: u64,
    /// What the core asked for.
    pub run: Run,
    /// Since when.
    pub begun: u64,
    /// The daemon that began it is gone.
    pub orphan: bool,
}

/// A state on its way to the disk.
#[derive(Clone, Debug)]
pub struct Write {
    /// The core's number.
    pub serial: u64,
    /// What.
    pub state: Durable,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What a restart finds.
    pub state: Durable,
    /// Asked for and not answered; the first is being written.
    pub writes: VecDeque<Write>,
    /// Writes end with an error.
    pub fails: bool,
    /// The time a write takes.
    pub time: u64,
    /// The longest it ever took.
    pub slowest: u64,
}

/// How the daemon is to end between two actions.
#[derive(Clone, Copy, Debug)]
pub struct CrashPoint {
    /// Actions still carried out before it.
    pub after: u32,
    /// The whole machine loses power.
    pub power: bool,
    /// Back after so long.
    pub back: u64,
}

/// The newest that was heard of a peer in the present life.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newest {
    /// The incarnation of the peer.
    pub incarnation: u64,
    /// The life of the peer.
    pub boot: u64,
    /// The sequence.
    pub sequence: u64,
    /// When, by the own clock.
    pub at: Time,
}

/// What waits to be given to the core.
#[derive(Clone, Debug)]
pub enum Item {
    /// A datagram on a link; whether it waited while the process was stopped.
    Packet(usize, Rc<Packet>, bool),
    /// Anything else.
    Input(Input),
}

/// A machine.
pub struct Machine {
    /// The node's name.
    pub name: String,
    /// The daemon, if it runs.
    pub core: Option<Core>,
    /// Counts starts and ends of the daemon.
    pub life: u32,
    /// The nonce of the present life.
    pub boot: u64,
    /// When it began.
    pub born: u64,
    /// Without power.
    pub off: bool,
    /// Its clock.
    pub clock: Clock,
    /// The configuration the daemon was last given.
    pub settings: Settings,
    /// The disk.
    pub disk: Disk,
    /// What really is, by resource key.
    pub real: Vec<Real>,
    /// The process is stopped, since then.
    pub frozen: Option<u64>,
    /// Counts stops of the process, so that only the right one is ended.
    pub freezes: u32,
    /// What came in while it was stopped.
    pub backlog: VecDeque<Item>,
    /// Address operations that the stopped process has still to carry out.
    pub stalled: Vec<u64>,
    /// Not handled yet; the core is never entered twice.
    pub inbox: VecDeque<Item>,
    /// Inside the core.
    pub busy: bool,
    /// Operations under way.
    pub ops: Vec<Op>,
    /// Where it is to crash.
    pub crash: Option<CrashPoint>,
    /// Of each node, what was heard last.
    pub heard: Vec<Newest>,
    /// A daemon that has left in order is back after so long.
    pub leaving: u64,
    /// True time of the core's deadline.
    pub wake: u64,
    /// True time at which the kernel takes the next address away.
    pub next_lease: u64,
    /// Since when its daemon is gone or stopped.
    pub silent_since: u64,
    /// When its daemon ended or was stopped no peer was live for it, or maintenance was on, so its addresses have no lease.
    pub unleased: bool,
    /// How long an agent takes.
    pub op_time: u64,
    /// Faults that take the carrier from the interface of its addresses.
    pub cut_off: u32,
    /// How its fence device answers.
    pub device: Device,
    /// And how long it takes.
    pub fence_time: u64,
    /// The lease on the witness that the present life knows of.
    pub lease: Option<u64>,
    /// What it has asked the witness and has no answer to.
    pub asks: BTreeSet<WitnessId>,
    /// When its watchdog resets it, if it is not petted before.
    pub bites: u64,
    /// Inputs at one instant, to find a busy loop.
    pub ticks: (u64, u32),
}

impl Machine {
    /// A machine without power.
    pub fn new(settings: Settings, clock: Clock, disk_time: u64, op_time: u64) -> Self {
        let heard = vec![Newest::default(); settings.nodes.len()];
        Self {
            name: settings.me.clone(),
            core: None,
            life: 0,
            boot: 0,
            born: 0,
            off: true,
            clock,
            settings,
            disk: Disk { time: disk_time, slowest: disk_time, ..Disk::default() },
            real: Vec::new(),
            frozen: None,
            freezes: 0,
            backlog: VecDeque::new(),
            stalled: Vec::new(),
            inbox: VecDeque::new(),
            busy: false,
            ops: Vec::new(),
            crash: None,
            heard,
            leaving: NEVER,
            wake: NEVER,
            next_lease: NEVER,
            silent_since: 0,
            unleased: false,
            op_time,
            cut_off: 0,
            device: Device::Works,
            fence_time: 0,
            lease: None,
            asks: BTreeSet::new(),
            bites: NEVER,
            ticks: (0, 0),
        }
    }

    /// The daemon runs and is scheduled.
    pub fn awake(&self) -> bool {
        self.core.is_some() && self.frozen.is_none()
    }

    /// Looks afresh when the kernel takes the next address away.
    pub fn note_leases(&mut self) {
        let first = self.real.iter().filter_map(|real| real.lease).min();
        self.next_lease = first.map_or(NEVER, |at| self.clock.when(at));
    }
}
