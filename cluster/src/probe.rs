//! Looking at what runs here: after a start, after a failed stop, after a cleanup.

use crate::certain::Certain;
use crate::core::Core;
use crate::group::{Local, ResourceState, Then};
use crate::life::Phase;
use crate::settings::Requires;
use crate::standby::StandbyState;

impl Core {
    pub(crate) fn begin_probe(&mut self, g: usize) {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return;
        }
        for resource in &mut self.groups[g].resources {
            resource.state = ResourceState::Unknown;
        }
        self.groups[g].began = self.now;
        self.groups[g].disputed = false;
        self.set_local(g, Local::Probing, "looking at what runs here".to_owned());
    }

    /// All of it has been looked at: ours and whole, nothing, or something in between.
    pub(crate) fn probed(&mut self, g: usize) {
        let group = &self.groups[g];
        let is = |state: ResourceState| move |r: &crate::group::Resource| r.state == state;
        // What is no longer in the configuration need not run; it is stopped once this node has joined.
        let whole = group.resources.iter().filter(|r| !r.doomed).all(is(ResourceState::Started));
        let none = group.resources.iter().all(is(ResourceState::Stopped));
        let unclear = group.resources.iter().any(is(ResourceState::Failed));
        if none {
            self.groups[g].mine = None;
            self.set_local(g, Local::Stopped, "nothing of it runs here".to_owned());
        } else if whole {
            // Perhaps without a claim on disk: then epoch 0, which gives way to any other.
            let epoch = *self.groups[g].mine.get_or_insert(0);
            self.groups[g].adopted = true;
            self.groups[g].proven = true;
            self.next_renew = self.now;
            self.set_local(g, Local::Started, format!("all of it runs here already: adopted, epoch {epoch}"));
        } else if unclear || group.mine.is_none() {
            let why =
                if unclear { "the state of a resource is unclear" } else { "left behind, not owned here" };
            self.stop_group(g, Then::Rest, format!("part of it runs here: {why}"));
        } else {
            self.set_local(g, Local::Leftover, "part of it runs here, left by a predecessor".to_owned());
        }
    }

    pub(crate) fn leftover_waits(&mut self, g: usize) {
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
        // Where a stop failed something may still run, so no more of it is started elsewhere.
        let stuck = self.peers.iter().any(|p| p.confirmed.is_none() && p.stuck.contains(&group.id));
        // A peer that is not heard may have it by now, for all this node knows: then no more of it is started either.
        let certain = group.settings.requires == Requires::Nothing || self.certain(g).is_ok();
        let free_here = !self.maintenance.on && !others && !stuck && certain;
        match group.local {
            Local::Leftover if free_here && self.standby == StandbyState::Off => {
                let why = "part of it runs here already and nobody else has it";
                self.take(g, Certain::runs_here(), why.to_owned());
            }
            Local::Leftover if !self.maintenance.on => {
                self.stop_group(g, Then::Rest, "left by a predecessor, and not to run here".to_owned());
            }
            _ => {}
        }
    }

    /// Forgets the failures of a group and looks at it again if anything may be running.
    pub(crate) fn clean_group(&mut self, g: usize) {
        let group = &mut self.groups[g];
        group.forget_failures();
        self.news = true;
        if matches!(group.local, Local::Blocked | Local::Stopped)
            && group.op.is_none()
            && group.release.is_none()
        {
            group.recheck = group.local == Local::Blocked;
            self.begin_probe(g);
        }
        self.try_again(g);
    }
}
