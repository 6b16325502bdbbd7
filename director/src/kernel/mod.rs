//! The table's other side: the kernel, or a stand-in for it.
//!
//! Blocking, and driven by one thread of its own ([`crate::daemon`]): a table of ten thousand real servers takes
//! its time. [`Kernel`] speaks to IPVS; [`DryRun`] keeps a table in memory and answers as the kernel does.

mod convert;
mod dry_run;
mod ipvs;
mod sysctl;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::table::{Change, Key, Table};

pub use dry_run::DryRun;
pub use ipvs::Kernel;

/// What a backend found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// The table.
    pub table: Table,
    /// The traffic of each service.
    pub services: BTreeMap<Key, Counters>,
    /// The connections and the traffic of each real server of each service.
    pub dests: BTreeMap<Key, BTreeMap<SocketAddr, DestCounters>>,
}

/// What passed since the service or the real server was added, and what passes each second: what somebody is shown of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections.
    pub connections: u64,
    /// Connections each second.
    pub connections_rate: u64,
    /// Packets from clients each second.
    pub packets_in_rate: u64,
    /// Packets to clients each second (NAT only: else they do not pass here).
    pub packets_out_rate: u64,
    /// Bytes from clients each second.
    pub bytes_in_rate: u64,
    /// Bytes to clients each second.
    pub bytes_out_rate: u64,
}

/// What a real server has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestCounters {
    /// Connections that are open.
    pub active: u32,
    /// Connections that are closing, or of protocols that have no end.
    pub inactive: u32,
    /// Its traffic.
    pub traffic: Counters,
}

/// Which way connections are told to the other director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This one has the traffic and tells.
    Master,
    /// This one listens.
    Backup,
}

/// The connection sync daemon, as it shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Which way.
    pub direction: Direction,
    /// The interface the connections are multicast on.
    pub interface: String,
    /// The number that tells pairs of directors apart.
    pub id: u8,
}

/// How closely the table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// All of it is read.
    Closely,
    /// All of it only if it seems to be another table than the last one that was read: see [`Backend::is_same`].
    Glance,
}

/// A kernel.
pub trait Backend: Send {
    /// The whole table with its counters. `go_on` is asked now and then, and ends it by saying no: `None`.
    ///
    /// # Errors
    /// A sentence: what the kernel said, and what to do.
    fn read_while(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<Option<Picture>, String>;

    /// The whole table with its counters.
    ///
    /// # Errors
    /// As [`Backend::read_while`].
    fn read(&mut self) -> Result<Picture, String> {
        self.read_while(&mut || true).map(Option::unwrap_or_default)
    }

    /// Whether it is certain, as far as a glance can tell, that the table is what was read last. Much cheaper than
    /// reading; does not see everything.
    fn is_same(&mut self) -> bool;

    /// Carries `changes` out, in their order, each on its own: one that fails keeps no other from being tried.
    /// Gives one result for each; what is there already when it is added, or gone already when it is
    /// deleted, is no failure.
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>>;

    /// Sees to it that exactly this sync daemon runs, or none of ours.
    ///
    /// # Errors
    /// A sentence.
    fn sync(&mut self, wanted: Option<&SyncDaemon>) -> Result<(), String>;

    /// Sets the kernel's switches (sysctl) that decide what clients see, where they are ours, and looks at
    /// the others: a sentence for each that is not as `table` needs it. Asked at the start and at a reload.
    fn prepare(&mut self, table: &Table) -> Vec<String>;

    /// What the kernel would refuse of `table` with a bare number: a sentence each. Asked at the start and at a
    /// reload (which schedulers there are, for example).
    fn objections(&mut self, table: &Table) -> Vec<String>;
}
