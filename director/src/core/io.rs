//! What goes into the core and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{Spec, Target};
use crate::kernel::{Look, SyncDaemon};
use crate::load::{Source, Target as LoadTarget};
use crate::table::{Change, Key};

/// A moment on a clock that never goes back: the time since some fixed moment.
pub type Time = Duration;

/// One check that is run for all who ask the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// One question for a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadId(pub u64);

/// What an operator (or the agent of hbd) wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// No new connections; out when the open ones have ended, or at the deadline.
    Drain {
        /// Name or address of the real server.
        real: String,
        /// Of this virtual service only.
        #[serde(rename = "virtual")]
        service: Option<String>,
        /// After how long it is out whatever its connections do.
        deadline_ms: Option<u64>,
    },
    /// Out at once, as if down; its checks go on, for show.
    Maintain {
        /// Name or address of the real server.
        real: String,
        /// Of this virtual service only.
        #[serde(rename = "virtual")]
        service: Option<String>,
        /// After how long it is removed even if what is down is kept at weight 0.
        deadline_ms: Option<u64>,
    },
    /// In service again, after a drain or maintenance.
    Enable {
        /// Name or address of the real server.
        real: String,
        /// Of this virtual service only.
        #[serde(rename = "virtual")]
        service: Option<String>,
    },
    /// A weight by hand; `None` is the configured one again.
    Weight {
        /// Name or address of the real server.
        real: String,
        /// Of this virtual service only.
        #[serde(rename = "virtual")]
        service: Option<String>,
        /// The weight.
        weight: Option<u32>,
    },
    /// Whether this node has the address.
    Role {
        /// It does.
        active: bool,
    },
}

/// What the core remembers over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The services that are ours.
    pub owned: BTreeSet<Key>,
    /// What was ordered, by virtual service and real server (their names).
    pub overrides: BTreeMap<String, BTreeMap<String, Override>>,
}

/// What was ordered for one real server of one virtual service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Its weight.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Its place.
    #[serde(default)]
    pub place: Option<Place>,
    /// Who ordered it.
    #[serde(default)]
    pub by: String,
}

/// Out of service by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Finishing its connections.
    Drain {
        /// For so long at most.
        deadline_ms: Option<u64>,
    },
    /// Out.
    Maintenance {
        /// At weight 0 for so long at most.
        deadline_ms: Option<u64>,
    },
}

/// How much a thing matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must act.
    Error,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much it matters.
    pub level: Level,
    /// `real`, `virtual`, `table`, `role`, `order`.
    pub kind: &'static str,
    /// Which.
    pub subject: String,
    /// What it was.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
    /// Why, a plain sentence.
    pub why: String,
}

/// What is asked of a real server. Who asks more often, or has less patience, asks something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What.
    pub spec: Arc<Spec>,
    /// Whom.
    pub target: Target,
    /// How often.
    pub interval: Duration,
    /// For how long at most.
    pub deadline: Duration,
}

/// Where a load is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadQuestion {
    /// Where.
    pub source: Source,
    /// Whose.
    pub target: LoadTarget,
    /// How often.
    pub interval: Duration,
    /// For how long at most.
    pub deadline: Duration,
}

/// What must be done. Whoever drives the core does it in this order; but what is only written down
/// ([`Action::Event`]) or told to others ([`Action::Run`]) may come after what follows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask a real server; the answer goes to [`super::Core::outcome`].
    Check {
        /// Whose answer it will be.
        id: ProbeId,
        /// What is asked.
        question: Arc<Question>,
    },
    /// Ask for a load; the answer goes to [`super::Core::reading`].
    Load {
        /// Whose answer it will be.
        id: LoadId,
        /// What is asked.
        question: Arc<LoadQuestion>,
    },
    /// Look at the kernel's table; it goes to [`super::Core::picture`]. After the changes asked for before.
    Read(Look),
    /// Change the kernel's table; the results go to [`super::Core::applied`].
    Apply(Vec<Change>),
    /// See to the sync daemon.
    Sync(Option<SyncDaemon>),
    /// Look into this folder for the names of real servers; they go to [`super::Core::maintenance_files`].
    LookInto(PathBuf),
    /// Keep this over a restart, before anything that follows.
    Remember(Memory),
    /// Run this program, and wait for nobody.
    Run {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Write this down.
    Event(Event),
}
