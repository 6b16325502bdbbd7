//! A pair of nodes with hbd, a client and responders: what most scenarios begin with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::audit::{Audit, Look};
use crate::command::Output;
use crate::hbd::config::Settings;
use crate::hbd::daemon::{Daemon, hbctl, wait_status};
use crate::hbd::status::{self, Status};
use crate::net::process::Process;
use crate::net::{Cut, Lan, World};
use crate::probe::ProbeHandle;
use crate::probe::handle::start_echo;
use crate::wall::WallClocks;
use crate::{LabError, Result};

/// The bound for everything that should take seconds: generous, because a test never judges speed by it.
pub const BOUND: Duration = Duration::from_secs(20);

/// The address most scenarios move.
pub const VIP: &str = "10.77.1.1";

/// The group most scenarios move.
pub const GROUP: &str = "vip";

/// Two nodes `a` and `b`, their daemons, and a responder on each.
#[derive(Debug)]
pub struct Pair {
    daemons: Mutex<BTreeMap<String, Daemon>>,
    echoes: Mutex<BTreeMap<String, Process>>,
    wall: Option<WallClocks>,
    /// The configuration [`Pair::start`] installs.
    pub settings: Settings,
    /// The network.
    pub world: World,
}

impl Pair {
    /// A world with `a` and `b`, nothing running but the responders; one group [`GROUP`] with [`VIP`], preferring `a`.
    ///
    /// # Errors
    /// See [`World::new`].
    pub fn new() -> Result<Pair> {
        let vip = crate::hbd::config::address(VIP, 16, "eth0");
        Pair::with(|settings| settings.group(GROUP, Some("a"), &[&vip]))
    }

    /// As [`Pair::new`] with another configuration, made from [`Settings::pair`] (which has no group).
    ///
    /// # Errors
    /// See [`World::new`].
    pub fn with(change: impl FnOnce(Settings) -> Settings) -> Result<Pair> {
        Pair::beside(&[], change)
    }

    /// As [`Pair::with`], in a world with further nodes that have no part in the cluster.
    ///
    /// # Errors
    /// See [`World::new`].
    pub fn beside(strangers: &[&str], change: impl FnOnce(Settings) -> Settings) -> Result<Pair> {
        let world = World::new(&[&["a", "b"], strangers].concat())?;
        let settings = change(Settings::of(&world, &["a", "b"])?);
        let pair = Pair { daemons: Mutex::default(), echoes: Mutex::default(), wall: None, settings, world };
        for node in ["a", "b"] {
            pair.start_echo(node)?;
            crate::agent::install(&pair.world, node)?;
        }
        Ok(pair)
    }

    /// Daemons started from now on see a wall clock that can be wrong; see [`Pair::set_wall_clock`].
    ///
    /// # Errors
    /// See [`WallClocks::new`].
    pub fn with_wall_clocks(mut self) -> Result<Pair> {
        self.wall = Some(WallClocks::new(&self.world)?);
        Ok(self)
    }

    /// The wall clock of a node is wrong by these seconds from now on.
    ///
    /// # Errors
    /// The pair was made without [`Pair::with_wall_clocks`].
    pub fn set_wall_clock(&self, node: &str, seconds: i64) -> Result<()> {
        self.world.timeline.note(format!("{node}: wall clock wrong by {seconds} s"));
        let wall = self.wall.as_ref().ok_or_else(|| LabError::new("the pair has no wall clocks"))?;
        wall.set(node, seconds)
    }

    /// [`Pair::new`] with both daemons running and the group started on `a`, audited.
    ///
    /// # Errors
    /// It did not come to that.
    pub fn running() -> Result<Pair> {
        let pair = Pair::new()?;
        pair.start_both()?;
        Ok(pair)
    }

