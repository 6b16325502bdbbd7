//! Each kind of link alone carries the pair; and one that is not there yet comes later.

use lab::Result;
use lab::hbd::Settings;
use lab::hbd::config::{address, bcast, mcast, ucast};
use lab::net::NullModem;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, served};

use super::WHILE;

/// The pair with this one link comes up, hands over, and fails over.
fn carries(link: String) {
    carries_with(link, "100ms");
}

fn carries_with(link: String, keepalive: &str) {
    let make = || {
        Pair::with(|mut settings| {
            settings.links = vec![link];
            settings.keepalive = keepalive.to_owned();
            settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.order("a", &["move", GROUP])?;
        pair.audit().expect_owner("b")?;
        for node in ["a", "b"] {
            let status = pair.joined(node, "b")?;
            check(status.degraded.is_empty(), || format!("{node}: {status}"))?;
        }
        pair.world.power_off("b")?;
        pair.owned_by("a")?;
        served(pair, VIP)
    });
}

fn pairs(a: &str, b: &str) -> [(String, String); 2] {
    [("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())]
}

#[test]
fn broadcast_on_another_port() {
    carries(format!("{}\nport = 6694", bcast("eth1")));
}

#[test]
fn multicast_ipv4() {
    carries(mcast("eth1", "239.255.42.1"));
}

#[test]
fn multicast_ipv6() {
    carries(mcast("eth1", "ff02::6894"));
}

#[test]
fn unicast_ipv4() {
    carries(ucast(&pairs("10.78.0.1", "10.78.0.2")));
}

#[test]
fn unicast_ipv6() {
    carries(ucast(&pairs("fd78::1", "fd78::2")));
}

#[test]
fn serial() {
    let modem = NullModem::new(9600).unwrap();
    // At this speed a heartbeat takes longer than the lab's keepalive has room for.
    carries_with(modem.link(), "200ms");
}

#[test]
fn an_interface_that_goes_and_comes() {
    let all = |settings: Settings| -> Settings {
        let mut settings = settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]);
        settings.links.push(mcast("eth1", "239.255.42.1"));
        settings
    };
    let down = |pair: &Pair, node: &str| -> Result<()> {
        let gone = |s: &lab::hbd::Status| {
            let links = || s.nodes[0].links.iter();
            links().filter(|l| l.name.ends_with("eth1") && l.state == "down").count() == 2
                && links().any(|l| l.state == "up")
        };
        pair.wait(node, "both links of eth1 are down, the other is up", gone).map(drop)
    };
    scenario(
        || Pair::with(all),
        |pair| {
            // Not there at the start.
            pair.world.set_link("b", "eth1", false)?;
            pair.start_both()?;
            pair.owned_by("a")?;
            for node in ["a", "b"] {
                down(pair, node)?;
            }
            pair.world.set_link("b", "eth1", true)?;
            for node in ["a", "b"] {
                pair.wait(node, "all links are up", |s| s.degraded.is_empty())?;
            }
            // Gone under way.
            pair.world.set_link("a", "eth1", false)?;
            for node in ["a", "b"] {
                down(pair, node)?;
            }
            pair.stays_with("a", WHILE / 2)?;
            pair.world.set_link("a", "eth1", true)?;
            for node in ["a", "b"] {
                pair.wait(node, "all links are up", |s| s.degraded.is_empty())?;
            }
            pair.owned_by("a").map(drop)
        },
    );
}
