//! Interfaces and addresses change under the daemons, and the kernel's news of it is heeded at once.

use lab::Result;
use lab::hbd::config::address;
use lab::net::Lan;
use lab::pair::{GROUP, Pair, VIP, ip};
use lab::scenario::{scenario, served, until};

use super::WHILE;

/// The degraded sentence with these words is there, or is not.
pub(super) fn says(pair: &Pair, node: &str, words: &str, there: bool) -> Result<()> {
    let what = format!("{node} says {}'{words}'", if there { "" } else { "no longer " });
    pair.wait(node, &what, |s| s.degraded.iter().any(|d| d.contains(words)) == there).map(drop)
}

/// An event of the node has these words.
pub(super) fn told(pair: &Pair, node: &str, words: &str) -> Result<()> {
    until(&format!("{node} tells of '{words}'"), || {
        Ok(pair.order(node, &["--json", "events", "-n", "1000"])?.stdout.contains(words))
    })
}

#[test]
fn an_address_somebody_removes_is_back_long_before_its_renewal() {
    let make = || {
        Pair::with(|mut settings| {
            // Renewed each ten seconds.
            settings.deadtime = "30s".to_owned();
            settings.initdead = "60s".to_owned();
            settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        // Only what puts it back at once tells of it; a renewal does not.
        told(pair, "a", "removed by somebody else and put back at once")?;
        pair.owned_by("a")?;
        served(pair, VIP)
    });
}

#[test]
fn a_link_says_what_is_wrong_with_its_interface_and_comes_back_with_it() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.set_link("a", "eth1", false)?;
        says(pair, "a", "eth1 is switched off", true)?;
        told(pair, "a", "\"subject\":\"bcast:eth1\"")?;
        says(pair, "b", "link bcast:eth1 to a is down", true)?;
        pair.world.set_link("a", "eth1", true)?;
        for node in ["a", "b"] {
            pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
        }
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn an_interface_of_that_name_that_was_made_anew_is_used_as_the_old_one_was() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        // Away, under another name, and another one in its place.
        pair.world.must("a", &["ip", "link", "set", "eth1", "down"])?;
        pair.world.must("a", &["ip", "link", "set", "eth1", "name", "old1"])?;
        says(pair, "a", "there is no interface eth1", true)?;
        pair.world.must("a", &["ip", "link", "set", "old1", "name", "eth1"])?;
        pair.world.must("a", &["ip", "link", "set", "eth1", "up"])?;
        for node in ["a", "b"] {
            pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
        }
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn a_link_waits_for_its_address() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let own = pair.world.machine("b")?.ipv4(Lan::Service).into();
        pair.world.remove_address("b", "eth0", own, 16)?;
        says(pair, "b", "is on no interface of this machine", true)?;
        pair.owned_by("a")?;
        pair.world.add_address("b", "eth0", own, 16)?;
        for node in ["a", "b"] {
            pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
        }
        pair.stays_with("a", WHILE)
    });
}
