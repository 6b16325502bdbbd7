//! One child process in its own process group: started, listened to, waited for, ended.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;
use zeroize::Zeroizing;

use super::output::{Label, Output, Stream};
use super::spawn;
use super::survivors::Mark;

/// Longer timeouts are cut to this, so that a deadline can always be computed.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// After KILL, how long to wait for the kernel to bury the group.
const BURIAL: Duration = Duration::from_secs(1);
/// Between two looks whether a group is gone.
const LOOK: Duration = Duration::from_millis(20);
/// One read.
const CHUNK: usize = 8192;
/// Reads in a row before others get their turn.
const READS: u32 = 16;
/// What is read at most after the leader's end: the most a pipe holds unless root has raised the limit.
const DRAIN: usize = 1 << 20;

/// Bytes that are wiped when they are dropped and never shown.
pub(crate) struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Call {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// What it finds on its standard input, no more than a pipe holds; `None`: `/dev/null`.
    pub input: Option<Secret>,
    /// User and group it runs as; the daemon's, unless given.
    pub user: Option<(u32, u32)>,
    pub env: Vec<(OsString, OsString)>,
    /// Made if it is missing.
    pub scratch: PathBuf,
    /// Where it is written down while it is at work.
    pub at_work: Option<PathBuf>,
    pub label: Label,
    pub timeout: Duration,
}

/// How the leader ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    Signal(i32),
    TimedOut,
    /// It was told to end before its time.
    Told,
    /// It was not started, or lost: a sentence.
    Broken(String),
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub end: End,
    pub took: Duration,
    /// The start of what came on stdout.
    pub stdout: Vec<u8>,
    pub tail: String,
    pub last_words: String,
    /// The output, if somebody else still holds it open.
    pub rest: Option<Rest>,
}

/// Runs the call to its end or its timeout, whichever comes first. See [`super::Runner::run`] for the bound.
pub(crate) async fn execute(call: Call) -> Ended {
    execute_until(call, std::future::pending()).await
}

/// [`execute`], ended in order (TERM, a grace, KILL) as soon as `told` is ready.
pub(super) async fn execute_until(call: Call, told: impl Future<Output = ()>) -> Ended {
    let began = Instant::now();
    let timeout = call.timeout.min(LONGEST);
    let deadline = began + timeout;
    let mut output = Output::new(call.label.clone());
    // Starting waits until the kernel has read the program from its file system, and that may hang (NFS).
    let mut starting = tokio::task::spawn_blocking(move || spawn::start(&call));
    let (mut leader, mut pipes) = match tokio::time::timeout_at(deadline, &mut starting).await {
        Ok(Ok(Ok(started))) => started,
        Ok(Ok(Err(why))) => return Ended::unheard(End::Broken(why), began),
        Ok(Err(e)) => {
            return Ended::unheard(End::Broken(format!("internal: the agent was not started: {e}")), began);
        }
        Err(_) => {
            // Should it come up later after all, then only to be killed: its Leader is dropped unseen.
            starting.abort();
            return Ended::unheard(End::TimedOut, began);
        }
    };
    // The deadline first: no flood of output keeps it from being seen.
    let ended = tokio::select! {
        biased;
        () = tokio::time::sleep_until(deadline) => leader.reap().ok_or(End::TimedOut),
        () = told => leader.reap().ok_or(End::Told),
        end = leader.ended(&mut pipes, &mut output) => Ok(end),
    };
    let end = match ended {
        Ok(end) => end,
        Err(End::Told) => {
            leader.terminate(grace(timeout), &mut pipes, &mut output).await;
            End::Told
        }
        Err(_) => {
            let how = leader.terminate(grace(timeout), &mut pipes, &mut output).await;
            let Label { group, resource, action, .. } = output.label();
            warn!(target: "agent", group, resource, op = action, "no answer within {timeout:?}: {how}");
            End::TimedOut
        }
    };
    pipes.drain(&mut output);
    output.finish();
    let (stdout, tail, last_words) = (output.take_captured(), output.tail(), output.last_words());
    let rest = pipes.open().then_some(Rest { pipes, output });
    Ended { end, took: began.elapsed(), stdout, tail, last_words, rest }
}

