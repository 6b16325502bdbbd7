//! A machine's own clock: it runs a little fast or slow, and only forwards.

use cluster::Time;

/// Nanoseconds in a millisecond and in a second, as this world counts.
pub const MS: u64 = 1_000_000;
/// See [`MS`].
pub const S: u64 = 1_000_000_000;
/// Later than everything.
pub const NEVER: u64 = u64::MAX;

/// A monotonic clock as a function of true time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// True time at which it was started.
    origin: u64,
    /// What it showed then.
    first: u64,
    /// How much it gains, in millionths.
    ppm: i64,
}

impl Clock {
    /// A clock that is started now.
    pub fn new(origin: u64, first: u64, ppm: i64) -> Self {
        Self { origin, first, ppm }
    }

    /// What it shows at a true time.
    pub fn read(&self, now: u64) -> Time {
        let passed = now.saturating_sub(self.origin) as i64;
        Time(self.first + (passed + passed * self.ppm / 1_000_000) as u64)
    }

    /// The first true time at which it shows `at` or more.
    pub fn when(&self, at: Time) -> u64 {
        let Some(ahead) = at.0.checked_sub(self.first) else { return self.origin };
        if ahead > 100_000 * S {
            return NEVER;
        }
        let mut when = self.origin + (ahead as i64 - ahead as i64 * self.ppm / 1_000_000) as u64;
        // The inverse above is a little off; a clock that gains 1 % misses by less than 1 in 10,000.
        loop {
            let shown = self.read(when).0;
            match at.0.checked_sub(shown) {
                Some(0) | None => return when,
                Some(short) => when += (short - short / 50).max(1),
            }
        }
    }
}

/// A time, for people.
pub fn show(ns: u64) -> String {
    format!("{:>3}.{:06}", ns / S, ns % S / 1000)
}
