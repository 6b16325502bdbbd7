//! Others that have an address of ours too, on a real kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{OpKind, OpResult, Time};
use nix::net::if_::if_nametoindex;
use sys::announce::Announcer;
use sys::claims::Claim;
use tokio::sync::mpsc::{Receiver, channel};

use super::tests::{entry, in_namespace, ip, results, run, sent, shows, started, worker};
use super::worker::Worker;
use super::{Job, Net};
use crate::daemon::report::{Report, Trouble};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

const OTHER: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 9];

fn claim(worker: &mut Worker, address: &str, mac: [u8; 6]) {
    let ifindex = if_nametoindex("v0").unwrap();
    let claims = BTreeSet::from([Claim { ip: address.parse().unwrap(), mac }]);
    worker.job(Job::Claimed { ifindex, claims });
}

/// The sentences about conflicts told so far; `None` is the end of one.
fn conflicts(heard: &mut Receiver<Report>) -> Vec<Option<String>> {
    let all = std::iter::from_fn(|| heard.try_recv().ok());
    all.filter_map(|report| match report {
        Report::Trouble { about: Trouble::Conflict(_), sentence } => Some(sentence),
        _ => None,
    })
    .collect()
}

/// The lease of whoever had it before is long over.
fn long_held(worker: &mut Worker) {
    worker.held.values_mut().for_each(|held| held.since = Time(0));
}

/// The next look at conflicts is due.
fn due(worker: &mut Worker) {
    worker.conflicts.values_mut().for_each(|conflict| conflict.make_due());
    worker.look_at_claims();
}

/// Lets the worker do all that is due soon.
fn settle(worker: &mut Worker) {
    let end = Instant::now() + Duration::from_secs(20);
    while worker.due().is_some_and(|due| due < now() + Duration::from_secs(1)) {
        assert!(Instant::now() < end, "it does not come to rest");
        std::thread::sleep(Duration::from_millis(5));
        worker.time();
    }
}

fn mac_of(name: &str) -> [u8; 6] {
    let text = ip(&format!("link show dev {name}"));
    let mac = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

#[test]
fn who_has_an_address_of_ours_is_told_and_announced_against_now_and_then() {
    in_namespace(|| {
        let entries =
            [entry(1, "10.9.0.50", Some(24), Some("v0")), entry(2, "fd00:9::50", Some(64), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, Some(300));
        long_held(&mut worker);
        // A machine with two cards on one network answers for the one on the other.
        let other_card = mac_of("v1");
        claim(&mut worker, "10.9.0.50", other_card);
        claim(&mut worker, "10.9.0.77", OTHER);
        assert_eq!(conflicts(&mut heard), []);
        for (address, frames) in [("10.9.0.50", 2), ("fd00:9::50", 1)] {
            let before = sent("v0");
            for _ in 0..50 {
                claim(&mut worker, address, OTHER);
            }
            // The kernel has something to say of its own now and then; fifty announcements would be many.
            let frames = before + frames..before + frames + 15;
            assert!(frames.contains(&sent("v0")), "announced against once");
            let said = conflicts(&mut heard);
            assert_eq!(said.len(), 1, "{said:?}");
            let wanted = format!("{address} is on another machine too, 02:00:5e:10:00:09 on v0");
            assert!(said[0].as_ref().is_some_and(|said| said.starts_with(&wanted)), "{said:?}");
        }
        // Asked for twice, and nobody answers: it is over.
        let before = sent("v0");
        due(&mut worker);
        due(&mut worker);
        assert!(sent("v0") >= before + 4);
        assert_eq!(conflicts(&mut heard), []);
        due(&mut worker);
        assert_eq!(conflicts(&mut heard), [None, None]);
        assert!(worker.conflicts.is_empty());
        // What is stopped here is nobody's concern.
        claim(&mut worker, "10.9.0.50", OTHER);
        assert_eq!(conflicts(&mut heard).len(), 1);
        worker.job(run(OpKind::Stop, &entries, None));
        worker.look_at_claims();
        assert_eq!(conflicts(&mut heard), [None]);
    });
}

#[test]
fn a_former_owner_whose_lease_still_runs_is_not_told() {
    in_namespace(|| {
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, Some(300));
        claim(&mut worker, "10.9.0.50", OTHER);
        assert_eq!(conflicts(&mut heard), []);
        // Its lease is over: asked once more, and announced for those who had asked it.
        let before = sent("v0");
        due(&mut worker);
        assert!(sent("v0") >= before + 3);
        due(&mut worker);
        due(&mut worker);
        assert_eq!(conflicts(&mut heard), []);
        assert!(worker.conflicts.is_empty(), "it was no conflict");
        // Who answers after that is another machine.
        claim(&mut worker, "10.9.0.50", OTHER);
        long_held(&mut worker);
        due(&mut worker);
        claim(&mut worker, "10.9.0.50", OTHER);
        assert_eq!(conflicts(&mut heard).len(), 1);
    });
}

/// One that is not set while another machine has it.
fn careful(address: &str) -> Arc<Entry> {
    let entry = Arc::try_unwrap(entry(1, address, Some(24), Some("v0"))).expect("the only one");
    Arc::new(Entry { refuse_duplicates: true, ..entry })
}

/// Lets the worker do what is due until an operation has ended.
fn outcome(
    worker: &mut Worker,
    heard: &mut Receiver<Report>,
    mut each: impl FnMut(&mut Worker),
) -> Vec<OpResult> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < end, "it does not end");
        each(worker);
        worker.time();
        if let Ok(Report::OpDone { results, .. }) = heard.try_recv() {
            return results;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_set() -> bool {
    ip("addr show dev v0").contains("10.9.0.50/24")
}

#[test]
fn an_address_that_another_machine_has_is_refused_where_that_is_asked_for() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        let entries = [careful("10.9.0.50")];
        worker.job(run(OpKind::Start, &entries, Some(1)));
        assert!(!is_set() && heard.try_recv().is_err(), "first it is looked at");
        let results = outcome(&mut worker, &mut heard, |worker| claim(worker, "10.9.0.50", OTHER));
        let wanted = "10.9.0.50 is on another machine already, 02:00:5e:10:00:09; duplicate = \"refuse\"";
        assert_eq!(results, [OpResult::Failed(wanted.to_owned())]);
        settle(&mut worker);
        assert!(!is_set() && worker.due().is_none());
        // Nobody answers.
        worker.job(run(OpKind::Start, &entries, Some(100)));
        assert!(!is_set());
        assert_eq!(outcome(&mut worker, &mut heard, |_| {}), [OpResult::Ok]);
        assert!(is_set());
        worker.job(run(OpKind::Stop, &entries, None));
        let _ = self::results(&mut heard);
        // A former owner answers until its lease is over.
        worker.job(run(OpKind::Start, &entries, Some(2)));
        let mut times = 60;
        let former = |worker: &mut Worker| {
            if times > 0 {
                times -= 1;
                claim(worker, "10.9.0.50", OTHER);
                assert!(!is_set());
            }
        };
        assert_eq!(outcome(&mut worker, &mut heard, former), [OpResult::Ok]);
    });
}

