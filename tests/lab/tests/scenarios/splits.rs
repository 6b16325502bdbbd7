//! The nodes cannot hear each other, or the clients cannot hear a node: who serves meanwhile, and who afterwards. The
//! table in docs/safety.md names these.

use lab::audit::Audit;
use lab::hbd::Status;
use lab::hbd::config::address;
use lab::net::{Cut, Lan};
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, throughout};
use lab::{LabError, Result};

use super::WHILE;

const LANS: [Lan; 2] = [Lan::Service, Lan::Heartbeat];

/// A group that requires fencing, with devices that never do it: what is left is the operator's word.
fn fenced() -> Result<Pair> {
    Pair::with(|settings| {
        let mut settings = settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]);
        settings.groups[0].requires = Some("fencing".to_owned());
        for node in ["a", "b"] {
            settings.more += &format!("[[fence]]\nnode = \"{node}\"\nagent = \"/bin/false\"\n");
        }
        settings
    })
}

fn epoch(pair: &Pair, node: &str) -> Result<u64> {
    let status = pair.status(node).ok_or_else(|| LabError(format!("{node} does not answer")))?;
    Ok(status.groups[0].epoch)
}

/// The address is on this node alone, whatever the daemons say, throughout.
fn has_it_alone(pair: &Pair, node: &str) -> Result<()> {
    let outside = Audit::new(&pair.world, &[ip(VIP)]);
    throughout(&format!("{node} alone has it"), WHILE, || outside.expect_owner(node).map(drop))
}

/// After the heal both name `owner`, under `epoch` if one is given, and that lasts.
fn healed(pair: &Pair, owner: &str, wanted: Option<u64>) -> Result<()> {
    pair.world.heal()?;
    for node in ["a", "b"] {
        pair.joined(node, owner)?;
    }
    pair.owned_by(owner)?;
    served(pair, VIP)?;
    pair.stays_with(owner, WHILE)?;
    let now = epoch(pair, "b")?;
    check(wanted.is_none_or(|epoch| epoch == now), || format!("the epoch was {wanted:?} and is {now}"))
}

fn held(status: &Status) -> bool {
    status.has(GROUP, "blocked", None) && status.degraded.iter().any(|text| text.contains("fence-ack a"))
}

#[test]
fn all_links_cut_and_a_fenced_group_stays_where_it_is() {
    scenario(fenced, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let before = epoch(pair, "a")?;
        pair.cut_all_links()?;
        pair.wait("b", "a is dead, the group is held", |s| s.sees("a", "dead") && held(s))?;
        pair.wait("a", "b is dead, mine", |s| s.sees("b", "dead") && s.has(GROUP, "started", Some("a")))?;
        has_it_alone(pair, "a")?;
        healed(pair, "a", Some(before))
    });
}

#[test]
fn all_links_cut_from_the_owner_and_a_fenced_group_stays_where_it_is() {
    scenario(fenced, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let before = epoch(pair, "a")?;
        pair.world.recut(LANS.map(|lan| Cut::one_way("a", "b", lan)).to_vec())?;
        pair.wait("b", "a is dead, the group is held", |s| s.sees("a", "dead") && held(s))?;
        has_it_alone(pair, "a")?;
        healed(pair, "a", Some(before))
    });
}

#[test]
fn the_owner_hears_nobody_and_keeps_what_it_has() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let before = epoch(pair, "a")?;
        pair.world.recut(LANS.map(|lan| Cut::one_way("b", "a", lan)).to_vec())?;
        pair.wait("a", "b is dead, mine", |s| s.sees("b", "dead") && s.has(GROUP, "started", Some("a")))?;
        has_it_alone(pair, "a")?;
        pair.wait("b", "a owns it", |s| s.has(GROUP, "started", Some("a")))?;
        healed(pair, "a", Some(before))
    });
}

#[test]
fn the_clients_cable_of_the_owner_is_dead_and_nothing_moves() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let before = epoch(pair, "a")?;
        // Nothing says that the owner is to blame: heartbeats go on by the other cable.
        pair.world.cut(Cut::cable("a", Lan::Service))?;
        for node in ["a", "b"] {
            pair.wait(node, "it says which link is down", |s| {
                s.degraded.iter().any(|d| d.contains("ucast"))
            })?;
        }
        has_it_alone(pair, "a")?;
        healed(pair, "a", Some(before))
    });
}

#[test]
fn the_owner_cut_off_from_all_is_replaced_and_gives_way_when_it_is_back() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.recut(LANS.map(|lan| Cut::cable("a", lan)).to_vec())?;
        pair.wait("b", "b took over", |s| s.sees("a", "dead") && s.has(GROUP, "started", Some("b")))?;
        // It serves nobody with it: nobody reaches it.
        pair.wait("a", "a keeps its own", |s| s.sees("b", "dead") && s.has(GROUP, "started", Some("a")))?;
        served(pair, VIP)?;
        healed(pair, "b", None)
    });
}

#[test]
fn the_standby_node_cut_off_from_all_takes_over_too_and_keeps_it() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.recut(LANS.map(|lan| Cut::cable("b", lan)).to_vec())?;
        let outside = Audit::new(&pair.world, &[ip(VIP)]);
        outside
            .await_that(BOUND, |look| check(look.owners() == ["a", "b"], || "both were to own".to_owned()))?;
        // The clients reach a alone, and are served by it all the while.
        served(pair, VIP)?;
        healed(pair, "b", None)
    });
}

#[test]
fn who_died_alone_keeps_its_address_until_its_hbd_is_back() {
    scenario(Pair::new, |pair| {
        pair.start("a")?;
        pair.owned_by("a")?;
        pair.wait("a", "nobody could take it", |s| s.sees("b", "dead"))?;
        pair.crash("a")?;
        pair.start("b")?;
        // Nobody is there to remove it, and its lifetime has no end, for a lone node must never drop its address.
        let outside = Audit::new(&pair.world, &[ip(VIP)]);
        outside
            .await_that(BOUND, |look| check(look.owners() == ["a", "b"], || "both were to own".to_owned()))?;
        pair.start_again("a")?;
        // Both claim it under their first epoch: then the lower name stays.
        for node in ["a", "b"] {
            pair.joined(node, "a")?;
        }
        pair.owned_by("a")?;
        served(pair, VIP)?;
        pair.stays_with("a", WHILE)
    });
}
