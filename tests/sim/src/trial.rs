//! What is tried with a cluster that has settled: one clean event, and what must come of it.
//!
//! The checkers look on meanwhile. A new trial is a function and a row in [`TRIALS`].

use cluster::{Command, Failback, Input, OnFail, OnStopFailure, Requires, Settings};
use proto::GroupId;

use crate::calm;
use crate::dice::Dice;
use crate::fault;
use crate::world::World;
use crate::world::clock::{MS, S};
use crate::world::machine::{Item, Mood};

/// A trial; it blames what does not hold. It does nothing in a world that does not fit it.
pub type Trial = fn(&mut World, &mut Dice);

/// All trials, by the name of what they hold the cluster to.
pub const TRIALS: &[(&str, Trial)] = &[
    ("L1", l1_power_loss),
    ("L1 link", l1_link_lost),
    ("L4", l4_hung_agent),
    ("L5 medium", l5_one_medium),
    ("L5 loss", l5_few_losses),
    ("L6", l6_switch_that_wakes_late),
    ("S3", s3_failed_stop),
    ("S8", s8_standby_takes_nothing),
    ("S9", s9_forgeries),
    ("S10", s10_wall_clock),
    ("S11", s11_pause),
    ("S12", s12_mismatch),
    ("S14 reload", s14_reload),
    ("S14 upgrade", s14_upgrade),
    ("S15", s15_homecoming),
    ("S16", s16_witness_lost),
    ("S4 lease", s4_witness_and_peer_lost),
    ("S19", s19_split),
];

/// Runs one trial.
pub fn run(world: &mut World, dice: &mut Dice) {
    let (name, trial) = TRIALS[dice.index(TRIALS.len())];
    let machines = world.machines.len();
    world.say(0, || format!("==== trial {name} of {machines} nodes ===="));
    trial(world, dice);
}

fn nanos(time: std::time::Duration) -> u64 {
    time.as_nanos() as u64
}

/// Time for all operations of a start or a stop of any group, and the messages between.
fn work(world: &World) -> u64 {
    // One group may have to wait for another.
    let most: u64 = world.settings.groups.iter().map(|group| group.resources.len() as u64 + 1).sum();
    let keys = if world.settings.witness.is_some() { 12 * world.setup.witness_delay + 60 * MS } else { 0 };
    most * world.setup.op_time + 2 * world.setup.disk_time + 10 * MS + keys
}

/// Lets time pass in which nothing may be started, stopped or moved.
fn quiet(world: &mut World, name: &'static str, time: u64) {
    let before = world.moves;
    world.run_for(time);
    if world.moves != before {
        world.blame(name, "something was started or stopped".to_owned());
    }
}

/// Lets time pass until the cluster is settled again.
fn settle(world: &mut World, name: &'static str, most: u64) {
    let settled = |world: &mut World| {
        // What was fenced is switched on again.
        (0..world.machines.len()).for_each(|n| world.boot(n));
        calm::unsettled(world).is_none()
    };
    if !world.run_until(most + world.fence_bound(), 50 * MS, settled) && world.violation.is_none() {
        let why = calm::unsettled(world).unwrap_or_default();
        world.blame(name, format!("not settled within {} ms: {why}", most / MS));
    }
}

/// Of a group that requires fencing, whose owner is fenced by itself; or the witness, whose owner loses its lease.
fn fenced(world: &World, g: usize) -> bool {
    match world.settings.groups[g].requires {
        Requires::Nothing => false,
        Requires::Fencing => !world.settings.fences.is_empty(),
        Requires::Witness => true,
    }
}

/// Of a group that has its owner fenced if something of it fails.
fn fenced_on_failure(world: &World, g: usize) -> bool {
    let asks = |resource: &cluster::ResourceSettings| {
        resource.on_fail == OnFail::Fence || resource.on_stop_failure == OnStopFailure::Fence
    };
    !world.settings.fences.is_empty() && world.settings.groups[g].resources.iter().any(asks)
}

fn owner_of_any(world: &World, dice: &mut Dice) -> Option<(usize, usize)> {
    let g = dice.index(world.settings.groups.len());
    Some((g, world.owner(g)?))
}

