//! Health checks: what is asked of a real server, and how it is asked.
//!
//! ```text
//! [check] table ─▶ parse::read ─▶ Check ─┐
//!                                        ├─▶ run ─▶ Outcome ─▶ core
//! real server ─────────────────▶ Target ─┘
//! ```
//!
//! The seam: `crate::core` decides when a check runs, with which deadline, and what its outcome means; it knows
//! nothing of protocols and only asks that a [`Spec`] can be compared (equal checks of equal targets are run
//! once). Everything else of a check is here: `spec` has the kinds with their options, `parse` reads
//! them from the configuration's tables (all keys but `interval`, `timeout`, `fall`, `rise` and `port`,
//! which are `crate::config`'s), `run` does the I/O.

mod datagram;
pub(crate) mod hearsay;
pub(crate) mod origin;
pub mod parse;
mod ping;
mod prepared;
pub(crate) mod program;
pub(crate) mod progress;
pub mod proto;
pub mod run;
mod script;
pub mod spec;
mod stream;
mod tls;
pub(crate) mod web;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use run::{possible, run};
pub use spec::Spec;

use crate::table::Protocol;

/// Whom to ask. Equal targets, asked the same, are asked once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The real server.
    pub address: IpAddr,
    /// The port to ask: the check's own, else the real server's.
    pub port: u16,
    /// The virtual service's protocol.
    pub protocol: Protocol,
    /// For a [`Spec::Script`], which is told of it; `None` for all others, so that they are shared by virtual services.
    pub service: Option<Box<ServiceName>>,
}

/// The virtual service and the real server as a script is told of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName {
    /// Its address; `None` for a firewall mark.
    pub address: Option<SocketAddr>,
    /// Its firewall mark.
    pub mark: Option<u32>,
    /// The real server's port in the table; the port checked may be another.
    pub real_port: u16,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Good, or why not: a plain sentence, bounded, without secrets.
    pub result: Result<(), String>,
    /// How long it took.
    pub took: Duration,
    /// Good, but somebody should know: a certificate that expires soon.
    pub warning: Option<String>,
}

/// Unforeseeable bytes.
///
/// # Errors
/// A sentence if the kernel has none, which it says only before it is seeded.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| format!("the kernel gives no random numbers: {e}"))?;
    Ok(bytes)
}
