//! What travels between the nodes: the message, its packet, who may have sent it, and whether it
//! was heard before.
//!
//! ```text
//!            Keyring::seal                           Keyring::open
//!  Message ────────────────▶ packet ──▶ links ──▶ ──────────────────▶ Message ──▶ ReplayWindow
//!            codec + auth                           auth, then codec
//! ```
//!
//! On a serial line [`serial::put_frame`] and [`serial::Deframer`] stand between packet and link.
//!
//! Pure: no clock, no socket, no randomness. The bytes are written up in `docs/protocol.md`.

pub mod auth;
mod codec;
#[doc(hidden)]
pub mod fuzz;
pub mod keyring;
pub mod message;
pub mod reject;
pub mod replay;
pub mod serial;
mod wire;

#[cfg(test)]
mod tests;

pub use auth::{Method, packet_length};
pub use codec::{
    MAX_ACKS, MAX_BY, MAX_ECHOES, MAX_ENTRIES, MAX_ENTRY_NAME, MAX_GROUPS, MAX_LINKS, MAX_ORDERS, MAX_PACKET,
    MAX_REFUSED, ONE_DATAGRAM,
};
pub use keyring::{KeyProblem, Keyring};
pub use message::*;
pub use reject::{Fault, Malformed, Reject};
pub use replay::{ReplayWindow, Seen};
