//! What goes over `<run-dir>/hbd.sock`: one JSON object a line, each way.
//!
//! The client sends one [`Request`]; the daemon answers with any number of [`Answer::Progress`] and
//! (for `events --follow`, `status --watch`) [`Answer::Item`], then one [`Answer::Done`] or
//! [`Answer::Refused`], and closes.

use serde::{Deserialize, Serialize};

pub use base::control::protocol::{Answer, MAX_LINE};

/// What the operator's tool asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What.
    #[serde(flatten)]
    pub verb: Verb,
    /// Answer when it is begun, not when it is done.
    #[serde(default)]
    pub no_wait: bool,
}

/// The commands the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// The picture of INTERFACE.md in [`Answer::Done`]`.data`.
    Status,
    /// An order that goes to the core.
    Order {
        /// The order.
        order: cluster::Command,
    },
    /// Fence a node now.
    Fence {
        /// Which.
        node: String,
    },
    /// The newest `count` events as items, oldest first; then go on if `follow`.
    Events {
        /// How many.
        count: usize,
        /// Go on.
        follow: bool,
    },
    /// Why a group is where it is: the lines in [`Answer::Done`]`.data` (an array of strings).
    Why {
        /// Which.
        group: String,
    },
    /// The gaps between heartbeats and what they advise, a [`cluster::tune::Tune`] in [`Answer::Done`]`.data`.
    Tune,
    /// Read the configuration again.
    Reload,
}

/// One event as it is kept on disk and shown: the core's, with its number and wall-clock time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Grows by one with each event of this node, across restarts.
    pub number: u64,
    /// When, RFC 3339 in UTC with milliseconds: for people, never for decisions.
    pub time: String,
    /// This node.
    pub node: String,
    /// What.
    #[serde(flatten)]
    pub event: cluster::Event,
}
