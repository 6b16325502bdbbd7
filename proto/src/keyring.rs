//! The authkeys file: which key signs, which keys are accepted.
//!
//! Heartbeat's grammar, order free:
//!
//! ```text
//! # a comment is a line of its own
//! auth 2
//! 1 md5    the old secret, accepted from a peer that has not changed over yet
//! 2 sha256 the new secret: all the rest of the line, blanks inside included
//! ```
//!
//! Keys are changed without a gap in three steps, each on all nodes before the next: add the new
//! key; point `auth` at it; take the old one out.

use std::collections::BTreeMap;
use std::fmt;

use crate::auth::{Method, Signer};

/// Shorter secrets are refused: whoever has recorded one packet finds such a one by trying them all.
const SHORTEST_SECRET: usize = 6;
/// Mistakes told of one file.
const TOLD: usize = 200;
/// Shorter secrets are taken (files in the field have them) but warned of.
const SHORT_SECRET: usize = 8;

/// Something wrong with an authkeys file.
///
/// Neither text nor help ever quotes what could be a secret. Whoever prints it must not print the
/// line of the file either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProblem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub text: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {} ({})", self.line, self.column, self.text, self.help)
    }
}

/// A key of the file.
#[derive(Clone)]
pub(crate) struct Key {
    /// Its number in the file and on the wire.
    pub(crate) id: u8,
    /// What signs and verifies with it.
    pub(crate) signer: Signer,
}

/// The keys of an authkeys file, ready for use.
///
/// The secrets themselves are not kept, only what an HMAC made of them, which is wiped on drop.
/// `Debug` shows ids and methods alone.
#[derive(Clone)]
pub struct Keyring {
    /// The key that signs.
    signing: Key,
    /// The other keys accepted from a peer.
    others: Vec<Key>,
    warnings: Vec<String>,
}

impl Keyring {
    /// Reads the text of an authkeys file. The caller checks the file's mode and owner, and wipes
    /// its copy of the text.
    ///
    /// # Errors
    /// All that is wrong with it (of very many mistakes the first ones), in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<KeyProblem>> {
        let mut draft = Draft::default();
        for (index, line) in text.lines().enumerate() {
            draft.line(Words::new(index + 1, line));
        }
        draft.finish()
    }

    /// What is allowed but should be known; to be logged at each start. No secret is in it.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The number and the method of the key that signs.
    pub fn signing(&self) -> (u8, Method) {
        (self.signing.id, self.signing.signer.method())
    }

    /// The text of a fresh authkeys file, with `random` in hexadecimal as the secret. Give 32 bytes
    /// of the system's best randomness; with none at all the text would not parse. `crc` has no
    /// secret.
    pub fn generate(method: Method, random: &[u8]) -> String {
        let mut text = format!("# The same on every node; owner root, mode 0600.\nauth 1\n1 {method}");
        if method != Method::Crc {
            text.push(' ');
            for byte in random {
                for nibble in [byte >> 4, byte & 0x0f] {
                    text.extend(char::from_digit(u32::from(nibble), 16));
                }
            }
        }
        text.push('\n');
        text
    }

    pub(crate) fn signing_key(&self) -> &Key {
        &self.signing
    }

    /// The signer of key `id`, if we have it.
    /// The key with the lowest number.
    pub(crate) fn lowest_key(&self) -> &Key {
        self.others
            .iter()
            .min_by_key(|key| key.id)
            .filter(|key| key.id < self.signing.id)
            .unwrap_or(&self.signing)
    }

    pub(crate) fn signer(&self, id: u8) -> Option<&Signer> {
        std::iter::once(&self.signing).chain(&self.others).find(|key| key.id == id).map(|key| &key.signer)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |key: &Key| format!("{} {}", key.id, key.signer.method());
        f.debug_struct("Keyring")
            .field("signing", &name(&self.signing))
            .field("others", &self.others.iter().map(name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A place in the file.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

/// The words of one line, each with its place. Only blanks and tabs part words.
struct Words<'a> {
    line: usize,
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(line: usize, text: &'a str) -> Self {
        Self { line, text, at: 0 }
    }

    fn is_blank(character: char) -> bool {
        matches!(character, ' ' | '\t' | '\r')
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.text[..self.at].chars().count() + 1 }
    }

    /// All from here to the end, without the blanks around it; `None` if there is nothing.
    fn rest(&mut self) -> Option<(Place, &'a str)> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches(Self::is_blank);
        self.at += rest.len() - trimmed.len();
        let trimmed = trimmed.trim_end_matches(Self::is_blank);
        (!trimmed.is_empty()).then(|| (self.place(), trimmed))
    }

    fn next(&mut self) -> Option<(Place, &'a str)> {
        let (place, rest) = self.rest()?;
        let word = rest.split(Self::is_blank).next().unwrap_or(rest);
        self.at += word.len();
        Some((place, word))
    }
}

/// A key line, good or not; what was bad about it is already among the problems.
struct KeyLine<'a> {
    place: Place,
    method: Option<Method>,
    secret: Option<&'a str>,
}

