//! A kernel in memory: `--backend dry-run`, and what tests drive.

use super::{Backend, Counters, DestCounters, Picture, SyncDaemon};
use crate::table::{Change, MAX_WEIGHT, Service, Table};

/// A table in memory that takes and refuses what the kernel takes and refuses.
#[derive(Debug, Default)]
pub struct DryRun {
    /// The table.
    pub table: Table,
    /// The sync daemon that would run.
    pub sync: Option<SyncDaemon>,
}

impl Backend for DryRun {
    fn read_while(&mut self, _: &mut dyn FnMut() -> bool) -> Result<Option<Picture>, String> {
        let services = self.table.keys().map(|key| (*key, Counters::default())).collect();
        let none =
            |service: &Service| service.dests.keys().map(|at| (*at, DestCounters::default())).collect();
        let dests = self.table.iter().map(|(key, service)| (*key, none(service))).collect();
        Ok(Some(Picture { table: self.table.clone(), services, dests }))
    }

    fn is_same(&mut self) -> bool {
        // Reading costs next to nothing here.
        false
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        changes.iter().map(|change| self.one(change)).collect()
    }

    fn sync(&mut self, wanted: Option<&SyncDaemon>) -> Result<(), String> {
        self.sync = wanted.cloned();
        Ok(())
    }

    fn prepare(&mut self, _: &Table) -> Vec<String> {
        Vec::new()
    }

    fn objections(&mut self, _: &Table) -> Vec<String> {
        Vec::new()
    }
}

impl DryRun {
    fn one(&mut self, change: &Change) -> Result<(), String> {
        let no_service = || format!("{}: there is no such service", change.key());
        match change {
            Change::AddService { key, service } | Change::SetService { key, service } => {
                let dests = self.table.remove(key).map(|found| found.dests).unwrap_or_default();
                self.table.insert(*key, Service { dests, ..service.clone() });
            }
            Change::DelService { key } => drop(self.table.remove(key)),
            Change::AddDest { key, address, dest } | Change::SetDest { key, address, dest, .. } => {
                if dest.weight > MAX_WEIGHT {
                    return Err(format!("{address}: the weight {} is too large", dest.weight));
                }
                if dest.lower > dest.upper {
                    return Err(format!("{address}: the lower threshold is above the upper one"));
                }
                let service = self.table.get_mut(key).ok_or_else(no_service)?;
                service.dests_mut().insert(*address, *dest);
            }
            Change::DelDest { key, address } => {
                self.table.get_mut(key).ok_or_else(no_service)?.dests_mut().remove(address);
            }
        }
        Ok(())
    }
}
