//! `hbd.toml` as it is put together from an old set-up, whichever that was.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::doc::{Doc, Kind, Place, Remark, Section, add};
use super::names::{Names, name};
use super::value::{Value, show, table};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Whether groups go back to their preferred node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Failback {
    #[default]
    Off,
    On,
    After(Duration),
}

/// `[cluster]`.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) keepalive: Option<Duration>,
    pub(super) deadtime: Option<Duration>,
    pub(super) warntime: Option<Duration>,
    pub(super) initdead: Option<Duration>,
    pub(super) failback: Failback,
    pub(super) remarks: Vec<Remark>,
}

/// `[[node]]`.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) remarks: Vec<Remark>,
}

/// `[[ping]]`.
#[derive(Debug)]
pub(super) struct Ping {
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    pub(super) place: Place,
    /// The directive, as a remark calls it.
    pub(super) what: String,
}

/// `[[group]]`.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// What it would be called if nobody else is.
    pub(super) name: String,
    pub(super) preferred: Option<String>,
    pub(super) resources: Vec<Value>,
    pub(super) remarks: Vec<Remark>,
    pub(super) place: Option<Place>,
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) remarks: Vec<Remark>,
    pub(super) cluster: Cluster,
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Section>,
    pub(super) pings: Vec<Ping>,
    /// Fences, watchdog, daemon and the like.
    pub(super) rest: Vec<Section>,
    pub(super) groups: Vec<Group>,
}

impl Draft {
    /// Notes what has to be said of the file as a whole.
    pub(super) fn remark(&mut self, remark: Remark) {
        add(&mut self.remarks, remark);
    }

    /// The file, without what goes without saying.
    pub(super) fn finish(mut self) -> Doc {
        self.keep_addresses_apart();
        self.name_groups();
        self.forget_moving_pings();
        let mut doc = Doc { remarks: self.remarks, ..Doc::default() };
        doc.sections.push(self.cluster.section());
        for node in self.nodes {
            let mut section = Section::new("[[node]]").with("name", node.name);
            section.remarks = node.remarks;
            doc.sections.push(section);
        }
        for link in self.links {
            if !doc
                .sections
                .iter()
                .any(|other| other.heading == link.heading && other.entries == link.entries)
            {
                doc.sections.push(link);
            }
        }
        let mut names = Names::default();
        for ping in self.pings {
            let name = names.unique(&name(&ping.name, "ping"));
            let addresses = ping.addresses.into_iter().map(Value::from).collect::<Value>();
            doc.sections.push(Section::new("[[ping]]").with("name", name).with("addresses", addresses));
        }
        doc.sections.extend(self.rest);
        for group in self.groups {
            let mut section = Section::new("[[group]]").with("name", group.name);
            section.set_some("preferred", group.preferred);
            // A group without resources would be refused, and the rest of the file is good without it.
            section.disabled = group.resources.is_empty();
            if section.disabled && group.remarks.is_empty() {
                let why = "it has no resources, and is left out until it has";
                section.remark(Remark::todo(group.place, why));
            }
            section.set("resources", Value::List(group.resources));
            section.remarks.extend(group.remarks);
            doc.sections.push(section);
        }
        doc
    }

    /// One address, one group: what stands there again is left out.
    fn keep_addresses_apart(&mut self) {
        let mut seen: HashSet<IpAddr> = HashSet::new();
        for group in &mut self.groups {
            let (place, mut doubles) = (group.place.clone(), Vec::new());
            group.resources.retain(|resource| match address_of(resource) {
                Some(ip) if !seen.insert(ip) => {
                    doubles.push(ip);
                    false
                }
                _ => true,
            });
            for ip in doubles {
                let why = format!("{ip} is there already: one address is in one group, once");
                add(&mut group.remarks, Remark::todo(place.clone(), why).of(Kind::Lost));
            }
            name_twins(&mut group.resources);
        }
    }

    fn name_groups(&mut self) {
        let mut names = Names::default();
        for group in &mut self.groups {
            group.name = names.unique(&name(&group.name, "group"));
        }
    }

    /// A ping point that is one of the addresses that move would keep the standby from ever taking over: when the owner
    /// is dead, nobody answers for it.
    fn forget_moving_pings(&mut self) {
        let moving: Vec<IpAddr> =
            self.groups.iter().flat_map(|group| &group.resources).filter_map(address_of).collect();
        for ping in &mut self.pings {
            let before = ping.addresses.len();
            ping.addresses.retain(|ip| !ip.parse().is_ok_and(|ip| moving.contains(&ip)));
            if ping.addresses.len() < before {
                let why = "an address that moves is no ping point: when its owner is dead nobody answers for it, and a node \
                           that sees none of its points takes nothing. Name a router or a switch in a [[ping]]";
                add(&mut self.cluster.remarks, Remark::lost(ping.place.clone(), &ping.what, why));
            }
        }
        self.pings.retain(|ping| !ping.addresses.is_empty());
    }
}

