//! Daemons killed and restarted, machines rebooted, disks lost.

use cluster::*;

use crate::world::World;

#[test]
fn a_killed_daemon_that_comes_back_adopts_what_runs() {
    let mut w = World::settled();
    let from = w.log.len();
    w.kill(0);
    w.run(300);
    w.boot(0);
    w.run(3000);
    w.expect_owner(0);
    assert!(w.lines(from, " Start ").is_empty() && w.lines(from, " Stop ").is_empty(), "{}", w.timeline());
    assert!(w.said("adopted"));
}

#[test]
fn a_daemon_killed_for_too_long_finds_the_group_taken_and_removes_what_it_left() {
    let mut w = World::settled();
    w.kill(0);
    w.run(3000);
    assert_eq!(w.runs(1).len(), 3);
    w.boot(0);
    w.run(3000);
    w.expect_owner(1);
}

#[test]
fn a_rebooted_owner_within_deadtime_starts_again_or_is_replaced_but_once() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(300);
    w.boot(0);
    w.run(4000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn epochs_grow_over_restarts_of_both() {
    let mut w = World::settled();
    let mut last = w.status(0).unwrap().groups[0].epoch;
    for _ in 0..3 {
        w.power_off(0);
        w.power_off(1);
        w.run(500);
        w.boot(0);
        w.boot(1);
        w.run(5000);
        let epoch = w.status(0).unwrap().groups[0].epoch;
        assert!(epoch > last, "{epoch} after {last}\n{}", w.timeline());
        last = epoch;
    }
}

#[test]
fn a_node_that_lost_its_disk_learns_its_incarnation_from_the_peer() {
    let mut w = World::settled();
    for _ in 0..3 {
        w.kill(0);
        w.run(100);
        w.boot(0);
        w.run(500);
    }
    w.kill(0);
    w.nodes[0].disk = Durable::default();
    w.run(100);
    w.boot(0);
    w.run(5000);
    assert_eq!(w.status(1).unwrap().nodes[0].state, "up");
    assert!(w.said("the state on disk was lost"));
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
}

#[test]
fn a_disk_that_cannot_be_written_does_not_stop_a_takeover() {
    let mut w = World::settled();
    w.nodes[1].disk_fails = true;
    w.power_off(0);
    w.run(2500);
    w.expect_owner(1);
    assert!(w.status(1).unwrap().degraded.iter().any(|d| d.contains("cannot be written")));
}
