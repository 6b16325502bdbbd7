//! What the tests of agents share.
#![allow(dead_code)] // each of the test programs uses its part

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::OpResult;
use hbd::agents::{Runner, RunnerSettings};
use hbd::config::{Agent, Resource};
use tempfile::TempDir;

/// Longer than anything here takes; only a hang reaches it.
pub const LONG: Duration = Duration::from_secs(60);

/// A runner with a folder of its own.
pub struct Bench {
    pub runner: Runner,
    pub dir: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut RunnerSettings)) -> Bench {
        let dir = tempfile::Builder::new().prefix("ag-").tempdir().expect("a folder");
        let mut settings = RunnerSettings::new("midas", "lvs", dir.path().join("scratch"));
        change(&mut settings);
        Bench { runner: Runner::new(settings), dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    /// An executable file in the bench's folder.
    pub fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }
}

/// One of the agents in `tests/agents`.
pub fn agent(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/agents")
        .join(name)
        .canonicalize()
        .expect("a test agent")
}

pub fn resource(agent: Agent) -> Resource {
    Resource {
        name: "data".into(),
        agent,
        monitor: Some(Duration::from_secs(10)),
        monitor_timeout: Duration::from_secs(20),
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(60),
        restarts: 1,
        failure_window: Duration::from_secs(3600),
        on_fail: cluster::OnFail::Restart,
        on_stop_failure: None,
        parallel: false,
    }
}

pub fn heartbeat(path: impl Into<PathBuf>, args: &[&str]) -> Resource {
    let args = args.iter().map(|a| a.to_string()).collect();
    resource(Agent::Heartbeat { name: "test".into(), path: path.into(), args })
}

pub fn ocf(name: &str, path: impl Into<PathBuf>, params: &[(&str, &str)]) -> Resource {
    let params = params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>();
    resource(Agent::Ocf { provider: "heartbeat".into(), name: name.into(), path: path.into(), params })
}

/// Polls until it is so; fails when it is not within a minute.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited a minute in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The number an agent has written into a file.
pub fn number(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// State and process group of a process, from `/proc/PID/stat` (proc_pid_stat(5)).
pub fn process(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// The processes of a group that are more than a zombie.
pub fn group(pgid: i32) -> Vec<i32> {
    let pids =
        fs::read_dir("/proc").expect("proc").filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        process(*pid).is_some_and(|(state, group)| group == pgid && !matches!(state, 'Z' | 'X'))
    })
    .collect()
}

/// Ends a process the test has caused to be there, when the test is over.
pub struct Reaper(pub i32);

impl Drop for Reaper {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Why an operation has failed.
pub fn failed(result: &OpResult) -> &str {
    match result {
        OpResult::Failed(why) | OpResult::Hopeless(why) | OpResult::Misconfigured(why) => why,
        other => panic!("{other:?} is no failure"),
    }
}
