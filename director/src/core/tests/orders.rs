//! What operators order.

use std::time::Duration;

use super::world::*;
use crate::core::Order;
use crate::table::{Forward, Key, Protocol};

fn drain(real: &str, deadline_ms: Option<u64>) -> Order {
    Order::Drain { real: real.into(), service: None, deadline_ms }
}

fn enable(real: &str) -> Order {
    Order::Enable { real: real.into(), service: None }
}

fn weight(real: &str, weight: Option<u32>) -> Order {
    Order::Weight { real: real.into(), service: None, weight }
}

fn world() -> World {
    let mut world = World::new(config(vec![www(1, &[1, 2]), www(2, &[1, 2])]));
    world.run(10 * SECOND);
    world
}

#[test]
fn a_drained_server_takes_nothing_new_and_is_removed_when_its_connections_have_ended() {
    let mut world = world();
    world.conns.insert(real(1), 3);
    let said = world.order(drain("web1", None)).unwrap();
    assert!(said.contains("www/web1") && said.contains("www2/web1"), "{said}");
    world.run(600 * SECOND);
    assert_eq!((world.table(1), world.table(2)), ("1:0 2:10".into(), "1:0 2:10".into()));
    assert_eq!(world.real("www", "web1").state, "drain");
    assert!(world.degraded().contains("www/web1 is out by order of root"));
    world.conns.clear();
    world.run(3 * SECOND);
    assert_eq!(world.table(1), "2:10");
    assert_eq!(world.real("www", "web1").state, "drain");
    world.order(enable("web1")).unwrap();
    world.run(SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    assert_eq!(world.degraded(), "");
}

#[test]
fn one_that_is_not_checked_finishes_its_connections_too() {
    let mut service = www(1, &[1, 2]);
    service.reals[0].checks = [].into();
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.conns.insert(real(1), 1);
    world.order(drain("web1", None)).unwrap();
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
}

#[test]
fn at_its_deadline_a_drain_ends_whatever_its_connections_do() {
    let mut world = world();
    world.conns.insert(real(1), 3);
    world.order(drain("10.0.0.1:80", Some(60_000))).unwrap();
    world.run(59 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
    assert!(world.real("www", "web1").deadline_ms.is_some_and(|ms| ms <= 1000));
    world.run(2 * SECOND);
    assert_eq!(world.table(1), "2:10");
}

#[test]
fn a_connection_on_its_way_when_the_drain_began_is_waited_for() {
    let mut world = world();
    world.order(drain("web1", None)).unwrap();
    world.run(SECOND / 10);
    assert_eq!(world.table(1), "1:0 2:10", "not removed at once");
}

#[test]
fn of_one_service_only_if_it_is_named() {
    let mut world = world();
    let order = Order::Maintain { real: "10.0.0.1".into(), service: Some("www2".into()), deadline_ms: None };
    world.order(order).unwrap();
    world.run(10 * SECOND);
    assert_eq!((world.table(1), world.table(2)), ("1:10 2:10".into(), "1:0 2:10".into()));
    assert_eq!(world.real("www2", "web1").state, "maintenance");
    assert_eq!(world.real("www", "web1").state, "up");
}

#[test]
fn maintenance_is_out_at_once_and_alerts_nobody() {
    let mut all = config(vec![www(1, &[1, 2])]);
    let every = 600 * SECOND;
    all.alerts = vec![crate::config::model::Alert { exec: "/tell".into(), after: 1, every }];
    let mut world = World::new(all);
    world.run(10 * SECOND);
    world.order(Order::Maintain { real: "web1".into(), service: None, deadline_ms: Some(5000) }).unwrap();
    assert_eq!(world.table(1), "1:0 2:10");
    world.dies(1);
    world.run(20 * SECOND);
    assert_eq!(world.table(1), "2:10", "after the deadline it is removed");
    assert_eq!(world.real("www", "web1").state, "maintenance");
    assert_eq!(world.runs, Vec::<Vec<String>>::new());
    world.order(enable("web1")).unwrap();
    world.run(3 * SECOND);
    assert_eq!(world.runs.len(), 1, "now it is news");
    assert_eq!(world.real("www", "web1").state, "down", "what the checks say counts again");
    assert_eq!(world.table(1), "1:0 2:10");
}

#[test]
fn a_weight_by_hand_holds_until_it_is_given_back() {
    let mut world = world();
    world.order(weight("web1", Some(3))).unwrap();
    assert_eq!(world.table(1), "1:3 2:10");
    let shown = world.real("www", "web1");
    assert_eq!((shown.weight, shown.kernel_weight, shown.weight_by_hand), (3, 3, true));
    world.dies(1);
    world.run(10 * SECOND);
    world.returns(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:3 2:10");
    world.order(weight("web1", Some(0))).unwrap();
    assert_eq!(world.table(1), "1:0 2:10");
    world.order(weight("web1", None)).unwrap();
    assert_eq!(world.table(1), "1:10 2:10");
    let refused = world.order(weight("web1", Some(u32::MAX))).unwrap_err();
    assert!(refused.contains("2147483647"), "{refused}");
}

#[test]
fn servers_without_a_weight_are_no_quorum_and_the_fallback_serves() {
    let mut service = www(1, &[1, 2]);
    service.fallback = Some((real(9), Forward::Gate));
    service.quiescent = false;
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.order(weight("web1", Some(0))).unwrap();
    assert_eq!(world.table(1), "1:0 2:10");
    world.order(weight("web2", Some(0))).unwrap();
    assert_eq!(
        world.table(1),
        "1:0 2:0 9:1",
        "they finish what they have, and the fallback takes what comes"
    );
    world.order(weight("web2", None)).unwrap();
    assert_eq!(world.table(1), "1:0 2:10");
}

#[test]
fn orders_survive_restarts() {
    let mut world = world();
    world.order(drain("web1", None)).unwrap();
    world.order(weight("web2", Some(4))).unwrap();
    world.run(10 * SECOND);
    let all = || config(vec![www(1, &[1, 2]), www(2, &[1, 2])]);
    let mut world = world.restart(all());
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "2:4");
    assert_eq!(world.real("www", "web1").state, "drain");
    world.order(enable("web1")).unwrap();
    world.order(weight("web2", None)).unwrap();
    let mut world = world.restart(all());
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    assert!(world.memory.overrides.is_empty());
}

#[test]
fn who_is_not_there_is_refused_with_who_is() {
    let mut world = world();
    let refused = world.order(drain("wbe1", None)).unwrap_err();
    assert!(refused.contains("did you mean 'web1'"), "{refused}");
    let refused = world.order(drain("nobody", None)).unwrap_err();
    assert!(refused.contains("'web1' and 'web2'"), "{refused}");
    let order = Order::Enable { real: "web1".into(), service: Some("wwww".into()) };
    let refused = world.order(order).unwrap_err();
    assert!(refused.contains("did you mean 'www'"), "{refused}");
}

#[test]
fn a_file_in_the_maintenance_folder_takes_a_server_out() {
    let mut all = config(vec![www(1, &[1, 2])]);
    all.maintenance_dir = Some("/etc/maintenance".into());
    let mut world = World::new(all);
    world.run(10 * SECOND);
    for name in ["10.0.0.1:80", "10.0.0.1", "web1", "web1:80"] {
        world.files.insert(name.into());
        world.run(2 * SECOND);
        assert_eq!(world.table(1), "1:0 2:10", "{name}");
        assert_eq!(world.real("www", "web1").state, "maintenance");
        world.files.clear();
        world.run(2 * SECOND);
        assert_eq!(world.table(1), "1:10 2:10", "{name}");
    }
    world.files.insert("web1:81".into());
    world.run(2 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn of_udp_the_connections_without_an_end_are_watched() {
    let mut service = www(1, &[1]);
    service.key = Key::Address(Protocol::Udp, "192.168.1.1:80".parse().unwrap());
    assert!(crate::core::service::Service::counts_inactive(&service.key));
    assert!(!crate::core::service::Service::counts_inactive(&vip(1)));
}

#[test]
fn a_drained_server_does_not_count_for_the_panic_threshold() {
    let mut service = www(1, &[1, 2]);
    service.never_below = 100;
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.order(drain("web1", Some(1))).unwrap();
    world.run(5 * SECOND);
    world.dies(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "2:10");
    let _ = Duration::ZERO;
}
