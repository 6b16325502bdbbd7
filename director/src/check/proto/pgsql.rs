//! PostgreSQL (protocol 3.0): whether it takes connections, a login, a query.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::borrow::Cow;

use md5::{Digest, Md5};

use super::scram::{Salted, Scram};
use super::talk::{Heard, Step, Talk, Verdict};
use super::text::{Expect, quoted};

/// The longest message of a server that is read.
const LONGEST: usize = 128 * 1024;
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];
/// With whose name a server is asked whether it takes connections when the check has none.
const NOBODY: &str = "director";

/// What to ask of a PostgreSQL.
#[derive(Clone, Debug, Default)]
pub struct Pgsql {
    /// SSLRequest before anything else.
    pub starttls: bool,
    /// Name and password. Without them any answer of a server that takes connections is good, a refused login too.
    pub login: Option<(String, String)>,
    /// The database; the user's own if not given.
    pub database: Option<String>,
    /// A query that must give a row; needs a login.
    pub query: Option<String>,
    /// The first row, its columns separated by tabs, must have this.
    pub expect: Option<Expect>,
    /// See [`Salted`].
    pub salted: Salted,
}

/// The dialogue.
#[derive(Debug)]
pub struct PgsqlTalk {
    asked: Pgsql,
    stage: Stage,
    scram: Scram,
    row: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Tls,
    Login,
    Start,
    Query,
}

impl Pgsql {
    /// The dialogue; `nonce` is unforeseeable.
    pub fn talk(&self, nonce: &[u8]) -> PgsqlTalk {
        let stage = if self.starttls { Stage::Tls } else { Stage::Login };
        PgsqlTalk { asked: self.clone(), stage, scram: Scram::new(nonce), row: None }
    }

    fn startup(&self) -> Vec<u8> {
        let user = self.login.as_ref().map_or(NOBODY, |(name, _)| name);
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let database = self.database.as_deref().unwrap_or(user);
        for word in ["user", user, "database", database, "application_name", "director", ""] {
            body.extend(word.as_bytes());
            body.push(0);
        }
        with_length(&body)
    }
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &with_length(body)].concat()
}

fn end(verdict: Verdict) -> Step {
    Step::Done(verdict, TERMINATE.to_vec())
}

/// A message of the server, once it is complete.
fn next(heard: &mut Heard) -> Result<Option<(u8, Vec<u8>)>, String> {
    let foreign = |heard: &Heard| format!("the answer is not PostgreSQL's protocol: {}", heard.start());
    let bytes = heard.bytes();
    let Some(&tag) = bytes.first() else {
        return Ok(None);
    };
    if !tag.is_ascii_alphanumeric() {
        return Err(foreign(heard));
    }
    let Some(length) = bytes.get(1..5).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes) else {
        return Ok(None);
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(4..=LONGEST).contains(&length) {
        return Err(foreign(heard));
    }
    Ok(heard.take(1 + length).map(|message| (tag, message[5..].to_vec())))
}

/// The server's error: its code, and a sentence.
fn error(body: &[u8]) -> (String, String) {
    let field = |kind: u8| {
        let part = body.split(|b| *b == 0).find(|part| part.first() == Some(&kind));
        part.map(|part| String::from_utf8_lossy(&part[1..]).into_owned()).unwrap_or_default()
    };
    let (code, says) = (field(b'C'), quoted(&field(b'M')));
    let text = format!("PostgreSQL answered {says} ({})", quoted(&code).trim_matches('"'));
    (code, text)
}

impl PgsqlTalk {
    fn error(&self, body: &[u8]) -> Step {
        let (code, text) = error(body);
        // Classes 53 (no resources left) and 57 (shutting down, starting up) are not about who asks.
        let refuses_all = code.starts_with("53") || code.starts_with("57");
        match self.asked.login.is_none() && self.stage == Stage::Login && !refuses_all && code.len() == 5 {
            true => Step::good(),
            false => Step::fail(text),
        }
    }

    fn authentication(&mut self, body: &[u8]) -> Step {
        let kind = body.first_chunk::<4>().map(|four| u32::from_be_bytes(*four));
        let rest = body.get(4..).unwrap_or_default();
        let Some((name, password)) = &self.asked.login else {
            // It takes connections, which is what was asked.
            return Step::Done(Ok(()), Vec::new());
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            Some(0) => {
                self.stage = Stage::Start;
                Step::Wait
            }
            Some(3) => Step::Say(message(b'p', format!("{password}\0").as_bytes())),
            Some(5) => {
                let inner = hex(&Md5::digest(format!("{password}{name}")));
                let outer = hex(&Md5::new().chain_update(inner).chain_update(rest).finalize());
                Step::Say(message(b'p', format!("md5{outer}\0").as_bytes()))
            }
            Some(10) if rest.split(|b| *b == 0).any(|mechanism| mechanism == b"SCRAM-SHA-256") => {
                let first = self.scram.first();
                let body = [b"SCRAM-SHA-256\0", &with_length(first.as_bytes())[..]].concat();
                // The length of SASL data does not count itself.
                let mut body = body;
                body[14..18].copy_from_slice(&u32::try_from(first.len()).unwrap_or(0).to_be_bytes());
                Step::Say(message(b'p', &body))
            }
            Some(11) => match self.scram.proof(&text(rest), password, &self.asked.salted) {
                Ok(proof) => Step::Say(message(b'p', proof.as_bytes())),
                Err(why) => end(Err(why)),
            },
            Some(12) if self.scram.genuine(&text(rest)) => Step::Wait,
            Some(12) => end(Err("the server does not know the password it asks for".to_owned())),
            Some(other) => {
                end(Err(format!("the server wants a way of authentication ({other}) no check has")))
            }
            None => end(Err("the server's demand for a password makes no sense".to_owned())),
        }
    }

