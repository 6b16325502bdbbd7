//! The kernel's table: adopted, repaired, never flushed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::world::*;
use crate::core::{Action, Order};
use crate::kernel::{Backend, Direction, DryRun};
use crate::table::{Dest, Forward, Service};

/// What a running director has made of `www` with three real servers.
fn at_work() -> World {
    let mut world = World::new(config(vec![www(1, &[1, 2, 3])]));
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:10");
    world
}

fn foreign() -> Service {
    Service {
        scheduler: "rr".into(),
        flags: Default::default(),
        persistent: None,
        netmask: u32::MAX,
        engine: None,
        dests: BTreeMap::from([(real(9), Dest { weight: 1, forward: Forward::Masq, upper: 0, lower: 0 })])
            .into(),
    }
}

#[test]
fn a_restart_changes_nothing_and_what_is_found_goes_on_serving() {
    let mut world = at_work().restart(config(vec![www(1, &[1, 2, 3])]));
    world.dies(3);
    world.run(SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:10", "three has not failed often enough yet");
    assert_eq!(world.applies, 0);
    world.run(7 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:0");
    assert_eq!(world.applies, 1, "and nothing else was touched");
}

#[test]
fn one_that_was_out_stays_out_over_a_restart_until_it_is_good() {
    let mut world = at_work();
    world.dies(2);
    world.run(10 * SECOND);
    let mut world = world.restart(config(vec![www(1, &[1, 2, 3])]));
    world.run(SECOND);
    assert_eq!(world.table(1), "1:10 2:0 3:10");
    world.returns(2);
    world.run(5 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:10");
}

#[test]
fn the_fallback_stays_over_a_restart_until_somebody_is_good() {
    let mut service = www(1, &[1, 2]);
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    let mut world = World::new(config(vec![service.clone()]));
    world.dies(1);
    world.dies(2);
    world.run(10 * SECOND);
    let mut world = world.restart(config(vec![service]));
    world.run(SECOND);
    assert_eq!(world.table(1), "127.0.0.1:1");
    assert_eq!(world.applies, 0);
    world.returns(1);
    world.run(5 * SECOND);
    assert_eq!(world.table(1), "1:10");
}

#[test]
fn what_is_and_what_shall_be_are_in_memory_once() {
    let mut world = at_work();
    let shared = |world: &World| {
        let known = &world.core.kernel.entry(&vip(1)).unwrap().dests;
        Arc::ptr_eq(known, &world.core.desired()[&vip(1)].dests)
    };
    assert!(shared(&world));
    world.dies(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10 3:10");
    assert!(shared(&world));
}

#[test]
fn what_somebody_else_changes_is_undone_within_a_second_said_and_counted() {
    let mut world = at_work();
    world.said();
    let entry = world.kernel.table.get_mut(&vip(1)).unwrap();
    let dests = entry.dests_mut();
    dests.remove(&real(1));
    dests.get_mut(&real(2)).unwrap().weight = 99;
    entry.scheduler = "rr".into();
    world.run(1100 * Duration::from_millis(1));
    assert_eq!(world.table(1), "1:10 2:10 3:10");
    assert_eq!(world.kernel.table[&vip(1)].scheduler, "wlc");
    assert_eq!(world.core.status(world.now).drift_repaired, 3);
    let said = world.said();
    assert_eq!(
        said.iter().filter(|line| line.contains("somebody else changed the table")).count(),
        3,
        "{said:?}"
    );
    world.kernel.table.clear();
    world.run(1100 * Duration::from_millis(1));
    assert_eq!(world.table(1), "1:10 2:10 3:10", "even all of it");
    assert!(world.said().len() >= 2);
    let count = world.core.status(world.now).drift_repaired;
    world.run(100 * SECOND);
    assert_eq!(world.core.status(world.now).drift_repaired, count, "once each");
}

#[test]
fn foreign_services_are_never_touched() {
    let mut kernel = DryRun::default();
    kernel.table.insert(vip(7), foreign());
    let mut world = World::with(config(vec![www(1, &[1])]), kernel, Default::default());
    world.run(10 * SECOND);
    world.reload(config(vec![]));
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "no service");
    assert_eq!(world.kernel.table[&vip(7)], foreign());
    let mut world = world.restart(config(vec![]));
    world.run(10 * SECOND);
    assert_eq!(world.kernel.table[&vip(7)], foreign());
    assert_eq!(world.core.status(world.now).drift_repaired, 0);
}

#[test]
fn a_service_taken_out_of_the_configuration_while_the_director_was_away_is_removed() {
    let mut world = World::new(config(vec![www(1, &[1]), www(2, &[1])]));
    world.kernel.table.insert(vip(7), foreign());
    world.run(10 * SECOND);
    let mut world = world.restart(config(vec![www(1, &[1])]));
    world.run(10 * SECOND);
    assert_eq!(world.table(2), "no service");
    assert_eq!(world.table(1), "1:10");
    assert_eq!(world.table(7), "9:1");
    assert!(!world.memory.owned.contains(&vip(2)), "and forgotten");
    // Somebody else's service of that address is not ours.
    world.kernel.table.insert(vip(2), foreign());
    world.run(10 * SECOND);
    assert_eq!(world.table(2), "9:1");
}

#[test]
fn ownership_is_remembered_before_the_kernel_is_touched() {
    let mut world = World::new(config(vec![www(1, &[1])]));
    world.refuses = Some("no".into());
    world.run(3 * SECOND);
    assert!(world.memory.owned.contains(&vip(1)));
}

#[test]
fn a_stranger_in_our_service_finishes_its_connections() {
    let mut world = at_work();
    world.conns.insert(real(3), 5);
    let mut world = world.restart(config(vec![www(1, &[1, 2])]));
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:0");
    world.conns.clear();
    world.run(3 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn what_the_kernel_refuses_is_said_once_and_tried_again() {
    let mut world = World::new(config(vec![www(1, &[1])]));
    world.refuses = Some("there is no scheduler 'wlc' (is the module ip_vs_wlc there?)".into());
    world.run(20 * SECOND);
    assert!(world.degraded().contains("there is no scheduler"), "{}", world.degraded());
    let said = world.said();
    let refusals = said.iter().filter(|line| line.contains("refused")).count();
    assert!((1..=2).contains(&refusals), "{said:?}");
    assert!(world.applies > 10);
    world.refuses = None;
    world.run(2 * SECOND);
    assert_eq!(world.table(1), "1:10");
    assert_eq!(world.degraded(), "");
}

#[test]
fn a_kernel_that_cannot_be_read_is_asked_again() {
    let mut world = World::new(config(vec![www(1, &[1])]));
    world.unreadable = Some("the kernel has no IPVS".into());
    world.run(20 * SECOND);
    assert_eq!(world.table(1), "no service", "nothing is done to what is not known");
    assert!(world.degraded().contains("the kernel has no IPVS"));
    assert_eq!(world.said().iter().filter(|line| line.contains("no IPVS")).count(), 1);
    world.unreadable = None;
    world.run(2 * SECOND);
    assert_eq!(world.table(1), "1:10");
}

#[test]
fn the_sync_daemon_follows_the_role() {
    let mut all = config(vec![www(1, &[1])]);
    all.sync = Some(crate::config::model::Sync { interface: "eth1".into(), id: 3 });
    let mut world = World::new(all);
    world.run(SECOND);
    let sync = world.kernel.sync.clone().unwrap();
    assert_eq!((sync.direction, sync.interface.as_str(), sync.id), (Direction::Master, "eth1", 3));
    world.order(crate::core::Order::Role { active: false }).unwrap();
    assert_eq!(world.kernel.sync.clone().unwrap().direction, Direction::Backup);
    assert_eq!(world.core.status(world.now).role, "standby");
    assert_eq!(world.table(1), "1:10", "the standby holds the same table");
    world.kernel.sync = None;
    world.run(11 * SECOND);
    assert!(world.kernel.sync.is_some(), "one that somebody stopped runs again");
    world.reload(config(vec![www(1, &[1])]));
    assert_eq!(world.kernel.sync, None);
}

#[test]
fn what_changes_during_a_look_costs_no_other_look_and_is_no_drift() {
    let mut world = at_work();
    world.now += 2 * SECOND;
    let drain =
        |world: &mut World| -> Vec<Action> { std::iter::from_fn(|| world.core.poll_action()).collect() };
    world.core.time(world.now);
    assert!(drain(&mut world).iter().any(|action| matches!(action, Action::Read(_))));
    let picture = world.kernel.read().unwrap();
    // The picture is on its way when a weight is changed by hand.
    let order = Order::Weight { real: "web1".into(), service: None, weight: Some(3) };
    world.core.order(world.now, "root", &order).unwrap();
    let actions = drain(&mut world);
    let changes = actions.into_iter().find_map(|action| match action {
        Action::Apply(changes) => Some(changes),
        _ => None,
    });
    let changes = changes.expect("a change");
    world.core.picture(world.now, Ok(Some(picture)));
    let results = world.kernel.apply(&changes);
    world.core.applied(world.now, &results);
    assert_eq!(world.table(1), "1:3 2:10 3:10");
    world.core.time(world.now + SECOND / 2);
    let again = drain(&mut world);
    let looks = |action: &Action| matches!(action, Action::Read(_) | Action::Apply(_));
    assert!(!again.iter().any(looks), "{again:?}");
    world.run(5 * SECOND);
    assert_eq!(world.core.status(world.now).drift_repaired, 0);
    assert_eq!(world.table(1), "1:3 2:10 3:10");
}

/// `www` with two hundred real servers.
fn large() -> World {
    let mut service = www(1, &[0; 200]);
    for (n, real) in service.reals.iter_mut().enumerate() {
        real.name = format!("web{n}");
        real.address.set_port(1000 + n as u16);
    }
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    assert_eq!(world.kernel.table[&vip(1)].dests.len(), 200);
    world
}

#[test]
fn a_large_table_is_looked_at_closely_now_and_then_only_and_foreign_changes_are_undone_all_the_same() {
    let mut world = large();
    world.glances = 0;
    world.run(30 * SECOND);
    assert_eq!(world.glances, 20, "two of three");
    for moment in 0..6 {
        world.run(SECOND / 2 * moment);
        let dests = world.kernel.table.get_mut(&vip(1)).unwrap().dests_mut();
        let (gone, _) = dests.pop_first().unwrap();
        world.run(1100 * Duration::from_millis(1));
        assert!(world.kernel.table[&vip(1)].dests.contains_key(&gone));
        assert_eq!(world.core.status(world.now).drift_repaired, u64::from(moment) + 1);
    }
}

#[test]
fn while_somebody_finishes_connections_they_are_counted_each_second() {
    let mut world = large();
    let all: Vec<_> = world.kernel.table[&vip(1)].dests.keys().copied().collect();
    world.conns.insert(all[7], 1);
    let order = Order::Drain { real: "web7".into(), service: None, deadline_ms: None };
    world.order(order).unwrap();
    world.glances = 0;
    world.run(10 * SECOND);
    assert_eq!((world.glances, world.real("www", "web7").active_conns), (0, 1));
    world.conns.clear();
    world.run(2100 * Duration::from_millis(1));
    assert!(!world.kernel.table[&vip(1)].dests.contains_key(&all[7]));
    world.run(10 * SECOND);
    assert!(world.glances > 0);
}

#[test]
fn what_the_kernel_refuses_or_does_not_say_is_looked_at_closely() {
    let mut world = large();
    world.refuses = Some("no".into());
    world.order(Order::Weight { real: "web3".into(), service: None, weight: Some(5) }).unwrap();
    world.glances = 0;
    world.run(5 * SECOND);
    assert_eq!(world.glances, 0);
    world.refuses = None;
    world.unreadable = Some("it is silent".into());
    world.run(5 * SECOND);
    assert!(world.degraded().contains("it is silent"));
    world.unreadable = None;
    world.run(SECOND * 2);
    assert_eq!(world.degraded(), "www/web3 has weight 5 by hand");
}
