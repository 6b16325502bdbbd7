//! The power of a machine goes and comes back.

use lab::Result;
use lab::clock::wait_for;
use lab::pair::{BOUND, Pair, VIP};
use lab::scenario::{check, scenario, served};

use super::WHILE;

/// The active node is off: the peer owns, and the client is answered by it.
fn fails_over(pair: &Pair) -> Result<()> {
    pair.owned_by("a")?;
    served(pair, VIP)?;
    pair.world.power_off("a")?;
    pair.owned_by("b")?;
    served(pair, VIP)?;
    pair.wait("b", "a is dead", |s| s.sees("a", "dead")).map(drop)
}

#[test]
fn the_peer_takes_over_and_keeps_what_it_took() {
    scenario(Pair::running, |pair| {
        let probe = pair.probe("probe")?;
        fails_over(pair)?;
        let epoch = pair.wait("b", "b owns", |s| s.has("vip", "started", Some("b")))?.groups[0].epoch;
        pair.boot("a")?;
        pair.joined("a", "b")?;
        pair.joined("b", "b")?;
        pair.stays_with("b", WHILE)?;
        let status = pair.joined("a", "b")?;
        check(status.groups[0].epoch == epoch, || format!("it was taken again: {status}"))?;
        check(status.degraded.is_empty(), || format!("all is well again: {status}"))?;
        let seen = probe.finish()?;
        check(seen.changes.len() == 1, || format!("the client was sent to and fro: {:?}", seen.changes))?;
        let gap = seen.longest_gap();
        let sides = gap.map(|gap| (gap.before.as_deref(), gap.after.as_deref()));
        check(sides == Some((Some("a"), Some("b"))), || format!("one gap, from a to b: {seen:?}"))
    });
}

#[test]
fn with_auto_failback_the_group_goes_home() {
    let make = || {
        let vip = lab::hbd::config::address(VIP, 16, "eth0");
        Pair::with(|mut settings| {
            settings.auto_failback = "true".to_owned();
            settings.group("vip", Some("a"), &[&vip])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        fails_over(pair)?;
        pair.boot("a")?;
        pair.owned_by("a")?;
        served(pair, VIP)?;
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn the_standby_node_may_go_and_come_as_it_likes() {
    scenario(Pair::running, |pair| {
        let probe = pair.probe("probe")?;
        pair.owned_by("a")?;
        pair.world.power_off("b")?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        pair.owned_by("a")?;
        pair.boot("b")?;
        pair.joined("a", "a")?;
        pair.joined("b", "a")?;
        pair.stays_with("a", WHILE)?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late && seen.changes.is_empty(), || format!("the client noticed: {seen:?}"))
    });
}

#[test]
fn both_go_and_come_back() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let before = pair.joined("a", "a")?.groups[0].epoch;
        pair.world.power_off("a")?;
        pair.world.power_off("b")?;
        pair.boot("b")?;
        pair.boot("a")?;
        for node in ["a", "b"] {
            pair.wait(node, "the pair is whole", |s| {
                s.sees(lab::pair::other(node), "up") && s.groups[0].state == "started"
            })?;
        }
        let owner =
            wait_for("an owner", BOUND, super::WHILE / 50, || pair.status("a")?.groups[0].owner.clone())?;
        pair.owned_by(&owner)?;
        pair.stays_with(&owner, WHILE)?;
        let after = pair.joined("a", &owner)?.groups[0].epoch;
        check(after > before, || format!("epoch {before} was used before the power went, and now {after}"))
    });
}
