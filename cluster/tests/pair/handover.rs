//! Hand-over under loss and crash.

use std::time::Duration;

use cluster::*;

use crate::world::{World, settings};
use crate::{done, ms};

#[test]
fn hand_over_survives_loss() {
    for keep in 2..5 {
        let mut w = World::settled();
        w.keep_one_in = keep;
        let c = w.command(0, Command::Move { group: "g".to_owned(), to: Some("b".to_owned()) });
        done(w.finish(c));
        w.keep_one_in = 0;
        w.run(1000);
        w.expect_owner(1);
        w.expect_no_overlap();
    }
}

/// Steps of a hand-over, in 100 µs from the command on: crash either side at each.
#[test]
fn a_crash_of_either_side_at_any_step_of_a_hand_over_ends_with_one_owner() {
    for victim in [0, 1] {
        for step in 0..120_u64 {
            for power in [true, false] {
                let mut w = World::settled();
                w.command(0, Command::Standby { node: None, force: false });
                w.run_for(std::time::Duration::from_micros(step * 100));
                if power {
                    w.power_off(victim)
                } else {
                    w.kill(victim)
                }
                w.run(200);
                w.boot(victim);
                w.run(6000);
                let Some(owner) = w.owner("g") else { panic!("no owner {victim} {step}\n{}", w.timeline()) };
                w.expect_owner(owner);
                w.expect_no_overlap();
            }
        }
    }
}

#[test]
fn leaving_in_order_hands_over_and_says_farewell() {
    let mut w = World::settled();
    let before = w.now;
    w.input(0, Input::Stop);
    w.run_until(2000, |w| w.nodes[0].exited);
    w.run(50);
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.now.since(before) < ms(400));
    assert_eq!(w.status(1).unwrap().nodes[0].state, "left");
}

#[test]
fn leaving_alone_stops_everything_in_reverse() {
    let mut w = World::settled();
    w.power_off(1);
    w.run(2000);
    let from = w.log.len();
    w.input(0, Input::Stop);
    w.run_until(2000, |w| w.nodes[0].exited);
    assert!(w.runs(0).is_empty());
    let stops: Vec<_> =
        w.lines(from, "Stop").iter().map(|l| l.split("Stop ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(stops, ["web", "vip1 vip2"]);
}

#[test]
fn a_release_that_was_not_heard_in_time_does_not_stand_for_ever() {
    // a leaves the group to b and is not heard; b takes it all the same, as the survivor.
    let mut w = World::settled();
    for n in [0, 1] {
        let c = w.command(n, Command::Standby { node: None, force: true });
        done(w.finish(c));
        w.run(500);
    }
    w.cut.extend([(0, 1, 0), (0, 1, 1)]);
    w.command(1, Command::Online { node: None });
    w.run(5000);
    w.cut.clear();
    w.run(500);
    w.expect_owner(1);
    w.command(0, Command::Online { node: None });
    w.run(500);
    let c = w.command(1, Command::Move { group: "g".to_owned(), to: None });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(0);
    w.expect_no_overlap();
}

#[test]
fn who_is_given_what_it_runs_already_goes_on_under_a_new_epoch() {
    let mut w = World::settled();
    let to = |name: &str| Command::Move { group: "g".to_owned(), to: Some(name.to_owned()) };
    let c = w.command(0, to("b"));
    done(w.finish(c));
    w.run(1000);
    // b is deaf: it gives the group to a, does not hear that a has it, and takes it back, under the same epoch.
    w.cut.extend([(0, 1, 0), (0, 1, 1)]);
    w.run(300);
    w.command(1, to("a"));
    w.run(2000);
    assert_eq!((w.runs(0).len(), w.runs(1).len()), (3, 3), "{}", w.timeline());
    // a keeps it as the lower name, and is told to give it to b, which has it.
    let c = w.command(0, to("b"));
    w.run(100);
    w.cut.clear();
    assert_eq!(done(w.finish(c)), "g is on b");
    w.run(1000);
    w.expect_owner(1);
    assert_eq!(w.status(0).unwrap().groups[0].epoch, w.status(1).unwrap().groups[0].epoch);
    let c = w.command(1, to("a"));
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

/// The giver gives its heir up, hears it again in the same moment, and the heir acts on the release all the same. Deadtimes are
/// tried in small steps, until one ends just when a heartbeat comes in.
#[test]
fn a_fenced_group_is_not_taken_back_from_an_heir_that_was_only_silent() {
    for step in 0..110 {
        let released = || {
            let mut settings = settings("a");
            settings.groups[0].requires = Requires::Fencing;
            settings.deadtime += Duration::from_micros(step * 100);
            let mut w = World::settled_with(settings);
            w.command(0, Command::Move { group: "g".to_owned(), to: None });
            w.run(1);
            w.cut_all();
            w.run_until(1000, |w| w.said("released to b"));
            w
        };
        let mut w = released();
        let from = w.now;
        w.run_until(5000, |w| w.said("peer b: up -> dead"));
        let given_up = w.now.since(from);
        let mut w = released();
        w.run_for(given_up - Duration::from_micros(250));
        w.cut.clear();
        w.run(3000);
        w.expect_no_overlap();
        let owner = w.owner("g").expect("an owner");
        w.expect_owner(owner);
    }
}
