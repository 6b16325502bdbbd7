//! Interfaces that carry nothing, addresses that somebody else sets or removes.

use std::time::Duration;

use cluster::*;

use crate::world::{World, settings};
use crate::{done, ms};

const VIP1: ResourceKey = ResourceKey(1);
const VIP2: ResourceKey = ResourceKey(2);

/// Node `n` sees the interface of vip1 without a carrier, or with one.
fn link(w: &mut World, n: usize, up: bool) {
    let cut = if up { Vec::new() } else { vec![(VIP1, "eth0 has no carrier".to_owned())] };
    w.input(n, Input::Ground(Ground { cut: cut.into_iter().collect(), ..Ground::default() }));
}

/// Node `n` sees these addresses set by somebody else.
fn strange(w: &mut World, n: usize, keys: &[ResourceKey]) {
    w.input(n, Input::Ground(Ground { strange: keys.iter().copied().collect(), ..Ground::default() }));
}

fn put_back(w: &mut World, n: usize) {
    w.input(n, Input::PutBack { resources: vec![VIP1] });
}

/// The settings with `web` changed.
fn with_web(change: impl Fn(&mut ResourceSettings)) -> Settings {
    let mut s = settings("a");
    change(&mut s.groups[0].resources[2]);
    s
}

#[test]
fn a_group_leaves_a_node_whose_interface_carries_nothing() {
    let mut w = World::settled();
    link(&mut w, 0, false);
    w.run(250);
    w.expect_owner(0);
    w.run(150);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.said("handed over to b: eth0 has no carrier"), "{}", w.timeline());
    let why = w.nodes[0].core.as_ref().unwrap().why(w.now, "g").unwrap();
    assert!(why.iter().any(|line| line.contains("would not take it: eth0 has no carrier")), "{why:?}");
    // Back: it stays where it is, and can go back.
    link(&mut w, 0, true);
    w.run(3000);
    w.expect_owner(1);
    let c = w.command(1, Command::Move { group: "g".to_owned(), to: None });
    done(w.finish(c));
    w.run(100);
    w.expect_owner(0);
}

#[test]
fn a_moment_without_a_carrier_is_nothing() {
    let mut w = World::settled();
    for _ in 0..50 {
        link(&mut w, 0, false);
        w.run(200);
        link(&mut w, 0, true);
        w.run(50);
    }
    w.expect_owner(0);
    assert!(!w.said("handed over"), "{}", w.timeline());
}

/// Interfaces that fail in turns: the third time within an hour it takes half a minute, which is told.
#[test]
fn a_group_that_was_taken_often_leaves_an_interface_late_and_says_so() {
    let mut w = World::settled();
    for turn in 0..5 {
        let from = turn % 2;
        w.expect_owner(from);
        link(&mut w, from, false);
        w.run(2000);
        link(&mut w, from, true);
        w.run(1000);
    }
    let owner = w.owner("g").unwrap();
    link(&mut w, owner, false);
    w.run(2000);
    w.expect_owner(owner);
    let degraded = w.status(owner).unwrap().degraded;
    let told =
        "g was taken here 3 times within an hour: it leaves an interface without a link only after 30 s";
    assert!(degraded.iter().any(|line| line == told), "{degraded:?}");
    w.run(30_000);
    w.expect_owner(1 - owner);
}

#[test]
fn two_that_are_cut_off_leave_it_where_it_is() {
    let mut w = World::settled();
    link(&mut w, 1, false);
    w.run(100);
    link(&mut w, 0, false);
    w.run(60_000);
    w.expect_owner(0);
    let degraded = w.status(0).unwrap().degraded;
    assert!(
        degraded.iter().any(|line| line == "g: eth0 has no carrier, so this node has it all the same"),
        "{degraded:?}"
    );
    // The first one that has a carrier again gets it.
    link(&mut w, 1, true);
    w.run(500);
    w.expect_owner(1);
    link(&mut w, 0, true);
    w.run(5000);
    w.expect_owner(1);
    assert_eq!(w.lines(0, "handed over to").len(), 1, "{}", w.timeline());
}

