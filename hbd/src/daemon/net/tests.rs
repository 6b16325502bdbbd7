//! The net thread's jobs on a real kernel, each test in a network namespace of its own thread.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cluster::{OpId, OpKind, OpResult, ResourceKey};
use nix::sched::{CloneFlags, unshare};
use tokio::sync::mpsc::{Receiver, channel};

use super::worker::Worker;
use super::{Job, Net};
use crate::config::{AddressSpec, Agent};
use crate::daemon::report::Report;
use crate::daemon::settings::Entry;
use crate::daemon::settings::tests::resource;
use crate::daemon::when::now;

/// Runs `test` on a thread that has a network of its own: `v0` (up, 10.9.0.1/24) and its end `v1`.
pub(in crate::daemon) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let outcome = std::thread::spawn(move || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("not tested: this needs root (a network namespace)");
            return;
        }
        for line in [
            "link set lo up",
            "link add v0 type veth peer name v1",
            "link set v0 up",
            "link set v1 up",
            "addr add 10.9.0.1/24 dev v0",
        ] {
            ip(line);
        }
        test();
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(in crate::daemon) fn ip(line: &str) -> String {
    let done = Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

pub(super) fn entry(key: u64, address: &str, prefix: Option<u8>, interface: Option<&str>) -> Arc<Entry> {
    let spec = AddressSpec {
        ip: address.parse::<IpAddr>().unwrap(),
        prefix,
        interface: interface.map(str::to_owned),
        label: None,
        broadcast: None,
    };
    let resource = resource(&format!("IPaddr::{address}"), Agent::Address(spec));
    Arc::new(Entry { key: ResourceKey(key), group: "vip".into(), refuse_duplicates: false, resource })
}

pub(super) fn run(op: OpKind, entries: &[Arc<Entry>], lifetime: Option<u64>) -> Job {
    Job::Run {
        id: OpId(1),
        op,
        entries: entries.to_vec(),
        timeout: Duration::from_secs(20),
        lifetime: lifetime.map(Duration::from_secs),
        queued: now(),
    }
}

pub(super) fn results(reports: &mut Receiver<Report>) -> Vec<OpResult> {
    match reports.blocking_recv() {
        Some(Report::OpDone { results, .. }) => results,
        other => panic!("{other:?}"),
    }
}

pub(super) fn worker() -> (Worker, Receiver<Report>) {
    let (reports, heard) = channel(64);
    // Nobody listens: claims are given by hand.
    let (hear, _) = channel(64);
    (Worker::new(reports, hear).unwrap(), heard)
}

#[test]
fn started_seen_renewed_and_stopped() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        let entries = [
            entry(1, "10.9.0.50", None, None),
            entry(2, "10.9.0.51", Some(24), Some("v0")),
            entry(3, "fd00:9::50", Some(64), Some("v0")),
        ];
        let mut all = |worker: &mut Worker, op, lifetime| {
            worker.job(run(op, &entries, lifetime));
            results(&mut heard)
        };
        assert_eq!(all(&mut worker, OpKind::Status, None), vec![OpResult::NotRunning; 3]);
        assert_eq!(all(&mut worker, OpKind::Start, Some(300)), vec![OpResult::Ok; 3]);
        let shown = ip("-d addr show dev v0");
        assert!(
            shown.contains("inet 10.9.0.50/24 brd 10.9.0.255") && shown.contains("inet6 fd00:9::50/64"),
            "{shown}"
        );
        assert!(!shown.contains("tentative fd00"), "{shown}");
        let lives = |shown: &str| {
            shown.lines().filter(|line| line.contains("valid_lft") && !line.contains("forever")).count()
        };
        assert_eq!(lives(&shown), 3, "{shown}");
        assert_eq!(all(&mut worker, OpKind::Status, None), vec![OpResult::Running; 3]);
        // One of them removed by somebody else: a renewal puts it back.
        ip("addr del 10.9.0.50/24 dev v0");
        let lease = |lifetime| Job::Lease {
            entries: entries.to_vec(),
            lifetime,
            queued: now(),
            max_age: Duration::from_secs(60),
        };
        worker.job(lease(Some(Duration::from_secs(200))));
        assert_eq!(lives(&ip("addr show dev v0")), 3);
        worker.job(lease(None));
        let shown = ip("addr show dev v0");
        assert!(shown.contains("10.9.0.50/24") && lives(&shown) == 0, "without end now: {shown}");
        assert_eq!(all(&mut worker, OpKind::Stop, None), vec![OpResult::Ok; 3]);
        let shown = ip("addr show dev v0");
        assert!(
            !shown.contains("10.9.0.5") && !shown.contains("fd00:9::50") && shown.contains("10.9.0.1/24"),
            "{shown}"
        );
        assert_eq!(all(&mut worker, OpKind::Stop, None), vec![OpResult::Ok; 3], "stopped twice is stopped");
        // What is not held is not renewed.
        worker.job(lease(None));
        assert!(!ip("addr show dev v0").contains("10.9.0.5"));
    });
}

