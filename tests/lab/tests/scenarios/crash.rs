//! hbd itself dies, and the machine goes on.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, serves, until, valid_for};
use lab::{Result, agent};

use super::WHILE;

/// An address, and a service after it. Deadtime two seconds: a restart must fit into it on a busy machine.
fn with_a_service() -> Result<Pair> {
    Pair::with(|mut settings| {
        settings.deadtime = "2s".to_owned();
        settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")])
    })
}

/// All events of a node, one JSON object a line.
fn events(pair: &Pair, node: &str) -> Result<String> {
    Ok(pair.order(node, &["--json", "events", "-n", "1000"])?.stdout)
}

#[test]
fn a_restarted_hbd_adopts_what_runs_and_no_packet_is_lost() {
    scenario(with_a_service, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")?;
        let done = agent::calls(&pair.world).len();
        let probe = pair.probe("probe")?;
        for life in 1..=3 {
            pair.world.timeline.note(format!("crash {life}"));
            pair.crash("a")?;
            pair.start_again("a")?;
            pair.joined("a", "a")?;
            pair.joined("b", "a")?;
            pair.owned_by("a")?;
        }
        pair.stays_with("a", WHILE)?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
        check(seen.changes.is_empty(), || format!("someone else answered: {:?}", seen.changes))?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.is_empty(), || format!("a running service was touched: {deeds:?}"))?;
        let told = events(pair, "b")?;
        check(!told.contains("\"to\":\"dead\""), || format!("b gave a up:\n{told}"))
    });
}

#[test]
fn the_addresses_of_a_dead_hbd_vanish_by_themselves() {
    let make = || {
        Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")?;
        pair.crash("a")?;
        // Nobody removes it there: its lease runs out.
        pair.owned_by("b")?;
        served(pair, VIP)?;
        let runners = agent::runners(&pair.world, "web")?;
        check(runners == ["a", "b"], || format!("the service was to be left behind on a: {runners:?}"))?;
        // The next hbd finds what was left behind, and stops it.
        let done = agent::calls(&pair.world).len();
        pair.start_again("a")?;
        pair.joined("a", "b")?;
        serves(pair, "web", "b")?;
        pair.stays_with("b", WHILE)?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds == ["a stop web"], || format!("only the leftover was to be stopped: {deeds:?}"))
    });
}

#[test]
fn a_leftover_address_of_a_predecessor_is_removed() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        // b owns alone, so its address is there without end; its hbd dies, and a, that knows nothing of it, comes back.
        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        until("the address is set without end", || Ok(valid_for(pair, "b", VIP)? == Some(u64::MAX)))?;
        pair.crash("b")?;
        // A foreign address is none of hbd's business.
        pair.world.add_address("b", "eth0", ip("10.77.1.77"), 16)?;
        pair.boot("a")?;
        pair.wait("a", "b is dead, mine", |s| s.sees("b", "dead") && s.has(GROUP, "started", Some("a")))?;
        check(valid_for(pair, "b", VIP)?.is_some(), || "the leftover was to be there still".to_owned())?;
        // The next hbd of b finds it and sees that a owns.
        pair.start_again("b")?;
        pair.joined("b", "a")?;
        pair.owned_by("a")?;
        served(pair, VIP)?;
        pair.stays_with("a", WHILE)?;
        let foreign = valid_for(pair, "b", "10.77.1.77")?;
        check(foreign.is_some(), || "the foreign address was removed".to_owned())
    });
}

#[test]
fn a_leftover_address_that_is_configured_no_more_is_removed() {
    const OLD: &str = "10.77.1.2";
    scenario(Pair::new, |pair| {
        let mut more = pair.settings.clone();
        more.groups[0].resources.push(address(OLD, 16, "eth0"));
        more.install(&pair.world, "b")?;
        pair.start_again("b")?;
        pair.owned_by("b")?;
        until("both are set without end", || {
            Ok(valid_for(pair, "b", VIP)? == Some(u64::MAX) && valid_for(pair, "b", OLD)? == Some(u64::MAX))
        })?;
        pair.crash("b")?;
        pair.world.add_address("b", "eth0", ip("10.77.1.77"), 16)?;
        // The file is another one now.
        pair.start("b")?;
        until("what was set by hbd and is its no more goes", || Ok(valid_for(pair, "b", OLD)?.is_none()))?;
        pair.owned_by("b")?;
        let foreign = valid_for(pair, "b", "10.77.1.77")?;
        check(foreign.is_some(), || "the foreign address was removed".to_owned())
    });
}
