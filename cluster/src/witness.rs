//! The witness: a third party that holds each group's key for one node at a time.

use crate::core::Core;
use crate::io::{WitnessAnswer, WitnessId};
use crate::status::WitnessStatus;
use crate::time::Time;

impl Core {
    /// Whether the watchdog may be petted now: if the process were to stop right after it, the machine would be
    /// reset before anything that runs here has lost its lease.
    pub fn may_pet(&self, _now: Time) -> bool {
        true
    }

    /// Whether the watchdog may be stopped, at the end of this process: nothing runs here that needs a lease.
    pub fn may_disarm(&self) -> bool {
        true
    }

    /// The witness has answered.
    pub(crate) fn witness_said(&mut self, _id: WitnessId, _answer: WitnessAnswer) {}

    /// Where this node stands with the witness.
    pub(crate) fn witness_status(&self, _now: Time) -> Option<WitnessStatus> {
        self.settings.witness.map(|_| WitnessStatus {
            state: "lost".to_owned(),
            since_ms: 0,
            good_for_ms: None,
            error: Some("it was not asked yet".to_owned()),
            groups: Vec::new(),
        })
    }
}
