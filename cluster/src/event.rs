//! What happened, for the log and for `hbctl events`.

use serde::{Deserialize, Serialize};

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must act.
    Error,
}

/// One thing that happened. Every change of state makes exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How loud.
    pub level: Level,
    /// A short word for machines: `peer`, `group`, `resource`, `link`, `operator`, `config`, `state`.
    pub kind: String,
    /// What it is about: a node's, group's, resource's or link's name.
    pub subject: String,
    /// The state before, if it is a change of state.
    pub from: Option<String>,
    /// The state after.
    pub to: Option<String>,
    /// Why, in a plain sentence.
    pub why: String,
    /// How long it took, where that means something, in milliseconds.
    pub took_ms: Option<u64>,
}
