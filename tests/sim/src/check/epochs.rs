//! Epochs of ownership.

use cluster::OpKind;
use proto::{GroupId, GroupState, NodeState};

use super::{Notes, Sight};
use crate::world::World;

/// Changes of ownership that calm may bring, of one group.
const SETTLING: u32 = 8;

/// What is remembered of them.
pub struct Epochs {
    /// By node and group: the life and the epoch of the newest claim.
    claims: Vec<Vec<Option<(u32, u64)>>>,
    /// Nodes whose disk failed or was lost: their epochs may be used again.
    forgetful: Vec<bool>,
    /// By group: claims since the faults ended.
    calm: Vec<u32>,
}

impl Epochs {
    /// Nothing seen yet.
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { claims: vec![vec![None; groups]; nodes], forgetful: vec![false; nodes], calm: vec![0; groups] }
    }
}

fn place(world: &World, id: GroupId) -> Option<usize> {
    world.settings.groups.iter().position(|group| GroupId::of(&group.name) == id)
}

/// S5: the epochs of one node's claims grow, across crashes and torn files; nothing starts under one of a former life,
/// unless that ownership goes on. (Not after its state was lost: then the others tell it, as soon as they are heard.)
pub fn s5_epochs_grow(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let note = &mut notes.epochs;
    match sight {
        Sight::StateLost { n } | Sight::DiskTrouble { n } => {
            note.forgetful[*n] = true;
            None
        }
        Sight::Sent { n, message } => {
            let mut wrong = None;
            for report in &message.groups {
                let Some(g) = place(world, report.id) else { continue };
                let life = world.machines[*n].life;
                if let Some(newest) = &mut note.claims[*n][g]
                    && (report.state, report.epoch) == (GroupState::Started, newest.1)
                {
                    // What a former life left goes on.
                    newest.0 = life;
                }
                let claims = matches!(report.state, GroupState::Starting | GroupState::Started);
                if claims && message.state == NodeState::Up {
                    wrong = wrong.or(claim(note, world, *n, g, report.epoch));
                }
            }
            wrong
        }
        Sight::Begins { n, run } if run.op == OpKind::Start => starts_under(note, world, *n, run.group),
        _ => None,
    }
}

fn claim(note: &mut Epochs, world: &World, n: usize, g: usize, epoch: u64) -> Option<String> {
    let life = world.machines[n].life;
    let Some((old_life, old)) = note.claims[n][g] else {
        note.claims[n][g] = Some((life, epoch));
        return None;
    };
    // An ownership of a former life may go on, or be found without knowing its epoch any more.
    if epoch > old || note.forgetful[n] {
        note.claims[n][g] = Some((life, epoch));
        note.calm[g] += u32::from(world.calm && epoch > old);
    } else if epoch < old && life == old_life {
        let name = &world.settings.groups[g].name;
        return Some(format!("{} claims {name} under epoch {epoch}, after {old}", world.machines[n].name));
    }
    None
}

fn starts_under(note: &Epochs, world: &World, n: usize, group: GroupId) -> Option<String> {
    let g = place(world, group)?;
    let (life, newest) = note.claims[n][g].filter(|_| !note.forgetful[n])?;
    let status = world.status(n)?;
    let name = &world.settings.groups[g].name;
    let epoch = status.groups.iter().find(|group| group.name == *name)?.epoch;
    let goes_on = life == world.machines[n].life || world.runs_any(n, g);
    let used = epoch < newest && life == world.machines[n].life || epoch <= newest && !goes_on;
    used.then(|| format!("{} starts {name} under epoch {epoch}, used up to {newest}", world.machines[n].name))
}

/// L3: ownership changes are bounded: calm brings a few of each group, and once settled there are none.
pub fn l3_ownership_changes_are_bounded(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    match sight {
        Sight::Calm => notes.epochs.calm.fill(0),
        Sight::Settled | Sight::Moment if world.calm => {
            let g = notes.epochs.calm.iter().position(|&count| count > SETTLING)?;
            return Some(format!("{} changes its owner again and again", world.settings.groups[g].name));
        }
        _ => {}
    }
    None
}
