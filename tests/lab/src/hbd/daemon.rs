//! The daemon's process on a node, and the operator's tool beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::status::{self, Status};
use crate::clock::wait_for;
use crate::command::Output;
use crate::error::Context;
use crate::net::World;
use crate::net::process::Process;
use crate::net::space::beside;
use crate::{LabError, Result};

/// Where `hbd` and `hbctl` are: `HBD_BIN_DIR`, or beside the running program.
///
/// # Errors
/// They are not there.
pub fn program(name: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("HBD_BIN_DIR") {
        let path = PathBuf::from(dir).join(name);
        return if path.is_file() {
            path.canonicalize().context(|| format!("cannot find {}", path.display()))
        } else {
            Err(LabError(format!("HBD_BIN_DIR holds no {name}: {}", path.display())))
        };
    }
    beside("LAB_NO_SUCH_VARIABLE", name, "cargo build -p hbd")
}

/// Runs hbctl on a node, to its end.
///
/// # Errors
/// It cannot be run. Its exit code is for the caller to judge.
pub fn hbctl(world: &World, node: &str, words: &[&str]) -> Result<Output> {
    let program = program("hbctl")?.display().to_string();
    let mut line = vec![program.as_str()];
    line.extend(words);
    world.exec(node, &line)
}

/// A running hbd. Dropping it kills it with SIGKILL.
#[derive(Debug)]
pub struct Daemon {
    node: String,
    process: Process,
}

impl Daemon {
    /// Starts hbd on a node with the files that are there; does not wait for anything.
    ///
    /// # Errors
    /// The program is not built, or the node is off.
    pub fn start(world: &World, node: &str) -> Result<Daemon> {
        Daemon::start_with(world, node, &[], &[])
    }

    /// As [`Daemon::start`], with more in its environment (`NAME=value`) and more arguments.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_with(
        world: &World,
        node: &str,
        environment: &[String],
        arguments: &[&str],
    ) -> Result<Daemon> {
        Daemon::start_program(world, node, &program("hbd")?, environment, arguments)
    }

    /// As [`Daemon::start_with`], of another program than the one under test: an older version.
    ///
    /// # Errors
    /// The node is off.
    pub fn start_program(
        world: &World,
        node: &str,
        program: &Path,
        environment: &[String],
        arguments: &[&str],
    ) -> Result<Daemon> {
        let program = program.display().to_string();
        let level = std::env::var("HBD_LOG").unwrap_or_else(|_| "debug".to_owned());
        let level = format!("HBD_LOG={level}");
        let mut line = vec!["env", "RUST_BACKTRACE=1", level.as_str()];
        line.extend(environment.iter().map(String::as_str));
        line.push(&program);
        line.extend(arguments);
        let process = world.spawn(node, "hbd", &line)?;
        Ok(Daemon { node: node.to_owned(), process })
    }

    /// The node it runs on.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL: a crash. What it owns stays as it is.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits for its end; gives the exit code.
    ///
    /// # Errors
    /// It did not end within `bound`.
    pub fn terminate(&mut self, bound: Duration) -> Result<i32> {
        self.process.signal(Signal::SIGTERM);
        let ended = self.process.wait(bound)?;
        let status =
            ended.ok_or_else(|| LabError(format!("hbd on {} did not end within {bound:?}", self.node)))?;
        Ok(crate::command::exit_code(status))
    }
}

/// Waits until the status of `node` is as `judge` wants it.
///
/// # Errors
/// It was not within `bound`; the last status is in the error.
pub fn wait_status(
    world: &World,
    node: &str,
    what: &str,
    bound: Duration,
    judge: impl Fn(&Status) -> bool,
) -> Result<Status> {
    let mut last = "no status".to_owned();
    let found = wait_for(&format!("{node}: {what}"), bound, Duration::from_millis(20), || {
        let status = status::of(world, node)?;
        last = status.to_string();
        judge(&status).then_some(status)
    });
    if found.is_ok() {
        world.timeline.note(format!("{node}: {what}"));
    }
    found.map_err(|e| LabError(format!("{e}; {node} says: {last}")))
}
