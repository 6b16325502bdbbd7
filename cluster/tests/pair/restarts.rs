//! Daemons killed and restarted, machines rebooted, disks lost.

use cluster::*;

use crate::world::{Mood, World, settings};
use crate::{done, ms, refused};

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

#[test]
fn a_node_that_could_not_keep_its_incarnation_is_heard_after_a_restart() {
    let mut w = World::settled();
    w.nodes[0].disk_fails = true;
    for _ in 0..3 {
        w.kill(0);
        w.run(100);
        w.boot(0);
        w.run(3000);
        assert_eq!(w.status(1).unwrap().nodes[0].state, "up", "{}", w.timeline());
    }
    assert!(w.said("the disk does not take the new incarnation"), "{}", w.timeline());
    w.expect_owner(0);
}

#[test]
fn a_disk_that_works_again_gets_the_state_without_a_further_change() {
    let mut w = World::settled();
    w.nodes[0].disk_fails = true;
    let c = w.command(0, Command::Standby { node: None, force: true });
    done(w.finish(c));
    w.run(100);
    w.nodes[0].disk_fails = false;
    w.run(10_000);
    assert!(w.nodes[0].disk.standby);
    let degraded = w.status(0).unwrap().degraded;
    assert!(!degraded.iter().any(|d| d.contains("written")), "{degraded:?}");
}

#[test]
fn a_failed_stop_is_remembered_over_a_restart_of_the_other_node() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    refused(w.finish(c));
    w.run(500);
    w.kill(1);
    w.power_off(0);
    w.boot(1);
    w.run(10_000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

#[test]
fn what_a_node_has_not_looked_at_yet_is_not_started_elsewhere_when_it_is_asked_to_leave() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    for early in 0..12 {
        let mut w = World::settled_with(s.clone());
        w.kill(0);
        w.run(300);
        w.boot(0);
        w.run(early);
        w.input(0, Input::Stop);
        w.run(5000);
        w.expect_no_overlap();
        // Asked before it had said a word it is just gone, and that is no farewell.
        if w.said("a node a: leaving -> left") {
            w.expect_owner(1);
        }
    }
}

#[test]
fn a_group_found_without_its_epoch_is_given_away_under_a_new_one() {
    let mut w = World::settled();
    for n in [0, 1] {
        let c = w.command(n, Command::Move { group: "g".to_owned(), to: None });
        done(w.finish(c));
        w.run(500);
    }
    w.kill(0);
    w.nodes[0].disk = Durable::default();
    w.op_time = ms(20);
    w.boot(0);
    w.run(10);
    w.input(0, Input::Stop);
    w.run(500);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn an_epoch_is_not_claimed_before_it_is_on_disk() {
    let mut w = World::settled();
    for n in [0, 1, 0, 1] {
        let c = w.command(n, Command::Move { group: "g".to_owned(), to: None });
        done(w.finish(c));
        w.run(500);
    }
    for n in [1, 0] {
        let c = w.command(n, Command::Standby { node: None, force: true });
        done(w.finish(c));
        w.run(500);
    }
    // a forgets all epochs, learns the newest from b, and loses power before it is on disk.
    w.kill(0);
    w.nodes[0].disk = Durable { incarnation: w.nodes[0].disk.incarnation, ..Durable::default() };
    let from = w.log.len();
    w.fsync = ms(300);
    w.boot(0);
    w.run(350);
    w.nodes[0].disk_fails = true;
    w.power_off(0);
    w.nodes[0].disk_fails = false;
    w.power_off(1);
    w.fsync = ms(1);
    w.boot(0);
    w.run(5000);
    w.expect_owner(0);
    let claims = w.lines(from, "-> starting").into_iter().filter(|line| line.contains(" a "));
    let epoch = |line: &String| line.rsplit("epoch ").next().and_then(|n| n.parse::<u64>().ok());
    let epochs: Vec<u64> = claims.filter_map(epoch).collect();
    assert!(!epochs.is_empty() && epochs.is_sorted_by(|a, b| a < b), "{epochs:?}\n{}", w.timeline());
}

#[test]
fn what_is_left_of_a_group_is_not_completed_while_a_failed_stop_elsewhere_is_not_settled() {
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    w.mood(0, "web", Mood::FailsStop);
    w.cut.clear();
    w.run(2000);
    // Both had it; a gave way and could not stop it. Then both are lost, and b comes back with a part of it.
    w.kill(1);
    w.run(3000);
    w.power_off(0);
    assert_eq!(w.runs(1), ["web"]);
    let from = w.log.len();
    w.boot(1);
    w.run(8000);
    assert!(w.lines(from, "b Start").is_empty(), "{}", w.timeline());
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

/// The state was lost with what ran: found running without a claim, it is looked after only when it has been claimed anew.
#[test]
fn what_a_predecessor_left_is_not_restarted_before_it_is_claimed() {
    let mut settings = settings("a");
    settings.groups[0].resources[2].monitor = Some(ms(100));
    let mut w = World::settled_with(settings);
    w.power_off(1);
    w.run(3000);
    w.kill(0);
    w.nodes[0].disk = Durable::default();
    w.boot(0);
    w.run(200);
    let from = w.log.len();
    w.dies(0, "web");
    w.run(1000);
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    w.run(4000);
    w.expect_owner(0);
}

/// Part of a group that needs certainty was left here, and its peer is only silent: it may have the group by now.
#[test]
fn what_is_left_of_a_fenced_group_is_not_completed_while_the_peer_is_only_silent() {
    let mut settings = settings("a");
    settings.groups[0].requires = Requires::Fencing;
    let mut w = World::settled_with(settings);
    w.kill(0);
    w.nodes[0].running.remove("web");
    w.cut_all();
    w.boot(0);
    w.run(6000);
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
    assert!(w.status(0).unwrap().groups[0].why.contains("not confirmed to be down"), "{}", w.timeline());
}
