//! Fence devices: a power switch for each machine, with moods of its own.

use cluster::{Action, FenceId, FenceOutcome, Input};

use super::clock::NEVER;
use super::machine::Item;
use super::{Happening, World};
use crate::check::Sight;

/// How the fence device of a machine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// It switches the machine off and says so.
    Works,
    /// It does nothing and says that it failed.
    Fails,
    /// It switches the machine off, and its answer is lost: a timeout.
    Mute,
}

impl World {
    /// The device of a machine is asked to fence it.
    pub(super) fn fence_begins(&mut self, n: usize, id: FenceId, node: &str) {
        let Some(target) = self.node(node) else { return };
        let life = self.machines[n].life;
        self.say(n, || format!("has {node} fenced"));
        self.fencing += 1;
        self.at(self.machines[target].fence_time, Happening::Fenced { by: n, life, id, target });
    }

    pub(super) fn fence_ends(&mut self, by: usize, life: u32, id: FenceId, target: usize) {
        self.fencing -= 1;
        if self.machines[by].life != life {
            // The agent ended with its daemon.
            return;
        }
        let device = self.machines[target].device;
        self.say(by, || format!("the fence device: {device:?}"));
        if device != Device::Fails {
            self.sight(&Sight::Fenced { by, target });
            self.power_off(target);
            // In a trial whoever looks on decides when it is back.
            let back = if self.settled { NEVER } else { self.setup.fence_back };
            self.back(target, back);
        }
        let outcome = match device {
            Device::Works => {
                self.sight(&Sight::Acknowledged { n: by, other: target });
                FenceOutcome::Confirmed { by: "device".to_owned() }
            }
            Device::Fails | Device::Mute => FenceOutcome::Failed("no answer within 1s".to_owned()),
        };
        self.feed(by, Item::Input(Input::FenceDone { id, outcome }));
    }

    /// Time in which whoever must be fenced is, if the devices are good, and in which a key nobody renews is gone.
    pub fn fence_bound(&self) -> u64 {
        let delays = self.settings.fences.iter().map(|fence| fence.delay.as_nanos() as u64);
        let times = self.machines.iter().map(|machine| machine.fence_time);
        let fenced = delays.max().map_or(0, |delay| delay * 101 / 100 + times.max().unwrap_or(0));
        fenced.max(self.witness_bound())
    }
}

/// Whether an action uses a fence device.
pub fn is_fence(action: &Action) -> bool {
    matches!(action, Action::Fence { .. })
}
