//! Machines, cables and a switch, made of namespaces.
//!
//! A [`World`] is a switch with two LANs, some nodes and a client. Several worlds may exist at the same time;
//! each is gone when it is dropped, when its test panics, and when its test is killed.

pub mod clean;
pub mod cuts;
pub mod init;
pub mod modem;
pub mod plan;
pub mod process;
pub mod space;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use cuts::{Cut, Lan};
pub use modem::NullModem;
pub use plan::Machine;
pub use process::Process;
use space::Space;

use crate::clock::wait_for;
use crate::command::{self, Output};
use crate::error::Context;
use crate::timeline::Timeline;
use crate::{LabError, Result, clock};

/// The client's name.
pub const CLIENT: &str = "client";
/// The switch's name (for [`World::exec`]); it answers pings as the gateway.
pub const SWITCH: &str = "switch";

/// The longest a cable may take to come up.
const BOOT: Duration = Duration::from_secs(10);

static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A switch, nodes and a client; see the picture in the crate's documentation.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    switch: Space,
    machines: BTreeMap<String, Machine>,
    running: Mutex<BTreeMap<String, Space>>,
    /// Held while a machine is booted or loses its power: a power switch may do that while a scenario goes on.
    power: Mutex<()>,
    cuts: Mutex<Vec<Cut>>,
    /// What was done, printed when the test panics.
    pub timeline: Timeline,
}

impl World {
    /// A world with these nodes (booted) and a client.
    ///
    /// # Errors
    /// Not root, a tool is missing, or the kernel refuses; the sentence says which.
    pub fn new(nodes: &[&str]) -> Result<World> {
        let began = Instant::now();
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let dir = clean::new_world_dir(number)?;
        let world = World::build(dir.clone(), nodes).inspect_err(|_| clean::remove_dir(&dir))?;
        let took = began.elapsed().as_millis();
        world.timeline.note(format!("world up in {took} ms"));
        Ok(world)
    }

    fn build(dir: PathBuf, nodes: &[&str]) -> Result<World> {
        let switch_dir = dir.join(SWITCH);
        fs::create_dir_all(&switch_dir).context(|| format!("cannot make {}", switch_dir.display()))?;
        let switch = Space::new(SWITCH, &switch_dir)?;
        switch.ip(plan::SWITCH_BATCH)?;
        switch.exec(plan::ONLY_SWITCH, "")?.success()?;
        let mut machines = BTreeMap::new();
        for (index, name) in nodes.iter().enumerate() {
            machines.insert((*name).to_owned(), Machine::node(name, index)?);
        }
        machines.insert(CLIENT.to_owned(), Machine::client());
        let world = World {
            dir,
            switch,
            machines,
            running: Mutex::default(),
            power: Mutex::default(),
            cuts: Mutex::default(),
            timeline: Timeline::default(),
        };
        for name in nodes.iter().chain([&CLIENT]) {
            world.boot(name)?;
        }
        Ok(world)
    }

    /// Boots a machine that is off. Its /etc and /var are as it left them; /run is empty.
    ///
    /// # Errors
    /// It runs already, or its namespaces or cables cannot be made.
    pub fn boot(&self, name: &str) -> Result<()> {
        let machine = self.machine(name)?;
        let _alone = self.power.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.is_up(name) {
            return Err(LabError(format!("{name} runs already")));
        }
        let dir = self.dir_of(name);
        fs::create_dir_all(dir.join("log")).context(|| format!("cannot make {}", dir.display()))?;
        let space = Space::new(name, &dir)?;
        self.switch.ip(&machine.switch_batch(space.pid()))?;
        space.ip(&machine.node_batch())?;
        for lan in machine.lans() {
            let interface = format!("{}/operstate", lan.interface());
            wait_for("the cable", BOOT, Duration::from_millis(1), || {
                (space.net_file(&interface)? == "up").then_some(())
            })?;
            self.wait_forwarding(name, lan)?;
        }
        self.spaces().insert(name.to_owned(), space);
        self.timeline.note(format!("{name}: booted"));
        Ok(())
    }

    /// Cuts the power: every process dies at once, then the cables are dead. Returns the time of the kill
    /// (nanoseconds, `CLOCK_MONOTONIC`).
    ///
    /// # Errors
    /// The machine is off already.
    pub fn power_off(&self, name: &str) -> Result<u64> {
        let machine = self.machine(name)?;
        let _alone = self.power.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut space =
            self.spaces().remove(name).ok_or_else(|| LabError(format!("{name} is off already")))?;
        let at = clock::monotonic_ns();
        command::signal_pid(space.pid(), nix::sys::signal::Signal::SIGKILL);
        // The kernel takes a network namespace apart at its leisure; a machine without power is silent at once.
        let _ = self.switch.ip(&machine.unplug_batch());
        space.kill();
        self.timeline.note(format!("{name}: power off"));
        Ok(at)
    }

