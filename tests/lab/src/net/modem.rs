//! A null modem between two machines: two pseudo terminals, joined outside of all machines at the pace of a real line.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::unistd::{read, ttyname, write};

use super::clean;
use crate::Result;
use crate::error::Context;

/// Bits on the line for each byte: start, eight, stop.
const BITS: u64 = 10;
/// The pump moves what the line carries in this time at once.
const BEAT: Duration = Duration::from_millis(5);
/// Worlds have small numbers; modems begin here, so that their folders have other names.
const FIRST: u32 = 1_000_000;

static MODEMS: AtomicU32 = AtomicU32::new(FIRST);

/// One direction.
#[derive(Debug, Default)]
struct Way {
    cut: AtomicBool,
    carried: AtomicU64,
}

/// The cable and its two ends, `ttyA` and `ttyB`. Gone when it is dropped.
#[derive(Debug)]
pub struct NullModem {
    folder: PathBuf,
    baud: u32,
    ways: [Arc<Way>; 2],
    stop: Arc<AtomicBool>,
}

impl NullModem {
    /// A cable that carries `baud` bits per second each way.
    ///
    /// # Errors
    /// The kernel gives no pseudo terminals.
    pub fn new(baud: u32) -> Result<NullModem> {
        let folder = clean::new_world_dir(MODEMS.fetch_add(1, Ordering::Relaxed))?;
        let modem = NullModem { folder, baud, ways: Default::default(), stop: Arc::default() };
        let [a, b] = ["ttyA", "ttyB"].map(|name| device(&modem.folder.join(name)));
        let (a, b) = (Arc::new(a?), Arc::new(b?));
        for (way, from, to) in [(0, &a, &b), (1, &b, &a)] {
            let (way, stop) = (Arc::clone(&modem.ways[way]), Arc::clone(&modem.stop));
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            thread::spawn(move || pump(&from, &to, &way, &stop, baud));
        }
        Ok(modem)
    }

    /// The link table of nodes `a` and `b` at its ends.
    pub fn link(&self) -> String {
        let end = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "type = \"serial\"\ndevice = {{ a = \"{}\", b = \"{}\" }}\nbaud = {}",
            end("ttyA"),
            end("ttyB"),
            self.baud
        )
    }

    /// From now on what `a` says is lost, or not, and what `b` says.
    pub fn cut(&self, from_a: bool, from_b: bool) {
        self.ways[0].cut.store(from_a, Ordering::Relaxed);
        self.ways[1].cut.store(from_b, Ordering::Relaxed);
    }

    /// Bytes that have arrived at `b` and at `a`.
    pub fn carried(&self) -> [u64; 2] {
        [0, 1].map(|way: usize| self.ways[way].carried.load(Ordering::Relaxed))
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        clean::remove_dir(&self.folder);
    }
}

/// Makes a pseudo terminal, `name` a link to it, and gives its far side.
fn device(name: &Path) -> Result<OwnedFd> {
    let what = || format!("cannot make a pseudo terminal at {}", name.display());
    let pty = openpty(None, None).context(what)?;
    let path = ttyname(&pty.slave).context(what)?;
    symlink(path, name).context(what)?;
    fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context(what)?;
    Ok(pty.master)
}

/// Carries bytes at the pace of the line. What nobody takes at the far end is lost, as on a line without flow control.
fn pump(from: &OwnedFd, to: &OwnedFd, way: &Way, stop: &AtomicBool, baud: u32) {
    let piece = u64::from(baud) / BITS * BEAT.as_millis() as u64 / 1000;
    let mut buffer = vec![0; piece.max(1) as usize];
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // EIO: nobody has it open at that end.
        let count = read(from, &mut buffer).unwrap_or(0);
        let line = Duration::from_nanos(count as u64 * BITS * 1_000_000_000 / u64::from(baud));
        next = next.max(Instant::now()) + line.max(BEAT);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if count > 0 && !way.cut.load(Ordering::Relaxed) && write(to, &buffer[..count]).is_ok() {
            way.carried.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
