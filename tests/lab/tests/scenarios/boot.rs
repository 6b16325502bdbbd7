//! In which order the nodes come.

use lab::pair::{GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, throughout};
use lab::watch::AddressWatch;

use super::WHILE;

#[test]
fn alone_it_waits_for_initdead_and_then_serves() {
    scenario(Pair::new, |pair| {
        let watch = AddressWatch::start(&pair.world, "a")?;
        pair.start("a")?;
        pair.wait("a", "it answers", |_| true)?;
        // While it waits it has nothing; afterwards it has given b up.
        throughout("before initdead nothing is taken", WHILE / 5, || {
            let Some(status) = pair.status("a") else { return Ok(()) };
            let waits = status.sees("b", "init") && watch.times_set(ip(VIP))? == 0;
            check(waits || status.sees("b", "dead"), || format!("{status}"))
        })?;
        pair.wait("a", "b is dead, mine", |s| s.sees("b", "dead") && s.has(GROUP, "started", Some("a")))?;
        pair.owned_by("a")?;
        // The late comer finds it served.
        pair.start("b")?;
        pair.joined("b", "a")?;
        pair.joined("a", "a")?;
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn the_other_node_alone_serves_too_and_keeps_it_when_the_preferred_one_comes() {
    scenario(Pair::new, |pair| {
        pair.start("b")?;
        pair.owned_by("b")?;
        pair.start("a")?;
        pair.joined("a", "b")?;
        pair.joined("b", "b")?;
        pair.stays_with("b", WHILE)
    });
}

#[test]
fn both_at_once_and_the_preferred_one_serves() {
    scenario(Pair::new, |pair| {
        pair.start("b")?;
        pair.start("a")?;
        pair.joined("a", "a")?;
        pair.joined("b", "a")?;
        pair.owned_by("a")?;
        let epoch = pair.joined("a", "a")?.groups[0].epoch;
        check(epoch == 1, || format!("it was started once: epoch {epoch}"))?;
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn the_late_comer_takes_its_own_with_auto_failback() {
    let make = || {
        let vip = lab::hbd::config::address(VIP, 16, "eth0");
        Pair::with(|mut settings| {
            settings.auto_failback = "true".to_owned();
            settings.group(GROUP, Some("a"), &[&vip])
        })
    };
    scenario(make, |pair| {
        pair.start("b")?;
        pair.owned_by("b")?;
        pair.start("a")?;
        pair.owned_by("a")?;
        pair.stays_with("a", WHILE)
    });
}
