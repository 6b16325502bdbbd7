//! Operators' commands.

use std::collections::BTreeMap;

use super::{Notes, Sight};
use crate::world::World;

/// What is remembered of them.
#[derive(Default)]
pub struct Orders {
    /// Not answered yet: given to which node, in which life, and what.
    open: BTreeMap<u64, (usize, u32, String)>,
}

impl Orders {
    /// Commands without a last word.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

/// L7: every operator command ends with a result or a reason.
pub fn l7_every_command_ends_with_a_word(notes: &mut Notes, world: &World, sight: &Sight) -> Option<String> {
    let open = &mut notes.orders.open;
    match sight {
        Sight::Given { n, id, command } => {
            open.insert(*id, (*n, world.machines[*n].life, format!("{command:?}")));
        }
        Sight::Replied { id } => {
            open.remove(id);
        }
        // Whoever asked a daemon that then died saw the connection end.
        Sight::Died { n, .. } => open.retain(|_, (node, _, _)| node != n),
        Sight::Settled | Sight::End => {
            let (n, _, what) = open.values().next()?;
            return Some(format!("no last word on {what}, given to {}", world.machines[*n].name));
        }
        _ => {}
    }
    None
}
