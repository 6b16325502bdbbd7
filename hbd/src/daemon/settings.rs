//! From the configuration to what the core must know, and back from its keys to the resources.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cluster::{FenceSettings, GroupSettings, ResourceKey, ResourceSettings, Settings, WitnessSettings};
use proto::{FNV64, GroupId, fnv64};

use crate::config::{Agent, Config, Duplicate, Group, Resource, shared_parts};

/// Definitions no longer in the configuration that are still known: the core may be stopping them.
const RETIRED: usize = 4096;

/// How long an address lives in the kernel after its last renewal while a peer could take over:
/// the whole seconds of deadtime and one more (the kernel counts in seconds).
pub fn lease_lifetime(deadtime: Duration) -> Duration {
    Duration::from_secs(deadtime.as_secs() + 1)
}

/// Between two renewals: one of them may be lost, or come late, and the address lives on.
pub fn lease_renew(deadtime: Duration) -> Duration {
    lease_lifetime(deadtime) / 3
}

/// A renewal that comes to the kernel later than this after it was ordered is dropped: the process was away, and the
/// address may be the peer's by now.
pub fn lease_max_age(deadtime: Duration) -> Duration {
    lease_renew(deadtime).min(deadtime * 3 / 4)
}

/// The configuration as the core needs it.
pub fn settings(config: &Config) -> Settings {
    let cluster = &config.cluster;
    Settings {
        cluster: cluster.name.clone(),
        me: config.me.clone(),
        nodes: config.nodes.clone(),
        keepalive: cluster.keepalive,
        warntime: cluster.warntime,
        deadtime: cluster.deadtime,
        initdead: cluster.initdead,
        failback: cluster.failback,
        links: config.links.iter().map(|link| link.name.clone()).collect(),
        config_digest: config.digest,
        config_parts: shared_parts(config),
        lease_renew: lease_renew(cluster.deadtime),
        fences: fences(config),
        witness: witness(config),
        groups: config.groups.iter().map(group_settings).collect(),
    }
}

/// The witness, and the watchdog that is petted only while its lease is good.
fn witness(config: &Config) -> Option<WitnessSettings> {
    let witness = config.witness.as_ref()?;
    Some(WitnessSettings { ttl: witness.ttl, watchdog: config.watchdog.as_ref().map(|dog| dog.timeout) })
}

/// The nodes that can be fenced, this one among them, each with the delay of its first device.
fn fences(config: &Config) -> Vec<FenceSettings> {
    let mut fences: Vec<FenceSettings> = Vec::new();
    for fence in &config.fences {
        if !fences.iter().any(|other| other.node == fence.node) {
            fences.push(FenceSettings { node: fence.node.clone(), delay: fence.delay });
        }
    }
    fences
}

fn group_settings(group: &Group) -> GroupSettings {
    let resources = keys(group)
        .into_iter()
        .zip(&group.resources)
        .map(|(key, resource)| ResourceSettings {
            key,
            name: resource.name.clone(),
            address: matches!(resource.agent, Agent::Address(_)),
            follows: follows_addresses(&resource.agent),
            start_timeout: resource.start_timeout,
            stop_timeout: resource.stop_timeout,
            status_timeout: resource.monitor_timeout,
            parallel: resource.parallel,
            monitor: resource.monitor,
            restarts: resource.restarts,
            failure_window: resource.failure_window,
            on_fail: resource.on_fail,
            on_stop_failure: group.on_stop_failure(resource),
        })
        .collect();
    GroupSettings {
        name: group.name.clone(),
        preferred: group.preferred.clone(),
        requires: group.requires,
        link_monitor: group.link_monitor,
        after: group.after.clone(),
        resources,
    }
}

/// Whether what the agent sets in the kernel goes when an address before it does: routes do, and rules where somebody has
/// removed all that belongs to an address.
fn follows_addresses(agent: &Agent) -> bool {
    let name = match agent {
        Agent::Heartbeat { name, .. } | Agent::Ocf { name, .. } => name,
        Agent::Address(_) | Agent::Lsb { .. } | Agent::Systemd { .. } => return false,
    };
    matches!(name.as_str(), "Route" | "Rule" | "IPsrcaddr")
}

