//! hbd: broadcast on eth1 and unicast on eth0, logging at `info` as in production.

use serde_json::Value;

use super::ground::Ground;
use super::product::{Case, Product};
use super::when;
use crate::Result;
use crate::hbd::config::{Settings, address};
use crate::hbd::daemon::{hbctl, program};
use crate::hbd::status;
use crate::net::World;

const GROUP: &str = "vip";

/// hbd as it was built last.
pub struct Hbd;

impl Product for Hbd {
    fn name(&self) -> &'static str {
        "hbd"
    }

    fn version(&self) -> String {
        format!("{} (this tree)", env!("CARGO_PKG_VERSION"))
    }

    fn install(&self, world: &World, node: &str, case: &Case) -> Result<()> {
        let mut settings = Settings::pair(world)?;
        settings.keepalive = format!("{}ms", case.keepalive.as_millis());
        settings.deadtime = format!("{}ms", case.deadtime.as_millis());
        let resources: Vec<String> =
            case.addresses.iter().map(|a| address(&a.to_string(), 16, "eth0")).collect();
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        settings.group(GROUP, Some("a"), &resources).install(world, node)
    }

    fn command(&self) -> Result<Vec<String>> {
        let program = program("hbd")?.display().to_string();
        Ok(vec!["env".to_owned(), "HBD_LOG=info".to_owned(), program])
    }

    fn settled(&self, ground: &Ground, active: &str, standby: &str) -> bool {
        let sees = |node: &str, peer: &str| {
            status::of(&ground.world, node).is_some_and(|s| {
                s.has(GROUP, "started", Some(active))
                    && s.peer(peer).is_some_and(|p| {
                        p.state == "up" && !p.standby && p.links.iter().all(|l| l.state == "up")
                    })
            })
        };
        sees(standby, active) && sees(active, standby)
    }

    fn release(&self, ground: &mut Ground, active: &str) -> Result<()> {
        hbctl(&ground.world, active, &["standby"])?.success()?;
        Ok(())
    }

    fn rejoin(&self, ground: &mut Ground, node: &str) -> Result<()> {
        hbctl(&ground.world, node, &["online"])?.success()?;
        Ok(())
    }

    fn detected_ns(&self, ground: &Ground, survivor: &str, dead: &str) -> Option<u64> {
        let output = hbctl(&ground.world, survivor, &["--json", "events", "-n", "200"]).ok()?;
        let events = output.stdout.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is = |event: &Value, key: &str, want: &str| event.get(key).and_then(Value::as_str) == Some(want);
        let mut deaths =
            events.filter(|e| is(e, "kind", "peer") && is(e, "subject", dead) && is(e, "to", "dead"));
        let time = deaths.next()?.get("time")?.as_str()?.to_owned();
        when::monotonic_of(&time)
    }
}
