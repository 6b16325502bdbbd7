//! Fencing: making certain that a node is down, by devices that switch it off.
//!
//! ```text
//!          wanted by a group, or ordered           delay over          confirmed
//!   Idle ───────────────────────────▶ Waiting ───────────────▶ Running ─────────▶ Idle, the peer dead for certain
//!    ▲  no longer wanted                │  ▲                      │ failed, timed out
//!    ├──────────────────────────────────┘  └── pause over ─ Failed ◀┘
//!    └───────────────────────────────────────────────────────┘
//! ```
//!
//! A node is fenced for a need only: a group that must not be started elsewhere before. A node that has not heard
//! its peer in this life does not fence it by itself, so that two nodes with a cut cable between them do not
//! take turns in resetting each other; and it fences a node only so often.

use std::time::Duration;

use proto::GroupState;

use crate::certain::ConfirmedDown;
use crate::command::{Origin, Part, Pending};
use crate::core::Core;
use crate::event::Level;
use crate::group::{Local, Resource};
use crate::io::{Action, FenceId, FenceOutcome};
use crate::peer::PeerState;
use crate::settings::{OnFail, Requires};
use crate::time::Time;
use crate::timer::Timer;

/// Pause after the first failed attempt; doubled with each.
const RETRY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(80);
/// A node is fenced at most so often within [`WINDOW`] without an operator's order.
const MOST: usize = 3;
/// See [`MOST`].
const WINDOW: Duration = Duration::from_secs(3600);

/// Where the fencing of one peer stands.
#[derive(Clone, Debug, Default)]
pub struct Fencing {
    /// What is being done.
    pub phase: FencePhase,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// When it was fenced without an order, the newest [`MOST`].
    by_itself: Vec<Time>,
    /// The life that was ended by a fence, and when: what still comes of it was on its way.
    ended: Option<(u64, Time)>,
    /// How the last attempt ended, and when.
    pub last: Option<(Time, Result<String, String>)>,
}

/// What is being done about a peer that should be down for certain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FencePhase {
    /// Nothing.
    #[default]
    Idle,
    /// The static delay passes.
    Waiting {
        /// Until then.
        until: Time,
    },
    /// The devices are at work.
    Running {
        /// Which run.
        id: FenceId,
        /// Since when.
        since: Time,
        /// An operator ordered it.
        ordered: bool,
    },
    /// The last attempt failed.
    Failed {
        /// Until the next.
        retry: Time,
    },
}

impl Core {
    /// Why peer `p` is not fenced from here, if so.
    pub(crate) fn unfenceable(&self, p: usize) -> Option<String> {
        let peer = &self.peers[p];
        if !self.settings.fences.iter().any(|fence| fence.node == peer.name) {
            return Some(format!("no [[fence]] device is configured for {}", peer.name));
        }
        if matches!(peer.fencing.phase, FencePhase::Running { .. }) {
            return None;
        }
        if peer.heard.is_none() {
            return Some(format!(
                "it was not heard since this daemon started, so it is not fenced without an order (hbctl fence {})",
                peer.name
            ));
        }
        let recent = peer.fencing.by_itself.iter().filter(|at| self.now.since(**at) < WINDOW).count();
        (recent >= MOST).then(|| {
            format!(
                "it was fenced {recent} times within the hour, so not again without an order (hbctl fence {})",
                peer.name
            )
        })
    }

    /// What is being done to make certain that peer `p` is down.
    pub(crate) fn fencing_of(&self, p: usize) -> String {
        let peer = &self.peers[p];
        match &peer.fencing.phase {
            FencePhase::Idle => "it is to be fenced".to_owned(),
            FencePhase::Waiting { .. } => "it will be fenced after its delay".to_owned(),
            FencePhase::Running { .. } => "it is being fenced".to_owned(),
            FencePhase::Failed { .. } => {
                let why = peer.fencing.last.as_ref().and_then(|(_, last)| last.as_ref().err());
                format!(
                    "fencing it failed ({}); it is tried again; or make sure that it is down, then: hbctl fence-ack {}",
                    why.map_or("no reason", String::as_str),
                    peer.name
                )
            }
        }
    }

