//! From samples to what a reader wants to know: every gap, and how good the measurement was.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::{Plan, Samples, Trouble};
use crate::Result;
use crate::error::Context;

/// A stretch of probes to one target without an answer in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The address asked.
    pub target: String,
    /// When the first lost probe was sent.
    pub first_lost_ns: u64,
    /// When the first answer after the gap came; `None` if none did before the end.
    pub answered_ns: Option<u64>,
    /// Milliseconds between the two, or up to the end of the run.
    pub length_ms: f64,
    /// Probes lost in it.
    pub lost: u64,
    /// Of these, answered but too late.
    pub late: u64,
    /// Who answered before.
    pub before: Option<String>,
    /// Who answered after.
    pub after: Option<String>,
    /// Times the kernel said "port unreachable" in it.
    pub refused: u64,
    /// Times the kernel said "host unreachable" in it: neighbour resolution failed.
    pub unreachable: u64,
}

/// What one run of the probe saw. Times: `CLOCK_MONOTONIC` nanoseconds unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many addresses were asked.
    pub targets: u64,
    /// Time between probes, microseconds.
    pub interval_us: u64,
    /// The first and the last probe sent.
    pub start_ns: u64,
    /// See `start_ns`.
    pub end_ns: u64,
    /// Probes sent.
    pub sent: u64,
    /// Answered in time.
    pub answered: u64,
    /// Not answered in time (late ones included).
    pub lost: u64,
    /// Answered too late.
    pub late: u64,
    /// Answers that came twice (two owners answer both).
    pub duplicates: u64,
    /// Beats left out because the prober itself was not given the processor: the measurement's blind spots.
    pub unsent: u64,
    /// The longest time between two probes sent: nothing shorter can be told apart.
    pub longest_blind_ms: f64,
    /// The longest time between two answers.
    pub longest_silence_ms: f64,
    /// Round trip of answered probes, microseconds: median, 99th percentile, worst.
    pub rtt_us: [f64; 3],
    /// Answers by who gave them.
    pub answered_by: BTreeMap<String, u64>,
    /// Changes of who answers (of the first target): when, from, to.
    pub changes: Vec<(u64, String, String)>,
    /// All gaps, in order of their beginning.
    pub gaps: Vec<Gap>,
}

impl Summary {
    /// The longest gap, if there was one.
    pub fn longest_gap(&self) -> Option<&Gap> {
        self.gaps.iter().max_by(|x, y| x.length_ms.total_cmp(&y.length_ms))
    }
}

/// One probe in plain numbers.
struct Probe {
    sequence: usize,
    sent: u64,
    received: u64,
    who: u8,
    trouble: u8,
}

impl Probe {
    /// Answered, and within `late`?
    fn good(&self, late: u64) -> bool {
        self.received != 0 && self.received.saturating_sub(self.sent) <= late
    }
}

fn probes(samples: &Samples) -> Vec<Probe> {
    let load = |sequence: usize| Probe {
        sequence,
        sent: samples.sent_ns[sequence].load(Ordering::Relaxed),
        received: samples.received_ns[sequence].load(Ordering::Relaxed),
        who: samples.who[sequence].load(Ordering::Relaxed),
        trouble: samples.trouble[sequence].load(Ordering::Relaxed),
    };
    (0..samples.sent_ns.len()).map(load).filter(|p| p.sent != 0).collect()
}

/// Sums a run up.
pub fn summarise(plan: &Plan, samples: &Samples) -> Summary {
    let all = probes(samples);
    let names = samples.names.lock().map(|n| n.clone()).unwrap_or_default();
    let late = plan.late.as_nanos() as u64;
    let good: Vec<&Probe> = all.iter().filter(|p| p.good(late)).collect();
    let mut answered_by = BTreeMap::new();
    for probe in &good {
        *answered_by.entry(name_of(&names, probe.who).unwrap_or_default()).or_insert(0) += 1;
    }
    let mut gaps: Vec<Gap> = (0..plan.targets.len())
        .flat_map(|t| gaps_of(plan, &names, all.iter().filter(|p| p.sequence % plan.targets.len() == t), t))
        .collect();
    gaps.sort_by_key(|g| g.first_lost_ns);
    let first_target = good.iter().filter(|p| p.sequence % plan.targets.len() == 0);
    Summary {
        targets: plan.targets.len() as u64,
        interval_us: plan.interval.as_micros() as u64,
        start_ns: all.first().map_or(0, |p| p.sent),
        end_ns: all.last().map_or(0, |p| p.sent),
        sent: all.len() as u64,
        answered: good.len() as u64,
        lost: (all.len() - good.len()) as u64,
        late: all.iter().filter(|p| p.received != 0 && !p.good(late)).count() as u64,
        duplicates: samples.duplicates.load(Ordering::Relaxed),
        unsent: samples.unsent.load(Ordering::Relaxed),
        longest_blind_ms: longest_step_ms(all.iter().map(|p| p.sent)),
        longest_silence_ms: longest_step_ms(good.iter().map(|p| p.received)),
        rtt_us: percentiles(good.iter().map(|p| p.received.saturating_sub(p.sent)).collect()),
        answered_by,
        changes: changes(first_target.map(|p| (p.received, p.who)), &names),
        gaps,
    }
}

fn name_of(names: &[String], who: u8) -> Option<String> {
    names.get(usize::from(who).checked_sub(1)?).cloned()
}

fn changes(answers: impl Iterator<Item = (u64, u8)>, names: &[String]) -> Vec<(u64, String, String)> {
    let mut changes = Vec::new();
    let mut last = 0;
    for (at, who) in answers {
        if last != 0 && who != last {
            changes.push((
                at,
                name_of(names, last).unwrap_or_default(),
                name_of(names, who).unwrap_or_default(),
            ));
        }
        last = who;
    }
    changes
}

