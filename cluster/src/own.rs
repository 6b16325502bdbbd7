//! What becomes of a group that is owned here: kept, disputed, given away.

use proto::NodeId;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Local, Then};
use crate::io::Action;
use crate::life::Phase;
use crate::peer::Peer;
use crate::standby::StandbyState;

impl Core {
    pub(crate) fn owned(&mut self, g: usize) {
        if self.dispute(g) || self.maintenance.on || self.doubt.is_some() {
            return;
        }
        let group = &self.groups[g];
        if group.doomed {
            return self.stop_group(g, Then::Rest, "no longer in the configuration".to_owned());
        }
        if group.local == Local::Started
            && self.phase == Phase::Up
            && group.resources.iter().any(|r| r.doomed)
        {
            return self.set_local(
                g,
                Local::Starting,
                "part of it is no longer in the configuration".to_owned(),
            );
        }
        if matches!(self.phase, Phase::Leaving { .. }) {
            return match self.heir(g) {
                Some(heir) => self.give(g, heir, "this node is leaving"),
                None => self.stop_group(g, Then::Rest, "this node is leaving, nobody can take it".to_owned()),
            };
        }
        if self.standby != StandbyState::Off {
            return self.give_on_standby(g);
        }
        if std::mem::take(&mut self.groups[g].announce) {
            self.out.push(Action::Announce { group: self.groups[g].id });
        }
        if let Some((heir, _)) = self.link_handover(g).filter(|(_, at)| self.now >= *at) {
            let why = self.groups[g].cut_off.as_ref().map_or(String::new(), |(_, why)| why.clone());
            return self.give(g, heir, &why);
        }
        if let Some((p, _)) = self.ping_handover(g).filter(|(_, at)| self.now >= *at) {
            let (heir, seen) = (self.peers[p].id, self.peers[p].view.as_ref().map_or(0, |view| view.pings.0));
            let why = format!("it sees {seen} ping points, this node {} of {}", self.pings.0, self.pings.1);
            return self.give(g, heir, &why);
        }
        if self.failback_due(&self.groups[g]).is_some_and(|at| self.now >= at) {
            let home = NodeId::of(self.groups[g].settings.preferred.as_deref().unwrap_or_default());
            self.give(g, home, "failback: its preferred node is up");
        }
    }

    fn give_on_standby(&mut self, g: usize) {
        if let Some(heir) = self.heir(g) {
            self.give(g, heir, "this node is on standby");
        } else if self.standby == StandbyState::On
            && self.phase == Phase::Up
            && !self.peers.iter().any(Peer::joining)
        {
            self.stop_group(g, Then::Rest, "this node is on standby and nobody can take it".to_owned());
        }
    }

    /// Two owners: the higher epoch stays, at the same epoch the lower name. True if it was given up here.
    fn dispute(&mut self, g: usize) -> bool {
        let group = &self.groups[g];
        let mine = (group.mine.unwrap_or(0), std::cmp::Reverse(self.settings.me.as_str()));
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
            let why = format!("{winner} owns it under epoch {epoch}, this node under {}", mine.0);
            self.event(Level::Warn, "group", &name, None, None, format!("two owners: {why}"));
            self.let_addresses_end(g);
            self.stop_group(g, Then::Lost, why);
            return true;
        }
        if disputed && !self.groups[g].disputed {
            let why = format!("two owners: this node keeps it, under epoch {}", mine.0);
            self.event(Level::Warn, "group", &name, None, None, why);
        } else if !disputed && self.groups[g].disputed && self.groups[g].local == Local::Started {
            if self.doubt.is_some() {
                // First the look at what is left, which ends with the announcement.
                return false;
            }
            self.out.push(Action::Announce { group: self.groups[g].id });
        }
        self.groups[g].announce &= !disputed;
        self.groups[g].disputed = disputed;
        false
    }

    /// The best other node that would take the group: its preferred one, else by order of the configuration.
    pub(crate) fn heir(&self, g: usize) -> Option<NodeId> {
        let group = &self.groups[g];
        let able = |name: &&String| self.peers.iter().any(|p| p.name == **name && self.would_take(p, g));
        let preferred = group.settings.preferred.iter();
        preferred.chain(&self.settings.nodes).find(able).map(|name| NodeId::of(name))
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
        group.check_first = false;
        group.adopted = false;
        group.disputed = false;
        self.set_local(g, Local::Stopping(then), why);
    }
}
