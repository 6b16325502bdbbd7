//! POP3 (RFC 1939): the banner, optionally STLS (RFC 2595), USER and PASS, and QUIT.

use super::ladder::{Ladder, Manner, Rung};
use super::text::Expect;

/// What to ask of a mailbox server.
#[derive(Clone, Debug, Default)]
pub struct Pop3 {
    /// STLS before anything else.
    pub starttls: bool,
    /// Name and password.
    pub login: Option<(String, String)>,
    /// The banner must have this.
    pub expect: Option<Expect>,
}

impl Pop3 {
    /// The dialogue.
    pub fn talk(&self) -> Ladder {
        let mut rungs = vec![Rung::new("", "the banner", &[200]).expecting(&self.expect)];
        if self.starttls {
            rungs.push(Rung::new("STLS\r\n", "STLS", &[200]).then_tls());
        }
        if let Some((name, password)) = &self.login {
            rungs.push(Rung::new(format!("USER {name}\r\n"), "the user name", &[200]));
            rungs.push(Rung::new(format!("PASS {password}\r\n"), "the password", &[200]));
        }
        Ladder::new(Manner::Pop, rungs, b"QUIT\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn with_login() -> Pop3 {
        Pop3 { login: Some(("u".to_owned(), "p".to_owned())), ..Pop3::default() }
    }

    #[test]
    fn banner_and_login() {
        assert_eq!(converse(&mut Pop3::default().talk(), b"+OK ready\r\n", 1).0, Ok(()));
        let (verdict, spoken) = converse(&mut with_login().talk(), b"+OK\r\n+OK\r\n+OK in\r\n", 2);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"USER u\r\nPASS p\r\nQUIT\r\n"[..]));
        let (verdict, _) = converse(&mut with_login().talk(), b"+OK\r\n+OK\r\n-ERR [AUTH] no\r\n", 9);
        assert_eq!(verdict.unwrap_err(), "the password was answered \"-ERR [AUTH] no\"");
        assert!(converse(&mut Pop3::default().talk(), b"-ERR busy\r\n", 9).0.is_err());
    }

    survives!(any_server_is_survived, b"+OK\r\n+OK\r\n+OK in\r\n", with_login().talk());
}
