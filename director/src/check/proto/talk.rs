//! The contract between a protocol and whoever drives it.

use std::borrow::Cow;

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

    /// Where the conversation stands, for the sentence about a deadline: "before it had greeted".
    fn stage(&self) -> Cow<'static, str>;

    /// What the server may say at most, in bytes.
    fn most(&self) -> usize {
        MOST_HEARD
    }
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
    /// So much at the start of it is taken already, and goes when more is heard: to move the rest at each of many small pieces
    /// would take longer the more of it there is.
    start: usize,
    /// So much of what was heard is there no longer.
    gone: usize,
}

impl Heard {
    /// Adds what was said.
    pub fn add(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).extend_from_slice(bytes);
    }

    /// Where what is read next is added to, with room for `length` bytes of it.
    pub fn room(&mut self, length: usize) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.gone += std::mem::take(&mut self.start);
        self.bytes.reserve(length);
        &mut self.bytes
    }

    /// How much was heard altogether, taken or not.
    pub fn total(&self) -> usize {
        self.gone + self.bytes.len()
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the first `length` bytes, if so many are there.
    pub fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let start = self.bytes().get(..length).map(<[u8]>::to_vec);
        start.inspect(|_| self.skip(length))
    }

    /// Takes so many, or all there are, and looks at them no more.
    pub fn skip(&mut self, length: usize) {
        self.start += length.min(self.bytes().len());
    }

    /// Forgets all that is there: nothing said in the clear before TLS may count after it.
    pub fn forget(&mut self) {
        self.skip(self.bytes().len());
    }

    /// Takes a line without its end (`\n` or `\r\n`); `None` until one is complete.
    ///
    /// # Errors
    /// A sentence if the line is longer than any protocol allows.
    pub fn line(&mut self) -> Result<Option<String>, String> {
        let end = self.bytes().iter().take(LONGEST_LINE).position(|b| *b == b'\n');
        let Some(end) = end else {
            return match self.bytes().len() {
                length if length >= LONGEST_LINE => {
                    Err(format!("the server's line is longer than {LONGEST_LINE} bytes: {}", self.start()))
                }
                _ => Ok(None),
            };
        };
        let line = &self.bytes()[..end];
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        self.skip(end + 1);
        Ok(Some(line))
    }

    /// The start of what is there, for a sentence.
    pub fn start(&self) -> String {
        super::text::quoted_bytes(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_whatever_the_pieces() {
        let mut heard = Heard::default();
        assert_eq!(heard.line(), Ok(None));
        heard.add(b"220 rea");
        assert_eq!(heard.line(), Ok(None));
        heard.add(b"dy\r\n+OK\nrest");
        assert_eq!(heard.line(), Ok(Some("220 ready".to_owned())));
        assert_eq!(heard.line(), Ok(Some("+OK".to_owned())));
        assert_eq!(heard.line(), Ok(None));
        assert_eq!(heard.bytes(), b"rest");
        assert_eq!((heard.take(5), heard.take(2)), (None, Some(b"re".to_vec())));
        heard.forget();
        assert_eq!((heard.bytes(), heard.total()), (&b""[..], 19));
    }

    #[test]
    fn many_small_pieces_cost_no_more_than_their_bytes() {
        let mut heard = Heard::default();
        // Moving the rest at each would take minutes.
        const PIECES: usize = 2 << 20;
        heard.add(&vec![b'\n'; PIECES]);
        let mut lines = 0;
        while heard.line() == Ok(Some(String::new())) {
            lines += 1;
        }
        assert_eq!((lines, heard.total(), heard.bytes().len()), (PIECES, PIECES, 0));
        heard.add(b"more\n");
        assert_eq!((heard.line(), heard.total()), (Ok(Some("more".to_owned())), PIECES + 5));
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut heard = Heard::default();
        heard.add(&vec![b'x'; LONGEST_LINE]);
        assert!(heard.line().unwrap_err().contains("longer than 8192 bytes"));
    }
}
