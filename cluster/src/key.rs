//! The key of a group on the witness: taken before anything is started, kept while anything runs, given back when all
//! is stopped.

use std::time::Duration;

use crate::core::Core;
use crate::group::{Group, Local};
use crate::io::{WitnessAnswer, WitnessAsk, WitnessId};
use crate::settings::{Requires, WitnessSettings};
use crate::time::Time;
use crate::timer::Timer;
use crate::witness::Witness;

/// What this node knows of the key of a group.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// It is this node's, tied to its present lease, under this epoch.
    pub held: Option<u64>,
    /// The highest epoch it was asked for, if it is not certain that the key is not this node's.
    pub asked: Option<u64>,
    /// To be taken under this epoch, for the group to be started.
    pub wanted: Option<u64>,
    /// The request under way.
    pub ask: Option<Ask>,
    /// The next request is not made before this.
    pub not_before: Time,
    /// It was to be given back at the end of a stop, and that was tried.
    pub parted: bool,
    /// Another node has it, as the witness said last.
    pub other: Option<Other>,
    /// Another node has it: nothing of the group may run here.
    pub denied: bool,
    /// Nothing of the group runs here, as was found or done in this life.
    pub clean: bool,
    /// For what a predecessor may have left running: until when the witness is waited for.
    pub grace: Option<Time>,
    /// The first message that tells of the present ownership.
    pub said_from: u64,
    /// What runs here goes on because the peers wait, not by the lease; to be said once.
    pub by_peers: bool,
    /// It was said that something runs past its lease.
    pub shouted: bool,
}

/// A request about a key.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    id: WitnessId,
    epoch: u64,
    /// Of this node, at that time.
    lease: u64,
    take: bool,
}

/// Another node's key.
#[derive(Clone, Debug)]
pub struct Other {
    /// Whose.
    pub by: String,
    /// Under which epoch.
    pub epoch: u64,
    /// When the witness said so.
    pub seen: Time,
    /// How long it would live from then on.
    pub left: Option<Duration>,
}

impl Core {
    /// Whether group `g` needs no key, or it is this node's under `epoch` and can be relied on; if not, it is asked for.
    pub(crate) fn key_is_here(&mut self, g: usize, epoch: u64) -> bool {
        if self.key_ready(g, epoch) {
            return true;
        }
        self.groups[g].key.wanted = Some(epoch);
        self.groups[g].hold = Some(self.why_no_key(g));
        false
    }

    /// Whether group `g` needs no key, or it is this node's under `epoch` and can be relied on.
    pub(crate) fn key_ready(&self, g: usize, epoch: u64) -> bool {
        let group = &self.groups[g];
        group.settings.requires != Requires::Witness || group.key.held == Some(epoch) && self.lease_good()
    }

    fn why_no_key(&self, g: usize) -> String {
        if self.settings.witness.is_none() {
            return "requires = witness, and there is no [witness] in the configuration".to_owned();
        }
        if !self.lease_good() {
            return self.why_no_lease();
        }
        match &self.groups[g].key.other {
            Some(other) => {
                let left = other.left.map(|left| left.saturating_sub(self.now.since(other.seen)));
                let left = left.map(|left| format!(" for {} ms more at most", left.as_millis()));
                let left = left.unwrap_or_default();
                format!("{} has its key on the witness{left}, epoch {}", other.by, other.epoch)
            }
            None => "its key is asked of the witness".to_owned(),
        }
    }

    /// Why this node has no lease that can be relied on.
    pub(crate) fn why_no_lease(&self) -> String {
        let error = self.witness.error.as_deref().unwrap_or("it has not answered yet");
        format!("this node has no lease on the witness: {error}")
    }

    /// Asks for the key of a group that this node runs or is to start, and gives back one that it does not need.
    pub(crate) fn settle_key(&mut self, g: usize) {
        let key = &self.groups[g].key;
        if key.ask.is_some() || self.now < key.not_before {
            return;
        }
        let needed =
            if self.groups[g].settings.requires == Requires::Witness { self.key_needed(g) } else { None };
        let key = &self.groups[g].key;
        match needed {
            Some(epoch) if key.held != Some(epoch) && self.witness.lease.is_some() => self.take_key(g, epoch),
            None if key.asked.is_some() && self.groups[g].local == Local::Stopped => self.give_key_back(g),
            _ => {}
        }
    }

    /// The epoch under which this node needs the key now.
    fn key_needed(&self, g: usize) -> Option<u64> {
        let group = &self.groups[g];
        let runs = match group.local {
            Local::Unknown | Local::Stopped => return group.key.wanted,
            Local::Probing | Local::Leftover => group.mine.is_some(),
            Local::Stopping(_) => group.next_op().is_some(),
            Local::Starting | Local::Started | Local::Recovering(_) | Local::Blocked => true,
        };
        // What was found running goes on under a new epoch.
        let claimed = group.mine.filter(|_| group.held() && !group.adopted);
        let epoch = claimed.unwrap_or(group.known + 1);
        (runs && !group.key.denied && (claimed.is_some() || self.epoch_kept(g, epoch))).then_some(epoch)
    }

    fn take_key(&mut self, g: usize, epoch: u64) {
        let (group, life) = (self.groups[g].settings.name.clone(), self.boot);
        let id = self.ask_witness(WitnessAsk::Take { group, epoch, life });
        let key = &mut self.groups[g].key;
        key.asked = key.asked.max(Some(epoch));
        key.ask = Some(Ask { id, epoch, lease: self.witness.leases, take: true });
    }

