//! heartbeat in its v1 form: ha.cf, haresources, authkeys; broadcast on eth1 and unicast on eth0; IPaddr2 addresses.

use super::ground::Ground;
use super::product::{Case, Product};
use crate::Result;
use crate::net::{Lan, World};
use crate::pair::other;

/// The daemon, where Debian puts it.
pub const PROGRAM: &str = "/usr/libexec/heartbeat/heartbeat";
const STANDBY: &str = "/usr/share/heartbeat/hb_standby";

/// Debian's heartbeat.
pub struct Heartbeat;

impl Product for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn version(&self) -> String {
        super::when::package_version("heartbeat")
    }

    fn install(&self, world: &World, node: &str, case: &Case) -> Result<()> {
        let peer = world.machine(other(node))?.ipv4(Lan::Service);
        let (keepalive, deadtime) = (case.keepalive.as_millis(), case.deadtime.as_millis());
        let ha = format!(
            "logfile /var/log/ha-log\nkeepalive {keepalive}ms\nwarntime {}ms\ndeadtime {deadtime}ms\ninitdead 2000ms\n\
             udpport 694\nbcast eth1\nucast eth0 {peer}\nauto_failback off\nnode a\nnode b\n",
            deadtime / 2
        );
        let resources: Vec<String> = case.addresses.iter().map(|a| format!("IPaddr2::{a}/16/eth0")).collect();
        world.write_file(node, "/etc/ha.d/ha.cf", &ha, 0o644)?;
        world.write_file(node, "/etc/ha.d/haresources", &format!("a {}\n", resources.join(" ")), 0o644)?;
        world.write_file(node, "/etc/ha.d/authkeys", "auth 1\n1 sha1 the-lab-keeps-no-secrets\n", 0o600)?;
        // What its tmpfiles.d entry makes at boot.
        let folders = "mkdir -p /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd /run/resource-agents \
                       && chown -R hacluster:haclient /run/heartbeat && chmod -R 750 /run/heartbeat";
        world.must(node, &["sh", "-c", folders])?;
        Ok(())
    }

    fn command(&self) -> Result<Vec<String>> {
        Ok(vec![PROGRAM.to_owned(), "-f".to_owned()])
    }

    fn settled(&self, ground: &Ground, active: &str, standby: &str) -> bool {
        let says = |node: &str, want: &[&str]| {
            let output = ground.world.exec(node, &["cl_status", "rscstatus"]);
            output.is_ok_and(|o| want.contains(&o.stdout.trim()))
        };
        let active_has = if active == "a" { ["local", "all"] } else { ["foreign", "all"] };
        says(active, &active_has) && says(standby, &["none"])
    }

    fn release(&self, ground: &mut Ground, active: &str) -> Result<()> {
        ground.world.must(active, &[STANDBY, "all"])?;
        Ok(())
    }

    fn rejoin(&self, _ground: &mut Ground, _node: &str) -> Result<()> {
        Ok(())
    }

    fn detected_ns(&self, _ground: &Ground, _survivor: &str, _dead: &str) -> Option<u64> {
        None
    }

    fn many(&self, quick: bool) -> usize {
        if quick { 20 } else { 40 }
    }
}
