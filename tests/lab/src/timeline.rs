//! What happened in a scenario and when, printed when it fails.

use std::fmt;
use std::sync::Mutex;

use crate::clock;

/// A list of moments; cheap to add to from any thread.
#[derive(Debug)]
pub struct Timeline {
    start_ns: u64,
    moments: Mutex<Vec<(u64, String)>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { start_ns: clock::monotonic_ns(), moments: Mutex::new(Vec::new()) }
    }
}

impl Timeline {
    /// Notes `text` with the present time, which it returns (nanoseconds, `CLOCK_MONOTONIC`).
    pub fn note(&self, text: impl Into<String>) -> u64 {
        let now = clock::monotonic_ns();
        if let Ok(mut moments) = self.moments.lock() {
            moments.push((now, text.into()));
        }
        now
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(moments) = self.moments.lock() else {
            return writeln!(f, "(timeline lost)");
        };
        for (at, text) in moments.iter() {
            let ms = at.saturating_sub(self.start_ns) as f64 / 1e6;
            writeln!(f, "{ms:>10.1} ms  {text}")?;
        }
        Ok(())
    }
}