    fn give_key_back(&mut self, g: usize) {
        let group = self.groups[g].settings.name.clone();
        let epoch = self.groups[g].key.asked.unwrap_or_default();
        let id = self.ask_witness(WitnessAsk::Release { group, epoch });
        self.groups[g].key.held = None;
        self.groups[g].key.ask = Some(Ask { id, epoch, lease: self.witness.leases, take: false });
    }

    /// All of a group is stopped here: the key is given back before anybody is told, so that the heir finds it free.
    /// False while that is under way. A witness that does not take it back is not waited for: the key ends with the lease, or
    /// is given back later.
    pub(crate) fn key_is_given_back(&mut self, g: usize) -> bool {
        let key = &self.groups[g].key;
        if self.settings.witness.is_none() || key.asked.is_none() {
            return true;
        }
        if key.ask.is_some() {
            return false;
        }
        if key.parted {
            return true;
        }
        self.give_key_back(g);
        self.groups[g].key.parted = true;
        false
    }

    /// The witness has answered a request about a key.
    pub(crate) fn key_answered(&mut self, id: WitnessId, answer: WitnessAnswer) {
        let of = |ask: &Option<Ask>| ask.filter(|ask| ask.id == id);
        let mut all = self.groups.iter().enumerate();
        let Some((g, ask)) = all.find_map(|(g, group)| Some((g, of(&group.key.ask)?))) else {
            return;
        };
        self.groups[g].key.ask = None;
        self.changes += 1;
        match answer {
            WitnessAnswer::Taken if ask.take && ask.lease == self.witness.leases => {
                let key = &mut self.groups[g].key;
                key.held = Some(ask.epoch);
                key.other = None;
            }
            WitnessAnswer::Held { by, epoch, left } if ask.take => self.key_is_held(g, by, epoch, left),
            WitnessAnswer::Outdated { epoch } if ask.take => self.epoch_is_outdated(g, epoch),
            WitnessAnswer::Released if !ask.take => self.groups[g].key.asked = None,
            WitnessAnswer::Taken | WitnessAnswer::LeaseGone | WitnessAnswer::Failed(_) => {
                self.ask_again_later(g)
            }
            other => {
                let why = format!("it answered {other:?} to a request about a key");
                self.witness.error = Some(why);
                self.ask_again_later(g);
            }
        }
    }

    /// A request about a key under way was made with a lease that was replaced since.
    pub(crate) fn is_about_an_older_lease(&self, id: WitnessId) -> bool {
        let mut asks = self.groups.iter().filter_map(|group| group.key.ask);
        asks.any(|ask| ask.id == id && ask.lease != self.witness.leases)
    }

    fn ask_again_later(&mut self, g: usize) {
        let pause = self.settings.witness.map(|settings| Witness::pause(&settings));
        self.groups[g].key.not_before = self.now + pause.unwrap_or_default();
    }

    fn key_is_held(&mut self, g: usize, by: String, epoch: u64, left: Option<Duration>) {
        let seen = self.now;
        self.ask_again_later(g);
        let group = &mut self.groups[g];
        group.known = group.known.max(epoch);
        group.key.held = None;
        group.key.other = Some(Other { by, epoch, seen, left });
        group.key.denied = group.local != Local::Stopped;
    }

    /// The epoch asked for is used up, by whomever. What runs here goes on, if it may, under a new one.
    fn epoch_is_outdated(&mut self, g: usize, epoch: u64) {
        let group = &mut self.groups[g];
        group.known = group.known.max(epoch);
        group.key.held = None;
        group.adopted |= matches!(group.local, Local::Starting | Local::Started | Local::Recovering(_));
        self.news = true;
    }

    pub(crate) fn each_key_timer(
        &self,
        g: usize,
        settings: &WitnessSettings,
        each: &mut impl FnMut(Timer, Time),
    ) {
        let key = &self.groups[g].key;
        if key.ask.is_none() && (key.asked.is_some() || key.wanted.is_some() || self.may_run(g)) {
            each(Timer::Key, key.not_before);
        }
        if self.may_run(g) {
            let until = self.good_until(g);
            each(Timer::LeaseEnds, until - settings.stopping());
            each(Timer::LeaseEnds, until);
        } else if key.wanted.is_some() || self.groups[g].hold.is_some() {
            for until in self.peers.iter().filter_map(|peer| self.may_go_on_until(peer)) {
                each(Timer::OthersWait, until);
            }
        }
    }
}

impl Group {
    /// Its state here has become another one, which is told from message `next` on.
    pub(crate) fn note_for_the_witness(&mut self, from: Local, next: u64) {
        let held_before = !matches!(from, Local::Unknown | Local::Probing | Local::Leftover | Local::Stopped);
        if !held_before && self.held() {
            self.key.said_from = next;
        }
        self.key.parted &= matches!(self.local, Local::Stopping(_)) && from.word() == self.local.word();
        match self.local {
            Local::Stopped => {
                self.key.clean = true;
                self.key.grace = None;
                self.key.denied = false;
                self.key.by_peers = false;
                self.key.shouted = false;
            }
            Local::Unknown | Local::Probing => {}
            _ => self.key.clean = false,
        }
    }
}