fn gaps_of<'a>(
    plan: &Plan,
    names: &[String],
    all: impl Iterator<Item = &'a Probe>,
    target: usize,
) -> Vec<Gap> {
    let late = plan.late.as_nanos() as u64;
    let mut gaps = Vec::new();
    let mut open: Option<Gap> = None;
    let mut before = 0;
    let mut last_sent = 0;
    for probe in all {
        last_sent = probe.sent;
        if probe.good(late) {
            if let Some(mut gap) = open.take() {
                gap.answered_ns = Some(probe.received);
                gap.length_ms = ms(probe.received.saturating_sub(gap.first_lost_ns));
                gap.after = name_of(names, probe.who);
                gaps.push(gap);
            }
            before = probe.who;
            continue;
        }
        let gap = open.get_or_insert_with(|| Gap {
            target: plan.targets[target].to_string(),
            first_lost_ns: probe.sent,
            answered_ns: None,
            length_ms: 0.0,
            lost: 0,
            late: 0,
            before: name_of(names, before),
            after: None,
            refused: 0,
            unreachable: 0,
        });
        gap.lost += 1;
        gap.late += u64::from(probe.received != 0);
        gap.refused += u64::from(probe.trouble == Trouble::Refused as u8);
        gap.unreachable += u64::from(probe.trouble == Trouble::Unreachable as u8);
    }
    if let Some(mut gap) = open {
        gap.length_ms = ms(last_sent.saturating_sub(gap.first_lost_ns));
        gaps.push(gap);
    }
    gaps
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The longest step between neighbours of a series of times (replies may come out of order).
fn longest_step_ms(times: impl Iterator<Item = u64>) -> f64 {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    ms(times.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0))
}

fn percentiles(mut rtts: Vec<u64>) -> [f64; 3] {
    if rtts.is_empty() {
        return [0.0; 3];
    }
    rtts.sort_unstable();
    let at = |part: f64| rtts[((rtts.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    [at(0.5), at(0.99), at(1.0)]
}

/// Writes every probe as a line `sequence,target,sent_ns,rtt_us,who,trouble` (empty rtt: no answer), for plotting.
///
/// # Errors
/// The file cannot be written.
pub fn write_csv(path: &Path, plan: &Plan, samples: &Samples) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let names = samples.names.lock().map(|n| n.clone()).unwrap_or_default();
    let mut out = BufWriter::new(std::fs::File::create(path).context(what)?);
    writeln!(out, "sequence,target,sent_ns,rtt_us,who,trouble").context(what)?;
    for p in probes(samples) {
        let rtt = Duration::from_nanos(p.received.saturating_sub(p.sent)).as_micros();
        let rtt = if p.received == 0 { String::new() } else { rtt.to_string() };
        let who = name_of(&names, p.who).unwrap_or_default();
        let trouble = ["", "refused", "unreachable", "other"][usize::from(p.trouble.min(3))];
        let target = plan.targets[p.sequence % plan.targets.len()];
        writeln!(out, "{},{target},{},{rtt},{who},{trouble}", p.sequence, p.sent).context(what)?;
    }
    out.flush().context(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, AtomicU64};

    /// (sent, received, who) in milliseconds.
    fn samples(list: &[(u64, u64, u8)]) -> Samples {
        let numbers =
            |f: fn(&(u64, u64, u8)) -> u64| list.iter().map(|x| AtomicU64::new(f(x) * 1_000_000)).collect();
        Samples {
            sent_ns: numbers(|x| x.0),
            received_ns: numbers(|x| x.1),
            who: list.iter().map(|x| AtomicU8::new(x.2)).collect(),
            trouble: list.iter().map(|_| AtomicU8::new(0)).collect(),
            duplicates: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            names: std::sync::Mutex::new(vec!["a".into(), "b".into()]),
        }
    }

    fn plan() -> Plan {
        Plan {
            targets: vec!["10.77.1.1:7".parse().unwrap()],
            interval: Duration::from_millis(10),
            duration: Duration::from_secs(1),
            late: Duration::from_millis(20),
        }
    }

    #[test]
    fn a_gap_runs_from_the_first_lost_probe_to_the_first_answer() {
        let s =
            summarise(&plan(), &samples(&[(10, 11, 1), (20, 0, 0), (30, 75, 2), (40, 0, 0), (50, 51, 2)]));
        assert_eq!((s.sent, s.answered, s.lost, s.late), (5, 2, 3, 1));
        assert_eq!(s.gaps.len(), 1);
        let gap = &s.gaps[0];
        assert_eq!((gap.lost, gap.late), (3, 1), "an answer after 45 ms served nobody");
        assert!((gap.length_ms - 31.0).abs() < 1e-9);
        assert_eq!((gap.before.as_deref(), gap.after.as_deref()), (Some("a"), Some("b")));
        assert_eq!(s.changes, vec![(51_000_000, "a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn a_gap_that_never_ends_says_so() {
        let s = summarise(&plan(), &samples(&[(10, 11, 1), (20, 0, 0), (40, 0, 0)]));
        assert_eq!(s.gaps[0].answered_ns, None);
        assert!((s.gaps[0].length_ms - 20.0).abs() < 1e-9);
    }

    #[test]
    fn slots_left_out_are_no_loss() {
        let s = summarise(&plan(), &samples(&[(10, 11, 1), (0, 0, 0), (30, 31, 1)]));
        assert_eq!((s.sent, s.lost), (2, 0));
        assert!(s.gaps.is_empty());
        assert!((s.longest_blind_ms - 20.0).abs() < 1e-9);
    }
}