#[test]
fn where_nobody_can_answer_nobody_is_waited_for() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        ip("link set v1 down");
        shows("v0", "NO-CARRIER");
        worker.job(run(OpKind::Start, &[careful("10.9.0.50")], Some(1)));
        assert_eq!(results(&mut heard), [OpResult::Ok]);
        // And what cannot be set says why, at once.
        let entry = Arc::try_unwrap(entry(2, "10.9.0.51", Some(24), Some("none0"))).expect("the only one");
        worker.job(run(OpKind::Start, &[Arc::new(Entry { refuse_duplicates: true, ..entry })], Some(1)));
        assert_eq!(results(&mut heard), [OpResult::Failed("there is no interface none0".to_owned())]);
    });
}

#[test]
fn held_addresses_are_announced_again_from_time_to_time() {
    in_namespace(|| {
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        let (mut worker, heard) = started(&entries, None);
        worker.job(Job::Configured { entries: entries.to_vec(), refresh: Some(Duration::from_secs(300)) });
        worker.repeats_forget();
        settle(&mut worker);
        let wait = worker.due().expect("the next time").since(now());
        assert!(wait > Duration::from_secs(290) && wait <= Duration::from_secs(300), "{wait:?}");
        worker.refreshed = Time(now().0 - 300_000_000_000);
        let before = sent("v0");
        worker.time();
        assert!(sent("v0") >= before + 2);
        worker.job(run(OpKind::Stop, &entries, None));
        worker.job(Job::Configured { entries: vec![], refresh: Some(Duration::from_secs(300)) });
        settle(&mut worker);
        assert_eq!(worker.due(), None, "with nothing held the thread sleeps");
        drop(heard);
    });
}

#[test]
fn what_another_machine_says_reaches_the_net_thread() {
    in_namespace(|| {
        let (reports, mut heard) = channel(64);
        let net = Net::start(reports, None).unwrap();
        let entries =
            [entry(1, "10.9.0.50", Some(24), Some("v0")), entry(2, "fd00:9::50", Some(64), Some("v0"))];
        // A lease so short that nobody is given time because of it.
        net.ask(run(OpKind::Start, &entries, Some(1))).unwrap();
        let stranger = Announcer::open(if_nametoindex("v1").unwrap(), OTHER).unwrap();
        let addresses: Vec<IpAddr> = ["10.9.0.50", "fd00:9::50"].map(|ip| ip.parse().unwrap()).into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(super::hear::hear(net.hearing().unwrap(), net.clone()));
            let mut told = BTreeSet::new();
            let all = async {
                while told.len() < 2 {
                    stranger.announce(&addresses).unwrap();
                    let next = tokio::time::timeout(Duration::from_millis(100), heard.recv()).await;
                    if let Ok(Some(Report::Trouble { about: Trouble::Conflict(ip), sentence: Some(said) })) =
                        next
                    {
                        assert!(said.contains("02:00:5e:10:00:09"), "{said}");
                        told.insert(ip);
                    }
                    // Else their leases end, and with them all interest in who has them.
                    let max_age = Duration::from_secs(60);
                    let lifetime = Some(Duration::from_secs(1));
                    net.ask(Job::Lease { entries: entries.to_vec(), lifetime, queued: now(), max_age })
                        .unwrap();
                }
            };
            tokio::time::timeout(Duration::from_secs(20), all).await.expect("told in time");
        });
    });
}
