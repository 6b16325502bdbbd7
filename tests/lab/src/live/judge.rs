//! What must be so after a step, given the faults in force: who may own what, who must, and that nobody lies.

use std::fmt;
use std::net::IpAddr;

use super::act::NODES;
use super::ground::Ground;
use super::model::Model;
use super::service;
use crate::Result;
use crate::audit::{addresses, neighbours};
use crate::hbd::status::{self, Group, Status};
use crate::net::{CLIENT, World};
use crate::pair::ip;

/// A group of the live lab.
#[derive(Debug)]
pub struct Plan {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub vip: &'static str,
    /// Its services, in order.
    pub services: &'static [&'static str],
    /// Silence is enough for a takeover.
    pub on_silence: bool,
}

/// The groups: one that is taken over on silence, one that requires fencing or the witness.
pub const GROUPS: [Plan; 2] = [
    Plan { name: "vip", vip: crate::pair::VIP, services: &["web", "db"], on_silence: true },
    Plan { name: "store", vip: "10.77.1.2", services: &["data"], on_silence: false },
];

/// What a node that has power really has, and what its daemon says.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    addresses: Vec<IpAddr>,
    services: Vec<String>,
    /// `None`: it does not answer, or was not asked.
    pub status: Option<Status>,
}

/// Both nodes, seen from outside.
#[derive(Debug, Clone, Default)]
pub struct Sights {
    /// By number; without power: nothing.
    pub nodes: [Option<Sight>; 2],
    /// For each group: to which node the client would send, by hardware address.
    client: Vec<Option<String>>,
    macs: [String; 2],
    ground: Ground,
    /// Nodes and services whose agents lied: what the daemon says of them need not be so.
    pub lied: Vec<(String, String)>,
}

impl Sights {
    /// Looks once.
    ///
    /// # Errors
    /// A machine could not be asked.
    pub fn look(world: &World, model: &Model, ground: Ground) -> Result<Sights> {
        let mut sights = Sights { ground, ..Sights::default() };
        for (n, name) in NODES.iter().enumerate() {
            sights.macs[n].clone_from(&world.machine(name)?.mac0);
            if !model.nodes[n].powered {
                continue;
            }
            sights.nodes[n] = Some(Sight {
                addresses: addresses(world, name)?,
                services: service::running(world, name)?,
                status: if model.live(n) { status::of(world, name) } else { None },
            });
        }
        let vips: Vec<IpAddr> = GROUPS.iter().map(|group| ip(group.vip)).collect();
        let known = neighbours(world, CLIENT, &vips)?;
        sights.client = vips.iter().map(|vip| known.get(vip).map(|entry| entry.mac.clone())).collect();
        Ok(sights)
    }

    fn has(&self, n: usize, group: &Plan) -> bool {
        self.nodes[n].as_ref().is_some_and(|sight| sight.addresses.contains(&ip(group.vip)))
    }

    fn runs(&self, n: usize, service: &str) -> bool {
        self.nodes[n].as_ref().is_some_and(|sight| sight.services.iter().any(|name| name == service))
    }

    /// What the daemon of a node says.
    pub fn status(&self, n: usize) -> Option<&Status> {
        self.nodes[n].as_ref()?.status.as_ref()
    }

    /// Owner and epoch of each group as a live node says, if both are started and whoever speaks agrees.
    pub fn ownership(&self) -> Option<Vec<(String, u64)>> {
        let said = |n: usize| -> Option<Vec<(String, u64)>> {
            let status = self.status(n)?;
            let one = |g: &Plan| {
                let group = status.group(g.name).filter(|group| group.state == "started")?;
                Some((group.owner.clone()?, group.epoch))
            };
            GROUPS.iter().map(one).collect()
        };
        let (a, b) = (said(0)?, said(1)?);
        (a == b).then_some(a)
    }

