//! One set of namespaces with the process that holds it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::command::{self, Output};
use crate::error::Context;
use crate::{LabError, Result};

/// Network, mount, UTS, IPC and PID namespaces of one machine; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Space {
    name: String,
    hold: Child,
    /// Its end is the end of pid 1; see [`super::init`].
    _leash: ChildStdin,
    pid: u32,
}

impl Space {
    /// Makes the namespaces for machine `name`; its files live in `dir`.
    ///
    /// # Errors
    /// The `lab` program cannot be found, or the kernel refuses.
    pub fn new(name: &str, dir: &Path) -> Result<Space> {
        let mut hold = Command::new(lab_program()?)
            .args(["hold", "--name", name, "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(|| format!("cannot start the holder of {name}"))?;
        let (Some(leash), Some(stdout)) = (hold.stdin.take(), hold.stdout.take()) else {
            return Err(LabError::new("a child without its pipes"));
        };
        let (tx, rx) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end: the holder must never find its stdout closed.
            for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                let _ = tx.send(line);
            }
        });
        let (mut pid, mut ready) = (None, false);
        while pid.is_none() || !ready {
            let Ok(line) = rx.recv_timeout(Duration::from_secs(10)) else {
                command::kill_with_children(&mut hold);
                let text = format!("{name} did not boot; what it said is on stderr above");
                return Err(LabError(text));
            };
            // The holder and pid 1 write to the same pipe, so these come in either order.
            ready |= line == "ready";
            pid = pid.or(line.strip_prefix("pid ").and_then(|word| word.parse().ok()));
        }
        let pid = pid.unwrap_or_default();
        Ok(Space { name: name.to_owned(), hold, _leash: leash, pid })
    }

    /// Pid 1 of the machine, as the host sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The trimmed text of a file below the machine's /sys/class/net, read without entering it.
    pub(super) fn net_file(&self, path: &str) -> Option<String> {
        let path = format!("/proc/{}/root/sys/class/net/{path}", self.pid);
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }

    /// `program` to be run inside all the machine's namespaces.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m", "-u", "-i", "-n", "-p", "--"]).arg(program);
        command
    }

    /// Runs `words` inside, for at most [`command::BOUND`].
    ///
    /// # Errors
    /// It could not be run or did not end in time. Its exit code is for the caller to judge.
    pub fn exec(&self, words: &[&str], input: &str) -> Result<Output> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| LabError::new("an empty command line"))?;
        let mut command = self.command(program);
        command.args(arguments);
        command::run(command, input, command::BOUND)
    }

    /// Runs a batch of `ip` commands inside, one per line; all must succeed.
    ///
    /// # Errors
    /// Any of them failed.
    pub fn ip(&self, batch: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-n", "--", "ip", "-batch", "-"]);
        let output = command::run(command, batch, command::BOUND)?;
        if output.ok() {
            return Ok(());
        }
        Err(LabError(format!("in {}: ip said {}for the batch\n{batch}", self.name, output.stderr)))
    }

    /// The power failure: pid 1 and with it every process inside is killed. Returns when all of them are gone.
    pub fn kill(&mut self) {
        command::signal_pid(self.pid, Signal::SIGKILL);
        // The holder ends when pid 1 has been reaped, and pid 1 is reaped after everything else in its namespace.
        let _ = command::wait(&mut self.hold, Duration::from_secs(10));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.kill();
        command::kill_with_children(&mut self.hold);
    }
}

/// The `lab` program itself: `LAB_BIN`, or beside the running executable (tests live one folder deeper).
pub fn lab_program() -> Result<PathBuf> {
    beside("LAB_BIN", "lab", "cargo build -p lab")
}

/// A program of this project: from the environment variable, or found near the running executable.
pub(crate) fn beside(variable: &str, name: &str, help: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let exe = std::env::current_exe().context(|| "cannot find the running program".to_owned())?;
    let near = exe.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|p| p.is_file());
    near.ok_or_else(|| {
        LabError(format!("no `{name}` beside {}: run `{help}`, or set {variable}", exe.display()))
    })
}
