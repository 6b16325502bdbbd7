//! One world with one product's pair in it: the same machines, cables, responders and order of start for all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::product::{Case, Product};
use crate::clock::wait_for;
use crate::net::process::Process;
use crate::net::{SWITCH, World};
use crate::probe::handle::start_echo;
use crate::{LabError, Result, command};

/// The bound for a pair to come up or to change places; heartbeat takes its time over many addresses.
pub const BOUND: Duration = Duration::from_secs(90);
/// Between two looks that cost a process in a node: rarer than anything that is measured lasts.
const LOOK: Duration = Duration::from_millis(200);

/// A running pair.
pub struct Ground {
    daemons: BTreeMap<String, Process>,
    echoes: Vec<Process>,
    /// The network.
    pub world: World,
    /// The configuration.
    pub case: Case,
}

impl Ground {
    /// A world with the product's configuration on both nodes and nothing running but the responders (if wanted).
    ///
    /// # Errors
    /// The world cannot be made.
    pub fn prepare(product: &dyn Product, case: &Case, responders: bool) -> Result<Ground> {
        let world = World::new(&["a", "b"])?;
        plain_switch(&world)?;
        let mut echoes = Vec::new();
        for node in ["a", "b"] {
            product.install(&world, node, case)?;
            if responders {
                echoes.push(start_echo(&world, node)?);
            }
        }
        Ok(Ground { daemons: BTreeMap::new(), echoes, world, case: case.clone() })
    }

    /// A running pair: `a` has the addresses, `b` would take over.
    ///
    /// # Errors
    /// It did not come to that; the daemons' last words are in the error.
    pub fn running(product: &dyn Product, case: &Case) -> Result<Ground> {
        let mut ground = Ground::prepare(product, case, true)?;
        for node in ["a", "b"] {
            ground.start_and_wait(product, node)?;
        }
        Ok(ground)
    }

    /// Gives the responders and this prober a machine of their own, as far as one machine can: real-time priority over
    /// everything but the kernel, so that what else runs here delays neither. They use next to nothing.
    ///
    /// # Errors
    /// chrt (util-linux) refuses.
    pub fn apart(&self, prober: u32) -> Result<()> {
        for pid in self.echoes.iter().map(Process::pid).chain([prober]) {
            let mut chrt = Command::new("chrt");
            chrt.args(["--all-tasks", "--fifo", "--pid", "60", &pid.to_string()]);
            command::run(chrt, "", command::BOUND)?.success()?;
        }
        Ok(())
    }

    /// Starts the product on `a` (and waits until it has the addresses) or on `b` (and until it is ready to take them).
    ///
    /// # Errors
    /// It did not come to that.
    pub fn start_and_wait(&mut self, product: &dyn Product, node: &str) -> Result<()> {
        self.start(product, node)?;
        if node == "a" { self.wait_owner("a") } else { self.wait_settled(product, "a", "b") }
    }

    /// Starts the product on a node.
    ///
    /// # Errors
    /// It is not there, or the node is off.
    pub fn start(&mut self, product: &dyn Product, node: &str) -> Result<()> {
        let words = product.command()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = self.world.spawn(node, product.name(), &words)?;
        self.daemons.insert(node.to_owned(), process);
        Ok(())
    }

    /// SIGTERM to the product on a node; returns when it has ended.
    ///
    /// # Errors
    /// It is not running or does not end.
    pub fn terminate(&mut self, node: &str) -> Result<()> {
        let daemon = self.daemons.get_mut(node).ok_or_else(|| LabError(format!("nothing runs on {node}")))?;
        daemon.signal(Signal::SIGTERM);
        match daemon.wait(BOUND)? {
            Some(_) => Ok(()),
            None => Err(LabError(format!("{} on {node} does not end", daemon.name()))),
        }
    }

    /// True while the product's process on a node is there.
    pub fn is_running(&self, node: &str) -> bool {
        self.pid(node).is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
    }

    /// The product's pid on a node, as the host sees it.
    pub fn pid(&self, node: &str) -> Option<u32> {
        self.daemons.get(node).map(Process::pid).filter(|pid| *pid != 0)
    }

    /// What the product on a node has printed so far.
    pub fn log(&self, node: &str) -> String {
        self.daemons.get(node).map(Process::log_text).unwrap_or_default()
    }

    /// Waits until a node has all the addresses.
    ///
    /// # Errors
    /// It has not within [`BOUND`].
    pub fn wait_owner(&self, node: &str) -> Result<()> {
        let what = format!("{node} to have the {} addresses", self.case.addresses.len());
        wait_for(&what, BOUND, LOOK, || self.has_all(node).then_some(())).map_err(|e| self.last_words(&e))
    }

    /// Waits until `standby` would take over from `active`, and then as long as a detection takes, so that nothing
    /// of the start is still under way.
    ///
    /// # Errors
    /// It did not come to that within [`BOUND`].
    pub fn wait_settled(&self, product: &dyn Product, active: &str, standby: &str) -> Result<()> {
        let what = format!("{standby} to be ready to take over from {active}");
        wait_for(&what, BOUND, LOOK, || {
            (self.has_all(active) && product.settled(self, active, standby)).then_some(())
        })
        .map_err(|e| self.last_words(&e))?;
        std::thread::sleep(self.case.deadtime + Duration::from_millis(1500));
        Ok(())
    }

    fn has_all(&self, node: &str) -> bool {
        let Ok(output) = self.world.exec(node, &["ip", "-4", "-o", "addr", "show", "dev", "eth0"]) else {
            return false;
        };
        let there: std::collections::BTreeSet<IpAddr> = output
            .stdout
            .split_whitespace()
            .filter_map(|word| word.split_once('/')?.0.parse().ok())
            .collect();
        self.case.addresses.iter().all(|a| there.contains(&IpAddr::V4(*a)))
    }

    fn last_words(&self, error: &LabError) -> LabError {
        let tails: String = ["a", "b"].iter().map(|n| self.world.log_tails(n, 8)).collect();
        LabError(format!("{error}\n{tails}"))
    }
}

/// Where br_netfilter is loaded (container tools load it), a bridge sends each frame through the host's IP hooks as well.
/// A switch does not, and a sender in the lab would be billed for it.
fn plain_switch(world: &World) -> Result<()> {
    let script =
        "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e \"$f\" ] || echo 0 > \"$f\"; done";
    world.must(SWITCH, &["sh", "-c", script])?;
    Ok(())
}
