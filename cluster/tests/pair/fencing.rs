//! What must be down for certain is made so: fence devices that work, fail, lie; delays; bounds.

use cluster::*;

use crate::world::{Device, Mood, World, fenced_settings};
use crate::{done, ms, refused};

#[track_caller]
fn expect_status(w: &World, n: usize, text: &str) {
    let degraded = w.status(n).unwrap().degraded;
    assert!(degraded.iter().any(|line| line.contains(text)), "{degraded:?}\n{}", w.timeline());
}

#[test]
fn a_group_is_taken_only_after_the_device_has_confirmed() {
    let mut w = World::settled_with(fenced_settings());
    w.cut_all();
    w.run(1100);
    assert!(w.said("b fences a"), "{}", w.timeline());
    assert!(w.runs(1).is_empty() && w.runs(0).len() == 3);
    expect_status(&w, 1, "it is being fenced");
    w.run(400);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.said("fence a: running -> idle: device confirms"));
    let why = w.nodes[1].core.as_ref().unwrap().why(w.now, "g").unwrap();
    assert!(why.iter().any(|line| line.contains("down for certain: device says so")), "{why:?}");
}

#[test]
fn a_failed_or_timed_out_fence_is_no_success_even_if_it_was_one() {
    for device in [Device::Fails, Device::WorksUnsaid] {
        let mut w = World::settled_with(fenced_settings());
        w.devices.insert(0, device);
        w.cut_all();
        w.run(4000);
        assert!(w.runs(1).is_empty(), "{}", w.timeline());
        expect_status(&w, 1, "fencing it failed (timed out)");
        expect_status(&w, 1, "hbctl fence-ack a");
        w.devices.insert(0, Device::Works);
        w.run(5000);
        w.expect_owner(1);
        w.expect_no_overlap();
    }
}

#[test]
fn attempts_that_fail_come_at_growing_intervals() {
    let mut w = World::settled_with(fenced_settings());
    w.devices.insert(0, Device::Fails);
    w.power_off(0);
    w.run(600_000);
    let tries = w.lines(0, "b fences a").len();
    assert!((8..=14).contains(&tries), "{tries}");
    let c = w.command(1, Command::FenceAck { node: "a".to_owned() });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
}

#[test]
fn who_is_heard_again_before_its_delay_is_over_is_not_fenced() {
    let mut s = fenced_settings();
    s.fences[0].delay = ms(2000);
    let mut w = World::settled_with(s);
    w.cut_all();
    w.run(2500);
    expect_status(&w, 1, "it will be fenced after its delay");
    w.cut.clear();
    w.run(3000);
    assert!(!w.said("b fences a"), "{}", w.timeline());
    w.expect_owner(0);
}

#[test]
fn two_nodes_with_delays_apart_do_not_shoot_each_other() {
    let mut s = fenced_settings();
    // Each has a group that the other wants: both shoot, and only one hits.
    let mut second = s.groups[0].clone();
    second.name = "h".to_owned();
    second.preferred = Some("b".to_owned());
    second.resources = vec![crate::world::resource(9, "other", false)];
    s.groups.push(second);
    s.fences[0].delay = ms(500);
    let mut w = World::with(s);
    w.boot(0);
    w.boot(1);
    w.run_until(5000, |w| w.owner("g") == Some(0) && w.owner("h") == Some(1));
    w.run(2000);
    w.cut_all();
    w.run(4000);
    assert!(w.nodes[1].off && !w.nodes[0].off, "{}", w.timeline());
    assert_eq!(w.runs(0).len(), 4);
    assert!(!w.said("b fences a"));
}

#[test]
fn who_was_never_heard_is_not_fenced_by_itself() {
    let mut w = World::with(fenced_settings());
    w.boot(1);
    w.run(10_000);
    assert!(!w.said("fences"), "{}", w.timeline());
    expect_status(&w, 1, "hbctl fence a");
    let c = w.command(1, Command::Fence { node: "a".to_owned() });
    assert!(done(w.finish(c)).contains("device confirms"));
    w.run(1000);
    w.expect_owner(1);
}

#[test]
fn a_cut_cable_makes_no_fencing_loop() {
    let mut w = World::settled_with(fenced_settings());
    w.cut_all();
    for _ in 0..20 {
        w.run(20_000);
        for n in [0, 1] {
            if w.nodes[n].off {
                w.boot(n);
            }
        }
    }
    assert_eq!(w.lines(0, " fences ").len(), 1, "{}", w.timeline());
    w.expect_owner(1);
}

