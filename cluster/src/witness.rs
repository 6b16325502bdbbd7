//! The witness: a third party on which this node has a lease, and each group at most one key, tied to the lease of the
//! node that holds it ([`crate::key`]).
//!
//! ```text
//!  emitted             answered                      stopping begins        the end
//!    ├──────────────────┼───────────────────────────────────┼──────────────────┤
//!    └─ the lease counts from here, not from the answer:  ttl - 2 % ───────────┘
//! ```
//!
//! Every node keeps a lease, whether it holds anything or not: so a witness that does not answer is known before it is
//! needed, and the key can be taken at once.

use std::time::Duration;

use crate::core::Core;
use crate::event::Level;
use crate::group::Local;
use crate::io::{Action, WitnessAnswer, WitnessAsk, WitnessId};
use crate::life::Phase;
use crate::settings::{Requires, WitnessSettings};
use crate::time::Time;
use crate::timer::Timer;

/// How this node stands with the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The lease was renewed when it was last tried.
    Good,
    /// It was not, and can still be relied on for long enough to stop everything.
    Failing,
    /// It cannot.
    Lost,
}

impl Standing {
    /// The word of the status and the log.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Good => "good",
            Standing::Failing => "failing",
            Standing::Lost => "lost",
        }
    }
}

/// What is known of the witness and of this node's lease.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    next_id: u64,
    /// The renewal under way, and when it was asked for.
    renewing: Option<(WitnessId, Time)>,
    /// Until when the lease can be relied on, by what was answered.
    pub lease: Option<Time>,
    /// Counts leases, to know which of them a key is tied to.
    pub leases: u64,
    next_renew: Time,
    /// Why the last renewal failed, if it did.
    pub error: Option<String>,
    pub standing: Standing,
    /// Since when.
    pub since: Time,
}

impl Witness {
    /// Not asked yet.
    pub fn new(now: Time) -> Self {
        Self {
            next_id: 0,
            renewing: None,
            lease: None,
            leases: 0,
            next_renew: now,
            error: None,
            standing: Standing::Lost,
            since: now,
        }
    }

    /// The settings of the witness may have changed.
    pub fn reloaded(&mut self, now: Time) {
        self.next_renew = now;
    }

    /// Between an attempt that failed and the next.
    pub fn pause(settings: &WitnessSettings) -> Duration {
        (settings.ttl / 20).clamp(Duration::from_millis(50), Duration::from_millis(500))
    }
}

impl Core {
    /// The lease can be relied on for long enough to stop everything before its end.
    pub(crate) fn lease_good(&self) -> bool {
        let Some(settings) = &self.settings.witness else { return false };
        self.witness.lease.is_some_and(|until| until > self.now + settings.stopping())
    }

    /// This node is in a part of its life in which it has dealings with the witness.
    pub(crate) fn asks_the_witness(&self) -> bool {
        matches!(self.phase, Phase::Joining | Phase::Up | Phase::Leaving { .. })
    }

    /// Renews the lease if that is due, and sees to each group's key.
    pub(crate) fn settle_witness(&mut self) {
        let Some(settings) = self.settings.witness else { return };
        if !self.asks_the_witness() {
            return;
        }
        if self.witness.renewing.is_none() && self.now >= self.witness.next_renew {
            let id = self.ask_witness(WitnessAsk::Renew { ttl: settings.ttl });
            self.witness.renewing = Some((id, self.now));
        }
        self.note_standing();
        for g in 0..self.groups.len() {
            self.settle_key(g);
            self.watch_lease_of(g);
        }
    }

    pub(crate) fn ask_witness(&mut self, ask: WitnessAsk) -> WitnessId {
        self.witness.next_id += 1;
        let id = WitnessId(self.witness.next_id);
        self.out.push(Action::Witness { id, ask });
        id
    }

    /// The witness has answered.
    pub(crate) fn witness_said(&mut self, id: WitnessId, answer: WitnessAnswer) {
        if answer == WitnessAnswer::LeaseGone && !self.is_about_an_older_lease(id) {
            self.lease_is_gone("the witness does not know this node's lease any more");
        }
        match self.witness.renewing {
            Some((renewing, sent)) if renewing == id => {
                self.witness.renewing = None;
                self.renewed(sent, answer);
            }
            _ => self.key_answered(id, answer),
        }
    }

