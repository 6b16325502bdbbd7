//! How long the machine let the lab itself wait: what is judged by time is not judged when it was long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(20);

/// A thread that sleeps and notes by how much it overslept.
#[derive(Debug)]
pub struct Pulse {
    worst_ms: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Pulse {
    /// Begins.
    pub fn start() -> Pulse {
        let pulse = Pulse { worst_ms: Arc::default(), stop: Arc::default() };
        let (worst, stop) = (Arc::clone(&pulse.worst_ms), Arc::clone(&pulse.stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                std::thread::sleep(BEAT);
                let late = begin.elapsed().saturating_sub(BEAT).as_millis();
                worst.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        pulse
    }

    /// The longest delay since this was last asked, milliseconds.
    pub fn worst_ms(&self) -> u64 {
        self.worst_ms.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
