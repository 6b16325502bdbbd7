//! Network namespaces of one test, gone with it.

use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

/// A namespace with a name of its own: `sy-<pid>-<number>`.
pub struct Space {
    pub name: String,
}

impl Space {
    fn new() -> Space {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if NUMBER.load(Ordering::Relaxed) == 0 {
            sweep();
        }
        let name = format!("sy-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let space = Space { name };
        space.enter(|| {
            // Link-local addresses can be used at once; secondary addresses are not promoted unless asked for.
            for (file, value) in [
                ("ipv6/conf/all/accept_dad", "0"),
                ("ipv6/conf/default/accept_dad", "0"),
                ("ipv4/conf/all/promote_secondaries", "0"),
                ("ipv4/conf/default/promote_secondaries", "0"),
            ] {
                std::fs::write(format!("/proc/sys/net/{file}"), value).expect(file);
            }
        });
        space.ip("link set lo up");
        space
    }

    /// Runs `work` in a thread of its own inside the namespace; the test's thread stays where it is.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let file = std::fs::File::open(format!("/run/netns/{}", self.name)).expect("namespace file");
                setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip -n NAME …`; returns what it prints.
    pub fn ip(&self, words: &str) -> String {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        run("ip", &arguments)
    }

    /// Gives an interface a queueing discipline; false if this machine has none such.
    pub fn shape(&self, interface: &str, discipline: &str) -> bool {
        let words = format!("netns exec {} tc qdisc add dev {interface} root {discipline}", self.name);
        let tc = Command::new("ip").args(words.split_whitespace()).output();
        tc.is_ok_and(|output| output.status.success())
    }

    /// The index of an interface.
    pub fn index(&self, interface: &str) -> u32 {
        self.enter(|| nix::net::if_::if_nametoindex(interface)).expect(interface)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// One namespace with `v0` (up) whose other end `v1` (up, no addresses but its own) is there too; `None` unless root.
pub fn single() -> Option<Space> {
    root()?;
    let space = Space::new();
    space.ip("link add v0 type veth peer name v1");
    space.ip("link set v0 up");
    space.ip("link set v1 up");
    Some(space)
}

/// Two namespaces joined by a wire, `v0` at both ends, up; `None` unless root.
pub fn pair() -> Option<(Space, Space)> {
    root()?;
    let (here, there) = (Space::new(), Space::new());
    here.ip(&format!("link add v0 type veth peer name v0 netns {}", there.name));
    here.ip("link set v0 up");
    there.ip("link set v0 up");
    Some((here, there))
}

fn root() -> Option<()> {
    if nix::unistd::geteuid().is_root() {
        return Some(());
    }
    eprintln!("\n*** SKIPPED: this test makes network namespaces and must be run as root ***\n");
    None
}

/// Removes what a test process left that was killed before it could.
fn sweep() {
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((pid, _)) = name.strip_prefix("sy-").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        let ours = pid.parse::<u32>().is_ok();
        if ours && !std::path::Path::new("/proc").join(pid).exists() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {complaint}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks until the answer is there, for 20 s at most.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
