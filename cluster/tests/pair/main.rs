//! The pair on a virtual clock: no thread, no socket, no waiting.
mod world;

use cluster::*;
use world::{Mood, World, settings};

fn ms(ms: u64) -> std::time::Duration {
    std::time::Duration::from_millis(ms)
}

#[track_caller]
fn done(reply: Reply) -> String {
    match reply {
        Reply::Done(text) => text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(reply: Reply) -> String {
    match reply {
        Reply::Refused(text) => text,
        other => panic!("{other:?}"),
    }
}

// ---- boot orders ---------------------------------------------------------------------------------

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
    s.failback = Failback::On {
        after: ms(2000),
        window: false,
    };
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
    s.failback = Failback::On {
        after: ms(0),
        window: true,
    };
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

// ---- silence -------------------------------------------------------------------------------------

#[test]
fn a_dead_owner_is_replaced_within_deadtime() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(890);
    assert_eq!(w.owner("g"), None);
    w.run(150);
    w.expect_owner(1);
    assert!(w.said("b announces g"));
}

#[test]
fn a_dead_standby_moves_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    w.power_off(1);
    w.run(5000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
}

#[test]
fn one_cut_link_moves_nothing_and_is_said() {
    let mut w = World::settled();
    let from = w.log.len();
    for pair in [(0, 1, 0), (1, 0, 0)] {
        w.cut.insert(pair);
    }
    w.run(5000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
    let status = w.status(1).unwrap();
    assert!(
        status
            .degraded
            .iter()
            .any(|d| d.contains("link bcast:eth0 to a is down")),
        "{:?}",
        status.degraded
    );
    w.cut.clear();
    w.run(1000);
    assert_eq!(w.status(1).unwrap().degraded, Vec::<String>::new());
}

#[test]
fn a_one_way_cut_of_one_link_is_seen_on_both_sides() {
    let mut w = World::settled();
    w.cut.insert((0, 1, 0));
    w.run(3000);
    w.expect_owner(0);
    assert!(
        w.status(1)
            .unwrap()
            .degraded
            .iter()
            .any(|d| d.contains("a hears us, we do not hear it"))
    );
    assert!(
        w.status(0)
            .unwrap()
            .degraded
            .iter()
            .any(|d| d.contains("we hear b, it does not hear us"))
    );
}

#[test]
fn fewer_lost_packets_than_deadtime_holds_move_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    w.keep_one_in = 4;
    w.run(20_000);
    w.keep_one_in = 0;
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(from, "-> dead").is_empty(), "{}", w.timeline());
    assert!(!w.lines(from, "late heartbeat").is_empty());
}

#[test]
fn after_a_split_the_higher_epoch_stays_and_announces_again() {
    let mut w = World::settled();
    w.cut_all();
    w.run(3000);
    assert_eq!(w.runs(0).len(), 3);
    assert_eq!(w.runs(1).len(), 3);
    let from = w.log.len();
    w.cut.clear();
    w.run(1000);
    w.expect_owner(1);
    let timeline = w.timeline();
    let stopped = timeline
        .rfind("a group g: stopping -> stopped")
        .expect("a stopped");
    let announced = timeline.rfind("b announces g").expect("b announced");
    assert!(announced > stopped, "{timeline}");
    assert_eq!(w.lines(from, "b announces g").len(), 1);
    assert!(w.lines(from, "b Stop").is_empty());
}

