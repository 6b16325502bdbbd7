//! Fencing.

use super::{Notes, Sight};
use crate::world::World;
use crate::world::clock::NEVER;
use crate::world::fence::is_fence;

/// Fences without an order that one life of a daemon may ask for within an hour: three that are confirmed, and those
/// that failed, which come at growing intervals.
const MOST: usize = 24;

/// What is remembered of it.
pub struct Fences {
    /// By node: when it was last fenced.
    last: Vec<u64>,
    /// By node: fences its present life has asked for.
    asked: Vec<usize>,
}

impl Fences {
    /// Nothing seen yet.
    pub fn new(nodes: usize) -> Self {
        Self { last: vec![NEVER; nodes], asked: vec![0; nodes] }
    }
}

/// S6: never both nodes fenced when the delays differ by more than the fence takes: whoever has been hit shoots no more, so
/// a fence is never followed by one that its target had asked for before. What an operator orders has no delay.
pub fn s6_two_nodes_do_not_shoot_each_other(
    notes: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let Sight::Fenced { by, target } = sight else { return None };
    let last = &mut notes.fences.last;
    last[*target] = world.now;
    let shooter_hit = std::mem::replace(&mut last[*by], NEVER);
    let [one, two] = &world.settings.fences[..] else { return None };
    let slowest = world.machines.iter().map(|machine| machine.fence_time).max().unwrap_or(0);
    let apart = one.delay.abs_diff(two.delay).as_nanos() as u64;
    let together = shooter_hit != NEVER && world.now - shooter_hit <= slowest;
    (apart > slowest && together && !world.fences_ordered)
        .then(|| "both nodes were fenced at once".to_owned())
}

/// L2: no fencing loop.
pub fn l2_no_fencing_loop(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    match sight {
        Sight::Booted { n } => notes.fences.asked[*n] = 0,
        Sight::Acts { n, action } if is_fence(action) && !world.fences_ordered => {
            notes.fences.asked[*n] += 1;
            if notes.fences.asked[*n] > MOST {
                return Some(format!("{} has others fenced without end", world.machines[*n].name));
            }
        }
        _ => {}
    }
    None
}
