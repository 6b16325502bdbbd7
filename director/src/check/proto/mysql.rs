//! MySQL and MariaDB: the handshake to its end, and a query.
//! <https://dev.mysql.com/doc/dev/mysql-internals/en/client-server-protocol.html>
//!
//! A check that only read the greeting and hung up would be counted as a connection error, and after
//! `max_connect_errors` of them the server refuses this host altogether. So a login is always tried; without a user
//! given it is a stranger's, and its refusal shows that the server is at work.

use std::borrow::Cow;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::talk::{Heard, Step, Talk, Verdict};
use super::text::{Expect, quoted};

/// The longest packet of a server that is read.
const LONGEST: usize = 128 * 1024;
/// Capabilities: long password, connect with database, protocol 4.1, TLS, transactions, secure connection, plugins.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
const WITH_DATABASE: u32 = 0x8;
const WITH_TLS: u32 = 0x800;
const UTF8MB4: u8 = 45;
/// Whose login is tried when the check has no user.
const NOBODY: &str = "director";
const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

/// What to ask of a MySQL.
#[derive(Clone, Debug, Default)]
pub struct Mysql {
    /// TLS after the greeting.
    pub starttls: bool,
    /// Name and password. Without them a refused login is good too.
    pub login: Option<(String, String)>,
    /// The database to use.
    pub database: Option<String>,
    /// A query that must give a row; needs a login.
    pub query: Option<String>,
    /// The first row, its columns separated by tabs, must have this.
    pub expect: Option<Expect>,
}

/// The dialogue.
#[derive(Debug)]
pub struct MysqlTalk {
    asked: Mysql,
    stage: Stage,
    /// The number of the packet that was heard last.
    sequence: u8,
    nonce: Vec<u8>,
    plugin: String,
    secure: bool,
    row: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Login,
    Query,
    Columns,
    Rows,
}

impl Mysql {
    /// The dialogue.
    pub fn talk(&self) -> MysqlTalk {
        MysqlTalk {
            asked: self.clone(),
            stage: Stage::Greeting,
            sequence: 0,
            nonce: Vec::new(),
            plugin: NATIVE.to_owned(),
            secure: false,
            row: None,
        }
    }
}

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
    [&length[..3], &[sequence], body].concat()
}

/// SHA1(password) ^ SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password);
    let mask = Sha1::new().chain_update(nonce).chain_update(Sha1::digest(once)).finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// SHA256(password) ^ SHA256(SHA256(SHA256(password)), nonce).
