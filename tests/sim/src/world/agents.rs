//! What agents and the kernel do with resources.

use cluster::{OpId, OpKind, OpResult, ResourceKey, Run};
use proto::GroupId;

use super::clock::NEVER;
use super::machine::{Item, Mood, Op, Real};
use super::{Happening, LEASE, World};
use crate::check::Sight;

impl World {
    /// An agent becomes good or bad.
    pub fn set_mood(&mut self, n: usize, key: ResourceKey, mood: Mood) {
        let Some(real) = self.machines[n].real.get_mut(key.0 as usize) else { return };
        real.mood = mood;
        self.agents_good &= mood == Mood::Good;
        let name = self.name_of(key).to_owned();
        self.say(n, || format!("the agent of {name} is now: {mood:?}"));
    }

    pub(super) fn op_begins(&mut self, n: usize, run: Run) {
        self.say(n, || {
            format!("begins {:?} of {:?}", run.op, run.resources.iter().map(|k| k.0).collect::<Vec<_>>())
        });
        self.moves += u64::from(run.op != OpKind::Status);
        self.sight(&Sight::Begins { n, run: &run });
        self.count += 1;
        let serial = self.count;
        let machine = &mut self.machines[n];
        let hangs = run.resources.iter().any(|key| machine.real[key.0 as usize].mood == Mood::Hangs);
        let time = if hangs { run.timeout.as_nanos() as u64 } else { machine.op_time };
        machine.ops.push(Op { serial, run, begun: self.now, orphan: false });
        self.at(time, Happening::Ends { node: n, serial });
    }

    fn all_addresses(&self, run: &Run) -> bool {
        run.resources.iter().all(|key| self.is_address(*key))
    }

    pub(super) fn op_ends(&mut self, n: usize, serial: u64) {
        let Some(at) = self.machines[n].ops.iter().position(|op| op.serial == serial) else { return };
        // Agents are processes of their own; addresses are set by the daemon itself.
        let own_work = self.all_addresses(&self.machines[n].ops[at].run);
        if self.machines[n].frozen.is_some() && own_work {
            self.machines[n].stalled.push(serial);
            return;
        }
        let op = self.machines[n].ops.remove(at);
        let run = &op.run;
        let took = u128::from(self.now - op.begun);
        let late = own_work && took > run.timeout.as_nanos() && run.op == OpKind::Start;
        let results = if late { vec![OpResult::TimedOut; run.resources.len()] } else { self.do_op(n, run) };
        if op.orphan {
            return;
        }
        self.say(n, || {
            format!(
                "has done {:?} of {:?}: {results:?}",
                run.op,
                run.resources.iter().map(|k| k.0).collect::<Vec<_>>()
            )
        });
        self.sight(&Sight::Ends { n, run });
        self.feed(n, Item::Input(cluster::Input::OpDone { id: op.run.id, results }));
    }

    /// A look that nobody wants the answer of is ended.
    pub(super) fn op_is_cancelled(&mut self, n: usize, id: OpId) {
        let Some(at) = self.machines[n].ops.iter().position(|op| !op.orphan && op.run.id == id) else {
            return;
        };
        let op = self.machines[n].ops.remove(at);
        let results = vec![OpResult::Failed("ended".to_owned()); op.run.resources.len()];
        self.sight(&Sight::Ends { n, run: &op.run });
        self.feed(n, Item::Input(cluster::Input::OpDone { id, results }));
    }

    /// A service dies by itself.
    pub fn dies(&mut self, n: usize, key: ResourceKey) {
        let Some(real) = self.machines[n].real.get_mut(key.0 as usize) else { return };
        if std::mem::take(&mut real.on) {
            real.died = true;
            let name = self.name_of(key).to_owned();
            self.agents_good = false;
            self.say(n, || format!("{name} dies"));
            self.sight(&Sight::Truth);
        }
    }

    fn do_op(&mut self, n: usize, run: &Run) -> Vec<OpResult> {
        let results = run.resources.iter().map(|key| self.do_one(n, *key, run)).collect();
        self.machines[n].note_leases();
        results
    }

