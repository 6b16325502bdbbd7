//! The thread that pets the machine's watchdog for as long as the loop turns.
//!
//! Petting may block (a board behind a slow bus), so it is not done on the loop. The loop says in each turn that it is
//! alive; the thread looks four times within a timeout, and pets only if the loop has turned since half a timeout.
//! A process that is stopped or starved pets nothing; one whose loop hangs, nothing after half a timeout.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sys::clock::boottime_ns;
use sys::watchdog::Watchdog;

use super::report::{Report, Reports, Trouble};
use crate::config::Watchdog as Settings;

/// Looks within one timeout.
const LOOKS: u32 = 4;

/// The way to the thread.
#[derive(Debug)]
pub struct Dog {
    shared: Arc<Shared>,
    every: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    alive_at: AtomicU64,
    end: AtomicBool,
}

impl Dog {
    /// Opens the device and begins to pet it.
    ///
    /// # Errors
    /// A sentence: why this machine is not watched over.
    pub fn start(settings: &Settings, reports: Reports) -> Result<Dog, String> {
        let device = Watchdog::open(&settings.device, settings.timeout)
            .map_err(|error| refused(&settings.device, settings.timeout, &error))?;
        let timeout = device.timeout();
        if timeout > settings.timeout {
            let _ = device.disarm();
            return Err(format!(
                "the watchdog {} cannot do a timeout of {} s, only {} s: set that as its timeout, and a deadtime longer \
                 than it",
                settings.device.display(),
                settings.timeout.as_secs(),
                timeout.as_secs()
            ));
        }
        let shared = Arc::new(Shared::default());
        shared.alive_at.store(boottime_ns(), Ordering::Relaxed);
        let every = timeout / LOOKS;
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("dog".into())
            .stack_size(super::SMALL_STACK)
            .spawn(move || watch(device, timeout, every, &watched, &reports))
            .map_err(|error| format!("cannot start the watchdog's thread: {error}"))?;
        Ok(Dog { shared, every, thread: Some(thread) })
    }

    /// The loop turns.
    pub fn alive(&self) {
        self.shared.alive_at.store(boottime_ns(), Ordering::Relaxed);
    }

    /// How often the loop must say so.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// All is stopped in order: the device is stopped too, and waited for.
    pub fn end(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Dog {
    /// Not reached by a panic, which ends the process at once and leaves the device running.
    fn drop(&mut self) {
        self.end();
    }
}

fn refused(device: &Path, timeout: Duration, error: &std::io::Error) -> String {
    let what = match error.raw_os_error() {
        Some(busy) if busy == nix::errno::Errno::EBUSY as i32 => {
            "another program has it open (systemd, with RuntimeWatchdogSec=, or a watchdog daemon)".to_owned()
        }
        Some(invalid) if invalid == nix::errno::Errno::EINVAL as i32 => {
            format!("it cannot do a timeout of {} s", timeout.as_secs())
        }
        _ => error.to_string(),
    };
    format!("this machine is not watched over: {}: {what}", device.display())
}

fn watch(mut device: Watchdog, timeout: Duration, every: Duration, shared: &Shared, reports: &Reports) {
    let mut well = true;
    while !shared.end.load(Ordering::Relaxed) {
        let silent = boottime_ns().saturating_sub(shared.alive_at.load(Ordering::Relaxed));
        if Duration::from_nanos(silent) < timeout / 2 {
            let petted = device.pet();
            if petted.is_ok() != well {
                well = petted.is_ok();
                let sentence = petted.err().map(|error| format!("the watchdog cannot be petted: {error}"));
                // Never waits: a full queue is no reason to let the machine be reset.
                let _ = reports.try_send(Report::Trouble { about: Trouble::Watchdog, sentence });
            }
        }
        std::thread::park_timeout(every);
    }
    if let Err(error) = device.disarm() {
        tracing::error!("the watchdog could not be stopped: {error}; this machine will be reset");
    }
}
