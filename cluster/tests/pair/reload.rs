//! A new configuration for running nodes.

use cluster::*;

use crate::world::World;

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
