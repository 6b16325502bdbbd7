//! The picture `hbctl status` shows, as this node sees the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gaps::Gaps;

/// The core's part of `hbctl status --json`; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the cluster.
    pub cluster: String,
    /// This node.
    pub node: String,
    /// This node is taken out.
    pub standby: bool,
    /// The cluster is frozen.
    pub maintenance: bool,
    /// `joining`, `up`, `leaving`.
    pub state: String,
    /// The other nodes.
    pub nodes: Vec<NodeStatus>,
    /// All groups.
    pub groups: Vec<GroupStatus>,
    /// Of each node that can be fenced from here: where that stands.
    pub fencing: Vec<FencingStatus>,
    /// Where this node stands with the witness, if there is one.
    pub witness: Option<WitnessStatus>,
    /// What is not as it should be, one plain sentence each.
    pub degraded: Vec<String>,
    /// Datagrams not believed, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Where the fencing of a node stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FencingStatus {
    /// Whom.
    pub node: String,
    /// `idle waiting running failed`.
    pub state: String,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Whether the last attempt was confirmed; `None` if there was none since the start.
    pub confirmed: Option<bool>,
    /// What it said.
    pub said: Option<String>,
    /// How long ago it ended.
    pub ended_ms: Option<u64>,
}

/// Where this node stands with the witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessStatus {
    /// `good` (the lease was renewed when it was last tried), `failing` (it was not, and still lives), `lost` (there is
    /// none, or none that is certain to live).
    pub state: String,
    /// Since when it is in this state, milliseconds ago.
    pub since_ms: u64,
    /// For how long this node's lease can be relied on, from now.
    pub good_for_ms: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Each group that requires the witness.
    pub groups: Vec<WitnessGroupStatus>,
}

/// What is known of a group that requires the witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessGroupStatus {
    /// Its name.
    pub group: String,
    /// Who has its key: this node, or whoever the witness named when this node last asked for it.
    pub holder: Option<String>,
    /// How old that is; `None` where it is this node.
    pub seen_ms: Option<u64>,
    /// For how long what runs of it here may go on running, from now, unless there is news; `None` if nothing does.
    pub good_for_ms: Option<u64>,
    /// By what: `lease`, or `peers` (the witness is lost, and every other node is heard and waits).
    pub by: Option<String>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `init up dead left`.
    pub state: String,
    /// Since the last heartbeat; `None` if never heard.
    pub last_heard_ms: Option<u64>,
    /// Taken out.
    pub standby: bool,
    /// Late heartbeats counted.
    pub late: u64,
    /// Between one heartbeat and the next, whichever link brought it.
    pub gaps: Gaps,
    /// Its incarnation, as last heard.
    pub incarnation: u64,
    /// Outside points it sees, of how many.
    pub pings: (u8, u8),
    /// The links to it.
    pub links: Vec<LinkStatus>,
}

/// One link to another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its name, e.g. `bcast:eth1`.
    pub name: String,
    /// `up down`.
    pub state: String,
    /// Since the node was last heard here; `None` if never.
    pub last_heard_ms: Option<u64>,
    /// The node says it hears us on this link.
    pub heard_by_peer: bool,
    /// Messages heard here.
    pub received: u64,
    /// Between one of them and the next.
    pub gaps: Gaps,
    /// Gaps longer than warntime.
    pub late: u64,
    /// Messages that did not come in here, though newer ones did.
    pub lost: u64,
    /// Messages that came in here more than once.
    pub duplicate: u64,
    /// Datagrams that came in here, from whomever, and were not believed, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// `started starting stopping stopped failed blocked`.
    pub state: String,
    /// Who has it.
    pub owner: Option<String>,
    /// Who should.
    pub preferred: Option<String>,
    /// Of the ownership.
    pub epoch: u64,
    /// `nothing fencing witness`.
    pub requires: String,
    /// Its resources in order.
    pub resources: Vec<ResourceStatus>,
    /// Why it is where it is, in a sentence.
    pub why: String,
    /// Since when it is in this state, milliseconds ago.
    pub since_ms: u64,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Its name.
    pub name: String,
    /// `started starting stopping stopped failed unknown`.
    pub state: String,
    /// Failures counted here.
    pub failures: u32,
    /// What the last failure said.
    pub last_error: Option<String>,
}
