//! One group on this node: its resources and the sequence of operations on them.
//!
//! ```text
//!             probe: nothing runs                take                all started
//!  Unknown ─▶ Probing ──────────────▶ Stopped ──────────▶ Starting ─────────────▶ Started
//!                │ all of it runs        ▲                    │ a start failed        │ give, stop, lost
//!                ├───────────▶ Started   │ all stopped        ▼                       ▼
//!                │ some of it runs       └──────────────── Stopping ◀─────────────────┘
//!                └───────────▶ Leftover                       │ a stop failed
//!                                                             ▼
//!                                                          Blocked
//! ```
//! While it is started its resources are looked at ([`crate::watch`]); one that has failed is restarted in place, by way of
//! `Recovering`: what was started after it is stopped, then it, then all of that is started again.

use std::collections::VecDeque;

use proto::{GroupId, GroupState, NodeId};

use crate::io::{OpId, OpKind, OpResult};
use crate::key::Key;
use crate::settings::{GroupSettings, OnFail, ResourceKey, ResourceSettings};
use crate::time::Time;

/// What a resource is, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceState {
    /// Not looked at yet, or a look was unclear.
    Unknown,
    /// Does not run here.
    Stopped,
    /// Being started.
    Starting,
    /// Runs here.
    Started,
    /// Being stopped.
    Stopping,
    /// A start or stop failed: it may or may not run.
    Failed,
}

impl ResourceState {
    /// The word of the status.
    pub fn word(self) -> &'static str {
        match self {
            ResourceState::Unknown => "unknown",
            ResourceState::Stopped => "stopped",
            ResourceState::Starting => "starting",
            ResourceState::Started => "started",
            ResourceState::Stopping => "stopping",
            ResourceState::Failed => "failed",
        }
    }
}

/// Where a failure must be expected again if nobody mends anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Perhaps nowhere: the next attempt may succeed.
    Nowhere,
    /// On this node.
    Here,
    /// On every node.
    Everywhere,
}

/// How something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In a sentence.
    pub why: String,
    /// Whether another attempt makes sense.
    pub holds: Holds,
}

impl Fault {
    /// One after which another attempt may succeed.
    pub fn soft(why: String) -> Self {
        Self { why, holds: Holds::Nowhere }
    }
}

/// One resource on this node.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its part of the configuration.
    pub settings: ResourceSettings,
    /// What it is.
    pub state: ResourceState,
    /// Failures counted here.
    pub failures: u32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// No longer in the configuration: to be stopped and forgotten.
    pub doomed: bool,
    /// How it is looked after while it runs.
    pub care: Care,
}

/// How a resource is looked after while it runs.
#[derive(Clone, Debug, Default)]
pub struct Care {
    /// The look under way.
    pub look: Option<OpId>,
    /// Its answer is not wanted any more.
    pub cancelled: bool,
    /// When the next look is due; `None`: at once.
    pub next: Option<Time>,
    /// When it failed, the newest last: those that still count.
    pub failed_at: VecDeque<Time>,
    /// It is to be looked at now: an address before it had to be put back.
    pub asked: bool,
    /// The look under way was asked for by that.
    pub after_put_back: bool,
}

impl Resource {
    /// A resource nothing is known of.
    pub fn new(settings: ResourceSettings) -> Self {
        Self {
            settings,
            state: ResourceState::Unknown,
            failures: 0,
            last_error: None,
            doomed: false,
            care: Care::default(),
        }
    }

    /// An extra that has failed: nothing waits for it.
    pub fn given_up(&self) -> bool {
        self.settings.on_fail == OnFail::Ignore && self.state == ResourceState::Failed
    }

    /// Writes down a failure at `now`.
    pub fn note_failure(&mut self, now: Time, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(reason.to_owned());
        self.care.failed_at.push_back(now);
        // As many as any limit on restarts asks for; older ones change nothing.
        while self.care.failed_at.len() > self.settings.restarts as usize + 1 {
            self.care.failed_at.pop_front();
        }
    }

    /// When the last of its failures will no longer count.
    pub fn failures_expire(&self) -> Option<Time> {
        self.care.failed_at.back().map(|at| *at + self.settings.failure_window)
    }
}

/// Why a group is being stopped, and so what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is handed to this node.
    Give(NodeId),
    /// Another node owns it under a higher epoch.
    Lost,
    /// A start failed here.
    Failed,
    /// It rests, or whoever is able takes it.
    Rest,
    /// Its lease on the witness cannot be kept: it must be stopped in time, whatever else is.
    Unleased,
}

