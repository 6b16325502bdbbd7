//! Tells the log of datagrams that were not believed, at a bounded rate whoever sends how many of them: the first of
//! each reason at once, then no more than one line of a reason in a minute (in an hour, for reasons without a fault).
//!
//! They are no events: what strangers send must not push out of the history what has happened. All of them are counted in
//! the status.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::Time;

/// Between two lines of a reason that somebody should look into.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two lines of a reason that is in order.
const LONG_PAUSE: Duration = Duration::from_secs(3600);

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Somebody should look into it.
    pub fault: bool,
    /// The sentence.
    pub text: String,
}

#[derive(Debug)]
struct Said {
    /// By link.
    counts: BTreeMap<String, u64>,
    next: Time,
}

/// What was said of which reason.
#[derive(Debug, Default)]
pub struct Rejected {
    said: BTreeMap<String, Said>,
    total: u64,
    /// When something counted meanwhile may be said.
    due: Option<Time>,
}

impl Rejected {
    /// What is to be said now of the counts by reason of each link, as [`cluster::Core::rejected`] gives them.
    pub fn look<'a>(
        &mut self,
        now: Time,
        links: impl Iterator<Item = (&'a str, &'a BTreeMap<String, u64>)> + Clone,
    ) -> Vec<Line> {
        let total = links.clone().flat_map(|(_, counts)| counts.values()).sum();
        if total == self.total && self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.total = total;
        self.due = None;
        let mut reasons: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for (link, counts) in links {
            for (reason, &count) in counts {
                reasons.entry(reason).or_default().insert(link, count);
            }
        }
        reasons.iter().filter_map(|(reason, counts)| self.reason(now, reason, counts)).collect()
    }

    fn reason(&mut self, now: Time, reason: &str, counts: &BTreeMap<&str, u64>) -> Option<Line> {
        let (fault, meaning) = meaning(reason);
        let before = self.said.get(reason);
        let new_on = |link: &str, count: u64| {
            // A link that a reload has made anew counts from nothing again.
            let before = before.and_then(|said| said.counts.get(link)).copied().unwrap_or(0);
            if count < before { count } else { count - before }
        };
        let new: u64 = counts.iter().map(|(link, &count)| new_on(link, count)).sum();
        if new == 0 {
            return None;
        }
        if let Some(said) = before.filter(|said| now < said.next) {
            self.due = Some(self.due.map_or(said.next, |due| due.min(said.next)));
            return None;
        }
        let on: Vec<&str> =
            counts.iter().filter(|(link, count)| new_on(link, **count) > 0).map(|(link, _)| *link).collect();
        let more = if before.is_none() { "" } else { " more" };
        let datagrams = if new == 1 { "datagram was" } else { "datagrams were" };
        let on = on.join(", ");
        let pause = if fault { PAUSE } else { LONG_PAUSE };
        let counts = counts.iter().map(|(link, &count)| ((*link).to_owned(), count)).collect();
        self.said.insert(reason.to_owned(), Said { counts, next: now + pause });
        Some(Line {
            fault,
            text: format!("{new}{more} {datagrams} not believed ({reason}) on {on}: {meaning}"),
        })
    }
}

