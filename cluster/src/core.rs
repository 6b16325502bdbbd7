//! The core: a function of (now, input) that returns what should be done.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::{ClusterId, GroupId, Keyring, Maintenance, NodeId, NodeState};

use crate::command::{Pending, SentOrder, StandbyState, Verdict};
use crate::event::{Event, Level};
use crate::group::{Group, Local};
use crate::io::{Action, Durable, DurableGroup, Input, OpId};
use crate::peer::{Peer, PeerState};
use crate::settings::{Failback, Settings};
use crate::time::Time;
use crate::timer::Timer;

/// How long a claim may wait for the disk before it goes on without.
const DISK_WAIT: Duration = Duration::from_secs(1);
/// Longest pause between two words of farewell.
const FAREWELL_PAUSE: Duration = Duration::from_millis(50);
/// Words of farewell said, so that one or two may be lost.
const FAREWELLS: u8 = 3;

/// Rounds of conclusions after one input; each is one step of a group's or the node's state, and what is
/// left over is drawn at the next input.
const ROUNDS: usize = 8;

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
}

/// After a late wake: others may have taken over meanwhile, so look first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    /// Until the waiting datagrams have been read, nothing is sent.
    pub drained: bool,
    /// When silence itself is the answer.
    pub until: Time,
}

/// The failover core of one node.
///
/// # How it must be driven
/// * [`Core::new`], then [`Core::handle`] with [`Input::Tick`] at once.
/// * `handle(now, input)` for everything that happens, in the order in which it happens; `now` never goes
///   back and goes on during a suspend. The actions returned are carried out in their order.
/// * After each call, [`Core::deadline`] says when it wants an [`Input::Tick`] if nothing else happens. Later is
///   noticed (and distrusted), earlier does no harm.
/// * Each [`Action::Run`] is answered by exactly one [`Input::OpDone`], each [`Action::Persist`] by one
///   [`Input::Persisted`], each [`Action::Drain`] by one [`Input::Drained`] after what waited in the sockets.
///
/// It has no clock, no randomness and no I/O: the same inputs at the same times give the same actions.
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) keyring: Keyring,
    pub(crate) cluster: ClusterId,
    pub(crate) me: NodeId,
    pub(crate) boot: u64,
    pub(crate) incarnation: u64,
    pub(crate) sequence: u64,
    pub(crate) now: Time,
    pub(crate) phase: Phase,
    pub(crate) phase_since: Time,
    pub(crate) standby: StandbyState,
    pub(crate) maintenance: Maintenance,
    pub(crate) peers: Vec<Peer>,
    pub(crate) groups: Vec<Group>,
    pub(crate) pings: (u8, u8),
    pub(crate) window_open: bool,
    pub(crate) leased: bool,
    pub(crate) next_renew: Time,
    pub(crate) next_keepalive: Time,
    pub(crate) last_sent: Option<Time>,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) draining: bool,
    pub(crate) rejected: BTreeMap<String, u64>,
    /// As it was last handed out to be written.
    pub(crate) durable: Durable,
    /// As it is known to be on disk.
    pub(crate) on_disk: Durable,
    pub(crate) unwritten: BTreeMap<u64, Durable>,
    pub(crate) serial: u64,
    pub(crate) disk_error: Option<String>,
    pub(crate) next_op: u64,
    pub(crate) next_order: u32,
    pub(crate) orders: Vec<SentOrder>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) pending: Vec<Pending>,
    /// A change the others must hear of at once.
    pub(crate) news: bool,
    /// Counts changes of state, to know when no more follow.
    pub(crate) changes: u64,
    pub(crate) out: Vec<Action>,
}