    /// Starts both daemons and waits until all groups are started and the peers see each other.
    ///
    /// # Errors
    /// It did not come to that.
    pub fn start_both(&self) -> Result<()> {
        self.start("a")?;
        self.start("b")?;
        for (node, peer) in [("a", "b"), ("b", "a")] {
            self.wait(node, "all groups started, peer up", |s| {
                s.sees(peer, "up") && !s.groups.is_empty() && s.groups.iter().all(|g| g.state == "started")
            })?;
        }
        Ok(())
    }

    /// Installs the configuration on a node and starts its daemon.
    ///
    /// # Errors
    /// The node is off, or there is no daemon to start.
    pub fn start(&self, node: &str) -> Result<()> {
        self.settings.install(&self.world, node)?;
        self.start_again(node)
    }

    /// Starts the daemon of a node with the configuration that is there.
    ///
    /// # Errors
    /// The node is off, or there is no daemon to start.
    pub fn start_again(&self, node: &str) -> Result<()> {
        let environment = self.wall.as_ref().map(|wall| wall.environment(node)).unwrap_or_default();
        let daemon = Daemon::start_with(&self.world, node, &environment, &[])?;
        lock(&self.daemons).insert(node.to_owned(), daemon);
        Ok(())
    }

    /// Starts another program as the daemon of a node, with the configuration that is there.
    ///
    /// # Errors
    /// The node is off.
    pub fn start_program(&self, node: &str, program: &Path) -> Result<()> {
        self.world.timeline.note(format!("{node}: starts {}", program.display()));
        let daemon = Daemon::start_program(&self.world, node, program, &[], &[])?;
        lock(&self.daemons).insert(node.to_owned(), daemon);
        Ok(())
    }

    /// Kills the daemon of a node with SIGKILL; its machine goes on.
    ///
    /// # Errors
    /// None was started there.
    pub fn crash(&self, node: &str) -> Result<()> {
        self.world.timeline.note(format!("{node}: hbd killed"));
        self.daemon(node, |d| {
            d.crash();
            Ok(())
        })
    }

    /// Has the daemon of a node leave in order (SIGTERM), which is exit code 0.
    ///
    /// # Errors
    /// Any other end, or none within [`BOUND`].
    pub fn leave(&self, node: &str) -> Result<()> {
        self.world.timeline.note(format!("{node}: SIGTERM to hbd"));
        let code = self.daemon(node, |d| d.terminate(BOUND))?;
        self.world.timeline.note(format!("{node}: hbd ended with {code}"));
        if code == 0 {
            return Ok(());
        }
        Err(LabError(format!("hbd on {node} left with exit code {code}")))
    }

    /// Starts (again) the responder of a node, e.g. after it was booted.
    ///
    /// # Errors
    /// The node is off.
    pub fn start_echo(&self, node: &str) -> Result<()> {
        let echo = start_echo(&self.world, node)?;
        lock(&self.echoes).insert(node.to_owned(), echo);
        Ok(())
    }

    /// Boots a node that is off, with responder and daemon.
    ///
    /// # Errors
    /// It is not off, or something did not start.
    pub fn boot(&self, node: &str) -> Result<()> {
        self.world.boot(node)?;
        self.start_echo(node)?;
        self.start(node)
    }

    /// As [`World::power_off`], also while the daemon there is stopped: its nsenter, which is stopped with it, would hold the
    /// end of the machine up.
    ///
    /// # Errors
    /// As [`World::power_off`].
    pub fn power_off(&self, node: &str) -> Result<u64> {
        if let Some(daemon) = lock(&self.daemons).get_mut(node)
            && daemon.process().stopped()
        {
            daemon.crash();
        }
        self.world.power_off(node)
    }

    /// Lets `work` have the daemon of a node.
    ///
    /// # Errors
    /// None was started there, or `work`'s.
    pub fn daemon<T>(&self, node: &str, work: impl FnOnce(&mut Daemon) -> Result<T>) -> Result<T> {
        let mut daemons = lock(&self.daemons);
        work(daemons.get_mut(node).ok_or_else(|| LabError(format!("no daemon was started on {node}")))?)
    }