/// L1: with a healthy node, no owner for at most detect + decide + start.
fn l1_power_loss(world: &mut World, dice: &mut Dice) {
    let Some((_, n)) = owner_of_any(world, dice) else { return };
    let groups: Vec<usize> =
        (0..world.settings.groups.len()).filter(|&g| world.owner(g) == Some(n)).collect();
    world.run_for(dice.below(300 * MS));
    world.power_off(n);
    let detect = nanos(world.settings.deadtime) * 101 / 100 + 5 * MS;
    world.run_for(detect + work(world));
    for &g in &groups {
        let group = &world.settings.groups[g];
        if group.requires == Requires::Nothing && group.after.is_empty() {
            check_taken(world, g, n);
        }
    }
    // The others wait for the operator's word, and then lose no time.
    world.run_for(100 * MS);
    world.fence_acks();
    world.run_for(work(world) + world.fence_bound());
    for g in groups {
        check_taken(world, g, n);
    }
}

fn check_taken(world: &mut World, g: usize, lost: usize) {
    if world.violation.is_none() && world.owner(g).is_none_or(|owner| owner == lost) {
        let (group, node) = (world.settings.groups[g].name.clone(), world.machines[lost].name.clone());
        world.blame("L1", format!("{group} has no owner in time after {node} was lost"));
    }
}

/// L1: a group whose interface carries nothing goes to a node whose does, and to none if there is none.
fn l1_link_lost(world: &mut World, dice: &mut Dice) {
    let Some((g, n)) = owner_of_any(world, dice) else { return };
    let group = &world.settings.groups[g];
    let address = group.resources.iter().any(|resource| resource.address);
    let Some(after) = group.link_monitor.filter(|_| address && !damped(world)) else { return };
    if dice.one_in(2) {
        // Nobody is better off: it stays where it is.
        for other in (0..world.machines.len()).filter(|&other| other != n) {
            world.cut_link(other);
        }
        world.run_for(50 * MS);
        world.cut_link(n);
        world.run_for(2 * S);
        if world.violation.is_none() && world.owner(g) != Some(n) {
            world.blame("L1", format!("g{g} left for a node whose interface carries nothing either"));
        }
        return;
    }
    world.cut_link(n);
    // Groups that come after it on the same node may have to stop before it does, and the other way round.
    let most = nanos(after) + 2 * work(world) + 100 * MS;
    world.run_for(most);
    if world.owner(g) == Some(n) && taken_often(world, n, g) {
        // A group that was taken often leaves only an interface that stays as it is.
        world.run_for(30 * S);
    }
    if world.violation.is_none() && world.owner(g).is_none_or(|owner| owner == n) {
        world.blame("L1", format!("g{g} stays where its interface carries nothing"));
    }
}

/// S16: the loss of the witness alone moves nothing, however long it lasts, and neither does its return.
fn s16_witness_lost(world: &mut World, dice: &mut Dice) {
    let Some(witness) = world.settings.witness else { return };
    match dice.below(3) {
        0 => world.witness_ends(),
        1 => world.witness.paused = true,
        _ => world.witness.cut[dice.index(world.machines.len())] = true,
    }
    quiet(world, "S16", dice.below(4 * nanos(witness.ttl)) + nanos(witness.ttl));
    world.witness_starts();
    world.witness_goes_on();
    world.witness.cut.fill(false);
    quiet(world, "S16", nanos(witness.ttl));
    settle(world, "S16", S);
}

