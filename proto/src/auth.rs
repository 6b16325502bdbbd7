//! Who may have sent a packet: header, tag, and the checks of both, in the order that costs least.
//!
//! length → magic → major version → cluster → key → method → tag → body. Nothing of the body is
//! looked at before the tag has proved it. The cluster comes before the tag, so that a neighbour on
//! the same wire costs us a comparison of eight bytes and no hash.
//!
//! HMAC as in RFC 2104 with SHA-256 or MD5 (RFC 6151: as an HMAC, MD5 still stands), the tag cut to
//! its first 16 bytes as RFC 2104 section 5 allows. CRC-32 is the one of IEEE 802.3; it proves
//! nothing but that the bytes are whole.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;

use crate::codec::{MAX_PACKET, put_body, read_body};
use crate::keyring::{Key, Keyring};
use crate::message::{ClusterId, Message};
use crate::reject::Reject;

/// The first bytes of each packet.
const MAGIC: [u8; 2] = *b"hb";
/// What we speak: packets of this major version are understood, whatever their minor.
const MAJOR: u8 = 1;
const MINOR: u8 = 0;
/// Magic, version, method, key id, cluster.
const HEADER: usize = 13;
/// Bytes of an HMAC that travel.
const HMAC_TAG: usize = 16;
/// Bytes of a CRC-32.
const CRC_TAG: usize = 4;

/// How a packet is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-MD5.
    Md5,
    /// CRC-32: no key, no protection.
    Crc,
}

impl Method {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Md5, Self::Crc];

    /// Its name in an authkeys file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::Crc => "crc",
        }
    }

    /// Its number on the wire.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Md5 => 2,
            Self::Crc => 3,
        }
    }

    fn tag_length(self) -> usize {
        match self {
            Self::Sha256 | Self::Md5 => HMAC_TAG,
            Self::Crc => CRC_TAG,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such method; there are sha256, md5 and crc")]
pub struct NoSuchMethod;

impl FromStr for Method {
    type Err = NoSuchMethod;

    fn from_str(name: &str) -> Result<Self, NoSuchMethod> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or(NoSuchMethod)
    }
}

/// A key ready for use: the secret is mixed in once, and each packet goes on from a copy of that.
/// The copies wipe themselves when dropped, and the secret itself is not kept.
#[derive(Clone)]
pub(crate) enum Signer {
    Sha256(Hmac<Sha256>),
    Md5(Hmac<Md5>),
    Crc,
}

impl Signer {
    /// The signer for `method`; `crc` does not look at the secret.
    pub(crate) fn new(method: Method, secret: &[u8]) -> Self {
        let signer = Self::keyed(method, secret);
        wipe_stack();
        signer
    }

    /// Never inlined: what it leaves on the stack is to be below the frame of its caller, who wipes it.
    #[inline(never)]
    fn keyed(method: Method, secret: &[u8]) -> Self {
        // An HMAC takes a key of any length (RFC 2104 section 2), so this cannot fail.
        const ANY_LENGTH: &str = "an HMAC takes a key of any length";
        match method {
            Method::Sha256 => Self::Sha256(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Method::Md5 => Self::Md5(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Method::Crc => Self::Crc,
        }
    }

    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Sha256(_) => Method::Sha256,
            Self::Md5(_) => Method::Md5,
            Self::Crc => Method::Crc,
        }
    }

    /// Appends the tag of all that is in `packet`.
    fn sign(&self, packet: &mut Vec<u8>) {
        match self {
            Self::Sha256(keyed) => {
                let tag = keyed.clone().chain_update(packet.as_slice()).finalize().into_bytes();
                packet.extend_from_slice(&tag[..HMAC_TAG]);
            }
            Self::Md5(keyed) => {
                let tag = keyed.clone().chain_update(packet.as_slice()).finalize().into_bytes();
                packet.extend_from_slice(&tag[..HMAC_TAG]);
            }
            Self::Crc => packet.extend_from_slice(&crc32fast::hash(packet).to_be_bytes()),
        }
    }

    /// Whether `tag` is that of `signed`; takes the same time whatever the tag (but for `crc`).
    fn verify(&self, signed: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(keyed) => keyed.clone().chain_update(signed).verify_truncated_left(tag).is_ok(),
            Self::Md5(keyed) => keyed.clone().chain_update(signed).verify_truncated_left(tag).is_ok(),
            Self::Crc => tag == crc32fast::hash(signed).to_be_bytes(),
        }
    }
}

