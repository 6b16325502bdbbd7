//! From a datagram to what is known of a peer: authenticate, decode, prove fresh, apply.

use proto::{Message, NodeState, Seen};

use crate::core::Core;
use crate::event::Level;
use crate::group::Local;
use crate::peer::{Peer, PeerState, Session, View};

/// A duplicate this many messages behind the newest still shows that a link works.
const RECENT: u64 = 4;

impl Core {
    /// Takes a datagram in; whatever is wrong with it is counted by reason and changes nothing else. True if it said
    /// something new.
    pub(crate) fn hear(&mut self, link: usize, bytes: &[u8]) -> bool {
        self.hearing = link;
        if self.is_copy(link, bytes) {
            return false;
        }
        let applied = self.applied;
        self.judge(link, bytes);
        self.applied != applied
    }

    /// The message last applied comes in once more, on another link as a rule: to the letter the same, so there is
    /// nothing left to check or to learn but that the link works.
    fn is_copy(&mut self, link: usize, bytes: &[u8]) -> bool {
        let same = |peer: &Peer| peer.session.as_ref().is_some_and(|s| s.last == bytes);
        let Some(p) = self.peers.iter().position(same) else { return false };
        let sequence = self.peers[p].session.as_ref().map_or(0, |session| session.highest);
        if self.heard_on(p, link, sequence) {
            self.reject("duplicate");
        }
        true
    }

    fn judge(&mut self, link: usize, bytes: &[u8]) {
        let message = match self.keyring.open(self.cluster, bytes) {
            Ok(message) => message,
            Err(reject) => return self.reject(reject.reason()),
        };
        if message.from == self.settings.me {
            return self.namesake(&message);
        }
        let Some(p) = self.peers.iter().position(|peer| peer.name == message.from) else {
            return self.reject("unknown_node");
        };
        if self.is_of_the_fenced(p, message.boot) {
            return self.reject("fenced");
        }
        let proven = self.learn_from_echo(p, &message);
        if !self.in_session(p, &message, proven) {
            return;
        }
        let Some(session) = self.peers[p].session.as_mut() else {
            return;
        };
        match session.window.accept(message.sequence) {
            Seen::New => {
                bytes.clone_into(&mut session.last);
                self.heard_on(p, link, message.sequence);
                self.apply(p, message);
            }
            // Out of order: a later message was applied already, and that one told more.
            Seen::NewButLate => {
                self.heard_on(p, link, message.sequence);
            }
            Seen::Duplicate if message.sequence + RECENT > session.highest => {
                if self.heard_on(p, link, message.sequence) {
                    self.reject("duplicate");
                }
            }
            Seen::Duplicate => self.reject("replayed"),
            Seen::TooOld => self.reject("replayed"),
        }
    }

    /// A message under our own name: our own, come back; of a former life of ours, replayed; or of another machine that
    /// calls itself so, which nobody can tell from the former but by its going on.
    fn namesake(&mut self, message: &Message) {
        if message.boot == self.boot {
            return self.reject("own");
        }
        self.namesake = Some(self.now);
        self.reject("own_name");
    }

