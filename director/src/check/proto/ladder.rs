//! Dialogues of lines, rung by rung: FTP, SMTP, NNTP, POP3 and IMAP.
//!
//! ```text
//!   server: 220 ready        rung 0: heard before anything is said
//!   we:     EHLO me
//!   server: 250-…            rung 1
//!   server: 250 …
//!   we:     QUIT             the last word; its answer does not matter
//! ```

use std::borrow::Cow;

use super::talk::{Heard, Step, Talk, Verdict};
use super::text::{Expect, quoted};

/// How a server's answers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Three digits, several lines with `-` after them (SMTP, FTP, NNTP).
    Codes,
    /// `+OK` or `-ERR` (POP3).
    Pop,
    /// `* …` until the line with our tag (IMAP).
    Imap,
}

/// One thing said and what must come back.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Said first; empty for the banner.
    pub say: Vec<u8>,
    /// What this is, for sentences: "the banner", "the login".
    pub what: &'static str,
    /// Good answers. For [`Manner::Pop`] and [`Manner::Imap`] good is 200.
    pub accept: &'static [u16],
    /// These answers make the next rung superfluous.
    pub skip_next: &'static [u16],
    /// The answer's text must have this.
    pub expect: Option<Expect>,
    /// After this answer TLS begins.
    pub secure: bool,
}

impl Rung {
    /// `say` and one of `accept`.
    pub fn new(say: impl Into<Vec<u8>>, what: &'static str, accept: &'static [u16]) -> Self {
        Self { say: say.into(), what, accept, skip_next: &[], expect: None, secure: false }
    }

    /// The same, if the answer has this.
    pub fn expecting(mut self, expect: &Option<Expect>) -> Self {
        self.expect.clone_from(expect);
        self
    }

    /// The same, with TLS after it.
    pub fn then_tls(mut self) -> Self {
        self.secure = true;
        self
    }
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its code.
    pub code: u16,
    /// All its lines.
    pub text: String,
}

/// A dialogue.
#[derive(Debug)]
pub struct Ladder {
    manner: Manner,
    rungs: Vec<Rung>,
    at: usize,
    last_words: Vec<u8>,
    /// The lines of an answer that has more to come.
    lines: String,
}

impl Ladder {
    /// The first rung says nothing: it is the server's banner.
    pub fn new(manner: Manner, rungs: Vec<Rung>, last_words: &[u8]) -> Self {
        Self { manner, rungs, at: 0, last_words: last_words.to_vec(), lines: String::new() }
    }

    /// The next answer, once it is complete.
    ///
    /// # Errors
    /// A sentence: this server speaks something else.
    pub fn answer(&mut self, heard: &mut Heard) -> Result<Option<Answer>, String> {
        while let Some(line) = heard.line()? {
            if !self.lines.is_empty() {
                self.lines.push('\n');
            }
            self.lines.push_str(&line);
            let code = match self.manner {
                Manner::Codes => code_of(&line, &self.lines)?,
                Manner::Pop => pop(&line).ok_or_else(|| self.foreign(&line)).map(Some)?,
                Manner::Imap => imap(&line, self.tag()).ok_or_else(|| self.foreign(&line))?,
            };
            if let Some(code) = code {
                return Ok(Some(Answer { code, text: std::mem::take(&mut self.lines) }));
            }
        }
        Ok(None)
    }

    /// The tag of the command under way; before the first command the banner has none.
    fn tag(&self) -> Option<String> {
        let say = &self.rungs.get(self.at)?.say;
        let tag = say.split(|b| *b == b' ').next().filter(|tag| !tag.is_empty())?;
        Some(String::from_utf8_lossy(tag).into_owned())
    }

    fn foreign(&self, line: &str) -> String {
        format!("{} is not the protocol that was asked for: {}", self.what(), quoted(line))
    }

    fn what(&self) -> &'static str {
        self.rungs.get(self.at).map_or("the end", |rung| rung.what)
    }

    /// Judges an answer and says what comes next.
    fn climb(&mut self, answer: &Answer) -> Step {
        let Some(rung) = self.rungs.get(self.at) else {
            return Step::good();
        };
        if !rung.accept.contains(&answer.code) && !rung.skip_next.contains(&answer.code) {
            return Step::Done(
                Err(format!("{} was answered {}", rung.what, quoted(&answer.text))),
                self.last_words.clone(),
            );
        }
        if let Some(expect) = &rung.expect
            && let Err(why) = expect.judge("the answer", answer.text.as_bytes())
        {
            return Step::Done(Err(why), self.last_words.clone());
        }
        let secure = rung.secure;
        self.at += if rung.skip_next.contains(&answer.code) { 2 } else { 1 };
        if secure { Step::Secure(Vec::new()) } else { self.next() }
    }

    fn next(&mut self) -> Step {
        match self.rungs.get(self.at) {
            Some(rung) => Step::Say(rung.say.clone()),
            None => Step::Done(Ok(()), std::mem::take(&mut self.last_words)),
        }
    }
}

