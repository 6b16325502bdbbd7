//! LDAP (RFC 4511): a bind, anonymous or with a password, and the search for an entry.

use std::borrow::Cow;

use super::ber::{Element, all, constructed, element, first};
use super::ldap_filter;
use super::talk::{Heard, Step, Talk};
use super::text::{Expect, quoted};

const BIND: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Unbind, as the third message.
const UNBIND: &[u8] = &[0x30, 5, 2, 1, 9, 0x42, 0];
/// Entries the server is asked for at most.
const MOST_ENTRIES: u8 = 10;

/// How far a search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The base entry alone, of which there must be exactly one.
    #[default]
    Base,
    /// Its children.
    One,
    /// All under it.
    Sub,
}

/// What to ask of a directory server.
#[derive(Clone, Debug, Default)]
pub struct Ldap {
    /// StartTLS before anything else.
    pub starttls: bool,
    /// DN and password; an anonymous bind without.
    pub login: Option<(String, String)>,
    /// The DN to search at; no search without.
    pub base: Option<String>,
    /// How far.
    pub scope: Scope,
    /// For which entries, in BER; any if empty.
    pub filter: Vec<u8>,
    /// The attribute to look at; the entries' DNs without.
    pub attribute: Option<String>,
    /// An entry's DN, or a value of the attribute, must have this.
    pub expect: Option<Expect>,
}

/// The dialogue.
#[derive(Debug)]
pub struct LdapTalk {
    asked: Ldap,
    stage: Stage,
    entries: usize,
    found: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    StartTls,
    Bind,
    Search,
}

impl Ldap {
    /// With this filter; empty is any entry.
    ///
    /// # Errors
    /// A sentence if it is no filter.
    pub fn with_filter(mut self, filter: &str) -> Result<Self, String> {
        self.filter = ldap_filter::parse(if filter.trim().is_empty() { "(objectClass=*)" } else { filter })?;
        Ok(self)
    }

    /// The dialogue.
    pub fn talk(&self) -> LdapTalk {
        let stage = if self.starttls { Stage::StartTls } else { Stage::Bind };
        LdapTalk { asked: self.clone(), stage, entries: 0, found: Vec::new() }
    }

    fn bind(&self) -> Vec<u8> {
        let (name, password) = self.login.as_ref().map_or(("", ""), |(name, password)| (name, password));
        let parts = [element(2, &[3]), element(4, name.as_bytes()), element(0x80, password.as_bytes())];
        message(2, constructed(BIND, &parts))
    }

    fn search(&self) -> Vec<u8> {
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::One => 1,
            Scope::Sub => 2,
        };
        // "1.1": no attributes (RFC 4511 section 4.5.1.8).
        let attribute = self.attribute.as_deref().unwrap_or("1.1");
        let filter = match self.filter.is_empty() {
            true => element(0x87, b"objectClass"),
            false => self.filter.clone(),
        };
        let parts = [
            element(4, self.base.as_deref().unwrap_or_default().as_bytes()),
            element(10, &[scope]),
            element(10, &[0]),
            element(2, &[MOST_ENTRIES]),
            element(2, &[0]),
            element(1, &[0]),
            filter,
            constructed(0x30, &[element(4, attribute.as_bytes())]),
        ];
        message(3, constructed(SEARCH, &parts))
    }
}

fn message(id: u8, operation: Vec<u8>) -> Vec<u8> {
    constructed(0x30, &[element(2, &[id]), operation])
}

fn end(verdict: Result<(), String>) -> Step {
    Step::Done(verdict, UNBIND.to_vec())
}

/// The result code of a response and what the server says to it.
fn result(operation: Element<'_>) -> Option<(u8, String)> {
    let parts = all(operation.content)?;
    let code = parts.first().filter(|part| part.tag == 10)?.content;
    let [code] = code else {
        return None;
    };
    let says = parts.get(2).map(|part| String::from_utf8_lossy(part.content)).unwrap_or_default();
    Some((*code, said(*code, &says)))
}

