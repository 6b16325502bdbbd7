//! IMAP (RFC 9051, and 3501 before it): the greeting, optionally STARTTLS and LOGIN, and LOGOUT.

use super::ladder::{Ladder, Manner, Rung};
use super::text::Expect;

/// What to ask of a mailbox server.
#[derive(Clone, Debug, Default)]
pub struct Imap {
    /// STARTTLS before anything else.
    pub starttls: bool,
    /// Name and password.
    pub login: Option<(String, String)>,
    /// A folder that can be opened after the login.
    pub folder: Option<String>,
    /// The greeting must have this.
    pub expect: Option<Expect>,
}

impl Imap {
    /// The dialogue.
    pub fn talk(&self) -> Ladder {
        let mut rungs = vec![Rung::new("", "the greeting", &[200]).expecting(&self.expect)];
        if self.starttls {
            rungs.push(Rung::new("a1 STARTTLS\r\n", "STARTTLS", &[200]).then_tls());
        }
        if let Some((name, password)) = &self.login {
            let login = format!("a2 LOGIN {} {}\r\n", quoted(name), quoted(password));
            rungs.push(Rung::new(login, "the login", &[200]));
            if let Some(folder) = &self.folder {
                rungs.push(Rung::new(format!("a4 EXAMINE {}\r\n", quoted(folder)), "the folder", &[200]));
            }
        }
        Ladder::new(Manner::Imap, rungs, b"a3 LOGOUT\r\n")
    }
}

/// A quoted string of RFC 9051; the configuration has refused control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn with_login() -> Imap {
        Imap { login: Some(("u".to_owned(), "p\"\\".to_owned())), ..Imap::default() }
    }

    #[test]
    fn greeting_and_login() {
        assert_eq!(converse(&mut Imap::default().talk(), b"* OK [CAPABILITY] ready\r\n", 1).0, Ok(()));
        assert_eq!(converse(&mut Imap::default().talk(), b"* PREAUTH hi\r\n", 1).0, Ok(()));
        let said = b"* OK x\r\n* CAPABILITY y\r\na2 OK in\r\n";
        let (verdict, spoken) = converse(&mut with_login().talk(), said, 2);
        assert_eq!((verdict, &spoken[..]), (Ok(()), &b"a2 LOGIN \"u\" \"p\\\"\\\\\"\r\na3 LOGOUT\r\n"[..]));
        let (verdict, _) = converse(&mut with_login().talk(), b"* OK x\r\na2 NO bad password\r\n", 9);
        assert_eq!(verdict.unwrap_err(), "the login was answered \"a2 NO bad password\"");
        assert!(converse(&mut Imap::default().talk(), b"* BYE busy\r\n", 9).0.is_err());
    }

    survives!(any_server_is_survived, b"* OK x\r\n* CAPABILITY y\r\na2 OK in\r\n", with_login().talk());
}
