//! Held addresses that somebody removes or changes again and again: how often they are put back, and that it is said.
//!
//! ```text
//!  removed ── ten times a minute ──▶ put back at once
//!          ── more often ──────────▶ put back half a second after the last time, told of in status, and seldom in the log
//! ```
//! However long it goes on, the address is never away for longer than [`PACE`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use cluster::{ResourceKey, Time};

use super::worker::Worker;
use crate::daemon::report::{Report, Trouble, tell};
use crate::daemon::when::now;

/// An address is put back at once so many times within a [`ROUND`].
const AT_ONCE: usize = 10;
const ROUND: Duration = Duration::from_secs(60);
/// After that there is so much time between two times.
pub(super) const PACE: Duration = Duration::from_millis(500);

/// The last times that an address was put back.
#[derive(Debug, Default)]
struct Lately {
    /// Within a round, the newest [`AT_ONCE`] of them.
    times: VecDeque<Time>,
    /// It is away, and waits for its time.
    waits: bool,
}

/// How often each address was put back lately.
#[derive(Debug, Default)]
pub(super) struct Struggle {
    all: BTreeMap<ResourceKey, Lately>,
    /// What was said of them.
    told: Vec<IpAddr>,
}

impl Struggle {
    /// Whether it may be put back now, which then counts; if not, its time comes, see [`Struggle::due`].
    pub(super) fn may(&mut self, key: ResourceKey, now: Time) -> bool {
        let lately = self.all.entry(key).or_default();
        lately.times.retain(|at| now.since(*at) < ROUND);
        let last = lately.times.back().copied();
        lately.waits = lately.times.len() >= AT_ONCE && last.is_some_and(|last| now.since(last) < PACE);
        if !lately.waits {
            self.count(key, now);
        }
        !self.all[&key].waits
    }

    /// It was put back.
    pub(super) fn count(&mut self, key: ResourceKey, now: Time) {
        let times = &mut self.all.entry(key).or_default().times;
        times.push_back(now);
        if times.len() > AT_ONCE {
            times.pop_front();
        }
    }

    /// When one is to be put back, or has been left alone for long enough.
    pub(super) fn due(&self) -> Option<Time> {
        let each = self.all.values().filter_map(|lately| match (lately.waits, lately.times.len()) {
            (true, _) => Some(*lately.times.back()? + PACE),
            (false, AT_ONCE) => Some(*lately.times.front()? + ROUND),
            _ => None,
        });
        each.min()
    }

    /// Time has passed: forgets what was long ago, and what is held no more. Who waits is looked at anew.
    fn forget(&mut self, held: impl Fn(&ResourceKey) -> bool, now: Time) {
        self.all.retain(|key, lately| {
            lately.times.retain(|at| now.since(*at) < ROUND);
            lately.waits = false;
            held(key) && !lately.times.is_empty()
        });
    }

    /// Those that are put back at a pace.
    fn fought(&self) -> impl Iterator<Item = &ResourceKey> {
        self.all.iter().filter(|(_, lately)| lately.times.len() >= AT_ONCE).map(|(key, _)| key)
    }
}

impl Worker {
    /// Something of the struggle is due.
    pub(super) fn struggle_on(&mut self) {
        self.struggle.forget(|key| self.held.contains_key(key), now());
        self.changed();
        self.say_struggle();
    }

    /// Says which addresses are fought over, if that is news.
    pub(super) fn say_struggle(&mut self) {
        let held = self.struggle.fought().filter_map(|key| self.held.get(key));
        let mut ips: Vec<IpAddr> = held.map(|held| held.set.ip).collect();
        ips.sort_unstable();
        if ips == self.struggle.told {
            return;
        }
        for said in [&mut self.put_back, &mut self.put_right] {
            said.seldom(!ips.is_empty());
        }
        let sentence = (!ips.is_empty()).then(|| {
            format!(
                "{} is held here and removed or changed by somebody else again and again: {AT_ONCE} times within a minute; from \
                 now on it is put back no sooner than {} ms after the last time; find the program that does it",
                super::said::named(&ips),
                PACE.as_millis()
            )
        });
        self.struggle.told = ips;
        tell(&self.reports, Report::Trouble { about: Trouble::Struggle, sentence });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ResourceKey = ResourceKey(1);

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn ten_a_minute_are_put_back_at_once_and_more_at_a_pace() {
        let mut struggle = Struggle::default();
        for n in 0..10 {
            assert!(struggle.may(KEY, at(n * 10)), "{n}");
        }
        // Somebody removes it a thousand times a second, for ten seconds.
        let mut times = Vec::new();
        for ms in 91..10_091 {
            if struggle.may(KEY, at(ms)) {
                times.push(ms);
            } else {
                assert_eq!(struggle.due(), Some(at(times.last().unwrap_or(&90) + 500)));
            }
        }
        assert_eq!(times.len(), 20, "{times:?}");
        assert_eq!(struggle.fought().count(), 1);
        // Another address is none of its business.
        assert!(struggle.may(ResourceKey(2), at(10_091)));
    }

    #[test]
    fn nine_a_minute_are_no_struggle_and_a_minute_of_peace_ends_one() {
        let mut struggle = Struggle::default();
        for n in 0..100 {
            assert!(struggle.may(KEY, at(n * 6_700)), "{n}");
            assert_eq!(struggle.fought().count(), 0);
        }
        for n in 0..12 {
            struggle.may(KEY, at(800_000 + n));
        }
        assert_eq!(struggle.fought().count(), 1);
        struggle.forget(|_| true, at(800_600));
        assert_eq!((struggle.fought().count(), struggle.due()), (1, Some(at(860_000))));
        struggle.forget(|_| true, at(860_000));
        assert_eq!((struggle.fought().count(), struggle.due()), (0, None));
        struggle.forget(|_| true, at(861_000));
        assert!(struggle.all.is_empty());
    }

    #[test]
    fn what_is_held_no_more_is_forgotten() {
        let mut struggle = Struggle::default();
        for n in 0..12 {
            struggle.may(KEY, at(n));
        }
        assert!(struggle.due().is_some());
        struggle.forget(|_| false, at(600));
        assert!(struggle.due().is_none() && struggle.all.is_empty());
    }
}