    /// Everything that is not as it must be while these faults are in force, one sentence each. `alone`: nodes whose
    /// daemon, when it was last well, knew nobody who could take over, so that their addresses have no end.
    pub fn wrong(&self, model: &Model, alone: [bool; 2]) -> Vec<String> {
        let mut wrong = Vec::new();
        let live: Vec<usize> = (0..2).filter(|n| model.live(*n)).collect();
        for &n in &live {
            match self.status(n) {
                None => wrong.push(format!("{} runs and does not answer", NODES[n])),
                Some(status) => self.of_peer(n, status, model, &mut wrong),
            }
        }
        if live.is_empty() || live.iter().any(|n| self.status(*n).is_none_or(|status| status.maintenance)) {
            return wrong;
        }
        for (g, group) in GROUPS.iter().enumerate() {
            for &n in &live {
                self.of_group(n, group, model, &mut wrong);
            }
            if model.talk() {
                self.agreed(group, &mut wrong);
            }
            self.somebody(&live, group, model, &mut wrong);
            self.orphans(&live, group, model, alone, &mut wrong);
            self.client_agrees(g, group, model, &mut wrong);
        }
        wrong
    }

    fn of_peer(&self, n: usize, status: &Status, model: &Model, wrong: &mut Vec<String>) {
        let (me, peer) = (NODES[n], NODES[1 - n]);
        if status.raw["state"] == "joining" {
            wrong.push(format!("{me} is joining still"));
        }
        let seen = status.peer(peer).map_or("unknown", |p| p.state.as_str());
        if model.talk() && seen != "up" {
            wrong.push(format!("{me} says {peer} is {seen}, and they hear each other"));
        }
        if seen == "up" && !(model.live(1 - n) && model.heard(1 - n)) {
            wrong.push(format!("{me} says {peer} is up, and nothing of it can be heard"));
        }
    }

    /// What a node says of itself is so.
    fn of_group(&self, n: usize, group: &Plan, model: &Model, wrong: &mut Vec<String>) {
        let Some(said) = self.status(n).and_then(|status| status.group(group.name)) else {
            return wrong.push(format!("{} knows no {}", NODES[n], group.name));
        };
        let (me, name) = (NODES[n], group.name);
        let lies = |service: &&&str| self.lied.iter().any(|(node, name)| node == me && name == **service);
        match (said.owner.as_deref() == Some(me), said.state.as_str()) {
            (true, "started") => {
                if !self.has(n, group) {
                    wrong.push(format!("{me} says it owns {name}, and lacks {}", group.vip));
                }
                let missing = group.services.iter().filter(|s| !self.runs(n, s) && !lies(s));
                wrong.extend(missing.map(|s| format!("{me} says it owns {name}, and {s} does not run")));
                if model.carrierless(n) && !self.says(n, "no carrier") {
                    wrong.push(format!("{me} owns {name} without a carrier, and does not say so"));
                }
                if self.better_off(n, model) {
                    wrong.push(format!("{me} keeps {name} without a carrier, though its peer has one"));
                }
                if self.status(n).is_some_and(|status| status.standby) {
                    wrong.push(format!("{me} is on standby and owns {name}"));
                }
            }
            (true, "blocked") if model.agents_misbehaved => {}
            // With nobody else there, what keeps failing is tried again after ever longer pauses; and it says so.
            (true, "starting" | "stopping") if model.agents_misbehaved && self.says_why(n, name) => {}
            (true, state) => wrong.push(format!("{name} is {state} on {me}")),
            (false, _) => {
                // Where nobody has the group, an address that somebody set may be all the clients have.
                let left_alone = self.says(n, &format!("address of {name} set here by somebody else"));
                if self.has(n, group) && !left_alone {
                    wrong.push(format!(
                        "{me} has {} and says it does not own {name}: {:?}",
                        group.vip,
                        told(said)
                    ));
                }
                // It could not stop them, and says so.
                let stuck = model.agents_misbehaved && self.says(n, &format!("{name} is blocked here"));
                let left = group.services.iter().filter(|s| self.runs(n, s) && !stuck);
                wrong.extend(left.map(|s| format!("{s} runs on {me}, which says it does not own {name}")));
            }
        }
    }

    /// The addresses of this node reach nobody, and nothing keeps the other one from taking them.
    fn better_off(&self, n: usize, model: &Model) -> bool {
        let nothing_else = !model.agents_misbehaved && model.loss == 0 && !self.ground.points();
        let lent = !self.ground.lends() || model.witness_good();
        let disks = model.nodes.iter().all(|node| !node.disk_full);
        let there = self.status(1 - n).is_some_and(|status| !status.standby);
        model.carrierless(n)
            && !model.carrierless(1 - n)
            && model.talk()
            && nothing_else
            && lent
            && disks
            && there
    }

