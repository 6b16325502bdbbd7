//! A pair of cores on a virtual clock: a small world with links that can be cut, disks, a kernel that takes
//! leased addresses away, agents that do as they are told, and a record of what happened.

mod drive;
mod look;
mod machine;
#[path = "../../../../tests/sim/src/world/store.rs"]
pub mod store;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cluster::*;

pub const DELAY: Duration = Duration::from_micros(200);
/// How long the kernel keeps a leased address: `floor(deadtime) + 1` seconds.
pub const LEASE: Duration = Duration::from_secs(2);
/// Datagrams a socket of a frozen process keeps; later ones are lost.
const BACKLOG: usize = 200;
/// More ticks than this at one instant are a busy loop.
const TICKS: u32 = 100;

/// How an agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    FailsStart,
    FailsStop,
    Hangs,
    HangsWhenLookedAt,
    /// Starts and looks fail, and will on this node.
    Hopeless,
    /// Starts and looks fail, and will on any node.
    Misconfigured,
}

/// How the fence devices of a node answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// It switches the node off and says so.
    Works,
    /// It does nothing and says that it failed.
    Fails,
    /// It switches the node off and says that it failed.
    WorksUnsaid,
    /// It does nothing and says that it did.
    Lies,
}

/// What happens at a point in time.
#[derive(Clone, Debug)]
enum Happening {
    Arrives { node: usize, link: usize, bytes: Vec<u8> },
    Ends { node: usize, begun: Time, run: Run },
    Written { node: usize, serial: u64, state: Durable },
    Fenced { by: usize, life: u32, id: FenceId, target: usize },
    Asked { node: usize, life: u32, id: WitnessId, ask: WitnessAsk, lease: Option<u64> },
    Answered { node: usize, life: u32, id: WitnessId, answer: WitnessAnswer, lease: Option<u64> },
    GivesUp { node: usize, life: u32, id: WitnessId },
    Bites { node: usize, pets: u64 },
}

impl Happening {
    /// The node whose process has this in its hands, if it is not on the wire.
    fn within(&self) -> Option<usize> {
        match self {
            Happening::Arrives { .. }
            | Happening::Fenced { .. }
            | Happening::Asked { .. }
            | Happening::Answered { .. }
            | Happening::GivesUp { .. }
            | Happening::Bites { .. } => None,
            Happening::Ends { node, .. } | Happening::Written { node, .. } => Some(*node),
        }
    }
}

/// A machine.
pub struct Node {
    pub name: String,
    pub core: Option<Core>,
    pub life: u32,
    /// The nonce of its present life.
    pub boot: u64,
    /// Without power since it was lost.
    pub off: bool,
    /// The groups as it was last told of them.
    pub groups: Vec<GroupSettings>,
    pub disk: Durable,
    pub disk_fails: bool,
    /// What runs here, by resource name.
    pub running: BTreeSet<String>,
    /// Addresses the kernel takes away by itself, and when.
    pub leases: BTreeMap<String, Time>,
    /// Addresses the daemon's present life has set or found, and keeps alive when told to.
    held: BTreeSet<String>,
    pub moods: BTreeMap<String, Mood>,
    /// Not scheduled; what comes in queues up.
    pub frozen: bool,
    /// What came in while frozen.
    backlog: VecDeque<Input>,
    /// Operations on addresses that the frozen process has still to carry out.
    stalled: Vec<(Time, Run)>,
    /// Inputs not handled yet; the core is never entered twice.
    inbox: VecDeque<Input>,
    busy: bool,
    ticks: (Time, u32),
    pub exited: bool,
    /// The lease on the witness that the present life knows of.
    lease: Option<u64>,
    /// What it has asked the witness and has no answer to.
    asks: BTreeSet<WitnessId>,
    /// How often the watchdog was petted; none while it is not armed.
    pets: u64,
    petted: Option<Time>,
}