#[test]
fn flapping_cables_get_a_node_fenced_only_so_often() {
    let mut w = World::settled_with(fenced_settings());
    w.devices.insert(0, Device::Lies);
    w.devices.insert(1, Device::Lies);
    for _ in 0..20 {
        w.cut_all();
        w.run(5000);
        w.cut.clear();
        w.run(5000);
    }
    assert!(w.lines(0, "a fences b").len() <= 3, "{}", w.timeline());
    assert!(w.lines(0, "b fences a").len() <= 3);
}

#[test]
fn a_device_that_lied_is_found_out() {
    let mut w = World::settled_with(fenced_settings());
    w.devices.insert(0, Device::Lies);
    w.cut_all();
    w.run(3000);
    w.cut.clear();
    w.run(2000);
    assert!(w.said("the device is not to be trusted"), "{}", w.timeline());
    w.expect_owner(w.owner("g").expect("one owner"));
}

#[test]
fn what_was_on_its_way_from_a_fenced_node_does_not_revive_it() {
    let mut w = World::settled_with(fenced_settings());
    w.jitter = 400_000;
    let c = w.command(1, Command::Fence { node: "a".to_owned() });
    done(w.finish(c));
    w.run(300);
    let from = w.log.len();
    w.run(3000);
    assert!(w.lines(from, "peer a: dead -> up").is_empty(), "{}", w.timeline());
    w.expect_owner(1);
    assert_eq!(w.lines(0, "b fences a").len(), 1);
}

#[test]
fn a_stop_that_fails_is_answered_by_a_fence_where_the_group_requires_it() {
    let mut w = World::settled_with(fenced_settings());
    w.mood(0, "web", Mood::FailsStop);
    w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(2000);
    assert!(w.said("b fences a"), "{}", w.timeline());
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn a_stop_that_fails_has_nobody_fenced_where_silence_is_enough() {
    let mut s = fenced_settings();
    s.groups[0].requires = Requires::Nothing;
    s.groups[0].resources.iter_mut().for_each(|r| r.on_stop_failure = OnStopFailure::Block);
    let mut w = World::settled_with(s);
    w.mood(0, "web", Mood::FailsStop);
    w.command(0, Command::Move { group: "g".to_owned(), to: None });
    w.run(2000);
    w.nodes[0].moods.clear();
    w.kill(0);
    w.run(5000);
    assert!(!w.said("fences"), "{}", w.timeline());
    expect_status(&w, 1, "hbctl fence a; or make sure");
    let c = w.command(1, Command::Fence { node: "a".to_owned() });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn orders_to_fence_are_refused_with_a_reason() {
    let mut w = World::settled();
    for (node, text) in
        [("b", "no [[fence]] device"), ("a", "does not fence itself"), ("c", "no other node c")]
    {
        let c = w.command(0, Command::Fence { node: node.to_owned() });
        let why = refused(w.finish(c));
        assert!(why.contains(text), "{why}");
    }
    let mut w = World::settled_with(fenced_settings());
    w.devices.insert(1, Device::Fails);
    let c = w.command(0, Command::Fence { node: "b".to_owned() });
    assert!(refused(w.finish(c)).contains("b could not be fenced: timed out"));
    w.run(30_000);
    assert_eq!(w.lines(0, "a fences b").len(), 1);
    assert_eq!(w.status(0).unwrap().fencing[0].confirmed, Some(false));
    w.expect_owner(0);
}

#[test]
fn a_live_standby_fenced_by_order_comes_back() {
    let mut w = World::settled_with(fenced_settings());
    let c = w.command(0, Command::Fence { node: "b".to_owned() });
    done(w.finish(c));
    assert!(w.nodes[1].off);
    w.boot(1);
    w.run(4000);
    w.expect_owner(0);
    assert_eq!(w.status(0).unwrap().degraded, Vec::<String>::new(), "{}", w.timeline());
}

#[test]
fn a_standby_or_frozen_node_fences_nobody() {
    let mut w = World::settled_with(fenced_settings());
    let c = w.command(1, Command::Standby { node: None, force: false });
    done(w.finish(c));
    w.power_off(0);
    w.run(5000);
    assert!(!w.said("b fences a"), "{}", w.timeline());
    let mut w = World::settled_with(fenced_settings());
    let c = w.command(1, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(500);
    w.power_off(0);
    w.run(5000);
    assert!(!w.said("b fences a"), "{}", w.timeline());
}
