//! The kernel's side: what it has, what it shall have, and what somebody else did to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::health::Verdict;
use super::io::{Action, Level, Time};
use super::service::{Leaving, Service};
use crate::kernel::{Counters, DestCounters, Look, Picture};
use crate::table::{Change, Key, Service as Entry, Table, plan};

/// Between two looks at the kernel's table.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A table of so many real servers is looked at closely each time; with a larger one much of the director's time would go
/// into that, so a glance has to do in between.
const FEW: usize = 100;
/// Then it is looked at closely after so long: what a glance does not show, and the counters.
const CLOSELY_EVERY: Duration = Duration::from_secs(3);
/// Every so many looks the sync daemon is seen to: its interface may have come, or somebody has stopped it.
const SYNC_LOOKS: u32 = 10;

/// What is known of the kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it has, as far as is known; nothing before the first look.
    known: Option<Table>,
    /// What it shall have.
    desired: Table,
    /// The entries of `desired` that have not been compared with `known` yet.
    changed: BTreeSet<Key>,
    /// A look is on its way. None begins while changes are, and what is asked for later is done later: so it shows
    /// exactly what is known, but for what somebody else did.
    reading: bool,
    /// The changes that are on their way.
    applying: Option<Vec<Change>>,
    next_look: Time,
    next_close_look: Time,
    looks: u32,
    /// How many changes of others were undone.
    pub drift_repaired: u64,
    /// Why the kernel could not be read, or refused a change: at the last try.
    pub trouble: Option<String>,
    /// What the kernel refused at the last try, by service.
    pub refused: BTreeMap<Key, String>,
    /// The traffic at the last look.
    pub services: BTreeMap<Key, Counters>,
}

impl Kernel {
    /// Of which nothing is known.
    pub fn new(now: Time) -> Kernel {
        Kernel {
            known: None,
            desired: Table::new(),
            changed: BTreeSet::new(),
            reading: false,
            applying: None,
            next_look: now,
            next_close_look: now,
            looks: 0,
            drift_repaired: 0,
            trouble: None,
            refused: BTreeMap::new(),
            services: BTreeMap::new(),
        }
    }

    /// `key` shall be `entry`.
    pub fn desire(&mut self, key: Key, entry: Entry) {
        if self.desired.get(&key) != Some(&entry) {
            self.desired.insert(key, entry);
            self.changed.insert(key);
        }
    }

    /// Nothing is desired any more but what is said from now on.
    pub fn forget_desires(&mut self, keep: &BTreeSet<Key>) {
        self.desired.retain(|key, _| keep.contains(key));
        self.changed.extend(self.known.iter().flatten().map(|(key, _)| *key));
    }

    /// When it is to be looked at again.
    pub fn wake_at(&self) -> Option<Time> {
        (!self.reading && self.applying.is_none()).then_some(self.next_look)
    }

    /// How closely to look at it now.
    fn look(&self, now: Time) -> Look {
        let count = |known: &Table| known.values().map(|entry| entry.dests.len()).sum::<usize>();
        let certain = self.trouble.is_none() && self.refused.is_empty();
        match &self.known {
            Some(known) if certain && now < self.next_close_look && count(known) > FEW => Look::Glance,
            _ => Look::Closely,
        }
    }

    /// The weight of a real server in the kernel, as far as is known; `None` if it is not there.
    pub fn weight(&self, key: &Key, address: &SocketAddr) -> Option<u32> {
        Some(self.known.as_ref()?.get(key)?.dests.get(address)?.weight)
    }

    /// The whole entry in the kernel, as far as is known.
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.known.as_ref()?.get(key)
    }

    /// Where the kernel has what it shall have, that is in memory once.
    fn share(&mut self) {
        for (key, known) in self.known.iter_mut().flatten() {
            if let Some(desired) = self.desired.get(key).filter(|desired| desired.dests == known.dests) {
                known.dests = Arc::clone(&desired.dests);
            }
        }
    }

    /// The steps to what is desired, for the services that changed only.
    fn steps(&mut self, owned: &BTreeSet<Key>) -> Vec<Change> {
        let Some(known) = &self.known else { return Vec::new() };
        let part = |table: &Table| -> Table {
            let entry = |key: &Key| Some((*key, table.get(key)?.clone()));
            self.changed.iter().filter_map(entry).collect()
        };
        let steps = plan(&part(known), &part(&self.desired), owned);
        self.changed.clear();
        steps
    }
}

/// `change` done to `table`.
fn carry_out(table: &mut Table, change: &Change) {
    match change {
        Change::AddService { key, service } | Change::SetService { key, service } => {
            let dests = table.remove(key).map(|found| found.dests).unwrap_or_default();
            table.insert(*key, Entry { dests, ..service.clone() });
        }
        Change::DelService { key } => drop(table.remove(key)),
        Change::AddDest { key, address, dest } | Change::SetDest { key, address, dest, .. } => {
            if let Some(service) = table.get_mut(key) {
                service.dests_mut().insert(*address, *dest);
            }
        }
        Change::DelDest { key, address } => {
            if let Some(service) = table.get_mut(key) {
                service.dests_mut().remove(address);
            }
        }
    }
}

