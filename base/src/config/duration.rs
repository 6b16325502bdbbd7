//! Durations as people write them: `"200ms"`, `"1.5s"`, `"2m"`, `"1h"`.

use std::time::Duration;

/// One of the units with its length in nanoseconds; longer spellings first.
const UNITS: [(&str, u64); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Digits read at most: more than anything bounded by [`MAX`] needs.
const MAX_DIGITS: usize = 12;

/// The longest duration that has any use here: 60 days.
const MAX: Duration = Duration::from_secs(60 * 24 * 3600);

/// Reads `text`, a number with an optional fraction and a unit.
///
/// # Errors
/// What is wrong, and the spelling that would be right.
pub fn parse(text: &str) -> Result<Duration, (String, String)> {
    const HOW: &str = "a duration is a number and a unit, ms, s, m or h: \"200ms\", \"1.5s\", \"2m\"";
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim_start());
    if trimmed.starts_with(['-', '+']) {
        return Err((format!("the duration \"{}\" has a sign", shown(text)), HOW.to_owned()));
    }
    if number.is_empty() {
        return Err((format!("\"{}\" is no duration", shown(text)), HOW.to_owned()));
    }
    if unit.is_empty() {
        let help = format!("write \"{0}s\" for seconds or \"{0}ms\" for milliseconds", shown(number));
        return Err((format!("the duration \"{}\" has no unit", shown(text)), help));
    }
    let Some(&(_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let help = unit_meant(unit)
            .map_or_else(|| HOW.to_owned(), |meant| format!("write \"{}{meant}\"", shown(number)));
        return Err((format!("'{}' is no unit of time", shown(unit)), help));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err((format!("\"{}\" is no duration", shown(text)), HOW.to_owned()));
    }
    let too_long = || {
        (
            format!("the duration \"{}\" is too long", shown(text)),
            "the longest that has any use is \"1440h\"".to_owned(),
        )
    };
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    let scale = 10_u128.pow(fraction.len().min(MAX_DIGITS) as u32);
    let fraction: u64 = fraction.parse().map_err(|_| too_long())?;
    let total = u128::from(whole) * u128::from(nanos) + u128::from(fraction) * u128::from(nanos) / scale;
    match u64::try_from(total).map(Duration::from_nanos) {
        Ok(duration) if duration <= MAX => Ok(duration),
        _ => Err(too_long()),
    }
}

/// The unit somebody means who writes `unit`.
fn unit_meant(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millis" | "milliseconds" | "millisecond" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        _ => None,
    }
}

/// `duration` in the largest unit that shows it whole: `1.5s` is `1500ms`.
pub fn show(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, size) in UNITS.iter().rev() {
        if nanos != 0 && nanos.is_multiple_of(u128::from(*size)) {
            return format!("{}{unit}", nanos / u128::from(*size));
        }
    }
    match nanos {
        0 => "0s".to_owned(),
        _ => format!("{}ms", duration.as_secs_f64() * 1000.0),
    }
}

/// At most 40 characters of `text`, fit for a message.
fn shown(text: &str) -> String {
    super::table::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_durations() {
        for (text, ms) in [
            ("200ms", 200),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0.5m", 30_000),
            ("2 s", 2000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_right_spelling() {
        for text in
            ["", "s", "5", "5 parsecs", "-1s", "+1s", "1.2.3s", "1.s", ".5s", "999999999999h", "1e3s", "٣s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("5").unwrap_err().1, "write \"5s\" for seconds or \"5ms\" for milliseconds");
        assert_eq!(parse("5 Seconds").unwrap_err().1, "write \"5s\"");
    }

    #[test]
    fn shown_as_people_write_them() {
        for text in ["200ms", "1500ms", "2m", "1h", "90s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(show(Duration::ZERO), "0s");
        assert_eq!(show(Duration::from_micros(1500)), "1.5ms");
    }
}