    /// True while the machine runs.
    pub fn is_up(&self, name: &str) -> bool {
        self.spaces().contains_key(name)
    }

    /// The nodes (not the client), running or not.
    pub fn nodes(&self) -> Vec<String> {
        self.machines.keys().filter(|n| *n != CLIENT).cloned().collect()
    }

    /// The plan of a machine: its addresses and hardware addresses.
    ///
    /// # Errors
    /// There is no such machine.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.machines.get(name).ok_or_else(|| LabError(format!("there is no machine {name} in this world")))
    }

    /// The world's folder: `<machine>/etc`, `<machine>/var` (what differs from the host), `<machine>/log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of one machine.
    pub fn dir_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Runs a command in a machine (or the [`SWITCH`]) to its end, for at most [`command::BOUND`].
    ///
    /// # Errors
    /// The machine is off, or the command cannot be run or does not end. Its exit code is for the caller to judge.
    pub fn exec(&self, name: &str, words: &[&str]) -> Result<Output> {
        self.exec_with(name, words, "")
    }

    /// As [`World::exec`], with `input` on stdin.
    ///
    /// # Errors
    /// As [`World::exec`].
    pub fn exec_with(&self, name: &str, words: &[&str], input: &str) -> Result<Output> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| LabError::new("an empty command line"))?;
        let mut command = self.command(name, program)?;
        command.args(arguments);
        command::run(command, input, command::BOUND)
    }

    /// As [`World::exec`], and exit code 0 is asked for; gives what it printed.
    ///
    /// # Errors
    /// As [`World::exec`], or another exit code.
    pub fn must(&self, name: &str, words: &[&str]) -> Result<String> {
        Ok(self.exec(name, words)?.success()?.stdout)
    }

    /// Starts a program in a machine; its output goes to `<dir>/<machine>/log/<label>.log`.
    ///
    /// # Errors
    /// The machine is off or the program cannot be started.
    pub fn spawn(&self, name: &str, label: &str, words: &[&str]) -> Result<Process> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| LabError::new("an empty command line"))?;
        let mut command = self.command(name, program)?;
        command.args(arguments);
        let process = Process::start(label, command, &self.log_path(name, label))?;
        self.timeline.note(format!("{name}: started {label}"));
        Ok(process)
    }

    /// Where [`World::spawn`] writes the log `label` of a machine.
    pub fn log_path(&self, name: &str, label: &str) -> PathBuf {
        self.dir_of(name).join("log").join(format!("{label}.log"))
    }

    /// `program` to be run inside a machine, for callers that want to set more than [`World::exec`] lets them.
    ///
    /// # Errors
    /// The machine is off.
    pub fn command(&self, name: &str, program: &str) -> Result<Command> {
        self.with_space(name, |space| Ok(space.command(program)))
    }

    /// Writes a file in a running machine (folders are made), with this mode.
    ///
    /// # Errors
    /// The machine is off or refuses.
    pub fn write_file(&self, name: &str, path: &str, text: &str, mode: u32) -> Result<()> {
        // Written beside and renamed: a daemon that reads meanwhile sees the old or the new, never half.
        let script = format!(
            "mkdir -p \"$(dirname '{path}')\" && umask 077 && cat > '{path}.lab' && chmod {mode:o} '{path}.lab' && mv '{path}.lab' '{path}'"
        );
        self.exec_with(name, &["sh", "-c", &script], text)?.success()?;
        Ok(())
    }

    /// Whether a machine is up and has a file, looked at without entering it.
    pub fn has_file(&self, name: &str, path: &str) -> bool {
        let path = |space: &Space| Ok(format!("/proc/{}/root{path}", space.pid()));
        self.with_space(name, path).is_ok_and(|path| Path::new(&path).exists())
    }

    /// Adds an address to an interface of a machine, as an operator would: no announcement, no DAD.
    ///
    /// # Errors
    /// The machine is off, or has it already.
    pub fn add_address(&self, name: &str, interface: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        self.with_space(name, |s| s.ip(&format!("addr add {address}/{prefix} dev {interface}{nodad}\n")))
    }

    /// Takes an address away.
    ///
    /// # Errors
    /// The machine is off or has it not.
    pub fn remove_address(&self, name: &str, interface: &str, address: IpAddr, prefix: u8) -> Result<()> {
        self.with_space(name, |s| s.ip(&format!("addr del {address}/{prefix} dev {interface}\n")))
    }

    /// Sets an interface up or down from inside the machine.
    ///
    /// # Errors
    /// The machine is off or has no such interface.
    pub fn set_link(&self, name: &str, interface: &str, up: bool) -> Result<()> {
        let word = if up { "up" } else { "down" };
        self.timeline.note(format!("{name}: {interface} {word}"));
        self.with_space(name, |s| s.ip(&format!("link set {interface} {word}\n")))
    }

    /// Pulls the plug out of the switch: the machine sees its carrier go. Undone by [`World::plug`], not by heal.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn unplug(&self, name: &str, lan: Lan) -> Result<()> {
        self.timeline.note(format!("{name}: {lan:?} unplugged"));
        self.switch.ip(&format!("link set {} down\n", lan.port(name)))
    }

    /// Puts the plug back; returns when the switch forwards again.
    ///
    /// # Errors
    /// There is no such cable.
    pub fn plug(&self, name: &str, lan: Lan) -> Result<()> {
        self.timeline.note(format!("{name}: {lan:?} plugged"));
        self.switch.ip(&format!("link set {} up\n", lan.port(name)))?;
        self.wait_forwarding(name, lan)
    }

    /// Adds a cut; see [`Cut`] for the kinds. It takes effect at once and lasts until [`World::heal`].
    ///
    /// # Errors
    /// nft refuses.
    pub fn cut(&self, cut: Cut) -> Result<()> {
        self.timeline.note(format!("cut {cut:?}"));
        let mut cuts = self.cuts.lock().map_err(|_| LabError::new("a thread panicked while cutting"))?;
        cuts.push(cut);
        cuts::apply(&self.switch, &cuts)
    }

    /// Makes these all the cuts there are, in one step.
    ///
    /// # Errors
    /// nft refuses.
    pub fn recut(&self, wanted: Vec<Cut>) -> Result<()> {
        self.timeline.note(format!("cuts are {wanted:?}"));
        let mut cuts = self.cuts.lock().map_err(|_| LabError::new("a thread panicked while cutting"))?;
        *cuts = wanted;
        cuts::apply(&self.switch, &cuts)
    }

    /// Ends all cuts.
    ///
    /// # Errors
    /// nft refuses.
    pub fn heal(&self) -> Result<()> {
        self.timeline.note("heal");
        let mut cuts = self.cuts.lock().map_err(|_| LabError::new("a thread panicked while cutting"))?;
        cuts.clear();
        cuts::apply(&self.switch, &cuts)
    }

    /// The names of all logs of a machine with their last `lines` lines, for a failure's report.
    pub fn log_tails(&self, name: &str, lines: usize) -> String {
        let mut text = String::new();
        let Ok(folder) = fs::read_dir(self.dir_of(name).join("log")) else {
            return text;
        };
        for entry in folder.flatten() {
            let content = fs::read_to_string(entry.path()).unwrap_or_default();
            let all: Vec<&str> = content.lines().collect();
            let tail = &all[all.len().saturating_sub(lines)..];
            if !tail.is_empty() {
                text += &format!("--- {name}: {}\n{}\n", entry.file_name().display(), tail.join("\n"));
            }
        }
        text
    }

    /// The kernel tells the bridge of a carrier when it finds the time; until then the port is deaf.
    fn wait_forwarding(&self, name: &str, lan: Lan) -> Result<()> {
        const FORWARDING: &str = "3";
        let file = format!("{}/brport/state", lan.port(name));
        wait_for("the switch's port", BOOT, Duration::from_millis(1), || {
            (self.switch.net_file(&file)? == FORWARDING).then_some(())
        })
    }

    fn with_space<T>(&self, name: &str, work: impl FnOnce(&Space) -> Result<T>) -> Result<T> {
        if name == SWITCH {
            return work(&self.switch);
        }
        let spaces = self.spaces();
        work(spaces.get(name).ok_or_else(|| LabError(format!("{name} is off")))?)
    }

    fn spaces(&self) -> MutexGuard<'_, BTreeMap<String, Space>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("timeline of {}:\n{}", self.dir.display(), self.timeline);
            for name in self.machines.keys() {
                eprint!("{}", self.log_tails(name, 60));
            }
        }
        self.spaces().clear();
        self.switch.kill();
        if std::env::var_os("LAB_KEEP").is_some() {
            eprintln!("kept: {}", self.dir.display());
        } else {
            clean::remove_dir(&self.dir);
        }
    }
}
