//! The two small processes that hold a node's namespaces: `lab hold` and, inside, `lab init` as pid 1.
//!
//! ```text
//! test ──spawns──▶ lab hold (host pid namespace; has unshared the others)
//!   │                └──spawns──▶ lab init (pid 1 of the node)
//!   └── pipe on stdin of both: its end is the end of the node
//! ```
//! Killing pid 1 kills everything in the node at once, which is the lab's power failure. The pipe makes sure
//! that a test that is killed leaves nothing behind: the kernel closes the pipe, and pid 1 leaves.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::Result;
use crate::error::Context;

/// `lab hold`: leaves the host's namespaces, starts pid 1 in the new ones, prints its pid, waits for its end.
///
/// # Errors
/// The kernel refuses a namespace, or pid 1 cannot be started.
pub fn hold(name: &str, dir: &Path) -> Result<()> {
    let spaces = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    unshare(spaces).context(|| "cannot make namespaces (root is needed)".to_owned())?;
    let exe = std::env::current_exe().context(|| "cannot find the lab's own program".to_owned())?;
    let mut child = Command::new(exe)
        .args(["init", "--name", name, "--dir"])
        .arg(dir)
        .stdin(Stdio::inherit())
        .spawn()
        .context(|| format!("cannot start pid 1 of {name}"))?;
    say(&format!("pid {}", child.id()))?;
    child.wait().context(|| format!("cannot wait for pid 1 of {name}"))?;
    Ok(())
}

/// `lab init`: pid 1 of a node. Sets the node's files up, says `ready`, then reaps orphans until stdin ends.
///
/// Reaping matters: an agent that asks `kill -0` for an orphan nobody reaped would see it alive.
///
/// # Errors
/// A mount or the host name could not be set.
pub fn init(name: &str, dir: &Path) -> Result<()> {
    set_up_files(dir)?;
    nix::unistd::sethostname(name).context(|| format!("cannot set the host name {name}"))?;
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).stdin(Stdio::null()).status();
    status.context(|| "cannot run ip".to_owned())?;
    // pid 1 ignores signals of default disposition unless they are blocked and waited for.
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().context(|| "cannot block SIGCHLD".to_owned())?;
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    say("ready")?;
    loop {
        let _ = children.wait();
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).context(|| "cannot write to stdout".to_owned())
}

/// A node's own /etc and /var (kept in `dir`, so they survive a power failure), fresh /run, /proc and /sys.
fn set_up_files(dir: &Path) -> Result<()> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context(|| "cannot make mounts private".to_owned())?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing)
        .context(|| "cannot mount /proc".to_owned())?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing)
        .context(|| "cannot mount /sys".to_owned())?;
    for tree in ["etc", "var"] {
        overlay(dir, tree)?;
    }
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .context(|| "cannot mount /run".to_owned())?;
    for folder in ["/etc/hbd", "/var/lib/hbd"] {
        fs::create_dir_all(folder).context(|| format!("cannot make {folder}"))?;
    }
    Ok(())
}

/// Mounts the host's `/tree` under a writable layer kept in `dir`.
fn overlay(dir: &Path, tree: &str) -> Result<()> {
    let upper = dir.join(tree);
    let work = dir.join(format!("{tree}.work"));
    for folder in [&upper, &work] {
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    }
    let target = format!("/{tree}");
    let options = format!("lowerdir={target},upperdir={},workdir={}", upper.display(), work.display());
    // After a power failure the old mount of the same folders may still be on its way out.
    for attempt in 0..100 {
        match mount(
            Some("overlay"),
            target.as_str(),
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        ) {
            Ok(()) => return Ok(()),
            Err(Errno::EBUSY) if attempt < 99 => thread::sleep(Duration::from_millis(20)),
            Err(e) => return Err(e).context(|| format!("cannot mount an overlay on {target}")),
        }
    }
    Ok(())
}
