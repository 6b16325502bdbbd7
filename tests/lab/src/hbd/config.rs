//! Configurations for the daemons under test.

use std::fmt::Write;

use crate::Result;
use crate::net::{Lan, World};

/// A group of a configuration; resources are TOML values as they stand in the list.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The node it prefers.
    pub preferred: Option<String>,
    /// `nothing` (default), `fencing` or `witness`.
    pub requires: Option<String>,
    /// `"IPaddr::…"` with its quotes, or `{ agent = … }`.
    pub resources: Vec<String>,
    /// Further lines of the table, as they are.
    pub more: String,
}

/// A configuration: everything has a value good for tests, and everything can be changed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: String,
    /// The nodes.
    pub nodes: Vec<String>,
    /// As in the file: `100ms`.
    pub keepalive: String,
    /// Left out when `None`.
    pub warntime: Option<String>,
    /// As in the file.
    pub deadtime: String,
    /// As in the file.
    pub initdead: String,
    /// `true`, `false` or a table.
    pub auto_failback: String,
    /// Link tables, without their `[[link]]` line.
    pub links: Vec<String>,
    /// The groups.
    pub groups: Vec<Group>,
    /// Appended as it is.
    pub more: String,
    /// The whole authkeys file.
    pub authkeys: String,
}

impl Settings {
    /// Nodes `a` and `b`, heartbeats by broadcast on eth1 and by unicast on eth0, no group yet;
    /// keepalive 100 ms, deadtime 1 s, initdead 2 s. Agents are looked for in /etc/hbd/resource.d.
    ///
    /// # Errors
    /// The world has no such nodes.
    pub fn pair(world: &World) -> Result<Settings> {
        let nodes = world.nodes();
        let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
        Settings::of(world, &names)
    }

    /// As [`Settings::pair`] for these nodes of the world.
    ///
    /// # Errors
    /// The world has no such nodes.
    pub fn of(world: &World, names: &[&str]) -> Result<Settings> {
        let nodes: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let addresses: Vec<(String, String)> = nodes
            .iter()
            .map(|n| Ok((n.clone(), world.machine(n)?.ipv4(Lan::Service).to_string())))
            .collect::<Result<_>>()?;
        Ok(Settings {
            cluster: "lab".to_owned(),
            nodes,
            keepalive: "100ms".to_owned(),
            warntime: None,
            deadtime: "1s".to_owned(),
            initdead: "2s".to_owned(),
            auto_failback: "false".to_owned(),
            links: vec![bcast("eth1"), ucast(&addresses)],
            groups: Vec::new(),
            more: "[daemon]\nagent_path = [\"/etc/hbd/resource.d\"]\n".to_owned(),
            authkeys: "auth 1\n1 sha256 the-lab-keeps-no-secrets\n".to_owned(),
        })
    }

    /// Adds a group of these resources (TOML values).
    pub fn group(mut self, name: &str, preferred: Option<&str>, resources: &[&str]) -> Settings {
        self.groups.push(Group {
            name: name.to_owned(),
            preferred: preferred.map(str::to_owned),
            requires: None,
            resources: resources.iter().map(|r| (*r).to_owned()).collect(),
            more: String::new(),
        });
        self
    }

    /// Adds lines to the last group.
    pub fn with_lines(mut self, lines: &str) -> Settings {
        if let Some(group) = self.groups.last_mut() {
            group.more += lines;
        }
        self
    }

    /// The text of hbd.toml.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[cluster]\nname = \"{}\"", self.cluster);
        let _ = writeln!(text, "keepalive = \"{}\"\ndeadtime = \"{}\"", self.keepalive, self.deadtime);
        if let Some(warntime) = &self.warntime {
            let _ = writeln!(text, "warntime = \"{warntime}\"");
        }
        let _ = writeln!(text, "initdead = \"{}\"\nauto_failback = {}", self.initdead, self.auto_failback);
        let _ = writeln!(text, "authkeys = \"/etc/hbd/authkeys\"");
        for node in &self.nodes {
            let _ = writeln!(text, "\n[[node]]\nname = \"{node}\"");
        }
        for link in &self.links {
            let _ = writeln!(text, "\n[[link]]\n{link}");
        }
        for group in &self.groups {
            let _ = writeln!(text, "\n[[group]]\nname = \"{}\"", group.name);
            if let Some(node) = &group.preferred {
                let _ = writeln!(text, "preferred = \"{node}\"");
            }
            if let Some(requires) = &group.requires {
                let _ = writeln!(text, "requires = \"{requires}\"");
            }
            let _ = writeln!(text, "resources = [\n  {},\n]\n{}", group.resources.join(",\n  "), group.more);
        }
        let _ = writeln!(text, "\n{}", self.more);
        text
    }

    /// Writes hbd.toml and authkeys on a node.
    ///
    /// # Errors
    /// The node is off.
    pub fn install(&self, world: &World, node: &str) -> Result<()> {
        world.write_file(node, "/etc/hbd/hbd.toml", &self.toml(), 0o644)?;
        world.write_file(node, "/etc/hbd/authkeys", &self.authkeys, 0o600)
    }
}

/// A broadcast link.
pub fn bcast(interface: &str) -> String {
    format!("type = \"bcast\"\ninterface = \"{interface}\"")
}

/// A multicast link.
pub fn mcast(interface: &str, group: &str) -> String {
    format!("type = \"mcast\"\ninterface = \"{interface}\"\ngroup = \"{group}\"")
}

/// A unicast link between these (node, address) pairs.
pub fn ucast(addresses: &[(String, String)]) -> String {
    let list: Vec<String> = addresses.iter().map(|(n, a)| format!("{n} = \"{a}\"")).collect();
    format!("type = \"ucast\"\naddresses = {{ {} }}", list.join(", "))
}

/// A built-in address resource, quotes included.
pub fn address(address: &str, prefix: u8, interface: &str) -> String {
    format!("\"IPaddr::{address}/{prefix}/{interface}\"")
}
