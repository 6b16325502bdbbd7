//! Comparing this node's configuration with a peer's, by the names of what differs.
//!
//! Values do not travel: for each part of the configuration that both nodes must share, the peer tells its name and a
//! fingerprint of its value under the cluster's key. A page at a time, each asked for in the heartbeat until it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::{ConfigAsk, ConfigEntry, ConfigPage, MAX_ENTRIES, Message, NodeId};

use crate::command::{Origin, Pending};
use crate::core::Core;
use crate::io::{Action, Difference, Reply};
use crate::time::Time;

/// A peer that has told nothing for so long will not.
const PATIENCE: Duration = Duration::from_secs(5);
/// No configuration has more pages.
const MOST_PAGES: u16 = 1000;

/// A comparison under way.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    peer: NodeId,
    /// The page asked for.
    page: u16,
    /// What was told so far.
    told: BTreeMap<String, u32>,
    /// When it is given up.
    until: Time,
    /// Who wants to know.
    origins: Vec<Origin>,
}

impl Core {
    /// An operator asks how a peer's configuration differs.
    pub(crate) fn compare(&mut self, origin: Origin, node: Option<&str>) -> Option<Pending> {
        let named = |name: &str| node.map_or(name != self.settings.me, |node| node == name);
        let peer = self.peers.iter().filter(|peer| named(&peer.name)).max_by_key(|peer| peer.live());
        let Some(peer) = peer else {
            let node = node.unwrap_or_default();
            return Some(Pending::refused(origin, format!("there is no other node {node}")));
        };
        let Some(view) = peer.view.as_ref().filter(|_| peer.live()) else {
            let why = format!("{} is {}: it cannot be asked", peer.name, peer.state.word());
            return Some(Pending::refused(origin, why));
        };
        if view.digest == self.settings.config_digest {
            let peer = peer.name.clone();
            self.tell_difference(&[origin], Difference { peer, ..Difference::default() });
            return None;
        }
        let until = self.now + PATIENCE;
        match &mut self.comparison {
            Some(comparison) if comparison.peer == peer.id => comparison.origins.push(origin),
            Some(_) => return Some(Pending::refused(origin, "another comparison is under way; try again")),
            None => {
                let (peer, told) = (peer.id, BTreeMap::new());
                self.comparison = Some(Comparison { peer, page: 0, told, until, origins: vec![origin] });
                self.news = true;
            }
        }
        None
    }

    /// What this node asks of a peer, to be said in its message.
    pub(crate) fn config_ask(&self) -> Option<ConfigAsk> {
        self.comparison
            .as_ref()
            .map(|comparison| ConfigAsk { target: comparison.peer, page: comparison.page })
    }

    /// The page of this node's configuration that a peer asks for, to be said in our message.
    pub(crate) fn config_page(&self) -> Option<(ConfigPage, Vec<ConfigEntry>)> {
        let asks =
            |peer: &crate::peer::Peer| Some((peer.id, peer.view.as_ref().filter(|_| peer.live())?.asks?));
        let (issuer, page) = self.peers.iter().find_map(asks)?;
        let parts = &self.settings.config_parts;
        let pages = u16::try_from(parts.len().div_ceil(MAX_ENTRIES)).unwrap_or(MOST_PAGES).min(MOST_PAGES);
        let here = parts.chunks(MAX_ENTRIES).nth(page.into()).unwrap_or_default();
        let entry = |(path, value): &(String, u64)| ConfigEntry {
            name: path.clone(),
            fingerprint: self.fingerprint(path, *value),
        };
        Some((ConfigPage { issuer, page, pages }, here.iter().map(entry).collect()))
    }

    fn fingerprint(&self, path: &str, value: u64) -> u32 {
        self.keyring.fingerprint(&[path.as_bytes(), &[0], &value.to_be_bytes()].concat())
    }

    /// A peer's message came in: it may ask, or tell.
    pub(crate) fn note_comparison(&mut self, p: usize, message: &Message) {
        let asks = message.config_ask.filter(|ask| ask.target == self.me).map(|ask| ask.page);
        let peer = &mut self.peers[p];
        if let Some(view) = &mut peer.view {
            view.asks = asks;
        }
        // Each page is told at once, and with each heartbeat while it is asked for.
        if asks != peer.asked {
            peer.asked = asks;
            self.news |= asks.is_some();
        }
        if let Some(page) = message.config_page.filter(|page| page.issuer == self.me) {
            self.take_page(p, page, &message.config_entries);
        }
    }

    fn take_page(&mut self, p: usize, page: ConfigPage, entries: &[ConfigEntry]) {
        let (id, until) = (self.peers[p].id, self.now + PATIENCE);
        let ours = |c: &&mut Comparison| c.peer == id && c.page == page.page;
        let Some(comparison) = self.comparison.as_mut().filter(ours) else { return };
        comparison.told.extend(entries.iter().map(|entry| (entry.name.clone(), entry.fingerprint)));
        comparison.page += 1;
        comparison.until = until;
        self.news = true;
        if comparison.page < page.pages.min(MOST_PAGES) {
            return;
        }
        if let Some(comparison) = self.comparison.take() {
            self.conclude_comparison(comparison);
        }
    }

    fn conclude_comparison(&mut self, comparison: Comparison) {
        let Comparison { peer, mut told, origins, .. } = comparison;
        let mut difference = Difference { peer: self.node_name(peer), ..Difference::default() };
        for (path, value) in &self.settings.config_parts {
            match told.remove(path) {
                Some(theirs) if theirs == self.fingerprint(path, *value) => {}
                Some(_) => difference.differs.push(path.clone()),
                None => difference.only_here.push(path.clone()),
            }
        }
        difference.only_there.extend(told.into_keys());
        self.tell_difference(&origins, difference);
    }

    fn tell_difference(&mut self, origins: &[Origin], difference: Difference) {
        for origin in origins {
            if let Origin::Local(command) = *origin {
                let reply = Reply::Difference(difference.clone());
                self.out.push(Action::Reply { command, reply });
            }
        }
    }

    /// When a comparison is given up.
    pub(crate) fn comparison_until(&self) -> Option<Time> {
        self.comparison.as_ref().map(|comparison| comparison.until)
    }

    /// Gives up what a peer does not answer.
    pub(crate) fn end_comparison(&mut self) {
        let now = self.now;
        let Some(comparison) = self.comparison.take_if(|comparison| comparison.until <= now) else { return };
        let name = self.node_name(comparison.peer);
        let why = format!(
            "{name} does not tell its configuration: is it still up, and is its hbd as new as this one?"
        );
        for origin in comparison.origins {
            self.finish(Pending::refused(origin, why.clone()));
        }
    }
}
