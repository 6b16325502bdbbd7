//! Resources that are looked after: they die, hang, fail again and again.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, serves, throughout, until};
use lab::{Result, agent};

use super::WHILE;

/// One group: an address, the services `web` (looked at often) and `log` after it.
fn looked_after(more: &str) -> Result<Pair> {
    let more = format!(", monitor = \"200ms\", monitor_timeout = \"2s\"{more}");
    Pair::with(|s| {
        let (web, log) = (agent::service("web", &more), agent::service("log", ""));
        s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &web, &log])
    })
}

fn dies(pair: &Pair, node: &str) -> Result<()> {
    pair.world.must(node, &["rm", "-f", "/run/rec/web"]).map(drop)
}

#[test]
fn a_service_that_dies_is_restarted_in_place_then_its_group_moves() {
    scenario(
        || looked_after(""),
        |pair| {
            pair.start_both()?;
            let before = agent::calls(&pair.world).len();
            dies(pair, "a")?;
            until("it runs again", || agent::runs(&pair.world, "a", "web"))?;
            pair.owned_by("a")?;
            let deeds = agent::deeds(&pair.world, before);
            let order = ["a stop log", "a stop web", "a start web", "a start log"];
            check(deeds == order, || format!("restarted with what came after it: {deeds:?}"))?;
            pair.wait("a", "the failure is counted", |s| {
                s.degraded.iter().any(|d| d.contains("rec::web of") && d.contains("failed here, once"))
            })?;
            // Its one restart is used up.
            dies(pair, "a")?;
            pair.owned_by("b")?;
            serves(pair, "web", "b")?;
            serves(pair, "log", "b")?;
            pair.order("b", &["cleanup", GROUP])?;
            pair.order("b", &["move", GROUP, "--to", "a"])?;
            pair.audit().expect_owner("a")?;
            Ok(())
        },
    );
}

#[test]
fn a_look_that_hangs_is_ended_when_the_group_is_handed_over() {
    let slow = ", restarts = 0";
    scenario(
        || looked_after(slow),
        |pair| {
            pair.start_both()?;
            agent::wish(&pair.world, "a", "web", "status", "echo $$ >/run/hanging; sleep 1000")?;
            until("a look hangs", || Ok(pair.world.exec("a", &["test", "-s", "/run/hanging"])?.ok()))?;
            pair.order("a", &["standby"])?;
            pair.audit().expect_owner("b")?;
            until("the hanging look is gone", || {
                Ok(!pair.world.exec("a", &["sh", "-c", "kill -0 $(cat /run/hanging)"])?.ok())
            })
        },
    );
}

#[test]
fn a_look_that_hangs_to_its_bound_is_a_failure() {
    scenario(
        || looked_after(", restarts = 0"),
        |pair| {
            pair.start_both()?;
            agent::wish(&pair.world, "a", "web", "status", "sleep 1000")?;
            pair.owned_by("b")?;
            pair.wait("a", "it says why", |s| {
                s.degraded.iter().any(|d| d.contains("it did not say within 2000 ms whether it runs"))
            })?;
            Ok(())
        },
    );
}

#[test]
fn an_extra_that_keeps_failing_moves_nothing() {
    scenario(
        || looked_after(", on_fail = \"ignore\""),
        |pair| {
            pair.start_both()?;
            agent::wish(&pair.world, "a", "web", "start", "echo 'no luck' >&2; exit 1")?;
            dies(pair, "a")?;
            pair.wait("a", "it is left alone", |s| s.degraded.iter().any(|d| d.contains("left alone")))?;
            pair.stays_with("a", WHILE)?;
            serves(pair, "log", "a")?;
            agent::behave(&pair.world, "a")?;
            pair.order("b", &["cleanup", GROUP])?;
            until("it is tried again", || agent::runs(&pair.world, "a", "web"))
        },
    );
}

#[test]
fn in_maintenance_a_dead_service_stays_dead() {
    scenario(
        || looked_after(""),
        |pair| {
            pair.start_both()?;
            pair.order("a", &["maintenance", "on"])?;
            let before = agent::calls(&pair.world).len();
            dies(pair, "a")?;
            throughout("nothing is done about it", WHILE, || {
                let deeds = agent::deeds(&pair.world, before);
                check(deeds.is_empty(), || format!("something was done: {deeds:?}"))
            })?;
            pair.order("b", &["maintenance", "off"])?;
            until("it runs again", || agent::runs(&pair.world, "a", "web"))
        },
    );
}
