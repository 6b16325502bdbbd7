//! What others tell a node, and what it tells people.

use cluster::Action;
use cluster::status::Status;

use super::{Notes, Sight};
use crate::world::World;

/// S9: forged, replayed, truncated, reflected, foreign packets change nothing but counters.
///
/// A life that has not proven itself is answered, so that it can: that is a message more, and nothing else. A replay within
/// the last few messages shows that its link carries something.
pub fn s9_forged_datagrams_change_nothing(_: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let Sight::Forged { n, actions, before, after } = sight else { return None };
    let name = &world.machines[*n].name;
    let harmless = |action: &&Action| match action {
        Action::Send(_) => true,
        Action::Event(event) => event.kind == "link",
        _ => false,
    };
    if let Some(action) = actions.iter().find(|action| !harmless(action)) {
        return Some(format!("a forged datagram makes {name} do {action:?}"));
    }
    let (before, after) = (before.as_ref().map(essence), after.as_ref().map(essence));
    (before != after).then(|| format!("a forged datagram changes {name} from {before:?} to {after:?}"))
}

/// What of a status is no counter and no picture of a link.
fn essence(status: &Status) -> String {
    let nodes: Vec<_> =
        status.nodes.iter().map(|n| (&n.state, n.standby, n.incarnation, n.last_heard_ms)).collect();
    format!("{} {} {} {nodes:?} {:?}", status.state, status.standby, status.maintenance, status.groups)
}

/// S18: status never shows older news than it says.
pub fn s18_status_is_never_older_than_it_says(_: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let Sight::Looked { n, status } = sight else { return None };
    for node in &status.nodes {
        let (Some(said), Some(peer)) = (node.last_heard_ms, world.node(&node.name)) else { continue };
        let machine = &world.machines[*n];
        let heard = machine.heard[peer].at;
        let true_ms = machine.clock.read(world.now).since(heard).as_millis() as u64;
        if said + 1 < true_ms {
            let me = &machine.name;
            return Some(format!(
                "{me} says that it heard {} {said} ms ago; it was {true_ms} ms ago",
                node.name
            ));
        }
    }
    None
}