/// What of a group is stopped and started again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The resource that failed.
    pub first: usize,
    /// The last one that is stopped with it.
    pub last: usize,
    /// Nothing is started before this.
    pub not_before: Time,
}

/// The group's state on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Not looked at yet.
    Unknown,
    /// Being looked at.
    Probing,
    /// Some of it was found running: adopted or removed when this node joins.
    Leftover,
    /// Nothing of it is here.
    Stopped,
    /// Owned; being started.
    Starting,
    /// Owned; all of it runs.
    Started,
    /// Owned; one resource has failed and is being stopped, with those after it, to be started again.
    Recovering(Recovery),
    /// Owned still; being stopped.
    Stopping(Then),
    /// A stop failed.
    Blocked,
}

impl Local {
    /// The word of the log.
    pub fn word(self) -> &'static str {
        match self {
            Local::Unknown => "unknown",
            Local::Probing => "probing",
            Local::Leftover => "leftover",
            Local::Stopped => "stopped",
            Local::Starting => "starting",
            Local::Started => "started",
            Local::Recovering(_) => "recovering",
            Local::Stopping(_) => "stopping",
            Local::Blocked => "blocked",
        }
    }
}

/// An operation under way; a group has at most one.
#[derive(Clone, Debug)]
pub struct CurrentOp {
    /// Its number.
    pub id: OpId,
    /// What it does.
    pub kind: OpKind,
    /// On which resources (indices, ascending).
    pub on: Vec<usize>,
    /// Of addresses started: leased, or set without end.
    pub leased: bool,
}

/// A group given away and not yet taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The heir.
    pub to: NodeId,
    /// The epoch that ended here.
    pub epoch: u64,
}

/// One group on this node.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its part of the configuration.
    pub settings: GroupSettings,
    /// Its name on the wire.
    pub id: GroupId,
    /// Its resources in starting order.
    pub resources: Vec<Resource>,
    /// Its state here.
    pub local: Local,
    /// Since when.
    pub since: Time,
    /// Why, in a sentence.
    pub why: String,
    /// What keeps this node from starting it although nobody has it.
    pub hold: Option<String>,
    /// The highest epoch known of it.
    pub known: u64,
    /// The epoch this node owns it under.
    pub mine: Option<u64>,
    /// Given away and not yet taken.
    pub release: Option<Release>,
    /// Releases up to this epoch are used up or declined.
    pub declined: u64,
    /// A start failed here and nobody has cleaned it up.
    pub failed: bool,
    /// The operation under way.
    pub op: Option<CurrentOp>,
    /// Starting must look before it starts (after a doubt).
    pub check_first: bool,
    /// Waiting for the disk to keep this epoch before it is claimed, since then.
    pub disk_wait: Option<(u64, Time)>,
    /// Adopted from a predecessor; the epoch is renewed once the peers are heard.
    pub adopted: bool,
    /// Another node held it too: announce again when it has stopped.
    pub disputed: bool,
    /// Given by its preferred node of its own will: no failback until that node was away.
    pub stay: bool,
    /// No longer in the configuration: to be stopped and forgotten.
    pub doomed: bool,
    /// Being looked at after a failed stop: blocked still, for the others.
    pub recheck: bool,
    /// When the present change of ownership began.
    pub began: Time,
    /// Since when nobody owns it as far as this node knows.
    pub orphan_since: Option<Time>,
    /// All of it has run in this ownership.
    pub proven: bool,
    /// Some resource of it is looked at while it runs.
    pub monitored: bool,
    /// Restarts for want of anybody else who could take it, in a row.
    pub retries: u32,
    /// There are failures that still count.
    pub failing: bool,
    /// It failed here: until when that counts.
    pub rests_until: Option<Time>,
    /// When this node failed it, the newest last, of the last [`crate::recover::HOUR`].
    pub failed_at: VecDeque<Time>,
    /// When this node took it, the newest last, of the last [`crate::recover::HOUR`].
    pub taken_at: VecDeque<Time>,
    /// Blocked, and asks its peers to be fenced for it.
    pub fence_me: bool,
    /// The resource on whose failure it asks for that; `None`: a stop has failed.
    pub fence_for: Option<ResourceKey>,
    /// When a peer was fenced so that this node could have it.
    pub fenced_at: Option<Time>,
    /// It failed here for a reason that holds on every node.
    pub wrong: bool,
    /// An address of it would reach nobody from here: since when, and why.
    pub cut_off: Option<(Time, String)>,
    /// Its preferred node, another one, could have it and sees no less of the outside: since when.
    pub home_fit: Option<Time>,
    /// When something of it was started again because it had gone with an address, of the last [`crate::recover::HOUR`].
    pub repaired_at: VecDeque<Time>,
    /// Its addresses are to be announced again: a peer that was dead is back.
    pub announce: bool,
    /// These nodes must be down for certain before the group can be taken, and are to be fenced for it.
    pub fence: Vec<NodeId>,
    /// Its key on the witness.
    pub key: Key,
}

