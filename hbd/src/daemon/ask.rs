//! What operators ask of the loop, through the control socket.

use cluster::Command;
use cluster::tune::Tune;
use tokio::sync::{mpsc, oneshot};

use super::status::Picture;
use crate::control::Answer;

/// Questions that may wait for the loop.
pub const QUEUE: usize = 64;
/// Words on the way that may wait for a slow operator; further ones are dropped.
pub const PROGRESS: usize = 32;

/// One question to the loop.
#[derive(Debug)]
pub enum Ask {
    /// An order for the core.
    Order {
        /// Who gives it.
        by: String,
        /// What.
        command: Command,
        /// The answer is due when it is begun.
        no_wait: bool,
        /// What happens on the way.
        progress: mpsc::Sender<String>,
        /// The last word.
        done: oneshot::Sender<Answer>,
    },
    /// How things are.
    Status(oneshot::Sender<Box<Picture>>),
    /// Why a group is where it is; `None` for a group nobody knows.
    Why {
        /// Which.
        group: String,
        /// The lines.
        done: oneshot::Sender<Option<Vec<String>>>,
    },
    /// The gaps between heartbeats, and what they advise.
    Tune(oneshot::Sender<Box<Tune>>),
    /// Read the configuration again.
    Reload {
        /// Who wants it.
        by: String,
        /// The last word.
        done: oneshot::Sender<Answer>,
    },
}
