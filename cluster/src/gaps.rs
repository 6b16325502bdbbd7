//! The times between heartbeats, kept in little room for as long as the daemon lives.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Steps to each doubling: a value is told with an error of an eighth at most.
const STEPS: u32 = 8;
/// The first doubling begins at 2^6 µs; what is shorter counts as that.
const FIRST: u32 = 6;
/// The last one ends at 2^36 µs, 19 hours.
const LAST: u32 = 36;
const BUCKETS: usize = ((LAST - FIRST) * STEPS) as usize;
/// After so many gaps all counts are halved, so that what happened lately counts for more than what happened
/// once: at five heartbeats a second this is after three days, and each day and a half from then on.
const FULL: u64 = 1 << 20;

/// A histogram of times with steps that grow with the time: a kilobyte, however long it is kept.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Option<Box<[u32; BUCKETS]>>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: None, total: 0, max: Duration::ZERO }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.summary())
    }
}

impl Histogram {
    /// Counts one gap.
    pub(crate) fn add(&mut self, gap: Duration) {
        let counts = self.counts.get_or_insert_with(|| Box::new([0; BUCKETS]));
        counts[bucket(gap)] += 1;
        self.total += 1;
        self.max = self.max.max(gap);
        if self.total >= FULL {
            counts.iter_mut().for_each(|count| *count /= 2);
            self.total = counts.iter().map(|&count| u64::from(count)).sum();
        }
    }

    /// The time within which `per_mille` of a thousand gaps were.
    fn quantile(&self, per_mille: u64) -> Duration {
        let Some(counts) = &self.counts else { return Duration::ZERO };
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (at, &count) in counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return end_of(at).min(self.max);
            }
        }
        self.max
    }

    /// The figures of it.
    pub(crate) fn summary(&self) -> Gaps {
        Gaps {
            count: self.total,
            p50_ms: millis(self.quantile(500)),
            p99_ms: millis(self.quantile(990)),
            p999_ms: millis(self.quantile(999)),
            max_ms: millis(self.max),
        }
    }
}

/// Where a gap is counted.
fn bucket(gap: Duration) -> usize {
    let us = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX).clamp(1 << FIRST, (1 << LAST) - 1);
    let doubling = us.ilog2();
    let step = us >> (doubling - STEPS.ilog2()) & u64::from(STEPS - 1);
    ((doubling - FIRST) * STEPS) as usize + usize::try_from(step).unwrap_or(0)
}

/// The longest gap that is counted there.
fn end_of(bucket: usize) -> Duration {
    let (doubling, step) = (bucket as u64 / u64::from(STEPS), bucket as u64 % u64::from(STEPS));
    let unit = (1_u64 << (doubling + u64::from(FIRST))) / u64::from(STEPS);
    Duration::from_micros(unit * (u64::from(STEPS) + step + 1) - 1)
}

/// Milliseconds, rounded up: a gap is never shown shorter than it was.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// What is known of the times between heartbeats, in milliseconds, since the start of the daemon. Gaps that made the
/// other side count as gone (deadtime and longer) are none of these. Of a long time the last days count for most, except
/// for the longest gap, which is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// How many it is about.
    pub count: u64,
    /// Half of them were no longer.
    pub p50_ms: u64,
    /// All but one in a hundred were no longer.
    pub p99_ms: u64,
    /// All but one in a thousand were no longer.
    pub p999_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn every_time_is_counted_where_it_belongs() {
        let mut last = 0;
        for exponent in 0..40 {
            for part in 0..64_u64 {
                let us = (1_u64 << exponent) + part * (1_u64 << exponent) / 64;
                let at = bucket(Duration::from_micros(us));
                assert!(at >= last || us < 1 << FIRST, "{us}");
                last = last.max(at);
                if ((1 << FIRST)..(1 << LAST)).contains(&us) {
                    let end = u64::try_from(end_of(at).as_micros()).unwrap();
                    assert!(end >= us && end - us <= us / 8, "{us} up to {end}");
                }
            }
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_figures_are_near_the_truth_and_never_below() {
        let mut gaps = Histogram::default();
        assert_eq!(gaps.summary(), Gaps::default());
        for n in 1..=1000 {
            gaps.add(ms(n));
        }
        let Gaps { count, p50_ms, p99_ms, p999_ms, max_ms } = gaps.summary();
        assert_eq!((count, max_ms), (1000, 1000));
        for (shown, true_one) in [(p50_ms, 500), (p99_ms, 990), (p999_ms, 999)] {
            assert!(shown >= true_one && shown <= true_one + true_one / 8 + 1, "{shown} for {true_one}");
        }
        let mut steady = Histogram::default();
        (0..100).for_each(|_| steady.add(ms(200)));
        assert_eq!(
            steady.summary(),
            Gaps { count: 100, p50_ms: 200, p99_ms: 200, p999_ms: 200, max_ms: 200 }
        );
    }

    #[test]
    fn after_days_it_is_as_small_and_what_is_new_shows() {
        let mut gaps = Histogram::default();
        gaps.add(ms(1800));
        for _ in 0..FULL {
            gaps.add(ms(200));
        }
        assert!(gaps.summary().count < FULL);
        // The line has become slow: in a day and a half of that it is the usual.
        for _ in 0..FULL * 3 / 4 {
            gaps.add(ms(400));
        }
        let seen = gaps.summary();
        assert!(seen.p50_ms >= 400 && seen.p50_ms <= 450 && seen.max_ms == 1800, "{seen:?}");
    }
}
