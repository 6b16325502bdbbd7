//! The newest events in memory, for `hbctl events`, and those who follow them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::disk::KEPT;
use crate::control::StoredEvent;

/// Events a follower may be behind before it misses some.
const BEHIND: usize = 256;

/// The ring of events. Lives on the work thread; the loop only sends to it.
#[derive(Debug)]
pub struct History {
    ring: Mutex<VecDeque<Arc<StoredEvent>>>,
    live: broadcast::Sender<Arc<StoredEvent>>,
}

impl History {
    /// With what a former life left.
    pub fn new(former: VecDeque<Arc<StoredEvent>>) -> History {
        History { ring: Mutex::new(former), live: broadcast::channel(BEHIND).0 }
    }

    /// Takes one in and shows it to the followers.
    pub fn add(&self, event: Arc<StoredEvent>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= KEPT {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&event));
        // An error only says that nobody follows.
        let _ = self.live.send(event);
    }

    /// The newest `count`, oldest first, and all that come after them.
    pub fn newest(&self, count: usize) -> (Vec<Arc<StoredEvent>>, broadcast::Receiver<Arc<StoredEvent>>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // Subscribed under the lock: no event is missed or seen twice.
        let live = self.live.subscribe();
        (ring.iter().skip(ring.len().saturating_sub(count)).cloned().collect(), live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Arc<StoredEvent> {
        let event = cluster::Event {
            level: cluster::Level::Info,
            kind: "peer".into(),
            subject: "b".into(),
            from: None,
            to: None,
            why: "heard".into(),
            took_ms: None,
        };
        Arc::new(StoredEvent { number, time: String::new(), node: "a".into(), event })
    }

    #[test]
    fn the_newest_come_oldest_first_and_then_the_live_ones() {
        let history = History::new(VecDeque::from([event(1), event(2)]));
        for number in 3..=KEPT as u64 + 10 {
            history.add(event(number));
        }
        let (newest, mut live) = history.newest(3);
        assert_eq!(newest.iter().map(|e| e.number).collect::<Vec<_>>(), [1008, 1009, 1010]);
        history.add(event(1011));
        assert_eq!(live.try_recv().unwrap().number, 1011);
        assert_eq!(history.newest(usize::MAX).0.len(), KEPT);
    }
}
