//! Processes that were stopped and go on.

use cluster::{Action, OpKind};

use proto::{GroupId, NodeState};

use super::{Notes, Sight};
use crate::world::World;

/// What is remembered of them.
pub struct Pauses {
    /// By node: the peers that were up when it was stopped, if it took part then.
    peers: Vec<Vec<usize>>,
    /// By node: since when it must look before it acts, and who has not been heard since.
    doubt: Vec<Option<(u64, Vec<usize>)>>,
}

impl Pauses {
    /// Nothing seen yet.
    pub fn new(nodes: usize) -> Self {
        Self { peers: vec![Vec::new(); nodes], doubt: vec![None; nodes] }
    }
}

/// S11: after a pause longer than deadtime: first look, then act. Nothing is started, renewed or announced before each
/// peer that was up has been heard anew, or deadtime has passed.
pub fn s11_after_a_pause_first_look_then_act(
    notes: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let note = &mut notes.pauses;
    let deadtime = world.settings.deadtime.as_nanos() as u64;
    match sight {
        Sight::Slept { n } => {
            let status = world.status(*n).filter(|status| status.state != "leaving");
            let nodes = status.into_iter().flat_map(|status| status.nodes);
            note.peers[*n] =
                nodes.filter(|node| node.state == "up").filter_map(|node| world.node(&node.name)).collect();
        }
        Sight::Woke { n, slept } => {
            // Its own clock is what it goes by.
            let long = *slept > deadtime + deadtime / 50;
            note.doubt[*n] =
                (long && !note.peers[*n].is_empty()).then(|| (world.now, note.peers[*n].clone()));
        }
        Sight::Died { n, .. } => note.doubt[*n] = None,
        Sight::Heard { n, packet, waited } => {
            // Who has said farewell can have taken nothing.
            let left = || packet.message.as_ref().is_some_and(|said| said.state == NodeState::Left);
            if let Some((_, silent)) = &mut note.doubt[*n]
                && (!waited || left())
            {
                silent.retain(|peer| *peer != packet.from);
            }
        }
        Sight::Acts { n, action } => {
            let (since, silent) = note.doubt[*n].as_ref()?;
            if silent.is_empty() || world.now > since + deadtime * 98 / 100 {
                note.doubt[*n] = None;
                return None;
            }
            let what = match action {
                Action::Run(run) if run.op == OpKind::Start => "starts something",
                Action::Lease { groups, leased: true } if ends_only(world, *n, groups) => return None,
                Action::Lease { .. } => "renews its addresses",
                Action::Announce { .. } => "announces its addresses",
                _ => return None,
            };
            return Some(format!("{} {what} after a pause, and has not looked yet", world.machines[*n].name));
        }
        _ => {}
    }
    None
}

/// All addresses of these groups that are set on machine `n` are without end, and given one: that is no renewal.
fn ends_only(world: &World, n: usize, groups: &[GroupId]) -> bool {
    let machine = &world.machines[n];
    let of = |group: &&cluster::GroupSettings| groups.contains(&GroupId::of(&group.name));
    let addresses = machine.settings.groups.iter().filter(of).flat_map(|group| &group.resources);
    addresses
        .filter(|resource| resource.address)
        .map(|resource| &machine.real[resource.key.0 as usize])
        .all(|real| real.on && real.lease.is_none())
}
