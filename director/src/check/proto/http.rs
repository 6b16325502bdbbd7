//! HTTP/1.1 (RFC 9110 and 9112): one request on a connection of its own, and what is wanted of the answer.
//!
//! Redirects are not followed: a 302 is an answer like any other. The head is read by httparse.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::Arc;

use httparse::{Header, ParserConfig, Status};
use hyper::StatusCode;

use super::talk::{Heard, Step, Talk, Verdict};
use super::text::Expect;

/// So much of a body is looked at.
pub const MOST_BODY: usize = 1 << 20;
/// A longer head is that of no page.
const MOST_HEAD: usize = 64 * 1024;
/// Nor does one have more lines.
const MOST_FIELDS: usize = 100;
/// A longer line before a chunk has no size in it.
const MOST_SIZE_LINE: usize = 1024;

/// What is wanted of an answer, in HTTP of any version.
#[derive(Debug, Default)]
pub struct Wanted {
    /// One of these; any from 200 to 299 if there is none.
    pub status: Vec<u16>,
    /// The body must have this.
    pub expect: Option<Expect>,
}

impl Wanted {
    /// Judges the status.
    ///
    /// # Errors
    /// A sentence.
    pub fn status(&self, status: StatusCode) -> Verdict {
        let fine = match &self.status[..] {
            [] => status.is_success(),
            good => good.contains(&status.as_u16()),
        };
        if fine {
            return Ok(());
        }
        let good: Vec<String> = self.status.iter().map(u16::to_string).collect();
        let wanted = if good.is_empty() { String::new() } else { format!(", wanted {}", good.join(" or ")) };
        Err(format!("the status is {status}{wanted}"))
    }

    /// Whether a body that has begun so is good already: a pattern may be anchored at its end, or be true too early.
    /// Up to `known` it was looked at before.
    pub fn enough(&self, body: &[u8], known: usize) -> bool {
        match &self.expect {
            Some(expect @ Expect::Text(text)) => expect.matches(&body[known.saturating_sub(text.len())..]),
            Some(Expect::Pattern(_)) => false,
            None => true,
        }
    }

    /// Judges the body, or the first [`MOST_BODY`] bytes of it.
    ///
    /// # Errors
    /// A sentence.
    pub fn body(&self, body: &[u8]) -> Verdict {
        self.expect.as_ref().map_or(Ok(()), |expect| expect.judge("the body", body))
    }
}

/// A request made ready.
#[derive(Debug)]
pub struct Request {
    /// What is sent, but for the name of the host: that of the address asked, if none was given.
    pub before_host: Vec<u8>,
    /// What comes after it.
    pub after_host: Vec<u8>,
    /// The answer to this method has no body, whatever its head says: HEAD.
    pub headed_only: bool,
    /// What is wanted of the answer.
    pub wanted: Arc<Wanted>,
}

impl Request {
    /// The dialogue with the server called `host`.
    pub fn talk(&self, host: &str) -> HttpTalk {
        HttpTalk {
            request: [&self.before_host, host.as_bytes(), &self.after_host].concat(),
            headed_only: self.headed_only,
            wanted: Arc::clone(&self.wanted),
            gathers: None,
            at: Place::Head { tried: 0 },
            body: Vec::new(),
            looked_at: 0,
        }
    }
}

/// The dialogue.
#[derive(Debug)]
pub struct HttpTalk {
    request: Vec<u8>,
    headed_only: bool,
    wanted: Arc<Wanted>,
    /// All of the body is wanted, but no more than this.
    gathers: Option<usize>,
    at: Place,
    body: Vec<u8>,
    /// So much of the body was looked through.
    looked_at: usize,
}

/// Where in the answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the end of the head; so much of it was read in vain.
    Head { tried: usize },
    /// In a body with so much of it to come.
    Length(u64),
    /// In a body that ends with the connection.
    Rest,
    /// Before the size of a chunk.
    Size,
    /// In a chunk with so much of it to come.
    Chunk(u64),
    /// Before the line's end that follows a chunk.
    ChunkEnd,
}

