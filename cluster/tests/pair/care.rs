//! Resources that are looked after: monitored, restarted in place, moved, left alone; failures that expire.

use std::time::Duration;

use cluster::*;

use crate::world::{Mood, World, settings};
use crate::{done, ms};

/// The group with `web` looked at each second, and `web` and a `log` after it treated as told.
fn looked_after(change: impl FnOnce(&mut ResourceSettings)) -> Settings {
    let mut settings = settings("a");
    let resources = &mut settings.groups[0].resources;
    resources[2].monitor = Some(ms(1000));
    change(&mut resources[2]);
    settings
}

fn restarts(count: u32) -> impl FnOnce(&mut ResourceSettings) {
    move |web| web.restarts = count
}

/// Lets `web` die on node `n` and the world go on until it has been dealt with.
fn die_and_settle(w: &mut World, n: usize) {
    w.dies(n, "web");
    w.run(3000);
}

#[test]
fn a_started_resource_is_looked_at_at_once_and_then_at_its_interval() {
    let w = World::settled_with(looked_after(|_| {}));
    let started = w.log.iter().position(|line| line.contains("all resources are started")).unwrap();
    let looks = w.lines(started, "a Status web").len();
    assert!((2..=4).contains(&looks), "{looks} looks\n{}", w.timeline());
    assert!(w.lines(started, "Status vip").is_empty(), "addresses have no monitor of this kind");
}

#[test]
fn a_resource_that_dies_is_restarted_in_place() {
    let mut w = World::settled_with(looked_after(|_| {}));
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    w.expect_owner(0);
    assert_eq!(w.lines(from, "a Stop web").len(), 1, "{}", w.timeline());
    assert_eq!(w.lines(from, "a Start web").len(), 1, "{}", w.timeline());
    assert!(w.lines(from, "Stop vip").is_empty(), "what was started before it stays\n{}", w.timeline());
    let group = &w.status(0).unwrap().groups[0];
    assert_eq!((group.state.as_str(), group.resources[2].failures), ("started", 1));
    assert_eq!(group.resources[2].last_error.as_deref(), Some("it does not run any more"));
    assert!(w.status(0).unwrap().degraded.iter().any(|d| d.contains("web of g failed here, once so far")));
}

#[test]
fn what_was_started_after_it_is_restarted_with_it() {
    let mut settings = looked_after(|_| {});
    let mut log = settings.groups[0].resources[2].clone();
    (log.key, log.name, log.monitor) = (ResourceKey(4), "log".to_owned(), None);
    settings.groups[0].resources.push(log);
    let mut w = World::settled_with(settings);
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    let did: Vec<&str> = w.log[from..]
        .iter()
        .filter_map(|line| {
            ["a Stop ", "a Start "].iter().find_map(|verb| Some(&line[line.find(verb)? + 2..]))
        })
        .collect();
    assert_eq!(did, ["Stop log", "Stop web", "Start web", "Start log"], "{}", w.timeline());
    assert_eq!(w.owner("g"), Some(0));
}

#[test]
fn when_the_restarts_are_used_up_the_group_moves_and_does_not_come_back() {
    let mut w = World::settled_with(looked_after(restarts(2)));
    for _ in 0..2 {
        die_and_settle(&mut w, 0);
        w.expect_owner(0);
    }
    die_and_settle(&mut w, 0);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.status(0).unwrap().degraded.iter().any(|d| d.contains("g failed here")), "{}", w.timeline());
    w.power_off(1);
    w.run(5000);
    assert!(w.runs(0).is_empty(), "it rests\n{}", w.timeline());
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_group_that_failed_on_both_nodes_rests_until_its_failures_expire() {
    let window = Duration::from_secs(600);
    let mut w = World::settled_with(looked_after(|web| (web.restarts, web.failure_window) = (0, window)));
    die_and_settle(&mut w, 0);
    w.expect_owner(1);
    die_and_settle(&mut w, 1);
    for n in 0..2 {
        assert!(w.runs(n).is_empty(), "{}", w.timeline());
        assert_eq!(w.status(n).unwrap().groups[0].state, "failed");
    }
    w.run(590_000);
    assert!(w.runs(0).is_empty() && w.runs(1).is_empty(), "{}", w.timeline());
    w.run(20_000);
    let owner = w.owner("g").expect("tried again");
    w.expect_owner(owner);
    assert_eq!(w.status(owner).unwrap().groups[0].resources[2].failures, 0);
}

