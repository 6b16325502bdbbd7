//! The record of a run, for people and for comparing.

use super::clock::show;

/// What is recorded.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    on: bool,
    packets: bool,
    /// The lines so far.
    pub lines: Vec<String>,
}

impl Trace {
    /// Nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// What happens and what the nodes do.
    pub fn story() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// That, and every byte sent.
    pub fn everything() -> Self {
        Self { on: true, packets: true, lines: Vec::new() }
    }

    /// Something is recorded.
    pub fn on(&self) -> bool {
        self.on
    }

    /// Bytes too.
    pub fn packets(&self) -> bool {
        self.packets
    }

    /// Adds a line.
    pub fn line(&mut self, at: u64, who: &str, text: &str) {
        self.lines.push(format!("{} {who:<2} {text}", show(at)));
    }

    /// A number that two records share only if they are the same.
    pub fn hash(&self) -> u64 {
        self.lines
            .iter()
            .fold(proto::FNV64, |hash, line| proto::fnv64(proto::fnv64(hash, line.as_bytes()), b"\n"))
    }
}
