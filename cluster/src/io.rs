//! What comes into the core and what goes out of it: all of it values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::GroupId;
use serde::{Deserialize, Serialize};

use crate::event::Event;
#[cfg(doc)]
use crate::settings::WitnessSettings;
use crate::settings::{ResourceKey, Settings};

/// One operation on resources, as numbered by the core; never used twice in a life of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// One operator's command, as numbered by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandId(pub u64);

/// One run of a node's fence devices, as numbered by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FenceId(pub u64);

/// One request to the witness, as numbered by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WitnessId(pub u64);

/// Everything that can happen to the core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// The deadline the core asked for has come (or some time has passed: it never hurts).
    Tick,
    /// A datagram came in on a link (index into [`Settings::links`]), unchecked.
    Datagram {
        /// Where it came in.
        link: usize,
        /// As it came.
        bytes: Vec<u8>,
    },
    /// The answer to [`Action::Drain`]: all that had been waiting in the sockets was given to the core.
    Drained,
    /// An operation ended. The driver answers each [`Action::Run`] exactly once, in bounded time.
    OpDone {
        /// Which.
        id: OpId,
        /// One result for each resource of the operation, in its order.
        results: Vec<OpResult>,
    },
    /// A [`Action::Persist`] ended.
    Persisted {
        /// Its number.
        serial: u64,
        /// The error if it failed.
        error: Option<String>,
    },
    /// The fence devices of a node were used. The driver answers each [`Action::Fence`] exactly once, in bounded time.
    FenceDone {
        /// Which run.
        id: FenceId,
        /// How it ended.
        outcome: FenceOutcome,
    },
    /// The witness was asked. The driver answers each [`Action::Witness`] exactly once, within
    /// [`WitnessSettings::patience`].
    Witness {
        /// Which request.
        id: WitnessId,
        /// What came of it.
        answer: WitnessAnswer,
    },
    /// An operator's command.
    Command {
        /// To be named in the [`Action::Reply`]s.
        id: CommandId,
        /// Who gave it.
        by: String,
        /// What.
        command: Command,
    },
    /// The wall clock entered or left the failback window.
    FailbackWindow {
        /// Inside now.
        open: bool,
    },
    /// Outside points seen, of those configured.
    Pings {
        /// That answer.
        seen: u8,
        /// In all.
        total: u8,
    },
    /// How the interfaces of the built-in addresses are, and what is on them: all of it, whenever it is otherwise than the core
    /// was told, after each [`Action::Evict`], and after each [`Input::Reload`].
    Ground(Ground),
    /// Addresses that are held here were gone, or changed by somebody, and are right again.
    PutBack {
        /// Which.
        resources: Vec<ResourceKey>,
    },
    /// The configuration changed; the links' number and order may change with it.
    Reload(Box<Settings>),
    /// Leave in order.
    Stop,
}

/// What the driver sees of the built-in addresses of the configuration beside the operations on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Those that would reach nobody: their interface is switched off, has no carrier, or is not there. Why, in a sentence
    /// without a full stop (`eth0 has no carrier`).
    pub cut: BTreeMap<ResourceKey, String>,
    /// Those that are set on their interface although this life of the driver has neither set nor found them.
    pub strange: BTreeSet<ResourceKey>,
}

/// How an operation on one resource ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpResult {
    /// Start or stop succeeded.
    Ok,
    /// A status found it running.
    Running,
    /// A status found it not running.
    NotRunning,
    /// It did not succeed, or the status is unclear: why, in a sentence.
    Failed(String),
    /// The same, and it will not succeed on this node before somebody has mended something: it is not tried again here.
    Hopeless(String),
    /// The same, and it will not succeed on any node: what is configured cannot work.
    Misconfigured(String),
    /// It was killed at its timeout.
    TimedOut,
}

/// How a fencing ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FenceOutcome {
    /// A device says, without doubt, that the node is off, or was in the meantime.
    Confirmed {
        /// Which device.
        by: String,
    },
    /// None of them does: why, in a sentence. The node may or may not be down.
    Failed(String),
}