    fn do_one(&mut self, n: usize, key: ResourceKey, run: &Run) -> OpResult {
        let half_done = self.dice.one_in(2);
        let address = self.is_address(key);
        let end = run.leased.then(|| self.local(n) + LEASE);
        let real = &mut self.machines[n].real[key.0 as usize];
        real.died = false;
        if run.op == OpKind::Stop {
            real.held = false;
        }
        if address && run.op != OpKind::Status {
            // A start makes it the daemon's own, a stop takes it away, whoever set it.
            real.stray = None;
        }
        let result = match (run.op, real.mood) {
            (OpKind::Status, Mood::Hangs) => OpResult::TimedOut,
            (OpKind::Status, mood) => {
                let told = real.on != (mood == Mood::Lies);
                if address {
                    real.held = told;
                }
                // What a lie left running is known again, and no better for it until it is stopped.
                real.lied = mood == Mood::Lies || real.lied && real.on;
                if told { OpResult::Running } else { OpResult::NotRunning }
            }
            (_, Mood::Lies) => {
                real.lied = real.on != (run.op == OpKind::Start);
                OpResult::Ok
            }
            (op, mood) => {
                let bad = matches!(
                    (op, mood),
                    (_, Mood::Hangs) | (OpKind::Start, Mood::FailsStart) | (OpKind::Stop, Mood::FailsStop)
                );
                // What failed or was killed at its timeout may have done its work all the same.
                if !bad || half_done {
                    switch(real, op == OpKind::Start, address, end);
                }
                match (bad, mood) {
                    (false, _) => OpResult::Ok,
                    (true, Mood::Hangs) => OpResult::TimedOut,
                    (true, Mood::FailsStart) if self.dice.one_in(4) => {
                        OpResult::Hopeless("not installed".to_owned())
                    }
                    (true, Mood::FailsStart) if self.dice.one_in(8) => {
                        OpResult::Misconfigured("not configured".to_owned())
                    }
                    (true, _) => OpResult::Failed("told to fail".to_owned()),
                }
            }
        };
        real.told = match result {
            OpResult::Running => true,
            OpResult::NotRunning => false,
            OpResult::Ok => run.op == OpKind::Start,
            OpResult::Failed(_) | OpResult::Hopeless(_) | OpResult::Misconfigured(_) | OpResult::TimedOut => {
                real.on
            }
        };
        self.sight(&Sight::Truth);
        result
    }

    /// The daemon is gone: addresses that it was about to set are set or never will be; agents go on.
    pub(super) fn orphan_ops(&mut self, n: usize) {
        for op in &mut self.machines[n].ops {
            op.orphan = true;
        }
        let own: Vec<u64> = self.machines[n]
            .ops
            .iter()
            .filter(|op| op.run.resources.iter().all(|key| self.is_address(*key)))
            .map(|op| op.serial)
            .collect();
        for serial in own {
            self.end_orphan(n, serial);
        }
    }

    /// A new daemon ends what agents of the one before it still do.
    pub(super) fn end_orphans(&mut self, n: usize) {
        let left: Vec<u64> = self.machines[n].ops.iter().map(|op| op.serial).collect();
        for serial in left {
            self.end_orphan(n, serial);
        }
    }

    fn end_orphan(&mut self, n: usize, serial: u64) {
        let Some(at) = self.machines[n].ops.iter().position(|op| op.serial == serial) else { return };
        let op = self.machines[n].ops.remove(at);
        if self.dice.one_in(2) {
            self.do_op(n, &op.run);
        }
    }

    /// Renews what the daemon holds of these groups, putting back what is missing.
    pub(super) fn lease(&mut self, n: usize, groups: &[GroupId], leased: bool) {
        let end = leased.then(|| self.local(n) + LEASE);
        let machine = &mut self.machines[n];
        let mut changed = false;
        for group in machine.settings.groups.iter().filter(|g| groups.contains(&GroupId::of(&g.name))) {
            for resource in group.resources.iter().filter(|resource| resource.address) {
                let real = &mut machine.real[resource.key.0 as usize];
                if real.held {
                    changed |= !real.on;
                    (real.on, real.lease) = (true, end);
                }
            }
        }
        machine.note_leases();
        if changed {
            self.say(n, || "puts addresses back".to_owned());
            self.sight(&Sight::Truth);
            let resources = self.addresses_of(n);
            self.feed(n, Item::Input(cluster::Input::PutBack { resources }));
        }
    }

    /// The kernel takes away what nobody renewed.
    pub(super) fn end_leases(&mut self, n: usize) {
        let now = self.local(n);
        for key in 0..self.machines[n].real.len() {
            let real = &mut self.machines[n].real[key];
            if real.lease.is_some_and(|end| end <= now) {
                (real.on, real.lease) = (false, None);
                let name = self.catalog[key].name.clone();
                self.say(n, || format!("its kernel takes {name} away"));
            }
        }
        self.machines[n].next_lease = NEVER;
        self.machines[n].note_leases();
        self.sight(&Sight::Truth);
    }

    /// Somebody removes an address by hand.
    pub fn steal(&mut self, n: usize, key: ResourceKey) {
        let machine = &mut self.machines[n];
        let Some(real) = machine.real.get_mut(key.0 as usize) else { return };
        (real.on, real.lease) = (false, None);
        machine.note_leases();
        let name = self.name_of(key).to_owned();
        self.say(n, || format!("somebody removes {name}"));
        self.sight(&Sight::Truth);
    }
}

impl World {
    /// Keys of the addresses in the configuration that the daemon of a machine has.
    pub(super) fn addresses_of(&self, n: usize) -> Vec<ResourceKey> {
        let own = self.machines[n].settings.groups.iter().flat_map(|group| &group.resources);
        own.filter(|resource| resource.address).map(|resource| resource.key).collect()
    }
}

fn switch(real: &mut Real, on: bool, address: bool, end: Option<cluster::Time>) {
    (real.on, real.lied, real.lease) = (on, false, None);
    if on && address {
        (real.lease, real.held) = (end, true);
    }
}
