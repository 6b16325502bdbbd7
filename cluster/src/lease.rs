//! For how long the kernel keeps the addresses set here, if nobody renews them.

use proto::GroupId;

use crate::core::Core;
use crate::group::{Group, Local};
use crate::io::{Action, OpKind};
use crate::peer::PeerState;

impl Core {
    /// Leases are bounded while somebody is there who could take over.
    pub(crate) fn settle_leases(&mut self) {
        let leased = !self.maintenance.on
            && self.peers.iter().any(|peer| match peer.state {
                PeerState::Init => true,
                PeerState::Up => !peer.standby(),
                PeerState::Dead | PeerState::Left => false,
            });
        let changed = leased != self.leased;
        self.leased = leased;
        let due = leased && self.now >= self.next_renew;
        if self.doubt.is_some() || !(changed || due) {
            // A change during a doubt is made good by the renewal at its end.
            self.leased = if self.doubt.is_some() && changed {
                !leased
            } else {
                leased
            };
            return;
        }
        self.next_renew = self.now + self.settings.lease_renew;
        let running = |group: &&Group| match group.local {
            Local::Started => true,
            Local::Starting => group.addresses_run(),
            _ => false,
        };
        let groups: Vec<GroupId> = self
            .groups
            .iter()
            .filter(running)
            .filter(|g| g.has_addresses())
            .map(|g| g.id)
            .collect();
        if !groups.is_empty() {
            self.out.push(Action::Lease { groups, leased });
        }
    }

    /// Addresses of a predecessor that are found alive are kept alive while the rest is looked at.
    pub(crate) fn adopt_addresses(&mut self, g: usize, kind: Option<OpKind>) {
        let group = &self.groups[g];
        let ours =
            group.local == Local::Probing && group.mine.is_some() && kind == Some(OpKind::Status);
        if ours && group.addresses_run() {
            self.out.push(Action::Lease {
                groups: vec![group.id],
                leased: self.leased,
            });
        }
    }
}
