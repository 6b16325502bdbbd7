//! keepalived: one VRRPv3 instance on eth0, started as Debian's unit does (`--dont-fork`, no real-time priority).
//!
//! An advert every third of deadtime makes its detection time (three adverts and the skew) comparable. A VRRP
//! instance has one interface, so there is no second link to give it.

use std::fmt::Write;

use super::ground::Ground;
use super::product::{Case, Product};
use crate::net::World;
use crate::{LabError, Result, command};

/// What a VRRPv3 packet may list comfortably; the rest moves along unlisted, as its manual advises for many.
const LISTED: usize = 20;

/// Debian's keepalived.
pub struct Keepalived;

impl Product for Keepalived {
    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn version(&self) -> String {
        super::when::package_version("keepalived")
    }

    fn install(&self, world: &World, node: &str, case: &Case) -> Result<()> {
        world.write_file(node, "/etc/keepalived/keepalived.conf", &config(node, case), 0o644)
    }

    fn command(&self) -> Result<Vec<String>> {
        let program =
            command::find("keepalived").ok_or_else(|| LabError::new("keepalived is not installed"))?;
        Ok([&program.display().to_string(), "--dont-fork", "--log-console", "--vrrp"]
            .map(str::to_owned)
            .to_vec())
    }

    fn settled(&self, ground: &Ground, _active: &str, standby: &str) -> bool {
        // The log goes on through restarts: what counts is the last state it entered.
        let log = ground.log(standby);
        log.lines().rev().find(|l| l.contains("Entering")).is_some_and(|l| l.contains("BACKUP STATE"))
            && ground.is_running(standby)
    }

    fn release(&self, ground: &mut Ground, active: &str) -> Result<()> {
        // Its maintenance is to stop it: the last advert has priority 0, and the backup waits only for the skew.
        ground.terminate(active)
    }

    fn rejoin(&self, ground: &mut Ground, node: &str) -> Result<()> {
        ground.start(self, node)
    }

    fn detected_ns(&self, _ground: &Ground, _survivor: &str, _dead: &str) -> Option<u64> {
        None
    }
}

fn config(node: &str, case: &Case) -> String {
    let [first, second] = case.priorities;
    let priority = if node == "a" { first } else { second };
    // Whole centiseconds: that is what the packet carries.
    let advert = (case.deadtime.as_millis() / 30).max(1) as f64 / 100.0;
    let mut text = format!(
        "global_defs {{\n  router_id {node}\n  vrrp_version 3\n}}\n\
         vrrp_instance vip {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  \
         priority {priority}\n  advert_int {advert}\n"
    );
    for (title, part) in [
        ("virtual_ipaddress", &case.addresses[..case.addresses.len().min(LISTED)]),
        ("virtual_ipaddress_excluded", &case.addresses[case.addresses.len().min(LISTED)..]),
    ] {
        if part.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {title} {{");
        for address in part {
            let _ = writeln!(text, "    {address}/16 dev eth0");
        }
        text += "  }\n";
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::product::addresses;

    #[test]
    fn the_packet_lists_some_and_the_rest_moves_along() {
        let case = Case { addresses: addresses(25), ..Case::one(100, 1000) };
        let text = config("b", &case);
        assert!(text.contains("priority 253") && text.contains("advert_int 0.33\n"), "{text}");
        let (listed, excluded) = text.split_once("virtual_ipaddress_excluded").unwrap();
        assert_eq!((listed.matches("/16 dev").count(), excluded.matches("/16 dev").count()), (20, 5));
        assert!(config("a", &Case::one(20, 100)).contains("advert_int 0.03\n"));
    }
}