/// S4: an owner that loses the witness and a peer stops in time, without being reset; nothing is lost when both are back.
fn s4_witness_and_peer_lost(world: &mut World, dice: &mut Dice) {
    let Some(witness) = world.settings.witness else { return };
    let Some((g, n)) = owner_of_any(world, dice) else { return };
    if world.settings.groups[g].requires != Requires::Witness {
        return;
    }
    let ttl = nanos(witness.ttl);
    let alone = dice.one_in(2);
    if alone {
        world.witness_ends();
    } else {
        world.witness.cut[n] = true;
    }
    world.run_for(dice.below(2 * ttl));
    cut_everything(world);
    world.run_for(ttl + 10 * MS);
    let fenced = (0..world.settings.groups.len())
        .any(|g| world.settings.groups[g].requires == Requires::Fencing && fenced(world, g));
    if world.violation.is_none() && world.runs_any(n, g) {
        return world.blame("S4", format!("g{g} runs on without witness and peer"));
    }
    if world.violation.is_none() && world.machines[n].off && !fenced {
        return world.blame(
            "S4",
            format!("{} was reset although it could stop g{g} in time", world.machines[n].name),
        );
    }
    world.run_for(dice.below(2 * ttl));
    world.wire.calm();
    world.witness_starts();
    world.witness.cut.fill(false);
    settle(
        world,
        "S4",
        3 * nanos(world.settings.deadtime) + 6 * work(world) + nanos(world.settings.initdead) + S,
    );
}

/// L4: a hung agent blocks no one else.
fn l4_hung_agent(world: &mut World, dice: &mut Dice) {
    let groups = world.settings.groups.len();
    let Some((hung, n)) = owner_of_any(world, dice) else { return };
    let service = world.settings.groups[hung].resources.iter().find(|resource| !resource.address);
    let (Some(service), true) = (service.map(|resource| resource.key), groups > 1) else { return };
    if fenced(world, hung) || fenced_on_failure(world, hung) {
        // A stop that hangs ends with its node.
        return;
    }
    let other = (hung + 1) % groups;
    let (one, two) = (&world.settings.groups[hung], &world.settings.groups[other]);
    if one.after.contains(&two.name) || two.after.contains(&one.name) {
        return;
    }
    let Some(from) = world.owner(other) else { return };
    let to = (from + 1) % world.machines.len();
    world.set_mood(n, service, Mood::Hangs);
    let name = |g: usize| format!("g{g}");
    world.command(n, Command::Move { group: name(hung), to: None });
    world.run_for(dice.below(20 * MS));
    let node = Some(world.machines[to].name.clone());
    world.command(from, Command::Move { group: name(other), to: node });
    let most = 2 * work(world) + 20 * MS;
    world.run_for(most);
    if world.violation.is_none() && world.owner(other) != Some(to) {
        world.blame("L4", format!("{} was not moved while an agent of {} hung", name(other), name(hung)));
    }
    world.run_for(4 * S);
    for n in 0..world.machines.len() {
        let up = world.status(n).is_some_and(|status| status.nodes.iter().all(|node| node.state == "up"));
        if !up && world.violation.is_none() {
            world.blame("L4", "a node was lost because an agent hung".to_owned());
        }
    }
}

/// L5: one lost medium moves nothing.
fn l5_one_medium(world: &mut World, dice: &mut Dice) {
    if world.wire.links < 2 {
        return;
    }
    let link = dice.index(world.wire.links);
    let one_way = dice.one_in(2);
    for from in 0..world.machines.len() {
        for to in (0..world.machines.len()).filter(|&to| to != from && !(one_way && to < from)) {
            world.wire.cut(from, to, link);
        }
    }
    quiet(world, "L5", 3 * S);
    world.wire.calm();
    quiet(world, "L5", S);
}

/// L5: fewer lost packets than deadtime holds move nothing. (One less than it holds to the letter: the packet that
/// comes with the very end of deadtime comes too late.)
fn l5_few_losses(world: &mut World, dice: &mut Dice) {
    let keepalive = nanos(world.settings.keepalive);
    let silence = (nanos(world.settings.deadtime) / keepalive - 2) * keepalive * 95 / 100;
    for _ in 0..3 {
        let deaf = dice.index(world.machines.len() + 1);
        for from in 0..world.machines.len() {
            for to in (0..world.machines.len())
                .filter(|&to| to != from && (deaf == to || deaf == world.machines.len()))
            {
                (0..world.wire.links).for_each(|link| world.wire.cut(from, to, link));
            }
        }
        quiet(world, "L5", silence);
        world.wire.calm();
        let pause = keepalive * 3 / 2 + dice.below(S);
        quiet(world, "L5", pause);
    }
}

