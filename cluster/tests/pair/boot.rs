//! Boot orders and failback.

use cluster::*;

use crate::ms;
use crate::world::{World, settings};

#[test]
fn two_that_boot_together_give_the_group_to_its_preferred_node() {
    for first in [0, 1] {
        let mut w = World::new();
        w.boot(first);
        w.run(3);
        w.boot(1 - first);
        w.run(5000);
        w.expect_owner(0);
        w.expect_no_overlap();
    }
}

#[test]
fn one_alone_waits_initdead_and_then_starts() {
    for alone in [0, 1] {
        let mut w = World::new();
        w.boot(alone);
        w.run(2900);
        assert_eq!(w.owner("g"), None);
        assert!(w.runs(alone).is_empty());
        w.run(200);
        w.expect_owner(alone);
    }
}

#[test]
fn a_late_comer_does_not_take_the_group_back() {
    let mut w = World::new();
    w.boot(1);
    w.run(4000);
    w.expect_owner(1);
    w.boot(0);
    w.run(5000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn with_auto_failback_the_preferred_node_gets_its_group_back_after_a_while() {
    let mut s = settings("a");
    s.failback = Failback::On { after: ms(2000), window: false };
    let mut w = World::with(s);
    w.boot(1);
    w.run(4000);
    w.boot(0);
    w.run(1900);
    w.expect_owner(1);
    w.run(300);
    w.expect_owner(0);
    w.expect_no_overlap();
}

#[test]
fn failback_waits_for_its_window() {
    let mut s = settings("a");
    s.failback = Failback::On { after: ms(0), window: true };
    let mut w = World::with(s);
    w.boot(1);
    w.run(4000);
    w.boot(0);
    w.run(5000);
    w.expect_owner(1);
    w.input(1, Input::FailbackWindow { open: true });
    w.run(500);
    w.expect_owner(0);
}

/// Whoever decides, and whatever the other knew by then: right after the start an order is carried out.
#[test]
fn an_order_right_after_a_start_together_is_carried_out() {
    let us = std::time::Duration::from_micros;
    for (preferred, first) in [("a", 0), ("a", 1), ("b", 0), ("b", 1)] {
        for (offset, look) in (0..25).flat_map(|offset| (1..25).map(move |look| (offset, look))) {
            let mut s = settings("a");
            s.groups[0].preferred = Some(preferred.to_owned());
            let mut w = World::with(s);
            (w.fsync, w.op_time) = (us(400), us(look * 70));
            w.boot(first);
            w.run_for(us(offset * 70));
            w.boot(1 - first);
            let home = usize::from(preferred == "b");
            w.run_until(5000, |w| w.owner("g").is_some());
            w.run(150);
            w.expect_owner(home);
            let to = w.nodes[1 - home].name.clone();
            let order = w.command(1 - home, Command::Move { group: "g".to_owned(), to: Some(to) });
            let ended = w.finish(order);
            assert!(
                matches!(ended, Reply::Done(_)),
                "offset {offset} look {look}: {ended:?}\n{}",
                w.timeline()
            );
            w.expect_owner(1 - home);
            w.expect_no_overlap();
        }
    }
}
