//! The operations on the resources of a group, one after the other: looked at afresh after every input.

use proto::GroupState;

use crate::core::Core;
use crate::event::Level;
use crate::group::{CurrentOp, Group, Local, ResourceState, Then};
use crate::io::{Action, OpId, OpKind, OpResult, Run};
use crate::life::Phase;
use crate::peer::Peer;
use crate::recover::verb;
use crate::settings::OnStopFailure;
use crate::standby::StandbyState;

impl Core {
    /// Brings one group a step nearer to where it should be.
    pub(crate) fn reconcile(&mut self, g: usize) {
        if matches!(self.phase, Phase::Booting | Phase::Left { .. } | Phase::Gone) {
            return;
        }
        if let Some(why) = self.unleased(g) {
            return self.stop_group(g, Then::Unleased, why);
        }
        match self.groups[g].local {
            Local::Unknown => self.begin_probe(g),
            Local::Leftover => self.leftover_waits(g),
            Local::Stopped => self.stopped(g),
            Local::Starting | Local::Started | Local::Recovering(_) => {
                self.groups[g].fence.clear();
                self.renew_claim(g);
                self.take_over_from_release(g);
                self.owned(g);
                self.fence_the_stuck(g);
            }
            Local::Blocked => {
                self.groups[g].fence.clear();
                self.await_fence(g);
            }
            Local::Probing | Local::Stopping(_) => self.groups[g].fence.clear(),
        }
    }

    /// Carries the decisions about a group a step further.
    pub(crate) fn proceed(&mut self, g: usize) {
        if matches!(self.phase, Phase::Booting | Phase::Left { .. }) {
            return;
        }
        self.evict(g);
        self.drive(g);
        self.look_after(g);
    }

    /// Why the next operation of a group is not begun yet, if so.
    fn why_wait(&self, g: usize) -> Option<String> {
        let group = &self.groups[g];
        let stuck = |peer: &&Peer| peer.confirmed.is_none() && peer.stuck.contains(&group.id);
        if group.local == Local::Starting
            && let Some(peer) = self.peers.iter().find(stuck)
        {
            return Some(format!("a stop failed on {}, and something of it may still run there", peer.name));
        }
        self.waits_for_group(g).map(|name| match group.local {
            Local::Starting => format!("it waits for group {name} to be started"),
            _ => format!("it waits for group {name} to be stopped"),
        })
    }

    /// The group that this one waits for: it starts after those it names, and stops before them where both are here. (One
    /// that another node owns, or may soon, stops at once.)
    pub(crate) fn waits_for_group(&self, g: usize) -> Option<&str> {
        let group = &self.groups[g];
        match group.local {
            Local::Starting => {
                group.settings.after.iter().map(String::as_str).find(|name| !self.runs_somewhere(name))
            }
            Local::Stopping(then) if !matches!(then, Then::Lost | Then::Unleased) => {
                let later = |other: &&Group| {
                    other.settings.after.contains(&group.settings.name)
                        && matches!(other.local, Local::Stopping(_))
                };
                self.groups.iter().find(later).map(|other| other.settings.name.as_str())
            }
            _ => None,
        }
    }

    fn runs_somewhere(&self, name: &str) -> bool {
        let Some(group) = self.groups.iter().find(|group| group.settings.name == name) else {
            return true; // no longer in the configuration: nothing to wait for
        };
        let there = |peer: &Peer| {
            peer.live() && peer.report(group.id).is_some_and(|report| report.state == GroupState::Started)
        };
        matches!(group.local, Local::Started | Local::Recovering(_)) || self.peers.iter().any(there)
    }