/// Whether a reason is a fault, and what it means; the words of [`proto::Reject::reason`] and of the core.
fn meaning(reason: &str) -> (bool, &'static str) {
    match reason {
        "too_short" => (true, "shorter than a header and its tag"),
        "too_long" => (true, "longer than any message can be"),
        "magic" => (true, "not the beginning of one of hbd's; something else uses the port"),
        "version" => (true, "of a protocol version that this node does not speak"),
        "foreign_cluster" => (false, "of another cluster on the same wire"),
        "unknown_key" => {
            (true, "signed with a key that is not in the authkeys file; is it the same on both nodes?")
        }
        "method" => (true, "signed by another method than the authkeys file has for that key"),
        "tag" => (true, "another secret under that key, damage on the way, or a forgery"),
        "malformed" => {
            (true, "authentic, but not to be understood: do the nodes run different versions of hbd?")
        }
        "own" => (false, "this node's own, come back"),
        "own_name" => {
            (true, "another machine has this node's name, or old messages of this node are sent again")
        }
        "unknown_node" => (true, "authentic, but of a node that is not in the configuration"),
        "duplicate" => (false, "come twice on one link"),
        "replayed" => {
            (true, "authentic, but heard before or long overtaken: somebody may be sending recorded ones")
        }
        "stale_incarnation" => {
            (false, "of a life of the peer that is over, or of one that has lost its disk")
        }
        "unproven" => (false, "of a life of the peer that has not answered this one yet"),
        _ => (true, "see rejected in hbctl status --json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn counts(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect()
    }

    /// What is said of these counts of one link.
    fn said(rejected: &mut Rejected, now: Time, list: &[(&str, u64)]) -> Vec<Line> {
        let counts = counts(list);
        rejected.look(now, [("bcast:eth1", &counts)].into_iter())
    }

    #[test]
    fn the_first_is_said_at_once_and_the_rest_once_a_minute() {
        let mut rejected = Rejected::default();
        assert_eq!(said(&mut rejected, t(0), &[]), []);
        let lines = said(&mut rejected, t(1), &[("tag", 1)]);
        assert_eq!(lines.len(), 1);
        let begin = "1 datagram was not believed (tag) on bcast:eth1: ";
        assert!(lines[0].fault && lines[0].text.starts_with(begin), "{lines:?}");
        for second in 2..61 {
            assert_eq!(said(&mut rejected, t(second), &[("tag", second * 1000)]), []);
        }
        // Nothing new came in the last second: what was counted before is still said.
        let lines = said(&mut rejected, t(61), &[("tag", 60_000)]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].text.starts_with("59999 more datagrams were not believed (tag)"), "{lines:?}");
        assert_eq!(said(&mut rejected, t(1000), &[("tag", 60_000)]), []);
        assert_eq!(said(&mut rejected, t(1001), &[("tag", 60_001)]).len(), 1);
    }

    #[test]
    fn each_reason_has_its_own_measure() {
        let mut rejected = Rejected::default();
        let lines = said(&mut rejected, t(0), &[("foreign_cluster", 5), ("magic", 2)]);
        assert_eq!(lines.iter().map(|line| line.fault).collect::<Vec<_>>(), [false, true]);
        let lines = said(&mut rejected, t(60), &[("foreign_cluster", 300), ("magic", 3), ("tag", 1)]);
        assert_eq!(lines.len(), 2, "a neighbour is not told of each minute: {lines:?}");
        let later = [("foreign_cluster", 300), ("magic", 3), ("tag", 1)];
        assert_eq!(said(&mut rejected, t(3600), &later).len(), 1);
    }

    #[test]
    fn a_line_names_the_links_that_brought_something_new() {
        let mut rejected = Rejected::default();
        let (one, two, none) = (counts(&[("tag", 1)]), counts(&[("tag", 2)]), counts(&[]));
        let lines = rejected.look(t(0), [("a", &one), ("b", &one), ("c", &none)].into_iter());
        assert!(lines[0].text.starts_with("2 datagrams were not believed (tag) on a, b: "), "{lines:?}");
        let lines = rejected.look(t(60), [("a", &one), ("b", &two), ("c", &none)].into_iter());
        assert!(lines[0].text.starts_with("1 more datagram was not believed (tag) on b: "), "{lines:?}");
        // Made anew by a reload: what it has counted since then is new.
        let lines = rejected.look(t(120), [("a", &one), ("b", &one), ("c", &none)].into_iter());
        assert!(lines[0].text.starts_with("1 more datagram was not believed (tag) on b: "), "{lines:?}");
    }

    #[test]
    fn a_flood_of_every_kind_for_a_day_is_a_bounded_number_of_lines() {
        let mut rejected = Rejected::default();
        let reasons =
            ["magic", "tag", "method", "unknown_key", "too_short", "replayed", "foreign_cluster", "own"];
        let lines: usize = (0..86_400)
            .map(|second| {
                let all: Vec<(&str, u64)> =
                    reasons.iter().map(|&reason| (reason, second * 100_000)).collect();
                said(&mut rejected, t(second), &all).len()
            })
            .sum();
        assert!(lines <= 6 * 1441 + 2 * 25, "{lines}");
    }

    #[test]
    fn every_reason_of_the_protocol_has_its_sentence() {
        use proto::{Fault, Malformed, Reject};
        let malformed = Malformed { field: "name", fault: Fault::Ends };
        for reject in [
            Reject::TooShort,
            Reject::TooLong,
            Reject::Magic,
            Reject::Version { major: 2 },
            Reject::ForeignCluster,
            Reject::UnknownKey { id: 1 },
            Reject::Method { id: 1 },
            Reject::Tag { id: 1 },
            Reject::Malformed(malformed),
        ] {
            assert_ne!(meaning(reject.reason()), meaning("none"), "{reject}");
        }
    }
}
