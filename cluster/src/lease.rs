//! For how long the kernel keeps the addresses set here, if nobody renews them.

use proto::GroupId;

use crate::core::Core;
use crate::group::{CurrentOp, Group, Local, ResourceState, Then};
use crate::io::{Action, OpKind};
use crate::peer::PeerState;
use crate::settings::Requires;

impl Core {
    /// Leases are bounded while somebody is there who could take over.
    pub(crate) fn lease_bounded(&self) -> bool {
        !self.maintenance.on
            && self.peers.iter().any(|peer| match peer.state {
                PeerState::Init => true,
                PeerState::Up => !peer.standby(),
                PeerState::Dead | PeerState::Left => false,
            })
    }

    /// The kind of the leases of a group's addresses. What requires the witness is taken over by whoever is not heard too, so its
    /// addresses end by themselves whenever nobody renews them.
    pub(crate) fn leased_for(&self, group: &Group) -> bool {
        self.lease_bounded() || group.settings.requires == Requires::Witness && !self.maintenance.on
    }

    /// Renews the leases that are due, or all of them if their kind changed. Addresses without end are seen to as
    /// often: somebody may have removed one. (Not in maintenance: then that may well be meant.)
    pub(crate) fn settle_leases(&mut self) {
        if self.doubt.is_some() {
            // A change during a doubt is made good by the renewal at its end.
            return;
        }
        let leased = self.lease_bounded();
        let changed = leased != self.leased;
        // Up to a heartbeat early, so that the loop need not wake once more for it.
        let slack = self.settings.keepalive.min(self.settings.lease_renew / 4);
        let due = !self.maintenance.on && self.now + slack >= self.next_renew;
        self.leased = leased;
        if !(changed || due) {
            return;
        }
        self.next_renew = self.now + self.settings.lease_renew;
        for kind in [false, true] {
            let of_kind = |group: &&Group| self.kept_alive(group) && self.leased_for(group) == kind;
            let groups: Vec<GroupId> = self.groups.iter().filter(of_kind).map(|group| group.id).collect();
            if !groups.is_empty() {
                self.out.push(Action::Lease { groups, leased: kind });
            }
        }
    }

    /// What there is of its addresses must not end by itself: they serve until they are stopped. What another
    /// node owns and what could not be stopped had better end.
    pub(crate) fn kept_alive(&self, group: &Group) -> bool {
        let lost = || self.peers.iter().any(|peer| peer.holds(group.id).is_some());
        group.has_addresses()
            && match group.local {
                Local::Starting | Local::Started | Local::Recovering(_) => true,
                Local::Stopping(then) => !matches!(then, Then::Lost | Then::Unleased),
                Local::Probing | Local::Leftover => group.mine.is_some() && !group.recheck && !lost(),
                Local::Unknown | Local::Stopped | Local::Blocked => false,
            }
    }

    /// Another node owns the group: addresses that were set without end, since nobody was heard, get one, should the stop fail
    /// or hang.
    pub(crate) fn let_addresses_end(&mut self, g: usize) {
        let group = &self.groups[g];
        if !self.leased && group.has_addresses() {
            self.out.push(Action::Lease { groups: vec![group.id], leased: true });
        }
    }

    /// Addresses of a predecessor that are found alive are kept alive while the rest is looked at; those
    /// started under the other kind of lease are given the right one.
    pub(crate) fn lease_after(&mut self, g: usize, op: &CurrentOp) {
        let group = &self.groups[g];
        let found = group.local == Local::Probing && op.kind == OpKind::Status;
        let leased = self.leased_for(group);
        let other = op.kind == OpKind::Start && op.leased != leased;
        let addresses = op.on.iter().any(|&i| {
            let resource = &group.resources[i];
            resource.settings.address && resource.state == ResourceState::Started
        });
        if (found || other) && addresses && self.doubt.is_none() && self.kept_alive(group) {
            self.out.push(Action::Lease { groups: vec![group.id], leased });
        }
    }
}
