//! Failures that another attempt cannot mend: not installed, no permission, a configuration that cannot work.

use cluster::*;

use crate::world::{Mood, World, settings};
use crate::{done, ms};

fn looked_after() -> Settings {
    let mut settings = settings("a");
    let web = &mut settings.groups[0].resources[2];
    (web.monitor, web.restarts) = (Some(ms(1000)), 3);
    settings
}

fn boot_both(w: &mut World) {
    w.boot(0);
    w.boot(1);
    w.run(8000);
}

#[test]
fn what_cannot_work_here_is_not_restarted_here_and_goes_to_the_other_node() {
    let mut w = World::settled_with(looked_after());
    w.mood(0, "web", Mood::Hopeless);
    let from = w.log.len();
    w.run(3000);
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn what_cannot_work_here_is_not_restarted_here_even_if_nobody_else_is_there() {
    let mut w = World::settled_with(looked_after());
    w.power_off(1);
    w.run(3000);
    w.mood(0, "web", Mood::Hopeless);
    let from = w.log.len();
    w.run(20_000);
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    assert_eq!(w.status(0).unwrap().groups[0].state, "failed");
    w.mood(0, "web", Mood::Good);
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_start_that_cannot_work_anywhere_is_tried_on_one_node_only() {
    let mut w = World::with(looked_after());
    for n in 0..2 {
        w.mood(n, "web", Mood::Misconfigured);
    }
    boot_both(&mut w);
    assert_eq!(w.lines(0, "Start web").len(), 1, "{}", w.timeline());
    assert!(w.runs(0).is_empty() && w.runs(1).is_empty());
    let other = w.status(1).unwrap().degraded;
    let said = "g failed on a, and cannot work on any node as it is configured";
    assert!(other.iter().any(|line| line.contains(said)), "{other:?}");
    let why = w.nodes[1].core.as_ref().unwrap().why(w.now, "g").unwrap();
    assert!(
        why.iter().any(|line| line.contains("a says that it cannot work as it is configured")),
        "{why:?}"
    );
    for n in 0..2 {
        w.mood(n, "web", Mood::Good);
    }
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(2000);
    w.expect_owner(0);
}

#[test]
fn what_is_wrong_everywhere_is_forgotten_when_the_failure_expires() {
    let mut settings = looked_after();
    settings.groups[0].resources[2].failure_window = std::time::Duration::from_secs(60);
    let mut w = World::with(settings);
    w.mood(0, "web", Mood::Misconfigured);
    boot_both(&mut w);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    w.mood(0, "web", Mood::Good);
    w.run(70_000);
    w.expect_owner(w.owner("g").expect("tried again"));
}

#[test]
fn an_extra_that_cannot_work_moves_nothing_and_is_not_restarted() {
    let mut settings = looked_after();
    settings.groups[0].resources[2].on_fail = OnFail::Ignore;
    let mut w = World::settled_with(settings);
    w.mood(0, "web", Mood::Misconfigured);
    let from = w.log.len();
    w.run(5000);
    assert_eq!(w.owner("g"), Some(0), "{}", w.timeline());
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    assert!(!w.status(1).unwrap().degraded.iter().any(|d| d.contains("any node")));
}