/// What was read so far.
#[derive(Default)]
struct Draft<'a> {
    /// The first `auth` line, with its id if it is one.
    auth: Option<(Place, Option<u8>)>,
    keys: BTreeMap<u8, KeyLine<'a>>,
    lines: usize,
    problems: Vec<KeyProblem>,
    warnings: Vec<String>,
}

impl<'a> Draft<'a> {
    fn problem(&mut self, place: Place, text: impl Into<String>, help: impl Into<String>) {
        let Place { line, column } = place;
        if self.problems.len() >= TOLD {
            return;
        }
        self.problems.push(KeyProblem { line, column, text: text.into(), help: help.into() });
    }

    fn line(&mut self, mut words: Words<'a>) {
        self.lines = words.line;
        match words.next() {
            None => {}
            Some((_, word)) if word.starts_with('#') => {}
            Some((place, "auth")) => self.auth_line(place, words),
            Some((place, word)) if word.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.key_line(place, word, words);
            }
            // The word is not quoted, here and below: it may be a secret that slipped.
            Some((place, _)) => self.problem(
                place,
                "the line begins with neither `auth` nor the number of a key",
                "write `auth ID`, `ID METHOD KEY`, or `#` before a comment",
            ),
        }
    }

    fn auth_line(&mut self, place: Place, mut words: Words<'a>) {
        if let Some((first, _)) = self.auth {
            let text = format!("a second `auth` line; the first is line {}", first.line);
            self.problem(place, text, "keep the one with the key that shall sign");
            return;
        }
        let id = match words.next() {
            None => {
                self.problem(
                    words.place(),
                    "`auth` without the number of a key",
                    "write `auth ID`, as in `auth 1`",
                );
                None
            }
            Some((at, word)) => self.id(at, word),
        };
        self.auth = Some((place, id));
        if let Some((at, _)) = words.next() {
            self.problem(
                at,
                "more than one word after `auth`",
                "write `auth ID`; the key has a line of its own",
            );
        }
    }

    fn id(&mut self, place: Place, word: &str) -> Option<u8> {
        let id = word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten();
        if id.is_none() {
            self.problem(place, "this is not the number of a key", "a key has a number from 0 to 255");
        }
        id
    }

    fn key_line(&mut self, place: Place, id: &str, mut words: Words<'a>) {
        let id = self.id(place, id);
        let method = self.method(&mut words);
        let after = words.place();
        let secret = words.rest();
        if let (Some(method), Some(id)) = (method, id) {
            self.secret(id, method, secret, after);
        }
        let Some(id) = id else { return };
        if let Some(first) = self.keys.get(&id) {
            let text = format!("key {id} again; it is on line {} already", first.place.line);
            self.problem(place, text, "give each key a number of its own");
            return;
        }
        self.keys.insert(id, KeyLine { place, method, secret: secret.map(|(_, secret)| secret) });
    }

    fn method(&mut self, words: &mut Words<'a>) -> Option<Method> {
        let Some((place, word)) = words.next() else {
            self.problem(
                words.place(),
                "the key has no method",
                "write `ID METHOD KEY`, as in `1 sha256 SECRET`",
            );
            return None;
        };
        if let Ok(method) = word.parse() {
            return Some(method);
        }
        let lower = word.to_ascii_lowercase();
        if lower == "sha1" {
            self.problem(
                place,
                "method `sha1` is not supported",
                "use sha256 on all nodes; `hbctl keygen` prints a fresh file",
            );
        } else if let Ok(method) = lower.parse::<Method>() {
            self.problem(place, "methods are written in small letters", format!("write `{method}`"));
        } else {
            self.problem(
                place,
                "the word after the number is no method (it may be the key itself, with the method missing)",
                "write `ID METHOD KEY` with sha256, md5 or crc as the method",
            );
        }
        None
    }

    /// Checks the secret of key `id`; `after` is where it should have begun.
    fn secret(&mut self, id: u8, method: Method, secret: Option<(Place, &str)>, after: Place) {
        match (method, secret) {
            (Method::Crc, None) => {}
            (Method::Crc, Some((place, _))) => {
                self.problem(place, "crc takes no key", "end the line after `crc`, or use sha256");
            }
            (_, None) => {
                let help = format!("write `{id} {method} SECRET`; `hbctl keygen` prints a good one");
                self.problem(after, format!("key {id} has no secret"), help);
            }
            (_, Some((place, secret))) => {
                let line = place.line;
                if secret.len() < SHORTEST_SECRET {
                    let text = format!("the secret of key {id} is shorter than {SHORTEST_SECRET} bytes");
                    let help = "it can be found by trying; `hbctl keygen` prints a good one";
                    self.problem(place, text, help);
                } else if secret.len() < SHORT_SECRET {
                    self.warnings.push(format!(
                        "authkeys line {line}: the secret of key {id} is shorter than {SHORT_SECRET} bytes and can \
                         be guessed; `hbctl keygen` prints a good one"
                    ));
                }
                if secret.contains(" #") || secret.contains("\t#") {
                    self.warnings.push(format!(
                        "authkeys line {line}: what looks like a comment is part of key {id}; comments have lines of \
                         their own"
                    ));
                }
            }
        }
    }

    fn finish(mut self) -> Result<Keyring, Vec<KeyProblem>> {
        let signing = self.signing_id();
        self.lonely_crc();
        let mut keys = Vec::new();
        for (&id, key) in &self.keys {
            if let Some(method) = key.method {
                let secret = key.secret.unwrap_or_default();
                keys.push(Key { id, signer: Signer::new(method, secret.as_bytes()) });
            }
        }
        let signing = keys.iter().position(|key| Some(key.id) == signing);
        match signing {
            Some(index) if self.problems.is_empty() => {
                Ok(Keyring { signing: keys.swap_remove(index), others: keys, warnings: self.warnings })
            }
            _ => {
                self.problems.sort_by_key(|problem| (problem.line, problem.column));
                Err(self.problems)
            }
        }
    }

    /// The id that `auth` picks, if there is such a line and such a key.
    fn signing_id(&mut self) -> Option<u8> {
        let Some((place, id)) = self.auth else {
            // Pointed at where it is to be written: after the last line.
            let end = Place { line: self.lines + 1, column: 1 };
            self.problem(end, "no `auth` line", "add `auth ID` with the number of the key that shall sign");
            return None;
        };
        let id = id?;
        if !self.keys.contains_key(&id) {
            let help = match self.keys.keys().next() {
                None => {
                    format!("add a line `{id} sha256 SECRET`; `hbctl keygen` prints a whole file")
                }
                Some(other) => format!("add a line `{id} METHOD KEY`, or write `auth {other}`"),
            };
            self.problem(place, format!("`auth` picks key {id}, which is not in the file"), help);
        }
        Some(id)
    }

    /// A crc key beside others would let anybody in who leaves the others alone.
    fn lonely_crc(&mut self) {
        let crc = |key: &&KeyLine<'_>| key.method == Some(Method::Crc);
        let places: Vec<Place> = self.keys.values().filter(crc).map(|key| key.place).collect();
        let keyed = |id: &u8| {
            self.keys.get(id).is_some_and(|key| key.method.is_some_and(|method| method != Method::Crc))
        };
        let picked = self.auth.and_then(|(_, id)| id).filter(keyed);
        let help = match picked.or_else(|| self.keys.keys().copied().find(keyed)) {
            Some(id) => format!(
                "anyone on the wire can make a crc packet: delete this line and sign with `auth {id}`; or delete the \
                 other keys, if nothing needs protection"
            ),
            None => "delete this line, or all the other keys, if nothing needs protection".to_owned(),
        };
        if self.keys.len() == 1 {
            if !places.is_empty() {
                self.warnings.push(
                    "authkeys has only a crc key: anyone on the wire can speak as a node of this cluster; \
                     `hbctl keygen` prints a file that protects it"
                        .to_owned(),
                );
            }
            return;
        }
        for place in places {
            self.problem(place, "crc is allowed only when it is the only key", help.clone());
        }
    }
}

#[cfg(test)]
mod tests;