    fn message(&mut self, tag: u8, body: &[u8]) -> Step {
        match (self.stage, tag) {
            (_, b'E') => self.error(body),
            (Stage::Login, b'R') => self.authentication(body),
            (Stage::Start, b'Z') => match &self.asked.query {
                None => end(Ok(())),
                Some(query) => {
                    self.stage = Stage::Query;
                    Step::Say(message(b'Q', format!("{query}\0").as_bytes()))
                }
            },
            (Stage::Query, b'D') => {
                if self.row.is_none() {
                    self.row = Some(row(body));
                }
                Step::Wait
            }
            (Stage::Query, b'Z') => end(match (&self.row, &self.asked.expect) {
                (None, _) => Err("the query gave no row".to_owned()),
                (Some(row), Some(expect)) => expect.judge("the row", row),
                (Some(_), None) => Ok(()),
            }),
            _ => Step::Wait,
        }
    }
}

/// A row, its columns separated by tabs; what does not fit together is left out.
fn row(body: &[u8]) -> Vec<u8> {
    let mut columns: Vec<&[u8]> = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let Some(column) = tail.get(..length) else {
            break;
        };
        columns.push(column);
        rest = &tail[length..];
    }
    columns.join(&b'\t')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Talk for PgsqlTalk {
    fn opening(&mut self) -> Vec<u8> {
        match self.stage {
            Stage::Tls => SSL_REQUEST.to_vec(),
            _ => self.asked.startup(),
        }
    }

    fn secured(&mut self) -> Step {
        self.stage = Stage::Login;
        Step::Say(self.asked.startup())
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        if self.stage == Stage::Tls {
            return match heard.take(1).as_deref() {
                None => Step::Wait,
                Some(b"S") => Step::Secure(Vec::new()),
                Some(b"N") => Step::fail("the server has no TLS"),
                Some(_) => Step::fail("the answer to SSLRequest is not PostgreSQL's protocol"),
            };
        }
        loop {
            let step = match next(heard) {
                Ok(Some((tag, body))) => self.message(tag, &body),
                Ok(None) => return Step::Wait,
                Err(why) => return Step::fail(why),
            };
            if step != Step::Wait {
                return step;
            }
        }
    }

    fn stage(&self) -> Cow<'static, str> {
        let what = match self.stage {
            Stage::Tls => "the request for TLS",
            Stage::Login => "the login",
            Stage::Start => "that it is ready",
            Stage::Query => "the query",
        };
        format!("before it had answered {what}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn with_query() -> Pgsql {
        Pgsql {
            login: Some(("u".to_owned(), "p".to_owned())),
            query: Some("SELECT 1".to_owned()),
            expect: Some(Expect::parse("/^1$/").unwrap()),
            ..Pgsql::default()
        }
    }

    const SAID: &[u8] = b"R\0\0\0\x0c\0\0\0\x05abcdR\0\0\0\x08\0\0\0\0S\0\0\0\x06a\0Z\0\0\0\x05ID\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\x05\0Z\0\0\0\x05I";

    fn refusal(code: &str) -> Vec<u8> {
        message(b'E', format!("SFATAL\0C{code}\0Mno way\0\0").as_bytes())
    }

    #[test]
    fn login_and_query() {
        let (verdict, spoken) = converse(&mut with_query().talk(b"n"), SAID, 3);
        assert_eq!(verdict, Ok(()));
        // echo -n pu | md5sum; then that with "abcd" behind it.
        assert!(spoken.windows(6).any(|window| window == b"p\0\0\0\x28m"), "{spoken:?}");
        assert!(spoken.ends_with(b"Q\0\0\0\x0dSELECT 1\0X\0\0\0\x04"));
        let mut empty = with_query().talk(b"n");
        let no_row = [&SAID[..35], b"Z\0\0\0\x05I", b"Z\0\0\0\x05I"].concat();
        assert_eq!(converse(&mut empty, &no_row, 99).0.unwrap_err(), "the query gave no row");
    }

    #[test]
    fn without_a_login_a_refused_stranger_is_a_good_sign_unless_all_are_refused() {
        for (code, good) in
            [("28000", true), ("3D000", true), ("57P03", false), ("53300", false), ("", false)]
        {
            let (verdict, _) = converse(&mut Pgsql::default().talk(b"n"), &refusal(code), 99);
            assert_eq!(verdict.is_ok(), good, "{code}");
        }
        assert_eq!(converse(&mut Pgsql::default().talk(b"n"), SAID, 99).0, Ok(()));
        let (verdict, _) = converse(&mut with_query().talk(b"n"), &refusal("28P01"), 99);
        assert_eq!(verdict.unwrap_err(), "PostgreSQL answered \"no way\" (28P01)");
        let (verdict, _) = converse(&mut Pgsql::default().talk(b"n"), b"HTTP/1.1 400", 99);
        assert!(verdict.unwrap_err().contains("not PostgreSQL's protocol"));
    }

    survives!(any_server_is_survived, SAID, with_query().talk(b"n"));
}
