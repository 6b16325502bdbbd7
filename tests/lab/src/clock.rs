//! The one clock of the lab: `CLOCK_MONOTONIC`, the same in every namespace, so that times taken by
//! different processes (the test, the probe) can be compared.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::{LabError, Result};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn monotonic_ns() -> u64 {
    // clock_gettime of CLOCK_MONOTONIC cannot fail on Linux; 0 would show at once in any result.
    let Ok(t) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64
}

/// A bound for this machine: `LAB_SLOW` says how many times slower it is than the one the bounds were made for.
pub fn patience(bound: Duration) -> Duration {
    let factor = std::env::var("LAB_SLOW").ok().and_then(|text| text.parse::<u32>().ok());
    bound * factor.unwrap_or(1).clamp(1, 100)
}

/// Asks `question` every `every` until it answers `Some`, at most for `bound` (see [`patience`]).
///
/// # Errors
/// `bound` passed; the error names `what` was waited for.
pub fn wait_for<T>(
    what: &str,
    bound: Duration,
    every: Duration,
    mut question: impl FnMut() -> Option<T>,
) -> Result<T> {
    let start = Instant::now();
    let bound = patience(bound);
    loop {
        if let Some(answer) = question() {
            return Ok(answer);
        }
        if start.elapsed() >= bound {
            return Err(LabError(format!("waited {bound:?} in vain for: {what}")));
        }
        std::thread::sleep(every);
    }
}
