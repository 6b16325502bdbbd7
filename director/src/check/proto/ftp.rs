//! FTP (RFC 959): the banner, a login, and a file by extended passive mode (RFC 2428) or passive mode.

use std::borrow::Cow;

use super::ladder::{Answer, Ladder, Manner, Rung};
use super::talk::{Heard, Step, Talk, Verdict};
use super::text::{Expect, quoted};

/// What to ask of a file server.
#[derive(Clone, Debug, Default)]
pub struct Ftp {
    /// AUTH TLS before the login (RFC 4217). The data connection stays in the clear.
    pub starttls: bool,
    /// Name and password.
    pub login: Option<(String, String)>,
    /// The file to fetch; needs a login.
    pub file: Option<String>,
    /// The file must have this in its first 256 KiB; without a file, the banner.
    pub expect: Option<Expect>,
}

/// The dialogue.
#[derive(Debug)]
pub struct FtpTalk {
    ladder: Ladder,
    file: Option<String>,
    expect: Option<Expect>,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Login,
    Extended,
    Passive,
    Fetching,
}

impl Ftp {
    /// The dialogue.
    pub fn talk(&self) -> FtpTalk {
        // Of the file, if there is one, else of the banner.
        let of_banner = self.expect.clone().filter(|_| self.file.is_none());
        let mut rungs = vec![Rung::new("", "the banner", &[220]).expecting(&of_banner)];
        if self.starttls {
            rungs.push(Rung::new("AUTH TLS\r\n", "AUTH TLS", &[234]).then_tls());
        }
        if let Some((name, password)) = &self.login {
            let mut user = Rung::new(format!("USER {name}\r\n"), "the user name", &[331]);
            user.skip_next = &[230];
            rungs.push(user);
            rungs.push(Rung::new(format!("PASS {password}\r\n"), "the password", &[230]));
        }
        let mut last_words = &b"QUIT\r\n"[..];
        if self.file.is_some() {
            rungs.push(Rung::new("TYPE I\r\n", "TYPE I", &[200]));
            // The ladder's end is not the dialogue's.
            last_words = b"EPSV\r\n";
        }
        let ladder = Ladder::new(Manner::Codes, rungs, last_words);
        FtpTalk { ladder, file: self.file.clone(), expect: self.expect.clone(), stage: Stage::Login }
    }
}

impl FtpTalk {
    fn login(&mut self, heard: &mut Heard) -> Step {
        match self.ladder.hear(heard) {
            Step::Done(Ok(()), words) if self.file.is_some() => {
                self.stage = Stage::Extended;
                Step::Say(words)
            }
            Step::Done(Err(why), _) => end(Err(why)),
            step => step,
        }
    }

    fn answered(&mut self, answer: &Answer) -> Step {
        let port = match (&self.stage, answer.code) {
            (Stage::Extended, 229) => extended(&answer.text),
            (Stage::Extended, 500..=599) => {
                self.stage = Stage::Passive;
                return Step::Say(b"PASV\r\n".to_vec());
            }
            (Stage::Passive, 227) => passive(&answer.text),
            (Stage::Fetching, 100..=299) => return Step::Wait,
            (Stage::Fetching, _) => {
                return end(Err(format!("the file was answered {}", quoted(&answer.text))));
            }
            _ => None,
        };
        let Some(port) = port else {
            return end(Err(format!("passive mode was answered {}", quoted(&answer.text))));
        };
        self.stage = Stage::Fetching;
        let file = self.file.as_deref().unwrap_or_default();
        Step::Fetch(port, format!("RETR {file}\r\n").into_bytes())
    }
}

fn end(verdict: Verdict) -> Step {
    Step::Done(verdict, b"QUIT\r\n".to_vec())
}

/// The port in `229 … (|||50000|)`.
fn extended(text: &str) -> Option<u16> {
    let (_, inside) = text.split_once('(')?;
    let mark = inside.chars().next()?;
    inside.split(mark).nth(3)?.parse().ok().filter(|port| *port > 0)
}

