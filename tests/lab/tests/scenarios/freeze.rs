//! hbd is frozen for longer than deadtime (a suspended machine, a starved process), and wakes again.

use lab::audit::Audit;
use lab::pair::{BOUND, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, throughout};
use lab::watch::AddressWatch;
use nix::sys::signal::Signal;

use super::WHILE;

#[test]
fn the_owner_frozen_is_replaced_and_gives_way_when_it_wakes() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let watch = AddressWatch::start(&pair.world, "a")?;
        // A frozen daemon answers nobody: this audit does not ask the daemons.
        let outside = Audit::new(&pair.world, &[ip(VIP)]);
        pair.signal("a", Signal::SIGSTOP)?;
        pair.wait("b", "b took over", |s| s.sees("a", "dead") && s.has("vip", "started", Some("b")))?;
        // Its address goes with its lease, though nobody there can remove it.
        outside.await_owner("b", BOUND)?;
        served(pair, VIP)?;
        let asked = pair.hbctl("a", &["--timeout", "500ms", "status"])?;
        let told = asked.code == 1 && asked.stderr.contains("did not answer");
        check(told, || format!("the operator is told, in bounded time: {asked:?}"))?;
        let set = watch.times_set(ip(VIP))?;
        pair.signal("a", Signal::SIGCONT)?;
        pair.joined("a", "b")?;
        pair.joined("b", "b")?;
        pair.stays_with("b", WHILE)?;
        let now = watch.times_set(ip(VIP))?;
        check(now == set, || format!("the woken node set the address again, {} times", now - set))
    });
}

#[test]
fn a_short_pause_moves_nothing() {
    scenario(
        || {
            let vip = lab::hbd::config::address(VIP, 16, "eth0");
            Pair::with(|mut settings| {
                settings.deadtime = "4s".to_owned();
                settings.initdead = "8s".to_owned();
                settings.group("vip", Some("a"), &[&vip])
            })
        },
        |pair| {
            pair.start_both()?;
            pair.owned_by("a")?;
            let epoch = pair.joined("a", "a")?.groups[0].epoch;
            let outside = Audit::new(&pair.world, &[ip(VIP)]);
            pair.signal("a", Signal::SIGSTOP)?;
            throughout("a pause of less than deadtime", WHILE / 5, || outside.expect_owner("a").map(drop))?;
            pair.signal("a", Signal::SIGCONT)?;
            pair.stays_with("a", WHILE)?;
            let now = pair.joined("b", "a")?.groups[0].epoch;
            check(now == epoch, || format!("the epoch was {epoch} and is {now}"))
        },
    );
}

#[test]
fn the_standby_node_frozen_takes_nothing_when_it_wakes() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let watch = AddressWatch::start(&pair.world, "b")?;
        let outside = Audit::new(&pair.world, &[ip(VIP)]);
        pair.signal("b", Signal::SIGSTOP)?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        throughout("b is frozen", WHILE, || outside.expect_owner("a").map(drop))?;
        pair.signal("b", Signal::SIGCONT)?;
        pair.joined("a", "a")?;
        pair.joined("b", "a")?;
        pair.stays_with("a", WHILE)?;
        let set = watch.times_set(ip(VIP))?;
        check(set == 0, || format!("the woken node set the address {set} times"))
    });
}
