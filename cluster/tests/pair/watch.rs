//! Looks over the world's shoulder: what must hold at every step, whatever happens.
//!
//! It judges by what the nodes do and say and by what really runs, never by the core's inside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use cluster::*;
use proto::{GroupId, GroupState, NodeState};

use crate::world::{Mood, World, keyring};

static KEYS: LazyLock<proto::Keyring> = LazyLock::new(keyring);

/// An operation that takes longer than this is a hung one.
const SLOW: Duration = Duration::from_millis(100);

/// What an eye keeps in mind of a run.
#[derive(Default)]
pub struct Watch {
    pub violations: Vec<String>,
    /// By node and group: the life and the epoch of the newest claim.
    claims: BTreeMap<(usize, GroupId), (u32, u64)>,
    /// Nodes whose disk failed or was lost: their epochs may be used again.
    pub forgetful: BTreeSet<usize>,
    /// Operations under way.
    under_way: BTreeMap<(usize, ResourceKey), Time>,
    /// What each node last said of each group.
    said: BTreeMap<(usize, GroupId), GroupState>,
    maintenance: BTreeSet<usize>,
    /// Nodes that know of the other that a stop failed there, and of no word since that all is well.
    warned: BTreeMap<(usize, GroupId), Time>,
    /// What each node heard last: the life of its sender, the sequence.
    newest: BTreeMap<usize, (u64, u64)>,
    /// When there was last something that excuses two owners of a group that requires nothing.
    trouble: Time,
    /// When each group was last blocked somewhere: what a failed stop left may run beside its owner.
    blocked: BTreeMap<GroupId, Time>,
}

impl Watch {
    fn blame(&mut self, world: &World, what: String) {
        if self.violations.len() < 20 {
            self.violations.push(format!("{} {what}", world.now));
        }
    }

    /// A message goes out.
    pub fn said(&mut self, world: &World, n: usize, bytes: &[u8]) {
        let Ok(message) = KEYS.open(proto::ClusterId::of("test"), bytes) else {
            return self.blame(world, "a message cannot be read".to_owned());
        };
        if message.maintenance.on {
            self.maintenance.insert(n);
        } else {
            self.maintenance.remove(&n);
        }
        for report in &message.groups {
            self.said.insert((n, report.id), report.state);
            if let Some(newest) = self.claims.get_mut(&(n, report.id))
                && (report.state, report.epoch) == (GroupState::Started, newest.1)
            {
                // What a former life left goes on.
                newest.0 = world.nodes[n].life;
            }
            let claims = matches!(report.state, GroupState::Starting | GroupState::Started);
            if claims && message.state == NodeState::Up {
                self.claim(world, n, report.id, report.epoch);
            }
        }
    }

    /// S5: claims of one node grow, over all of its lives.
    fn claim(&mut self, world: &World, n: usize, group: GroupId, epoch: u64) {
        let life = world.nodes[n].life;
        let newest = self.claims.entry((n, group)).or_insert((life, epoch));
        let before = *newest;
        // An ownership of a former life may go on, or be found without knowing its epoch any more.
        if epoch > before.1 || self.forgetful.contains(&n) {
            *newest = (life, epoch);
        } else if epoch < before.1 && life == before.0 {
            let what = format!("S5: {n} claims epoch {epoch} after {before:?}");
            self.blame(world, what);
        }
    }

    /// S5: nothing starts under an epoch of a former life, unless the ownership goes on.
    fn starts_under(&mut self, world: &World, n: usize, group: &GroupSettings, epoch: u64) {
        let Some(&(life, newest)) = self.claims.get(&(n, GroupId::of(&group.name))) else {
            return;
        };
        let running = &world.nodes[n].running;
        let goes_on =
            life == world.nodes[n].life || group.resources.iter().any(|r| running.contains(&r.name));
        let used = epoch < newest && life == world.nodes[n].life || epoch <= newest && !goes_on;
        if used && !self.forgetful.contains(&n) {
            let what = format!("S5: {n} starts under epoch {epoch} after {newest} of life {life}");
            self.blame(world, what);
        }
    }

    /// A message comes in at node `n`.
    pub fn heard(&mut self, world: &World, n: usize, bytes: &[u8]) {
        let Ok(message) = KEYS.open(proto::ClusterId::of("test"), bytes) else {
            return;
        };
        let boot = world.nodes[n].boot;
        let newest = self.newest.entry(n).or_default();
        let old = newest.0 == message.boot && message.sequence <= newest.1;
        if old || !message.echoes.iter().any(|echo| echo.boot == boot) {
            return;
        }
        *newest = (message.boot, message.sequence);
        for report in &message.groups {
            if report.state == GroupState::Blocked {
                self.warned.entry((n, report.id)).or_insert(world.now);
            } else {
                self.warned.remove(&(n, report.id));
            }
        }
    }

    /// The word was given at node `n` that the other one is really down.
    pub fn acknowledged(&mut self, n: usize) {
        self.warned.retain(|(who, _), _| *who != n);
    }

    /// The disk of `n` was lost, or failed for a while.
    pub fn disk_trouble(&mut self, n: usize) {
        self.forgetful.insert(n);
        self.acknowledged(n);
    }

