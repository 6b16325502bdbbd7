//! The net thread and those who change its addresses, on a real kernel.

use std::sync::Arc;
use std::time::Duration;

use cluster::{OpKind, OpResult, ResourceKey};
use tokio::sync::mpsc::Receiver;

use super::Job;
use super::struggle::PACE;
use super::tests::{entry, events, in_namespace, ip, results, run, started, worker};
use super::worker::Worker;
use crate::config::{AddressSpec, Agent};
use crate::daemon::report::{Report, Trouble};
use crate::daemon::settings::Entry;
use crate::daemon::settings::tests::resource;
use crate::daemon::when::now;

#[test]
fn what_a_renewal_has_set_again_before_the_look_was_removed_all_the_same() {
    in_namespace(|| {
        let entries =
            [entry(1, "10.9.0.50", Some(24), Some("v0")), entry(2, "10.9.0.51", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, Some(300));
        let ifindex = worker.held[&ResourceKey(1)].set.ifindex;
        let gone = |ips: &[&str]| Job::Gone(ips.iter().map(|ip| (ifindex, ip.parse().unwrap())).collect());
        // As if it had been removed, renewed, and then the kernel's news were read.
        worker.job(gone(&["10.9.0.50", "10.9.0.77"]));
        worker.job(Job::Changed);
        let reports: Vec<Report> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        let back = reports.iter().find_map(|report| match report {
            Report::PutBack(keys) => Some(keys.clone()),
            _ => None,
        });
        assert_eq!(back, Some(vec![ResourceKey(1)]));
        assert!(
            reports
                .iter()
                .any(|report| matches!(report, Report::Event(event) if event.subject == "10.9.0.50"))
        );
        // What this thread removes itself is told by the kernel in the same way, and is nobody's doing.
        worker.job(run(OpKind::Stop, &entries, None));
        worker.job(run(OpKind::Start, &entries, Some(300)));
        worker.job(gone(&["10.9.0.50", "10.9.0.51"]));
        worker.job(Job::Changed);
        assert!(events(&mut heard).is_empty());
    });
}

#[test]
fn in_maintenance_nothing_is_put_back_or_right_and_afterwards_all_is() {
    in_namespace(|| {
        let entries =
            [entry(1, "10.9.0.50", Some(24), Some("v0")), entry(2, "10.9.0.51", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, None);
        worker.job(Job::Frozen(true));
        for line in
            ["addr del 10.9.0.50/24 dev v0", "addr del 10.9.0.51/24 dev v0", "addr add 10.9.0.51/16 dev v0"]
        {
            ip(line);
        }
        worker.job(Job::Changed);
        let v0 = ip("addr show dev v0");
        assert!(!v0.contains("10.9.0.50/") && v0.contains("10.9.0.51/16"), "{v0}");
        assert!(events(&mut heard).is_empty());
        worker.job(Job::Frozen(false));
        let v0 = ip("addr show dev v0");
        assert!(
            v0.contains("10.9.0.50/24") && v0.contains("10.9.0.51/24") && !v0.contains("10.9.0.51/16"),
            "{v0}"
        );
        assert_eq!(events(&mut heard).len(), 2);
    });
}

/// The address's line, and the next, as ip shows them.
fn shown(address: &str) -> String {
    let all = ip("-d addr show dev v0");
    all.lines().skip_while(|line| !line.contains(address)).take(2).collect::<Vec<_>>().join(" ")
}

/// The ground as last told.
fn ground(heard: &mut Receiver<Report>) -> cluster::Ground {
    let told = std::iter::from_fn(|| heard.try_recv().ok()).filter_map(|report| match report {
        Report::Ground(ground) => Some(ground),
        _ => None,
    });
    told.last().expect("told of the ground")
}

fn evict(entries: &[Arc<Entry>]) -> Job {
    Job::Evict { entries: entries.to_vec(), why: "b has group vip".into() }
}

#[test]
fn five_hundred_are_put_back_in_one_go() {
    in_namespace(|| {
        let entries: Vec<_> = (0..500_u64)
            .map(|n| entry(n, &format!("10.9.{}.{}", 1 + n / 250, 1 + n % 250), Some(16), Some("v0")))
            .collect();
        let (mut worker, mut heard) = started(&entries, Some(300));
        let all = entries.iter().map(|entry| entry.resource.name.trim_start_matches("IPaddr::"));
        let lines: Vec<String> = all.map(|ip| format!("addr del {ip}/16 dev v0")).collect();
        let file = std::env::temp_dir().join(format!("hbd-net-{}", std::process::id()));
        std::fs::write(&file, lines.join("\n")).unwrap();
        ip(&format!("-b {}", file.display()));
        let _ = std::fs::remove_file(&file);
        assert!(!ip("addr show dev v0").contains("10.9.1."));
        worker.job(Job::Changed);
        assert_eq!(
            ip("addr show dev v0").matches("10.9.").count(),
            2 * 500 + 1,
            "each with its broadcast address"
        );
        let said = events(&mut heard);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].subject.ends_with(", 495 more"), "{}", said[0].subject);
    });
}

