//! One other node, as heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::{GroupId, GroupReport, GroupState, Message, NodeId, NodeState, ReplayWindow};

use crate::certain::ConfirmedDown;
use crate::fencing::Fencing;
use crate::gaps::Histogram;
use crate::time::Time;

/// Whether another node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Not heard since our own start.
    Init,
    /// Heard within deadtime.
    Up,
    /// Silent for deadtime, or never heard within initdead.
    Dead,
    /// Said farewell: all of its groups are stopped.
    Left,
}

impl PeerState {
    /// The word of the status and the log.
    pub fn word(self) -> &'static str {
        match self {
            PeerState::Init => "init",
            PeerState::Up => "up",
            PeerState::Dead => "dead",
            PeerState::Left => "left",
        }
    }
}

/// One life of the peer's daemon, proven to be going on now by its echo of our own boot nonce.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its incarnation.
    pub incarnation: u64,
    /// Its boot nonce.
    pub boot: u64,
    /// Which sequences were seen.
    pub window: ReplayWindow,
    /// The highest sequence applied.
    pub highest: u64,
    /// That message as it came, to know its copies on other links by.
    pub last: Vec<u8>,
    /// When it was proven.
    pub since: Time,
}

/// A life of the peer that has not proven to be going on now: its nonce is echoed, so that it can, or learns that its
/// disk has lost its incarnation. It may as well be a recording.
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
    /// Its boot nonce.
    pub boot: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// Last heard of.
    pub heard: Time,
}

/// Strangers of one peer at a time: a few lives may be heard of at once only if all but one are recordings.
const STRANGERS: usize = 4;

/// What is known of one link to the peer.
#[derive(Clone, Debug, Default)]
pub struct PeerLink {
    /// Last time a fresh message came in here.
    pub heard: Option<Time>,
    /// From when its silence counts.
    pub silent_from: Option<Time>,
    /// Heard within deadtime.
    pub up: bool,
    /// Which sequences came in here in this session.
    pub window: ReplayWindow,
    /// Fresh messages that came in here.
    pub received: u64,
    /// Between one of them and the next.
    pub(crate) gaps: Histogram,
    /// Gaps longer than warntime.
    pub late: u64,
    /// Messages that did not come in here, though newer ones did.
    pub lost: u64,
    /// Messages that came in here more than once.
    pub duplicate: u64,
    /// The peer says it hears us here.
    pub heard_by_peer: bool,
    /// We hear it here, and it says it does not hear us: since when, and whether that was said.
    pub one_way: Option<(Time, bool)>,
}

/// What the peer last said of itself.
#[derive(Clone, Debug)]
pub struct View {
    /// Its own state.
    pub state: NodeState,
    /// Taken out.
    pub standby: bool,
    /// Digest of its configuration.
    pub digest: u64,
    /// Outside points it sees, of how many.
    pub pings: (u8, u8),
    /// The page of this node's configuration that it asks for.
    pub asks: Option<u16>,
    /// Its groups.
    pub groups: BTreeMap<GroupId, GroupReport>,
}

impl View {
    /// The part of a message that is about its sender.
    pub fn of(message: &Message) -> Self {
        Self {
            state: message.state,
            standby: message.standby,
            digest: message.config_digest,
            asks: None,
            pings: (message.pings_seen, message.pings_total),
            groups: message.groups.iter().map(|report| (report.id, *report)).collect(),
        }
    }
}

/// One other node.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its name on the wire.
    pub id: NodeId,
    /// Whether it is there.
    pub state: PeerState,
    /// The newest incarnation ever seen of it; kept on disk.
    pub newest: u64,
    /// The life it is in, once proven.
    pub session: Option<Session>,
    /// Lives of it heard that are not (yet) of the session, see [`Stranger`]; the newest incarnation first.
    pub strangers: Vec<Stranger>,
    /// Last fresh message.
    pub heard: Option<Time>,
    /// From when its silence counts: that message, or the end of a pause in which nothing could be heard.
    pub silent_from: Option<Time>,
    /// Since when it has been in its state.
    pub since: Time,
    /// Late heartbeats counted.
    pub late: u64,
    /// Between one message and the next, whichever link brought it.
    pub(crate) gaps: Histogram,
    /// What it last said.
    pub view: Option<View>,
    /// The links to it, in configuration order.
    pub links: Vec<PeerLink>,
    /// While dead: the certainty that it is.
    pub confirmed: Option<ConfirmedDown>,
    /// Groups that it could not stop, until it says otherwise or is confirmed to be down; kept on disk.
    pub stuck: BTreeSet<GroupId>,
    /// Where its fencing stands.
    pub fencing: Fencing,
    /// Since when it has seen more ping points than this node.
    pub sees_more_since: Option<Time>,
    /// Highest order of its present life that was taken up.
    pub orders_taken: u32,
    /// The page of this node's configuration that it asked for last.
    pub asked: Option<u16>,
    /// The newest of our messages that it has surely taken in, and when that was sent.
    pub received: Option<(u64, Time)>,
}

