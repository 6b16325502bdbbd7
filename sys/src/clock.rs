//! The daemon's clock.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, time spent suspended included (`CLOCK_BOOTTIME`, clock_gettime(2)).
///
/// It never goes back, and no operator or NTP step moves it. It counts through a suspend, so a machine that slept
/// sees at once that it may have been replaced. Readings of two machines have nothing to do with each other.
pub fn boottime_ns() -> u64 {
    // Every kernel this program runs on has the clock; a monotonic answer is the best one if a sandbox hides it.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC));
    now.map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        let rest = u64::try_from(now.tv_nsec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::boottime_ns;

    #[test]
    fn moves_forward_and_agrees_with_the_kernel() {
        let first = boottime_ns();
        let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc/uptime");
        let second = boottime_ns();
        assert!(first > 0 && second >= first);
        let seconds: f64 =
            uptime.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
        // /proc/uptime has hundredths; it was read between the two.
        assert!(seconds * 1e9 >= first as f64 - 2e7 && seconds * 1e9 <= second as f64 + 2e7);
    }
}
