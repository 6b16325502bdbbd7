//! The text of HAProxy's agent-check: words in one line, separated by spaces, tabs or commas.
//!
//! | word | says |
//! |---|---|
//! | `75%` | the share of the configured weight it wants; may be above 100 |
//! | `up`, `ready` | in service |
//! | `drain` | no new connections |
//! | `maint` | out of service |
//! | `down`, `fail`, `failed`, `stopped` | as if its checks had failed; what follows `#` says why |
//! | `maxconn:N` | read and passed over: IPVS has thresholds of its own |
//!
//! <https://docs.haproxy.org/3.0/configuration.html#agent-check>. One thing is wider here: a bare number is a
//! percentage too, since programs and files that print one are what people have.

use super::{Reading, Wish};
use crate::check::proto::text::quoted;

/// The greatest share believed.
const MOST_PERCENT: f64 = 10_000.0;
/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 200;

/// Reads the first line with words in it.
///
/// # Errors
/// A sentence: there is nothing, or something that is no word of this language. Part of a line is never believed.
pub fn read(text: &str) -> Result<Reading, String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).ok_or("the agent said nothing")?;
    let (words, reason) = match line.split_once('#') {
        Some((words, reason)) => (words, Some(reason.trim())),
        None => (line, None),
    };
    let mut reading = Reading::default();
    for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        take(&mut reading, word)
            .ok_or_else(|| format!("{} is no word of an agent, in {}", quoted(word), quoted(line)))?;
    }
    let reason = reason.filter(|reason| !reason.is_empty());
    reading.why =
        reason.map(|reason| reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect());
    if reading.percent.is_none() && reading.state.is_none() && !words.contains("maxconn:") {
        return Err(format!("the agent said nothing of use: {}", quoted(line)));
    }
    Ok(reading)
}

fn take(reading: &mut Reading, word: &str) -> Option<()> {
    let wish = match word.to_ascii_lowercase().as_str() {
        "up" | "ready" => Wish::Up,
        "drain" => Wish::Drain,
        "maint" => Wish::Maintenance,
        "down" | "fail" | "failed" | "stopped" => Wish::Down,
        lower if lower.strip_prefix("maxconn:").is_some_and(|number| number.parse::<u32>().is_ok()) => {
            return Some(());
        }
        lower => {
            reading.percent = Some(percent(lower)?);
            return Some(());
        }
    };
    // `ready` and `up` come together, `up` after `maint` does not end it: the worst word stands.
    reading.state = Some(reading.state.map_or(wish, |before| worse(before, wish)));
    Some(())
}

fn worse(one: Wish, other: Wish) -> Wish {
    let rank = |wish| match wish {
        Wish::Up => 0,
        Wish::Drain => 1,
        Wish::Down => 2,
        Wish::Maintenance => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

fn percent(word: &str) -> Option<f64> {
    let number = word.strip_suffix('%').unwrap_or(word);
    // "inf", "nan", "1e9" and a sign are numbers to Rust, but to no agent.
    let plain = number.len() <= 12 && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    number.parse::<f64>().ok().filter(|_| plain).map(|percent| percent.min(MOST_PERCENT))
}

/// Reads a number, or an agent's text, out of a JSON document. `field` is a way through it, `a.b.0` or `/a/b/0`; with
/// `busy_at` the number is a load of which so much leaves nothing free.
///
/// # Errors
/// A sentence.
pub fn from_json(document: &[u8], field: &str, busy_at: Option<u32>) -> Result<Reading, String> {
    let document: serde_json::Value =
        serde_json::from_slice(document).map_err(|e| format!("the document is no JSON: {e}"))?;
    let pointer = match field.starts_with('/') {
        true => field.to_owned(),
        false => format!("/{}", field.replace('.', "/")),
    };
    let value = document.pointer(&pointer).ok_or_else(|| format!("the document has no {}", quoted(field)))?;
    match (value, busy_at) {
        (serde_json::Value::String(text), None) => read(text),
        (serde_json::Value::Number(number), busy_at) => {
            let number = number.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
            let number = number.ok_or_else(|| format!("{} is {value}, which is no load", quoted(field)))?;
            let percent = busy_at.map_or(number, |most| 100.0 * (1.0 - number / f64::from(most.max(1))));
            Ok(Reading { percent: Some(percent.clamp(0.0, MOST_PERCENT)), ..Reading::default() })
        }
        _ => Err(format!("{} is neither a number nor an agent's text", quoted(field))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_of_an_agent() {
        let said = |text| read(text).unwrap();
        assert_eq!(said("75%\n"), Reading { percent: Some(75.0), ..Reading::default() });
        assert_eq!(said("  \r\n50.5\r\n").percent, Some(50.5));
        assert_eq!(said("up 150%").percent, Some(150.0));
        for (word, wish) in [
            ("ready", Wish::Up),
            ("UP", Wish::Up),
            ("drain", Wish::Drain),
            ("maint", Wish::Maintenance),
            ("down", Wish::Down),
            ("fail", Wish::Down),
            ("failed", Wish::Down),
            ("stopped", Wish::Down),
        ] {
            assert_eq!(said(word).state, Some(wish), "{word}");
        }
        let down = said("down #disk full, 3% left\n");
        assert_eq!(
            (down.state, down.percent, down.why.as_deref()),
            (Some(Wish::Down), None, Some("disk full, 3% left"))
        );
        let all = said("maint,up\t30% maxconn:20");
        assert_eq!((all.state, all.percent), (Some(Wish::Maintenance), Some(30.0)));
        assert_eq!(said("maxconn:7"), Reading::default());
        // HAProxy's own example: the weight and the state of the same word list.
        assert_eq!(said("up ready 0%").percent, Some(0.0));
    }

    #[test]
    fn what_is_not_understood_is_not_believed_in_part() {
        for text in [
            "",
            "\n\n",
            "75% please",
            "HTTP/1.0 200",
            "-5%",
            "nan%",
            "inf",
            "1e5",
            "#only a word",
            "up!",
            "%",
            "maxconn:x",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn out_of_json() {
        let document = br#"{"a":{"b":[{"free":40}]},"load":3.0,"text":"drain","bad":"x","neg":-1}"#;
        let percent = |field, busy_at| from_json(document, field, busy_at).unwrap().percent;
        assert_eq!(percent("a.b.0.free", None), Some(40.0));
        assert_eq!(percent("/a/b/0/free", None), Some(40.0));
        assert_eq!(percent("load", Some(4)), Some(25.0));
        assert_eq!(percent("load", Some(1)), Some(0.0));
        assert_eq!(from_json(document, "text", None).unwrap().state, Some(Wish::Drain));
        for field in ["none", "a", "bad", "neg", ""] {
            assert!(from_json(document, field, None).is_err(), "{field}");
        }
        assert!(from_json(b"{", "a", None).unwrap_err().contains("no JSON"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_reading(text in ".{0,80}", words in "([a-z%:0-9.#, ]{0,8}[ ,]){0,8}") {
            for text in [text, words] {
                if let Ok(reading) = read(&text) {
                    prop_assert!(reading.percent.is_none_or(|percent| (0.0..=MOST_PERCENT).contains(&percent)));
                }
            }
        }

        #[test]
        fn any_document_is_survived(document in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = from_json(&document, "a.b", Some(0));
        }
    }
}
