//! The thread that pets the machine's watchdog for as long as the loop turns, and the core says that it may be.
//!
//! Petting may block (a board behind a slow bus), so it is not done on the loop. In each turn the loop says until when petting is
//! right; the thread pets when the last petting is a quarter of a timeout old, if that moment has not passed. So a process
//! that is stopped or starved pets nothing, and one whose loop hangs nothing after half a timeout. Where what runs depends on a lease, the
//! core says no when the reset would come later than the end of the lease.
//!
//! The device is opened, which starts it, when it may be petted for the first time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sys::clock::boottime_ns;
use sys::watchdog::Watchdog;

use super::report::{Report, Reports, Trouble};
use crate::config::Watchdog as Settings;

/// Pettings within one timeout.
const PETTINGS: u32 = 4;
/// Parts of a timeout for which the loop looks ahead, the longest first.
const AHEAD: [u32; 4] = [2, 4, 8, 16];

/// The way to the thread.
#[derive(Debug)]
pub struct Dog {
    shared: Arc<Shared>,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Until when it may be petted.
    until: AtomicU64,
    /// When it was petted last.
    petted: AtomicU64,
    end: AtomicBool,
    disarm: AtomicBool,
}

impl Dog {
    /// Starts the thread; `realtime` is the `SCHED_FIFO` priority it is to have, if any.
    ///
    /// # Errors
    /// If the thread cannot be had.
    pub fn start(settings: &Settings, reports: Reports, realtime: Option<u8>) -> std::io::Result<Dog> {
        let shared = Arc::new(Shared::default());
        let (watched, settings, timeout) = (Arc::clone(&shared), settings.clone(), settings.timeout);
        let thread = std::thread::Builder::new().name("dog".into()).stack_size(super::SMALL_STACK).spawn(
            move || {
                // Without it a busy machine may be reset: no more than that.
                if let Some(Err(error)) = realtime.map(sys::rt::set_realtime) {
                    tracing::warn!("the watchdog is not petted at real-time priority: {error}");
                }
                watch(&settings, &watched, &reports);
            },
        )?;
        Ok(Dog { shared, timeout, thread: Some(thread) })
    }

    /// The loop turns; `may` says whether petting would be right so much later than now.
    pub fn allow(&self, may: impl Fn(Duration) -> bool) {
        let ahead = AHEAD.iter().map(|part| self.timeout / *part).find(|&ahead| may(ahead));
        let now = boottime_ns();
        let until = ahead.map_or(0, |ahead| now + nanoseconds(ahead));
        self.shared.until.store(until, Ordering::Release);
        let petted = self.shared.petted.load(Ordering::Acquire);
        if until > 0
            && now.saturating_sub(petted) >= nanoseconds(self.every())
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    /// How often the loop must say so.
    pub fn every(&self) -> Duration {
        self.timeout / PETTINGS
    }

    /// The end, waited for. The device is stopped too if all that needs it has been.
    pub fn end(&mut self, disarm: bool) {
        self.shared.disarm.store(disarm, Ordering::Release);
        self.shared.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Opens the device.
fn open(settings: &Settings) -> Result<Watchdog, String> {
    let device = Watchdog::open(&settings.device, settings.timeout)
        .map_err(|error| refused(&settings.device, settings.timeout, &error))?;
    let timeout = device.timeout();
    if timeout <= settings.timeout {
        return Ok(device);
    }
    let _ = device.disarm();
    Err(format!(
        "the watchdog {} cannot do a timeout of {} s, only {} s: set that as its timeout, and a deadtime longer than it",
        settings.device.display(),
        settings.timeout.as_secs(),
        timeout.as_secs()
    ))
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

fn watch(settings: &Settings, shared: &Shared, reports: &Reports) {
    let (mut device, mut well) = (None, true);
    while !shared.end.load(Ordering::Acquire) {
        if boottime_ns() < shared.until.load(Ordering::Acquire) {
            let petted = match &mut device {
                None => open(settings).map(|opened| device = Some(opened)),
                Some(device) => {
                    device.pet().map_err(|error| format!("the watchdog cannot be petted: {error}"))
                }
            };
            shared.petted.store(boottime_ns(), Ordering::Release);
            if petted.is_ok() != well {
                well = petted.is_ok();
                // Never waits: a full queue is no reason to let the machine be reset.
                let news = Report::Trouble { about: Trouble::Watchdog, sentence: petted.err() };
                let _ = reports.try_send(news);
            }
            if device.is_none() {
                // It does not come by itself: the next start of hbd tries again.
                return;
            }
        }
        std::thread::park_timeout(settings.timeout / PETTINGS);
    }
    let Some(device) = device else { return };
    if !shared.disarm.load(Ordering::Acquire) {
        tracing::error!(
            "the watchdog goes on: what depends on a lease was not stopped, and this machine will be reset"
        );
    } else if let Err(error) = device.disarm() {
        tracing::error!("the watchdog could not be stopped: {error}; this machine will be reset");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_loop_says_for_how_long_petting_is_right() {
        let dog = Dog { shared: Arc::default(), timeout: Duration::from_secs(8), thread: None };
        let ahead = |most: u64| {
            let before = boottime_ns();
            dog.allow(|ahead| ahead <= Duration::from_secs(most));
            let until = dog.shared.until.load(Ordering::Relaxed);
            until.checked_sub(before).map(|ahead| ahead / 1_000_000_000)
        };
        assert_eq!(ahead(100), Some(4), "half a timeout, if nothing is in the way");
        assert_eq!(ahead(3), Some(2));
        assert_eq!(ahead(1), Some(1));
        assert_eq!(ahead(0), None);
    }

    #[test]
    fn what_is_no_watchdog_is_said_when_it_is_first_needed() {
        let (reports, mut heard) = tokio::sync::mpsc::channel(4);
        let settings = Settings { device: "/dev/null".into(), timeout: Duration::from_secs(4) };
        let mut dog = Dog::start(&settings, reports, None).unwrap();
        dog.allow(|_| false);
        assert!(heard.try_recv().is_err());
        dog.allow(|_| true);
        let (done, wait) = channel();
        std::thread::spawn(move || done.send(heard.blocking_recv()));
        let Ok(Some(Report::Trouble { about: Trouble::Watchdog, sentence: Some(why) })) =
            wait.recv_timeout(Duration::from_secs(20))
        else {
            panic!("nothing was said");
        };
        assert!(why.contains("not watched over: /dev/null"), "{why}");
        dog.end(true);
    }
}