impl Core {
    /// Every configured service is ours from now on; remembered before the kernel is touched, so that they are
    /// found to be ours whatever happens.
    pub(super) fn own(&mut self) {
        let before = self.memory.owned.len();
        self.memory.owned.extend(self.config.virtuals.iter().map(|settings| settings.key));
        if self.memory.owned.len() != before {
            self.actions.push_back(Action::Remember(self.memory.clone()));
        }
    }

    /// The kernel's table, as it was found; `None` if a glance showed that it is what was found last.
    pub fn picture(&mut self, now: Time, picture: Result<Option<Picture>, String>) {
        self.kernel.reading = false;
        self.kernel.next_look = now + LOOK_EVERY;
        match picture {
            Err(error) => {
                if self.kernel.trouble.as_ref() != Some(&error) {
                    self.say(Level::Error, "table", "ipvs".into(), None, None, error.clone());
                }
                self.kernel.trouble = Some(error);
            }
            Ok(Some(picture)) => self.looked(now, picture),
            Ok(None) => {}
        }
        self.settle(now);
    }

    fn looked(&mut self, now: Time, picture: Picture) {
        self.kernel.trouble = None;
        self.kernel.next_close_look = now + CLOSELY_EVERY;
        self.kernel.services = picture.services;
        match self.kernel.known.take() {
            // Nearly always; and what is kept stays where it is in memory.
            Some(known) if known == picture.table => self.kernel.known = Some(known),
            known => {
                match known {
                    None => self.adopt(now, &picture.table),
                    Some(known) => self.compare(&known, &picture.table),
                }
                self.kernel.known = Some(picture.table);
            }
        }
        self.kernel.share();
        self.watch(now, &picture.dests);
    }

    /// The first look: what is found at work goes on working until its checks have spoken.
    fn adopt(&mut self, now: Time, found: &Table) {
        for at in 0..self.services.len() {
            let settings = &self.config.virtuals[at];
            let Some(entry) = found.get(&settings.key) else { continue };
            let service = &mut self.services[at];
            self.unsettled.insert(at);
            service.fallback =
                settings.fallback.is_some_and(|(address, _)| entry.dests.contains_key(&address));
            for real in &mut service.reals {
                let weight = entry.dests.get(&real.address).map(|dest| dest.weight);
                real.found = weight.filter(|_| real.verdict == Verdict::Unknown);
                real.admitted |= weight.is_some_and(|weight| weight > 0);
            }
            let strangers = entry.dests.iter().filter(|(address, _)| {
                !settings.reals.iter().any(|real| real.address == **address)
                    && settings.fallback.is_none_or(|(fallback, _)| fallback != **address)
            });
            let until = now + self.config.drain;
            service.leaving = strangers
                .map(|(address, dest)| (*address, Leaving { dest: *dest, until, empty_looks: 0 }))
                .collect();
            let name = settings.name.clone();
            let why = format!("found in the kernel with {} real servers: adopted", entry.dests.len());
            self.say(Level::Info, "virtual", name, None, Some("adopted"), why);
        }
        self.kernel.changed.extend(self.kernel.desired.keys().chain(found.keys()).copied());
        for at in 0..self.services.len() {
            for place in 0..self.services[at].reals.len() {
                self.stand(now, at, place);
            }
        }
    }

    /// What somebody else changed in our services is said, counted, and will be undone.
    fn compare(&mut self, known: &Table, found: &Table) {
        let owned = &self.memory.owned;
        let ours = |table: &Table| -> Table {
            let ours = table.iter().filter(|(key, _)| owned.contains(key));
            ours.map(|(key, entry)| (*key, entry.clone())).collect()
        };
        // Nothing differs, in nearly every look.
        let differs = owned.iter().any(|key| known.get(key) != found.get(key));
        if !differs {
            return;
        }
        let changes = plan(&ours(found), &ours(known), owned);
        self.kernel.drift_repaired += changes.len() as u64;
        for change in changes.iter().take(10) {
            let why = format!("somebody else changed the table; undone: {change}");
            self.say(Level::Warn, "table", change.key().to_string(), None, None, why);
        }
        if changes.len() > 10 {
            let why = format!("{} more changes of somebody else are undone", changes.len() - 10);
            self.say(Level::Warn, "table", "ipvs".into(), None, None, why);
        }
        self.kernel.changed.extend(changes.iter().map(Change::key));
    }