#[test]
fn what_somebody_changes_is_put_right_and_that_is_said() {
    in_namespace(|| {
        let labelled = |key, address: &str, label: &str| {
            let Agent::Address(spec) = &entry(key, address, Some(24), Some("v0")).resource.agent else {
                unreachable!()
            };
            let spec = AddressSpec { label: Some(label.to_owned()), ..spec.clone() };
            let resource = resource(&format!("IPaddr::{address}"), Agent::Address(spec));
            Arc::new(Entry { key: ResourceKey(key), group: "vip".into(), refuse_duplicates: false, resource })
        };
        let entries = [
            labelled(1, "10.9.0.50", "v0:1"),
            entry(2, "fd00:9::50", Some(64), Some("v0")),
            entry(3, "10.9.0.51", Some(24), Some("v0")),
        ];
        let v4 = |lines: &[&str], said: &str| {
            (lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>(), said.to_owned())
        };
        let cases = [
            v4(
                &["addr del 10.9.0.50/24 dev v0", "addr add 10.9.0.50/16 dev v0 label v0:1"],
                "its prefix is 16, not 24",
            ),
            v4(
                &["addr del 10.9.0.50/24 dev v0", "addr add 10.9.0.50/24 dev v0"],
                "its label is v0, not v0:1",
            ),
            v4(&["addr change 10.9.0.51/24 dev v0 valid_lft 5 preferred_lft 5"], "its lifetime is "),
            v4(&["addr change 10.9.0.51/24 dev v0 valid_lft forever preferred_lft 0"], "deprecated"),
            v4(
                &["addr del 10.9.0.51/24 dev v0", "addr add 10.9.0.51/24 dev v0 noprefixroute"],
                "without its network",
            ),
            v4(
                &["addr del fd00:9::50/64 dev v0", "addr add fd00:9::50/48 dev v0 nodad"],
                "its prefix is 48, not 64",
            ),
            v4(&["addr change fd00:9::50/64 dev v0 valid_lft 5 preferred_lft 5"], "its lifetime is "),
            v4(
                &["addr del fd00:9::50/64 dev v0", "addr add fd00:9::50/64 dev v0"],
                "duplicate address detection",
            ),
        ];
        for lifetime in [None, Some(300)] {
            for (lines, said) in &cases {
                // Another one each time: what was said lately is not said again.
                let (mut worker, mut heard) = started(&entries, lifetime);
                worker.job(Job::Changed);
                let before: Vec<String> = ["10.9.0.50", "10.9.0.51", "fd00:9::50"].map(shown).into();
                events(&mut heard);
                lines.iter().for_each(|line| drop(ip(line)));
                worker.job(Job::Changed);
                let after: Vec<String> = ["10.9.0.50", "10.9.0.51", "fd00:9::50"].map(shown).into();
                let same = |text: &String| {
                    text.split_whitespace()
                        .filter(|w| !w.ends_with("sec") && *w != "secondary")
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                for (before, after) in before.iter().zip(&after) {
                    assert_eq!(same(before), same(after), "{lines:?}, lifetime {lifetime:?}");
                    assert_eq!(after.contains("valid_lft forever"), lifetime.is_none(), "{after}");
                }
                assert!(!ip("addr show dev v0").contains("tentative fd00"), "usable at once");
                let told = events(&mut heard);
                // Without end and deprecated is, of a lease, the wrong lifetime first.
                let told: Vec<_> =
                    told.iter().filter(|event| event.from.as_deref() == Some("changed")).collect();
                let fits =
                    |why: &str| why.contains(said.as_str()) || why.contains("its lifetime is without end");
                assert!(told.len() == 1 && fits(&told[0].why), "{lines:?}: {told:?}");
                worker.job(run(OpKind::Stop, &entries, None));
            }
        }
    });
}

#[test]
fn strangers_are_told_and_removed_and_nothing_else_is() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        let entries = [
            entry(1, "10.9.0.50", Some(24), Some("v0")),
            entry(2, "10.9.0.51", None, None),
            entry(3, "fd00:9::50", Some(64), Some("v0")),
        ];
        worker.job(Job::Configured { entries: entries.to_vec(), refresh: None });
        assert_eq!(ground(&mut heard), cluster::Ground::default());
        // Elsewhere it is another one: a real server of LVS has it on its loopback.
        for line in
            ["addr add 10.9.0.50/32 dev lo", "addr add 10.9.0.51/32 dev lo", "addr add 10.9.0.77/24 dev v0"]
        {
            ip(line);
        }
        worker.job(Job::Changed);
        worker.job(evict(&entries));
        assert_eq!(ground(&mut heard), cluster::Ground::default());
        worker.job(run(OpKind::Status, &entries[1..2], None));
        assert_eq!(results(&mut heard), [OpResult::NotRunning], "what is on the loopback is another one");
        worker.job(run(OpKind::Stop, &entries[1..2], None));
        assert_eq!(results(&mut heard), [OpResult::Ok]);
        for line in [
            "addr add 10.9.0.50/16 dev v0",
            "addr add 10.9.0.51/24 dev v0",
            "addr add fd00:9::50/64 dev v0 nodad",
        ] {
            ip(line);
        }
        worker.job(Job::Changed);
        let strange: Vec<u64> = ground(&mut heard).strange.iter().map(|key| key.0).collect();
        assert_eq!(strange, [1, 2, 3]);
        // One of them was started in between: it stays.
        worker.job(run(OpKind::Start, &entries[2..], None));
        worker.job(evict(&entries));
        let reports: Vec<Report> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        let event = reports.iter().find_map(|report| match report {
            Report::Event(event) => Some(event),
            _ => None,
        });
        let event = event.expect("told");
        assert_eq!(event.subject, "10.9.0.50, 10.9.0.51");
        assert_eq!(event.why, "set here by somebody else while b has group vip: removed");
        let now = |ground: &cluster::Ground| ground.strange.is_empty();
        assert!(reports.iter().any(|report| matches!(report, Report::Ground(ground) if now(ground))));
        let v0 = ip("addr show dev v0");
        assert!(!v0.contains("10.9.0.50/") && !v0.contains("10.9.0.51/"), "{v0}");
        assert!(v0.contains("fd00:9::50/64") && v0.contains("10.9.0.77/24"), "{v0}");
        let lo = ip("addr show dev lo");
        assert!(lo.contains("10.9.0.50/32") && lo.contains("10.9.0.51/32"), "{lo}");
    });
}

