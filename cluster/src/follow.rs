//! Following each command to its end, so that whoever gave it gets a last word.

use proto::{GroupState, NodeId};

use crate::command::{Origin, Part, Pending, SentOrder, Verdict};
use crate::core::Core;
use crate::group::Local;
use crate::io::{Action, Reply};
use crate::standby::StandbyState;

impl Core {
    /// Tells of each command that has come to its end.
    pub(crate) fn settle_commands(&mut self) {
        self.give_up_on_the_gone();
        let mut open = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            let parts = std::mem::take(&mut pending.parts);
            for part in parts {
                match self.look_at(&part) {
                    None => pending.parts.push(part),
                    Some(Ok(text)) => pending.done.push(text),
                    Some(Err(why)) => pending.failed.push(why),
                }
            }
            if pending.parts.is_empty() { self.finish(pending) } else { open.push(pending) }
        }
        self.pending.append(&mut open);
    }

    fn give_up_on_the_gone(&mut self) {
        let gone = |order: &SentOrder| !self.peers.iter().any(|peer| peer.id == order.target && peer.live());
        let lost: Vec<(u32, NodeId)> =
            self.orders.iter().filter(|o| gone(o)).map(|o| (o.id, o.target)).collect();
        for (id, target) in lost {
            self.orders.retain(|order| order.id != id);
            let why = format!("{} went away before it answered", self.node_name(target));
            self.answered(id, Err(why));
        }
    }

    fn look_at(&self, part: &Part) -> Option<Result<String, String>> {
        match part {
            Part::Answer { .. } | Part::Fenced { .. } => None,
            Part::Standby => (self.standby == StandbyState::On
                && self.groups.iter().all(|group| matches!(group.local, Local::Stopped | Local::Blocked)))
            .then(|| Ok(format!("{} is on standby", self.settings.me))),
            Part::Looked { group } => {
                let Some(g) = self.group_index(*group) else {
                    return Some(Err("the group is no longer in the configuration".to_owned()));
                };
                let group = &self.groups[g];
                let busy = matches!(group.local, Local::Unknown | Local::Probing) || group.op.is_some();
                (!busy).then(|| Ok(format!("{} looked at", group.settings.name)))
            }
            Part::GroupAt { group, node, after } => {
                let Some(g) = self.group_index(*group) else {
                    return Some(Err("the group is no longer in the configuration".to_owned()));
                };
                self.look_at_move(g, *node, *after)
            }
        }
    }

    fn look_at_move(&self, g: usize, node: NodeId, after: u64) -> Option<Result<String, String>> {
        let (group, target) = (&self.groups[g], self.node_name(node));
        let name = &group.settings.name;
        let Some(peer) = self.peers.iter().find(|peer| peer.id == node) else {
            return Some(Err(format!("{target} is no longer in the configuration")));
        };
        // Under the same epoch there may have been two owners: once it is given up here, the other one has it.
        let given = |epoch: u64| epoch > after || (epoch == after && group.mine.is_none());
        let arrived = |report: &&proto::GroupReport| {
            peer.live() && given(report.epoch) && report.state == GroupState::Started
        };
        if peer.report(group.id).filter(arrived).is_some() {
            return Some(Ok(format!("{name} is on {target}")));
        }
        let holds = |peer: &&crate::peer::Peer| peer.id != node && peer.holds(group.id).is_some_and(given);
        if let Some(other) = self.peers.iter().find(holds) {
            return Some(Err(format!("{name} is on {} by now", other.name)));
        }
        if group.local == Local::Blocked {
            return Some(Err(format!("{name} could not be stopped here: {}", group.why)));
        }
        if group.mine.is_some_and(|epoch| epoch > after) {
            let back = format!("{target} did not start {name}: it is back here");
            return (group.local == Local::Started).then_some(Err(back));
        }
        if !peer.live() {
            return Some(Err(format!("{target} went away before it had {name}")));
        }
        let failed = group.failed && peer.report(group.id).is_some_and(|report| report.failed);
        failed.then(|| Err(format!("{name} could not be started on either node")))
    }

    pub(crate) fn finish(&mut self, pending: Pending) {
        let ok = pending.failed.is_empty();
        let text = if ok { pending.done.join("; ") } else { pending.failed.join("; ") };
        match pending.origin {
            Origin::Local(command) => {
                let reply = if ok { Reply::Done(text) } else { Reply::Refused(text) };
                self.out.push(Action::Reply { command, reply });
            }
            Origin::Remote { issuer, id } => {
                let refused = (!ok).then_some(text);
                self.verdicts.push(Verdict { issuer, id, refused });
                self.news = true;
            }
        }
    }

    pub(crate) fn refuse_all_pending(&mut self, why: &str) {
        for mut pending in std::mem::take(&mut self.pending) {
            pending.failed.push(why.to_owned());
            self.finish(pending);
        }
    }
}
