//! The lab tests itself: what it says it does to the network, it does, and the probe and the audit see it.
//! A failover is played by hand, with `ip addr` and `arping`.

use std::time::Duration;

use lab::audit::Audit;
use lab::clock::{monotonic_ns, wait_for};
use lab::net::{CLIENT, Cut, Lan, SWITCH, World};
use lab::pair::ip;
use lab::probe::ProbeHandle;
use lab::probe::handle::start_echo;
use lab::{LabError, Result};

const BOUND: Duration = Duration::from_secs(10);
const VIP: &str = "10.77.1.1";
const VIP6: &str = "fd77::1:1";

/// Runs a scenario where the lab can run; a failure panics while the world still stands, so that it tells its timeline.
fn scenario(nodes: &[&str], work: impl FnOnce(&World) -> Result<()>) {
    if !lab::available() {
        return;
    }
    let world = World::new(nodes).unwrap();
    if let Err(e) = work(&world) {
        panic!("{e}");
    }
}

fn pings(world: &World, from: &str, to: &str) -> bool {
    world.exec(from, &["ping", "-c", "1", "-W", "1", to]).is_ok_and(|o| o.ok())
}

/// Pings until it works: right after a cut the kernel may still wait to ask again for a neighbour.
fn reaches(world: &World, from: &str, to: &str) -> Result<()> {
    wait_for(&format!("{from} to reach {to}"), BOUND, Duration::from_millis(5), || {
        pings(world, from, to).then_some(())
    })
}

fn announce(world: &World, node: &str) -> Result<()> {
    world.must(node, &["arping", "-q", "-U", "-c", "1", "-w", "1", "-I", "eth0", VIP]).map(drop)
}

#[test]
fn everyone_reaches_everyone_and_nothing_of_the_host() {
    scenario(&["a", "b"], |world| {
        assert!(pings(world, "client", "10.77.0.1") && pings(world, "a", "10.77.0.2"));
        assert!(pings(world, "a", "10.78.0.2"), "the heartbeat LAN");
        assert!(pings(world, "b", "10.77.255.254"), "the gateway");
        assert!(pings(world, "client", "fd77::1"), "IPv6");
        assert_eq!(world.must("a", &["hostname"])?.trim(), "a");
        let links = world.must("a", &["sh", "-c", "ls /sys/class/net; cat /proc/1/comm"])?;
        assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["eth0", "eth1", "lo", "lab"]);
        Ok(())
    });
}

#[test]
fn a_power_failure_kills_everything_and_keeps_the_disk() {
    scenario(&["a", "b"], |world| {
        world.write_file("a", "/var/lib/hbd/state", "epoch 7", 0o600)?;
        world.write_file("a", "/etc/hbd/hbd.toml", "# nothing", 0o644)?;
        world.write_file("a", "/run/hbd.pid", "1", 0o644)?;
        // A process that left its session and its parent dies too.
        world.must("a", &["sh", "-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 &"])?;
        let mut sleeper = world.spawn("a", "sleeper", &["sleep", "1000"])?;
        assert!(sleeper.running());
        let pid = sleeper.pid();
        world.power_off("a")?;
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        sleeper.wait(BOUND)?.ok_or_else(|| LabError::new("nsenter outlived the machine"))?;
        assert!(!pings(world, "b", "10.77.0.1"));
        assert!(world.exec("a", &["true"]).is_err(), "nothing runs in a machine that is off");
        let ports = world.must(SWITCH, &["ip", "-br", "link"])?;
        assert!(!ports.contains("a.eth"), "its cables are dead: {ports}");
        world.boot("a")?;
        assert_eq!(world.must("a", &["cat", "/var/lib/hbd/state", "/etc/hbd/hbd.toml"])?, "epoch 7# nothing");
        assert!(!world.exec("a", &["test", "-e", "/run/hbd.pid"])?.ok(), "/run is empty after a boot");
        let programs = world.must("a", &["sh", "-c", "cat /proc/[0-9]*/comm"])?;
        assert!(!programs.contains("sleep"), "nothing of before runs: {programs}");
        reaches(world, "b", "10.77.0.1")
    });
}