#[test]
fn a_lone_node_keeps_it() {
    let mut w = World::settled();
    w.power_off(1);
    w.run(2000);
    link(&mut w, 0, false);
    w.run(60_000);
    assert_eq!(w.runs(0).len(), 3);
    // And one on standby is no heir.
    let mut w = World::settled();
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    link(&mut w, 0, false);
    w.run(5000);
    w.expect_owner(0);
}

#[test]
fn who_has_no_carrier_takes_nothing_before_it_has() {
    let mut w = World::settled();
    link(&mut w, 1, false);
    w.power_off(0);
    w.run(10_000);
    assert!(w.runs(1).is_empty());
    let status = w.status(1).unwrap();
    assert!(
        status
            .degraded
            .iter()
            .any(|line| line
                .contains("g is not started: eth0 has no carrier here, and nobody else can take it")),
        "{:?}",
        status.degraded
    );
    link(&mut w, 1, true);
    w.run(50);
    w.expect_owner(1);
}

#[test]
fn an_interface_that_comes_and_goes_moves_the_group_a_few_times_and_then_seldom() {
    let mut s = settings("a");
    s.failback = Failback::On { after: Duration::ZERO, window: false };
    let mut w = World::settled_with(s);
    for _ in 0..300 {
        link(&mut w, 0, false);
        w.run(1000);
        link(&mut w, 0, true);
        w.run(1000);
    }
    let moves = w.lines(0, "handed over to").len();
    assert!((3..=8).contains(&moves), "{moves} moves in ten minutes\n{}", w.timeline());
}

/// The preferred node has to be able to have the group for as long as that, not only to be up.
#[test]
fn the_time_before_a_failback_begins_anew_with_each_loss_of_the_link() {
    let mut s = settings("a");
    s.failback = Failback::On { after: ms(5000), window: false };
    let mut w = World::settled_with(s);
    w.run(10_000);
    for _ in 0..3 {
        link(&mut w, 0, false);
        w.run(1500);
        w.expect_owner(1);
        link(&mut w, 0, true);
        w.run(4800);
        w.expect_owner(1);
    }
    w.run(500);
    w.expect_owner(0);
    w.expect_no_overlap();
}

#[test]
fn where_it_does_not_matter_nothing_moves() {
    let mut s = settings("a");
    s.groups[0].link_monitor = None;
    let mut w = World::settled_with(s.clone());
    link(&mut w, 0, false);
    w.run(5000);
    w.expect_owner(0);
    // Until the configuration says that it does.
    w.settings.groups[0].link_monitor = Some(ms(300));
    w.reload(0);
    w.reload(1);
    w.run(1000);
    w.expect_owner(1);
}

#[test]
fn nothing_moves_for_it_in_maintenance() {
    let mut w = World::settled();
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(100);
    link(&mut w, 0, false);
    strange(&mut w, 1, &[VIP1]);
    w.run(5000);
    w.expect_owner(0);
    assert!(!w.said("evicts"), "{}", w.timeline());
    let c = w.command(0, Command::Maintenance { on: false });
    done(w.finish(c));
    w.run(100);
    assert!(w.said("evicts"), "{}", w.timeline());
}

#[test]
fn what_somebody_sets_on_the_standby_is_removed_and_told() {
    let mut w = World::settled();
    strange(&mut w, 1, &[VIP1, VIP2]);
    assert_eq!(w.lines(0, "evicts vip1: a has group g").len(), 1, "{}", w.timeline());
    assert_eq!(w.lines(0, "evicts vip2").len(), 1);
    // Once: what the driver does not tell again is gone.
    w.run(5000);
    assert_eq!(w.lines(0, "evicts").len(), 2);
    strange(&mut w, 1, &[VIP2]);
    assert_eq!(w.lines(0, "evicts vip2").len(), 2);
}