    fn renewed(&mut self, sent: Time, answer: WitnessAnswer) {
        let Some(settings) = self.settings.witness else { return };
        match answer {
            WitnessAnswer::Renewed { ttl, new } => {
                if new {
                    self.lease_is_gone("it has a new lease");
                    self.witness.leases += 1;
                }
                // Not from the answer: the witness began to count somewhere between the two.
                let until = sent + WitnessSettings::reliable(ttl);
                self.witness.lease = Some(self.witness.lease.map_or(until, |known| known.max(until)));
                self.witness.error = None;
                self.witness.next_renew = sent + settings.interval().min(ttl / 4);
            }
            WitnessAnswer::LeaseGone => self.witness.next_renew = self.now + Witness::pause(&settings),
            WitnessAnswer::Failed(why) => {
                self.witness.error = Some(why);
                self.witness.next_renew = self.now + Witness::pause(&settings);
            }
            other => {
                self.witness.error = Some(format!("it answered {other:?} to a renewal"));
                self.witness.next_renew = self.now + Witness::pause(&settings);
            }
        }
        self.note_standing();
    }

    /// A lease that the witness says is gone is gone, and all keys with it.
    fn lease_is_gone(&mut self, why: &str) {
        let held = self.groups.iter().any(|group| group.key.held.is_some());
        self.witness.lease = None;
        self.witness.next_renew = self.now;
        for group in &mut self.groups {
            group.key.held = None;
        }
        if held {
            let me = self.settings.me.clone();
            self.event(Level::Warn, "witness", &me, None, None, format!("its keys are gone: {why}"));
        }
    }

    /// Says how this node stands with the witness, when that has changed.
    fn note_standing(&mut self) {
        let standing = match (self.lease_good(), &self.witness.error) {
            (true, None) => Standing::Good,
            (true, Some(_)) => Standing::Failing,
            (false, _) => Standing::Lost,
        };
        let before = self.witness.standing;
        if standing == before {
            return;
        }
        self.witness.standing = standing;
        self.witness.since = self.now;
        self.changes += 1;
        self.news = true;
        let error = self.witness.error.as_deref().unwrap_or("its lease was not renewed in time");
        let (level, why) = match standing {
            Standing::Good => (Level::Info, "the lease is renewed".to_owned()),
            Standing::Failing => (Level::Warn, format!("the lease could not be renewed: {error}")),
            Standing::Lost => (Level::Error, format!("the lease is about to end or has ended: {error}")),
        };
        let me = self.settings.me.clone();
        self.event(level, "witness", &me, Some(before.word()), Some(standing.word()), why);
    }

    /// Whether the watchdog may be petted now: if the process were to stop right after it, the machine would be
    /// reset before anything that runs here has lost its lease.
    pub fn may_pet(&self, now: Time) -> bool {
        let Some(settings) = &self.settings.witness else { return true };
        let reset = now + settings.watchdog.unwrap_or_default();
        (0..self.groups.len()).all(|g| !self.may_run(g) || self.proven_until(g) >= reset)
    }

    /// Whether the watchdog may be stopped, at the end of this process: nothing runs here that needs a lease.
    pub fn may_disarm(&self) -> bool {
        self.settings.witness.is_none() || (0..self.groups.len()).all(|g| !self.may_run(g))
    }

    /// Something of a group that requires the witness may run here.
    pub(crate) fn may_run(&self, g: usize) -> bool {
        let group = &self.groups[g];
        group.settings.requires == Requires::Witness
            && match group.local {
                Local::Stopped => false,
                Local::Unknown | Local::Probing => !group.key.clean,
                // At its end all is stopped, and only the key is still to be given back.
                Local::Stopping(_) => group.op.is_some() || group.next_op().is_some(),
                _ => true,
            }
    }

    pub(crate) fn each_witness_timer(&self, each: &mut impl FnMut(Timer, Time)) {
        let Some(settings) = self.settings.witness else { return };
        if !self.asks_the_witness() {
            return;
        }
        if self.witness.renewing.is_none() {
            each(Timer::Renew, self.witness.next_renew);
        }
        if let Some(until) = self.witness.lease {
            each(Timer::LeaseEnds, until - settings.stopping());
        }
        for g in 0..self.groups.len() {
            if self.groups[g].settings.requires == Requires::Witness {
                self.each_key_timer(g, &settings, each);
            }
        }
    }
}
