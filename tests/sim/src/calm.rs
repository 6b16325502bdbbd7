//! After the faults: the cluster must come to rest, by itself or with what the status asks of the operator.

use cluster::status::Status;
use cluster::{Command, OpKind};

use crate::check::Sight;
use crate::world::World;
use crate::world::clock::{MS, S};

/// Longest time in which it must have settled: hung agents must be killed first, nodes must join, and the operator must
/// have looked three times.
const BOUND: u64 = 30 * S;
/// When the operator looks.
const LOOKS: [u64; 4] = [4, 8, 12, 18];
/// For how long it must stay settled.
const REST: u64 = 700 * MS;

/// What is not as it should be; nothing if each group runs on one node, whole, and all nodes say so.
pub fn unsettled(world: &World) -> Option<String> {
    for (g, group) in world.settings.groups.iter().enumerate() {
        if world.owner(g).is_none() {
            return Some(format!("{} has no owner, or more than one", group.name));
        }
    }
    let ours = |key: usize| {
        let mut all = world.settings.groups.iter().flat_map(|group| &group.resources);
        all.any(|resource| resource.key.0 as usize == key)
    };
    for machine in &world.machines {
        if let Some(key) = (0..world.catalog.len()).find(|&key| machine.real[key].on && !ours(key)) {
            let (name, node) = (&world.catalog[key].name, &machine.name);
            return Some(format!("{name} still runs on {node}, and is no longer in the configuration"));
        }
    }
    if let Some(machine) = world.machines.iter().find(|machine| !machine.disk.writes.is_empty()) {
        return Some(format!("the disk of {} is not done yet", machine.name));
    }
    let moving = |op: &crate::world::machine::Op| op.run.op != OpKind::Status;
    if let Some(machine) = world.machines.iter().find(|machine| machine.ops.iter().any(moving)) {
        return Some(format!("an operation is under way on {}", machine.name));
    }
    if world.fencing > 0 {
        return Some("a node is being fenced".to_owned());
    }
    if world.open_commands() > 0 {
        return Some("a command has not come to its end".to_owned());
    }
    let all: Vec<Status> = (0..world.machines.len()).filter_map(|n| world.status(n)).collect();
    if all.len() < world.machines.len() {
        return Some("a daemon does not run".to_owned());
    }
    for status in &all {
        if status.state != "up" {
            return Some(format!("{} is {}", status.node, status.state));
        }
        if let Some(sentence) = status.degraded.iter().find(|sentence| !is_past(sentence)) {
            return Some(format!("{} is degraded: {sentence}", status.node));
        }
        for (mine, first) in status.groups.iter().zip(&all[0].groups) {
            let of = |g: &cluster::status::GroupStatus| (g.owner.clone(), g.state.clone(), g.epoch);
            if of(mine) != of(first) || mine.state != "started" {
                return Some(format!("of {} {} says {:?}", mine.name, status.node, of(mine)));
            }
            let owner = world.settings.groups.iter().position(|group| group.name == mine.name);
            let owner = owner.and_then(|g| world.owner(g)).map(|n| world.machines[n].name.clone());
            if mine.owner != owner {
                return Some(format!(
                    "{} runs on {owner:?}, and {} says {:?}",
                    mine.name, status.node, mine.owner
                ));
            }
        }
    }
    None
}

/// The status speaks for a while of what is over: replays of what this very node once said, failures that were mended by a
/// restart, groups that moved often.
fn is_past(sentence: &str) -> bool {
    ["are sent again", " so far: ", " times within an hour: ", "without a [watchdog] it may run on"]
        .iter()
        .any(|words| sentence.contains(words))
}

/// The operator does what the status asks for.
fn help(world: &mut World) {
    for n in 0..world.machines.len() {
        let Some(status) = world.status(n) else { continue };
        if status.maintenance {
            world.command(n, Command::Maintenance { on: false });
        }
        if status.standby {
            world.command(n, Command::Online { node: None });
        }
        if status.degraded.iter().any(|sentence| sentence.contains("hbctl cleanup")) {
            world.command(n, Command::Cleanup { group: None });
        }
    }
    world.fence_acks();
}

/// Ends all faults and waits for rest; blames it if it does not come. Who had failing agents or operators at work needs the
/// operator's help, others come to rest by themselves.
pub fn calm(world: &mut World) {
    world.calm_down();
    let helped = !world.agents_good || world.commands > 0;
    // A preferred node may have to be up for a while before it gets its groups.
    let failback = match world.settings.failback {
        cluster::Failback::Off => 0,
        cluster::Failback::On { after, .. } => after.as_nanos() as u64,
    };
    let rest = REST + failback;
    let (start, mut look) = (world.now, 0);
    let mut since = None;
    let rested = world.run_until(BOUND, 100 * MS, |world| {
        if helped && look < LOOKS.len() && world.now >= start + LOOKS[look] * S {
            look += 1;
            if unsettled(world).is_some() {
                help(world);
            }
        }
        if unsettled(world).is_some() {
            since = None;
        }
        world.now >= *since.get_or_insert(world.now) + rest && unsettled(world).is_none()
    });
    world.settled = rested;
    if rested {
        world.sight(&Sight::Settled);
    } else if world.violation.is_none() {
        let why = unsettled(world).unwrap_or_else(|| "it does not stay settled".to_owned());
        world.blame("L2", format!("not settled {} s after the faults ended: {why}", BOUND / S));
    }
}