/// One key for each resource of a group, in order: made of the group's name and what the resource
/// is made of. Timeouts and the display name are left out, since changing them restarts nothing.
fn keys(group: &Group) -> Vec<ResourceKey> {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    group
        .resources
        .iter()
        .map(|resource| {
            let definition = format!("{}\0{:?}", group.name, resource.agent);
            let hash = fnv64(FNV64, definition.as_bytes());
            let ordinal = seen.entry(hash).or_default();
            *ordinal += 1;
            ResourceKey(if *ordinal == 1 {
                hash
            } else {
                fnv64(FNV64, format!("{definition}\0{ordinal}").as_bytes())
            })
        })
        .collect()
}

/// One resource, as the threads that act on it need it.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The core's name for it.
    pub key: ResourceKey,
    /// Its group's name.
    pub group: String,
    /// Of an address: it is not set while another machine has it.
    pub refuse_duplicates: bool,
    /// Its definition.
    pub resource: Resource,
}

impl Entry {
    /// Whether it is a built-in address.
    pub fn is_address(&self) -> bool {
        matches!(self.resource.agent, Agent::Address(_))
    }
}

/// All resources by the core's keys, those of former configurations among them.
#[derive(Debug, Default)]
pub struct Table {
    by_key: HashMap<ResourceKey, Arc<Entry>>,
    addresses: HashMap<GroupId, Vec<Arc<Entry>>>,
    retired: VecDeque<ResourceKey>,
}

impl Table {
    /// Takes a (new) configuration over. Definitions it no longer has stay known, since the core
    /// may yet have to stop them.
    pub fn load(&mut self, config: &Config) {
        let mut current = HashSet::new();
        self.addresses.clear();
        for group in &config.groups {
            for (key, resource) in keys(group).into_iter().zip(&group.resources) {
                let entry = Arc::new(Entry {
                    key,
                    group: group.name.clone(),
                    refuse_duplicates: group.duplicate == Duplicate::Refuse,
                    resource: resource.clone(),
                });
                if entry.is_address() {
                    self.addresses.entry(GroupId::of(&group.name)).or_default().push(Arc::clone(&entry));
                }
                self.by_key.insert(key, entry);
                current.insert(key);
            }
        }
        self.retired.retain(|key| !current.contains(key));
        let known: HashSet<_> = self.retired.iter().copied().collect();
        self.retired.extend(self.by_key.keys().filter(|key| !current.contains(key) && !known.contains(key)));
        while self.retired.len() > RETIRED {
            if let Some(key) = self.retired.pop_front() {
                self.by_key.remove(&key);
            }
        }
    }

    /// The resource the core calls `key`.
    pub fn get(&self, key: ResourceKey) -> Option<&Arc<Entry>> {
        self.by_key.get(&key)
    }

