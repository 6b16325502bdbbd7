//! Orders between nodes: they travel inside the heartbeat until they are answered.

use proto::{GroupId, Message, NodeId, Order, OrderKind};

use crate::command::{Origin, Part, Pending, SentOrder};
use crate::core::Core;
use crate::event::Level;

impl Core {
    pub(crate) fn ask(
        &mut self,
        mut pending: Pending,
        by: &str,
        target: NodeId,
        kind: OrderKind,
        what: &str,
    ) -> Pending {
        if !self.peers.iter().any(|peer| peer.id == target && peer.live()) {
            pending.failed.push(format!("{} is not there to be asked", self.node_name(target)));
            return pending;
        }
        self.next_order += 1;
        self.orders.push(SentOrder { id: self.next_order, target, kind, by: by.to_owned() });
        pending.parts.push(Part::Answer { order: self.next_order, target, what: what.to_owned() });
        self.news = true;
        pending
    }

    /// Takes up what a peer orders of this node, once.
    pub(crate) fn take_orders(&mut self, p: usize, message: &Message) {
        let issuer = self.peers[p].id;
        self.verdicts.retain(|v| v.issuer != issuer || message.orders.iter().any(|order| order.id == v.id));
        let me = self.me;
        for order in message.orders.iter().filter(|order| order.target == me) {
            if order.id > self.peers[p].orders_taken {
                self.peers[p].orders_taken = order.id;
                self.obey(issuer, order);
            }
        }
    }

    fn obey(&mut self, issuer: NodeId, order: &Order) {
        let origin = Origin::Remote { issuer, id: order.id };
        let by = format!("{} on {}", order.by, self.node_name(issuer));
        let text = match order.kind {
            OrderKind::Standby => "standby".to_owned(),
            OrderKind::Online => "online".to_owned(),
            OrderKind::Give { group, to } => {
                format!("give {} to {}", self.group_name(group), self.node_name(to))
            }
            OrderKind::Cleanup { group } => {
                format!("cleanup {}", group.map(|id| self.group_name(id)).unwrap_or_default())
            }
        };
        self.event(Level::Info, "operator", &by, None, None, format!("ordered: {text}"));
        let pending = match order.kind {
            OrderKind::Standby => self.go_standby(origin, false),
            OrderKind::Online => self.go_online(origin),
            OrderKind::Give { group, to } => match self.group_index(group) {
                Some(g) if self.groups[g].held() => self.give_if_fit(Pending::new(origin), g, to),
                Some(g) => Pending::refused(origin, format!("{} is not here", self.groups[g].settings.name)),
                None => Pending::refused(origin, "no such group in the configuration here"),
            },
            OrderKind::Cleanup { group } => {
                let mut pending = Pending::new(origin);
                for g in 0..self.groups.len() {
                    if group.is_none_or(|id| self.groups[g].id == id) {
                        self.clean_group(g);
                        pending.parts.push(Part::Looked { group: self.groups[g].id });
                    }
                }
                pending
            }
        };
        self.pending.push(pending);
    }

    fn group_name(&self, id: GroupId) -> String {
        self.group_index(id)
            .map_or_else(|| format!("group {:08x}", id.0), |g| self.groups[g].settings.name.clone())
    }

    /// Takes in what a peer answered to our orders.
    pub(crate) fn take_verdicts(&mut self, p: usize, message: &Message) {
        let (me, from, name) = (self.me, self.peers[p].id, self.peers[p].name.clone());
        for ack in message.acks.iter().filter(|ack| ack.issuer == me) {
            let before = self.orders.len();
            self.orders.retain(|order| !(order.id == ack.id && order.target == from));
            if self.orders.len() < before {
                self.news = true;
                self.answered(
                    ack.id,
                    match &ack.refused {
                        None => Ok(format!("done by {name}")),
                        Some(why) => Err(format!("{name}: {why}")),
                    },
                );
            }
        }
    }

    pub(crate) fn answered(&mut self, order: u32, answer: Result<String, String>) {
        for pending in &mut self.pending {
            let part = pending
                .parts
                .iter()
                .position(|p| matches!(p, Part::Answer { order: id, .. } if *id == order));
            let Some(at) = part else { continue };
            let Part::Answer { what, .. } = pending.parts.remove(at) else {
                continue;
            };
            match &answer {
                Ok(text) => pending.done.push(format!("{what}: {text}")),
                Err(why) => pending.failed.push(format!("{what}: {why}")),
            }
        }
    }
}