impl Talk for Ladder {
    fn hear(&mut self, heard: &mut Heard) -> Step {
        match self.answer(heard) {
            Ok(Some(answer)) => self.climb(&answer),
            Ok(None) => Step::Wait,
            Err(why) => Step::fail(why),
        }
    }

    fn secured(&mut self) -> Step {
        self.next()
    }

    fn stage(&self) -> Cow<'static, str> {
        match self.at {
            0 => "before its banner was complete".into(),
            _ => format!("before it had answered {}", self.what()).into(),
        }
    }

    fn closed(&mut self, heard: &mut Heard) -> Verdict {
        if heard.total() == 0 {
            return Err("the server closed the connection without a word".to_owned());
        }
        Err(format!("the server closed the connection {}", self.stage()))
    }
}

/// The code of a complete answer, `None` for a line with more to come.
fn code_of(line: &str, lines: &str) -> Result<Option<u16>, String> {
    let foreign = || format!("the answer does not begin with a three-digit code: {}", quoted(line));
    let code = |line: &str| -> Option<(u16, bool)> {
        let digits = line.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let more = match line.as_bytes().get(3) {
            None | Some(b' ') => false,
            Some(b'-') => true,
            Some(_) => return None,
        };
        Some((digits.parse().ok()?, more))
    };
    let (first, more) = lines.split('\n').next().and_then(code).ok_or_else(foreign)?;
    if !more {
        return Ok(Some(first));
    }
    // RFC 959 allows anything in between, until the same code with a space.
    match code(line) {
        Some((last, false)) if last == first => Ok(Some(first)),
        _ => Ok(None),
    }
}

fn pop(line: &str) -> Option<u16> {
    match line {
        _ if line.starts_with("+OK") => Some(200),
        _ if line.starts_with("-ERR") => Some(500),
        _ => None,
    }
}

/// The outer option: whether it is IMAP at all.
fn imap(line: &str, tag: Option<String>) -> Option<Option<u16>> {
    let state = |text: &str| {
        let word = text.split(' ').next().unwrap_or_default();
        if word.eq_ignore_ascii_case("OK") || word.eq_ignore_ascii_case("PREAUTH") { 200 } else { 500 }
    };
    match (line.split_once(' '), tag) {
        (Some(("*", rest)), None) => Some(Some(state(rest))),
        (Some(("*", _)), Some(_)) => Some(None),
        (Some(("+", _)), Some(_)) => Some(None),
        (Some((first, rest)), Some(tag)) if first == tag => Some(Some(state(rest))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(manner: Manner, said: &[u8]) -> Result<Option<Answer>, String> {
        let mut heard = Heard::default();
        heard.add(said);
        Ladder::new(manner, vec![Rung::new("", "the banner", &[200])], b"").answer(&mut heard)
    }

    #[test]
    fn answers_of_several_lines() {
        let answer = |code, text: &str| Ok(Some(Answer { code, text: text.to_owned() }));
        assert_eq!(answers(Manner::Codes, b"220 ready\r\n"), answer(220, "220 ready"));
        assert_eq!(answers(Manner::Codes, b"220\r\n"), answer(220, "220"));
        assert_eq!(answers(Manner::Codes, b"220-a\r\n free text\r\n220-b\r\n"), Ok(None));
        assert_eq!(
            answers(Manner::Codes, b"220-a\r\n221 no\r\n220 z\r\n"),
            answer(220, "220-a\n221 no\n220 z")
        );
        assert_eq!(answers(Manner::Pop, b"+OK <1@x>\r\n"), answer(200, "+OK <1@x>"));
        assert_eq!(answers(Manner::Imap, b"* BYE busy\r\n"), answer(500, "* BYE busy"));
    }

    #[test]
    fn what_is_another_protocol_is_said() {
        for (manner, said) in [
            (Manner::Codes, &b"SSH-2.0-OpenSSH_9\r\n"[..]),
            (Manner::Codes, b"2200 \r\n"),
            (Manner::Codes, "22é\r\n".as_bytes()),
            (Manner::Pop, b"220 ready\r\n"),
            (Manner::Imap, b"+OK ready\r\n"),
        ] {
            assert!(answers(manner, said).is_err(), "{manner:?}");
        }
    }
}
