//! What the loop is told of the ground of the configured addresses: those whose interface carries nothing, and those that
//! somebody else has set; and the removal of the latter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Ground, ResourceKey, Time};
use sys::netlink::AddressKey;

use super::place::{Interfaces, is};
use super::worker::{Addresses, Worker, spec};
use crate::config::AddressSpec;
use crate::daemon::report::{Report, Trouble, tell};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

/// An address is removed so many times within a [`ROUND`]; then it is left to whoever sets it for a while, and that is said.
const REMOVALS: usize = 5;
/// For so long.
const ROUND: Duration = Duration::from_secs(60);

/// How often each address was removed lately.
#[derive(Debug, Default)]
pub(super) struct Fights(BTreeMap<ResourceKey, VecDeque<Time>>);

impl Fights {
    /// Whether it may be removed once more.
    fn may(&mut self, key: ResourceKey, now: Time) -> bool {
        let times = self.0.entry(key).or_default();
        times.retain(|at| now.since(*at) < ROUND);
        if times.len() >= REMOVALS {
            return false;
        }
        times.push_back(now);
        true
    }

    /// When a fight that was given up may go on.
    pub(super) fn due(&self) -> Option<Time> {
        let given_up = self.0.values().filter(|times| times.len() >= REMOVALS);
        given_up.filter_map(|times| times.front()).min().map(|first| *first + ROUND)
    }
}

impl Worker {
    /// These are configured from now on.
    pub(super) fn configured(&mut self, entries: Vec<Arc<Entry>>, refresh: Option<Duration>) {
        if refresh != self.refresh {
            self.refresh = refresh;
            self.refreshed = now();
        }
        let known: BTreeSet<ResourceKey> = entries.iter().map(|entry| entry.key).collect();
        self.fights.0.retain(|key, _| known.contains(key));
        self.homes.retain(|key, _| known.contains(key));
        self.watched = entries;
        self.look_at_ground();
    }

    /// Looks, and tells the loop in any case.
    pub(super) fn look_at_ground(&mut self) {
        match self.look() {
            Ok((interfaces, addresses)) => self.tell_ground(&interfaces, &addresses, true),
            Err(error) => tracing::warn!("interfaces and addresses could not be looked at: {error}"),
        }
    }

    /// Tells the loop how the ground is, if that is news, or `anew`.
    pub(super) fn tell_ground(&mut self, interfaces: &Interfaces, addresses: &Addresses, anew: bool) {
        let mut ground = Ground::default();
        for entry in &self.watched {
            let (key, spec) = (entry.key, spec(entry));
            let home = match interfaces.home(spec) {
                Ok(link) => Ok(link.index),
                // An interface that is switched off has no networks: it is where it was before.
                Err(why) => self.homes.get(&key).copied().filter(|_| spec.interface.is_none()).ok_or(why),
            };
            if let Some(why) = carries_nothing(interfaces, spec, &home) {
                ground.cut.insert(key, why);
            }
            let Ok(home) = home else { continue };
            self.homes.insert(key, home);
            let there =
                |address: &&sys::netlink::Address| address.ifindex == home && is(address, spec, interfaces);
            if !self.held.contains_key(&key) && addresses.of(spec.ip).any(|address| there(&address)) {
                ground.strange.insert(key);
            }
        }
        if anew || ground != self.ground {
            self.ground.clone_from(&ground);
            tell(&self.reports, Report::Ground(ground));
        }
    }

    /// Removes what somebody else has set of these.
    pub(super) fn evict(&mut self, entries: &[Arc<Entry>], why: &str) {
        let now = now();
        let Ok((interfaces, addresses)) = self.look() else { return };
        let (mut keys, mut kept): (Vec<AddressKey>, Vec<IpAddr>) = Default::default();
        for entry in entries.iter().filter(|entry| !self.held.contains_key(&entry.key)) {
            let (spec, home) = (spec(entry), self.homes.get(&entry.key));
            let there = addresses.of(spec.ip).filter(|address| is(address, spec, &interfaces));
            let mut there = there
                .filter(|address| Some(&address.ifindex) == home)
                .map(|address| address.key())
                .peekable();
            if there.peek().is_none() {
                continue;
            }
            if self.fights.may(entry.key, now) {
                keys.extend(there);
            } else {
                kept.push(spec.ip);
            }
        }
        self.say_given_up(&kept);
        let done = match self.netlink.remove_addresses(&keys) {
            Ok(done) => done,
            Err(error) => {
                return tracing::error!("addresses that somebody else has set were not removed: {error}");
            }
        };
        let mut gone = Vec::new();
        for (key, done) in keys.iter().zip(done) {
            match done {
                Ok(_) => gone.push(key.ip),
                Err(error) => {
                    tracing::error!("{key} was set by somebody else and cannot be removed: {error}")
                }
            }
        }
        if !gone.is_empty() {
            let why = format!("set here by somebody else while {why}: removed");
            if let Some(event) = self.evicted.event(&gone, ("set", "removed"), &why, now) {
                tell(&self.reports, Report::Event(Box::new(event)));
            }
        }
        self.look_at_ground();
    }

    /// Two that want it otherwise are no help to anybody: it is said, and tried again when the round is over.
    fn say_given_up(&mut self, kept: &[IpAddr]) {
        if kept.is_empty() {
            return;
        }
        let ips: Vec<String> = kept.iter().map(IpAddr::to_string).collect();
        let sentence = format!(
            "{} is set here by somebody else again and again: removed {REMOVALS} times within a minute and left there for now; find the program that does it",
            ips.join(", ")
        );
        self.fighting = true;
        tell(&self.reports, Report::Trouble { about: Trouble::Strangers, sentence: Some(sentence) });
    }

    /// The end of a round: whoever set the addresses may have learnt better, else it goes on.
    pub(super) fn fight_on(&mut self) {
        let now = now();
        for times in self.fights.0.values_mut() {
            times.retain(|at| now.since(*at) < ROUND);
        }
        if self.fights.due().is_none() && std::mem::take(&mut self.fighting) {
            tell(&self.reports, Report::Trouble { about: Trouble::Strangers, sentence: None });
        }
        self.look_at_ground();
    }
}

/// Why nothing goes through the interface of an address, if so.
fn carries_nothing(
    interfaces: &Interfaces,
    spec: &AddressSpec,
    home: &Result<u32, String>,
) -> Option<String> {
    let index = match home {
        Ok(index) => *index,
        Err(why) => return Some(why.clone()),
    };
    let Some(link) = interfaces.numbered(index) else {
        return Some(format!("the interface of {} is gone", spec.ip));
    };
    if !link.up {
        Some(format!("{} is switched off", link.name))
    } else if !link.running && !link.loopback {
        Some(format!("{} has no carrier", link.name))
    } else {
        None
    }
}
