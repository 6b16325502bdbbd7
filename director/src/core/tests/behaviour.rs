//! Who is in, who is out, and what happens when many are.

use super::world::*;
use crate::config::model::Alert;
use crate::table::Forward;
use std::time::Duration;

#[test]
fn a_real_server_is_admitted_after_its_first_good_check_and_not_before() {
    let mut world = World::new(config(vec![www(1, &[1, 2])]));
    world.dies(2);
    world.run(Duration::ZERO);
    assert_eq!(world.real("www", "web1").state, "unknown");
    world.run(SECOND);
    assert_eq!(world.table(1), "1:10");
    assert_eq!(world.real("www", "web1").state, "up");
    assert_eq!(world.real("www", "web2").state, "unknown");
    assert!(world.real("www", "web2").why.contains("connection refused"));
    world.run(6 * SECOND);
    assert_eq!(world.real("www", "web2").state, "down");
    assert_eq!(world.table(1), "1:10", "one that was never good is not even put in with weight 0");
}

#[test]
fn it_leaves_after_fall_bad_checks_and_returns_after_rise_good_ones() {
    let mut world = World::new(config(vec![www(1, &[1, 2])]));
    world.run(10 * SECOND);
    world.dies(1);
    world.run(3 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10", "two failures at most are not enough");
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
    let shown = world.real("www", "web1");
    assert_eq!((shown.state, shown.weight, shown.kernel_weight), ("down", 10, 0));
    assert_eq!(shown.last_error.as_deref(), Some("connection refused"));
    assert!(world.degraded().contains("www/web1 is down: connection refused"));
    world.returns(1);
    world.run(2 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10", "one success is not enough");
    world.run(3 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    assert_eq!(world.degraded(), "");
    let said = world.said();
    let about = |word: &str| said.iter().filter(|line| line.contains(word)).count();
    assert_eq!(about("real www/web1: up -> down: connection refused"), 1, "{said:?}");
    assert_eq!(about("real www/web1: down -> up"), 1, "{said:?}");
}

#[test]
fn what_is_not_quiescent_is_removed() {
    let mut service = www(1, &[1, 2]);
    service.quiescent = false;
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.dies(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "2:10");
    assert!(!world.real("www", "web1").in_kernel);
    world.returns(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
}

#[test]
fn all_checks_of_a_real_server_must_be_good() {
    let mut service = www(1, &[1]);
    let ping = crate::config::model::Check { spec: crate::check::Spec::Ping.into(), fall: 1, ..check() };
    service.reals[0].checks = [check(), ping].into();
    let mut world = World::new(config(vec![service]));
    world.run(4 * SECOND);
    assert_eq!(world.table(1), "1:10");
    world.dies(1);
    world.run(2500 * Duration::from_millis(1));
    assert_eq!(world.table(1), "1:0", "the one that falls first decides");
}

#[test]
fn the_fallback_serves_when_none_is_up_and_goes_when_one_is() {
    let mut service = www(1, &[1, 2]);
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    let mut world = World::new(config(vec![service]));
    world.run(SECOND / 100);
    assert_eq!(world.table(1), "", "nobody knows yet: no fallback either");
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10");
    world.dies(1);
    world.run(10 * SECOND);
    assert!(!world.status("www").fallback_active);
    world.dies(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:0 127.0.0.1:1");
    let shown = world.status("www");
    assert!(shown.fallback_active && !shown.up);
    assert!(world.degraded().contains("www: the fallback serves: 0 of 2 real servers are up"));
    world.returns(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:10");
    assert!(!world.status("www").fallback_active && world.status("www").up);
}

#[test]
fn a_service_whose_servers_were_all_dead_at_the_start_gets_its_fallback() {
    let mut service = www(1, &[1, 2]);
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    let mut world = World::new(config(vec![service]));
    world.dies(1);
    world.dies(2);
    world.run(8 * SECOND);
    assert_eq!(world.table(1), "127.0.0.1:1");
}

#[test]
fn below_its_quorum_a_service_is_down_runs_its_hooks_and_its_fallback_takes_over() {
    let mut service = www(1, &[1, 2, 3]);
    service.quorum = 2;
    service.quorum_up = Some("/up".into());
    service.quorum_down = Some("/down".into());
    let mut world = World::new(config(vec![service.clone()]));
    world.run(10 * SECOND);
    assert_eq!(world.runs, [["/up", "up", "www", "tcp 192.168.1.1:80"]]);
    world.dies(1);
    world.run(10 * SECOND);
    assert!(world.status("www").up);
    world.dies(2);
    world.run(10 * SECOND);
    assert!(!world.status("www").up);
    assert_eq!(world.table(1), "1:0 2:0 3:10", "without a fallback who is up goes on serving");
    assert_eq!(world.runs[1..], [["/down", "down", "www", "tcp 192.168.1.1:80"]]);
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    world.reload(config(vec![service]));
    world.run(SECOND);
    assert_eq!(world.table(1), "1:0 2:0 3:0 127.0.0.1:1");
    world.returns(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:0 3:10");
    assert_eq!(world.runs.last().unwrap()[0], "/up");
}

#[test]
fn around_its_quorum_a_service_does_not_go_to_and_fro() {
    let mut service = www(1, &[1, 2, 3]);
    (service.quorum, service.hysteresis) = (2, 1);
    service.quorum_down = Some("/down".into());
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.dies(1);
    world.dies(2);
    world.run(10 * SECOND);
    assert!(world.status("www").up, "one is fewer than two, but not by more than one");
    assert_eq!((world.table(1), world.runs.len()), ("1:0 2:0 3:10".to_owned(), 0));
    world.dies(3);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:0 3:0 127.0.0.1:1");
    world.returns(1);
    world.returns(2);
    world.run(10 * SECOND);
    let status = world.status("www");
    assert_eq!((status.up, status.serving, status.quorum), (false, 2, 3));
    assert_eq!(world.table(1), "1:0 2:0 3:0 127.0.0.1:1", "two are enough to stay, not to come back");
    world.returns(3);
    world.run(10 * SECOND);
    assert!(world.status("www").up);
    assert_eq!((world.table(1), world.runs.len()), ("1:10 2:10 3:10".to_owned(), 1));
}

#[test]
fn checks_may_not_take_out_more_than_the_rest() {
    let mut service = www(1, &[1, 2, 3, 4]);
    service.never_below = 50;
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    for n in 1..=4 {
        world.dies(n);
        world.run(10 * SECOND);
    }
    assert_eq!(world.table(1), "1:0 2:0 3:10 4:10", "the last to fail stay");
    let shown = world.status("www");
    assert!(shown.panic && !shown.up);
    assert_eq!(world.real("www", "web4").state, "down", "status says what the checks say");
    assert!(world.degraded().contains("probably this machine's trouble"));
    world.returns(1);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:0 3:0 4:10");
    world.returns(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10 2:10 3:0 4:0");
    assert!(!world.status("www").panic);
}

#[test]
fn with_a_fallback_it_is_the_fallback_that_serves_when_none_is_up() {
    let mut service = www(1, &[1, 2]);
    service.never_below = 50;
    service.fallback = Some(("127.0.0.1:80".parse().unwrap(), Forward::Gate));
    let mut world = World::new(config(vec![service]));
    world.run(10 * SECOND);
    world.dies(1);
    world.dies(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:0 2:0 127.0.0.1:1");
    assert!(!world.status("www").panic);
}

#[test]
fn a_server_that_returns_starts_slowly_if_others_serve() {
    let mut service = www(1, &[1, 2]);
    service.slow_start = 20 * SECOND;
    let mut world = World::new(config(vec![service]));
    world.dies(2);
    world.run(10 * SECOND);
    assert_eq!(world.table(1), "1:10", "the first one is needed at once");
    world.returns(2);
    world.run(5 * SECOND);
    let mut seen = Vec::new();
    for _ in 0..25 {
        world.run(SECOND);
        seen.push(world.real("www", "web2").kernel_weight);
    }
    assert!(seen[0] <= 3 && seen[0] >= 1, "{seen:?}");
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&10));
    assert!(seen.iter().filter(|weight| **weight < 10).count() >= 15, "{seen:?}");
}

#[test]
fn one_that_keeps_falling_returns_later_and_later() {
    let mut world = World::new(config(vec![www(1, &[1, 2])]));
    world.run(10 * SECOND);
    let mut returns = Vec::new();
    for _ in 0..6 {
        world.dies(1);
        world.run(10 * SECOND);
        world.returns(1);
        let died = world.now;
        while world.real("www", "web1").state != "up" {
            world.run(SECOND / 10);
        }
        returns.push((world.now - died).as_secs());
    }
    assert!(returns[0] <= 4, "{returns:?}");
    assert!(returns[5] >= 28 && returns[5] <= 34, "sixteen good checks at most: {returns:?}");
    assert!(world.real("www", "web1").damped);
    world.run(60 * SECOND);
    assert!(!world.real("www", "web1").damped);
}

#[test]
fn one_check_serves_all_services_that_ask_the_same() {
    let mut world = World::new(config((1..=10).map(|n| www(n, &[1, 2])).collect()));
    world.run(20 * SECOND);
    assert!((18..=22).contains(&world.checks), "{} checks of two servers in 20 s", world.checks);
    world.dies(1);
    world.run(8 * SECOND);
    for n in 1..=10 {
        assert_eq!(world.table(n), "1:0 2:10");
    }
}

#[test]
fn alerts_are_told_after_so_many_failures_and_not_too_often_and_only_by_the_active_one() {
    let service = www(1, &[1, 2]);
    let mut all = config(vec![service]);
    let alert =
        |exec: &str, after, minutes: u32| Alert { exec: exec.into(), after, every: SECOND * (60 * minutes) };
    all.alerts = vec![alert("/first", 1, 10), alert("/later", 10, 0)];
    let mut world = World::new(all);
    world.run(10 * SECOND);
    world.dies(1);
    world.run(8 * SECOND);
    assert_eq!(world.runs, [["/first", "down", "www", "web1", "10.0.0.1:80", "connection refused"]]);
    world.run(30 * SECOND);
    assert_eq!(world.runs.last().unwrap()[0], "/later");
    world.run(20 * 60 * SECOND);
    let count = |world: &World, program: &str| world.runs.iter().filter(|run| run[0] == program).count();
    assert_eq!((count(&world, "/first"), count(&world, "/later")), (3, 1));
    world.returns(1);
    world.run(10 * SECOND);
    assert_eq!((count(&world, "/first"), count(&world, "/later")), (4, 2), "both hear that it is over");
    world.order(crate::core::Order::Role { active: false }).unwrap();
    world.dies(2);
    world.run(3600 * SECOND);
    assert_eq!(world.runs.len(), 6, "the standby tells nobody");
}

#[test]
fn a_service_without_checks_is_up() {
    let mut service = www(1, &[1]);
    service.reals[0].checks = [].into();
    let mut world = World::new(config(vec![service]));
    world.run(SECOND);
    assert_eq!(world.table(1), "1:10");
    assert_eq!(world.checks, 0);
    assert_eq!(world.real("www", "web1").state, "up");
}
