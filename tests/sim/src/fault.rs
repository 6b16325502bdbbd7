//! Everything that goes wrong, in one table. A new fault is a variant, a row, and what it does.

use cluster::{Command, Input, ResourceKey};

use crate::dice::Dice;
use crate::plan::{Setup, resource};
use crate::world::clock::{MS, NEVER, S};
use crate::world::fence::Device;
use crate::world::machine::{CrashPoint, Item, Mood};
use crate::world::wire::{Noise, Packet, spoil_of};
use crate::world::{Happening, Undo, World};

/// A fault at a time, on a machine.
#[derive(Clone, Debug)]
pub struct Step {
    /// True time.
    pub at: u64,
    /// Where.
    pub node: usize,
    /// What.
    pub fault: Fault,
}

/// What goes wrong (or is ordered at a bad moment).
#[derive(Clone, Debug)]
pub enum Fault {
    /// The machine loses power; its daemon is back after some time.
    Power {
        /// After how long.
        back: u64,
    },
    /// The daemon is killed and started again later.
    Kill {
        /// After how long.
        back: u64,
    },
    /// The daemon dies between two actions that its core returned.
    Crash(CrashPoint),
    /// The process is stopped for a time.
    Freeze {
        /// For how long.
        time: u64,
    },
    /// This node does not hear another one any more, on one link.
    Cut {
        /// Not heard.
        from: usize,
        /// On which link.
        link: usize,
        /// For how long.
        time: u64,
    },
    /// Nobody hears anybody, or one does not hear the other on any link.
    CutAll {
        /// Only this node is deaf.
        one_way: bool,
        /// For how long.
        time: u64,
    },
    /// The wires lose, copy, spoil, delay.
    Noise {
        /// How much.
        noise: Noise,
        /// For how long.
        time: u64,
    },
    /// An agent goes bad.
    Mood {
        /// Of which resource, counted over the configuration as it is then.
        which: u64,
        /// How bad.
        mood: Mood,
        /// For how long.
        time: u64,
    },
    /// A service that is looked after dies by itself.
    Dies {
        /// Which resource, as above.
        which: u64,
    },
    /// The disk becomes slow.
    DiskSlow {
        /// A write takes so long.
        write: u64,
        /// For how long.
        time: u64,
    },
    /// The disk takes nothing.
    DiskFails {
        /// For how long.
        time: u64,
    },
    /// The state on disk is lost.
    StateLost,
    /// An operator's command.
    Order(Order),
    /// Both nodes are told something before either hears of the other's.
    Orders(Order, Order),
    /// The daemon is asked to leave in order, and started again later.
    Leave {
        /// After how long.
        back: u64,
    },
    /// The configuration changes; each node learns of it in its own time.
    Change {
        /// Which group, of those there are.
        group: u64,
        /// Which resource goes; one is added if there is none to spare.
        drop: Option<u64>,
        /// What is added is an address.
        address: bool,
        /// Time between the nodes.
        lag: u64,
    },
    /// The operator does what the status asks: says of a machine that it is down, if it really is.
    FenceAck,
    /// A fence device fails, or goes mute.
    Device {
        /// How it answers.
        device: Device,
        /// After how long.
        takes: u64,
        /// For how long.
        time: u64,
    },
    /// Agents become slow.
    Pace {
        /// Each takes so long.
        op: u64,
        /// For how long.
        time: u64,
    },
    /// An attacker replays what was once said, spoils it, or speaks for another cluster.
    Forge {
        /// Chance for all of its choices.
        chance: u64,
        /// How many datagrams.
        count: u64,
    },
    /// The wall clock jumps: all that reaches the core is that the failback window opens or closes.
    WallJump {
        /// The window is open then.
        open: bool,
    },
    /// Somebody removes an address by hand.
    Steal {
        /// Of which resource, as above.
        which: u64,
    },
    /// Somebody sets an address by hand.
    Stray {
        /// Of which resource, as above.
        which: u64,
    },
    /// The interface of the addresses carries nothing for a time.
    Link {
        /// For how long.
        time: u64,
    },
    /// An operator looks at the status.
    Look,
    /// Something is wrong with the witness.
    Witness {
        /// What.
        fault: WitnessFault,
        /// For how long.
        time: u64,
    },
    /// Outside points answer or do not.
    Pings {
        /// So many do, of two.
        seen: u8,
    },
}

