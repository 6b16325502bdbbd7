//! The operations on the resources of a group, one after the other: looked at afresh after every input.

use crate::core::Core;
use crate::event::Level;
use crate::group::{CurrentOp, Group, Local, Then};
use crate::io::{Action, OpId, OpKind, OpResult, Run};
use crate::life::Phase;
use crate::recover::verb;
use crate::standby::StandbyState;

impl Core {
    /// Brings one group a step nearer to where it should be.
    pub(crate) fn reconcile(&mut self, g: usize) {
        if matches!(self.phase, Phase::Booting | Phase::Left { .. } | Phase::Gone) {
            return;
        }
        match self.groups[g].local {
            Local::Unknown => self.begin_probe(g),
            Local::Leftover => self.leftover_waits(g),
            Local::Stopped => self.stopped(g),
            Local::Starting | Local::Started | Local::Recovering(_) => {
                self.renew_claim(g);
                self.owned(g);
            }
            Local::Probing | Local::Stopping(_) | Local::Blocked => {}
        }
        self.drive(g);
        self.look_after(g);
    }

    /// Begins the next operation of a group, or draws the conclusion if there is none left.
    fn drive(&mut self, g: usize) {
        loop {
            let group = &self.groups[g];
            let frozen = self.maintenance.on && group.local != Local::Probing;
            let idle = self.doubt.is_some() || self.standby == StandbyState::On;
            if group.op.is_some() || frozen || idle && group.local == Local::Starting {
                return;
            }
            let before = self.groups[g].local;
            match self.groups[g].next_op() {
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
        let leased = self.lease_bounded();
        let group = &mut self.groups[g];
        let timeout = group.timeout(kind, &on);
        let resources = on.iter().map(|&i| group.resources[i].settings.key).collect();
        let run = Run { id, group: group.id, resources, op: kind, timeout, leased };
        group.begin(CurrentOp { id, kind, on, leased });
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
        let Some((i, reason)) = failure else {
            return self.lease_after(g, &op);
        };
        self.groups[g].failing = true;
        let subject = self.resource_subject(g, i);
        let text = format!("{} failed: {reason}", verb(op.kind));
        self.event(Level::Error, "resource", &subject, None, Some("failed"), text);
        match (self.groups[g].local, op.kind) {
            (Local::Starting, OpKind::Start) => self.start_failed(g, i, &reason),
            (_, OpKind::Stop) => {
                let resource = &self.groups[g].resources[i].settings.name;
                let why = format!("stop of {resource} failed: {reason}");
                self.set_local(g, Local::Blocked, why);
            }
            _ => {}
        }
    }
}
