//! One check of one real server: what its outcomes make of it.

use std::time::Duration;

use super::io::Time;
use crate::check::Outcome;
use crate::config::model::Check;

/// How often a server may come back and fall again within this many intervals before it has to be good for longer.
const FLAP_INTERVALS: u32 = 20;
/// Each such relapse doubles what it takes to come back, so many times at most.
const MOST_DOUBLINGS: u32 = 3;

/// What is known of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// One check's counters.
#[derive(Clone, Debug)]
pub struct Health {
    /// What they say.
    pub verdict: Verdict,
    good: u32,
    bad: u32,
    /// When it came back last.
    returned: Option<Time>,
    /// How often it fell soon after it came back.
    relapses: u32,
    /// What was said of the last check. Nearly always there is nothing to say, and no room for it.
    said: Option<Box<Said>>,
    /// How long the last check took.
    pub took: Option<Duration>,
}

/// What was said of a check.
#[derive(Clone, Debug)]
struct Said {
    error: Option<String>,
    warning: Option<String>,
}

impl Said {
    fn of(outcome: &Outcome) -> Option<Box<Said>> {
        let said = Said { error: outcome.result.clone().err(), warning: outcome.warning.clone() };
        (said.error.is_some() || said.warning.is_some()).then(|| Box::new(said))
    }
}

impl Health {
    /// Before the first check; `verdict` is what is presumed.
    pub fn new(verdict: Verdict) -> Health {
        let (good, bad, relapses) = (0, 0, 0);
        Health { verdict, good, bad, relapses, returned: None, said: None, took: None }
    }

    /// What was wrong at the last check.
    pub fn error(&self) -> Option<&str> {
        self.said.as_ref()?.error.as_deref()
    }

    /// What somebody should know.
    pub fn warning(&self) -> Option<&str> {
        self.said.as_ref()?.warning.as_deref()
    }

    /// Successes in a row that it takes to come back now: more for one that keeps falling.
    pub fn needed(&self, check: &Check) -> u32 {
        check.rise.saturating_mul(1 << self.relapses.min(MOST_DOUBLINGS))
    }

    /// Takes one outcome in; whether the verdict changed.
    pub fn take(&mut self, now: Time, check: &Check, outcome: &Outcome) -> bool {
        self.took = Some(outcome.took);
        self.said = Said::of(outcome);
        let before = self.verdict;
        if outcome.result.is_ok() {
            self.bad = 0;
            self.good = self.good.saturating_add(1);
            self.is_good(now, check);
        } else {
            self.good = 0;
            self.bad = self.bad.saturating_add(1);
            if self.verdict != Verdict::Down && self.bad >= check.fall {
                self.falls(now, check);
            }
        }
        self.verdict != before
    }

    fn is_good(&mut self, now: Time, check: &Check) {
        let window = check.interval * FLAP_INTERVALS;
        match self.verdict {
            // The first good word is enough: there is nothing to be careful about yet.
            Verdict::Unknown => self.verdict = Verdict::Up,
            Verdict::Down if self.good >= self.needed(check) => {
                self.verdict = Verdict::Up;
                self.returned = Some(now);
            }
            Verdict::Up if self.returned.is_some_and(|at| now >= at + window) => {
                self.returned = None;
                self.relapses = 0;
            }
            _ => {}
        }
    }

    fn falls(&mut self, now: Time, check: &Check) {
        let soon = self.returned.is_some_and(|at| now < at + check.interval * FLAP_INTERVALS);
        if soon {
            self.relapses = (self.relapses + 1).min(MOST_DOUBLINGS);
        }
        self.verdict = Verdict::Down;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.bad
    }

    /// Whether it has to be good for longer than usual.
    pub fn is_damped(&self) -> bool {
        self.relapses > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Spec;

    fn check() -> Check {
        Check {
            spec: Spec::Ping.into(),
            port: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
        }
    }

    fn outcome(good: bool) -> Outcome {
        let result = if good { Ok(()) } else { Err("no".to_owned()) };
        Outcome { result, took: Duration::from_millis(3), warning: None }
    }

    /// Feeds a word of `+` and `-`, a second each, and gives the verdicts.
    fn feed(health: &mut Health, now: &mut Time, word: &str) -> String {
        let step = |sign| {
            *now += Duration::from_secs(1);
            health.take(*now, &check(), &outcome(sign == '+'));
            match health.verdict {
                Verdict::Up => 'u',
                Verdict::Down => 'd',
                Verdict::Unknown => '?',
            }
        };
        word.chars().map(step).collect()
    }

    #[test]
    fn admitted_by_the_first_good_check_out_after_fall_bad_ones_back_after_rise_good_ones() {
        let (mut health, mut now) = (Health::new(Verdict::Unknown), Time::ZERO);
        assert_eq!(feed(&mut health, &mut now, "--+--+---+-++"), "??uuuuuuddddu");
        assert_eq!(health.error(), None);
        assert_eq!(health.took, Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_server_never_seen_good_is_down_after_fall_bad_checks() {
        let (mut health, mut now) = (Health::new(Verdict::Unknown), Time::ZERO);
        assert_eq!(feed(&mut health, &mut now, "---"), "??d");
        assert_eq!(health.error(), Some("no"));
        assert_eq!(feed(&mut health, &mut now, "++"), "du");
    }

    #[test]
    fn one_that_keeps_falling_has_to_be_good_for_longer_until_it_has_been_good_for_long() {
        let (mut health, mut now) = (Health::new(Verdict::Up), Time::ZERO);
        assert_eq!(feed(&mut health, &mut now, "---++"), "uuddu");
        assert!(!health.is_damped(), "the first fall is nobody's habit");
        assert_eq!(feed(&mut health, &mut now, "---++++"), "uuddddu");
        assert_eq!(feed(&mut health, &mut now, "---++++++++"), "uuddddddddu");
        for _ in 0..4 {
            feed(&mut health, &mut now, "---++++++++++++++++");
        }
        assert_eq!(health.needed(&check()), 16, "bounded");
        assert_eq!(health.verdict, Verdict::Up);
        feed(&mut health, &mut now, &"+".repeat(21));
        assert!(!health.is_damped());
        assert_eq!(feed(&mut health, &mut now, "---++"), "uuddu");
    }
}
