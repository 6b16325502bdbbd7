//! When which question is asked: one for all who ask the same, jittered, so many at a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::io::Time;

/// The first questions of all are spread over this part of the interval: everything is asked soon, not at once.
const SPREAD: u32 = 8;
/// How far a question strays from its interval, in permille.
const JITTER: u32 = 50;

/// What is planned within the same so many nanoseconds is asked at their end: a thousand a second in a few at a time, and
/// the process wakes for each few, not for each.
const GRAIN: u64 = 4_000_000;

/// Who is told the answer: virtual service, real server, check, by their places in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The virtual service.
    pub service: usize,
    /// The real server.
    pub real: usize,
    /// Which of its checks.
    pub check: usize,
}

/// Questions of the kind `Q`, each asked every interval.
#[derive(Clone, Debug)]
pub struct Probes<Q> {
    /// In the order of their numbers: there are many, and a list is smaller than a map.
    probes: Vec<Probe<Q>>,
    /// In that order too, each with the number of what it asks.
    askers: Vec<(u64, Asker)>,
    /// Those that wait for their time.
    waiting: BTreeSet<(Time, u64)>,
    /// Those whose time has come and that wait for their turn.
    due: VecDeque<u64>,
    running: usize,
    at_once: usize,
    next_id: u64,
    random: u64,
}

#[derive(Clone, Debug)]
struct Probe<Q> {
    id: u64,
    question: Q,
    interval: Duration,
    planned: Time,
    running: bool,
}

impl<Q: Clone + Eq + Hash> Probes<Q> {
    /// None yet; `at_once` of them may run at a time.
    pub fn new(at_once: usize, seed: u64) -> Probes<Q> {
        Probes {
            probes: Vec::new(),
            askers: Vec::new(),
            waiting: BTreeSet::new(),
            due: VecDeque::new(),
            running: 0,
            at_once,
            next_id: 1,
            random: seed | 1,
        }
    }

    /// From now on exactly `wanted` is asked. What was asked already keeps its rhythm.
    pub fn set(&mut self, now: Time, at_once: usize, wanted: Vec<(Q, Duration, Asker)>) {
        self.at_once = at_once.max(1);
        let mut ids: HashMap<Q, u64> =
            self.probes.iter().map(|probe| (probe.question.clone(), probe.id)).collect();
        let mut askers = Vec::with_capacity(wanted.len());
        for (question, interval, asker) in wanted {
            let id = match ids.entry(question) {
                Entry::Occupied(found) => *found.get(),
                Entry::Vacant(place) => {
                    let id = self.add(now, place.key().clone(), interval);
                    *place.insert(id)
                }
            };
            askers.push((id, asker));
        }
        // Stable: those of one question are told in the order of the configuration.
        askers.sort_by_key(|(id, _)| *id);
        self.askers = askers;
        self.drop_unasked();
    }

    fn add(&mut self, now: Time, question: Q, interval: Duration) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let planned = now + self.part_of(interval / SPREAD);
        self.probes.push(Probe { id, question, interval, planned, running: false });
        self.waiting.insert((planned, id));
        id
    }

    fn drop_unasked(&mut self) {
        let Probes { probes, askers, waiting, due, running, .. } = self;
        probes.retain(|probe| {
            let stays = askers.binary_search_by_key(&probe.id, |(id, _)| *id).is_ok();
            if !stays {
                waiting.remove(&(probe.planned, probe.id));
                *running -= usize::from(probe.running);
            }
            stays
        });
        probes.shrink_to_fit();
        due.retain(|id| probes.binary_search_by_key(id, |probe| probe.id).is_ok());
    }

    /// Where the probe is among all of them, if it is there.
    fn place(&self, id: u64) -> Option<usize> {
        self.probes.binary_search_by_key(&id, |probe| probe.id).ok()
    }

    /// The next question to ask now, if it is time and there is room.
    pub fn next(&mut self, now: Time) -> Option<(u64, &Q)> {
        while let Some(&(planned, id)) = self.waiting.first().filter(|(planned, _)| *planned <= now) {
            self.waiting.remove(&(planned, id));
            self.due.push_back(id);
        }
        if self.running >= self.at_once {
            return None;
        }
        let id = self.due.pop_front()?;
        self.running += 1;
        let place = self.place(id)?;
        let probe = &mut self.probes[place];
        probe.running = true;
        Some((id, &probe.question))
    }

    /// The question `id` is answered: who is told, and the next time is set.
    pub fn answered(&mut self, now: Time, id: u64) -> Vec<Asker> {
        let Some(place) = self.place(id).filter(|place| self.probes[*place].running) else {
            return Vec::new();
        };
        let interval = self.probes[place].interval;
        let width = interval * JITTER / 1000;
        let spread = (interval - width / 2) + self.part_of(width);
        self.running -= 1;
        let probe = &mut self.probes[place];
        probe.running = false;
        // One that took longer than its interval is not asked in a row to make up for it.
        probe.planned = (probe.planned + spread).max(now);
        self.waiting.insert((probe.planned, id));
        let first = self.askers.partition_point(|(other, _)| *other < id);
        self.askers[first..].iter().take_while(|(other, _)| *other == id).map(|(_, asker)| *asker).collect()
    }

    /// When [`Probes::next`] has something to ask that it has not now.
    pub fn wake_at(&self) -> Option<Time> {
        if self.running >= self.at_once {
            return None;
        }
        if !self.due.is_empty() {
            return Some(Time::ZERO);
        }
        self.waiting.first().map(|(planned, _)| end_of_grain(*planned))
    }

    /// How many questions wait although their time has come.
    pub fn late(&self) -> usize {
        self.due.len()
    }

    /// How many are being asked.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many questions there are.
    pub fn count(&self) -> usize {
        self.probes.len()
    }

    /// A random part of `span` (xorshift: it need not be good, only different).
    fn part_of(&mut self, span: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(if nanos == 0 { 0 } else { self.random % nanos })
    }
}

