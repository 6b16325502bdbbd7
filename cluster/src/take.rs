//! Whether this node takes a group that does not run here.

use proto::GroupState;

use crate::core::Core;
use crate::group::{Group, Local};
use crate::life::Phase;
use crate::peer::{Peer, PeerState, holding};
use crate::settings::Requires;
use crate::standby::StandbyState;
use crate::time::Time;

impl Core {
    pub(crate) fn stopped(&mut self, g: usize) {
        self.groups[g].hold = None;
        if self.doubt.is_some() || self.maintenance.on {
            return self.orphan(g, false);
        }
        self.forget_used_release(g);
        if self.answer_release(g) || self.others_have(g) || self.own_release_stands(g) {
            return self.orphan(g, false);
        }
        self.orphan(g, true);
        if self.phase != Phase::Up || self.groups[g].doomed {
            self.groups[g].release = None;
            return;
        }
        if let Some(hold) = self.uncertain(g) {
            self.groups[g].hold = Some(hold);
            return;
        }
        let taker = self.peers.iter().any(|peer| peer.able(self.groups[g].id));
        if self.able(g) && self.first_choice(g) {
            let why = self.why_take(g);
            self.take(g, why);
        } else if self.standby == StandbyState::Going && !taker && !self.groups[g].failed {
            self.cancel_standby(g);
            self.take(g, "nobody else could take it: back".to_owned());
        }
    }

    fn orphan(&mut self, g: usize, is: bool) {
        let since = self.groups[g].orphan_since;
        self.groups[g].orphan_since = if is { since.or(Some(self.now)) } else { None };
    }

    /// Somebody released the group to this node: take it, or say that we never will. True if it was taken
    /// or must wait.
    fn answer_release(&mut self, g: usize) -> bool {
        let (id, declined) = (self.groups[g].id, self.groups[g].declined);
        let released = self.peers.iter().filter(|peer| peer.live()).find_map(|peer| {
            let report = peer.report(id)?;
            let to_me = report.state == GroupState::Released && report.to == Some(self.me);
            (to_me && report.epoch > declined).then(|| (peer.name.clone(), report.epoch))
        });
        let Some((giver, epoch)) = released else {
            return false;
        };
        if self.phase == Phase::Joining {
            return true;
        }
        if !self.able(g) {
            self.groups[g].declined = self.groups[g].known.max(epoch);
            self.news = true;
            return true;
        }
        // A preferred node that gives its group away of its own will wants it to stay away.
        self.groups[g].stay = self.groups[g].settings.preferred.as_ref() == Some(&giver);
        self.take(g, format!("{giver} handed it over"));
        true
    }

    /// Somebody else has it, may have it, or is about to take it.
    fn others_have(&self, g: usize) -> bool {
        let group = &self.groups[g];
        self.peers.iter().filter(|peer| peer.live()).any(|peer| match peer.report(group.id) {
            None => peer.joining() && self.now < self.patience_with(peer, group),
            Some(report) if holding(report.state) => true,
            Some(report) if report.state == GroupState::Released => {
                report.to != Some(self.me) && self.peers.iter().any(|p| Some(p.id) == report.to && p.live())
            }
            Some(_) => {
                peer.joining()
                    && self.rank(group, &peer.name) < self.rank(group, &self.settings.me)
                    && self.now < self.patience_with(peer, group)
            }
        })
    }

    /// Until when a joining peer is waited for: longer if it has not said yet what runs there.
    pub(crate) fn patience_with(&self, peer: &Peer, group: &Group) -> Time {
        let since =
            group.orphan_since.unwrap_or(self.now).max(peer.session.as_ref().map_or(self.now, |s| s.since));
        match peer.report(group.id) {
            Some(_) => since + self.settings.deadtime,
            None if group.settings.requires == Requires::Nothing => since + self.settings.initdead,
            None => Time(u64::MAX),
        }
    }