impl Cluster {
    /// The table: times within the bounds of hbd, and none that it would take anyway.
    fn section(mut self) -> Section {
        let bounded = |time: Option<Duration>, least: u64| {
            time.map(|time| time.clamp(Duration::from_millis(least), HOUR))
        };
        let keepalive = bounded(self.keepalive, 10).unwrap_or(SECOND);
        let mut deadtime = bounded(self.deadtime, 20).unwrap_or(SECOND * 10);
        if deadtime < keepalive * 2 {
            let why = format!(
                "deadtime is {} and not {}: at least two keepalives",
                show(keepalive * 2),
                show(deadtime)
            );
            add(&mut self.remarks, Remark::todo(None, why).of(Kind::Changed));
            deadtime = keepalive * 2;
        }
        let mut section = Section::new("[cluster]").with("name", name(&self.name, "cluster"));
        section.set_some("keepalive", Some(keepalive).filter(|time| *time != SECOND));
        section.set_some("deadtime", Some(deadtime).filter(|time| *time != SECOND * 10));
        match bounded(self.warntime, 10) {
            Some(time) if time >= deadtime => {
                let why = format!("warntime {} is not shorter than deadtime: it is half of that", show(time));
                add(&mut self.remarks, Remark::todo(None, why).of(Kind::Lost));
            }
            time => section.set_some("warntime", time.filter(|time| *time != deadtime / 2)),
        }
        match bounded(self.initdead, 20) {
            Some(time) if time < deadtime => {
                let why = format!("initdead {} is shorter than deadtime: it is two deadtimes", show(time));
                add(&mut self.remarks, Remark::todo(None, why).of(Kind::Lost));
            }
            time => {
                section.set_some("initdead", time.filter(|time| *time != (deadtime * 2).max(SECOND * 10)))
            }
        }
        match self.failback {
            Failback::Off => {}
            Failback::On => section.set("auto_failback", true),
            Failback::After(time) => section.set("auto_failback", table([("after", time.into())])),
        }
        section.remarks = self.remarks;
        section
    }
}

/// The address of a resource that is one.
pub(super) fn address_of(resource: &Value) -> Option<IpAddr> {
    let Value::Text(spelling) = resource else { return None };
    let agents = ["IPaddr::", "IPaddr2::", "IPv6addr::"];
    let rest = agents.iter().find_map(|agent| spelling.strip_prefix(agent)).unwrap_or(spelling);
    rest.split('/').next()?.parse().ok()
}

/// Gives a resource that stands in its group again a name of its own.
fn name_twins(resources: &mut [Value]) {
    for index in 1..resources.len() {
        let (before, rest) = resources.split_at_mut(index);
        let Some(Value::Text(spelling)) = rest.first().cloned() else { continue };
        let twins = before.iter().filter(|other| spelling_of(other) == Some(&spelling)).count();
        if twins == 0 {
            continue;
        }
        let mut words = spelling.split("::");
        let agent = words.next().unwrap_or_default().to_owned();
        let args: Vec<Value> = words.map(Value::from).collect();
        let mut entries = vec![
            ("name".to_owned(), Value::from(format!("{spelling}-{}", twins + 1))),
            ("agent".to_owned(), agent.into()),
        ];
        if !args.is_empty() {
            entries.push(("args".to_owned(), Value::List(args)));
        }
        resources[index] = Value::Table(entries);
    }
}

/// What a resource is spelled like, or what one that got a name of its own was.
fn spelling_of(resource: &Value) -> Option<&str> {
    match resource {
        Value::Text(text) => Some(text),
        Value::Table(entries) => match entries.first() {
            Some((key, Value::Text(name))) if key == "name" => {
                name.rsplit_once('-').map(|(spelling, _)| spelling)
            }
            _ => None,
        },
        _ => None,
    }
}

/// A link between two addresses.
pub(super) fn ucast(nodes: &[String], addresses: &[String], port: Option<u32>) -> Section {
    let each =
        nodes.iter().zip(addresses).map(|(node, ip)| (node.clone(), Value::from(ip.as_str()))).collect();
    let mut link = Section::new("[[link]]").with("type", "ucast").with("addresses", Value::Table(each));
    link.set_some("port", port.filter(|port| *port != 694));
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_stands_there_twice_gets_a_name() {
        let mut resources: Vec<Value> = ["Delay::3", "web", "Delay::3", "Delay::3"].map(Value::from).to_vec();
        name_twins(&mut resources);
        let shown = Value::List(resources).to_string();
        let named = |n| format!(r#"{{ name = "Delay::3-{n}", agent = "Delay", args = ["3"] }}"#);
        assert_eq!(shown, format!(r#"["Delay::3", "web", {}, {}]"#, named(2), named(3)));
    }

    #[test]
    fn times_that_cannot_work_are_said_and_put_right() {
        let seconds = |n| Some(Duration::from_secs(n));
        let cluster = Cluster {
            keepalive: seconds(2),
            deadtime: seconds(3),
            warntime: seconds(9),
            initdead: seconds(1),
            ..Cluster::default()
        };
        let section = cluster.section();
        assert_eq!(section.remarks.len(), 3);
        let keys: Vec<&str> = section.entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["name", "keepalive", "deadtime"]);
    }
}
