//! The ground that built-in addresses stand on: interfaces that carry nothing, addresses that somebody else has set here, or
//! removed.
//!
//! ```text
//!  an interface goes ──▶ cut off ── for long enough, and somebody able hears us ──▶ Stopping(Give)
//!                          └ nobody else can take it: it stays, and is told of
//!  set by somebody else, and a peer has the group ──▶ Evict        held here and put right ──▶ a look at what follows
//! ```

use proto::{GroupState, NodeId};

use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local};
use crate::io::{Action, Ground};
use crate::life::Phase;
use crate::recover::{HOUR, note};
use crate::settings::ResourceKey;
use crate::time::Time;

/// Where a group has changed its node so often that it no longer goes home by itself, an interface must be gone for at least
/// so long before the group leaves for that.
pub(crate) const CALM: std::time::Duration = std::time::Duration::from_secs(30);
/// Resources started again within an [`HOUR`] because they went with an address, without that counting as their failure.
const REPAIRS: usize = 10;

impl Core {
    /// The driver has looked at the interfaces and the addresses on them.
    pub(crate) fn ground_changed(&mut self, ground: Ground) {
        self.ground = ground;
        self.changes += 1;
        self.weigh_ground();
    }

    /// Notes which groups are cut off here, and since when.
    pub(crate) fn weigh_ground(&mut self) {
        for g in 0..self.groups.len() {
            let (why, was) = (self.lacks_link(g).cloned(), self.groups[g].cut_off.is_some());
            if why.is_some() != was {
                let name = self.groups[g].settings.name.clone();
                let (level, from, to) = if was {
                    (Level::Info, "link down", "link up")
                } else {
                    (Level::Warn, "link up", "link down")
                };
                let text = why.clone().unwrap_or_else(|| "its interface carries again".to_owned());
                self.event(level, "address", &name, Some(from), Some(to), text);
                self.news = true;
            }
            let group = &mut self.groups[g];
            group.cut_off =
                why.map(|why| (group.cut_off.as_ref().map_or(self.now, |(since, _)| *since), why));
        }
    }

    /// Why an address of the group would reach nobody from here, where that counts.
    fn lacks_link(&self, g: usize) -> Option<&String> {
        let group = &self.groups[g];
        group.settings.link_monitor?;
        let keys = group.resources.iter().filter(|r| r.settings.address && !r.doomed).map(|r| r.settings.key);
        keys.filter_map(|key| self.ground.cut.get(&key)).next()
    }

    /// Whom the group is to be given to because its interface here carries nothing, and when. Only to somebody who could take
    /// it and hears this node: two that are cut off leave it where it is.
    pub(crate) fn link_handover(&self, g: usize) -> Option<(NodeId, Time)> {
        let group = &self.groups[g];
        let (since, _) = group.cut_off.as_ref()?;
        let after = group.settings.link_monitor?;
        if group.local != Local::Started {
            return None;
        }
        let settled = |name: &&String| {
            let mut peers = self.peers.iter().filter(|peer| peer.name == **name);
            peers.any(|peer| {
                let stopped = peer.report(group.id).is_some_and(|r| r.state == GroupState::Stopped);
                stopped && peer.able(group.id) && peer.hears_us()
            })
        };
        let heir = self.settings.nodes.iter().find(settled)?;
        let after = if self.damped_until(group).is_some() { after.max(CALM) } else { after };
        Some((NodeId::of(heir), *since + after))
    }

    /// Has addresses removed that somebody else has set here while another node has the group.
    pub(crate) fn evict(&mut self, g: usize) {
        if self.ground.strange.is_empty()
            || self.phase != Phase::Up
            || self.doubt.is_some()
            || self.maintenance.on
        {
            return;
        }
        let group = &self.groups[g];
        if group.local != Local::Stopped || group.op.is_some() {
            return;
        }
        let Some(owner) = self.peers.iter().find(|peer| {
            let state = peer.report(group.id).filter(|_| peer.live()).map(|report| report.state);
            matches!(state, Some(GroupState::Starting | GroupState::Started))
        }) else {
            return;
        };
        let keys: Vec<ResourceKey> = strangers(group, &self.ground).collect();
        if keys.is_empty() {
            return;
        }
        let why = format!("{} has group {}", owner.name, group.settings.name);
        let group = group.id;
        // Whatever is there after that, the driver tells anew.
        self.ground.strange.retain(|key| !keys.contains(key));
        self.out.push(Action::Evict { group, resources: keys, why });
    }

    /// What this node starts or stops is no stranger's any more.
    pub(crate) fn not_strange(&mut self, keys: &[ResourceKey]) {
        if !self.ground.strange.is_empty() {
            self.ground.strange.retain(|key| !keys.contains(key));
        }
    }

    /// Addresses that this node holds were gone or changed, and are right again: routes may have gone with them, so what comes
    /// after them in their group is looked at now.
    pub(crate) fn put_back(&mut self, keys: &[ResourceKey]) {
        for group in &mut self.groups {
            let first = group.resources.iter().position(|r| keys.contains(&r.settings.key));
            for resource in group.resources.iter_mut().skip(first.map_or(usize::MAX, |first| first + 1)) {
                let settings = &resource.settings;
                resource.care.asked |= !settings.address && (settings.follows || settings.monitor.is_some());
            }
        }
    }

    /// A resource that has gone with an address is started again, with what comes after it. True if that was begun; one that
    /// does so all the time has failed like any other.
    pub(crate) fn repair(&mut self, g: usize, i: usize) -> bool {
        let now = self.now;
        let repaired = &mut self.groups[g].repaired_at;
        repaired.retain(|at| now.since(*at) < HOUR);
        if repaired.len() >= REPAIRS {
            return false;
        }
        note(repaired, now);
        let name = self.groups[g].resources[i].settings.name.clone();
        let why = format!("{name} went with an address that was removed, and is started again");
        self.recover(g, i, now, why);
        true
    }

    /// A peer that was dead is heard again: what is between may have learnt something else meanwhile.
    pub(crate) fn announce_after_heal(&mut self) {
        for group in self.groups.iter_mut().filter(|group| group.local == Local::Started) {
            group.announce = group.has_addresses();
        }
    }
}

/// The addresses of a group that somebody else has set here.
pub(crate) fn strangers(group: &Group, ground: &Ground) -> impl Iterator<Item = ResourceKey> {
    let ours = group.resources.iter().filter(|r| r.settings.address && !r.doomed);
    ours.map(|r| r.settings.key).filter(|key| ground.strange.contains(key))
}