/// What may be wrong with the witness, or the way to it.
#[derive(Clone, Copy, Debug)]
pub enum WitnessFault {
    /// It is killed, and started again with its state.
    Down,
    /// It is stopped; what it is asked meanwhile it does when it goes on.
    Paused,
    /// It is slow.
    Slow,
    /// The requests of this node do not come through.
    Cut,
    /// The answers to this node do not come through.
    Mute,
    /// This node loses both the witness and the others.
    CutOff,
}

/// An operator's command, chosen by numbers so that it fits any configuration.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    kind: u64,
    node: u64,
    group: u64,
    flag: bool,
}

/// A row of the table.
pub struct Row {
    /// Its name, for the figures.
    pub name: &'static str,
    /// How often, beside the others.
    pub weight: u64,
    /// One of its kind.
    pub make: fn(&mut Dice, &Setup) -> Fault,
}

/// All faults.
pub const TABLE: &[Row] = &[
    Row { name: "power", weight: 3, make: |dice, _| Fault::Power { back: back(dice) } },
    Row { name: "kill", weight: 4, make: |dice, _| Fault::Kill { back: back(dice) } },
    Row { name: "crash", weight: 8, make: crash },
    Row { name: "freeze", weight: 5, make: |dice, _| Fault::Freeze { time: dice.span(6 * S) } },
    Row { name: "cut", weight: 3, make: cut },
    Row { name: "cut all", weight: 5, make: cut_all },
    Row { name: "noise", weight: 3, make: noise },
    Row { name: "mood", weight: 5, make: mood },
    Row { name: "dies", weight: 5, make: |dice, _| Fault::Dies { which: dice.below(64) } },
    Row { name: "disk slow", weight: 3, make: disk_slow },
    Row { name: "disk fails", weight: 2, make: |dice, _| Fault::DiskFails { time: dice.span(5 * S) } },
    Row { name: "state lost", weight: 1, make: |_, _| Fault::StateLost },
    Row { name: "order", weight: 14, make: |dice, _| Fault::Order(order(dice)) },
    Row { name: "orders", weight: 4, make: |dice, _| Fault::Orders(order(dice), order(dice)) },
    Row { name: "leave", weight: 3, make: |dice, _| Fault::Leave { back: back(dice) } },
    Row { name: "change", weight: 3, make: change },
    Row { name: "fence ack", weight: 3, make: |_, _| Fault::FenceAck },
    Row { name: "device", weight: 3, make: device },
    Row { name: "pace", weight: 3, make: pace },
    Row {
        name: "forge",
        weight: 3,
        make: |dice, _| Fault::Forge { chance: dice.next(), count: 1 + dice.below(4) },
    },
    Row { name: "wall jump", weight: 1, make: |dice, _| Fault::WallJump { open: dice.one_in(2) } },
    Row { name: "steal", weight: 1, make: |dice, _| Fault::Steal { which: dice.below(64) } },
    Row { name: "stray", weight: 2, make: |dice, _| Fault::Stray { which: dice.below(64) } },
    Row { name: "link", weight: 4, make: |dice, _| Fault::Link { time: dice.span(6 * S) } },
    Row { name: "look", weight: 3, make: |_, _| Fault::Look },
    Row { name: "pings", weight: 1, make: |dice, _| Fault::Pings { seen: dice.below(3) as u8 } },
];

/// Faults of the witness; they come on top of the others where there is one.
pub const WITNESS_TABLE: &[(&str, WitnessFault)] = &[
    ("witness down", WitnessFault::Down),
    ("witness paused", WitnessFault::Paused),
    ("witness slow", WitnessFault::Slow),
    ("witness cut", WitnessFault::Cut),
    ("witness mute", WitnessFault::Mute),
    ("cut off", WitnessFault::CutOff),
];

