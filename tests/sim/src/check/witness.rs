//! Leases on the witness.

use cluster::{OpKind, Requires};
use proto::GroupId;

use super::{Notes, Sight};
use crate::world::World;
use crate::world::clock::MS;

/// S4: nobody relies on a lease for longer than it lives: what a node says of its lease is never more than the witness
/// will keep.
pub fn s4_nobody_relies_on_a_lease_for_longer_than_it_lives(
    _: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let Sight::Witnessed { n } = sight else { return None };
    let said = world.status(*n)?.witness?.good_for_ms? * MS;
    let until = world.machines[*n].clock.when(world.local(*n) + std::time::Duration::from_nanos(said));
    // A lease that the driver does not know of any more is one that the core does not either.
    let ends = world.lease_ends(*n).unwrap_or(world.now);
    (until > ends).then(|| {
        let (name, late) = (&world.machines[*n].name, (until - ends) / 1000);
        format!("{name} relies on its lease for {late} us longer than it lives")
    })
}

/// S4: the watchdog is petted only if the machine, should the daemon stop now, is reset before anybody else may start what
/// runs there: before its lease ends, or before the others have waited for long enough.
pub fn s4_the_watchdog_is_petted_in_time_only(_: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let Sight::Petted { n } = sight else { return None };
    let machine = &world.machines[*n];
    let mut groups = world.settings.groups.iter().enumerate();
    let runs = groups.any(|(g, group)| group.requires == Requires::Witness && world.runs_any(*n, g));
    let leased = world.lease_ends(*n).is_some_and(|ends| machine.bites <= ends);
    (runs && !leased && !others_wait(world, *n, machine.bites))
        .then(|| format!("{} pets its watchdog, which would bite too late", machine.name))
}

/// No other node takes anything from `n` before `until`, by when it last heard it.
fn others_wait(world: &World, n: usize, until: u64) -> bool {
    let Some(witness) = &world.settings.witness else { return false };
    let others =
        world.machines.iter().enumerate().filter(|(other, machine)| *other != n && machine.core.is_some());
    others.into_iter().all(|(_, machine)| {
        let heard = machine.heard[n].at.max(machine.clock.read(machine.born));
        machine.clock.when(heard + witness.ttl) >= until
    })
}

/// S4: nothing starts before its key is held: never while another node has it.
pub fn s4_nothing_starts_while_another_node_has_the_key(
    _: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let Sight::Begins { n, run } = sight else { return None };
    let mut groups = world.settings.groups.iter();
    let group = groups.find(|group| GroupId::of(&group.name) == run.group)?;
    if run.op != OpKind::Start || group.requires != Requires::Witness {
        return None;
    }
    let holder = world.key_holder(&group.name)?;
    (holder != *n).then(|| {
        let (here, there) = (&world.machines[*n].name, &world.machines[holder].name);
        format!("{} starts on {here} while {there} has its key", group.name)
    })
}
