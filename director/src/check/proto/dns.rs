//! DNS (RFC 1035): one question, over UDP or TCP, and the records that must come back.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::talk::{Exchange, Heard, Step, Talk, Verdict};
use super::text::{Expect, quoted};

/// Pointers followed in one name: more than names have labels is a loop.
const MOST_JUMPS: usize = 128;
/// Records looked at in one answer.
const MOST_RECORDS: u16 = 1000;
const IN: u16 = 1;

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the DNS's own")]
pub enum Kind {
    A,
    Ns,
    Cname,
    Soa,
    Ptr,
    Mx,
    Txt,
    Aaaa,
    Srv,
}

impl Kind {
    const ALL: [(Kind, &'static str, u16); 9] = [
        (Kind::A, "A", 1),
        (Kind::Ns, "NS", 2),
        (Kind::Cname, "CNAME", 5),
        (Kind::Soa, "SOA", 6),
        (Kind::Ptr, "PTR", 12),
        (Kind::Mx, "MX", 15),
        (Kind::Txt, "TXT", 16),
        (Kind::Aaaa, "AAAA", 28),
        (Kind::Srv, "SRV", 33),
    ];

    /// By its name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(kind, ..)| *kind)
    }

    /// Every name there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, name, _)| *name)
    }

    fn entry(self) -> &'static (Kind, &'static str, u16) {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).unwrap_or(&Self::ALL[0])
    }
}

/// What to ask of a name server.
#[derive(Clone, Debug)]
pub struct Dns {
    /// The name in wire form.
    name: Vec<u8>,
    shown: String,
    kind: Kind,
    /// One record must be this text exactly (in any case), or match the pattern.
    expect: Option<Expect>,
    /// Nothing in particular is asked: any answer but SERVFAIL shows that it is there.
    alive: bool,
}

impl Dns {
    /// Asks for `name`; an address is asked for in reverse (PTR). Without a name (`""`) any answer of a working server
    /// is good.
    ///
    /// # Errors
    /// A sentence if it is no name.
    pub fn new(name: &str, kind: Option<Kind>, expect: Option<Expect>) -> Result<Self, String> {
        let address = name.parse::<IpAddr>().ok();
        let (text, usual) = match address {
            Some(address) => (reverse(address), Kind::Ptr),
            None if name.is_empty() => (".".to_owned(), Kind::Soa),
            None => (name.to_owned(), Kind::A),
        };
        let kind = kind.unwrap_or(usual);
        let alive = name.is_empty() && expect.is_none();
        Ok(Self { name: encode_name(&text)?, shown: text, kind, expect, alive })
    }

    /// The question, as one datagram. `id` must be unforeseeable.
    pub fn exchange(&self, id: u16) -> DnsExchange {
        let mut question = Vec::with_capacity(17 + self.name.len());
        // Recursion desired, one question.
        for word in [id, 0x0100, 1, 0, 0, 0] {
            question.extend(word.to_be_bytes());
        }
        question.extend(&self.name);
        question.extend(self.kind.entry().2.to_be_bytes());
        question.extend(IN.to_be_bytes());
        DnsExchange { asked: self.clone(), question }
    }

    /// The same over TCP.
    pub fn talk(&self, id: u16) -> DnsTalk {
        DnsTalk { exchange: self.exchange(id) }
    }
}

/// The name by which an address is looked up.
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

fn encode_name(name: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(name.len() + 2);
    let bare = name.trim_end_matches('.');
    for label in bare.split('.').filter(|_| !bare.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        let length = length.ok_or_else(|| {
            format!("{} is no DNS name: each part between dots has 1 to 63 bytes", quoted(name))
        })?;
        out.push(length);
        out.extend(label.bytes());
    }
    out.push(0);
    match out.len() <= 255 {
        true => Ok(out),
        false => Err(format!("{} is no DNS name: it is longer than 255 bytes", quoted(name))),
    }
}