#[test]
fn an_old_renewal_and_an_old_start_change_nothing() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        let Job::Run { id, op, entries: whose, lifetime, .. } = run(OpKind::Start, &entries, None) else {
            unreachable!()
        };
        let queued = cluster::Time(0);
        worker.job(Job::Run { id, op, entries: whose, timeout: Duration::from_millis(1), lifetime, queued });
        assert_eq!(results(&mut heard), [OpResult::TimedOut]);
        worker.job(run(OpKind::Start, &entries, None));
        assert_eq!(results(&mut heard), [OpResult::Ok]);
        ip("addr del 10.9.0.50/24 dev v0");
        let lifetime = Some(Duration::from_secs(5));
        worker.job(Job::Lease {
            entries: entries.to_vec(),
            lifetime,
            queued,
            max_age: Duration::from_millis(300),
        });
        assert!(!ip("addr show dev v0").contains("10.9.0.50"));
    });
}

#[test]
fn what_cannot_be_started_says_why() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        ip("link add down0 type veth peer name down1");
        let entries = [
            entry(1, "10.9.0.50", Some(24), Some("none0")),
            entry(2, "10.9.0.51", Some(24), Some("down0")),
            entry(3, "192.0.2.5", None, None),
            entry(4, "10.9.0.52", Some(24), Some("v0")),
        ];
        worker.job(run(OpKind::Start, &entries, None));
        let results = results(&mut heard);
        let said = |at: usize, text: &str| match &results[at] {
            OpResult::Failed(why) => assert!(why.contains(text), "{why}"),
            other => panic!("{other:?}"),
        };
        said(0, "there is no interface none0");
        said(1, "interface down0 is down");
        said(2, "no network on this machine contains 192.0.2.5");
        assert_eq!(results[3], OpResult::Ok);
    });
}

#[test]
fn the_leftovers_of_a_predecessor_are_adopted_or_removed_and_foreign_ones_stay() {
    in_namespace(|| {
        let (mut before, mut heard) = worker();
        let kept = entry(1, "10.9.0.50", Some(24), Some("v0"));
        let left = entry(2, "10.9.0.51", Some(24), Some("v0"));
        before.job(run(OpKind::Start, &[kept.clone(), left], Some(300)));
        assert_eq!(results(&mut heard), [OpResult::Ok, OpResult::Ok]);
        ip("addr add 10.9.0.99/24 dev v0");
        drop(before);
        let (mut after, mut heard) = worker();
        after.job(Job::Sweep { keep: vec![kept.clone()] });
        let shown = ip("addr show dev v0");
        assert!(
            shown.contains("10.9.0.50/24")
                && !shown.contains("10.9.0.51/24")
                && shown.contains("10.9.0.99/24"),
            "{shown}"
        );
        after.job(run(OpKind::Status, std::slice::from_ref(&kept), None));
        assert_eq!(results(&mut heard), [OpResult::Running]);
        after.job(Job::Lease {
            entries: vec![kept],
            lifetime: None,
            queued: now(),
            max_age: Duration::from_secs(60),
        });
        let shown = ip("addr show dev v0");
        let line = shown.lines().skip_while(|line| !line.contains("10.9.0.50")).nth(1).unwrap_or_default();
        assert!(line.contains("valid_lft forever"), "{shown}");
    });
}