    /// Begins the next operation of a group, or draws the conclusion if there is none left.
    fn drive(&mut self, g: usize) {
        loop {
            let group = &self.groups[g];
            let urgent = matches!(group.local, Local::Probing | Local::Stopping(Then::Unleased));
            let frozen = self.maintenance.on && !urgent;
            let idle = self.doubt.is_some() || self.standby == StandbyState::On;
            if group.op.is_some() || frozen || idle && group.local == Local::Starting {
                return;
            }
            let before = self.groups[g].local;
            let waits = self.why_wait(g);
            if before == Local::Starting {
                self.groups[g].hold.clone_from(&waits);
            }
            match self.groups[g].next_op() {
                Some(_) if waits.is_some() => return,
                Some((_, on)) if self.being_looked_at(g, &on) => return,
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
        let leased = self.leased_for(&self.groups[g]);
        let group = &mut self.groups[g];
        let timeout = group.timeout(kind, &on);
        let resources: Vec<_> = on.iter().map(|&i| group.resources[i].settings.key).collect();
        let run = Run { id, group: group.id, resources, op: kind, timeout, leased };
        group.begin(CurrentOp { id, kind, on, leased });
        if kind != OpKind::Status {
            self.not_strange(&run.resources);
        }
        self.out.push(Action::Run(run));
    }

    /// The sequence of the present state is at its end.
    fn conclude(&mut self, g: usize) {
        if matches!(self.groups[g].local, Local::Stopping(_)) && !self.key_is_given_back(g) {
            return;
        }
        let group = &mut self.groups[g];
        match group.local {
            Local::Probing => self.probed(g),
            Local::Starting => {
                group.check_first = false;
                group.resources.retain(|resource| !resource.doomed);
                group.proven = true;
                let id = group.id;
                self.set_local(g, Local::Started, "all resources are started".to_owned());
                self.out.push(Action::Announce { group: id });
            }
            Local::Recovering(recovery) if self.now >= recovery.not_before => {
                let why = format!("{}: started again", group.why);
                self.set_local(g, Local::Starting, why);
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
                let able = self.peers.iter().any(|peer| peer.id == heir && peer.able(group.id));
                let name = self.node_name(heir);
                if able {
                    let epoch = self.release(g, heir, epoch);
                    format!("released to {name}, epoch {epoch}")
                } else {
                    format!("stopped, and {name} can take it no more")
                }
            }
            Then::Lost => "stopped: another node owns it".to_owned(),
            Then::Failed => {
                let proven = group.proven;
                self.rest_after_failure(g);
                if proven { "stopped after a failure" } else { "rolled back after a failed start" }.to_owned()
            }
            Then::Rest => "stopped".to_owned(),
            Then::Unleased => "stopped: its lease on the witness could not be kept".to_owned(),
        };
        self.set_local(g, Local::Stopped, why);
        self.stopped(g);
    }

    /// An operation ended.
    pub(crate) fn op_done(&mut self, id: OpId, results: &[OpResult]) {
        let of = |group: &Group| group.op.clone().filter(|op| op.id == id);
        let mut all = self.groups.iter().enumerate();
        let Some((g, op)) = all.find_map(|(g, group)| Some((g, of(group)?))) else {
            if let Some((g, i)) = self.look(id) {
                self.looked(g, i, results.first());
            }
            return;
        };
        let failure = self.groups[g].end(results, self.now);
        let Some((i, fault)) = failure else {
            return self.lease_after(g, &op);
        };
        self.groups[g].failing = true;
        let subject = self.resource_subject(g, i);
        let text = format!("{} failed: {}", verb(op.kind), fault.why);
        self.event(Level::Error, "resource", &subject, None, Some("failed"), text);
        match (self.groups[g].local, op.kind) {
            (Local::Starting, OpKind::Start) => self.start_failed(g, i, &fault),
            (_, OpKind::Stop) => {
                let group = &mut self.groups[g];
                let asks = |&i: &usize| {
                    let resource = &group.resources[i];
                    resource.state == ResourceState::Failed
                        && resource.settings.on_stop_failure == OnStopFailure::Fence
                };
                (group.fence_me, group.fence_for) = (op.on.iter().any(asks), None);
                let resource = &group.resources[i].settings.name;
                let why = format!("stop of {resource} failed: {}", fault.why);
                self.set_local(g, Local::Blocked, why);
            }
            _ => {}
        }
    }
}