/// The time between TERM and KILL.
fn grace(timeout: Duration) -> Duration {
    (timeout / 4).clamp(Duration::from_millis(200), Duration::from_secs(5))
}

impl Ended {
    fn unheard(end: End, began: Instant) -> Ended {
        let nothing = String::new();
        Ended {
            end,
            took: began.elapsed(),
            stdout: Vec::new(),
            tail: nothing.clone(),
            last_words: nothing,
            rest: None,
        }
    }
}

/// The child started here, first of its process group.
#[derive(Debug)]
pub(super) struct Leader {
    child: Child,
    group: Pid,
    /// The group is to be killed if this is dropped.
    armed: bool,
    /// It is written down for as long as this is kept.
    _mark: Option<Mark>,
}

impl Leader {
    /// Takes charge of a child that was started as the leader of a process group, and writes it down in `at_work`.
    pub fn new(child: Child, at_work: Option<&Path>) -> Option<Leader> {
        let pid = child.id()?;
        let mark = at_work.and_then(|folder| Mark::set(folder, pid));
        let group = Pid::from_raw(i32::try_from(pid).ok()?);
        Some(Leader { child, group, armed: true, _mark: mark })
    }

    /// Waits for its end, listening meanwhile. May be cancelled and called again.
    async fn ended(&mut self, pipes: &mut Pipes, output: &mut Output) -> End {
        let status = tokio::select! {
            biased;
            status = self.child.wait() => status,
            never = pipes.pump(output) => match never {},
        };
        self.disarm(status)
    }

    /// Its end, if it has come.
    fn reap(&mut self) -> Option<End> {
        let status = self.child.try_wait().transpose()?;
        Some(self.disarm(status))
    }

    fn disarm(&mut self, status: io::Result<ExitStatus>) -> End {
        self.armed = false;
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Exit(code),
                (None, Some(signal)) => End::Signal(signal),
                (None, None) => End::Broken(format!("internal: an end that is none: {status}")),
            },
            Err(e) => End::Broken(format!("internal: the agent could not be waited for: {e}")),
        }
    }

    /// TERM to the group, and KILL after the grace if anything of it is left; says what it took.
    async fn terminate(&mut self, grace: Duration, pipes: &mut Pipes, output: &mut Output) -> &'static str {
        let steps = [
            (Signal::SIGTERM, grace, "it ended on SIGTERM"),
            (Signal::SIGKILL, BURIAL, "it had to be ended with SIGKILL"),
        ];
        for (signal, patience, how) in steps {
            self.send(signal);
            let until = Instant::now() + patience;
            while self.alive() {
                if Instant::now() >= until {
                    break;
                }
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(LOOK) => {}
                    never = pipes.pump(output) => match never {},
                }
            }
            if !self.alive() {
                self.armed = false;
                return how;
            }
        }
        "and SIGKILL did not end it: it hangs in the kernel (on a disk or a network file system?)"
    }

    /// Whether anything of the group is left; buries the leader on the way.
    ///
    /// The number stays ours while any process of the group is left. After that the kernel gives it
    /// to another only when all other numbers have had their turn, not within one [`LOOK`].
    fn alive(&mut self) -> bool {
        let buried = !matches!(self.child.try_wait(), Ok(None));
        !buried || (killpg(self.group, None) != Err(Errno::ESRCH) && lives(self.group) != Some(false))
    }

    fn send(&self, signal: Signal) {
        // ESRCH: gone already, which is what is wanted.
        let _ = killpg(self.group, signal);
    }
}

/// Whether any process of a group is more than a zombie, which waits only for init to bury it; `None` if it cannot
/// be told. By `/proc/PID/stat`, proc_pid_stat(5).
fn lives(group: Pid) -> Option<bool> {
    let group = group.as_raw().to_string();
    for entry in fs::read_dir("/proc").ok()? {
        let path = entry.ok()?.path();
        // Not a process, or gone since: says nothing.
        let Ok(stat) = fs::read(path.join("stat")) else {
            continue;
        };
        let stat = String::from_utf8_lossy(&stat);
        // The name in parentheses may itself have any character in it.
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = fields.split_whitespace();
        let (state, its_group) = (fields.next(), fields.nth(1));
        if its_group == Some(&group) && !matches!(state, Some("Z" | "X")) {
            return Some(true);
        }
    }
    Some(false)
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.armed {
            self.send(Signal::SIGKILL);
        }
    }
}

