//! What the core must know of the configuration, already checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The configuration as the core needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `[cluster] name`.
    pub cluster: String,
    /// This node.
    pub me: String,
    /// All nodes, this one among them.
    pub nodes: Vec<String>,
    /// Between two heartbeats.
    pub keepalive: Duration,
    /// A heartbeat later than this is reported.
    pub warntime: Duration,
    /// A peer silent for this long is dead.
    pub deadtime: Duration,
    /// How long to wait for a peer never heard, after the start.
    pub initdead: Duration,
    /// When a group goes back to its preferred node.
    pub failback: Failback,
    /// The links by name (`bcast:eth1`), in configuration order; at most 64.
    pub links: Vec<String>,
    /// Digest of the parts of the configuration both nodes must share.
    pub config_digest: u64,
    /// Those parts by name, each with a digest of its value; the names are sorted.
    pub config_parts: Vec<(String, u64)>,
    /// Between two renewals of the address leases; must be well under the lease's lifetime.
    pub lease_renew: Duration,
    /// The nodes that can be fenced, this one (by the others) among them; not those without a device.
    pub fences: Vec<FenceSettings>,
    /// The witness, if there is one.
    pub witness: Option<WitnessSettings>,
    /// The groups in configuration order.
    pub groups: Vec<GroupSettings>,
}

impl Settings {
    /// Until when the witness is waited for at `now`, before what runs without its key is stopped.
    pub(crate) fn grace_from(&self, now: Time) -> Option<Time> {
        let witness = self.witness.as_ref()?;
        Some(now + self.deadtime + witness.stopping())
    }
}

/// What the core must know of the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessSettings {
    /// How long a lease lives that is not renewed; at least twice deadtime.
    pub ttl: Duration,
    /// Within this time after the last petting the machine is reset, if there is a watchdog; shorter than `ttl`.
    pub watchdog: Option<Duration>,
}

impl WitnessSettings {
    /// Between two renewals that succeed.
    pub fn interval(&self) -> Duration {
        self.ttl / 4
    }

    /// The driver answers each request within this time: what is not known by then has failed.
    pub fn patience(&self) -> Duration {
        self.ttl / 6
    }

    /// So long before a lease ends the stopping of what depends on it begins.
    pub fn stopping(&self) -> Duration {
        self.ttl * 2 / 5
    }

    /// For how long a lease of `ttl` can be relied on, counted from before it was asked for: the clocks of the
    /// two sides may differ in their pace by 2 %.
    pub fn reliable(ttl: Duration) -> Duration {
        ttl * 49 / 50
    }
}

/// What the core must know of the fence devices of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceSettings {
    /// Whom they fence.
    pub node: String,
    /// Waited before they are used, so that two nodes that want to fence each other do not do it at once.
    pub delay: Duration,
}

/// `auto_failback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failback {
    /// Groups stay where they are.
    Off,
    /// Groups go home when their preferred node has been up and able to have them for `after`; if `window` is set, only
    /// while the driver says that the window is open ([`crate::Input::FailbackWindow`]).
    On {
        /// How long the preferred node must have been up and able to have the group, without a break.
        after: Duration,
        /// Whether there is a window to wait for.
        window: bool,
    },
}

/// What must be certain before a group is taken from a silent peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requires {
    /// Silence is enough.
    Nothing,
    /// A confirmed fence, or the operator's word.
    Fencing,
    /// A lease on the witness.
    Witness,
}

/// The unit that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Its name.
    pub name: String,
    /// Where it should be, if anywhere.
    pub preferred: Option<String>,
    /// What must be certain before a takeover.
    pub requires: Requires,
    /// It leaves this node, or is not taken here, when the interface of one of its addresses has carried nothing for so long;
    /// `None`: interfaces do not matter.
    pub link_monitor: Option<Duration>,
    /// Groups that are started before it, and stopped after it where both are on one node.
    pub after: Vec<String>,
    /// Its resources: started in this order, stopped in reverse.
    pub resources: Vec<ResourceSettings>,
}

impl GroupSettings {
    /// Some resource of it is looked at while it runs.
    pub fn monitored(&self) -> bool {
        self.resources.iter().any(|resource| resource.monitor.is_some() || resource.follows)
    }
}

/// Stands for one resource definition; the same definition has the same key after a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceKey(pub u64);

/// One resource, as far as the core cares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSettings {
    /// How actions refer to it.
    pub key: ResourceKey,
    /// How people refer to it (`IPaddr::10.77.1.1/16/eth0`).
    pub name: String,
    /// A built-in address: a run of these is started and stopped in one operation, and its life in
    /// the kernel is leased.
    pub address: bool,
    /// It may be started, stopped and looked at together with its neighbours of which the same is said.
    pub parallel: bool,
    /// What it does goes with the addresses before it (a route does): it is looked at when one of them had to be put back, also
    /// if it is not monitored.
    pub follows: bool,
    /// Bound on one start.
    pub start_timeout: Duration,
    /// Bound on one stop.
    pub stop_timeout: Duration,
    /// Bound on one look at it.
    pub status_timeout: Duration,
    /// Between two looks at it while it runs; `None`: it is not looked at.
    pub monitor: Option<Duration>,
    /// Restarts in place, within `failure_window`, before something else is done.
    pub restarts: u32,
    /// How long a failure counts.
    pub failure_window: Duration,
    /// What becomes of its group when it fails more often than that.
    pub on_fail: OnFail,
    /// What is done when it cannot be stopped.
    pub on_stop_failure: OnStopFailure,
}

/// `on_fail`: what is done about a resource that has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// Restart it in place, with what was started after it; when that was done often enough, as `Move`.
    #[default]
    Restart,
    /// Its group moves at once to a node that can take it.
    Move,
    /// It is an extra: restarted in place, and when that was done often enough left alone. Its group stays.
    Ignore,
    /// Nothing of its group is touched any more until an operator has looked at it.
    Block,
    /// This node is fenced, by the one that takes the group then. Where nobody would, as `Move`.
    Fence,
}

/// `on_stop_failure`: what is done about a resource that cannot be stopped. Nobody starts its group meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStopFailure {
    /// An operator has to look at it.
    #[default]
    Block,
    /// This node is fenced, by the one that takes the group then.
    Fence,
}
