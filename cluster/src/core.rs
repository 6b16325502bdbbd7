//! The core: a function of (now, input) that returns what should be done.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proto::{ClusterId, GroupId, Keyring, Maintenance, NodeId};

use crate::command::{Pending, SentOrder, Verdict};
use crate::diff::Comparison;
use crate::group::{Group, Local};
use crate::io::{Action, Durable, Ground, Input, OpId};
use crate::life::{Doubt, Phase};
use crate::peer::Peer;
use crate::settings::Settings;
use crate::standby::StandbyState;
use crate::time::Time;
use crate::timer::Timer;
use crate::witness::Witness;

/// Rounds of conclusions after one input; each is one step of a group's or the node's state, and what is
/// left over is drawn at the next input.
const ROUNDS: usize = 8;

/// The failover core of one node.
///
/// # How it must be driven
/// * [`Core::new`], then [`Core::handle`] with [`Input::Tick`] at once.
/// * `handle(now, input)` for everything that happens, in the order in which it happens; `now` never goes
///   back and goes on during a suspend. The actions returned are carried out in their order.
/// * After each call, [`Core::deadline`] says when it wants an [`Input::Tick`] if nothing else happens. Later is
///   noticed (and distrusted), earlier does no harm.
/// * Each [`Action::Run`] is answered by exactly one [`Input::OpDone`], each [`Action::Persist`] by one
///   [`Input::Persisted`], each [`Action::Fence`] by one [`Input::FenceDone`], each [`Action::Witness`] by one [`Input::Witness`],
///   each [`Action::Drain`] by one [`Input::Drained`] after what waited in the sockets.
///
/// It has no clock, no randomness and no I/O: the same inputs at the same times give the same actions. A clone goes on
/// as the original would.
#[derive(Clone, Debug)]
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
    /// As the driver last told it.
    pub(crate) ground: Ground,
    /// The kind of the leases given out last: bounded, or without end.
    pub(crate) leased: bool,
    pub(crate) next_renew: Time,
    pub(crate) next_keepalive: Time,
    pub(crate) last_sent: Option<Time>,
    /// The heartbeat about to be sent answers a peer's.
    pub(crate) in_step: bool,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) draining: bool,
    pub(crate) rejected: BTreeMap<String, u64>,
    /// The same, by link.
    pub(crate) rejected_on: Vec<BTreeMap<String, u64>>,
    /// The link of the datagram that is being looked at.
    pub(crate) hearing: usize,
    /// When a message of another life under our own name was last heard.
    pub(crate) namesake: Option<Time>,
    /// As it was last handed out to be written.
    pub(crate) durable: Durable,
    /// As it is known to be on disk.
    pub(crate) on_disk: Durable,
    pub(crate) unwritten: BTreeMap<u64, Durable>,
    pub(crate) serial: u64,
    pub(crate) disk_error: Option<String>,
    /// When a state that could not be written is tried again.
    pub(crate) disk_retry: Option<Time>,
    /// A comparison of configurations under way.
    pub(crate) comparison: Option<Comparison>,
    pub(crate) witness: Witness,
    /// When our last messages went out, by sequence; kept only with a witness.
    pub(crate) sent: VecDeque<(u64, Time)>,
    /// Peers may have been told by this node before this that it waits for them.
    pub(crate) waits_from: Time,
    pub(crate) next_op: u64,
    pub(crate) next_fence: u64,
    pub(crate) next_order: u32,
    pub(crate) orders: Vec<SentOrder>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) pending: Vec<Pending>,
    /// A change the others must hear of at once.
    pub(crate) news: bool,
    /// Counts changes of state, to know when no more follow.
    pub(crate) changes: u64,
    /// Counts statements of peers taken over.
    pub(crate) applied: u64,
    /// What is waited for next.
    pub(crate) due: Option<(Timer, Time)>,
    pub(crate) out: Vec<Action>,
}