    /// Sends a signal to the daemon of a node.
    ///
    /// # Errors
    /// None was started there.
    pub fn signal(&self, node: &str, signal: nix::sys::signal::Signal) -> Result<()> {
        self.world.timeline.note(format!("{node}: {signal} to hbd"));
        self.daemon(node, |d| {
            d.process().signal(signal);
            Ok(())
        })
    }

    /// Runs hbctl on a node; its exit code is for the caller to judge.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn hbctl(&self, node: &str, words: &[&str]) -> Result<Output> {
        let output = hbctl(&self.world, node, words)?;
        let said = output.stderr.trim();
        self.world.timeline.note(format!("{node}: hbctl {} -> {} {said}", words.join(" "), output.code));
        Ok(output)
    }

    /// Runs hbctl on a node and wants exit code 0.
    ///
    /// # Errors
    /// Any other code.
    pub fn order(&self, node: &str, words: &[&str]) -> Result<Output> {
        self.hbctl(node, words)?.success()
    }

    /// The status a node gives now, if it does.
    pub fn status(&self, node: &str) -> Option<Status> {
        status::of(&self.world, node)
    }

    /// Waits until the status of a node is as `judge` wants it.
    ///
    /// # Errors
    /// It was not within [`BOUND`].
    pub fn wait(&self, node: &str, what: &str, judge: impl Fn(&Status) -> bool) -> Result<Status> {
        wait_status(&self.world, node, what, BOUND, judge)
    }

    /// The audit of [`VIP`] in [`GROUP`].
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(&self.world, &[ip(VIP)]).group(GROUP).members(&["a", "b"])
    }

    /// Waits until `node` owns [`VIP`] and everything agrees; see [`Audit::await_owner`].
    ///
    /// # Errors
    /// It was not within [`BOUND`].
    pub fn owned_by(&self, node: &str) -> Result<Look> {
        let look = self.audit().await_owner(node, BOUND)?;
        self.world.timeline.note(format!("audited: {node} owns"));
        Ok(look)
    }

    /// Starts a probe of [`VIP`], one per millisecond.
    ///
    /// # Errors
    /// It could not be started.
    pub fn probe(&self, label: &str) -> Result<ProbeHandle> {
        ProbeHandle::start(&self.world, label, &[ip(VIP)], Duration::from_millis(1))
    }

    /// Wants `node` to own the group, audited again and again throughout `window`; see [`crate::scenario::throughout`].
    ///
    /// # Errors
    /// It did not once.
    pub fn stays_with(&self, node: &str, window: Duration) -> Result<()> {
        let audit = self.audit();
        let what = format!("{node} was to keep the group");
        crate::scenario::throughout(&what, window, || audit.expect_owner(node).map(drop))?;
        self.world.timeline.note(format!("audited: {node} owned for {window:?}"));
        Ok(())
    }

    /// Waits until a node says that the peer is up and that `owner` has the group.
    ///
    /// # Errors
    /// It did not come to that within [`BOUND`].
    pub fn joined(&self, node: &str, owner: &str) -> Result<Status> {
        let what = format!("the peer is up, {owner} owns the group");
        self.wait(node, &what, |s| s.sees(other(node), "up") && s.has(GROUP, "started", Some(owner)))
    }

    /// Cuts everything between the two nodes, on both LANs.
    ///
    /// # Errors
    /// nft refuses.
    pub fn cut_all_links(&self) -> Result<()> {
        self.world.cut(Cut::between("a", "b", Lan::Service))?;
        self.world.cut(Cut::between("a", "b", Lan::Heartbeat))
    }
}

/// An address from text that is one.
///
/// # Panics
/// The text is none: a mistake in the test itself.
pub fn ip(text: &str) -> IpAddr {
    match text.parse() {
        Ok(address) => address,
        Err(_) => panic!("`{text}` in a test is no address"),
    }
}

/// The other of the two nodes.
pub fn other(node: &str) -> &'static str {
    if node == "a" { "b" } else { "a" }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
