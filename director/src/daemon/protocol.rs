//! What the tool asks the daemon over `<run-dir>/director.sock`; the answers are [`base::control::protocol`]'s.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::Order;

/// One question or order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Request {
    /// The picture of `director status --json`, in the answer's data.
    Status,
    /// What would change in the kernel with this configuration: lines, in the answer's data.
    Plan {
        /// The file.
        config: PathBuf,
    },
    /// An order to the core.
    Order {
        /// The order.
        order: Order,
    },
    /// Read the configuration again.
    Reload,
    /// End.
    Stop,
}
