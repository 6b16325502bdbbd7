//! What is expected of an answer, and answers made fit for a sentence.

use std::fmt;

use base::base64;
use regex_lite::Regex;

/// So much of a server's words goes into a sentence.
const SHOWN: usize = 100;
/// Matches every answer but an empty one.
const ANYTHING: &str = "(?s).";

/// What an answer must have in it: a text, or a regular expression.
#[derive(Clone)]
pub enum Expect {
    /// This text anywhere in it.
    Text(String),
    /// A match of this anywhere in it.
    Pattern(Regex),
}

impl Expect {
    /// `/regex/` or `/regex/i` is a regular expression, anything else a text that must occur as it is, with
    /// [`unescaped`] escapes.
    ///
    /// # Errors
    /// What is wrong with the regular expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').and_then(|rest| {
            let (pattern, flags) = rest.rsplit_once('/')?;
            matches!(flags, "" | "i").then_some((pattern, flags))
        });
        let Some((pattern, flags)) = inner else {
            let bytes = unescaped(text)?;
            return Ok(Self::Text(String::from_utf8_lossy(&bytes).into_owned()));
        };
        Self::pattern(pattern, flags == "i")
    }

    /// A regular expression, as ldirectord's `receive` is one without slashes. `^` and `$` match at each line's ends, and `.`
    /// matches none of those.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn pattern(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        regex_lite::RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .multi_line(true)
            .size_limit(1 << 20)
            .build()
            .map(Self::Pattern)
            .map_err(|e| format!("the regular expression /{pattern}/ cannot be used: {e}"))
    }

    /// Any answer at all.
    ///
    /// # Errors
    /// There is none.
    pub fn anything() -> Result<Self, String> {
        Self::pattern(ANYTHING, false)
    }

    /// Whether `answer` has it.
    pub fn matches(&self, answer: &[u8]) -> bool {
        match self {
            Self::Text(text) => contains(answer, text.as_bytes()),
            Self::Pattern(regex) => regex.is_match(&String::from_utf8_lossy(answer)),
        }
    }

    /// Good, or the sentence that says what `what` had instead.
    ///
    /// # Errors
    /// That sentence.
    pub fn judge(&self, what: &str, answer: &[u8]) -> Result<(), String> {
        if self.matches(answer) {
            return Ok(());
        }
        match answer.is_empty() {
            true => Err(format!("{what} is empty, expected {self}")),
            false => Err(format!("{what} has no {self}: it begins {}", quoted_bytes(answer))),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Pattern(regex) if regex.as_str() == ANYTHING => f.write_str("anything"),
            Self::Pattern(regex) => write!(f, "/{}/", regex.as_str()),
        }
    }
}

impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expect({self})")
    }
}

impl PartialEq for Expect {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Pattern(a), Self::Pattern(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl Eq for Expect {}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || hay.windows(needle.len()).any(|window| window == needle)
}

/// `text` with the escapes `\r \n \t \0 \\ \" \xHH` as the bytes they mean. Another escape stays as it is written.
///
/// # Errors
/// A sentence for `\x` without two hexadecimal digits.
pub fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = bytes.get(at) else {
            out.push(b'\\');
            break;
        };
        at += 1;
        match escaped {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' | b'"' => out.push(escaped),
            b'x' => {
                let digits = bytes.get(at..at + 2).and_then(|two| std::str::from_utf8(two).ok());
                let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                out.push(value.ok_or("\\x must be followed by two hexadecimal digits, as in \\x0d")?);
                at += 2;
            }
            other => out.extend([b'\\', other]),
        }
    }
    Ok(out)
}

/// Base64 as servers write it, with its padding or without.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    base64::decode(&format!("{digits:=<width$}", width = digits.len().next_multiple_of(4)))
}

/// At most 100 characters of `text` in quotes, without control characters: fit for a sentence.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().take(SHOWN) {
        match c {
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out.push('"');
    out
}

/// As [`quoted`], of bytes that may be no text at all.
pub fn quoted_bytes(bytes: &[u8]) -> String {
    // Four bytes make at most one character.
    quoted(&String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN * 4 + 4)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_patterns() {
        let text = Expect::parse("happy").unwrap();
        assert!(text.matches(b"so happy here") && !text.matches(b"sad") && !text.matches(b""));
        let pattern = Expect::parse("/^20[0-9] OK$/").unwrap();
        assert!(pattern.matches(b"first\n204 OK\nlast") && !pattern.matches(b"x204 OK"));
        assert!(Expect::parse("/HaPPy/i").unwrap().matches(b"hAppY"));
        // A path is no pattern, nor is a lonely slash.
        assert_eq!(Expect::parse("/usr/share").unwrap(), Expect::Text("/usr/share".to_owned()));
        assert_eq!(Expect::parse("/").unwrap(), Expect::Text("/".to_owned()));
        assert!(Expect::parse("/(/").unwrap_err().contains("/(/"));
        assert!(Expect::parse("a\\r\\nb").unwrap().matches(b"--a\r\nb--"));
    }

    #[test]
    fn bytes_that_are_no_text_are_matched_and_shown() {
        let expect = Expect::parse("/x.y/").unwrap();
        assert!(expect.matches(b"x\xffy"));
        assert_eq!(
            Expect::parse("ok").unwrap().judge("the answer", b"\x00\xff\r\n").unwrap_err(),
            "the answer has no \"ok\": it begins \"?\u{fffd}\\r\\n\""
        );
        assert!(quoted(&"é".repeat(500)).chars().count() <= 103);
    }

    #[test]
    fn base64_there_and_back() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64::encode(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded), Some(plain.as_bytes().to_vec()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unbase64(&base64::encode(&all)), Some(all));
        assert_eq!((unbase64("A"), unbase64("a-b")), (None, None));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(r"GET / HTTP/1.0\r\n\r\n").unwrap(), b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(unescaped(r"\x00\xfF\t\\\d").unwrap(), b"\x00\xff\t\\\\d");
        assert_eq!(unescaped("\\").unwrap(), b"\\");
        assert!(unescaped(r"\x0").is_err() && unescaped(r"\xgg").is_err() && unescaped("\\xé").is_err());
    }
}
