//! Somebody else changes the addresses and interfaces of the owner.

use lab::audit::Audit;
use lab::hbd::config::address;
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{scenario, served, until, valid_for};

use super::WHILE;

const VIP6: &str = "fd77::1:1";

#[test]
fn an_owned_address_that_was_removed_is_put_back() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        pair.owned_by("a")?;
        served(pair, VIP)?;
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn a_lone_owner_puts_it_back_too() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.world.power_off("b")?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        until("the address is set without end", || Ok(valid_for(pair, "a", VIP)? == Some(u64::MAX)))?;
        pair.world.remove_address("a", "eth0", ip(VIP), 16)?;
        pair.owned_by("a")?;
        served(pair, VIP)
    });
}

#[test]
fn an_interface_that_was_down_gets_its_addresses_back() {
    let make = || {
        let both = [address(VIP, 16, "eth0"), address(VIP6, 64, "eth0")];
        Pair::with(|s| s.group(GROUP, Some("a"), &[&both[0], &both[1]]).with_lines("link_monitor = false"))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        let audit = Audit::new(&pair.world, &[ip(VIP), ip(VIP6)]).group(GROUP);
        audit.await_owner("a", BOUND)?;
        // The kernel drops an interface's IPv6 addresses when it goes down. The other link carries the pair.
        pair.world.set_link("a", "eth0", false)?;
        until("the IPv6 address is gone", || Ok(valid_for(pair, "a", VIP6)?.is_none()))?;
        pair.world.set_link("a", "eth0", true)?;
        audit.await_owner("a", BOUND)?;
        served(pair, VIP)?;
        served(pair, VIP6)?;
        pair.wait("a", "nothing is degraded", |s| s.degraded.is_empty())?;
        pair.wait("b", "nothing is degraded", |s| s.degraded.is_empty())?;
        audit.expect_owner("a").map(drop)
    });
}