    /// The process on `n` ended.
    pub fn died(&mut self, world: &World, n: usize) {
        // What it had just heard was not on disk yet.
        let written = |since: &Time| world.now.since(*since) > 2 * world.fsync;
        self.warned.retain(|(who, _), since| *who != n || written(since));
        self.under_way.retain(|(node, _), _| *node != n);
        self.maintenance.remove(&n);
        self.newest.remove(&n);
    }

    /// An operation begins: is it the right one, at the right time, on the right node?
    pub fn begins(&mut self, world: &World, n: usize, run: &Run) {
        for key in &run.resources {
            if self.under_way.insert((n, *key), world.now).is_some() {
                let name = world.resource_name(*key);
                self.blame(world, format!("S7: two operations on {name} on {n}"));
            }
        }
        let Some(status) = world.status(n) else { return };
        if run.op != OpKind::Status && status.maintenance {
            self.blame(world, format!("S8: {:?} on {n} in maintenance", run.op));
        }
        let groups = &world.nodes[n].groups;
        let Some(group) = groups.iter().find(|g| GroupId::of(&g.name) == run.group) else {
            return;
        };
        self.in_order(world, n, run, group);
        if run.op != OpKind::Start {
            return;
        }
        if status.standby {
            self.blame(world, format!("S8: a start on {n}, which is on standby"));
        }
        let running = &world.nodes[n].running;
        let has_it = group.resources.iter().any(|r| running.contains(&r.name));
        let warned = self.warned.contains_key(&(n, run.group)) && !self.forgetful.contains(&n);
        if warned && !has_it {
            let name = &group.name;
            self.blame(world, format!("S3: {name} starts on {n}: a stop failed"));
        }
        let Some(seen) = status.groups.iter().find(|g| g.name == group.name) else {
            return;
        };
        self.starts_under(world, n, group, seen.epoch);
        let owner = seen.owner.as_deref();
        if owner != Some(world.nodes[n].name.as_str()) {
            let name = &group.name;
            self.blame(world, format!("S7: {n} starts {name}, owned by {owner:?}"));
        }
    }

    /// S7: start in order, stop in reverse.
    fn in_order(&mut self, world: &World, n: usize, run: &Run, group: &GroupSettings) {
        let place = |key| group.resources.iter().position(|r| r.key == key);
        let places: Vec<usize> = run.resources.iter().filter_map(|k| place(*k)).collect();
        let (Some(first), Some(last)) = (places.iter().min(), places.iter().max()) else {
            return;
        };
        let runs = |r: &&ResourceSettings| world.nodes[n].running.contains(&r.name);
        let wrong = match run.op {
            OpKind::Status => None,
            // An address may have been taken away by the kernel; it is put back soon.
            OpKind::Start => group.resources[..*first].iter().find(|r| !r.address && !runs(r)),
            OpKind::Stop => group.resources[last + 1..].iter().find(runs),
        };
        if let Some(wrong) = wrong {
            let (op, name) = (run.op, &wrong.name);
            let what = format!("S7: {op:?} {places:?} on {n} is out of order with {name}");
            self.blame(world, what);
        }
    }

    /// An operation ended.
    pub fn ends(&mut self, n: usize, run: &Run) {
        for key in &run.resources {
            self.under_way.remove(&(n, *key));
        }
    }

    /// Time has passed, something has happened.
    pub fn time(&mut self, world: &World) {
        if self.excused(world) {
            self.trouble = world.now;
        }
        for ((_, group), state) in &self.said {
            if *state == GroupState::Blocked {
                self.blocked.insert(*group, world.now);
            }
        }
        let bound = world.settings.deadtime + Duration::from_secs(1);
        for group in &world.settings.groups {
            let here = |n: usize| {
                let running = &world.nodes[n].running;
                group.resources.iter().any(|r| running.contains(&r.name))
            };
            if !(here(0) && here(1)) {
                continue;
            }
            let name = &group.name;
            let excuse = self.trouble.max(self.blocked.get(&GroupId::of(name)).copied().unwrap_or_default());
            if group.requires == Requires::Fencing {
                self.blame(world, format!("S1: {name} runs on both nodes"));
            } else if world.now.since(excuse) > bound {
                self.blame(world, format!("S2: {name} runs on both nodes"));
            }
        }
    }

    fn excused(&self, world: &World) -> bool {
        let links = 0..world.settings.links.len();
        let deaf = |from, to| links.clone().all(|l| world.cut.contains(&(from, to, l)));
        let ill = |node: &crate::world::Node| {
            let bad = |mood: &Mood| matches!(mood, Mood::FailsStop | Mood::Hangs);
            node.frozen || (node.core.is_none() && !node.running.is_empty()) || node.moods.values().any(bad)
        };
        let slow = |begun: &Time| world.now.since(*begun) > SLOW;
        deaf(0, 1)
            || deaf(1, 0)
            || world.keep_one_in > 1
            || world.nodes.iter().any(ill)
            || self.under_way.values().any(slow)
            || !self.maintenance.is_empty()
    }
}
