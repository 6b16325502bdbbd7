//! Operators' commands.

use cluster::*;

use crate::world::{Mood, World, settings};
use crate::{done, ms, refused};

#[test]
fn standby_hands_over_without_waiting_for_a_heartbeat() {
    let mut w = World::settled();
    let before = w.now;
    let c = w.command(0, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.now.since(before) < ms(20), "{:?}", w.now.since(before));
    w.run(3000);
    w.expect_owner(1);
    let c = w.command(0, Command::Online { node: None });
    done(w.finish(c));
    w.run(3000);
    w.expect_owner(1);
}

#[test]
fn standby_of_the_other_node_is_done_there() {
    let mut w = World::settled();
    let c = w.command(1, Command::Standby { node: Some("a".to_owned()), force: false });
    done(w.finish(c));
    w.expect_owner(1);
    assert!(w.status(0).unwrap().standby);
    let c = w.command(1, Command::Online { node: Some("a".to_owned()) });
    done(w.finish(c));
    w.run(200);
    assert!(!w.status(0).unwrap().standby);
}

#[test]
fn standby_survives_a_restart_and_starts_nothing() {
    let mut w = World::settled();
    let c = w.command(0, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.run(500);
    w.kill(0);
    w.run(200);
    w.boot(0);
    w.run(2000);
    assert!(w.status(0).unwrap().standby);
    w.power_off(1);
    w.run(5000);
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
}

#[test]
fn standby_with_nobody_to_take_over_is_refused_unless_forced() {
    let mut w = World::settled();
    w.power_off(1);
    w.run(2000);
    let c = w.command(0, Command::Standby { node: None, force: false });
    let why = refused(w.finish(c));
    assert!(why.contains("nobody can take g"), "{why}");
    assert!(why.contains("on a hbctl standby --force"), "{why}");
    w.expect_owner(0);
    let c = w.command(0, Command::Standby { node: None, force: true });
    done(w.finish(c));
    assert!(w.runs(0).is_empty());
}

#[test]
fn standby_is_given_up_when_the_heir_cannot_start() {
    let mut w = World::settled();
    w.mood(1, "web", Mood::FailsStart);
    let c = w.command(0, Command::Standby { node: None, force: false });
    let why = refused(w.finish(c));
    assert!(why.contains("given up"), "{why}");
    w.run(1000);
    w.expect_owner(0);
    w.expect_no_overlap();
    assert!(!w.status(0).unwrap().standby);
}

#[test]
fn move_takeover_and_failback_end_with_a_result() {
    let mut w = World::settled();
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: Some("b".to_owned()) });
    assert_eq!(done(w.finish(c)), "g is on b");
    w.expect_owner(1);
    let c = w.command(0, Command::Takeover { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    let c = w.command(1, Command::Takeover { groups: vec!["g".to_owned()] });
    done(w.finish(c));
    w.expect_owner(1);
    let c = w.command(1, Command::Failback { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: Some("a".to_owned()) });
    assert!(done(w.finish(c)).contains("already"));
    let c = w.command(0, Command::Move { group: "nix".to_owned(), to: None });
    assert!(refused(w.finish(c)).contains("there is no group nix"));
    w.expect_no_overlap();
}

#[test]
fn a_move_away_from_the_preferred_node_is_not_undone_by_auto_failback() {
    let mut s = settings("a");
    s.failback = Failback::On { after: ms(0), window: false };
    let mut w = World::with(s);
    w.boot(0);
    w.boot(1);
    w.run(3000);
    w.expect_owner(0);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    done(w.finish(c));
    w.run(5000);
    w.expect_owner(1);
    let c = w.command(1, Command::Failback { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    // After a standby, online brings it home.
    let c = w.command(0, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
    let c = w.command(0, Command::Online { node: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn two_orders_at_once_end_with_one_owner() {
    let mut w = World::settled();
    let one = w.command(0, Command::Standby { node: None, force: false });
    let two = w.command(1, Command::Standby { node: None, force: false });
    w.run(3000);
    assert!(w.verdict(one).is_some() && w.verdict(two).is_some(), "{}", w.timeline());
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn maintenance_freezes_both_nodes() {
    let mut w = World::settled();
    let c = w.command(1, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(500);
    assert!(w.status(0).unwrap().maintenance);
    let from = w.log.len();
    w.power_off(0);
    w.run(5000);
    assert!(w.runs(1).is_empty());
    assert!(w.lines(from, " Start ").is_empty());
    let c = w.command(1, Command::Maintenance { on: false });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

fn standby(force: bool) -> Command {
    Command::Standby { node: None, force }
}

#[test]
fn two_nodes_ordered_online_at_the_same_moment_start_a_group_once() {
    for requires in [Requires::Nothing, Requires::Fencing] {
        for home in ["a", "b"] {
            let mut s = settings("a");
            s.groups[0].requires = requires;
            let mut w = World::settled_with(s);
            let c = w.command(0, standby(true));
            done(w.finish(c));
            w.run(500);
            let c = w.command(1, standby(true));
            done(w.finish(c));
            w.run(500);
            assert!(w.runs(0).is_empty() && w.runs(1).is_empty());
            w.settings.groups[0].preferred = Some(home.to_owned());
            w.reload(0);
            w.reload(1);
            w.run(500);
            let from = w.log.len();
            w.command(0, Command::Online { node: None });
            w.command(1, Command::Online { node: None });
            w.run(2000);
            assert_eq!(w.lines(from, "Start web").len(), 1, "{}", w.timeline());
            w.expect_owner(w.owner("g").expect("an owner"));
            w.expect_no_overlap();
        }
    }
}

#[test]
fn a_node_forced_on_standby_during_a_start_starts_nothing_more() {
    let mut w = World::new();
    w.boot(0);
    w.boot(1);
    w.run_until(2000, |w| w.said("a Start vip1"));
    let from = w.log.len();
    let c = w.command(0, standby(true));
    done(w.finish(c));
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    w.run(2000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn the_operators_word_counts_for_a_node_that_left_with_something_it_could_not_stop() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    w.input(0, Input::Stop);
    w.run_until(2000, |w| w.nodes[0].exited);
    w.run(5000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    w.power_off(0);
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

#[test]
fn a_command_about_a_group_that_is_dropped_meanwhile_gets_its_last_word() {
    let mut w = World::settled();
    w.mood(1, "web", Mood::Hangs);
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(100);
    w.settings.groups.clear();
    w.reload(0);
    w.run(20_000);
    assert!(w.verdict(c).is_some(), "{}", w.timeline());
}

#[test]
fn a_node_that_could_not_stop_a_group_is_not_given_it() {
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    w.mood(0, "web", Mood::FailsStop);
    w.cut.clear();
    w.run(2000);
    // Both had it; a gave way, and could not stop it.
    let c = w.command(1, standby(false));
    assert!(refused(w.finish(c)).contains("nobody can take g"));
    w.mood(0, "web", Mood::Good);
    let c = w.command(1, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

#[test]
fn told_to_leave_in_maintenance_it_goes_and_what_runs_goes_on() {
    let mut w = World::settled();
    let from = w.log.len();
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(500);
    w.input(0, Input::Stop);
    w.run(1000);
    assert!(w.nodes[0].core.is_none(), "it does not wait for the end of maintenance\n{}", w.timeline());
    let runs: Vec<String> = w.runs(0).iter().map(|name| (*name).to_owned()).collect();
    assert!(!runs.is_empty(), "nothing was to be stopped\n{}", w.timeline());
    // It did not say that nothing runs there any more.
    w.run(3000);
    let seen = w.status(1).unwrap();
    assert_eq!(seen.nodes[0].state, "dead", "{}", w.timeline());
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    w.boot(0);
    w.run(3000);
    let c = w.command(0, Command::Maintenance { on: false });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
    w.expect_no_overlap();
    assert_eq!(w.runs(0), runs);
    assert!(w.lines(from, " Stop ").is_empty() && w.lines(from, " Start ").is_empty(), "{}", w.timeline());
}

#[test]
fn told_to_leave_in_maintenance_it_says_farewell_if_nothing_runs_there() {
    let mut w = World::settled();
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.input(1, Input::Stop);
    w.run(2000);
    assert!(w.nodes[1].core.is_none(), "{}", w.timeline());
    assert_eq!(w.status(0).unwrap().nodes[0].state, "left", "{}", w.timeline());
}

#[test]
fn a_group_that_is_being_given_up_is_not_here_already() {
    let mut w = World::settled();
    w.command(0, Command::Move { group: "g".to_owned(), to: None });
    let id = w.command(0, Command::Takeover { groups: Vec::new() });
    match w.finish(id) {
        Reply::Refused(why) => assert!(why.contains("g is stopping here"), "{why}"),
        other => panic!("{other:?}\n{}", w.timeline()),
    }
    w.run(2000);
    w.expect_owner(1);
}

#[test]
fn a_group_that_nobody_has_yet_is_not_moved_and_the_reason_is_this_nodes() {
    for name in ["move", "takeover", "failback"] {
        let mut w = World::new();
        w.boot(0);
        w.run(500);
        let order = match name {
            "move" => Command::Move { group: "g".to_owned(), to: None },
            "takeover" => Command::Takeover { groups: vec![] },
            _ => Command::Failback { groups: vec!["g".to_owned()] },
        };
        let c = w.command(0, order);
        let why = refused(w.finish(c));
        assert!(why.contains("this node is still joining; try again"), "{name}: {why}");
    }
}

#[test]
fn why_in_maintenance_names_it_for_the_other_node_too() {
    let mut w = World::settled();
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(1000);
    let why = w.nodes[0].core.as_ref().unwrap().why(w.now, "g").unwrap().join("\n");
    assert!(why.contains("b would not take it: the cluster is in maintenance"), "{why}");
}