/// Any fault of the witness, at this time.
pub fn of_witness(dice: &mut Dice, setup: &Setup, at: u64) -> Step {
    let (_, fault) = WITNESS_TABLE[dice.index(WITNESS_TABLE.len())];
    let fault = Fault::Witness { fault, time: dice.span(12 * S) };
    Step { at, node: dice.index(setup.settings.nodes.len()), fault }
}

/// Any fault, at this time.
pub fn any(dice: &mut Dice, setup: &Setup, at: u64) -> Step {
    let total = TABLE.iter().map(|row| row.weight).sum();
    let mut chance = dice.below(total);
    let row = TABLE.iter().find(|row| {
        let here = chance < row.weight;
        chance = chance.saturating_sub(row.weight);
        here
    });
    let make = row.map_or(TABLE[0].make, |row| row.make);
    Step { at, node: dice.index(setup.settings.nodes.len()), fault: make(dice, setup) }
}

fn back(dice: &mut Dice) -> u64 {
    match dice.below(5) {
        0 => 0,
        1 => dice.below(100 * MS),
        2 | 3 => dice.below(6 * S),
        _ => NEVER,
    }
}

fn crash(dice: &mut Dice, _: &Setup) -> Fault {
    Fault::Crash(CrashPoint { after: dice.below(24) as u32, power: dice.one_in(2), back: back(dice) })
}

fn cut(dice: &mut Dice, setup: &Setup) -> Fault {
    let (nodes, links) = (setup.settings.nodes.len(), setup.settings.links.len());
    Fault::Cut { from: dice.index(nodes), link: dice.index(links), time: dice.span(8 * S) }
}

fn cut_all(dice: &mut Dice, _: &Setup) -> Fault {
    Fault::CutAll { one_way: dice.one_in(3), time: dice.span(6 * S) }
}

fn noise(dice: &mut Dice, _: &Setup) -> Fault {
    let noise = Noise {
        lost: dice.pick(&[0, 100, 300, 600]),
        twice: dice.pick(&[0, 0, 200]),
        spoiled: dice.pick(&[0, 0, 50]),
        jitter: dice.pick(&[0, MS, 10 * MS, 60 * MS]),
    };
    Fault::Noise { noise, time: dice.span(10 * S) }
}

fn mood(dice: &mut Dice, _: &Setup) -> Fault {
    let mood = dice.pick(&[
        Mood::FailsStart,
        Mood::FailsStart,
        Mood::FailsStop,
        Mood::FailsStop,
        Mood::Hangs,
        Mood::Hangs,
        Mood::Lies,
    ]);
    Fault::Mood { which: dice.below(64), mood, time: dice.span(9 * S) }
}

fn disk_slow(dice: &mut Dice, _: &Setup) -> Fault {
    Fault::DiskSlow { write: dice.pick(&[30, 400, 1500]) * MS, time: dice.span(6 * S) }
}

fn change(dice: &mut Dice, _: &Setup) -> Fault {
    let drop = dice.one_in(2).then(|| dice.below(8));
    Fault::Change { group: dice.below(8), drop, address: dice.one_in(2), lag: dice.span(3 * S) }
}

fn device(dice: &mut Dice, _: &Setup) -> Fault {
    let device = dice.pick(&[Device::Works, Device::Fails, Device::Mute]);
    Fault::Device { device, takes: dice.pick(&[10, 500, 4000]) * MS, time: dice.span(8 * S) }
}

fn pace(dice: &mut Dice, _: &Setup) -> Fault {
    Fault::Pace { op: dice.pick(&[20, 150, 700]) * MS, time: dice.span(6 * S) }
}

fn order(dice: &mut Dice) -> Order {
    Order { kind: dice.below(13), node: dice.below(60), group: dice.below(12), flag: dice.one_in(3) }
}

impl Order {
    /// The command, in a configuration.
    fn command(self, world: &World) -> Command {
        let nodes = &world.settings.nodes;
        let node = nodes.get(self.node as usize % (nodes.len() + 1)).cloned();
        // One group too many: there is none of that name.
        let group = format!("g{}", self.group as usize % (world.settings.groups.len() + 1));
        let some = if self.group >= 6 { Vec::new() } else { vec![group.clone()] };
        match self.kind {
            0 | 1 => Command::Standby { node, force: self.flag },
            2 | 3 => Command::Online { node },
            4..=6 => Command::Move { group, to: node },
            7 => Command::Takeover { groups: some },
            8 => Command::Failback { groups: some },
            9 => Command::Maintenance { on: self.flag },
            12 => Command::Fence { node: node.unwrap_or_else(|| "nobody".to_owned()) },
            _ => Command::Cleanup { group: some.first().cloned() },
        }
    }
}

