//! Operators' commands, typed here or on another node: checked, begun, and followed to their end.

use proto::{GroupId, GroupState, NodeId, OrderKind};

use crate::core::{Core, Phase};
use crate::event::Level;
use crate::group::Local;
use crate::io::{Command, CommandId};
use crate::peer::{ConfirmedDown, PeerState};

/// Whether this node is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandbyState {
    /// It takes part.
    Off,
    /// Its groups are being handed over; if that fails it stays in.
    Going,
    /// It takes nothing.
    On,
}

/// Who is to be told how a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An operator on this node.
    Local(CommandId),
    /// Another node, which asks for an operator there.
    Remote {
        /// Which node.
        issuer: NodeId,
        /// The number of its order.
        id: u32,
    },
}

/// One thing a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A group to be started on a node, under a later epoch than this.
    GroupAt {
        group: GroupId,
        node: NodeId,
        after: u64,
    },
    /// Another node's answer.
    Answer {
        order: u32,
        target: NodeId,
        what: String,
    },
    /// This node to be on standby.
    Standby,
    /// A group to have been looked at.
    Looked { group: GroupId },
}

/// A command under way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub origin: Origin,
    pub parts: Vec<Part>,
    pub done: Vec<String>,
    pub failed: Vec<String>,
}

/// An order another node has not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct SentOrder {
    pub id: u32,
    pub target: NodeId,
    pub kind: OrderKind,
    pub by: String,
}

/// Our answer to another node's order, said for as long as it asks.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub issuer: NodeId,
    pub id: u32,
    pub refused: Option<String>,
}

impl Pending {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            parts: Vec::new(),
            done: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(crate) fn refused(origin: Origin, why: impl Into<String>) -> Self {
        Self {
            failed: vec![why.into()],
            ..Self::new(origin)
        }
    }

    pub(crate) fn done(origin: Origin, what: impl Into<String>) -> Self {
        Self {
            done: vec![what.into()],
            ..Self::new(origin)
        }
    }
}

impl Core {
    /// An operator's command.
    pub(crate) fn command(&mut self, id: CommandId, by: String, command: Command) {
        let text = describe(&command);
        self.event(
            Level::Info,
            "operator",
            &by,
            None,
            None,
            format!("ordered: {text}"),
        );
        let origin = Origin::Local(id);
        let pending = match command {
            Command::Standby { node, force } => match self.other_node(node) {
                Ok(None) => self.go_standby(origin, force),
                Ok(Some(peer)) => self.ask(
                    Pending::new(origin),
                    &by,
                    peer,
                    OrderKind::Standby,
                    "standby",
                ),
                Err(why) => Pending::refused(origin, why),
            },
            Command::Online { node } => match self.other_node(node) {
                Ok(None) => self.go_online(origin),
                Ok(Some(peer)) => {
                    self.ask(Pending::new(origin), &by, peer, OrderKind::Online, "online")
                }
                Err(why) => Pending::refused(origin, why),
            },
            Command::Move { group, to } => self.order_move(origin, &by, &group, to),
            Command::Takeover { groups } => self.each_group(origin, &groups, |core, pending, g| {
                let here = core.settings.me.clone();
                core.bring(pending, &by, g, &here)
            }),
            Command::Failback { groups } => {
                self.each_group(origin, &groups, |core, mut pending, g| {
                    core.groups[g].stay = false;
                    let Some(home) = core.groups[g].settings.preferred.clone() else {
                        pending.done.push(format!(
                            "{} has no preferred node",
                            core.groups[g].settings.name
                        ));
                        return pending;
                    };
                    core.bring(pending, &by, g, &home)
                })
            }
            Command::Maintenance { on } => self.set_maintenance(origin, on),
            Command::Cleanup { group } => self.order_cleanup(origin, &by, group),
            Command::FenceAck { node } => self.fence_ack(origin, &by, &node),
        };
        self.pending.push(pending);
    }

