//! What a witness keeps: leases, keys tied to them, and last epochs. Pure: time is an argument, by the witness's own clock.
//!
//! The pair of cores in `cluster/tests/pair` uses it too.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Time, WitnessAnswer, WitnessAsk};

/// What a key and a last epoch say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Whose; empty if nobody's.
    pub node: String,
    /// Which life of its daemon.
    pub life: u64,
    /// Under which epoch.
    pub epoch: u64,
}

/// A lease.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// It lives so long after each renewal.
    pub ttl: Duration,
    /// When it ends.
    pub until: Time,
}

/// What the witness keeps.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// By number.
    pub leases: BTreeMap<u64, Lease>,
    /// By group, with the number of the lease each is tied to.
    pub keys: BTreeMap<String, (Value, u64)>,
    /// By group.
    pub last: BTreeMap<String, Value>,
    granted: u64,
}

impl Store {
    /// Leases that have ended are gone, and their keys; true if there were any.
    pub fn expire(&mut self, now: Time) -> bool {
        let before = self.leases.len();
        self.leases.retain(|_, lease| lease.until > now);
        let leases = &self.leases;
        self.keys.retain(|_, (_, lease)| leases.contains_key(lease));
        self.leases.len() < before
    }

    /// It was started again with the state it had: every lease lives for its whole time again.
    pub fn restarted(&mut self, now: Time) {
        for lease in self.leases.values_mut() {
            lease.until = now + lease.ttl;
        }
    }

    /// Who has the key of a group.
    pub fn holder(&self, group: &str) -> Option<&str> {
        self.keys.get(group).map(|(value, _)| value.node.as_str())
    }

    /// When a lease ends.
    pub fn ends(&self, lease: u64) -> Option<Time> {
        self.leases.get(&lease).map(|lease| lease.until)
    }

    /// Does what `node` asks, which knows this lease of its own; with the answer comes the lease it has from then on.
    pub fn ask(
        &mut self,
        now: Time,
        node: &str,
        lease: Option<u64>,
        ask: &WitnessAsk,
    ) -> (WitnessAnswer, Option<u64>) {
        self.expire(now);
        match ask {
            WitnessAsk::Renew { ttl } => self.renew(now, lease, *ttl),
            WitnessAsk::Take { group, epoch, life } => {
                let value = Value { node: node.to_owned(), life: *life, epoch: *epoch };
                match lease.filter(|lease| self.leases.contains_key(lease)) {
                    None => (WitnessAnswer::LeaseGone, None),
                    Some(alive) => (self.take(now, group, value, alive), lease),
                }
            }
            WitnessAsk::Release { group, epoch } => {
                self.release(node, group, *epoch);
                (WitnessAnswer::Released, lease)
            }
        }
    }

    fn renew(&mut self, now: Time, lease: Option<u64>, ttl: Duration) -> (WitnessAnswer, Option<u64>) {
        if let Some(alive) = lease.and_then(|lease| self.leases.get_mut(&lease)) {
            alive.until = now + alive.ttl;
            return (WitnessAnswer::Renewed { ttl: alive.ttl, new: false }, lease);
        }
        self.granted += 1;
        self.leases.insert(self.granted, Lease { ttl, until: now + ttl });
        (WitnessAnswer::Renewed { ttl, new: true }, Some(self.granted))
    }

    fn take(&mut self, now: Time, group: &str, value: Value, lease: u64) -> WitnessAnswer {
        if let Some((other, tied)) = self.keys.get(group).filter(|(key, _)| key.node != value.node) {
            let left = self.ends(*tied).map(|until| until.since(now));
            return WitnessAnswer::Held { by: other.node.clone(), epoch: other.epoch, left };
        }
        if let Some(last) = self.last.get(group)
            && !(value.epoch > last.epoch || value == *last)
        {
            return WitnessAnswer::Outdated { epoch: last.epoch };
        }
        self.keys.insert(group.to_owned(), (value.clone(), lease));
        self.last.insert(group.to_owned(), value);
        WitnessAnswer::Taken
    }

    fn release(&mut self, node: &str, group: &str, epoch: u64) {
        if self.holder(group) == Some(node) {
            self.keys.remove(group);
        }
        let below = |last: &Value| last.epoch < epoch || last.epoch == epoch && last.node == node;
        if self.last.get(group).is_none_or(below) {
            self.last.insert(group.to_owned(), Value { node: String::new(), life: 0, epoch });
        }
    }
}