/// RFC 4511 appendix A, the codes one meets.
fn said(code: u8, says: &str) -> String {
    let name = match code {
        1 => "operationsError",
        2 => "protocolError",
        4 => "sizeLimitExceeded",
        8 => "strongerAuthRequired",
        10 => "referral",
        13 => "confidentialityRequired",
        32 => "noSuchObject",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        80 => "other",
        _ => "error",
    };
    let says = if says.is_empty() { String::new() } else { format!(": {}", quoted(says)) };
    format!("{name} ({code}){says}")
}

impl LdapTalk {
    fn operation(&mut self, operation: Element<'_>) -> Step {
        match (self.stage, operation.tag) {
            (Stage::StartTls, EXTENDED_RESPONSE) => match result(operation) {
                Some((0, _)) => Step::Secure(Vec::new()),
                Some((_, says)) => end(Err(format!("StartTLS was answered {says}"))),
                None => end(Err("the answer to StartTLS is no LDAP".to_owned())),
            },
            (Stage::Bind, BIND_RESPONSE) => match result(operation) {
                Some((0, _)) if self.asked.base.is_some() => {
                    self.stage = Stage::Search;
                    Step::Say(self.asked.search())
                }
                Some((0, _)) => end(Ok(())),
                Some((_, says)) => end(Err(format!("the bind was answered {says}"))),
                None => end(Err("the answer to the bind is no LDAP".to_owned())),
            },
            (Stage::Search, ENTRY) => match self.entry(operation) {
                Some(()) => Step::Wait,
                None => end(Err("an entry is no LDAP".to_owned())),
            },
            (Stage::Search, REFERENCE) => Step::Wait,
            (Stage::Search, SEARCH_DONE) => match result(operation) {
                // 4: more entries than were asked for, which is as good.
                Some((0 | 4, _)) => end(self.judge()),
                Some((_, says)) => end(Err(format!("the search was answered {says}"))),
                None => end(Err("the end of the search is no LDAP".to_owned())),
            },
            (_, EXTENDED_RESPONSE) => {
                let says = result(operation).map_or_else(|| "no LDAP".to_owned(), |(_, says)| says);
                end(Err(format!("the server takes its leave: {says}")))
            }
            (_, tag) => end(Err(format!("an answer of the type {tag:#x} was not asked for"))),
        }
    }

    fn entry(&mut self, operation: Element<'_>) -> Option<()> {
        let parts = all(operation.content)?;
        let [name, attributes] = parts[..] else {
            return None;
        };
        self.entries += 1;
        if self.asked.attribute.is_none() {
            self.found.push(String::from_utf8_lossy(name.content).into_owned());
            return Some(());
        }
        for attribute in all(attributes.content)? {
            let parts = all(attribute.content)?;
            let [_, values] = parts[..] else {
                return None;
            };
            self.found.extend(
                all(values.content)?.iter().map(|value| String::from_utf8_lossy(value.content).into_owned()),
            );
        }
        Some(())
    }

    fn judge(&self) -> Result<(), String> {
        let base = quoted(self.asked.base.as_deref().unwrap_or_default());
        if self.entries == 0 {
            return Err(format!("the search at {base} found no entry"));
        }
        let what =
            self.asked.attribute.as_deref().map_or("an entry's DN".to_owned(), |name| format!("'{name}'"));
        match &self.asked.expect {
            Some(expect) if !self.found.iter().any(|value| expect.matches(value.as_bytes())) => {
                match self.found.is_empty() {
                    true => Err(format!("the search at {base} found no {what}, expected {expect}")),
                    false => Err(format!("{what} is {}, expected {expect}", quoted(&self.found.join(", ")))),
                }
            }
            None if self.found.is_empty() => Err(format!("the search at {base} found no {what}")),
            _ => Ok(()),
        }
    }
}

