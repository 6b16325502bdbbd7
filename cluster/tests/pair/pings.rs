//! Ping points: they break ties, and are never a vote.

use cluster::*;

use crate::world::{World, fenced_settings, settings};
use crate::{done, ms};

fn pings(w: &mut World, n: usize, seen: u8) {
    w.input(n, Input::Pings { seen, total: 2 });
}

/// Settled, both nodes seeing both points.
fn seeing() -> World {
    seeing_with(settings("a"), 1000)
}

/// The same with these settings, so many milliseconds after.
fn seeing_with(s: Settings, after: u64) -> World {
    let mut w = World::settled_with(s);
    for n in [0, 1] {
        pings(&mut w, n, 2);
    }
    w.run(after);
    w
}

/// Both see both points, groups go home after so long, and the preferred node has just lost its group for seeing less.
fn moved_away(after: u64) -> World {
    let mut s = settings("a");
    s.failback = Failback::On { after: ms(after), window: false };
    let mut w = seeing_with(s, 500);
    pings(&mut w, 0, 0);
    w.run(5000);
    w.expect_owner(1);
    w
}

#[test]
fn who_sees_nothing_outside_takes_nothing_and_says_so() {
    let mut w = seeing();
    pings(&mut w, 1, 0);
    w.cut_all();
    w.run(10_000);
    w.expect_owner(0);
    let degraded = w.status(1).unwrap().degraded;
    assert!(degraded.iter().any(|line| line.contains("none of the 2 ping points")), "{degraded:?}");
    pings(&mut w, 1, 1);
    w.run(100);
    assert_eq!(w.runs(1).len(), 3, "it was the outside after all");
}

#[test]
fn the_operators_word_is_worth_more_than_a_ping() {
    let mut w = seeing();
    pings(&mut w, 1, 0);
    w.power_off(0);
    w.run(3000);
    assert_eq!(w.owner("g"), None);
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

#[test]
fn who_sees_nothing_outside_fences_nobody() {
    let mut w = World::settled_with(fenced_settings());
    pings(&mut w, 1, 0);
    w.cut_all();
    w.run(10_000);
    assert!(!w.said("fences"), "{}", w.timeline());
    w.expect_owner(0);
}

#[test]
fn an_owner_that_sees_less_hands_over_after_a_while() {
    let mut w = seeing();
    pings(&mut w, 0, 1);
    w.run(900);
    w.expect_owner(0);
    w.run(500);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.said("it sees 2 ping points, this node 1 of 2"));
    // A tie again: it stays.
    pings(&mut w, 0, 2);
    w.run(5000);
    w.expect_owner(1);
}

#[test]
fn nothing_is_handed_into_a_tie_or_for_a_moment() {
    let mut w = seeing();
    // The point itself is down: one node notices first.
    pings(&mut w, 0, 1);
    w.run(600);
    pings(&mut w, 1, 1);
    w.run(5000);
    w.expect_owner(0);
    for _ in 0..20 {
        pings(&mut w, 0, 0);
        w.run(700);
        pings(&mut w, 0, 1);
        w.run(700);
    }
    w.expect_owner(0);
    pings(&mut w, 0, 0);
    pings(&mut w, 1, 0);
    w.run(5000);
    w.expect_owner(0);
    assert!(!w.said("handed over"), "{}", w.timeline());
}

#[test]
fn an_owner_that_sees_more_keeps_and_a_standby_is_no_heir() {
    let mut w = seeing();
    pings(&mut w, 1, 0);
    w.run(5000);
    w.expect_owner(0);
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    pings(&mut w, 1, 2);
    pings(&mut w, 0, 0);
    w.run(5000);
    w.expect_owner(0);
}

#[test]
fn a_group_does_not_fail_back_to_a_node_that_sees_less() {
    let mut w = moved_away(100);
    pings(&mut w, 0, 2);
    w.run(3000);
    w.expect_owner(0);
    assert_eq!(w.lines(0, "handed over to").len(), 2, "{}", w.timeline());
}

#[test]
fn the_time_before_a_failback_begins_anew_when_the_preferred_node_sees_less_for_a_while() {
    let mut w = moved_away(6000);
    pings(&mut w, 0, 2);
    w.run(4000);
    pings(&mut w, 0, 1);
    w.run(1000);
    pings(&mut w, 0, 2);
    w.run(5800);
    w.expect_owner(1);
    w.run(500);
    w.expect_owner(0);
}

#[test]
fn why_and_status_name_the_points() {
    let mut w = seeing();
    pings(&mut w, 1, 1);
    w.run(500);
    let why = w.nodes[0].core.as_ref().unwrap().why(w.now, "g").unwrap();
    assert!(why.iter().any(|line| line.contains("this node sees 2 of 2 ping points, b 1 of 2")), "{why:?}");
    let degraded = w.status(1).unwrap().degraded;
    assert!(degraded.iter().any(|line| line.contains("1 of 2 ping points answer")), "{degraded:?}");
}

/// Points that come and go, now here, now there: in the end the group stays for longer and longer.
#[test]
fn points_that_flap_move_a_group_only_so_often_within_an_hour() {
    let mut w = seeing();
    let mut said = false;
    let end = w.now + std::time::Duration::from_secs(3600);
    while w.now < end {
        for n in [0, 1] {
            pings(&mut w, n, 1);
            pings(&mut w, 1 - n, 2);
            w.run(5000);
            let degraded = w.status(n).unwrap().degraded;
            said |= degraded.iter().any(|line| {
                line.contains("times within an hour") && line.contains("which sees more ping points")
            });
        }
    }
    let moves = w.lines(0, "handed over to").len();
    assert!((4..=40).contains(&moves), "{moves} changes within an hour");
    assert!(said, "the bound is shown when it is reached");
    w.expect_no_overlap();
    // What stays so moves it in the end all the same.
    let owner = w.owner("g").expect("an owner");
    pings(&mut w, owner, 0);
    w.run(3_700_000);
    w.expect_owner(1 - owner);
}
