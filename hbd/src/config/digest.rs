//! The parts of the configuration that all nodes must have the same, each by a name that people know it by, and one number for
//! all of them: layout, comments, the order of keys and what is one node's own do not change them.

use std::fmt::Debug;

use proto::{FNV64, MAX_ENTRY_NAME, fnv64};

use super::group::LINK_MONITOR;
use super::model::{Agent, Config, Duplicate, Group, Resource};

/// The parts, sorted by name, each with a digest of its value. A name tells its value apart from all others; no value can be read
/// from its digest, but a guess can be tried, so it does not leave this machine as it is.
pub fn shared_parts(config: &Config) -> Vec<(String, u64)> {
    let mut parts = Parts(Vec::new());
    let cluster = &config.cluster;
    parts.add("cluster.name".into(), &cluster.name);
    let times = [
        ("keepalive", cluster.keepalive),
        ("warntime", cluster.warntime),
        ("deadtime", cluster.deadtime),
        ("initdead", cluster.initdead),
    ];
    for (name, time) in times {
        parts.add(format!("cluster.{name}"), &time.as_nanos());
    }
    parts.add("cluster.auto_failback".into(), &(cluster.failback, cluster.failback_window));
    // Order counts: it is the order in which nodes and groups are looked at.
    parts.add("node".into(), &config.nodes);
    parts.add("group".into(), &config.groups.iter().map(|group| &group.name).collect::<Vec<_>>());
    for group in &config.groups {
        parts.group(group);
    }
    // Whom to ask is each node's own: all may name the same members otherwise.
    if let Some(witness) = &config.witness {
        parts.add("witness.ttl".into(), &witness.ttl);
        parts.add("witness.prefix".into(), &witness.prefix);
        if let Some(dog) = &config.watchdog {
            parts.add("watchdog.timeout".into(), &dog.timeout);
        }
    }
    parts.0.sort();
    parts.0
}

/// One number for all of them.
pub(super) fn of(parts: &[(String, u64)]) -> u64 {
    parts.iter().fold(fnv64(FNV64, b"hbd configuration 2"), |hash, (name, value)| {
        let hash = fnv64(hash, name.as_bytes());
        fnv64(fnv64(hash, &(name.len() as u64).to_le_bytes()), &value.to_le_bytes())
    })
}

/// A name that can travel whole; a longer one ends in a number that keeps it apart.
fn fit(name: String) -> String {
    if name.len() <= MAX_ENTRY_NAME {
        return name;
    }
    let number = format!("~{:016x}", fnv64(FNV64, name.as_bytes()));
    let end = (0..=MAX_ENTRY_NAME - number.len()).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    format!("{}{number}", &name[..end])
}

struct Parts(Vec<(String, u64)>);

impl Parts {
    fn add(&mut self, name: String, value: &impl Debug) {
        self.0.push((fit(name), fnv64(FNV64, format!("{value:?}").as_bytes())));
    }

    /// A part that older versions do not know: left out where it is as if there were none, so that an upgrade makes
    /// no difference between two nodes that have the same file.
    fn add_new<T: Debug + PartialEq>(&mut self, name: String, value: &T, default: &T) {
        if value != default {
            self.add(name, value);
        }
    }

    fn group(&mut self, group: &Group) {
        let place = format!("group.{}", group.name);
        self.add(format!("{place}.preferred"), &group.preferred);
        self.add(format!("{place}.requires"), &group.requires);
        self.add_new(format!("{place}.link_monitor"), &group.link_monitor, &Some(LINK_MONITOR));
        self.add_new(format!("{place}.duplicate"), &group.duplicate, &Duplicate::default());
        self.add(format!("{place}.after"), &group.after);
        self.add(format!("{place}.resources"), &group.resources.iter().map(|r| &r.name).collect::<Vec<_>>());
        for resource in &group.resources {
            self.resource(&format!("{place}.{}", resource.name), resource);
        }
    }

    fn resource(&mut self, place: &str, resource: &Resource) {
        // Where an agent is installed is each machine's own.
        match &resource.agent {
            Agent::Address(spec) => self.add(format!("{place}.agent"), &("address", spec)),
            Agent::Heartbeat { name, args, path: _ } => {
                self.add(format!("{place}.agent"), &("heartbeat", name));
                self.add(format!("{place}.args"), args);
            }
            Agent::Lsb { path } => self.add(format!("{place}.agent"), &("lsb", path.file_name())),
            Agent::Ocf { provider, name, params, path: _ } => {
                self.add(format!("{place}.agent"), &("ocf", provider, name));
                for (param, value) in params {
                    self.add(format!("{place}.params.{param}"), value);
                }
            }
            Agent::Systemd { unit } => self.add(format!("{place}.agent"), &("systemd", unit)),
        }
        self.add(format!("{place}.monitor"), &resource.monitor);
        self.add(format!("{place}.monitor_timeout"), &resource.monitor_timeout);
        self.add(format!("{place}.start_timeout"), &resource.start_timeout);
        self.add(format!("{place}.stop_timeout"), &resource.stop_timeout);
        self.add(format!("{place}.restarts"), &resource.restarts);
        self.add(format!("{place}.failure_window"), &resource.failure_window);
        self.add(format!("{place}.on_fail"), &resource.on_fail);
        self.add_new(format!("{place}.on_stop_failure"), &resource.on_stop_failure, &None);
        self.add(format!("{place}.parallel"), &resource.parallel);
    }
}
