//! The addresses of a pair that runs for years: somebody else sets, changes and removes them, and cables are pulled.

use lab::Result;
use lab::audit::{Audit, address_info, addresses};
use lab::hbd::config::address;
use lab::net::Lan;
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, throughout, until};

use super::WHILE;
use super::interfaces::{says, told};

const VIP6: &str = "fd77::1:1";

#[test]
fn what_somebody_sets_on_the_standby_goes_and_foreign_addresses_stay() {
    let make = || {
        Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &address(VIP6, 64, "eth0")]))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        let audit = Audit::new(&pair.world, &[ip(VIP), ip(VIP6)]).group(GROUP);
        audit.await_owner("a", BOUND)?;
        let foreign = ip("10.77.2.2");
        pair.world.add_address("b", "eth0", foreign, 16)?;
        pair.world.add_address("b", "eth0", ip(VIP6), 64)?;
        // With another prefix than the configuration's it is the same address for everybody else.
        pair.world.add_address("b", "eth0", ip(VIP), 24)?;
        until("they are gone again", || {
            let there = addresses(&pair.world, "b")?;
            Ok(!there.contains(&ip(VIP)) && !there.contains(&ip(VIP6)))
        })?;
        told(pair, "b", "set here by somebody else while a has group vip: removed")?;
        check(addresses(&pair.world, "b")?.contains(&foreign), || {
            "a foreign address was removed".to_owned()
        })?;
        served(pair, VIP)?;
        pair.world.exec("client", &["ip", "neigh", "flush", "all"])?;
        served(pair, VIP)?;
        audit.await_owner("a", BOUND).map(drop)
    });
}

#[test]
fn nothing_is_removed_in_maintenance_and_it_is_afterwards() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.order("a", &["maintenance", "on"])?;
        pair.wait("b", "maintenance is on", |s| s.maintenance)?;
        pair.world.add_address("b", "eth0", ip(VIP), 16)?;
        let there = || check(addresses(&pair.world, "b")?.contains(&ip(VIP)), || "it was removed".to_owned());
        throughout("it stays in maintenance", WHILE, there)?;
        // Nor is anything put back on the owner: an operator may have meant it.
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        let gone =
            || check(!addresses(&pair.world, "a")?.contains(&ip(VIP)), || "it was put back".to_owned());
        throughout("it stays away in maintenance", WHILE, gone)?;
        pair.order("a", &["maintenance", "off"])?;
        until("it is gone", || Ok(!addresses(&pair.world, "b")?.contains(&ip(VIP))))?;
        pair.world.exec("client", &["ip", "neigh", "flush", "all"])?;
        pair.owned_by("a").map(drop)
    });
}

#[test]
fn what_somebody_changes_of_it_is_put_right() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        pair.world.add_address("a", "eth0", ip(VIP), 24)?;
        let prefix = |wanted: u64| {
            let info = address_info(&pair.world, "a", ip(VIP))?;
            Ok(info.is_some_and(|info| info["prefixlen"] == wanted))
        };
        until("its prefix is right", || prefix(16))?;
        // Within the same look it was gone and back, or in two.
        until("it was told", || {
            let events = pair.order("a", &["--json", "events", "-n", "1000"])?.stdout;
            Ok(events.contains("its prefix is 24, not 16") || events.contains("removed by somebody else"))
        })?;
        let forever = format!("{VIP}/16");
        pair.world.must("a", &["ip", "addr", "change", &forever, "dev", "eth0", "valid_lft", "forever"])?;
        until(
            "it is leased again",
            || Ok(lab::scenario::valid_for(pair, "a", VIP)?.is_some_and(|s| s <= 2)),
        )?;
        pair.owned_by("a")?;
        served(pair, VIP)
    });
}

#[test]
fn a_pulled_cable_moves_the_group_to_the_node_that_has_one() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.unplug("a", Lan::Service)?;
        pair.owned_by("b")?;
        served(pair, VIP)?;
        says(pair, "a", "eth0 has no carrier, so this node cannot take it", true)?;
        told(pair, "a", "handed over to b: eth0 has no carrier")?;
        pair.world.plug("a", Lan::Service)?;
        for node in ["a", "b"] {
            pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
        }
        pair.stays_with("b", WHILE)?;
        // Nobody is better off: it stays where it is, and serves as soon as there is a cable.
        pair.world.unplug("a", Lan::Service)?;
        says(pair, "a", "eth0 has no carrier", true)?;
        pair.world.unplug("b", Lan::Service)?;
        says(pair, "b", "eth0 has no carrier, so this node has it all the same", true)?;
        pair.stays_with("b", WHILE)?;
        pair.world.plug("b", Lan::Service)?;
        served(pair, VIP)?;
        pair.world.plug("a", Lan::Service)?;
        for node in ["a", "b"] {
            pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
        }
        pair.owned_by("b").map(drop)
    });
}