    /// The built-in addresses of a group, in order.
    pub fn addresses(&self, group: GroupId) -> &[Arc<Entry>] {
        self.addresses.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Every built-in address of the present configuration.
    pub fn all_addresses(&self) -> Vec<Arc<Entry>> {
        self.addresses.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{AddressSpec, Cluster, Daemon, Link, LinkKind};
    use cluster::settings::{Failback, Requires};

    /// A resource with the default times.
    pub fn resource(name: &str, agent: Agent) -> Resource {
        Resource {
            name: name.into(),
            agent,
            monitor: None,
            monitor_timeout: Duration::from_secs(20),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(60),
            restarts: 1,
            failure_window: Duration::from_secs(3600),
            on_fail: cluster::OnFail::Restart,
            on_stop_failure: None,
            parallel: false,
        }
    }

    /// A built-in address.
    pub fn address(ip: &str) -> Resource {
        let spec = AddressSpec {
            ip: ip.parse().unwrap(),
            prefix: Some(24),
            interface: Some("eth0".into()),
            label: None,
            broadcast: None,
        };
        resource(&format!("IPaddr::{ip}/24/eth0"), Agent::Address(spec))
    }

    /// A systemd unit.
    pub fn unit(name: &str) -> Resource {
        resource(name, Agent::Systemd { unit: name.into() })
    }

    /// A pair `a`, `b` with these groups, as node `a`.
    pub fn config(groups: &[(&str, Vec<Resource>)]) -> Config {
        Config {
            me: "a".into(),
            cluster: Cluster {
                name: "test".into(),
                keepalive: Duration::from_millis(100),
                warntime: Duration::from_millis(500),
                deadtime: Duration::from_millis(1500),
                initdead: Duration::from_secs(10),
                failback: Failback::Off,
                failback_window: None,
                authkeys: "/etc/hbd/authkeys".into(),
            },
            nodes: vec!["a".into(), "b".into()],
            links: vec![Link {
                name: "bcast:eth1".into(),
                kind: LinkKind::Bcast { interface: "eth1".into(), port: 694 },
            }],
            pings: vec![],
            fences: vec![],
            witness: None,
            watchdog: None,
            daemon: Daemon { agent_path: vec![], group: None, realtime: false, announce_refresh: None },
            console: None,
            alerts: vec![],
            respawns: vec![],
            groups: groups
                .iter()
                .map(|(name, resources)| Group {
                    name: (*name).into(),
                    preferred: None,
                    requires: Requires::Nothing,
                    link_monitor: Some(Duration::from_millis(200)),
                    duplicate: Duplicate::Report,
                    after: vec![],
                    resources: resources.clone(),
                })
                .collect(),
            warnings: vec![],
            digest: 7,
        }
    }

    #[test]
    fn a_lease_outlives_deadtime_and_is_renewed_three_times() {
        let ms = Duration::from_millis;
        assert_eq!(lease_lifetime(ms(100)), ms(1000));
        assert_eq!(lease_lifetime(ms(1000)), ms(2000));
        assert_eq!(lease_lifetime(ms(2999)), ms(3000));
        assert!(lease_renew(ms(100)) * 3 <= lease_lifetime(ms(100)));
    }

    #[test]
    fn the_core_learns_what_it_must_know() {
        let config = config(&[("vip", vec![address("10.0.0.1"), unit("nginx.service")])]);
        let settings = settings(&config);
        assert_eq!(settings.links, ["bcast:eth1"]);
        assert_eq!(settings.config_digest, 7);
        let group = &settings.groups[0];
        assert_eq!(group.resources.iter().map(|r| r.address).collect::<Vec<_>>(), [true, false]);
        assert_eq!(group.resources[1].status_timeout, Duration::from_secs(20));
    }

    #[test]
    fn a_key_follows_the_definition_and_nothing_else() {
        let plain = config(&[("vip", vec![address("10.0.0.1"), unit("x")]), ("other", vec![unit("x")])]);
        let mut changed = plain.clone();
        changed.groups[0].resources.swap(0, 1);
        changed.groups[0].resources[0].start_timeout = Duration::from_secs(1);
        changed.groups[0].resources[0].name = "called otherwise".into();
        let (first, second) = (settings(&plain), settings(&changed));
        assert_eq!(first.groups[0].resources[0].key, second.groups[0].resources[1].key);
        assert_eq!(first.groups[0].resources[1].key, second.groups[0].resources[0].key);
        assert_ne!(first.groups[0].resources[1].key, first.groups[1].resources[0].key, "another group");
    }

    #[test]
    fn equal_definitions_have_keys_of_their_own() {
        let settings = settings(&config(&[("vip", vec![unit("x"), unit("x"), unit("x")])]));
        let keys: HashSet<_> = settings.groups[0].resources.iter().map(|r| r.key).collect();
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn a_resource_that_left_the_configuration_can_still_be_stopped() {
        let mut table = Table::default();
        let old = config(&[("vip", vec![address("10.0.0.1"), unit("x")])]);
        table.load(&old);
        let gone = settings(&old).groups[0].resources[1].key;
        table.load(&config(&[("vip", vec![address("10.0.0.1")])]));
        assert_eq!(table.get(gone).unwrap().resource.name, "x");
        assert_eq!(table.addresses(GroupId::of("vip")).len(), 1);
        assert!(table.addresses(GroupId::of("nobody")).is_empty());
        table.load(&old);
        assert!(table.retired.is_empty());
        let many: Vec<_> = (0..RETIRED + 5).map(|n| unit(&format!("u{n}"))).collect();
        table.load(&config(&[("vip", many)]));
        table.load(&config(&[("vip", vec![unit("y")])]));
        assert_eq!(table.by_key.len(), RETIRED + 1, "bounded");
    }
}
