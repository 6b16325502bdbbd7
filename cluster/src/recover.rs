//! What is done about a resource that has failed: restarted in place, then its group moves; and how long that is held against
//! this node.
//!
//! ```text
//!  a look finds it failed, or its restart failed
//!    │ restarts left within its failure window ──▶ Recovering ──▶ Starting ──▶ Started
//!    │ none left, another node can take the group, or has failed it too ──▶ Stopping(Failed): this node rests
//!    └ none left, and nobody else is there ──▶ Recovering, after a pause that grows
//! ```
//! A failure that will come again here, or on every node, before somebody has mended something is not answered by a restart: the
//! group goes to the other node, or rests on both.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Fault, Group, Holds, Local, Recovery, Resource, ResourceState, Then};
use crate::io::OpKind;
use crate::life::Phase;
use crate::settings::OnFail;
use crate::time::Time;

/// Changes of ownership are counted over this.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Times that this node may take a group within an [`HOUR`] before it no longer goes back to its preferred node by itself.
pub(crate) const TAKES: usize = 3;
/// Moments remembered of each kind.
const REMEMBERED: usize = 16;
/// The first pause before one more restart where nobody else is there; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer than so many doublings of the first.
const DOUBLINGS: u32 = 6;
/// The shortest rest of a node on which a group failed, if it does so again and again; each is twice the one before.
const REST: Duration = Duration::from_secs(60);
/// No rest is longer than so many doublings of the first.
const REST_DOUBLINGS: u32 = 5;

impl Core {
    /// A look has found that a resource has failed.
    pub(crate) fn resource_failed(&mut self, g: usize, i: usize, fault: &Fault) {
        let (now, reason) = (self.now, &fault.why);
        let resource = &mut self.groups[g].resources[i];
        if resource.given_up() {
            resource.last_error = Some(reason.clone());
            return;
        }
        resource.note_failure(now, reason);
        resource.state = ResourceState::Failed;
        self.groups[g].failing = true;
        self.changes += 1;
        self.news = true;
        let subject = self.resource_subject(g, i);
        let text = format!("found failed: {reason}");
        self.event(Level::Error, "resource", &subject, Some("started"), Some("failed"), text);
        self.mend(g, i, fault);
    }

    /// A start, on the way to all of the group running, has failed.
    pub(crate) fn start_failed(&mut self, g: usize, i: usize, fault: &Fault) {
        let group = &mut self.groups[g];
        let extra = group.resources[i].settings.on_fail == OnFail::Ignore;
        if group.proven || extra || group.resources[i].settings.on_fail == OnFail::Block {
            return self.mend(g, i, fault);
        }
        group.wrong |= fault.holds == Holds::Everywhere;
        let why = format!("start of {} failed: {}", group.resources[i].settings.name, fault.why);
        self.stop_group(g, Then::Failed, why);
    }

    fn mend(&mut self, g: usize, i: usize, fault: &Fault) {
        let resource = &self.groups[g].resources[i];
        let (name, on_fail) = (resource.settings.name.clone(), resource.settings.on_fail);
        let reason = &fault.why;
        let again = fault.holds == Holds::Nowhere;
        match on_fail {
            OnFail::Block => {
                let why = format!("{name} failed: {reason}; on_fail = block");
                self.set_local(g, Local::Blocked, why);
            }
            OnFail::Fence if fault.holds != Holds::Everywhere && self.would_be_fenced(g) => {
                let key = self.groups[g].resources[i].settings.key;
                (self.groups[g].fence_me, self.groups[g].fence_for) = (true, Some(key));
                let why = format!("{name} failed: {reason}; on_fail = fence");
                self.set_local(g, Local::Blocked, why);
            }
            OnFail::Restart | OnFail::Ignore if again && self.restarts_left(g, i) => {
                let resource = &self.groups[g].resources[i];
                let (nth, of) = (resource.care.failed_at.len(), resource.settings.restarts);
                let why = format!("{name} failed: {reason}; restart {nth} of {of} in place");
                self.recover(g, i, self.now, why);
            }
            OnFail::Ignore => {
                let subject = self.resource_subject(g, i);
                let why = "it failed too often, and its group does not depend on it: left alone".to_owned();
                self.event(Level::Warn, "resource", &subject, None, None, why);
                self.news = true;
            }
            OnFail::Restart | OnFail::Move | OnFail::Fence => {
                self.groups[g].wrong |= fault.holds == Holds::Everywhere;
                self.give_up(g, i, &format!("{name} failed: {reason}"), again);
            }
        }
    }

