//! A null modem for tests: two pseudo terminals joined by a cable that is as slow as a real one and has its faults.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::unistd::{read, ttyname, write};

/// What the cable does to the bytes that go through; called with each piece.
pub(super) type Fault = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// One direction.
#[derive(Default)]
struct Way {
    fault: Mutex<Option<Fault>>,
    /// Put in at the far end.
    noise: Mutex<Vec<u8>>,
    carried: Mutex<usize>,
}

/// See the module. `a` and `b` are the devices; they vanish with it.
pub(super) struct NullModem {
    pub(super) a: PathBuf,
    pub(super) b: PathBuf,
    ways: [Arc<Way>; 2],
    stop: Arc<AtomicBool>,
    pumps: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

/// Whose words.
#[derive(Clone, Copy)]
pub(super) enum From {
    A,
    B,
}

impl NullModem {
    pub(super) fn new(baud: u32) -> NullModem {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("ttyA"), folder.path().join("ttyB"));
        let mut modem = NullModem {
            a,
            b,
            ways: [Arc::default(), Arc::default()],
            stop: Arc::new(AtomicBool::new(false)),
            pumps: Vec::new(),
            _folder: folder,
        };
        modem.plug(baud);
        modem
    }

    /// Makes both devices, anew if they were unplugged.
    pub(super) fn plug(&mut self, baud: u32) {
        self.stop = Arc::new(AtomicBool::new(false));
        let (a, b) = (Arc::new(device(&self.a)), Arc::new(device(&self.b)));
        for (way, from, to) in [(0, &a, &b), (1, &b, &a)] {
            let (from, to, stop) = (Arc::clone(from), Arc::clone(to), Arc::clone(&self.stop));
            let way = Arc::clone(&self.ways[way]);
            self.pumps.push(std::thread::spawn(move || pump(&from, &to, &way, &stop, baud)));
        }
    }

    /// Pulls the adapter out on both sides: the devices are gone.
    pub(super) fn unplug(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for pump in self.pumps.drain(..) {
            pump.join().expect("pump");
        }
        for link in [&self.a, &self.b] {
            std::fs::remove_file(link).expect("removed");
        }
    }

    fn way(&self, from: From) -> &Way {
        &self.ways[from as usize]
    }

    /// From now on the cable does this to what `from` says.
    pub(super) fn fault(&self, from: From, fault: Option<Fault>) {
        *self.way(from).fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Bytes nobody sent come out where `from` is heard.
    pub(super) fn noise(&self, from: From, bytes: &[u8]) {
        self.way(from).noise.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }

    /// Bytes carried so far.
    pub(super) fn carried(&self, from: From) -> usize {
        *self.way(from).carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes a pseudo terminal, `link` a name for it, and gives its other side.
fn device(link: &Path) -> OwnedFd {
    let pty = openpty(None, None).expect("a pseudo terminal");
    symlink(ttyname(&pty.slave).expect("its name"), link).expect("a link");
    fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("non-blocking");
    pty.master
}

/// Carries bytes at the pace of the line, some milliseconds' worth at a time.
fn pump(from: &OwnedFd, to: &OwnedFd, way: &Way, stop: &AtomicBool, baud: u32) {
    let piece = (baud as usize / 10 / 200).max(4);
    let mut buffer = vec![0; piece];
    let mut free = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // EIO: nobody has it open on that side.
        let count = read(from, &mut buffer).unwrap_or(0);
        let mut bytes = buffer[..count].to_vec();
        *way.carried.lock().unwrap_or_else(PoisonError::into_inner) += count;
        if let Some(fault) = &mut *way.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            fault(&mut bytes);
        }
        bytes.append(&mut way.noise.lock().unwrap_or_else(PoisonError::into_inner));
        free =
            free.max(Instant::now()) + Duration::from_nanos(count as u64 * 10_000_000_000 / u64::from(baud));
        std::thread::sleep(free.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        if !bytes.is_empty() {
            let _ = write(to, &bytes);
        }
    }
}
