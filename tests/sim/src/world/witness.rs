//! The witness, the way to it, its faults; and the watchdogs that are petted by its grace.

use cluster::{Core, Input, WitnessAnswer, WitnessAsk, WitnessId};

use super::clock::{Clock, NEVER};
use super::machine::Item;
use super::store::Store;
use super::{Happening, World};
use crate::check::Sight;

/// The witness and the way to it.
pub struct Witness {
    /// What it keeps.
    pub store: Store,
    /// Its own clock.
    pub clock: Clock,
    /// Its process is gone; what it keeps is on its disk.
    pub down: bool,
    /// Its process is stopped: what it is asked waits.
    pub paused: bool,
    /// Asked while it was stopped.
    waiting: Vec<Request>,
    /// By node: its requests do not come through.
    pub cut: Vec<bool>,
    /// By node: its answers do not come through.
    pub mute: Vec<bool>,
    /// What a request takes to get there, and an answer to get back.
    pub delay: u64,
    /// Counts ends of faults still to come, by kind: down, paused, slow.
    pub faults: [u32; 3],
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub node: usize,
    /// In which life.
    pub life: u32,
    /// The core's number.
    pub id: WitnessId,
    /// What.
    pub ask: WitnessAsk,
    /// The lease that the daemon knew of.
    pub lease: Option<u64>,
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub struct Answer {
    /// To whom.
    pub node: usize,
    /// To which life.
    pub life: u32,
    /// The core's number.
    pub id: WitnessId,
    /// What.
    pub answer: WitnessAnswer,
    /// The lease that the daemon has from then on, if that was the question.
    pub lease: Option<Option<u64>>,
}

impl Witness {
    /// One that was just started.
    pub fn new(now: u64, nodes: usize, ppm: i64, delay: u64) -> Self {
        Self {
            store: Store::default(),
            clock: Clock::new(now, now, ppm),
            down: false,
            paused: false,
            waiting: Vec::new(),
            cut: vec![false; nodes],
            mute: vec![false; nodes],
            delay,
            faults: [0; 3],
        }
    }
}

impl World {
    pub(super) fn witness_is_asked(&mut self, n: usize, id: WitnessId, ask: WitnessAsk) {
        self.say(n, || format!("asks the witness {}: {ask:?}", id.0));
        let patience = self.settings.witness.map_or(0, |witness| witness.patience().as_nanos() as u64);
        let machine = &mut self.machines[n];
        machine.asks.insert(id);
        let (life, lease) = (machine.life, machine.lease);
        let answer = WitnessAnswer::Failed("no answer in time".to_owned());
        self.at(patience, Happening::Answered(Answer { node: n, life, id, answer, lease: None }));
        if !self.witness.cut[n] {
            self.at(self.witness.delay, Happening::Asked(Request { node: n, life, id, ask, lease }));
        }
    }

    pub(super) fn witness_hears(&mut self, request: Request) {
        if self.witness.down {
            return;
        }
        if self.witness.paused {
            return self.witness.waiting.push(request);
        }
        let Request { node, life, id, ask, lease } = request;
        let now = self.witness.clock.read(self.now);
        let (answer, lease) = self.witness.store.ask(now, &self.machines[node].name, lease, &ask);
        let lease = matches!(ask, WitnessAsk::Renew { .. }).then_some(lease);
        self.say(node, || format!("is answered {}: {answer:?}", id.0));
        if !self.witness.mute[node] {
            let answer = Answer { node, life, id, answer, lease };
            self.at(self.witness.delay, Happening::Answered(answer));
        }
    }

    pub(super) fn witness_answers(&mut self, told: Answer) {
        let machine = &mut self.machines[told.node];
        if machine.core.is_none() || machine.life != told.life || !machine.asks.remove(&told.id) {
            return;
        }
        machine.lease = told.lease.unwrap_or(machine.lease);
        self.feed(told.node, Item::Input(Input::Witness { id: told.id, answer: told.answer }));
        self.sight(&Sight::Witnessed { n: told.node });
    }

    /// Its process ends; with its disk.
    pub fn witness_ends(&mut self) {
        self.say(0, || "the witness is killed".to_owned());
        self.witness.down = true;
        self.witness.waiting.clear();
    }

    /// It is started again with the state it had.
    pub fn witness_starts(&mut self) {
        if std::mem::take(&mut self.witness.down) {
            self.say(0, || "the witness is started".to_owned());
            let now = self.witness.clock.read(self.now);
            self.witness.store.restarted(now);
        }
    }

    /// Its process goes on, and does what it was asked meanwhile.
    pub fn witness_goes_on(&mut self) {
        if std::mem::take(&mut self.witness.paused) {
            self.say(0, || "the witness goes on".to_owned());
            for request in std::mem::take(&mut self.witness.waiting) {
                self.witness_hears(request);
            }
        }
    }

    /// Nothing is wrong with it any more.
    pub(super) fn calm_witness(&mut self) {
        self.witness_starts();
        self.witness_goes_on();
        self.witness.cut.fill(false);
        self.witness.mute.fill(false);
        self.witness.delay = self.setup.witness_delay;
    }

    /// When the lease that a machine has on the witness really ends, in true time.
    pub fn lease_ends(&self, n: usize) -> Option<u64> {
        if self.witness.down {
            // It lives again for its whole time when the witness does.
            return Some(NEVER);
        }
        let ends = self.witness.store.ends(self.machines[n].lease?)?;
        Some(self.witness.clock.when(ends))
    }

    /// Who really has the key of a group.
    pub fn key_holder(&self, group: &str) -> Option<usize> {
        let (value, lease) = self.witness.store.keys.get(group)?;
        let alive = self.witness.store.ends(*lease)? > self.witness.clock.read(self.now);
        if alive || self.witness.down { self.node(&value.node) } else { None }
    }

    /// Time in which a key that nobody renews is gone, and everybody knows.
    pub fn witness_bound(&self) -> u64 {
        let Some(witness) = &self.settings.witness else { return 0 };
        let ttl = witness.ttl.as_nanos() as u64;
        ttl * 103 / 100 + ttl / 10 + 20 * self.setup.witness_delay
    }

    /// The driver looks after each input whether it may pet.
    pub(super) fn pet(&mut self, n: usize) {
        let Some(timeout) = self.settings.witness.and_then(|witness| witness.watchdog) else { return };
        let timeout = timeout.as_nanos() as u64;
        let (now, local) = (self.now, self.local(n));
        let machine = &mut self.machines[n];
        let Some(core) = &machine.core else { return };
        let due = machine.bites == NEVER || now + timeout - machine.bites >= timeout / 4;
        if due && core.may_pet(local) {
            machine.bites = now + timeout;
            self.sight(&Sight::Petted { n });
        }
    }

    /// A daemon that ends stops its watchdog, if it may.
    pub(super) fn disarm(&mut self, n: usize) {
        if self.machines[n].core.as_ref().is_some_and(Core::may_disarm) {
            self.machines[n].bites = NEVER;
        }
    }

    /// Nobody has petted the watchdog in time.
    pub(super) fn watchdog_bites(&mut self, n: usize) {
        self.say(n, || "is reset by its watchdog".to_owned());
        self.machines[n].bites = NEVER;
        self.power_off(n);
        let back = if self.settled { NEVER } else { self.setup.fence_back };
        self.back(n, back);
    }
}
