//! What goes over a control socket: one JSON object a line, each way. The requests are each daemon's own.

use serde::{Deserialize, Serialize};

/// Longest request a daemon accepts, in bytes.
pub const MAX_LINE: usize = 1 << 20;
/// Longest line of an answer that is believed: the picture of a hundred thousand real servers.
pub const MAX_ANSWER: usize = 64 << 20;

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// On the way.
    Progress {
        /// A plain sentence.
        text: String,
    },
    /// One of several data items (an event).
    Item {
        /// The item.
        data: serde_json::Value,
    },
    /// Done.
    Done {
        /// A plain sentence; may be empty.
        #[serde(default)]
        text: String,
        /// The data asked for.
        #[serde(default)]
        data: serde_json::Value,
    },
    /// Refused or failed.
    Refused {
        /// The reason, a plain sentence.
        reason: String,
    },
}
