//! Agents of every class fail over: Debian's OCF agents as they are, init scripts, Heartbeat's, systemd units.

use std::path::Path;

use lab::audit::Audit;
use lab::hbd::config::address;
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, serves};
use lab::{Result, agent};

/// The address that Debian's IPaddr2 sets.
const OCF_VIP: &str = "10.77.1.3";
/// Where Debian's Filesystem mounts; below /var, which is the machine's own.
const MOUNT: &str = "/var/lab-data";

/// Debian's package, where the lab runs; loudly not.
fn debian() -> bool {
    let folder = "/usr/lib/ocf/resource.d/heartbeat";
    let there = ["Dummy", "IPaddr2", "Filesystem"].iter().all(|name| Path::new(folder).join(name).exists());
    if !there {
        let text = "SKIPPED: Debian's resource-agents are not installed";
        assert!(std::env::var_os("LAB_REQUIRED").is_none(), "{text}");
        eprintln!("{text}");
    }
    there
}

/// Dummy runs (its state file is there), and the file system is mounted, on `node` and only there.
fn all_of_it(pair: &Pair, node: &str) -> Result<()> {
    Audit::new(&pair.world, &[ip(OCF_VIP)]).group(GROUP).await_owner(node, BOUND)?;
    for other in ["a", "b"] {
        if !pair.world.is_up(other) {
            continue;
        }
        let script =
            format!("grep -c ' {MOUNT} tmpfs ' /proc/mounts; find /run -name 'Dummy*.state' | wc -l");
        let seen = pair.world.exec(other, &["sh", "-c", &script])?.stdout;
        let wanted = if other == node { "1 1" } else { "0 0" };
        let seen: Vec<&str> = seen.split_whitespace().collect();
        check(seen.join(" ") == wanted, || {
            format!("{other}: mounted and Dummy's state: {seen:?}, not {wanted}")
        })?;
    }
    served(pair, OCF_VIP)
}

#[test]
fn debians_ocf_agents() {
    if !debian() {
        return;
    }
    let make = || {
        let dummy = "{ name = \"dummy\", agent = \"ocf:heartbeat:Dummy\" }";
        let params = format!("ip = \"{OCF_VIP}\", cidr_netmask = \"16\", nic = \"eth0\"");
        let address =
            format!("{{ name = \"address\", agent = \"ocf:heartbeat:IPaddr2\", params = {{ {params} }} }}");
        let params = format!("device = \"tmpfs\", directory = \"{MOUNT}\", fstype = \"tmpfs\"");
        let data =
            format!("{{ name = \"data\", agent = \"ocf:heartbeat:Filesystem\", params = {{ {params} }} }}");
        Pair::with(|mut s| {
            // Debian's agents need their time on a busy machine, and its IPaddr2 knows no lease.
            s.deadtime = "2s".to_owned();
            s.group(GROUP, Some("a"), &[dummy, &address, &data])
        })
    };
    scenario(make, |pair| {
        for node in ["a", "b"] {
            pair.world.must(node, &["mkdir", "-p", MOUNT])?;
        }
        pair.start_both()?;
        all_of_it(pair, "a")?;
        pair.order("a", &["standby"])?;
        all_of_it(pair, "b")?;
        pair.order("a", &["online"])?;
        // Adopted, by what their monitor says.
        pair.crash("b")?;
        pair.start_again("b")?;
        pair.joined("b", "b")?;
        all_of_it(pair, "b")?;
        pair.world.power_off("b")?;
        all_of_it(pair, "a")?;
        pair.leave("a")?;
        Audit::new(&pair.world, &[ip(OCF_VIP)]).await_nobody(BOUND)?;
        let mounts = pair.world.must("a", &["cat", "/proc/mounts"])?;
        check(!mounts.contains(MOUNT), || format!("it is still mounted:\n{mounts}"))
    });
}

#[test]
fn an_init_script_and_heartbeats_agents_in_one_group() {
    let make = || {
        Pair::with(|s| {
            let (first, last) = (agent::service("first", ""), "\"rec::last\"");
            s.group(GROUP, Some("a"), &[&first, "\"lsb:rec-lsb\"", &address(VIP, 16, "eth0"), last])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.order("a", &["move", GROUP])?;
        pair.audit().expect_owner("b")?;
        for service in ["first", "lsb", "last"] {
            serves(pair, service, "b")?;
        }
        let deeds = agent::deeds(&pair.world, 0);
        let order = [
            "a start first",
            "a start lsb",
            "a start last",
            "a stop last",
            "a stop lsb",
            "a stop first",
            "b start first",
            "b start lsb",
            "b start last",
        ];
        check(deeds == order, || format!("started in order, stopped in reverse: {deeds:?}"))
    });
}

/// A systemctl whose units are files.
const SYSTEMCTL: &str = r#"#!/bin/sh
for word; do case $word in start|stop|show) op=$word ;; -*|--) ;; *) unit=$word ;; esac; done
mkdir -p /run/units
case $op in
start) echo active >/run/units/$unit ;;
stop) rm -f /run/units/$unit ;;
show)
    echo LoadState=loaded
    if [ -e /run/units/$unit ]; then echo ActiveState=active; else echo ActiveState=inactive; fi
    echo SubState=some; echo Result=success ;;
*) exit 1 ;;
esac
"#;

#[test]
fn a_systemd_unit() {
    if !Path::new("/usr/bin/systemctl").exists() {
        eprintln!("SKIPPED: there is no /usr/bin/systemctl in whose place to put the scenario's own");
        return;
    }
    let make = || Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), "\"systemd:web\""]));
    scenario(make, |pair| {
        for node in ["a", "b"] {
            pair.world.write_file(node, "/etc/lab-systemctl", SYSTEMCTL, 0o755)?;
            // Only in the machine's own mount namespace.
            pair.world.must(node, &["mount", "--bind", "/etc/lab-systemctl", "/usr/bin/systemctl"])?;
        }
        let active = |node: &str| Ok(pair.world.exec(node, &["test", "-e", "/run/units/web.service"])?.ok());
        let only = |node: &str| -> Result<()> {
            pair.audit().await_owner(node, BOUND)?;
            check(active(node)? && !active(lab::pair::other(node))?, || {
                format!("the unit was to run on {node} alone")
            })
        };
        pair.start_both()?;
        only("a")?;
        pair.order("b", &["takeover"])?;
        only("b")?;
        pair.crash("b")?;
        pair.start_again("b")?;
        pair.joined("b", "b")?;
        only("b")?;
        pair.leave("b")?;
        only("a")
    });
}
