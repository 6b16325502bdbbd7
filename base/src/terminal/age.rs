//! Spans of time: how they are typed and how they are shown.

use std::time::Duration;

/// Longest `--timeout` taken.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A span of `ms` milliseconds in two units at most: `12ms`, `3.4s`, `2m 5s`, `4h 10m`, `3d 4h`.
pub fn show(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..=9 => format!("{seconds}.{}s", ms % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => pair(seconds, 60, "m", "s"),
        3600..=86_399 => pair(seconds / 60, 60, "h", "m"),
        _ => pair(seconds / 3600, 24, "d", "h"),
    }
}

fn pair(value: u64, base: u64, big: &str, small: &str) -> String {
    match value % base {
        0 => format!("{}{big}", value / base),
        rest => format!("{}{big} {rest}{small}", value / base),
    }
}

/// `show` of a [`Duration`].
pub fn show_duration(span: Duration) -> String {
    show(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Reads `200ms`, `1.5s`, `2m`, `1h` as the configuration does: at least a millisecond, at most a week.
pub fn parse(text: &str) -> Result<Duration, String> {
    let span = crate::config::duration::parse(text).map_err(|(what, help)| format!("{what}; {help}"))?;
    if span.as_millis() == 0 {
        return Err("it must be at least 1ms".to_owned());
    }
    if span > LONGEST {
        return Err("it may be a week (168h) at most".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_two_units_at_most() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1_234, "1.2s"),
            (12_999, "12s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (3_600_000, "1h"),
            (15_000_000, "4h 10m"),
            (273_600_000, "3d 4h"),
            (u64::MAX, "213503982334d 14h"),
        ];
        for (ms, wanted) in cases {
            assert_eq!(show(ms), wanted, "{ms}");
        }
    }

    #[test]
    fn spans_are_typed_with_their_unit() {
        assert_eq!(parse("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse(" 2m "), Ok(Duration::from_secs(120)));
        assert_eq!(parse("168h"), Ok(LONGEST));
        for bad in
            ["", "5", "s", "0s", "-1s", "1d", "1.2.3s", "169h", "1e9s", "nan s", "0.1ms", "1 fortnight"]
        {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
