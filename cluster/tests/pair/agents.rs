//! Agents that fail or hang, and what must be certain before a takeover.

use cluster::*;

use crate::world::{Mood, World, settings};
use crate::{done, refused};

#[test]
fn addresses_start_in_one_operation_and_stop_in_reverse() {
    let w = World::settled();
    let starts: Vec<_> =
        w.lines(0, "a Start").iter().map(|l| l.split("Start ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(starts, ["vip1 vip2", "web"]);
}

#[test]
fn a_failed_start_is_rolled_back_and_the_peer_gets_its_turn() {
    let mut w = World::new();
    w.mood(0, "web", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(5000);
    w.expect_owner(1);
    w.expect_no_overlap();
    w.mood(0, "web", Mood::Good);
    w.power_off(1);
    w.run(3000);
    assert!(w.runs(0).is_empty(), "a failed here and was not cleaned up");
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_group_that_failed_on_both_nodes_rests_and_says_so() {
    let mut w = World::new();
    w.mood(0, "web", Mood::FailsStart);
    w.mood(1, "web", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(20_000);
    assert_eq!(w.lines(0, "Start web").len(), 2, "{}", w.timeline());
    for n in 0..2 {
        let status = w.status(n).unwrap();
        assert_eq!(status.groups[0].state, "failed");
        assert_eq!(status.groups[0].owner, None);
        assert!(status.degraded.iter().any(|d| d.contains("failed to start here")), "{:?}", status.degraded);
    }
    w.mood(0, "web", Mood::Good);
    let c = w.command(1, Command::Cleanup { group: Some("g".to_owned()) });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_failed_stop_blocks_and_nothing_starts_elsewhere() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    assert!(refused(w.finish(c)).contains("could not be stopped"));
    w.run(5000);
    assert!(w.runs(1).is_empty());
    for n in 0..2 {
        assert_eq!(w.status(n).unwrap().groups[0].state, "blocked", "{}", w.timeline());
    }
    // Not even when the blocked node is lost.
    w.power_off(0);
    w.run(5000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    assert_eq!(w.status(1).unwrap().groups[0].state, "blocked");
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
}

#[test]
fn cleanup_after_a_failed_stop_looks_again() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    refused(w.finish(c));
    w.mood(0, "vip1", Mood::Good);
    let c = w.command(1, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(2000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn a_hung_agent_is_bounded_and_the_peer_gets_its_turn() {
    let mut w = World::new();
    w.mood(0, "web", Mood::Hangs);
    w.boot(0);
    w.boot(1);
    w.run(30_000);
    // It hung in start; its status and stop hang too, so a is blocked and says so.
    let status = w.status(1).unwrap();
    assert!(status.groups[0].state == "blocked" || w.owner("g") == Some(1), "{}", w.timeline());
    assert_eq!(w.status(1).unwrap().nodes[0].state, "up");
    w.expect_no_overlap();
}

#[test]
fn a_group_that_requires_fencing_waits_for_the_operators_word() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    let mut w = World::with(s);
    w.boot(0);
    w.boot(1);
    w.run(3000);
    w.expect_owner(0);
    w.power_off(0);
    w.run(10_000);
    assert!(w.runs(1).is_empty());
    let status = w.status(1).unwrap();
    assert_eq!(status.groups[0].state, "blocked");
    assert!(status.degraded.iter().any(|d| d.contains("hbctl fence-ack a")), "{:?}", status.degraded);
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
    w.boot(0);
    w.run(3000);
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    assert!(refused(w.finish(c)).contains("is up"));
}

/// It was taken after silence, and then its former owner says that it could not stop it: nothing more of it is started.
#[test]
fn what_is_being_started_goes_no_further_when_a_stop_has_failed_elsewhere() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    w.mood(1, "vip1", Mood::Hangs);
    w.cut_all();
    w.run_until(5000, |w| w.said("b group g: stopped -> starting"));
    let c = w.command(0, Command::Standby { node: None, force: true });
    w.run(200);
    w.cut.clear();
    w.run(500);
    assert!(w.verdict(c).is_some() || w.said("a group g: stopping -> blocked"), "{}", w.timeline());
    w.mood(1, "vip1", Mood::Good);
    w.run(6000);
    assert!(!w.said("b Start web"), "{}", w.timeline());
}

/// Two owners, one of which stops being one by a look at what runs: it does not go on speaking of two.
#[test]
fn a_dispute_that_ends_with_a_look_is_forgotten() {
    let mut settings = settings("a");
    let web = &mut settings.groups[0].resources[2];
    (web.monitor, web.on_fail) = (Some(std::time::Duration::from_millis(100)), OnFail::Block);
    let mut w = World::settled_with(settings);
    w.mood(0, "vip1", Mood::FailsStop);
    w.cut_all();
    w.run(3000);
    w.cut.clear();
    w.run_until(3000, |w| w.said("a group g: stopping -> blocked"));
    w.dies(1, "web");
    w.run_until(3000, |w| w.said("b group g: started -> blocked"));
    // Somebody stops the rest by hand, mends the other node, and has both looked at.
    for vip in ["vip1", "vip2"] {
        w.dies(1, vip);
    }
    w.mood(0, "vip1", Mood::Good);
    let c = w.command(1, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(6000);
    for n in 0..2 {
        let degraded = w.status(n).unwrap().degraded;
        assert!(!degraded.iter().any(|d| d.contains("two owners")), "{degraded:?}\n{}", w.timeline());
    }
}
