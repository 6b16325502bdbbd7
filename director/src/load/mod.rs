//! What a real server says of its load, and where it is asked.
//!
//! The seam: `source` asks and gives a [`Reading`]; [`crate::core`] makes a weight of it: bounded, smoothed,
//! with a dead band, and the configured one when there is no news.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod parse;
pub mod source;
pub mod text;

/// Where the load is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A TCP port that answers with HAProxy's agent-check text.
    Agent {
        /// The port.
        port: u16,
        /// What is sent first, if anything.
        send: Option<String>,
    },
    /// A JSON document over HTTP.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
        /// The way to the number, the percentage wanted (or to an agent's text): `percent`, `a.b.0`.
        field: String,
        /// The number is a load, and so much of it leaves nothing free.
        busy_at: Option<u32>,
    },
    /// A program that prints the same text as an agent.
    Exec {
        /// Its path.
        program: PathBuf,
        /// Its arguments; `%h` is the real server's address.
        args: Vec<String>,
    },
    /// A file with the same text; `%h` in its name is the real server's address, `%n` its name.
    File {
        /// Its path.
        path: String,
    },
}

/// How a weight follows the load.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Where the load is asked.
    pub source: Source,
    /// How often.
    pub interval: Duration,
    /// For how long at most.
    pub timeout: Duration,
    /// Least share of the configured weight, in percent.
    pub min_percent: u32,
    /// Greatest share of the configured weight, in percent.
    pub max_percent: u32,
    /// How much of a new reading counts, in percent: 100 follows at once.
    pub smooth_percent: u32,
    /// Changes of less than so many percent of the configured weight are left alone.
    pub dead_band_percent: u32,
    /// Without news for so long the configured weight holds.
    pub stale: Duration,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The real server's address.
    pub address: IpAddr,
    /// Its name in the configuration.
    pub name: String,
}

/// What a real server said. Both may be there: `ready 75%`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The share of the configured weight it wants, in percent; may be above 100.
    pub percent: Option<f64>,
    /// What it wants to be.
    pub state: Option<Wish>,
    /// Words of it, for people.
    pub why: Option<String>,
}

/// What a real server wants to be (HAProxy's agent-check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `ready`, `up`: in service.
    Up,
    /// `drain`: no new connections.
    Drain,
    /// `maint`: out of service.
    Maintenance,
    /// `down`, `fail`, `stopped`: as if its checks had failed.
    Down,
}

/// The first `most` bytes of a file; `None` if it is no plain one: a FIFO nobody writes to would hang at the opening.
///
/// # Errors
/// It cannot be read.
pub(crate) fn start_of(file: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    if !std::fs::metadata(file)?.is_file() {
        return Ok(None);
    }
    let mut start = Vec::new();
    File::open(file)?.take(most as u64).read_to_end(&mut start)?;
    Ok(Some(start))
}
