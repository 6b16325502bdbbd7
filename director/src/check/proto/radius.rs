//! RADIUS (RFC 2865): a login that must be accepted; or without one the question whether it is alive (Status-Server,
//! RFC 5997). Every request has a Message-Authenticator, first of all attributes, as servers hardened against forged
//! answers demand, and an answer counts only if it proves that its sender knows the secret.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::talk::{Exchange, Verdict};
use super::text::quoted;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCESS_CHALLENGE: u8 = 11;
const STATUS_SERVER: u8 = 12;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const HEADER: usize = 20;
/// The longest password a packet has room for (RFC 2865 section 5.2).
pub const LONGEST_PASSWORD: usize = 128;

/// What to ask of a RADIUS server.
#[derive(Clone, Debug, Default)]
pub struct Radius {
    /// What both know.
    pub secret: String,
    /// Name and password.
    pub login: Option<(String, String)>,
    /// The name of who asks, NAS-Identifier.
    pub nas: String,
}

/// The question.
#[derive(Debug)]
pub struct RadiusExchange {
    question: Vec<u8>,
    secret: Vec<u8>,
}

impl Radius {
    /// One request; `id` and `authenticator` must be unforeseeable.
    pub fn exchange(&self, id: u8, authenticator: [u8; 16]) -> RadiusExchange {
        let secret = self.secret.as_bytes();
        let code = if self.login.is_some() { ACCESS_REQUEST } else { STATUS_SERVER };
        let mut packet = vec![code, id, 0, 0];
        packet.extend(authenticator);
        let signature = packet.len() + 2;
        attribute(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
        if let Some((name, password)) = &self.login {
            attribute(&mut packet, 1, name.as_bytes());
            attribute(&mut packet, 2, &hidden(password.as_bytes(), secret, &authenticator));
        }
        attribute(&mut packet, 32, self.nas.as_bytes());
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let signed = signed(secret, &packet);
        packet[signature..signature + 16].copy_from_slice(&signed);
        RadiusExchange { question: packet, secret: secret.to_vec() }
    }
}

fn attribute(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = &value[..value.len().min(253)];
    packet.push(kind);
    packet.push(value.len() as u8 + 2);
    packet.extend(value);
}

fn signed(secret: &[u8], packet: &[u8]) -> [u8; 16] {
    // HMAC takes a key of any length; the empty answer to the impossible would only fail the check.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(secret) else {
        return [0; 16];
    };
    mac.update(packet);
    mac.finalize().into_bytes().into()
}

/// RFC 2865 section 5.2: each block of the password is masked by a digest of the secret and the block before.
fn hidden(password: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
    let mut padded = password[..password.len().min(LONGEST_PASSWORD)].to_vec();
    padded.resize(padded.len().div_ceil(16).max(1) * 16, 0);
    let mut before = *authenticator;
    for block in padded.chunks_mut(16) {
        let mask: [u8; 16] = Md5::new().chain_update(secret).chain_update(before).finalize().into();
        for (byte, mask) in block.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        before.copy_from_slice(block);
    }
    padded
}

impl RadiusExchange {
    /// Whether `answer` is to this question and by one who knows the secret; a sentence if only the latter fails.
    fn genuine(&self, answer: &[u8]) -> Option<Result<(), String>> {
        if answer.len() < HEADER || answer.get(1) != self.question.get(1) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*answer.get(2)?, *answer.get(3)?]));
        let packet = answer.get(..length).filter(|packet| packet.len() >= HEADER)?;
        let asked = self.question.get(4..HEADER)?;
        let digest = Md5::new()
            .chain_update(&packet[..4])
            .chain_update(asked)
            .chain_update(&packet[HEADER..])
            .chain_update(&self.secret)
            .finalize();
        if digest[..] != packet[4..HEADER] {
            return Some(Err(
                "the answer is not signed with our secret: is it the same on both sides?".to_owned()
            ));
        }
        Some(self.message_authentic(packet, asked))
    }

    /// The answer's own Message-Authenticator, if it has one (RFC 3579 section 3.2).
    fn message_authentic(&self, packet: &[u8], asked: &[u8]) -> Result<(), String> {
        let mut at = HEADER;
        while let Some(&[kind, length]) = packet.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
            let length = usize::from(length);
            let value = packet.get(at + 2..at + length).filter(|_| length >= 2);
            let value = value.ok_or("the answer is no RADIUS packet: an attribute has a wrong length")?;
            if kind == MESSAGE_AUTHENTICATOR && length == 18 {
                let mut blank = packet.to_vec();
                blank[4..HEADER].copy_from_slice(asked);
                blank[at + 2..at + 18].fill(0);
                if signed(&self.secret, &blank) != value {
                    return Err("the answer's Message-Authenticator is wrong: somebody changed it".to_owned());
                }
            }
            at += length;
        }
        Ok(())
    }
}

