//! The life of this node: joining, being away and coming back, leaving; and who of the others is silent.

use std::time::Duration;

use proto::NodeState;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local, ResourceState};
use crate::io::Action;
use crate::keep::DISK_WAIT;
use crate::peer::{Peer, PeerState};
use crate::time::Time;

/// Longest pause between two words of farewell.
const FAREWELL_PAUSE: Duration = Duration::from_millis(50);
/// Words of farewell said, so that one or two may be lost.
const FAREWELLS: u8 = 3;

/// Where this node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The new incarnation is not on disk yet: nothing is said.
    Booting,
    /// Looking at what runs, listening for the others.
    Joining,
    /// Takes part.
    Up,
    /// Gives everything away.
    Leaving {
        /// Since when.
        since: Time,
    },
    /// Has stopped everything; says so a few times.
    Left {
        /// Words of farewell still to be said.
        left: u8,
        /// When the next is due.
        next: Time,
    },
    /// Left in maintenance with something still running here, and says nothing more: a farewell would say that
    /// nothing does.
    Gone,
}

/// After a late wake: others may have taken over meanwhile, so look first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    /// When the datagrams that had been waiting were read; until then nothing is sent. They are old: only what
    /// comes after them is news.
    pub drained: Option<Time>,
    /// When silence itself is the answer.
    pub until: Time,
}

impl Core {
    /// What this node is, for the others.
    pub(crate) fn node_state(&self) -> NodeState {
        match self.phase {
            Phase::Booting | Phase::Joining => NodeState::Joining,
            Phase::Up => NodeState::Up,
            Phase::Leaving { .. } | Phase::Gone => NodeState::Leaving,
            Phase::Left { .. } => NodeState::Left,
        }
    }

    /// How long a leaving node waits for an heir to take what it was given.
    pub(crate) fn leave_bound(&self) -> Duration {
        self.settings.deadtime * 2
    }

    pub(crate) fn time_passes(&mut self) {
        let deadtime = self.settings.deadtime;
        if self.phase == Phase::Booting && self.now.since(self.phase_since) >= DISK_WAIT {
            self.disk_error.get_or_insert_with(|| "the disk does not answer".to_owned());
            self.set_phase(Phase::Joining, "started without the disk's answer");
        }
        if self
            .peers
            .iter()
            .any(|p| p.live() && p.silent_from.is_some_and(|heard| self.now.since(heard) >= deadtime))
        {
            self.drain();
        }
        for p in 0..self.peers.len() {
            for l in 0..self.peers[p].links.len() {
                let link = &self.peers[p].links[l];
                if link.up && link.silent_from.is_some_and(|heard| self.now.since(heard) >= deadtime) {
                    self.set_link(p, l, false);
                }
            }
        }
        self.end_doubt();
        self.forgive();
        self.end_comparison();
    }

    /// A node has joined when it knows what runs here and has heard or given up each peer.
    pub(crate) fn watch_joining(&mut self) {
        if self.phase != Phase::Joining {
            return;
        }
        if self.now.since(self.phase_since) >= self.settings.initdead {
            for p in 0..self.peers.len() {
                if self.peers[p].state == PeerState::Init {
                    let waited = self.settings.initdead.as_millis();
                    self.set_peer_state(
                        p,
                        PeerState::Dead,
                        format!("never heard within initdead, {waited} ms"),
                    );
                }
            }
        }
        let looked = self.groups.iter().all(|group| !matches!(group.local, Local::Unknown | Local::Probing));
        let heard = self.peers.iter().all(|peer| peer.state != PeerState::Init);
        if looked && heard && self.doubt.is_none() && !self.draining {
            self.set_phase(Phase::Up, "knows what runs here, and who is there");
            self.join_groups();
        }
    }

