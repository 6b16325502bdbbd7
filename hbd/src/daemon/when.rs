//! Clocks: the monotonic one that decides, and the wall clock, for people only.

use cluster::Time;

pub use base::daemon::when::rfc3339;

/// Now, on the clock all decisions are made by (`CLOCK_BOOTTIME`).
pub fn now() -> Time {
    Time::from_nanos(sys::clock::boottime_ns())
}
