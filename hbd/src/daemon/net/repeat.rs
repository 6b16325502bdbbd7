//! When addresses are announced again: switches and neighbours miss the first time now and then,
//! and a neighbour ignores a change within a second of the last one.

use std::net::IpAddr;
use std::time::Duration;

use cluster::Time;

/// After the first announcement, at which the thread does not look here.
const DELAYS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Repeats sent in one go; the first announcement is what counts and is not held back.
const BURST: usize = 200;
/// Between two such goes.
const PAUSE: Duration = Duration::from_millis(20);

/// A repeat this late is not sent: the process was away, and the address may be another node's by now. If it is
/// not, the core looks first and then has it announced anew.
const STALE: Duration = Duration::from_millis(500);

/// An address on an interface.
pub type Target = (u32, IpAddr);

#[derive(Debug)]
struct Round {
    begun: Time,
    due: Time,
    step: usize,
    targets: Vec<Target>,
    done: usize,
}

/// All announcements yet to be repeated.
#[derive(Debug, Default)]
pub struct Repeats {
    rounds: Vec<Round>,
}

impl Repeats {
    /// These were announced `now` for the first time.
    pub fn begin(&mut self, targets: Vec<Target>, now: Time) {
        self.cancel(&targets.iter().map(|&(_, ip)| ip).collect::<Vec<_>>());
        if !targets.is_empty() {
            self.rounds.push(Round { begun: now, due: now + DELAYS[0], step: 0, targets, done: 0 });
        }
    }

    /// These are to be announced once more, unless some are to be anyway.
    pub fn once(&mut self, targets: Vec<Target>, now: Time) {
        if self.rounds.is_empty() && !targets.is_empty() {
            let step = DELAYS.len();
            self.rounds.push(Round { begun: now, due: now, step, targets, done: 0 });
        }
    }

    /// These are not to be announced again.
    pub fn cancel(&mut self, ips: &[IpAddr]) {
        if self.rounds.is_empty() {
            return;
        }
        let gone: std::collections::HashSet<_> = ips.iter().collect();
        for round in &mut self.rounds {
            round.done -= round.targets[..round.done].iter().filter(|(_, ip)| gone.contains(ip)).count();
            round.targets.retain(|(_, ip)| !gone.contains(ip));
        }
        self.rounds.retain(|round| !round.targets.is_empty());
    }

    /// When [`Repeats::take`] has something to give.
    pub fn due(&self) -> Option<Time> {
        self.rounds.iter().map(|round| round.due).min()
    }

    /// What is to be announced now; a bounded number.
    pub fn take(&mut self, now: Time) -> Vec<Target> {
        self.rounds.retain(|round| now.since(round.due) < STALE);
        let Some(at) = self.rounds.iter().position(|round| round.due <= now) else { return Vec::new() };
        let round = &mut self.rounds[at];
        let end = (round.done + BURST).min(round.targets.len());
        let taken = round.targets[round.done..end].to_vec();
        round.done = end;
        if end < round.targets.len() {
            round.due = now + PAUSE;
        } else if let Some(&delay) = DELAYS.get(round.step + 1) {
            round.step += 1;
            round.done = 0;
            round.due = (round.begun + delay).max(now);
        } else {
            self.rounds.swap_remove(at);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(from: u8, to: u8) -> Vec<Target> {
        (from..to).map(|n| (2, IpAddr::from([10, 0, 0, n]))).collect()
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn four_repeats_at_growing_distances() {
        let mut repeats = Repeats::default();
        repeats.begin(ips(0, 3), at(100));
        let mut times = Vec::new();
        while let Some(due) = repeats.due() {
            assert!(repeats.take(due - Duration::from_millis(1)).is_empty());
            assert_eq!(repeats.take(due).len(), 3);
            times.push(due);
        }
        assert_eq!(times, [at(1100), at(2100), at(4100), at(8100)]);
    }

    #[test]
    fn many_are_spread_and_each_has_its_four() {
        let mut repeats = Repeats::default();
        let targets: Vec<_> = (0..1000_u32).map(|n| (2, IpAddr::from(n.to_be_bytes()))).collect();
        repeats.begin(targets, at(0));
        let mut counts = std::collections::HashMap::new();
        let mut last = None;
        while let Some(due) = repeats.due() {
            let taken = repeats.take(due);
            assert!(!taken.is_empty() && taken.len() <= BURST);
            assert!(last < Some(due), "not twice at one instant");
            last = Some(due);
            for target in taken {
                *counts.entry(target).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), 1000);
        assert!(counts.values().all(|&count| count == 4));
    }

    #[test]
    fn once_more_is_once_and_spread() {
        let mut repeats = Repeats::default();
        let targets: Vec<_> = (0..1000_u32).map(|n| (2, IpAddr::from(n.to_be_bytes()))).collect();
        repeats.once(targets.clone(), at(0));
        let (mut all, mut now) = (Vec::new(), at(0));
        while let Some(due) = repeats.due() {
            assert!(due >= now);
            now = due;
            let taken = repeats.take(now);
            assert!(taken.len() <= BURST);
            all.extend(taken);
        }
        assert_eq!((all.len(), now), (1000, at(80)));
        repeats.begin(ips(0, 2), at(100));
        repeats.once(targets, at(100));
        assert_eq!(repeats.due(), Some(at(1100)), "nothing on top of what is repeated anyway");
    }

    #[test]
    fn what_is_stopped_is_not_announced_again() {
        let mut repeats = Repeats::default();
        repeats.begin((0..BURST as u32 + 10).map(|n| (2, IpAddr::from(n.to_be_bytes()))).collect(), at(0));
        assert_eq!(repeats.take(at(1000)).len(), BURST);
        // Some already done in this round, some not.
        let stopped: Vec<_> =
            (BURST as u32 - 5..BURST as u32 + 5).map(|n| IpAddr::from(n.to_be_bytes())).collect();
        repeats.cancel(&stopped);
        let rest = repeats.take(at(1020));
        assert_eq!(rest.len(), 5);
        assert!(rest.iter().all(|(_, ip)| !stopped.contains(ip)));
        repeats.begin(ips(0, 2), at(1500));
        repeats.cancel(&[IpAddr::from([10, 0, 0, 0]), IpAddr::from([10, 0, 0, 1])]);
        assert!(repeats.due().is_some(), "the others go on");
    }

    #[test]
    fn after_a_pause_of_the_process_nothing_is_repeated() {
        let mut repeats = Repeats::default();
        repeats.begin(ips(0, 3), at(0));
        assert!(repeats.take(at(1500)).is_empty(), "half a second late");
        assert_eq!(repeats.due(), None);
    }

    #[test]
    fn a_new_start_begins_anew() {
        let mut repeats = Repeats::default();
        repeats.begin(ips(0, 1), at(0));
        repeats.take(at(1000));
        repeats.begin(ips(0, 1), at(1500));
        assert_eq!(repeats.due(), Some(at(2500)));
    }
}
