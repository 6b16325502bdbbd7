//! Another configuration, while clients are served.

use super::world::*;

fn world() -> World {
    let mut world = World::new(config(vec![www(1, &[1, 2])]));
    world.run(10 * SECOND);
    world
}

#[test]
fn a_reload_without_a_change_touches_nothing() {
    let mut world = world();
    world.dies(2);
    world.run(10 * SECOND);
    let (applies, checks) = (world.applies, world.checks);
    for _ in 0..5 {
        world.reload(config(vec![www(1, &[1, 2])]));
    }
    world.run(10 * SECOND);
    assert_eq!(world.applies, applies);
    assert!(world.checks - checks <= 12, "the checks keep their rhythm");
    assert_eq!(world.real("www", "web2").state, "down");
}

#[test]
fn what_changes_is_changed_in_place() {
    let mut world = world();
    let mut service = www(1, &[1, 2]);
    service.scheduler = "rr".into();
    service.persistent = Some(60);
    service.reals[0].weight = 3;
    world.reload(config(vec![service]));
    assert_eq!(world.table(1), "1:3 2:10");
    let entry = &world.kernel.table[&vip(1)];
    assert_eq!((entry.scheduler.as_str(), entry.persistent), ("rr", Some(60)));
}

#[test]
fn a_new_server_is_checked_first_and_one_that_goes_finishes_its_connections() {
    let mut world = world();
    world.conns.insert(real(1), 1);
    world.dies(3);
    world.reload(config(vec![www(1, &[2, 3])]));
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
    world.returns(3);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10 3:10");
    world.run(60 * SECOND);
    assert_eq!(world.table(1), "2:10 3:10", "but not for ever");
    world.conns.clear();
    world.reload(config(vec![www(1, &[3])]));
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "3:10");
    world.reload(config(vec![www(1, &[2, 3])]));
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "2:10 3:10");
}

#[test]
fn one_that_comes_back_while_it_leaves_is_in_again() {
    let mut world = world();
    world.conns.insert(real(1), 1);
    world.reload(config(vec![www(1, &[2])]));
    world.run(SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
    world.reload(config(vec![www(1, &[1, 2])]));
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    world.run(100 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn another_check_does_not_take_a_good_server_out_until_it_has_failed() {
    let mut world = world();
    let mut service = www(1, &[1, 2]);
    for real in &mut service.reals {
        let ping = crate::config::model::Check { spec: crate::check::Spec::Ping.into(), ..check() };
        real.checks = [ping].into();
    }
    world.dies(2);
    world.reload(config(vec![service]));
    assert_eq!(world.table(1), "1:10 2:10");
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:0");
}

#[test]
fn a_service_that_goes_is_removed_and_one_that_comes_is_added() {
    let mut world = world();
    world.reload(config(vec![www(2, &[1])]));
    world.run(5 * SECOND);
    assert_eq!((world.table(1), world.table(2)), ("no service".into(), "1:10".into()));
    assert_eq!(world.memory.owned.len(), 1);
}

#[test]
fn orders_for_what_is_gone_are_forgotten() {
    let mut world = world();
    let order = crate::core::Order::Weight { real: "web1".into(), service: None, weight: Some(1) };
    world.order(order).unwrap();
    world.reload(config(vec![www(1, &[2])]));
    assert!(world.memory.overrides.is_empty());
    world.reload(config(vec![www(1, &[1, 2])]));
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn many_services_that_go_are_forgotten_at_once() {
    let all = || {
        let mut all: Vec<_> = (1..=50).map(|n| www(n, &[1])).collect();
        all.iter_mut().enumerate().for_each(|(at, service)| service.name = format!("www{at}"));
        all
    };
    let mut world = World::new(config(all()));
    world.run(10 * SECOND);
    assert_eq!((world.memory.owned.len(), world.kernel.table.len()), (50, 50));
    let before = world.remembered;
    world.reload(config(all().into_iter().take(1).collect()));
    world.run(10 * SECOND);
    assert_eq!((world.memory.owned.len(), world.kernel.table.len()), (1, 1));
    assert_eq!(world.remembered - before, 1, "each time is a file that is written and waited for");
}