/// A question by datagram.
#[derive(Debug)]
pub struct DnsExchange {
    asked: Dns,
    question: Vec<u8>,
}

/// A message being read.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)
    }

    /// A name, with pointers followed.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut end = None;
        for _ in 0..MOST_JUMPS {
            let length = usize::from(*self.message.get(at)?);
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some(if name.is_empty() { ".".to_owned() } else { name });
                }
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&String::from_utf8_lossy(label));
                    at += 1 + length;
                }
                192..=255 => {
                    end.get_or_insert(at + 2);
                    at = (length & 63) << 8 | usize::from(*self.message.get(at + 1)?);
                }
                _ => return None,
            }
            if name.len() > 1024 {
                return None;
            }
        }
        None
    }

    /// The data of a record of `kind` as text, the way zone files write it, and where it ends.
    fn record(&mut self, kind: Kind) -> Option<Option<String>> {
        self.name()?;
        let (kind_here, class) = (self.u16()?, self.u16()?);
        self.bytes(4)?;
        let length = usize::from(self.u16()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let data = (kind_here == kind.entry().2 && class == IN).then(|| self.data(kind, end));
        self.at = end;
        match data {
            Some(text) => Some(Some(text?)),
            None => Some(None),
        }
    }

    fn data(&mut self, kind: Kind, end: usize) -> Option<String> {
        let text = match kind {
            Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(self.bytes(4)?).ok()?).to_string(),
            Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(self.bytes(16)?).ok()?).to_string(),
            Kind::Ns | Kind::Cname | Kind::Ptr | Kind::Soa => self.name()?,
            Kind::Mx => format!("{} {}", self.u16()?, self.name()?),
            Kind::Srv => format!("{} {} {} {}", self.u16()?, self.u16()?, self.u16()?, self.name()?),
            Kind::Txt => {
                let mut text = Vec::new();
                while self.at < end {
                    let length = usize::from(*self.bytes(1)?.first()?);
                    text.extend(self.bytes(length)?);
                }
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        (self.at <= end).then_some(text)
    }
}

impl DnsExchange {
    /// The records of an answer with no error; `Err(None)` if it is not one to our question.
    fn records(&self, answer: &[u8]) -> Result<(Vec<String>, bool), Option<String>> {
        let broken = || Some("the answer is no DNS message".to_owned());
        let mut reader = Reader { message: answer, at: 0 };
        let mut header = [0_u16; 6];
        for word in &mut header {
            *word = reader.u16().ok_or(None)?;
        }
        let [id, flags, questions, answers, ..] = header;
        let ours = self.question.get(..2).is_some_and(|bytes| bytes == id.to_be_bytes());
        if !ours || flags & 0x8000 == 0 {
            return Err(None);
        }
        let rcode = flags & 15;
        if self.asked.alive && rcode != 2 {
            return Ok((Vec::new(), false));
        }
        if rcode != 0 {
            let what = format!("{} {}", self.asked.shown, self.asked.kind.entry().1);
            return Err(Some(format!("the answer to {what} is {}", rcode_name(rcode))));
        }
        for _ in 0..questions.min(MOST_RECORDS) {
            let same = reader.name().ok_or_else(broken)?.eq_ignore_ascii_case(self.shown());
            reader.bytes(4).ok_or_else(broken)?;
            if !same {
                return Err(None);
            }
        }
        let truncated = flags & 0x0200 != 0;
        let mut records = Vec::new();
        for _ in 0..answers.min(MOST_RECORDS) {
            match reader.record(self.asked.kind) {
                Some(record) => records.extend(record),
                None if truncated => break,
                None => return Err(broken()),
            }
        }
        Ok((records, truncated))
    }

    fn shown(&self) -> &str {
        match self.asked.shown.trim_end_matches('.') {
            "" => ".",
            name => name,
        }
    }