    /// Peer `p` has last said that it is blocked with a group, and wants to be fenced for it. One that does not say (an
    /// older version) is to be if the group requires it, unless a failure may block it.
    pub(crate) fn asks_for_fence(&self, p: usize, g: usize) -> bool {
        let group = &self.groups[g];
        let blocked = self.peers[p].report(group.id).filter(|report| report.state == GroupState::Blocked);
        let blocks = |resource: &Resource| resource.settings.on_fail == OnFail::Block;
        let by_default =
            || group.settings.requires == Requires::Fencing && !group.resources.iter().any(blocks);
        blocked.is_some_and(|report| report.fence.unwrap_or_else(by_default))
    }

    /// A group that a live peer is blocked with, and that this node is to have: that peer is fenced if it asks for it.
    /// Done by the first of the nodes that remain.
    pub(crate) fn fence_the_stuck(&mut self, g: usize) {
        let asks = |p: &usize| self.peers[*p].live() && self.asks_for_fence(*p, g);
        let Some(p) = (0..self.peers.len()).find(asks) else { return };
        if self.maintenance.on || self.doubt.is_some() || !self.able(g) {
            return;
        }
        let first = |name: &str| name < self.settings.me.as_str();
        let others = self.peers.iter().enumerate().filter(|(other, peer)| *other != p && peer.live());
        if others.into_iter().any(|(_, peer)| first(&peer.name)) {
            return;
        }
        let (id, name) = (self.peers[p].id, self.peers[p].name.clone());
        let cannot = self.isolated().or_else(|| self.unfenceable(p));
        if cannot.is_none() {
            self.groups[g].fence = vec![id];
        }
        if self.groups[g].local == Local::Stopped {
            let what = cannot.unwrap_or_else(|| self.fencing_of(p));
            self.groups[g].hold = Some(format!("{name} is blocked with it and asks to be fenced; {what}"));
        }
    }

    /// Begins, goes on with or gives up the fencing of each peer, by what the groups need.
    pub(crate) fn settle_fencing(&mut self) {
        for p in 0..self.peers.len() {
            let id = self.peers[p].id;
            let wanted = self.groups.iter().any(|group| group.fence.contains(&id));
            match self.peers[p].fencing.phase {
                FencePhase::Idle if wanted => self.await_delay(p),
                FencePhase::Waiting { .. } | FencePhase::Failed { .. } if !wanted => {
                    self.set_fencing(p, FencePhase::Idle, "it need not be fenced any more");
                    self.peers[p].fencing.failures = 0;
                }
                FencePhase::Waiting { until: at } | FencePhase::Failed { retry: at } if self.now >= at => {
                    self.begin_fence(p, false);
                }
                _ => {}
            }
        }
    }

    fn await_delay(&mut self, p: usize) {
        let name = &self.peers[p].name;
        let device = self.settings.fences.iter().find(|fence| fence.node == *name);
        let delay = device.map_or(Duration::ZERO, |fence| fence.delay);
        if delay.is_zero() {
            return self.begin_fence(p, false);
        }
        let why = format!("to be fenced in {} ms, its delay", delay.as_millis());
        self.set_fencing(p, FencePhase::Waiting { until: self.now + delay }, &why);
    }

    fn begin_fence(&mut self, p: usize, ordered: bool) {
        self.next_fence += 1;
        let id = FenceId(self.next_fence);
        let why = if ordered { "by order".to_owned() } else { self.why_fence(p) };
        self.set_fencing(p, FencePhase::Running { id, since: self.now, ordered }, &why);
        self.out.push(Action::Fence { id, node: self.peers[p].name.clone() });
    }

    fn why_fence(&self, p: usize) -> String {
        let id = self.peers[p].id;
        let groups = self.groups.iter().filter(|group| group.fence.contains(&id));
        let names: Vec<&str> = groups.map(|group| group.settings.name.as_str()).collect();
        format!("it must be down for certain before {} can start here", names.join(", "))
    }