impl HttpTalk {
    /// The same, but the body is gathered: [`HttpTalk::into_body`] has it, or its first `most` bytes.
    pub fn gathering(self, most: usize) -> HttpTalk {
        HttpTalk { gathers: Some(most), ..self }
    }

    /// What was gathered.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn most(&self) -> usize {
        self.gathers.unwrap_or(MOST_BODY)
    }

    /// What to do next; `None` if that is to go on at once.
    fn advance(&mut self, heard: &mut Heard) -> Result<Option<Step>, String> {
        match self.at {
            Place::Head { tried } => self.head(heard, tried),
            Place::Length(left) => {
                let left = self.more(heard, left);
                self.at = Place::Length(left);
                if left == 0 { self.ended().map(Some) } else { Ok(Some(self.glance())) }
            }
            Place::Rest => {
                self.more(heard, u64::MAX);
                Ok(Some(self.glance()))
            }
            Place::Size => match chunk_size(heard.bytes()) {
                None => Err(foreign("a chunk of its body has no size")),
                Some(Status::Partial) => Ok(Some(Step::Wait)),
                // What may follow is not of the body (RFC 9112, 8).
                Some(Status::Complete((_, 0))) => self.ended().map(Some),
                Some(Status::Complete((length, size))) => {
                    heard.skip(length);
                    self.at = Place::Chunk(size);
                    Ok(None)
                }
            },
            Place::Chunk(left) => {
                let left = self.more(heard, left);
                self.at = if left == 0 { Place::ChunkEnd } else { Place::Chunk(left) };
                let step = self.glance();
                Ok((left > 0 || step != Step::Wait).then_some(step))
            }
            Place::ChunkEnd => match heard.bytes() {
                [b'\r', b'\n', ..] => {
                    heard.skip(2);
                    self.at = Place::Size;
                    Ok(None)
                }
                [] | [b'\r'] => Ok(Some(Step::Wait)),
                _ => Err(foreign("a chunk of its body is longer than its size")),
            },
        }
    }

    fn head(&mut self, heard: &mut Heard, tried: usize) -> Result<Option<Step>, String> {
        let bytes = heard.bytes();
        // A head in many pieces is not read anew with each: only with its end, and when it has doubled.
        let new = &bytes[tried.saturating_sub(3).min(bytes.len())..];
        let blank =
            || new.windows(3).any(|three| three == b"\n\r\n") || new.windows(2).any(|two| two == b"\n\n");
        if bytes.len() < tried * 2 && bytes.len() <= MOST_HEAD && !blank() {
            return Ok(Some(Step::Wait));
        }
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_FIELDS];
        let mut answer = httparse::Response::new(&mut []);
        let read = lenient().parse_response_with_uninit_headers(&mut answer, bytes, &mut fields);
        let length = match read.map_err(|e| foreign(&e.to_string()))? {
            Status::Complete(length) if length <= MOST_HEAD => length,
            Status::Partial if bytes.len() <= MOST_HEAD => {
                self.at = Place::Head { tried: bytes.len() };
                return Ok(Some(Step::Wait));
            }
            _ => return Err(foreign(&format!("its head is longer than {MOST_HEAD} bytes"))),
        };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| foreign("its status is none"))?;
        // Not yet the answer: that is still to come (RFC 9110, 15.2).
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            heard.skip(length);
            self.at = Place::Head { tried: 0 };
            return Ok(None);
        }
        self.wanted.status(status)?;
        if self.gathers.is_none() && self.wanted.expect.is_none() {
            return Ok(Some(Step::good()));
        }
        let without = [StatusCode::SWITCHING_PROTOCOLS, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        self.at = match self.headed_only || without.contains(&status) {
            true => Place::Length(0),
            false => framing(answer.headers)?,
        };
        heard.skip(length);
        Ok(None)
    }

    /// Takes up to `left` bytes of the body; gives how many are left then.
    fn more(&mut self, heard: &mut Heard, left: u64) -> u64 {
        let there = heard.bytes();
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(there.len());
        let room = self.most() - self.body.len();
        self.body.extend_from_slice(&there[..length.min(room)]);
        heard.skip(length);
        left - length as u64
    }

    /// Whether to wait for more of the body.
    fn glance(&mut self) -> Step {
        let known = std::mem::replace(&mut self.looked_at, self.body.len());
        if self.gathers.is_none() && self.wanted.enough(&self.body, known) {
            return Step::good();
        }
        match self.body.len() >= self.most() {
            true => Step::Done(self.wanted.body(&self.body), Vec::new()),
            false => Step::Wait,
        }
    }

    /// The body is there.
    fn ended(&self) -> Result<Step, String> {
        self.wanted.body(&self.body).map(|()| Step::good())
    }
}

