//! A node that asks to be fenced: a resource of it has failed, or could not be stopped, and the configuration says so.

use cluster::*;

use crate::world::{Device, Mood, World, fenced_settings};
use crate::{done, ms};

/// A group for which silence is enough, with `web` looked at each second and treated as told.
fn wishes(change: impl FnOnce(&mut ResourceSettings)) -> Settings {
    let mut settings = fenced_settings();
    settings.groups[0].requires = Requires::Nothing;
    for resource in &mut settings.groups[0].resources {
        resource.on_stop_failure = OnStopFailure::Block;
    }
    let web = &mut settings.groups[0].resources[2];
    web.monitor = Some(ms(1000));
    change(web);
    settings
}

fn fails(web: &mut ResourceSettings) {
    web.on_fail = OnFail::Fence;
}

fn stop_fails(web: &mut ResourceSettings) {
    web.on_stop_failure = OnStopFailure::Fence;
}

fn order_move(w: &mut World, n: usize) {
    w.command(n, Command::Move { group: "g".to_owned(), to: None });
}

fn degraded(w: &World, n: usize) -> String {
    w.status(n).unwrap().degraded.join("\n")
}

#[test]
fn a_resource_that_fails_has_its_node_fenced_and_the_group_taken() {
    let mut w = World::settled_with(wishes(fails));
    let from = w.log.len();
    w.dies(0, "web");
    w.run_until(3000, |w| w.said("b fences a"));
    assert!(w.runs(1).is_empty(), "not before the device has spoken\n{}", w.timeline());
    assert!(degraded(&w, 0).contains("this node waits to be fenced"), "{}", degraded(&w, 0));
    assert!(degraded(&w, 1).contains("g is blocked on a, which waits to be fenced"), "{}", degraded(&w, 1));
    assert!(degraded(&w, 1).contains("a is blocked with it and asks to be fenced; it is being fenced"));
    w.run(1000);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.lines(from, "a Start").is_empty() && w.lines(from, "a Stop").is_empty(), "{}", w.timeline());
}

#[test]
fn a_stop_that_fails_has_its_node_fenced_where_that_is_asked_for() {
    let mut w = World::settled_with(wishes(stop_fails));
    w.mood(0, "web", Mood::FailsStop);
    order_move(&mut w, 0);
    w.run(2000);
    assert!(w.said("b fences a"), "{}", w.timeline());
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn a_stop_that_fails_waits_for_a_person_where_that_is_asked_for() {
    let mut settings = fenced_settings();
    settings.groups[0].resources[2].on_stop_failure = OnStopFailure::Block;
    let mut w = World::settled_with(settings);
    w.mood(0, "web", Mood::FailsStop);
    order_move(&mut w, 0);
    w.run(10_000);
    assert!(!w.said("fences"), "{}", w.timeline());
    assert!(w.runs(1).is_empty());
    assert!(
        degraded(&w, 1).contains("g is blocked on a: an operator has to look at it"),
        "{}",
        degraded(&w, 1)
    );
}

#[test]
fn whoever_asked_for_it_and_fell_silent_is_fenced_before_the_group_is_taken() {
    let mut w = World::settled_with(wishes(stop_fails));
    w.fence_time = ms(2500);
    w.mood(0, "web", Mood::FailsStop);
    order_move(&mut w, 0);
    w.run_until(3000, |w| w.said("b fences a"));
    w.kill(0);
    w.run(2000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    w.run(2000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn with_nobody_there_to_fence_it_a_failed_resource_is_restarted_in_place() {
    let mut w = World::settled_with(wishes(fails));
    w.power_off(1);
    w.run(5000);
    w.dies(0, "web");
    w.run(5000);
    assert_eq!(w.runs(0), ["vip1", "vip2", "web"], "{}", w.timeline());
}

#[test]
fn who_waits_to_be_fenced_and_is_left_alone_restarts_in_place() {
    let mut w = World::settled_with(wishes(fails));
    w.devices.insert(0, Device::Fails);
    w.dies(0, "web");
    w.run_until(3000, |w| w.said("b fences a"));
    w.power_off(1);
    w.run(5000);
    w.expect_owner(0);
    assert_eq!(w.runs(0), ["vip1", "vip2", "web"], "{}", w.timeline());
}

#[test]
fn a_device_that_fails_leaves_the_group_blocked_and_says_what_to_do() {
    let mut w = World::settled_with(wishes(fails));
    w.devices.insert(0, Device::Fails);
    w.dies(0, "web");
    w.run(4000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    assert!(degraded(&w, 1).contains("hbctl fence-ack a"), "{}", degraded(&w, 1));
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(5000);
    w.expect_owner(w.owner("g").expect("looked at, and in order again"));
    w.expect_no_overlap();
}

/// What fails on either node would have them fence each other without end.
#[test]
fn two_nodes_do_not_take_turns_in_having_each_other_fenced() {
    let mut w = World::settled_with(wishes(fails));
    w.dies(0, "web");
    w.run(3000);
    w.boot(0);
    w.run(5000);
    w.expect_owner(1);
    w.dies(1, "web");
    w.run(5000);
    assert!(!w.said("a fences b"), "{}", w.timeline());
    w.expect_owner(0);
    w.expect_no_overlap();
}

#[test]
fn in_maintenance_nobody_is_fenced_for_a_failed_stop() {
    let mut w = World::settled_with(wishes(stop_fails));
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(500);
    w.dies(0, "web");
    w.run(5000);
    assert!(!w.said("fences"), "{}", w.timeline());
}

#[test]
fn the_owner_after_a_split_has_a_loser_fenced_that_cannot_stop() {
    let mut w = World::settled_with(wishes(stop_fails));
    w.cut_all();
    w.run(3000);
    w.mood(0, "web", Mood::FailsStop);
    w.cut.clear();
    w.run(3000);
    assert!(w.said("b fences a"), "{}", w.timeline());
    w.expect_owner(1);
}
