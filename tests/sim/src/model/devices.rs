//! A witness, watchdogs and fence devices in the small world: each answer that may be given, or lost.

use std::time::Duration;

use cluster::{FenceId, FenceOutcome, FenceSettings, Input, Requires, Settings, Time};
use cluster::{WitnessAnswer, WitnessAsk, WitnessId, WitnessSettings};

use super::{Bounds, Cut, State};
use crate::world::store::Store;

/// As short as it may be for an owner to be replaced within a short history.
const TTL: Duration = Duration::from_millis(1200);
/// Within this time a watchdog resets its machine.
const WATCHDOG: Duration = Duration::from_millis(400);

/// What a request to a device comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Done, and said.
    Done,
    /// Done, and the answer is lost.
    Mute,
    /// Not done, and no answer.
    Lost,
}

/// The devices, and what they were asked and have not answered.
#[derive(Clone, Default)]
pub struct Devices {
    /// The witness.
    pub store: Store,
    /// Requests to it: from which node.
    pub asked: Vec<(usize, WitnessId, WitnessAsk)>,
    /// The lease that each node knows of.
    pub leases: [Option<u64>; 2],
    /// When the watchdog of each node resets it.
    pub bites: [Option<u64>; 2],
    /// Within which time, if there are any.
    pub watchdog: Option<Duration>,
    /// Fencings under way: who asked.
    pub fencing: Vec<(usize, FenceId)>,
}

impl Devices {
    /// Those of the bounds.
    pub fn new(bounds: &Bounds) -> Self {
        let watchdog = (bounds.requires == Requires::Witness).then_some(WATCHDOG);
        Self { watchdog, ..Self::default() }
    }
}

/// The settings of the devices, if the bounds have any.
pub fn add(settings: &mut Settings, bounds: &Bounds) {
    if bounds.requires == Requires::Witness {
        settings.witness = Some(WitnessSettings { ttl: TTL, watchdog: Some(WATCHDOG) });
    }
    if bounds.fence {
        let device = |node: &String| FenceSettings { node: node.clone(), delay: Duration::ZERO };
        settings.fences = settings.nodes.iter().map(device).collect();
    }
}

impl State {
    /// The first request of a node to the witness meets its fate.
    pub(super) fn witness_answers(&mut self, at: usize, fate: Fate, cut: Cut) {
        let (n, id, ask) = self.devices.asked.remove(at);
        let mut answer = WitnessAnswer::Failed("no answer in time".to_owned());
        if fate != Fate::Lost {
            let (name, lease) = (["a", "b"][n], self.devices.leases[n]);
            let (said, lease) = self.devices.store.ask(Time(self.now), name, lease, &ask);
            if fate == Fate::Done {
                answer = said;
                if let WitnessAsk::Renew { .. } = ask {
                    self.devices.leases[n] = lease;
                }
            }
        }
        self.handle(n, Input::Witness { id, answer }, cut);
    }

    /// A fence device meets its fate: the other node goes off, or not.
    pub(super) fn fence_answers(&mut self, at: usize, fate: Fate, cut: Cut) {
        let (n, id) = self.devices.fencing.remove(at);
        if fate != Fate::Lost {
            self.die(1 - n, true);
        }
        let outcome = match fate {
            Fate::Done => FenceOutcome::Confirmed { by: "device".to_owned() },
            Fate::Mute | Fate::Lost => FenceOutcome::Failed("timed out".to_owned()),
        };
        self.handle(n, Input::FenceDone { id, outcome }, cut);
    }

    /// What a dead node had asked and was not done yet never will be.
    pub(super) fn forget_requests(&mut self, n: usize, power: bool) {
        self.devices.asked.retain(|(by, _, _)| *by != n);
        self.devices.fencing.retain(|(by, _)| *by != n);
        self.devices.leases[n] = None;
        if power {
            self.devices.bites[n] = None;
        }
    }

    /// The driver looks whether it may pet.
    pub(super) fn pet(&mut self, n: usize) {
        let now = Time(self.now);
        let watched = self
            .devices
            .watchdog
            .filter(|_| self.nodes[n].core.as_ref().is_some_and(|core| core.may_pet(now)));
        if let Some(timeout) = watched {
            self.devices.bites[n] = Some((now + timeout).0);
        }
    }

    /// Watchdogs that were not petted in time.
    pub(super) fn bite(&mut self) {
        for n in 0..2 {
            if self.devices.bites[n].is_some_and(|at| at <= self.now) {
                self.die(n, true);
            }
        }
    }
}
