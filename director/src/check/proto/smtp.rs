//! SMTP (RFC 5321): the banner, EHLO, optionally STARTTLS and AUTH PLAIN, and QUIT.

use super::ladder::{Ladder, Manner, Rung};
use base::base64;

use super::text::Expect;

/// What to ask of a mail server.
#[derive(Clone, Debug, Default)]
pub struct Smtp {
    /// The name in EHLO.
    pub helo: String,
    /// STARTTLS before anything else.
    pub starttls: bool,
    /// Name and password for AUTH PLAIN.
    pub login: Option<(String, String)>,
    /// The banner must have this.
    pub expect: Option<Expect>,
}

impl Smtp {
    /// The dialogue.
    pub fn talk(&self) -> Ladder {
        let banner = Rung::new("", "the banner", &[220]).expecting(&self.expect);
        let ehlo = || Rung::new(format!("EHLO {}\r\n", self.helo), "EHLO", &[250]);
        let mut rungs = vec![banner, ehlo()];
        if self.starttls {
            rungs.extend([Rung::new("STARTTLS\r\n", "STARTTLS", &[220]).then_tls(), ehlo()]);
        }
        if let Some((name, password)) = &self.login {
            let secret = base64::encode(format!("\0{name}\0{password}").as_bytes());
            rungs.push(Rung::new(format!("AUTH PLAIN {secret}\r\n"), "the login", &[235]));
        }
        Ladder::new(Manner::Codes, rungs, b"QUIT\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    fn smtp() -> Smtp {
        Smtp { helo: "lb.example.com".to_owned(), ..Smtp::default() }
    }

    #[test]
    fn a_mail_server_that_greets_is_well() {
        let said = b"220-hello\r\n220 mail\r\n250-mail\r\n250 SIZE\r\n";
        let (verdict, spoken) = converse(&mut smtp().talk(), said, 3);
        assert_eq!(verdict, Ok(()));
        assert_eq!(spoken, b"EHLO lb.example.com\r\nQUIT\r\n");
    }

    #[test]
    fn a_mail_server_that_will_not_serve_is_not() {
        let (verdict, _) = converse(&mut smtp().talk(), b"554 no service\r\n", 99);
        assert_eq!(verdict.unwrap_err(), "the banner was answered \"554 no service\"");
        let (verdict, _) = converse(&mut smtp().talk(), b"220 x\r\n421 4.3.2 shutting down\r\n", 99);
        assert_eq!(verdict.unwrap_err(), "EHLO was answered \"421 4.3.2 shutting down\"");
        let (verdict, _) = converse(&mut smtp().talk(), b"220 x\r\n", 99);
        assert_eq!(verdict.unwrap_err(), "the server closed the connection before it had answered EHLO");
    }

    #[test]
    fn the_login_is_said_after_tls() {
        let asked = Smtp { starttls: true, login: Some(("u".to_owned(), "p".to_owned())), ..smtp() };
        let mut talk = asked.talk();
        // Each line by itself: what comes before TLS is forgotten at its start.
        let said = b"220 a\r\n250 a\r\n220 b\r\n250 b\r\n235 c\r\n";
        let (verdict, spoken) = converse(&mut talk, said, 7);
        assert_eq!(verdict, Ok(()));
        let login = String::from_utf8(spoken).unwrap();
        assert!(login.contains("STARTTLS\r\nEHLO lb.example.com\r\nAUTH PLAIN AHUAcA==\r\n"), "{login}");
    }

    survives!(any_server_is_survived, b"220 x\r\n250-y\r\n250 z\r\n", smtp().talk());
}