#[test]
fn many_addresses_are_one_operation_of_the_thread() {
    in_namespace(|| {
        let (reports, mut heard) = channel(64);
        let net = Net::start(reports, None).unwrap();
        let entries: Vec<_> = (0..500_u64)
            .map(|n| entry(n, &format!("10.9.{}.{}", 1 + n / 250, 1 + n % 250), Some(16), Some("v0")))
            .collect();
        net.ask(run(OpKind::Start, &entries, Some(300))).unwrap();
        assert_eq!(results(&mut heard), vec![OpResult::Ok; 500]);
        net.ask(run(OpKind::Status, &entries, None)).unwrap();
        assert_eq!(results(&mut heard), vec![OpResult::Running; 500]);
        net.ask(run(OpKind::Stop, &entries, None)).unwrap();
        assert_eq!(results(&mut heard), vec![OpResult::Ok; 500]);
        assert!(!ip("addr show dev v0").contains("10.9.1."));
    });
}

/// The worker with addresses started, and what it had to say of that heard.
pub(super) fn started(entries: &[Arc<Entry>], lifetime: Option<u64>) -> (Worker, Receiver<Report>) {
    let (mut worker, mut heard) = worker();
    worker.job(run(OpKind::Start, entries, lifetime));
    assert_eq!(results(&mut heard), vec![OpResult::Ok; entries.len()]);
    (worker, heard)
}

/// The events told so far.
pub(super) fn events(heard: &mut Receiver<Report>) -> Vec<cluster::Event> {
    std::iter::from_fn(|| heard.try_recv().ok())
        .filter_map(|report| match report {
            Report::Event(event) => Some(*event),
            _ => None,
        })
        .collect()
}

#[test]
fn what_somebody_removes_is_put_back_and_that_is_said() {
    in_namespace(|| {
        let entries = [
            entry(1, "10.9.0.50", Some(24), Some("v0")),
            entry(2, "fd00:9::50", Some(64), Some("v0")),
            entry(3, "10.9.0.51", Some(24), Some("v0")),
        ];
        for lifetime in [None, Some(300)] {
            let (mut worker, mut heard) = started(&entries, lifetime);
            ip("addr del 10.9.0.50/24 dev v0");
            ip("addr del fd00:9::50/64 dev v0");
            worker.job(Job::Changed);
            let shown = ip("addr show dev v0");
            assert!(shown.contains("10.9.0.50/24") && shown.contains("fd00:9::50/64"), "{shown}");
            let forever = shown.lines().filter(|line| line.contains("valid_lft forever")).count();
            // The machine's own two, and ours if they are not leased.
            assert_eq!(forever, if lifetime.is_none() { 5 } else { 2 }, "{shown}");
            let said = events(&mut heard);
            assert_eq!(said.len(), 1, "{said:?}");
            assert_eq!(said[0].subject, "10.9.0.50, fd00:9::50");
            worker.job(Job::Changed);
            assert!(events(&mut heard).is_empty(), "nothing was missing");
            worker.job(run(OpKind::Stop, &entries, None));
            worker.job(Job::Changed);
            assert!(!ip("addr show dev v0").contains("10.9.0.5"), "what was stopped stays away");
        }
    });
}

#[test]
fn a_lease_that_ran_out_is_not_put_back() {
    in_namespace(|| {
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, Some(1));
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while ip("addr show dev v0").contains("10.9.0.50") {
            assert!(std::time::Instant::now() < end, "the kernel takes it away");
            std::thread::sleep(Duration::from_millis(20));
        }
        worker.job(Job::Changed);
        assert!(!ip("addr show dev v0").contains("10.9.0.50"));
        assert!(events(&mut heard).is_empty());
        // And what is put back lives no longer than it would have.
        worker.job(run(OpKind::Start, &entries, Some(100)));
        ip("addr del 10.9.0.50/24 dev v0");
        worker.job(Job::Changed);
        let shown = ip("addr show dev v0");
        let line = shown.lines().skip_while(|line| !line.contains("10.9.0.50")).nth(1).unwrap_or_default();
        let left: u64 =
            line.trim_start().trim_start_matches("valid_lft ").split("sec").next().unwrap().parse().unwrap();
        assert!((80..100).contains(&left), "{shown}");
    });
}

