//! SIP (RFC 3261): OPTIONS, over UDP, TCP or TLS, answered 200.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::talk::{Exchange, Heard, Step, Talk, Verdict};
use super::text::{quoted, quoted_bytes};

/// What to ask of a SIP server.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Who asks and is asked, `user@host`.
    pub login: String,
    /// Good answers.
    pub status: Vec<u16>,
}

/// What the sockets say: for the request's Via and Contact.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Ours.
    pub local: SocketAddr,
    /// The server's.
    pub remote: SocketAddr,
    /// `UDP`, `TCP` or `TLS`.
    pub transport: &'static str,
    /// Unforeseeable, for branch, tag and call id.
    pub nonce: u64,
}

/// The question.
#[derive(Debug)]
pub struct SipExchange {
    question: Vec<u8>,
    call: String,
    status: Vec<u16>,
}

impl Sip {
    /// One OPTIONS between these ends.
    pub fn exchange(&self, ends: &Ends) -> SipExchange {
        let Ends { local, remote, transport, nonce } = ends;
        let call = format!("{nonce:016x}@{}", local.ip());
        let user = &self.login;
        let lines = [
            format!("OPTIONS sip:{remote} SIP/2.0"),
            format!("Via: SIP/2.0/{transport} {local};branch=z9hG4bK{nonce:016x};rport"),
            "Max-Forwards: 70".to_owned(),
            format!("To: <sip:{user}>"),
            format!("From: <sip:{user}>;tag={nonce:016x}"),
            format!("Call-ID: {call}"),
            "CSeq: 1 OPTIONS".to_owned(),
            format!("Contact: <sip:{local}>"),
            "Accept: application/sdp".to_owned(),
            "Content-Length: 0".to_owned(),
            String::new(),
            String::new(),
        ];
        SipExchange { question: lines.join("\r\n").into_bytes(), call, status: self.status.clone() }
    }

    /// The same over a stream.
    pub fn talk(&self, ends: &Ends) -> SipTalk {
        SipTalk { exchange: self.exchange(ends) }
    }
}

impl Exchange for SipExchange {
    fn question(&self) -> &[u8] {
        &self.question
    }

    fn judge(&mut self, answer: &[u8]) -> Option<Verdict> {
        let text = String::from_utf8_lossy(answer);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let Some(status) = first.strip_prefix("SIP/2.0 ") else {
            return Some(Err(format!("the answer is no SIP: {}", quoted_bytes(answer))));
        };
        let call = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            (name.eq_ignore_ascii_case("call-id") || name.eq_ignore_ascii_case("i")).then(|| value.trim())
        });
        if call != Some(&self.call) {
            return None;
        }
        match status.get(..3).and_then(|code| code.parse::<u16>().ok()) {
            Some(100..=199) => None,
            Some(code) if self.status.contains(&code) => Some(Ok(())),
            _ => Some(Err(format!("OPTIONS was answered {}", quoted(status)))),
        }
    }
}

/// The question over a stream.
#[derive(Debug)]
pub struct SipTalk {
    exchange: SipExchange,
}

impl Talk for SipTalk {
    fn opening(&mut self) -> Vec<u8> {
        self.exchange.question.clone()
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        // What has nothing of SIP in its first bytes will not become it.
        let start = &heard.bytes()[..heard.bytes().len().min(8)];
        if !b"SIP/2.0 ".starts_with(start) {
            return Step::fail(format!("the answer is no SIP: {}", heard.start()));
        }
        while let Some(end) = heard.bytes().windows(4).position(|four| four == b"\r\n\r\n") {
            let Some(head) = heard.take(end + 4) else {
                break;
            };
            if let Some(verdict) = self.exchange.judge(&head) {
                return Step::Done(verdict, Vec::new());
            }
            // The body of an answer that is not ours, or of a provisional one, which has none.
            if content_length(&head).is_none_or(|length| heard.take(length).is_none()) {
                return Step::fail("an answer to nobody came first, with a body");
            }
        }
        Step::Wait
    }

    fn stage(&self) -> Cow<'static, str> {
        "before it had answered OPTIONS".into()
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head);
    let value = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l"))
            .then(|| value.trim().to_owned())
    });
    value.map_or(Some(0), |value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, judge, survives};
    use super::*;

    fn sip() -> Sip {
        Sip { login: "lb@example.com".to_owned(), status: vec![200] }
    }

    fn ends() -> Ends {
        let address = |text: &str| text.parse().unwrap();
        Ends {
            local: address("192.0.2.1:4000"),
            remote: address("192.0.2.2:5060"),
            transport: "UDP",
            nonce: 0xabc,
        }
    }

    const CALL: &str = "0000000000000abc@192.0.2.1";

    #[test]
    fn options_is_answered() {
        let mut exchange = sip().exchange(&ends());
        let question = String::from_utf8(exchange.question().to_vec()).unwrap();
        assert!(
            question.starts_with("OPTIONS sip:192.0.2.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:4000;")
        );
        assert!(question.ends_with("\r\nContent-Length: 0\r\n\r\n"));
        let said = |status: &str| format!("SIP/2.0 {status}\r\nVia: x\r\nCall-ID: {CALL}\r\n\r\n");
        assert_eq!(judge(&mut exchange, said("100 Trying").as_bytes()), None);
        assert_eq!(judge(&mut exchange, said("200 OK").as_bytes()), Some(Ok(())));
        assert_eq!(
            judge(&mut exchange, said("503 Busy").as_bytes()).unwrap().unwrap_err(),
            "OPTIONS was answered \"503 Busy\""
        );
        assert_eq!(judge(&mut exchange, b"SIP/2.0 200 OK\r\ni: other\r\n\r\n"), None);
        assert!(judge(&mut exchange, b"HTTP/1.1 200").unwrap().is_err());
    }

    #[test]
    fn over_a_stream_with_trying_first() {
        let head = |status: &str| format!("SIP/2.0 {status}\r\nCall-ID: {CALL}\r\nContent-Length: 0\r\n\r\n");
        let said = head("100 Trying") + &head("200 OK");
        assert_eq!(converse(&mut sip().talk(&ends()), said.as_bytes(), 3).0, Ok(()));
    }

    survives!(
        any_server_is_survived,
        b"SIP/2.0 100 T\r\ni: 0000000000000abc@192.0.2.1\r\n\r\nSIP/2.0 200 OK\r\ni: 0000000000000abc@192.0.2.1\r\n\r\n",
        sip().talk(&ends())
    );
}
