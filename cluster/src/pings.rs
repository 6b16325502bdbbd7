//! Points outside that tell "my cable" from "my peer". They break ties and are never a vote.

use std::time::Duration;

use proto::GroupState;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local};
use crate::peer::Peer;
use crate::recover::{HOUR, TAKES};
use crate::time::Time;
use crate::timer::Timer;

impl Core {
    /// How many of the ping points answer has changed.
    pub(crate) fn pings_changed(&mut self, seen: u8, total: u8) {
        if self.pings == (seen, total) {
            return;
        }
        let (before, me) = (self.pings, self.settings.me.clone());
        self.pings = (seen, total);
        self.news = true;
        self.changes += 1;
        let level = if seen < total { Level::Warn } else { Level::Info };
        let (from, to) = (format!("{} of {}", before.0, before.1), format!("{seen} of {total}"));
        self.event(level, "ping", &me, Some(&from), Some(&to), "ping points that answer".to_owned());
        self.compare_pings();
    }

    /// Notes since when each peer has seen more than this node.
    pub(crate) fn compare_pings(&mut self) {
        for p in 0..self.peers.len() {
            let more = self.sees_less(&self.peers[p]);
            let since = self.peers[p].sees_more_since;
            self.peers[p].sees_more_since = more.then(|| since.unwrap_or(self.now));
        }
    }

    /// Why this node is probably the one that is cut off, if so.
    pub(crate) fn isolated(&self) -> Option<String> {
        let (seen, total) = self.pings;
        (total > 0 && seen == 0).then(|| {
            format!(
                "none of the {total} ping points answers this node: it may be this node that is cut off, so it takes nothing"
            )
        })
    }

    /// A live peer sees more of the outside than this node.
    pub(crate) fn sees_less(&self, peer: &Peer) -> bool {
        let theirs = peer.view.as_ref().map_or(0, |view| view.pings.0);
        peer.live() && self.pings.1 > 0 && theirs > self.pings.0
    }

    /// This node sees more of the outside than a peer.
    pub(crate) fn sees_more_than(&self, peer: &Peer) -> bool {
        peer.view.as_ref().is_some_and(|view| view.pings.1 > 0 && view.pings.0 < self.pings.0)
    }

    /// When a peer that would take a group owned here has seen more than this node for long enough. Two nodes do not
    /// notice the end of a point at the same moment, so a deadtime passes first; into a tie nothing goes.
    pub(crate) fn ping_handover(&self, g: usize) -> Option<(usize, Time)> {
        let group = &self.groups[g];
        if group.local != Local::Started {
            return None;
        }
        let settled = |peer: &Peer| {
            peer.able(group.id) && peer.report(group.id).is_some_and(|r| r.state == GroupState::Stopped)
        };
        let better = self.peers.iter().enumerate().filter(|(_, peer)| settled(peer));
        let better = better.filter_map(|(p, peer)| Some((p, peer.sees_more_since?)));
        let seen = |p: usize| self.peers[p].view.as_ref().map_or(0, |view| view.pings.0);
        let (p, since) = better.max_by_key(|(p, since)| (seen(*p), std::cmp::Reverse(*since)))?;
        Some((p, since + self.ping_patience(group)))
    }

    /// How long a peer must see more: longer each time if this node has taken the group again and again within an hour,
    /// so that points that come and go do not move it without end.
    fn ping_patience(&self, group: &Group) -> Duration {
        let again = self.takes_within_the_hour(group).saturating_sub(TAKES - 1);
        let doublings = u32::try_from(again).unwrap_or(u32::MAX).min(16);
        (self.settings.deadtime * (1 << doublings)).min(HOUR)
    }

    /// What to say of a group that goes to a peer for its ping points later than usual.
    pub(crate) fn patient(&self, g: usize) -> Option<String> {
        let (p, at) = self.ping_handover(g)?;
        let (group, takes) = (&self.groups[g], self.takes_within_the_hour(&self.groups[g]));
        (takes >= TAKES && at > self.now).then(|| {
            format!(
                "{} was taken here {takes} times within an hour: {}, which sees more ping points, is to have it in {} s \
                 at the earliest",
                group.settings.name,
                self.peers[p].name,
                at.since(self.now).as_secs() + 1
            )
        })
    }

    pub(crate) fn each_ping_timer(&self, each: &mut impl FnMut(Timer, Time)) {
        for g in 0..self.groups.len() {
            if let Some((_, at)) = self.ping_handover(g) {
                each(Timer::PingHandover, at);
            }
        }
    }
}