#[test]
fn orphans_are_reaped() {
    scenario(&["a"], |world| {
        let pid = world.must("a", &["sh", "-c", "(sleep 0.05 & echo $!) & wait"])?;
        wait_for("the orphan to be gone", BOUND, Duration::from_millis(5), || {
            let alive = world.exec("a", &["kill", "-0", pid.trim()]).ok()?.ok();
            (!alive).then_some(())
        })
    });
}

#[test]
fn cuts_cut_what_they_say_and_heal() {
    scenario(&["a", "b"], |world| {
        world.cut(Cut::between("a", "b", Lan::Heartbeat))?;
        assert!(!pings(world, "a", "10.78.0.2") && pings(world, "a", "10.77.0.2"));
        world.heal()?;
        reaches(world, "a", "10.78.0.2")?;
        world.cut(Cut::cable("b", Lan::Service))?;
        assert!(!pings(world, "b", "10.77.255.254") && !pings(world, "client", "10.77.0.2"));
        reaches(world, "a", "10.77.0.100")?;
        let carrier = world.must("b", &["cat", "/sys/class/net/eth0/carrier"])?;
        assert_eq!(carrier.trim(), "1", "a cut is silent");
        world.heal()?;
        world.unplug("b", Lan::Service)?;
        let carrier = world.must("b", &["cat", "/sys/class/net/eth0/carrier"])?;
        assert_eq!(carrier.trim(), "0", "a plug is seen");
        world.plug("b", Lan::Service)?;
        reaches(world, "a", "10.77.0.2")
    });
}

#[test]
fn a_one_way_cut_lets_the_other_way_pass() {
    scenario(&["a", "b"], |world| {
        assert!(pings(world, "a", "10.78.0.2"));
        world.cut(Cut::one_way("a", "b", Lan::Heartbeat))?;
        // Nobody listens on the discard port, so the kernel counts what arrives there: NoPorts in udp's statistics.
        let count = |node: &str| -> Result<u64> {
            let text = world.must(node, &["cat", "/proc/net/snmp"])?;
            let line = text.lines().filter(|l| l.starts_with("Udp:")).nth(1).unwrap_or_default();
            let word = line.split_whitespace().nth(2).unwrap_or_default();
            word.parse().map_err(|_| LabError(format!("no number in `{line}`")))
        };
        let send = |from: &str, to: &str| {
            let script = format!("for i in 1 2 3 4 5; do echo x 2>/dev/null >/dev/udp/{to}/9; done; true");
            world.must(from, &["bash", "-c", &script])
        };
        let (a, b) = (count("a")?, count("b")?);
        send("a", "10.78.0.2")?;
        send("b", "10.78.0.1")?;
        assert_eq!(count("a")?, a + 5, "b reaches a");
        assert_eq!(count("b")?, b, "a does not reach b");
        assert!(!pings(world, "b", "10.78.0.1"), "the answer is lost");
        Ok(())
    });
}

#[test]
fn the_probe_measures_a_known_gap() {
    scenario(&["a"], |world| {
        world.add_address("a", "eth0", ip(VIP), 16)?;
        let _echo = start_echo(world, "a")?;
        let probe = ProbeHandle::start(world, "probe", &[ip(VIP)], Duration::from_millis(1))?;
        // These pauses are the experiment itself: service, a gap of known length, service.
        std::thread::sleep(Duration::from_millis(200));
        let before = monotonic_ns();
        world.cut(Cut::cable("a", Lan::Service))?;
        let cut = monotonic_ns();
        std::thread::sleep(Duration::from_millis(50));
        let mend = monotonic_ns();
        world.heal()?;
        let healed = monotonic_ns();
        std::thread::sleep(Duration::from_millis(200));
        let summary = probe.finish()?;
        // The kernel changes the rules somewhere within the calls of nft, and a busy machine may keep the prober
        // from sending for a while, which it tells: these two are the measure's tolerance.
        let gap = summary.longest_gap().ok_or_else(|| LabError(format!("no gap seen: {summary:?}")))?;
        let ms = |ns: u64| ns as f64 / 1e6;
        let tolerance = summary.longest_blind_ms + 2.0;
        let seen = format!("{gap:?} cut {before} to {cut}, mended {mend} to {healed}, {summary:?}");
        let lost = ms(gap.first_lost_ns);
        assert!(lost >= ms(before) - tolerance && lost <= ms(cut) + tolerance, "{seen}");
        assert!(gap.length_ms >= ms(mend - cut) - tolerance, "{seen}");
        assert!(gap.answered_ns.is_some_and(|at| at >= mend), "{seen}");
        assert_eq!(gap.before.as_deref(), Some("a"));
        assert_eq!(summary.answered_by.keys().collect::<Vec<_>>(), ["a"]);
        println!("asked for {} to {} ms, measured {}", ms(mend - cut), ms(healed - before), gap.length_ms);
        Ok(())
    });
}

