//! Addresses on interfaces that stand on others: macvlan, VLAN, bond. A kernel without VLANs or bonds is told of, and is an
//! error where HBD_INTERFACES=required says so (tests/vm/addresses).

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{OpKind, OpResult};
use nix::net::if_::if_nametoindex;
use sys::claims::Listener;
use tokio::sync::mpsc::Receiver;

use super::Job;
use super::tests::{entry, events, in_namespace, ip, results, run, shows, started};
use super::worker::Worker;
use crate::daemon::report::Report;
use crate::daemon::settings::Entry;

/// Whether this kernel makes such an interface.
fn made(line: &str) -> bool {
    let done = std::process::Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    if done.status.success() {
        return true;
    }
    let why = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(std::env::var_os("HBD_INTERFACES").is_none(), "ip {line}: {why}");
    eprintln!("not tested: ip {line}: {}", why.trim());
    false
}

/// Waits for what the kernel does when it has the time; the guest of a virtual machine is slow.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the ground comes to be.
fn cut_becomes(worker: &mut Worker, wanted: Option<&str>) {
    wait_for(&format!("cut off: {wanted:?}"), || {
        worker.job(Job::Changed);
        (worker.ground.cut.values().next().map(String::as_str) == wanted).then_some(())
    });
}

/// An address lives on `interface`, found by its network: it is announced out of `far`, put back and put right there, and its
/// loss of the carrier is noticed.
fn lives_on(interface: &str, far: &str, lose: &[&str], regain: &[&str]) {
    let entries = [entry(1, "10.8.0.50", None, None)];
    let ear = Listener::open(if_nametoindex(far).unwrap(), false).unwrap();
    ear.narrow(&["10.8.0.50".parse().unwrap()]).unwrap();
    let (mut worker, mut heard): (Worker, Receiver<Report>) = started(&entries, Some(300));
    worker.job(Job::Configured { entries: entries.to_vec(), refresh: None });
    let there = || ip(&format!("addr show dev {interface}")).contains("10.8.0.50/24");
    assert!(there());
    let claim = wait_for("the announcement", || ear.next().ok());
    let mac = claim.mac.map(|byte| format!("{byte:02x}")).join(":");
    assert!(
        ip(&format!("link show dev {interface}")).contains(&mac),
        "announced with the address of {interface}"
    );
    ip(&format!("addr del 10.8.0.50/24 dev {interface}"));
    worker.job(Job::Changed);
    assert!(there(), "put back");
    assert_eq!(events(&mut heard).len(), 1);
    ip(&format!("addr change 10.8.0.50/24 dev {interface} valid_lft forever"));
    worker.job(Job::Changed);
    assert!(
        !ip(&format!("addr show dev {interface}"))
            .contains("10.8.0.50/24 brd 10.8.0.255 scope global forever")
    );
    assert_eq!(events(&mut heard).len(), 1, "put right");
    lose.iter().for_each(|line| drop(ip(line)));
    cut_becomes(&mut worker, Some(&format!("{interface} has no carrier")));
    while ear.next().is_ok() {}
    regain.iter().for_each(|line| drop(ip(line)));
    cut_becomes(&mut worker, None);
    // Announced again as soon as there is somebody to hear it.
    wait_for("the announcement after the carrier came back", || {
        worker.job(Job::Changed);
        worker.time();
        ear.next().ok()
    });
    stopped(&mut worker, &mut heard, &entries);
    assert!(!there());
}

fn stopped(worker: &mut Worker, heard: &mut Receiver<Report>, entries: &[Arc<Entry>]) {
    worker.job(run(OpKind::Stop, entries, None));
    while let Ok(report) = heard.try_recv() {
        if let Report::OpDone { results, .. } = report {
            return assert_eq!(results, [OpResult::Ok]);
        }
    }
    assert_eq!(results(heard), [OpResult::Ok]);
}

#[test]
fn on_a_macvlan() {
    in_namespace(|| {
        if made("link add m0 link v0 type macvlan mode bridge") {
            for line in ["link set m0 up", "addr add 10.8.0.1/24 dev m0"] {
                ip(line);
            }
            shows("m0", "state UP");
            lives_on("m0", "v1", &["link set v1 down"], &["link set v1 up"]);
        }
    });
}

#[test]
fn on_a_vlan() {
    in_namespace(|| {
        let both = made("link add link v0 name v0.7 type vlan id 7")
            && made("link add link v1 name v1.7 type vlan id 7");
        if both {
            for line in ["link set v0.7 up", "link set v1.7 up", "addr add 10.8.0.1/24 dev v0.7"] {
                ip(line);
            }
            shows("v0.7", "state UP");
            // Only what has the tag comes out there.
            lives_on("v0.7", "v1.7", &["link set v1 down"], &["link set v1 up", "link set v1.7 up"]);
        }
    });
}

#[test]
fn on_a_bond() {
    in_namespace(|| {
        if !made("link add bond7 type bond mode active-backup miimon 50") {
            return;
        }
        for port in ["w", "x"] {
            ip(&format!("link add {port}0 type veth peer name {port}1"));
            ip(&format!("link set {port}1 up"));
            ip(&format!("link set {port}0 master bond7"));
        }
        for line in ["link set bond7 up", "addr add 10.8.0.1/24 dev bond7"] {
            ip(line);
        }
        shows("bond7", "state UP");
        // One cable is enough: the other port takes over, and nothing is told of.
        let active = || std::fs::read_to_string("/proc/thread-self/net/bonding/bond7").unwrap_or_default();
        let on = |port: &str| active().contains(&format!("Currently Active Slave: {port}"));
        wait_for("a port", || (on("w0") || on("x0")).then_some(()));
        let (first, second) = if on("w0") { ("w", "x") } else { ("x", "w") };
        ip(&format!("link set {first}1 down"));
        wait_for("the other port", || on(&format!("{second}0")).then_some(()));
        let far = format!("{second}1");
        lives_on("bond7", &far, &[&format!("link set {far} down")], &[&format!("link set {far} up")]);
    });
}
