//! From what there is to what there shall be, in place.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{Dest, Key, Service, Table};

/// One step. Nothing is ever flushed, and nothing that can be set is deleted and added again: that would
/// cost its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new virtual service; its real servers follow as [`Change::AddDest`].
    AddService {
        /// Which.
        key: Key,
        /// As it shall be; its real servers do not count.
        service: Service,
    },
    /// Scheduler, flags or persistence of a service, in place.
    SetService {
        /// Which.
        key: Key,
        /// As it shall be; its real servers do not count.
        service: Service,
    },
    /// A service goes, with its real servers.
    DelService {
        /// Which.
        key: Key,
    },
    /// A new real server.
    AddDest {
        /// Of which service.
        key: Key,
        /// Which.
        address: SocketAddr,
        /// As it shall be.
        dest: Dest,
    },
    /// Weight, forwarding or thresholds of a real server, in place.
    SetDest {
        /// Of which service.
        key: Key,
        /// Which.
        address: SocketAddr,
        /// As it is.
        before: Dest,
        /// As it shall be.
        dest: Dest,
    },
    /// A real server goes.
    DelDest {
        /// Of which service.
        key: Key,
        /// Which.
        address: SocketAddr,
    },
}

impl Change {
    /// The service it is about.
    pub fn key(&self) -> Key {
        match self {
            Change::AddService { key, .. }
            | Change::SetService { key, .. }
            | Change::DelService { key }
            | Change::AddDest { key, .. }
            | Change::SetDest { key, .. }
            | Change::DelDest { key, .. } => *key,
        }
    }
}

/// The steps from `current`, which the kernel has, to `desired`.
///
/// Of the services that are not desired only those in `owned` go: the others are somebody else's. In each
/// service what is new comes before what goes, so that it is never without a real server on the way.
pub fn plan(current: &Table, desired: &Table, owned: &BTreeSet<Key>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, wanted) in desired {
        match current.get(key) {
            None => {
                let service = Service { dests: Default::default(), ..wanted.clone() };
                changes.push(Change::AddService { key: *key, service });
            }
            Some(found) if !found.same_but_dests(wanted) => {
                let service = Service { dests: Default::default(), ..wanted.clone() };
                changes.push(Change::SetService { key: *key, service });
            }
            Some(_) => {}
        }
        dests(*key, current.get(key), wanted, &mut changes);
    }
    let gone = current.keys().filter(|key| owned.contains(key) && !desired.contains_key(key));
    changes.extend(gone.map(|key| Change::DelService { key: *key }));
    changes
}

/// The steps for the real servers of one service.
fn dests(key: Key, current: Option<&Service>, wanted: &Service, changes: &mut Vec<Change>) {
    let found = |address: &SocketAddr| current.and_then(|service| service.dests.get(address));
    for (&address, &dest) in &*wanted.dests {
        match found(&address) {
            None => changes.push(Change::AddDest { key, address, dest }),
            Some(&before) if before != dest => changes.push(Change::SetDest { key, address, before, dest }),
            Some(_) => {}
        }
    }
    let gone = current.into_iter().flat_map(|service| service.dests.keys());
    for &address in gone.filter(|address| !wanted.dests.contains_key(address)) {
        changes.push(Change::DelDest { key, address });
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
