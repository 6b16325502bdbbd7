//! After somebody changed something: held addresses that are gone are put back, those that are otherwise than they were set are
//! put right, those of an interface that has come up are
//! announced again, and the loop hears how its interfaces are.
//!
//! A lease that has run out is none of somebody's doing: the loop was away, and the address may be the peer's by now. So
//! what is put back never lives longer than it would have.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{ResourceKey, Time};
use sys::netlink::{Address, AddressKey, AddressSet};

use super::place::{Interfaces, place};
use super::repeat::Target;
use super::worker::{Addresses, Worker, spec};
use crate::daemon::links::Interface;
use crate::daemon::report::{Report, tell};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

/// An address that is set here.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Its definition.
    entry: Arc<Entry>,
    /// As it was last set.
    pub(super) set: AddressSet,
    /// Since when it is held.
    pub(super) since: Time,
    /// When its lease ends, if it does.
    pub(super) until: Option<Time>,
}

impl Held {
    /// An address that was set, or found, `now`.
    pub(super) fn new(entry: &Arc<Entry>, set: AddressSet, now: Time) -> Held {
        let until = set.lifetime.map(|lifetime| now + lifetime);
        Held { entry: Arc::clone(entry), set, since: now, until }
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

/// What is wrong with a held address, and what must be removed before it is set again.
struct Ill {
    key: ResourceKey,
    /// How it differs; nothing if it is gone.
    how: Option<String>,
    /// What stands in its place.
    remove: Vec<AddressKey>,
}

/// An address that is right again, where it is, and how it had differed; nothing if it was gone.
type Mended = (ResourceKey, Target, Option<String>);

/// The kernel counts what is left of a lifetime in whole seconds, and so do we.
const INACCURACY: Duration = Duration::from_secs(2);

/// How an address that should be as `held` differs from that, if it does; and whether it must be removed for it to be right.
fn differs(there: &Address, held: &Held, rest: Option<Duration>) -> Option<(String, bool)> {
    let set = &held.set;
    let label = set.label.as_ref().filter(|_| set.ip.is_ipv4());
    if there.prefix != set.prefix {
        return Some((format!("its prefix is {}, not {}", there.prefix, set.prefix), true));
    }
    if there.dad_failed() {
        return Some((
            "duplicate address detection failed on it: another machine has it too".to_owned(),
            true,
        ));
    }
    if there.tentative() {
        return Some(("it waits for duplicate address detection".to_owned(), true));
    }
    if let Some(label) = label.filter(|label| there.label.as_ref() != Some(label)) {
        return Some((
            format!("its label is {}, not {label}", there.label.as_deref().unwrap_or("none")),
            true,
        ));
    }
    if there.ip.is_ipv4() && there.no_network_route() {
        return Some(("it is without its network's route".to_owned(), true));
    }
    let seconds = |time: Option<Duration>| {
        time.map_or("without end".to_owned(), |time| format!("{} s", time.as_secs()))
    };
    let near = match (there.valid, rest) {
        (None, None) => true,
        (Some(there), Some(rest)) => there.abs_diff(rest) <= INACCURACY,
        _ => false,
    };
    if !near {
        return Some((format!("its lifetime is {}, not {}", seconds(there.valid), seconds(rest)), false));
    }
    there.deprecated().then(|| ("it is deprecated".to_owned(), false))
}

impl Worker {
    /// Something changed in the kernel, by whomever.
    pub(super) fn changed(&mut self) {
        let (interfaces, addresses) = match self.look() {
            Ok(found) => found,
            // The next renewal mends what can be mended, and says what cannot.
            Err(error) => return tracing::warn!("interfaces and addresses could not be looked at: {error}"),
        };
        let mended = if self.frozen {
            self.take_gone();
            Vec::new()
        } else {
            self.mend(&interfaces, &addresses)
        };
        self.announce_where_up(&interfaces);
        self.tell_ground(&interfaces, &addresses, false);
        let seen = told(&interfaces, &addresses);
        if seen != self.seen {
            self.seen.clone_from(&seen);
            tell(&self.reports, Report::Interfaces(seen));
        }
        if !mended.is_empty() {
            // Routes that went with them are for the core to see to.
            tell(&self.reports, Report::PutBack(mended));
        }
    }

    /// Puts back what should be there, and puts right what is otherwise than it should be; gives what it was.
    fn mend(&mut self, interfaces: &Interfaces, addresses: &Addresses) -> Vec<ResourceKey> {
        let now = now();
        let ill = self.ill(interfaces, addresses, now);
        let renewed = self.set_again_already(&ill, addresses);
        renewed.iter().for_each(|(key, ..)| self.struggle.count(*key, now));
        if ill.is_empty() && renewed.is_empty() {
            return Vec::new();
        }
        // What an interface takes with it when it goes, or is switched off, is nobody's doing.
        let was_up =
            |index: u32| self.seen.is_empty() || self.seen.iter().any(|one| one.index == index && one.up);
        let mut with_interface = true;
        let (mut sets, mut whose, mut removals) = (Vec::new(), Vec::new(), Vec::new());
        for Ill { key, how, remove } in ill {
            let Some(held) = self.held.get_mut(&key) else { continue };
            let Some(lifetime) = held.rest(now) else { continue };
            let gone = interfaces.numbered(held.set.ifindex).is_none();
            if !gone && !self.struggle.may(key, now) {
                continue;
            }
            with_interface &= how.is_some() || gone || !was_up(held.set.ifindex);
            if gone {
                // One of the same name may have come, with another number.
                let Ok(set) = place(spec(&held.entry), interfaces) else { continue };
                held.set = AddressSet { lifetime: held.set.lifetime, ..set };
            }
            removals.extend(remove);
            sets.push(AddressSet { lifetime, ..held.set.clone() });
            whose.push((key, (held.set.ifindex, held.set.ip), how));
        }
        // Whatever is in the way must go first; between the two is less than a packet's time.
        self.own_removals.extend(removals.iter().map(|key| (key.ifindex, key.ip)));
        if !removals.is_empty() && self.netlink.remove_addresses(&removals).is_err() {
            return Vec::new();
        }
        let Ok(done) = self.netlink.set_addresses(&sets) else { return Vec::new() };
        let set = whose.into_iter().zip(done).filter(|(_, done)| done.is_ok()).map(|(whose, _)| whose);
        let right: Vec<_> = set.chain(renewed).collect();
        if right.is_empty() {
            return Vec::new();
        }
        self.announce_on(interfaces, right.iter().map(|(_, target, _)| *target).collect());
        self.say_mended(&right, with_interface, now);
        self.say_struggle();
        right.into_iter().map(|(key, ..)| key).collect()
    }

    /// What was removed and is there all the same: a renewal came before this look. Whatever went with it is gone.
    fn set_again_already(&mut self, ill: &[Ill], addresses: &Addresses) -> Vec<Mended> {
        let gone = self.take_gone();
        if gone.is_empty() {
            return Vec::new();
        }
        let there = |&(ifindex, ip): &Target| addresses.of(ip).any(|address| address.ifindex == ifindex);
        let whose = self.held.iter().map(|(&key, held)| (key, (held.set.ifindex, held.set.ip), None));
        let mut whose: Vec<Mended> =
            whose.filter(|(_, target, _)| gone.contains(target) && there(target)).collect();
        whose.retain(|(key, ..)| ill.iter().all(|ill| ill.key != *key));
        whose
    }

    /// What somebody else has removed since the last look.
    fn take_gone(&mut self) -> HashSet<Target> {
        let gone = std::mem::take(&mut self.gone);
        gone.into_iter().filter(|target| !self.own_removals.remove(target)).collect()
    }

    /// What is held and not as it should be.
    fn ill(&self, interfaces: &Interfaces, addresses: &Addresses, now: Time) -> Vec<Ill> {
        let mut ill = Vec::new();
        for (&key, held) in &self.held {
            if interfaces.numbered(held.set.ifindex).is_some_and(|link| !link.up) {
                continue;
            }
            let Some(rest) = held.rest(now) else { continue };
            let there: Vec<&Address> =
                addresses.of(held.set.ip).filter(|there| there.ifindex == held.set.ifindex).collect();
            let looks: Vec<_> = there.iter().map(|there| differs(there, held, rest)).collect();
            // The right one may have another beside it, with another prefix.
            if !looks.is_empty() && looks.iter().all(Option::is_none) {
                continue;
            }
            let remove =
                there.iter().zip(&looks).filter(|(_, look)| look.as_ref().is_some_and(|(_, remove)| *remove));
            let remove = remove.map(|(there, _)| there.key()).collect();
            ill.push(Ill { key, remove, how: looks.into_iter().flatten().next().map(|(how, _)| how) });
        }
        ill
    }

    fn say_mended(&mut self, right: &[Mended], with_interface: bool, now: Time) {
        let ips = |changed: bool| {
            let these = right.iter().filter(|(.., how)| how.is_some() == changed);
            let mut ips: Vec<IpAddr> = these.map(|(_, (_, ip), _)| *ip).collect();
            ips.sort_unstable();
            ips
        };
        let (gone, changed) = (ips(false), ips(true));
        let mut events = Vec::new();
        if !gone.is_empty() {
            let how = if with_interface { "went with its interface" } else { "removed by somebody else" };
            let why = format!("{how} and put back at once");
            events.extend(self.put_back.event(&gone, ("removed", "set"), &why, now));
        }
        if let Some(how) = right.iter().find_map(|(.., how)| how.as_ref()) {
            let why = format!("changed by somebody else ({how}) and put right at once");
            events.extend(self.put_right.event(&changed, ("changed", "set"), &why, now));
        }
        for event in events {
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
            let keys =
                self.held.iter().filter(|(_, held)| targets.contains(&(held.set.ifindex, held.set.ip)));
            // An interface that was switched off has lost its routes.
            tell(&self.reports, Report::PutBack(keys.map(|(&key, _)| key).collect()));
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
