//! Walking a TOML table by hand: typed keys, each mistake reported where it is, and what nobody
//! asked for reported as unknown in the end.

use std::cell::RefCell;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::problem::{Report, Span};
use super::suggest::{listed, nearest};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// How messages call the table of all tables.
pub const ROOT: &str = "the file";

/// A value in the file.
pub type Value<'a> = &'a Spanned<DeValue<'a>>;

/// One table. The keys asked for are the keys it may have; [`Table::finish`] reports the others.
pub struct Table<'a> {
    /// How messages call it: `[cluster]`.
    pub place: String,
    /// Its header, or all of it if it stands in one line.
    pub span: Span,
    map: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
    report: &'a Report<'a>,
}

impl<'a> Table<'a> {
    /// The table `map`, called `place` in messages.
    pub fn new(place: String, span: Span, map: &'a DeTable<'a>, report: &'a Report<'a>) -> Self {
        Self { place, span, map, known: RefCell::default(), report }
    }

    /// The same table, with nothing asked for yet but what was; for giving it a better name.
    pub fn renamed(&self, place: String) -> Self {
        Self { place, span: self.span.clone(), map: self.map, known: self.known.clone(), report: self.report }
    }

    /// Whether there is anything under `key`, without making it known.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// What is under `key`, of whatever type; the key is known from now on.
    pub fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.map.get(key)
    }

    /// Reports that `key` must be there; gives back `None`, so that it can stand where a value is expected.
    pub fn lacks<T>(&self, key: &str, help: &str) -> Option<T> {
        self.report.missing(&self.span, format!("{} has no '{key}'", self.place), help);
        None
    }

    /// `value`, or the report that `key` must be there: once, and not if it is there but wrong.
    fn required<T>(&self, key: &'static str, help: &str, value: Option<T>) -> Option<T> {
        if !self.map.contains_key(key) {
            return self.lacks(key, help);
        }
        value
    }

    /// A text.
    pub fn string(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        text(self.report, &format!("'{key}'"), value)
    }

    /// A text that must be there; `help` is what to write if it is not.
    pub fn required_string(&self, key: &'static str, help: &str) -> Option<At<&'a str>> {
        self.required(key, help, self.string(key))
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(At { value: *truth, span: value.span() }),
            other => self.wrong_type(&format!("'{key}'"), "true or false", value, yes_or_no(other)),
        }
    }

    /// A whole number from `min` to `max`.
    pub fn integer(&self, key: &'static str, min: i64, max: i64) -> Option<At<i64>> {
        let value = self.value(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::String(text) if text.trim().parse::<i64>().is_ok() => {
                    format!("write {key} = {}", text.trim())
                }
                _ => format!("write a whole number from {min} to {max}"),
            };
            return self.wrong_type(&format!("'{key}'"), "a whole number", value, help);
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (min..=max).contains(&number) => Some(At { value: number, span: value.span() }),
            _ => {
                let message = format!("'{key}' cannot be {}", shown(&integer.to_string()));
                self.report.error(&value.span(), message, format!("it must be from {min} to {max}"));
                None
            }
        }
    }

    /// A duration from `min` to `max`.
    pub fn duration(&self, key: &'static str, min: Duration, max: Duration) -> Option<At<Duration>> {
        let value = self.value(key)?;
        let DeValue::String(text) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::Integer(number) => format!(
                    "write {key} = \"{0}s\" for seconds or \"{0}ms\" for milliseconds",
                    shown(number.as_str())
                ),
                DeValue::Float(number) => {
                    format!("write {key} = \"{0}s\" for seconds", shown(number.as_str()))
                }
                _ => format!("write a text with a unit: {key} = \"2s\""),
            };
            return self.wrong_type(&format!("'{key}'"), "a duration in quotes", value, help);
        };
        let span = value.span();
        match duration::parse(text) {
            Err((message, help)) => {
                self.report.error(&span, format!("'{key}': {message}"), help);
                None
            }
            Ok(value) if value < min || value > max => {
                let (message, help) = out_of_range(key, value, min, max);
                self.report.error(&span, message, help);
                None
            }
            Ok(value) => Some(At { value, span }),
        }
    }

    /// A list of texts; entries that are none are reported and left out. Nothing if all are.
    pub fn strings(&self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::String(text) => format!("write {key} = [\"{}\"]", shown(text)),
                _ => format!("write {key} = [\"…\", \"…\"]"),
            };
            return self.wrong_type(&format!("'{key}'"), "a list of texts", value, help);
        };
        let what = format!("each of '{key}'");
        let list: Vec<_> = array.iter().filter_map(|entry| text(self.report, &what, entry)).collect();
        (array.is_empty() || !list.is_empty()).then(|| At { value: list, span: value.span() })
    }

    /// A list of texts that must be there.
    pub fn required_strings(&self, key: &'static str, help: &str) -> Option<At<Vec<At<&'a str>>>> {
        self.required(key, help, self.strings(key))
    }

    /// A table under `key`, called `place` in messages.
    pub fn table(&self, key: &'static str, place: &str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(map) => Some(Table::new(place.to_owned(), value.span(), map, self.report)),
            DeValue::Array(array)
                if array.iter().any(|entry| matches!(entry.get_ref(), DeValue::Table(_))) =>
            {
                self.report.error(
                    &value.span(),
                    format!("there is one {place}, not a list of them"),
                    format!("write {place}, once"),
                );
                None
            }
            _ => self.wrong_type(
                &format!("'{key}'"),
                "a table",
                value,
                format!("write its keys in lines below {place}"),
            ),
        }
    }

    /// The tables of the list under `key`, called `place` in messages; empty if there are none.
    pub fn tables(&self, key: &'static str, place: &str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            let help = format!("write {place}, with two brackets: there may be several");
            self.report.error(
                &value.span(),
                format!("'{key}' must be a list of tables, and this is {}", type_of(value.get_ref())),
                help,
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for entry in array.iter() {
            match entry.get_ref() {
                DeValue::Table(map) => {
                    tables.push(Table::new(place.to_owned(), entry.span(), map, self.report))
                }
                _ => {
                    self.wrong_type::<()>(
                        &format!("each of '{key}'"),
                        "a table",
                        entry,
                        format!("write {place}, and its keys in the lines below it, for each of them"),
                    );
                }
            }
        }
        tables
    }

    /// All keys with their values, in the order of the file: for tables whose keys are free.
    pub fn entries(&self) -> Vec<(At<&'a str>, Value<'a>)> {
        let mut entries: Vec<_> = self
            .map
            .iter()
            .map(|(key, value)| (At { value: key.get_ref().as_ref(), span: key.span() }, value))
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(&self) {
        let known = self.known.borrow();
        self.report.knows(&self.place, &known);
        let is_table = |value: Value<'_>| match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(array) => array.iter().any(|entry| matches!(entry.get_ref(), DeValue::Table(_))),
            _ => false,
        };
        for (key, value) in self.entries() {
            if known.contains(&key.value) {
                continue;
            }
            let name = shown(key.value);
            let message = match self.place.as_str() {
                ROOT if is_table(value) => format!("unknown table [{name}]"),
                ROOT => format!("unknown key '{name}' outside of all tables"),
                place => format!("unknown key '{name}' in {place}"),
            };
            let help = match nearest(key.value, known.iter().copied()) {
                Some(meant) if self.place == ROOT => format!("did you mean [{meant}]?"),
                Some(meant) => format!("did you mean '{meant}'?"),
                None => format!("{} knows {}", self.place, listed(&known)),
            };
            self.report.error(&key.span, message, help);
        }
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type<T>(&self, what: &str, expected: &str, value: Value<'_>, help: String) -> Option<T> {
        wrong_type(self.report, what, expected, value, help);
        None
    }
}

/// The text in `value`, called `what` in messages.
pub fn text<'a>(report: &Report<'_>, what: &str, value: Value<'a>) -> Option<At<&'a str>> {
    if let DeValue::String(text) = value.get_ref() {
        return Some(At { value: text.as_ref(), span: value.span() });
    }
    let help = match value.get_ref() {
        DeValue::Integer(number) => format!("put it in quotes: \"{}\"", shown(&number.to_string())),
        DeValue::Float(number) => format!("put it in quotes: \"{}\"", shown(&number.to_string())),
        _ => "write it in quotes".to_owned(),
    };
    wrong_type(report, what, "a text in quotes", value, help);
    None
}

/// Reports a value of the wrong type.
pub fn wrong_type(report: &Report<'_>, what: &str, expected: &str, value: Value<'_>, help: String) {
    report.error(
        &value.span(),
        format!("{what} must be {expected}, and this is {}", type_of(value.get_ref())),
        help,
    );
}

/// What a value is, for people.
fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How to write the truth that is meant by `value`.
fn yes_or_no(value: &DeValue<'_>) -> String {
    let DeValue::String(text) = value else {
        return "write true or false, without quotes".to_owned();
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => "write true, without quotes".to_owned(),
        "false" | "no" | "off" | "0" => "write false, without quotes".to_owned(),
        _ => "write true or false, without quotes".to_owned(),
    }
}

/// What to say of a duration outside of its bounds.
fn out_of_range(key: &str, value: Duration, min: Duration, max: Duration) -> (String, String) {
    let (least, most, this) = (duration::show(min), duration::show(max), duration::show(value));
    match value {
        Duration::ZERO => (format!("'{key}' cannot be zero"), format!("it must be at least {least}")),
        _ if value < min => (format!("'{key}' is too short: {this}"), format!("it must be at least {least}")),
        _ => (format!("'{key}' is too long: {this}"), format!("it must be at most {most}")),
    }
}

/// At most 60 characters of `text`, without control characters, fit for a message.
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
