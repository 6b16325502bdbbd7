//! External programs, each with a bound on its time and with everything it said in the error.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Context;
use crate::{LabError, Result};

/// No command of the lab may take longer than this unless it says so.
pub const BOUND: Duration = Duration::from_secs(20);

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Exit code; a signal counts as 128 + its number, as in a shell.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// True for exit code 0.
    pub fn ok(&self) -> bool {
        self.code == 0
    }

    /// The output if the command succeeded.
    ///
    /// # Errors
    /// Any other exit code, with what the command printed.
    pub fn success(self) -> Result<Output> {
        if self.ok() {
            return Ok(self);
        }
        Err(LabError(format!("`{}` ended with {}: {}{}", self.line, self.code, self.stderr, self.stdout)))
    }
}

/// Runs `command` to its end, with `input` on its stdin, at most for `bound`.
///
/// # Errors
/// It could not be started, or it did not end in time (then it is killed).
pub fn run(mut command: Command, input: &str, bound: Duration) -> Result<Output> {
    let line = describe(&command);
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context(|| format!("cannot start `{line}`"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input is judged by its exit code, not by this.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = wait(&mut child, bound)?;
    let Some(status) = status else {
        kill_with_children(&mut child);
        return Err(LabError(format!("`{line}` did not end within {bound:?} and was killed")));
    };
    // A background child that keeps the pipes open must not hold us: what has been said so far is enough.
    let stdout = stdout.finish(Duration::from_millis(500));
    let stderr = stderr.finish(Duration::from_millis(500));
    Ok(Output { line, code: exit_code(status), stdout, stderr })
}

/// Waits for the end of `child` for at most `bound`; `None` if it still runs.
///
/// # Errors
/// The kernel refuses to wait for it.
pub fn wait(child: &mut Child, bound: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    let bound = crate::clock::patience(bound);
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().context(|| "cannot wait for a child".to_owned())? {
            return Ok(Some(status));
        }
        if start.elapsed() >= bound {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// A shell's view of an exit status: the code, or 128 + the signal.
pub fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(255)
}

/// Where `program` is, looked up in PATH and the sbin folders (a plain user's PATH lacks them).
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .map(|folder| PathBuf::from(folder).join(program))
        .find(|p| p.is_file())
}

/// The children of process `pid`, as the kernel lists them.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Kills `child` and the processes it started directly (nsenter's child does not die with nsenter).
pub(crate) fn kill_with_children(child: &mut Child) {
    for pid in children_of(child.id()) {
        signal_pid(pid, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends a signal to one process; one that is gone already is no error.
pub(crate) fn signal_pid(pid: u32, signal: nix::sys::signal::Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A thread that empties a pipe, so that the child never blocks on it.
struct Drain(std::sync::mpsc::Receiver<Vec<u8>>);

fn drain(pipe: Option<impl Read + Send + 'static>) -> Drain {
    let (tx, rx) = std::sync::mpsc::channel();
    if let Some(mut pipe) = pipe {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = pipe.read(&mut buffer) {
                if n == 0 || tx.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    Drain(rx)
}

impl Drain {
    /// Everything up to the end of the pipe, or what came until `bound` has passed.
    fn finish(self, bound: Duration) -> String {
        let end = Instant::now() + bound;
        let mut bytes = Vec::new();
        while let Ok(part) = self.0.recv_timeout(end.saturating_duration_since(Instant::now())) {
            bytes.extend(part);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
