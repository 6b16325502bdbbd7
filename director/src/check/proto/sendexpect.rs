//! `send` and `expect`, for whatever has no check of its own. ldirectord's simpletcp and Piranha's send/expect.

use std::borrow::Cow;

use super::talk::{Exchange, Heard, Step, Talk, Verdict};
use super::text::Expect;

/// Over a stream: what is sent, if anything, and what must be heard within the deadline.
#[derive(Debug)]
pub struct StreamTalk {
    send: Vec<u8>,
    expect: Expect,
}

impl StreamTalk {
    /// `expect` is looked for in all the server says, as it comes.
    pub fn new(send: Vec<u8>, expect: Expect) -> Self {
        Self { send, expect }
    }
}

impl Talk for StreamTalk {
    fn opening(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.send)
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        match self.expect.matches(heard.bytes()) {
            true => Step::good(),
            false => Step::Wait,
        }
    }

    fn closed(&mut self, heard: &mut Heard) -> Verdict {
        self.expect.judge("the answer", heard.bytes())
    }

    fn stage(&self) -> Cow<'static, str> {
        format!("before it had said {}", self.expect).into()
    }
}

/// Over datagrams.
#[derive(Debug)]
pub struct DatagramExchange {
    send: Vec<u8>,
    expect: Expect,
}

impl DatagramExchange {
    /// Each answer must have what is expected.
    pub fn new(send: Vec<u8>, expect: Expect) -> Self {
        Self { send, expect }
    }
}

impl Exchange for DatagramExchange {
    fn question(&self) -> &[u8] {
        &self.send
    }

    fn judge(&mut self, answer: &[u8]) -> Option<Verdict> {
        Some(self.expect.judge("the answer", answer))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, judge, survives};
    use super::*;

    fn talk() -> StreamTalk {
        StreamTalk::new(b"hello\r\n".to_vec(), Expect::parse("/^world/").unwrap())
    }

    #[test]
    fn what_is_expected_may_come_late_and_in_pieces() {
        let (verdict, spoken) = converse(&mut talk(), b"wait\r\nworld\r\n", 1);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"hello\r\n"[..]));
        assert_eq!(
            converse(&mut talk(), b"other", 2).0.unwrap_err(),
            "the answer has no /^world/: it begins \"other\""
        );
        assert_eq!(converse(&mut talk(), b"", 2).0.unwrap_err(), "the answer is empty, expected /^world/");
        let mut exchange = DatagramExchange::new(b"?".to_vec(), Expect::parse("yes").unwrap());
        assert_eq!(judge(&mut exchange, b"oh yes"), Some(Ok(())));
        assert!(judge(&mut exchange, b"no").unwrap().is_err());
    }

    survives!(any_server_is_survived, b"wait\r\nworld\r\n", talk());
}