    fn verdict(&self, records: &[String], truncated: bool) -> Verdict {
        if self.asked.alive {
            return Ok(());
        }
        let kind = self.asked.kind.entry().1;
        let tail = if truncated { "; the answer was cut, ask by tcp" } else { "" };
        let Some(expect) = &self.asked.expect else {
            return match records.is_empty() {
                false => Ok(()),
                true => Err(format!("{} has no {kind} record here{tail}", self.shown())),
            };
        };
        let bare = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
        let good = records.iter().any(|record| match expect {
            Expect::Text(text) => bare(text) == bare(record),
            Expect::Pattern(_) => expect.matches(record.as_bytes()),
        });
        match good {
            true => Ok(()),
            false if records.is_empty() => {
                Err(format!("{} has no {kind} record here, expected {expect}{tail}", self.shown()))
            }
            false => {
                let records = quoted(&records.join(", "));
                Err(format!("{} {kind} is {records}, expected {expect}{tail}", self.shown()))
            }
        }
    }
}

/// RFC 1035 section 4.1.1, RFC 2136.
fn rcode_name(rcode: u16) -> String {
    match rcode {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("the error {other}"),
    }
}

impl Exchange for DnsExchange {
    fn question(&self) -> &[u8] {
        &self.question
    }

    fn judge(&mut self, answer: &[u8]) -> Option<Verdict> {
        match self.records(answer) {
            Ok((records, truncated)) => Some(self.verdict(&records, truncated)),
            Err(Some(why)) => Some(Err(why)),
            Err(None) => None,
        }
    }
}

/// The question over TCP: each message has its length before it.
#[derive(Debug)]
pub struct DnsTalk {
    exchange: DnsExchange,
}