impl Talk for HttpTalk {
    fn opening(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        loop {
            match self.advance(heard) {
                Ok(None) => {}
                Ok(Some(step)) => return step,
                Err(why) => return Step::fail(why),
            }
        }
    }

    fn closed(&mut self, heard: &mut Heard) -> Verdict {
        match self.at {
            Place::Rest => self.wanted.body(&self.body),
            Place::Head { .. } if heard.total() == 0 => {
                Err("the server closed the connection without a word".to_owned())
            }
            _ => Err("the server closed the connection before its answer was complete".to_owned()),
        }
    }

    fn stage(&self) -> Cow<'static, str> {
        match self.at {
            Place::Head { .. } => "before it had answered the request".into(),
            _ => "before the body of its answer was complete".into(),
        }
    }

    /// A body may come in chunks of a byte each, with six more around it.
    fn most(&self) -> usize {
        MOST_HEAD + 8 * self.most()
    }
}

fn foreign(why: &str) -> String {
    format!("the answer is no HTTP ({why})")
}

/// Old servers fold long lines and put a space before the colon: whoever reads an answer takes the one for a space, and the
/// other away (RFC 9112, 5.1 and 5.2).
fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_spaces_after_header_name_in_responses(true);
    config
}

/// The line before a chunk (RFC 9112, 7.1): its length, and the size it tells. `None` if it tells none. httparse's own takes
/// a line without digits for the last one, and of sixteen digits at most, zeros too.
fn chunk_size(bytes: &[u8]) -> Option<Status<(usize, u64)>> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = bytes.split_at(digits);
    let end = rest.iter().position(|byte| *byte == b'\n');
    let line = match end {
        Some(end) => rest[..end].strip_suffix(b"\r")?,
        None => rest.strip_suffix(b"\r").unwrap_or(rest),
    };
    let bounded = digits + end.unwrap_or(rest.len()) <= MOST_SIZE_LINE;
    let extension = line.trim_ascii_start();
    if !bounded || line.contains(&b'\r') || !(extension.is_empty() || extension.starts_with(b";")) {
        return None;
    }
    if digits == 0 {
        return bytes.is_empty().then_some(Status::Partial);
    }
    let size = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    Some(end.map_or(Status::Partial, |end| Status::Complete((digits + end + 1, size))))
}

