//! A daemon that says what it was told to say, and `hbctl` run against it, all in bounded time.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Bound on everything here; never waited for when all is well.
pub const BOUND: Duration = Duration::from_secs(30);

/// What the daemon does after it has read a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Says this line.
    Say(&'static str),
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
    /// Says this line again and again until the client is gone.
    Repeat(&'static str),
    /// Says nothing more until the client is gone.
    Silence,
}

/// A daemon on a socket of its own; each connection is answered by the next script, the last one by all after.
pub struct Daemon {
    folder: tempfile::TempDir,
    requests: Receiver<Value>,
}

impl Daemon {
    /// Listens and answers.
    pub fn new(scripts: Vec<Vec<Step>>) -> Daemon {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("hbd.sock")).expect("a socket");
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            let mut scripts = scripts.into_iter().peekable();
            while let Some(script) = scripts.next() {
                let again = scripts.peek().is_none();
                loop {
                    let Ok((stream, _)) = listener.accept() else {
                        return;
                    };
                    // The test is over if nobody takes the request.
                    if sender.send(serve(stream, &script)).is_err() {
                        return;
                    }
                    if !again {
                        break;
                    }
                }
            }
        });
        Daemon { folder, requests }
    }

    /// One script for all connections.
    pub fn saying(steps: &[Step]) -> Daemon {
        Daemon::new(vec![steps.to_vec()])
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("hbd.sock")
    }

    /// The next request, after its answer was given.
    pub fn request(&self) -> Value {
        self.requests.recv_timeout(BOUND).expect("a request")
    }

    /// Runs `hbctl` with the words of `line` against it.
    pub fn hbctl(&self, line: &str) -> Ended {
        finish(self.start(line))
    }

    /// Begins it.
    pub fn start(&self, line: &str) -> Child {
        self.command(line).spawn().expect("hbctl starts")
    }

    /// `hbctl` ready to be run, with pipes.
    pub fn command(&self, line: &str) -> Command {
        let mut command = hbctl(line);
        command.env("HBD_SOCKET", self.socket());
        command
    }
}

fn serve(stream: UnixStream, script: &[Step]) -> Value {
    stream.set_read_timeout(Some(BOUND)).expect("a bound");
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    reader.read_line(&mut line).expect("a request");
    let mut writer = stream;
    for step in script {
        // A client that is gone is what some tests are about.
        let _ = match step {
            Step::Say(line) => writer.write_all(format!("{line}\n").as_bytes()),
            Step::Raw(bytes) => writer.write_all(bytes),
            Step::Repeat(line) => {
                let begun = Instant::now();
                while begun.elapsed() < BOUND && writer.write_all(format!("{line}\n").as_bytes()).is_ok() {}
                Ok(())
            }
            Step::Silence => reader.read(&mut [0; 16]).map(drop),
        };
    }
    serde_json::from_str(&line).expect("the request is JSON")
}

/// `hbctl` with the words of `line`, with pipes, in an environment that is always the same.
pub fn hbctl(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbctl"));
    command
        .args(line.split_whitespace())
        .env_remove("HBD_SOCKET")
        .env_remove("NO_COLOR")
        .env("TZ", "UTC")
        .env("TERM", "xterm")
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a run of `hbctl` ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// All of stdout.
    pub out: String,
    /// All of stderr.
    pub err: String,
}

/// Waits for its end; kills it at the bound.
pub fn finish(child: Child) -> Ended {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(BOUND) else {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("hbctl did not end within {BOUND:?}");
    };
    let Output { status, stdout, stderr } = output.expect("an end");
    Ended {
        code: status.code().unwrap_or_else(|| panic!("ended by a signal: {status}")),
        out: String::from_utf8(stdout).expect("UTF-8"),
        err: String::from_utf8(stderr).expect("UTF-8"),
    }
}

/// Runs `hbctl` on the socket at `path`.
pub fn hbctl_on(path: &Path, line: &str) -> Ended {
    let mut command = hbctl(line);
    command.arg("--socket").arg(path);
    finish(command.spawn().expect("hbctl starts"))
}
