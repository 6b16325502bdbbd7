//! A hand-over is interrupted at every step, or ordered in two directions at once: it ends with one owner.

use std::thread;

use lab::hbd::Status;
use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP, other};
use lab::scenario::{check, scenario, served, serves, until};
use lab::{Result, agent};

use super::WHILE;

/// An address and a service that takes its time.
fn slow() -> Result<Pair> {
    Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
}

/// The group is being handed from a to b, and stands still for a second in `op` on `node`.
fn caught_in(pair: &Pair, node: &str, op: &str) -> Result<()> {
    pair.start_both()?;
    pair.owned_by("a")?;
    serves(pair, "web", "a")?;
    agent::wish(&pair.world, node, "web", op, "sleep 1")?;
    let before = agent::calls(&pair.world).len();
    pair.order("a", &["--no-wait", "move", GROUP])?;
    let begun = format!("{node} {op} web");
    until(&begun, || Ok(agent::deeds(&pair.world, before).contains(&begun)))
}

/// Both run, they agree on the owner, and it alone has everything.
fn whole(pair: &Pair) -> Result<String> {
    let settled = |s: &Status| s.groups[0].state == "started" && s.nodes[0].state == "up";
    for node in ["a", "b"] {
        pair.wait(node, "the pair is whole", settled)?;
    }
    let mut owner = String::new();
    until("both name the same owner", || {
        let names: Vec<_> =
            ["a", "b"].iter().map(|node| pair.status(node)?.groups[0].owner.clone()).collect();
        owner = names[0].clone().unwrap_or_default();
        Ok(names[0].is_some() && names[0] == names[1])
    })?;
    pair.owned_by(&owner)?;
    serves(pair, "web", &owner)?;
    served(pair, VIP)?;
    pair.stays_with(&owner, WHILE)?;
    serves(pair, "web", &owner)?;
    Ok(owner)
}

#[test]
fn the_giver_crashes_while_it_stops() {
    scenario(slow, |pair| {
        caught_in(pair, "a", "stop")?;
        pair.crash("a")?;
        pair.start_again("a")?;
        whole(pair).map(drop)
    });
}

#[test]
fn the_giver_dies_for_good_while_it_stops() {
    scenario(slow, |pair| {
        caught_in(pair, "a", "stop")?;
        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        serves(pair, "web", "b")?;
        pair.boot("a")?;
        let owner = whole(pair)?;
        check(owner == "b", || format!("{owner} owns"))
    });
}

#[test]
fn the_taker_crashes_while_it_starts() {
    scenario(slow, |pair| {
        caught_in(pair, "b", "start")?;
        pair.crash("b")?;
        pair.start_again("b")?;
        whole(pair).map(drop)
    });
}

#[test]
fn the_taker_dies_for_good_while_it_starts() {
    scenario(slow, |pair| {
        caught_in(pair, "b", "start")?;
        pair.world.power_off("b")?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")?;
        pair.boot("b")?;
        let owner = whole(pair)?;
        check(owner == "a", || format!("{owner} owns"))
    });
}

#[test]
fn the_taker_is_told_to_leave_while_it_starts() {
    scenario(slow, |pair| {
        caught_in(pair, "b", "start")?;
        pair.leave("b")?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")?;
        pair.start("b")?;
        let owner = whole(pair)?;
        check(owner == "a", || format!("{owner} owns"))
    });
}

#[test]
fn orders_in_both_directions_at_once() {
    scenario(slow, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let mut owner = "a".to_owned();
        for round in 0..6 {
            let away = other(&owner);
            let orders: [(&str, Vec<&str>); 2] = match round % 3 {
                0 => [("a", vec!["move", GROUP, "--to", away]), ("b", vec!["move", GROUP, "--to", away])],
                1 => [("a", vec!["standby"]), ("b", vec!["standby"])],
                _ => [("a", vec!["takeover"]), ("b", vec!["takeover"])],
            };
            pair.world.timeline.note(format!("round {round}: {orders:?}"));
            // Each may be done or refused; neither may hang, and the pair must be whole after both.
            let codes: Vec<Result<i32>> = thread::scope(|scope| {
                let runs =
                    orders.iter().map(|(node, words)| scope.spawn(|| Ok(pair.hbctl(node, words)?.code)));
                let runs: Vec<_> = runs.collect();
                runs.into_iter().map(|run| run.join().unwrap_or(Ok(-1))).collect()
            });
            for code in codes {
                let code = code?;
                check(code == 0 || code == 1, || format!("round {round}: exit code {code}"))?;
            }
            let out: Vec<&str> =
                ["a", "b"].into_iter().filter(|n| pair.status(n).is_none_or(|s| s.standby)).collect();
            check(out.len() < 2, || "both went on standby, and nobody serves".to_owned())?;
            for node in out {
                pair.order(node, &["online"])?;
            }
            owner = whole(pair)?;
        }
        Ok(())
    });
}