impl Core {
    /// The core of node `settings.me`, at the start of a life of its daemon.
    ///
    /// `restored` is what the predecessor left on disk (default if nothing), `boot` a random number no other life
    /// of this daemon had, `now` the present.
    pub fn new(
        settings: Settings,
        keyring: Keyring,
        restored: Durable,
        boot: u64,
        now: Time,
    ) -> Self {
        let peers = settings
            .nodes
            .iter()
            .filter(|name| **name != settings.me)
            .map(|name| {
                Peer::new(
                    name,
                    restored.peers.get(name).copied().unwrap_or(0),
                    settings.links.len(),
                    now,
                )
            })
            .collect();
        let groups = settings
            .groups
            .iter()
            .map(|group| {
                let kept = restored
                    .groups
                    .get(&group.name)
                    .copied()
                    .unwrap_or_default();
                let mut group = Group::new(group.clone(), kept.reserved, now);
                group.mine = kept.mine;
                group
            })
            .collect();
        Self {
            cluster: ClusterId::of(&settings.cluster),
            me: NodeId::of(&settings.me),
            keyring,
            boot,
            incarnation: restored.incarnation + 1,
            sequence: 0,
            now,
            phase: Phase::Booting,
            phase_since: now,
            standby: if restored.standby {
                StandbyState::On
            } else {
                StandbyState::Off
            },
            maintenance: Maintenance {
                version: restored.maintenance.0,
                on: restored.maintenance.1,
            },
            peers,
            groups,
            pings: (0, 0),
            window_open: false,
            leased: true,
            next_renew: now,
            next_keepalive: now,
            last_sent: None,
            doubt: None,
            draining: false,
            rejected: BTreeMap::new(),
            durable: Durable::default(),
            on_disk: restored,
            unwritten: BTreeMap::new(),
            serial: 0,
            disk_error: None,
            next_op: 0,
            next_order: 0,
            orders: Vec::new(),
            verdicts: Vec::new(),
            pending: Vec::new(),
            news: false,
            changes: 0,
            out: Vec::new(),
            settings,
        }
    }