#[test]
fn flapping_cables_end_with_one_owner() {
    let mut w = World::settled();
    for round in 0..10 {
        w.cut_all();
        w.run(700 + round * 130);
        w.cut.clear();
        w.run(300 + round * 70);
    }
    w.run(3000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
}

#[test]
fn a_deaf_node_takes_over_and_gives_way_when_it_hears_again() {
    let mut w = World::settled();
    w.cut.insert((0, 1, 0));
    w.cut.insert((0, 1, 1));
    w.run(3000);
    // b hears nothing and takes it; a hears b's higher epoch and gives way.
    w.expect_owner(1);
    w.cut.clear();
    w.run(2000);
    w.expect_owner(1);
}

// ---- pauses --------------------------------------------------------------------------------------

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
    let mut w = World::settled();
    let c = w.command(
        1,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    done(w.finish(c));
    w.run(500);
    w.freeze(0);
    w.run(3000);
    assert_eq!(w.runs(0), ["web"]);
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

// ---- restarts ------------------------------------------------------------------------------------

#[test]
fn a_killed_daemon_that_comes_back_adopts_what_runs() {
    let mut w = World::settled();
    let from = w.log.len();
    w.kill(0);
    w.run(300);
    w.boot(0);
    w.run(3000);
    w.expect_owner(0);
    assert!(
        w.lines(from, " Start ").is_empty() && w.lines(from, " Stop ").is_empty(),
        "{}",
        w.timeline()
    );
    assert!(w.said("adopted"));
}

#[test]
fn a_daemon_killed_for_too_long_finds_the_group_taken_and_removes_what_it_left() {
    let mut w = World::settled();
    w.kill(0);
    w.run(3000);
    assert_eq!(w.runs(1).len(), 3);
    w.boot(0);
    w.run(3000);
    w.expect_owner(1);
}

#[test]
fn a_rebooted_owner_within_deadtime_starts_again_or_is_replaced_but_once() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(300);
    w.boot(0);
    w.run(4000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn epochs_grow_over_restarts_of_both() {
    let mut w = World::settled();
    let mut last = w.status(0).unwrap().groups[0].epoch;
    for _ in 0..3 {
        w.power_off(0);
        w.power_off(1);
        w.run(500);
        w.boot(0);
        w.boot(1);
        w.run(5000);
        let epoch = w.status(0).unwrap().groups[0].epoch;
        assert!(epoch > last, "{epoch} after {last}\n{}", w.timeline());
        last = epoch;
    }
}

#[test]
fn a_node_that_lost_its_disk_learns_its_incarnation_from_the_peer() {
    let mut w = World::settled();
    for _ in 0..3 {
        w.kill(0);
        w.run(100);
        w.boot(0);
        w.run(500);
    }
    w.kill(0);
    w.nodes[0].disk = Durable::default();
    w.run(100);
    w.boot(0);
    w.run(5000);
    assert_eq!(w.status(1).unwrap().nodes[0].state, "up");
    assert!(w.said("the state on disk was lost"));
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
}

#[test]
fn a_disk_that_cannot_be_written_does_not_stop_a_takeover() {
    let mut w = World::settled();
    w.nodes[1].disk_fails = true;
    w.power_off(0);
    w.run(2500);
    w.expect_owner(1);
    assert!(
        w.status(1)
            .unwrap()
            .degraded
            .iter()
            .any(|d| d.contains("cannot be written"))
    );
}

// ---- replay and forgery --------------------------------------------------------------------------

#[test]
fn everything_ever_sent_replayed_changes_nothing() {
    let mut w = World::settled();
    w.power_off(0);
    w.run(3000);
    w.expect_owner(1);
    let old = w.captured.clone();
    let from = w.log.len();
    for bytes in &old {
        for link in 0..2 {
            w.input(
                1,
                Input::Datagram {
                    link,
                    bytes: bytes.clone(),
                },
            );
        }
    }
    assert_eq!(w.status(1).unwrap().nodes[0].state, "dead");
    // Nor does it fool a receiver that was restarted meanwhile.
    w.kill(1);
    w.boot(1);
    w.run(100);
    for bytes in &old {
        w.input(
            1,
            Input::Datagram {
                link: 0,
                bytes: bytes.clone(),
            },
        );
    }
    assert_eq!(w.status(1).unwrap().nodes[0].state, "init");
    w.run(5000);
    w.expect_owner(1);
    assert!(w.lines(from, "b Stop").is_empty());
    assert!(
        w.status(1)
            .unwrap()
            .rejected
            .keys()
            .any(|k| k == "unproven" || k == "stale_incarnation")
    );
}

// ---- operators -----------------------------------------------------------------------------------

#[test]
fn standby_hands_over_without_waiting_for_a_heartbeat() {
    let mut w = World::settled();
    let before = w.now;
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    done(w.finish(c));
    w.expect_owner(1);
    w.expect_no_overlap();
    assert!(w.now.since(before) < ms(20), "{:?}", w.now.since(before));
    w.run(3000);
    w.expect_owner(1);
    let c = w.command(0, Command::Online { node: None });
    done(w.finish(c));
    w.run(3000);
    w.expect_owner(1);
}

#[test]
fn standby_of_the_other_node_is_done_there() {
    let mut w = World::settled();
    let c = w.command(
        1,
        Command::Standby {
            node: Some("a".to_owned()),
            force: false,
        },
    );
    done(w.finish(c));
    w.expect_owner(1);
    assert!(w.status(0).unwrap().standby);
    let c = w.command(
        1,
        Command::Online {
            node: Some("a".to_owned()),
        },
    );
    done(w.finish(c));
    w.run(200);
    assert!(!w.status(0).unwrap().standby);
}

#[test]
fn standby_survives_a_restart_and_starts_nothing() {
    let mut w = World::settled();
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    done(w.finish(c));
    w.run(500);
    w.kill(0);
    w.run(200);
    w.boot(0);
    w.run(2000);
    assert!(w.status(0).unwrap().standby);
    w.power_off(1);
    w.run(5000);
    assert!(w.runs(0).is_empty(), "{}", w.timeline());
}

#[test]
fn standby_with_nobody_to_take_over_is_refused_unless_forced() {
    let mut w = World::settled();
    w.power_off(1);
    w.run(2000);
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    assert!(refused(w.finish(c)).contains("nobody can take g"));
    w.expect_owner(0);
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: true,
        },
    );
    done(w.finish(c));
    assert!(w.runs(0).is_empty());
}

#[test]
fn standby_is_given_up_when_the_heir_cannot_start() {
    let mut w = World::settled();
    w.mood(1, "web", Mood::FailsStart);
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    let why = refused(w.finish(c));
    assert!(why.contains("given up"), "{why}");
    w.run(1000);
    w.expect_owner(0);
    w.expect_no_overlap();
    assert!(!w.status(0).unwrap().standby);
}

#[test]
fn move_takeover_and_failback_end_with_a_result() {
    let mut w = World::settled();
    let c = w.command(
        0,
        Command::Move {
            group: "g".to_owned(),
            to: Some("b".to_owned()),
        },
    );
    assert_eq!(done(w.finish(c)), "g is on b");
    w.expect_owner(1);
    let c = w.command(0, Command::Takeover { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    let c = w.command(
        1,
        Command::Takeover {
            groups: vec!["g".to_owned()],
        },
    );
    done(w.finish(c));
    w.expect_owner(1);
    let c = w.command(1, Command::Failback { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    let c = w.command(
        0,
        Command::Move {
            group: "g".to_owned(),
            to: Some("a".to_owned()),
        },
    );
    assert!(done(w.finish(c)).contains("already"));
    let c = w.command(
        0,
        Command::Move {
            group: "nix".to_owned(),
            to: None,
        },
    );
    assert!(refused(w.finish(c)).contains("there is no group nix"));
    w.expect_no_overlap();
}

#[test]
fn a_move_away_from_the_preferred_node_is_not_undone_by_auto_failback() {
    let mut s = settings("a");
    s.failback = Failback::On {
        after: ms(0),
        window: false,
    };
    let mut w = World::with(s);
    w.boot(0);
    w.boot(1);
    w.run(3000);
    w.expect_owner(0);
    let c = w.command(
        0,
        Command::Move {
            group: "g".to_owned(),
            to: None,
        },
    );
    done(w.finish(c));
    w.run(5000);
    w.expect_owner(1);
    let c = w.command(1, Command::Failback { groups: vec![] });
    done(w.finish(c));
    w.expect_owner(0);
    // After a standby, online brings it home.
    let c = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
    let c = w.command(0, Command::Online { node: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn two_orders_at_once_end_with_one_owner() {
    let mut w = World::settled();
    let one = w.command(
        0,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    let two = w.command(
        1,
        Command::Standby {
            node: None,
            force: false,
        },
    );
    w.run(3000);
    assert!(
        w.verdict(one).is_some() && w.verdict(two).is_some(),
        "{}",
        w.timeline()
    );
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn maintenance_freezes_both_nodes() {
    let mut w = World::settled();
    let c = w.command(1, Command::Maintenance { on: true });
    done(w.finish(c));
    w.run(500);
    assert!(w.status(0).unwrap().maintenance);
    let from = w.log.len();
    w.power_off(0);
    w.run(5000);
    assert!(w.runs(1).is_empty());
    assert!(w.lines(from, " Start ").is_empty());
    let c = w.command(1, Command::Maintenance { on: false });
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
}

// ---- hand-over under loss and crash --------------------------------------------------------------

#[test]
fn hand_over_survives_loss() {
    for keep in 2..5 {
        let mut w = World::settled();
        w.keep_one_in = keep;
        let c = w.command(
            0,
            Command::Move {
                group: "g".to_owned(),
                to: Some("b".to_owned()),
            },
        );
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
                w.command(
                    0,
                    Command::Standby {
                        node: None,
                        force: false,
                    },
                );
                let end = w.now + std::time::Duration::from_micros(step * 100);
                while w.now < end {
                    let left = end.since(w.now).min(ms(1));
                    let ms = u64::try_from(left.as_micros()).unwrap().max(100) / 1000;
                    if ms == 0 {
                        break;
                    }
                    w.run(ms);
                }
                if power {
                    w.power_off(victim)
                } else {
                    w.kill(victim)
                }
                w.run(200);
                w.boot(victim);
                w.run(6000);
                let Some(owner) = w.owner("g") else {
                    panic!("no owner {victim} {step}\n{}", w.timeline())
                };
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
    let stops: Vec<_> = w
        .lines(from, "Stop")
        .iter()
        .map(|l| l.split("Stop ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(stops, ["web", "vip1 vip2"]);
}

// ---- agents that fail ----------------------------------------------------------------------------

#[test]
fn addresses_start_in_one_operation_and_stop_in_reverse() {
    let w = World::settled();
    let starts: Vec<_> = w
        .lines(0, "a Start")
        .iter()
        .map(|l| l.split("Start ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(starts, ["vip1 vip2", "web"]);
}

#[test]
fn a_failed_start_is_rolled_back_and_the_peer_gets_its_turn() {
    let mut w = World::new();
    w.mood(0, "web", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(5000);
    w.expect_owner(1);
    w.expect_no_overlap();
    w.mood(0, "web", Mood::Good);
    w.power_off(1);
    w.run(3000);
    assert!(w.runs(0).is_empty(), "a failed here and was not cleaned up");
    let c = w.command(0, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_group_that_failed_on_both_nodes_rests_and_says_so() {
    let mut w = World::new();
    w.mood(0, "web", Mood::FailsStart);
    w.mood(1, "web", Mood::FailsStart);
    w.boot(0);
    w.boot(1);
    w.run(20_000);
    assert_eq!(w.lines(0, "Start web").len(), 2, "{}", w.timeline());
    for n in 0..2 {
        let status = w.status(n).unwrap();
        assert_eq!(status.groups[0].state, "failed");
        assert_eq!(status.groups[0].owner, None);
        assert!(
            status
                .degraded
                .iter()
                .any(|d| d.contains("failed to start here")),
            "{:?}",
            status.degraded
        );
    }
    w.mood(0, "web", Mood::Good);
    let c = w.command(
        1,
        Command::Cleanup {
            group: Some("g".to_owned()),
        },
    );
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(0);
}

#[test]
fn a_failed_stop_blocks_and_nothing_starts_elsewhere() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    let c = w.command(
        0,
        Command::Move {
            group: "g".to_owned(),
            to: None,
        },
    );
    assert!(refused(w.finish(c)).contains("could not be stopped"));
    w.run(5000);
    assert!(w.runs(1).is_empty());
    for n in 0..2 {
        assert_eq!(
            w.status(n).unwrap().groups[0].state,
            "blocked",
            "{}",
            w.timeline()
        );
    }
    // Not even when the blocked node is lost.
    w.power_off(0);
    w.run(5000);
    assert!(w.runs(1).is_empty(), "{}", w.timeline());
    assert_eq!(w.status(1).unwrap().groups[0].state, "blocked");
    let c = w.command(
        1,
        Command::FenceAck {
            node: "a".to_owned(),
        },
    );
    done(w.finish(c));
    w.run(1000);
    w.expect_owner(1);
}

#[test]
fn cleanup_after_a_failed_stop_looks_again() {
    let mut w = World::settled();
    w.mood(0, "vip1", Mood::FailsStop);
    let c = w.command(
        0,
        Command::Move {
            group: "g".to_owned(),
            to: None,
        },
    );
    refused(w.finish(c));
    w.mood(0, "vip1", Mood::Good);
    let c = w.command(1, Command::Cleanup { group: None });
    done(w.finish(c));
    w.run(2000);
    let owner = w.owner("g").expect("an owner");
    w.expect_owner(owner);
    w.expect_no_overlap();
}

#[test]
fn a_hung_agent_is_bounded_and_the_peer_gets_its_turn() {
    let mut w = World::new();
    w.mood(0, "web", Mood::Hangs);
    w.boot(0);
    w.boot(1);
    w.run(30_000);
    // It hung in start; its status and stop hang too, so a is blocked and says so.
    let status = w.status(1).unwrap();
    assert!(
        status.groups[0].state == "blocked" || w.owner("g") == Some(1),
        "{}",
        w.timeline()
    );
    assert_eq!(w.status(1).unwrap().nodes[0].state, "up");
    w.expect_no_overlap();
}

#[test]
fn a_group_that_requires_fencing_waits_for_the_operators_word() {
    let mut s = settings("a");
    s.groups[0].requires = Requires::Fencing;
    let mut w = World::with(s);
    w.boot(0);
    w.boot(1);
    w.run(3000);
    w.expect_owner(0);
    w.power_off(0);
    w.run(10_000);
    assert!(w.runs(1).is_empty());
    let status = w.status(1).unwrap();
    assert_eq!(status.groups[0].state, "blocked");
    assert!(
        status
            .degraded
            .iter()
            .any(|d| d.contains("hbctl fence-ack a")),
        "{:?}",
        status.degraded
    );
    let c = w.command(
        1,
        Command::FenceAck {
            node: "a".to_owned(),
        },
    );
    done(w.finish(c));
    w.run(500);
    w.expect_owner(1);
    w.boot(0);
    w.run(3000);
    let c = w.command(
        1,
        Command::FenceAck {
            node: "a".to_owned(),
        },
    );
    assert!(refused(w.finish(c)).contains("is up"));
}

// ---- reload --------------------------------------------------------------------------------------

#[test]
fn a_reload_without_a_change_touches_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    let same = w.settings_of(0);
    w.input(0, Input::Reload(Box::new(same)));
    w.run(2000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
}

#[test]
fn a_reload_starts_what_is_new_and_stops_what_is_gone() {
    let mut w = World::settled();
    let from = w.log.len();
    let web2 = ResourceSettings {
        key: ResourceKey(9),
        name: "web2".to_owned(),
        ..w.settings.groups[0].resources[2].clone()
    };
    w.settings.groups[0].resources.push(web2);
    w.settings.groups[0].resources.remove(1);
    for n in 0..2 {
        let new = w.settings_of(n);
        w.input(n, Input::Reload(Box::new(new)));
    }
    w.nodes[0].running.remove("vip2"); // the world knows the dropped one by its key only
    w.run(2000);
    assert_eq!(w.lines(from, "Stop key2").len(), 1, "{}", w.timeline());
    assert_eq!(w.lines(from, "Start").len(), 1, "{}", w.timeline());
    assert_eq!(w.runs(0), ["vip1", "web", "web2"]);
    w.power_off(0);
    w.run(2000);
    assert_eq!(w.runs(1), ["vip1", "web", "web2"]);
}

#[test]
fn a_mismatch_of_the_configuration_is_shouted_and_moves_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    let mut other = w.settings_of(1);
    other.config_digest = 8;
    w.input(1, Input::Reload(Box::new(other)));
    w.run(3000);
    w.expect_owner(0);
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
    for n in 0..2 {
        assert!(
            w.status(n)
                .unwrap()
                .degraded
                .iter()
                .any(|d| d.contains("differs"))
        );
    }
}
