//! What must be certain before a group is started here, carried by types.
//!
//! ```text
//!  fence agent: success ─▶ FenceOutcome::Confirmed ─┐
//!  operator: fence-ack ─────────────────────────────┴▶ ConfirmedDown ─┐
//!  a release, or a part of it that runs here ─────────────────────────┴▶ Certain ─▶ Core::take
//! ```
//! What requires the witness is in doubt for silence no more than what requires nothing: [`Core::take`] asks the witness.

use proto::{GroupReport, GroupState, NodeId};

use crate::core::Core;
use crate::io::FenceOutcome;
use crate::peer::PeerState;
use crate::settings::Requires;

/// The certainty that a node is really down. Only the success of a fence device and the operator's word make one;
/// it is what starting a dead peer's fenced group asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedDown {
    by: String,
}

impl ConfirmedDown {
    /// Of a fencing; only its success is one.
    pub(crate) fn by_device(outcome: &FenceOutcome) -> Result<Self, &str> {
        match outcome {
            FenceOutcome::Confirmed { by } => Ok(Self { by: by.clone() }),
            FenceOutcome::Failed(why) => Err(why),
        }
    }

    /// The word of an operator who has looked.
    pub(crate) fn by_operator(by: &str) -> Self {
        Self { by: by.to_owned() }
    }

    /// Who or what confirmed it, for people.
    pub fn by(&self) -> &str {
        &self.by
    }
}

/// The leave to start a group here: [`Core::take`] asks for one, and only the functions of this file make it.
pub(crate) struct Certain(());

impl Certain {
    /// Its owner has stopped it and gives it to `me`.
    pub(crate) fn handed_over(report: &GroupReport, me: NodeId) -> Option<Self> {
        (report.state == GroupState::Released && report.to == Some(me)).then_some(Self(()))
    }

    /// It is this node's own already, by a predecessor's claim, and part of it runs here.
    pub(crate) fn runs_here() -> Self {
        Self(())
    }
}

/// Why a group may not be taken yet.
pub(crate) struct Doubtful {
    /// In a sentence.
    pub why: String,
    /// Who must be down for certain first, if a fence device could see to it.
    pub fence: Vec<usize>,
}

impl Core {
    /// Whether this node may take a group that nobody live has.
    pub(crate) fn certain(&self, g: usize) -> Result<Certain, Doubtful> {
        let group = &self.groups[g];
        let mut doubts: Vec<Doubtful> = Vec::new();
        for (p, peer) in self.peers.iter().enumerate() {
            if peer.live() || peer.confirmed.is_some() {
                continue;
            }
            let name = &peer.name;
            if peer.stuck.contains(&group.id) {
                let why = format!(
                    "a stop failed on {name} before it was lost, and something of the group may still run there"
                );
                doubts.push(self.doubtful(g, p, why));
            } else if peer.state == PeerState::Left {
                // It has stopped everything.
            } else if let Some(why) = self.isolated() {
                return Err(Doubtful { why, fence: Vec::new() });
            } else if group.settings.requires == Requires::Fencing {
                doubts.push(self.doubtful(g, p, format!("{name} is silent and not confirmed to be down")));
            }
        }
        if !doubts.is_empty() {
            // Nobody is fenced in vain: if one of them cannot be, the group waits for the operator anyway.
            let in_vain = doubts.iter().any(|doubt| doubt.fence.is_empty());
            let why = doubts.iter().map(|doubt| doubt.why.as_str()).collect::<Vec<_>>().join("; ");
            let all = doubts.into_iter().flat_map(|doubt| doubt.fence);
            return Err(Doubtful { why, fence: if in_vain { Vec::new() } else { all.collect() } });
        }
        Ok(Certain(()))
    }

    /// What a takeover by this node would have to wait for, a line for each node that is not there.
    pub(crate) fn why_certain(&self, g: usize) -> Vec<String> {
        let group = &self.groups[g];
        let mut lines = Vec::new();
        for (p, peer) in self.peers.iter().enumerate().filter(|(_, peer)| !peer.live()) {
            let (name, state) = (&peer.name, peer.state.word());
            lines.push(match &peer.confirmed {
                Some(down) => format!("{name} is {state}, and down for certain: {} says so", down.by()),
                None if group.settings.requires == Requires::Fencing => match self.unfenceable(p) {
                    None => format!("{name} is {state}: {}", self.fencing_of(p)),
                    Some(cannot) => format!("{name} is {state}: {cannot}"),
                },
                None => match self
                    .may_go_on_until(peer)
                    .filter(|_| group.settings.requires == Requires::Witness)
                {
                    Some(until) => {
                        let left = until.since(self.now).as_millis();
                        format!("{name} is {state}, and may run it without the witness for {left} ms more")
                    }
                    None => format!("{name} is {state}"),
                },
            });
        }
        lines.extend(self.why_witness(g));
        let (seen, total) = self.pings;
        if total > 0 {
            let theirs = |peer: &crate::peer::Peer| {
                let (seen, total) = peer.view.as_ref().filter(|_| peer.live())?.pings;
                Some(format!(", {} {seen} of {total}", peer.name))
            };
            let theirs: String = self.peers.iter().filter_map(theirs).collect();
            lines.push(format!("this node sees {seen} of {total} ping points{theirs}"));
        }
        lines
    }

    /// Peer `p` must be down for certain; what is or can be done about that. Only a group that asks for fencing has a
    /// node fenced by itself, and one of which the node itself has asked for it.
    fn doubtful(&self, g: usize, p: usize, why: String) -> Doubtful {
        if let Some(isolated) = self.isolated() {
            return Doubtful { why: format!("{why}; {isolated}"), fence: Vec::new() };
        }
        let name = &self.peers[p].name;
        let device = self.settings.fences.iter().any(|fence| fence.node == *name);
        let group = &self.groups[g];
        let asks = self.peers[p].stuck.contains(&group.id) && self.asks_for_fence(p, g);
        let fenced = asks || group.settings.requires == Requires::Fencing;
        let cannot = match (fenced, self.unfenceable(p)) {
            (true, None) => {
                return Doubtful { why: format!("{why}; {}", self.fencing_of(p)), fence: vec![p] };
            }
            (true, Some(cannot)) => format!("{cannot}; "),
            _ if device => format!("hbctl fence {name}; or "),
            _ => String::new(),
        };
        let why = format!("{why}; {cannot}make sure that {name} is down, then: hbctl fence-ack {name}");
        Doubtful { why, fence: Vec::new() }
    }
}