    /// `None` for this node, else the id of the peer named.
    fn other_node(&self, node: Option<String>) -> Result<Option<NodeId>, String> {
        match node {
            None => Ok(None),
            Some(name) if name == self.settings.me => Ok(None),
            Some(name) if self.settings.nodes.contains(&name) => Ok(Some(NodeId::of(&name))),
            Some(name) => Err(format!(
                "there is no node {name}; there are: {}",
                self.settings.nodes.join(", ")
            )),
        }
    }

    fn each_group(
        &mut self,
        origin: Origin,
        names: &[String],
        mut each: impl FnMut(&mut Self, Pending, usize) -> Pending,
    ) -> Pending {
        let mut pending = Pending::new(origin);
        for name in names {
            if !self.groups.iter().any(|group| group.settings.name == *name) {
                pending.failed.push(self.no_group(name));
            }
        }
        if pending.failed.is_empty() {
            for g in 0..self.groups.len() {
                if names.is_empty() || names.contains(&self.groups[g].settings.name) {
                    pending = each(self, pending, g);
                }
            }
        }
        pending
    }

    fn no_group(&self, name: &str) -> String {
        let names: Vec<&str> = self
            .groups
            .iter()
            .map(|group| group.settings.name.as_str())
            .collect();
        format!("there is no group {name}; there are: {}", names.join(", "))
    }

    // ---- standby -------------------------------------------------------------------------------

    pub(crate) fn go_standby(&mut self, origin: Origin, force: bool) -> Pending {
        if self.standby == StandbyState::On {
            return Pending::done(origin, "already on standby");
        }
        if let Some(why) = self.not_now() {
            return Pending::refused(origin, why);
        }
        for g in 0..self.groups.len() {
            let group = &self.groups[g];
            if group.local == Local::Blocked {
                return Pending::refused(
                    origin,
                    format!("{} is blocked here: {}", group.settings.name, group.why),
                );
            }
            if group.held() && self.heir(g).is_none() && !force {
                let why = self.why_nobody(g);
                let name = &self.groups[g].settings.name;
                return Pending::refused(
                    origin,
                    format!("nobody can take {name} ({why}); --force stops it all the same"),
                );
            }
        }
        self.standby = if force {
            StandbyState::On
        } else {
            StandbyState::Going
        };
        self.changes += 1;
        self.news = true;
        Pending {
            parts: vec![Part::Standby],
            ..Pending::new(origin)
        }
    }

    pub(crate) fn go_online(&mut self, origin: Origin) -> Pending {
        if self.standby == StandbyState::Off {
            return Pending::done(origin, "already online");
        }
        self.end_standby("ordered online");
        Pending::done(origin, "online")
    }

    fn end_standby(&mut self, why: &str) {
        self.standby = StandbyState::Off;
        self.changes += 1;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(
            Level::Info,
            "node",
            &me,
            Some("standby"),
            Some("online"),
            why.to_owned(),
        );
        for pending in &mut self.pending {
            if pending.parts.contains(&Part::Standby) {
                pending.parts.retain(|part| *part != Part::Standby);
                pending.failed.push(format!("standby was given up: {why}"));
            }
        }
    }

    /// The heir could not do it: this node stays in and takes the group back.
    pub(crate) fn cancel_standby(&mut self, g: usize) {
        let why = format!(
            "{} found nobody else to run it: {}",
            self.groups[g].settings.name,
            self.why_nobody(g)
        );
        self.end_standby(&why);
    }

    /// A node going on standby is there when all of its groups run elsewhere.
    pub(crate) fn settle_standby(&mut self) {
        if self.standby != StandbyState::Going || self.phase != Phase::Up {
            return;
        }
        for g in 0..self.groups.len() {
            let group = &self.groups[g];
            let id = group.id;
            let stuck = group.local == Local::Blocked
                || group.local == Local::Started && self.heir(g).is_none() && self.doubt.is_none();
            if stuck {
                return self.cancel_standby(g);
            }
            // Only when the heir is settled is it known whether the group must come back.
            let unsettled = |peer: &crate::peer::Peer| {
                let state = peer
                    .report(id)
                    .filter(|_| peer.live())
                    .map(|report| report.state);
                matches!(state, Some(GroupState::Starting | GroupState::Stopping))
            };
            let here = group.local != Local::Stopped || group.release.is_some();
            if here || self.peers.iter().any(unsettled) {
                return;
            }
        }
        self.standby = StandbyState::On;
        self.changes += 1;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(
            Level::Info,
            "node",
            &me,
            Some("online"),
            Some("standby"),
            "its groups are handed over".to_owned(),
        );
    }

