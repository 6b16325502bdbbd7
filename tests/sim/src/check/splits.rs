//! Who runs what at the same time.

use cluster::Requires;
use proto::{GroupId, GroupState};

use super::{Notes, Sight};
use crate::world::clock::{MS, S};
use crate::world::machine::Mood;
use crate::world::{LEASE, World};

/// An operation that takes longer than this is a slow one.
const SLOW: u64 = 100 * MS;
/// For so long after a daemon was gone or stopped something it left behind may be found.
const UNGUARDED: u64 = 20 * S;

/// What is remembered of it.
pub struct Splits {
    /// When there was last something that excuses two owners of a group that requires nothing.
    trouble: u64,
    /// There was something at the last look.
    excused: bool,
    /// When each group was last blocked somewhere.
    blocked: Vec<u64>,
    /// What each node last said of each group: blocked.
    says_blocked: Vec<Vec<bool>>,
    /// Nodes that say that maintenance is on.
    maintenance: Vec<bool>,
    /// Groups that run on more than one machine just now.
    doubled: Vec<bool>,
}

impl Splits {
    /// Nothing seen yet.
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self {
            trouble: 0,
            excused: false,
            blocked: vec![0; groups],
            says_blocked: vec![vec![false; groups]; nodes],
            maintenance: vec![false; nodes],
            doubled: vec![false; groups],
        }
    }
}

fn doubled(world: &World, group: usize) -> bool {
    (0..world.machines.len()).filter(|&n| world.runs_any(n, group)).count() > 1
}

/// S1: `requires = fencing` or `witness`: never two nodes with any resource of the group started, in true time.
///
/// What an agent lied of does not count: nobody can know it. With a witness it takes a watchdog on each machine.
pub fn s1_certain_groups_never_run_twice(_: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let Sight::Truth = sight else { return None };
    let mut groups = world.settings.groups.iter().enumerate();
    let (_, group) = groups.find(|(g, group)| {
        group.requires != Requires::Nothing
            && doubled(world, *g)
            && !(group.requires == Requires::Witness && unguarded(world, *g))
    })?;
    Some(format!("{} runs on more than one machine", group.name))
}

/// Without a watchdog nothing ends what a daemon leaves behind that is dead, stopped, or cannot stop it.
fn unguarded(world: &World, group: usize) -> bool {
    let watchdog = world.settings.witness.and_then(|witness| witness.watchdog);
    let ill = |n: usize| {
        let machine = &world.machines[n];
        let since = machine.silent_since;
        !machine.awake()
            || since > 0 && world.now - since < UNGUARDED
            || machine.ops.iter().any(|op| world.now - op.begun > SLOW)
            || machine.real.iter().any(|real| real.mood != Mood::Good)
            || !world.agents_good
    };
    watchdog.is_none() && (0..world.machines.len()).any(|n| world.runs_any(n, group) && ill(n))
}

/// S2: `requires = nothing`: two owners only while every medium is cut in at least one direction, and at most one
/// detection interval after the heal.
///
/// Cut counts what cuts in effect: a daemon that is stopped, or dead beside what it had started, wires that lose; and
/// what stops slowly or not at all, where two were.
pub fn s2_two_owners_only_while_cut(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let note = &mut notes.splits;
    match sight {
        Sight::Truth => {
            for (g, doubled_now) in note.doubled.iter_mut().enumerate() {
                *doubled_now = doubled(world, g);
            }
            None
        }
        Sight::Sent { n, message } => {
            note.maintenance[*n] = message.maintenance.on;
            for report in &message.groups {
                let group = world.settings.groups.iter().position(|g| GroupId::of(&g.name) == report.id);
                if let Some(g) = group {
                    note.says_blocked[*n][g] = report.state == GroupState::Blocked;
                }
            }
            None
        }
        Sight::Died { n, .. } => {
            note.maintenance[*n] = false;
            None
        }
        Sight::Moment => {
            let excused = excused(note, world);
            if excused || note.excused {
                note.trouble = world.now;
            }
            note.excused = excused;
            for g in 0..note.blocked.len() {
                if note.says_blocked.iter().any(|says| says[g]) {
                    note.blocked[g] = world.now;
                }
            }
            let bound = world.settings.deadtime.as_nanos() as u64 + S;
            let g = (0..note.doubled.len())
                .find(|&g| note.doubled[g] && world.now - note.trouble.max(note.blocked[g]) > bound)?;
            Some(format!("{} runs on two machines, and nothing excuses it", world.settings.groups[g].name))
        }
        _ => None,
    }
}

fn excused(note: &Splits, world: &World) -> bool {
    let noise = &world.wire.noise;
    let ill = |machine: &crate::world::machine::Machine| {
        machine.frozen.is_some()
            || machine.core.is_none() && machine.real.iter().any(|real| real.on)
            || machine.real.iter().any(|real| matches!(real.mood, Mood::FailsStop | Mood::Hangs | Mood::Lies))
            || machine.ops.iter().any(|op| op.orphan || world.now - op.begun > SLOW)
    };
    noise.lost > 0
        || noise.spoiled > 0
        || note.maintenance.contains(&true)
        || world.wire.any_deaf()
        || world.machines.iter().any(ill)
}

/// S2, of addresses: those of a daemon that is dead or stopped end by themselves when the lease is over.
///
/// Not those of one that was alone when it ended, or had only peers on standby, or was in maintenance: nobody could have
/// taken over from it, so they had no lease. Whoever is set online after that finds them there.
pub fn s2_addresses_of_a_silent_daemon_end(
    notes: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let Sight::Moment = sight else { return None };
    let note = &notes.splits;
    if !note.doubled.contains(&true) {
        return None;
    }
    let patience = LEASE.as_nanos() as u64 * 102 / 100;
    for (n, machine) in world.machines.iter().enumerate() {
        if machine.awake() || machine.unleased || world.now - machine.silent_since < patience {
            continue;
        }
        for (key, known) in world.catalog.iter().enumerate() {
            let elsewhere = || (0..world.machines.len()).any(|m| m != n && world.machines[m].real[key].on);
            if known.address && machine.real[key].on && note.doubled[known.group] && elsewhere() {
                return Some(format!("{} is still on {}, whose daemon is silent", known.name, machine.name));
            }
        }
    }
    None
}

/// S4, of addresses: in a cluster that has settled each has a lease if a peer is there that could take over, and none if
/// nobody is: nothing runs past its lease, and a lone node never loses its addresses by accident.
pub fn s4_addresses_are_leased_while_somebody_could_take_over(
    _: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let (Sight::Settled | Sight::End) = sight else { return None };
    for (n, machine) in world.machines.iter().enumerate().filter(|(_, machine)| machine.awake()) {
        let peers = world.machines.iter().enumerate().any(|(m, peer)| m != n && peer.awake());
        for (real, known) in machine.real.iter().zip(&world.catalog) {
            let witnessed = world.settings.groups[known.group].requires == Requires::Witness;
            if known.address && real.on && real.lease.is_some() != (peers || witnessed) {
                return Some(format!(
                    "{} on {}: lease {:?}, peers {peers}",
                    known.name, machine.name, real.lease
                ));
            }
        }
    }
    None
}