    /// The devices of a node were used.
    pub(crate) fn fence_done(&mut self, id: FenceId, outcome: FenceOutcome) {
        let of = |phase: &FencePhase| match phase {
            FencePhase::Running { id: running, since, ordered } if *running == id => Some((*since, *ordered)),
            _ => None,
        };
        let mut all = self.peers.iter().enumerate();
        let Some((p, (since, ordered))) = all.find_map(|(p, peer)| Some((p, of(&peer.fencing.phase)?)))
        else {
            return;
        };
        match ConfirmedDown::by_device(&outcome) {
            Ok(down) => self.fenced(p, since, ordered, down),
            Err(why) => self.fence_failed(p, why),
        }
    }

    fn fence_failed(&mut self, p: usize, why: &str) {
        let fencing = &mut self.peers[p].fencing;
        fencing.last = Some((self.now, Err(why.to_owned())));
        let pause = (RETRY * 2_u32.saturating_pow(fencing.failures.min(8))).min(LONGEST_RETRY);
        fencing.failures = fencing.failures.saturating_add(1);
        self.set_fencing(p, FencePhase::Failed { retry: self.now + pause }, why);
        let name = self.peers[p].name.clone();
        self.fence_answered(p, &Err(format!("{name} could not be fenced: {why}")));
    }

    fn fenced(&mut self, p: usize, since: Time, ordered: bool, down: ConfirmedDown) {
        let (now, by) = (self.now, down.by().to_owned());
        let peer = &mut self.peers[p];
        let fencing = &mut peer.fencing;
        fencing.failures = 0;
        fencing.last = Some((now, Ok(by.clone())));
        let took = now.since(since);
        let id = peer.id;
        for group in self.groups.iter_mut().filter(|group| group.fence.contains(&id)) {
            group.fenced_at = Some(now);
        }
        if !ordered {
            let from = (fencing.by_itself.len() + 1).saturating_sub(MOST);
            fencing.by_itself.drain(..from);
            fencing.by_itself.push(now);
        }
        // A life proven since is a later one: it was fenced and is back.
        let session = peer.session.as_ref();
        let back = peer.state == PeerState::Up && session.is_some_and(|session| session.since > since);
        if !back {
            fencing.ended = session.map(|session| (session.boot, now));
            self.is_down(p, down, &format!("fenced: {by} confirms that it is down"));
        }
        self.set_fencing(p, FencePhase::Idle, &format!("{by} confirms that it is down"));
        self.judge_delays(p, took);
        let name = self.peers[p].name.clone();
        self.fence_answered(p, &Ok(format!("{name} is fenced: {by} confirms it")));
    }

    /// Two nodes that both want something of the other are safe from shooting each other only if the delays differ by
    /// more than a fencing takes: now it is known how long that is.
    fn judge_delays(&mut self, p: usize, took: Duration) {
        let delay =
            |name: &str| self.settings.fences.iter().find(|f| f.node == name).map(|fence| fence.delay);
        let (Some(mine), Some(theirs)) = (delay(&self.settings.me), delay(&self.peers[p].name)) else {
            return;
        };
        let fenced = self.groups.iter().filter(|group| group.settings.requires == Requires::Fencing).count();
        let apart = mine.abs_diff(theirs);
        if fenced > 1 && took >= apart {
            let (name, took, apart) = (self.peers[p].name.clone(), took.as_millis(), apart.as_millis());
            let why = format!(
                "fencing it took {took} ms, and the delays of the two nodes differ by {apart} ms: after a split both \
                 may be fenced; let the delays differ by more"
            );
            self.event(Level::Warn, "fence", &name, None, None, why);
        }
    }

