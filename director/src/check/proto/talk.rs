//! The contract between a protocol and whoever drives it.

/// What a server may say at most before a check gives up on it, in bytes.
pub const MOST_HEARD: usize = 256 * 1024;
/// The longest line of a line protocol, in bytes.
const LONGEST_LINE: usize = 8 * 1024;

/// How a check ends: good, or a sentence that says what was wrong.
pub type Verdict = Result<(), String>;

/// What a [`Talk`] wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read more, then call [`Talk::hear`] again.
    Wait,
    /// Send this, then read. The talk is called again at once if something is left unheard.
    Say(Vec<u8>),
    /// Say this (may be empty) and start TLS; then the talk's [`Talk::secured`] is asked.
    Secure(Vec<u8>),
    /// Read this port of the same server to its end (a file, by FTP), then call [`Talk::fetched`]; meanwhile say this.
    Fetch(u16, Vec<u8>),
    /// The end. What is given with it is sent as a last word without waiting for an answer.
    Done(Verdict, Vec<u8>),
}

impl Step {
    /// The end, badly.
    pub fn fail(why: impl Into<String>) -> Self {
        Self::Done(Err(why.into()), Vec::new())
    }

    /// The end, well.
    pub fn good() -> Self {
        Self::Done(Ok(()), Vec::new())
    }
}

/// One conversation with a server over a stream, as a function of what the server says.
///
/// Driven so: [`Talk::opening`] once and sent if not empty; then [`Talk::hear`] whenever something was read, until it
/// says [`Step::Done`]. [`Talk::closed`] is asked instead when the server ends the stream before that. The driver keeps
/// the deadline and the bound on what is read; a talk keeps neither.
pub trait Talk: Send + Sync {
    /// What to say on connecting; empty when the server speaks first.
    fn opening(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes what it understands of `heard` and says what to do.
    fn hear(&mut self, heard: &mut Heard) -> Step;

    /// TLS was started after [`Step::Secure`]: what to say first on it.
    fn secured(&mut self) -> Step {
        Step::Wait
    }

    /// All of what a [`Step::Fetch`] brought, or why it brought nothing.
    fn fetched(&mut self, _file: Result<Vec<u8>, String>) -> Step {
        Step::Wait
    }

    /// The server ended the stream; `heard` is what was left.
    fn closed(&mut self, heard: &mut Heard) -> Verdict {
        if heard.total() == 0 {
            return Err("the server closed the connection without a word".to_owned());
        }
        Err(format!("the server closed the connection {}", self.stage()))
    }

    /// Where the conversation stands, for the sentence about a deadline: "while waiting for the banner".
    fn stage(&self) -> String;
}

/// One question by datagram and the judgement of each answer.
pub trait Exchange: Send {
    /// What to send; sent again as it is while no answer comes.
    fn question(&self) -> &[u8];

    /// Judges a datagram; `None` if it is no answer to the question (a stray, a late one) and waiting goes on.
    fn judge(&mut self, answer: &[u8]) -> Option<Verdict>;
}

/// What a server said and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Heard {
    bytes: Vec<u8>,
    total: usize,
}

impl Heard {
    /// Adds what was read. False if it is more than any check needs: then give up.
    #[must_use]
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > MOST_HEARD {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// How much was heard altogether, taken or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the first `length` bytes, if so many are there.
    pub fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        (self.bytes.len() >= length).then(|| self.bytes.drain(..length).collect())
    }

    /// Forgets all that is there: nothing said in the clear before TLS may count after it.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Takes a line without its end (`\n` or `\r\n`); `None` until one is complete.
    ///
    /// # Errors
    /// A sentence if the line is longer than any protocol allows.
    pub fn line(&mut self) -> Result<Option<String>, String> {
        let end = self.bytes.iter().take(LONGEST_LINE).position(|b| *b == b'\n');
        let Some(end) = end else {
            return match self.bytes.len() {
                length if length >= LONGEST_LINE => {
                    Err(format!("the server's line is longer than {LONGEST_LINE} bytes: {}", self.start()))
                }
                _ => Ok(None),
            };
        };
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some(String::from_utf8_lossy(line).into_owned()))
    }

    /// The start of what is there, for a sentence.
    pub fn start(&self) -> String {
        super::text::quoted_bytes(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_whatever_the_pieces() {
        let mut heard = Heard::default();
        assert_eq!(heard.line(), Ok(None));
        assert!(heard.add(b"220 rea"));
        assert_eq!(heard.line(), Ok(None));
        assert!(heard.add(b"dy\r\n+OK\nrest"));
        assert_eq!(heard.line(), Ok(Some("220 ready".to_owned())));
        assert_eq!(heard.line(), Ok(Some("+OK".to_owned())));
        assert_eq!(heard.line(), Ok(None));
        assert_eq!(heard.bytes(), b"rest");
    }

    #[test]
    fn a_line_without_end_and_a_flood_are_given_up() {
        let mut heard = Heard::default();
        assert!(heard.add(&vec![b'x'; LONGEST_LINE]));
        assert!(heard.line().unwrap_err().contains("longer than 8192 bytes"));
        let mut heard = Heard::default();
        for _ in 0..MOST_HEARD / 1024 {
            assert!(heard.add(&[b'\n'; 1024]));
        }
        assert!(!heard.add(b"x"));
        assert_eq!(heard.bytes().len(), MOST_HEARD);
    }
}
