//! Values as TOML writes them. A tiny writer and not the crate's: what is written here is read by people, so lists and
//! tables stay on one line as long as they fit, and durations carry units.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Truth(bool),
    /// A list.
    List(Vec<Value>),
    /// A table within a line.
    Table(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Truth(truth)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(i64::from(number))
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Value {
        Value::Text(show(duration))
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Value {
        Value::List(values.into_iter().collect())
    }
}

/// A table within a line, of the keys that have a value.
pub(super) fn table(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// `duration` in seconds as the old files count, else in milliseconds.
pub(super) fn show(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_micros().div_ceil(1000)),
    }
}

/// Quotes `text`: what TOML 1.0 calls a basic string.
fn quote(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c.is_control() => write!(out, "\\u{:04X}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// A key: bare where TOML takes it so.
pub(super) fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let mut out = String::new();
    if bare {
        out.push_str(name);
    } else {
        // A String takes whatever is written to it.
        let _ = quote(name, &mut out);
    }
    out
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => quote(text, out),
            Value::Number(number) => write!(out, "{number}"),
            Value::Truth(truth) => write!(out, "{truth}"),
            Value::List(values) => {
                out.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    write!(out, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                out.write_char(']')
            }
            Value::Table(entries) => {
                out.write_str("{ ")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    write!(out, "{}{} = {value}", if index == 0 { "" } else { ", " }, key(name))?;
                }
                out.write_str(" }")
            }
        }
    }
}

/// The line, or for a long list the lines, of a key.
pub(super) fn entry(name: &str, value: &Value, width: usize) -> String {
    let line = format!("{} = {value}", key(name));
    let Value::List(values) = value else { return line };
    if line.chars().count() <= width || values.len() < 2 {
        return line;
    }
    let mut out = format!("{} = [\n", key(name));
    for value in values {
        out.push_str(&format!("  {value},\n"));
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units() {
        for (ms, text) in [(200, "200ms"), (2000, "2s"), (120_000, "120s"), (1500, "1500ms"), (0, "0s")] {
            assert_eq!(show(Duration::from_millis(ms)), text);
        }
        assert_eq!(show(Duration::from_micros(1)), "1ms");
    }

    #[test]
    fn long_lists_have_a_line_for_each() {
        let list = Value::List(vec!["a".into(), "b".into()]);
        assert_eq!(entry("x", &list, 80), r#"x = ["a", "b"]"#);
        assert_eq!(entry("x", &list, 8), "x = [\n  \"a\",\n  \"b\",\n]");
    }

    #[test]
    fn names_with_dots_are_quoted() {
        assert_eq!(key("a.example.com"), r#""a.example.com""#);
        assert_eq!(key("web-1_x"), "web-1_x");
        assert_eq!(key(""), r#""""#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(name in ".{0,12}", text in any::<String>(), number in any::<i64>(), truth in any::<bool>()) {
            let all = Value::List(vec![text.as_str().into(), table([("n", Value::Number(number)), ("t", truth.into())])]);
            let read: toml::Table = entry(&name, &all, 40).parse().expect("TOML");
            let list = read[&name].as_array().expect("a list");
            prop_assert_eq!(list[0].as_str(), Some(text.as_str()));
            prop_assert_eq!(list[1]["n"].as_integer(), Some(number));
            prop_assert_eq!(list[1]["t"].as_bool(), Some(truth));
        }
    }
}
