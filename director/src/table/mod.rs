//! The IPVS table as a value: what the kernel has, and what it shall have.
//!
//! Two tables are compared by [`plan`], which says how to get from one to the other in place.

mod plan;
mod show;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use plan::{Change, plan};

/// All virtual services. What the kernel has, or what it shall have.
pub type Table = BTreeMap<Key, Service>;

/// A transport protocol IPVS balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// An address family; a firewall mark needs one, since it has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What the kernel knows a virtual service by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// Packets to an address; port 0 is every port (persistent services).
    Address(Protocol, SocketAddr),
    /// Packets with a firewall mark.
    Mark(u32, Family),
}

impl Key {
    /// Its address family.
    pub fn family(&self) -> Family {
        match self {
            Key::Address(_, address) => family_of(address.ip()),
            Key::Mark(_, family) => *family,
        }
    }
}

/// The family of an address.
pub fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// The flags of a service besides those that follow from the rest of it (persistent, hashed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags {
    /// Each UDP packet is scheduled anew.
    pub one_packet: bool,
    /// `flag-1`: of sh and mh, fall back to another real server if the chosen one cannot serve.
    pub scheduler_1: bool,
    /// `flag-2`: of sh and mh, hash the port too.
    pub scheduler_2: bool,
    /// `flag-3`.
    pub scheduler_3: bool,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The scheduler's name.
    pub scheduler: String,
    /// Flags.
    pub flags: Flags,
    /// For how many seconds a client comes back to the same real server.
    pub persistent: Option<u32>,
    /// Which clients count as one: for IPv4 a netmask (`255.255.255.0` is `0xffff_ff00`), for IPv6 the length
    /// of a prefix. A service that is not persistent has the whole address, [`Service::whole_mask`].
    pub netmask: u32,
    /// The persistence engine (`sip`), if any.
    pub engine: Option<String>,
    /// Its real servers; what is and what shall be are mostly the same, and then in memory once.
    pub dests: Arc<BTreeMap<SocketAddr, Dest>>,
}

impl Service {
    /// The netmask under which each client is one.
    pub fn whole_mask(family: Family) -> u32 {
        match family {
            Family::V4 => u32::MAX,
            Family::V6 => 128,
        }
    }

    /// Its real servers, to change them.
    pub fn dests_mut(&mut self) -> &mut BTreeMap<SocketAddr, Dest> {
        Arc::make_mut(&mut self.dests)
    }

    /// Whether the two differ in nothing but their real servers.
    pub fn same_but_dests(&self, other: &Service) -> bool {
        self.scheduler == other.scheduler
            && self.flags == other.flags
            && self.persistent == other.persistent
            && self.netmask == other.netmask
            && self.engine == other.engine
    }
}

/// How packets get to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forward {
    /// Direct routing: the frame goes to the real server as it is.
    Gate,
    /// NAT.
    Masq,
    /// In a tunnel.
    Tunnel(Tunnel),
    /// To this machine itself; the kernel's own word for it, never configured.
    Local,
    /// Past the table; the kernel's, never configured.
    Bypass,
}

/// What a tunnel is made of (Linux 5.2, 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation to a port.
    Gue {
        /// The port the real server takes it on.
        port: u16,
        /// Its checksum.
        checksum: Checksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Its checksum.
        checksum: Checksum,
    },
}

/// The checksum of a tunnel's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checksum {
    /// None.
    #[default]
    None,
    /// Over each packet.
    Full,
    /// Remote checksum offload (GUE).
    Remote,
}

/// A real server in a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dest {
    /// Its share; 0 takes no new connections.
    pub weight: u32,
    /// How packets get there.
    pub forward: Forward,
    /// No new connections above so many; 0 is no bound.
    pub upper: u32,
    /// New connections again below so many; 0 is three quarters of `upper` (the kernel's rule).
    pub lower: u32,
}

/// The largest weight the kernel takes (`ip_vs_ctl.c`: a signed 32-bit number).
pub const MAX_WEIGHT: u32 = i32::MAX as u32;