    /// There is a node that can fence this one and take the group, and the two do not take turns: who has fenced its
    /// peer for this group within the hour is not fenced for it.
    fn would_be_fenced(&self, g: usize) -> bool {
        let device = self.settings.fences.iter().any(|fence| fence.node == self.settings.me);
        let turns = self.groups[g].fenced_at.is_some_and(|at| self.now.since(at) < HOUR);
        device && !turns && self.heir(g).is_some()
    }

    /// A group that waits for this node to be fenced because of a resource: if nobody is there any more to do that, it is
    /// restarted in place.
    pub(crate) fn await_fence(&mut self, g: usize) {
        let group = &self.groups[g];
        let Some(key) = group.fence_for else { return };
        let Some(i) = group.resources.iter().position(|r| r.settings.key == key && !r.doomed) else { return };
        let free = self.phase == Phase::Up && !self.maintenance.on && self.doubt.is_none();
        if free && !self.peers.iter().any(|peer| peer.live()) {
            let name = self.groups[g].resources[i].settings.name.clone();
            self.give_up(g, i, &format!("{name} failed, and nobody is there to fence this node"), true);
        }
    }

    fn restarts_left(&mut self, g: usize, i: usize) -> bool {
        let now = self.now;
        let resource = &mut self.groups[g].resources[i];
        let window = resource.settings.failure_window;
        resource.care.failed_at.retain(|at| now.since(*at) < window);
        resource.care.failed_at.len() <= resource.settings.restarts as usize
    }

    /// Stops a resource, with those after it (an extra alone), and starts them again, not before `not_before`.
    pub(crate) fn recover(&mut self, g: usize, first: usize, not_before: Time, why: String) {
        let group = &mut self.groups[g];
        group.began = self.now;
        let extra = group.resources[first].settings.on_fail == OnFail::Ignore;
        let last = if extra { first } else { group.resources.len() - 1 };
        self.set_local(g, Local::Recovering(Recovery { first, last, not_before }), why);
    }

    /// Restarting in place has not helped: somebody else's turn, if there is anybody; if not, and it makes sense, once
    /// more `again`.
    fn give_up(&mut self, g: usize, i: usize, why: &str, again: bool) {
        let group = &self.groups[g];
        let tried = self
            .peers
            .iter()
            .any(|peer| peer.live() && peer.report(group.id).is_some_and(|report| report.failed));
        if again && !tried && group.proven && self.heir(g).is_none() {
            let pause = PAUSE * (1 << self.groups[g].retries.min(DOUBLINGS));
            self.groups[g].retries += 1;
            let why = format!("{why}; nobody else can take it: restarted in {} s", pause.as_secs());
            return self.recover(g, i, self.now + pause, why);
        }
        self.stop_group(g, Then::Failed, why.to_owned());
    }

