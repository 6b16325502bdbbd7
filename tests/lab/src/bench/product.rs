//! What the three products differ in; everything else is the same for all.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::ground::Ground;
use super::{hbd, heartbeat, keepalived};
use crate::command;
use crate::net::World;
use crate::{LabError, Result};

/// A configuration all products are given, each in its own words.
#[derive(Debug, Clone)]
pub struct Case {
    /// Time between two signs of life.
    pub keepalive: Duration,
    /// Silence after which the peer is dead.
    pub deadtime: Duration,
    /// The addresses that move, all in one group, on eth0.
    pub addresses: Vec<Ipv4Addr>,
    /// keepalived's priorities of `a` and `b`: they decide how fast it hands over.
    pub priorities: [u8; 2],
}

impl Case {
    /// One address; keepalived with neighbouring priorities at the top, which is its best case.
    pub fn one(keepalive_ms: u64, deadtime_ms: u64) -> Case {
        Case {
            keepalive: Duration::from_millis(keepalive_ms),
            deadtime: Duration::from_millis(deadtime_ms),
            addresses: addresses(1),
            priorities: [254, 253],
        }
    }
}

/// `count` addresses of the service LAN that no machine has: 10.77.4.1 and on, without .0 and .255.
pub fn addresses(count: usize) -> Vec<Ipv4Addr> {
    let hosts = (4..=255u8).flat_map(|third| (1..=254u8).map(move |last| Ipv4Addr::new(10, 77, third, last)));
    hosts.take(count).collect()
}

/// One failover manager.
pub trait Product {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// What it says of its version.
    fn version(&self) -> String;

    /// Puts the configuration on a node.
    ///
    /// # Errors
    /// The node is off.
    fn install(&self, world: &World, node: &str, case: &Case) -> Result<()>;

    /// The command line that runs it in the foreground, as its package or unit would.
    ///
    /// # Errors
    /// It is not there.
    fn command(&self) -> Result<Vec<String>>;

    /// True once `standby` would take over from `active`. Asked again and again.
    fn settled(&self, ground: &Ground, active: &str, standby: &str) -> bool;

    /// Asks `active` to give everything to the other node, as for maintenance.
    ///
    /// # Errors
    /// It refuses.
    fn release(&self, ground: &mut Ground, active: &str) -> Result<()>;

    /// After [`Product::release`]: makes the node able to take over again.
    ///
    /// # Errors
    /// It refuses.
    fn rejoin(&self, ground: &mut Ground, node: &str) -> Result<()>;

    /// When the survivor knew that `dead` is dead (nanoseconds, `CLOCK_MONOTONIC`), if it can tell to the millisecond.
    fn detected_ns(&self, ground: &Ground, survivor: &str, dead: &str) -> Option<u64>;

    /// How many addresses the part `many` gives it: fewer where a thousand take minutes.
    fn many(&self, quick: bool) -> usize {
        let _ = quick;
        1000
    }
}

/// The products to measure: hbd always, the peers where they are installed.
///
/// # Errors
/// A name in `only` is unknown or not installed.
pub fn installed(only: &[String]) -> Result<Vec<Box<dyn Product>>> {
    let all: [(Box<dyn Product>, bool); 3] = [
        (Box::new(hbd::Hbd), true),
        (Box::new(keepalived::Keepalived), command::find("keepalived").is_some()),
        (Box::new(heartbeat::Heartbeat), std::path::Path::new(heartbeat::PROGRAM).is_file()),
    ];
    for name in only {
        if !all.iter().any(|(product, there)| product.name() == name && *there) {
            return Err(LabError(format!(
                "`{name}` is unknown or not installed: hbd, keepalived, heartbeat"
            )));
        }
    }
    let mut products = Vec::new();
    for (product, there) in all {
        let wanted = only.is_empty() || only.iter().any(|name| name == product.name());
        if wanted && there {
            products.push(product);
        } else if wanted {
            eprintln!("{} is not installed and is left out", product.name());
        }
    }
    Ok(products)
}