impl Peer {
    /// A peer not heard yet.
    pub fn new(name: &str, newest: u64, links: usize, now: Time) -> Self {
        Self {
            name: name.to_owned(),
            id: NodeId::of(name),
            state: PeerState::Init,
            newest,
            session: None,
            strangers: Vec::new(),
            heard: None,
            silent_from: None,
            since: now,
            late: 0,
            gaps: Histogram::default(),
            view: None,
            links: vec![PeerLink::default(); links],
            confirmed: None,
            stuck: BTreeSet::new(),
            fencing: Fencing::default(),
            sees_more_since: None,
            orders_taken: 0,
            asked: None,
            received: None,
        }
    }

    /// Heard within deadtime.
    pub fn live(&self) -> bool {
        self.state == PeerState::Up
    }

    /// Live, and past its own start.
    pub fn joined(&self) -> bool {
        self.live() && self.view.as_ref().is_some_and(|view| view.state == NodeState::Up)
    }

    /// Live, and still in its start.
    pub fn joining(&self) -> bool {
        self.live() && self.view.as_ref().is_none_or(|view| view.state == NodeState::Joining)
    }

    /// What it last said of a group.
    pub fn report(&self, group: GroupId) -> Option<&GroupReport> {
        self.view.as_ref()?.groups.get(&group)
    }

    /// It is live and says that it owns the group: the epoch it does so under.
    pub fn holds(&self, group: GroupId) -> Option<u64> {
        let report = self.report(group).filter(|_| self.live())?;
        holding(report.state).then_some(report.epoch)
    }

    /// It is live, joined, and says that it would take the group.
    pub fn able(&self, group: GroupId) -> bool {
        self.joined() && self.report(group).is_some_and(|report| report.able)
    }

    /// It says that it hears this node, on one link at least.
    pub fn hears_us(&self) -> bool {
        self.links.iter().any(|link| link.heard_by_peer)
    }

    /// Takes note of a life that has not proven itself, for as long as it is heard at least once in `deadtime`; true if it
    /// was not known. However many lives are replayed, the newest keep their places, and no more than a few in each
    /// deadtime are news.
    pub fn meet(&mut self, message: &Message, now: Time, deadtime: Duration) -> bool {
        self.strangers.retain(|stranger| now.since(stranger.heard) < deadtime);
        let (boot, incarnation) = (message.boot, message.incarnation);
        let same = |stranger: &&mut Stranger| (stranger.boot, stranger.incarnation) == (boot, incarnation);
        if let Some(known) = self.strangers.iter_mut().find(same) {
            known.heard = now;
            return false;
        }
        let fresh = Stranger { boot, incarnation, heard: now };
        let place = self.strangers.iter().take_while(|stranger| stranger.incarnation >= incarnation).count();
        self.strangers.insert(place, fresh);
        self.strangers.truncate(STRANGERS);
        place < STRANGERS
    }

    /// Takes note of what it says of groups that it could not stop.
    pub fn note_stuck(&mut self) {
        for report in self.view.iter().flat_map(|view| view.groups.values()) {
            if report.state == GroupState::Blocked {
                self.stuck.insert(report.id);
            } else {
                self.stuck.remove(&report.id);
            }
        }
    }

    /// Taken out, as far as it last said.
    pub fn standby(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.standby)
    }
}

/// The states in which something of the group may run on the node that reports them.
pub fn holding(state: GroupState) -> bool {
    match state {
        GroupState::Starting | GroupState::Started | GroupState::Stopping | GroupState::Blocked => true,
        GroupState::Stopped | GroupState::Released => false,
    }
}
