//! Real-time scheduling, locked memory, a small heap.
//!
//! All three are improvements: without them hbd works, but may be late under load. Callers report a failure
//! and go on.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// CAP_IPC_LOCK's bit in the effective set (capabilities(7)).
const CAP_IPC_LOCK: u32 = 14;

/// Puts the calling thread, and no other, under `SCHED_FIFO` with `priority` (1..=99, sched(7)).
///
/// `SCHED_RESET_ON_FORK` is set: threads and processes started from here run at normal priority, so that no agent
/// can starve the heartbeat.
///
/// `RLIMIT_RTTIME` is a trap: a real-time thread that computes longer than the limit without blocking is killed
/// by the kernel, just when there is most to do (a takeover of many addresses). It is therefore never set, and
/// an inherited
/// limit is lifted as far as the process may. The kernel's own brake (`sched_rt_runtime_us`, 95 %) stays.
///
/// # Errors
/// `InvalidInput` for a priority outside 1..=99. `PermissionDenied` without CAP_SYS_NICE (or a sufficient
/// RLIMIT_RTPRIO), and on kernels with CONFIG_RT_GROUP_SCHED in a cpu cgroup that has no `cpu.rt_runtime_us`.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    if !(1..=99).contains(&priority) {
        let text = format!("real-time priority {priority} does not exist; choose 1 to 99");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    lift(Resource::RLIMIT_RTTIME);
    let wanted = libc::sched_param { sched_priority: libc::c_int::from(priority) };
    // SAFETY: pid 0 is the calling thread; `wanted` is a live, initialised sched_param that is only read.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &wanted) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps every page of the process in memory once it has been touched, now and in future (mlockall(2) with
/// `MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT`).
///
/// `MCL_ONFAULT` matters: without it every reserved stack and heap arena is filled in, tens of megabytes for nothing.
///
/// # Errors
/// `PermissionDenied` when the process has no CAP_IPC_LOCK and RLIMIT_MEMLOCK is not infinite. Locking under a finite
/// limit is refused on purpose: it would work today and make some later allocation fail, which ends the process.
pub fn lock_memory() -> io::Result<()> {
    lift(Resource::RLIMIT_MEMLOCK);
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft);
    if limit != RLIM_INFINITY && !may_lock() {
        let text = format!(
            "lock memory: only {limit} bytes may be locked (RLIMIT_MEMLOCK) and CAP_IPC_LOCK is missing; \
             set LimitMEMLOCK=infinity in the unit"
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    // SAFETY: mlockall takes no pointer and changes no value the program can see.
    let done = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Tells glibc's allocator to keep the heap small; call it first in `main`, before any thread is started.
///
/// [`one_arena`], and free memory given back early (`M_TRIM_THRESHOLD`, 128 KiB, pinned so that it no longer grows by
/// itself). On other C libraries it does nothing.
pub fn frugal_allocator() {
    one_arena();
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt only sets parameters of the allocator, under the allocator's own lock.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024) };
    }
}

/// Tells glibc's allocator to have one arena for all threads (`M_ARENA_MAX` = 1): each further one reserves 64 MB and keeps
/// what it freed. Call it first in `main`. On other C libraries it does nothing.
pub fn one_arena() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt only sets parameters of the allocator, under the allocator's own lock.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// Asks for no huge pages (prctl(2), `PR_SET_THP_DISABLE`); call it first in `main`. Where the kernel gives them unasked,
/// as Debian's does, a heap of some megabytes is made of them, and what was given back of it is filled with new ones within
/// seconds (khugepaged). Children inherit it, also those that execute another program. A kernel that refuses has none.
pub fn small_pages() {
    // As much as can be done: without it all works the same, in more memory.
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Raises a limit as far as this process may: to infinity, else to its hard limit. What cannot be raised stays.
fn lift(resource: Resource) {
    if setrlimit(resource, RLIM_INFINITY, RLIM_INFINITY).is_ok() {
        return;
    }
    if let Ok((_, hard)) = getrlimit(resource) {
        // Refused only if the hard limit fell in between; the old soft limit then stays, which is the
        // situation before.
        let _ = setrlimit(resource, hard, hard);
    }
}

/// Whether the calling thread has CAP_IPC_LOCK in effect; "no" when /proc cannot tell.
fn may_lock() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    effective_capabilities(&status).is_some_and(|set| set >> CAP_IPC_LOCK & 1 == 1)
}

/// The `CapEff` line of proc_pid_status(5).
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_priority_that_does_not_exist() {
        for priority in [0, 100, 255] {
            assert_eq!(set_realtime(priority).expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn pages_are_small_once_that_was_asked_for() {
        small_pages();
        assert!(nix::sys::prctl::get_thp_disable().expect("prctl"));
    }

    #[test]
    fn only_the_calling_thread_becomes_realtime_and_its_children_do_not() {
        let policy = || {
            // SAFETY: pid 0 is the calling thread; nothing is written.
            unsafe { libc::sched_getscheduler(0) }
        };
        let before = policy();
        let inside = std::thread::spawn(move || {
            set_realtime(1)?;
            let mine = policy();
            let child = std::thread::spawn(policy).join().expect("child thread");
            Ok::<_, io::Error>((mine, child))
        });
        match inside.join().expect("thread") {
            Ok((mine, child)) => {
                assert_eq!(mine, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK);
                assert_eq!(child, libc::SCHED_OTHER, "a child must fall back to normal priority");
                let (soft, _) = getrlimit(Resource::RLIMIT_RTTIME).expect("limit");
                assert_eq!(soft, RLIM_INFINITY);
            }
            Err(refused) => {
                assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}")
            }
        }
        assert_eq!(policy(), before, "the test's own thread must be as before");
    }

    #[test]
    fn reads_the_effective_set() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t000001fffeffffff\n"), Some(0x1ff_feff_ffff));
        assert_eq!(effective_capabilities("CapPrm:\t1\n"), None);
        assert_eq!(effective_capabilities("CapEff:\tnothing\n"), None);
    }
}
