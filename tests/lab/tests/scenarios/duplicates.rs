//! Another machine has the address too.

use std::time::{Duration, Instant};

use lab::Result;
use lab::audit::addresses;
use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, until};

use super::interfaces::{says, told};

const VIP6: &str = "fd77::1:1";

/// The hardware address of the third machine, `c`.
fn stranger(pair: &Pair) -> Result<String> {
    Ok(pair.world.machine("c")?.mac0.clone())
}

#[test]
fn a_machine_that_has_it_already_is_told_of_and_the_takeover_goes_on() {
    let make = || {
        let both = [address(VIP, 16, "eth0"), address(VIP6, 64, "eth0")];
        Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&both[0], &both[1]]))
    };
    scenario(make, |pair| {
        for (vip, prefix) in [(VIP, 16), (VIP6, 64)] {
            pair.world.add_address("c", "eth0", ip(vip), prefix)?;
        }
        pair.start_both()?;
        let there = || Ok(addresses(&pair.world, "a")?.contains(&ip(VIP)));
        until("a has it all the same", there)?;
        let mac = stranger(pair)?;
        for vip in [VIP, VIP6] {
            says(pair, "a", &format!("{vip} is on another machine too, {mac} on eth0"), true)?;
        }
        told(pair, "a", "is on another machine too")?;
        for (vip, prefix) in [(VIP, 16), (VIP6, 64)] {
            pair.world.remove_address("c", "eth0", ip(vip), prefix)?;
        }
        pair.wait("a", "nothing is degraded", |s| s.degraded.is_empty())?;
        served(pair, VIP)?;
        served(pair, VIP6)?;
        pair.wait("a", "a has the group", |s| s.has(GROUP, "started", Some("a"))).map(drop)
    });
}

#[test]
fn a_machine_that_comes_to_have_it_later_is_told_of_too() {
    scenario(
        || Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])),
        |pair| {
            pair.start_both()?;
            pair.owned_by("a")?;
            // Long enough for it to be nobody's lease that runs out.
            std::thread::sleep(Duration::from_secs(3));
            pair.world.add_address("c", "eth0", ip(VIP), 16)?;
            let mac = stranger(pair)?;
            let found = until("it is told of", || {
                // It says so: a gratuitous ARP.
                pair.world.exec("c", &["arping", "-q", "-U", "-c", "1", "-I", "eth0", VIP])?;
                let status = pair.status("a");
                Ok(status.is_some_and(|s| s.degraded.iter().any(|d| d.contains(&mac))))
            });
            found?;
            pair.world.remove_address("c", "eth0", ip(VIP), 16)?;
            pair.wait("a", "nothing is degraded", |s| s.degraded.is_empty())?;
            served(pair, VIP)
        },
    );
}

#[test]
fn a_takeover_from_a_daemon_that_died_alarms_nobody() {
    let make = || {
        Pair::with(|mut s| {
            // Long: the dead daemon's machine answers for the address well after it was taken.
            s.deadtime = "1900ms".to_owned();
            s.initdead = "4s".to_owned();
            s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.crash("a")?;
        pair.owned_by("b")?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            let status = pair.status("b");
            let alarmed =
                status.is_some_and(|s| s.degraded.iter().any(|d| d.contains("another machine too")));
            check(!alarmed, || "the former owner was taken for another machine".to_owned())?;
            std::thread::sleep(Duration::from_millis(100));
        }
        pair.stays_with("b", Duration::from_millis(100))
    });
}

#[test]
fn where_it_is_refused_it_is_not_set_until_the_other_machine_has_it_no_more() {
    let make = || {
        let group = |s: lab::hbd::config::Settings| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]);
        Pair::beside(&["c"], |s| group(s).with_lines("duplicate = \"refuse\""))
    };
    scenario(make, |pair| {
        pair.world.add_address("c", "eth0", ip(VIP), 16)?;
        pair.start("a")?;
        pair.start("b")?;
        let mac = stranger(pair)?;
        for node in ["a", "b"] {
            says(pair, node, &format!("{VIP} is on another machine already, {mac}"), true)?;
            check(!addresses(&pair.world, node)?.contains(&ip(VIP)), || format!("{node} has it"))?;
        }
        pair.world.remove_address("c", "eth0", ip(VIP), 16)?;
        pair.order("a", &["cleanup"])?;
        pair.order("b", &["cleanup"])?;
        pair.wait("a", "it is started", |s| s.group(GROUP).is_some_and(|g| g.state == "started"))?;
        served(pair, VIP)?;
        // A takeover from a daemon that died waits for the end of its lease.
        let owner = pair.wait("a", "who has it", |s| s.group(GROUP).is_some_and(|g| g.owner.is_some()))?;
        let owner = owner.group(GROUP).and_then(|g| g.owner.clone()).unwrap_or_default();
        pair.crash(&owner)?;
        pair.owned_by(lab::pair::other(&owner))?;
        served(pair, VIP)
    });
}
