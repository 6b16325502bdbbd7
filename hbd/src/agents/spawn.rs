//! Starting a child: clean surroundings, and a clear sentence when it cannot be started.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use tokio::process::{Child, Command};
use tracing::warn;

use super::process::{Call, Leader, Pipes, Secret};

/// Runs what has no `#!` line, as every shell would.
const SHELL: &str = "/bin/sh";
/// What every pipe holds without a reader (pipe(7); a page is all that one gets where a user has very many).
pub(super) const PIPE: usize = 4096;
/// How often, and how far apart, a program is tried that somebody is just writing (a package upgrade).
const BUSY: (u32, Duration) = (20, Duration::from_millis(25));

/// Starts the call's program as the leader of a new process group. Blocks; needs a tokio runtime's context.
///
/// # Errors
/// A sentence: what could not be executed, why, and what to do.
pub(super) fn start(call: &Call) -> Result<(Leader, Pipes), String> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(&call.scratch);
    if let Err(e) = made {
        warn!(target: "agent", "cannot make the agents' folder {}: {e}", call.scratch.display());
    }
    let program = &call.program;
    match try_start(call, program.as_os_str(), None) {
        Err(e) if e.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            no_machine_code(program)?;
            try_start(call, OsStr::new(SHELL), Some(program)).map_err(|e| reason(Path::new(SHELL), &e))
        }
        other => other.map_err(|e| reason(program, &e)),
    }
}

fn try_start(call: &Call, program: &OsStr, script: Option<&Path>) -> io::Result<(Leader, Pipes)> {
    let mut tries = 1;
    loop {
        // The writing ends are close-on-exec copies that must be gone here once the child has them: made anew each time.
        let (out, out_end) = io::pipe()?;
        let (err, err_end) = io::pipe()?;
        let mut command = Command::new(program);
        if let Some((user, group)) = call.user {
            // With that the standard library also drops all supplementary groups.
            command.uid(user).gid(group);
        }
        command
            .args(script)
            .args(&call.args)
            .env_clear()
            .envs(call.env.iter().map(|(k, v)| (k, v)))
            .current_dir("/")
            .stdin(stdin(call.input.as_ref().map(|Secret(input)| input.as_slice()))?)
            .stdout(out_end)
            .stderr(err_end)
            .process_group(0);
        match spawn_unblocked(&mut command) {
            Ok(child) => {
                let lost = || io::Error::other("it ended before it could be looked at");
                let leader = Leader::new(child, call.at_work.as_deref()).ok_or_else(lost)?;
                return Ok((leader, Pipes::new(OwnedFd::from(out), OwnedFd::from(err))?));
            }
            Err(e) if e.raw_os_error() == Some(Errno::ETXTBSY as i32) && tries < BUSY.0 => {
                tries += 1;
                std::thread::sleep(BUSY.1);
            }
            Err(e) => return Err(e),
        }
    }
}

/// A pipe that holds the input already, and its end.
fn stdin(input: Option<&[u8]>) -> io::Result<Stdio> {
    let Some(input) = input else { return Ok(Stdio::null()) };
    let (reader, mut writer) = io::pipe()?;
    if input.len() > PIPE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its input is larger than a pipe"));
    }
    writer.write_all(input)?;
    Ok(reader.into())
}

/// A child inherits the signal mask of the thread that starts it: it shall block nothing.
fn spawn_unblocked(command: &mut Command) -> io::Result<Child> {
    let before = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = command.spawn();
    before.thread_set_mask()?;
    child
}

/// Refuses what no shell can read either.
fn no_machine_code(program: &Path) -> Result<(), String> {
    let mut start = Vec::new();
    fs::File::open(program)
        .and_then(|file| file.take(256).read_to_end(&mut start))
        .map_err(|e| format!("{} cannot be read: {e}", program.display()))?;
    if start.is_empty() {
        return Err(format!(
            "{} is empty: an agent that does nothing would pass for one that works",
            program.display()
        ));
    }
    if start.contains(&0) {
        return Err(format!(
            "{} is neither a script nor a program for this machine: install the right one",
            program.display()
        ));
    }
    Ok(())
}

/// Why it was not executed, and what to do.
fn reason(program: &Path, error: &io::Error) -> String {
    let name = program.display();
    match error.kind() {
        io::ErrorKind::NotFound if program.exists() => {
            format!("{name} cannot be executed: the interpreter in its first line (#!) does not exist")
        }
        io::ErrorKind::NotFound => {
            format!("{name} does not exist: install it or correct the configuration")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "{name} may not be executed: it must be a file with execute permission (chmod +x) on a file system that is not mounted noexec"
            )
        }
        io::ErrorKind::ExecutableFileBusy => {
            format!(
                "{name} cannot be executed: it is being written to; close it, or put the new one in its place by renaming"
            )
        }
        io::ErrorKind::InvalidInput => {
            format!(
                "{name} cannot be executed: an argument or parameter has a NUL byte in it; correct the configuration"
            )
        }
        _ => format!("{name} cannot be executed: {error}"),
    }
}