#[test]
fn with_nobody_else_there_it_is_restarted_with_growing_pauses() {
    let mut w = World::settled_with(looked_after(restarts(0)));
    w.power_off(1);
    w.run(5000);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        w.dies(0, "web");
        let before = w.now;
        w.run_until(100_000, |w| w.runs(0).contains(&"web"));
        pauses.push(w.now.since(before).as_millis() / 1000);
        w.run(500);
        assert_eq!(w.runs(0), ["vip1", "vip2", "web"], "the addresses stay\n{}", w.timeline());
    }
    assert!(pauses.windows(2).all(|two| two[0] < two[1]), "{pauses:?}");
    assert!(*pauses.last().unwrap() < 12, "{pauses:?}");
}

#[test]
fn a_failure_moves_at_once_where_that_is_asked_for() {
    let mut w = World::settled_with(looked_after(|web| web.on_fail = OnFail::Move));
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    w.expect_owner(1);
    assert!(w.lines(from, "a Start web").is_empty(), "{}", w.timeline());
}

#[test]
fn an_extra_that_fails_moves_nothing_and_is_seen_when_it_runs_again() {
    let mut w = World::settled_with(looked_after(|web| (web.on_fail, web.restarts) = (OnFail::Ignore, 0)));
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    assert_eq!(w.owner("g"), Some(0), "{}", w.timeline());
    assert!(w.lines(from, "a Start").is_empty() && w.lines(from, "a Stop").is_empty(), "{}", w.timeline());
    let degraded = w.status(0).unwrap().degraded;
    assert!(degraded.iter().any(|d| d.contains("left alone")), "{degraded:?}");
    w.nodes[0].running.insert("web".to_owned());
    w.run(2000);
    assert!(w.said("it runs again"), "{}", w.timeline());
    w.expect_owner(0);
}

#[test]
fn an_extra_that_does_not_start_keeps_nothing_from_starting() {
    let mut settings = looked_after(|web| (web.on_fail, web.restarts) = (OnFail::Ignore, 1));
    settings.groups[0].resources.swap(1, 2);
    let mut w = World::with(settings);
    w.mood(0, "web", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(8000);
    assert_eq!(w.owner("g"), Some(0), "{}", w.timeline());
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
    w.mood(0, "web", Mood::Good);
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(2000);
    w.expect_owner(0);
}

#[test]
fn an_extra_whose_failures_expire_during_maintenance_is_tried_again_after_it() {
    let window = Duration::from_secs(4);
    let extra = |web: &mut ResourceSettings| {
        (web.on_fail, web.restarts, web.failure_window) = (OnFail::Ignore, 0, window);
    };
    let mut w = World::settled_with(looked_after(extra));
    die_and_settle(&mut w, 0);
    w.command(0, Command::Maintenance { on: true });
    w.run_for(window * 2);
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
    w.command(0, Command::Maintenance { on: false });
    w.run(2000);
    w.expect_owner(0);
}

#[test]
fn an_extra_that_was_cleaned_up_during_maintenance_is_tried_again_after_it() {
    let extra = |web: &mut ResourceSettings| (web.on_fail, web.restarts) = (OnFail::Ignore, 0);
    let mut w = World::settled_with(looked_after(extra));
    die_and_settle(&mut w, 0);
    w.command(0, Command::Maintenance { on: true });
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
    w.command(0, Command::Maintenance { on: false });
    w.run(2000);
    w.expect_owner(0);
}

#[test]
fn a_failure_that_blocks_leaves_everything_for_the_operator() {
    let mut w = World::settled_with(looked_after(|web| web.on_fail = OnFail::Block));
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    w.run(10_000);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty(), "{}", w.timeline());
    assert_eq!(w.status(1).unwrap().groups[0].state, "blocked");
    assert!(w.status(0).unwrap().groups[0].why.contains("on_fail = block"));
}

#[test]
fn a_look_that_hangs_delays_no_handover() {
    let mut w = World::settled_with(looked_after(|web| web.status_timeout = Duration::from_secs(600)));
    w.mood(0, "web", Mood::HangsWhenLookedAt);
    w.run(3000);
    let c = w.command(0, Command::Standby { node: None, force: false });
    let before = w.now;
    done(w.finish(c));
    assert!(w.now.since(before) < ms(100), "{}", w.timeline());
    w.expect_owner(1);
    assert!(w.said("is ended"), "the look was cancelled\n{}", w.timeline());
}

#[test]
fn a_look_that_hangs_is_a_failure_at_its_timeout() {
    let mut w = World::settled_with(looked_after(restarts(0)));
    w.mood(0, "web", Mood::HangsWhenLookedAt);
    w.run(10_000);
    w.expect_owner(1);
    let error = w.status(0).unwrap().groups[0].resources[2].last_error.clone();
    assert_eq!(error.as_deref(), Some("it did not say within 5000 ms whether it runs"));
}