#[test]
fn a_fight_over_an_address_is_given_up_and_said() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        let entries = [entry(1, "10.9.0.50", Some(24), Some("v0"))];
        worker.job(Job::Configured { entries: entries.to_vec(), refresh: None });
        let mut removed = 0;
        for _ in 0..8 {
            if !ip("addr show dev v0").contains("10.9.0.50/24") {
                ip("addr add 10.9.0.50/24 dev v0");
            }
            worker.job(evict(&entries));
            removed += u32::from(!ip("addr show dev v0").contains("10.9.0.50/24"));
        }
        assert_eq!(removed, 5);
        let said = std::iter::from_fn(|| heard.try_recv().ok()).filter_map(|report| match report {
            Report::Trouble { sentence: Some(sentence), .. } => Some(sentence),
            _ => None,
        });
        let said: Vec<String> = said.collect();
        assert!(said[0].starts_with("10.9.0.50 is set here by somebody else again and again"), "{said:?}");
        assert!(worker.fights.due().is_some(), "it goes on later");
    });
}

#[test]
fn an_interface_that_carries_nothing_is_told_for_each_address_on_it() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        ip("link add m0 link v0 type macvlan mode bridge");
        let entries = [
            entry(1, "10.9.0.50", Some(24), Some("v0")),
            // Its interface follows from its network.
            entry(2, "10.9.0.51", None, None),
            entry(3, "10.8.0.1", Some(24), Some("m0")),
            entry(4, "10.7.0.1", Some(24), Some("none0")),
            entry(5, "192.0.2.9", None, None),
        ];
        worker.job(Job::Configured { entries: entries.to_vec(), refresh: None });
        let _ = ground(&mut heard);
        // The kernel finds out about carriers when it has the time.
        let becomes = |worker: &mut Worker, line: &str, wanted: &[(u64, &str)]| {
            ip(line);
            let wanted: Vec<(u64, String)> =
                wanted.iter().map(|(key, why)| (*key, (*why).to_owned())).collect();
            let end = std::time::Instant::now() + Duration::from_secs(20);
            loop {
                worker.job(Job::Changed);
                let cut = worker.ground.cut.clone();
                let cut: Vec<_> =
                    cut.into_iter().map(|(key, why)| (key.0, why)).filter(|(key, _)| *key < 4).collect();
                if cut == wanted {
                    return;
                }
                assert!(std::time::Instant::now() < end, "{line}: {cut:?}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        becomes(&mut worker, "link set m0 up", &[]);
        becomes(
            &mut worker,
            "link set v1 down",
            &[(1, "v0 has no carrier"), (2, "v0 has no carrier"), (3, "m0 has no carrier")],
        );
        becomes(&mut worker, "link set v1 up", &[]);
        // A macvlan goes down with the interface below it.
        becomes(
            &mut worker,
            "link set v0 down",
            &[(1, "v0 is switched off"), (2, "v0 is switched off"), (3, "m0 has no carrier")],
        );
        becomes(&mut worker, "link set v0 up", &[]);
        worker.job(Job::Configured { entries: entries.to_vec(), refresh: None });
        let told = ground(&mut heard);
        assert_eq!(told.cut[&ResourceKey(4)], "there is no interface none0");
        assert!(
            told.cut[&ResourceKey(5)].starts_with("no network on this machine contains 192.0.2.9"),
            "{told:?}"
        );
        let gone = {
            ip("link del v0");
            worker.job(Job::Changed);
            ground(&mut heard)
        };
        assert_eq!(gone.cut[&ResourceKey(1)], "there is no interface v0");
        assert_eq!(gone.cut[&ResourceKey(2)], "the interface of 10.9.0.51 is gone");
    });
}

