//! What was recorded earlier changes nothing.

use cluster::*;

use crate::world::{World, keyring};

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
            w.input(1, Input::Datagram { link, bytes: bytes.clone() });
        }
    }
    assert_eq!(w.status(1).unwrap().nodes[0].state, "dead");
    // Nor does it fool a receiver that was restarted meanwhile.
    w.kill(1);
    w.boot(1);
    w.run(100);
    for bytes in &old {
        w.input(1, Input::Datagram { link: 0, bytes: bytes.clone() });
    }
    assert_eq!(w.status(1).unwrap().nodes[0].state, "init");
    w.run(5000);
    w.expect_owner(1);
    assert!(w.lines(from, "b Stop").is_empty());
    assert!(w.status(1).unwrap().rejected.keys().any(|k| k == "unproven" || k == "stale_incarnation"));
}

/// What one node sent in each of its lives so far, the newest last, and a world in which it is gone.
fn many_lives_of_a(lives: usize) -> (World, Vec<Vec<Vec<u8>>>) {
    let mut w = World::settled();
    let mut all = Vec::new();
    for _ in 0..lives {
        w.captured.clear();
        w.kill(0);
        w.boot(0);
        w.run(3000);
        all.push(sent_by("a", &w.captured));
    }
    w.power_off(0);
    w.run(3000);
    w.expect_owner(1);
    (w, all)
}

/// Those of the packets that `name` made.
fn sent_by(name: &str, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let from = |bytes: &&Vec<u8>| opened(bytes).is_some_and(|message| message.from == name);
    packets.iter().filter(from).cloned().collect()
}

fn opened(bytes: &[u8]) -> Option<proto::Message> {
    keyring().open(proto::ClusterId::of("test"), bytes).ok()
}

#[test]
fn replays_of_many_lives_do_not_make_a_node_talk() {
    let (mut w, lives) = many_lives_of_a(8);
    w.captured.clear();
    for round in 0..1000 {
        let life = &lives[round % lives.len()];
        w.input(1, Input::Datagram { link: round % 2, bytes: life[life.len() / 2].clone() });
    }
    let answers = w.captured.len();
    assert!(answers <= 8, "{answers} heartbeats were drawn out of it at one instant");
    assert_eq!(w.status(1).unwrap().nodes[0].state, "dead");
}

#[test]
fn a_new_life_proves_itself_in_the_middle_of_replays_of_its_old_ones() {
    let (mut w, lives) = many_lives_of_a(8);
    w.boot(0);
    let mut joined = None;
    for ms in 0..2000 {
        for life in &lives {
            w.input(1, Input::Datagram { link: 0, bytes: life[ms % life.len()].clone() });
        }
        w.run(1);
        if w.status(1).unwrap().nodes[0].state == "up" {
            joined = Some(ms);
            break;
        }
    }
    let joined = joined.expect("heard");
    assert!(joined < 300, "it took {joined} ms");
    w.run(3000);
    w.expect_owner(1);
    w.expect_no_overlap();
}

#[test]
fn what_a_live_peer_sent_before_ones_own_start_wakes_no_dead_link() {
    let mut w = World::settled();
    w.cut.insert((0, 1, 1));
    w.run(3000);
    w.captured.clear();
    w.run(500);
    let old = sent_by("a", &w.captured);
    assert!(old.len() >= 4);
    // The receiver is another one now; the sender is in the same life, and 20 heartbeats on.
    w.kill(1);
    w.boot(1);
    w.run(2000);
    let before = w.status(1).unwrap();
    assert_eq!(before.nodes[0].state, "up");
    for bytes in &old {
        w.input(1, Input::Datagram { link: 1, bytes: bytes.clone() });
    }
    let after = w.status(1).unwrap();
    assert_eq!(after.nodes[0].links[1].state, "down", "nothing has come over that link in this life");
    let replayed = |status: &cluster::status::Status| status.rejected.get("replayed").copied().unwrap_or(0);
    assert_eq!(replayed(&after) - replayed(&before), old.len() as u64);
}

#[test]
fn ones_own_past_is_no_second_machine_for_long() {
    let mut w = World::settled();
    let past = sent_by("a", &w.captured);
    w.kill(0);
    w.boot(0);
    w.run(3000);
    let twin = |w: &World| w.status(0).unwrap().degraded.iter().any(|said| said.contains("calls itself"));
    assert!(!twin(&w));
    for bytes in &past {
        w.input(0, Input::Datagram { link: 0, bytes: bytes.clone() });
    }
    assert!(twin(&w), "it may be one");
    w.run(120_000);
    assert!(!twin(&w), "it was none: nothing more came");
    assert_eq!(w.status(0).unwrap().rejected.get("own_name").copied(), Some(past.len() as u64));
    w.expect_owner(w.owner("g").expect("owned"));
}
