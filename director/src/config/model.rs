//! What a configuration says, as far as it is good.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::check::Spec;
use crate::load::Policy;
use crate::table::{Flags, Forward, Key};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where connections are told to the other director, if they are.
    pub sync: Option<Sync>,
    /// Whom to tell of real servers that are down.
    pub alerts: Vec<Alert>,
    /// A folder where a file named as a real server takes it out of service (ldirectord's `maintenancedir`).
    pub maintenance_dir: Option<PathBuf>,
    /// How long a real server taken out of the configuration may finish its connections.
    pub drain: Duration,
    /// Checks at a time.
    pub checks_at_once: usize,
    /// Whose members may steer besides root.
    pub group: String,
    /// Whether the director runs on the node without the address too.
    pub warm: bool,
    /// The virtual services.
    pub virtuals: Vec<Virtual>,
    /// What is odd, a line each.
    pub warnings: Vec<String>,
}

/// The connection sync daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The interface connections are multicast on.
    pub interface: String,
    /// What tells pairs of directors apart.
    pub id: u8,
}

/// Somebody to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The program.
    pub exec: PathBuf,
    /// After so many failed checks of a server that is down: 1 is at once.
    pub after: u32,
    /// Not more often than this for the same real server, and again after this while it lasts; zero is once.
    pub every: Duration,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq)]
pub struct Virtual {
    /// Its name.
    pub name: String,
    /// What the kernel knows it by.
    pub key: Key,
    /// The virtual addresses behind a firewall mark, as far as they were told.
    pub behind: Vec<IpAddr>,
    /// The scheduler.
    pub scheduler: String,
    /// Its flags.
    pub flags: Flags,
    /// For how many seconds a client comes back to the same real server.
    pub persistent: Option<u32>,
    /// Which clients count as one, as [`crate::table::Service::netmask`].
    pub netmask: u32,
    /// The persistence engine.
    pub engine: Option<String>,
    /// Serves when fewer than `quorum` real servers are up.
    pub fallback: Option<(SocketAddr, Forward)>,
    /// So many real servers must be up for the service to be up.
    pub quorum: u32,
    /// So many fewer may be up before a service that is up goes down; so many more must be before it comes up again.
    pub hysteresis: u32,
    /// Run when the service comes up.
    pub quorum_up: Option<PathBuf>,
    /// Run when it goes down.
    pub quorum_down: Option<PathBuf>,
    /// So many percent of the real servers stay in service whatever their checks say; 0 is none.
    pub never_below: u32,
    /// How long a real server that came back takes to its full weight.
    pub slow_start: Duration,
    /// A real server that is down keeps its connections (weight 0), else it is removed.
    pub quiescent: bool,
    /// The real servers.
    pub reals: Vec<Real>,
}

impl Virtual {
    /// Its addresses, as far as they are known.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let own = match self.key {
            Key::Address(_, address) => Some(address.ip()),
            Key::Mark(..) => None,
        };
        own.into_iter().chain(self.behind.iter().copied())
    }
}

/// A real server of a virtual service.
#[derive(Clone, Debug, PartialEq)]
pub struct Real {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Its weight while all is well.
    pub weight: u32,
    /// How packets get there.
    pub forward: Forward,
    /// No new connections above so many; 0 is no bound.
    pub upper: u32,
    /// New connections again below so many.
    pub lower: u32,
    /// All of them must be good; the same for all that have them from their service.
    pub checks: Arc<[Check]>,
    /// Its weight follows its load.
    pub load: Option<Arc<Policy>>,
}

/// A check with its timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked; the same for all that have it from their service.
    pub spec: Arc<Spec>,
    /// The port asked, if not the real server's.
    pub port: Option<u16>,
    /// Between two checks.
    pub interval: Duration,
    /// For one check, as a whole.
    pub timeout: Duration,
    /// Failures in a row until down.
    pub fall: u32,
    /// Successes in a row until up again.
    pub rise: u32,
}