#[test]
fn a_failover_by_hand_is_seen_by_probe_and_audit() {
    scenario(&["a", "b"], |world| {
        let vip = ip(VIP);
        let _echoes = [start_echo(world, "a")?, start_echo(world, "b")?];
        world.add_address("a", "eth0", vip, 16)?;
        let audit = Audit::new(world, &[vip]);
        let probe = ProbeHandle::start(world, "probe", &[vip], Duration::from_millis(1))?;
        wait_for("the client to know a", BOUND, Duration::from_millis(5), || {
            audit.look().ok().filter(|l| !l.client.is_empty()).map(drop)
        })?;
        audit.expect_owner("a")?;
        assert!(audit.expect_owner("b").is_err());
        let off = world.power_off("a")?;
        world.add_address("b", "eth0", vip, 16)?;
        let stale = audit.expect_owner("b").expect_err("the client still sends to a").to_string();
        assert!(stale.contains("the client would send 10.77.1.1 to a"), "{stale}");
        announce(world, "b")?;
        audit.await_owner("b", BOUND)?;
        world.boot("a")?;
        world.add_address("a", "eth0", vip, 16)?;
        let two = audit.expect_owner("b").expect_err("two owners").to_string();
        assert!(two.contains("on [\"a\", \"b\"], not on b alone"), "{two}");
        reaches(world, CLIENT, VIP)?;
        let summary = probe.finish()?;
        assert_eq!(summary.changes.len(), 1, "{summary:?}");
        let gap = summary.longest_gap().ok_or_else(|| LabError::new("no gap"))?;
        assert_eq!((gap.before.as_deref(), gap.after.as_deref()), (Some("a"), Some("b")));
        assert!(gap.first_lost_ns + 2_000_000 >= off, "the service ended with the power: {gap:?} off {off}");
        Ok(())
    });
}

#[test]
fn an_ipv6_address_is_probed_and_answered_from_itself() {
    scenario(&["a"], |world| {
        let vip = ip(VIP6);
        world.add_address("a", "eth0", vip, 64)?;
        let _echo = start_echo(world, "a")?;
        let probe = ProbeHandle::start(world, "probe", &[vip], Duration::from_millis(1))?;
        // The probe's socket is connected: only answers from the address that was asked arrive at all.
        std::thread::sleep(Duration::from_millis(100));
        let summary = probe.finish()?;
        assert!(summary.answered > 0, "{summary:?}");
        Audit::new(world, &[vip]).expect_owner("a")?;
        Ok(())
    });
}

#[test]
fn worlds_do_not_see_each_other_and_leave_nothing() {
    if !lab::available() {
        return;
    }
    let one = World::new(&["a"]).unwrap();
    let two = World::new(&["a"]).unwrap();
    one.add_address("a", "eth0", ip(VIP), 16).unwrap();
    assert!(pings(&one, CLIENT, VIP) && !pings(&two, CLIENT, VIP));
    let dirs = [one.dir().to_owned(), two.dir().to_owned()];
    drop(one);
    drop(two);
    assert!(dirs.iter().all(|d| !d.exists()));
}
