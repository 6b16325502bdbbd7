//! A group that nobody owns: who is waited for, and who decides.
//!
//! Two nodes that see a group without an owner at the same moment must not both take it, and what each knows
//! of the other is always a little old. So only one of them decides, always the same one: the live node with the
//! lowest name. It takes the group, or hands it to the node that is to have it by a release, which is
//! answered like any other. Nobody else takes a group while that node is there.

use proto::{GroupState, NodeId, NodeState};

use crate::certain::{Certain, Doubtful};
use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local, Release};
use crate::life::Phase;
use crate::peer::{Peer, holding};
use crate::settings::Requires;
use crate::standby::StandbyState;
use crate::time::Time;

/// Why a group without an owner is left alone.
enum Wait {
    /// For a moment: somebody is about to speak.
    Moment,
    /// For as long as it takes, for this reason.
    Hold(String),
}

impl Core {
    /// Nothing of the group is here: shall there be?
    pub(crate) fn stopped(&mut self, g: usize) {
        self.groups[g].hold = None;
        self.groups[g].key.wanted = None;
        self.groups[g].fence.clear();
        if self.doubt.is_some() || self.maintenance.on {
            return self.orphan(g, false);
        }
        self.forget_used_release(g);
        let stands = self.own_release_stands(g);
        let back = !stands && self.groups[g].release.take().is_some();
        if back {
            self.changes += 1;
            self.news = true;
        }
        let silent = stands && !self.heir_is_there(g);
        if self.answer_release(g) || self.others_have(g) || stands && !silent {
            self.fence_the_stuck(g);
            return self.orphan(g, false);
        }
        self.orphan(g, true);
        if self.phase != Phase::Up || self.groups[g].doomed {
            return;
        }
        match self.waits(g) {
            Some(Wait::Moment) => return,
            Some(Wait::Hold(why)) => {
                self.groups[g].hold = Some(why);
                return;
            }
            None => {}
        }
        match self.certain(g) {
            Ok(certain) => {
                self.decide(g, certain, back);
                let group = &self.groups[g];
                let idle = group.local == Local::Stopped && group.release.is_none() && group.hold.is_none();
                if idle && !self.witness_allows(g) {
                    self.groups[g].hold = Some(self.why_no_lease());
                }
            }
            Err(Doubtful { why, fence }) => {
                self.groups[g].hold = Some(why);
                let needed = self.decides(&self.groups[g]) && self.somebody_able(g);
                self.groups[g].fence =
                    fence.into_iter().filter(|_| needed).map(|p| self.peers[p].id).collect();
            }
        }
    }

    /// Whom this node has given the group to is live.
    fn heir_is_there(&self, g: usize) -> bool {
        let to = self.groups[g].release.map(|release| release.to);
        self.peers.iter().any(|peer| Some(peer.id) == to && peer.live())
    }

    fn orphan(&mut self, g: usize, is: bool) {
        let since = self.groups[g].orphan_since;
        self.groups[g].orphan_since = if is { since.or(Some(self.now)) } else { None };
    }

    /// Somebody else has it, or is about to take it.
    fn others_have(&self, g: usize) -> bool {
        let group = &self.groups[g];
        let live = |id| self.peers.iter().any(|peer| Some(peer.id) == id && peer.live());
        let mut reports =
            self.peers.iter().filter(|peer| peer.live()).filter_map(|peer| peer.report(group.id));
        reports.any(|report| {
            let released = report.state == GroupState::Released;
            // One to this node was answered before; what is declined returns to the giver.
            holding(report.state) || released && (report.to == Some(self.me) || live(report.to))
        })
    }

    /// Who must speak before anything is decided.
    fn waits(&self, g: usize) -> Option<Wait> {
        let group = &self.groups[g];
        for peer in self.peers.iter().filter(|peer| peer.live()) {
            let name = &peer.name;
            if group.settings.requires == Requires::Fencing && !peer.hears_us() {
                // What it last heard may entitle it to the group: that this node is down, or has left. (The witness
                // gives the key to one of them only.)
                return Some(Wait::Hold(format!("{name} does not hear this node")));
            }
            if peer.report(group.id).is_some() {
                let better = self.rank(group, name) < self.rank(group, &self.settings.me);
                let awaited = peer.joining() && better || self.lags(peer, group);
                if awaited && self.now < self.patience_with(peer, group) {
                    return Some(Wait::Moment);
                }
            } else if peer.stuck.contains(&group.id) {
                return Some(Wait::Hold(format!(
                    "a stop failed on {name}, and it has not said since what runs there"
                )));
            } else if group.settings.requires != Requires::Nothing {
                return Some(Wait::Hold(format!("{name} has not said what runs there")));
            } else if self.now < self.patience_with(peer, group) {
                return Some(Wait::Moment);
            }
        }
        None
    }