/// What the witness is asked. On it each node has one lease, and each group at most one *key*, which is tied to the
/// lease of the node that holds the group and goes with it, and a *last epoch*, which stays for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WitnessAsk {
    /// Keep this node's lease alive, or have a new one granted if this life of the driver has none or the witness says
    /// that it is gone.
    Renew {
        /// How long it should live from then on.
        ttl: Duration,
    },
    /// In one transaction: if the group has no key or one of this node, and `epoch` is above the last epoch (or is that
    /// very one, written by the same node and the same life): write both, the key tied to this node's lease.
    Take {
        /// Its name.
        group: String,
        /// Under which it will be owned.
        epoch: u64,
        /// Of the daemon; with the node's name and the epoch it is what key and last epoch say.
        life: u64,
    },
    /// In one transaction: remove the group's key if it is one of this node, and see to it that no
    /// [`WitnessAsk::Take`] by this node of `epoch` or a lower one succeeds any more, not even one that is still under
    /// way: if the last epoch is below `epoch`, or is `epoch` and this node's, it becomes `epoch`, and nobody's.
    Release {
        /// Its name.
        group: String,
        /// The last epoch that this node may have asked for.
        epoch: u64,
    },
}

/// What the witness says. Only what it has said itself, after the request, counts: whatever is unclear is
/// [`WitnessAnswer::Failed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WitnessAnswer {
    /// To [`WitnessAsk::Renew`]: the lease lives.
    Renewed {
        /// For how long, counted by the witness from some moment after the request. It may differ from what was asked.
        ttl: Duration,
        /// It is another lease than before (or the first of this life): no key is tied to it.
        new: bool,
    },
    /// To [`WitnessAsk::Take`]: done; the key is tied to the lease that was renewed last.
    Taken,
    /// To [`WitnessAsk::Take`]: another node has the key.
    Held {
        /// Which.
        by: String,
        /// Under which epoch.
        epoch: u64,
        /// How long the key will live if it is not renewed, if the witness says so.
        left: Option<Duration>,
    },
    /// To [`WitnessAsk::Take`]: the epoch is not above the last one.
    Outdated {
        /// The last one.
        epoch: u64,
    },
    /// To [`WitnessAsk::Release`]: done.
    Released,
    /// To any: the witness does not know this node's lease (any more), so every key tied to it is gone. Nothing was done;
    /// the next [`WitnessAsk::Renew`] has a new one granted.
    LeaseGone,
    /// No answer, or none that is clear: why, in a sentence. It may have been done, or may yet be.
    Failed(String),
}

/// What an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take a node out (`None`: this one).
    Standby {
        /// Which.
        node: Option<String>,
        /// Even if nobody can take its groups: they are stopped.
        force: bool,
    },
    /// Let a node take part again (`None`: this one).
    Online {
        /// Which.
        node: Option<String>,
    },
    /// Hand a group over, to `to` or to the best other node.
    Move {
        /// Which.
        group: String,
        /// Whither.
        to: Option<String>,
    },
    /// Pull groups here (none named: all).
    Takeover {
        /// Which.
        groups: Vec<String>,
    },
    /// Send groups to their preferred nodes (none named: all).
    Failback {
        /// Which.
        groups: Vec<String>,
    },
    /// Freeze or unfreeze the cluster.
    Maintenance {
        /// Freeze.
        on: bool,
    },
    /// Forget failures and look at the real state again (none named: all groups).
    Cleanup {
        /// Which group.
        group: Option<String>,
    },
    /// Compare a peer's configuration (`None`: the other node's) with this node's.
    Diff {
        /// Whose.
        node: Option<String>,
    },
    /// Fence a node now.
    Fence {
        /// Which.
        node: String,
    },
    /// The operator's word that a node is really down.
    FenceAck {
        /// Which.
        node: String,
    },
}

/// What is to be done with resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OpKind {
    /// Look whether they run.
    Status,
    /// Start them.
    Start,
    /// Stop them.
    Stop,
}

