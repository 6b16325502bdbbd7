//! Events about addresses, bounded: somebody may be at it all the time.

use std::net::IpAddr;
use std::time::Duration;

use cluster::{Event, Level, Time};

/// Between two events about the same matter.
const SAY: Duration = Duration::from_secs(10);
/// The same, of a matter that goes on and on and is told of in status.
const SELDOM: Duration = Duration::from_secs(600);
/// Addresses named in one event.
const NAMED: usize = 5;

/// One matter: what was told of it, and what was not.
#[derive(Debug, Default)]
pub(super) struct Said {
    told: Option<Time>,
    untold: u64,
    seldom: bool,
}

impl Said {
    /// Whether it goes on and on, so that it is said seldom.
    pub(super) fn seldom(&mut self, seldom: bool) {
        self.seldom = seldom;
    }

    /// The event for these, unless the last one was just now: then they are counted in the next.
    pub(super) fn event(
        &mut self,
        ips: &[IpAddr],
        (from, to): (&str, &str),
        why: &str,
        now: Time,
    ) -> Option<Event> {
        let pause = if self.seldom { SELDOM } else { SAY };
        if self.told.is_some_and(|told| now.since(told) < pause) {
            self.untold += ips.len() as u64;
            return None;
        }
        self.told = Some(now);
        let before = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            count => format!(", and so were {count} since this was last said"),
        };
        Some(Event {
            level: Level::Warn,
            kind: "address".into(),
            subject: named(ips),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            why: format!("{why}{before}"),
            took_ms: None,
        })
    }
}

/// The first few of them, and how many more there are.
pub(super) fn named(ips: &[IpAddr]) -> String {
    let mut named: Vec<String> = ips.iter().take(NAMED).map(IpAddr::to_string).collect();
    if ips.len() > NAMED {
        named.push(format!("{} more", ips.len() - NAMED));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_removes_all_the_time_is_said_now_and_then() {
        let (mut said, ip) = (Said::default(), |n: u8| IpAddr::from([10, 0, 0, n]));
        let change = ("removed", "set");
        let why = "removed by somebody else and put back at once";
        let first = said.event(&[ip(1)], change, why, Time::from_millis(0)).expect("said");
        assert_eq!((first.subject.as_str(), first.why.as_str()), ("10.0.0.1", why));
        for ms in 1..10 {
            assert_eq!(said.event(&[ip(1), ip(2)], change, why, Time::from_millis(ms * 1000)), None);
        }
        let many: Vec<_> = (0..9).map(ip).collect();
        let next = said.event(&many, change, why, Time::from_millis(10_000)).expect("said again");
        assert!(next.subject.ends_with("10.0.0.4, 4 more"), "{}", next.subject);
        assert!(next.why.contains("18 since"), "{}", next.why);
        said.seldom(true);
        for s in 21..600 {
            assert_eq!(said.event(&many, change, why, Time::from_millis(s * 1000)), None);
        }
        assert!(said.event(&many, change, why, Time::from_millis(610_000)).is_some());
    }
}
