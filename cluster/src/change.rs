//! Every change of state goes through here, and says from, to and why.

use crate::core::Core;
use crate::event::{Event, Level};
use crate::group::Local;
use crate::io::Action;
use crate::life::Phase;
use crate::peer::PeerState;

impl Core {
    pub(crate) fn set_phase(&mut self, phase: Phase, why: &str) {
        let word = |phase| match phase {
            Phase::Booting => "booting",
            Phase::Joining => "joining",
            Phase::Up => "up",
            Phase::Leaving { .. } => "leaving",
            Phase::Left { .. } => "left",
            Phase::Gone => "gone",
        };
        let (from, to) = (word(self.phase), word(phase));
        self.phase = phase;
        self.changes += 1;
        self.phase_since = self.now;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(Level::Info, "node", &me, Some(from), Some(to), why.to_owned());
    }

    pub(crate) fn set_peer_state(&mut self, p: usize, state: PeerState, why: String) {
        let peer = &mut self.peers[p];
        let from = peer.state;
        peer.state = state;
        peer.since = self.now;
        peer.confirmed = None;
        if (from, state) == (PeerState::Dead, PeerState::Up) {
            self.announce_after_heal();
        }
        self.changes += 1;
        self.news = true;
        self.compare_pings();
        if state != PeerState::Up {
            self.forget_wishes_of(p);
        }
        let level = if state == PeerState::Dead { Level::Warn } else { Level::Info };
        let name = self.peers[p].name.clone();
        self.event(level, "peer", &name, Some(from.word()), Some(state.word()), why);
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
        let (from, to, level) = if up { ("down", "up", Level::Info) } else { ("up", "down", Level::Warn) };
        let why = if up { "heard" } else { "nothing heard for deadtime" };
        self.event(level, "link", &subject, Some(from), Some(to), why.to_owned());
        self.news = true;
    }

    /// A link that is up is heard in one direction only, or in both again.
    pub(crate) fn set_one_way(&mut self, p: usize, l: usize, one_way: bool) {
        let peer = &self.peers[p].name;
        let subject = format!("{} ({peer})", self.settings.links[l]);
        let (both, one) = (Some("two-way"), Some("one-way"));
        let (from, to, level, why) = if one_way {
            (both, one, Level::Warn, format!("we hear {peer}, it does not hear us"))
        } else {
            (one, both, Level::Info, format!("{peer} hears us again"))
        };
        self.event(level, "link", &subject, from, to, why);
    }

    pub(crate) fn set_local(&mut self, g: usize, local: Local, why: String) {
        let group = &mut self.groups[g];
        let from = group.local;
        group.local = local;
        group.note_for_the_witness(from, self.sequence + 1);
        if from == Local::Started {
            self.cancel_looks(g);
        }
        let group = &mut self.groups[g];
        group.recheck &= local == Local::Probing;
        if local != Local::Blocked {
            (group.fence_me, group.fence_for) = (false, None);
        }
        group.since = self.now;
        group.announce = false;
        group.hold = None;
        group.why.clone_from(&why);
        self.changes += 1;
        let group = &self.groups[g];
        self.news = true;
        if from.word() == local.word() {
            return;
        }
        let settled = matches!(local, Local::Started | Local::Stopped | Local::Blocked);
        let took =
            settled.then(|| u64::try_from(self.now.since(group.began).as_millis()).unwrap_or(u64::MAX));
        let level = if local == Local::Blocked { Level::Error } else { Level::Info };
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
