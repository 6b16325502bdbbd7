//! Operations: the right one, at the right time, on the right node.

use cluster::status::Status;
use cluster::{GroupSettings, OnFail, OpKind, Requires, ResourceSettings, Run};
use proto::{GroupId, NodeState};

use super::{Notes, Sight};
use crate::world::World;

/// What is remembered of them.
pub struct Starts {
    /// By node: resources with an operation under way.
    under_way: Vec<Vec<u64>>,
    /// By node: what ran when its daemon started, and was not looked at since.
    leftover: Vec<Vec<u64>>,
    /// By node: it has joined.
    joined: Vec<bool>,
}

impl Starts {
    /// Nothing seen yet.
    pub fn new(nodes: usize) -> Self {
        Self {
            under_way: vec![Vec::new(); nodes],
            leftover: vec![Vec::new(); nodes],
            joined: vec![false; nodes],
        }
    }
}

/// S7: start in order, stop in reverse, one operation per resource; and only the owner starts.
pub fn s7_in_order_and_one_at_a_time(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let note = &mut notes.starts;
    match sight {
        Sight::Died { n, .. } => note.under_way[*n].clear(),
        Sight::Ends { n, run, .. } => {
            note.under_way[*n].retain(|key| !run.resources.iter().any(|r| r.0 == *key));
        }
        Sight::Begins { n, run } => {
            for key in &run.resources {
                if note.under_way[*n].contains(&key.0) {
                    return Some(format!(
                        "two operations on {} on {}",
                        world.name_of(*key),
                        world.machines[*n].name
                    ));
                }
                note.under_way[*n].push(key.0);
            }
            let settings = &world.machines[*n].settings;
            let group = settings.groups.iter().find(|group| GroupId::of(&group.name) == run.group)?;
            if let Some(what) = out_of_order(world, *n, run, group) {
                return Some(what);
            }
            if run.op == OpKind::Start {
                let status = world.status(*n)?;
                if let Some(what) = before_another(&status, group) {
                    return Some(what);
                }
                let owner = &status.groups.iter().find(|seen| seen.name == group.name)?.owner;
                if owner.as_ref() != Some(&settings.me) {
                    return Some(format!("{} starts {}, which {owner:?} owns", settings.me, group.name));
                }
            }
        }
        _ => {}
    }
    None
}

/// Groups start after those they name.
fn before_another(status: &Status, group: &GroupSettings) -> Option<String> {
    let runs = |name: &&String| {
        let seen = status.groups.iter().find(|seen| seen.name == **name);
        // One that is restarted in place counts as starting; one may go home in the very moment it has started.
        seen.is_none_or(|seen| matches!(seen.state.as_str(), "started" | "starting" | "stopping"))
    };
    let name = group.after.iter().find(|name| !runs(name))?;
    Some(format!("{} starts on {} before {name} does", group.name, status.node))
}

fn out_of_order(world: &World, n: usize, run: &Run, group: &GroupSettings) -> Option<String> {
    let resources = &group.resources;
    let place = |key| resources.iter().position(|resource| resource.key == key);
    let places: Vec<usize> = run.resources.iter().filter_map(|key| place(*key)).collect();
    let (first, last) = (*places.iter().min()?, *places.iter().max()?);
    let real = |resource: &ResourceSettings| &world.machines[n].real[resource.key.0 as usize];
    // An extra is stopped and started alone, and nothing waits for it.
    let extra = |resource: &ResourceSettings| resource.on_fail == OnFail::Ignore;
    let known = |r: &ResourceSettings| !real(r).lied && !real(r).died && !extra(r);
    // One that died may be taken to run still: who was told of it in the midst of another change looks again after that.
    let status = world.status(n)?;
    let seen = status.groups.iter().find(|seen| seen.name == group.name)?;
    let believed = |r: &ResourceSettings| {
        seen.resources.iter().any(|resource| resource.name == r.name && resource.state == "started")
    };
    let wrong = match run.op {
        OpKind::Status => None,
        OpKind::Stop if extra(&resources[first]) => None,
        // An address may have been taken away by the kernel; it is put back soon.
        OpKind::Start => {
            resources[..first].iter().find(|r| !r.address && !real(r).on && known(r) && !believed(r))
        }
        OpKind::Stop => resources[last + 1..].iter().find(|r| real(r).on && known(r)),
    }?;
    let (op, name) = (run.op, &world.machines[n].name);
    Some(format!("{op:?} of {places:?} on {name} is out of order with {}", wrong.name))
}

/// S8: standby never starts; maintenance neither starts nor stops.
pub fn s8_standby_and_maintenance_start_nothing(
    _: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let Sight::Begins { n, run } = sight else { return None };
    if run.op == OpKind::Status {
        return None;
    }
    let status = world.status(*n)?;
    let group = world.settings.groups.iter().find(|group| GroupId::of(&group.name) == run.group)?;
    if status.maintenance && group.requires == Requires::Witness && run.op == OpKind::Stop {
        // Nothing runs past its lease, in maintenance neither.
        return None;
    }
    if status.maintenance {
        return Some(format!("{:?} on {} in maintenance", run.op, status.node));
    }
    (status.standby && run.op == OpKind::Start)
        .then(|| format!("a start on {}, which is on standby", status.node))
}

/// S13: leftovers are adopted or removed before joining: what ran when the daemon started was looked at before it says
/// that it is up.
pub fn s13_leftovers_are_looked_at_before_joining(
    notes: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let note = &mut notes.starts;
    match sight {
        Sight::Booted { n } => {
            let machine = &world.machines[*n];
            let ours = machine.settings.groups.iter().flat_map(|group| &group.resources).map(|r| r.key.0);
            note.leftover[*n] = ours.filter(|key| machine.real[*key as usize].on).collect();
            note.joined[*n] = false;
        }
        Sight::Ends { n, run, .. } => {
            note.leftover[*n].retain(|key| !run.resources.iter().any(|resource| resource.0 == *key));
        }
        Sight::Sent { n, message } if message.state == NodeState::Up && !note.joined[*n] => {
            note.joined[*n] = true;
            // What a reload took out of the configuration meanwhile is no longer asked for.
            let machine = &world.machines[*n];
            let ours = |key: &&u64| {
                let mut all = machine.settings.groups.iter().flat_map(|group| &group.resources);
                all.any(|resource| resource.key.0 == **key)
            };
            let left = note.leftover[*n].iter().find(ours)?;
            let name = world.name_of(cluster::ResourceKey(*left));
            return Some(format!("{} joins without having looked at {name}", machine.name));
        }
        _ => {}
    }
    None
}
