//! The namespace lab: real daemons on real networks, audited from outside.
//!
//! ```text
//!            node a                 node b                client
//!         eth0     eth1          eth0     eth1             eth0
//!          │        │             │        │                │
//!      ────┴────────│─────────────┴────────│────────────────┴──── lan0 (service LAN, 10.77.0.0/16, fd77::/64)
//!               ────┴──────────────────────┴─────────             lan1 (heartbeat LAN, 10.78.0.0/24)
//!                        both bridges live in the switch's own namespace
//! ```
//!
//! * [`net`] builds such a [`net::World`]: boots nodes, cuts their power, cuts cables, runs programs in them.
//! * [`probe`] is the client's view: one small datagram each millisecond, and every gap in the answers.
//! * [`audit`] looks from outside: who has the address, does the client's neighbour table agree, what do the daemons say.
//! * [`hbd`] writes configurations and drives the daemons under test.
//! * [`agent`] is a resource agent that does as told and writes down its calls; [`watch`] sees every change of an address.
//! * [`wall`] gives each node a wall clock of its own to be wrong; [`live`] is the long random walk through all faults.
//! * [`power`] is a fence device: a power switch that hbd can be given.
//! * [`farm`] is a pair of directors with real servers behind them, for a kernel with IPVS.
//! * [`pair`] joins these into what a scenario wants: a running pair in one line; [`scenario`] is the rest.
//!
//! Nothing touches the host's network: every namespace is anonymous and held by one process, which ends
//! when its test does, however the test ends. Needs root, iproute2, util-linux and nftables.

pub mod agent;
pub mod audit;
pub mod bench;
pub mod clock;
pub mod command;
pub mod demo;
mod error;
pub mod etcd;
pub mod farm;
pub mod flood;
pub mod forge;
pub mod hbd;
pub mod live;
pub mod net;
pub mod pair;
pub mod power;
pub mod probe;
pub mod scenario;
pub mod timeline;
pub mod wall;
pub mod watch;

pub use error::{LabError, Result};

/// True where the lab can run: root, and the programs it drives are installed. Says why not on stderr, loudly,
/// because a skipped test that looks like a passed one is worse than a failure.
///
/// With `LAB_REQUIRED` set in the environment (as in the project's own checks) a missing condition panics instead.
pub fn available() -> bool {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    for program in ["ip", "nsenter", "nft"] {
        if command::find(program).is_none() {
            missing.push(format!("the program {program}"));
        }
    }
    if missing.is_empty() {
        return true;
    }
    let text = format!("SKIPPED: the namespace lab needs {}", missing.join(", "));
    assert!(std::env::var_os("LAB_REQUIRED").is_none(), "{text}");
    eprintln!("{text}");
    false
}