impl Group {
    /// A group not looked at yet.
    pub fn new(settings: GroupSettings, known: u64, now: Time) -> Self {
        let id = GroupId::of(&settings.name);
        let resources = settings.resources.iter().cloned().map(Resource::new).collect();
        let monitored = settings.monitored();
        Self {
            settings,
            id,
            resources,
            local: Local::Unknown,
            since: now,
            why: "not looked at yet".to_owned(),
            hold: None,
            known,
            mine: None,
            release: None,
            declined: 0,
            failed: false,
            op: None,
            check_first: false,
            disk_wait: None,
            adopted: false,
            disputed: false,
            stay: false,
            doomed: false,
            recheck: false,
            began: now,
            orphan_since: None,
            proven: false,
            monitored,
            retries: 0,
            failing: false,
            rests_until: None,
            failed_at: VecDeque::new(),
            taken_at: VecDeque::new(),
            fence_me: false,
            fence_for: None,
            fenced_at: None,
            wrong: false,
            cut_off: None,
            home_fit: None,
            repaired_at: VecDeque::new(),
            announce: false,
            fence: Vec::new(),
            key: Key::default(),
        }
    }

    /// This node owns it, or may have something of it running.
    pub fn held(&self) -> bool {
        match self.local {
            Local::Starting | Local::Started | Local::Recovering(_) | Local::Stopping(_) | Local::Blocked => {
                true
            }
            Local::Unknown | Local::Probing | Local::Leftover | Local::Stopped => false,
        }
    }

    /// What the others are told; `None` while this node does not know itself.
    pub fn wire_state(&self) -> Option<GroupState> {
        match self.local {
            Local::Probing if self.recheck => Some(GroupState::Blocked),
            Local::Unknown | Local::Probing | Local::Leftover => None,
            Local::Stopped if self.release.is_some() => Some(GroupState::Released),
            Local::Stopped => Some(GroupState::Stopped),
            Local::Starting | Local::Recovering(_) => Some(GroupState::Starting),
            Local::Started => Some(GroupState::Started),
            Local::Stopping(_) => Some(GroupState::Stopping),
            Local::Blocked => Some(GroupState::Blocked),
        }
    }

    /// Failures counted on its resources.
    pub fn failures(&self) -> u32 {
        self.resources.iter().map(|resource| resource.failures).sum()
    }

    /// It has built-in addresses.
    pub fn has_addresses(&self) -> bool {
        self.resources.iter().any(|resource| resource.settings.address)
    }

    /// The next operation its state asks for: what, and on which resources. `None`: nothing to do in this
    /// state any more.
    pub fn next_op(&self) -> Option<(OpKind, Vec<usize>)> {
        match self.local {
            Local::Probing => self.ascending(OpKind::Status, |r| r.state == ResourceState::Unknown),
            Local::Starting => self.next_of_start(),
            Local::Stopping(_) => self.descending(|_, r| r.state != ResourceState::Stopped),
            Local::Recovering(Recovery { first, last, .. }) => self.descending(|i, r| {
                (first..=last).contains(&i)
                    && r.state != ResourceState::Stopped
                    && !(i > first && r.given_up())
            }),
            _ => None,
        }
    }

    /// What was dropped from the configuration stops before anything else starts.
    fn next_of_start(&self) -> Option<(OpKind, Vec<usize>)> {
        let doomed = |_, r: &Resource| r.doomed && r.state != ResourceState::Stopped;
        if let Some(stop) = self.descending(doomed) {
            return Some(stop);
        }
        let wanted = |r: &Resource| !r.doomed && r.state != ResourceState::Started && !r.given_up();
        let first = self.resources.iter().find(|r| wanted(r))?;
        if self.check_first && first.state == ResourceState::Unknown {
            return self.ascending(OpKind::Status, |r| r.state == ResourceState::Unknown);
        }
        self.ascending(OpKind::Start, |r| {
            wanted(r) && !(self.check_first && r.state == ResourceState::Unknown)
        })
    }