    /// A release is used up when somebody owns the group under a later epoch.
    fn forget_used_release(&mut self, g: usize) {
        let group = &mut self.groups[g];
        let Some(release) = group.release else { return };
        if self.peers.iter().any(|peer| peer.holds(group.id).is_some_and(|epoch| epoch > release.epoch)) {
            group.release = None;
            self.news = true;
        }
    }

    /// Our own release holds us back until the heir has declined it or is gone.
    fn own_release_stands(&self, g: usize) -> bool {
        let Some(release) = self.groups[g].release else {
            return false;
        };
        let id = self.groups[g].id;
        let Some(heir) = self.peers.iter().find(|peer| peer.id == release.to && peer.live()) else {
            return false;
        };
        heir.report(id).is_none_or(|report| !(report.declined && report.epoch >= release.epoch))
    }

    /// What must be certain before this node may take a group that nobody live has, and is not.
    fn uncertain(&self, g: usize) -> Option<String> {
        let group = &self.groups[g];
        for peer in &self.peers {
            let name = &peer.name;
            if peer.live() || peer.confirmed.is_some() {
                continue;
            }
            if peer.blocked(group.id) {
                return Some(format!(
                    "a stop failed on {name} before it was lost: something of the group may still run there; \
                     make sure that {name} is down, then: hbctl fence-ack {name}"
                ));
            }
            if peer.state == PeerState::Left {
                continue;
            }
            match group.settings.requires {
                Requires::Nothing => {}
                Requires::Fencing => {
                    return Some(format!(
                        "{name} is silent and not confirmed to be down; make sure that it is, then: \
                         hbctl fence-ack {name}"
                    ));
                }
                Requires::Witness => break,
            }
        }
        (group.settings.requires == Requires::Witness)
            .then(|| "requires = witness, and this version has no witness engine yet".to_owned())
    }

    /// This node would take the group.
    pub(crate) fn able(&self, g: usize) -> bool {
        let group = &self.groups[g];
        self.phase == Phase::Up && self.standby == StandbyState::Off && !group.failed && !group.doomed
    }

    /// Nobody better placed would take it.
    fn first_choice(&self, g: usize) -> bool {
        let group = &self.groups[g];
        let mine = self.rank(group, &self.settings.me);
        !self.peers.iter().any(|peer| peer.able(group.id) && self.rank(group, &peer.name) < mine)
    }

    /// The order in which nodes take a group that nobody has: the preferred one, then as configured.
    fn rank(&self, group: &Group, node: &str) -> usize {
        if group.settings.preferred.as_deref() == Some(node) {
            return 0;
        }
        1 + self.settings.nodes.iter().position(|name| name == node).unwrap_or(self.settings.nodes.len())
    }

    fn why_take(&self, g: usize) -> String {
        if self.groups[g].release.is_some() {
            return "the heir did not take it: back".to_owned();
        }
        let gone: Vec<String> = self
            .peers
            .iter()
            .filter(|peer| !peer.live())
            .map(|peer| format!("{} is {}", peer.name, peer.state.word()))
            .collect();
        if gone.is_empty() {
            "nobody has it".to_owned()
        } else {
            format!("nobody has it, {}", gone.join(", "))
        }
    }

    /// Becomes the owner under a new epoch and begins to start.
    pub(crate) fn take(&mut self, g: usize, why: String) {
        self.groups[g].began = self.now;
        self.groups[g].release = None;
        self.groups[g].orphan_since = None;
        self.groups[g].check_first = false;
        self.claim_epoch(g);
        let epoch = self.groups[g].known;
        self.groups[g].disk_wait = (!self.epoch_kept(g, epoch)).then_some(self.now);
        self.set_local(g, Local::Starting, format!("{why}; epoch {epoch}"));
    }

    pub(crate) fn claim_epoch(&mut self, g: usize) {
        let group = &mut self.groups[g];
        group.known += 1;
        group.mine = Some(group.known);
        group.declined = group.known;
        self.news = true;
    }
}
