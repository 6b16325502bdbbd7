//! The configuration after it was read and found good: no text left to parse, nothing optional that
//! has a default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cluster::Level;
use cluster::settings::{Failback, OnFail, OnStopFailure, Requires};

use crate::http::Url;

/// The whole of `hbd.toml`, for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This node's name.
    pub me: String,
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[[node]]`, in file order.
    pub nodes: Vec<String>,
    /// `[[link]]`, in file order.
    pub links: Vec<Link>,
    /// `[[ping]]`.
    pub pings: Vec<Ping>,
    /// `[[fence]]`.
    pub fences: Vec<Fence>,
    /// `[witness]`.
    pub witness: Option<Witness>,
    /// `[watchdog]`.
    pub watchdog: Option<Watchdog>,
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[console] listen`.
    pub console: Option<SocketAddr>,
    /// `[[alert]]`, in file order.
    pub alerts: Vec<Alert>,
    /// `[[respawn]]`, in file order.
    pub respawns: Vec<Respawn>,
    /// `[[group]]`, in file order.
    pub groups: Vec<Group>,
    /// What is odd but no error, a sentence each; said at each start.
    pub warnings: Vec<String>,
    /// Digest of the parts both nodes must share (all but comments, layout and this node's own).
    pub digest: u64,
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name; several clusters may share a LAN and a port.
    pub name: String,
    /// Between two heartbeats.
    pub keepalive: Duration,
    /// A heartbeat later than this is reported.
    pub warntime: Duration,
    /// A peer silent for this long is dead.
    pub deadtime: Duration,
    /// How long to wait for a peer never heard, after the start.
    pub initdead: Duration,
    /// Failback.
    pub failback: Failback,
    /// Minutes after local midnight at which the failback window opens and closes.
    pub failback_window: Option<(u16, u16)>,
    /// Where the keys are.
    pub authkeys: PathBuf,
}

/// `[[link]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// `bcast:eth1`, `mcast:eth0`, `ucast:192.168.45.24` (the peer's), `serial:ttyS0`; unique.
    pub name: String,
    /// What it is made of.
    pub kind: LinkKind,
}

/// The medium of a link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkKind {
    /// UDP broadcast (255.255.255.255) on the interface.
    Bcast {
        /// Interface name.
        interface: String,
        /// UDP port.
        port: u16,
    },
    /// UDP to a multicast group.
    Mcast {
        /// Interface name.
        interface: String,
        /// IPv4 or IPv6 group.
        group: IpAddr,
        /// UDP port.
        port: u16,
        /// Hops it may go (default 1).
        ttl: u8,
    },
    /// UDP between addresses.
    Ucast {
        /// This node's address.
        local: IpAddr,
        /// The other nodes' addresses, by node name.
        peers: BTreeMap<String, IpAddr>,
        /// The interface to bind to, if given.
        interface: Option<String>,
        /// UDP port.
        port: u16,
    },
    /// A serial line.
    Serial {
        /// This node's device.
        device: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

/// `[[ping]]`: up while any of its addresses answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// `[[fence]]`. `Debug` shows the names of the options and not what they are: there are passwords
/// among them.
#[derive(Clone, PartialEq)]
pub struct Fence {
    /// Whom it fences.
    pub node: String,
    /// The agent's name or path.
    pub agent: String,
    /// Its options as the fence-agents API takes them on standard input.
    pub options: BTreeMap<String, String>,
    /// Bound on one run.
    pub timeout: Duration,
    /// Waited before it runs.
    pub delay: Duration,
    /// Runs after a failed one, before the next device has its turn.
    pub retries: u32,
    /// Between two looks at the idle device, if it is looked at.
    pub monitor: Option<Duration>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fence")
            .field("node", &self.node)
            .field("agent", &self.agent)
            .field("options", &self.options.keys())
            .field("timeout", &self.timeout)
            .field("delay", &self.delay)
            .field("retries", &self.retries)
            .field("monitor", &self.monitor)
            .finish()
    }
}

/// `[witness]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// Its endpoints (etcd URLs).
    pub endpoints: Vec<String>,
    /// Lease time.
    pub ttl: Duration,
    /// Bound on what is asked of one endpoint, before the next has its turn.
    pub timeout: Duration,
    /// What all keys begin with, without a slash at the end.
    pub prefix: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// Where that user's password is.
    pub password_file: Option<PathBuf>,
    /// The certificates of the authorities to trust; those of the system, unless given.
    pub ca: Option<PathBuf>,
    /// The certificate to show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// `[watchdog]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Watchdog {
    /// The device.
    pub device: PathBuf,
    /// Its timeout.
    pub timeout: Duration,
}

/// `[daemon]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Daemon {
    /// Folders searched for agents with a bare name.
    pub agent_path: Vec<PathBuf>,
    /// The group that may steer besides root, if it exists on this machine.
    pub group: Option<String>,
    /// Real-time scheduling and locked memory where allowed.
    pub realtime: bool,
    /// Addresses that are here are announced again each time this has passed, if at all.
    pub announce_refresh: Option<Duration>,
}