#[test]
fn an_address_finds_its_interface_and_prefix_by_the_networks_there() {
    in_namespace(|| {
        let (mut worker, mut heard) = worker();
        ip("link add w0 type veth peer name w1");
        for line in ["link set w0 up", "link set w1 up", "addr add 10.9.0.2/16 dev w0"] {
            ip(line);
        }
        let entries = [
            // The longer network is on v0.
            entry(1, "10.9.0.50", None, None),
            entry(2, "10.9.3.50", None, None),
            // On that interface it is another network.
            entry(3, "10.9.0.51", None, Some("w0")),
            entry(4, "172.16.0.1", None, Some("w0")),
            entry(5, "10.9.0.52", Some(32), None),
        ];
        worker.job(run(OpKind::Start, &entries, None));
        assert_eq!(results(&mut heard), vec![OpResult::Ok; 5]);
        let (v0, w0) = (ip("addr show dev v0"), ip("addr show dev w0"));
        assert!(v0.contains("10.9.0.50/24 brd 10.9.0.255") && v0.contains("10.9.0.52/32"), "{v0}");
        let there = ["10.9.3.50/16 brd 10.9.255.255", "10.9.0.51/16 brd 10.9.255.255", "172.16.0.1/32"];
        assert!(there.iter().all(|address| w0.contains(address)), "{w0}");
    });
}

/// What was said of a struggle.
fn struggles(said: &[Report]) -> Vec<&Option<String>> {
    let of_it = |report| match report {
        &Report::Trouble { about: Trouble::Struggle, ref sentence } => Some(sentence),
        _ => None,
    };
    said.iter().filter_map(of_it).collect()
}

/// Somebody removes an address as fast as it can be put back, for two seconds.
#[test]
fn who_removes_a_held_address_all_the_time_is_answered_at_a_pace_and_told_of() {
    in_namespace(|| {
        let entries =
            [entry(1, "10.9.0.50", Some(24), Some("v0")), entry(2, "10.9.0.51", Some(24), Some("v0"))];
        let (mut worker, mut heard) = started(&entries, None);
        worker.job(Job::Changed);
        events(&mut heard);
        let there = |ip_address: &str| ip("addr show dev v0").contains(ip_address);
        let began = now();
        let mut times = 0_u32;
        while now().since(began) < Duration::from_secs(2) {
            if there("10.9.0.50/") {
                ip("addr del 10.9.0.50/24 dev v0");
            }
            worker.job(Job::Changed);
            if worker.due().is_some_and(|due| due <= now()) {
                worker.time();
            }
            times += u32::from(there("10.9.0.50/"));
        }
        let took = now().since(began);
        let paced = u32::try_from(took.as_millis() / PACE.as_millis()).unwrap();
        assert!(times >= 11, "put back {times} times, then no more");
        assert!(times <= 10 + paced + 1, "{times} times in {took:?}");
        let said: Vec<Report> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        let [Some(sentence)] = &struggles(&said)[..] else { panic!("{said:?}") };
        assert!(sentence.starts_with("10.9.0.50 is held here and removed") && sentence.contains("500 ms"));
        let events = said.iter().filter(|report| matches!(report, Report::Event(_))).count();
        assert_eq!(events, 1, "the first is said, and then what is in status");
        // It is there for as long as it is left alone, and the other one was never part of it.
        while !there("10.9.0.50/") {
            let due = worker.due().expect("its time comes");
            std::thread::sleep(due.since(now()));
            worker.time();
        }
        ip("addr del 10.9.0.51/24 dev v0");
        worker.job(Job::Changed);
        assert!(there("10.9.0.51/"), "at once");
        // What is given up takes its trouble with it.
        worker.job(run(OpKind::Stop, &entries, None));
        let said: Vec<Report> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        assert_eq!(struggles(&said).last(), Some(&&None));
    });
}
