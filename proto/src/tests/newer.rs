//! What a node of this version makes of newer ones.

use super::*;
use crate::codec::put_body;
use crate::wire::{put_block, put_varint};

fn ours() -> Keyring {
    keys(KEYS[0].1)
}

/// What we make of an authentic packet of our major and that `minor` version.
fn hear(minor: u8, put: impl FnOnce(&mut Vec<u8>)) -> Result<Message, Reject> {
    let keys = ours();
    keys.open(cluster(), &keys.seal_with(minor, cluster(), put))
}

fn fault(put: impl FnOnce(&mut Vec<u8>)) -> (&'static str, Fault) {
    match hear(0, put) {
        Err(Reject::Malformed(Malformed { field, fault })) => (field, fault),
        other => panic!("malformed expected: {other:?}"),
    }
}

/// A heartbeat without sections, for sections to be put behind it.
fn bare() -> Message {
    Message { echoes: vec![], groups: vec![], ..heartbeat() }
}

/// The bare body and behind it the section `kind` with `records`.
fn with_section(body: &mut Vec<u8>, kind: u8, records: &[&[u8]]) {
    put_body(body, &bare());
    section(body, kind, records);
}

fn section(body: &mut Vec<u8>, kind: u8, records: &[&[u8]]) {
    body.push(kind);
    put_block(body, |body| {
        for record in records {
            put_block(body, |body| body.extend_from_slice(record));
        }
    });
}

#[test]
fn any_minor_version_is_heard_and_no_other_major() {
    for minor in 0..16 {
        assert_eq!(hear(minor, |body| put_body(body, &heartbeat())), Ok(heartbeat()));
    }
    for major in (0..16).filter(|&major| major != 1) {
        let mut packet = ours().seal(cluster(), &heartbeat());
        packet[2] = major << 4;
        assert_eq!(ours().open(cluster(), &packet), Err(Reject::Version { major }));
    }
}

#[test]
fn unknown_sections_are_skipped() {
    for kind in [8, 77, 255] {
        let heard = hear(3, |body| {
            put_body(body, &eventful());
            body.push(kind);
            put_block(body, |body| body.extend_from_slice(&[0xee; 200]));
        });
        assert_eq!(heard, Ok(eventful()));
    }
}

#[test]
fn new_fields_at_the_end_of_records_are_skipped() {
    // Bytes as in the picture, with something newer behind the last known field.
    let echo = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 9, 0xee];
    let group = [0, 0, 0, 5, 0b1100_1100, 6, 7, 0, 0, 0, 8, 0b1111_1011, 0xee];
    let order = [9, 0, 0, 0, 10, 1, 2, b'm', b'e', 0xee, 0xee, 0xee];
    let ack = [0, 0, 0, 11, 12, 0, 0xee];
    let heard = hear(1, |body| {
        put_body(body, &bare());
        section(body, 1, &[&echo, &echo]);
        section(body, 2, &[&group]);
        section(body, 3, &[&order]);
        section(body, 4, &[&ack]);
    });
    let echo = Echo { node: NodeId(1), boot: 2, incarnation: 3, links: 4, heard: 9 };
    let group = GroupReport {
        id: GroupId(5),
        state: GroupState::Released,
        epoch: 6,
        failures: 7,
        able: true,
        failed: false,
        declined: false,
        to: Some(NodeId(8)),
        fence: Some(true),
        wrong: false,
    };
    let expected = Message {
        echoes: vec![echo.clone(), echo],
        groups: vec![group],
        orders: vec![Order { id: 9, target: NodeId(10), kind: OrderKind::Standby, by: "me".to_owned() }],
        acks: vec![OrderAck { issuer: NodeId(11), id: 12, refused: None }],
        ..bare()
    };
    assert_eq!(heard, Ok(expected));
}