/// `[[alert]]`: who is told of what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// How.
    pub channel: Channel,
    /// Events of at least this level; unless given, warnings and errors, and every change of a group.
    pub level: Option<Level>,
    /// Only events about these; all, unless given.
    pub events: Option<Vec<String>>,
    /// Bound on one attempt (default 30s).
    pub timeout: Duration,
    /// Attempts after the first that failed (default 2).
    pub retries: u32,
    /// Of events about the same, one in so much time (default: all of them).
    pub every: Duration,
    /// An alert about a trouble that has not ended is said again after this, until it has.
    pub repeat: Option<Duration>,
}

/// How an alert is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A program is run.
    Exec {
        /// Which, by its whole path.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A mail is sent, by the machine's sendmail(8).
    Mail {
        /// To whom.
        to: String,
    },
    /// A web server is told.
    Webhook(Webhook),
}

/// A web server that is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub url: Url,
    /// A file with more headers, which may be secret.
    pub header_file: Option<PathBuf>,
    /// A file with the authorities that are trusted for it, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// `[[respawn]]`: a process kept alive beside the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respawn {
    /// The program, by its whole path, and its arguments.
    pub command: Vec<String>,
    /// As whom; the daemon's own user, unless given.
    pub user: Option<String>,
}

/// `[[group]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where it should be, if anywhere.
    pub preferred: Option<String>,
    /// What must be certain before a takeover.
    pub requires: Requires,
    /// It leaves a node where the interface of one of its addresses has carried nothing for so long; `None`: that does not
    /// matter.
    pub link_monitor: Option<Duration>,
    /// What is done if another machine has one of its addresses.
    pub duplicate: Duplicate,
    /// Groups that are started before it.
    pub after: Vec<String>,
    /// Its resources in starting order.
    pub resources: Vec<Resource>,
}

impl Group {
    /// What is done when a resource of it cannot be stopped. If nothing is said, who requires fencing has the node fenced,
    /// unless failures of this group are a person's business.
    pub fn on_stop_failure(&self, resource: &Resource) -> OnStopFailure {
        let person = || self.resources.iter().any(|resource| resource.on_fail == OnFail::Block);
        let fenced = || self.requires == Requires::Fencing && !person();
        resource
            .on_stop_failure
            .unwrap_or_else(|| if fenced() { OnStopFailure::Fence } else { OnStopFailure::Block })
    }
}

/// `duplicate`: what is done if another machine has an address that is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicate {
    /// It is taken, announced, and told.
    #[default]
    Report,
    /// Its start waits for a moment, and fails.
    Refuse,
}

/// One resource of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// How people refer to it: the Heartbeat spelling, or `name` where given. Unique in its group.
    pub name: String,
    /// What it is made of.
    pub agent: Agent,
    /// Between two looks at it, if it is looked at.
    pub monitor: Option<Duration>,
    /// Bound on one look (default 20s).
    pub monitor_timeout: Duration,
    /// Bound on one start (default 60s).
    pub start_timeout: Duration,
    /// Bound on one stop (default 60s).
    pub stop_timeout: Duration,
    /// Restarts in place before the group moves (default 1).
    pub restarts: u32,
    /// How long a failure is remembered (default 1h).
    pub failure_window: Duration,
    /// What becomes of its group when it fails more often than that.
    pub on_fail: OnFail,
    /// What is done when it cannot be stopped, if that is said: of it, or of its group.
    pub on_stop_failure: Option<OnStopFailure>,
    /// It may be started and stopped together with its neighbours of which the same is said.
    pub parallel: bool,
}

/// What a resource is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Agent {
    /// The built-in `IPaddr`.
    Address(AddressSpec),
    /// `agent ARG… start|stop|status`, Heartbeat's way.
    Heartbeat {
        /// As named in the file.
        name: String,
        /// The executable found for it.
        path: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// An LSB init script.
    Lsb {
        /// The executable found for it.
        path: PathBuf,
    },
    /// An OCF agent.
    Ocf {
        /// E.g. `heartbeat`.
        provider: String,
        /// E.g. `IPaddr2`.
        name: String,
        /// The executable found for it.
        path: PathBuf,
        /// Its parameters (`OCF_RESKEY_…`).
        params: BTreeMap<String, String>,
    },
    /// A systemd unit.
    Systemd {
        /// E.g. `nginx.service`.
        unit: String,
    },
}

/// `IPaddr::ADDRESS[/PREFIX[/INTERFACE[:LABEL]][/BROADCAST]]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressSpec {
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// Prefix length; from the route to the address if not given.
    pub prefix: Option<u8>,
    /// Interface; from the route to the address if not given.
    pub interface: Option<String>,
    /// `eth0:1`; IPv4 only.
    pub label: Option<String>,
    /// IPv4 broadcast address; from the prefix if not given.
    pub broadcast: Option<std::net::Ipv4Addr>,
}