    /// What was last heard of a peer is older than what another one has heard since: it may own the group by now. If it does,
    /// it says so at its next heartbeat.
    pub(crate) fn lags(&self, peer: &Peer, group: &Group) -> bool {
        let epoch = |peer: &Peer| peer.report(group.id).map(|report| report.epoch);
        let others = self.peers.iter().filter(|other| other.id != peer.id && other.live());
        epoch(peer).is_some() && others.filter_map(epoch).max() > epoch(peer)
    }

    /// Until when a live peer is waited for that lags, is still joining, or has not said what it has of the group.
    pub(crate) fn patience_with(&self, peer: &Peer, group: &Group) -> Time {
        let session = peer.session.as_ref().map_or(self.now, |s| s.since);
        // While this node was joining itself nothing was decided here, so nobody was waited for.
        let since = group.orphan_since.unwrap_or(self.now).max(session).max(self.phase_since);
        let unsaid = peer.report(group.id).is_none();
        if unsaid && group.settings.requires != Requires::Nothing {
            Time(u64::MAX)
        } else if unsaid && peer.joining() {
            since + self.settings.initdead
        } else {
            since + self.settings.deadtime
        }
    }

    /// Who is to have a group that nobody has; done, if that is for this node to decide.
    fn decide(&mut self, g: usize, certain: Certain, back: bool) {
        let group = &self.groups[g];
        let able = self
            .peers
            .iter()
            .filter(|peer| self.would_take(peer, g))
            .min_by_key(|peer| self.rank(group, &peer.name));
        let best = able.map(|peer| (peer.id, self.rank(group, &peer.name)));
        let mine = self.rank(group, &self.settings.me);
        let first = self.able(g) && best.is_none_or(|(_, rank)| mine < rank);
        let alone = self.standby == StandbyState::Going && best.is_none() && !group.failed;
        if alone {
            self.cancel_standby(g);
        } else if self.decides(group) {
            if first {
                let why = if back { "the heir did not take it: back".to_owned() } else { self.why_take() };
                self.take(g, certain, why);
            } else if let Some((heir, _)) = best {
                self.hand_on(g, heir);
            } else if let Some((_, why)) = &self.groups[g].cut_off {
                self.groups[g].hold = Some(format!("{why} here, and nobody else can take it"));
            }
        }
    }

    /// This node, or one that is there, would take the group.
    fn somebody_able(&self, g: usize) -> bool {
        self.able(g) || self.peers.iter().any(|peer| self.would_take(peer, g))
    }

    /// No live node of a lower name is there to decide. One that is leaving takes nothing any more; one that
    /// joins for too long, and one that cannot hear this node and so never leaves it anything, are not waited for
    /// where silence is certainty enough.
    fn decides(&self, group: &Group) -> bool {
        let patient = group.settings.requires == Requires::Fencing;
        !self.peers.iter().any(|peer| {
            let state = peer.view.as_ref().map(|view| view.state);
            let there = match state {
                Some(NodeState::Up) => patient || peer.hears_us() || peer.able(group.id),
                Some(NodeState::Joining) | None => patient,
                Some(NodeState::Leaving | NodeState::Left) => false,
            };
            peer.live() && there && peer.name < self.settings.me
        })
    }

    /// Gives a group that is stopped here to its heir, under an epoch that the heir cannot have declined: that of
    /// the ownership which ended, or a new one if others are known to have been, or if the heir says that it will not act
    /// on that one (it may have left the group to us under it when we had already taken it).
    pub(crate) fn release(&mut self, g: usize, heir: NodeId, ended: u64) -> u64 {
        let (id, known) = (self.groups[g].id, self.groups[g].known);
        let report = self.peers.iter().find(|peer| peer.id == heir).and_then(|peer| peer.report(id));
        let declined = report.is_some_and(|report| report.declined && report.epoch >= known);
        let group = &mut self.groups[g];
        group.known += u64::from(ended < known || ended == 0 || declined);
        let epoch = group.known;
        group.release = Some(Release { to: heir, epoch });
        group.declined = group.declined.max(epoch);
        self.changes += 1;
        self.news = true;
        epoch
    }

    /// Leaves a group that nobody has to the node that is to have it.
    fn hand_on(&mut self, g: usize, heir: NodeId) {
        let to = self.node_name(heir);
        self.release(g, heir, 0);
        let name = self.groups[g].settings.name.clone();
        let why = format!("nobody has it: left to {to}");
        self.event(Level::Info, "group", &name, None, None, why);
    }

    /// The order in which nodes take a group that nobody has: the preferred one, then as configured.
    fn rank(&self, group: &Group, node: &str) -> usize {
        if group.settings.preferred.as_deref() == Some(node) {
            return 0;
        }
        1 + self.settings.nodes.iter().position(|name| name == node).unwrap_or(self.settings.nodes.len())
    }

    fn why_take(&self) -> String {
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
}
