//! Every change of a node's addresses, as the kernel tells it: what a look now and then would miss.

use std::net::IpAddr;
use std::time::Duration;

use crate::Result;
use crate::clock::wait_for;
use crate::net::World;
use crate::net::process::Process;

/// An address nobody else sets, to see that the watch has begun and how far it is.
const MARK: &str = "127.68.66.1/32";
const BOUND: Duration = Duration::from_secs(10);

/// `ip monitor address` on a node.
#[derive(Debug)]
pub struct AddressWatch<'w> {
    world: &'w World,
    node: String,
    process: Process,
}

impl<'w> AddressWatch<'w> {
    /// Begins to watch a node; when this returns nothing is missed any more.
    ///
    /// # Errors
    /// The node is off, or the kernel tells nothing.
    pub fn start(world: &'w World, node: &str) -> Result<AddressWatch<'w>> {
        let process = world.spawn(node, "addresses", &["ip", "-o", "monitor", "address"])?;
        let watch = AddressWatch { world, node: node.to_owned(), process };
        watch.caught_up()?;
        Ok(watch)
    }

    /// How often the address was set since the beginning (a renewal counts too).
    ///
    /// # Errors
    /// The watch does not get on.
    pub fn times_set(&self, address: IpAddr) -> Result<usize> {
        self.caught_up()?;
        let wanted = format!(" {address}/");
        let text = self.process.log_text();
        Ok(text.lines().filter(|line| line.contains(&wanted) && !line.starts_with("Deleted")).count())
    }

    /// How often the address went away since the beginning.
    ///
    /// # Errors
    /// The watch does not get on.
    pub fn times_gone(&self, address: IpAddr) -> Result<usize> {
        self.caught_up()?;
        let wanted = format!(" {address}/");
        let text = self.process.log_text();
        Ok(text.lines().filter(|line| line.contains(&wanted) && line.starts_with("Deleted")).count())
    }

    /// Waits until all that has happened by now is in the log: sets a mark and sees it come.
    fn caught_up(&self) -> Result<()> {
        let marks = || self.process.log_text().matches(MARK).count();
        let before = marks();
        wait_for("the watch of addresses", BOUND, Duration::from_millis(10), || {
            for verb in ["add", "del"] {
                let words = ["ip", "addr", verb, MARK, "dev", "lo"];
                self.world.exec(&self.node, &words).ok()?;
            }
            (marks() > before).then_some(())
        })
    }
}