impl Core {
    /// The core of node `settings.me`, at the start of a life of its daemon.
    ///
    /// `restored` is what the predecessor left on disk (default if nothing), `boot` a random number no other life
    /// of this daemon had, `now` the present.
    pub fn new(settings: Settings, keyring: Keyring, restored: Durable, boot: u64, now: Time) -> Self {
        let peers = settings
            .nodes
            .iter()
            .filter(|name| **name != settings.me)
            .map(|name| {
                let newest = restored.peers.get(name).copied().unwrap_or(0);
                let mut peer = Peer::new(name, newest, settings.links.len(), now);
                peer.stuck = restored.stuck.get(name).into_iter().flatten().map(|g| GroupId::of(g)).collect();
                peer
            })
            .collect();
        let groups = settings
            .groups
            .iter()
            .map(|group| {
                let kept = restored.groups.get(&group.name).copied().unwrap_or_default();
                let mut group = Group::new(group.clone(), kept.reserved, now);
                group.mine = kept.mine;
                group.key.asked = kept.mine.map(|_| kept.reserved);
                group.key.grace = settings.grace_from(now);
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
            standby: if restored.standby { StandbyState::On } else { StandbyState::Off },
            maintenance: Maintenance { version: restored.maintenance.0, on: restored.maintenance.1 },
            peers,
            groups,
            pings: (0, 0),
            window_open: false,
            ground: Ground::default(),
            leased: true,
            next_renew: now,
            next_keepalive: now,
            last_sent: None,
            in_step: false,
            doubt: None,
            draining: false,
            rejected: BTreeMap::new(),
            rejected_on: vec![BTreeMap::new(); settings.links.len()],
            hearing: 0,
            namesake: None,
            durable: Durable::default(),
            on_disk: restored,
            unwritten: BTreeMap::new(),
            serial: 0,
            disk_error: None,
            disk_retry: None,
            comparison: None,
            witness: Witness::new(now),
            sent: VecDeque::new(),
            waits_from: now,
            next_op: 0,
            next_fence: 0,
            next_order: 0,
            orders: Vec::new(),
            verdicts: Vec::new(),
            pending: Vec::new(),
            news: false,
            changes: 0,
            applied: 0,
            due: None,
            out: Vec::new(),
            settings,
        }
    }

    /// Takes one input in and returns what is to be done, in order.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        self.notice_late_wake();
        let mut news = true;
        match input {
            Input::Tick => {}
            Input::Datagram { link, bytes } => news = self.hear(link, &bytes),
            Input::Drained => self.drained(),
            Input::OpDone { id, results } => self.op_done(id, &results),
            Input::Persisted { serial, error } => self.persisted(serial, error),
            Input::Command { id, by, command } => self.command(id, by, command),
            Input::FailbackWindow { open } => self.window_open = open,
            Input::Pings { seen, total } => self.pings_changed(seen, total),
            Input::Ground(ground) => self.ground_changed(ground),
            Input::PutBack { resources } => self.put_back(&resources),
            Input::FenceDone { id, outcome } => self.fence_done(id, outcome),
            Input::Witness { id, answer } => self.witness_said(id, answer),
            Input::Reload(settings) => self.reload(*settings),
            Input::Stop => self.leave(),
        }
        // A copy, or a datagram that is not believed, changes nothing; but what is due is due.
        let due = self.due.is_none_or(|(_, at)| at <= self.now);
        if news || due || self.news || !self.out.is_empty() {
            self.advance();
            self.due = self.next_timer();
        }
        std::mem::take(&mut self.out)
    }

    /// Replaces the keys, for example after a reload.
    pub fn set_keyring(&mut self, keyring: Keyring) {
        self.keyring = keyring;
    }

    /// How many datagrams were not believed, by reason, for each link in the order of the configuration.
    pub fn rejected(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, u64>)> + Clone {
        self.settings.links.iter().map(String::as_str).zip(&self.rejected_on)
    }

    /// Maintenance is on: what an operator does to an address that is held here may well be meant.
    pub fn is_frozen(&self) -> bool {
        self.maintenance.on
    }

    /// When the core wants an [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Time> {
        self.due.map(|(_, at)| at)
    }

    /// What the core is waiting for next, and until when.
    pub fn waiting_for(&self) -> Option<(Timer, Time)> {
        self.due
    }

    fn next_timer(&self) -> Option<(Timer, Time)> {
        let mut first: Option<(Timer, Time)> = None;
        self.each_timer(|timer, at| {
            // What is due was looked at; if it is still there it waits for something else.
            if at > self.now && first.is_none_or(|(_, earliest)| at < earliest) {
                first = Some((timer, at));
            }
        });
        first
    }

    /// Everything that follows from the time and the state, until nothing more does.
    fn advance(&mut self) {
        self.time_passes();
        self.weigh_homes();
        for _ in 0..ROUNDS {
            let before = self.changes;
            self.watch_joining();
            for g in 0..self.groups.len() {
                self.reconcile(g);
            }
            // Only when all is decided: what is done to one group may depend on what becomes of another.
            for g in 0..self.groups.len() {
                self.proceed(g);
            }
            self.settle_fencing();
            self.settle_witness();
            self.settle_standby();
            self.settle_leaving();
            self.settle_commands();
            if self.changes == before {
                break;
            }
        }
        self.groups
            .retain(|group| !(group.doomed && group.local == Local::Stopped && group.release.is_none()));
        self.settle_leases();
        self.keep();
        self.speak();
    }

    /// Sends the heartbeat that is due, or the news at once.
    fn speak(&mut self) {
        let silent = matches!(self.phase, Phase::Booting | Phase::Gone)
            || self.doubt.is_some_and(|doubt| doubt.drained.is_none());
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
        self.note_sent();
        // In step with a peer, its next heartbeat is waited for a moment longer, lest the two timers race.
        let patience =
            if std::mem::take(&mut self.in_step) { self.settings.keepalive / 16 } else { Duration::ZERO };
        self.next_keepalive = self.now + self.settings.keepalive + patience;
    }

    /// The next number of an operation.
    pub(crate) fn new_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// The index of a group by its name on the wire.
    pub(crate) fn group_index(&self, id: GroupId) -> Option<usize> {
        self.groups.iter().position(|group| group.id == id)
    }

    /// A node's name, for people.
    pub(crate) fn node_name(&self, id: NodeId) -> String {
        let known = self.settings.nodes.iter().find(|name| NodeId::of(name) == id);
        known.cloned().unwrap_or_else(|| format!("node {:08x}", id.0))
    }
}
