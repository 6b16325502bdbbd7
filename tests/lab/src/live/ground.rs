//! What stands around the pair of a walk, and so how sure a takeover can be.
//!
//! ```text
//!  [switch] ─ power ─▶ a ──┬── b    heartbeats on both LANs
//!                     client w x y  on the service LAN: ping points, members of an etcd; w also plays the stranger
//! ```
//! On each ground `vip` is taken on silence. What `store` requires is there or not:
//!
//! | ground | `store` requires | outside |
//! |---|---|---|
//! | plain | fencing, and no device ever answers: the operator's word alone counts | nothing |
//! | fence | fencing, by a power switch | the switch |
//! | witness | the witness | an etcd of three members |
//! | points | as plain | two ping points |
//! | guarded | as fence | the switch, two ping points |

use std::fmt;

use super::act::NODES;
use crate::hbd::config::Settings;
use crate::{etcd, power};

/// The machine that takes an address of the pair for its own.
pub const STRANGER: &str = "w";
/// The machines that are ping points.
pub const POINTS: [&str; 2] = ["w", "x"];
/// The machines with a member of the etcd.
pub const MEMBERS: [&str; 3] = ["w", "x", "y"];
/// How long a lease of the witness lives, seconds.
pub const TTL: u64 = 8;

/// The ground of a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Ground {
    /// Nothing but the pair and its client.
    #[default]
    Plain,
    /// A power switch fences.
    Fence,
    /// An etcd lends `store`.
    Witness,
    /// Two ping points.
    Points,
    /// A power switch and two ping points.
    Guarded,
}

impl Ground {
    /// All of them.
    pub const ALL: [Ground; 5] =
        [Ground::Plain, Ground::Fence, Ground::Witness, Ground::Points, Ground::Guarded];

    /// The ground of a seed where none is asked for: seeds that follow each other take them in turn.
    pub fn of(seed: u64) -> Ground {
        Ground::ALL[(seed % Ground::ALL.len() as u64) as usize]
    }

    /// A power switch fences.
    pub fn fences(self) -> bool {
        matches!(self, Ground::Fence | Ground::Guarded)
    }

    /// An etcd lends `store`.
    pub fn lends(self) -> bool {
        self == Ground::Witness
    }

    /// There are ping points.
    pub fn points(self) -> bool {
        matches!(self, Ground::Points | Ground::Guarded)
    }

    /// The machines beside the pair and the client.
    pub fn machines(self) -> &'static [&'static str] {
        match self {
            Ground::Witness => &MEMBERS,
            Ground::Points | Ground::Guarded => &POINTS,
            Ground::Plain | Ground::Fence => &[STRANGER],
        }
    }

    /// What `store` requires.
    pub fn requires(self) -> &'static str {
        if self.lends() { "witness" } else { "fencing" }
    }

    /// Its part of the configuration.
    pub fn settle(self, settings: &mut Settings) {
        if self.lends() {
            settings.more += &etcd::table(&[3, 4, 5], &format!("{TTL}s"), "");
        } else if self.fences() {
            // A fence takes less than the delays differ by: the two never shoot each other.
            for (node, delay) in NODES.iter().zip(["200ms", "1500ms"]) {
                let more = format!("timeout = \"1s\"\nretries = 0\ndelay = \"{delay}\"\nmonitor = \"2s\"");
                settings.more += &power::table(node, &more);
            }
        } else {
            for node in NODES {
                settings.more +=
                    &format!("\n[[fence]]\nnode = \"{node}\"\nagent = \"/bin/false\"\nmonitor = \"0s\"\n");
            }
        }
        if self.points() {
            for (point, number) in POINTS.iter().zip([3, 4]) {
                settings.more +=
                    &format!("\n[[ping]]\nname = \"{point}\"\naddresses = [\"10.77.0.{number}\"]\n");
            }
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ground::Plain => "plain",
            Ground::Fence => "fence",
            Ground::Witness => "witness",
            Ground::Points => "points",
            Ground::Guarded => "guarded",
        })
    }
}