#[test]
fn an_interface_made_anew_has_its_addresses_again_and_one_that_comes_up_is_announced_on() {
    in_namespace(|| {
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, None);
        worker.job(Job::Changed);
        ip("link del v0");
        worker.job(Job::Changed);
        let gone = interfaces(&mut heard);
        assert!(!gone.iter().any(|one| one.name == "v0"), "{gone:?}");
        for line in ["link add v0 type veth peer name v1", "link set v0 up", "link set v1 up"] {
            ip(line);
        }
        worker.job(Job::Changed);
        assert!(ip("addr show dev v0").contains("10.9.0.50/24"));
        // The other end hears of it when the cable is in again.
        ip("link set v1 down");
        shows("v0", "NO-CARRIER");
        worker.job(Job::Changed);
        let down = interfaces(&mut heard);
        assert!(down.iter().any(|one| one.name == "v0" && one.up && !one.running), "{down:?}");
        ip("link set v1 up");
        shows("v0", "state UP");
        let before = sent("v0");
        worker.job(Job::Changed);
        assert!(sent("v0") > before, "announced at once");
        let up = interfaces(&mut heard);
        assert!(up.iter().any(|one| one.name == "v0" && one.running && one.mtu == 1500), "{up:?}");
        worker.job(Job::Changed);
        assert!(heard.try_recv().is_err(), "nothing new");
    });
}

/// The interfaces as last told.
fn interfaces(heard: &mut Receiver<Report>) -> Vec<crate::daemon::links::Interface> {
    let told = std::iter::from_fn(|| heard.try_recv().ok()).filter_map(|report| match report {
        Report::Interfaces(all) => Some(all),
        _ => None,
    });
    told.last().expect("told of a change")
}

/// Waits until ip shows this of an interface: the kernel finds out about carriers when it has the time.
pub(super) fn shows(interface: &str, text: &str) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !ip(&format!("link show dev {interface}")).contains(text) {
        assert!(std::time::Instant::now() < end, "{interface} never shows {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Packets an interface has sent.
pub(super) fn sent(name: &str) -> u64 {
    let shown = ip(&format!("-s link show dev {name}"));
    let line = shown.lines().skip_while(|line| !line.contains("TX:")).nth(1).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{shown}"))
}

#[test]
fn the_kernels_news_reaches_the_net_thread() {
    in_namespace(|| {
        let (reports, mut heard) = channel(64);
        let net = Net::start(reports, None).unwrap();
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        net.ask(run(OpKind::Start, &entries, None)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let watching = tokio::spawn(crate::daemon::watch::watch(net.clone()));
            let mut next = async |wanted: fn(&Report) -> bool| {
                let any = async {
                    loop {
                        let report = heard.recv().await.expect("a report");
                        if wanted(&report) {
                            return;
                        }
                    }
                };
                tokio::time::timeout(Duration::from_secs(20), any).await.expect("in time");
            };
            next(|report| matches!(report, Report::Interfaces(all) if all.iter().any(|one| one.name == "v0"))).await;
            ip("addr del 10.9.0.50/24 dev v0");
            next(|report| matches!(report, Report::Event(event) if event.subject == "10.9.0.50")).await;
            assert!(ip("addr show dev v0").contains("10.9.0.50/24"));
            ip("link set v0 down");
            next(|report| matches!(report, Report::Interfaces(all) if all.iter().any(|one| one.name == "v0" && !one.up)))
                .await;
            ip("link del v0");
            next(|report| matches!(report, Report::Interfaces(all) if !all.iter().any(|one| one.name == "v0"))).await;
            watching.abort();
        });
    });
}
