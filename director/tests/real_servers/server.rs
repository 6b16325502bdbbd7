//! A real server as a child of its test.

use std::fmt::Display;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::check::{Target, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{LONG, SHORT, spec};

/// For a server to come up, or an answer to change, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the server called `name` is to be asked; then `program` must be there.
pub fn wanted(name: &str, program: &str) -> bool {
    let named = std::env::var("REAL_SERVERS").unwrap_or_default();
    if !named.split_whitespace().any(|word| word == name || word == "all") {
        eprintln!("{name} is not asked: REAL_SERVERS does not name it");
        return false;
    }
    assert!(Path::new(program).exists(), "REAL_SERVERS names {name}, and there is no {program}");
    assert!(nix::unistd::geteuid().is_root(), "real servers are started by root");
    true
}

/// A folder for a server's files, open to the user it becomes.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("real-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    folder
}

/// A port that is free now, TCP and UDP.
pub fn port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Writes `name` in `folder`, each `@NAME@` replaced.
pub fn write(folder: &Path, name: &str, text: &str, words: &[(&str, &dyn Display)]) -> PathBuf {
    let here = folder.display().to_string();
    let mut text = text.replace("@DIR@", &here);
    for (word, value) in words {
        text = text.replace(&format!("@{word}@"), &value.to_string());
    }
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

/// Runs something to its good end.
pub fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
}

/// A certificate for 127.0.0.1 that trusts itself (`cert.pem`), and its key (`key.pem`).
pub fn certificate(folder: &Path) {
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem \
                -subj /CN=localhost -days 90 -addext subjectAltName=IP:127.0.0.1 \
                -addext basicConstraints=critical,CA:FALSE";
    done(Command::new("openssl").args(args.split_whitespace()).current_dir(folder));
}

/// A server at work. It and all it started die with this.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it; its output goes into `server.log` in `folder`.
    pub fn start(command: &mut Command, folder: &Path) -> Server {
        let log = folder.join("server.log");
        let output = std::fs::File::create(&log).expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Server { child, log }
    }

    /// Waits until it takes connections on `port`.
    pub fn listening(mut self, port: u16) -> Server {
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            self.must_live(end);
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    fn must_live(&mut self, end: Instant) {
        let ended = self.child.try_wait().expect("its state");
        if ended.is_some() || Instant::now() > end {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the server did not come up ({ended:?}):\n{log}");
        }
    }

    /// Waits until the check is good.
    pub async fn serving(mut self, text: &str, target: &Target) -> Server {
        let end = Instant::now() + PATIENCE;
        while let Err(why) = run(&spec(text), target, LONG).await.result {
            eprintln!("not yet: {why}");
            self.must_live(end);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self
    }

    /// To it and all that descend from it, whatever groups and sessions they made themselves.
    fn signal(&self, signal: Signal) {
        for pid in descendants(self.child.id()) {
            let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal);
        }
    }

    /// The last scene: the check is good; the server hangs and is late; goes on and is good; dies and is not there.
    pub async fn hangs_and_dies(self, text: &str, target: &Target) {
        let result = run(&spec(text), target, LONG).await.result;
        assert_eq!(result, Ok(()), "{text}: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
        self.signal(Signal::SIGSTOP);
        let end = Instant::now() + PATIENCE;
        while !descendants(self.child.id()).iter().all(|pid| stopped(*pid)) {
            assert!(Instant::now() < end, "the server does not stop");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let why = run(&spec(text), target, SHORT).await.result.expect_err("a hanging server answers nothing");
        assert!(why.starts_with("no answer within 300ms"), "{why}");
        self.signal(Signal::SIGCONT);
        assert_eq!(run(&spec(text), target, LONG).await.result, Ok(()), "it goes on: {text}");
        drop(self);
        let why = run(&spec(text), target, LONG).await.result.expect_err("a dead server answers nothing");
        assert!(why.contains("nobody listens"), "{why}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
        // Nothing is kept, so nothing has to end in order. All stopped first, so that nobody forks meanwhile.
        self.signal(Signal::SIGSTOP);
        let all = descendants(self.child.id());
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        // A child of it may hold the port a moment longer.
        let end = Instant::now() + PATIENCE;
        while all.iter().any(|pid| lives(*pid)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether every thread of a process has come to a stop (or the process to its end).
fn stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.into_iter().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
    })
}

/// Whether a process is there and more than a zombie.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A process and all below it.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}
