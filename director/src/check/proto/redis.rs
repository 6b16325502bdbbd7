//! Redis (and Valkey, KeyDB): AUTH if there is a password, then PING, or a command and what its answer must have.
//! RESP, version 2: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::borrow::Cow;

use super::talk::{Heard, Step, Talk};
use super::text::{Expect, quoted};

/// What to ask of a Redis.
#[derive(Clone, Debug, Default)]
pub struct Redis {
    /// The user (needs Redis 6), if there is one beside the password.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The command, in words; PING if empty.
    pub command: String,
    /// Its answer must have this. Without it PING must be answered PONG, another command anything but an error.
    pub expect: Option<Expect>,
}

/// The dialogue.
#[derive(Debug)]
pub struct RedisTalk {
    asked: Redis,
    authenticated: bool,
}

impl Redis {
    /// The dialogue.
    pub fn talk(&self) -> RedisTalk {
        RedisTalk { asked: self.clone(), authenticated: self.password.is_none() }
    }
}

/// A command as RESP wants it.
fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let words: Vec<&str> = words.into_iter().collect();
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

/// An answer: good or an error, and its text. `None` while it is not complete.
fn answer(heard: &mut Heard) -> Result<Option<(bool, Vec<u8>)>, String> {
    let bytes = heard.bytes();
    if bytes.first() == Some(&b'$') {
        let Some(end) = bytes.iter().take(24).position(|b| *b == b'\n') else {
            return if bytes.len() < 24 { Ok(None) } else { Err(foreign(heard)) };
        };
        let length =
            std::str::from_utf8(&bytes[1..end]).ok().and_then(|text| text.trim_end().parse::<i64>().ok());
        let length = match length {
            Some(-1) => return Ok(Some((true, Vec::new()))),
            Some(length) => usize::try_from(length).map_err(|_| foreign(heard))?,
            None => return Err(foreign(heard)),
        };
        let start = end + 1;
        let whole = start.saturating_add(length).saturating_add(2);
        return Ok(heard.take(whole).map(|text| (true, text[start..start + length].to_vec())));
    }
    if !matches!(bytes.first(), None | Some(b'+' | b'-' | b':' | b'*')) {
        return Err(foreign(heard));
    }
    let Some(line) = heard.line()? else {
        return Ok(None);
    };
    Ok(Some((!line.starts_with('-'), line.as_bytes().get(1..).unwrap_or_default().to_vec())))
}

fn foreign(heard: &Heard) -> String {
    format!("the answer is not Redis's protocol: {}", heard.start())
}

impl RedisTalk {
    fn ask(&self) -> Vec<u8> {
        match self.asked.command.split_whitespace().next() {
            None => command(["PING"]),
            Some(_) => command(self.asked.command.split_whitespace()),
        }
    }

    fn judge(&self, good: bool, text: &[u8]) -> Result<(), String> {
        let shown = || quoted(&String::from_utf8_lossy(text));
        if !good {
            let help = if text.starts_with(b"NOAUTH") { "; give the check a password" } else { "" };
            return Err(format!("Redis answered the error {}{help}", shown()));
        }
        match &self.asked.expect {
            Some(expect) => expect.judge("the answer", text),
            None if self.asked.command.is_empty() && text != b"PONG" => {
                Err(format!("PING was answered {}", shown()))
            }
            None => Ok(()),
        }
    }
}

impl Talk for RedisTalk {
    fn opening(&mut self) -> Vec<u8> {
        match (&self.asked.user, &self.asked.password) {
            (Some(user), Some(password)) => command(["AUTH", user, password]),
            (None, Some(password)) => command(["AUTH", password]),
            _ => self.ask(),
        }
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        let (good, text) = match answer(heard) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Step::Wait,
            Err(why) => return Step::fail(why),
        };
        if self.authenticated {
            return Step::Done(self.judge(good, &text), Vec::new());
        }
        if !good {
            return Step::fail(format!("the login was answered {}", quoted(&String::from_utf8_lossy(&text))));
        }
        self.authenticated = true;
        Step::Say(self.ask())
    }

    fn stage(&self) -> Cow<'static, str> {
        let what = if self.authenticated { "the question" } else { "the login" };
        format!("before it had answered {what}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    #[test]
    fn ping_pong() {
        let (verdict, spoken) = converse(&mut Redis::default().talk(), b"+PONG\r\n", 1);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"*1\r\n$4\r\nPING\r\n"[..]));
        let why = |said: &[u8]| converse(&mut Redis::default().talk(), said, 3).0.unwrap_err();
        assert!(why(b"-NOAUTH Authentication required.\r\n").contains("give the check a password"));
        assert!(why(b"-LOADING Redis is loading the dataset in memory\r\n").contains("LOADING"));
        assert_eq!(why(b"+PENG\r\n"), "PING was answered \"PENG\"");
        assert!(why(b"HTTP/1.0 400\r\n").contains("not Redis's protocol"));
        assert!(why(b"$-7\r\n").contains("not Redis's protocol"));
    }

    #[test]
    fn a_command_and_its_answer() {
        let asked = Redis {
            user: Some("u".to_owned()),
            password: Some("p".to_owned()),
            command: "INFO replication".to_owned(),
            expect: Some(Expect::parse("role:master").unwrap()),
        };
        let (verdict, spoken) = converse(&mut asked.talk(), b"+OK\r\n$13\r\n\r\nrole:master\r\n", 2);
        assert_eq!(verdict, Ok(()));
        assert!(spoken.starts_with(b"*3\r\n$4\r\nAUTH\r\n") && spoken.ends_with(b"$11\r\nreplication\r\n"));
        let (verdict, _) = converse(&mut asked.talk(), b"+OK\r\n$10\r\nrole:slave\r\n", 2);
        assert!(verdict.unwrap_err().contains("role:master"));
        let (verdict, _) = converse(&mut asked.talk(), b"-WRONGPASS no\r\n", 2);
        assert_eq!(verdict.unwrap_err(), "the login was answered \"WRONGPASS no\"");
    }

    fn with_login() -> RedisTalk {
        Redis { password: Some("p".to_owned()), command: "INFO".to_owned(), ..Redis::default() }.talk()
    }

    survives!(any_server_is_survived, b"+OK\r\n$13\r\n\r\nrole:master\r\n", with_login());
}
