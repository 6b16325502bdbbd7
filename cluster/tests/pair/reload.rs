//! A new configuration for running nodes.

use cluster::*;

use crate::world::{World, resource};

#[test]
fn a_reload_without_a_change_touches_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    let same = w.settings_of(0);
    w.input(0, Input::Reload(Box::new(same)));
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
}

#[test]
fn a_reload_starts_what_is_new_and_stops_what_is_gone() {
    let mut w = World::settled();
    let from = w.log.len();
    let web2 = ResourceSettings {
        key: ResourceKey(9),
        name: "web2".to_owned(),
        ..w.settings.groups[0].resources[2].clone()
    };
    w.settings.groups[0].resources.push(web2);
    w.settings.groups[0].resources.remove(1);
    w.reload(0);
    w.reload(1);
    w.run(2000);
    assert_eq!(w.lines(from, "Stop vip2").len(), 1, "{}", w.timeline());
    assert_eq!(w.lines(from, "Start").len(), 1, "{}", w.timeline());
    assert_eq!(w.runs(0), ["vip1", "web", "web2"]);
    w.power_off(0);
    w.run(2000);
    assert_eq!(w.runs(1), ["vip1", "web", "web2"]);
}

#[test]
fn the_last_resource_of_a_group_is_stopped_when_it_is_gone() {
    let mut w = World::settled();
    let from = w.log.len();
    w.settings.groups[0].resources.pop();
    w.reload(0);
    w.reload(1);
    w.run(2000);
    assert_eq!(w.lines(from, "Stop web").len(), 1, "{}", w.timeline());
    assert!(w.lines(from, "Start").is_empty());
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
}

#[test]
fn a_resource_that_is_gone_while_a_restarted_node_looks_at_it_is_stopped() {
    let mut w = World::settled();
    w.kill(0);
    let from = w.log.len();
    w.op_time = crate::ms(20);
    w.boot(0);
    w.run(10);
    w.settings.groups[0].resources.pop();
    w.reload(0);
    w.reload(1);
    w.run(2000);
    assert_eq!(w.lines(from, "Stop web").len(), 1, "{}", w.timeline());
    assert!(w.lines(from, "Start").is_empty(), "{}", w.timeline());
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
    assert_eq!(w.owner("g"), Some(0));
}

#[test]
fn a_mismatch_of_the_configuration_is_shouted_and_moves_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    let mut other = w.settings_of(1);
    other.config_digest = 8;
    w.input(1, Input::Reload(Box::new(other)));
    w.run(3000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
    for n in 0..2 {
        assert!(w.status(n).unwrap().degraded.iter().any(|d| d.contains("differs")));
    }
}

#[test]
fn a_new_resource_is_not_started_on_a_node_that_is_on_standby() {
    let mut w = World::settled();
    // On standby with its group still there: the heir was away.
    w.power_off(1);
    w.run(2000);
    w.nodes[0].disk.standby = true;
    w.kill(0);
    w.boot(0);
    w.run(500);
    let from = w.log.len();
    w.settings.groups[0].resources.push(resource(9, "web2", false));
    w.reload(0);
    w.run(8000);
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
}

#[test]
fn a_group_that_only_one_node_has_in_its_configuration_is_started_there() {
    let mut w = World::settled();
    let mut new = w.settings.groups[0].clone();
    new.name = "g2".to_owned();
    new.resources = vec![resource(9, "web2", false)];
    w.settings.groups.push(new);
    w.reload(0);
    w.run(3000);
    assert_eq!(w.owner("g2"), Some(0), "{}", w.timeline());
    w.reload(1);
    w.run(3000);
    assert_eq!(w.owner("g2"), Some(0), "{}", w.timeline());
    w.expect_no_overlap();
}
