//! A tolerant look into JSON.

use serde_json::Value;

use super::text;

/// A JSON value of which nothing is certain.
#[derive(Clone, Copy)]
pub struct Look<'a>(pub &'a Value);

impl<'a> Look<'a> {
    /// The text at `key`, fit for a terminal; `?` if there is none.
    pub fn text(self, key: &str) -> String {
        self.maybe(key).unwrap_or_else(|| "?".to_owned())
    }

    /// The text at `key`, fit for a terminal, if there is any.
    pub fn maybe(self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Value::as_str).map(text::line).filter(|text| !text.is_empty())
    }

    /// The number at `key`.
    pub fn number(self, key: &str) -> Option<u64> {
        self.0.get(key).and_then(Value::as_u64)
    }

    /// Whether `key` is true.
    pub fn flag(self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The members of the array at `key`.
    pub fn list(self, key: &str) -> impl Iterator<Item = Look<'a>> + use<'a> {
        self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().map(Look)
    }
}

/// `value` in few words: the fields of an object as `key value`, text as it is, the rest as JSON.
pub fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text::line(text),
        Value::Object(fields) => {
            let parts: Vec<_> =
                fields.iter().map(|(key, value)| format!("{} {}", text::line(key), flat(value))).collect();
            parts.join(", ")
        }
        other => text::line(&other.to_string()),
    }
}
