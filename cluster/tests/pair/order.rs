//! Order beyond a list: groups after groups, resources side by side.

use cluster::*;

use crate::done;
use crate::world::{Mood, World, resource, settings};

/// `base`, and `top` that comes after it; `top` is first in the configuration.
fn two() -> Settings {
    let mut all = settings("a");
    let group = |name: &str, key, after: &[&str]| GroupSettings {
        name: name.to_owned(),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        resources: vec![
            resource(key, &format!("{name}1"), false),
            resource(key + 1, &format!("{name}2"), false),
        ],
        ..all.groups[0].clone()
    };
    all.groups = vec![group("top", 1, &["base"]), group("base", 11, &[])];
    all
}

fn settled(settings: Settings) -> World {
    let mut w = World::with(settings);
    w.boot(0);
    w.boot(1);
    w.run(6000);
    w
}

/// What was done on a node since a line of the record, in order: `Start top1`.
fn did(w: &World, from: usize, node: &str) -> Vec<String> {
    let word = |line: &String| {
        [" Start ", " Stop "].iter().find_map(|verb| {
            let mark = format!(" {node}{verb}");
            Some(line[line.find(&mark)? + mark.len() - verb.len() + 1..].to_owned())
        })
    };
    w.log[from..].iter().filter_map(word).collect()
}

#[test]
fn a_group_starts_after_those_it_names_and_stops_before_them() {
    let mut w = settled(two());
    assert_eq!(
        did(&w, 0, "a"),
        ["Start base1", "Start base2", "Start top1", "Start top2"],
        "{}",
        w.timeline()
    );
    let from = w.log.len();
    let c = w.command(0, Command::Standby { node: None, force: false });
    done(w.finish(c));
    assert_eq!(
        did(&w, from, "a"),
        ["Stop top2", "Stop top1", "Stop base2", "Stop base1"],
        "{}",
        w.timeline()
    );
    w.run(1000);
    assert_eq!(did(&w, from, "b"), ["Start base1", "Start base2", "Start top1", "Start top2"]);
    w.expect_no_overlap();
}

#[test]
fn a_group_is_content_with_one_that_runs_on_the_other_node() {
    let mut w = settled(two());
    let c = w.command(0, Command::Move { group: "base".to_owned(), to: None });
    done(w.finish(c));
    let c = w.command(0, Command::Move { group: "top".to_owned(), to: None });
    done(w.finish(c));
    let c = w.command(1, Command::Move { group: "top".to_owned(), to: None });
    done(w.finish(c));
    assert_eq!((w.owner("base"), w.owner("top")), (Some(1), Some(0)), "{}", w.timeline());
}

#[test]
fn a_group_that_waits_says_for_which() {
    let mut w = World::with(two());
    for n in 0..2 {
        w.mood(n, "base1", Mood::FailsStart);
    }
    w.boot(0);
    w.boot(1);
    w.run(10_000);
    assert!(w.runs(0).is_empty() && w.runs(1).is_empty(), "{}", w.timeline());
    let degraded = w.status(0).unwrap().degraded;
    assert!(degraded.iter().any(|d| d.contains("waits for group base to be started")), "{degraded:?}");
    w.mood(0, "base1", Mood::Good);
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(2000);
    assert_eq!((w.owner("base"), w.owner("top")), (Some(0), Some(0)), "{}", w.timeline());
}

#[test]
fn who_loses_a_dispute_stops_at_once_whatever_comes_after() {
    let mut w = settled(two());
    w.cut_all();
    w.run(3000);
    w.cut.clear();
    w.run(2000);
    for group in ["base", "top"] {
        assert!(w.owner(group).is_some(), "{group}\n{}", w.timeline());
    }
    assert_eq!(w.runs(0).len() + w.runs(1).len(), 4, "{}", w.timeline());
}

#[test]
fn what_may_go_side_by_side_is_one_operation() {
    let mut all = settings("a");
    all.groups[0].resources = vec![
        resource(1, "vip", true),
        ResourceSettings { parallel: true, ..resource(2, "x", false) },
        ResourceSettings { parallel: true, ..resource(3, "y", false) },
        resource(4, "z", false),
    ];
    let mut w = settled(all);
    assert_eq!(did(&w, 0, "a"), ["Start vip", "Start x y", "Start z"], "{}", w.timeline());
    let from = w.log.len();
    let c = w.command(0, Command::Standby { node: None, force: false });
    done(w.finish(c));
    assert_eq!(did(&w, from, "a"), ["Stop z", "Stop x y", "Stop vip"], "{}", w.timeline());
}

#[test]
fn one_of_several_side_by_side_that_fails_rolls_all_of_them_back() {
    let mut all = settings("a");
    all.groups[0].resources = ["x", "y"]
        .map(|name| ResourceSettings {
            parallel: true,
            ..resource(name.len() as u64 + u64::from(name.as_bytes()[0]), name, false)
        })
        .to_vec();
    let mut w = World::with(all);
    w.mood(0, "y", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(6000);
    assert_eq!(w.owner("g"), Some(1), "{}", w.timeline());
    assert!(w.runs(0).is_empty());
    w.expect_no_overlap();
}
