//! Any bytes as what a server says: for tests and fuzzers, without a socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

use base::config::problem::Report;
use base::config::table::{ROOT, Table};
use toml::de::DeTable;

use super::parse;
use super::prepared::Prepared;
use super::proto::talk::{Exchange, Heard, MOST_HEARD, Step, Talk};
use super::proto::x509;
use crate::table::Protocol;

/// Checks that say and hear as much as each type can, written as in a configuration.
const CHECKS: [&str; 23] = [
    "type = \"connect\"\nsend = \"who\"\nexpect = \"/^[a-z]+ ok/\"",
    "type = \"udp\"\nsend = \"who\"\nexpect = \"ok\"",
    "type = \"dns\"",
    "type = \"dns\"\nname = \"www.example.com\"\nexpect = \"192.0.2.1\"",
    "type = \"dns\"\nname = \"www.example.com\"\nrecord = \"MX\"\nexpect = \"/mail/\"",
    "type = \"dns\"\nname = \"192.0.2.1\"\ntcp = true",
    "type = \"smtp\"\nuser = \"u\"\npassword = \"p\"",
    "type = \"imap\"\nuser = \"u\"\npassword = \"p\"\npath = \"INBOX\"",
    "type = \"pop3\"\nuser = \"u\"\npassword = \"p\"",
    "type = \"ftp\"\nuser = \"u\"\npassword = \"p\"\npath = \"f\"\nexpect = \"file\"",
    "type = \"nntp\"\nuser = \"u\"\npassword = \"p\"\npath = \"g\"",
    "type = \"ldap\"",
    "type = \"ldap\"\nuser = \"cn=u\"\npassword = \"p\"\nbase = \"dc=x\"\nfilter = \"(&(a=b)(!(c=*)))\"\nattribute = \"a\"\nexpect = \"b\"",
    "type = \"mysql\"\nuser = \"u\"\npassword = \"p\"\nquery = \"SELECT 1\"\nexpect = \"1\"",
    "type = \"mysql\"",
    "type = \"pgsql\"\nuser = \"u\"\npassword = \"p\"\nquery = \"SELECT 1\"\nexpect = \"1\"",
    "type = \"redis\"\nuser = \"u\"\npassword = \"p\"\ncommand = \"INFO\"\nexpect = \"role:master\"",
    "type = \"radius\"\nsecret = \"s\"\nuser = \"u\"\npassword = \"p\"",
    "type = \"radius\"\nsecret = \"s\"",
    "type = \"sip\"\nuser = \"u@x\"\nstatus = [200, 404]",
    "type = \"http\"",
    "type = \"http\"\nstatus = [200, 404]\nexpect = \"happy\"",
    "type = \"http\"\nexpect = \"/^happy$/\"",
];
/// Known beforehand, so that a server can be right.
const NONCE: [u8; 18] = *b"nonce-of-a-fuzzer!";

/// The first byte chooses the check, the second how long the pieces are in which the rest is heard. No verdict may depend
/// on those, nothing may panic, hang or grow, and a reason is a sentence.
pub fn hear(data: &[u8]) {
    static READY: OnceLock<Vec<Prepared>> = OnceLock::new();
    let [which, piece, said @ ..] = data else { return };
    x509::not_after(said);
    let ready = READY.get_or_init(|| CHECKS.iter().map(|text| prepared(text)).collect());
    let check = &ready[usize::from(*which) % ready.len()];
    let (local, remote) = (SocketAddr::from(([192, 0, 2, 9], 40_000)), SocketAddr::from(([192, 0, 2, 1], 9)));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        if check.by_datagrams(protocol) {
            let mut exchange = check.exchange(local, remote, &NONCE).expect("it asks by datagrams");
            let verdict = judge(&mut *exchange, said);
            sentence(&verdict.unwrap_or(Ok(())));
        } else if let Ok(mut talk) = check.talk(local, remote, &NONCE) {
            let (verdict, _) = converse(&mut *talk, said, usize::from(*piece));
            sentence(&verdict);
            let mut again = check.talk(local, remote, &NONCE).expect("it did so before");
            let (whole, _) = converse(&mut *again, said, said.len());
            assert_eq!(verdict.is_ok(), whole.is_ok(), "pieces make a difference: {verdict:?}, {whole:?}");
        }
    }
}

fn sentence(verdict: &Result<(), String>) {
    if let Err(why) = verdict {
        assert!(!why.is_empty() && why.len() < 2000, "no sentence: {why:?}");
    }
}

fn prepared(text: &str) -> Prepared {
    let table = DeTable::parse(text).expect("TOML");
    let report = Report::new(Path::new("check"), text);
    let root = Table::new(ROOT.to_owned(), table.span(), table.get_ref(), &report);
    let spec = parse::read(&root, &report);
    root.finish();
    assert!(!report.has_errors(), "{}", report.into_problems().render(false));
    Prepared::new(&spec.expect("a check")).expect("one that can be asked")
}

/// Lets `talk` hear `said` in pieces. Returns its verdict and all it said; the end of the stream counts as its close.
pub fn converse(talk: &mut dyn Talk, said: &[u8], piece: usize) -> (Result<(), String>, Vec<u8>) {
    let mut spoken = talk.opening();
    let mut heard = Heard::default();
    for part in said.chunks(piece.max(1)) {
        heard.add(part);
        if heard.total() > talk.most() {
            return (Err("too much".to_owned()), spoken);
        }
        if let Some(verdict) = drive(talk, &mut heard, &mut spoken) {
            return (verdict, spoken);
        }
        assert!(!talk.stage().is_empty());
    }
    (talk.closed(&mut heard), spoken)
}

/// Until the talk waits or ends.
fn drive(talk: &mut dyn Talk, heard: &mut Heard, spoken: &mut Vec<u8>) -> Option<Result<(), String>> {
    let mut step = talk.hear(heard);
    // Each step takes something from what was heard, so that there are never more steps than bytes.
    for _ in 0..=MOST_HEARD {
        match step {
            Step::Wait => return None,
            Step::Say(words) => {
                spoken.extend(words);
                step = talk.hear(heard);
            }
            Step::Secure(words) => {
                spoken.extend(words);
                heard.forget();
                step = talk.secured();
            }
            Step::Fetch(_, words) => {
                spoken.extend(words);
                step = talk.fetched(Ok(b"file".to_vec()));
            }
            Step::Done(verdict, words) => {
                spoken.extend(words);
                assert!(verdict.as_ref().err().is_none_or(|why| !why.is_empty() && why.len() < 2000));
                return Some(verdict);
            }
        }
    }
    panic!("the talk does not come to an end");
}

/// The verdict of `exchange` on one datagram; asserts that it can be given at all.
pub fn judge(exchange: &mut dyn Exchange, answer: &[u8]) -> Option<Result<(), String>> {
    assert!(!exchange.question().is_empty());
    exchange.judge(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_server_is_believed_in_any_pieces() {
        let place = CHECKS.iter().position(|text| text.contains("connect")).unwrap();
        let check = prepared(CHECKS[place]);
        let end = SocketAddr::from(([192, 0, 2, 9], 1));
        for piece in 1..12 {
            let mut talk = check.talk(end, end, &NONCE).unwrap();
            assert_eq!(converse(&mut *talk, b"server ok\r\n", piece).0, Ok(()));
        }
        for which in 0..=255 {
            hear(&[which, 3, b'2', b'2', b'0', b' ', b'x', b'\r', b'\n']);
        }
    }
}
