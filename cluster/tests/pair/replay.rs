//! What was recorded earlier changes nothing.

use cluster::*;

use crate::world::World;

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