/// The world.
pub struct World {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub settings: Settings,
    /// Every resource there ever was.
    catalog: BTreeMap<ResourceKey, ResourceSettings>,
    queue: BTreeMap<(Time, u64), Happening>,
    count: u64,
    /// (from, to, link) that lose everything.
    pub cut: BTreeSet<(usize, usize, usize)>,
    /// Only one datagram in so many arrives, if not 0; which, is the same in each run.
    pub keep_one_in: u64,
    sent: u64,
    dice: u64,
    pub log: Vec<String>,
    pub replies: BTreeMap<u64, Vec<Reply>>,
    pub op_time: Duration,
    /// Time a disk takes.
    pub fsync: Duration,
    /// Longest delay a datagram may have over its link's own, in microseconds.
    pub jitter: u64,
    /// What failed or was killed at its timeout may have done its work all the same.
    pub half_done: bool,
    /// How the device of each node answers.
    pub devices: BTreeMap<usize, Device>,
    /// Time a fencing takes.
    pub fence_time: Duration,
    next_command: u64,
    boots: u64,
    /// The witness.
    pub witness: witness::Witness,
    pub captured: Vec<Vec<u8>>,
    /// Instants at which each resource ran on more than one node.
    pub overlaps: Vec<(Time, String)>,
}

pub fn resource(key: u64, name: &str, address: bool) -> ResourceSettings {
    ResourceSettings {
        key: ResourceKey(key),
        name: name.to_owned(),
        address,
        follows: false,
        start_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(5),
        status_timeout: Duration::from_secs(5),
        parallel: false,
        monitor: None,
        restarts: 1,
        failure_window: Duration::from_secs(3600),
        on_fail: OnFail::Restart,
        on_stop_failure: OnStopFailure::Block,
    }
}

pub fn settings(me: &str) -> Settings {
    Settings {
        cluster: "test".to_owned(),
        me: me.to_owned(),
        nodes: vec!["a".to_owned(), "b".to_owned()],
        keepalive: Duration::from_millis(100),
        warntime: Duration::from_millis(500),
        deadtime: Duration::from_secs(1),
        initdead: Duration::from_secs(3),
        failback: Failback::Off,
        links: vec!["bcast:eth0".to_owned(), "bcast:eth1".to_owned()],
        config_digest: 7,
        config_parts: Vec::new(),
        lease_renew: Duration::from_millis(600),
        fences: Vec::new(),
        witness: None,
        groups: vec![GroupSettings {
            name: "g".to_owned(),
            preferred: Some("a".to_owned()),
            requires: Requires::Nothing,
            link_monitor: Some(Duration::from_millis(300)),
            after: Vec::new(),
            resources: vec![resource(1, "vip1", true), resource(2, "vip2", true), resource(3, "web", false)],
        }],
    }
}

/// The settings with a fence device for each node, for a group that requires it.
pub fn fenced_settings() -> Settings {
    let mut all = settings("a");
    all.groups[0].requires = Requires::Fencing;
    all.groups[0].resources.iter_mut().for_each(|r| r.on_stop_failure = OnStopFailure::Fence);
    let device = |node: &String| FenceSettings { node: node.clone(), delay: Duration::ZERO };
    all.fences = all.nodes.iter().map(device).collect();
    all
}

/// The settings with a witness, for a group that requires it, and a watchdog.
pub fn witnessed_settings() -> Settings {
    let mut all = settings("a");
    all.groups[0].requires = Requires::Witness;
    all.witness =
        Some(WitnessSettings { ttl: Duration::from_secs(3), watchdog: Some(Duration::from_millis(1200)) });
    all
}

pub fn keyring() -> proto::Keyring {
    proto::Keyring::parse("auth 1\n1 sha256 a-secret-for-tests\n").expect("good keys")
}

impl World {
    pub fn new() -> Self {
        Self::with(settings("a"))
    }

