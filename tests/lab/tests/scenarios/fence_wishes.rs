//! A node that has failed a resource, or cannot stop one, asks to be switched off.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::power::{self, Mood, with_switch};
use lab::scenario::{check, scenario, serves};
use lab::{Result, agent};

use super::WHILE;

/// One group, for which silence is enough: an address and the service `web`, treated as told.
fn make(more: &str) -> Result<Pair> {
    let pair = Pair::with(|settings| {
        let web = agent::service("web", more);
        let mut settings = settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &web]);
        settings.more += &power::tables("timeout = \"2s\"\nretries = 0");
        settings
    })?;
    power::install(&pair.world)?;
    pair.start_both()?;
    pair.owned_by("a")?;
    Ok(pair)
}

#[test]
fn a_service_that_dies_has_its_machine_switched_off_and_the_group_taken() {
    scenario(
        || make(", monitor = \"200ms\", on_fail = \"fence\""),
        |pair| {
            with_switch(pair, |switch| {
                switch.set(Mood::Fails);
                let before = agent::calls(&pair.world).len();
                pair.world.must("a", &["rm", "-f", "/run/rec/web"])?;
                pair.wait("a", "it waits to be fenced", |s| {
                    s.degraded
                        .iter()
                        .any(|d| d.contains("on_fail = fence") && d.contains("waits to be fenced"))
                })?;
                pair.wait("b", "the switch has failed", |s| {
                    s.degraded.iter().any(|d| d.contains("fencing it failed") && d.contains("fence-ack a"))
                })?;
                let deeds = agent::deeds(&pair.world, before);
                check(deeds.is_empty(), || format!("before it is certain nothing is done: {deeds:?}"))?;
                switch.set(Mood::Works);
                pair.owned_by("b")?;
                serves(pair, "web", "b")?;
                check(!pair.world.is_up("a"), || "a was to be off".to_owned())?;
                pair.boot("a")?;
                pair.joined("a", "b")?;
                let used = switch.used().len();
                // It fails on b too: the two do not take turns, the group goes back by an ordinary stop and start.
                pair.world.must("b", &["rm", "-f", "/run/rec/web"])?;
                pair.owned_by("a")?;
                check(switch.used().len() == used, || format!("fenced in turns: {:?}", switch.used()))
            })
        },
    );
}

#[test]
fn a_stop_that_hangs_has_its_machine_switched_off_where_that_is_asked_for() {
    scenario(
        || make(", stop_timeout = \"1s\", on_stop_failure = \"fence\""),
        |pair| {
            with_switch(pair, |switch| {
                agent::wish(&pair.world, "a", "web", "stop", "sleep 1000")?;
                let moved = pair.hbctl("a", &["move", GROUP])?;
                check(moved.code == 1 && moved.stderr.contains("could not be stopped here"), || {
                    moved.stderr.clone()
                })?;
                pair.owned_by("b")?;
                serves(pair, "web", "b")?;
                check(switch.used() == ["a"], || format!("fenced: {:?}", switch.used()))
            })
        },
    );
}

#[test]
fn a_stop_that_fails_waits_for_a_person_otherwise() {
    scenario(
        || make(""),
        |pair| {
            with_switch(pair, |switch| {
                agent::wish(&pair.world, "a", "web", "stop", "exit 1")?;
                let moved = pair.hbctl("a", &["move", GROUP])?;
                check(moved.code == 1, || moved.stdout.clone())?;
                pair.wait("b", "b says who is to look", |s| {
                    s.degraded
                        .iter()
                        .any(|d| d.contains("is blocked on a: an operator has to look at it there"))
                })?;
                std::thread::sleep(WHILE);
                check(switch.used().is_empty(), || format!("fenced: {:?}", switch.used()))?;
                agent::behave(&pair.world, "a")?;
                pair.order("a", &["cleanup", GROUP])?;
                pair.owned_by("a").map(drop)
            })
        },
    );
}
