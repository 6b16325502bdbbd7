//! Signals to process groups.
//!
//! hbd starts every agent in a process group of its own (`process_group(0)`), so that one signal reaches the agent
//! and whatever it forked.
//!
//! hbd is deliberately *not* a child subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`). The daemons an agent starts
//! are services; they must outlive a restart of hbd and belong to pid 1. As a subreaper hbd would inherit each of
//! them, and those that end would stay zombies, since nobody waits for a pid he never started.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

/// Sends `signal` to every process of the group led by `pid` (killpg(3)).
///
/// # Errors
/// `InvalidInput` for 0 (our own group), 1 (killpg would reach *every* process) and numbers that are no pid;
/// otherwise the errno, of which `ESRCH` means that no process of the group is left.
pub fn kill_group(pid: u32, signal: Signal) -> io::Result<()> {
    let group = i32::try_from(pid)
        .ok()
        .filter(|group| *group > 1)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{pid} is not a process group an agent can have"),
            )
        })?;
    killpg(Pid::from_raw(group), signal).map_err(io::Error::from)
}

/// Whether any process of the group led by `pid` is left; zombies count until they are waited for.
///
/// # Errors
/// As [`kill_group`], without `ESRCH`.
pub fn group_exists(pid: u32) -> io::Result<bool> {
    let group = i32::try_from(pid)
        .ok()
        .filter(|group| *group > 1)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{pid} is not a process group an agent can have"),
            )
        })?;
    match killpg(Pid::from_raw(group), None) {
        Ok(()) | Err(Errno::EPERM) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    #[test]
    fn refuses_the_groups_that_are_not_an_agents() {
        for pid in [0, 1, u32::MAX, i32::MAX as u32 + 1] {
            let refused = kill_group(pid, Signal::SIGCONT).expect_err("must be refused");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{pid}");
            assert_eq!(
                group_exists(pid).expect_err("must be refused").kind(),
                io::ErrorKind::InvalidInput
            );
        }
    }

    #[test]
    fn reaches_the_whole_group() {
        // The shell waits for its child: only a signal to the group ends both before the minute is over.
        let mut agent = Command::new("sh")
            .args(["-c", "sleep 60; exit 0"])
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let pid = agent.id();
        assert!(group_exists(pid).expect("ask"));
        kill_group(pid, Signal::SIGKILL).expect("kill");
        assert_eq!(agent.wait().expect("wait").signal(), Some(libc::SIGKILL));
        // The orphaned sleep is reaped by pid 1 (or the nearest reaper) a little later.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while group_exists(pid).expect("ask") {
            let zombies_only = group_is_zombie(pid);
            if zombies_only {
                return;
            }
            assert!(
                std::time::Instant::now() < end,
                "the group outlived SIGKILL"
            );
            std::thread::yield_now();
        }
        let gone = kill_group(pid, Signal::SIGTERM).expect_err("nobody is left");
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }

    /// In a container whose pid 1 never waits, a killed grandchild stays a zombie: dead all the same.
    fn group_is_zombie(group: u32) -> bool {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        processes.flatten().all(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let Some((_, rest)) = stat.rsplit_once(')') else {
                return true;
            };
            let fields: Vec<&str> = rest.split_whitespace().collect();
            fields.get(2).and_then(|id| id.parse::<u32>().ok()) != Some(group)
                || fields.first() == Some(&"Z")
        })
    }
}
