//! Why a packet was refused: a word for the counters, a sentence for the log.

use thiserror::Error;

/// Why [`Keyring::open`](crate::Keyring::open) refused a packet. In the order in which it is found
/// out; everything up to [`Reject::Tag`] is said of a packet nobody has vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Reject {
    /// Shorter than a header and a tag.
    #[error("the packet is shorter than a header and its tag")]
    TooShort,
    /// Longer than [`MAX_PACKET`](crate::MAX_PACKET).
    #[error("the packet is longer than any message can be")]
    TooLong,
    /// Not of this protocol.
    #[error("the packet does not begin as one of hbd's")]
    Magic,
    /// Of a major version this node does not speak.
    #[error("the packet is of protocol version {major}, which this node does not speak")]
    Version {
        /// The major version it claims.
        major: u8,
    },
    /// Of another cluster on the same wire: no fault, only not ours.
    #[error("the packet is of another cluster")]
    ForeignCluster,
    /// Signed with a key our authkeys file does not have.
    #[error("the packet is signed with key {id}, which is not in the authkeys file")]
    UnknownKey {
        /// The key's number.
        id: u8,
    },
    /// Signed by another method than our authkeys file has for that key.
    #[error("the packet is signed by another method than the authkeys file has for key {id}")]
    Method {
        /// The key's number.
        id: u8,
    },
    /// The tag is wrong: another secret, a forger, or damage on the way.
    #[error("the tag does not match: another secret under key {id}, or the packet was altered")]
    Tag {
        /// The key's number.
        id: u8,
    },
    /// Authentic, but not to be understood.
    #[error("the packet is authentic but malformed: {0}")]
    Malformed(Malformed),
}

impl Reject {
    /// A short word for counters; the same for all details of one kind.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::Magic => "magic",
            Self::Version { .. } => "version",
            Self::ForeignCluster => "foreign_cluster",
            Self::UnknownKey { .. } => "unknown_key",
            Self::Method { .. } => "method",
            Self::Tag { .. } => "tag",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// What could not be understood, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{field}: {fault}")]
pub struct Malformed {
    /// The field, as `docs/protocol.md` calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Fault {
    /// The bytes end inside it.
    #[error("the bytes end inside it")]
    Ends,
    /// A number written with more bytes than it needs.
    #[error("a number is written longer than it needs")]
    Overlong,
    /// A number beyond the field's type.
    #[error("a number is too big for it")]
    TooBig,
    /// Not UTF-8, or with a control character in it.
    #[error("it is not UTF-8 text without control characters")]
    NotText,
    /// A text longer than allowed.
    #[error("the text is longer than allowed")]
    TooLong,
    /// An empty text where one is needed.
    #[error("it is empty")]
    Empty,
    /// A value that means nothing in this major version.
    #[error("its value has no meaning")]
    Unknown,
    /// More records than allowed.
    #[error("there are more of them than allowed")]
    TooMany,
    /// A section again, or after one with a higher number.
    #[error("sections are not in rising order")]
    OutOfOrder,
}