#[test]
fn orders_and_verdicts_of_unknown_kinds_are_left_out() {
    let newer_order = [9, 0, 0, 0, 10, 99, 0, 1, 2, 3];
    let known_order = [8, 0, 0, 0, 10, 2, 0];
    let heard = hear(1, |body| with_section(body, 3, &[&newer_order, &known_order])).expect("heard");
    assert_eq!(heard.orders.iter().map(|order| order.id).collect::<Vec<_>>(), [8]);

    let newer_ack = [0, 0, 0, 11, 12, 2, 1, 2, 3];
    let known_ack = [0, 0, 0, 11, 13, 0];
    let heard = hear(1, |body| with_section(body, 4, &[&newer_ack, &known_ack])).expect("heard");
    assert_eq!(heard.acks.iter().map(|ack| ack.id).collect::<Vec<_>>(), [13]);
}

#[test]
fn bits_without_a_meaning_yet_are_ignored() {
    let mut body = Vec::new();
    put_body(&mut body, &bare());
    // name 6, incarnation 1, boot 8, sequence 2, then the flags
    body[17] |= 0xf0;
    assert_eq!(hear(1, |out| out.extend_from_slice(&body)), Ok(bare()));
}

#[test]
fn group_states_without_a_meaning_are_refused() {
    for state in [6, 7] {
        let group = [0, 0, 0, 5, state, 6];
        assert_eq!(fault(|body| with_section(body, 2, &[&group])), ("group state", Fault::Unknown));
    }
}

#[test]
fn sections_twice_or_out_of_order_are_refused() {
    for (first, second) in [(2, 2), (2, 1), (9, 9), (9, 4)] {
        let refused = fault(|body| {
            with_section(body, first, &[]);
            section(body, second, &[]);
        });
        assert_eq!(refused, ("section", Fault::OutOfOrder));
    }
    assert_eq!(fault(|body| with_section(body, 0, &[])), ("section", Fault::OutOfOrder));
}

#[test]
fn bytes_that_are_no_whole_section_are_refused() {
    for (rest, field) in [(&[9_u8][..], "section"), (&[9, 2, 0], "section"), (&[2, 1, 5], "group")] {
        let refused = fault(|body| {
            put_body(body, &bare());
            body.extend_from_slice(rest);
        });
        assert_eq!(refused, (field, Fault::Ends));
    }
}

#[test]
fn records_that_end_early_are_refused() {
    assert_eq!(fault(|body| with_section(body, 1, &[&[0; 12]])), ("echo incarnation", Fault::Ends));
    assert_eq!(fault(|body| with_section(body, 2, &[&[0, 0, 0, 5, 0x40, 6]])), ("group to", Fault::Ends));
    assert_eq!(fault(|body| with_section(body, 3, &[&[9, 0, 0, 0, 1, 3, 0]])), ("order group", Fault::Ends));
    assert_eq!(fault(|body| with_section(body, 4, &[&[0, 0, 0, 1, 2, 1]])), ("ack text", Fault::Ends));
}

#[test]
fn more_records_than_allowed_are_refused() {
    let echo = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4];
    let group = [0, 0, 0, 5, 0, 6];
    let order = [9, 0, 0, 0, 10, 1, 0];
    let ack = [0, 0, 0, 11, 12, 0];
    let sections: [(u8, &[u8], usize, &str); 4] = [
        (1, &echo, MAX_ECHOES, "echo"),
        (2, &group, MAX_GROUPS, "group"),
        (3, &order, MAX_ORDERS, "order"),
        (4, &ack, MAX_ACKS, "ack"),
    ];
    for (kind, record, most, field) in sections {
        assert!(hear(0, |body| with_section(body, kind, &vec![record; most])).is_ok());
        assert_eq!(fault(|body| with_section(body, kind, &vec![record; most + 1])), (field, Fault::TooMany));
    }
}

#[test]
fn bad_names_are_refused() {
    let named = |name: &'static [u8]| fault(move |body| put_block(body, |body| body.extend_from_slice(name)));
    assert_eq!(named(b""), ("name", Fault::Empty));
    assert_eq!(named(&[b'a'; 64]), ("name", Fault::TooLong));
    assert_eq!(named(b"a\nb"), ("name", Fault::NotText));
    assert_eq!(named(b"\xff"), ("name", Fault::NotText));
}

#[test]
fn a_maintenance_version_beyond_its_type_is_refused() {
    let refused = fault(|body| {
        body.extend_from_slice(&[1, b'a', 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        put_varint(body, 1 << 32);
    });
    assert_eq!(refused, ("maintenance", Fault::TooBig));
}
