//! A witness: keys taken and given back, leases that end, a witness that is lost alone, and with a peer.

use std::time::Duration;

use cluster::*;

use crate::world::{Mood, World, witnessed_settings};
use crate::{done, ms};

const TTL: u64 = 3000;

fn settled() -> World {
    World::settled_with(witnessed_settings())
}

#[track_caller]
fn expect_status(w: &World, n: usize, text: &str) {
    let degraded = w.status(n).unwrap().degraded;
    assert!(degraded.iter().any(|line| line.contains(text)), "{degraded:?}\n{}", w.timeline());
}

fn good_for(w: &World, n: usize) -> Option<u64> {
    w.status(n).unwrap().witness.unwrap().good_for_ms
}

#[test]
fn nothing_starts_before_its_key_is_held() {
    let mut w = World::with(witnessed_settings());
    w.witness.down = true;
    w.boot(0);
    w.boot(1);
    w.run(20_000);
    assert!(w.runs(0).is_empty() && w.runs(1).is_empty(), "{}", w.timeline());
    expect_status(&w, 0, "this node has no lease on the witness: no answer in time");
    expect_status(&w, 1, "the witness has been lost for");
    w.witness.down = false;
    w.run(1500);
    w.expect_owner(0);
    assert_eq!(w.key().as_deref(), Some("a"));
    assert!(w.status(0).unwrap().degraded.is_empty(), "{:?}", w.status(0).unwrap().degraded);
}

#[test]
fn a_move_gives_the_key_back_first_and_is_fast() {
    let mut w = settled();
    let c = w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(100);
    done(w.finish(c));
    w.run(100);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert_eq!(w.key().as_deref(), Some("b"));
    assert!(!w.said("g has its key"), "{}", w.timeline());
}

#[test]
fn after_a_loss_the_peer_waits_for_the_end_of_the_lease() {
    let mut w = settled();
    w.power_off(0);
    let lost = w.now;
    while w.key().as_deref() == Some("a") {
        assert!(w.runs(1).is_empty(), "{}", w.timeline());
        w.run(5);
    }
    w.run_until(TTL, |w| w.owner("g") == Some(1));
    let took = w.now.since(lost).as_millis();
    assert!(took < 3400, "{took} ms\n{}", w.timeline());
    w.expect_owner(1);
    assert_eq!(w.key().as_deref(), Some("b"));
}

#[test]
fn who_waits_for_a_key_says_for_what_and_for_how_long() {
    let mut w = settled();
    w.power_off(0);
    w.run(1500);
    expect_status(&w, 1, "a is silent, and may run it without the witness for");
    let why = w.nodes[1].core.as_ref().unwrap().why(w.now, "g").unwrap();
    assert!(
        why.iter().any(|line| line.contains("this node has a lease on the witness, good for")),
        "{why:?}"
    );
}

