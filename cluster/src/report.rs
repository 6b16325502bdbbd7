//! What this node says: to its peers in a message, to people in the status.

use std::time::Duration;

use std::collections::BTreeMap;

use proto::{Echo, GroupReport, GroupState, Message, Order, OrderAck};

use crate::core::Core;
use crate::ground::CALM;
use crate::group::{Group, Local};
use crate::life::Phase;
use crate::peer::{Peer, PeerState, holding};
use crate::recover::TAKES;
use crate::settings::{Failback, Requires};
use crate::standby::StandbyState;
use crate::status::{FencingStatus, GroupStatus, LinkStatus, NodeStatus, ResourceStatus, Status};
use crate::time::Time;

/// Orders and answers that travel in one message; more wait their turn.
const MAX_ORDERS: usize = 8;
/// How long the status speaks of a message under our own name.
const NAMESAKE: Duration = Duration::from_secs(60);

impl Core {
    /// The statement of this node's state, as of now.
    pub(crate) fn message(&self) -> Message {
        let (config_page, config_entries) = self.config_page().unzip();
        let config_entries = config_entries.unwrap_or_default();
        Message {
            from: self.settings.me.clone(),
            incarnation: self.incarnation,
            boot: self.boot,
            sequence: self.sequence,
            state: self.node_state(),
            standby: self.standby == StandbyState::On,
            maintenance: self.maintenance,
            config_digest: self.settings.config_digest,
            echoes: self.echoes(),
            pings_seen: self.pings.0,
            pings_total: self.pings.1,
            groups: (0..self.groups.len()).filter_map(|g| self.group_report(g)).collect(),
            orders: self.orders.iter().take(MAX_ORDERS).map(order).collect(),
            config_ask: self.config_ask(),
            config_page,
            config_entries,
            acks: self.verdicts.iter().take(MAX_ORDERS).map(ack).collect(),
        }
    }

    /// What this node knows of the others: first those it hears, then the lives that have not proven themselves.
    fn echoes(&self) -> Vec<Echo> {
        let echo = |peer: &Peer, boot, links, heard| Echo {
            node: peer.id,
            boot,
            incarnation: peer.newest,
            links,
            heard,
        };
        let witness = self.settings.witness.is_some();
        let heard = self.peers.iter().filter_map(|peer| {
            let up = peer.links.iter().enumerate().filter(|(_, link)| link.up);
            let links = up.fold(0, |set, (l, _)| set | 1 << l);
            let session = peer.session.as_ref()?;
            Some(echo(
                peer,
                session.boot,
                links,
                if witness { u32::try_from(session.highest).unwrap_or(0) } else { 0 },
            ))
        });
        let unproven = self
            .peers
            .iter()
            .flat_map(|peer| peer.strangers.iter().map(move |stranger| echo(peer, stranger.boot, 0, 0)));
        heard.chain(unproven).take(proto::MAX_ECHOES).collect()
    }

    fn group_report(&self, g: usize) -> Option<GroupReport> {
        let group = &self.groups[g];
        let state = group.wire_state()?;
        let epoch = match group.release {
            Some(release) if state == GroupState::Released => release.epoch,
            _ if holding(state) => group.mine.unwrap_or(0),
            _ => group.known,
        };
        Some(GroupReport {
            id: group.id,
            state,
            epoch,
            failures: u16::try_from(group.failures()).unwrap_or(u16::MAX),
            able: self.able(g) && !self.maintenance.on && self.doubt.is_none(),
            failed: group.failed,
            declined: group.declined >= epoch,
            to: group.release.map(|release| release.to).filter(|_| state == GroupState::Released),
            fence: (state == GroupState::Blocked).then_some(group.fence_me),
            wrong: group.wrong,
        })
    }