/// Both outputs of a child.
#[derive(Debug)]
pub(super) struct Pipes {
    out: Pipe,
    err: Pipe,
}

impl Pipes {
    /// From the reading ends; needs a tokio runtime.
    pub fn new(out: OwnedFd, err: OwnedFd) -> io::Result<Pipes> {
        Ok(Pipes { out: Pipe::new(out)?, err: Pipe::new(err)? })
    }

    fn open(&self) -> bool {
        self.out.receiver.is_some() || self.err.receiver.is_some()
    }

    /// Reads for as long as it is polled.
    async fn pump(&mut self, output: &mut Output) -> Infallible {
        loop {
            for _ in 0..READS {
                let (stream, length) = tokio::select! {
                    length = self.out.fill() => (Stream::Out, length),
                    length = self.err.fill() => (Stream::Err, length),
                };
                let pipe = if stream == Stream::Out { &self.out } else { &self.err };
                output.feed(stream, &pipe.buffer[..length]);
            }
            tokio::task::yield_now().await;
        }
    }

    /// What is there now.
    fn drain(&mut self, output: &mut Output) {
        self.out.drain(|bytes| output.feed(Stream::Out, bytes));
        self.err.drain(|bytes| output.feed(Stream::Err, bytes));
    }
}

#[derive(Debug)]
struct Pipe {
    /// Gone at the end of the file.
    receiver: Option<pipe::Receiver>,
    buffer: Box<[u8]>,
}

impl Pipe {
    fn new(end: OwnedFd) -> io::Result<Pipe> {
        let receiver = pipe::Receiver::from_owned_fd(end)?;
        Ok(Pipe { receiver: Some(receiver), buffer: vec![0; CHUNK].into_boxed_slice() })
    }

    /// Waits for bytes and says how many are in the buffer now; for ever after the end.
    async fn fill(&mut self) -> usize {
        while let Some(receiver) = &self.receiver {
            let read = match receiver.readable().await {
                Ok(()) => receiver.try_read(&mut self.buffer),
                Err(e) => Err(e),
            };
            match read {
                Ok(length) if length > 0 => return length,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Ok(_) | Err(_) => self.receiver = None,
            }
        }
        std::future::pending().await
    }

    /// Past tokio, which may not have heard yet that there is something.
    fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        let mut room = DRAIN;
        while room > 0
            && let Some(receiver) = &self.receiver
        {
            match nix::unistd::read(receiver.as_fd(), &mut self.buffer) {
                Ok(length) if length > 0 => {
                    take(&self.buffer[..length]);
                    room = room.saturating_sub(length);
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => self.receiver = None,
            }
        }
    }
}

/// Output still held open after a successful start, by a daemon that did not redirect it.
#[derive(Debug)]
pub(crate) struct Rest {
    pipes: Pipes,
    output: Output,
}

impl Rest {
    /// Reads on in the background until the last holder closes it: a closed pipe would kill
    /// the daemon (SIGPIPE) at its next line, a full one stop it.
    pub fn read_on(mut self, permits: &Arc<Semaphore>) {
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            let Label { group, resource, action, .. } = self.output.label();
            warn!(
                target: "agent", group, resource, op = action,
                "it left its output open, as too many others did: closed. Agents should redirect the output of what they start"
            );
            return;
        };
        tokio::spawn(async move {
            let _permit = permit;
            while self.pipes.open() {
                tokio::select! {
                    length = self.pipes.out.fill(), if self.pipes.out.receiver.is_some() => {
                        self.output.feed(Stream::Out, &self.pipes.out.buffer[..length]);
                    }
                    length = self.pipes.err.fill(), if self.pipes.err.receiver.is_some() => {
                        self.output.feed(Stream::Err, &self.pipes.err.buffer[..length]);
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_a_quarter_within_bounds() {
        for (timeout, expected) in [(0, 200), (400, 200), (2_000, 500), (20_000, 5_000), (3_600_000, 5_000)] {
            assert_eq!(grace(Duration::from_millis(timeout)), Duration::from_millis(expected));
        }
    }
}