/// L6: any boot order ends with one owner, also where the switch wakes up later than the machines do: initdead is waited
/// for before anything is taken.
fn l6_switch_that_wakes_late(world: &mut World, dice: &mut Dice) {
    for n in 0..world.machines.len() {
        world.power_off(n);
    }
    cut_everything(world);
    for n in 0..world.machines.len() {
        world.run_for(dice.below(200 * MS));
        world.boot(n);
    }
    let initdead = nanos(world.settings.initdead);
    quiet(world, "L6", initdead / 2 + dice.below(initdead / 4));
    world.wire.calm();
    settle(world, "L6", initdead + nanos(world.settings.deadtime) + 4 * work(world) + S);
}

fn cut_everything(world: &mut World) {
    for from in 0..world.machines.len() {
        for to in (0..world.machines.len()).filter(|&to| to != from) {
            (0..world.wire.links).for_each(|link| world.wire.cut(from, to, link));
        }
    }
}

/// S3: a failed stop is not forgotten when the node it happened on is lost, nor when the other one is restarted.
fn s3_failed_stop(world: &mut World, dice: &mut Dice) {
    let Some((g, n)) = owner_of_any(world, dice) else { return };
    if !world.settings.fences.is_empty() {
        // What a fence has made certain, for this group or another, may be started.
        return;
    }
    let resources = &world.settings.groups[g].resources;
    let key = resources[dice.index(resources.len())].key;
    world.set_mood(n, key, Mood::FailsStop);
    world.command(n, Command::Move { group: format!("g{g}"), to: None });
    world.run_for(work(world) + 20 * world.setup.disk_time);
    let blocked = world.status(n).is_some_and(|status| status.groups[g].state == "blocked");
    if !blocked {
        // Another group was in the way, or the stop had not come to that resource.
        return;
    }
    world.power_off(n);
    let other = (n + 1) % world.machines.len();
    if dice.one_in(2) {
        world.kill(other);
        world.run_for(dice.below(300 * MS));
        world.boot(other);
    }
    let most = nanos(world.settings.initdead) + 2 * nanos(world.settings.deadtime);
    world.run_for(most);
    if world.violation.is_none() && world.runs_any(other, g) {
        world.blame("S3", format!("g{g} was started although a stop had failed on the node that was lost"));
    }
    world.fence_acks();
    world.run_for(work(world) + 50 * MS + world.witness_bound());
    if world.violation.is_none() && world.owner(g).is_none() && world.settings.groups[g].after.is_empty() {
        world.blame("L1", format!("g{g} was not taken on the operator's word"));
    }
}

/// S8: standby never starts, not even when it is the last.
fn s8_standby_takes_nothing(world: &mut World, dice: &mut Dice) {
    let n = dice.index(world.machines.len());
    world.command(n, Command::Standby { node: None, force: false });
    let most = 4 * work(world) + S;
    let idle = |world: &mut World| {
        (0..world.settings.groups.len()).all(|g| world.owner(g).is_some_and(|owner| owner != n))
            && world.status(n).is_some_and(|status| status.standby)
    };
    if !world.run_until(most, 10 * MS, idle) {
        return world.blame("S8", "standby did not hand everything over".to_owned());
    }
    world.run_for(dice.below(500 * MS));
    for other in (0..world.machines.len()).filter(|&other| other != n) {
        world.power_off(other);
    }
    world.run_for(2500 * MS);
    if (0..world.settings.groups.len()).any(|g| world.runs_any(n, g)) {
        world.blame("S8", "a node on standby took something".to_owned());
    }
    world.command(n, Command::Online { node: None });
    world.fence_acks();
    world.run_for(work(world) + world.fence_bound());
    world.fence_acks();
    world.run_for(work(world));
    for g in 0..world.settings.groups.len() {
        if world.violation.is_none() && world.owner(g) != Some(n) {
            world.blame("L1", format!("g{g} was not taken by the last node after it was set online"));
        }
    }
}

/// S9: what is forged or replayed moves nothing.
fn s9_forgeries(world: &mut World, dice: &mut Dice) {
    if dice.one_in(2) {
        return s9_forgeries_after_a_restart(world, dice);
    }
    for _ in 0..6 {
        let n = dice.index(world.machines.len());
        fault::forge(world, n, dice.next(), 6);
        quiet(world, "S9", dice.span(400 * MS));
    }
}

