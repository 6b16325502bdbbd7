//! The ground: the director's machine and one that is all the real servers, as two network namespaces with one cable.
//!
//! The real servers are behind one next hop, so that no neighbour table is measured.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::servers::Servers;
use crate::command;
use crate::error::Context;
use crate::{LabError, Result};

/// Where the products run.
pub const DIRECTOR: &str = "bench-director";
/// Where the real servers are.
pub const REAL: &str = "bench-real";
const SETUP: &[&str] = &[
    "ip netns add bench-director",
    "ip netns add bench-real",
    "ip link add eth0 netns bench-director type veth peer name eth0 netns bench-real",
    "ip -n bench-director link set lo up",
    "ip -n bench-director link set eth0 up",
    "ip -n bench-real link set lo up",
    "ip -n bench-real link set eth0 up",
    "ip -n bench-director addr add 10.92.0.1/24 dev eth0",
    "ip -n bench-director addr add 10.91.0.1/16 dev lo",
    "ip -n bench-real addr add 10.92.0.2/24 dev eth0",
    // Every address of it is a real server.
    "ip -n bench-director route add 10.90.0.0/17 via 10.92.0.2",
    "ip -n bench-real route add local 10.90.0.0/17 dev lo",
];

/// Both machines, and the servers on the second one.
#[derive(Debug)]
pub struct Ground {
    /// The real servers on port 80 of every address.
    pub servers: Arc<Servers>,
    /// Files of the products.
    pub folder: PathBuf,
}

impl Ground {
    /// Makes it.
    ///
    /// # Errors
    /// This kernel has no IPVS, it is not root who runs this, or there is one already.
    pub fn new() -> Result<Ground> {
        for line in SETUP {
            let mut words = line.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command::run(command, "", command::BOUND)?.success()?;
        }
        let folder = std::env::temp_dir().join(format!("bench-director-{}", std::process::id()));
        std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
        let servers = Arc::new(Servers::default());
        let ours = Arc::clone(&servers);
        within(REAL, move || ours.serve(SocketAddr::from(([0, 0, 0, 0], 80))))??;
        within(DIRECTOR, || crate::farm::table::count(0))??;
        Ok(Ground { servers, folder })
    }

    /// What it was measured on.
    pub fn machine(&self) -> String {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = match processors() {
            Processors::Counted => {
                "one processor of 1,000 million instructions a second, by count".to_owned()
            }
            Processors::Emulated => "emulated, some twenty times slower than a real one".to_owned(),
            Processors::Real(1) => "1 processor".to_owned(),
            Processors::Real(number) => format!("{number} processors"),
        };
        format!("Linux {}, {processors}", release.trim())
    }
}

/// What computes here.
pub enum Processors {
    /// QEMU, and the clock counts its instructions (`scripts/vm --counted`).
    Counted,
    /// QEMU.
    Emulated,
    /// So many real ones.
    Real(usize),
}

/// What computes here.
pub fn processors() -> Processors {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match (std::env::var_os("VM_COUNTED"), info.contains("TCG")) {
        (Some(_), true) => Processors::Counted,
        (None, true) => Processors::Emulated,
        (_, false) => Processors::Real(info.lines().filter(|line| line.starts_with("processor")).count()),
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        for name in [DIRECTOR, REAL] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Does something in a network namespace; what it starts (threads, programs, sockets) stays there.
///
/// # Errors
/// There is no such namespace, or it cannot be entered.
pub fn within<T: Send + 'static>(name: &str, act: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let path = format!("/run/netns/{name}");
    let space = File::open(&path).context(|| format!("cannot open {path}"))?;
    let thread = thread::spawn(move || {
        setns(space, CloneFlags::CLONE_NEWNET).context(|| format!("cannot enter {path}"))?;
        Ok(act())
    });
    thread.join().map_err(|_| LabError::new("a thread of the bench panicked"))?
}

/// Waits, without a bound's name being longer than it must.
pub fn wait<T>(what: &str, seconds: u64, question: impl FnMut() -> Option<T>) -> Result<T> {
    crate::clock::wait_for(what, Duration::from_secs(seconds), Duration::from_millis(2), question)
}