impl Talk for LdapTalk {
    fn opening(&mut self) -> Vec<u8> {
        match self.stage {
            Stage::StartTls => message(1, constructed(EXTENDED, &[element(0x80, STARTTLS)])),
            _ => self.asked.bind(),
        }
    }

    fn secured(&mut self) -> Step {
        self.stage = Stage::Bind;
        Step::Say(self.asked.bind())
    }

    fn hear(&mut self, heard: &mut Heard) -> Step {
        loop {
            if heard.bytes().first().is_some_and(|tag| *tag != 0x30) {
                return Step::fail(format!("the answer is no LDAP: {}", heard.start()));
            }
            let length = match first(heard.bytes()) {
                Ok(Some((_, length))) => length,
                Ok(None) => return Step::Wait,
                Err(why) => return Step::fail(format!("the answer is {why}: {}", heard.start())),
            };
            let Some(message) = heard.take(length) else {
                return Step::Wait;
            };
            let parts = first(&message).ok().flatten().and_then(|(element, _)| all(element.content));
            let step = match parts.as_deref() {
                Some([Element { tag: 2, .. }, operation, ..]) => self.operation(*operation),
                _ => return Step::fail("the answer is no LDAP message"),
            };
            if step != Step::Wait {
                return step;
            }
        }
    }

    fn stage(&self) -> Cow<'static, str> {
        let what = match self.stage {
            Stage::StartTls => "StartTLS",
            Stage::Bind => "the bind",
            Stage::Search => "the search",
        };
        format!("before it had answered {what}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{converse, survives};
    use super::*;

    const BOUND: &[u8] = b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
    const FOUND: &[u8] = b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00\x30\x1a\x02\x01\x03\x64\x15\x04\x04dc=x\x30\x0d\x30\x0b\x04\x02dc\x31\x05\x04\x03abc\x30\x0c\x02\x01\x03\x65\x07\x0a\x01\x00\x04\x00\x04\x00";

    fn search(attribute: Option<&str>, expect: Option<&str>) -> LdapTalk {
        Ldap {
            base: Some("dc=x".to_owned()),
            attribute: attribute.map(str::to_owned),
            expect: expect.map(|text| Expect::parse(text).unwrap()),
            ..Ldap::default()
        }
        .with_filter("")
        .unwrap()
        .talk()
    }

    #[test]
    fn an_anonymous_bind() {
        let (verdict, spoken) = converse(&mut Ldap::default().talk(), BOUND, 1);
        assert_eq!(verdict, Ok(()));
        assert_eq!(
            spoken,
            b"\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00\x30\x05\x02\x01\x09\x42\x00"
        );
        let mut refused = BOUND.to_vec();
        refused[9] = 49;
        assert_eq!(
            converse(&mut Ldap::default().talk(), &refused, 5).0.unwrap_err(),
            "the bind was answered invalidCredentials (49)"
        );
    }

    #[test]
    fn an_entry_is_found_and_looked_at() {
        assert_eq!(converse(&mut search(None, None), FOUND, 3).0, Ok(()));
        assert_eq!(converse(&mut search(None, Some("/^dc=x$/")), FOUND, 3).0, Ok(()));
        assert_eq!(converse(&mut search(Some("dc"), Some("abc")), FOUND, 3).0, Ok(()));
        assert_eq!(
            converse(&mut search(Some("dc"), Some("xyz")), FOUND, 3).0.unwrap_err(),
            "'dc' is \"abc\", expected \"xyz\""
        );
        let nothing = [BOUND, &FOUND[FOUND.len() - 14..]].concat();
        assert_eq!(
            converse(&mut search(None, None), &nothing, 3).0.unwrap_err(),
            "the search at \"dc=x\" found no entry"
        );
    }

    #[test]
    fn what_is_no_ldap_is_said() {
        assert!(
            converse(&mut search(None, None), b"HTTP/1.1 400 Bad\r\n\r\n", 3)
                .0
                .unwrap_err()
                .contains("no LDAP")
        );
    }

    survives!(any_server_is_survived, FOUND, search(Some("dc"), Some("abc")));
}