/// S9: nor does what a dead peer once said, to a node that has just been restarted.
fn s9_forgeries_after_a_restart(world: &mut World, dice: &mut Dice) {
    let n = dice.index(world.machines.len());
    for other in (0..world.machines.len()).filter(|&other| other != n) {
        world.power_off(other);
    }
    world.kill(n);
    world.boot(n);
    for _ in 0..6 {
        fault::forge(world, n, dice.next(), 6);
        world.run_for(dice.span(400 * MS));
    }
    world.run_for(nanos(world.settings.initdead) + S);
}

/// S10: nor do jumps of the wall clock.
fn s10_wall_clock(world: &mut World, dice: &mut Dice) {
    if matches!(world.settings.failback, Failback::On { window: true, .. }) {
        return;
    }
    for _ in 0..6 {
        let n = dice.index(world.machines.len());
        world.feed(n, Item::Input(Input::FailbackWindow { open: dice.one_in(2) }));
        quiet(world, "S10", dice.span(900 * MS));
    }
}

/// S11: who was stopped for longer than deadtime finds one owner, and disturbs nobody.
fn s11_pause(world: &mut World, dice: &mut Dice) {
    let Some((_, n)) = owner_of_any(world, dice) else { return };
    let owners: Vec<Option<usize>> = (0..world.settings.groups.len()).map(|g| world.owner(g)).collect();
    let deadtime = nanos(world.settings.deadtime);
    let life = world.machines[n].life;
    world.freeze(n);
    world.run_for(deadtime * 6 / 5 + work(world) + dice.below(4 * S));
    world.thaw(n);
    let reset = world.machines[n].life != life;
    settle(world, "S11", 3 * deadtime + 4 * work(world) + nanos(world.settings.initdead));
    let back = matches!(world.settings.failback, Failback::On { .. });
    for (g, before) in owners.into_iter().enumerate().filter(|_| !back) {
        if fenced(world, g) || reset {
            continue;
        }
        let certain = world.settings.groups[g].requires != Requires::Nothing;
        let stays = certain || before != Some(n);
        if world.violation.is_none() && (world.owner(g) == before) != stays {
            world.blame("S11", format!("g{g} went from {before:?} to {:?}", world.owner(g)));
        }
    }
}

/// S12: a configuration mismatch alone moves nothing.
fn s12_mismatch(world: &mut World, dice: &mut Dice) {
    let n = dice.index(world.machines.len());
    let me = world.machines[n].name.clone();
    let settings = Settings { me, config_digest: 99, ..world.settings.clone() };
    world.feed(n, Item::Input(Input::Reload(Box::new(settings))));
    quiet(world, "S12", 2 * S);
}

/// S14: a reload without a relevant change starts and stops nothing.
fn s14_reload(world: &mut World, dice: &mut Dice) {
    for _ in 0..3 {
        let n = dice.index(world.machines.len());
        let me = world.machines[n].name.clone();
        let mut settings = Settings { me, ..world.settings.clone() };
        settings.warntime = std::time::Duration::from_millis(300 + dice.below(300));
        if dice.one_in(2) {
            settings.links.reverse();
        }
        world.feed(n, Item::Input(Input::Reload(Box::new(settings))));
        quiet(world, "S14", dice.span(S));
        // Links are named by their order on the wire.
        let settings = Settings { me: world.machines[n].name.clone(), ..world.settings.clone() };
        world.feed(n, Item::Input(Input::Reload(Box::new(settings))));
        quiet(world, "S14", dice.span(S));
    }
}

/// S14: nor does an upgrade: the daemon ends and its successor adopts what runs.
fn s14_upgrade(world: &mut World, dice: &mut Dice) {
    if matches!(world.settings.failback, Failback::On { .. }) {
        // A preferred node that was away may want its groups back.
        return;
    }
    let n = dice.index(world.machines.len());
    world.kill(n);
    quiet(world, "S14", dice.span(300 * MS));
    world.boot(n);
    let most = nanos(world.settings.initdead) + S;
    quiet(world, "S14", most);
    settle(world, "S14", S);
}

