//! A new configuration for a running node: only what differs is touched.

use std::collections::BTreeMap;

use crate::core::Core;
use crate::event::Level;
use crate::group::{Group, Local, Recovery, Resource, ResourceState};
use crate::peer::{Peer, PeerLink};
use crate::settings::{GroupSettings, Requires, ResourceKey, Settings};

impl Core {
    /// Takes the new settings over. The name of the cluster and of this node cannot change in a running daemon
    /// and are kept.
    pub(crate) fn reload(&mut self, mut new: Settings) {
        new.cluster.clone_from(&self.settings.cluster);
        new.me.clone_from(&self.settings.me);
        self.reload_witness(&new);
        self.reload_links(&new);
        self.reload_peers(&new);
        self.reload_groups(&new);
        let me = new.me.clone();
        self.settings = new;
        self.weigh_ground();
        self.changes += 1;
        self.news = true;
        self.event(Level::Info, "config", &me, None, None, "the configuration was read again".to_owned());
    }

    fn reload_links(&mut self, new: &Settings) {
        if new.links == self.settings.links {
            return;
        }
        let old = self.settings.links.clone();
        let mut kept: BTreeMap<&String, _> = old.iter().zip(std::mem::take(&mut self.rejected_on)).collect();
        self.rejected_on = new.links.iter().map(|name| kept.remove(name).unwrap_or_default()).collect();
        for peer in &mut self.peers {
            let mut kept: BTreeMap<&String, PeerLink> =
                old.iter().zip(std::mem::take(&mut peer.links)).collect();
            peer.links = new.links.iter().map(|name| kept.remove(name).unwrap_or_default()).collect();
        }
    }

    /// What this node has told the others of how long it waits was by the old settings: it counts from now.
    fn reload_witness(&mut self, new: &Settings) {
        if new.witness != self.settings.witness || new.nodes != self.settings.nodes {
            self.waits_from = self.now;
            self.witness.reloaded(self.now);
        }
        let grace = new.grace_from(self.now);
        for group in &mut self.groups {
            let newly = new.groups.iter().any(|settings| {
                settings.name == group.settings.name
                    && settings.requires == Requires::Witness
                    && group.settings.requires != Requires::Witness
            });
            if newly {
                group.key.grace = grace;
            }
        }
    }

    fn reload_peers(&mut self, new: &Settings) {
        self.peers.retain(|peer| new.nodes.contains(&peer.name));
        for name in new.nodes.iter().filter(|name| **name != new.me) {
            if !self.peers.iter().any(|peer| peer.name == *name) {
                self.peers.push(Peer::new(name, 0, new.links.len(), self.now));
            }
        }
    }

    fn reload_groups(&mut self, new: &Settings) {
        let mut old = std::mem::take(&mut self.groups);
        for settings in &new.groups {
            let at = old.iter().position(|group| group.settings.name == settings.name);
            let group = match at {
                Some(at) => self.reload_group(old.remove(at), settings),
                None => Group::new(settings.clone(), 0, self.now),
            };
            self.groups.push(group);
        }
        for mut group in old {
            group.doomed = true;
            self.groups.push(group);
        }
    }

    fn reload_group(&mut self, mut group: Group, new: &GroupSettings) -> Group {
        group.doomed = false;
        let keys =
            |resources: &[Resource]| resources.iter().map(|r| r.settings.key).collect::<Vec<ResourceKey>>();
        let before = keys(&group.resources);
        if group.settings == *new {
            return group;
        }
        group.settings = new.clone();
        group.monitored = new.monitored();
        let failed = match group.local {
            Local::Recovering(recovery) => group.resources.get(recovery.first).map(|r| r.settings.key),
            _ => None,
        };
        // Operations under way speak of resources by position: what is dropped goes to the end only once they
        // are over; until then nothing may move, so the operation's places are found again by key.
        let on: Vec<ResourceKey> =
            group.op.iter().flat_map(|op| &op.on).map(|&i| group.resources[i].settings.key).collect();
        let mut old: Vec<Resource> = std::mem::take(&mut group.resources);
        for settings in &new.resources {
            let at = old.iter().position(|resource| resource.settings.key == settings.key);
            let mut resource = match at {
                Some(at) => old.remove(at),
                None => {
                    let mut resource = Resource::new(settings.clone());
                    // What the configuration did not name was not ours: it counts as stopped.
                    resource.state = ResourceState::Stopped;
                    resource
                }
            };
            resource.settings = settings.clone();
            resource.doomed = false;
            group.resources.push(resource);
        }
        for mut resource in old {
            resource.doomed = true;
            if resource.state != ResourceState::Stopped || on.contains(&resource.settings.key) {
                group.resources.push(resource);
            }
        }
        if let Some(op) = &mut group.op {
            let place = |key| group.resources.iter().position(|resource| resource.settings.key == key);
            op.on = on.into_iter().filter_map(place).collect();
        }
        if let Local::Recovering(mut recovery) = group.local {
            let place = group.resources.iter().position(|r| Some(r.settings.key) == failed && !r.doomed);
            recovery.last = group.resources.len() - 1;
            // A failed one that was dropped is stopped like any other on the way to the new list.
            group.local =
                place.map_or(Local::Starting, |first| Local::Recovering(Recovery { first, ..recovery }));
        }
        let doomed = group.resources.iter().any(|resource| resource.doomed);
        if group.local == Local::Started && (doomed || keys(&group.resources) != before) {
            group.local = Local::Starting;
            group.since = self.now;
            group.began = self.now;
            "its resources changed in the configuration".clone_into(&mut group.why);
        }
        group
    }
}
