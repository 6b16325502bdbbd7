//! Which events an alert tells of, and how often: a function of the time and the events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::Level;

use crate::config::Alert;
use crate::control::StoredEvent;

/// Subjects remembered; the one that is due last is forgotten first.
const SUBJECTS: usize = 256;

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Of this event.
    pub event: Arc<StoredEvent>,
    /// Events about the same that were not told since the last one.
    pub suppressed: u64,
    /// How often it was said before: 0, unless the trouble goes on and is said again.
    pub repeated: u32,
}

/// What is remembered of one subject.
#[derive(Debug)]
struct Subject {
    told_at: Duration,
    suppressed: u64,
    /// The trouble that has not ended, and how often it was said.
    open: Option<(Arc<StoredEvent>, u32)>,
}

/// See the module. Times are since any fixed moment.
#[derive(Debug)]
pub struct Policy {
    alert: Alert,
    /// By kind and subject.
    subjects: BTreeMap<(String, String), Subject>,
}

impl Policy {
    /// Of this alert, with nothing told yet.
    pub fn new(alert: Alert) -> Policy {
        Policy { alert, subjects: BTreeMap::new() }
    }

    /// An event happens: what is to be told now.
    pub fn take(&mut self, now: Duration, event: Arc<StoredEvent>) -> Option<Told> {
        let key = (event.event.kind.clone(), event.event.subject.clone());
        let trouble = event.event.level > Level::Info;
        if !trouble && let Some(subject) = self.subjects.get_mut(&key) {
            subject.open = None;
        }
        if !self.wanted(&event) {
            return None;
        }
        let open = trouble.then(|| (Arc::clone(&event), 1));
        let every = self.alert.every;
        match self.subjects.get_mut(&key) {
            Some(subject) if now.saturating_sub(subject.told_at) < every => {
                subject.suppressed += 1;
                subject.open = open;
                None
            }
            Some(subject) => {
                let suppressed = std::mem::take(&mut subject.suppressed);
                (subject.told_at, subject.open) = (now, open);
                Some(Told { event, suppressed, repeated: 0 })
            }
            None => {
                self.make_room();
                self.subjects.insert(key, Subject { told_at: now, suppressed: 0, open });
                Some(Told { event, suppressed: 0, repeated: 0 })
            }
        }
    }

    fn wanted(&self, event: &StoredEvent) -> bool {
        let event = &event.event;
        let about = self.alert.events.as_ref().is_none_or(|kinds| kinds.contains(&event.kind));
        let loud = match self.alert.level {
            Some(level) => event.level >= level,
            None if self.alert.events.is_some() => true,
            // A failover that went well is an information, and what one wants to be told of first.
            None => event.level > Level::Info || event.kind == "group" && event.to.is_some(),
        };
        about && loud
    }

    fn make_room(&mut self) {
        if self.subjects.len() >= SUBJECTS {
            let oldest =
                self.subjects.iter().min_by_key(|(_, subject)| (subject.open.is_some(), subject.told_at));
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.subjects.remove(&key);
            }
        }
    }

    /// When [`Policy::repeats`] has something to say.
    pub fn due(&self) -> Option<Duration> {
        let repeat = self.alert.repeat?;
        self.subjects.values().filter(|subject| subject.open.is_some()).map(|s| s.told_at + repeat).min()
    }

    /// The troubles that go on and are to be said again now.
    pub fn repeats(&mut self, now: Duration) -> Vec<Told> {
        let Some(repeat) = self.alert.repeat else { return Vec::new() };
        let mut all = Vec::new();
        for subject in self.subjects.values_mut().filter(|subject| subject.told_at + repeat <= now) {
            if let Some((event, said)) = &mut subject.open {
                let suppressed = std::mem::take(&mut subject.suppressed);
                all.push(Told { event: Arc::clone(event), suppressed, repeated: *said });
                *said = said.saturating_add(1);
                subject.told_at = now;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Channel;

    fn alert() -> Alert {
        Alert {
            channel: Channel::Mail { to: "root".into() },
            level: None,
            events: None,
            timeout: Duration::from_secs(1),
            retries: 0,
            every: Duration::ZERO,
            repeat: None,
        }
    }

    fn event(level: Level, kind: &str, subject: &str, to: Option<&str>) -> Arc<StoredEvent> {
        let event = cluster::Event {
            level,
            kind: kind.into(),
            subject: subject.into(),
            from: None,
            to: to.map(str::to_owned),
            why: "because".into(),
            took_ms: None,
        };
        Arc::new(StoredEvent { number: 1, time: String::new(), node: "a".into(), event })
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn unless_told_otherwise_troubles_and_changes_of_groups_are_told() {
        let mut policy = Policy::new(alert());
        let mut told = |event| policy.take(s(0), event).is_some();
        assert!(told(event(Level::Warn, "peer", "b", Some("dead"))));
        assert!(told(event(Level::Error, "resource", "g/x", None)));
        assert!(told(event(Level::Info, "group", "g", Some("started"))));
        assert!(!told(event(Level::Info, "group", "g", None)));
        assert!(!told(event(Level::Info, "link", "bcast:eth1", Some("up"))));
    }

    #[test]
    fn level_and_events_choose() {
        let mut policy = Policy::new(Alert { level: Some(Level::Error), ..alert() });
        assert!(policy.take(s(0), event(Level::Warn, "peer", "b", None)).is_none());
        assert!(policy.take(s(0), event(Level::Error, "peer", "b", None)).is_some());
        let mut policy = Policy::new(Alert { events: Some(vec!["link".into()]), ..alert() });
        assert!(policy.take(s(0), event(Level::Info, "link", "x", Some("up"))).is_some());
        assert!(policy.take(s(0), event(Level::Error, "peer", "b", None)).is_none());
    }

    #[test]
    fn the_throttle_is_for_each_subject_and_counts() {
        let mut policy = Policy::new(Alert { every: s(60), ..alert() });
        let flap = || event(Level::Warn, "link", "x", Some("down"));
        assert!(policy.take(s(0), flap()).is_some());
        assert!(policy.take(s(10), flap()).is_none());
        assert!(policy.take(s(59), flap()).is_none());
        assert!(policy.take(s(59), event(Level::Warn, "link", "y", None)).is_some());
        assert_eq!(policy.take(s(60), flap()).unwrap().suppressed, 2);
        assert_eq!(policy.take(s(121), flap()).unwrap().suppressed, 0);
    }

    #[test]
    fn a_trouble_is_said_again_until_it_has_ended() {
        let mut policy = Policy::new(Alert { repeat: Some(s(600)), ..alert() });
        assert_eq!(policy.due(), None);
        policy.take(s(5), event(Level::Warn, "peer", "b", Some("dead")));
        assert_eq!(policy.due(), Some(s(605)));
        assert!(policy.repeats(s(604)).is_empty());
        assert_eq!(policy.repeats(s(605)).iter().map(|told| told.repeated).collect::<Vec<_>>(), [1]);
        assert_eq!(policy.repeats(s(1205))[0].repeated, 2);
        // Not told of by itself, and still the end of it.
        assert!(policy.take(s(1300), event(Level::Info, "peer", "b", Some("up"))).is_none());
        assert_eq!(policy.due(), None);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut policy = Policy::new(alert());
        for n in 0..1000 {
            policy.take(s(n), event(Level::Warn, "peer", &format!("n{n}"), None));
        }
        assert_eq!(policy.subjects.len(), SUBJECTS);
    }
}
