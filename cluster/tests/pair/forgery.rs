//! What was not made by the peer, or not now, is counted by its reason and changes nothing else.

use std::collections::BTreeMap;

use cluster::Input;
use cluster::status::Status;
use proto::{ClusterId, Keyring, Message};

use crate::world::{World, keyring};

/// A pair, and a heartbeat of a's that b has not heard yet: it would count if it came in.
fn unheard() -> (World, Vec<u8>) {
    let mut w = World::settled();
    w.cut_all();
    w.captured.clear();
    w.run(150);
    let from_a = |bytes: &&Vec<u8>| open(bytes).from == "a";
    let packet = w.captured.iter().rfind(from_a).expect("a heartbeat").clone();
    (w, packet)
}

fn cluster() -> ClusterId {
    ClusterId::of("test")
}

fn open(bytes: &[u8]) -> Message {
    keyring().open(cluster(), bytes).expect("a packet of the pair")
}

/// The status without the counters.
fn apart_from_counters(mut status: Status) -> (Status, BTreeMap<String, u64>) {
    let counts = std::mem::take(&mut status.rejected);
    for link in status.nodes.iter_mut().flat_map(|node| &mut node.links) {
        (link.rejected, link.duplicate) = (BTreeMap::new(), 0);
    }
    (status, counts)
}

/// Gives b the packets and returns the reasons for which they were counted; nothing else may have come of them.
#[track_caller]
fn counted(w: &mut World, packets: &[Vec<u8>]) -> BTreeMap<String, u64> {
    let (before, already) = apart_from_counters(w.status(1).expect("b runs"));
    let (said, done) = (w.captured.len(), w.log.len());
    for bytes in packets {
        w.input(1, Input::Datagram { link: 0, bytes: bytes.clone() });
    }
    let (after, mut counts) = apart_from_counters(w.status(1).expect("b runs"));
    assert_eq!(after, before, "they changed something");
    assert_eq!(w.captured.len(), said, "b spoke");
    assert_eq!(w.log.len(), done, "something happened: {:?}", &w.log[done..]);
    counts.iter_mut().for_each(|(reason, count)| *count -= already.get(reason).unwrap_or(&0));
    counts.retain(|_, count| *count > 0);
    assert_eq!(counts.values().sum::<u64>(), packets.len() as u64, "each is counted once: {counts:?}");
    counts
}

fn only(reason: &str, count: usize) -> BTreeMap<String, u64> {
    [(reason.to_owned(), count as u64)].into()
}

/// The whole packet is good: what the test before tried was.
#[track_caller]
fn counts(w: &mut World, packet: &[u8]) {
    let heard = |w: &World| w.status(1).expect("b runs").nodes[0].last_heard_ms;
    assert!(heard(w) > Some(100), "b has not heard a for a while");
    w.input(1, Input::Datagram { link: 0, bytes: packet.to_vec() });
    assert_eq!(heard(w), Some(0));
}

#[test]
fn a_bit_flipped_anywhere() {
    let (mut w, packet) = unheard();
    let flipped: Vec<Vec<u8>> = (0..packet.len() * 8)
        .map(|bit| {
            let mut bytes = packet.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        })
        .collect();
    let counts_by_reason = counted(&mut w, &flipped);
    // Two bytes of magic, four bits of major version, one byte of method and of key, eight of the cluster; the rest is the
    // tag's business.
    let rest = (packet.len() * 8 - 16 - 4 - 8 - 8 - 64) as u64;
    let wanted = [
        ("magic", 16),
        ("version", 4),
        ("method", 8),
        ("unknown_key", 8),
        ("foreign_cluster", 64),
        ("tag", rest),
    ];
    assert_eq!(counts_by_reason, wanted.map(|(reason, count)| (reason.to_owned(), count)).into());
    counts(&mut w, &packet);
}

#[test]
fn cut_at_any_length_or_longer_than_it_was() {
    let (mut w, packet) = unheard();
    let cut: Vec<Vec<u8>> = (0..packet.len()).map(|length| packet[..length].to_vec()).collect();
    let short = 13 + 16;
    let reasons = counted(&mut w, &cut);
    let wanted = [("too_short", short), ("tag", (packet.len() - short as usize) as u64)];
    assert_eq!(reasons, wanted.map(|(reason, count)| (reason.to_owned(), count)).into());
    let longer: Vec<Vec<u8>> = (1..100).map(|more| [packet.as_slice(), &vec![0; more]].concat()).collect();
    assert_eq!(counted(&mut w, &longer), only("tag", 99));
    let endless = [packet.as_slice(), &[0; proto::MAX_PACKET]].concat();
    assert_eq!(counted(&mut w, &[endless]), only("too_long", 1));
    counts(&mut w, &packet);
}

