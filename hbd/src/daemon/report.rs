//! What the other threads tell the loop.

use cluster::{Event, FenceId, FenceOutcome, Ground, OpId, OpResult, ResourceKey, WitnessAnswer, WitnessId};
use tokio::sync::mpsc;

use super::event_loop::Meaning;
use super::links::Interface;
use super::reload::Loaded;

/// Reports that may wait for the loop: far more than operations can be under way. A thread that
/// finds the queue full waits; the loop never does.
pub const QUEUE: usize = 4096;

/// The way to the loop.
pub type Reports = mpsc::Sender<Report>;

/// One report.
#[derive(Debug)]
pub enum Report {
    /// An operation ended.
    OpDone {
        /// Which.
        id: OpId,
        /// One result for each resource.
        results: Vec<OpResult>,
    },
    /// An operation that has failed, or found something stopped, wrote this; told before its [`Report::OpDone`].
    Output {
        /// Of which group.
        group: String,
        /// On which resource.
        resource: String,
        /// The last of what it wrote.
        text: String,
    },
    /// The fence devices of a node were used.
    FenceDone {
        /// Which run.
        id: FenceId,
        /// How it ended.
        outcome: FenceOutcome,
    },
    /// The witness was asked.
    Witness {
        /// Which request.
        id: WitnessId,
        /// What came of it.
        answer: WitnessAnswer,
    },
    /// An idle fence device was looked at.
    Device {
        /// Whom it fences.
        node: String,
        /// Its agent.
        agent: String,
        /// Nothing, or why it is of no use.
        said: Result<(), String>,
    },
    /// Which ping points answer.
    Pings(Vec<(String, bool)>),
    /// A ping point cannot be asked, or can again.
    PingTrouble {
        /// Its name.
        name: String,
        /// Why not.
        why: Option<String>,
    },
    /// The state is on disk, or is not.
    Persisted {
        /// Which.
        serial: u64,
        /// Why not.
        error: Option<String>,
    },
    /// A signal came in.
    Signal(Meaning),
    /// The configuration was read again, for a reload.
    Loaded(Box<Loaded>),
    /// The failback window opened or closed.
    Window {
        /// Inside now.
        open: bool,
    },
    /// How the interfaces are; told when it is otherwise than before.
    Interfaces(Vec<Interface>),
    /// How the ground of the configured addresses is.
    Ground(Ground),
    /// These held addresses were gone or changed, and are right again.
    PutBack(Vec<ResourceKey>),
    /// Something happened that belongs among the events.
    Event(Box<Event>),
    /// Whether an alert could be told. No event comes of it: that would have to be told in turn.
    Alert {
        /// Which.
        name: String,
        /// Told, or given up.
        told: bool,
    },
    /// Something is not as it should be (or is again), for `status`.
    Trouble {
        /// What this is about; one sentence each.
        about: Trouble,
        /// The sentence, or `None` if all is well again.
        sentence: Option<String>,
    },
}

/// What can be out of order in the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Real-time scheduling or locked memory, by thread.
    Realtime(&'static str),
    /// The state file.
    State,
    /// The events file.
    Events,
    /// A link, by name.
    Link(String),
    /// A fence device, by the node and the agent.
    Device(String, String),
    /// The machine's watchdog.
    Watchdog,
    /// A ping point that cannot be asked, by name.
    Ping(String),
    /// Somebody who cannot be told of events.
    Alert(String),
    /// The console cannot listen.
    Console,
    /// Addresses: announcements, leftovers.
    Addresses,
    /// Another machine has an address that is held here.
    Conflict(String),
    /// Somebody who removes or changes addresses again and again that are held here.
    Struggle,
    /// Somebody who sets addresses again and again that another node has.
    Strangers,
}

impl Trouble {
    /// The kind and the subject of an event about it.
    pub fn subject(self) -> (&'static str, String) {
        match self {
            Trouble::State => ("state", "state file".to_owned()),
            Trouble::Events => ("state", "events file".to_owned()),
            Trouble::Link(name) => ("link", name),
            Trouble::Watchdog => ("daemon", "watchdog".to_owned()),
            Trouble::Console => ("daemon", "console".to_owned()),
            Trouble::Ping(name) => ("ping", name),
            Trouble::Alert(name) => ("daemon", format!("alert {name}")),
            Trouble::Device(node, agent) => ("fence", format!("{node} ({agent})")),
            Trouble::Conflict(ip) => ("address", ip),
            Trouble::Addresses | Trouble::Strangers | Trouble::Struggle => {
                ("address", "addresses".to_owned())
            }
            Trouble::Realtime(thread) => ("daemon", format!("{thread} thread")),
        }
    }
}

/// Tells the loop; a loop that is gone (the process ends) needs no news.
pub fn tell(reports: &Reports, report: Report) {
    let _ = reports.blocking_send(report);
}