/// How the end of the body is known (RFC 9112, 6.3).
fn framing(fields: &[Header<'_>]) -> Result<Place, String> {
    let named = |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    let codings = named("transfer-encoding").flat_map(|field| field.value.split(|byte| *byte == b','));
    // A list may have empty places (RFC 9110, 5.6.1).
    if let Some(last) = codings.map(<[u8]>::trim_ascii).rfind(|coding| !coding.is_empty()) {
        let chunked = last.eq_ignore_ascii_case(b"chunked");
        return Ok(if chunked { Place::Size } else { Place::Rest });
    }
    let mut length = None;
    for said in named("content-length").flat_map(|field| field.value.split(|byte| *byte == b',')) {
        let digits = said.trim_ascii();
        let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        let number = number.and_then(|number| number.parse::<u64>().ok());
        match number {
            Some(number) if length.is_none_or(|before| before == number) => length = Some(number),
            _ => return Err(foreign("the length of its body is no number, or two")),
        }
    }
    Ok(length.map_or(Place::Rest, Place::Length))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn talk(expect: Option<&str>) -> HttpTalk {
        let expect = expect.map(|text| Expect::parse(text).unwrap());
        let wanted = Arc::new(Wanted { status: Vec::new(), expect });
        let (before_host, after_host) = (b"GET / HTTP/1.1\r\nhost: ".to_vec(), b"\r\n\r\n".to_vec());
        Request { before_host, after_host, headed_only: false, wanted }.talk("www")
    }

    /// The verdict on all it says, which does not depend on the pieces in which it comes.
    fn verdict(expect: Option<&str>, said: &str) -> Verdict {
        let (whole, spoken) = converse(&mut talk(expect), said.as_bytes(), said.len());
        assert_eq!(spoken, b"GET / HTTP/1.1\r\nhost: www\r\n\r\n");
        for piece in [1, 2, 3, 7, 64] {
            assert_eq!(converse(&mut talk(expect), said.as_bytes(), piece).0, whole, "{said:?} by {piece}");
        }
        whole
    }

    #[test]
    fn good_answers() {
        for said in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhappy",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\ncontent-length:5\r\n\r\nhappy",
            "HTTP/1.0 200 OK\r\n\r\nso happy",
            "HTTP/1.1 200\n\nhappy",
            "HTTP/1.1 200 \n\r\nhappy",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhappy",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 2\r\n\r\n2\r\nha\r\n3;x=y\r\nppy\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n0003\r\nppy\r\n0\r\nleft: over\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, ,\r\n\r\n5\r\nhappy\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n\tchunked\r\n\r\n5 ;x\r\nhappy\r\n000\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000005\t\r\nhappy\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nX: folded\r\n  twice\r\n\there\r\nContent-Length : 5\r\n\r\nhappy",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Made\r\n\r\nhappy",
        ] {
            assert_eq!(verdict(Some("happy"), said), Ok(()), "{said:?}");
            assert_eq!(verdict(Some("/happy$/"), said), Ok(()), "{said:?}");
            assert!(
                verdict(Some("sad"), said).unwrap_err().starts_with("the body has no \"sad\""),
                "{said:?}"
            );
            assert_eq!(verdict(None, said), Ok(()), "{said:?}");
        }
    }

    #[test]
    fn bad_answers() {
        const CUT: &str = "the server closed the connection before its answer was complete";
        for (said, why) in [
            ("", "the server closed the connection without a word"),
            ("HTTP/1.1 200 OK\r\nContent-Le", CUT),
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhappi", CUT),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhappi", CUT),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhappi\r\n", CUT),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5", CUT),
            ("HTTP/1.1 302 Elsewhere\r\n\r\nhappy", "the status is 302 Found"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\nhappy", "the status is 101 Switching Protocols"),
            ("HTTP/1.1 204 None\r\n\r\nhappy", "the body is empty, expected \"happy\""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "the body is empty, expected \"happy\""),
            ("HTTP/1.1 200 OK\r\n\r\n", "the body is empty, expected \"happy\""),
            ("HTTP/1.1 099 What\r\n\r\n", "the answer is no HTTP (its status is none)"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP (invalid HTTP version)"),
            ("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "the answer is no HTTP (invalid header name)"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
                "the answer is no HTTP (the length of its body is no number, or two)",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                "the answer is no HTTP (the length of its body is no number, or two)",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhappy",
                "the answer is no HTTP (the length of its body is no number, or two)",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhappy\r\n",
                "the answer is no HTTP (a chunk of its body has no size)",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n\r\nppy",
                "the answer is no HTTP (a chunk of its body has no size)",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\nhappy",
                "the answer is no HTTP (a chunk of its body has no size)",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nhappy",
                "the answer is no HTTP (a chunk of its body has no size)",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhippo\r\n",
                "the answer is no HTTP (a chunk of its body is longer than its size)",
            ),
        ] {
            assert_eq!(verdict(Some("happy"), said), Err(why.to_owned()), "{said:?}");
        }
    }

    #[test]
    fn without_an_expectation_the_head_is_enough() {
        assert_eq!(verdict(None, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Ok(()));
        let wanted = Arc::new(Wanted { status: vec![301, 401], expect: None });
        assert_eq!(wanted.status(StatusCode::UNAUTHORIZED), Ok(()));
        let why = wanted.status(StatusCode::OK).unwrap_err();
        assert_eq!(why, "the status is 200 OK, wanted 301 or 401");
        let headed = Wanted { status: Vec::new(), expect: Some(Expect::parse("/^$/").unwrap()) };
        let request =
            Request { wanted: Arc::new(headed), headed_only: true, before_host: vec![], after_host: vec![] };
        let said = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(converse(&mut request.talk("www"), said, 9).0, Ok(()));
    }

    #[test]
    fn nothing_is_without_a_bound() {
        let long = |size: usize| "x".repeat(size);
        let head = format!("HTTP/1.1 200 OK\r\nx: {}", long(MOST_HEAD + 1));
        let why = converse(&mut talk(None), head.as_bytes(), 4096).0.unwrap_err();
        assert_eq!(why, "the answer is no HTTP (its head is longer than 65536 bytes)");
        let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(MOST_FIELDS + 1));
        let why = converse(&mut talk(None), fields.as_bytes(), 4096).0.unwrap_err();
        assert_eq!(why, "the answer is no HTTP (too many headers)");
        let size = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\nx\r\n",
            long(MOST_SIZE_LINE)
        );
        for piece in [100, size.len()] {
            let why = converse(&mut talk(Some("x")), size.as_bytes(), piece).0.unwrap_err();
            assert_eq!(why, "the answer is no HTTP (a chunk of its body has no size)", "{piece}");
        }
        // Of a long page the start counts.
        let page = |end: &str| format!("HTTP/1.1 200 OK\r\n\r\n{}{end}", long(MOST_BODY - 3));
        assert_eq!(converse(&mut talk(Some("/end$/")), page("endless").as_bytes(), 4096).0, Ok(()));
        let why = converse(&mut talk(Some("less")), page("endless").as_bytes(), 4096).0.unwrap_err();
        assert!(why.starts_with("the body has no \"less\""), "{why}");
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(400_000);
        assert_eq!(converse(&mut talk(None), hints.as_bytes(), 4096).0.unwrap_err(), "too much");
    }

    #[test]
    fn what_is_wanted_may_lie_across_pieces() {
        for piece in 1..20 {
            let said =
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nvery hap-\r\n7\r\n, happy\r\n";
            assert_eq!(converse(&mut talk(Some(", happy")), said, piece).0, Ok(()), "{piece}");
            assert_eq!(converse(&mut talk(Some("hap-, ha")), said, piece).0, Ok(()), "{piece}");
        }
    }

    #[test]
    fn a_document_is_gathered() {
        let said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n3\r\nppy\r\n0\r\n";
        for (most, document) in [(9, &b"happy"[..]), (5, b"happy"), (3, b"hap")] {
            let mut talk = talk(None).gathering(most);
            assert_eq!(converse(&mut talk, said, 3).0, Ok(()));
            assert_eq!(talk.into_body(), document);
        }
    }

    survives!(
        any_server_is_survived,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhappy",
        talk(Some("happy"))
    );
    survives!(
        any_chunks_are_survived,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n3;x=y\r\nppy\r\n0\r\n\r\n",
        talk(Some("/happy$/"))
    );
}
