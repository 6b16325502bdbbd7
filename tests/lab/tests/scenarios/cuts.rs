//! Cables are cut, one way or both, some or all.

use lab::audit::Audit;
use lab::net::{Cut, Lan};
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, until};
use lab::{Result, hbd::Status};

use super::WHILE;

/// The state of the broadcast link to the peer, as a node says.
fn bcast(status: &Status) -> &str {
    let links = status.nodes.iter().flat_map(|node| &node.links);
    links.filter(|link| link.name == "bcast:eth1").map(|link| link.state.as_str()).next().unwrap_or("none")
}

/// Waits until a node's `degraded` has a sentence with all of `words`, or is empty if there are none.
fn degraded(pair: &Pair, node: &str, words: &[&str]) -> Result<()> {
    let says = |s: &Status| {
        let all = |line: &String| words.iter().all(|word| line.contains(word));
        if words.is_empty() { s.degraded.is_empty() } else { s.degraded.iter().any(all) }
    };
    pair.wait(node, &format!("degraded says {words:?}"), says).map(drop)
}

#[test]
fn one_link_of_two_is_cut_and_nothing_moves() {
    scenario(Pair::running, |pair| {
        let probe = pair.probe("probe")?;
        let epoch = pair.joined("a", "a")?.groups[0].epoch;
        pair.world.cut(Cut::between("a", "b", Lan::Heartbeat))?;
        for node in ["a", "b"] {
            pair.wait(node, "the broadcast link is down", |s| bcast(s) == "down")?;
            degraded(pair, node, &["bcast:eth1", "down"])?;
        }
        pair.stays_with("a", WHILE)?;
        pair.world.heal()?;
        for node in ["a", "b"] {
            pair.wait(node, "the broadcast link is up", |s| bcast(s) == "up")?;
            degraded(pair, node, &[])?;
        }
        let now = pair.joined("b", "a")?.groups[0].epoch;
        check(now == epoch, || format!("the epoch was {epoch} and is {now}"))?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))
    });
}

#[test]
fn one_link_is_cut_one_way_and_both_know_which() {
    scenario(Pair::running, |pair| {
        pair.world.cut(Cut::one_way("a", "b", Lan::Heartbeat))?;
        degraded(pair, "a", &["bcast:eth1", "we hear b", "it does not hear us"])?;
        degraded(pair, "b", &["bcast:eth1", "a hears us", "we do not hear it"])?;
        pair.stays_with("a", WHILE)?;
        pair.world.heal()?;
        for node in ["a", "b"] {
            degraded(pair, node, &[])?;
        }
        pair.owned_by("a").map(drop)
    });
}

#[test]
fn all_links_are_cut_and_after_the_heal_exactly_one_keeps() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let audit = Audit::new(&pair.world, &[ip(VIP)]);
        pair.cut_all_links()?;
        // With `requires = nothing` and silence, both must think that they are alone.
        audit
            .await_that(BOUND, |look| check(look.owners() == ["a", "b"], || "both were to own".to_owned()))?;
        for node in ["a", "b"] {
            pair.wait(node, "the peer is dead, mine", |s| {
                s.sees(lab::pair::other(node), "dead") && s.has(GROUP, "started", Some(node))
            })?;
        }
        pair.world.heal()?;
        // b took it over: its epoch is the higher one.
        pair.joined("a", "b")?;
        pair.joined("b", "b")?;
        pair.owned_by("b")?;
        served(pair, VIP)?;
        pair.stays_with("b", WHILE)?;
        for node in ["a", "b"] {
            degraded(pair, node, &[])?;
        }
        Ok(())
    });
}

#[test]
fn nobody_hears_the_owner_and_it_hears_who_took_over() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.cut(Cut::one_way("a", "b", Lan::Heartbeat))?;
        pair.world.cut(Cut::one_way("a", "b", Lan::Service))?;
        pair.wait("b", "a is dead", |s| s.sees("a", "dead") && s.has(GROUP, "started", Some("b")))?;
        // a hears that b owns it under a higher epoch, and gives way at once.
        pair.wait("a", "b owns", |s| s.has(GROUP, "started", Some("b")))?;
        pair.owned_by("b")?;
        pair.stays_with("b", WHILE)?;
        pair.world.heal()?;
        pair.joined("b", "b")?;
        pair.joined("a", "b")?;
        pair.stays_with("b", WHILE)
    });
}

#[test]
fn lost_packets_fewer_than_deadtime_allows_move_nothing() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        for lan in [Lan::Service, Lan::Heartbeat] {
            // Two links and ten keepalives in a deadtime: all twenty lost is once in 10^6 or so.
            pair.world.cut(Cut::loss("a", "b", lan, 50))?;
            pair.world.cut(Cut::loss("b", "a", lan, 50))?;
        }
        let heard = |node: &str| {
            let status = pair.status(node).map(|s| s.raw);
            let received = status.and_then(|raw| raw["nodes"][0]["links"][0]["received"].as_u64());
            received.unwrap_or(0)
        };
        let before = heard("b");
        pair.stays_with("a", WHILE)?;
        until("heartbeats come through", || Ok(heard("b") > before))?;
        pair.order("a", &["move", GROUP])?;
        pair.owned_by("b")?;
        pair.world.heal()?;
        pair.stays_with("b", WHILE)
    });
}
