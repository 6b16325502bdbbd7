//! Dead nodes, cut and lossy links.

use cluster::*;

use crate::done;
use crate::world::{Mood, World, settings};

#[test]
fn a_dead_owner_is_replaced_within_deadtime() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(890);
    assert_eq!(w.owner("g"), None);
    w.run(150);
    w.expect_owner(1);
    assert!(w.said("b announces g"));
}

#[test]
fn a_dead_standby_moves_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    w.power_off(1);
    w.run(5000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
}

#[test]
fn one_cut_link_moves_nothing_and_is_said() {
    let mut w = World::settled();
    let from = w.log.len();
    for pair in [(0, 1, 0), (1, 0, 0)] {
        w.cut.insert(pair);
    }
    w.run(5000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
    let status = w.status(1).unwrap();
    assert!(
        status.degraded.iter().any(|d| d.contains("link bcast:eth0 to a is down")),
        "{:?}",
        status.degraded
    );
    w.cut.clear();
    w.run(1000);
    assert_eq!(w.status(1).unwrap().degraded, Vec::<String>::new());
}

#[test]
fn a_one_way_cut_of_one_link_is_seen_on_both_sides() {
    let mut w = World::settled();
    w.cut.insert((0, 1, 0));
    w.run(3000);
    w.expect_owner(0);
    assert!(w.status(1).unwrap().degraded.iter().any(|d| d.contains("a hears us, we do not hear it")));
    assert!(w.status(0).unwrap().degraded.iter().any(|d| d.contains("we hear b, it does not hear us")));
}

#[test]
fn fewer_lost_packets_than_deadtime_holds_move_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    w.keep_one_in = 4;
    w.run(20_000);
    w.keep_one_in = 0;
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(from, "-> dead").is_empty(), "{}", w.timeline());
    assert!(!w.lines(from, "late heartbeat").is_empty());
}

#[test]
fn after_a_split_the_higher_epoch_stays_and_announces_again() {
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    assert_eq!(w.runs(0).len(), 3);
    assert_eq!(w.runs(1).len(), 3);
    let from = w.log.len();
    w.cut.clear();
    w.run(1000);
    w.expect_owner(1);
    let timeline = w.timeline();
    let stopped = timeline.rfind("a group g: stopping -> stopped").expect("a stopped");
    let announced = timeline.rfind("b announces g").expect("b announced");
    assert!(announced > stopped, "{timeline}");
    assert_eq!(w.lines(from, "b announces g").len(), 1);
    assert!(w.lines(from, "b Stop").is_empty());
}

#[test]
fn flapping_cables_end_with_one_owner() {
    let mut w = World::settled();
    for round in 0..10 {
        w.cut_all();
        w.run(700 + round * 130);
        w.cut.clear();
        w.run(300 + round * 70);
    }
    w.run(3000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
}

#[test]
fn a_deaf_node_takes_over_and_gives_way_when_it_hears_again() {
    let mut w = World::settled();
    w.cut.insert((0, 1, 0));
    w.cut.insert((0, 1, 1));
    w.run(3000);
    // b hears nothing and takes it; a hears b's higher epoch and gives way.
    w.expect_owner(1);
    w.cut.clear();
    w.run(2000);
    w.expect_owner(1);
}

#[test]
fn who_is_not_heard_any_more_after_it_left_in_order_takes_no_fenced_group() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    let mut w = World::settled_with(s);
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.input(0, Input::Stop);
    w.run_until(5000, |w| w.nodes[0].exited);
    w.run(500);
    // Its new life says one thing, hears b, and is heard no more: for b it has left.
    w.boot(0);
    w.run_for(std::time::Duration::from_micros(1100));
    w.cut.extend([(0, 1, 0), (0, 1, 1)]);
    w.run(500);
    w.command(1, Command::Online { node: None });
    w.run(3000);
    w.expect_no_overlap();
    w.cut.clear();
    w.run(3000);
    w.expect_owner(w.owner("g").expect("an owner"));
    w.expect_no_overlap();
}

#[test]
fn two_owners_are_forgotten_when_neither_is_one_any_more() {
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    for n in [0, 1] {
        w.mood(n, "web", Mood::FailsStop);
    }
    w.cut.clear();
    w.run(2000);
    // a gave way and could not stop it; then b is to stop it too, and cannot.
    w.command(1, Command::Standby { node: None, force: true });
    w.run(2000);
    w.command(1, Command::Online { node: None });
    for n in [0, 1] {
        // Mended by hand.
        w.nodes[n].running.clear();
        w.nodes[n].leases.clear();
        w.mood(n, "web", Mood::Good);
        w.command(n, Command::Cleanup { group: None });
        w.run(3000);
    }
    for n in [0, 1] {
        assert_eq!(w.status(n).unwrap().degraded, Vec::<String>::new(), "{}", w.timeline());
    }
}
