//! Addresses leased from the kernel: they last as long as they should, and no longer.

use std::time::Duration;

use cluster::*;

use crate::ms;
use crate::world::{Mood, World, settings};

#[test]
fn a_lone_node_never_loses_its_addresses() {
    let mut w = World::new();
    w.boot(1);
    w.run(15_000);
    w.expect_owner(1);
    assert!(!w.said("kernel takes"), "{}", w.timeline());
}

#[test]
fn who_takes_over_from_a_dead_peer_keeps_the_addresses() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(10_000);
    w.expect_owner(1);
    assert!(!w.said("kernel takes"), "{}", w.timeline());
}

#[test]
fn a_peer_that_dies_while_addresses_are_being_set_makes_them_endless() {
    // The operation begins as a lease and ends when nobody is there who could take over.
    for step in 0..40 {
        let mut w = World::settled();
        let c = Command::Move { group: "g".to_owned(), to: None };
        w.command(0, c);
        w.run(3);
        w.op_time = ms(1050);
        w.run_for(Duration::from_micros(step * 100));
        w.power_off(0);
        w.run(20_000);
        w.expect_owner(1);
        let taken = w.lines(0, "b kernel takes");
        assert!(taken.is_empty(), "{}", w.timeline());
    }
}

#[test]
fn addresses_stay_while_another_resource_is_slow_to_start() {
    let mut s = settings("a");
    s.groups[0].resources.swap(1, 2);
    let mut w = World::settled_with(s);
    w.mood(1, "web", Mood::Hangs);
    w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(4500);
    assert_eq!(w.runs(1), ["vip1"], "{}", w.timeline());
}

#[test]
fn addresses_stay_while_another_resource_is_slow_to_stop() {
    let mut w = World::settled();
    w.mood(0, "web", Mood::Hangs);
    w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(4500);
    assert_eq!(w.runs(0), ["vip1", "vip2", "web"], "{}", w.timeline());
}

#[test]
fn addresses_found_after_a_restart_stay_while_the_rest_is_looked_at() {
    let mut w = World::settled();
    w.kill(0);
    w.mood(0, "web", Mood::Hangs);
    w.boot(0);
    w.run(4500);
    assert_eq!(w.runs(0), ["vip1", "vip2", "web"], "{}", w.timeline());
}

/// Each has been alone, so that its addresses had no end; after the heal the loser cannot stop what is above them.
#[test]
fn the_addresses_of_a_loser_that_cannot_stop_end_by_themselves() {
    let mut w = World::settled();
    w.cut_all();
    w.run(5000);
    assert!(w.runs(0).len() == 3 && w.runs(1).len() == 3, "{}", w.timeline());
    w.mood(0, "web", Mood::FailsStop);
    w.cut.clear();
    w.run(4000);
    assert_eq!(w.status(0).unwrap().groups[0].owner.as_deref(), Some("b"), "{}", w.timeline());
    assert_eq!(w.runs(0), ["web"], "{}", w.timeline());
    assert_eq!(w.runs(1), ["vip1", "vip2", "web"]);
}
