//! Every deadline the core waits for: one table, each with its sentence.

use std::fmt;

use crate::core::Core;
use crate::group::{Group, Local};
use crate::keep::DISK_WAIT;
use crate::life::Phase;
use crate::peer::Peer;
use crate::settings::Failback;
use crate::time::Time;

/// What the core may be waiting for. Deadlines are derived from the state each time they are
/// asked for ([`crate::Core::deadline`]), so none can be forgotten or left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The next heartbeat is due.
    Keepalive,
    /// A peer's silence reaches deadtime.
    PeerDead,
    /// A link's silence reaches deadtime.
    LinkDown,
    /// The wait for peers never heard is over.
    InitDead,
    /// The address leases must be renewed, and what was removed put back.
    LeaseRenew,
    /// The doubt after a late wake is over without news.
    DoubtEnds,
    /// The wait for a peer that may want or have a group and has not said so is over.
    JoinWait,
    /// The preferred node has been up for long enough.
    Failback,
    /// A resource that runs is to be looked at.
    Monitor,
    /// A resource that failed is to be started again.
    Restart,
    /// A failure will no longer count.
    Forgive,
    /// A peer that was asked for its configuration has been waited for long enough.
    Compare,
    /// The static delay before a node is fenced is over.
    FenceDelay,
    /// A fencing that failed is to be tried again.
    FenceRetry,
    /// The lease on the witness is to be renewed.
    Renew,
    /// A lease on the witness is so near its end that what depends on it must be stopped, or has ended.
    LeaseEnds,
    /// The witness is to be asked again for a group's key, or to take one back.
    Key,
    /// A silent peer may run a group without the witness until then.
    OthersWait,
    /// A peer has seen more ping points than this node for long enough.
    PingHandover,
    /// The interface of a group's address has carried nothing for long enough.
    LinkHandover,
    /// The disk has been waited for long enough.
    DiskWait,
    /// The disk is to be tried again.
    DiskRetry,
    /// The next word of farewell is due.
    Farewell,
    /// The heir of a leaving node has been waited for long enough.
    LeaveBound,
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timer::Keepalive => "the next heartbeat",
            Timer::PeerDead => "a silent peer to be declared dead",
            Timer::LinkDown => "a silent link to be declared down",
            Timer::InitDead => "the end of initdead",
            Timer::LeaseRenew => "the next look at the addresses' lifetimes",
            Timer::DoubtEnds => "the end of the doubt after a late wake",
            Timer::JoinWait => "a peer to say what it has",
            Timer::Failback => "the preferred node to be up long enough",
            Timer::Monitor => "the next look at a resource",
            Timer::Restart => "the end of the pause before a restart",
            Timer::Forgive => "a failure that will no longer count",
            Timer::Compare => "a peer to tell its configuration",
            Timer::FenceDelay => "the delay before a node is fenced",
            Timer::FenceRetry => "the next attempt to fence a node",
            Timer::Renew => "the next renewal of the lease on the witness",
            Timer::LeaseEnds => "a lease on the witness to end",
            Timer::Key => "the next request for a key on the witness",
            Timer::OthersWait => "a silent peer to have stopped what it ran without the witness",
            Timer::PingHandover => "a peer to see more ping points for long enough",
            Timer::LinkHandover => "an interface to be without a carrier for long enough",
            Timer::DiskWait => "the disk to keep the epoch",
            Timer::DiskRetry => "the next attempt to write the state",
            Timer::Farewell => "the next word of farewell",
            Timer::LeaveBound => "the heir to take what was given",
        })
    }
}

