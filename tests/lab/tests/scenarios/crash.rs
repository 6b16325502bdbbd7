//! hbd itself dies, and the machine goes on.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, served, serves};
use lab::{LabError, Result, agent};

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
        // b dies, and the address it once had is there without end and with hbd's mark, as after a lone life.
        pair.crash("b")?;
        let vip = format!("{VIP}/16");
        pair.world.must("b", &["ip", "addr", "add", &vip, "dev", "eth0", "proto", "0x68"])?;
        // A foreign address is none of hbd's business.
        pair.world.must("b", &["ip", "addr", "add", "10.77.1.77/16", "dev", "eth0"])?;
        pair.start_again("b")?;
        pair.joined("b", "a")?;
        pair.owned_by("a")?;
        let foreign = lab::audit::address_info(&pair.world, "b", lab::pair::ip("10.77.1.77"))?;
        foreign.map(drop).ok_or_else(|| LabError::new("the foreign address was removed"))
    });
}