    pub fn with(settings: Settings) -> Self {
        let node = |name: &String| Node {
            name: name.clone(),
            core: None,
            life: 0,
            boot: 0,
            off: false,
            groups: Vec::new(),
            disk: Durable::default(),
            disk_fails: false,
            running: BTreeSet::new(),
            leases: BTreeMap::new(),
            held: BTreeSet::new(),
            moods: BTreeMap::new(),
            frozen: false,
            backlog: VecDeque::new(),
            stalled: Vec::new(),
            inbox: VecDeque::new(),
            busy: false,
            ticks: (Time(0), 0),
            exited: false,
            lease: None,
            asks: BTreeSet::new(),
            pets: 0,
            petted: None,
        };
        let mut world = Self {
            now: Time::from_millis(1000),
            nodes: settings.nodes.iter().map(node).collect(),
            settings,
            catalog: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            cut: BTreeSet::new(),
            keep_one_in: 0,
            sent: 0,
            dice: 0,
            log: Vec::new(),
            replies: BTreeMap::new(),
            op_time: Duration::from_millis(2),
            fsync: Duration::from_millis(1),
            jitter: 0,
            half_done: false,
            devices: BTreeMap::new(),
            fence_time: Duration::from_millis(300),
            next_command: 0,
            boots: 0,
            witness: witness::Witness::default(),
            captured: Vec::new(),
            overlaps: Vec::new(),
        };
        world.note_resources();
        world
    }

    /// A pair that has settled, with the group on a.
    pub fn settled() -> Self {
        Self::settled_with(settings("a"))
    }

    /// A pair of these settings that has settled, with the group g on a.
    pub fn settled_with(settings: Settings) -> Self {
        let mut world = Self::with(settings);
        world.boot(0);
        world.boot(1);
        world.run_until(5000, |w| w.owner("g") == Some(0));
        world.run(2000);
        world
    }

    /// The settings as node `n` has them.
    pub fn settings_of(&self, n: usize) -> Settings {
        Settings { me: self.nodes[n].name.clone(), ..self.settings.clone() }
    }

    fn note_resources(&mut self) {
        for resource in self.settings.groups.iter().flat_map(|g| &g.resources) {
            self.catalog.insert(resource.key, resource.clone());
        }
    }

    /// A throw of dice with so many sides; the same in each run.
    fn throw(&mut self, sides: u64) -> u64 {
        self.dice += 1;
        let mixed = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695) >> 33;
        mixed % sides
    }

    fn at(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), happening);
    }

    /// Lets `ms` milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        self.run_for(Duration::from_millis(ms));
    }

    /// Lets some time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something holds; panics with the record if it does not within `ms`.
    #[track_caller]
    pub fn run_until(&mut self, ms: u64, holds: impl Fn(&World) -> bool) {
        let end = self.now + Duration::from_millis(ms);
        while !holds(self) {
            if !self.step(end) {
                panic!("not within {ms} ms\n{}", self.timeline());
            }
        }
    }

    fn step(&mut self, end: Time) -> bool {
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        let lease = self.nodes.iter().flat_map(|node| node.leases.values());
        let lease = lease.min().copied();
        let tick = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.frozen)
            .filter_map(|(n, node)| Some((node.core.as_ref()?.deadline()?, n)))
            .min();
        let all = [event, lease, tick.map(|(at, _)| at)];
        let next = all.into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if event == Some(next) {
            if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening);
            }
        } else if lease == Some(next) {
            self.end_leases();
        } else if let Some((_, n)) = tick {
            self.tick(n);
        }
        true
    }

    fn tick(&mut self, n: usize) {
        let (at, count) = self.nodes[n].ticks;
        let count = if at == self.now { count + 1 } else { 1 };
        self.nodes[n].ticks = (self.now, count);
        assert!(count <= TICKS, "a busy loop\n{}", self.timeline());
        self.input(n, Input::Tick);
    }
}