#[test]
fn a_lone_node_without_a_cable_keeps_it() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.power_off("b")?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        pair.world.unplug("a", Lan::Service)?;
        says(pair, "a", "eth0 has no carrier", true)?;
        pair.stays_with("a", WHILE)?;
        pair.world.plug("a", Lan::Service)?;
        served(pair, VIP)
    });
}

/// The agents of the project.
const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../resource-agents");

#[test]
fn routes_that_went_with_an_address_come_back_with_it() {
    let make = || {
        Pair::with(|mut s| {
            s.more = format!("[daemon]\nagent_path = [\"{AGENTS}\"]\n");
            let source = format!("\"IPsrcaddr::{VIP}\"");
            let route = format!("\"Route::10.9.0.0/16::via::10.77.255.254::src::{VIP}\"");
            s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &source, &route])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let from = |to: &str| -> Result<bool> {
            Ok(pair.world.must("a", &["ip", "route", "get", to])?.contains(&format!("src {VIP}")))
        };
        let both = || {
            Ok(from("10.77.0.100")?
                && pair.world.must("a", &["ip", "route", "show", "10.9.0.0/16"])?.contains(VIP))
        };
        until("the routes are there", both)?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        told(pair, "a", "went with an address that was removed, and is started again")?;
        until("the routes are there again", both)?;
        pair.wait("a", "the group is whole", |s| s.has(GROUP, "started", Some("a")))?;
        let status = pair.wait("a", "nothing failed", |s| s.degraded.is_empty())?;
        let failures: u64 = status.groups[0].resources.iter().map(|resource| resource.failures).sum();
        check(failures == 0, || format!("{failures} failures were counted"))?;
        pair.owned_by("a").map(drop)
    });
}

/// The answers from the address go by a table of its own, on the node that has it and nowhere else.
#[test]
fn a_rule_goes_where_its_address_goes_and_comes_back_when_somebody_removes_it() {
    const MARK: &str = "proto 104";
    let make = || {
        Pair::with(|mut s| {
            s.more = format!("[daemon]\nagent_path = [\"{AGENTS}\"]\n");
            let route = "\"Route::default::via::10.77.255.254::table::100\"";
            // One is only looked at when its address was removed, one each half second.
            let rule = format!("\"Rule::from::{VIP}::table::100\"");
            let watched = format!(
                "{{ agent = \"Rule\", args = [\"to\", \"{VIP}\", \"iif\", \"lo\", \"table\", \"100\"], monitor = \"500ms\" }}"
            );
            s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), route, &rule, &watched])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let rules = |node: &str| -> Result<usize> {
            Ok(pair.world.must(node, &["ip", "rule", "show", "pref", "32000"])?.matches(MARK).count())
        };
        until("the rules are there", || Ok(rules("a")? == 2))?;
        check(rules("b")? == 0, || "a rule without its address".to_owned())?;
        let way = ["ip", "route", "get", "10.9.0.1", "from", VIP];
        check(pair.world.must("a", &way)?.contains("via 10.77.255.254"), || "it leads nowhere".to_owned())?;
        // The address and its rule, as whoever clears an interface up removes them.
        pair.world.must("a", &["ip", "rule", "del", "from", VIP, "table", "100"])?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        until("the rules are there again", || Ok(rules("a")? == 2))?;
        pair.world.must("a", &["ip", "rule", "del", "to", VIP, "table", "100"])?;
        until("the one that is monitored comes back", || Ok(rules("a")? == 2))?;
        pair.wait("a", "the group is whole", |s| s.has(GROUP, "started", Some("a")))?;
        pair.crash("a")?;
        pair.start_again("a")?;
        pair.joined("a", "a")?;
        check(rules("a")? == 2, || "adopted, not set twice".to_owned())?;
        pair.order("b", &["takeover"])?;
        pair.owned_by("b")?;
        until("they have moved", || Ok(rules("b")? == 2 && rules("a")? == 0))
    });
}

/// Another manager that wants the address gone, for good: it is answered at a pace, told of, and the group stays.
#[test]
fn a_fight_over_a_held_address_has_a_pace_and_is_told_of() {
    let make = || {
        Pair::with(|mut s| {
            // Renewed seldom: a renewal puts it back too.
            s.deadtime = "30s".to_owned();
            s.initdead = "60s".to_owned();
            s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let there = || Ok(addresses(&pair.world, "a")?.contains(&ip(VIP)));
        let began = std::time::Instant::now();
        let mut removals = 0_u32;
        while removals < 16 {
            until("it is there", there)?;
            pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
            removals += 1;
        }
        until("it is there again", there)?;
        // Ten at once, and half a second before each of the others.
        check(began.elapsed() >= std::time::Duration::from_millis(2500), || {
            format!("{removals} times within {:?}", began.elapsed())
        })?;
        says(pair, "a", "removed or changed by somebody else again and again", true)?;
        told(pair, "a", "again and again: 10 times within a minute")?;
        pair.wait("a", "the group stays", |s| s.has(GROUP, "started", Some("a")))?;
        served(pair, VIP)
    });
}
