//! What `hbctl status --json` says, as far as the lab judges it; unknown fields are let pass.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::daemon::hbctl;
use crate::net::World;

/// One node's view of the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// The node that speaks.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// Is it standing by?
    #[serde(default)]
    pub standby: bool,
    /// Is the cluster frozen?
    #[serde(default)]
    pub maintenance: bool,
    /// The other nodes.
    #[serde(default)]
    pub nodes: Vec<Peer>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// What is not as it should be, in sentences.
    #[serde(default)]
    pub degraded: Vec<String>,
    /// Everything as it came.
    #[serde(skip)]
    pub raw: Value,
}

/// A node as another sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// `init`, `up`, `dead` or `left`.
    pub state: String,
    /// Is it standing by?
    #[serde(default)]
    pub standby: bool,
    /// The links and how it is heard on each.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A link to a peer.
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    /// As in `bcast:eth1`.
    pub name: String,
    /// `up` or `down`.
    pub state: String,
}

/// A group as a node sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `started starting stopping stopped failed blocked`.
    pub state: String,
    /// The node that owns it.
    pub owner: Option<String>,
    /// Which ownership this is.
    #[serde(default)]
    pub epoch: u64,
    /// Its resources.
    #[serde(default)]
    pub resources: Vec<Resource>,
}

/// A resource as a node sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Resource {
    /// As in `IPaddr::10.77.1.1/16/eth0`.
    pub name: String,
    /// `started`, `stopped`, …
    pub state: String,
    /// How often it failed.
    #[serde(default)]
    pub failures: u64,
}

impl Status {
    /// Reads the JSON; `None` if it is none or lacks what every status has.
    pub fn parse(text: &str) -> Option<Status> {
        let raw: Value = serde_json::from_str(text).ok()?;
        let mut status: Status = serde_json::from_value(raw.clone()).ok()?;
        status.raw = raw;
        Some(status)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name == name)
    }

    /// The peer of this name.
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// True if the peer of this name is in this state.
    pub fn sees(&self, peer: &str, state: &str) -> bool {
        self.peer(peer).is_some_and(|p| p.state == state)
    }

    /// True if this group is in this state with this owner.
    pub fn has(&self, group: &str, state: &str, owner: Option<&str>) -> bool {
        self.group(group).is_some_and(|g| g.state == state && g.owner.as_deref() == owner)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            let owner = group.owner.as_deref().unwrap_or("nobody");
            write!(f, "{} {} on {owner} (epoch {}); ", group.name, group.state, group.epoch)?;
        }
        for peer in &self.nodes {
            write!(f, "{} is {}", peer.name, peer.state)?;
            for link in &peer.links {
                write!(f, ", {} {}", link.name, link.state)?;
            }
            write!(f, "; ")?;
        }
        for (set, word) in [(self.standby, "standby"), (self.maintenance, "maintenance")] {
            if set {
                write!(f, "{word}; ")?;
            }
        }
        write!(f, "{}", self.degraded.join(" "))
    }
}

/// The status the daemon of `node` gives now; `None` if it gives none.
pub fn of(world: &World, node: &str) -> Option<Status> {
    let output = hbctl(world, node, &["--json", "status"]).ok()?;
    if output.ok() { Status::parse(&output.stdout) } else { None }
}