    pub(crate) fn reject(&mut self, reason: &str) {
        for counts in std::iter::once(&mut self.rejected).chain(self.rejected_on.get_mut(self.hearing)) {
            match counts.get_mut(reason) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(reason.to_owned(), 1);
                }
            }
        }
    }

    /// Whether the message echoes our own boot nonce, which did not exist before this life. If the peer knows a
    /// newer incarnation of us than this one, our disk has lost it: go on above that.
    fn learn_from_echo(&mut self, p: usize, message: &Message) -> bool {
        let mut mine = message.echoes.iter().filter(|echo| echo.node == self.me);
        let Some(first) = mine.next() else { return false };
        let proof = |echo: &&proto::Echo| echo.boot == self.boot;
        let Some(known) = std::iter::once(first).chain(mine).find(proof).map(|echo| echo.incarnation) else {
            return false;
        };
        // If a former life could not keep its incarnation, this one was given the same: the peer is then in session
        // with that one. Other lives of ours behind our own are only recordings, played to the peer.
        let shared = known == self.incarnation && !proof(&first);
        // Recorded in a former life of the peer: what it said then of this one is no news.
        let old = message.incarnation < self.peers[p].newest;
        if !old && (known > self.incarnation || shared) {
            let me = self.settings.me.clone();
            let why = format!(
                "{} knows incarnation {known} of this node, this one was {}: the state on disk was lost",
                message.from, self.incarnation
            );
            self.event(Level::Warn, "node", &me, None, None, why);
            self.incarnation = known + 1;
            self.news = true;
        }
        true
    }

    /// Whether the message belongs to the proven life of the peer, beginning a new one if it proves itself.
    fn in_session(&mut self, p: usize, message: &Message, proven: bool) -> bool {
        let peer = &mut self.peers[p];
        let known = peer.session.as_ref();
        if known.is_some_and(|s| s.boot == message.boot && s.incarnation == message.incarnation) {
            return true;
        }
        let risen = known.is_some_and(|s| s.boot == message.boot && message.incarnation > s.incarnation);
        let newer = message.incarnation > peer.newest;
        let first = known.is_none() && message.incarnation == peer.newest;
        if !(newer || first) {
            self.stranger(p, message);
            self.reject("stale_incarnation");
            return false;
        }
        if !proven {
            self.stranger(p, message);
            self.reject("unproven");
            return false;
        }
        self.new_session(p, message, risen);
        true
    }

    /// Remembers a life to echo, and answers a new one at once, so that it can prove itself.
    fn stranger(&mut self, p: usize, message: &Message) {
        if self.peers[p].meet(message, self.now, self.settings.deadtime) {
            self.news = true;
        }
    }

    fn new_session(&mut self, p: usize, message: &Message, risen: bool) {
        let now = self.now;
        let peer = &mut self.peers[p];
        let restarted = peer.live() && !risen;
        peer.newest = message.incarnation;
        peer.strangers.clear();
        if !risen {
            peer.orders_taken = 0;
        }
        peer.view = None;
        peer.received = None;
        for link in &mut peer.links {
            link.window = proto::ReplayWindow::new();
        }
        peer.session = Some(Session {
            incarnation: message.incarnation,
            boot: message.boot,
            // What it said before it was proven is the past: only what comes after counts.
            window: proto::ReplayWindow::beginning_at(message.sequence),
            highest: 0,
            last: Vec::new(),
            since: now,
        });
        self.news = true;
        if restarted {
            let (name, incarnation) = (self.peers[p].name.clone(), message.incarnation);
            let why = format!("its daemon was restarted, incarnation {incarnation}");
            self.event(Level::Warn, "peer", &name, None, None, why);
            self.verdicts.retain(|verdict| verdict.issuer != self.peers[p].id);
        }
    }

    /// Notes on which link a fresh message came in; true if it had come in there before.
    fn heard_on(&mut self, p: usize, l: usize, sequence: u64) -> bool {
        let (now, warntime) = (self.now, self.settings.warntime);
        let Some(link) = self.peers[p].links.get_mut(l) else {
            return false;
        };
        let newest = link.window.highest();
        match link.window.accept(sequence) {
            // What came before the first one here was never expected here.
            Seen::New if newest > 0 => link.lost += sequence - newest - 1,
            Seen::New => {}
            Seen::NewButLate => link.lost = link.lost.saturating_sub(1),
            Seen::Duplicate | Seen::TooOld => {
                link.duplicate += 1;
                return true;
            }
        }
        // Between two lives of the peer, and while the link is down, there is no gap but an outage.
        if let (true, true, Some(before)) = (link.up, newest > 0, link.silent_from) {
            let gap = now.since(before);
            link.gaps.add(gap);
            link.late += u64::from(gap > warntime);
        }
        link.heard = Some(now);
        link.silent_from = Some(now);
        link.received += 1;
        if !link.up {
            self.set_link(p, l, true);
        }
        false
    }

    /// Applies the newest statement of a peer.
    fn apply(&mut self, p: usize, message: Message) {
        self.applied += 1;
        self.judge_device(p);
        self.note_heard(p);
        let view = View::of(&message);
        let peer = &mut self.peers[p];
        if let Some(session) = &mut peer.session {
            session.highest = message.sequence;
        }
        let mine = message.echoes.iter().find(|echo| echo.node == self.me && echo.boot == self.boot);
        let heard_links = mine.map_or(0, |echo| echo.links);
        let heard = mine.map(|echo| u64::from(echo.heard)).filter(|heard| *heard > 0);
        for (l, link) in peer.links.iter_mut().enumerate() {
            link.heard_by_peer = heard_links >> l & 1 == 1;
        }
        let before = peer.view.replace(view);
        self.note_receipt(p, heard);
        let peer = &mut self.peers[p];
        peer.note_stuck();
        self.note_state(p, message.state);
        self.note_one_way(p);
        self.note_view(p, before.as_ref());
        self.compare_pings();
        self.note_epochs(p);
        self.note_maintenance(p, &message);
        self.take_orders(p, &message);
        self.take_verdicts(p, &message);
        self.note_comparison(p, &message);
    }

    /// Takes note of which of our messages a peer has taken in, by its newest one.
    fn note_receipt(&mut self, p: usize, heard: Option<u64>) {
        let receipt = heard.and_then(|sequence| Some((sequence, self.sent_at(sequence)?)));
        if receipt.is_some() {
            self.peers[p].received = receipt;
        }
    }

    /// Says which links are cut in the direction to the peer: we hear it there, and it says that it does not hear us. That
    /// has to last for warntime, since whoever has just begun has not heard everybody yet.
    fn note_one_way(&mut self, p: usize) {
        let (now, warntime) = (self.now, self.settings.warntime);
        for l in 0..self.peers[p].links.len() {
            let link = &mut self.peers[p].links[l];
            let said = match (link.up && !link.heard_by_peer, link.one_way) {
                (true, None) => {
                    link.one_way = Some((now, false));
                    continue;
                }
                (true, Some((since, false))) if now.since(since) >= warntime => true,
                // Down in both directions is another matter, and said by itself.
                (false, Some((_, true))) if link.up => false,
                (false, _) => {
                    link.one_way = None;
                    continue;
                }
                (true, _) => continue,
            };
            link.one_way = said.then_some((now, true));
            self.set_one_way(p, l, said);
        }
    }

    fn note_heard(&mut self, p: usize) {
        let (now, warntime) = (self.now, self.settings.warntime);
        let peer = &mut self.peers[p];
        let gap = peer.silent_from.filter(|_| peer.live()).map(|heard| now.since(heard));
        peer.heard = Some(now);
        peer.silent_from = Some(now);
        // The first of a life ends no gap.
        if let Some(gap) = gap.filter(|_| peer.session.as_ref().is_some_and(|session| session.highest > 0)) {
            peer.gaps.add(gap);
        }
        if let Some(gap) = gap.filter(|gap| *gap > warntime) {
            peer.late += 1;
            let name = peer.name.clone();
            let why =
                format!("late heartbeat: {} ms (warntime {} ms)", gap.as_millis(), warntime.as_millis());
            self.event(Level::Warn, "peer", &name, None, None, why);
        }
        self.beat_together();
    }

    /// Our own heartbeat is almost due: send it now that the loop is awake anyway. So a node that serves falls into
    /// step with its standby, and wakes half as often.
    fn beat_together(&mut self) {
        let keepalive = self.settings.keepalive;
        let serves = self.groups.iter().any(|group| group.local == Local::Started);
        if serves && self.last_sent.is_some_and(|sent| self.now.since(sent) >= keepalive * 3 / 4) {
            self.next_keepalive = self.now;
            self.in_step = true;
        }
    }

    fn note_state(&mut self, p: usize, said: NodeState) {
        let (state, why) = match (self.peers[p].state, said) {
            (PeerState::Left, NodeState::Left) => return,
            (_, NodeState::Left) => (PeerState::Left, "it said farewell: everything there is stopped"),
            (PeerState::Up, _) => return,
            (PeerState::Dead, _) => (PeerState::Up, "heard again"),
            (PeerState::Init | PeerState::Left, _) => (PeerState::Up, "heard"),
        };
        self.set_peer_state(p, state, why.to_owned());
    }

    /// Tells what changed between two statements of a peer.
    fn note_view(&mut self, p: usize, before: Option<&View>) {
        let Some(view) = &self.peers[p].view else {
            return;
        };
        let (standby, digest, state) = (view.standby, view.digest, view.state);
        let name = self.peers[p].name.clone();
        let was_standby = before.is_some_and(|view| view.standby);
        if standby != was_standby {
            let (from, to) = if standby { ("online", "standby") } else { ("standby", "online") };
            self.event(Level::Info, "peer", &name, Some(from), Some(to), "it says so".to_owned());
            self.peers[p].since = self.now;
            self.forget_wishes_of(p);
        }
        if before.is_some_and(|view| view.state != state) {
            self.changes += 1;
        }
        let ours = self.settings.config_digest;
        let mismatch = digest != ours;
        if mismatch != before.is_some_and(|view| view.digest != ours) {
            let (level, why) = if mismatch {
                (Level::Warn, "its configuration differs from this node's")
            } else {
                (Level::Info, "its configuration is the same as this node's")
            };
            self.event(level, "config", &name, None, None, why.to_owned());
        }
    }

    fn note_epochs(&mut self, p: usize) {
        let Peer { view: Some(view), .. } = &self.peers[p] else {
            return;
        };
        for group in &mut self.groups {
            if let Some(report) = view.groups.get(&group.id) {
                group.known = group.known.max(report.epoch);
            }
        }
    }

    /// The freeze with the higher version is the truth; of two with the same, the one that is on.
    fn note_maintenance(&mut self, p: usize, message: &Message) {
        let (theirs, ours) = (message.maintenance, self.maintenance);
        if (theirs.version, theirs.on) <= (ours.version, ours.on) {
            return;
        }
        self.maintenance = theirs;
        self.news = true;
        if theirs.on != ours.on {
            let me = self.settings.me.clone();
            let (from, to) = if theirs.on { ("off", "on") } else { ("on", "off") };
            let why = format!("maintenance, set on {}", self.peers[p].name);
            self.event(Level::Warn, "maintenance", &me, Some(from), Some(to), why);
        }
    }
}
