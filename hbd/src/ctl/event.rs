//! One event in one line.

use serde_json::Value;

use super::paint::{Paint, Tone};
use super::{age, text};

/// `Nov 20 14:03:07.123  !  group     vip: stopped -> started, why (took 12ms)`; fields that are missing are
/// left out.
pub(super) fn line(event: &Value, paint: Paint) -> String {
    let field = |key: &str| text::line(event.get(key).and_then(Value::as_str).unwrap_or_default());
    let (mark, tone) = match field("level").as_str() {
        "info" => ("  ", Tone::Plain),
        "error" => ("!!", Tone::Bad),
        _ => ("! ", Tone::Warn),
    };
    let change = match (field("from").as_str(), field("to").as_str()) {
        ("", "") => String::new(),
        ("", to) => format!("-> {to}"),
        (from, "") => format!("{from} ->"),
        (from, to) => format!("{from} -> {to}"),
    };
    let why = field("why");
    let what = [change, why].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let took = match event.get("took_ms").and_then(Value::as_u64) {
        Some(ms) => format!(" (took {})", age::show(ms)),
        None => String::new(),
    };
    let subject = field("subject");
    let separator = if subject.is_empty() || what.is_empty() { "" } else { ": " };
    let time = paint.tint(Tone::Dim, local_time(&field("time")));
    let body = paint.tint(tone, format!("{mark} {:<8}  {subject}{separator}{what}", field("kind")));
    format!("{time}  {body}{took}").trim_end().to_owned()
}

/// `2026-11-20T13:03:07.123Z` as the local `Nov 20 14:03:07.123`; what is no time is shown as it came.
fn local_time(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(instant) => {
            instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%b %d %H:%M:%S.%3f").to_string()
        }
        Err(_) => format!("{time:<19}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The line without its time, which depends on the machine's time zone.
    fn rest(event: &Value) -> String {
        line(event, Paint::OFF).chars().skip(19).collect()
    }

    #[test]
    fn a_change_of_state() {
        let event = json!({"number": 7, "time": "2026-11-20T13:03:07.123Z", "node": "a", "level": "warn",
            "kind": "group", "subject": "vip", "from": "stopped", "to": "started", "why": "b is dead", "took_ms": 12});
        assert_eq!(rest(&event), "  !  group     vip: stopped -> started, b is dead (took 12ms)");
        assert!(line(&event, Paint::OFF).contains(":07.123"));
    }

    #[test]
    fn an_operators_order_without_states() {
        let event = json!({"time": "2026-11-20T13:03:07Z", "level": "info", "kind": "operator", "subject": "root",
            "from": null, "to": null, "why": "standby b", "took_ms": null});
        assert_eq!(rest(&event), "     operator  root: standby b");
    }

    #[test]
    fn what_is_missing_or_strange_is_left_out() {
        assert_eq!(rest(&json!({})), "  !");
        assert_eq!(rest(&json!(null)), "  !");
        let event =
            json!({"time": "yesterday", "level": "error", "kind": 5, "subject": "x\u{1b}[2J", "to": "up"});
        assert_eq!(line(&event, Paint::OFF), "yesterday            !!           x: -> up");
    }
}