    /// The picture of the cluster as this node sees it.
    pub fn status(&self, now: Time) -> Status {
        let state = match self.phase {
            Phase::Booting | Phase::Joining => "joining",
            Phase::Up => "up",
            Phase::Leaving { .. } | Phase::Left { .. } | Phase::Gone => "leaving",
        };
        Status {
            cluster: self.settings.cluster.clone(),
            node: self.settings.me.clone(),
            standby: self.standby == StandbyState::On,
            maintenance: self.maintenance.on,
            state: state.to_owned(),
            nodes: self.peers.iter().map(|peer| self.node_status(peer, now)).collect(),
            groups: self.groups.iter().map(|group| self.group_status(group, now)).collect(),
            fencing: self.fencing_status(now),
            witness: self.witness_status(now),
            degraded: self.degraded(now),
            rejected: self.rejected.clone(),
        }
    }

    fn fencing_status(&self, now: Time) -> Vec<FencingStatus> {
        let of = |fence: &crate::settings::FenceSettings| {
            let peer = self.peers.iter().find(|peer| peer.name == fence.node)?;
            let last = peer.fencing.last.as_ref();
            Some(FencingStatus {
                node: peer.name.clone(),
                state: peer.fencing.phase.word().to_owned(),
                failures: peer.fencing.failures,
                confirmed: last.map(|(_, said)| said.is_ok()),
                said: last.map(|(_, said)| said.clone().unwrap_or_else(|why| why)),
                ended_ms: last.map(|(at, _)| millis(now, *at)),
            })
        };
        self.settings.fences.iter().filter_map(of).collect()
    }

    fn node_status(&self, peer: &Peer, now: Time) -> NodeStatus {
        let nothing = BTreeMap::new();
        let link = |(l, (name, link)): (usize, (&String, &crate::peer::PeerLink))| LinkStatus {
            name: name.clone(),
            state: if link.up { "up" } else { "down" }.to_owned(),
            last_heard_ms: link.heard.map(|heard| millis(now, heard)),
            heard_by_peer: link.heard_by_peer && peer.live(),
            received: link.received,
            gaps: link.gaps.summary(),
            late: link.late,
            lost: link.lost,
            duplicate: link.duplicate,
            rejected: self.rejected_on.get(l).unwrap_or(&nothing).clone(),
        };
        NodeStatus {
            name: peer.name.clone(),
            state: peer.state.word().to_owned(),
            last_heard_ms: peer.heard.map(|heard| millis(now, heard)),
            standby: peer.standby(),
            late: peer.late,
            gaps: peer.gaps.summary(),
            incarnation: peer.newest,
            pings: peer.view.as_ref().map_or((0, 0), |view| view.pings),
            links: self.settings.links.iter().zip(&peer.links).enumerate().map(link).collect(),
        }
    }

    /// Who owns a group, as far as this node knows: its name, its word for the state, the epoch.
    fn owner_of(&self, group: &Group) -> Option<(&str, GroupState, u64)> {
        let here = group.wire_state().filter(|_| group.held());
        let here = here.map(|state| (self.settings.me.as_str(), state, group.mine.unwrap_or(0)));
        let there = self.peers.iter().filter_map(|peer| {
            let epoch = peer.holds(group.id)?;
            Some((peer.name.as_str(), peer.report(group.id)?.state, epoch))
        });
        // As in a dispute: of two with the same epoch, the lower name.
        here.into_iter().chain(there).max_by_key(|(name, _, epoch)| (*epoch, std::cmp::Reverse(*name)))
    }

    pub(crate) fn group_status(&self, group: &Group, now: Time) -> GroupStatus {
        let owner = self.owner_of(group);
        let state = match owner {
            Some((_, GroupState::Starting, _)) => "starting",
            Some((_, GroupState::Started, _)) => "started",
            Some((_, GroupState::Stopping, _)) => "stopping",
            Some((_, GroupState::Blocked, _)) => "blocked",
            _ if group.hold.is_some() => "blocked",
            _ if group.failed => "failed",
            _ => "stopped",
        };
        let elsewhere = owner.is_some_and(|(name, _, _)| name != self.settings.me);
        let resource = |resource: &crate::group::Resource| ResourceStatus {
            name: resource.settings.name.clone(),
            state: if elsewhere && !group.held() { state } else { resource.state.word() }.to_owned(),
            failures: resource.failures,
            last_error: resource.last_error.clone(),
        };
        GroupStatus {
            name: group.settings.name.clone(),
            state: state.to_owned(),
            owner: owner.map(|(name, _, _)| name.to_owned()),
            preferred: group.settings.preferred.clone(),
            epoch: owner.map_or(group.known, |(_, _, epoch)| epoch),
            requires: requires_word(group.settings.requires).to_owned(),
            resources: group.resources.iter().map(resource).collect(),
            why: match owner {
                Some((name, state, epoch)) if elsewhere && !group.held() => {
                    format!("{} on {name}, epoch {epoch}", format!("{state:?}").to_lowercase())
                }
                _ => group.hold.clone().unwrap_or_else(|| group.why.clone()),
            },
            since_ms: millis(now, group.since),
        }
    }

