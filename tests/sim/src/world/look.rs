//! Looking at the world: what runs where, what the nodes say of it.

use cluster::status::Status;
use cluster::{ResourceKey, Time};

use super::World;
use crate::check::Sight;

impl World {
    /// A line of the record about a machine.
    pub fn say(&mut self, n: usize, text: impl FnOnce() -> String) {
        if self.trace.on() {
            let at = self.now;
            let name = self.machines[n].name.clone();
            self.trace.line(at, &name, &text());
        }
    }

    /// A machine's own time.
    pub fn local(&self, n: usize) -> Time {
        self.machines[n].clock.read(self.now)
    }

    /// The status as a node shows it.
    pub fn status(&self, n: usize) -> Option<Status> {
        Some(self.machines[n].core.as_ref()?.status(self.local(n)))
    }

    /// An operator looks at the status of a node.
    pub fn look(&mut self, n: usize) {
        if self.machines[n].awake()
            && let Some(status) = self.status(n)
        {
            self.sight(&Sight::Looked { n, status: &status });
        }
    }

    /// A resource's name.
    pub fn name_of(&self, key: ResourceKey) -> &str {
        self.catalog.get(key.0 as usize).map_or("?", |known| &known.name)
    }

    /// A built-in address.
    pub fn is_address(&self, key: ResourceKey) -> bool {
        self.catalog.get(key.0 as usize).is_some_and(|known| known.address)
    }

    /// Whether anything of a group runs on a machine; what an agent lied of does not count.
    pub fn runs_any(&self, n: usize, group: usize) -> bool {
        let machine = &self.machines[n];
        machine
            .real
            .iter()
            .zip(&self.catalog)
            .any(|(real, known)| real.on && !real.lied && known.group == group)
    }

    /// Whether all of a group as it is configured now runs on a machine.
    pub fn runs_all(&self, n: usize, group: usize) -> bool {
        let real = &self.machines[n].real;
        self.settings.groups[group].resources.iter().all(|resource| real[resource.key.0 as usize].on)
    }

    /// The one machine on which all of a group runs, if nothing of it runs elsewhere.
    pub fn owner(&self, group: usize) -> Option<usize> {
        let owner = (0..self.machines.len()).find(|&n| self.runs_all(n, group))?;
        let alone = (0..self.machines.len()).all(|n| n == owner || !self.runs_any(n, group));
        alone.then_some(owner)
    }

    /// What runs on a machine, by name.
    pub fn running(&self, n: usize) -> Vec<&str> {
        let real = self.machines[n].real.iter().zip(&self.catalog);
        real.filter(|(real, _)| real.on).map(|(_, known)| known.name.as_str()).collect()
    }

    /// A node's place by name.
    pub fn node(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| machine.name == name)
    }
}
