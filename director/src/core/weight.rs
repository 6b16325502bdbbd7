//! A real server's weight: configured, by hand, by load, on its way up.

use std::time::Duration;

use super::io::Time;
use crate::load::{Policy, Reading, Wish};
use crate::table::MAX_WEIGHT;

/// What the load of a real server makes of its weight.
///
/// The weight is a function of the configured weight and the smoothed load, never of the last weight: an error
/// cannot add up.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// When it was heard last.
    heard: Option<Time>,
    /// The smoothed share it wants, in percent.
    smoothed: Option<f64>,
    /// The share that is applied, in percent: it follows the smoothed one in steps of the dead band.
    applied: Option<f64>,
    /// What it wants to be.
    wish: Option<Wish>,
    /// Its words about that.
    why: Option<Box<str>>,
    /// Why there is no news.
    pub error: Option<String>,
}

impl Load {
    /// Takes a reading in.
    pub fn take(&mut self, now: Time, policy: &Policy, reading: Result<&Reading, &str>) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                self.error = Some(error.to_owned());
                return;
            }
        };
        self.error = None;
        if self.is_stale(now, policy) {
            *self = Load::default();
        }
        self.heard = Some(now);
        self.wish = reading.state;
        self.why = reading.why.as_deref().map(Box::from);
        let Some(percent) = reading.percent.filter(|percent| percent.is_finite()) else {
            return;
        };
        let (least, most) = (f64::from(policy.min_percent), f64::from(policy.max_percent));
        let percent = percent.clamp(least.min(most), most);
        let share = f64::from(policy.smooth_percent.clamp(1, 100)) / 100.0;
        let smoothed = self.smoothed.map_or(percent, |before| before + (percent - before) * share);
        self.smoothed = Some(smoothed);
        let far = |applied: f64| (smoothed - applied).abs() >= f64::from(policy.dead_band_percent);
        // At a bound it is taken as it is, else the dead band would keep it a little off for ever.
        let bound = (smoothed - least).abs() < 0.5 || (smoothed - most).abs() < 0.5;
        if self.applied.is_none_or(|applied| far(applied) || bound) {
            self.applied = Some(smoothed);
        }
    }

    /// Whether there has been no news for too long; also if there never was any.
    pub fn is_stale(&self, now: Time, policy: &Policy) -> bool {
        self.heard.is_none_or(|heard| now >= heard + policy.stale)
    }

    /// When the last news become stale.
    pub fn stale_at(&self, policy: &Policy) -> Option<Time> {
        self.heard.map(|heard| heard + policy.stale)
    }

    /// What it wants to be, while that is news.
    pub fn wish(&self, now: Time, policy: &Policy) -> Option<Wish> {
        self.wish.filter(|_| !self.is_stale(now, policy))
    }

    /// Its words about that.
    pub fn words(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// `weight` as the load makes it; the same if there is no news. Never 0 unless it was.
    pub fn of(&self, now: Time, policy: &Policy, weight: u32) -> u32 {
        match self.applied {
            Some(percent) if !self.is_stale(now, policy) => share(weight, percent / 100.0),
            _ => weight,
        }
    }

    /// The share that holds, in percent.
    pub fn percent(&self, now: Time, policy: &Policy) -> Option<f64> {
        self.applied.filter(|_| !self.is_stale(now, policy))
    }
}

/// A part of a weight; at least 1, unless there is none.
fn share(weight: u32, part: f64) -> u32 {
    if weight == 0 {
        return 0;
    }
    // In range by the clamp: as a cast it saturates.
    (f64::from(weight) * part).round().clamp(1.0, f64::from(MAX_WEIGHT)) as u32
}

/// The steps of a slow start: more would only be more changes.
const STEPS: u32 = 20;

/// `weight` of a server that came back at `from` and takes `slow_start` to its full weight.
pub fn rising(now: Time, from: Time, slow_start: Duration, weight: u32) -> u32 {
    let elapsed = now.saturating_sub(from);
    if slow_start.is_zero() || elapsed >= slow_start {
        return weight;
    }
    let step = step_of(elapsed, slow_start);
    share(weight, f64::from(step) / f64::from(STEPS))
}

fn step_of(elapsed: Duration, slow_start: Duration) -> u32 {
    (elapsed.as_secs_f64() / slow_start.as_secs_f64() * f64::from(STEPS)) as u32
}

