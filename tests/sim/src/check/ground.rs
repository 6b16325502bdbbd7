//! Addresses that somebody has set by hand.

use cluster::Action;

use super::{Notes, Sight};
use crate::world::World;

/// S2, of addresses set by somebody else: where they are removed, another node has their group and nothing of it is held here; in
/// a cluster that has settled none is left where another node has the group.
pub fn s2_strays_go_and_nothing_else_does(_: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    match sight {
        Sight::Acts { n, action: Action::Evict { resources, .. } } => {
            let status = world.status(*n)?;
            for key in resources {
                let known = &world.catalog[key.0 as usize];
                let group = status.groups.iter().find(|group| group.name == format!("g{}", known.group))?;
                if status.maintenance || group.owner.is_none() || group.owner.as_ref() == Some(&status.node) {
                    return Some(format!("{} removes {}, owner {:?}", status.node, known.name, group.owner));
                }
            }
            None
        }
        Sight::Settled => world.machines.iter().enumerate().find_map(|(n, machine)| {
            let left = machine.real.iter().position(|real| real.stray.is_some())?;
            let known = &world.catalog[left];
            let ours = |g: &cluster::GroupSettings| g.resources.iter().any(|r| r.key.0 as usize == left);
            (machine.settings.groups.iter().any(ours) && world.owner(known.group) != Some(n))
                .then(|| format!("{} is still on {}, set by somebody else", known.name, machine.name))
        }),
        _ => None,
    }
}
