//! After somebody changed something: held addresses that are gone are put back, those of an interface that has come up are
//! announced again, and the loop hears how its interfaces are.
//!
//! A lease that has run out is none of somebody's doing: the loop was away, and the address may be the peer's by now. So
//! what is put back never lives longer than it would have.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Event, Level, Time};
use sys::netlink::AddressSet;

use super::place::{Interfaces, is, place};
use super::worker::{Addresses, Worker, spec};
use crate::daemon::links::Interface;
use crate::daemon::report::{Report, tell};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

/// Between two events about addresses that were put back: somebody may be at it all the time.
const SAY: Duration = Duration::from_secs(10);
/// Addresses named in one event.
const NAMED: usize = 5;

/// An address that is set here.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Its definition.
    entry: Arc<Entry>,
    /// As it was last set.
    pub(super) set: AddressSet,
    /// When its lease ends, if it does.
    pub(super) until: Option<Time>,
}

impl Held {
    /// An address that was set, or found, `now`.
    pub(super) fn new(entry: &Arc<Entry>, set: AddressSet, now: Time) -> Held {
        let until = set.lifetime.map(|lifetime| now + lifetime);
        Held { entry: Arc::clone(entry), set, until }
    }

    /// What is left of its lease, in the whole seconds the kernel counts in; `None` if that is nothing.
    fn rest(&self, now: Time) -> Option<Option<Duration>> {
        match self.until {
            None => Some(None),
            Some(until) => {
                let seconds = until.since(now).as_secs();
                (seconds > 0).then(|| Some(Duration::from_secs(seconds)))
            }
        }
    }
}

/// What was put back and not yet told.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    told: Option<Time>,
    untold: u64,
}

impl PutBack {
    /// The event for these, unless the last one was just now: then they are counted in the next.
    fn event(&mut self, ips: &[IpAddr], with_interface: bool, now: Time) -> Option<Event> {
        if self.told.is_some_and(|told| now.since(told) < SAY) {
            self.untold += ips.len() as u64;
            return None;
        }
        self.told = Some(now);
        let mut named: Vec<String> = ips.iter().take(NAMED).map(IpAddr::to_string).collect();
        if ips.len() > NAMED {
            named.push(format!("{} more", ips.len() - NAMED));
        }
        let before = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            count => format!(", and so were {count} since this was last said"),
        };
        let how = if with_interface { "went with its interface" } else { "removed by somebody else" };
        let why = format!("{how} and put back at once{before}");
        let (from, to) = (Some("removed".to_owned()), Some("set".to_owned()));
        let subject = named.join(", ");
        Some(Event { level: Level::Warn, kind: "resource".into(), subject, from, to, why, took_ms: None })
    }
}

impl Worker {
    /// Something changed in the kernel, by whomever.
    pub(super) fn changed(&mut self) {
        let (interfaces, addresses) = match self.look() {
            Ok(found) => found,
            // The next renewal mends what can be mended, and says what cannot.
            Err(error) => return tracing::warn!("interfaces and addresses could not be looked at: {error}"),
        };
        self.mend(&interfaces, &addresses);
        self.announce_where_up(&interfaces);
        let seen = told(&interfaces, &addresses);
        if seen != self.seen {
            self.seen.clone_from(&seen);
            tell(&self.reports, Report::Interfaces(seen));
        }
    }

    /// Puts back what should be there.
    fn mend(&mut self, interfaces: &Interfaces, addresses: &Addresses) {
        let now = now();
        let missing =
            |held: &Held| !addresses.of(held.set.ip).any(|there| is(there, spec(&held.entry), interfaces));
        let keys: Vec<_> = self.held.iter().filter(|(_, held)| missing(held)).map(|(&key, _)| key).collect();
        let (mut sets, mut whose) = (Vec::new(), Vec::new());
        // What an interface takes with it when it goes, or is switched off, is nobody's doing.
        let was_up =
            |index: u32| self.seen.is_empty() || self.seen.iter().any(|one| one.index == index && one.up);
        let mut with_interface = true;
        for key in keys {
            let Some(held) = self.held.get_mut(&key) else { continue };
            let Some(lifetime) = held.rest(now) else { continue };
            let gone = interfaces.numbered(held.set.ifindex).is_none();
            let down = interfaces.numbered(held.set.ifindex).is_some_and(|link| !link.up);
            if down {
                continue;
            }
            with_interface &= gone || !was_up(held.set.ifindex);
            if gone {
                // One of the same name may have come, with another number.
                let Ok(set) = place(spec(&held.entry), interfaces, &mut self.netlink) else { continue };
                held.set = AddressSet { lifetime: held.set.lifetime, ..set };
            }
            sets.push(AddressSet { lifetime, ..held.set.clone() });
            whose.push((held.set.ifindex, held.set.ip));
        }
        if sets.is_empty() {
            return;
        }
        let Ok(done) = self.netlink.set_addresses(&sets) else { return };
        let set: Vec<_> =
            whose.into_iter().zip(done).filter_map(|(target, done)| done.ok().map(|()| target)).collect();
        if set.is_empty() {
            return;
        }
        let mut ips: Vec<IpAddr> = set.iter().map(|&(_, ip)| ip).collect();
        ips.sort_unstable();
        self.announce_on(interfaces, set);
        if let Some(event) = self.put_back.event(&ips, with_interface, now) {
            tell(&self.reports, Report::Event(Box::new(event)));
        }
    }

    /// Whoever was plugged in anew, or hangs on a switch that was, does not know our addresses.
    fn announce_where_up(&mut self, interfaces: &Interfaces) {
        let was_up: HashSet<u32> = self.seen.iter().filter(|one| one.running).map(|one| one.index).collect();
        let known: HashSet<u32> = self.seen.iter().map(|one| one.index).collect();
        let came = |index: u32| {
            let running = interfaces.numbered(index).is_some_and(|link| link.up && link.running);
            running && known.contains(&index) && !was_up.contains(&index)
        };
        let targets: Vec<_> = self
            .held
            .values()
            .map(|held| (held.set.ifindex, held.set.ip))
            .filter(|&(index, _)| came(index))
            .collect();
        if !targets.is_empty() {
            self.announce_on(interfaces, targets);
        }
    }
}

/// What the loop is told.
fn told(interfaces: &Interfaces, addresses: &Addresses) -> Vec<Interface> {
    let mut all: Vec<Interface> = interfaces
        .all()
        .iter()
        .map(|link| Interface {
            index: link.index,
            name: link.name.clone(),
            up: link.up,
            running: link.up && (link.running || link.loopback),
            mtu: link.mtu,
            addresses: addresses.on(link.index),
        })
        .collect();
    all.sort_by_key(|one| one.index);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_removes_all_the_time_is_said_now_and_then() {
        let (mut put_back, ip) = (PutBack::default(), |n: u8| IpAddr::from([10, 0, 0, n]));
        let first = put_back.event(&[ip(1)], true, Time::from_millis(0)).expect("said");
        assert_eq!(first.subject, "10.0.0.1");
        assert_eq!(first.why, "went with its interface and put back at once");
        for ms in 1..10 {
            assert_eq!(put_back.event(&[ip(1), ip(2)], false, Time::from_millis(ms * 1000)), None);
        }
        let many: Vec<_> = (0..9).map(ip).collect();
        let next = put_back.event(&many, false, Time::from_millis(10_000)).expect("said again");
        assert!(next.subject.ends_with("10.0.0.4, 4 more"), "{}", next.subject);
        assert!(next.why.contains("18 since"), "{}", next.why);
    }
}