#[test]
fn a_frozen_owner_is_reset_before_the_peer_takes_over() {
    let mut w = settled();
    w.freeze(0);
    w.run(2500);
    assert!(w.said("a is reset by its watchdog"), "{}", w.timeline());
    assert!(w.runs(0).is_empty());
    w.run(1500);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn without_a_watchdog_a_frozen_owner_stops_as_soon_as_it_wakes() {
    let mut s = witnessed_settings();
    s.witness.as_mut().unwrap().watchdog = None;
    let mut w = World::settled_with(s);
    w.freeze(0);
    w.run(6000);
    assert_eq!(w.runs(1).len(), 3);
    let from = w.log.len();
    w.thaw(0);
    w.run(50);
    w.expect_owner(1);
    assert!(!w.lines(from, "a group g: started -> stopping").is_empty(), "{}", w.timeline());
    assert!(w.lines(from, "a announces").is_empty(), "{}", w.timeline());
}

#[test]
fn the_loss_of_the_witness_alone_moves_nothing_and_is_said() {
    let mut w = settled();
    let from = w.log.len();
    w.witness.down = true;
    w.run(120_000);
    w.expect_owner(0);
    assert!(w.lines(from, "group g").is_empty(), "{}", w.timeline());
    expect_status(&w, 0, "g goes on without its lease because every other node is heard and waits");
    expect_status(&w, 1, "the witness has been lost for");
    let status = w.status(0).unwrap().witness.unwrap();
    assert_eq!((status.state.as_str(), status.groups[0].by.as_deref()), ("lost", Some("peers")));
    // It is back with what it had on disk, and every lease in it lives again.
    w.witness.store.restarted(w.now);
    w.witness.down = false;
    w.run(2000);
    w.expect_owner(0);
    assert_eq!(w.key().as_deref(), Some("a"));
    assert_eq!(w.status(0).unwrap().witness.unwrap().groups[0].by.as_deref(), Some("lease"));
    assert!(w.status(0).unwrap().degraded.is_empty(), "{}", w.timeline());
    assert!(w.lines(from, "reset").is_empty(), "{}", w.timeline());
}

#[test]
fn a_witness_that_has_forgotten_everything_is_told_anew() {
    let mut w = settled();
    w.witness.down = true;
    w.run(10_000);
    w.witness.store = crate::world::store::Store::default();
    w.witness.down = false;
    w.run(2000);
    w.expect_owner(0);
    assert_eq!(w.key().as_deref(), Some("a"));
    assert!(w.status(0).unwrap().degraded.is_empty(), "{}", w.timeline());
}

#[test]
fn losing_witness_and_peer_stops_the_group_in_time() {
    for witness_first in [true, false] {
        let mut w = settled();
        if witness_first {
            w.witness.down = true;
            w.run(30_000);
            w.cut_all();
        } else {
            w.cut_all();
            w.run(30_000);
            w.expect_owner(0);
            w.witness.down = true;
        }
        w.run(TTL * 98 / 100 - 100);
        assert!(w.runs(0).is_empty(), "{}", w.timeline());
        assert!(w.said("its lease on the witness is about to end, and b cannot be asked to wait"));
        w.run(30_000);
        assert!(w.runs(0).is_empty() && w.runs(1).is_empty(), "{}", w.timeline());
        w.cut.clear();
        w.witness.down = false;
        w.run(5000);
        w.expect_owner(0);
        w.expect_no_overlap();
        assert!(!w.said("reset by its watchdog"), "{}", w.timeline());
    }
}

#[test]
fn apart_with_a_good_witness_the_owner_keeps() {
    let mut w = settled();
    w.cut_all();
    w.run(30_000);
    w.expect_owner(0);
    expect_status(&w, 1, "a has its key on the witness");
    w.cut.clear();
    w.run(2000);
    w.expect_owner(0);
    assert_eq!(w.lines(0, "group g: stopped -> starting").len(), 1, "{}", w.timeline());
}

#[test]
fn an_owner_cut_off_from_everything_stops_and_then_the_peer_takes_over() {
    let mut w = settled();
    w.cut_all();
    w.witness.cut.insert(0);
    w.run(TTL * 98 / 100 - 100);
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
    w.run(1500);
    w.expect_owner(1);
    w.cut.clear();
    w.witness.cut.clear();
    w.run(3000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn an_owner_that_alone_has_lost_the_witness_goes_on() {
    let mut w = settled();
    w.witness.cut.insert(0);
    w.run(60_000);
    w.expect_owner(0);
    assert_eq!(w.key(), None, "the lease has ended");
    // Its peer, which could have the key, waits for as long as it hears it.
    assert_eq!(w.lines(0, "group g: stopped -> starting").len(), 1, "{}", w.timeline());
    w.witness.cut.clear();
    w.run(2000);
    w.expect_owner(0);
    assert_eq!(w.key().as_deref(), Some("a"));
}

#[test]
fn without_the_witness_a_peer_that_falls_silent_takes_only_when_the_owner_has_stopped() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut w = settled();
        w.witness.cut.insert(0);
        w.run(10_000);
        for link in 0..2 {
            w.cut.insert((from, to, link));
        }
        w.run(20_000);
        // Whichever direction is cut, the owner cannot know that its peer waits.
        w.expect_owner(1);
        w.expect_no_overlap();
    }
}

#[test]
fn a_request_without_an_answer_is_no_success_even_if_it_was_one() {
    let mut w = World::with(witnessed_settings());
    w.boot(0);
    w.boot(1);
    w.run_until(5000, |w| w.said("a asks the witness: Take"));
    w.witness.mute.insert(0);
    w.run(700);
    assert_eq!(w.key().as_deref(), Some("a"), "it was done");
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
    w.witness.mute.clear();
    w.run(6000);
    assert!(w.owner("g").is_some(), "{}", w.timeline());
    w.expect_no_overlap();
}

#[test]
fn the_lease_is_counted_from_the_request() {
    let mut w = settled();
    w.witness.delay = ms(200);
    w.run(2000);
    for _ in 0..300 {
        w.run(10);
        let lease = w.witness.store.leases.values().next().unwrap().until;
        let truth = u64::try_from(lease.since(w.now).as_millis()).unwrap();
        let said = good_for(&w, 0).unwrap();
        assert!(said + 200 <= truth, "{said} ms said, {truth} ms in truth");
    }
}

#[test]
fn the_next_life_of_a_daemon_has_the_key_without_a_gap() {
    let mut w = settled();
    let before = w.witness.store.keys["g"].clone();
    w.kill(0);
    w.run(300);
    w.boot(0);
    for _ in 0..500 {
        assert_eq!(w.key().as_deref(), Some("a"), "{}", w.timeline());
        assert_eq!(w.runs(0).len(), 3, "{}", w.timeline());
        w.run(20);
    }
    w.expect_owner(0);
    let after = &w.witness.store.keys["g"];
    assert!(after.1 != before.1 && after.0.epoch > before.0.epoch, "{before:?} {after:?}");
    assert!(!w.said("reset by its watchdog"), "{}", w.timeline());
}

#[test]
fn the_next_life_of_a_daemon_gives_way_to_who_has_the_key() {
    let mut s = witnessed_settings();
    s.witness.as_mut().unwrap().watchdog = None;
    let mut w = World::settled_with(s);
    w.cut_all();
    w.kill(0);
    w.run(5000);
    assert_eq!(w.runs(1).len(), 3, "{}", w.timeline());
    w.boot(0);
    w.run(100);
    w.expect_owner(1);
    assert!(w.said("b has its key on the witness"), "{}", w.timeline());
}

#[test]
fn a_daemon_restarted_while_the_witness_is_lost_keeps_what_runs_if_its_peer_waits() {
    let mut w = settled();
    w.witness.down = true;
    w.run(20_000);
    w.kill(0);
    w.run(200);
    w.boot(0);
    w.run(30_000);
    w.expect_owner(0);
    assert!(!w.said("started -> stopping"), "{}", w.timeline());
}

#[test]
fn a_stop_that_fails_at_the_end_of_a_lease_ends_with_the_watchdog() {
    let mut w = settled();
    w.mood(0, "web", Mood::FailsStop);
    w.cut_all();
    w.witness.cut.insert(0);
    w.run(2900);
    assert!(w.said("a is reset by its watchdog"), "{}", w.timeline());
    assert!(w.runs(0).is_empty());
    w.run(1500);
    w.expect_no_overlap();
    // It was not heard that the stop had failed, and the watchdog saw to it.
    w.expect_owner(1);
}

#[test]
fn who_has_stopped_in_time_is_not_reset_while_its_key_cannot_be_given_back() {
    let mut s = witnessed_settings();
    s.witness = Some(WitnessSettings { ttl: ms(12_000), watchdog: Some(ms(4000)) });
    let mut w = World::settled_with(s);
    w.cut_all();
    w.witness.cut.insert(0);
    // The answer to the farewell is waited for until after the time at which the watchdog would bite.
    w.run(30_000);
    assert!(w.runs(0).is_empty() && !w.said("reset by its watchdog"), "{}", w.timeline());
}

#[test]
fn without_a_watchdog_what_runs_past_its_lease_is_shouted() {
    let mut s = witnessed_settings();
    s.witness.as_mut().unwrap().watchdog = None;
    let mut w = World::settled_with(s);
    expect_status(&w, 0, "without a [watchdog] it may run on past that");
    w.mood(0, "web", Mood::FailsStop);
    w.cut_all();
    w.witness.cut.insert(0);
    w.run(4000);
    expect_status(&w, 0, "something of g may run here past its lease");
}

#[test]
fn in_maintenance_what_loses_witness_and_peer_is_stopped_all_the_same() {
    let mut w = settled();
    let c = w.command(0, Command::Maintenance { on: true });
    done(w.finish(c));
    w.witness.down = true;
    w.run(20_000);
    w.expect_owner(0);
    w.cut_all();
    w.run(3000);
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
}

#[test]
fn addresses_of_a_lone_owner_end_by_themselves_too() {
    let mut w = settled();
    w.power_off(1);
    w.run(5000);
    assert_eq!(w.nodes[0].leases.len(), 2, "{}", w.timeline());
}

fn three() -> World {
    three_with(Failback::Off)
}

fn three_with(failback: Failback) -> World {
    let mut s = witnessed_settings();
    s.failback = failback;
    s.nodes.push("c".to_owned());
    let mut w = World::with(s);
    (0..3).for_each(|n| w.boot(n));
    w.run_until(5000, |w| w.owner("g") == Some(0));
    w.run(2000);
    w
}

#[test]
fn of_three_nodes_the_next_one_takes_over_in_order_of_the_configuration() {
    let mut w = three();
    w.power_off(0);
    w.run(5000);
    w.expect_owner(1);
    w.power_off(1);
    w.run(5000);
    w.expect_owner(2);
    w.boot(0);
    w.boot(1);
    w.run(5000);
    w.expect_owner(2);
    w.expect_no_overlap();
}

#[test]
fn where_the_first_cannot_start_it_the_next_does() {
    let mut w = three();
    w.mood(1, "web", Mood::FailsStart);
    w.power_off(0);
    w.run(7000);
    w.expect_owner(2);
    w.expect_no_overlap();
}

#[test]
fn of_three_nodes_an_order_past_the_preferred_one_is_not_undone_by_auto_failback() {
    let mut w = three_with(Failback::On { after: ms(10_000), window: false });
    w.power_off(0);
    w.run(5000);
    w.expect_owner(1);
    w.boot(0);
    w.run(5000);
    let id = w.command(1, Command::Move { group: "g".to_owned(), to: Some("c".to_owned()) });
    assert!(matches!(w.finish(id), Reply::Done(_)), "{}", w.timeline());
    w.run(20_000);
    w.expect_owner(2);
    // What the order was about is over when the preferred node was away.
    w.power_off(0);
    w.run(5000);
    w.boot(0);
    w.run(20_000);
    w.expect_owner(0);
}

#[test]
fn of_three_nodes_a_minority_cut_off_with_the_witness_lost_stops() {
    let mut w = three();
    w.witness.down = true;
    w.run(20_000);
    w.expect_owner(0);
    w.cut_off(2);
    w.run(4000);
    assert!(w.runs(0).is_empty(), "one of the others can no longer be asked\n{}", w.timeline());
    w.cut.clear();
    w.witness.down = false;
    w.run(5000);
    assert!(w.owner("g").is_some(), "{}", w.timeline());
    w.expect_no_overlap();
}

#[test]
fn a_reload_that_asks_for_the_witness_stops_nothing() {
    let mut s = witnessed_settings();
    s.groups[0].requires = Requires::Nothing;
    let mut w = World::settled_with(s);
    w.settings.groups[0].requires = Requires::Witness;
    w.reload(0);
    w.reload(1);
    w.run(10_000);
    w.expect_owner(0);
    assert_eq!(w.key().as_deref(), Some("a"));
    assert!(!w.said("started -> stopping"), "{}", w.timeline());
}

#[test]
fn a_pair_with_nothing_to_ask_asks_nothing() {
    let mut w = World::settled();
    w.run(10_000);
    assert_eq!(w.witness.seen, 0);
    assert!(w.status(0).unwrap().witness.is_none());
    assert!(w.nodes[0].core.as_ref().unwrap().may_pet(w.now));
}

#[test]
fn a_lone_node_keeps_its_group_while_the_witness_is_there() {
    let mut w = settled();
    w.power_off(1);
    w.run(60_000);
    w.expect_owner(0);
    assert!(w.witness.seen > 60, "{}", w.witness.seen);
    assert!(Duration::from_millis(good_for(&w, 0).unwrap()) > ms(2000));
}