    /// A loop that was away for so long that the others may have given it up must look before it acts.
    pub(crate) fn notice_late_wake(&mut self) {
        let Some(sent) = self.last_sent else { return };
        let silent = self.now.since(sent);
        if silent < self.settings.deadtime * 3 / 4 || !matches!(self.phase, Phase::Joining | Phase::Up) {
            return;
        }
        let away = silent.saturating_sub(self.settings.keepalive);
        self.doubt = Some(Doubt { drained: None, until: self.now + self.settings.deadtime });
        self.last_sent = Some(self.now); // noticed once; the pause is over
        self.next_keepalive = self.now;
        for peer in &mut self.peers {
            // Nothing could be heard meanwhile: their silence counts from now.
            if peer.live() {
                peer.silent_from = Some(self.now);
            }
            for link in peer.links.iter_mut().filter(|link| link.up) {
                link.silent_from = Some(self.now);
            }
        }
        let me = self.settings.me.clone();
        self.event(
            Level::Warn,
            "node",
            &me,
            None,
            None,
            format!("this process was away for {} ms: looking at the others before acting", away.as_millis()),
        );
        self.drain();
    }

    fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.out.push(Action::Drain);
        }
    }

    pub(crate) fn drained(&mut self) {
        self.draining = false;
        if let Some(doubt) = &mut self.doubt {
            doubt.drained = Some(self.now);
        }
        self.bury_the_silent();
    }

    /// Declares dead who is silent for deadtime; the sockets have just been emptied.
    fn bury_the_silent(&mut self) {
        for i in 0..self.peers.len() {
            let peer = &self.peers[i];
            if let (true, Some(heard)) = (peer.live(), peer.silent_from) {
                let silent = self.now.since(heard);
                if silent >= self.settings.deadtime {
                    self.set_peer_state(
                        i,
                        PeerState::Dead,
                        format!("no heartbeat for {} ms", silent.as_millis()),
                    );
                }
            }
        }
    }

    /// Doubt ends when every peer that was there has been heard again, or has been silent for deadtime.
    fn end_doubt(&mut self) {
        let Some(doubt) = self.doubt else { return };
        let Some(drained) = doubt.drained else { return };
        let heard = |peer: &Peer| !peer.live() || peer.heard.is_some_and(|heard| heard > drained);
        let lonely = !self.peers.iter().any(Peer::live);
        if self.now < doubt.until && (lonely || !self.peers.iter().all(heard)) {
            return;
        }
        self.doubt = None;
        self.next_renew = self.now;
        for group in self.groups.iter_mut().filter(|group| group.local == Local::Started) {
            // Still the owner: see what is left of it, put back what is missing, then announce.
            for resource in &mut group.resources {
                resource.state = ResourceState::Unknown;
            }
            group.check_first = true;
        }
        for g in 0..self.groups.len() {
            if self.groups[g].local == Local::Started {
                self.set_local(
                    g,
                    Local::Starting,
                    "looking at what runs after a pause of this process".to_owned(),
                );
            }
        }
    }

    pub(crate) fn leave(&mut self) {
        match self.phase {
            Phase::Booting => self.out.push(Action::Exit),
            Phase::Joining | Phase::Up => {
                self.set_phase(Phase::Leaving { since: self.now }, "asked to leave");
                self.refuse_all_pending("this node is leaving");
            }
            Phase::Leaving { .. } | Phase::Left { .. } | Phase::Gone => {}
        }
    }

    pub(crate) fn settle_leaving(&mut self) {
        match self.phase {
            Phase::Leaving { since } => {
                let waiting =
                    |group: &Group| group.release.is_some() && self.now.since(since) < self.leave_bound();
                let done = self.groups.iter().all(|group| match group.local {
                    Local::Stopped => !waiting(group),
                    Local::Blocked | Local::Unknown => group.op.is_none(),
                    _ => false,
                });
                if done {
                    self.set_phase(
                        Phase::Left { left: FAREWELLS, next: self.now },
                        "everything here is stopped",
                    );
                    self.settle_leaving();
                } else if self.maintenance.on && self.groups.iter().all(|group| group.op.is_none()) {
                    // What runs goes on running, as if hbd had crashed; the next hbd here finds it.
                    self.set_phase(Phase::Gone, "maintenance is on: what runs here is left as it is");
                    self.out.push(Action::Exit);
                }
            }
            Phase::Left { left, next } if self.now >= next => {
                if left == 0 {
                    self.out.push(Action::Exit);
                }
                let next = self.now + FAREWELL_PAUSE.min(self.settings.keepalive / 2);
                self.phase = Phase::Left { left: left.saturating_sub(1), next };
                self.news = left > 0;
            }
            _ => {}
        }
    }
}