    fn says_why(&self, n: usize, group: &str) -> bool {
        self.says(n, group)
    }

    fn says(&self, n: usize, words: &str) -> bool {
        self.status(n).is_some_and(|status| status.degraded.iter().any(|text| text.contains(words)))
    }

    fn agreed(&self, group: &Plan, wrong: &mut Vec<String>) {
        let group_of = |n: usize| self.status(n).and_then(|status| status.group(group.name));
        let (Some(a), Some(b)) = (group_of(0), group_of(1)) else { return };
        // Of a group that nobody owns each says why it does not run there: failed here, merely stopped there.
        let same = if a.owner.is_none() { a.owner == b.owner } else { told(a) == told(b) };
        if !same {
            wrong.push(format!("{}: a says {:?}, b says {:?}", group.name, told(a), told(b)));
        }
    }

    /// L1, L6: a live node owns the group, or a live node says why none does.
    fn somebody(&self, live: &[usize], group: &Plan, model: &Model, wrong: &mut Vec<String>) {
        let statuses: Vec<&Status> = live.iter().filter_map(|n| self.status(*n)).collect();
        let owned = live.iter().any(|n| {
            let said = self.status(*n).and_then(|status| status.group(group.name));
            said.is_some_and(|g| g.owner.as_deref() == Some(NODES[*n]))
        });
        let reason = live.iter().any(|n| self.says_why(*n, group.name)) || statuses.iter().all(|s| s.standby);
        if !owned && !reason {
            wrong.push(format!("nobody owns {}, and nobody says why", group.name));
        }
        let nothing_lent = self.ground.lends() && !model.witness_good();
        let nothing_seen = self.ground.points() && (0..2).any(|n| model.points(n) == 0);
        let hold = group.on_silence || model.agents_misbehaved || nothing_lent || nothing_seen;
        if !owned && live.len() == 2 && model.talk() && !hold && statuses.iter().any(|s| !s.standby) {
            wrong.push(format!("nobody owns {}, though both nodes are there", group.name));
        }
    }

    /// Addresses of a daemon that is dead or frozen go by themselves, if somebody could take over.
    fn orphans(
        &self,
        live: &[usize],
        group: &Plan,
        model: &Model,
        alone: [bool; 2],
        wrong: &mut Vec<String>,
    ) {
        let owner = live.iter().find(|n| self.has(**n, group));
        for n in (0..2).filter(|n| model.nodes[*n].powered && !model.live(*n)) {
            if owner.is_some() && self.has(n, group) && !alone[n] {
                wrong.push(format!("{} has {} still, though its hbd does not run", NODES[n], group.vip));
            }
        }
    }

    fn client_agrees(&self, g: usize, group: &Plan, model: &Model, wrong: &mut Vec<String>) {
        let holders: Vec<usize> = (0..2).filter(|n| self.has(*n, group)).collect();
        let twin = model.twin && g == 0;
        let ([owner], true) = (holders.as_slice(), model.service_lan_whole() && !twin) else {
            return;
        };
        if let Some(mac) = self.client[g].as_ref().filter(|mac| **mac != self.macs[*owner]) {
            wrong.push(format!("the client sends {} to {mac}, and {} has it", group.vip, NODES[*owner]));
        }
    }

    /// Everything that is not well, with no fault in force: both nodes up, every group started, nothing degraded.
    pub fn not_well(&self) -> Vec<String> {
        let mut wrong = self.wrong(&Model::default(), [false; 2]);
        if self.ownership().is_none() {
            wrong.push("not every group is started with one owner".to_owned());
        }
        for status in (0..2).filter_map(|n| self.status(n)) {
            // What this version cannot do yet is no fault of the pair.
            let faults = status.degraded.iter().filter(|text| !text.contains("by this version"));
            wrong.extend(faults.map(|text| format!("{} is degraded: {text}", status.node)));
        }
        wrong
    }
}

fn told(group: &Group) -> (Option<String>, String, u64) {
    (group.owner.clone(), group.state.clone(), group.epoch)
}