/// Overwrites what the function called before left on the stack: an HMAC begins with its key, padded to a block, in a local
/// variable that nobody wipes.
#[inline(never)]
fn wipe_stack() {
    let mut frame = [0_u8; 16 * 1024];
    std::hint::black_box(&mut frame);
}

/// How long the packet of `message` is, in bytes, whatever the key (with crc it is 12 bytes shorter).
pub fn packet_length(message: &Message) -> usize {
    let mut body = Vec::new();
    put_body(&mut body, message);
    HEADER + body.len() + HMAC_TAG
}

impl Keyring {
    /// The packet that carries `message` in `cluster`, signed with the key that `auth` picks.
    ///
    /// Not more than 8 orders and 8 acks travel (the first ones; the rest wait their turn), `by` is
    /// cut to 32 bytes and a refusal to 120, at a whole character, and control characters in them
    /// become blanks. More than 255 groups or 15 echoes, or a node name that
    /// [`name_is_valid`](crate::name_is_valid) refuses, are a mistake of the caller: asserted in
    /// debug builds, else cut (an empty name is refused by the receiver). No message makes a packet
    /// longer than [`MAX_PACKET`].
    pub fn seal(&self, cluster: ClusterId, message: &Message) -> Vec<u8> {
        self.seal_with(MINOR, cluster, |packet| put_body(packet, message))
    }

    /// A fingerprint of `bytes` that only those who have the keys can make, or compare a guess with: the start of a tag
    /// under the key with the lowest number, which nodes have in common also while the one that signs is being changed.
    pub fn fingerprint(&self, bytes: &[u8]) -> u32 {
        let mut text = b"fingerprint\0".to_vec();
        text.extend_from_slice(bytes);
        let start = text.len();
        self.lowest_key().signer.sign(&mut text);
        text[start..].first_chunk().map_or(0, |tag| u32::from_be_bytes(*tag))
    }

    /// A packet of this major and any minor version with any bytes as its body.
    pub(crate) fn seal_with(&self, minor: u8, cluster: ClusterId, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let Key { id, signer } = self.signing_key();
        let mut packet = Vec::with_capacity(256);
        packet.extend_from_slice(&MAGIC);
        packet.extend_from_slice(&[MAJOR << 4 | minor & 0x0f, signer.method().number(), *id]);
        packet.extend_from_slice(&cluster.0.to_be_bytes());
        put(&mut packet);
        signer.sign(&mut packet);
        packet
    }

    /// The message in `datagram`, if it is of `cluster`, signed with one of our keys, and whole.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in the order of this module's doc. Never panics,
    /// whatever the bytes. Whether the message is *fresh* is not known here: see
    /// [`ReplayWindow`](crate::ReplayWindow) and [`Echo`](crate::Echo).
    pub fn open(&self, cluster: ClusterId, datagram: &[u8]) -> Result<Message, Reject> {
        if datagram.len() > MAX_PACKET {
            return Err(Reject::TooLong);
        }
        let header = datagram.first_chunk::<HEADER>().ok_or(Reject::TooShort)?;
        let [m0, m1, version, method, id, claimed @ ..] = *header;
        if [m0, m1] != MAGIC {
            return Err(Reject::Magic);
        }
        if version >> 4 != MAJOR {
            return Err(Reject::Version { major: version >> 4 });
        }
        if claimed != cluster.0.to_be_bytes() {
            return Err(Reject::ForeignCluster);
        }
        let signer = self.signer(id).ok_or(Reject::UnknownKey { id })?;
        if method != signer.method().number() {
            return Err(Reject::Method { id });
        }
        let body_and_tag = datagram.len() - HEADER;
        let body = body_and_tag.checked_sub(signer.method().tag_length()).ok_or(Reject::TooShort)?;
        let (signed, tag) = datagram.split_at(HEADER + body);
        if !signer.verify(signed, tag) {
            return Err(Reject::Tag { id });
        }
        read_body(&signed[HEADER..]).map_err(Reject::Malformed)
    }
}