#[test]
fn in_maintenance_nothing_is_looked_at_and_nothing_done() {
    let mut w = World::settled_with(looked_after(|_| {}));
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(2000);
    let from = w.log.len();
    w.dies(0, "web");
    w.run(10_000);
    assert!(w.lines(from, "a Status").is_empty(), "{}", w.timeline());
    assert_eq!(w.runs(0), ["vip1", "vip2"]);
    let c = w.command(0, Command::Maintenance { on: false });
    done(w.finish(c));
    w.run(3000);
    w.expect_owner(0);
}

#[test]
fn a_failing_restart_uses_up_the_restarts_and_moves() {
    let mut w = World::settled_with(looked_after(restarts(3)));
    w.mood(0, "web", Mood::FailsStart);
    let from = w.log.len();
    die_and_settle(&mut w, 0);
    assert_eq!(w.lines(from, "a Start web").len(), 3, "{}", w.timeline());
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn a_stop_that_fails_on_the_way_to_a_restart_blocks() {
    let mut w = World::settled_with(looked_after(|_| {}));
    w.mood(0, "web", Mood::FailsStop);
    die_and_settle(&mut w, 0);
    assert_eq!(w.status(0).unwrap().groups[0].state, "blocked", "{}", w.timeline());
    assert!(w.runs(1).is_empty());
}

#[test]
fn failures_that_are_old_enough_are_forgotten() {
    let window = Duration::from_secs(60);
    let mut w = World::settled_with(looked_after(|web| (web.restarts, web.failure_window) = (1, window)));
    for _ in 0..4 {
        die_and_settle(&mut w, 0);
        w.expect_owner(0);
        w.run(60_000);
        assert_eq!(w.status(0).unwrap().groups[0].resources[2].failures, 0, "{}", w.timeline());
    }
}

#[test]
fn a_reload_during_a_restart_in_place_loses_nothing() {
    let mut w = World::settled_with(looked_after(restarts(0)));
    w.power_off(1);
    w.run(5000);
    w.dies(0, "web");
    w.run_until(5000, |w| w.said("restarted in 1 s"));
    let mut extra = w.settings.groups[0].resources[2].clone();
    (extra.key, extra.name) = (ResourceKey(9), "new".to_owned());
    w.settings.groups[0].resources.insert(0, extra);
    w.reload(0);
    w.run(5000);
    assert_eq!(w.owner("g"), Some(0), "{}", w.timeline());
    assert_eq!(w.runs(0), ["new", "vip1", "vip2", "web"]);
}

/// Its preferred node comes and goes: in the end the group stays where it is for a while.
#[test]
fn a_group_does_not_follow_a_flapping_preferred_node_for_ever() {
    let mut settings = settings("a");
    settings.failback = Failback::On { after: ms(1000), window: false };
    let mut w = World::settled_with(settings);
    let mut takes = Vec::new();
    for _ in 0..6 {
        w.power_off(0);
        w.run(3000);
        w.boot(0);
        w.run(6000);
        takes.push(w.owner("g"));
    }
    assert_eq!(takes, [Some(0), Some(0), Some(1), Some(1), Some(1), Some(1)], "{}", w.timeline());
    let degraded = w.status(1).unwrap().degraded;
    assert!(degraded.iter().any(|d| d.contains("taken here 3 times within an hour")), "{degraded:?}");
    w.run(3_600_000);
    w.expect_owner(0);
}

fn why(w: &World, n: usize) -> String {
    w.nodes[n].core.as_ref().unwrap().why(w.now, "g").unwrap().join("\n")
}

#[test]
fn why_tells_what_has_failed_and_what_the_next_failure_leads_to() {
    let mut w = World::settled_with(looked_after(restarts(2)));
    assert!(!why(&w, 0).contains("failed here"), "{}", why(&w, 0));
    die_and_settle(&mut w, 0);
    let said = why(&w, 0);
    let line = "web failed here once, last: it does not run any more; restarts in place left: 1 of 2; then its group moves; forgotten in 60 min";
    assert!(said.contains(line), "{said}");
    die_and_settle(&mut w, 0);
    die_and_settle(&mut w, 0);
    w.expect_owner(1);
    let said = why(&w, 0);
    assert!(said.contains("this node rests from it for 60 min, or until hbctl cleanup"), "{said}");
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(500);
    assert!(!why(&w, 0).contains("failed"), "{}", why(&w, 0));
}