/// One operation to carry out: on one resource, on a run of addresses at once, or on a run of other resources side by
/// side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// To be named in [`Input::OpDone`].
    pub id: OpId,
    /// Of which group.
    #[serde(with = "crate::io::group_id")]
    pub group: GroupId,
    /// On which resources.
    pub resources: Vec<ResourceKey>,
    /// What.
    pub op: OpKind,
    /// Bound after which the driver kills it and answers [`OpResult::TimedOut`].
    pub timeout: Duration,
    /// For a start of addresses: lease them (true) or set them without end (false).
    pub leased: bool,
}

/// What the core wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this on every link, now.
    Send(Vec<u8>),
    /// Give the core all that waits in the sockets, then [`Input::Drained`].
    Drain,
    /// Carry out an operation.
    Run(Run),
    /// End an operation under way, a look at a resource: nobody wants its answer any more. It is answered like any
    /// other, as soon as it has ended.
    Cancel(OpId),
    /// Set the lifetime of the addresses of these groups, putting back what is missing:
    /// a lease renewed (true) or without end (false). This is about the addresses that this life of the driver
    /// has started or found running, and not stopped or found missing since. To be dropped if the driver comes to it
    /// later than a lease's renewal interval.
    Lease {
        /// Whose addresses.
        groups: Vec<GroupId>,
        /// Bounded, or without end.
        leased: bool,
    },
    /// Announce the addresses of a group to the neighbours, now and repeated a few times.
    Announce {
        /// Which.
        group: GroupId,
    },
    /// Remove these addresses if they are set here and not held: somebody else has set them, and a peer has the group. Then tell
    /// the [`Ground`] as it is.
    Evict {
        /// Of which group.
        group: GroupId,
        /// Which.
        resources: Vec<ResourceKey>,
        /// Why, in a few words.
        why: String,
    },
    /// Use the fence devices of a node, then [`Input::FenceDone`].
    Fence {
        /// To be named in the answer.
        id: FenceId,
        /// Whom.
        node: String,
    },
    /// Ask the witness, then [`Input::Witness`]. Requests may overtake each other on the way; there is never more than one
    /// [`WitnessAsk::Renew`] under way, nor more than one request about a group.
    Witness {
        /// To be named in the answer.
        id: WitnessId,
        /// What.
        ask: WitnessAsk,
    },
    /// Keep this on disk, then [`Input::Persisted`].
    Persist {
        /// Grows with each; a newer one makes the older ones needless.
        serial: u64,
        /// What to keep.
        state: Durable,
    },
    /// Log this and keep it among the events.
    Event(Event),
    /// Tell an operator.
    Reply {
        /// Which command this is about.
        command: CommandId,
        /// What to say; [`Reply::Progress`] is followed by more, the others are the last word.
        reply: Reply,
    },
    /// All is stopped and said: end the process with status 0.
    Exit,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// On the way.
    Progress(String),
    /// Done, with what came of it.
    Done(String),
    /// Done: how a peer's configuration differs.
    Difference(Difference),
    /// Refused or failed, with the reason.
    Refused(String),
}

/// What differs between this node's configuration and a peer's, by name; nothing, if all lists are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Whose configuration it was compared with.
    pub peer: String,
    /// What has another value there.
    pub differs: Vec<String>,
    /// What is not there.
    pub only_here: Vec<String>,
    /// What is not here.
    pub only_there: Vec<String>,
}

/// What must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durable {
    /// Of this node: the newest used.
    pub incarnation: u64,
    /// This node is taken out.
    pub standby: bool,
    /// The cluster-wide freeze: its version and whether it is on.
    pub maintenance: (u32, bool),
    /// The newest incarnation seen of each peer.
    pub peers: BTreeMap<String, u64>,
    /// Of each group.
    pub groups: BTreeMap<String, DurableGroup>,
    /// Of each peer, the groups that it could not stop.
    pub stuck: BTreeMap<String, BTreeSet<String>>,
}

/// What must survive a restart, of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DurableGroup {
    /// The highest epoch known, or that this node may have used without a further write.
    pub reserved: u64,
    /// The epoch this node owns the group under, if it does.
    pub mine: Option<u64>,
}

mod group_id {
    use proto::GroupId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(id: &GroupId, s: S) -> Result<S::Ok, S::Error> {
        id.0.serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<GroupId, D::Error> {
        u32::deserialize(d).map(GroupId)
    }
}
