//! Ping points on the service LAN: the switch is the gateway.

use lab::Result;
use lab::net::plan::GATEWAY;
use lab::net::{Cut, Lan};
use lab::pair::{Pair, VIP};
use lab::scenario::{check, scenario, throughout};

use super::WHILE;

/// Heartbeats on the heartbeat LAN only, so that the service LAN can be lost without losing the peer.
fn make() -> Result<Pair> {
    let vip = lab::hbd::config::address(VIP, 16, "eth0");
    let pair = Pair::with(|settings| {
        let mut settings = settings.group("vip", Some("a"), &[&vip]);
        settings.links.truncate(1);
        settings.more += &format!(
            "\n[[ping]]\nname = \"gateway\"\naddresses = [\"{GATEWAY}\", \"fd77::fffe\"]\n[[ping]]\nname = \"client\"\naddresses = [\"10.77.0.100\"]\n"
        );
        settings
    })?;
    pair.start_both()?;
    pair.owned_by("a")?;
    for node in ["a", "b"] {
        pair.wait(node, "both points answer", |s| up(s) == [true, true] && s.degraded.is_empty())?;
    }
    Ok(pair)
}

fn up(status: &lab::hbd::status::Status) -> Vec<bool> {
    let points = status.raw["ping"].as_array().cloned().unwrap_or_default();
    points.iter().filter_map(|point| point["up"].as_bool()).collect()
}

#[test]
fn an_owner_without_the_outside_hands_over_and_keeps_its_hands_off() {
    scenario(make, |pair| {
        pair.world.cut(Cut::cable("a", Lan::Service))?;
        pair.wait("b", "b owns", |s| s.has("vip", "started", Some("b")))?;
        pair.wait("a", "a sees nothing", |s| up(s) == [false, false])?;
        pair.world.heal()?;
        pair.owned_by("b")?;
        pair.wait("a", "a sees all again", |s| up(s) == [true, true])?;
        pair.stays_with("b", WHILE)?;
        let events = pair.order("a", &["events", "--json", "-n", "100"])?.stdout;
        check(events.contains("ping points that answer"), || events.clone())
    });
}

#[test]
fn a_point_that_is_down_for_both_moves_nothing() {
    scenario(make, |pair| {
        for node in ["a", "b"] {
            pair.world.cut(Cut::between(node, lab::net::CLIENT, Lan::Service))?;
        }
        for node in ["a", "b"] {
            pair.wait(node, "the client does not answer", |s| up(s) == [true, false])?;
        }
        let taken = |node: &str| pair.status(node).is_some_and(|s| !s.has("vip", "started", Some("a")));
        throughout("a tie moves nothing", WHILE, || {
            check(!taken("a") && !taken("b"), || "it moved".to_owned())
        })
    });
}

#[test]
fn who_sees_nothing_outside_takes_nothing() {
    scenario(make, |pair| {
        pair.world.cut(Cut::cable("b", Lan::Service))?;
        pair.wait("b", "b sees nothing", |s| up(s) == [false, false])?;
        pair.world.power_off("a")?;
        pair.wait("b", "b holds", |s| s.degraded.iter().any(|d| d.contains("none of the 2 ping points")))?;
        let taken = || pair.status("b").is_some_and(|s| s.has("vip", "started", Some("b")));
        throughout("nothing is taken", WHILE, || check(!taken(), || "b took it".to_owned()))?;
        pair.world.heal()?;
        pair.owned_by("b").map(drop)
    });
}
