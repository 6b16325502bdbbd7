//! A program running in a machine of the lab, with its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Result;
use crate::clock::wait_for;
use crate::command;
use crate::error::Context;

/// A running program. Dropping it kills it (and only it: what it started lives on until the machine dies).
#[derive(Debug)]
pub struct Process {
    name: String,
    entered: Child,
    pid: u32,
    log: PathBuf,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts `command` (made by [`super::space::Space::command`]), its output appended to `log`.
    ///
    /// # Errors
    /// The log cannot be written or the program cannot be started.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context(|| format!("cannot open {}", log.display()))?;
        let err = file.try_clone().context(|| format!("cannot open {}", log.display()))?;
        let mut entered = command
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(err)
            .spawn()
            .context(|| format!("cannot start {name}"))?;
        let stdin = entered.stdin.take();
        let mut process = Process { name: name.to_owned(), entered, pid: 0, log: log.to_owned(), stdin };
        // nsenter forks into the PID namespace; the program itself is that child.
        process.pid = wait_for(name, Duration::from_secs(5), Duration::from_micros(300), || {
            let ended = process.entered.try_wait().ok().flatten().is_some();
            let child = command::children_of(process.entered.id()).first().copied();
            child.or(if ended { Some(0) } else { None })
        })?;
        Ok(process)
    }

    /// The program's pid as the host sees it; 0 if it ended before it could be seen.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the program.
    pub fn signal(&mut self, signal: Signal) {
        if self.running() && self.pid != 0 {
            command::signal_pid(self.pid, signal);
            if signal == Signal::SIGCONT {
                // nsenter stops itself when its child stops, and would never see the end of it.
                command::signal_pid(self.entered.id(), signal);
            }
        }
    }

    /// True while a signal keeps the program from running on.
    pub fn stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('T'))
    }

    /// True while it runs.
    pub fn running(&mut self) -> bool {
        matches!(self.entered.try_wait(), Ok(None))
    }

    /// Waits for the program's end; `None` if it still runs after `bound`.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub fn wait(&mut self, bound: Duration) -> Result<Option<ExitStatus>> {
        command::wait(&mut self.entered, bound)
    }

    /// Closes the program's stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // A stopped nsenter does not notice the end of its child.
        command::signal_pid(self.entered.id(), Signal::SIGCONT);
        let ended = command::wait(&mut self.entered, Duration::from_secs(5));
        if !matches!(ended, Ok(Some(_))) {
            command::kill_with_children(&mut self.entered);
        }
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything it has printed.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.running() {
            self.kill();
        }
    }
}
