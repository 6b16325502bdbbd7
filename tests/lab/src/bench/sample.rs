//! One change of owner as the client saw it, and whether the prober itself could see.

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::error::Context;
use crate::probe::Summary;
use crate::{LabError, Result};

/// A prober that was not given the processor for longer than this at a moment that counts has measured itself.
pub const BLIND_MS: f64 = 2.0;
/// How often a disturbed sample is taken again before it is kept as it is.
pub const REPEATS: u32 = 3;
/// The prober must have seen everything this long before and after the first lost probe ...
const EDGE_NS: u64 = 5_000_000;
/// ... and this long before the first answer, where detection and takeover happen.
const TAKEOVER_NS: u64 = 60_000_000;

/// What the client saw.
#[derive(Debug, Clone)]
pub struct Outage {
    /// Milliseconds without service, all gaps since the order together; 0 if no probe was lost.
    pub ms: f64,
    /// When the client was served again (nanoseconds, `CLOCK_MONOTONIC`); `None` if no probe was lost.
    pub served_ns: Option<u64>,
    /// How many gaps these were.
    pub gaps: usize,
    /// The prober's longest blind time at the moments that count, milliseconds.
    pub blind_ms: f64,
}

impl Outage {
    /// Reads a run of the probe: everything from `since_ns` (the order, the power cut) on.
    ///
    /// # Errors
    /// The client was never served again, or the probe's file cannot be read.
    pub fn read(summary: &Summary, csv: &Path, since_ns: u64) -> Result<Outage> {
        // A probe on its way when the power goes is lost too, though sent before.
        let gaps: Vec<_> = summary.gaps.iter().filter(|g| g.first_lost_ns + 5_000_000 >= since_ns).collect();
        let mut windows = Vec::new();
        for gap in &gaps {
            let answered = gap.answered_ns.ok_or_else(|| LabError::new("the client was not served again"))?;
            windows.push((gap.first_lost_ns.saturating_sub(EDGE_NS), gap.first_lost_ns + EDGE_NS));
            windows.push((answered.saturating_sub(TAKEOVER_NS), answered));
        }
        if windows.is_empty() {
            windows.push((since_ns, since_ns + 500_000_000));
        }
        Ok(Outage {
            ms: gaps.iter().fold(0.0, |sum, g| sum + g.length_ms),
            served_ns: gaps.iter().filter_map(|g| g.answered_ns).max(),
            gaps: gaps.len(),
            blind_ms: blind_ms(&sent(csv)?, &windows),
        })
    }

    /// True if the prober was blind for longer than `limit_ms` when it mattered.
    pub fn disturbed(&self, limit_ms: f64) -> bool {
        self.blind_ms > limit_ms
    }
}

/// When each probe was sent, from the probe's CSV.
fn sent(csv: &Path) -> Result<Vec<u64>> {
    let what = || format!("cannot read {}", csv.display());
    let file = std::fs::File::open(csv).context(what)?;
    let mut times = Vec::new();
    for line in BufReader::new(file).lines().skip(1) {
        let line = line.context(what)?;
        times.extend(line.split(',').nth(2).and_then(|word| word.parse::<u64>().ok()));
    }
    Ok(times)
}

/// The longest step between two probes that touches one of the windows.
fn blind_ms(sent: &[u64], windows: &[(u64, u64)]) -> f64 {
    let touches = |from: u64, to: u64| windows.iter().any(|(begin, end)| from < *end && to > *begin);
    let steps = sent.windows(2).filter(|w| touches(w[0], w[1])).map(|w| w[1].saturating_sub(w[0]));
    steps.max().unwrap_or(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blindness_counts_only_where_it_matters() {
        let ms = |list: &[u64]| list.iter().map(|t| t * 1_000_000).collect::<Vec<_>>();
        let sent = ms(&[10, 11, 12, 20, 21, 22]);
        assert!((blind_ms(&sent, &[(11_500_000, 13_000_000)]) - 8.0).abs() < 1e-9);
        assert!((blind_ms(&sent, &[(20_100_000, 22_000_000)]) - 1.0).abs() < 1e-9);
        assert!(blind_ms(&sent, &[(30_000_000, 40_000_000)]).abs() < 1e-9);
    }
}