fn end_of_grain(time: Time) -> Time {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos.checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn asker(real: usize) -> Asker {
        Asker { service: 0, real, check: 0 }
    }

    #[test]
    fn equal_questions_are_asked_once_and_all_askers_are_told() {
        let mut probes = Probes::new(10, 1);
        probes.set(
            Time::ZERO,
            10,
            vec![("a", SECOND, asker(0)), ("b", SECOND, asker(1)), ("a", SECOND, asker(2))],
        );
        assert_eq!(probes.count(), 2);
        let now = SECOND;
        let mut asked = Vec::new();
        while let Some((id, question)) = probes.next(now) {
            asked.push((*question, id));
        }
        asked.sort_unstable();
        assert_eq!(asked.len(), 2);
        assert_eq!(probes.answered(now, asked[0].1), [asker(0), asker(2)]);
        assert_eq!(probes.answered(now, asked[0].1), [], "an answer counts once");
    }

    #[test]
    fn so_many_at_a_time_and_the_others_get_their_turn() {
        let mut probes = Probes::new(2, 1);
        let wanted = (0..5).map(|n| (n, SECOND, asker(n))).collect();
        probes.set(Time::ZERO, 2, wanted);
        let now = SECOND;
        let mut seen = BTreeSet::new();
        let mut running = VecDeque::new();
        for _ in 0..5 {
            while let Some((id, question)) = probes.next(now) {
                seen.insert(*question);
                running.push_back(id);
            }
            assert_eq!(running.len().min(2), running.len());
            assert!(probes.wake_at().is_none() || running.len() < 2);
            let id = running.pop_front().unwrap();
            probes.answered(now, id);
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(probes.late(), 0);
    }

    #[test]
    fn each_keeps_its_interval_on_average_and_they_do_not_march_in_step() {
        let mut probes = Probes::new(1000, 42);
        probes.set(Time::ZERO, 1000, (0..100).map(|n| (n, SECOND, asker(n))).collect());
        let mut times: BTreeMap<usize, Vec<Time>> = BTreeMap::new();
        let mut now = Time::ZERO;
        while now < SECOND * 100 {
            let Some(wake) = probes.wake_at() else { break };
            now = now.max(wake);
            while let Some((id, &question)) = probes.next(now) {
                times.entry(question).or_default().push(now);
                probes.answered(now, id);
            }
        }
        for times in times.values() {
            assert!((97..=103).contains(&times.len()), "{} in 100 s", times.len());
            for pair in times.windows(2) {
                let gap = pair[1] - pair[0];
                let strays = SECOND * JITTER / 2000 + Duration::from_nanos(GRAIN);
                assert!(gap >= SECOND - strays && gap <= SECOND + strays, "{gap:?}");
            }
        }
        let late: Vec<Time> = times.values().map(|times| times[90]).collect();
        let spread = *late.iter().max().unwrap() - *late.iter().min().unwrap();
        assert!(spread > SECOND / 20, "in step: {spread:?}");
    }

    #[test]
    fn a_thousand_a_second_are_asked_in_a_few_hundred_turns() {
        let mut probes = Probes::new(1000, 42);
        probes.set(Time::ZERO, 1000, (0..1000).map(|n| (n, SECOND, asker(n))).collect());
        let (mut turns, mut asked, mut now) = (0, 0, Time::ZERO);
        while now < SECOND * 10 {
            let wake = probes.wake_at().unwrap();
            assert!(wake > now);
            now = wake;
            turns += 1;
            while let Some((id, _)) = probes.next(now) {
                asked += 1;
                probes.answered(now, id);
            }
        }
        assert!((9_900..=10_900).contains(&asked), "{asked}");
        assert!(turns <= 2500, "{turns}");
    }

    #[test]
    fn a_reload_keeps_the_rhythm_of_what_stays_and_forgets_what_goes() {
        let mut probes = Probes::new(10, 7);
        probes.set(Time::ZERO, 10, vec![("a", SECOND, asker(0)), ("b", SECOND, asker(1))]);
        let now = SECOND / 8;
        let mut ids = BTreeMap::new();
        while let Some((id, question)) = probes.next(now) {
            ids.insert(*question, id);
        }
        probes.set(now, 10, vec![("b", SECOND, asker(0)), ("c", SECOND, asker(1))]);
        assert_eq!(probes.answered(now, ids["a"]), [], "nobody asks it any more");
        assert_eq!(probes.answered(now, ids["b"]), [asker(0)]);
        assert_eq!(probes.count(), 2);
        let mut again = Vec::new();
        while let Some((_, question)) = probes.next(now + SECOND / 8) {
            again.push(*question);
        }
        assert_eq!(again, ["c"], "b was answered just now");
    }

    #[test]
    fn a_slow_answer_is_not_followed_by_a_burst() {
        let mut probes = Probes::new(10, 7);
        probes.set(Time::ZERO, 10, vec![("a", SECOND, asker(0))]);
        let (id, _) = probes.next(SECOND).unwrap();
        assert_eq!(probes.next(SECOND * 20), None, "one at a time for each");
        probes.answered(SECOND * 20, id);
        assert!(probes.next(SECOND * 20).is_some());
        probes.answered(SECOND * 20, id);
        assert_eq!(probes.next(SECOND * 20), None);
    }
}
