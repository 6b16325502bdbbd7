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
fn in_namespace(test: impl FnOnce() + Send + 'static) {
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

fn ip(line: &str) -> String {
    let done = Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn entry(key: u64, address: &str, prefix: Option<u8>, interface: Option<&str>) -> Arc<Entry> {
    let spec = AddressSpec {
        ip: address.parse::<IpAddr>().unwrap(),
        prefix,
        interface: interface.map(str::to_owned),
        label: None,
        broadcast: None,
    };
    let resource = resource(&format!("IPaddr::{address}"), Agent::Address(spec));
    Arc::new(Entry { key: ResourceKey(key), group: "vip".into(), resource })
}

fn run(op: OpKind, entries: &[Arc<Entry>], lifetime: Option<u64>) -> Job {
    Job::Run {
        id: OpId(1),
        op,
        entries: entries.to_vec(),
        timeout: Duration::from_secs(20),
        lifetime: lifetime.map(Duration::from_secs),
        queued: now(),
    }
}

fn results(reports: &mut Receiver<Report>) -> Vec<OpResult> {
    match reports.blocking_recv() {
        Some(Report::OpDone { results, .. }) => results,
        other => panic!("{other:?}"),
    }
}

fn worker() -> (Worker, Receiver<Report>) {
    let (reports, heard) = channel(64);
    (Worker::new(reports).unwrap(), heard)
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
