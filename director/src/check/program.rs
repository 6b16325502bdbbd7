//! A child process with a deadline: its own process group, its output bounded, nothing of it left behind.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use sys::process::{Signal, kill_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// So much of the output is kept, of each stream; the rest is read and forgotten.
const KEPT: usize = 64 * 1024;
const CHUNK: usize = 4096;

/// What to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    /// "exit code 1", "signal 9".
    pub fn how(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => self.status.to_string(),
        }
    }
}

/// Runs it to its end. The deadline is the caller's: dropped before its end, this kills the whole process group, and
/// what the program left running behind it is killed at its end too: a check has no business to leave anything.
///
/// # Errors
/// A sentence: it could not be started.
pub(crate) async fn run(call: Call) -> Result<Ended, String> {
    let shown = call.program.display().to_string();
    // Starting waits until the kernel has read the program from its file system, and that may hang (NFS).
    let started = tokio::task::spawn_blocking(move || Running::start(&call)).await;
    let mut running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => return Err(format!("{shown} cannot be executed: {}", why(&error))),
        Err(error) => return Err(format!("{shown} was not started: {error}")),
    };
    running.finish().await.map_err(|e| format!("{shown} was lost: {e}"))
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file, or its interpreter (#!) is missing".to_owned(),
        io::ErrorKind::PermissionDenied => "it must be a file with execute permission (chmod +x)".to_owned(),
        _ => error.to_string(),
    }
}

/// Killed with its group when it is dropped.
struct Running {
    child: Child,
    group: u32,
    stdout: Stream<ChildStdout>,
    stderr: Stream<ChildStderr>,
}

impl Running {
    /// Blocks; needs a tokio runtime's context.
    fn start(call: &Call) -> io::Result<Running> {
        let mut command = Command::new(&call.program);
        command.args(&call.args).env("LC_ALL", "C").envs(call.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).current_dir("/");
        let mut child = command.spawn()?;
        let group = child.id().unwrap_or_default();
        let (stdout, stderr) = (Stream::new(child.stdout.take()), Stream::new(child.stderr.take()));
        Ok(Running { child, group, stdout, stderr })
    }

    async fn finish(&mut self) -> io::Result<Ended> {
        let status = loop {
            tokio::select! {
                biased;
                status = self.child.wait() => break status?,
                () = self.stdout.read() => {}
                () = self.stderr.read() => {}
            }
        };
        // What is in the pipes; not until their end, which somebody left behind might hold up.
        self.kill();
        self.stdout.drain();
        self.stderr.drain();
        let (stdout, stderr) = (std::mem::take(&mut self.stdout.kept), std::mem::take(&mut self.stderr.kept));
        Ok(Ended { status, stdout, stderr })
    }

    fn kill(&self) {
        // An error says that nobody is left, which is what is wanted.
        let _ = kill_group(self.group, Signal::SIGKILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.kill();
        }
    }
}

struct Stream<S> {
    /// Gone at its end.
    pipe: Option<S>,
    kept: Vec<u8>,
}

impl<S: AsyncRead + AsFd + Unpin> Stream<S> {
    fn new(pipe: Option<S>) -> Self {
        Self { pipe, kept: Vec::new() }
    }

    /// Reads once; for ever after the end.
    async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return std::future::pending().await;
        };
        let mut chunk = [0; CHUNK];
        match pipe.read(&mut chunk).await {
            Ok(length) if length > 0 => self.keep(&chunk[..length]),
            _ => self.pipe = None,
        }
    }

    /// What can be read at once; past tokio, which may not have heard yet that there is something.
    fn drain(&mut self) {
        let mut chunk = [0; CHUNK];
        for _ in 0..KEPT / CHUNK * 2 {
            let Some(pipe) = &self.pipe else {
                return;
            };
            match nix::unistd::read(pipe, &mut chunk) {
                Ok(length) if length > 0 => self.keep(&chunk[..length]),
                Err(nix::errno::Errno::EINTR) => {}
                _ => return,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT - self.kept.len().min(KEPT);
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(script: &str) -> Call {
        Call { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], env: Vec::new() }
    }

    #[tokio::test]
    async fn output_and_end_of_a_program() {
        let ended = run(shell("echo out; echo err >&2; exit 3")).await.unwrap();
        assert_eq!(
            (ended.how(), &ended.stdout[..], &ended.stderr[..]),
            ("exit code 3".to_owned(), &b"out\n"[..], &b"err\n"[..])
        );
        let ended = run(shell("kill -9 $$")).await.unwrap();
        assert_eq!(ended.how(), "signal 9");
        let flood = run(shell("head -c 1000000 /dev/zero")).await.unwrap();
        assert_eq!((flood.stdout.len(), flood.status.success()), (KEPT, true));
        assert!(
            run(Call { program: "/no/such".into(), ..Call::default() })
                .await
                .unwrap_err()
                .contains("no such file")
        );
        assert!(
            run(Call { program: "/etc/passwd".into(), ..Call::default() })
                .await
                .unwrap_err()
                .contains("chmod")
        );
    }

    /// Whether a process is there and no zombie.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    async fn gone(pid: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while lives(pid) {
            assert!(Instant::now() < end, "{pid} outlived its check");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn at_the_deadline_the_whole_group_dies() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script =
            format!("trap '' TERM; sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", file.display());
        let mut running = Box::pin(run(shell(&script)));
        let end = Instant::now() + Duration::from_secs(20);
        while !file.exists() {
            assert!(Instant::now() < end);
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut running).await.is_err());
        }
        drop(running);
        gone(&std::fs::read_to_string(&file).unwrap()).await;
    }

    #[tokio::test]
    async fn what_it_left_behind_dies_with_it_and_holds_nothing_up() {
        let ended = run(shell("sleep 600 & echo $!")).await.unwrap();
        gone(&String::from_utf8(ended.stdout).unwrap()).await;
    }
}
