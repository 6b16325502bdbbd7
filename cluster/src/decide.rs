//! Who has a group, and what this node does about it: looked at afresh after every input.

use proto::{GroupId, GroupState, NodeId};

use crate::command::StandbyState;
use crate::core::{Core, Phase};
use crate::event::Level;
use crate::group::{Group, Local, Release, ResourceState, Then};
use crate::io::{Action, OpId, OpKind, OpResult, Run};
use crate::peer::{Peer, PeerState, holding};
use crate::settings::Requires;
use crate::time::Time;

impl Core {
    /// Brings one group a step nearer to where it should be.
    pub(crate) fn reconcile(&mut self, g: usize) {
        if matches!(self.phase, Phase::Booting | Phase::Left { .. }) {
            return;
        }
        match self.groups[g].local {
            Local::Unknown => self.begin_probe(g),
            Local::Leftover => self.leftover_waits(g),
            Local::Stopped => self.stopped(g),
            Local::Starting | Local::Started => self.owned(g),
            Local::Probing | Local::Stopping(_) | Local::Blocked => {}
        }
        self.drive(g);
    }

    // ---- looking at what runs ------------------------------------------------------------------

    fn begin_probe(&mut self, g: usize) {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return;
        }
        for resource in &mut self.groups[g].resources {
            resource.state = ResourceState::Unknown;
        }
        self.groups[g].began = self.now;
        self.set_local(g, Local::Probing, "looking at what runs here".to_owned());
    }

    /// All of it has been looked at: ours and whole, nothing, or something in between.
    fn probed(&mut self, g: usize) {
        let group = &self.groups[g];
        let is = |state: ResourceState| move |r: &crate::group::Resource| r.state == state;
        let whole = group.resources.iter().all(is(ResourceState::Started));
        let none = group.resources.iter().all(is(ResourceState::Stopped));
        let unclear = group.resources.iter().any(is(ResourceState::Failed));
        if none {
            self.groups[g].mine = None;
            self.set_local(g, Local::Stopped, "nothing of it runs here".to_owned());
        } else if whole {
            // Perhaps without a claim on disk: then epoch 0, which gives way to any other.
            let epoch = *self.groups[g].mine.get_or_insert(0);
            self.groups[g].adopted = true;
            self.next_renew = self.now;
            self.set_local(
                g,
                Local::Started,
                format!("all of it runs here already: adopted, epoch {epoch}"),
            );
            if self.phase == Phase::Up {
                self.join_group(g);
            }
        } else if unclear || group.mine.is_none() {
            let why = if unclear {
                "the state of a resource is unclear"
            } else {
                "left behind, not owned here"
            };
            self.stop_group(g, Then::Rest, format!("part of it runs here: {why}"));
        } else {
            self.set_local(
                g,
                Local::Leftover,
                "part of it runs here, left by a predecessor".to_owned(),
            );
        }
    }

    fn leftover_waits(&mut self, g: usize) {
        let id = self.groups[g].id;
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.stop_group(g, Then::Rest, "this node is leaving".to_owned());
        } else if let Some(peer) = self.peers.iter().find(|peer| peer.holds(id).is_some()) {
            let why = format!("{} has the group", peer.name);
            self.stop_group(g, Then::Rest, why);
        } else if self.phase == Phase::Up {
            self.join_group(g);
        }
    }

    /// This node has just joined: what it found running becomes its own, or goes.
    pub(crate) fn join_groups(&mut self) {
        for g in 0..self.groups.len() {
            self.join_group(g);
        }
    }

    fn join_group(&mut self, g: usize) {
        let group = &self.groups[g];
        let others = self.peers.iter().any(|peer| peer.holds(group.id).is_some());
        let free_here = !self.maintenance.on && !others;
        match group.local {
            Local::Started if group.adopted && !others => {
                // The same ownership goes on; a new epoch tells it from any older claim.
                self.groups[g].adopted = false;
                self.claim_epoch(g);
            }
            Local::Leftover if free_here && self.standby == StandbyState::Off => {
                self.take(
                    g,
                    "part of it runs here already and nobody else has it".to_owned(),
                );
            }
            Local::Leftover if !self.maintenance.on => {
                self.stop_group(
                    g,
                    Then::Rest,
                    "left by a predecessor, and not to run here".to_owned(),
                );
            }
            _ => {}
        }
    }

    // ---- owning --------------------------------------------------------------------------------

    fn owned(&mut self, g: usize) {
        if self.dispute(g) || self.maintenance.on || self.doubt.is_some() {
            return;
        }
        let group = &self.groups[g];
        if group.doomed {
            return self.stop_group(g, Then::Rest, "no longer in the configuration".to_owned());
        }
        if matches!(self.phase, Phase::Leaving { .. }) {
            return match self.heir(g) {
                Some(heir) => self.give(g, heir, "this node is leaving"),
                None => self.stop_group(
                    g,
                    Then::Rest,
                    "this node is leaving, nobody can take it".to_owned(),
                ),
            };
        }
        if self.standby != StandbyState::Off && group.local == Local::Started {
            return self.give_on_standby(g);
        }
        if self.failback_due(group).is_some_and(|at| self.now >= at) {
            let home = NodeId::of(group.settings.preferred.as_deref().unwrap_or_default());
            self.give(g, home, "failback: its preferred node is up");
        }
    }

    fn give_on_standby(&mut self, g: usize) {
        if let Some(heir) = self.heir(g) {
            self.give(g, heir, "this node is on standby");
        } else if self.standby == StandbyState::On && !self.peers.iter().any(Peer::joining) {
            self.stop_group(
                g,
                Then::Rest,
                "this node is on standby and nobody can take it".to_owned(),
            );
        }
    }

    /// Two owners: the higher epoch stays, at the same epoch the lower name. True if it was given up here.
    fn dispute(&mut self, g: usize) -> bool {
        let group = &self.groups[g];
        let mine = (
            group.mine.unwrap_or(0),
            std::cmp::Reverse(self.settings.me.as_str()),
        );
        let mut winner: Option<(u64, &str)> = None;
        let mut disputed = false;
        for peer in &self.peers {
            let Some(epoch) = peer.holds(group.id) else {
                continue;
            };
            disputed = true;
            if (epoch, std::cmp::Reverse(peer.name.as_str())) > mine {
                winner = Some((epoch, &peer.name));
            }
        }
        let name = group.settings.name.clone();
        if let Some((epoch, winner)) = winner.filter(|_| !self.maintenance.on) {
            let why = format!(
                "{winner} owns it under epoch {epoch}, this node under {}",
                mine.0
            );
            self.event(
                Level::Warn,
                "group",
                &name,
                None,
                None,
                format!("two owners: {why}"),
            );
            self.stop_group(g, Then::Lost, why);
            return true;
        }
        if disputed && !self.groups[g].disputed {
            let why = format!("two owners: this node keeps it, under epoch {}", mine.0);
            self.event(Level::Warn, "group", &name, None, None, why);
        } else if !disputed && self.groups[g].disputed && self.groups[g].local == Local::Started {
            self.out.push(Action::Announce {
                group: self.groups[g].id,
            });
        }
        self.groups[g].disputed = disputed;
        false
    }

    /// The best other node that would take the group: its preferred one, else by order of the configuration.
    pub(crate) fn heir(&self, g: usize) -> Option<NodeId> {
        let group = &self.groups[g];
        let able = |name: &&String| {
            self.peers
                .iter()
                .any(|peer| peer.name == **name && peer.able(group.id))
        };
        let preferred = group.settings.preferred.iter();
        preferred
            .chain(&self.settings.nodes)
            .find(able)
            .map(|name| NodeId::of(name))
    }

    /// Begins to hand a group over.
    pub(crate) fn give(&mut self, g: usize, heir: NodeId, why: &str) {
        let name = self.node_name(heir);
        self.stop_group(g, Then::Give(heir), format!("handed over to {name}: {why}"));
    }

    /// Begins to stop a group; what comes after is in `then`.
    pub(crate) fn stop_group(&mut self, g: usize, then: Then, why: String) {
        let group = &mut self.groups[g];
        group.began = self.now;
        group.disk_wait = None;
        group.check_first = false;
        group.adopted = false;
        self.set_local(g, Local::Stopping(then), why);
    }

    // ---- taking --------------------------------------------------------------------------------

    fn stopped(&mut self, g: usize) {
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
        let released = self
            .peers
            .iter()
            .filter(|peer| peer.live())
            .find_map(|peer| {
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
        self.peers
            .iter()
            .filter(|peer| peer.live())
            .any(|peer| match peer.report(group.id) {
                None => peer.joining() && self.now < self.patience_with(peer, group),
                Some(report) if holding(report.state) => true,
                Some(report) if report.state == GroupState::Released => {
                    report.to != Some(self.me)
                        && self
                            .peers
                            .iter()
                            .any(|p| Some(p.id) == report.to && p.live())
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
        let since = group
            .orphan_since
            .unwrap_or(self.now)
            .max(peer.session.as_ref().map_or(self.now, |s| s.since));
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
        if self.peers.iter().any(|peer| {
            peer.holds(group.id)
                .is_some_and(|epoch| epoch > release.epoch)
        }) {
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
        let Some(heir) = self
            .peers
            .iter()
            .find(|peer| peer.id == release.to && peer.live())
        else {
            return false;
        };
        heir.report(id)
            .is_none_or(|report| !(report.declined && report.epoch >= release.epoch))
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
        self.phase == Phase::Up
            && self.standby == StandbyState::Off
            && !group.failed
            && !group.doomed
    }

    /// Nobody better placed would take it.
    fn first_choice(&self, g: usize) -> bool {
        let group = &self.groups[g];
        let mine = self.rank(group, &self.settings.me);
        !self
            .peers
            .iter()
            .any(|peer| peer.able(group.id) && self.rank(group, &peer.name) < mine)
    }

    /// The order in which nodes take a group that nobody has: the preferred one, then as configured.
    fn rank(&self, group: &Group, node: &str) -> usize {
        if group.settings.preferred.as_deref() == Some(node) {
            return 0;
        }
        1 + self
            .settings
            .nodes
            .iter()
            .position(|name| name == node)
            .unwrap_or(self.settings.nodes.len())
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

    fn claim_epoch(&mut self, g: usize) {
        let group = &mut self.groups[g];
        group.known += 1;
        group.mine = Some(group.known);
        group.declined = group.known;
        self.news = true;
    }

    // ---- doing ---------------------------------------------------------------------------------

    /// Begins the next operation of a group, or draws the conclusion if there is none left.
    fn drive(&mut self, g: usize) {
        loop {
            let group = &self.groups[g];
            let frozen = self.maintenance.on && group.local != Local::Probing;
            let looking = self.doubt.is_some() && matches!(group.local, Local::Starting);
            if group.op.is_some() || frozen || looking {
                return;
            }
            if let (Local::Starting, Some(_)) = (group.local, group.disk_wait) {
                if !self.epoch_kept(g, group.known) {
                    return;
                }
                self.groups[g].disk_wait = None;
            }
            let before = self.groups[g].local;
            match self.groups[g].next_op() {
                Some((kind, on)) => return self.begin_op(g, kind, on),
                None => self.conclude(g),
            }
            if self.groups[g].local == before {
                return;
            }
        }
    }

    fn begin_op(&mut self, g: usize, kind: OpKind, on: Vec<usize>) {
        let id = self.new_op();
        let group = &mut self.groups[g];
        let timeout = group.timeout(kind, &on);
        let resources = on
            .iter()
            .map(|&i| group.resources[i].settings.key)
            .collect();
        group.begin(id, kind, on);
        let run = Run {
            id,
            group: group.id,
            resources,
            op: kind,
            timeout,
            leased: self.leased,
        };
        self.out.push(Action::Run(run));
    }

    /// The sequence of the present state is at its end.
    fn conclude(&mut self, g: usize) {
        let group = &mut self.groups[g];
        match group.local {
            Local::Probing => self.probed(g),
            Local::Starting => {
                group.check_first = false;
                group.resources.retain(|resource| !resource.doomed);
                let id = group.id;
                self.set_local(g, Local::Started, "all resources are started".to_owned());
                self.out.push(Action::Announce { group: id });
            }
            Local::Stopping(then) => self.all_stopped(g, then),
            _ => {}
        }
    }

    fn all_stopped(&mut self, g: usize, then: Then) {
        let group = &mut self.groups[g];
        let epoch = group.mine.take().unwrap_or(0);
        group.disputed = false;
        group.resources.retain(|resource| !resource.doomed);
        let why = match then {
            Then::Give(heir) => {
                let able = self
                    .peers
                    .iter()
                    .any(|peer| peer.id == heir && peer.able(group.id));
                let name = self.node_name(heir);
                if able {
                    self.groups[g].release = Some(Release { to: heir, epoch });
                    format!("released to {name}, epoch {epoch}")
                } else {
                    format!("stopped, and {name} can take it no more")
                }
            }
            Then::Lost => "stopped: another node owns it".to_owned(),
            Then::Failed => {
                group.failed = true;
                "rolled back after a failed start".to_owned()
            }
            Then::Rest => "stopped".to_owned(),
        };
        self.set_local(g, Local::Stopped, why);
        self.stopped(g);
    }

    /// An operation ended.
    pub(crate) fn op_done(&mut self, id: OpId, results: &[OpResult]) {
        let Some(g) = self
            .groups
            .iter()
            .position(|group| group.op.as_ref().is_some_and(|op| op.id == id))
        else {
            return;
        };
        let kind = self.groups[g].op.as_ref().map(|op| op.kind);
        let failure = self.groups[g].end(results);
        let Some((resource, reason)) = failure else {
            self.adopt_addresses(g, kind);
            return;
        };
        let verb = match kind {
            Some(OpKind::Start) => "start",
            Some(OpKind::Stop) => "stop",
            _ => "status",
        };
        let subject = format!("{}/{resource}", self.groups[g].settings.name);
        self.event(
            Level::Error,
            "resource",
            &subject,
            None,
            Some("failed"),
            format!("{verb} failed: {reason}"),
        );
        match (self.groups[g].local, kind) {
            (Local::Starting, Some(OpKind::Start)) => {
                self.stop_group(
                    g,
                    Then::Failed,
                    format!("start of {resource} failed: {reason}"),
                );
            }
            (_, Some(OpKind::Stop)) => {
                self.set_local(
                    g,
                    Local::Blocked,
                    format!("stop of {resource} failed: {reason}"),
                );
            }
            _ => {}
        }
    }

    /// Addresses of a predecessor that are found alive are kept alive while the rest is looked at.
    fn adopt_addresses(&mut self, g: usize, kind: Option<OpKind>) {
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

    /// Forgets the failures of a group and looks at it again if anything may be running.
    pub(crate) fn clean_group(&mut self, g: usize) {
        let group = &mut self.groups[g];
        group.failed = false;
        for resource in &mut group.resources {
            resource.failures = 0;
            resource.last_error = None;
        }
        self.news = true;
        if matches!(group.local, Local::Blocked | Local::Stopped)
            && group.op.is_none()
            && group.release.is_none()
        {
            group.recheck = group.local == Local::Blocked;
            self.begin_probe(g);
        }
    }

    /// The index of a group by its name on the wire.
    pub(crate) fn group_index(&self, id: GroupId) -> Option<usize> {
        self.groups.iter().position(|group| group.id == id)
    }

    /// A node's name, for people.
    pub(crate) fn node_name(&self, id: NodeId) -> String {
        let known = self
            .settings
            .nodes
            .iter()
            .find(|name| NodeId::of(name) == id);
        known
            .cloned()
            .unwrap_or_else(|| format!("node {:08x}", id.0))
    }
}
