//! The client of a farm: asks again and again, and writes down who answered, or why nobody did.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::serve::{self, Place};
use crate::Result;
use crate::clock::monotonic_ns;

/// How to ask.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From these addresses in turn; none is whatever the kernel takes.
    pub from: Vec<IpAddr>,
    /// So often.
    pub count: u32,
    /// Between two questions.
    pub pause: Duration,
    /// For one answer.
    pub patience: Duration,
}

/// Who answered, and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// How often each name answered.
    pub by: BTreeMap<String, u32>,
    /// The questions nobody answered.
    pub failed: Vec<Failure>,
    /// When each answer came, and from whom; `None` for a failure.
    pub course: Vec<(u64, Option<String>)>,
    /// The longest that one answer took, milliseconds.
    pub longest_ms: f64,
}

/// A question nobody answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was asked, `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// When it was given up.
    pub end_ns: u64,
    /// Why.
    pub why: String,
}

impl Answers {
    /// How many of `name`.
    pub fn of(&self, name: &str) -> u32 {
        self.by.get(name).copied().unwrap_or(0)
    }

    /// How many in all.
    pub fn count(&self) -> u32 {
        self.by.values().sum()
    }

    /// `real1=5 real2=5`
    pub fn spread(&self) -> String {
        let mut parts: Vec<String> = self.by.iter().map(|(name, count)| format!("{name}={count}")).collect();
        if !self.failed.is_empty() {
            parts.push(format!("failed={}", self.failed.len()));
        }
        parts.join(" ")
    }
}

/// Asks as planned, or until `stop`.
pub fn ask(place: Place, plan: &Plan, stop: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    for number in 0..plan.count {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if number > 0 {
            std::thread::sleep(plan.pause);
        }
        let at_ns = monotonic_ns();
        let from = plan.from.get(number as usize % plan.from.len().max(1)).copied();
        let answer = serve::ask(place, from, plan.patience);
        let end_ns = monotonic_ns();
        answers.longest_ms = answers.longest_ms.max((end_ns - at_ns) as f64 / 1e6);
        answers.course.push((end_ns, answer.as_ref().ok().cloned()));
        match answer {
            Ok(name) => *answers.by.entry(name).or_default() += 1,
            Err(error) => answers.failed.push(Failure { at_ns, end_ns, why: error.to_string() }),
        }
    }
    answers
}

/// What came of a connection that was to stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Lines that came back.
    pub lines: u32,
    /// By whom.
    pub by: String,
    /// The longest wait for one, milliseconds.
    pub longest_ms: f64,
    /// Why it ended before its time.
    pub broken: Option<String>,
}

/// Talks over one connection, a line each `pause`, until `stop`. Says `line N` on stderr for each.
///
/// # Errors
/// The connection could not be opened.
pub fn talk(address: SocketAddr, pause: Duration, patience: Duration, stop: &AtomicBool) -> Result<Line> {
    let (mut writer, mut reader) = serve::open_line(address, patience)?;
    let mut line = Line::default();
    while !stop.load(Ordering::Relaxed) {
        let at = monotonic_ns();
        let mut answer = String::new();
        let sent = writeln!(writer, "{}", line.lines);
        let broken = match sent.and_then(|()| reader.read_line(&mut answer)) {
            Ok(0) => Some("closed by the other end".to_owned()),
            Err(error) => Some(error.to_string()),
            Ok(_) => match answer.trim_end().split_once(' ') {
                Some((name, number)) if number == line.lines.to_string() => {
                    line.by = name.to_owned();
                    None
                }
                _ => Some(format!("an odd answer: {answer:?}")),
            },
        };
        line.longest_ms = line.longest_ms.max((monotonic_ns() - at) as f64 / 1e6);
        if broken.is_some() {
            line.broken = broken;
            break;
        }
        line.lines += 1;
        eprintln!("line {}", line.lines);
        std::thread::sleep(pause);
    }
    Ok(line)
}
