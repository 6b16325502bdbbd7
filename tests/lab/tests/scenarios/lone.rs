//! A node without a peer: it owns, whatever happens to hbd.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, serves, throughout, until, valid_for};
use lab::{Result, agent};

use super::WHILE;

fn with_a_service() -> Result<Pair> {
    Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
}

#[test]
fn a_lone_node_never_drops_its_address() {
    scenario(with_a_service, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let lease = valid_for(pair, "a", VIP)?;
        check(lease.is_some_and(|s| s <= 2), || {
            format!("with a peer there, the address is leased: {lease:?}")
        })?;
        let done = agent::calls(&pair.world).len();
        let probe = pair.probe("probe")?;

        pair.crash("b")?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        let forever =
            || until("the address is set without end", || Ok(valid_for(pair, "a", VIP)? == Some(u64::MAX)));
        forever()?;
        pair.stays_with("a", WHILE)?;

        pair.crash("a")?;
        let here = || check(valid_for(pair, "a", VIP)?.is_some(), || "the address is gone".to_owned());
        throughout("nobody is there to renew the address", WHILE, here)?;

        pair.start_again("a")?;
        pair.wait("a", "a owns alone", |s| s.has(GROUP, "started", Some("a")) && s.sees("b", "dead"))?;
        pair.owned_by("a")?;
        forever()?;

        pair.start_again("b")?;
        pair.joined("b", "a")?;
        let leased = || Ok(valid_for(pair, "a", VIP)?.is_some_and(|s| s <= 2));
        until("with a peer there again, the address is leased again", leased)?;
        pair.stays_with("a", WHILE)?;

        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.is_empty(), || format!("a running service was touched: {deeds:?}"))?;
        serves(pair, "web", "a")
    });
}

#[test]
fn a_peer_on_standby_is_no_heir_and_the_address_is_not_leased() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.order("b", &["standby"])?;
        let unleased = || Ok(valid_for(pair, "a", VIP)? == Some(u64::MAX));
        until("nobody could take over: the address is set without end", unleased)?;
        pair.crash("a")?;
        let here = || check(valid_for(pair, "a", VIP)?.is_some(), || "the address is gone".to_owned());
        throughout("a's hbd is dead, b is on standby", WHILE, here)?;
        pair.start_again("a")?;
        pair.joined("a", "a")?;
        pair.order("b", &["online"])?;
        let leased = || Ok(valid_for(pair, "a", VIP)?.is_some_and(|s| s <= 2));
        until("b can take over again: leased", leased)?;
        pair.owned_by("a").map(drop)
    });
}
