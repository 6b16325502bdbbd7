//! SCRAM-SHA-256 (RFC 5802, 7677), the client's side, without channel binding.

use std::sync::{Arc, Mutex, PoisonError};

use base::base64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::text::unbase64;

/// More rounds than this from a server would keep the loop; 4096 is PostgreSQL's own.
const MOST_ROUNDS: u32 = 100_000;

/// The costly part of a login, kept between checks: the salted password for a salt and a number of rounds.
#[derive(Clone, Default)]
pub struct Salted(Arc<Mutex<Option<Salting>>>);

struct Salting {
    salt: Vec<u8>,
    rounds: u32,
    key: [u8; 32],
}

impl std::fmt::Debug for Salted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salted(…)")
    }
}

impl Salted {
    fn get(&self, password: &str, salt: &[u8], rounds: u32) -> [u8; 32] {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.salt == salt && kept.rounds == rounds) {
            return kept.key;
        }
        let key = salted(password.as_bytes(), salt, rounds);
        *kept = Some(Salting { salt: salt.to_vec(), rounds, key });
        key
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Hi() of RFC 5802: PBKDF2 with one block.
fn salted(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(password) else {
        return [0; 32];
    };
    let round = |data: &[u8]| -> [u8; 32] {
        let mut mac = mac.clone();
        mac.update(data);
        mac.finalize().into_bytes().into()
    };
    let mut last = round(&[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last;
    for _ in 1..rounds {
        last = round(&last);
        sum.iter_mut().zip(last).for_each(|(sum, last)| *sum ^= last);
    }
    sum
}

/// One login.
#[derive(Debug)]
pub struct Scram {
    nonce: String,
    /// What both sides sign, of which the client's start is known from the beginning.
    first: String,
    /// How the server must sign, once the client has.
    expected: Option<[u8; 32]>,
}

impl Scram {
    /// `nonce` is unforeseeable. The name is empty: PostgreSQL has it already.
    pub fn new(nonce: &[u8]) -> Self {
        let nonce = base64::encode(nonce);
        let first = format!("n=,r={nonce}");
        Self { nonce, first, expected: None }
    }

    /// The client's first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The client's proof, to the server's first message.
    ///
    /// # Errors
    /// A sentence if the server's message makes no sense.
    pub fn proof(&mut self, server: &str, password: &str, kept: &Salted) -> Result<String, String> {
        let wrong = || "the server's SCRAM message makes no sense".to_owned();
        let field = |name: &str| server.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(wrong)?;
        let salt = field("s=").and_then(unbase64).ok_or_else(wrong)?;
        let rounds: u32 = field("i=").and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        if rounds == 0 || rounds > MOST_ROUNDS {
            return Err(format!(
                "the server asks for {rounds} SCRAM rounds; at most {MOST_ROUNDS} are done here"
            ));
        }
        let salted = kept.get(password, &salt, rounds);
        let last = format!("c=biws,r={nonce}");
        let signed = format!("{},{server},{last}", self.first);
        let key = hmac(&salted, &[b"Client Key"]);
        let signature = hmac(&Sha256::digest(key), &[signed.as_bytes()]);
        let proof: Vec<u8> = key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        self.expected = Some(hmac(&hmac(&salted, &[b"Server Key"]), &[signed.as_bytes()]));
        Ok(format!("{last},p={}", base64::encode(&proof)))
    }

    /// Whether the server's last message proves that it knows the password too.
    pub fn genuine(&self, server: &str) -> bool {
        let signature = server.split(',').find_map(|part| part.strip_prefix("v=")).and_then(unbase64);
        self.expected.is_some()
            && signature.as_deref() == self.expected.as_ref().map(|expected| &expected[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3's example.
    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = Scram {
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
            first: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
            expected: None,
        };
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let kept = Salted::default();
        let proof = scram.proof(server, "pencil", &kept).unwrap();
        assert_eq!(
            proof,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(scram.genuine("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.genuine("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A4="));
        assert!(!scram.genuine("e=other-error"));
        assert!(kept.0.lock().unwrap().is_some());
    }

    #[test]
    fn a_server_that_makes_no_sense_is_refused() {
        let kept = Salted::default();
        let nonce = Scram::new(b"x").nonce;
        for server in [
            String::new(),
            "r=other,s=QUJD,i=1".to_owned(),
            format!("r={nonce}z,s=!,i=1"),
            format!("r={nonce}z,s=QUJD,i=0"),
            format!("r={nonce}z,s=QUJD,i=4000000000"),
        ] {
            assert!(Scram::new(b"x").proof(&server, "p", &kept).is_err(), "{server}");
        }
        assert!(!Scram::new(b"x").genuine("v="));
    }
}
