//! A daemon that was frozen looks before it acts.

use cluster::*;

use crate::done;
use crate::world::{World, settings};

#[test]
fn a_frozen_owner_looks_first_and_gives_way() {
    let mut w = World::settled();
    w.freeze(0);
    w.run(3000);
    assert_eq!(w.runs(1).len(), 3);
    let from = w.log.len();
    w.thaw(0);
    w.run(2000);
    w.expect_owner(1);
    assert!(w.lines(from, "a Start").is_empty(), "{}", w.timeline());
    assert!(w.lines(from, "a announces").is_empty(), "{}", w.timeline());
    assert!(w.said("this process was away"));
}

#[test]
fn a_frozen_owner_that_nobody_replaced_puts_its_addresses_back() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    let mut w = World::settled_with(s);
    w.freeze(0);
    w.run(3000);
    assert_eq!(w.runs(0), ["web"]);
    w.thaw(0);
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(0, "a Stop").is_empty());
}

#[test]
fn a_frozen_owner_keeps_its_addresses_if_nobody_could_take_them() {
    let mut w = World::settled();
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.run(500);
    w.freeze(0);
    w.run(3000);
    assert_eq!(w.runs(0), ["vip1", "vip2", "web"]);
    w.thaw(0);
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(0, "a Stop").is_empty());
}

#[test]
fn a_frozen_standby_does_not_take_over_when_it_wakes() {
    let mut w = World::settled();
    let from = w.log.len();
    w.freeze(1);
    w.run(5000);
    w.thaw(1);
    w.run(3000);
    w.expect_owner(0);
    assert!(w.lines(from, "b Start").is_empty());
}

#[test]
fn the_status_after_a_pause_says_when_the_peer_was_really_heard() {
    let mut w = World::settled();
    w.freeze(1);
    w.power_off(0);
    w.run(2500);
    w.thaw(1);
    w.run(10);
    let status = w.status(1).unwrap();
    assert_eq!(status.nodes[0].state, "up", "it is given the time to be heard");
    assert!(status.nodes[0].last_heard_ms.unwrap() >= 2500, "{:?}", status.nodes[0]);
    for link in &status.nodes[0].links {
        assert!(link.last_heard_ms.unwrap() >= 2500, "{link:?}");
    }
    w.run(1100);
    w.expect_owner(1);
}

/// Two owners at the moment of the pause, and the other one has stopped when it is over: not a word to the neighbours before the
/// look at what is left.
#[test]
fn a_dispute_that_ends_during_a_doubt_announces_nothing() {
    let mut w = World::settled();
    w.cut_all();
    w.run_until(5000, |w| w.owner("g").is_none() && w.runs(1).len() == 3);
    w.cut.clear();
    w.run_until(2000, |w| w.said("this node keeps it"));
    let keeper = usize::from(w.said("b group g: two owners: this node keeps it"));
    w.freeze(keeper);
    w.run(900);
    let from = w.log.len();
    w.thaw(keeper);
    w.run(3000);
    let me = if keeper == 0 { "a" } else { "b" };
    let first = |what: &str| w.log[from..].iter().position(|line| line.contains(&format!(" {me} {what}")));
    if let (Some(announced), Some(looked)) = (first("announces"), first("Status")) {
        assert!(looked < announced, "{}", w.timeline());
    }
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
}