    fn degraded(&self, now: Time) -> Vec<String> {
        let mut all = Vec::new();
        if self.maintenance.on {
            all.push("maintenance is on: nothing is started, stopped or moved".to_owned());
        }
        match self.standby {
            StandbyState::Off => {}
            StandbyState::Going => all.push(format!(
                "this node, {}, is going on standby: it hands its groups over",
                self.settings.me
            )),
            StandbyState::On => {
                all.push(format!("this node, {}, is on standby: it takes no group", self.settings.me))
            }
        }
        if self.doubt.is_some() {
            all.push(
                "this process was away for longer than the others may wait; it is looking before it acts"
                    .to_owned(),
            );
        }
        if let Some(error) = &self.disk_error {
            all.push(format!("the state cannot be written: {error}"));
        }
        if self.pings.0 < self.pings.1 {
            all.push(format!("{} of {} ping points answer this node", self.pings.0, self.pings.1));
        }
        if self.namesake.is_some_and(|heard| now.since(heard) < NAMESAKE) {
            all.push(format!(
                "another machine calls itself {} too, or old messages of this one are sent again",
                self.settings.me
            ));
        }
        self.degraded_witness(now, &mut all);
        for peer in &self.peers {
            self.degraded_peer(peer, now, &mut all);
        }
        for (g, group) in self.groups.iter().enumerate() {
            self.degraded_group(group, &mut all);
            all.extend(self.patient(g));
        }
        all
    }

    fn degraded_peer(&self, peer: &Peer, now: Time, all: &mut Vec<String>) {
        let name = &peer.name;
        let since = millis(now, peer.since) / 1000;
        match peer.state {
            PeerState::Init => all.push(format!("{name} has not been heard yet")),
            PeerState::Dead => {
                let down = peer.confirmed.as_ref().map(|down| format!(", confirmed by {}", down.by()));
                let down = down.unwrap_or_default();
                all.push(format!("{name} has been dead for {since} s{down}: no takeover is possible"))
            }
            PeerState::Left => all.push(format!("{name} left {since} s ago: no takeover is possible")),
            PeerState::Up if peer.standby() => {
                all.push(format!("{name} is on standby: no takeover is possible"))
            }
            PeerState::Up => {}
        }
        if !peer.live() {
            return;
        }
        for (link, at) in self.settings.links.iter().zip(&peer.links) {
            match (at.up, at.heard_by_peer) {
                (false, false) => all.push(format!("link {link} to {name} is down")),
                (false, true) => all.push(format!("link {link}: {name} hears us, we do not hear it")),
                (true, false) => all.push(format!("link {link}: we hear {name}, it does not hear us")),
                (true, true) => {}
            }
        }
        if peer.view.as_ref().is_some_and(|view| view.digest != self.settings.config_digest) {
            all.push(format!("the configuration of {name} differs from this node's"));
        }
    }

