//! Moving groups by order, and why one cannot be moved.

use proto::{GroupState, NodeId, OrderKind};

use crate::command::{Origin, Part, Pending};
use crate::core::Core;
use crate::group::Local;
use crate::life::Phase;
use crate::standby::StandbyState;

impl Core {
    pub(crate) fn order_move(&mut self, origin: Origin, by: &str, name: &str, to: Option<String>) -> Pending {
        let Some(g) = self.groups.iter().position(|group| group.settings.name == name) else {
            return Pending::refused(origin, self.no_group(name));
        };
        let to = match to {
            Some(to) if !self.settings.nodes.contains(&to) => {
                let nodes = self.settings.nodes.join(", ");
                return Pending::refused(origin, format!("there is no node {to}; there are: {nodes}"));
            }
            Some(to) => to,
            None if self.groups[g].held() => match self.heir(g) {
                Some(heir) => self.node_name(heir),
                None => {
                    let why = self.not_now().unwrap_or_else(|| self.why_nobody(g));
                    return Pending::refused(origin, format!("nobody can take {name}: {why}"));
                }
            },
            None => self.settings.me.clone(),
        };
        self.bring(Pending::new(origin), by, g, &to)
    }

    /// Has a group brought to a node, whoever owns it now.
    pub(crate) fn bring(&mut self, mut pending: Pending, by: &str, g: usize, to: &str) -> Pending {
        let (id, name) = (self.groups[g].id, self.groups[g].settings.name.clone());
        if self.groups[g].held() {
            self.give_if_fit(pending, g, NodeId::of(to))
        } else if let Some(owner) = self.peers.iter().find(|peer| peer.holds(id).is_some()) {
            if owner.name == to {
                pending.done.push(format!("{name} is on {to} already"));
                return pending;
            }
            if let (true, Some(why)) = (to == self.settings.me, self.why_not_here(g)) {
                pending.failed.push(format!("{name} cannot come here: {why}"));
                return pending;
            }
            let (owner, to) = (owner.id, NodeId::of(to));
            self.ask(pending, by, owner, OrderKind::Give { group: id, to }, &name)
        } else {
            let why = self.groups[g].hold.clone().or_else(|| self.not_now());
            let why = why.unwrap_or_else(|| match self.why_nobody(g) {
                why if why.is_empty() => format!("it is about to be started; see hbctl why {name}"),
                why => why,
            });
            pending.failed.push(format!("nobody has {name}: {why}"));
            pending
        }
    }

    /// Hands a group over that is owned here, if all is fit for it.
    pub(crate) fn give_if_fit(&mut self, mut pending: Pending, g: usize, to: NodeId) -> Pending {
        let (name, target) = (self.groups[g].settings.name.clone(), self.node_name(to));
        if to == self.me && !matches!(self.groups[g].local, Local::Stopping(_) | Local::Blocked) {
            pending.done.push(format!("{name} is on {target} already"));
            return pending;
        }
        let refusal = self.not_now().or_else(|| match self.groups[g].local {
            Local::Started => self.why_not(to, g).map(|why| format!("{target} cannot take {name}: {why}")),
            other => Some(format!("{name} is {} here: {}", other.word(), self.groups[g].why)),
        });
        if let Some(why) = refusal {
            pending.failed.push(why);
            return pending;
        }
        let (group, after) = (self.groups[g].id, self.groups[g].mine.unwrap_or(0));
        pending.parts.push(Part::GroupAt { group, node: to, after });
        self.give(g, to, "ordered");
        pending
    }

    /// Why nothing can be moved at present, if so.
    pub(crate) fn not_now(&self) -> Option<String> {
        if self.maintenance.on {
            return Some("the cluster is in maintenance: hbctl maintenance off".to_owned());
        }
        match self.phase {
            Phase::Up if self.doubt.is_some() => {
                Some("this node has just woken from a pause; try again".to_owned())
            }
            Phase::Up => None,
            Phase::Booting | Phase::Joining => Some("this node is still joining; try again".to_owned()),
            Phase::Leaving { .. } | Phase::Left { .. } | Phase::Gone => {
                Some("this node is leaving".to_owned())
            }
        }
    }

    fn why_not_here(&self, g: usize) -> Option<String> {
        self.not_now().or_else(|| {
            if self.groups[g].failed {
                Some("it failed here; see hbctl status, mend it, then hbctl cleanup".to_owned())
            } else if self.standby != StandbyState::Off {
                Some("this node is on standby: hbctl online".to_owned())
            } else {
                None
            }
        })
    }

    /// Why a peer would not take a group, if so.
    pub(crate) fn why_not(&self, to: NodeId, g: usize) -> Option<String> {
        let Some(peer) = self.peers.iter().find(|peer| peer.id == to) else {
            return Some("it is not of this cluster".to_owned());
        };
        if peer.able(self.groups[g].id) {
            return None;
        }
        Some(if !peer.live() {
            format!("it is {}", peer.state.word())
        } else if peer.standby() {
            "it is on standby".to_owned()
        } else if !peer.joined() {
            "it is joining or leaving".to_owned()
        } else {
            match peer.report(self.groups[g].id) {
                None => "it does not have the group in its configuration, or is looking at it".to_owned(),
                Some(report) if report.state == GroupState::Blocked => {
                    "it is blocked there (hbctl cleanup)".to_owned()
                }
                Some(report) if report.failed => "it failed there (hbctl cleanup)".to_owned(),
                Some(_) if !self.witness_allows(g) => {
                    "the witness does not answer here, and there neither, it seems".to_owned()
                }
                Some(_) if self.maintenance.on => "the cluster is in maintenance".to_owned(),
                Some(_) => {
                    let name = &self.groups[g].settings.name;
                    format!("it says that it cannot now; there, hbctl why {name} tells the reason")
                }
            }
        })
    }

    pub(crate) fn why_nobody(&self, g: usize) -> String {
        let each = self
            .peers
            .iter()
            .filter_map(|peer| self.why_not(peer.id, g).map(|why| format!("{}: {why}", peer.name)));
        each.collect::<Vec<_>>().join("; ")
    }
}