/// When [`rising`] changes next, if it still rises.
pub fn next_step(now: Time, from: Time, slow_start: Duration) -> Option<Time> {
    let elapsed = now.saturating_sub(from);
    if slow_start.is_zero() || elapsed >= slow_start {
        return None;
    }
    let next = from + slow_start * (step_of(elapsed, slow_start) + 1) / STEPS;
    // Rounding must not make a deadline that is over already.
    Some(next.max(now + Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::Source;

    fn policy() -> Policy {
        Policy {
            source: Source::File { path: "/x".into() },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            min_percent: 10,
            max_percent: 100,
            smooth_percent: 50,
            dead_band_percent: 10,
            stale: Duration::from_secs(16),
        }
    }

    fn say(load: &mut Load, at: u64, percent: f64) {
        let reading = Reading { percent: Some(percent), ..Reading::default() };
        load.take(Time::from_secs(at), &policy(), Ok(&reading));
    }

    #[test]
    fn a_loaded_server_gets_less_smoothly_and_more_again_when_it_recovers() {
        let (mut load, at) = (Load::default(), Time::from_secs);
        assert_eq!(load.of(at(0), &policy(), 100), 100, "no news: as configured");
        say(&mut load, 0, 100.0);
        say(&mut load, 5, 20.0);
        assert_eq!(load.of(at(5), &policy(), 100), 60, "half of the way at once");
        say(&mut load, 10, 20.0);
        assert_eq!(load.of(at(10), &policy(), 100), 40);
        for n in 3..20 {
            say(&mut load, n * 5, 100.0);
        }
        assert_eq!(load.of(at(95), &policy(), 100), 100, "the whole way in the end");
    }

    #[test]
    fn small_changes_are_left_alone() {
        let (mut load, at) = (Load::default(), Time::from_secs);
        say(&mut load, 0, 50.0);
        for n in 1..10 {
            say(&mut load, n, if n % 2 == 0 { 55.0 } else { 45.0 });
            assert_eq!(load.of(at(n), &policy(), 100), 50);
        }
    }

    #[test]
    fn no_news_is_the_configured_weight() {
        let (mut load, at) = (Load::default(), Time::from_secs);
        let reading = Reading { percent: Some(20.0), state: Some(Wish::Drain), why: None };
        load.take(at(0), &policy(), Ok(&reading));
        load.take(at(5), &policy(), Err("refused"));
        assert_eq!(load.of(at(15), &policy(), 100), 20, "not stale yet");
        assert_eq!(load.wish(at(15), &policy()), Some(Wish::Drain));
        assert_eq!(load.of(at(16), &policy(), 100), 100);
        assert_eq!(load.wish(at(16), &policy()), None);
        assert_eq!(load.error.as_deref(), Some("refused"));
        say(&mut load, 30, 80.0);
        assert_eq!(load.of(at(30), &policy(), 100), 80, "what was before the silence does not count");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_said_the_weight_stays_within_its_bounds(
            said in prop::collection::vec(prop_oneof![any::<f64>(), 0.0..200.0], 1..50), weight in 1_u32..=MAX_WEIGHT
        ) {
            let mut load = Load::default();
            for (at, percent) in said.iter().enumerate() {
                say(&mut load, at as u64, *percent);
                let now = load.of(Time::from_secs(at as u64), &policy(), weight);
                prop_assert!(now >= 1 && now <= weight, "{now} of {weight}");
                prop_assert!(f64::from(now) >= f64::from(weight) * 0.1 - 1.0);
            }
        }

        #[test]
        fn a_slow_start_only_rises_and_ends_at_the_weight(weight in 1_u32..1000, secs in 1_u64..100) {
            let slow = Duration::from_secs(secs);
            let mut now = Time::from_secs(7);
            let mut before = rising(now, now, slow, weight);
            prop_assert!(before >= 1);
            let mut steps = 0;
            while let Some(next) = next_step(now, Time::from_secs(7), slow) {
                prop_assert!(next > now);
                now = next;
                let weight_now = rising(now, Time::from_secs(7), slow, weight);
                prop_assert!(weight_now >= before);
                before = weight_now;
                steps += 1;
                prop_assert!(steps <= 2 * STEPS);
            }
            prop_assert_eq!(before, weight);
            prop_assert!(now <= Time::from_secs(7) + slow + Duration::from_millis(1));
        }
    }
}