/// The port in `227 … (h1,h2,h3,h4,p1,p2)`; the address is not used: it is the server's own, or a lie.
fn passive(text: &str) -> Option<u16> {
    let start = text.get(4..)?.find(|c: char| c.is_ascii_digit())? + 4;
    let numbers = text[start..].split(|c: char| !c.is_ascii_digit()).take(6).map(str::parse::<u8>);
    let numbers: Vec<u8> = numbers.collect::<Result<_, _>>().ok()?;
    let [.., high, low] = numbers[..] else {
        return None;
    };
    (numbers.len() == 6).then_some(u16::from_be_bytes([high, low])).filter(|port| *port > 0)
}

impl Talk for FtpTalk {
    fn hear(&mut self, heard: &mut Heard) -> Step {
        if self.stage == Stage::Login {
            return self.login(heard);
        }
        loop {
            match self.ladder.answer(heard) {
                Ok(None) => return Step::Wait,
                Err(why) => return end(Err(why)),
                Ok(Some(answer)) => match self.answered(&answer) {
                    Step::Wait => {}
                    step => return step,
                },
            }
        }
    }

    fn secured(&mut self) -> Step {
        self.ladder.secured()
    }

    fn fetched(&mut self, file: Result<Vec<u8>, String>) -> Step {
        let verdict = file.and_then(|file| match &self.expect {
            Some(expect) => expect.judge("the file", &file),
            None => Ok(()),
        });
        end(verdict)
    }

    fn stage(&self) -> Cow<'static, str> {
        match self.stage {
            Stage::Login => self.ladder.stage(),
            Stage::Extended | Stage::Passive => "before it had opened a port for the file".into(),
            Stage::Fetching => "before the file was complete".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    const SAID: &[u8] = b"220 ftp\r\n331 pass\r\n230 in\r\n200 binary\r\n229 Entering (|||50000|)\r\n";

    fn with_file(expect: &str) -> Ftp {
        Ftp {
            login: Some(("anonymous".to_owned(), "me@host".to_owned())),
            file: Some("motd".to_owned()),
            expect: Some(Expect::parse(expect).unwrap()),
            ..Ftp::default()
        }
    }

    #[test]
    fn banner_login_and_file() {
        assert_eq!(converse(&mut Ftp::default().talk(), b"220 ftp\r\n", 2).0, Ok(()));
        // The fetched file is "file" here.
        let (verdict, spoken) = converse(&mut with_file("fil").talk(), SAID, 5);
        let dialogue = "USER anonymous\r\nPASS me@host\r\nTYPE I\r\nEPSV\r\nRETR motd\r\nQUIT\r\n";
        assert_eq!((verdict, &spoken[..]), (Ok(()), dialogue.as_bytes()));
        let (verdict, _) = converse(&mut with_file("x").talk(), SAID, 5);
        assert_eq!(verdict.unwrap_err(), "the file has no \"x\": it begins \"file\"");
        let old = b"220 ftp\r\n230 in\r\n200 b\r\n500 EPSV?\r\n227 ok (10,0,0,1,195,80)\r\n";
        assert_eq!(converse(&mut with_file("fil").talk(), old, 5).0, Ok(()));
    }

    #[test]
    fn a_missing_file_is_said_while_it_is_waited_for() {
        let mut talk = with_file("x").talk();
        talk.stage = Stage::Fetching;
        let mut heard = Heard::default();
        heard.add(b"150 here it comes\r\n");
        assert_eq!(talk.hear(&mut heard), Step::Wait);
        heard.add(b"550 no such file\r\n");
        let Step::Done(Err(why), _) = talk.hear(&mut heard) else { panic!("must end") };
        assert_eq!(why, "the file was answered \"550 no such file\"");
    }

    #[test]
    fn ports() {
        assert_eq!(extended("229 x (|||6446|)"), Some(6446));
        assert_eq!(extended("229 x (|||0|)"), None);
        assert_eq!(extended("229 x (é"), None);
        assert_eq!(passive("227 Entering Passive Mode (192,168,1,2,4,1)."), Some(1025));
        assert_eq!(passive("227 =1,2,3,4,5,6"), Some(5 * 256 + 6));
        assert_eq!(passive("227 (1,2,3,4,5)"), None);
        assert_eq!(passive("227 (1,2,3,4,500,6)"), None);
    }

    survives!(any_server_is_survived, SAID, with_file("fil").talk());
}