#[test]
fn nothing_is_removed_where_nobody_else_has_the_group_nor_from_its_owner() {
    let mut w = World::settled();
    strange(&mut w, 0, &[VIP1]);
    w.run(2000);
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.power_off(0);
    w.run(3000);
    strange(&mut w, 1, &[VIP1]);
    w.run(5000);
    assert!(!w.said("evicts"), "{}", w.timeline());
    let degraded = w.status(1).unwrap().degraded;
    assert!(
        degraded.iter().any(|line| line.starts_with("an address of g set here by somebody else")),
        "{degraded:?}"
    );
    // Taken: what is there becomes this node's own.
    let c = w.command(1, Command::Online { node: None });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
    assert!(!w.said("evicts"), "{}", w.timeline());
    assert!(!w.status(1).unwrap().degraded.iter().any(|line| line.contains("somebody else")));
}

#[test]
fn what_goes_with_an_address_is_looked_at_and_started_again() {
    let mut w = World::settled_with(with_web(|web| web.follows = true));
    let from = w.log.len();
    // It is still there.
    put_back(&mut w, 0);
    w.run(100);
    assert_eq!(w.lines(from, "Status web").len(), 1, "{}", w.timeline());
    assert!(w.lines(from, "Start").is_empty());
    w.dies(0, "web");
    put_back(&mut w, 0);
    w.run(100);
    w.expect_owner(0);
    assert!(w.said("web went with an address that was removed, and is started again"), "{}", w.timeline());
    let status = w.status(0).unwrap();
    assert_eq!(status.groups[0].resources[2].failures, 0, "that is not its failure");
    // Not for ever.
    for _ in 0..12 {
        w.dies(0, "web");
        put_back(&mut w, 0);
        w.run(100);
    }
    assert!(w.said("found failed"), "{}", w.timeline());
}

#[test]
fn what_is_gone_is_started_again_from_the_first_on() {
    let mut s = with_web(|web| web.follows = true);
    s.groups[0]
        .resources
        .push(ResourceSettings { follows: true, ..crate::world::resource(4, "route", false) });
    let mut w = World::settled_with(s);
    w.dies(0, "web");
    w.dies(0, "route");
    let from = w.log.len();
    put_back(&mut w, 0);
    w.run(100);
    let done: Vec<&str> = ["Status web", "Stop route", "Stop web", "Start web", "Start route"].into();
    let seen: Vec<&String> =
        w.log[from..].iter().filter(|line| done.iter().any(|d| line.contains(d))).collect();
    assert_eq!(seen.len(), done.len(), "{seen:?}");
    assert!(seen.iter().zip(&done).all(|(seen, done)| seen.contains(done)), "{seen:?}");
    assert!(w.runs(0).contains(&"route"));
}

#[test]
fn other_resources_are_not_asked_unless_they_are_looked_after() {
    let mut w = World::settled();
    let from = w.log.len();
    put_back(&mut w, 0);
    w.run(100);
    assert!(w.lines(from, "Status web").is_empty(), "{}", w.timeline());
    let mut w = World::settled_with(with_web(|web| web.monitor = Some(Duration::from_secs(60))));
    let from = w.log.len();
    put_back(&mut w, 0);
    w.run(100);
    assert_eq!(w.lines(from, "Status web").len(), 1, "{}", w.timeline());
}

#[test]
fn a_peer_that_is_back_has_the_addresses_announced_again() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    let mut w = World::settled_with(s);
    w.cut_all();
    w.run(3000);
    let from = w.log.len();
    w.cut.clear();
    w.run(500);
    assert_eq!(w.lines(from, "announces g").len(), 1, "{}", w.timeline());
    w.expect_owner(0);
    // Of two owners only the one that keeps it, once the other has stopped.
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    let from = w.log.len();
    w.cut.clear();
    w.run(1000);
    assert_eq!(w.lines(from, "announces g").len(), 1, "{}", w.timeline());
}
