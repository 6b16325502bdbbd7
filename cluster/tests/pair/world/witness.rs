//! The witness, the way to it, and the watchdogs that are petted by its grace.

use super::store::Store;
use super::*;

/// The witness and the way to it.
pub struct Witness {
    pub store: Store,
    /// It answers nothing.
    pub down: bool,
    /// Nodes whose requests do not come through.
    pub cut: BTreeSet<usize>,
    /// Nodes to which its answers do not come through: it does what they ask.
    pub mute: BTreeSet<usize>,
    /// What a request takes to get there, and its answer back.
    pub delay: Duration,
    /// Requests it has seen.
    pub seen: u64,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            store: Store::default(),
            down: false,
            cut: BTreeSet::new(),
            mute: BTreeSet::new(),
            delay: Duration::from_millis(1),
            seen: 0,
        }
    }
}

impl World {
    pub(super) fn ask_witness(&mut self, n: usize, id: WitnessId, ask: WitnessAsk) {
        let node = &mut self.nodes[n];
        node.asks.insert(id);
        let (life, lease) = (node.life, node.lease);
        if let WitnessAsk::Take { .. } | WitnessAsk::Release { .. } = ask {
            self.say(n, &format!("asks the witness: {ask:?}"));
        }
        let patience = self.settings.witness.map_or(Duration::ZERO, |witness| witness.patience());
        self.at(self.witness.delay, Happening::Asked { node: n, life, id, ask, lease });
        self.at(patience, Happening::GivesUp { node: n, life, id });
    }

    pub(super) fn witness_hears(
        &mut self,
        n: usize,
        life: u32,
        id: WitnessId,
        ask: WitnessAsk,
        lease: Option<u64>,
    ) {
        if self.witness.down || self.witness.cut.contains(&n) {
            return;
        }
        self.witness.seen += 1;
        let name = self.nodes[n].name.clone();
        let (answer, lease) = self.witness.store.ask(self.now, &name, lease, &ask);
        let lease = if let WitnessAsk::Renew { .. } = ask { lease } else { self.nodes[n].lease };
        if !self.witness.mute.contains(&n) {
            self.at(self.witness.delay, Happening::Answered { node: n, life, id, answer, lease });
        }
    }

    pub(super) fn witness_answers(
        &mut self,
        n: usize,
        life: u32,
        id: WitnessId,
        answer: WitnessAnswer,
        lease: Option<u64>,
    ) {
        let node = &mut self.nodes[n];
        if node.core.is_none() || node.life != life || !node.asks.remove(&id) {
            return;
        }
        if !matches!(answer, WitnessAnswer::Failed(_)) {
            node.lease = lease;
        }
        self.input(n, Input::Witness { id, answer });
    }

    /// Who has the key of the group g.
    pub fn key(&mut self) -> Option<String> {
        self.witness.store.expire(self.now);
        self.witness.store.holder("g").map(str::to_owned)
    }

    /// The driver looks whether it may pet, after each input.
    pub(super) fn pet(&mut self, n: usize) {
        let Some(timeout) = self.settings.witness.and_then(|witness| witness.watchdog) else { return };
        let node = &mut self.nodes[n];
        let Some(core) = &node.core else { return };
        let due = node.petted.is_none_or(|at| self.now.since(at) >= timeout / 4);
        if due && core.may_pet(self.now) {
            node.petted = Some(self.now);
            node.pets += 1;
            let pets = node.pets;
            self.at(timeout, Happening::Bites { node: n, pets });
        }
    }

    pub(super) fn disarm(&mut self, n: usize) {
        if self.nodes[n].core.as_ref().is_some_and(Core::may_disarm) {
            self.nodes[n].petted = None;
        }
    }

    pub(super) fn watchdog_bites(&mut self, n: usize, pets: u64) {
        let node = &self.nodes[n];
        if node.petted.is_some() && node.pets == pets {
            self.say(n, "is reset by its watchdog");
            self.power_off(n);
        }
    }
}