    /// Both may be done in one operation: addresses are, and what may go side by side.
    fn together(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.resources[a].settings, &self.resources[b].settings);
        a.address == b.address && (a.address || a.parallel && b.parallel)
    }

    /// The first resource that fits, with those directly after it that go together with it.
    fn ascending(&self, kind: OpKind, fits: impl Fn(&Resource) -> bool) -> Option<(OpKind, Vec<usize>)> {
        let first = self.resources.iter().position(&fits)?;
        let next = first + 1..self.resources.len();
        let with = next.take_while(|&i| self.together(first, i) && fits(&self.resources[i]));
        let on = std::iter::once(first).chain(with).collect();
        Some((kind, on))
    }

    /// The last resource that fits, with those directly before it that go together with it.
    fn descending(&self, fits: impl Fn(usize, &Resource) -> bool) -> Option<(OpKind, Vec<usize>)> {
        let fits = |i: usize| fits(i, &self.resources[i]);
        let last = (0..self.resources.len()).rev().find(|&i| fits(i))?;
        let with = (0..last).rev().take_while(|&i| self.together(last, i) && fits(i));
        let mut on: Vec<usize> = std::iter::once(last).chain(with).collect();
        on.reverse();
        Some((OpKind::Stop, on))
    }

    /// Writes down that an operation begins.
    pub fn begin(&mut self, op: CurrentOp) {
        for &i in &op.on {
            match op.kind {
                OpKind::Start => self.resources[i].state = ResourceState::Starting,
                OpKind::Stop => self.resources[i].state = ResourceState::Stopping,
                OpKind::Status => {}
            }
        }
        self.op = Some(op);
    }

    /// Writes down how the operation under way ended; gives the first failure, and of which resource.
    pub fn end(&mut self, results: &[OpResult], now: Time) -> Option<(usize, Fault)> {
        let op = self.op.take()?;
        let mut failure = None;
        for (at, &i) in op.on.iter().enumerate() {
            // An answer too short is an answer that says nothing good of the rest.
            let result = results.get(at).cloned().unwrap_or_else(|| OpResult::Failed("no result".to_owned()));
            if let Some(fault) = self.resources[i].end(op.kind, result, now) {
                failure.get_or_insert((i, fault));
            }
        }
        failure
    }

    /// Bound on an operation on these resources.
    pub fn timeout(&self, kind: OpKind, on: &[usize]) -> std::time::Duration {
        let each = on.iter().map(|&i| {
            let settings = &self.resources[i].settings;
            match kind {
                OpKind::Start => settings.start_timeout,
                OpKind::Stop => settings.stop_timeout,
                OpKind::Status => settings.status_timeout,
            }
        });
        each.max().unwrap_or_default()
    }
}

impl Resource {
    /// Writes down how an operation on it ended; gives the failure if it is one.
    fn end(&mut self, kind: OpKind, result: OpResult, now: Time) -> Option<Fault> {
        let (state, failure) = match (kind, result) {
            (OpKind::Status, OpResult::Running) => (ResourceState::Started, None),
            (OpKind::Status, OpResult::NotRunning) => (ResourceState::Stopped, None),
            (OpKind::Start, OpResult::Ok) => (ResourceState::Started, None),
            (OpKind::Stop, OpResult::Ok) => (ResourceState::Stopped, None),
            (_, OpResult::TimedOut) => {
                (ResourceState::Failed, Some(Fault::soft("timed out and was killed".to_owned())))
            }
            (_, OpResult::Failed(why)) => (ResourceState::Failed, Some(Fault::soft(why))),
            (_, OpResult::Hopeless(why)) => (ResourceState::Failed, Some(Fault { why, holds: Holds::Here })),
            (_, OpResult::Misconfigured(why)) => {
                (ResourceState::Failed, Some(Fault { why, holds: Holds::Everywhere }))
            }
            (kind, other) => {
                (ResourceState::Failed, Some(Fault::soft(format!("{kind:?} answered {other:?}"))))
            }
        };
        self.state = state;
        if let Some(fault) = &failure {
            self.note_failure(now, &fault.why);
        }
        failure
    }
}
