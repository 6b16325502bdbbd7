//! An IPv6 address moves: usable at once, and the client's neighbour cache follows.

use std::time::Duration;

use lab::audit::{Audit, address_info};
use lab::pair::{BOUND, GROUP, Pair, ip};
use lab::probe::ProbeHandle;
use lab::scenario::{check, scenario, served, throughout};
use lab::{LabError, Result};

use super::WHILE;

const VIP6: &str = "fd77::1:1";

/// On the node it is there for good: not tentative, not a duplicate.
fn usable(pair: &Pair, node: &str) -> Result<()> {
    let info = address_info(&pair.world, node, ip(VIP6))?.ok_or_else(|| LabError::new("it is not there"))?;
    let bad = ["tentative", "dadfailed"].iter().any(|flag| info[*flag] == true);
    check(!bad, || format!("it cannot be used: {info}"))
}

#[test]
fn it_is_usable_at_once_and_neighbours_follow() {
    let make = || Pair::with(|s| s.group(GROUP, Some("a"), &[&format!("\"IPv6addr::{VIP6}/64/eth0\"")]));
    scenario(make, |pair| {
        pair.start_both()?;
        let audit = Audit::new(&pair.world, &[ip(VIP6)]).group(GROUP);
        audit.await_owner("a", BOUND)?;
        usable(pair, "a")?;
        let probe = ProbeHandle::start(&pair.world, "probe", &[ip(VIP6)], Duration::from_millis(1))?;
        served(pair, VIP6)?;
        pair.order("a", &["move", GROUP])?;
        usable(pair, "b")?;
        audit.await_owner("b", BOUND)?;
        served(pair, VIP6)?;
        pair.world.power_off("b")?;
        audit.await_owner("a", BOUND)?;
        usable(pair, "a")?;
        served(pair, VIP6)?;
        throughout("a keeps it", WHILE, || audit.expect_owner("a").map(drop))?;
        let seen = probe.finish()?;
        let path: Vec<(&str, &str)> =
            seen.changes.iter().map(|(_, from, to)| (from.as_str(), to.as_str())).collect();
        check(path == [("a", "b"), ("b", "a")], || format!("the client was sent {path:?}"))
    });
}
