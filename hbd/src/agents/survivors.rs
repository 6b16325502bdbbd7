//! Agents that outlived the hbd that ran them.
//!
//! A killed hbd leaves its agents at work: a `stop` under way goes on, and ends after the next hbd has looked and found
//! everything running. So each agent at work is written down (a file named after its pid, holding the time of its
//! start, which tells it from a later process of the same pid), and the next hbd ends those that are left before it
//! looks. What they have done by then is for the status to say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sys::process::{Signal, kill_group};
use tracing::warn;

/// After KILL, how long to wait for the kernel to bury them all.
const BURIAL: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// An agent is at work; no longer when this is dropped.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

impl Mark {
    /// Writes down that the process `pid`, a child that was not waited for yet, is at work. `None`, and a warning, if
    /// it cannot be written.
    pub(super) fn set(folder: &Path, pid: u32) -> Option<Mark> {
        let path = folder.join(pid.to_string());
        let written = match started(pid) {
            Some(since) => fs::create_dir_all(folder).and_then(|()| fs::write(&path, since.to_string())),
            // It has ended already, or there is no /proc: nothing to be found by the next hbd either.
            None => return None,
        };
        match written {
            Ok(()) => Some(Mark(path)),
            Err(e) => {
                warn!(target: "agent", "{} cannot be written; should hbd be killed, this agent would go on: {e}", path.display());
                None
            }
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // Already gone is as good; one that stays is told from a living process by its time.
        let _ = fs::remove_file(&self.0);
    }
}

/// Ends the agents that are written down in `folder` and still at work, with all of their process groups, and waits
/// (two seconds at most) until they are gone. Gives their pids. Blocks.
pub fn end(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut ended = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let pid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        let since = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if let (Some(pid), Some(since)) = (pid, since)
            && started(pid) == Some(since)
            && kill_group(pid, Signal::SIGKILL).is_ok()
        {
            ended.push((pid, since));
        }
        let _ = fs::remove_file(&path);
    }
    let until = Instant::now() + BURIAL;
    while ended.iter().any(|&(pid, since)| started(pid) == Some(since)) && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
    ended.into_iter().map(|(pid, _)| pid).collect()
}

/// When a living process was started, in clock ticks since the boot (proc_pid_stat(5), field 22); `None` for one that
/// is gone or a zombie.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;

    fn agent() -> Child {
        Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep starts")
    }

    #[test]
    fn one_at_work_is_ended_and_its_mark_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut agent = agent();
        let mark = Mark::set(folder.path(), agent.id()).expect("marked");
        // hbd is killed: nothing is dropped.
        std::mem::forget(mark);
        assert_eq!(end(folder.path()), [agent.id()]);
        assert_eq!(agent.wait().expect("waited for").signal(), Some(9));
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
        assert!(end(folder.path()).is_empty());
    }

    #[test]
    fn what_has_ended_in_order_is_not_looked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut agent = agent();
        drop(Mark::set(folder.path(), agent.id()).expect("marked"));
        assert!(end(folder.path()).is_empty());
        assert!(agent.try_wait().expect("looked at").is_none(), "it was none of ours");
        agent.kill().expect("killed");
        agent.wait().expect("waited for");
        assert!(Mark::set(folder.path(), agent.id()).is_none(), "it is gone");
    }

    #[test]
    fn another_process_with_the_same_pid_lives_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut agent = agent();
        fs::write(folder.path().join(agent.id().to_string()), "1").expect("written");
        fs::write(folder.path().join("no-pid"), "x").expect("written");
        assert!(end(folder.path()).is_empty());
        assert!(agent.try_wait().expect("looked at").is_none());
        agent.kill().expect("killed");
        agent.wait().expect("waited for");
        assert!(end(Path::new("/nonexistent/folder")).is_empty());
    }
}
