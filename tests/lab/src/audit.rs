//! The look from outside, after every step: who has the address, where the client would send, what each daemon says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use crate::clock::wait_for;
use crate::hbd::status::{self, Status};
use crate::net::{CLIENT, SWITCH, World};
use crate::{LabError, Result};

/// What is audited: addresses that must be together on one node, and the group they belong to.
#[derive(Debug, Clone)]
pub struct Audit<'w> {
    world: &'w World,
    vips: Vec<IpAddr>,
    group: Option<String>,
    /// Nodes with a part in the cluster; `None`: all of the world.
    members: Option<Vec<String>>,
}

/// A neighbour table's entry for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Hardware address, as the kernel prints it.
    pub mac: String,
    /// REACHABLE, STALE, …
    pub state: String,
}

/// What one look found.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// For each address: the nodes that have it.
    pub holders: BTreeMap<IpAddr, Vec<String>>,
    /// The client's usable neighbour entry for each address, if it has one.
    pub client: BTreeMap<IpAddr, Neighbour>,
    /// The switch's own (it is the gateway).
    pub switch: BTreeMap<IpAddr, Neighbour>,
    /// What the daemon of each running node says; nodes whose daemon does not answer are missing.
    pub statuses: BTreeMap<String, Status>,
    /// Hardware address of eth0 of each node, running or not.
    macs: BTreeMap<String, String>,
    group: Option<String>,
}

impl<'w> Audit<'w> {
    /// An audit of these addresses.
    pub fn new(world: &'w World, vips: &[IpAddr]) -> Audit<'w> {
        Audit { world, vips: vips.to_vec(), group: None, members: None }
    }

    /// Only these nodes' daemons are asked; on the addresses all nodes are looked at.
    pub fn members(mut self, names: &[&str]) -> Self {
        self.members = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Asks the daemons about this group too.
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(name.to_owned());
        self
    }

    /// Looks once.
    ///
    /// # Errors
    /// A machine could not be asked.
    pub fn look(&self) -> Result<Look> {
        let mut look = Look { group: self.group.clone(), ..Look::default() };
        look.holders.extend(self.vips.iter().map(|v| (*v, Vec::new())));
        for node in self.world.nodes() {
            look.macs.insert(node.clone(), self.world.machine(&node)?.mac0.clone());
            if !self.world.is_up(&node) {
                continue;
            }
            for address in addresses(self.world, &node)? {
                if let Some(holders) = look.holders.get_mut(&address) {
                    holders.push(node.clone());
                }
            }
            let asked = self.members.as_ref().is_none_or(|members| members.contains(&node));
            if self.group.is_some()
                && asked
                && let Some(status) = status::of(self.world, &node)
            {
                look.statuses.insert(node, status);
            }
        }
        look.client = neighbours(self.world, CLIENT, &self.vips)?;
        look.switch = neighbours(self.world, SWITCH, &self.vips)?;
        Ok(look)
    }

    /// Looks now: `owner` and nobody else has everything, and all agree.
    ///
    /// # Errors
    /// Anything else, with all that was seen.
    pub fn expect_owner(&self, owner: &str) -> Result<Look> {
        let look = self.look()?;
        look.expect_owner(owner)?;
        Ok(look)
    }

    /// Looks again and again until [`Audit::expect_owner`] holds, for at most `bound`.
    ///
    /// # Errors
    /// It never held; the last look is in the error.
    pub fn await_owner(&self, owner: &str, bound: Duration) -> Result<Look> {
        self.await_that(bound, |look| look.expect_owner(owner))
    }

    /// Looks until nobody has any of the addresses, for at most `bound`.
    ///
    /// # Errors
    /// Somebody always had one.
    pub fn await_nobody(&self, bound: Duration) -> Result<Look> {
        self.await_that(bound, |look| match look.holders.values().all(Vec::is_empty) {
            true => Ok(()),
            false => Err(LabError::new("nobody was to have it")),
        })
    }

    /// Looks until `judge` is content, for at most `bound`.
    ///
    /// # Errors
    /// It never was; its last words and the last look are in the error.
    pub fn await_that(&self, bound: Duration, judge: impl Fn(&Look) -> Result<()>) -> Result<Look> {
        let mut last = LabError::new("nothing was seen");
        let found = wait_for("an audit", bound, Duration::from_millis(20), || {
            match self
                .look()
                .and_then(|look| judge(&look).map(|()| look.clone()).map_err(|e| show(&e, &look)))
            {
                Ok(look) => Some(look),
                Err(e) => {
                    last = e;
                    None
                }
            }
        });
        found.map_err(|e| LabError(format!("{e}\n{last}")))
    }
}

fn show(error: &LabError, look: &Look) -> LabError {
    LabError(format!("{error}\n{look}"))
}

impl Look {
    /// `owner` and nobody else has every address; the client and the switch, where they know one, know `owner`'s
    /// hardware address; every daemon that answers names `owner`, with one epoch.
    ///
    /// # Errors
    /// Everything that is otherwise, one line each.
    pub fn expect_owner(&self, owner: &str) -> Result<()> {
        let mut wrong = Vec::new();
        for (vip, holders) in &self.holders {
            if holders.as_slice() != [owner] {
                wrong.push(format!("{vip} is on {holders:?}, not on {owner} alone"));
            }
        }
        let mac = self.macs.get(owner).map(String::as_str);
        for (who, table) in [("client", &self.client), ("switch", &self.switch)] {
            for (vip, entry) in table {
                if Some(entry.mac.as_str()) != mac {
                    wrong.push(format!(
                        "the {who} would send {vip} to {}, not to {owner}",
                        self.whose(&entry.mac)
                    ));
                }
            }
        }
        wrong.extend(self.disagreements(owner));
        if wrong.is_empty() {
            return Ok(());
        }
        Err(LabError(format!("audit: {}\n{self}", wrong.join("; "))))
    }