    /// The group is stopped here after a failure: this node rests until that no longer counts.
    pub(crate) fn rest_after_failure(&mut self, g: usize) {
        let now = self.now;
        let group = &mut self.groups[g];
        note(&mut group.failed_at, now);
        let again = u32::try_from(group.failed_at.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let rest = REST * (1 << again.min(REST_DOUBLINGS));
        let failed = group.resources.iter().filter(|resource| resource.failures > 0);
        let window = failed.map(|resource| resource.settings.failure_window).max().unwrap_or(HOUR);
        group.failed = true;
        group.failing = true;
        group.rests_until = Some(now + rest.max(window));
    }

    /// Failures that no longer count are forgotten.
    pub(crate) fn forgive(&mut self) {
        for g in 0..self.groups.len() {
            if self.groups[g].failing {
                self.forgive_group(g);
            }
        }
    }

    fn forgive_group(&mut self, g: usize) {
        let now = self.now;
        let past = |at: Option<Time>| at.is_some_and(|at| at <= now);
        for i in 0..self.groups[g].resources.len() {
            let resource = &mut self.groups[g].resources[i];
            let forgotten = resource.given_up() && resource.care.failed_at.is_empty();
            if !(forgotten || past(resource.failures_expire())) {
                continue;
            }
            let extra = resource.given_up();
            if extra && !self.is_started_and_free(g) {
                // It cannot be tried again now (maintenance, a doubt): its failures count until it can.
                continue;
            }
            let resource = &mut self.groups[g].resources[i];
            resource.failures = 0;
            resource.care.failed_at.clear();
            if extra {
                let why = format!("{}: its failures no longer count, tried again", resource.settings.name);
                self.recover(g, i, now, why);
            } else if resource.state != ResourceState::Failed {
                resource.last_error = None;
            }
        }
        if past(self.groups[g].rests_until) {
            self.groups[g].rests_until = None;
            self.groups[g].failed = false;
            self.groups[g].wrong = false;
            self.news = true;
            self.changes += 1;
            let name = self.groups[g].settings.name.clone();
            let why = "its failure here no longer counts: this node would take it again".to_owned();
            self.event(Level::Info, "group", &name, None, None, why);
        }
        let group = &mut self.groups[g];
        let counts = group.resources.iter().any(|resource| !resource.care.failed_at.is_empty());
        group.failing =
            counts || group.rests_until.is_some() || group.resources.iter().any(Resource::given_up);
        group.retries = if counts { group.retries } else { 0 };
    }

    /// An operator has mended something: what waits or was left alone is tried, what runs is looked at.
    pub(crate) fn try_again(&mut self, g: usize) {
        let now = self.now;
        if let Local::Recovering(recovery) = &mut self.groups[g].local {
            recovery.not_before = now;
        }
        let group = &mut self.groups[g];
        for resource in &mut group.resources {
            resource.care.next = None;
        }
        let extra = group.resources.iter().position(|resource| resource.given_up());
        if let Some(i) = extra.filter(|_| self.is_started_and_free(g)) {
            self.recover(g, i, now, "tried again, by order".to_owned());
        }
    }

    /// It is started, and nothing keeps this node from doing something to it.
    pub(crate) fn is_started_and_free(&self, g: usize) -> bool {
        self.groups[g].local == Local::Started && !self.maintenance.on && self.doubt.is_none()
    }

    /// How often this node took a group within the last hour.
    pub(crate) fn takes_within_the_hour(&self, group: &Group) -> usize {
        group.taken_at.iter().filter(|at| self.now.since(**at) < HOUR).count()
    }

    /// When a group that this node took too often within an hour may again go home by itself.
    pub(crate) fn damped_until(&self, group: &Group) -> Option<Time> {
        let taken = &group.taken_at;
        let at = *taken.get(taken.len().checked_sub(TAKES)?)? + HOUR;
        (at > self.now).then_some(at)
    }
}

impl Group {
    /// This node takes it.
    pub(crate) fn note_taken(&mut self, now: Time) {
        note(&mut self.taken_at, now);
        self.proven = false;
        self.retries = 0;
    }

    /// Nothing that failed here is held against this node any more.
    pub(crate) fn forget_failures(&mut self) {
        self.failed = false;
        self.wrong = false;
        self.fenced_at = None;
        // An extra that was left alone is tried again as soon as it may be.
        self.failing = self.resources.iter().any(Resource::given_up);
        self.rests_until = None;
        self.retries = 0;
        self.failed_at.clear();
        self.taken_at.clear();
        for resource in &mut self.resources {
            resource.failures = 0;
            resource.last_error = None;
            resource.care.failed_at.clear();
        }
    }
}

/// The word for an operation, in a sentence on its failure.
pub(crate) fn verb(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Start => "start",
        OpKind::Stop => "stop",
        OpKind::Status => "status",
    }
}

/// Writes a moment down, and forgets those of more than an hour ago.
pub(crate) fn note(moments: &mut VecDeque<Time>, now: Time) {
    moments.push_back(now);
    moments.retain(|at| now.since(*at) < HOUR);
    while moments.len() > REMEMBERED {
        moments.pop_front();
    }
}
