//! Search filters as people write them (RFC 4515), in BER (RFC 4511 section 4.5.1.7).

use super::ber::{constructed, element};
use super::text::quoted;

/// Brackets within brackets.
const DEEPEST: usize = 20;

/// The filter in `text`; brackets around a single comparison may be left out.
///
/// # Errors
/// A sentence that says where it stops making sense.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let whole = if text.starts_with('(') { text.to_owned() } else { format!("({text})") };
    let mut parser = Parser { text: &whole, at: 0 };
    let filter = parser.filter(0)?;
    match parser.rest().is_empty() {
        true => Ok(filter),
        false => Err(parser.wrong("something is left after its last bracket")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, what: &str) -> String {
        format!("{} is no LDAP filter: {what}, at {}", quoted(self.text), quoted(self.rest()))
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.rest().starts_with(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn filter(&mut self, depth: usize) -> Result<Vec<u8>, String> {
        if depth > DEEPEST {
            return Err(self.wrong("too many brackets within brackets"));
        }
        if !self.eat('(') {
            return Err(self.wrong("'(' is missing"));
        }
        let out = if self.eat('&') {
            self.several(0xa0, depth)?
        } else if self.eat('|') {
            self.several(0xa1, depth)?
        } else if self.eat('!') {
            constructed(0xa2, &[self.filter(depth + 1)?])
        } else {
            self.comparison()?
        };
        if !self.eat(')') {
            return Err(self.wrong("')' is missing"));
        }
        Ok(out)
    }

    fn several(&mut self, tag: u8, depth: usize) -> Result<Vec<u8>, String> {
        let mut parts = Vec::new();
        while self.rest().starts_with('(') {
            parts.push(self.filter(depth + 1)?);
        }
        Ok(constructed(tag, &parts))
    }

    fn comparison(&mut self) -> Result<Vec<u8>, String> {
        let end = self.rest().find([')', '(']).unwrap_or(self.rest().len());
        let text = &self.rest()[..end];
        let Some((left, value)) = text.split_once('=') else {
            return Err(self.wrong("'=' is missing"));
        };
        let (attribute, tag) = match left.chars().last() {
            Some('>') => (&left[..left.len() - 1], 0xa5),
            Some('<') => (&left[..left.len() - 1], 0xa6),
            Some('~') => (&left[..left.len() - 1], 0xa8),
            _ => (left, 0xa3),
        };
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';');
        if attribute.is_empty() || !attribute.chars().all(name) {
            return Err(self.wrong("this is no attribute's name"));
        }
        let out = match (tag, value) {
            (0xa3, "*") => element(0x87, attribute.as_bytes()),
            (0xa3, value) if value.contains('*') => self.substrings(attribute, value)?,
            (tag, value) => {
                let value = element(4, &self.unescaped(value)?);
                constructed(tag, &[element(4, attribute.as_bytes()), value])
            }
        };
        self.at += end;
        Ok(out)
    }

    fn substrings(&self, attribute: &str, value: &str) -> Result<Vec<u8>, String> {
        let last = value.split('*').count() - 1;
        let mut parts = Vec::new();
        for (place, part) in value.split('*').enumerate().filter(|(_, part)| !part.is_empty()) {
            let tag = match place {
                0 => 0x80,
                place if place == last => 0x82,
                _ => 0x81,
            };
            parts.push(element(tag, &self.unescaped(part)?));
        }
        if parts.is_empty() {
            return Err(self.wrong("only stars"));
        }
        Ok(constructed(0xa4, &[element(4, attribute.as_bytes()), constructed(0x30, &parts)]))
    }

    /// `\2a` is a star.
    fn unescaped(&self, value: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(value.len());
        let mut rest = value.as_bytes();
        while let [byte, tail @ ..] = rest {
            rest = tail;
            if *byte != b'\\' {
                out.push(*byte);
                continue;
            }
            let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
            let escaped = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
            out.push(escaped.ok_or_else(|| self.wrong("'\\' must be followed by two hexadecimal digits"))?);
            rest = &rest[2..];
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_as_people_write_them() {
        assert_eq!(parse("objectClass=*").unwrap(), b"\x87\x0bobjectClass");
        assert_eq!(parse("(cn=a)").unwrap(), b"\xa3\x07\x04\x02cn\x04\x01a");
        assert_eq!(parse("(cn>=a)").unwrap()[0], 0xa5);
        assert_eq!(parse("(&(a=1)(!(b=2)))").unwrap()[..2], [0xa0, 18]);
        assert_eq!(parse(r"(cn=\2a\28)").unwrap(), b"\xa3\x08\x04\x02cn\x04\x02*(");
        assert_eq!(parse("(cn=a*b*c)").unwrap(), b"\xa4\x0f\x04\x02cn\x30\x09\x80\x01a\x81\x01b\x82\x01c");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "cn", "(cn=a", "(cn=a))", "(=a)", "(c n=a)", r"(cn=\2)", "(cn=**)", "(&(a=1)", "((a=1))"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"(!".repeat(100)).unwrap_err().contains("too many brackets"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[()&|!=*\\\\a-z<>~0-9é]{0,60}") {
            let _ = parse(&text);
        }
    }
}