fn caching(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(nonce).finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// The server's error: its number, and a sentence.
fn error(body: &[u8]) -> (u16, String) {
    let number = body.get(1..3).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
    let text = body.get(3..).unwrap_or_default();
    // "#HY000" before the text, but not in the errors before the handshake.
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    (number, format!("MySQL answered {} ({number})", quoted(&String::from_utf8_lossy(text))))
}

impl MysqlTalk {
    fn greeting(&mut self, body: &[u8]) -> Step {
        let read = || -> Option<(Vec<u8>, String, u32)> {
            let body = body.strip_prefix(&[10])?;
            let end = body.iter().position(|b| *b == 0)?;
            let rest = body.get(end + 1 + 4..)?;
            let mut nonce = rest.get(..8)?.to_vec();
            let low = rest.get(9..11)?;
            let high = rest.get(14..16).unwrap_or(&[0, 0]);
            let capabilities = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
            let length = usize::from(*rest.get(16).unwrap_or(&0)).saturating_sub(8).max(13);
            let more = rest.get(27..).unwrap_or_default();
            nonce.extend(more.get(..length.min(more.len())).unwrap_or_default());
            nonce.truncate(20);
            let plugin = more.get(length..).unwrap_or_default();
            let plugin = plugin.split(|b| *b == 0).next().unwrap_or_default();
            Some((nonce, String::from_utf8_lossy(plugin).into_owned(), capabilities))
        };
        let Some((nonce, plugin, capabilities)) = read() else {
            return Step::fail("the greeting is not MySQL's protocol");
        };
        (self.nonce, self.stage) = (nonce, Stage::Login);
        if plugin == CACHING {
            self.plugin = plugin;
        }
        if !self.asked.starttls {
            return Step::Say(self.login());
        }
        if capabilities & WITH_TLS == 0 {
            return Step::fail("the server has no TLS");
        }
        let head = self.head();
        self.sequence += 1;
        Step::Secure(packet(self.sequence, &head))
    }

    /// The fixed start of a login, which is the whole request for TLS.
    fn head(&self) -> Vec<u8> {
        let mut flags = CAPABILITIES;
        if self.asked.database.is_some() {
            flags |= WITH_DATABASE;
        }
        if self.asked.starttls {
            flags |= WITH_TLS;
        }
        let mut head = flags.to_le_bytes().to_vec();
        head.extend((1_u32 << 24).to_le_bytes());
        head.push(UTF8MB4);
        head.extend([0; 23]);
        head
    }

    fn login(&mut self) -> Vec<u8> {
        let mut body = self.head();
        let user = self.asked.login.as_ref().map_or(NOBODY, |(name, _)| name);
        body.extend(user.as_bytes());
        body.push(0);
        let proof = self.proof();
        body.push(proof.len() as u8);
        body.extend(proof);
        if let Some(database) = &self.asked.database {
            body.extend(database.as_bytes());
            body.push(0);
        }
        body.extend(self.plugin.as_bytes());
        body.push(0);
        self.sequence = self.sequence.wrapping_add(1);
        packet(self.sequence, &body)
    }

    fn password(&self) -> &str {
        self.asked.login.as_ref().map_or("", |(_, password)| password)
    }

    fn proof(&self) -> Vec<u8> {
        match self.password() {
            "" => Vec::new(),
            password if self.plugin == CACHING => caching(password, &self.nonce),
            password => native(password, &self.nonce),
        }
    }

    fn authentication(&mut self, body: &[u8]) -> Step {
        match body {
            [0, ..] => match &self.asked.query {
                None => quit(Ok(())),
                Some(query) => {
                    self.stage = Stage::Query;
                    Step::Say(packet(0, &[&[3], query.as_bytes()].concat()))
                }
            },
            [0xff, ..] => {
                let (number, text) = error(body);
                // Who asks is not known, not allowed, or wants another plugin: the server is at work all the same.
                let stranger = matches!(number, 1044 | 1045 | 1049 | 1227 | 1251 | 1524 | 1698 | 2059);
                match self.asked.login.is_none() && stranger {
                    true => Step::good(),
                    false => Step::fail(text),
                }
            }
            [0xfe, rest @ ..] => self.switch(rest),
            [1, 3] => Step::Wait,
            [1, 4] if self.secure => {
                let password = format!("{}\0", self.password());
                Step::Say(self.reply(password.as_bytes()))
            }
            [1, 4] => Step::fail(
                "the server has not seen this password yet and wants it over TLS; give the check tls",
            ),
            _ => Step::fail("the answer to the login is not MySQL's protocol"),
        }
    }

    /// The server wants another way to prove the password.
    fn switch(&mut self, rest: &[u8]) -> Step {
        let mut parts = rest.splitn(2, |b| *b == 0);
        let plugin = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let mut nonce = parts.next().unwrap_or_default().to_vec();
        nonce.truncate(20);
        if plugin != NATIVE && plugin != CACHING {
            return match self.asked.login {
                None => Step::good(),
                Some(_) => Step::fail(format!("the user's plugin {} is none a check has", quoted(&plugin))),
            };
        }
        (self.plugin, self.nonce) = (plugin, nonce);
        let proof = self.proof();
        Step::Say(self.reply(&proof))
    }

    fn reply(&mut self, body: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        packet(self.sequence, body)
    }

    fn query(&mut self, body: &[u8]) -> Step {
        let end_of_part = body.first() == Some(&0xfe) && body.len() < 9;
        match (self.stage, body.first()) {
            (_, Some(0xff)) => quit(Err(error(body).1)),
            (Stage::Query, Some(0)) => quit(Err("the query gave no row".to_owned())),
            (Stage::Query, _) => {
                self.stage = Stage::Columns;
                Step::Wait
            }
            (Stage::Columns, _) if end_of_part => {
                self.stage = Stage::Rows;
                Step::Wait
            }
            (Stage::Rows, _) if end_of_part => quit(self.judge()),
            (Stage::Rows, _) => {
                if self.row.is_none() {
                    self.row = Some(row(body));
                }
                Step::Wait
            }
            _ => Step::Wait,
        }
    }

    fn judge(&self) -> Verdict {
        match (&self.row, &self.asked.expect) {
            (None, _) => Err("the query gave no row".to_owned()),
            (Some(row), Some(expect)) => expect.judge("the row", row),
            (Some(_), None) => Ok(()),
        }
    }
}

fn quit(verdict: Verdict) -> Step {
    Step::Done(verdict, packet(0, &[1]))
}

/// A row, its columns separated by tabs; what does not fit together is left out.
fn row(mut rest: &[u8]) -> Vec<u8> {
    let mut columns: Vec<&[u8]> = Vec::new();
    while let Some((&first, tail)) = rest.split_first() {
        let (bytes, null) = match first {
            0..=0xfa => (0, false),
            0xfb => (0, true),
            0xfc => (2, false),
            0xfd => (3, false),
            _ => (8, false),
        };
        let Some(digits) = tail.get(..bytes) else {
            break;
        };
        let long = digits.iter().rev().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
        let length = match (null, bytes) {
            (true, _) => 0,
            (false, 0) => usize::from(first),
            (false, _) => long,
        };
        let Some(column) = tail.get(bytes..).and_then(|tail| tail.get(..length)) else {
            break;
        };
        columns.push(column);
        rest = &tail[bytes + length..];
    }
    columns.join(&b'\t')
}

impl Talk for MysqlTalk {
    fn hear(&mut self, heard: &mut Heard) -> Step {
        loop {
            let Some(&[a, b, c, sequence]) = heard.bytes().first_chunk::<4>() else {
                return Step::Wait;
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if length == 0 || length > LONGEST {
                return Step::fail(format!("the answer is not MySQL's protocol: {}", heard.start()));
            }
            let Some(packet) = heard.take(4 + length) else {
                return Step::Wait;
            };
            let body = &packet[4..];
            self.sequence = sequence;
            let step = match self.stage {
                Stage::Greeting if body.first() == Some(&0xff) => Step::fail(error(body).1),
                Stage::Greeting => self.greeting(body),
                Stage::Login => self.authentication(body),
                _ => self.query(body),
            };
            if step != Step::Wait {
                return step;
            }
        }
    }

    fn secured(&mut self) -> Step {
        self.secure = true;
        Step::Say(self.login())
    }

    fn stage(&self) -> Cow<'static, str> {
        match self.stage {
            Stage::Greeting => "before it had greeted".into(),
            Stage::Login => "before it had answered the login".into(),
            _ => "before it had answered the query".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    const GREETING: &[u8] = b"\x5a\0\0\0\x0a5.5.5-10.11.14-MariaDB\0\x07\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0";
    const OK: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    const RESULT: &[u8] = b"\x01\0\0\x01\x01\x03\0\0\x02def\x05\0\0\x03\xfe\0\0\x02\0\x02\0\0\x04\x011\x05\0\0\x05\xfe\0\0\x02\0";

    fn said(parts: &[&[u8]]) -> Vec<u8> {
        let mut greeting = GREETING.to_vec();
        greeting[0] = u8::try_from(GREETING.len() - 4).unwrap();
        [&[&greeting[..]], parts].concat().concat()
    }

    fn with_query() -> Mysql {
        Mysql {
            login: Some(("u".to_owned(), "p".to_owned())),
            query: Some("SELECT 1".to_owned()),
            expect: Some(Expect::parse("/^1$/").unwrap()),
            ..Mysql::default()
        }
    }

    #[test]
    fn login_and_query() {
        let (verdict, spoken) = converse(&mut with_query().talk(), &said(&[OK, RESULT]), 3);
        assert_eq!(verdict, Ok(()));
        let proof = native("p", b"abcdefghijklmnopqrst");
        assert!(spoken.windows(20).any(|window| window == proof), "{spoken:?}");
        assert!(spoken.ends_with(b"\x09\0\0\0\x03SELECT 1\x01\0\0\0\x01"));
        let (verdict, _) =
            converse(&mut with_query().talk(), &said(&[OK, b"\x07\0\0\x01\0\0\0\x02\0\0\0"]), 9);
        assert_eq!(verdict.unwrap_err(), "the query gave no row");
    }

    #[test]
    fn the_server_may_ask_for_another_proof() {
        let switch = b"\x2c\0\0\x02\xfecaching_sha2_password\0ABCDEFGHIJKLMNOPQRST\0";
        let fast = [b"\x02\0\0\x04\x01\x03", OK].concat();
        let no_query = || Mysql { query: None, ..with_query() };
        let (verdict, spoken) = converse(&mut no_query().talk(), &said(&[switch, &fast]), 7);
        assert_eq!(verdict, Ok(()));
        let proof = caching("p", b"ABCDEFGHIJKLMNOPQRST");
        assert!(spoken.windows(32).any(|window| window == proof));
        let (verdict, _) = converse(&mut no_query().talk(), &said(&[switch, b"\x02\0\0\x04\x01\x04"]), 7);
        assert!(verdict.unwrap_err().contains("over TLS"));
    }

    #[test]
    fn without_a_login_a_refused_stranger_is_a_good_sign_unless_all_are_refused() {
        let refusal = |number: u16| {
            let body = [&[0xff][..], &number.to_le_bytes(), b"#28000no way"].concat();
            said(&[&packet(2, &body)])
        };
        assert_eq!(converse(&mut Mysql::default().talk(), &refusal(1045), 9).0, Ok(()));
        assert!(converse(&mut Mysql::default().talk(), &refusal(1040), 9).0.is_err());
        assert_eq!(
            converse(&mut with_query().talk(), &refusal(1045), 9).0.unwrap_err(),
            "MySQL answered \"no way\" (1045)"
        );
        let blocked = packet(0, b"\xff\x69\x04Host '192.0.2.1' is blocked");
        let (verdict, _) = converse(&mut Mysql::default().talk(), &blocked, 9);
        assert_eq!(verdict.unwrap_err(), "MySQL answered \"Host '192.0.2.1' is blocked\" (1129)");
    }

    survives!(any_server_is_survived, GREETING, with_query().talk());
    survives!(
        any_server_is_survived_after_the_login,
        RESULT,
        MysqlTalk { stage: Stage::Query, ..with_query().talk() }
    );
}
