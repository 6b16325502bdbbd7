//! The client's view of a run: every gap in its answers, and the fault it belongs to.

use std::collections::BTreeMap;

use crate::probe::report::{Gap, Summary};

/// A gap shorter than this may be the machine's own.
const NOISE_MS: f64 = 1000.0;

/// When a step was the latest thing that happened.
#[derive(Debug, Clone)]
pub struct Span {
    /// The step.
    pub number: usize,
    /// The kinds of what was done, joined.
    pub kinds: String,
    /// From its first act to the beginning of the next step, `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// It may cost the client nothing, and the machine had time for us.
    pub quiet: bool,
}

/// What the client went through, in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Outage {
    /// All gaps together.
    pub total_ms: f64,
    /// The longest one.
    pub longest_ms: f64,
    /// How many.
    pub gaps: u64,
    /// All the time the client was asking.
    pub watched_ms: f64,
    /// By what was done in the step they began in.
    pub by_kind: BTreeMap<String, f64>,
    /// Gaps in steps that may cost nothing.
    pub violations: Vec<String>,
}

impl Outage {
    /// Sums up what a probe saw during these steps, which are in order.
    pub fn account(summary: &Summary, spans: &[Span]) -> Outage {
        let watched_ms = summary.end_ns.saturating_sub(summary.start_ns) as f64 / 1e6;
        let mut outage = Outage { watched_ms, ..Outage::default() };
        for gap in summary.gaps.iter().filter(|gap| gap.lost > gap.late) {
            outage.add(gap, spans);
        }
        outage
    }

    fn add(&mut self, gap: &Gap, spans: &[Span]) {
        self.gaps += 1;
        self.total_ms += gap.length_ms;
        self.longest_ms = self.longest_ms.max(gap.length_ms);
        let span = spans.iter().rev().find(|span| span.begin_ns <= gap.first_lost_ns);
        let kinds = span.map_or("the beginning", |span| span.kinds.as_str());
        *self.by_kind.entry(kinds.to_owned()).or_default() += gap.length_ms;
        if let Some(span) = span.filter(|span| span.quiet && gap.length_ms > NOISE_MS) {
            let said =
                format!("the client was without answer for {:.0} ms in step {}", gap.length_ms, span.number);
            self.violations.push(format!("L5: {said} ({kinds}), which may cost nothing"));
        }
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: Outage) {
        self.total_ms += other.total_ms;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.gaps += other.gaps;
        self.watched_ms += other.watched_ms;
        for (kind, ms) in other.by_kind {
            *self.by_kind.entry(kind).or_default() += ms;
        }
        self.violations.extend(other.violations);
    }
}