    // ---- moving --------------------------------------------------------------------------------

    fn order_move(&mut self, origin: Origin, by: &str, name: &str, to: Option<String>) -> Pending {
        let Some(g) = self
            .groups
            .iter()
            .position(|group| group.settings.name == name)
        else {
            return Pending::refused(origin, self.no_group(name));
        };
        let to = match to {
            Some(to) if !self.settings.nodes.contains(&to) => {
                let nodes = self.settings.nodes.join(", ");
                return Pending::refused(
                    origin,
                    format!("there is no node {to}; there are: {nodes}"),
                );
            }
            Some(to) => to,
            None if self.groups[g].held() => match self.heir(g) {
                Some(heir) => self.node_name(heir),
                None => {
                    let why = self.why_nobody(g);
                    return Pending::refused(origin, format!("nobody can take {name}: {why}"));
                }
            },
            None => self.settings.me.clone(),
        };
        self.bring(Pending::new(origin), by, g, &to)
    }

    /// Has a group brought to a node, whoever owns it now.
    fn bring(&mut self, mut pending: Pending, by: &str, g: usize, to: &str) -> Pending {
        let (id, name) = (self.groups[g].id, self.groups[g].settings.name.clone());
        if self.groups[g].held() {
            self.give_if_fit(pending, g, NodeId::of(to))
        } else if let Some(owner) = self.peers.iter().find(|peer| peer.holds(id).is_some()) {
            if owner.name == to {
                pending.done.push(format!("{name} is on {to} already"));
                return pending;
            }
            if let (true, Some(why)) = (to == self.settings.me, self.why_not_here(g)) {
                pending
                    .failed
                    .push(format!("{name} cannot come here: {why}"));
                return pending;
            }
            let (owner, to) = (owner.id, NodeId::of(to));
            self.ask(pending, by, owner, OrderKind::Give { group: id, to }, &name)
        } else {
            let why = self.groups[g]
                .hold
                .clone()
                .unwrap_or_else(|| self.why_nobody(g));
            pending.failed.push(format!("nobody has {name}: {why}"));
            pending
        }
    }

    /// Hands a group over that is owned here, if all is fit for it.
    pub(crate) fn give_if_fit(&mut self, mut pending: Pending, g: usize, to: NodeId) -> Pending {
        let (name, target) = (self.groups[g].settings.name.clone(), self.node_name(to));
        if to == self.me {
            pending.done.push(format!("{name} is on {target} already"));
            return pending;
        }
        let refusal = self.not_now().or_else(|| match self.groups[g].local {
            Local::Started => self
                .why_not(to, g)
                .map(|why| format!("{target} cannot take {name}: {why}")),
            other => Some(format!(
                "{name} is {} here: {}",
                other.word(),
                self.groups[g].why
            )),
        });
        if let Some(why) = refusal {
            pending.failed.push(why);
            return pending;
        }
        let (group, after) = (self.groups[g].id, self.groups[g].mine.unwrap_or(0));
        pending.parts.push(Part::GroupAt {
            group,
            node: to,
            after,
        });
        self.give(g, to, "ordered");
        pending
    }

    /// Why nothing can be moved at present, if so.
    fn not_now(&self) -> Option<String> {
        if self.maintenance.on {
            return Some("the cluster is in maintenance: hbctl maintenance off".to_owned());
        }
        match self.phase {
            Phase::Up if self.doubt.is_some() => {
                Some("this node has just woken from a pause; try again".to_owned())
            }
            Phase::Up => None,
            Phase::Booting | Phase::Joining => {
                Some("this node is still joining; try again".to_owned())
            }
            Phase::Leaving { .. } | Phase::Left { .. } => Some("this node is leaving".to_owned()),
        }
    }

