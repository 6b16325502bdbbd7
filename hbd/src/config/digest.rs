//! A number for what both nodes must have the same: layout, comments, the order of keys and what
//! is one node's own do not change it.

use std::fmt::Debug;

use proto::{FNV64, fnv64};

use super::model::{Agent, Config, Resource};

/// FNV-1a, 64 bit, of a rendering where every part is followed by its length, so that no two
/// different configurations are rendered alike.
pub(super) fn of(config: &Config) -> u64 {
    let mut hash = Hash(FNV64);
    hash.part("hbd configuration 1");
    let cluster = &config.cluster;
    hash.part(&cluster.name);
    for time in [cluster.keepalive, cluster.warntime, cluster.deadtime, cluster.initdead] {
        hash.debug(&time.as_nanos());
    }
    hash.debug(&cluster.failback);
    hash.debug(&cluster.failback_window);
    hash.debug(&config.nodes.len());
    for node in &config.nodes {
        hash.part(node);
    }
    hash.debug(&config.groups.len());
    for group in &config.groups {
        hash.part(&group.name);
        hash.debug(&group.preferred);
        hash.debug(&group.requires);
        hash.debug(&group.after);
        hash.debug(&group.resources.len());
        for resource in &group.resources {
            hash.resource(resource);
        }
    }
    hash.0
}

/// The running hash.
struct Hash(u64);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = fnv64(self.0, bytes);
    }

    fn part(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&(text.len() as u64).to_le_bytes());
    }

    fn debug(&mut self, value: &impl Debug) {
        self.part(&format!("{value:?}"));
    }

    fn resource(&mut self, resource: &Resource) {
        self.part(&resource.name);
        // Where an agent is installed is each machine's own.
        match &resource.agent {
            Agent::Address(spec) => self.debug(&("address", spec)),
            Agent::Heartbeat { name, args, path: _ } => self.debug(&("heartbeat", name, args)),
            Agent::Lsb { path } => self.debug(&("lsb", path.file_name())),
            Agent::Ocf { provider, name, params, path: _ } => self.debug(&("ocf", provider, name, params)),
            Agent::Systemd { unit } => self.debug(&("systemd", unit)),
        }
        self.debug(&resource.monitor);
        self.debug(&(resource.monitor_timeout, resource.start_timeout, resource.stop_timeout));
        self.debug(&(resource.restarts, resource.failure_window, resource.on_fail, resource.parallel));
    }
}
