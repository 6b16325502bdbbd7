//! Operators' commands, typed here or on another node: checked, begun, and followed to their end.

use proto::{GroupId, NodeId, OrderKind};

use crate::certain::ConfirmedDown;
use crate::core::Core;
use crate::event::Level;
use crate::io::{Command, CommandId};
use crate::peer::PeerState;

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
    GroupAt { group: GroupId, node: NodeId, after: u64 },
    /// Another node's answer.
    Answer { order: u32, target: NodeId, what: String },
    /// This node to be on standby.
    Standby,
    /// A group to have been looked at.
    Looked { group: GroupId },
    /// A node to be fenced.
    Fenced { node: NodeId },
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
        Self { origin, parts: Vec::new(), done: Vec::new(), failed: Vec::new() }
    }

    pub(crate) fn refused(origin: Origin, why: impl Into<String>) -> Self {
        Self { failed: vec![why.into()], ..Self::new(origin) }
    }

    pub(crate) fn done(origin: Origin, what: impl Into<String>) -> Self {
        Self { done: vec![what.into()], ..Self::new(origin) }
    }
}

impl Core {
    /// An operator's command.
    pub(crate) fn command(&mut self, id: CommandId, by: String, command: Command) {
        let text = describe(&command);
        self.event(Level::Info, "operator", &by, None, None, format!("ordered: {text}"));
        let origin = Origin::Local(id);
        let pending = match command {
            Command::Standby { node, force } => match self.other_node(node) {
                Ok(None) => self.go_standby(origin, force),
                Ok(Some(peer)) => self.ask(Pending::new(origin), &by, peer, OrderKind::Standby, "standby"),
                Err(why) => Pending::refused(origin, why),
            },
            Command::Online { node } => match self.other_node(node) {
                Ok(None) => self.go_online(origin),
                Ok(Some(peer)) => self.ask(Pending::new(origin), &by, peer, OrderKind::Online, "online"),
                Err(why) => Pending::refused(origin, why),
            },
            Command::Move { group, to } => self.order_move(origin, &by, &group, to),
            Command::Takeover { groups } => self.each_group(origin, &groups, |core, pending, g| {
                let here = core.settings.me.clone();
                core.bring(pending, &by, g, &here)
            }),
            Command::Failback { groups } => self.each_group(origin, &groups, |core, mut pending, g| {
                core.groups[g].stay = false;
                let Some(home) = core.groups[g].settings.preferred.clone() else {
                    pending.done.push(format!("{} has no preferred node", core.groups[g].settings.name));
                    return pending;
                };
                core.bring(pending, &by, g, &home)
            }),
            Command::Maintenance { on } => self.set_maintenance(origin, on),
            Command::Cleanup { group } => self.order_cleanup(origin, &by, group),
            Command::Fence { node } => self.order_fence(origin, &node),
            Command::FenceAck { node } => self.fence_ack(origin, &by, &node),
            Command::Diff { node } => match self.compare(origin, node.as_deref()) {
                Some(refused) => refused,
                None => return,
            },
        };
        self.pending.push(pending);
    }

    /// `None` for this node, else the id of the peer named.
    fn other_node(&self, node: Option<String>) -> Result<Option<NodeId>, String> {
        match node {
            None => Ok(None),
            Some(name) if name == self.settings.me => Ok(None),
            Some(name) if self.settings.nodes.contains(&name) => Ok(Some(NodeId::of(&name))),
            Some(name) => {
                Err(format!("there is no node {name}; there are: {}", self.settings.nodes.join(", ")))
            }
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

    pub(crate) fn no_group(&self, name: &str) -> String {
        let names: Vec<&str> = self.groups.iter().map(|group| group.settings.name.as_str()).collect();
        format!("there is no group {name}; there are: {}", names.join(", "))
    }

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
        self.event(Level::Warn, "maintenance", &me, Some(other), Some(word), "ordered here".to_owned());
        Pending::done(origin, format!("maintenance is {word}"))
    }

    fn order_cleanup(&mut self, origin: Origin, by: &str, name: Option<String>) -> Pending {
        let names: Vec<String> = name.into_iter().collect();
        let mut pending = self.each_group(origin, &names, |core, mut pending, g| {
            core.clean_group(g);
            pending.parts.push(Part::Looked { group: core.groups[g].id });
            pending
        });
        if pending.failed.is_empty() {
            let group = names.first().map(|name| GroupId::of(name));
            let live: Vec<NodeId> =
                self.peers.iter().filter(|peer| peer.live()).map(|peer| peer.id).collect();
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
            PeerState::Left if self.peers[p].stuck.is_empty() => {
                return Pending::done(origin, format!("{node} had left in order already"));
            }
            PeerState::Init | PeerState::Dead | PeerState::Left => {}
        }
        self.is_down(p, ConfirmedDown::by_operator(by), &format!("{by} says that it is down"));
        self.event(Level::Warn, "peer", node, None, None, format!("confirmed to be down by {by}"));
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
            format!("move {group}{}", to.as_ref().map(|to| format!(" --to {to}")).unwrap_or_default())
        }
        Command::Takeover { groups } => format!("takeover {}", groups.join(" ")).trim_end().to_owned(),
        Command::Failback { groups } => format!("failback {}", groups.join(" ")).trim_end().to_owned(),
        Command::Maintenance { on } => format!("maintenance {}", if *on { "on" } else { "off" }),
        Command::Cleanup { group } => format!("cleanup{}", node(group)),
        Command::Fence { node } => format!("fence {node}"),
        Command::FenceAck { node } => format!("fence-ack {node}"),
        Command::Diff { node: n } => format!("diff{}", node(n)),
    }
}
