//! What the processes of a node cost: memory (Pss) and processor time, read from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};

use crate::error::Context;
use crate::{LabError, Result};

/// A moment's view of all processes of one node but its pid 1.
#[derive(Debug)]
pub struct Snapshot {
    /// Run time of each thread there is, nanoseconds.
    threads: BTreeMap<(u32, u32), u64>,
    /// User and system time of children that ended, reaped by these processes or by the node's pid 1.
    ended: Duration,
    /// Proportional set size of each process in bytes, by its name.
    pub pss: Vec<(String, u64)>,
}

impl Snapshot {
    /// Looks at the node in which process `pid` runs.
    ///
    /// # Errors
    /// The process is gone.
    pub fn of(pid: u32) -> Result<Snapshot> {
        let mut snapshot = Snapshot { threads: BTreeMap::new(), ended: Duration::ZERO, pss: Vec::new() };
        for process in neighbours(pid)? {
            let stat = Stat::of(process);
            snapshot.ended += stat.as_ref().map_or(Duration::ZERO, |s| s.children);
            if is_first(process) {
                continue;
            }
            // A process that ends meanwhile is counted by who reaps it.
            if let (Some(stat), Some(pss)) = (stat, pss_bytes(process)) {
                snapshot.pss.push((stat.name, pss));
                snapshot.threads.extend(run_times(process));
            }
        }
        Ok(snapshot)
    }

    /// Processor time used since an earlier snapshot of the same node.
    pub fn cpu_since(&self, earlier: &Snapshot) -> Duration {
        let used = |(key, now): (&(u32, u32), &u64)| {
            now.saturating_sub(earlier.threads.get(key).copied().unwrap_or(0))
        };
        let living: u64 = self.threads.iter().map(used).sum();
        Duration::from_nanos(living) + self.ended.saturating_sub(earlier.ended)
    }

    /// All threads there are.
    pub fn threads(&self) -> Vec<u32> {
        self.threads.keys().map(|&(_, thread)| thread).collect()
    }

    /// Pss of all of them together, bytes.
    pub fn pss_bytes(&self) -> u64 {
        self.pss.iter().map(|(_, bytes)| bytes).sum()
    }

    /// `hbd 4.1 MB` for each process.
    pub fn describe(&self) -> String {
        let one = |(name, bytes): &(String, u64)| format!("{name} {:.2} MB", *bytes as f64 / 1e6);
        self.pss.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// All processes in the pid namespace of `pid`, its pid 1 included.
pub fn neighbours(pid: u32) -> Result<Vec<u32>> {
    let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let ours = space(pid).context(|| format!("process {pid} is gone"))?;
    let all = fs::read_dir("/proc").context(|| "cannot read /proc".to_owned())?;
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|p| space(*p).is_ok_and(|s| s == ours)).collect())
}

/// Has all processes of a node run on the first processor from now on, and what they start.
///
/// # Errors
/// The process is gone, or the kernel does not let us.
pub fn on_one_processor(pid: u32) -> Result<()> {
    let mut first = CpuSet::new();
    first.set(0).context(|| "a set of one processor".to_owned())?;
    for process in neighbours(pid)?.into_iter().filter(|p| !is_first(*p)) {
        for (_, thread) in run_times(process).into_iter().map(|(key, _)| key) {
            let thread = nix::unistd::Pid::from_raw(thread.cast_signed());
            // One that has ended meanwhile runs nowhere.
            match sched_setaffinity(thread, &first) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(error) => return Err(LabError(format!("cannot pin thread {thread}: {error}"))),
            }
        }
    }
    Ok(())
}

/// Files a node's processes (but pid 1) have mapped executable: programs and libraries.
///
/// # Errors
/// The process is gone.
pub fn programs(pid: u32) -> Result<Vec<String>> {
    let mut files = std::collections::BTreeSet::new();
    for process in neighbours(pid)?.into_iter().filter(|p| !is_first(*p)) {
        for line in fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [_, mode, _, _, _, path] = words[..]
                && mode.contains('x')
                && path.starts_with('/')
                && Path::new(path).is_file()
            {
                files.insert(path.to_owned());
            }
        }
    }
    Ok(files.into_iter().collect())
}

/// Is it pid 1 of the node, which belongs to the lab?
fn is_first(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|l| l.starts_with("NSpid:") && l.split_whitespace().last() == Some("1"))
}

struct Stat {
    name: String,
    children: Duration,
}

impl Stat {
    /// proc_pid_stat(5); the name may hold anything, so fields are counted from its closing bracket.
    fn of(pid: u32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        // cutime and cstime are fields 16 and 17; the rest starts with field 3.
        let ticks: u64 = rest.split_whitespace().skip(13).take(2).filter_map(|w| w.parse::<u64>().ok()).sum();
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let children = Duration::from_secs_f64(ticks as f64 / per_second.max(1) as f64);
        Some(Stat { name: name.to_owned(), children })
    }
}

/// Run time of each thread: the first number of schedstat is exact, where stat counts whole ticks.
fn run_times(pid: u32) -> Vec<((u32, u32), u64)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let threads = tasks.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
            Some(((pid, thread), text.split_whitespace().next()?.parse().ok()?))
        })
        .collect()
}

/// Proportional set size of a process; `None` if it is gone.
pub fn pss_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// True where the kernel gives exact run times and Pss at all.
///
/// # Errors
/// It does not; the sentence says what is missing.
pub fn supported() -> Result<()> {
    let own = std::process::id();
    // The kernel adds up when a thread leaves the processor or a tick comes: one that just began may have nothing yet.
    std::thread::sleep(Duration::from_millis(1));
    if run_times(own).iter().all(|(_, ns)| *ns == 0) {
        return Err(LabError::new("this kernel gives no /proc/PID/task/TID/schedstat (CONFIG_SCHED_INFO)"));
    }
    match pss_bytes(own) {
        Some(_) => Ok(()),
        None => Err(LabError::new("this kernel gives no /proc/PID/smaps_rollup")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_working() {
        supported().unwrap();
        let own = std::process::id();
        let sum = || run_times(own).iter().map(|(_, ns)| ns).sum::<u64>();
        let before = sum();
        let mut x = 0u64;
        while sum() - before < 2_000_000 {
            x = std::hint::black_box(x.wrapping_mul(31).wrapping_add(7));
        }
        assert!(pss_bytes(own).unwrap() > 100_000);
        assert!(Stat::of(own).is_some());
        assert!(programs(own).is_ok_and(|files| !files.is_empty()));
    }
}
