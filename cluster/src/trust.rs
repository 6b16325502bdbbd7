//! Until when something that requires the witness may go on running here, and from when on it may be started.
//!
//! The lease on the witness is one ground. The other: every other node is a witness too. Each tells in its heartbeats which of
//! ours it has taken in, and whoever does so does not take a group within a ttl after it has heard its owner. So
//! with the witness lost, and every other node heard, nothing need move; with one of them lost too, it is stopped in
//! time. Both count from the sending of what was answered.

use crate::core::Core;
use crate::event::Level;
use crate::group::Local;
use crate::peer::{Peer, PeerState, holding};
use crate::settings::{Requires, WitnessSettings};
use crate::status::{WitnessGroupStatus, WitnessStatus};
use crate::time::Time;

/// Messages whose time of sending is remembered.
const SENT: usize = 128;

impl Core {
    /// Writes down when a message goes out, for the receipts.
    pub(crate) fn note_sent(&mut self) {
        if self.settings.witness.is_none() {
            return;
        }
        self.sent.push_back((self.sequence, self.now));
        if self.sent.len() > SENT {
            self.sent.pop_front();
        }
    }

    /// When a message of ours was sent, if it is one of the last.
    pub(crate) fn sent_at(&self, sequence: u64) -> Option<Time> {
        let (first, _) = *self.sent.front()?;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.sent.get(at).filter(|(this, _)| *this == sequence).map(|(_, at)| *at)
    }

    /// Until when the lease alone lets a group run here.
    fn leased_until(&self, g: usize) -> Option<Time> {
        self.groups[g].key.held.and(self.witness.lease)
    }

    /// Until when none of the other nodes takes a group that runs here, by what each has said. Only what it has taken in since
    /// this ownership was told counts.
    fn others_wait_until(&self, g: usize) -> Option<Time> {
        let settings = self.settings.witness?;
        let group = &self.groups[g];
        let waits = |peer: &Peer| {
            let (sequence, sent) = peer.received?;
            let view = peer.view.as_ref().filter(|view| view.digest == self.settings.config_digest)?;
            let idle = view.groups.get(&group.id).is_some_and(|report| !holding(report.state));
            (peer.live() && idle && sequence >= group.key.said_from)
                .then(|| sent + WitnessSettings::reliable(settings.ttl))
        };
        let mut first = None;
        for peer in &self.peers {
            let until = waits(peer)?;
            first = Some(first.map_or(until, |first: Time| first.min(until)));
        }
        first
    }

    /// Until when it is certain that nobody else starts what runs of a group here.
    pub(crate) fn proven_until(&self, g: usize) -> Time {
        if self.groups[g].key.denied {
            return Time::default();
        }
        self.leased_until(g).max(self.others_wait_until(g)).unwrap_or_default()
    }

    /// Until when what runs of a group here may go on: what a predecessor left is not stopped before the witness has had time
    /// to answer.
    pub(crate) fn good_until(&self, g: usize) -> Time {
        let grace = self.groups[g].key.grace.filter(|_| !self.groups[g].key.denied);
        self.proven_until(g).max(grace.unwrap_or_default())
    }

    /// Why a group must be stopped here now: it could not be done in time later.
    pub(crate) fn unleased(&self, g: usize) -> Option<String> {
        let settings = self.settings.witness?;
        let group = &self.groups[g];
        let runs =
            matches!(group.local, Local::Starting | Local::Started | Local::Recovering(_) | Local::Leftover);
        if group.settings.requires != Requires::Witness
            || !runs
            || self.good_until(g) > self.now + settings.stopping()
        {
            return None;
        }
        if let Some(other) = group.key.other.as_ref().filter(|_| group.key.denied) {
            return Some(format!("{} has its key on the witness, epoch {}", other.by, other.epoch));
        }
        let silent: Vec<&str> =
            self.peers.iter().filter(|peer| !peer.live()).map(|peer| peer.name.as_str()).collect();
        let peers = if silent.is_empty() {
            "not every other node is known to wait".to_owned()
        } else {
            format!("{} cannot be asked to wait", silent.join(" and "))
        };
        Some(format!("its lease on the witness is about to end, and {peers}"))
    }

    /// Until when a node that is not heard may still run what it had, by what it heard of this one; `None` if it may not,
    /// or is heard.
    pub(crate) fn may_go_on_until(&self, peer: &Peer) -> Option<Time> {
        let settings = self.settings.witness?;
        let silent = matches!(peer.state, PeerState::Dead | PeerState::Init) && peer.confirmed.is_none();
        // A predecessor may have heard it until its end.
        let heard = peer.heard.map_or(self.waits_from, |heard| heard.max(self.waits_from));
        silent.then(|| heard + settings.ttl).filter(|until| *until > self.now)
    }