/// The resource that a number means in the configuration as it is now.
fn resource_of(world: &World, which: u64) -> ResourceKey {
    let all: Vec<ResourceKey> = world
        .settings
        .groups
        .iter()
        .flat_map(|group| &group.resources)
        .map(|resource| resource.key)
        .collect();
    all[which as usize % all.len()]
}

/// Lets it go wrong.
pub fn apply(world: &mut World, n: usize, fault: &Fault) {
    world.say(n, || format!("-- {fault:?}"));
    match fault {
        Fault::Power { back } => {
            world.power_off(n);
            world.back(n, *back);
        }
        Fault::Kill { back } => {
            world.kill(n);
            world.back(n, *back);
        }
        Fault::Crash(point) => {
            if world.machines[n].core.is_some() {
                world.machines[n].crash = Some(*point);
            }
        }
        Fault::Freeze { time } => {
            world.freeze(n);
            let freezes = world.machines[n].freezes;
            world.at(*time, Happening::Thaw { node: n, freezes });
        }
        Fault::Cut { from, link, time } => {
            cut_one(world, *from, n, *link, *time);
        }
        Fault::CutAll { one_way, time } => cut_everything(world, n, *one_way, *time),
        Fault::Noise { noise, time } => {
            world.wire.noise = *noise;
            world.wire.noises += 1;
            world.at(*time, Happening::Undo(Undo::Noise));
        }
        Fault::Mood { which, mood, time } => {
            let key = resource_of(world, *which);
            // An address does not hang, and the kernel does not lie.
            let kernel = world.is_address(key) && matches!(mood, Mood::Hangs | Mood::Lies);
            world.set_mood(n, key, if kernel { Mood::FailsStop } else { *mood });
            world.at(*time, Happening::Undo(Undo::Mood(n, key)));
        }
        Fault::Dies { which } => {
            // Nobody would ever know of another.
            let key = resource_of(world, *which);
            let mut all = world.settings.groups.iter().flat_map(|group| &group.resources);
            if all.any(|resource| resource.key == key && resource.monitor.is_some()) {
                world.dies(n, key);
            }
        }
        Fault::DiskSlow { write, time } => {
            let disk = &mut world.machines[n].disk;
            disk.time = *write;
            disk.slowest = disk.slowest.max(*write);
            if *write >= S {
                // It is not waited for that long.
                world.disk_trouble(n);
            }
            world.at(*time, Happening::Undo(Undo::Disk(n)));
        }
        Fault::DiskFails { time } => {
            world.machines[n].disk.fails = true;
            world.disk_trouble(n);
            world.at(*time, Happening::Undo(Undo::Disk(n)));
        }
        Fault::StateLost => world.lose_state(n),
        Fault::Order(order) => {
            let command = order.command(world);
            world.command(n, command);
        }
        Fault::Orders(one, two) => {
            let (first, second) = (one.command(world), two.command(world));
            world.command(n, first);
            world.command((n + 1) % world.machines.len(), second);
        }
        Fault::Leave { back } => {
            world.say(n, || "is asked to leave".to_owned());
            world.leave(n, *back);
        }
        Fault::Change { group, drop, address, lag } => change_groups(world, n, *group, *drop, *address, *lag),
        Fault::FenceAck => world.fence_acks(),
        Fault::Device { device, takes, time } => {
            (world.machines[n].device, world.machines[n].fence_time) = (*device, *takes);
            world.at(*time, Happening::Undo(Undo::Device(n)));
        }
        Fault::Pace { op, time } => {
            world.machines[n].op_time = *op;
            world.at(*time, Happening::Undo(Undo::Pace(n)));
        }
        Fault::Forge { chance, count } => forge(world, n, *chance, *count),
        Fault::WallJump { open } => world.feed(n, Item::Input(Input::FailbackWindow { open: *open })),
        Fault::Steal { which } => {
            let key = resource_of(world, *which);
            if world.is_address(key) {
                world.steal(n, key);
            }
        }
        Fault::Stray { which } => {
            let key = resource_of(world, *which);
            if world.is_address(key) {
                world.stray(n, key);
            }
        }
        Fault::Link { time } => {
            world.cut_link(n);
            world.at(*time, Happening::Undo(Undo::Link(n)));
        }
        Fault::Look => world.look(n),
        Fault::Witness { fault, time } => witness_fault(world, n, *fault, *time),
        Fault::Pings { seen } => world.feed(n, Item::Input(Input::Pings { seen: *seen, total: 2 })),
    }
}