    /// Connections of those who are to finish them.
    fn watch(&mut self, now: Time, counters: &BTreeMap<Key, BTreeMap<SocketAddr, DestCounters>>) {
        for at in 0..self.services.len() {
            let key = self.config.virtuals[at].key;
            let inactive = Service::counts_inactive(&key);
            let counters = counters.get(&key);
            let of = |address| counters.and_then(|of_key| of_key.get(&address)).copied().unwrap_or_default();
            let mut emptied = Vec::new();
            let service = &mut self.services[at];
            for (place, real) in service.reals.iter_mut().enumerate() {
                if real.watch(of(real.address), inactive) {
                    emptied.push(place);
                }
            }
            let before = service.leaving.len();
            service.leaving.retain(|address, leaving| {
                let counters = of(*address);
                let open = counters.active + if inactive { counters.inactive } else { 0 };
                leaving.empty_looks = if open == 0 { leaving.empty_looks + 1 } else { 0 };
                leaving.empty_looks < 2
            });
            if !emptied.is_empty() || service.leaving.len() != before {
                self.unsettled.insert(at);
            }
            for place in emptied {
                let why = "its last connection has ended".to_owned();
                self.say(Level::Info, "real", self.name(at, place), Some("drain"), Some("removed"), why);
                self.stand(now, at, place);
            }
        }
    }

    /// The changes were tried.
    pub fn applied(&mut self, now: Time, results: &[Result<(), String>]) {
        let Some(changes) = self.kernel.applying.take() else { return };
        let (mut refused, mut gone) = (BTreeMap::new(), Vec::new());
        let mut failed = 0;
        let none = Err("it was not tried".to_owned());
        for (number, change) in changes.iter().enumerate() {
            match results.get(number).unwrap_or(&none) {
                Ok(()) => {
                    if let Some(known) = &mut self.kernel.known {
                        carry_out(known, change);
                    }
                    if let Change::DelService { key } = change {
                        gone.push(*key);
                    }
                }
                Err(error) => {
                    failed += 1;
                    refused.entry(change.key()).or_insert_with(|| format!("{change}: {error}"));
                }
            }
        }
        self.forget(&gone);
        let before: BTreeMap<Key, String> =
            changes.iter().filter_map(|change| self.kernel.refused.remove_entry(&change.key())).collect();
        for (key, why) in refused.iter().filter(|(key, why)| before.get(key) != Some(why)) {
            self.say(Level::Error, "table", key.to_string(), None, None, format!("the kernel refused {why}"));
        }
        self.kernel.refused.extend(refused);
        if failed > 0 {
            // What the kernel really has is seen at the next look, and then it is tried again.
            self.kernel.next_look = self.kernel.next_look.max(now + LOOK_EVERY);
        }
        self.settle(now);
    }

    /// Services that are gone are no longer ours. Remembered once for all of them: each time is a file that is written.
    fn forget(&mut self, gone: &[Key]) {
        if gone.is_empty() {
            return;
        }
        let before = self.memory.owned.len();
        let configured: BTreeSet<Key> = self.config.virtuals.iter().map(|settings| settings.key).collect();
        for key in gone.iter().filter(|key| !configured.contains(key)) {
            self.memory.owned.remove(key);
        }
        if self.memory.owned.len() != before {
            self.actions.push_back(Action::Remember(self.memory.clone()));
        }
    }

    /// Has the kernel do what is to be done, unless it is at it already.
    pub(super) fn follow(&mut self) {
        if self.kernel.applying.is_some() || self.kernel.changed.is_empty() {
            return;
        }
        let steps = self.kernel.steps(&self.memory.owned);
        if steps.is_empty() {
            return;
        }
        self.actions.push_back(Action::Apply(steps.clone()));
        self.kernel.applying = Some(steps);
    }

    /// Looks at the kernel, if it is time and nothing is on its way.
    pub(super) fn look_at_kernel(&mut self, now: Time) {
        if self.kernel.wake_at().is_some_and(|wake| wake <= now) {
            // What was refused is tried again with what is found.
            self.kernel.changed.extend(self.kernel.refused.keys().copied());
            self.kernel.reading = true;
            // Of who finishes its connections they are counted.
            let counted = self.services.iter().any(Service::is_finishing);
            let look = if counted { Look::Closely } else { self.kernel.look(now) };
            self.actions.push_back(Action::Read(look));
            self.kernel.looks = self.kernel.looks.wrapping_add(1);
            if self.config.sync.is_some() && self.kernel.looks.is_multiple_of(SYNC_LOOKS) {
                self.sync();
            }
        }
    }

    /// The table the kernel shall have.
    pub fn desired(&self) -> &Table {
        &self.kernel.desired
    }

    /// What would change in the kernel's table with `config`, a line each, as if every real server of which
    /// nothing is known yet were good.
    pub fn planned(&self, now: Time, config: crate::config::model::Config) -> Vec<String> {
        let mut trial = self.clone();
        let found = trial.kernel.known.clone().unwrap_or_default();
        trial.reload(now, config);
        for at in 0..trial.services.len() {
            for place in 0..trial.services[at].reals.len() {
                let real = &mut trial.services[at].reals[place];
                if real.verdict == Verdict::Unknown {
                    real.verdict = Verdict::Up;
                    real.admitted = true;
                    trial.stand(now, at, place);
                }
            }
        }
        trial.unsettled = (0..trial.services.len()).collect();
        trial.settle(now);
        plan(&found, &trial.kernel.desired, &trial.memory.owned).iter().map(Change::to_string).collect()
    }
}
