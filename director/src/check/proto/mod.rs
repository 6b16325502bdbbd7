//! What health checks say and how answers are judged: pure functions of bytes, without any I/O.
//!
//! A protocol over a stream is a [`Talk`]; one over datagrams an [`Exchange`]. Both are driven by `check::stream` and
//! `check::datagram`. They answer for any input whatever in bounded time and memory: each is fed arbitrary bytes by
//! its tests (see `fuzz`).

pub mod ber;
pub mod dns;
pub mod ftp;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod grpc;
pub mod http;
pub mod icmp;
pub mod imap;
pub mod ladder;
pub mod ldap;
pub mod ldap_filter;
pub mod mysql;
pub mod nntp;
pub mod pgsql;
pub mod pop3;
pub mod radius;
pub mod redis;
pub mod scram;
pub mod sendexpect;
pub mod sip;
pub mod smtp;
pub mod talk;
pub mod text;
pub mod x509;

pub use talk::{Exchange, Heard, Step, Talk};
