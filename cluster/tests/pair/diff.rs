//! Two configurations that differ, compared by name.

use cluster::*;

use crate::world::{World, settings};
use crate::{ms, refused};

/// A configuration of so many parts.
fn parts(count: usize) -> Vec<(String, u64)> {
    (0..count).map(|n| (format!("part{n:03}"), n as u64)).collect()
}

/// A pair whose node b has another configuration.
fn pair(here: Vec<(String, u64)>, there: Vec<(String, u64)>) -> World {
    let mut base = settings("a");
    (base.config_digest, base.config_parts) = (1, here);
    let mut w = World::settled_with(base);
    (w.settings.config_digest, w.settings.config_parts) = (2, there);
    w.reload(1);
    w.run(500);
    w
}

#[track_caller]
fn difference(reply: Reply) -> Difference {
    match reply {
        Reply::Difference(difference) => difference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_differs_is_named_and_nothing_moves() {
    let here = parts(100);
    let mut there = parts(99);
    there[17].1 = 4711;
    there.push(("zzz".to_owned(), 1));
    let mut w = pair(here, there);
    let began = w.now;
    let c = w.command(0, Command::Diff { node: None });
    let found = difference(w.finish(c));
    assert_eq!(found.peer, "b");
    assert_eq!(found.differs, ["part017"]);
    assert_eq!(found.only_here, ["part099"]);
    assert_eq!(found.only_there, ["zzz"]);
    assert!(w.now.since(began) < ms(500), "page after page, without waiting for heartbeats");
    w.run(2000);
    w.expect_owner(0);
}

#[test]
fn the_same_configuration_is_said_to_be_the_same() {
    let mut w = World::settled();
    let c = w.command(0, Command::Diff { node: Some("b".to_owned()) });
    assert_eq!(difference(w.finish(c)), Difference { peer: "b".to_owned(), ..Difference::default() });
}

#[test]
fn a_comparison_survives_loss_and_two_who_ask_at_once_are_both_told() {
    let mut w = pair(parts(40), parts(39));
    w.keep_one_in = 3;
    let asked = [(0, None), (0, Some("b".to_owned())), (1, None)];
    let commands = asked.map(|(n, node)| w.command(n, Command::Diff { node }));
    let found = commands.map(|c| difference(w.finish(c)));
    assert_eq!(found[0].only_here, ["part039"]);
    assert_eq!(found[1], found[0]);
    assert_eq!(found[2].only_there, ["part039"]);
}

#[test]
fn a_peer_that_is_gone_or_goes_is_not_waited_for_for_ever() {
    let mut w = pair(parts(40), parts(39));
    w.cut_all();
    let c = w.command(0, Command::Diff { node: None });
    assert!(refused(w.finish(c)).contains("b does not tell its configuration"));
    w.run(3000);
    let c = w.command(0, Command::Diff { node: None });
    assert!(refused(w.finish(c)).contains("b is dead"));
    let c = w.command(0, Command::Diff { node: Some("x".to_owned()) });
    assert!(refused(w.finish(c)).contains("there is no other node x"));
}