    /// Takes one input in and returns what is to be done, in order.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        self.notice_late_wake();
        match input {
            Input::Tick => {}
            Input::Datagram { link, bytes } => self.hear(link, &bytes),
            Input::Drained => self.drained(),
            Input::OpDone { id, results } => self.op_done(id, &results),
            Input::Persisted { serial, error } => self.persisted(serial, error),
            Input::Command { id, by, command } => self.command(id, by, command),
            Input::FailbackWindow { open } => self.window_open = open,
            Input::Pings { seen, total } => self.pings = (seen, total),
            Input::Reload(settings) => self.reload(*settings),
            Input::Stop => self.leave(),
        }
        self.advance();
        std::mem::take(&mut self.out)
    }

    /// Replaces the keys, for example after a reload.
    pub fn set_keyring(&mut self, keyring: Keyring) {
        self.keyring = keyring;
    }

    /// When the core wants an [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Time> {
        self.waiting_for().map(|(_, at)| at)
    }

    /// What the core is waiting for next, and until when.
    pub fn waiting_for(&self) -> Option<(Timer, Time)> {
        let mut first: Option<(Timer, Time)> = None;
        self.each_timer(|timer, at| {
            // What is due was looked at; if it is still there it waits for something else.
            if at > self.now && first.is_none_or(|(_, earliest)| at < earliest) {
                first = Some((timer, at));
            }
        });
        first
    }

    fn each_timer(&self, mut each: impl FnMut(Timer, Time)) {
        match self.phase {
            Phase::Booting => return each(Timer::DiskWait, self.phase_since + DISK_WAIT),
            Phase::Left { next, .. } => return each(Timer::Farewell, next),
            Phase::Joining => each(Timer::InitDead, self.phase_since + self.settings.initdead),
            Phase::Leaving { since } => each(Timer::LeaveBound, since + self.leave_bound()),
            Phase::Up => {}
        }
        each(Timer::Keepalive, self.next_keepalive);
        for peer in &self.peers {
            if let (true, false, Some(heard)) = (peer.live(), self.draining, peer.heard) {
                each(Timer::PeerDead, heard + self.settings.deadtime);
            }
            for link in peer.links.iter().filter(|link| link.up) {
                if let Some(heard) = link.heard {
                    each(Timer::LinkDown, heard + self.settings.deadtime);
                }
            }
        }
        if let Some(doubt) = self.doubt {
            each(Timer::DoubtEnds, doubt.until);
        } else if self.leased
            && self
                .groups
                .iter()
                .any(|group| group.held() && group.has_addresses())
        {
            each(Timer::LeaseRenew, self.next_renew);
        }
        for group in &self.groups {
            self.each_timer_of(group, &mut each);
        }
    }

    fn each_timer_of(&self, group: &Group, each: &mut impl FnMut(Timer, Time)) {
        if let Some(since) = group.disk_wait {
            each(Timer::DiskWait, since + DISK_WAIT);
        }
        if group.local == Local::Stopped && self.phase == Phase::Up {
            for peer in self.peers.iter().filter(|peer| peer.joining()) {
                let at = self.patience_with(peer, group);
                if at > self.now {
                    each(Timer::JoinWait, at);
                }
            }
        }
        if let Some(at) = self.failback_due(group).filter(|&at| at > self.now) {
            each(Timer::Failback, at);
        }
    }

    /// When the preferred node of a group owned here will have been up for long enough.
    pub(crate) fn failback_due(&self, group: &Group) -> Option<Time> {
        let Failback::On { after, window } = self.settings.failback else {
            return None;
        };
        if group.local != Local::Started || group.stay || (window && !self.window_open) {
            return None;
        }
        let home = group.settings.preferred.as_deref()?;
        let peer = self
            .peers
            .iter()
            .find(|peer| peer.name == home && peer.able(group.id))?;
        Some(peer.since + after)
    }

    /// How long a leaving node waits for an heir to take what it was given.
    pub(crate) fn leave_bound(&self) -> Duration {
        self.settings.deadtime * 2
    }

    /// A loop that was away for so long that the others may have given it up must look before it acts.
    fn notice_late_wake(&mut self) {
        let Some(sent) = self.last_sent else { return };
        let silent = self.now.since(sent);
        if silent < self.settings.deadtime * 3 / 4
            || !matches!(self.phase, Phase::Joining | Phase::Up)
        {
            return;
        }
        let away = silent.saturating_sub(self.settings.keepalive);
        self.doubt = Some(Doubt {
            drained: false,
            until: self.now + self.settings.deadtime,
        });
        self.last_sent = Some(self.now); // noticed once; the pause is over
        self.next_keepalive = self.now;
        for peer in &mut self.peers {
            // Nothing could be heard meanwhile: their silence counts from now.
            if peer.live() {
                peer.heard = Some(self.now);
            }
            for link in peer.links.iter_mut().filter(|link| link.up) {
                link.heard = Some(self.now);
            }
        }
        let me = self.settings.me.clone();
        self.event(
            Level::Warn,
            "node",
            &me,
            None,
            None,
            format!(
                "this process was away for {} ms: looking at the others before acting",
                away.as_millis()
            ),
        );
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.out.push(Action::Drain);
        }
    }

    fn drained(&mut self) {
        self.draining = false;
        if let Some(doubt) = &mut self.doubt {
            doubt.drained = true;
        }
        self.bury_the_silent();
    }

    /// Declares dead who is silent for deadtime; the sockets have just been emptied.
    fn bury_the_silent(&mut self) {
        for i in 0..self.peers.len() {
            let peer = &self.peers[i];
            if let (true, Some(heard)) = (peer.live(), peer.heard) {
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

    /// Everything that follows from the time and the state, until nothing more does.
    fn advance(&mut self) {
        self.time_passes();
        for _ in 0..ROUNDS {
            let before = self.changes;
            self.watch_joining();
            for g in 0..self.groups.len() {
                self.reconcile(g);
            }
            self.settle_standby();
            self.settle_leaving();
            self.settle_commands();
            if self.changes == before {
                break;
            }
        }
        self.groups.retain(|group| {
            !(group.doomed && group.local == Local::Stopped && group.release.is_none())
        });
        self.settle_leases();
        self.keep();
        self.speak();
    }

    fn time_passes(&mut self) {
        let deadtime = self.settings.deadtime;
        if self.phase == Phase::Booting && self.now.since(self.phase_since) >= DISK_WAIT {
            self.disk_error
                .get_or_insert_with(|| "the disk does not answer".to_owned());
            self.set_phase(Phase::Joining, "started without the disk's answer");
        }
        if self.peers.iter().any(|p| {
            p.live()
                && p.heard
                    .is_some_and(|heard| self.now.since(heard) >= deadtime)
        }) {
            self.drain();
        }
        for p in 0..self.peers.len() {
            for l in 0..self.peers[p].links.len() {
                let link = &self.peers[p].links[l];
                if link.up
                    && link
                        .heard
                        .is_some_and(|heard| self.now.since(heard) >= deadtime)
                {
                    self.set_link(p, l, false);
                }
            }
        }
        self.end_doubt();
    }

    /// Doubt ends when every peer that was there has been heard again, or has been silent for deadtime.
    fn end_doubt(&mut self) {
        let Some(doubt) = self.doubt.filter(|doubt| doubt.drained) else {
            return;
        };
        let woke = doubt.until - self.settings.deadtime;
        let heard = |peer: &Peer| !peer.live() || peer.heard.is_some_and(|heard| heard > woke);
        let lonely = !self.peers.iter().any(Peer::live);
        if self.now < doubt.until && (lonely || !self.peers.iter().all(heard)) {
            return;
        }
        self.doubt = None;
        self.next_renew = self.now;
        for group in self
            .groups
            .iter_mut()
            .filter(|group| group.local == Local::Started)
        {
            // Still the owner: see what is left of it, put back what is missing, then announce.
            for resource in &mut group.resources {
                resource.state = crate::group::ResourceState::Unknown;
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

    /// A node has joined when it knows what runs here and has heard or given up each peer.
    fn watch_joining(&mut self) {
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
        let looked = self
            .groups
            .iter()
            .all(|group| !matches!(group.local, Local::Unknown | Local::Probing));
        let heard = self.peers.iter().all(|peer| peer.state != PeerState::Init);
        if looked && heard && self.doubt.is_none() && !self.draining {
            self.set_phase(Phase::Up, "knows what runs here, and who is there");
            self.join_groups();
        }
    }

    fn settle_leaving(&mut self) {
        match self.phase {
            Phase::Leaving { since } => {
                let waiting = |group: &Group| {
                    group.release.is_some() && self.now.since(since) < self.leave_bound()
                };
                let done = self.groups.iter().all(|group| match group.local {
                    Local::Stopped => !waiting(group),
                    Local::Blocked | Local::Unknown => group.op.is_none(),
                    _ => false,
                });
                if done {
                    self.set_phase(
                        Phase::Left {
                            left: FAREWELLS,
                            next: self.now,
                        },
                        "everything here is stopped",
                    );
                    self.settle_leaving();
                }
            }
            Phase::Left { left, next } if self.now >= next => {
                if left == 0 {
                    self.out.push(Action::Exit);
                }
                let next = self.now + FAREWELL_PAUSE.min(self.settings.keepalive / 2);
                self.phase = Phase::Left {
                    left: left.saturating_sub(1),
                    next,
                };
                self.news = left > 0;
            }
            _ => {}
        }
    }

    fn leave(&mut self) {
        match self.phase {
            Phase::Booting => self.out.push(Action::Exit),
            Phase::Joining | Phase::Up => {
                self.set_phase(Phase::Leaving { since: self.now }, "asked to leave");
                self.refuse_all_pending("this node is leaving");
            }
            Phase::Leaving { .. } | Phase::Left { .. } => {}
        }
    }

    /// Leases are bounded while somebody is there who could take over.
    fn settle_leases(&mut self) {
        let leased = !self.maintenance.on
            && self.peers.iter().any(|peer| match peer.state {
                PeerState::Init => true,
                PeerState::Up => !peer.standby(),
                PeerState::Dead | PeerState::Left => false,
            });
        let changed = leased != self.leased;
        self.leased = leased;
        let due = leased && self.now >= self.next_renew;
        if self.doubt.is_some() || !(changed || due) {
            // A change during a doubt is made good by the renewal at its end.
            self.leased = if self.doubt.is_some() && changed {
                !leased
            } else {
                leased
            };
            return;
        }
        self.next_renew = self.now + self.settings.lease_renew;
        let running = |group: &&Group| match group.local {
            Local::Started => true,
            Local::Starting => group.addresses_run(),
            _ => false,
        };
        let groups: Vec<GroupId> = self
            .groups
            .iter()
            .filter(running)
            .filter(|g| g.has_addresses())
            .map(|g| g.id)
            .collect();
        if !groups.is_empty() {
            self.out.push(Action::Lease { groups, leased });
        }
    }

    /// Hands out what must be on disk, if it is not what was handed out last.
    fn keep(&mut self) {
        let durable = self.to_keep();
        if durable == self.durable && self.serial > 0 {
            return;
        }
        self.durable = durable.clone();
        self.serial += 1;
        self.unwritten.insert(self.serial, durable.clone());
        self.out.push(Action::Persist {
            serial: self.serial,
            state: durable,
        });
    }

    fn to_keep(&self) -> Durable {
        let groups = self.groups.iter().map(|group| {
            let mine = group.mine.filter(|_| group.local != Local::Stopped);
            (
                group.settings.name.clone(),
                DurableGroup {
                    reserved: group.known + 1,
                    mine,
                },
            )
        });
        Durable {
            incarnation: self.incarnation,
            standby: self.standby == StandbyState::On,
            maintenance: (self.maintenance.version, self.maintenance.on),
            peers: self
                .peers
                .iter()
                .map(|peer| (peer.name.clone(), peer.newest))
                .collect(),
            groups: groups.collect(),
        }
    }

    fn persisted(&mut self, serial: u64, error: Option<String>) {
        let state = self.unwritten.remove(&serial);
        if let (None, Some(state)) = (&error, state) {
            self.on_disk = state;
        }
        self.unwritten = self.unwritten.split_off(&(serial + 1));
        if error.is_some() != self.disk_error.is_some() {
            let (level, text) = match &error {
                Some(error) => (
                    Level::Error,
                    format!("the state cannot be written: {error}"),
                ),
                None => (Level::Info, "the state can be written again".to_owned()),
            };
            self.event(level, "state", "disk", None, None, text);
        }
        self.disk_error = error;
        if self.phase == Phase::Booting {
            self.set_phase(Phase::Joining, "the new incarnation is on disk");
        }
    }

    /// Whether `epoch` of a group may be used: it is on disk, or the disk will not have it.
    pub(crate) fn epoch_kept(&self, g: usize, epoch: u64) -> bool {
        let kept = self.on_disk.groups.get(&self.groups[g].settings.name);
        kept.is_some_and(|kept| kept.reserved >= epoch)
            || self.disk_error.is_some()
            || self.groups[g]
                .disk_wait
                .is_some_and(|since| self.now.since(since) >= DISK_WAIT)
    }

    /// Sends the heartbeat that is due, or the news at once.
    fn speak(&mut self) {
        let silent =
            matches!(self.phase, Phase::Booting) || self.doubt.is_some_and(|doubt| !doubt.drained);
        if silent || !(self.news || self.now >= self.next_keepalive) {
            return;
        }
        if matches!(self.phase, Phase::Left { .. }) && !self.news {
            return;
        }
        self.news = false;
        self.sequence += 1;
        let message = self.message();
        let bytes = self.keyring.seal(self.cluster, &message);
        self.out.push(Action::Send(bytes));
        self.last_sent = Some(self.now);
        self.next_keepalive = self.now + self.settings.keepalive;
    }

    /// The next number of an operation.
    pub(crate) fn new_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// What this node is, for the others.
    pub(crate) fn node_state(&self) -> NodeState {
        match self.phase {
            Phase::Booting | Phase::Joining => NodeState::Joining,
            Phase::Up => NodeState::Up,
            Phase::Leaving { .. } => NodeState::Leaving,
            Phase::Left { .. } => NodeState::Left,
        }
    }

    pub(crate) fn set_phase(&mut self, phase: Phase, why: &str) {
        let word = |phase| match phase {
            Phase::Booting => "booting",
            Phase::Joining => "joining",
            Phase::Up => "up",
            Phase::Leaving { .. } => "leaving",
            Phase::Left { .. } => "left",
        };
        let (from, to) = (word(self.phase), word(phase));
        self.phase = phase;
        self.changes += 1;
        self.phase_since = self.now;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(
            Level::Info,
            "node",
            &me,
            Some(from),
            Some(to),
            why.to_owned(),
        );
    }

    pub(crate) fn set_peer_state(&mut self, p: usize, state: PeerState, why: String) {
        let peer = &mut self.peers[p];
        let from = peer.state;
        peer.state = state;
        peer.since = self.now;
        peer.confirmed = None;
        self.changes += 1;
        self.news = true;
        if state != PeerState::Up {
            self.forget_wishes_of(p);
        }
        let level = if state == PeerState::Dead {
            Level::Warn
        } else {
            Level::Info
        };
        let name = self.peers[p].name.clone();
        self.event(
            level,
            "peer",
            &name,
            Some(from.word()),
            Some(state.word()),
            why,
        );
    }

    /// A preferred node that was away wants its groups back when it returns.
    pub(crate) fn forget_wishes_of(&mut self, p: usize) {
        let name = &self.peers[p].name;
        for group in &mut self.groups {
            if group.settings.preferred.as_ref() == Some(name) {
                group.stay = false;
            }
        }
    }

    pub(crate) fn set_link(&mut self, p: usize, l: usize, up: bool) {
        self.peers[p].links[l].up = up;
        let subject = format!("{} ({})", self.settings.links[l], self.peers[p].name);
        let (from, to, level) = if up {
            ("down", "up", Level::Info)
        } else {
            ("up", "down", Level::Warn)
        };
        let why = if up {
            "heard"
        } else {
            "nothing heard for deadtime"
        };
        self.event(
            level,
            "link",
            &subject,
            Some(from),
            Some(to),
            why.to_owned(),
        );
        self.news = true;
    }

    pub(crate) fn set_local(&mut self, g: usize, local: Local, why: String) {
        let group = &mut self.groups[g];
        let from = group.local;
        group.local = local;
        group.recheck &= local == Local::Probing;
        group.since = self.now;
        group.why.clone_from(&why);
        self.changes += 1;
        let group = &self.groups[g];
        self.news = true;
        if from.word() == local.word() {
            return;
        }
        let settled = matches!(local, Local::Started | Local::Stopped | Local::Blocked);
        let took = settled
            .then(|| u64::try_from(self.now.since(group.began).as_millis()).unwrap_or(u64::MAX));
        let level = if local == Local::Blocked {
            Level::Error
        } else {
            Level::Info
        };
        let name = group.settings.name.clone();
        self.out.push(Action::Event(Event {
            level,
            kind: "group".to_owned(),
            subject: name,
            from: Some(from.word().to_owned()),
            to: Some(local.word().to_owned()),
            why,
            took_ms: took,
        }));
    }

    pub(crate) fn event(
        &mut self,
        level: Level,
        kind: &str,
        subject: &str,
        from: Option<&str>,
        to: Option<&str>,
        why: String,
    ) {
        self.out.push(Action::Event(Event {
            level,
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            why,
            took_ms: None,
        }));
    }
}
