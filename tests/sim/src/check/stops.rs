//! Failed stops.

use cluster::OpKind;
use proto::{GroupId, GroupState};

use super::{Notes, Sight};
use crate::world::World;

/// What is remembered of them.
pub struct Stops {
    /// By node and group: since when it knows of some other node that a stop failed there, and of no word since that
    /// all is well.
    warned: Vec<Vec<Option<(usize, u64)>>>,
    /// By node and sender: the life and the sequence of the newest message.
    newest: Vec<Vec<(u64, u64)>>,
    /// By node and sender: the life that is known to have ended; what still comes of it was on its way.
    ended: Vec<Vec<Option<u64>>>,
    /// Nodes whose disk failed or was lost: they may have forgotten.
    forgetful: Vec<bool>,
}

impl Stops {
    /// Nothing seen yet.
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self {
            warned: vec![vec![None; groups]; nodes],
            newest: vec![vec![(0, 0); nodes]; nodes],
            ended: vec![vec![None; nodes]; nodes],
            forgetful: vec![false; nodes],
        }
    }
}

/// S3: a failed or timed-out stop is never followed by a start on the peer without fence, watchdog bound or operator.
///
/// A node knows of one from the message that tells of it. A life that ends before a write has had its time takes what it
/// had just heard with it, as if it had not been heard.
pub fn s3_a_failed_stop_is_never_followed_by_a_start(
    notes: &mut Notes,
    world: &World,
    sight: &Sight,
) -> Option<String> {
    let note = &mut notes.stops;
    match sight {
        Sight::Heard { n, packet, .. } => heard(note, world, *n, packet),
        Sight::Acknowledged { n, other } => {
            note.ended[*n][*other] = Some(note.newest[*n][*other].0);
            for warned in &mut note.warned[*n] {
                *warned = warned.filter(|(who, _)| who != other);
            }
        }
        Sight::StateLost { n } | Sight::DiskTrouble { n } => {
            note.forgetful[*n] = true;
            note.warned[*n].fill(None);
        }
        Sight::Died { n, ran_until } => {
            let written = 10 * world.machines[*n].disk.slowest;
            for warned in &mut note.warned[*n] {
                *warned = warned.filter(|(_, since)| since + written < *ran_until);
            }
            note.newest[*n].fill((0, 0));
        }
        Sight::Begins { n, run } if run.op == OpKind::Start && !note.forgetful[*n] => {
            let g = world.settings.groups.iter().position(|g| GroupId::of(&g.name) == run.group)?;
            let (who, _) = note.warned[*n][g]?;
            if !world.runs_any(*n, g) {
                let (group, node) = (&world.settings.groups[g].name, &world.machines[who].name);
                let here = &world.machines[*n].name;
                return Some(format!("{group} starts on {here}, which knows that a stop failed on {node}"));
            }
        }
        _ => {}
    }
    None
}

fn heard(note: &mut Stops, world: &World, n: usize, packet: &crate::world::wire::Packet) {
    let Some(message) = &packet.message else { return };
    if note.ended[n][packet.from] == Some(message.boot) {
        return;
    }
    let newest = &mut note.newest[n][packet.from];
    let old = newest.0 == message.boot && message.sequence <= newest.1;
    if old || !message.echoes.iter().any(|echo| echo.boot == world.machines[n].boot) {
        return;
    }
    *newest = (message.boot, message.sequence);
    for report in &message.groups {
        let Some(g) = world.settings.groups.iter().position(|g| GroupId::of(&g.name) == report.id) else {
            continue;
        };
        let warned = &mut note.warned[n][g];
        if report.state == GroupState::Blocked {
            warned.get_or_insert((packet.from, world.now));
        } else {
            *warned = warned.filter(|(who, _)| *who != packet.from);
        }
    }
}