impl Core {
    pub(crate) fn each_timer(&self, mut each: impl FnMut(Timer, Time)) {
        match self.phase {
            Phase::Booting => return each(Timer::DiskWait, self.phase_since + DISK_WAIT),
            Phase::Left { next, .. } => return each(Timer::Farewell, next),
            Phase::Gone => return,
            Phase::Joining => each(Timer::InitDead, self.phase_since + self.settings.initdead),
            Phase::Leaving { since } => each(Timer::LeaveBound, since + self.leave_bound()),
            Phase::Up => {}
        }
        each(Timer::Keepalive, self.next_keepalive);
        if let Some(at) = self.disk_retry {
            each(Timer::DiskRetry, at);
        }
        if let Some(at) = self.comparison_until() {
            each(Timer::Compare, at);
        }
        for peer in &self.peers {
            if let (true, false, Some(heard)) = (peer.live(), self.draining, peer.silent_from) {
                each(Timer::PeerDead, heard + self.settings.deadtime);
            }
            for link in peer.links.iter().filter(|link| link.up) {
                if let Some(heard) = link.silent_from {
                    each(Timer::LinkDown, heard + self.settings.deadtime);
                }
            }
        }
        if let Some(doubt) = self.doubt {
            each(Timer::DoubtEnds, doubt.until);
        } else if !self.maintenance.on && self.groups.iter().any(|group| self.kept_alive(group)) {
            each(Timer::LeaseRenew, self.next_renew);
        }
        self.each_fence_timer(&mut each);
        self.each_witness_timer(&mut each);
        self.each_ping_timer(&mut each);
        for (g, group) in self.groups.iter().enumerate() {
            self.each_timer_of(g, group, &mut each);
            self.each_timer_of_care(g, &mut each);
        }
    }

    fn each_timer_of(&self, g: usize, group: &Group, each: &mut impl FnMut(Timer, Time)) {
        if let Some((_, since)) = group.disk_wait {
            each(Timer::DiskWait, since + DISK_WAIT);
        }
        if group.local == Local::Stopped && self.phase == Phase::Up {
            let awaited = |peer: &&Peer| {
                peer.joining() || peer.live() && (peer.report(group.id).is_none() || self.lags(peer, group))
            };
            for peer in self.peers.iter().filter(awaited) {
                let at = self.patience_with(peer, group);
                if at > self.now {
                    each(Timer::JoinWait, at);
                }
            }
        }
        if let Some((_, at)) = self.link_handover(g) {
            each(Timer::LinkHandover, at);
        }
        if let Some(at) = self.failback_due(group).filter(|&at| at > self.now) {
            each(Timer::Failback, at);
        }
    }

    fn each_timer_of_care(&self, g: usize, each: &mut impl FnMut(Timer, Time)) {
        let group = &self.groups[g];
        if self.is_looked_after(g) {
            let waiting =
                group.resources.iter().filter(|r| r.settings.monitor.is_some() && r.care.look.is_none());
            waiting.filter_map(|resource| resource.care.next).for_each(|at| each(Timer::Monitor, at));
        }
        if let Local::Recovering(recovery) = group.local {
            each(Timer::Restart, recovery.not_before);
        }
        if group.failing {
            let resources = group.resources.iter().filter_map(|resource| resource.failures_expire());
            resources.chain(group.rests_until).for_each(|at| each(Timer::Forgive, at));
        }
    }

    /// Notes since when the preferred node of each group could have it: what comes and goes starts anew.
    pub(crate) fn weigh_homes(&mut self) {
        for g in 0..self.groups.len() {
            let group = &self.groups[g];
            let (fit, since) = (self.home_is_fit(group), group.home_fit.unwrap_or(self.now));
            self.groups[g].home_fit = fit.then_some(since);
        }
    }

    /// The preferred node of a group, another one, could have it now and sees no less of the outside.
    pub(crate) fn home_is_fit(&self, group: &Group) -> bool {
        let home = group.settings.preferred.as_deref();
        let fit = |p: &Peer| home == Some(&*p.name) && p.able(group.id) && !self.sees_more_than(p);
        self.peers.iter().any(fit)
    }

    /// When the preferred node of a group owned here will have been able to have it for long enough.
    pub(crate) fn failback_due(&self, group: &Group) -> Option<Time> {
        let Failback::On { after, window } = self.settings.failback else {
            return None;
        };
        if group.local != Local::Started || group.stay || (window && !self.window_open) {
            return None;
        }
        let home = group.settings.preferred.as_deref()?;
        let peer = self.peers.iter().find(|peer| peer.name == home)?;
        let due = peer.since.max(group.home_fit?) + after;
        Some(self.damped_until(group).map_or(due, |damped| damped.max(due)))
    }
}