impl fmt::Display for Sights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in NODES.iter().enumerate() {
            let Some(sight) = &self.nodes[n] else {
                writeln!(f, "  {name}: no power")?;
                continue;
            };
            let vips: Vec<&str> = GROUPS.iter().filter(|g| self.has(n, g)).map(|group| group.vip).collect();
            writeln!(f, "  {name} has {vips:?}, runs {:?}", sight.services)?;
            match &sight.status {
                None => writeln!(f, "  {name} says nothing")?,
                Some(status) => writeln!(f, "  {name} says: {status}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::act::Act;
    use super::*;

    /// What a node says: the state of the peer, then owner and epoch of each group.
    fn says(me: &str, peer: &str, owners: [(&str, u64); 2]) -> Option<Status> {
        let groups: Vec<String> = GROUPS
            .iter()
            .zip(owners)
            .map(|(group, (owner, epoch))| {
                let (owner, state) = match owner {
                    "" => ("null".to_owned(), "stopped"),
                    owner => (format!("\"{owner}\""), "started"),
                };
                let name = group.name;
                format!(r#"{{"name":"{name}","state":"{state}","owner":{owner},"epoch":{epoch}}}"#)
            })
            .collect();
        let other = crate::pair::other(me);
        Status::parse(&format!(
            r#"{{"cluster":"lab","node":"{me}","nodes":[{{"name":"{other}","state":"{peer}"}}],"groups":[{}]}}"#,
            groups.join(",")
        ))
    }

    fn has(groups: &[usize], status: Option<Status>) -> Option<Sight> {
        let all = || groups.iter().map(|g| &GROUPS[*g]);
        Some(Sight {
            addresses: all().map(|group| ip(group.vip)).collect(),
            services: all().flat_map(|group| group.services).map(|s| (*s).to_owned()).collect(),
            status,
        })
    }

    const HERE: [(&str, u64); 2] = [("a", 5), ("b", 7)];

    /// a has vip, b has store, and all agree.
    fn well() -> Sights {
        Sights {
            nodes: [has(&[0], says("a", "up", HERE)), has(&[1], says("b", "up", HERE))],
            client: vec![Some("mac a".to_owned()), None],
            macs: ["mac a".to_owned(), "mac b".to_owned()],
            ground: Ground::Plain,
            lied: Vec::new(),
        }
    }

    fn after(acts: &[Act]) -> Model {
        let mut model = Model::default();
        acts.iter().for_each(|act| model.apply(act));
        model
    }

    fn caught(what: &str, sights: &Sights, model: &Model) {
        let wrong = sights.wrong(model, [false; 2]);
        assert!(wrong.iter().any(|text| text.contains(what)), "{what}: {wrong:?}");
    }

    #[test]
    fn a_pair_that_is_well() {
        assert_eq!(well().not_well(), Vec::<String>::new());
    }

    #[test]
    fn lies_are_caught() {
        let model = Model::default();
        let lie = |nodes: [Option<Sight>; 2]| Sights { nodes, ..well() };
        caught(
            "lacks 10.77.1.1",
            &lie([has(&[], says("a", "up", HERE)), has(&[1], says("b", "up", HERE))]),
            &model,
        );
        let both = lie([has(&[0], says("a", "up", HERE)), has(&[0, 1], says("b", "up", HERE))]);
        caught("b has 10.77.1.1", &both, &model);
        caught("web runs on b", &both, &model);
        let other = [("a", 6), ("b", 7)];
        caught("a says", &lie([has(&[0], says("a", "up", HERE)), has(&[1], says("b", "up", other))]), &model);
        let none = [("", 5), ("b", 7)];
        caught(
            "nobody owns vip",
            &lie([has(&[], says("a", "up", none)), has(&[1], says("b", "up", none))]),
            &model,
        );
        caught("does not answer", &lie([has(&[0], None), has(&[1], says("b", "up", HERE))]), &model);
        caught(
            "a is dead",
            &lie([has(&[0], says("a", "up", HERE)), has(&[1], says("b", "dead", HERE))]),
            &model,
        );
        let client = Sights { client: vec![Some("mac b".to_owned()), None], ..well() };
        caught("the client sends 10.77.1.1 to mac b", &client, &model);
    }

    #[test]
    fn an_address_set_by_a_stranger_may_be_left_alone_where_that_is_said() {
        let none = [("", 5), ("b", 7)];
        let mut a = says("a", "dead", none);
        if let Some(status) = &mut a {
            status.degraded.push("a group vip is not owned".to_owned());
        }
        let model = after(&[Act::PowerOff(1)]);
        let sights = |a: &Option<Status>| {
            let mut sight = has(&[0], a.clone()).unwrap_or_default();
            sight.services.clear();
            Sights { nodes: [Some(sight), None], ..well() }
        };
        caught("a has 10.77.1.1", &sights(&a), &model);
        if let Some(status) = &mut a {
            status.degraded.push("an address of vip set here by somebody else: left alone".to_owned());
        }
        let wrong = sights(&a).wrong(&model, [false; 2]);
        assert!(!wrong.iter().any(|text| text.contains("a has 10.77.1.1")), "{wrong:?}");
    }

    #[test]
    fn without_a_carrier_it_is_said_and_a_twin_is_not_the_pairs_fault() {
        let pulled = after(&[Act::Unplug(0, crate::net::Lan::Service)]);
        caught("a owns vip without a carrier", &well(), &pulled);
        caught("a keeps vip without a carrier", &well(), &pulled);
        let excused = after(&[Act::Unplug(0, crate::net::Lan::Service), Act::FillDisk(1)]);
        assert!(!well().wrong(&excused, [false; 2]).iter().any(|text| text.contains("keeps")));
        let client = Sights { client: vec![Some("mac w".to_owned()), None], ..well() };
        caught("the client sends", &client, &Model::default());
        assert_eq!(client.wrong(&after(&[Act::Twin]), [false; 2]), Vec::<String>::new());
    }

    #[test]
    fn of_what_is_lent_nobody_need_own_it_while_the_witness_is_lost() {
        let none = [("a", 5), ("", 7)];
        let status = |me: &str, peer: &str| {
            let mut status = says(me, peer, none)?;
            status.degraded.push("store waits for the witness".to_owned());
            Some(status)
        };
        let nodes = || [has(&[0], status("a", "b")), has(&[], status("b", "a"))];
        let nodes = nodes().map(|node| {
            let mut node = node.unwrap_or_default();
            if let Some(status) = &mut node.status {
                status.nodes[0].state = "up".to_owned();
            }
            Some(node)
        });
        let sights = |ground| Sights { nodes: nodes.clone(), ground, ..well() };
        let lost = after(&[Act::KillMembers(&["w", "x"])]);
        assert_eq!(sights(Ground::Witness).wrong(&lost, [false; 2]), Vec::<String>::new());
        caught("nobody owns store, though", &sights(Ground::Fence), &lost);
        caught("nobody owns store, though", &sights(Ground::Witness), &after(&[Act::KillMembers(&["w"])]));
    }

    #[test]
    fn of_what_nobody_owns_each_may_say_its_own_reason() {
        let none = [("", 5), ("b", 7)];
        let mut a = says("a", "up", none);
        if let Some(status) = &mut a {
            status.groups[0].state = "failed".to_owned();
            status.degraded.push("vip failed to start here".to_owned());
        }
        let nodes = [has(&[], a), has(&[1], says("b", "up", none))];
        assert_eq!(Sights { nodes, ..well() }.wrong(&Model::default(), [false; 2]), Vec::<String>::new());
    }

    #[test]
    fn who_is_gone_is_said_to_be_and_its_addresses_go() {
        let model = after(&[Act::Kill(0)]);
        let mine = [("b", 6), ("b", 7)];
        let kept = Sights { nodes: [has(&[0], None), has(&[0, 1], says("b", "dead", mine))], ..well() };
        caught("a has 10.77.1.1 still", &kept, &model);
        assert!(!kept.wrong(&model, [true, false]).iter().any(|text| text.contains("still")), "it was alone");
        let late = Sights { nodes: [has(&[0], None), has(&[1], says("b", "up", HERE))], ..well() };
        caught("b says a is up", &late, &model);
        caught("nobody owns vip", &late, &model);
    }

    #[test]
    fn two_owners_while_nothing_is_heard_are_no_violation() {
        let (a, b) = ([("a", 5), ("b", 7)], [("b", 6), ("b", 7)]);
        let nodes = [has(&[0], says("a", "dead", a)), has(&[0, 1], says("b", "dead", b))];
        let sights = Sights { nodes, ..well() };
        assert_eq!(sights.wrong(&after(&[Act::CutAll]), [false; 2]), Vec::<String>::new());
        caught("a says", &sights, &Model::default());
    }
}
