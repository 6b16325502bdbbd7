//! The message: all that one node says of itself, whole, in every heartbeat.
//!
//! A message is a statement of state, never a delta: a lost one is made good by the next, and a
//! message applied twice changes nothing.

/// Longest node name that travels, in bytes.
pub const MAX_NODE_NAME: usize = 63;

/// Whether `name` can be a node's: 1 to [`MAX_NODE_NAME`] bytes, no control characters.
pub fn name_is_valid(name: &str) -> bool {
    (1..=MAX_NODE_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A node as named in references (orders, releases): FNV-1a (32 bit) of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A group as named on the wire: FNV-1a (32 bit) of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// A cluster as named on the wire: FNV-1a (64 bit) of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u64);

impl NodeId {
    /// The id of the node called `name`.
    pub fn of(name: &str) -> Self {
        Self(fnv32(name.as_bytes()))
    }
}

impl GroupId {
    /// The id of the group called `name`.
    pub fn of(name: &str) -> Self {
        Self(fnv32(name.as_bytes()))
    }
}

impl ClusterId {
    /// The id of the cluster called `name`.
    pub fn of(name: &str) -> Self {
        Self(fnv64(FNV64, name.as_bytes()))
    }
}

/// Where an FNV-1a hash of 64 bit begins.
pub const FNV64: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bit: `hash` ([`FNV64`] at first) gone on with over `bytes`. For names and digests, not against an enemy.
pub fn fnv64(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a, 32 bit (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What a node says of itself as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Started, still looking at what runs and listening for the others.
    Joining,
    /// Takes part.
    Up,
    /// Leaves in order: gives its groups away, takes none.
    Leaving,
    /// Has stopped everything; its silence from now on is no death.
    Left,
}

/// The cluster-wide freeze; of two, the higher version is the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Grows by one with each change, on whichever node it is made.
    pub version: u32,
    /// Nothing is started, stopped or moved while on.
    pub on: bool,
}

/// What the sender knows of another node: proof to that node that the sender is alive *now*,
/// since `boot` did not exist before that node's present life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whom this is for.
    pub node: NodeId,
    /// The boot nonce last heard of it.
    pub boot: u64,
    /// The newest incarnation ever known of it (a node that lost its disk learns it here).
    pub incarnation: u64,
    /// The links the sender hears it on, one bit a link in configuration order.
    pub links: u64,
    /// The highest sequence of that life that the sender has taken in; 0 if it does not say.
    pub heard: u32,
}

/// What a node has of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Nothing of it is here.
    Stopped,
    /// Owned here, resources being started.
    Starting,
    /// Owned here, all of it runs.
    Started,
    /// Owned here still, resources being stopped.
    Stopping,
    /// Stopped here for good; the ownership of this epoch is given to [`GroupReport::to`].
    Released,
    /// A stop failed here: something of it may still run.
    Blocked,
}

/// One group as the sender has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupReport {
    /// Which group.
    pub id: GroupId,
    /// What the sender has of it.
    pub state: GroupState,
    /// The sender's own epoch where `state` is one of ownership or release; else the highest known.
    pub epoch: u64,
    /// Start and run failures counted on the sender.
    pub failures: u16,
    /// The sender would take the group if it were given or left to it.
    pub able: bool,
    /// A start failed on the sender, and nobody has cleaned it up.
    pub failed: bool,
    /// The sender will never act on a release of `epoch` or an older one.
    pub declined: bool,
    /// The heir of a release.
    pub to: Option<NodeId>,
    /// Of a blocked group: whether the sender is to be fenced for it. `None`: it does not say, as older versions.
    pub fence: Option<bool>,
    /// It failed on the sender for a reason that holds on every node: what is configured cannot work.
    pub wrong: bool,
}

/// An operator's order for another node, repeated until acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Grows with each order of the issuer within its incarnation.
    pub id: u32,
    /// Who is to carry it out.
    pub target: NodeId,
    /// What is to be done.
    pub kind: OrderKind,
    /// Who gave it, for the events (at most 32 bytes travel).
    pub by: String,
}

/// What can be ordered of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Give all groups away and take none.
    Standby,
    /// Take part again.
    Online,
    /// Hand a group over.
    Give {
        /// Which.
        group: GroupId,
        /// To whom.
        to: NodeId,
    },
    /// Forget the failures of a group, or of all.
    Cleanup {
        /// Which; all of them if none.
        group: Option<GroupId>,
    },
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderAck {
    /// Who had given it.
    pub issuer: NodeId,
    /// Its number there.
    pub id: u32,
    /// `None`: accepted. Else why not (at most 120 bytes travel).
    pub refused: Option<String>,
}

/// A page of its configuration is asked of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigAsk {
    /// Of which node.
    pub target: NodeId,
    /// Which page, from 0.
    pub page: u16,
}

/// Which page of the sender's configuration [`Message::config_entries`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigPage {
    /// Who asked for it.
    pub issuer: NodeId,
    /// Which page, from 0.
    pub page: u16,
    /// How many there are.
    pub pages: u16,
}

/// One part of the sender's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name: `cluster.keepalive`.
    pub name: String,
    /// [`crate::Keyring::fingerprint`] of its value.
    pub fingerprint: u32,
}

/// All that one node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's name, at most [`MAX_NODE_NAME`] bytes of UTF-8.
    pub from: String,
    /// Grows with each start of the sender's daemon; kept on its disk.
    pub incarnation: u64,
    /// Drawn at random at each start of the sender's daemon.
    pub boot: u64,
    /// Grows with each message of this incarnation; the same on all media.
    pub sequence: u64,
    /// What the sender is.
    pub state: NodeState,
    /// The sender was taken out by an operator.
    pub standby: bool,
    /// The cluster-wide freeze as the sender knows it.
    pub maintenance: Maintenance,
    /// Digest of the parts of the configuration both nodes must share.
    pub config_digest: u64,
    /// What the sender has heard of the others.
    pub echoes: Vec<Echo>,
    /// Outside points the sender sees now.
    pub pings_seen: u8,
    /// Outside points the sender is configured to look at.
    pub pings_total: u8,
    /// Every group of the sender's configuration, in its order.
    pub groups: Vec<GroupReport>,
    /// Orders not yet acknowledged.
    pub orders: Vec<Order>,
    /// Acknowledgements, repeated while the order is.
    pub acks: Vec<OrderAck>,
    /// What the sender wants to know of another's configuration.
    pub config_ask: Option<ConfigAsk>,
    /// What another wanted to know of the sender's.
    pub config_page: Option<ConfigPage>,
    /// The parts on that page.
    pub config_entries: Vec<ConfigEntry>,
}
