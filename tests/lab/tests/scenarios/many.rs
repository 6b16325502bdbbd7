//! Five hundred addresses in one group.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lab::audit::Audit;
use lab::hbd::config::address;
use lab::pair::{BOUND, GROUP, Pair, ip};
use lab::probe::ProbeHandle;
use lab::scenario::{check, scenario};
use lab::{Result, net::World};

const COUNT: usize = 500;

fn all() -> Vec<IpAddr> {
    (0..COUNT).map(|i| ip(&format!("10.77.{}.{}", 2 + i / 200, 1 + i % 200))).collect()
}

/// Every address answers the client, and it is `owner` that answers.
fn all_answer(world: &World, label: &str, owner: &str) -> Result<()> {
    let probe = ProbeHandle::start(world, label, &all(), Duration::from_millis(1))?;
    // Two rounds through all of them; how long that is, is the probe's own measure.
    std::thread::sleep(Duration::from_millis(2 * COUNT as u64 + 100));
    let seen = probe.finish()?;
    let asked = seen.sent >= COUNT as u64;
    check(asked, || format!("only {} of {COUNT} were asked", seen.sent))?;
    // The first question to each waits for the neighbour's address and may be late; none is lost.
    check(seen.lost == seen.late, || format!("some did not answer: {:?}", seen.gaps))?;
    let by: Vec<&String> = seen.answered_by.keys().collect();
    check(by == [owner], || format!("they were answered by {by:?}"))
}

#[test]
fn they_move_together() {
    let make = || {
        let resources: Vec<String> = all().iter().map(|vip| address(&vip.to_string(), 16, "eth0")).collect();
        let names: Vec<&str> = resources.iter().map(String::as_str).collect();
        Pair::with(|s| s.group(GROUP, Some("a"), &names))
    };
    scenario(make, |pair| {
        let unique: BTreeSet<IpAddr> = all().into_iter().collect();
        check(unique.len() == COUNT, || "the test names an address twice".to_owned())?;
        pair.start_both()?;
        let audit = Audit::new(&pair.world, &all()).group(GROUP);
        audit.await_owner("a", BOUND)?;
        all_answer(&pair.world, "first", "a")?;
        pair.order("a", &["move", GROUP])?;
        audit.await_owner("b", BOUND)?;
        all_answer(&pair.world, "second", "b")?;
        pair.world.power_off("b")?;
        audit.await_owner("a", BOUND)?;
        all_answer(&pair.world, "third", "a")
    });
}

#[test]
fn a_hundred_groups_go_and_come_back() {
    const GROUPS: usize = 100;
    let vips: Vec<IpAddr> = all().into_iter().take(GROUPS).collect();
    let make = || {
        Pair::with(|settings| {
            let each = vips.iter().enumerate();
            each.fold(settings, |settings, (number, vip)| {
                settings.group(
                    &format!("group{number}"),
                    Some("a"),
                    &[&address(&vip.to_string(), 16, "eth0")],
                )
            })
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        let audit = Audit::new(&pair.world, &vips);
        let all_of = |owner: &'static str| {
            move |s: &lab::hbd::Status| {
                s.groups.len() == GROUPS
                    && s.groups.iter().all(|g| g.state == "started" && g.owner.as_deref() == Some(owner))
            }
        };
        audit.await_owner("a", BOUND)?;
        let steps: [(&str, &[&str], &'static str); 3] =
            [("a", &["standby"], "b"), ("a", &["online"], "b"), ("b", &["failback"], "a")];
        for (node, words, owner) in steps {
            pair.order(node, words)?;
            audit.await_owner(owner, BOUND)?;
            for node in ["a", "b"] {
                pair.wait(node, "all groups are there", all_of(owner))?;
            }
        }
        pair.world.power_off("a")?;
        audit.await_owner("b", BOUND)?;
        pair.wait("b", "all groups are mine", all_of("b")).map(drop)
    });
}
