//! What the running kernel has, as far as it can be told without asking it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether the kernel has a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is there.
    Present,
    /// It can be loaded; the kernel does so by itself when it is asked for.
    Loadable,
    /// This kernel does not come with it.
    Missing,
    /// There is no list of modules to look in (a container, say): the kernel must be asked.
    Unknown,
}

/// The scheduler of that name: `wlc`, …
pub fn scheduler(name: &str) -> Support {
    module(&format!("ip_vs_{name}"))
}

/// The persistence engine of that name: `sip`.
pub fn engine(name: &str) -> Support {
    module(&format!("ip_vs_pe_{name}"))
}

/// A module by its name.
pub fn module(name: &str) -> Support {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    look(name, Path::new("/sys/module"), &Path::new("/lib/modules").join(release.trim()))
}

/// `present` has a folder for each module that is there, `lists` the names of all that could be.
pub(super) fn look(name: &str, present: &Path, lists: &Path) -> Support {
    if present.join(name).is_dir() {
        return Support::Present;
    }
    let file = format!("/{name}.ko");
    // "kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: …", in the one list with its dependencies, in the other without.
    let named = |line: &str| {
        let path = line.split(':').next().unwrap_or_default();
        path.find(&file).is_some_and(|at| !path[at + file.len()..].contains('/'))
    };
    let list = |list: &str| fs::read_to_string(lists.join(list)).ok();
    let (loadable, builtin) = (list("modules.dep"), list("modules.builtin"));
    if builtin.as_deref().is_some_and(|text| text.lines().any(named)) {
        return Support::Present;
    }
    match loadable {
        Some(text) if text.lines().any(named) => Support::Loadable,
        Some(_) => Support::Missing,
        None => Support::Unknown,
    }
}

/// How long loading a module may take.
const LOADING: Duration = Duration::from_secs(20);

/// Has the module loaded by modprobe(8), if there is one; whether that went well.
pub(super) fn load(name: &str) -> bool {
    let command = ["/sbin/modprobe", "/usr/sbin/modprobe"].into_iter().find(|path| Path::new(path).exists());
    let Some(command) = command else {
        return false;
    };
    let null = || Stdio::null();
    let child = Command::new(command).args(["-q", name]).stdin(null()).stdout(null()).stderr(null()).spawn();
    let Ok(mut child) = child else {
        return false;
    };
    let deadline = Instant::now() + LOADING;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => break,
        }
    }
    // It hangs inside the kernel, or is stopped: it gets its signal and is collected if it can be.
    let _ = child.kill();
    let _ = child.try_wait();
    false
}
