//! What each link is said to have brought.

use cluster::status::LinkStatus;
use cluster::*;

use crate::world::World;

/// The link `l` to the other node, as node `n` sees it.
fn link(w: &World, n: usize, l: usize) -> LinkStatus {
    w.status(n).expect("a status").nodes[0].links[l].clone()
}

#[test]
fn every_link_tells_its_gaps_and_what_it_lost() {
    let mut w = World::settled();
    w.run(20_000);
    for (n, l) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let LinkStatus { gaps, late, lost, duplicate, received, .. } = link(&w, n, l);
        assert!(gaps.count >= 190 && received > gaps.count, "{gaps:?}, {received} received");
        assert!((95..=115).contains(&gaps.p50_ms), "{gaps:?}");
        assert!(gaps.p50_ms <= gaps.p99_ms && gaps.p99_ms <= gaps.max_ms && gaps.max_ms < 300, "{gaps:?}");
        assert_eq!((late, lost, duplicate), (0, 0, 0));
    }
}

#[test]
fn a_lossy_link_loses_and_is_late_by_itself() {
    let mut w = World::settled();
    for round in 0..10 {
        // Six heartbeats in a row are lost on one link of b.
        w.cut.insert((0, 1, 0));
        w.run(600);
        w.cut.clear();
        w.run(1000);
        assert_eq!(link(&w, 1, 0).late, round + 1);
    }
    let (bad, good) = (link(&w, 1, 0), link(&w, 1, 1));
    assert!((50..=70).contains(&bad.lost), "{}", bad.lost);
    assert!(bad.gaps.max_ms > 500 && bad.gaps.p50_ms < 120, "{:?}", bad.gaps);
    assert_eq!((good.lost, good.late), (0, 0));
    let node = w.status(1).unwrap().nodes[0].clone();
    assert_eq!((node.late, node.state.as_str()), (0, "up"), "the other link brought all");
    assert!(node.gaps.max_ms < 300, "{:?}", node.gaps);
}

#[test]
fn an_outage_is_no_gap() {
    let mut w = World::settled();
    w.run(3000);
    w.cut.insert((0, 1, 0));
    w.run(30_000);
    w.cut.clear();
    w.run(3000);
    let link = link(&w, 1, 0);
    assert_eq!(link.state, "up");
    assert!(link.gaps.max_ms < 300 && link.late == 0, "{:?}", link.gaps);
    assert!(link.lost >= 250, "what was sent meanwhile did not come in here: {}", link.lost);
    // Nor is a restart of the peer one.
    w.kill(0);
    w.run(500);
    w.boot(0);
    w.run(3000);
    let (one, other) = (self::link(&w, 1, 0), self::link(&w, 1, 1));
    assert!(one.gaps.max_ms < 300 && other.gaps.max_ms < 300, "{:?} {:?}", one.gaps, other.gaps);
    assert_eq!(other.lost, 0, "a new life begins at one");
}

#[test]
fn what_is_not_believed_is_counted_where_it_came_in() {
    let mut w = World::settled();
    let before = link(&w, 1, 0).rejected;
    let last = w.captured.last().expect("a packet").clone();
    w.input(1, Input::Datagram { link: 1, bytes: b"hello".to_vec() });
    w.input(1, Input::Datagram { link: 1, bytes: last[..last.len() - 1].to_vec() });
    w.input(1, Input::Datagram { link: 1, bytes: last[..last.len() - 1].to_vec() });
    let rejected = link(&w, 1, 1).rejected;
    assert_eq!((rejected.get("too_short"), rejected.get("tag")), (Some(&1), Some(&2)), "{rejected:?}");
    assert_eq!(link(&w, 1, 0).rejected, before);
    assert_eq!(w.status(1).unwrap().rejected.get("tag"), Some(&2), "and among all");
    // A link that is not there any more is no place to count at.
    w.input(1, Input::Datagram { link: 9, bytes: b"hello".to_vec() });
    assert_eq!(w.status(1).unwrap().rejected.get("too_short"), Some(&2));
}

#[test]
fn a_copy_on_the_same_link_is_a_duplicate_there() {
    let mut w = World::settled();
    w.run(1000);
    let from_a = |bytes: &[u8]| bytes.windows(2).any(|at| at == [1, b'a']);
    let last = w.captured.iter().rev().find(|bytes| from_a(bytes)).expect("a packet of a").clone();
    let before = link(&w, 1, 1);
    w.input(1, Input::Datagram { link: 1, bytes: last.clone() });
    w.input(1, Input::Datagram { link: 1, bytes: last });
    let after = link(&w, 1, 1);
    assert_eq!((after.duplicate, after.received), (before.duplicate + 2, before.received));
    assert_eq!(link(&w, 1, 0).duplicate, 0);
}

#[test]
fn a_one_way_cut_is_an_event_on_both_sides_and_moves_nothing() {
    let mut w = World::settled();
    let from = w.log.len();
    w.cut.insert((0, 1, 0));
    w.run(5000);
    assert_eq!(w.lines(from, "one-way").len(), 1, "{}", w.timeline());
    assert!(w.said("we hear b, it does not hear us"), "{}", w.timeline());
    assert!(!w.lines(from, "nothing heard for deadtime").is_empty());
    w.cut.clear();
    w.run(2000);
    assert_eq!(w.lines(from, "b hears us again").len(), 1, "{}", w.timeline());
    assert!(w.lines(from, "Start").is_empty() && w.lines(from, "Stop").is_empty());
    w.expect_owner(0);
}

#[test]
fn links_that_stay_keep_their_counts_over_a_reload() {
    let mut w = World::settled();
    w.input(1, Input::Datagram { link: 1, bytes: b"hello".to_vec() });
    w.settings.links = vec!["bcast:eth1".into(), "ucast:new".into()];
    w.reload(1);
    let (kept, new) = (link(&w, 1, 0), link(&w, 1, 1));
    assert_eq!((kept.name.as_str(), kept.rejected.get("too_short")), ("bcast:eth1", Some(&1)));
    assert!(kept.gaps.count > 0);
    assert_eq!((new.name.as_str(), new.gaps.count, new.rejected.len()), ("ucast:new", 0, 0));
}

#[test]
fn tune_tells_what_a_pair_needs() {
    let mut w = World::settled();
    w.run(60_000);
    let tune = w.nodes[1].core.as_ref().unwrap().tune();
    assert_eq!((tune.keepalive_ms, tune.deadtime_ms), (100, 1000));
    assert_eq!(tune.nodes[0].links.len(), 2);
    let advice = tune.advice.expect("enough was heard");
    assert!(advice.deadtime_ms >= 200 && advice.deadtime_ms <= 600, "{tune:?}");
    assert!(advice.warntime_ms * 2 <= advice.deadtime_ms, "{tune:?}");
}