fn witness_fault(world: &mut World, n: usize, fault: WitnessFault, time: u64) {
    let undo = match fault {
        WitnessFault::Down => {
            world.witness.faults[0] += 1;
            world.witness_ends();
            Undo::WitnessDown
        }
        WitnessFault::Paused => {
            world.witness.faults[1] += 1;
            world.witness.paused = true;
            Undo::WitnessPaused
        }
        WitnessFault::Slow => {
            world.witness.faults[2] += 1;
            let patience = world.settings.witness.map_or(0, |witness| witness.patience().as_nanos() as u64);
            world.witness.delay = patience * (1 + time % 4) / 4;
            Undo::WitnessSlow
        }
        WitnessFault::CutOff => {
            cut_everything(world, n, time.is_multiple_of(3), time);
            world.witness.cut[n] = true;
            Undo::WitnessCut(n)
        }
        WitnessFault::Cut => {
            world.witness.cut[n] = true;
            Undo::WitnessCut(n)
        }
        WitnessFault::Mute => {
            world.witness.mute[n] = true;
            Undo::WitnessMute(n)
        }
    };
    world.at(time, Happening::Undo(undo));
}

fn cut_one(world: &mut World, from: usize, to: usize, link: usize, time: u64) {
    world.wire.cut(from, to, link);
    world.at(time, Happening::Undo(Undo::Cut(from, to, link)));
}

fn cut_everything(world: &mut World, n: usize, one_way: bool, time: u64) {
    for other in (0..world.machines.len()).filter(|&other| other != n) {
        for link in 0..world.wire.links {
            cut_one(world, other, n, link, time);
            if !one_way {
                cut_one(world, n, other, link, time);
            }
        }
    }
}

fn change_groups(world: &mut World, n: usize, group: u64, drop: Option<u64>, address: bool, lag: u64) {
    let g = group as usize % world.settings.groups.len();
    let resources = &mut world.settings.groups[g].resources;
    match drop {
        Some(which) if resources.len() > 1 => drop_one(resources, which),
        _ => {
            let key = world.setup.next_key;
            world.setup.next_key += 1;
            resources.push(resource(key, address));
        }
    }
    world.note_resources();
    for node in 0..world.machines.len() {
        world.at(if node == n { 0 } else { lag }, Happening::Reload { node });
    }
}

fn drop_one(resources: &mut Vec<cluster::ResourceSettings>, which: u64) {
    let at = which as usize % resources.len();
    resources.remove(at);
}

/// Datagrams that nobody sent, or sent long ago.
pub fn forge(world: &mut World, n: usize, chance: u64, count: u64) {
    let mut dice = Dice::new(chance, 6);
    for _ in 0..count {
        if world.wire.kept.is_empty() {
            return;
        }
        let old = world.wire.kept[dice.index(world.wire.kept.len())].clone();
        let link = dice.index(world.wire.links);
        let packet = match dice.below(5) {
            // Recorded earlier: of this life, of an earlier one, or the node's own.
            0..=2 => Packet { forged: true, ..(*old).clone() },
            3 => spoil_of(&old, dice.next()),
            _ => {
                let mut bytes = old.bytes.clone();
                bytes[5] ^= 0x40;
                Packet { bytes, forged: true, message: None, ..(*old).clone() }
            }
        };
        world.say(n, || format!("is sent a forged datagram of {} bytes", packet.bytes.len()));
        world.feed(n, Item::Packet(link, packet.into(), false));
    }
}