impl Exchange for RadiusExchange {
    fn question(&self) -> &[u8] {
        &self.question
    }

    fn judge(&mut self, answer: &[u8]) -> Option<Verdict> {
        if let Err(why) = self.genuine(answer)? {
            return Some(Err(why));
        }
        let verdict = match *answer.first()? {
            ACCESS_ACCEPT => Ok(()),
            ACCESS_REJECT => Err(format!("the login was rejected{}", reply_message(answer))),
            ACCESS_CHALLENGE => {
                Err("the login was answered with a challenge, which a check cannot meet".to_owned())
            }
            other => Err(format!("the request was answered with a packet of type {other}")),
        };
        Some(verdict)
    }
}

/// Reply-Message (18), for the sentence.
fn reply_message(packet: &[u8]) -> String {
    let mut at = HEADER;
    while let Some(&[kind, length]) = packet.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
        if length < 2 {
            break;
        }
        let value = packet.get(at + 2..at + usize::from(length)).unwrap_or_default();
        if kind == 18 {
            return format!(": {}", quoted(&String::from_utf8_lossy(value)));
        }
        at += usize::from(length);
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fuzz::judge;
    use super::*;

    fn radius() -> Radius {
        let login = Some(("nemo".to_owned(), "arctangent".to_owned()));
        Radius { secret: "xyzzy5461".to_owned(), login, nas: "lb".to_owned() }
    }

    /// RFC 2865 section 7.1's request authenticator.
    const AUTHENTICATOR: [u8; 16] =
        [0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a];

    /// An answer as a server that knows `secret` gives it.
    fn answer(exchange: &RadiusExchange, code: u8, attributes: &[u8], secret: &str) -> Vec<u8> {
        let mut packet = vec![code, exchange.question[1], 0, (HEADER + attributes.len()) as u8];
        let digest = Md5::new()
            .chain_update(&packet)
            .chain_update(&exchange.question[4..HEADER])
            .chain_update(attributes)
            .chain_update(secret)
            .finalize();
        packet.extend(digest);
        packet.extend(attributes);
        packet
    }

    #[test]
    fn the_password_is_hidden_as_the_rfc_shows() {
        let hidden = hidden(b"arctangent", b"xyzzy5461", &AUTHENTICATOR);
        // RFC 2865 section 7.1.
        let expected =
            [0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee];
        assert_eq!(hidden, expected);
        let question = radius().exchange(0, AUTHENTICATOR).question;
        assert_eq!(usize::from(question[3]), question.len());
        assert!(!question.windows(10).any(|window| window == b"arctangent"));
        assert_eq!(question[HEADER], MESSAGE_AUTHENTICATOR);
    }

    #[test]
    fn accepted_rejected_forged() {
        let mut exchange = radius().exchange(7, AUTHENTICATOR);
        let accept = answer(&exchange, ACCESS_ACCEPT, b"\x06\x06\0\0\0\x01", "xyzzy5461");
        assert_eq!(judge(&mut exchange, &accept), Some(Ok(())));
        let reject = answer(&exchange, ACCESS_REJECT, b"\x12\x05bad", "xyzzy5461");
        assert_eq!(judge(&mut exchange, &reject).unwrap().unwrap_err(), "the login was rejected: \"bad\"");
        let forged = answer(&exchange, ACCESS_ACCEPT, b"", "other");
        assert!(judge(&mut exchange, &forged).unwrap().unwrap_err().contains("not signed with our secret"));
        let mut late = accept.clone();
        late[1] ^= 1;
        assert_eq!(judge(&mut exchange, &late), None);
        let mut blank = vec![MESSAGE_AUTHENTICATOR, 18];
        blank.extend([0; 16]);
        let wrong = answer(&exchange, ACCESS_ACCEPT, &blank, "xyzzy5461");
        assert!(judge(&mut exchange, &wrong).unwrap().unwrap_err().contains("Message-Authenticator"));
    }

    #[test]
    fn without_a_login_it_asks_whether_the_server_is_alive() {
        let exchange = Radius { login: None, ..radius() }.exchange(1, AUTHENTICATOR);
        assert_eq!(exchange.question[0], STATUS_SERVER);
    }

    proptest! {
        #[test]
        fn no_noise_is_an_answer(mut noise in prop::collection::vec(any::<u8>(), 0..200), signed in any::<bool>()) {
            let mut exchange = radius().exchange(7, AUTHENTICATOR);
            if signed {
                // Right id, right signature, arbitrary attributes: may be accepted, must not panic.
                let packet = answer(&exchange, 2, &noise[..noise.len().min(200)], "xyzzy5461");
                judge(&mut exchange, &packet);
            } else {
                if let Some(id) = noise.get_mut(1) {
                    *id = 7;
                }
                prop_assert!(!matches!(judge(&mut exchange, &noise), Some(Ok(()))));
            }
        }
    }
}
