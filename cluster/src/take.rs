//! Taking a group: given by a release, after a peer that is gone, under a new epoch.

use proto::GroupState;

use crate::certain::Certain;
use crate::core::Core;
use crate::group::Local;
use crate::life::Phase;
use crate::peer::{Peer, PeerState};
use crate::settings::Requires;
use crate::standby::StandbyState;

impl Core {
    /// Somebody released the group to this node: take it, or say that we never will. True if it was taken
    /// or must wait.
    pub(crate) fn answer_release(&mut self, g: usize) -> bool {
        let (id, declined) = (self.groups[g].id, self.groups[g].declined);
        let released = self.peers.iter().filter(|peer| peer.live()).find_map(|peer| {
            let report = peer.report(id)?;
            let certain = Certain::handed_over(report, self.me)?;
            // Who gives it for the ping points' sake would rather have kept it.
            let willing = report.able && !self.sees_more_than(peer);
            Some((peer.name.clone(), report.epoch, willing, certain))
        });
        let Some((giver, epoch, willing, certain)) = released else {
            return false;
        };
        if self.phase == Phase::Joining {
            return true;
        }
        if self.peers.iter().any(|peer| peer.holds(id).is_some()) {
            // Who left it to this node did not know of an owner; or knows already that it is none any more.
            return true;
        }
        if epoch <= declined || !self.able(g) {
            // Until the giver has heard that, it is about to decide what becomes of the group.
            let declined = self.groups[g].known.max(epoch);
            self.news |= self.groups[g].declined < declined;
            self.groups[g].declined = declined;
            return true;
        }
        self.groups[g].stay = willing && self.sent_past_home(g, &giver);
        self.take(g, certain, format!("{giver} handed it over"));
        true
    }

    /// A group that comes from its preferred node, or past it although it could take it, was sent here by order.
    fn sent_past_home(&self, g: usize, giver: &str) -> bool {
        let group = &self.groups[g];
        group.settings.preferred.as_deref() == Some(giver) || self.home_is_fit(group)
    }

    /// A release is used up when somebody owns the group under a later epoch (or the same, claimed by who did
    /// not hear of it), or somebody else than the heir owned it all the time.
    pub(crate) fn forget_used_release(&mut self, g: usize) {
        let group = &mut self.groups[g];
        let Some(release) = group.release else { return };
        let used = |peer: &Peer| {
            peer.holds(group.id).is_some_and(|epoch| epoch >= release.epoch || peer.id != release.to)
        };
        if self.peers.iter().any(used) {
            group.release = None;
            self.news = true;
        }
    }

    /// Our own release holds us back until the heir has declined it or is gone.
    pub(crate) fn own_release_stands(&self, g: usize) -> bool {
        let Some(release) = self.groups[g].release else {
            return false;
        };
        let id = self.groups[g].id;
        let Some(heir) = self.peers.iter().find(|peer| peer.id == release.to) else {
            return false;
        };
        if !heir.live() {
            // It may have acted on the release before it fell silent, or do so when it is heard again: where silence is no
            // certainty, the release stands until it is. (The witness knows who has acted on it.)
            return self.groups[g].settings.requires == Requires::Fencing
                && heir.state == PeerState::Dead
                && heir.confirmed.is_none();
        }
        heir.report(id).is_none_or(|report| !(report.declined && report.epoch >= release.epoch))
    }

    /// This node would take the group.
    pub(crate) fn able(&self, g: usize) -> bool {
        self.fit(g) && self.groups[g].cut_off.is_none()
    }

    /// Nothing but perhaps an interface keeps this node from taking the group.
    fn fit(&self, g: usize) -> bool {
        let group = &self.groups[g];
        self.phase == Phase::Up
            && self.standby == StandbyState::Off
            && !group.failed
            && !group.doomed
            && !group.recheck
            && group.local != Local::Blocked
            && self.witness_allows(g)
            && self.says_wrong(g).is_none()
    }

    /// The live peer that says that the group cannot work on any node as it is configured.
    pub(crate) fn says_wrong(&self, g: usize) -> Option<&str> {
        let id = self.groups[g].id;
        let wrong = |peer: &&Peer| peer.live() && peer.report(id).is_some_and(|report| report.wrong);
        self.peers.iter().find(wrong).map(|peer| peer.name.as_str())
    }

    /// Peer `peer` would take the group, as far as it knows: it may not have heard yet that the group failed here for a reason
    /// that holds there too.
    pub(crate) fn would_take(&self, peer: &Peer, g: usize) -> bool {
        !self.groups[g].wrong && peer.able(self.groups[g].id)
    }

    /// Group `g` could be started here as far as the witness goes: it is not lost, or not needed.
    pub(crate) fn witness_allows(&self, g: usize) -> bool {
        self.groups[g].settings.requires != Requires::Witness || self.lease_good()
    }

    /// The same ownership as a predecessor's goes on here; a new epoch tells it from any older claim.
    pub(crate) fn renew_claim(&mut self, g: usize) {
        let group = &self.groups[g];
        let others = self.peers.iter().any(|peer| peer.holds(group.id).is_some());
        if group.adopted
            && self.phase == Phase::Up
            && !others
            && self.epoch_kept(g, group.known + 1)
            && self.key_ready(g, group.known + 1)
        {
            self.groups[g].adopted = false;
            self.claim_epoch(g);
        }
    }

    /// Somebody gives this node what it owns already: both had it, and the other did not know. The ownership goes on as
    /// if it had been taken up from there.
    pub(crate) fn take_over_from_release(&mut self, g: usize) {
        let (id, me, mine) = (self.groups[g].id, self.me, self.groups[g].mine);
        let given = |peer: &crate::peer::Peer| {
            peer.report(id).filter(|_| peer.live()).is_some_and(|report| {
                report.state == GroupState::Released && report.to == Some(me) && Some(report.epoch) >= mine
            })
        };
        let willing = self.doubt.is_none() && !self.maintenance.on && self.fit(g);
        if willing && self.peers.iter().any(given) && self.epoch_kept(g, self.groups[g].known + 1) {
            self.claim_epoch(g);
        }
    }

    /// Becomes the owner under a new epoch and begins to start, once that epoch is on disk and the group's key on
    /// the witness is here, if it needs one. For that it must be certain that nobody else is one.
    pub(crate) fn take(&mut self, g: usize, _: Certain, why: String) {
        if let Err(why) = self.others_are_gone(g) {
            self.groups[g].hold = Some(why);
            return;
        }
        let epoch = self.groups[g].known + 1;
        if !self.epoch_kept(g, epoch) {
            // Nothing of it is said or done before; the disk's answer, or its silence, leads here again.
            let waiting = self.groups[g].disk_wait.filter(|(of, _)| *of == epoch);
            self.groups[g].disk_wait = waiting.or(Some((epoch, self.now)));
            return;
        }
        if !self.key_is_here(g, epoch) {
            return;
        }
        self.groups[g].began = self.now;
        self.groups[g].disk_wait = None;
        self.groups[g].release = None;
        self.groups[g].orphan_since = None;
        self.groups[g].check_first = false;
        self.groups[g].note_taken(self.now);
        self.claim_epoch(g);
        self.set_local(g, Local::Starting, format!("{why}; epoch {epoch}"));
    }

    fn claim_epoch(&mut self, g: usize) {
        let group = &mut self.groups[g];
        group.known += 1;
        group.mine = Some(group.known);
        group.declined = group.known;
        self.news = true;
    }
}
