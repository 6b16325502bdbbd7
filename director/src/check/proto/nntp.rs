//! NNTP (RFC 3977): the greeting (200, or 201 where posting is not allowed), optionally AUTHINFO (RFC 4643), QUIT.

use super::ladder::{Ladder, Manner, Rung};
use super::text::Expect;

/// What to ask of a news server.
#[derive(Clone, Debug, Default)]
pub struct Nntp {
    /// Name and password.
    pub login: Option<(String, String)>,
    /// A group that must be there.
    pub group: Option<String>,
    /// The greeting must have this.
    pub expect: Option<Expect>,
}

impl Nntp {
    /// The dialogue.
    pub fn talk(&self) -> Ladder {
        let mut rungs = vec![Rung::new("", "the greeting", &[200, 201]).expecting(&self.expect)];
        if let Some((name, password)) = &self.login {
            let mut user = Rung::new(format!("AUTHINFO USER {name}\r\n"), "the user name", &[381]);
            user.skip_next = &[281];
            rungs.push(user);
            rungs.push(Rung::new(format!("AUTHINFO PASS {password}\r\n"), "the password", &[281]));
        }
        if let Some(group) = &self.group {
            rungs.push(Rung::new(format!("GROUP {group}\r\n"), "the group", &[211]));
        }
        Ladder::new(Manner::Codes, rungs, b"QUIT\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn with_login() -> Nntp {
        Nntp { login: Some(("u".to_owned(), "p".to_owned())), ..Nntp::default() }
    }

    #[test]
    fn greeting_and_login() {
        assert_eq!(converse(&mut Nntp::default().talk(), b"201 no posting\r\n", 1).0, Ok(()));
        assert!(converse(&mut Nntp::default().talk(), b"502 you have no permission\r\n", 1).0.is_err());
        let (verdict, spoken) = converse(&mut with_login().talk(), b"200 x\r\n381 pass\r\n281 in\r\n", 4);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"AUTHINFO USER u\r\nAUTHINFO PASS p\r\nQUIT\r\n"[..]));
        let (verdict, spoken) = converse(&mut with_login().talk(), b"200 x\r\n281 no password needed\r\n", 4);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"AUTHINFO USER u\r\nQUIT\r\n"[..]));
        assert!(converse(&mut with_login().talk(), b"200 x\r\n381 pass\r\n481 no\r\n", 4).0.is_err());
    }

    #[test]
    fn a_group_must_be_there() {
        let asked = Nntp { group: Some("local.test".to_owned()), ..Nntp::default() };
        let (verdict, spoken) = converse(&mut asked.talk(), b"200 x\r\n211 3 1 3 local.test\r\n", 4);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"GROUP local.test\r\nQUIT\r\n"[..]));
        let (verdict, _) = converse(&mut asked.talk(), b"200 x\r\n411 no such group\r\n", 4);
        assert_eq!(verdict.unwrap_err(), "the group was answered \"411 no such group\"");
    }

    survives!(any_server_is_survived, b"200 x\r\n381 pass\r\n281 in\r\n", with_login().talk());
}
