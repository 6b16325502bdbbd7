//! A director of one's own, and its real servers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
pub const DIRECTOR: &str = env!("CARGO_BIN_EXE_director");
/// Longest wait for anything: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `condition`.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A web server on a port of its own, until it is dropped or stopped.
pub struct Server {
    pub address: SocketAddr,
    running: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn new() -> Server {
        Server::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn at(address: SocketAddr) -> Server {
        let end = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < end, "{address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let address = listener.local_addr().expect("an address");
        let running = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&running);
        listener.set_nonblocking(true).expect("nonblocking");
        let thread = std::thread::spawn(move || {
            while flag.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        let _ = stream.set_nonblocking(false);
                        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                        let mut request = [0; 1024];
                        let _ = stream.read(&mut request);
                        let _ = stream.write_all(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhappy\n",
                        );
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Server { address, running, thread: Some(thread) }
    }

    pub fn stop(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A folder with a configuration, and a director that may run in it.
pub struct Ground {
    pub folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Ground {
    pub fn new(config: &str) -> Ground {
        let ground = Ground { folder: tempfile::tempdir().expect("a folder"), daemon: None };
        ground.write(config);
        ground
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("director.toml")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn write(&self, config: &str) {
        std::fs::write(self.config(), config).expect("the configuration");
    }

    pub fn start(&mut self) {
        self.start_by(&["env"]);
    }

    /// Starts it by a program that becomes it.
    pub fn start_by(&mut self, program: &[&str]) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"));
        let child = Command::new(program[0])
            .args(&program[1..])
            .arg(DIRECTOR)
            .args(["run", "--backend", "dry-run", "--config"])
            .arg(self.config())
            .arg("--run-dir")
            .arg(self.run_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("the director");
        self.daemon = Some(child);
        wait_for("the director's answer", || self.tool(&["status", "--json"]).status.success());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.daemon.as_ref().expect("a director").id();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("a signal");
    }

    /// Waits for the director's end and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        let mut child = self.daemon.take().expect("a director");
        wait_for("the director's end", || child.try_wait().expect("wait").is_some());
        child.wait().expect("wait").code()
    }

    pub fn tool(&self, args: &[&str]) -> Output {
        Command::new(DIRECTOR)
            .arg("--run-dir")
            .arg(self.run_dir())
            .arg("--config")
            .arg(self.config())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("the tool")
    }

    /// What the tool says, which must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str]) -> String {
        let output = self.tool(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.done(&["status", "--json"])).expect("JSON")
    }

    /// A field of a real server of the first virtual service.
    pub fn real(&self, name: &str, field: &str) -> Value {
        let status = self.status();
        let reals = status["virtuals"][0]["reals"].as_array().cloned().unwrap_or_default();
        let real = reals.into_iter().find(|real| real["name"] == name).expect("a real server");
        real[field].clone()
    }

    #[track_caller]
    pub fn wait_state(&self, name: &str, state: &str) {
        wait_for(&format!("{name} to be {state}"), || self.real(name, "state") == state);
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(child) = &mut self.daemon {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `www` with these real servers, checked quickly.
pub fn www(reals: &[(&str, SocketAddr)]) -> String {
    let mut text = String::from(
        "[director]\ninterval = \"100ms\"\ntimeout = \"2s\"\n\n[[virtual]]\nname = \"www\"\n\
         address = \"192.168.1.30:80\"\nscheduler = \"wrr\"\nforward = \"masq\"\nfallback = \"127.0.0.1:80\"\n\
         check = { type = \"http\", path = \"/\", expect = \"happy\" }\n",
    );
    for (name, address) in reals {
        text.push_str(&format!("[[virtual.real]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = 5\n"));
    }
    text
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