impl Talk for DnsTalk {
    fn opening(&mut self) -> Vec<u8> {
        let question = &self.exchange.question;
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes()[..], question].concat()
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        while let Some(&[high, low]) = heard.bytes().first_chunk::<2>() {
            let length = 2 + usize::from(u16::from_be_bytes([high, low]));
            let Some(message) = heard.take(length) else {
                return Step::Wait;
            };
            if let Some(verdict) = self.exchange.judge(&message[2..]) {
                return Step::Done(verdict, Vec::new());
            }
        }
        Step::Wait
    }

    fn stage(&self) -> Cow<'static, str> {
        "before it had answered the question".into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, judge, survives};
    use super::*;

    /// The answer to `exchange` with `records` as (type, data), each under the name asked for.
    fn answer(exchange: &DnsExchange, rcode: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = exchange.question.clone();
        out[2] = 0x84;
        out[3] = 0x80 | rcode;
        out[7] = records.len() as u8;
        for (kind, data) in records {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(*data);
        }
        out
    }

    fn asked(name: &str, kind: Option<Kind>, expect: Option<&str>) -> DnsExchange {
        let expect = expect.map(|text| Expect::parse(text).unwrap());
        Dns::new(name, kind, expect).unwrap().exchange(0x1234)
    }

    #[test]
    fn the_record_must_be_the_one_expected() {
        let mut exchange = asked("www.example.com", None, Some("192.0.2.1"));
        assert_eq!(&exchange.question[..6], &[0x12, 0x34, 1, 0, 0, 1]);
        assert!(exchange.question.ends_with(b"\x03www\x07example\x03com\0\0\x01\0\x01"));
        let good = answer(&exchange, 0, &[(5, b"\xc0\x0c"), (1, &[192, 0, 2, 1])]);
        assert_eq!(judge(&mut exchange, &good), Some(Ok(())));
        // 192.0.2.10 begins with what is expected, and is another.
        let other = answer(&exchange, 0, &[(1, &[192, 0, 2, 10])]);
        assert_eq!(
            judge(&mut exchange, &other).unwrap().unwrap_err(),
            "www.example.com A is \"192.0.2.10\", expected \"192.0.2.1\""
        );
        let none = answer(&exchange, 3, &[]);
        assert_eq!(
            judge(&mut exchange, &none).unwrap().unwrap_err(),
            "the answer to www.example.com A is NXDOMAIN"
        );
    }

    #[test]
    fn every_type_is_read_as_zone_files_write_it() {
        let name = b"\x02mx\xc0\x10";
        for (kind, data, text) in [
            (Kind::Aaaa, &[0; 16][..], "::"),
            (Kind::Mx, &[&[0, 10], &name[..]].concat()[..], "10 mx.example.com"),
            (Kind::Srv, &[&[0, 1, 0, 2, 0, 80], &name[..]].concat()[..], "1 2 80 mx.example.com"),
            (Kind::Txt, b"\x02ab\x01c", "abc"),
            (Kind::Cname, name, "MX.example.com."),
            (Kind::Soa, name, "mx.example.com"),
        ] {
            let mut exchange = asked("www.example.com.", Some(kind), Some(text));
            let answer = answer(&exchange, 0, &[(kind.entry().2, data)]);
            assert_eq!(judge(&mut exchange, &answer), Some(Ok(())), "{kind:?}");
            assert_eq!(Kind::named(kind.entry().1), Some(kind));
        }
    }

    #[test]
    fn strays_are_passed_over() {
        let mut exchange = asked("a.b", None, None);
        let mut stray = answer(&exchange, 0, &[(1, &[1, 2, 3, 4])]);
        stray[1] ^= 1;
        assert_eq!(judge(&mut exchange, &stray), None);
        let mut other_name = answer(&exchange, 0, &[(1, &[1, 2, 3, 4])]);
        other_name[13] = b'x';
        assert_eq!(judge(&mut exchange, &other_name), None);
        let echo = exchange.question.clone();
        assert_eq!(judge(&mut exchange, &echo), None);
        assert_eq!(judge(&mut exchange, b"x"), None);
    }

    #[test]
    fn a_loop_of_pointers_and_a_cut_answer_end() {
        let mut exchange = asked("a.b", Some(Kind::Cname), None);
        let looped = answer(&exchange, 0, &[(5, b"\xc0\x21")]);
        assert_eq!(judge(&mut exchange, &looped).unwrap().unwrap_err(), "the answer is no DNS message");
        let mut cut = answer(&exchange, 0, &[(5, b"\x01c\0")]);
        cut[2] |= 2;
        cut.truncate(cut.len() - 2);
        assert!(judge(&mut exchange, &cut).unwrap().unwrap_err().ends_with("ask by tcp"));
    }

    #[test]
    fn without_a_name_any_answer_shows_life_but_servfail() {
        let mut exchange = asked("", None, None);
        let refused = answer(&exchange, 5, &[]);
        assert_eq!(judge(&mut exchange, &refused), Some(Ok(())));
        let failed = answer(&exchange, 2, &[]);
        assert!(judge(&mut exchange, &failed).unwrap().unwrap_err().contains("SERVFAIL"));
    }

    #[test]
    fn addresses_are_asked_for_in_reverse() {
        assert_eq!(asked("192.0.2.7", None, None).shown(), "7.2.0.192.in-addr.arpa");
        let six = asked("2001:db8::1", None, None);
        assert!(six.shown().starts_with("1.0.0.0.") && six.shown().ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
        assert_eq!(six.asked.kind, Kind::Ptr);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["a..b", ".a", &"x".repeat(64), &"abcdefg.".repeat(40)] {
            assert!(Dns::new(name, None, None).is_err(), "{name}");
        }
    }

    #[test]
    fn over_tcp() {
        let dns = Dns::new("a.b", None, None).unwrap();
        let message = answer(&dns.exchange(7), 0, &[(1, &[1, 2, 3, 4])]);
        let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        assert_eq!(converse(&mut dns.talk(7), &framed, 1).0, Ok(()));
    }

    const GOOD: &[u8] =
        b"\0\x23\0\x07\x84\x80\0\x01\0\x01\0\0\0\0\x01a\x01b\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04";

    survives!(any_server_is_survived, GOOD, Dns::new("a.b", None, None).unwrap().talk(7));
}