    /// What the daemons say that does not fit `owner`.
    fn disagreements(&self, owner: &str) -> Vec<String> {
        let Some(group) = &self.group else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        let mut epochs = Vec::new();
        for (node, status) in &self.statuses {
            match status.group(group) {
                None => wrong.push(format!("{node} knows no group {group}")),
                Some(g) if g.owner.as_deref() != Some(owner) || g.state != "started" => {
                    wrong.push(format!("{node} says {group} is {} with owner {:?}", g.state, g.owner));
                }
                Some(g) => epochs.push(g.epoch),
            }
        }
        epochs.dedup();
        if epochs.len() > 1 {
            wrong.push(format!("the daemons name different epochs: {epochs:?}"));
        }
        wrong
    }

    /// The nodes that have all the addresses.
    pub fn owners(&self) -> Vec<String> {
        let has_all = |node: &&String| self.holders.values().all(|h| h.contains(node));
        self.macs.keys().filter(has_all).cloned().collect()
    }

    fn whose(&self, mac: &str) -> String {
        let name = self.macs.iter().find(|(_, m)| m.as_str() == mac).map(|(n, _)| n.clone());
        name.unwrap_or_else(|| format!("unknown {mac}"))
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 500 addresses of the same story are one line with a count.
        let mut stories: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (vip, holders) in &self.holders {
            let knows = |t: &BTreeMap<IpAddr, Neighbour>| {
                t.get(vip).map_or("-".to_owned(), |n| format!("{} ({})", self.whose(&n.mac), n.state))
            };
            let story = format!(
                "on {holders:?}, client -> {}, switch -> {}",
                knows(&self.client),
                knows(&self.switch)
            );
            stories.entry(story).or_default().push(*vip);
        }
        for (story, vips) in &stories {
            let more = if vips.len() > 1 { format!(" and {} more", vips.len() - 1) } else { String::new() };
            writeln!(f, "  {}{more}: {story}", vips[0])?;
        }
        for (node, status) in &self.statuses {
            writeln!(f, "  {node} says: {status}")?;
        }
        Ok(())
    }
}

/// All addresses of a machine, as the kernel lists them.
///
/// # Errors
/// The machine is off.
pub fn addresses(world: &World, machine: &str) -> Result<Vec<IpAddr>> {
    let list = json(world, machine, &["ip", "-j", "addr", "show"])?;
    let infos =
        list.as_array().into_iter().flatten().filter_map(|link| link["addr_info"].as_array()).flatten();
    Ok(infos.filter_map(|info| info["local"].as_str()?.parse().ok()).collect())
}

/// What the kernel says of one address of a machine (`valid_life_time`, `label`, …); `None` if it is not there.
///
/// # Errors
/// The machine is off.
pub fn address_info(world: &World, machine: &str, address: IpAddr) -> Result<Option<Value>> {
    let list = json(world, machine, &["ip", "-j", "-d", "addr", "show"])?;
    let mut infos =
        list.as_array().into_iter().flatten().filter_map(|link| link["addr_info"].as_array()).flatten();
    let wanted = address.to_string();
    Ok(infos.find(|info| info["local"].as_str() == Some(wanted.as_str())).cloned())
}

/// The usable neighbour entries of a machine for these addresses.
pub(crate) fn neighbours(
    world: &World,
    machine: &str,
    vips: &[IpAddr],
) -> Result<BTreeMap<IpAddr, Neighbour>> {
    let mut found = BTreeMap::new();
    for family in ["-4", "-6"] {
        let wanted = |v: &&IpAddr| v.is_ipv4() == (family == "-4");
        if !vips.iter().any(|v| wanted(&v)) {
            continue;
        }
        let list = json(world, machine, &["ip", "-j", family, "neigh", "show"])?;
        for entry in list.as_array().into_iter().flatten() {
            let address = entry["dst"].as_str().and_then(|a| a.parse().ok());
            let (Some(address), Some(mac)) = (address, entry["lladdr"].as_str()) else {
                continue;
            };
            let state = entry["state"][0].as_str().unwrap_or("?").to_owned();
            let usable = !matches!(state.as_str(), "FAILED" | "INCOMPLETE" | "NONE");
            if usable && vips.contains(&address) {
                found.insert(address, Neighbour { mac: mac.to_owned(), state });
            }
        }
    }
    Ok(found)
}

fn json(world: &World, machine: &str, words: &[&str]) -> Result<Value> {
    let text = world.must(machine, words)?;
    // ip prints nothing at all for an empty table.
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(|e| LabError(format!("`{}` gave no JSON: {e}", words.join(" "))))
}
