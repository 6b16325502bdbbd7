//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::act::Act;
use super::ground::Ground;
use super::outage::Outage;

/// What was done, what came of it.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Walks, each with its seed, by their grounds.
    pub walks: BTreeMap<Ground, u64>,
    /// Uses of the power switch.
    pub fences: u64,
    /// Steps carried out and audited.
    pub steps: u64,
    /// Times the pair had to become well, and did.
    pub calms: u64,
    /// Steps that may move nothing, and were judged so.
    pub quiet_judged: u64,
    /// Steps that may move nothing, not judged because the machine let the lab itself wait.
    pub quiet_unjudged: u64,
    /// Looks from outside.
    pub looks: u64,
    /// Calls of agents, all judged.
    pub agent_calls: u64,
    /// What was done, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Changes of a group's owner seen between two audits.
    pub ownership_changes: u64,
    /// The longest wait for the audit to be content.
    pub longest_audit: Duration,
    /// The longest wait for the pair to be well in calm.
    pub longest_calm: Duration,
    /// The client's view.
    pub outage: Outage,
    /// One line for each walk that went wrong.
    pub violations: Vec<String>,
}

impl Tally {
    /// A walk begins.
    pub fn begin(&mut self, ground: Ground) {
        *self.walks.entry(ground).or_default() += 1;
    }

    /// Counts an act.
    pub fn count(&mut self, act: &Act) {
        if !matches!(act, Act::Wait(_)) {
            *self.kinds.entry(act.kind()).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.walks.values().sum();
        let grounds: Vec<String> = self.walks.iter().map(|(ground, n)| format!("{ground} {n}")).collect();
        let grounds = grounds.join(", ");
        writeln!(f, "walks {all} ({grounds}), steps {}, of these calm and well {}", self.steps, self.calms)?;
        writeln!(
            f,
            "steps that may move nothing: {} judged, {} not (the machine was too busy)",
            self.quiet_judged, self.quiet_unjudged
        )?;
        writeln!(f, "looks from outside {}, agents' calls judged {}", self.looks, self.agent_calls)?;
        let (changes, fences) = (self.ownership_changes, self.fences);
        writeln!(f, "ownership changes {changes}, uses of the power switch {fences}")?;
        writeln!(
            f,
            "longest wait: for an audit {} ms, for all to be well in calm {} ms",
            self.longest_audit.as_millis(),
            self.longest_calm.as_millis()
        )?;
        writeln!(f, "what was done:")?;
        for (kind, count) in &self.kinds {
            writeln!(f, "  {count:>5}  {kind}")?;
        }
        let outage = &self.outage;
        writeln!(
            f,
            "the client asked for {:.0} s and was without answer for {:.1} s in {} gaps, longest {:.0} ms; by step:",
            outage.watched_ms / 1e3,
            outage.total_ms / 1e3,
            outage.gaps,
            outage.longest_ms
        )?;
        let mut kinds: Vec<_> = outage.by_kind.iter().collect();
        kinds.sort_by(|x, y| y.1.total_cmp(x.1));
        for (kinds, ms) in kinds.iter().take(40) {
            writeln!(f, "  {:>9.1} s  {kinds}", **ms / 1e3)?;
        }
        write!(f, "violations: {}", self.violations.len())
    }
}
