//! Signals to process groups, what children must not inherit, and what must not get into a core.
//!
//! hbd starts every agent in a process group of its own (`process_group(0)`), so that one signal reaches the agent
//! and whatever it forked.
//!
//! hbd is deliberately *not* a child subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`). The daemons an agent starts
//! are services; they must outlive a restart of hbd and belong to pid 1. As a subreaper hbd would inherit each of
//! them, and those that end would stay zombies, since nobody waits for a pid he never started.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::killpg;
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

/// Marks every open descriptor but standard input, output and error close-on-exec (close_range(2), Linux 5.11).
///
/// What this process was started with is not for agents: a descriptor leaked into a daemon they start would live as
/// long as that does. Our own descriptors are all opened close-on-exec; call this once, at the start.
///
/// # Errors
/// The errno, `ENOSYS` or `EINVAL` on an older kernel.
pub fn keep_descriptors_from_children() -> io::Result<()> {
    let (first, last, flags) = (3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: three plain numbers; the call changes a flag of descriptors and closes none.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps this process's memory to itself (prctl(2), `PR_SET_DUMPABLE` 0): the kernel writes no core of it, wherever
/// `kernel.core_pattern` would send that, and nobody without CAP_SYS_PTRACE may attach to it or read its `/proc/PID/mem`.
///
/// Unlike a limit on the size of a core this is not inherited: a child that executes another program is as any other.
///
/// # Errors
/// The errno; none is known for this value.
pub fn keep_memory_private() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(io::Error::from)
}

/// Lets this process, and what it starts, have `wanted` descriptors at a time; gives how many it may have then. The hard limit is
/// gone above only where that is allowed (CAP_SYS_RESOURCE), and no limit is ever lowered.
///
/// # Errors
/// The errno.
pub fn allow_descriptors(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok() {
        return Ok(wanted);
    }
    let reached = wanted.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, reached, hard)?;
    Ok(reached)
}

/// Gives memory that is free back to the kernel (malloc_trim(3)): after something large, whose pieces the allocator would
/// keep for something as large. Takes some milliseconds for many megabytes; does nothing where the C library cannot.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: a plain number; the call is thread-safe and touches free memory only.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Sends `signal` to every process of the group led by `pid` (killpg(3)).
///
/// # Errors
/// `InvalidInput` for 0 (our own group), 1 (killpg would reach *every* process) and numbers that are no pid;
/// otherwise the errno, of which `ESRCH` means that no process of the group is left.
pub fn kill_group(pid: u32, signal: Signal) -> io::Result<()> {
    killpg(group_of_agent(pid)?, signal).map_err(io::Error::from)
}

/// Whether any process of the group led by `pid` is left; zombies count until they are waited for.
///
/// # Errors
/// As [`kill_group`], without `ESRCH`.
pub fn group_exists(pid: u32) -> io::Result<bool> {
    match killpg(group_of_agent(pid)?, None) {
        Ok(()) | Err(Errno::EPERM) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// 0, 1 and what is no pid are never an agent's group.
fn group_of_agent(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().filter(|group| *group > 1).map(Pid::from_raw).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is not a process group an agent can have"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    #[test]
    fn children_inherit_nothing_but_the_standard_three() {
        let (reader, _writer) = nix::unistd::pipe().expect("pipe");
        // A descriptor without the flag, as a careless parent leaves it.
        let raw = nix::fcntl::fcntl(reader.as_fd(), nix::fcntl::FcntlArg::F_DUPFD(3)).expect("dup");
        // SAFETY: just made by F_DUPFD and owned by nobody else.
        let leaked = unsafe { OwnedFd::from_raw_fd(raw) };
        let flag = || nix::fcntl::fcntl(leaked.as_fd(), nix::fcntl::FcntlArg::F_GETFD).expect("flags");
        assert_eq!(flag() & libc::FD_CLOEXEC, 0);
        super::keep_descriptors_from_children().expect("close_range");
        assert_eq!(flag() & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }

    /// That the kernel keeps to it is tried on the whole daemon, `hbd/tests/secrets.rs`.
    #[test]
    fn private_memory_is_not_dumpable() {
        super::keep_memory_private().expect("prctl");
        assert!(!nix::sys::prctl::get_dumpable().expect("prctl"));
    }

    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    #[test]
    fn refuses_the_groups_that_are_not_an_agents() {
        for pid in [0, 1, u32::MAX, i32::MAX as u32 + 1] {
            let refused = kill_group(pid, Signal::SIGCONT).expect_err("must be refused");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{pid}");
            assert_eq!(group_exists(pid).expect_err("must be refused").kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn reaches_the_whole_group() {
        // The shell waits for its child: only a signal to the group ends both before the minute is over.
        let mut agent =
            Command::new("sh").args(["-c", "sleep 60; exit 0"]).process_group(0).spawn().expect("sh starts");
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
            assert!(std::time::Instant::now() < end, "the group outlived SIGKILL");
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
            fields.get(2).and_then(|id| id.parse::<u32>().ok()) != Some(group) || fields.first() == Some(&"Z")
        })
    }
}