#[test]
fn another_key_another_method_or_none() {
    let (mut w, packet) = unheard();
    let message = open(&packet);
    let sealed = |keys: &str| Keyring::parse(keys).expect("good keys").seal(cluster(), &message);
    let secret = "a-secret-for-tests";
    for (keys, reason) in [
        ("auth 1\n1 sha256 another-secret".to_owned(), "tag"),
        (format!("auth 2\n2 sha256 {secret}"), "unknown_key"),
        // The weaker of two methods is never the sender's choice, not even with the right secret.
        (format!("auth 1\n1 md5 {secret}"), "method"),
        ("auth 1\n1 crc".to_owned(), "method"),
    ] {
        assert_eq!(counted(&mut w, &[sealed(&keys)]), only(reason, 1), "{keys}");
    }
    // The method's number alone changed, each of them; and no tag at all.
    let mut methods = Vec::new();
    for method in (0..=255).filter(|&method| method != packet[3]) {
        let mut bytes = packet.clone();
        bytes[3] = method;
        methods.push(bytes);
    }
    assert_eq!(counted(&mut w, &methods), only("method", 255));
    assert_eq!(counted(&mut w, &[packet[..packet.len() - 16].to_vec()]), only("tag", 1));
    let mut zeroed = packet.clone();
    let tag = zeroed.len() - 16;
    zeroed[tag..].fill(0);
    assert_eq!(counted(&mut w, &[zeroed]), only("tag", 1));
    counts(&mut w, &packet);
}

#[test]
fn another_cluster_with_the_same_key() {
    let (mut w, packet) = unheard();
    let foreign = keyring().seal(ClusterId::of("other"), &open(&packet));
    assert_eq!(counted(&mut w, &[foreign]), only("foreign_cluster", 1));
    counts(&mut w, &packet);
}

#[test]
fn reflected_to_its_sender() {
    let (mut w, packet) = unheard();
    let own: Vec<Vec<u8>> = w.captured.iter().filter(|bytes| open(bytes).from == "b").cloned().collect();
    assert_eq!(counted(&mut w, &own), only("own", own.len()));
    counts(&mut w, &packet);
}

#[test]
fn authentic_but_of_a_node_that_is_none_of_ours() {
    let (mut w, packet) = unheard();
    let stranger = Message { from: "c".to_owned(), ..open(&packet) };
    assert_eq!(counted(&mut w, &[keyring().seal(cluster(), &stranger)]), only("unknown_node", 1));
    counts(&mut w, &packet);
}

#[test]
fn sent_again_while_it_is_fresh_and_when_it_is_old() {
    let (mut w, packet) = unheard();
    counts(&mut w, &packet);
    // A copy of the newest, on the link on which it came.
    assert_eq!(counted(&mut w, &vec![packet.clone(); 10]), only("duplicate", 10));
    w.cut.clear();
    w.run(1000);
    assert_eq!(counted(&mut w, &vec![packet.clone(); 10]), only("replayed", 10));
    w.run(20_000);
    assert_eq!(counted(&mut w, &vec![packet; 10]), only("replayed", 10));
}

#[test]
fn from_before_a_restart_of_either() {
    let (mut w, packet) = unheard();
    w.cut.clear();
    // Of the sender: that life is over, and never was before this one's.
    w.kill(0);
    w.boot(0);
    w.run(5000);
    // The first time such a life is heard of it is echoed; it cannot answer to that.
    w.input(1, Input::Datagram { link: 0, bytes: packet.clone() });
    w.run(33);
    assert_eq!(counted(&mut w, &vec![packet.clone(); 10]), only("stale_incarnation", 10));
    // Nor does the sender take that echo of its past for a sign that its disk was lost.
    assert_eq!(w.status(1).expect("b runs").nodes[0].incarnation, 2);
    assert!(!w.said("disk was lost"), "{}", w.timeline());
    // Of the receiver: it has lost nothing, and knows which incarnation was the newest.
    w.kill(1);
    w.boot(1);
    w.run(5000);
    w.input(1, Input::Datagram { link: 0, bytes: packet.clone() });
    w.run(33);
    assert_eq!(counted(&mut w, &vec![packet.clone(); 10]), only("stale_incarnation", 10));
    // Of the receiver, which has lost its disk, while the sender is gone: still nothing in it is of now.
    w.power_off(0);
    w.kill(1);
    w.nodes[1].disk = cluster::Durable::default();
    w.boot(1);
    w.run(5000);
    assert_eq!(w.status(1).expect("b runs").nodes[0].state, "dead");
    w.input(1, Input::Datagram { link: 0, bytes: packet.clone() });
    w.run(33);
    assert_eq!(counted(&mut w, &vec![packet; 10]), only("unproven", 10));
}