    /// Whether no other node may still run a group that requires the witness, with its key or without; if not, why.
    pub(crate) fn others_are_gone(&self, g: usize) -> Result<(), String> {
        let group = &self.groups[g];
        for peer in self.peers.iter().filter(|_| group.settings.requires == Requires::Witness) {
            let name = &peer.name;
            if let Some(until) = self.may_go_on_until(peer) {
                let left = until.since(self.now).as_millis();
                return Err(format!(
                    "{name} is silent, and may run it without the witness for {left} ms more"
                ));
            }
            match peer.report(group.id).filter(|_| peer.live()) {
                Some(report) if holding(report.state) => return Err(format!("{name} has it")),
                None if peer.live() => return Err(format!("{name} has not said what runs there")),
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Says once by what a group goes on, and once if something of it runs with nothing to go by.
    pub(crate) fn watch_lease_of(&mut self, g: usize) {
        if !self.may_run(g) {
            self.groups[g].key.shouted = false;
            return;
        }
        let (now, name) = (self.now, self.groups[g].settings.name.clone());
        let by_peers = self.groups[g].held()
            && !self.lease_good()
            && self.others_wait_until(g).is_some_and(|until| until > now);
        if std::mem::replace(&mut self.groups[g].key.by_peers, by_peers) != by_peers {
            let (level, why) = if by_peers {
                (Level::Warn, "the witness is lost; every other node is heard and waits, so it goes on")
            } else {
                (Level::Info, "it no longer goes on by the word of the other nodes alone")
            };
            self.event(level, "witness", &name, None, None, why.to_owned());
        }
        let past = self.groups[g].held() && self.good_until(g) <= now;
        if past && !self.groups[g].key.shouted {
            let why = format!("something of {name} may run here past its lease: another node may start it");
            self.event(Level::Error, "witness", &name, None, None, why);
        }
        self.groups[g].key.shouted = past;
    }

    /// Where this node stands with the witness.
    pub(crate) fn witness_status(&self, now: Time) -> Option<WitnessStatus> {
        self.settings.witness?;
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let group = |g: usize| {
            let (group, may_run) = (&self.groups[g], self.may_run(g));
            let here = group.key.held.map(|_| self.settings.me.clone());
            let other = group.key.other.as_ref().filter(|_| here.is_none());
            let by = if self.leased_until(g).is_some_and(|until| until > now) {
                Some("lease")
            } else {
                self.others_wait_until(g).filter(|until| *until > now).map(|_| "peers")
            };
            WitnessGroupStatus {
                group: group.settings.name.clone(),
                holder: here.or(other.map(|other| other.by.clone())),
                seen_ms: other.map(|other| millis(now.since(other.seen))),
                good_for_ms: may_run.then(|| millis(self.proven_until(g).since(now))),
                by: by.filter(|_| may_run).map(str::to_owned),
            }
        };
        let witnessed =
            (0..self.groups.len()).filter(|&g| self.groups[g].settings.requires == Requires::Witness);
        Some(WitnessStatus {
            state: self.witness.standing.word().to_owned(),
            since_ms: millis(now.since(self.witness.since)),
            good_for_ms: self
                .witness
                .lease
                .filter(|until| *until > now)
                .map(|until| millis(until.since(now))),
            error: self.witness.error.clone(),
            groups: witnessed.map(group).collect(),
        })
    }

    /// What the witness says of a group, in a sentence or two.
    pub(crate) fn why_witness(&self, g: usize) -> Vec<String> {
        let group = &self.groups[g];
        if self.settings.witness.is_none() || group.settings.requires != Requires::Witness {
            return Vec::new();
        }
        let now = self.now;
        let left = |until: Time| until.since(now).as_millis();
        let mut lines = vec![match self.witness.lease.filter(|until| *until > now) {
            Some(until) => format!("this node has a lease on the witness, good for {} ms", left(until)),
            None => self.why_no_lease(),
        }];
        if let Some(epoch) = group.key.held {
            lines.push(format!("its key on the witness is this node's, epoch {epoch}"));
        } else if let Some(other) = &group.key.other {
            let ago = now.since(other.seen).as_millis();
            lines.push(format!(
                "its key on the witness was {}'s {ago} ms ago, epoch {}",
                other.by, other.epoch
            ));
        }
        if group.key.by_peers {
            lines.push(
                "it goes on without the witness, because every other node is heard and waits".to_owned(),
            );
        }
        lines
    }

    /// What is not as it should be with the witness.
    pub(crate) fn degraded_witness(&self, now: Time, all: &mut Vec<String>) {
        let Some(settings) = &self.settings.witness else { return };
        let since = now.since(self.witness.since).as_secs();
        let why = self.witness.error.as_deref().unwrap_or("it has not answered yet");
        match self.witness.standing {
            crate::witness::Standing::Good => {}
            crate::witness::Standing::Failing => {
                let left = self.witness.lease.map_or(0, |until| until.since(now).as_millis());
                all.push(format!("the witness does not answer ({why}); the lease lives for {left} ms more"));
            }
            crate::witness::Standing::Lost => {
                all.push(format!("the witness has been lost for {since} s: {why}"));
            }
        }
        for g in (0..self.groups.len()).filter(|&g| self.may_run(g)) {
            let group = &self.groups[g];
            let name = &group.settings.name;
            if group.key.shouted {
                all.push(format!(
                    "something of {name} may run here past its lease: another node may start it; stop it by hand, or this machine"
                ));
            } else if group.key.by_peers {
                all.push(format!(
                    "{name} goes on without its lease because every other node is heard and waits; if one falls silent it is stopped"
                ));
            }
        }
        for group in self.groups.iter().filter(|group| group.settings.requires == Requires::Witness) {
            // Addresses end by themselves.
            let stops = group.resources.iter().map(|resource| &resource.settings).filter(|one| !one.address);
            let longest: std::time::Duration = stops.map(|one| one.stop_timeout).sum();
            if settings.watchdog.is_none() && longest > settings.stopping() {
                all.push(format!(
                    "stopping {} may take {} s, and when the lease ends there are {} ms for it: without a [watchdog] it may run on \
                     past that",
                    group.settings.name,
                    longest.as_secs(),
                    settings.stopping().as_millis()
                ));
            }
        }
    }
}