    fn degraded_group(&self, group: &Group, all: &mut Vec<String>) {
        let name = &group.settings.name;
        if group.local == Local::Blocked && group.fence_me {
            all.push(format!(
                "{name} is blocked here: {}; this node waits to be fenced by the other one; or mend it, then: hbctl \
                 cleanup {name}",
                group.why
            ));
        } else if group.local == Local::Blocked {
            all.push(format!("{name} is blocked here: {}; mend it, then: hbctl cleanup {name}", group.why));
        } else if let Some(hold) = &group.hold {
            all.push(format!("{name} is not started: {hold}"));
        }
        self.degraded_ground(group, all);
        self.degraded_resources(group, all);
        if group.failed {
            let error =
                group.resources.iter().find_map(|r| r.last_error.as_ref().map(|e| (&r.settings.name, e)));
            let what = error.map(|(resource, error)| format!(" ({resource}: {error})")).unwrap_or_default();
            let how = if group.proven { "failed here" } else { "failed to start here" };
            all.push(format!("{name} {how}{what}; mend it, then: hbctl cleanup {name}"));
        }
        if group.disputed {
            all.push(format!("{name} has two owners; the other one must stop"));
        }
        for peer in self.peers.iter().filter(|peer| peer.live()) {
            match peer.report(group.id) {
                Some(report) if report.wrong => {
                    all.push(format!(
                        "{name} failed on {}, and cannot work on any node as it is configured",
                        peer.name
                    ));
                }
                Some(report) if report.failed => all.push(format!("{name} failed on {}", peer.name)),
                Some(report) if report.state == GroupState::Blocked && report.fence == Some(true) => {
                    all.push(format!("{name} is blocked on {}, which waits to be fenced", peer.name));
                }
                Some(report) if report.state == GroupState::Blocked => {
                    all.push(format!(
                        "{name} is blocked on {}: an operator has to look at it there",
                        peer.name
                    ));
                }
                _ => {}
            }
        }
    }

    /// Interfaces that carry nothing, and addresses that somebody else has set.
    fn degraded_ground(&self, group: &Group, all: &mut Vec<String>) {
        let name = &group.settings.name;
        if let Some((_, why)) = group.cut_off.as_ref().filter(|_| group.hold.is_none()) {
            let what = if group.held() { "has it all the same" } else { "cannot take it" };
            all.push(format!("{name}: {why}, so this node {what}"));
        }
        let strange = crate::ground::strangers(group, &self.ground).count();
        if strange > 0 && group.local == Local::Stopped {
            let what = if strange == 1 { "an address".to_owned() } else { format!("{strange} addresses") };
            all.push(format!(
                "{what} of {name} set here by somebody else: left alone while no other node has {name}"
            ));
        }
    }

    /// Resources of a group that has not failed, and yet not all is well.
    fn degraded_resources(&self, group: &Group, all: &mut Vec<String>) {
        if group.failed || !group.held() {
            return;
        }
        for resource in group.resources.iter().filter(|resource| resource.failures > 0) {
            let (name, resource_name) = (&group.settings.name, &resource.settings.name);
            let error = resource.last_error.as_deref().unwrap_or("no reason given");
            all.push(if resource.given_up() {
                format!(
                    "{resource_name} of {name} has failed and is left alone: {error}; mend it, then: hbctl cleanup {name}"
                )
            } else {
                format!("{resource_name} of {name} failed here, {} so far: {error}", times(resource.failures))
            });
        }
        if group.cut_off.is_some() && group.local == Local::Started && self.damped_until(group).is_some() {
            all.push(format!(
                "{} was taken here {TAKES} times within an hour: it leaves an interface without a link only after {} s",
                group.settings.name,
                CALM.as_secs()
            ));
        }
        if let Some(until) = self.damped_until(group).filter(|_| self.settings.failback != Failback::Off) {
            all.push(format!(
                "{} was taken here {TAKES} times within an hour: it goes home by itself in {} min at the earliest",
                group.settings.name,
                millis(until, self.now) / 60_000 + 1
            ));
        }
    }
}

fn order(order: &crate::command::SentOrder) -> Order {
    Order { id: order.id, target: order.target, kind: order.kind, by: order.by.clone() }
}

fn ack(verdict: &crate::command::Verdict) -> OrderAck {
    OrderAck { issuer: verdict.issuer, id: verdict.id, refused: verdict.refused.clone() }
}

fn requires_word(requires: Requires) -> &'static str {
    match requires {
        Requires::Nothing => "nothing",
        Requires::Fencing => "fencing",
        Requires::Witness => "witness",
    }
}

pub(crate) fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Milliseconds from `earlier` to `later`.
pub(crate) fn millis(later: Time, earlier: Time) -> u64 {
    u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX)
}