/// S15: failback only by policy.
fn s15_homecoming(world: &mut World, dice: &mut Dice) {
    let g = dice.index(world.settings.groups.len());
    let home = world.settings.groups[g].preferred.as_ref().and_then(|name| world.node(name));
    let Some(home) = home else { return };
    if damped(world) {
        return;
    }
    world.power_off(home);
    let deadtime = nanos(world.settings.deadtime);
    world.run_for(deadtime * 5 / 4 + work(world) + world.fence_bound());
    world.fence_acks();
    world.run_for(work(world) + 50 * MS);
    world.boot(home);
    let joined = nanos(world.settings.initdead) + 2 * work(world) + 500 * MS;
    let (after, window) = match world.settings.failback {
        Failback::Off => (None, false),
        Failback::On { after, window } => (Some(nanos(after)), window),
    };
    if after.is_none() || window {
        for n in 0..world.machines.len() {
            world.feed(n, Item::Input(Input::FailbackWindow { open: false }));
        }
        quiet_group(world, g, home, joined);
    }
    if let Some(after) = after {
        for n in 0..world.machines.len() {
            world.feed(n, Item::Input(Input::FailbackWindow { open: true }));
        }
        let most = joined + after + 2 * work(world);
        let came = world.run_until(most, 50 * MS, |world| world.owner(g) == Some(home));
        if !came && world.violation.is_none() && !damped(world) {
            world.blame("S15", format!("g{g} did not go home by policy"));
        }
    }
}

/// A group moved so often that it no longer goes home by itself.
fn damped(world: &World) -> bool {
    let said = |n| world.status(n).into_iter().flat_map(|status| status.degraded);
    (0..world.machines.len()).flat_map(said).any(|sentence| sentence.contains(" times within an hour: "))
}

/// A group was taken so often that it may be damped, which is not told where nothing goes home by itself.
fn taken_often(world: &World, n: usize, g: usize) -> bool {
    let epoch = world.status(n).map_or(0, |status| status.groups[g].epoch);
    epoch >= 3 && world.settings.failback == cluster::Failback::Off
}

fn quiet_group(world: &mut World, g: usize, home: usize, time: u64) {
    let left = world.run_until(time, 50 * MS, |world| world.runs_any(home, g));
    if left {
        world.blame("S15", format!("g{g} went home against the policy"));
    }
}

/// S19: after a double ownership exactly one keeps and announces, after the other stopped.
fn s19_split(world: &mut World, dice: &mut Dice) {
    let deadtime = nanos(world.settings.deadtime);
    let owners: Vec<Option<usize>> = (0..world.settings.groups.len()).map(|g| world.owner(g)).collect();
    cut_everything(world);
    world.run_for(deadtime * 6 / 5 + work(world) + dice.below(3 * S));
    world.announced.clear();
    world.wire.calm();
    settle(world, "S19", deadtime + 4 * work(world) + 500 * MS + nanos(world.settings.initdead));
    if world.violation.is_some() || matches!(world.settings.failback, Failback::On { .. }) {
        return;
    }
    world.run_for(2 * work(world) + 2 * nanos(world.settings.keepalive));
    for (g, before) in owners.into_iter().enumerate() {
        let group = &world.settings.groups[g];
        if fenced(world, g) || !world.settings.fences.is_empty() {
            // Its owner was fenced, or is another's.
            continue;
        }
        if group.requires != Requires::Nothing {
            if world.owner(g) != before {
                world.blame("S19", format!("g{g} moved in a split although certainty is required"));
            }
            continue;
        }
        let id = GroupId::of(&group.name);
        let said: Vec<usize> = world.announced.iter().filter(|(_, of)| *of == id).map(|(n, _)| *n).collect();
        let keeper = world.owner(g);
        // One that had to wait for another group may have been taken and not yet started.
        let once = said.len() == 1 || !world.settings.groups[g].after.is_empty();
        if !once || said.first().copied() != keeper {
            world.blame("S19", format!("g{g}: kept by {keeper:?}, announced by {said:?}"));
        }
    }
}
