//! What must survive a restart, and what may be done before it is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local};
use crate::io::{Action, Durable, DurableGroup};
use crate::life::Phase;
use crate::standby::StandbyState;

/// How long a claim may wait for the disk before it goes on without.
pub(crate) const DISK_WAIT: Duration = Duration::from_secs(1);
/// Writes not answered yet that are remembered.
const UNWRITTEN: usize = 64;
/// Between two attempts at a disk that does not take the state.
const DISK_RETRY: Duration = Duration::from_secs(5);

impl Core {
    /// Hands out what must be on disk, if it is not what was handed out last.
    pub(crate) fn keep(&mut self) {
        let again = self.disk_retry.is_some_and(|at| self.now >= at);
        let news = self.serial == 0 || again;
        if !news && self.is_handed_out() {
            return;
        }
        let durable = self.to_keep();
        if !news && durable == self.durable {
            return;
        }
        self.disk_retry = None;
        self.durable = durable.clone();
        self.serial += 1;
        self.unwritten.insert(self.serial, durable.clone());
        if self.unwritten.len() > UNWRITTEN {
            // A disk that answers nothing at all: what is oldest would be of no use any more.
            self.unwritten.pop_first();
        }
        self.out.push(Action::Persist { serial: self.serial, state: durable });
    }

    /// True only if [`Core::to_keep`] is what was handed out last; looked at after every input, so without building
    /// it. Where a stop failed somewhere it leaves the answer to the whole comparison.
    fn is_handed_out(&self) -> bool {
        let last = &self.durable;
        last.incarnation == self.incarnation
            && last.standby == (self.standby == StandbyState::On)
            && last.maintenance == (self.maintenance.version, self.maintenance.on)
            && last.peers.len() == self.peers.len()
            && self.peers.iter().all(|peer| last.peers.get(&peer.name) == Some(&peer.newest))
            && last.groups.len() == self.groups.len()
            && self
                .groups
                .iter()
                .all(|group| last.groups.get(&group.settings.name) == Some(&group_to_keep(group)))
            && last.stuck.is_empty()
            && self.peers.iter().all(|peer| peer.stuck.is_empty())
    }

    fn to_keep(&self) -> Durable {
        let groups = self.groups.iter().map(|group| (group.settings.name.clone(), group_to_keep(group)));
        Durable {
            incarnation: self.incarnation,
            standby: self.standby == StandbyState::On,
            maintenance: (self.maintenance.version, self.maintenance.on),
            peers: self.peers.iter().map(|peer| (peer.name.clone(), peer.newest)).collect(),
            groups: groups.collect(),
            stuck: self.stuck_to_keep(),
        }
    }

    /// Of each peer, the groups that it could not stop.
    fn stuck_to_keep(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut stuck = BTreeMap::new();
        for peer in self.peers.iter().filter(|peer| !peer.stuck.is_empty()) {
            let groups = self.groups.iter().filter(|group| peer.stuck.contains(&group.id));
            let names = groups.map(|group| group.settings.name.clone()).collect();
            stuck.insert(peer.name.clone(), names);
        }
        stuck
    }

    pub(crate) fn persisted(&mut self, serial: u64, error: Option<String>) {
        let Some(state) = self.unwritten.remove(&serial) else {
            return; // a newer one was answered already, or it is none of ours
        };
        if error.is_none() {
            self.on_disk = state;
        }
        self.unwritten = self.unwritten.split_off(&(serial + 1));
        if error.is_some() != self.disk_error.is_some() {
            let (level, text) = match &error {
                Some(error) => (Level::Error, format!("the state cannot be written: {error}")),
                None => (Level::Info, "the state can be written again".to_owned()),
            };
            self.event(level, "state", "disk", None, None, text);
        }
        // What failed is not on disk until it is written again, changed or not.
        let newest = serial == self.serial;
        self.disk_retry = (error.is_some() && newest).then(|| self.now + DISK_RETRY).or(self.disk_retry);
        self.disk_error = error;
        if self.phase == Phase::Booting {
            let why = match &self.disk_error {
                None => "the new incarnation is on disk",
                Some(_) => "the disk does not take the new incarnation: it is kept in memory alone",
            };
            self.set_phase(Phase::Joining, why);
        }
    }

    /// Whether `epoch` of a group may be used: it is on disk, or the disk will not have it.
    pub(crate) fn epoch_kept(&self, g: usize, epoch: u64) -> bool {
        let kept = self.on_disk.groups.get(&self.groups[g].settings.name);
        kept.is_some_and(|kept| kept.reserved >= epoch)
            || self.disk_error.is_some()
            || self.groups[g]
                .disk_wait
                .is_some_and(|(of, since)| of == epoch && self.now.since(since) >= DISK_WAIT)
    }
}

fn group_to_keep(group: &Group) -> DurableGroup {
    let mine = group.mine.filter(|_| group.local != Local::Stopped);
    DurableGroup { reserved: group.known + 1, mine }
}