    fn why_not_here(&self, g: usize) -> Option<String> {
        self.not_now().or_else(|| {
            if self.groups[g].failed {
                Some(
                    "a start failed here; see hbctl status, mend it, then hbctl cleanup".to_owned(),
                )
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
                None => "it does not have the group in its configuration, or is looking at it"
                    .to_owned(),
                Some(report) if report.failed => "a start failed there (hbctl cleanup)".to_owned(),
                Some(_) => "it will not take it now".to_owned(),
            }
        })
    }

    pub(crate) fn why_nobody(&self, g: usize) -> String {
        let each = self.peers.iter().filter_map(|peer| {
            self.why_not(peer.id, g)
                .map(|why| format!("{}: {why}", peer.name))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    // ---- maintenance, cleanup, fence-ack -------------------------------------------------------

    fn set_maintenance(&mut self, origin: Origin, on: bool) -> Pending {
        let (word, other) = if on { ("on", "off") } else { ("off", "on") };
        if self.maintenance.on == on {
            return Pending::done(origin, format!("maintenance is {word} already"));
        }
        self.maintenance.version += 1;
        self.maintenance.on = on;
        self.changes += 1;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(
            Level::Warn,
            "maintenance",
            &me,
            Some(other),
            Some(word),
            "ordered here".to_owned(),
        );
        Pending::done(origin, format!("maintenance is {word}"))
    }

    fn order_cleanup(&mut self, origin: Origin, by: &str, name: Option<String>) -> Pending {
        let names: Vec<String> = name.into_iter().collect();
        let mut pending = self.each_group(origin, &names, |core, mut pending, g| {
            core.clean_group(g);
            pending.parts.push(Part::Looked {
                group: core.groups[g].id,
            });
            pending
        });
        if pending.failed.is_empty() {
            let group = names.first().map(|name| GroupId::of(name));
            let live: Vec<NodeId> = self
                .peers
                .iter()
                .filter(|peer| peer.live())
                .map(|peer| peer.id)
                .collect();
            for peer in live {
                pending = self.ask(pending, by, peer, OrderKind::Cleanup { group }, "cleanup");
            }
        }
        pending
    }

    fn fence_ack(&mut self, origin: Origin, by: &str, node: &str) -> Pending {
        let Some(p) = self.peers.iter().position(|peer| peer.name == node) else {
            return Pending::refused(origin, format!("there is no other node {node}"));
        };
        match self.peers[p].state {
            PeerState::Up => {
                return Pending::refused(origin, format!("{node} is up: it was heard just now"));
            }
            PeerState::Left => {
                return Pending::done(origin, format!("{node} had left in order already"));
            }
            PeerState::Init => {
                self.set_peer_state(p, PeerState::Dead, format!("{by} says that it is down"))
            }
            PeerState::Dead => {}
        }
        self.peers[p].confirmed = Some(ConfirmedDown { by: by.to_owned() });
        self.changes += 1;
        self.event(
            Level::Warn,
            "peer",
            node,
            None,
            None,
            format!("confirmed to be down by {by}"),
        );
        Pending::done(origin, format!("{node} counts as down, on your word"))
    }
}

/// A command in the words it is typed in.
fn describe(command: &Command) -> String {
    let node = |node: &Option<String>| node.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
    match command {
        Command::Standby { node: n, force } => {
            format!("standby{}{}", node(n), if *force { " --force" } else { "" })
        }
        Command::Online { node: n } => format!("online{}", node(n)),
        Command::Move { group, to } => {
            format!(
                "move {group}{}",
                to.as_ref()
                    .map(|to| format!(" --to {to}"))
                    .unwrap_or_default()
            )
        }
        Command::Takeover { groups } => format!("takeover {}", groups.join(" "))
            .trim_end()
            .to_owned(),
        Command::Failback { groups } => format!("failback {}", groups.join(" "))
            .trim_end()
            .to_owned(),
        Command::Maintenance { on } => format!("maintenance {}", if *on { "on" } else { "off" }),
        Command::Cleanup { group } => format!("cleanup{}", node(group)),
        Command::FenceAck { node } => format!("fence-ack {node}"),
    }
}
