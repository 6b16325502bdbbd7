//! What key and last epoch of a group say: who wrote it, in which life of its daemon, under which epoch.

use serde::{Deserialize, Serialize};

/// The value of both keys of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The node; nobody, if it gave the group back.
    pub node: String,
    /// The life of its daemon.
    pub life: u64,
    /// No taking of this epoch or a lower one is to succeed any more.
    pub epoch: u64,
    /// The epoch under which the node took the group; not above `epoch`.
    pub taken: u64,
}

impl Record {
    pub fn write(&self) -> Vec<u8> {
        // A text and two numbers can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Nothing, if it is somebody else's writing.
    pub fn read(value: &[u8]) -> Option<Record> {
        serde_json::from_slice(value).ok()
    }
}