    /// Peer `p` is down for certain, and so nothing of any group runs there.
    pub(crate) fn is_down(&mut self, p: usize, down: ConfirmedDown, why: &str) {
        if matches!(self.peers[p].state, PeerState::Init | PeerState::Up) {
            self.set_peer_state(p, PeerState::Dead, why.to_owned());
        }
        self.peers[p].stuck.clear();
        self.peers[p].confirmed = Some(down);
        self.changes += 1;
    }

    /// A message of a life that a fence has just ended, and which was under way meanwhile.
    pub(crate) fn is_of_the_fenced(&self, p: usize, boot: u64) -> bool {
        let ended = self.peers[p].fencing.ended;
        ended.is_some_and(|(ended, at)| ended == boot && self.now.since(at) < self.settings.deadtime)
    }

    /// Something fresh came of the present life of peer `p`: if a fence has ended that very life, the device has lied.
    pub(crate) fn judge_device(&mut self, p: usize) {
        let peer = &mut self.peers[p];
        let (Some(session), Some((ended, _))) = (&peer.session, peer.fencing.ended) else { return };
        if session.boot == ended {
            peer.fencing.ended = None;
            let name = peer.name.clone();
            let why = format!(
                "it was fenced and its device confirmed that, yet its life {ended:x} goes on: the device is not to be \
                 trusted"
            );
            self.event(Level::Error, "fence", &name, None, None, why);
        }
    }

    /// `hbctl fence`.
    pub(crate) fn order_fence(&mut self, origin: Origin, node: &str) -> Pending {
        if node == self.settings.me {
            return Pending::refused(origin, "a node does not fence itself: give the order on another one");
        }
        let Some(p) = self.peers.iter().position(|peer| peer.name == node) else {
            return Pending::refused(origin, format!("there is no other node {node}"));
        };
        if !self.settings.fences.iter().any(|fence| fence.node == node) {
            let why = format!(
                "no [[fence]] device is configured for {node}: switch it off by hand, then hbctl fence-ack {node} \
                 records your word for it"
            );
            return Pending::refused(origin, why);
        }
        if !matches!(self.peers[p].fencing.phase, FencePhase::Running { .. }) {
            self.begin_fence(p, true);
        }
        Pending { parts: vec![Part::Fenced { node: self.peers[p].id }], ..Pending::new(origin) }
    }

    fn fence_answered(&mut self, p: usize, answer: &Result<String, String>) {
        let id = self.peers[p].id;
        for pending in &mut self.pending {
            let before = pending.parts.len();
            pending.parts.retain(|part| *part != Part::Fenced { node: id });
            if pending.parts.len() < before {
                match answer {
                    Ok(text) => pending.done.push(text.clone()),
                    Err(why) => pending.failed.push(why.clone()),
                }
            }
        }
    }

    fn set_fencing(&mut self, p: usize, phase: FencePhase, why: &str) {
        let from = std::mem::replace(&mut self.peers[p].fencing.phase, phase);
        self.changes += 1;
        let (name, to) = (self.peers[p].name.clone(), self.peers[p].fencing.phase.word());
        let level = match (&from, to) {
            (_, "failed") => Level::Error,
            (FencePhase::Idle | FencePhase::Waiting { .. }, "running") => Level::Warn,
            _ => Level::Info,
        };
        self.event(level, "fence", &name, Some(from.word()), Some(to), why.to_owned());
    }

    pub(crate) fn each_fence_timer(&self, each: &mut impl FnMut(Timer, Time)) {
        for peer in &self.peers {
            match peer.fencing.phase {
                FencePhase::Waiting { until } => each(Timer::FenceDelay, until),
                FencePhase::Failed { retry } => each(Timer::FenceRetry, retry),
                FencePhase::Idle | FencePhase::Running { .. } => {}
            }
        }
    }
}

impl FencePhase {
    /// The word of the status and the log.
    pub fn word(&self) -> &'static str {
        match self {
            FencePhase::Idle => "idle",
            FencePhase::Waiting { .. } => "waiting",
            FencePhase::Running { .. } => "running",
            FencePhase::Failed { .. } => "failed",
        }
    }
}
