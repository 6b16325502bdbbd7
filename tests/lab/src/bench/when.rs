//! Wall-clock stamps of a daemon's events on the lab's own clock, and the versions of packages.

use std::process::Command;

use nix::time::{ClockId, clock_gettime};

use crate::{clock, command};

/// `2026-11-23T00:26:01.042Z` as nanoseconds of `CLOCK_MONOTONIC`, by the distance of the two clocks now.
///
/// Stamps are cut to whole milliseconds, so the result is up to 1 ms early. `None` for anything that is no such stamp.
pub fn monotonic_of(stamp: &str) -> Option<u64> {
    let (before, wall, after) = (clock::monotonic_ns(), wall_ns()?, clock::monotonic_ns());
    let monotonic = before + (after - before) / 2;
    let ago = i128::from(wall) - i128::from(epoch_ns(stamp)?);
    u64::try_from(i128::from(monotonic) - ago).ok()
}

fn wall_ns() -> Option<u64> {
    let t = clock_gettime(ClockId::CLOCK_REALTIME).ok()?;
    Some(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

/// Nanoseconds since 1970 of an RFC 3339 stamp in UTC.
fn epoch_ns(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + digits.parse::<u64>().ok()?)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let years: u64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + lengths[..(month - 1) as usize].iter().sum::<u64>() + day - 1
}

/// The installed version of a Debian package, or `?`.
pub fn package_version(package: &str) -> String {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Version}", package]);
    match command::run(query, "", command::BOUND) {
        Ok(output) if output.ok() => output.stdout.trim().to_owned(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        // Checked with date -u -d.
        assert_eq!(epoch_ns("1970-01-01T00:00:01.042Z"), Some(1_042_000_000));
        assert_eq!(epoch_ns("2000-02-29T00:00:00.000Z"), Some(951_782_400_000_000_000));
        assert_eq!(epoch_ns("2024-02-29T12:34:56Z"), Some(1_709_210_096_000_000_000));
        for bad in ["", "yesterday", "2024-13-01T00:00:00Z", "2024-02-29T12:34Z", "2024-02-29 12:34:56Z"] {
            assert_eq!(epoch_ns(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_stamp_of_now_is_now() {
        let wall = wall_ns().unwrap();
        let of_day = wall / 1_000_000_000 % 86_400;
        let midnight = wall / 1_000_000_000 - of_day;
        let date = (0..40_000).find(|d| d * 86_400 == midnight).unwrap();
        // 2020-01-01 is day 18262; counted on from there by months of this calendar.
        let (mut year, mut month, mut day) = (2020, 1, 1);
        for _ in 18_262..date {
            day += 1;
            if days(year, month, day) == days(year + (month == 12) as u64, month % 12 + 1, 1) {
                (year, month, day) = (year + (month == 12) as u64, month % 12 + 1, 1);
            }
        }
        let (h, m, s, ms) = (of_day / 3600, of_day / 60 % 60, of_day % 60, wall / 1_000_000 % 1000);
        let stamp = format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z");
        let at = monotonic_of(&stamp).unwrap();
        let now = clock::monotonic_ns();
        assert!(at <= now && now - at < 10_000_000_000, "{stamp}: {at} {now}");
    }
}
